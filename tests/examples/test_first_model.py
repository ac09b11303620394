"""The notebook `examples/first_model.ipynb`."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from tests.helpers.examples import need
from tests.helpers.models import ROOT
from tests.helpers.script_runs import write_corpus

NOTEBOOK = ROOT / "examples" / "first_model.ipynb"


def cells(kind: str) -> list[dict]:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in content["cells"] if cell["cell_type"] == kind]


def test_it_is_committed_without_outputs():
    """They would hold figures of another tree and machine, and a difference in every run."""
    code = cells("code")
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]] == []
    for cell in code:
        ast.parse("".join(cell["source"]))


def run_notebook(tmp_path, **parameters: object) -> list[dict]:
    """Run the notebook in `tmp_path` with other parameters; return its code cells."""
    need("nbclient", "ipykernel")
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, 4)
    (cell,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    for name, value in parameters.items():
        cell.source, count = re.subn(
            rf"^{name} = .*$", f"{name} = {value!r}", cell.source, flags=re.M
        )
        assert count == 1
    setup = f"import sys\nsys.path.insert(0, {str(ROOT)!r})"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(setup))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    return [cell for cell in notebook.cells[1:] if cell.cell_type == "code"]


@pytest.mark.parametrize(
    ("splits", "scored"), [(["train"], "validation"), (["train", "test"], "test")]
)
def test_it_runs_with_a_corpus_of_the_user(splits, scored, tiny_encoder, tmp_path):
    """Run as a script, without the packages of notebooks. A corpus need not have a test split."""
    corpus = [str(flag) for flag in write_corpus(tmp_path)]
    pairs = zip(corpus[::2], corpus[1::2], strict=True)
    flags = [part for pair in pairs if pair[0][2:-5] in splits for part in pair]
    assert len(flags) == 2 * len(splits)
    source = "\n".join("".join(cell["source"]) for cell in cells("code"))
    source = source.replace("from IPython.display import FileLink, Image", "FileLink = Image = str")
    values = {"CORPUS": [*flags, "--model_name_or_path", str(tiny_encoder)], "EPOCHS": 1}
    for name, value in values.items():
        source, count = re.subn(rf"^{name} = .*$", f"{name} = {value!r}", source, flags=re.M)
        assert count == 1
    (tmp_path / "cells.py").write_text(source)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "cells.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "sentences with a mistake" in done.stdout
    assert f"on the {scored} split" in done.stdout


def text_of(cell: dict) -> str:
    """Return what a cell has printed and shown, as text."""
    return "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for output in cell["outputs"]
    )


@pytest.mark.exhaustive
def test_it_runs_to_its_end(tmp_path):
    code = {cell.id: cell for cell in run_notebook(tmp_path, EPOCHS=0.5, OUTPUT="out")}
    assert "words scored" in text_of(code["train-code"])
    assert "f1_interval" in text_of(code["scores-code"]) and "overall" in text_of(
        code["scores-code"]
    )
    assert "image/png" in code["curves-code"]["outputs"][0]["data"]
    assert re.search(r"[1-9]\d* sentences with a mistake", text_of(code["mistakes-code"]))
    table = code["mistakes-code"]["outputs"][-1]["data"]["text/html"]
    assert table.count("<tr>") == 11
    assert code["tag-code"]["outputs"]
    assert (tmp_path / "out" / "report.html").exists()
    assert "Traceback" not in json.dumps([cell.outputs for cell in code.values()])
