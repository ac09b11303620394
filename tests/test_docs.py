"""The pages for users: their links lead somewhere, and the names on the course's page exist."""

import ast
import dataclasses
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from settings.comparison_flags import ComparisonFlags
from settings.flag_table import OBSOLETE, OF_TRAINER, SETTLED
from settings.flags import SharedFlags
from settings.study_flags import StudyFlags
from settings.tagging_flags import TaggingFlags
from tests.helpers.models import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]
COURSE = ROOT / "docs" / "course.md"


# --- Links ----------------------------------------------------------------------------------


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page to files or headings that do not exist."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("# A b, c\n\n[x](#a-b-c) [y](#a) [z](a.md#a-b-c) [v](b.md) [w](https://w.w)")
    assert broken_links(page) == ["#a", "b.md"]


def test_every_page_of_docs_is_in_readme():
    linked = set(re.findall(r"\]\(docs/(\w+\.md)", (ROOT / "README.md").read_text()))
    assert linked == {page.name for page in ROOT.glob("docs/*.md")}


# --- The course -----------------------------------------------------------------------------

SECTIONS = [
    "Preparing the data",
    "Processing the data",
    "Fine-tuning the model with the Trainer API",
    "Data collation",
    "Metrics",
    "Defining the model",
    "Fine-tuning the model",
    "A custom training loop",
    "Preparing everything for training",
    "Training loop",
    "Using the fine-tuned model",
]


def test_the_page_has_the_sections_of_the_chapter_in_their_order():
    assert re.findall(r"^##+ (.*)$", COURSE.read_text(), re.M) == SECTIONS


@cache
def names_in(module: Path) -> set[str]:
    """Return the names that a module defines or imports at its top level."""
    names = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names}
    return names


def exists(code: str) -> bool | None:
    """Return whether a file, flag or function of the suite exists; None for other code."""
    words = shlex.split(code) if code.startswith(("python ", "accelerate ", "--")) else [code]
    known = [is_known(word) for word in words]
    return None if known == [None] else False not in known


def is_known(word: str) -> bool | None:
    """Return whether a word of code exists in the suite; None if it names nothing of it."""
    if word.startswith("--"):
        return word[2:] in flags()
    if re.fullmatch(r"[\w/]+\.(py|ipynb)", word):
        return (ROOT / word).exists()
    first, *rest = word.split(".")
    if not rest or not ((ROOT / first).is_dir() or (ROOT / f"{first}.py").exists()):
        return None
    path = ROOT / first
    while rest and (path / rest[0]).is_dir():
        path /= rest.pop(0)
    module = path.with_suffix(".py")
    if not module.exists():
        module = path / f"{rest.pop(0)}.py" if rest else path
    return module.is_file() and (not rest or rest[0] in names_in(module))


@cache
def flags() -> set[str]:
    """Return the names of all flags of the scripts, but those only in `--help_all`."""
    classes = (SharedFlags, TaggingFlags, ComparisonFlags, StudyFlags)
    names = {field.name for kind in classes for field in dataclasses.fields(kind)}
    return names | OF_TRAINER.keys() | SETTLED.keys() | OBSOLETE.keys()


def named(column: int) -> list[str]:
    """Return the code in a column of the tables of the course's page."""
    rows = [row.split("|") for row in COURSE.read_text().splitlines() if row.startswith("| `")]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row[column])]


def test_every_function_file_and_flag_on_the_page_exists():
    text = "\n".join(line for line in COURSE.read_text().splitlines() if not line.startswith("| `"))
    codes = [*re.findall(r"`([^`\n]+)`", text), *named(2)]
    found = {code: exists(code) for code in codes}
    assert [code for code, known in found.items() if known is False] == []
    assert sum(known is True for known in found.values()) > 45


def test_a_name_that_does_not_exist_is_found():
    for code in ("common.encode_all", "corpus.nothing", "common.none.encode", "no_script.py"):
        assert exists(code) is not True, code
    for code in ("--no_flag", "python infer.py --no_flag x", "python no.py", "corpus.load.load"):
        assert exists(code) is False, code
    for code in ("common.encode", "infer.Tagger", "corpus.hold_out.hold_out", "corpus.schemes"):
        assert exists(code) is True, code
    assert exists("trainer.train()") is None
