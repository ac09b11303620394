"""The Hub's client: time-outs, errors in one line, one commit.

The client of huggingface_hub waits forever by default, and its own retries (five for each request,
waiting out any `Retry-After`) can be neither shortened nor interrupted. `set_timeouts` changes both
for the whole process; `hub.pusher` does the retries.
"""

import functools
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    get_session,
    hf_hub_url,
    set_client_factory,
)
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import (
    build_hf_headers,
    hf_raise_for_status,
    parse_ratelimit_headers,
)

from hub.contents import CHECKPOINT_IN_REPO, is_outdated
from results.card import merge_cards

PUSH_THREAD = "hub-push"  # the name of the thread whose requests the library must not retry


def set_timeouts(seconds: float) -> None:
    """Limit the waits of the Hub's client, and make a push fail at its first error.

    `seconds`: the longest wait for a connection, and for each byte sent or received.
    """
    # Which HTTP library the client comes from depends on the version of huggingface_hub, so no
    # name of that library is imported here.
    client: Any = get_session()
    client_class, hooks = type(client), client.event_hooks

    def new_client() -> Any:
        limited = client_class(event_hooks=hooks, follow_redirects=True, timeout=None)
        limited.send = functools.partial(_send_in_time, limited.send, seconds)
        return limited

    set_client_factory(new_client)


def _send_in_time(send: Callable[..., Any], seconds: float, request: Any, **options: object) -> Any:
    """Send a request with time-outs; in a push, raise errors that the library does not retry."""
    # Set on each request, because huggingface_hub overrides the client's time-outs with None in
    # some calls.
    requested = request.extensions.get("timeout", {})
    kinds = ("connect", "read", "write", "pool")
    request.extensions["timeout"] = {kind: requested.get(kind) or seconds for kind in kinds}
    if threading.current_thread().name != PUSH_THREAD:
        return send(request, **options)
    try:
        response = send(request, **options)
    except Exception as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    if response.status_code in (408, 429) or response.status_code >= 500:
        hf_raise_for_status(response)
    return response


# --- Errors -----------------------------------------------------------------------------------


def status_code(error: BaseException) -> int | None:
    """Return the HTTP status behind an error, or None."""
    response = _response(error)
    return None if response is None else response.status_code


def retry_after(error: BaseException) -> float:
    """Return the seconds that the server asks the client to wait, or 0."""
    response = _response(error)
    if response is None:
        return 0.0
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    limit = parse_ratelimit_headers(response.headers)  # the Hub's own form, sent with a 429
    return float(limit.reset_in_seconds) if limit and not limit.remaining else 0.0


def one_line(error: BaseException) -> str:
    """Return an error as one line, without request ids and signed parts of addresses."""
    http_errors = (cause for cause in _causes(error) if isinstance(cause, HfHubHTTPError))
    shown = next(http_errors, None) or list(_causes(error))[-1]
    text = " ".join(str(shown).split()).partition(" For more information")[0]
    text = re.sub(r"\(Request ID: [^)]*\)|\?[^\s'\"]+", "", text).strip()
    return f"{type(shown).__name__}: {text}"[:300] if text else type(shown).__name__


def _response(error: BaseException) -> Any:
    """Return the HTTP response behind an error, or None; uploads of large files wrap theirs."""
    for cause in _causes(error):
        if isinstance(cause, HfHubHTTPError) and cause.response is not None:
            return cause.response
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


# --- A commit ---------------------------------------------------------------------------------


def commit_folder(api: HfApi, repo_id: str, folder: Path, message: str) -> str:
    """Make one commit of everything in `folder`; return its URL.

    Safe to repeat: files that have already arrived are not sent again. If nothing is left to change
    (the commit was made, but its response was lost), the URL is that of the newest commit.
    """
    remote_paths = api.list_repo_files(repo_id)
    if "README.md" in remote_paths and (folder / "README.md").exists():
        _keep_edits_on_the_hub(api, repo_id, folder / "README.md")
    additions = [
        CommitOperationAdd(path.relative_to(folder).as_posix(), str(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    # One by one: the library uploads several files in a thread pool, and Python waits for the pool
    # on exit, so Ctrl-C would have to wait for a hanging connection.
    for addition in additions:
        api.preupload_lfs_files(repo_id, [addition])
    new_paths = {addition.path_in_repo for addition in additions}
    with_checkpoint = (folder / CHECKPOINT_IN_REPO).is_dir()
    deletions = [
        CommitOperationDelete(path)
        for path in remote_paths
        if path not in new_paths and is_outdated(path, with_checkpoint)
    ]
    commit = api.create_commit(repo_id, [*deletions, *additions], commit_message=message)
    return commit.commit_url


def _keep_edits_on_the_hub(api: HfApi, repo_id: str, card: Path) -> None:
    """Add the edits that a person made to the card on the Hub to the file `card`."""
    headers = build_hf_headers(token=api.token)
    response = get_session().get(hf_hub_url(repo_id, "README.md"), headers=headers)
    hf_raise_for_status(response)
    new = card.read_text(encoding="utf-8")
    try:
        merged = merge_cards(new, response.text)
    except Exception:  # metadata that cannot be read cannot be kept
        return
    if merged != new:
        card.write_text(merged, encoding="utf-8")
