"""Settings of a corpus whose files and cache are in the test's temporary folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from settings.run_settings import CorpusSettings


@pytest.fixture
def corpus_settings(tmp_path: Path) -> Callable[..., CorpusSettings]:
    """Return a function that makes settings; text for a file flag is written to a file first."""

    def make(**flags: Any) -> CorpusSettings:
        for split in ("train", "validation", "test"):
            content = flags.get(f"{split}_file")
            if isinstance(content, str):
                path = tmp_path / f"{split}.conll"
                path.write_text(content, encoding="utf-8")
                flags[f"{split}_file"] = (str(path),)
        return CorpusSettings(**{"cache_dir": str(tmp_path / "cache"), **flags})

    return make
