"""Secrets: keeping tokens out of everything that is printed or written."""

import re


def scrub(text: str, token: str | None = None) -> str:
    """Return `text` with `token`, and anything that looks like a Hub token, replaced by `***`."""
    if token:
        text = text.replace(token, "***")
    text = re.sub(r"(--[\w-]*token)([= ]+)('[^']*'|\"[^\"]*\"|\S+)", r"\1\2***", text)
    return re.sub(r"\bhf_[A-Za-z0-9]{8,}", "***", text)
