"""Models as ONNX: `examples/export_onnx.py`."""

import random
import re
from pathlib import Path

import pytest

from tests.helpers.architectures import ARCHITECTURES, Architecture, build, sample_texts
from tests.helpers.examples import load_example, need, run_example
from tests.helpers.models import ENTITY_LABELS
from tests.helpers.tagging import KNOWN, cached_tagger

pytestmark = pytest.mark.exhaustive
need("onnx", "onnxscript", "onnxruntime")

# Those that were exported; the others were not tried.
TRIED = [
    "bert-legacy",
    "albert",
    "bert",
    "big_bird",
    "camembert",
    "deberta-v2",
    "diffllama",
    "electra",
    "ernie",
    "eurobert",
    "fnet",
    "gte",
    "llama",
    "longformer",
    "modernbert",
    "mpnet",
    "nomic_bert",
    "roberta",
    "xlm-roberta",
]
TEXTS = 10_000


def random_texts(count: int) -> list[str]:
    """Return texts of 0 to 200 words, more than a window of the tiny models."""
    draw = random.Random(0)
    words = [*KNOWN, "went", "to", "said", "lamb", "don't", "U.S.", "中", "\U0001f600", "."]
    return [" ".join(draw.choices(words, k=int(draw.expovariate(0.1)) % 200)) for _ in range(count)]


def test_ten_thousand_texts_have_the_tags_of_torch(tiny_tagger, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"{text}\n" for text in random_texts(TEXTS)), encoding="utf-8")
    flags = ("--model", tiny_tagger, "--output", tmp_path / "onnx", "--texts", texts)
    process = run_example("export_onnx", *flags)
    assert process.returncode == 0, process.stderr
    lines = re.findall(rf"^(.+): \d+ words/s; (\d+) of {TEXTS} texts differ$", process.stdout, re.M)
    assert lines == [("torch", "0"), ("ONNX Runtime", "0")]
    assert "[INFO]" not in process.stderr
    names = {path.name for path in (tmp_path / "onnx").iterdir()}
    assert names == {"model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json"}


def save_classifier(architecture: Architecture, folder: Path) -> Path:
    """Save a random model with a head for entity tags."""
    import torch
    from transformers import AutoModelForTokenClassification

    build(architecture, folder)
    labels = dict(enumerate(ENTITY_LABELS))
    model = AutoModelForTokenClassification.from_pretrained(folder, id2label=labels)
    for weight in model.parameters():
        if weight.ndim == 2 and weight.shape[0] == len(labels):  # tags that differ
            torch.nn.init.normal_(weight, std=0.5)
    model.config.window_length = architecture.window
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if str(a) in TRIED], ids=str)
def test_each_architecture_gives_the_logits_of_torch(architecture, tmp_path, one_thread):
    """In batches of windows of unequal length, and windows cut from a long text."""
    import torch

    from tagging.tagger import Tagger

    example = load_example("export_onnx")
    folder = save_classifier(architecture, tmp_path / "model")
    tagger = Tagger(folder)
    (tmp_path / "onnx").mkdir()
    collate = example.export(str(folder), tmp_path / "onnx", tagger.padding_leaks)
    own = example.tagger_of(tagger, tmp_path / "onnx" / "model.onnx", collate)
    windows = []
    recording = tagger.network
    tagger.network = lambda batch: windows.append(batch) or recording(batch)
    texts = [*sample_texts()[:40], " ".join(sample_texts()[:5]), ""]
    expected = tagger(texts, all_words=True)
    assert len(windows) > 0
    for batch in windows:
        (logits, words), (given, given_words) = recording(batch), own.network(batch)
        order, given_order = words.argsort(), given_words.argsort()
        assert torch.equal(words[order], given_words[given_order])
        torch.testing.assert_close(given[given_order], logits[order], rtol=1e-3, atol=1e-3)
    for result, first in zip(own(texts, all_words=True), expected, strict=True):
        assert [word["tag"] for word in result["words"]] == [word["tag"] for word in first["words"]]


def test_int8_prints_its_cost(tiny_tagger, tmp_path):
    """The gold tags are those of the model in fp32, whose F1 is 1."""
    texts = random_texts(200)
    lines = []
    for result in cached_tagger(tiny_tagger)(texts, all_words=True):
        lines += [f"{word['word']} {word['tag']}" for word in result["words"]] + [""]
    (tmp_path / "gold.conll").write_text("\n".join(lines), encoding="utf-8")
    flags = ("--model", tiny_tagger, "--output", tmp_path / "onnx")
    process = run_example("export_onnx", *flags, "--int8", tmp_path / "gold.conll")
    assert process.returncode == 0, process.stderr
    scores = dict(re.findall(r"^(.+): .*f1 (\d\.\d+)", process.stdout, re.M))
    assert scores.keys() == {"torch", "ONNX Runtime", "ONNX Runtime, int8"}
    assert scores["torch"] == scores["ONNX Runtime"] == "1.0000"
    assert 0.5 < float(scores["ONNX Runtime, int8"]) < 1
    size, smaller = (
        (tmp_path / "onnx" / name).stat().st_size for name in ("model.onnx", "model_int8.onnx")
    )
    assert smaller < size


def test_a_file_without_labels_is_refused(tiny_tagger, tmp_path):
    (tmp_path / "notes.txt").write_text("Anna went to Paris.\n")
    flags = ("--model", tiny_tagger, "--output", tmp_path / "onnx")
    process = run_example("export_onnx", *flags, "--int8", tmp_path / "notes.txt")
    assert process.returncode == 2 and "no labels" in process.stderr
