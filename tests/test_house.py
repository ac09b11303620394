"""The rules of ARCHITECTURE.md on the tree: who may import whom, and where side effects live.

The rules are checked by reading the source, so that an import inside a function counts too. The
last part breaks each rule once in a made-up tree, to prove that the checker reports it.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.models import ROOT

# A module imports from its own room, and from rooms of a lower level.
LEVELS = {
    "hub": 8,
    "results": 7,
    "training": 6,
    "tagging": 6,  # training and tagging do not import each other
    "scoring": 5,
    "encoder": 4,
    "corpus": 3,
    "settings": 2,
    "support": 1,
    "common": 0,  # the one module at the root that rooms import
}
ROOMS = [name for name in LEVELS if name != "common"]
SCRIPTS = {"train_trainer", "train_accelerate", "infer", "compare", "study"}
# Folders of Python that is not part of the suite's rooms.
BESIDE = ("tests", "benchmarks", "examples", "data")
# The names of scripts that README, examples and benchmarks import.
ENTRIES = {"infer.Tagger", "train_trainer.main", "train_accelerate.main"}

# Libraries that a room does without, so that it starts fast and runs where they are absent.
FORBIDDEN_LIBRARIES = {
    "corpus": {"torch", "transformers"},
    "tagging": {"datasets", "evaluate"},
}

# Every file with a side effect beyond its own objects, with the kinds that it has.
# ARCHITECTURE.md gives the reason for each. Kinds: see `SideEffects`.
SIDE_EFFECTS = {
    "common.py": {"patch"},
    "corpus/formats/tables.py": {"global"},
    "encoder/attention.py": {"global"},
    "encoder/cpu/dropout.py": {"global"},
    "encoder/cpu/process.py": {"environment", "global"},
    "encoder/model.py": {"environment", "patch"},
    "hub/pusher.py": {"global"},
    "results/charts.py": {"global"},
    "settings/trainer_flags.py": {"patch"},
    "support/end_of_run.py": {"global"},
    "support/errors.py": {"global", "patch"},
    "support/reachability.py": {"environment", "patch"},
    "support/start.py": {"global"},
    "tagging/loading.py": {"global"},
    "tagging/output_file.py": {"global"},
    "training/process_state.py": {"environment"},
    "training/runtime.py": {"environment", "global"},
    "training/signals.py": {"global"},
}

RANK_FILE = "support/processes.py"
RANK_VARIABLES = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}

HUB_WRITES = {
    "create_repo",
    "delete_repo",
    "move_repo",
    "duplicate_repo",
    "update_repo_settings",
    "upload_file",
    "upload_folder",
    "preupload_lfs_files",
    "create_commit",
    "copy_files",
    "delete_file",
    "delete_files",
    "delete_folder",
    "permanently_delete_lfs_files",
    "create_branch",
    "delete_branch",
    "create_tag",
    "delete_tag",
    "super_squash_history",
    "create_discussion",
    "create_pull_request",
    "merge_pull_request",
}
# Writers of libraries that call those. Names of flags too, so only a call counts.
HUB_WRITING_CALLS = {"push_to_hub", "metadata_update", "upload_large_folder", "CommitScheduler"}


class Violation(NamedTuple):
    """One broken rule; `rule` is its code."""

    path: str
    line: int
    rule: str
    detail: str


# --- Reading the tree -----------------------------------------------------------------------


def python_files(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield path and syntax tree of each Python file of the root, the rooms and beside them."""
    paths = sorted(root.glob("*.py"))
    for folder in (*ROOMS, *BESIDE):
        paths += sorted((root / folder).rglob("*.py"))
    for path in paths:
        yield path.relative_to(root).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: str) -> str:
    """Return the first part of a path: a room, `common`, a script's name, or a folder beside."""
    return path.split("/")[0].removesuffix(".py")


def imports(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything imported, wherever in the file.

    `from a.b import c` gives `a.b.c`. Relative imports are resolved.
    """
    package = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"
        elif isinstance(node, ast.Call) and node.args:
            called = dotted(node.func).rsplit(".", 1)[-1]
            name = node.args[0]
            is_import = called in ("import_module", "__import__")
            if is_import and isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` of nested attributes; "?" where it is neither."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


# --- Rules on imports -----------------------------------------------------------------------


def check_imports(path: str, tree: ast.Module) -> Iterator[Violation]:
    room = room_of(path)
    for line, name in imports(path, tree):
        target = name.split(".")[0]
        as_a_user = room in ("benchmarks", "examples") and name in ENTRIES
        if target in SCRIPTS and room != "tests" and not as_a_user:
            yield Violation(path, line, "script-imported", name)
        if target in LEVELS and room in LEVELS and target != room:
            if room == "common":
                yield Violation(path, line, "common-imports-project", name)
            elif LEVELS[target] >= LEVELS[room]:
                yield Violation(path, line, "upward-import", f"{room} imports {name}")
        if target in ("tests", "benchmarks", "examples") and room in {*LEVELS, *SCRIPTS}:
            yield Violation(path, line, "imports-from-beside", name)
        if target in FORBIDDEN_LIBRARIES.get(room, ()):
            yield Violation(path, line, "forbidden-library", f"{room} imports {name}")


def check_hub_writes(path: str, tree: ast.Module) -> Iterator[Violation]:
    if room_of(path) in ("hub", *BESIDE):
        return
    for line, name in imports(path, tree):
        if name.rsplit(".", 1)[-1] in HUB_WRITES | HUB_WRITING_CALLS:
            yield Violation(path, line, "writes-to-hub", name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in HUB_WRITES:
            yield Violation(path, node.lineno, "writes-to-hub", dotted(node))
        called = dotted(node.func) if isinstance(node, ast.Call) else ""
        if called.rsplit(".", 1)[-1] in HUB_WRITING_CALLS:
            yield Violation(path, node.lineno, "writes-to-hub", called)


def check_rank(path: str, tree: ast.Module) -> Iterator[Violation]:
    if path == RANK_FILE or room_of(path) in BESIDE:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in RANK_VARIABLES:
            yield Violation(path, node.lineno, "reads-rank", node.value)


# --- Rules on files -------------------------------------------------------------------------


def check_files(root: Path) -> Iterator[Violation]:
    for path in sorted(root.glob("*.py")):
        if path.stem not in SCRIPTS | {"common"}:
            yield Violation(path.name, 1, "python-file-at-root", path.stem)
    for room in ROOMS:
        if not (root / room).is_dir():
            yield Violation(room, 1, "room-missing", room)
            continue
        for folder in sorted({file.parent for file in (root / room).rglob("*.py")} | {root / room}):
            init = folder / "__init__.py"
            name = init.relative_to(root).as_posix()
            if not init.exists():
                yield Violation(name, 1, "package-without-init", folder.name)
            elif not ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))):
                yield Violation(name, 1, "package-without-docstring", folder.name)


# --- Rules on side effects ------------------------------------------------------------------

ENVIRONMENT_CALLS = {
    *(f"environ.{name}" for name in ("setdefault", "update", "pop", "popitem", "clear")),
    "os.putenv",
    "os.unsetenv",
}
# Switches of the process or of a library that outlive the call: allocator, threads, registries,
# handlers, limits. Seeds are not among them: they are how training runs.
GLOBAL_CALLS = {
    "mallopt",
    "set_num_threads",
    "set_flush_denormal",
    "signal.signal",
    "atexit.register",
    "AttentionInterface.register",
    "AttentionMaskInterface.register",
    "AutoConfig.register",
    "AutoModelForTokenClassification.register",
    "set_verbosity",
    "set_verbosity_error",
    "set_verbosity_warning",
    "set_verbosity_info",
    "disable_progress_bar",
    "disable_progress_bars",
    "enable_progress_bars",
    "filterwarnings",
    "simplefilter",
    "field_size_limit",
    "setrecursionlimit",
    "reconfigure",
    "set_start_method",
    "setlocale",
    "setdefaulttimeout",
    "set_default_dtype",
    "set_default_device",
    "set_float32_matmul_precision",
}


class SideEffects(ast.NodeVisitor):
    """Collect the side effects of a file as (line, kind, detail).

    Kinds: "environment", a variable written; "patch", an attribute written of something imported,
    a private attribute of another object, or a `forward`; "global", a call of `GLOBAL_CALLS`.
    """

    def __init__(self, path: str, tree: ast.Module):
        self.effects: list[tuple[int, str, str]] = []
        self.imported: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self.imported |= {(a.asname or a.name).split(".")[0] for a in node.names}
        self.visit(tree)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.written(target)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.written(node.target)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.written(node.target)
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self.written(target)

    def visit_Call(self, node: ast.Call) -> None:
        name = dotted(node.func)
        endings = {".".join(name.split(".")[-n:]) for n in (1, 2)}
        if endings & ENVIRONMENT_CALLS:
            self.effects.append((node.lineno, "environment", name))
        if endings & GLOBAL_CALLS:
            self.effects.append((node.lineno, "global", name))
        if name == "setattr" and node.args and dotted(node.args[0]).split(".")[0] in self.imported:
            self.effects.append((node.lineno, "patch", dotted(node.args[0])))
        self.generic_visit(node)

    def written(self, target: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self.written(part)
        elif isinstance(target, ast.Starred):
            self.written(target.value)
        elif isinstance(target, ast.Subscript):
            if dotted(target.value).endswith("environ"):
                self.effects.append((target.lineno, "environment", ast.unparse(target)))
        elif dotted(target).endswith("os.environ") or dotted(target) == "environ":
            self.effects.append((target.lineno, "environment", dotted(target)))
        elif isinstance(target, ast.Attribute):
            owner = dotted(target.value).split(".")[0]
            private = target.attr.startswith("_") and owner not in ("self", "cls")
            if owner in self.imported or private or target.attr == "forward":
                self.effects.append((target.lineno, "patch", dotted(target)))


def check_side_effects(
    path: str, tree: ast.Module, allowed: dict[str, set[str]]
) -> Iterator[Violation]:
    if room_of(path) in BESIDE:
        return
    for line, kind, detail in SideEffects(path, tree).effects:
        if kind not in allowed.get(path, ()):
            yield Violation(path, line, f"side-effect-{kind}", detail)


def check_house(root: Path, allowed: dict[str, set[str]]) -> list[Violation]:
    """Return every broken rule of the tree; `allowed`: kinds of side effects by file."""
    violations = list(check_files(root))
    for path, tree in python_files(root):
        violations += check_imports(path, tree)
        violations += check_hub_writes(path, tree)
        violations += check_rank(path, tree)
        violations += check_side_effects(path, tree, allowed)
    return violations


# --- The project ----------------------------------------------------------------------------


def test_the_project_keeps_the_rules():
    violations = check_house(ROOT, SIDE_EFFECTS)
    assert not violations, "\n" + "\n".join(
        f"{v.path}:{v.line}: {v.rule}: {v.detail}" for v in violations
    )


def test_side_effects_are_exactly_those_listed():
    """A file that loses its side effect is removed from the table and from ARCHITECTURE.md."""
    kinds = defaultdict(set)
    for path, tree in python_files(ROOT):
        if room_of(path) not in BESIDE:
            for _, kind, _ in SideEffects(path, tree).effects:
                kinds[path].add(kind)
    assert dict(kinds) == SIDE_EFFECTS


def test_architecture_names_each_file_with_a_side_effect():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert [path for path in SIDE_EFFECTS if path not in text] == []


def modules_of(room: str) -> list[str]:
    """Return the dotted name of each module of a room."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / room).rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


@pytest.mark.parametrize("room", FORBIDDEN_LIBRARIES)
def test_importing_a_room_loads_none_of_the_libraries_it_does_without(room):
    """Including what it loads through other rooms."""
    code = f"import sys, {', '.join(modules_of(room))}\n"
    code += f"print(*set(sys.modules).intersection({sorted(FORBIDDEN_LIBRARIES[room])}))"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == []


def test_readme_imports_of_scripts_only_their_entries():
    pages = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        for line, name in imports("README.md", ast.parse(block)):
            assert name.split(".")[0] not in SCRIPTS or name in ENTRIES, (line, name)


def test_the_methods_that_write_to_the_hub_exist():
    """Otherwise the rule would look for names that the library has dropped."""
    from huggingface_hub import HfApi

    assert [name for name in sorted(HUB_WRITES) if not hasattr(HfApi, name)] == []


# --- The checker ----------------------------------------------------------------------------


def write_house(root: Path, changes: dict[str, str | None]) -> None:
    """Write a small tree that keeps every rule, with `changes` made to it (None: no such file)."""
    files: dict[str, str | None] = {f"{room}/__init__.py": f'"""{room}."""\n' for room in ROOMS}
    files |= {
        "common.py": "import math\n",
        "infer.py": "from tagging.tagger import Tagger\n",
        "train_trainer.py": "import common\nfrom hub.client import push\n",
        "hub/client.py": "from results.card import card\ndef push(api): api.create_commit()\n",
        "results/card.py": "import training.order\nfrom tagging import tagger\ncard = 1\n",
        "training/order.py": "import torch\nfrom scoring import scores\n",
        "tagging/tagger.py": "import torch\nfrom encoder.cpu import fast\nclass Tagger: pass\n",
        "scoring/scores.py": "import common, encoder.cpu.fast\n",
        "encoder/cpu/__init__.py": '"""Fast."""\n',
        "encoder/cpu/fast.py": "import os\nos.environ['A'] = '1'\nfrom corpus import load\n",
        "corpus/load.py": "import datasets\nfrom settings import flags\nfrom . import words\n",
        "corpus/words.py": "from support.processes import rank\n",
        "support/processes.py": "import os\nrank = os.environ.get('RANK')\n",
        "tests/test_infer.py": "import infer, train_trainer\n",
        "examples/tag.py": "from infer import Tagger\n",
    }
    for name, text in (files | changes).items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)


ALLOWED = {"encoder/cpu/fast.py": {"environment"}}


def test_a_house_that_keeps_the_rules_passes(tmp_path):
    write_house(tmp_path, {})
    assert check_house(tmp_path, ALLOWED) == []


@pytest.mark.parametrize(
    "path,text,rule",
    [
        ("support/a.py", "import settings.flags", "upward-import"),
        ("settings/a.py", "from corpus import load", "upward-import"),
        ("corpus/a.py", "def f():\n    from encoder.cpu import fast", "upward-import"),
        ("encoder/cpu/a.py", "from scoring.scores import f1", "upward-import"),
        ("scoring/a.py", "from tagging import tagger", "upward-import"),
        ("tagging/a.py", "import training.order", "upward-import"),
        ("training/a.py", "from tagging.tagger import Tagger", "upward-import"),
        ("results/a.py", "class A:\n    def f(self):\n        import hub", "upward-import"),
        ("corpus/a.py", "from ..encoder import cpu", "upward-import"),
        ("corpus/a.py", "import importlib\nimportlib.import_module('hub')", "upward-import"),
        ("corpus/a.py", "if TYPE_CHECKING:\n    import results.card", "upward-import"),
        ("common.py", "from support.processes import rank", "common-imports-project"),
        ("tagging/a.py", "from infer import Tagger", "script-imported"),
        ("train_trainer.py", "import train_accelerate", "script-imported"),
        ("benchmarks/a.py", "from infer import parse", "script-imported"),
        ("examples/tag.py", "from infer import parse", "script-imported"),
        ("hub/a.py", "import compare", "script-imported"),
        ("results/a.py", "from tests.helpers.models import ROOT", "imports-from-beside"),
        ("corpus/a.py", "import torch.nn", "forbidden-library"),
        (
            "corpus/a.py",
            "def f():\n    from transformers import AutoModel",
            "forbidden-library",
        ),
        ("tagging/a.py", "from datasets import Dataset", "forbidden-library"),
        ("tagging/a.py", "import evaluate", "forbidden-library"),
        ("results/a.py", "def f(api): api.upload_folder()", "writes-to-hub"),
        ("results/a.py", "from huggingface_hub import create_repo", "writes-to-hub"),
        ("train_trainer.py", "def f(model): model.push_to_hub('a/b')", "writes-to-hub"),
        ("outputs.py", "", "python-file-at-root"),
        ("encoder/gpu/a.py", "", "package-without-init"),
        ("encoder/cpu/__init__.py", "import os", "package-without-docstring"),
        ("training/a.py", "import os\nmain = os.environ['RANK'] == '0'", "reads-rank"),
        ("infer.py", "import os\nsize = os.getenv('WORLD_SIZE')", "reads-rank"),
        ("training/a.py", "import os\nos.environ['A'] = '1'", "side-effect-environment"),
        ("training/a.py", "import os\ndel os.environ['A']", "side-effect-environment"),
        ("training/a.py", "import os\nos.environ |= {'A': '1'}", "side-effect-environment"),
        ("training/a.py", "from os import environ\nenviron.pop('A')", "side-effect-environment"),
        ("training/a.py", "import os\nos.environ.setdefault('A', '')", "side-effect-environment"),
        ("encoder/a.py", "import torch\ntorch.nn.Dropout = None", "side-effect-patch"),
        ("encoder/a.py", "from torch import nn\nsetattr(nn, 'Dropout', 1)", "side-effect-patch"),
        ("encoder/a.py", "def f(model): model._no_split = []", "side-effect-patch"),
        ("encoder/a.py", "def f(m, g): m.encoder.forward, a = g, 1", "side-effect-patch"),
        ("encoder/a.py", "import torch\ntorch.set_num_threads(1)", "side-effect-global"),
        ("hub/a.py", "import atexit\natexit.register(print)", "side-effect-global"),
    ],
)
def test_each_broken_rule_is_reported(path, text, rule, tmp_path):
    write_house(tmp_path, {path: text + "\n"})
    violations = check_house(tmp_path, ALLOWED)
    assert {violation.rule for violation in violations} == {rule}


def test_a_missing_room_and_a_missing_init_are_reported(tmp_path):
    write_house(tmp_path, {"scoring/__init__.py": None})
    violations = check_house(tmp_path, ALLOWED)
    assert [(v.path, v.rule) for v in violations] == [
        ("scoring/__init__.py", "package-without-init")
    ]
    write_house(tmp_path / "bare", {"settings/__init__.py": None})
    assert [v.rule for v in check_house(tmp_path / "bare", ALLOWED)] == ["room-missing"]


def test_the_place_of_a_violation_is_given(tmp_path):
    write_house(tmp_path, {"corpus/a.py": "import os\n\ndef f():\n    import hub.client\n"})
    (violation,) = check_house(tmp_path, ALLOWED)
    assert violation == ("corpus/a.py", 4, "upward-import", "corpus imports hub.client")


def test_public_attributes_of_objects_are_not_side_effects(tmp_path):
    text = "class A:\n    def f(self, node):\n        self._a = node.b = 1\n"
    write_house(tmp_path, {"corpus/a.py": text})
    assert check_house(tmp_path, ALLOWED) == []
