"""Tests of tagging/loading.py: models that are loaded and models that are refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForTokenClassification

from encoder.collate import JoinWindows
from support import reachability
from support.errors import UserError
from tagging.tagger import Tagger
from tests.helpers.architectures import ARCHITECTURES, Architecture, build
from tests.helpers.messages import stable
from tests.helpers.models import ENTITY_LABELS, ROOT, save_tiny_tokenizer, tiny_vocabulary


def test_another_architecture_works(tmp_path):
    from transformers import DistilBertConfig, DistilBertForTokenClassification

    labels = dict(enumerate(ENTITY_LABELS))
    config = DistilBertConfig(
        vocab_size=len(tiny_vocabulary()), dim=32, n_layers=1, n_heads=2, hidden_dim=64,
        max_position_embeddings=64, id2label=labels, label2id={v: k for k, v in labels.items()},
    )  # fmt: skip
    DistilBertForTokenClassification(config).save_pretrained(tmp_path)
    save_tiny_tokenizer(tmp_path)
    tagger = Tagger(tmp_path)
    assert tagger.max_length == 64
    (result,) = tagger(["Peter went to Paris . " * 40], all_words=True)
    assert len(result["words"]) == 200


def save_tagger(architecture: Architecture, folder: Path, **changes) -> Path:
    """Save a tiny tagger of an architecture that this suite did not train."""
    build(architecture, folder)
    labels = {"id2label": dict(enumerate(ENTITY_LABELS)), "num_labels": len(ENTITY_LABELS)}
    config = AutoConfig.from_pretrained(folder, **labels)
    config.update(changes)
    torch.manual_seed(0)
    AutoModelForTokenClassification.from_config(config).save_pretrained(folder)
    return folder


def check_batches(tagger: Tagger) -> None:
    """Compare the probabilities of sentences in batches with those of each sentence alone."""
    sentences = [["Peter", "went", "to", "Paris", "."] * n for n in (1, 3, 2, 1, 3)]
    sentences += [["Anna"], ["Bank", "of", "Germany"]] * 2
    widths = recorded(tagger)
    together = tagger.tag_words(sentences)
    assert len(widths) < len(sentences)
    if tagger.padding_leaks:
        assert all(len(set(lengths)) == 1 for lengths in widths)
    for sentence, (tags, probabilities) in zip(sentences, together, strict=True):
        ((tags_alone, alone),) = tagger.tag_words([sentence])
        assert tags == tags_alone
        np.testing.assert_allclose(probabilities, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "family", "leaks"),
    [
        *(("gpt2", "gpt2-left", False), ("xlnet", "xlnet", False), ("roberta", "roberta", False)),
        *(("convbert", "bert", True), ("fnet", "fnet", True), ("funnel", "funnel", True)),
    ],
)
def test_tags_do_not_depend_on_the_batch(model_type, family, leaks, tmp_path):
    tagger = Tagger(save_tagger(Architecture(model_type, family), tmp_path))
    assert tagger.padding_leaks == leaks
    # Padded batches are smaller on a CPU.
    assert tagger.batch_tokens == (2048 if model_type == "roberta" else 512)
    check_batches(tagger)


SENTENCES = [
    ["Peter", "went", "to", "Paris", "."] * n + ["Anna", "of", "EU", "said"][: n % 5]
    for n in (1, 7, 2, 9, 4, 1, 3, 0, 8, 5, 11, 6)
]


@pytest.mark.parametrize(
    ("model_type", "family"),
    [
        *(("bert", "bert"), ("roberta", "roberta")),
        *(("modernbert", "modernbert"), ("xlm-roberta", "xlm-roberta")),
    ],
)
def test_entities_without_padding_are_those_of_batches_of_one(
    model_type, family, tmp_path, one_thread, monkeypatch
):
    """In fp32 and in bf16, whose doubtful words are computed again in fp32."""
    folder = save_tagger(Architecture(model_type, family), tmp_path)
    network = AutoModelForTokenClassification.from_pretrained(folder)
    torch.manual_seed(0)
    torch.nn.init.normal_(network.classifier.weight, std=1.0)  # some tags are sure, some in doubt
    network.save_pretrained(folder)
    texts = [" ".join(words) for words in SENTENCES]
    fp32, bf16 = (Tagger(folder, dtype=dtype) for dtype in ("fp32", "bf16"))
    alone = Tagger(folder, batch_tokens=1)(texts, all_words=True)
    for tagger in (fp32, bf16):
        collate = tagger.network.collate
        assert isinstance(collate, JoinWindows)
        batches = recorded(tagger)
        for expected, result in zip(alone, tagger(texts, all_words=True), strict=True):
            assert result["text"] == expected["text"]
            for name in ("entities", "words"):
                for ours, theirs in zip(result[name], expected[name], strict=True):
                    assert ours.pop("score") == pytest.approx(theirs["score"], abs=0.05)
                    assert ours == {k: v for k, v in theirs.items() if k != "score"}
        assert max(map(len, batches)) > 8
    assert sum(len(result["entities"]) for result in alone) > len(texts)
    assert bf16.tag_words(SENTENCES) != fp32.tag_words(SENTENCES)  # some are sure
    # Every word is in doubt: its probability is that of fp32.
    monkeypatch.setattr("tagging.tagger.DOUBT", 1.1)
    exact, again = (tagger.tag_words(SENTENCES) for tagger in (fp32, bf16))
    assert again == exact
    by_one = Tagger(folder, dtype="bf16", batch_tokens=1).tag_words(SENTENCES)
    for (tags, ours), (expected, theirs) in zip(again, by_one, strict=True):
        assert tags == expected
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def recorded(tagger: Tagger) -> list[list[int]]:
    """Let a tagger record its batches, as the lengths of their windows; return the record."""
    batches: list[list[int]] = []
    network = tagger.network

    def recording(windows):
        batches.append([len(window["input_ids"]) for window in windows])
        return network(windows)

    tagger.network = recording
    return batches


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_tags_of_all_architectures_do_not_depend_on_the_batch(architecture, tmp_path):
    check_batches(Tagger(save_tagger(architecture, tmp_path)))


@pytest.mark.parametrize(("model_type", "leaks"), [("convbert", True), ("xlnet", False)])
def test_the_trait_is_observed_whatever_the_configuration_says(model_type, leaks, tmp_path):
    """The folders of version 0.3.0 state it, perhaps of other weights or another transformers."""
    family = "xlnet" if model_type == "xlnet" else "bert"
    architecture = Architecture(model_type, family)
    folder = save_tagger(architecture, tmp_path, padding_leaks=not leaks)
    assert Tagger(folder).padding_leaks == leaks


def test_half_precision_is_refused_where_a_model_has_none(tmp_path, snapshot):
    save_tagger(Architecture("fnet", "fnet"), tmp_path)
    with pytest.raises(UserError) as error:
        Tagger(tmp_path, dtype="bf16")
    assert stable(error.value, tmp_path) == snapshot


def test_the_trait_is_observed_in_full_precision(tmp_path):
    folder = save_tagger(Architecture("convbert", "bert"), tmp_path)
    assert Tagger(folder, dtype="bf16").padding_leaks


OWN_CODE = """
from transformers import BertConfig, BertForTokenClassification

class OwnConfig(BertConfig):
    model_type = "own"

class OwnModel(BertForTokenClassification):
    config_class = OwnConfig
"""


def test_a_model_with_its_own_code_runs_it_only_if_trusted(tmp_path, monkeypatch, snapshot):
    """By default, transformers would wait for an answer on standard input, where texts may be."""
    folder = save_tagger(Architecture("bert", "bert"), tmp_path)
    (folder / "own.py").write_text(OWN_CODE)
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.OwnConfig", "AutoModelForTokenClassification": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": own}))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on standard input"))
    with pytest.raises(UserError) as error:
        Tagger(folder)
    assert stable(error.value, tmp_path).splitlines()[0] == snapshot
    assert len(Tagger(folder, trust_remote_code=True)("Peter went to Paris.")) == 1


@pytest.mark.parametrize("name", ["/no/such", "a/b/c", "./x", "runs/x/", "~/x", "a b"])
def test_a_name_that_cannot_be_a_repository_is_a_missing_folder(monkeypatch, snapshot, name):
    monkeypatch.setattr(reachability, "hub_reachable", lambda: pytest.fail("the Hub was contacted"))
    with pytest.raises(UserError) as error:
        Tagger(name)
    assert str(error.value).startswith(f"{name}:")
    assert str(error.value) == snapshot


def test_a_file_is_not_a_model(tiny_tagger, snapshot):
    with pytest.raises(UserError) as error:
        Tagger(tiny_tagger / "model.safetensors")
    assert stable(error.value, tiny_tagger) == snapshot


# --- Damaged and hostile folders --------------------------------------------------------------


class OwnCode:
    """An object that runs code when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch code-ran",)


def change_json(name: str, **changes):
    """Return a function that changes values in a JSON file of a folder; None removes one."""

    def change(folder: Path) -> None:
        values = json.loads((folder / name).read_text()) | changes
        values = {key: value for key, value in values.items() if value is not None}
        (folder / name).write_text(json.dumps(values))

    return change


def change_weights(change):
    """Return a function that replaces the weights in a folder by `change(weights)`."""

    def change_folder(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = {name: change(name, w) for name, w in load_file(folder / SAVED).items()}
        weights = {name: w for name, w in weights.items() if w is not None}
        save_file(weights, folder / SAVED, metadata={"format": "pt"})

    return change_folder


def test_a_word_whose_logits_are_not_finite_is_an_error(tiny_tagger):
    """Damaged weights may be finite and still give no result for some sub-words."""
    tagger = Tagger(tiny_tagger)
    network, row = tagger.network, tiny_vocabulary()["Peter"]

    def damaged(windows):
        logits, word_index = network(windows)
        broken = any(row in window["input_ids"] for window in windows)
        return (logits * float("nan") if broken else logits), word_index

    tagger.network = damaged
    assert tagger(["Paris"])
    with pytest.raises(UserError, match="not finite"):
        tagger(["Peter"])


def pickled(content: object):
    """Return a function that replaces the weights in a folder by a pickle."""

    def change(folder: Path) -> None:
        (folder / SAVED).unlink()
        torch.save(content, folder / "pytorch_model.bin")

    return change


def without(name: str):
    return lambda folder: (folder / name).unlink()


SAVED, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer_config.json"
QUERY = "layer.1.attention.self.query.weight"
DAMAGES = {
    "truncated": lambda folder: os.truncate(folder / SAVED, 5000),
    "no weights": without(SAVED),
    "one weight missing": change_weights(lambda name, w: None if QUERY in name else w),
    "no head": change_weights(lambda name, w: None if "classifier" in name else w),
    "one weight of another shape": change_weights(lambda name, w: w[:5] if QUERY in name else w),
    "weights not finite": change_weights(lambda name, w: w * float("nan")),
    "integers": change_weights(lambda name, w: w.int()),
    "pickle with code": pickled({"a": OwnCode()}),
    "pickle of a list": pickled([1, 2]),
    "pickle of nothing": pickled({}),
    "fewer layers": change_json(CONFIG, num_hidden_layers=1),
    "more layers": change_json(CONFIG, num_hidden_layers=3),
    "too wide": change_json(CONFIG, hidden_size=10**9, num_attention_heads=1),
    "other width": change_json(CONFIG, hidden_size=48),
    "large vocabulary": change_json(CONFIG, vocab_size=10**9),
    "heads": change_json(CONFIG, num_attention_heads=5),
    "activation": change_json(CONFIG, hidden_act="no_such"),
    "fewer labels": change_json(CONFIG, id2label={"0": "O", "1": "X"}),
    "more labels": change_json(CONFIG, id2label={str(i): f"B-{i}" for i in range(10)}),
    "window": change_json(CONFIG, window_length=2),
    "quantized": change_json(CONFIG, quantization_config={"quant_method": "gptq", "bits": 4}),
    "no settings of the tokenizer": without(TOKENIZER),
    "kind of tokenizer": change_json(TOKENIZER, tokenizer_class=5),
    "padding": change_json(TOKENIZER, pad_token=5),
    "no vocabulary": without("tokenizer.json"),
    "model of the tokenizer": change_json("tokenizer.json", model={"type": "WordPiece"}),
    "adapter": lambda folder: (folder / "adapter_config.json").write_text("{}"),
}


@pytest.mark.parametrize("made_here", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_one_message(
    damage, made_here, tiny_tagger, tmp_path, monkeypatch, snapshot, capfd
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tagging.loading.find_spec", {}.get)  # peft is not installed
    folder = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    DAMAGES[damage](folder)
    if not made_here:
        change_json(CONFIG, word_splitter=None)(folder)
        if damage == "no settings of the tokenizer":
            assert Tagger(folder)("Peter")  # others leave it out, and mean the defaults
            return
    with pytest.raises(UserError) as error:
        Tagger(folder)
    assert str(folder) in str(error.value)
    assert stable(error.value, folder).splitlines()[0] == snapshot
    assert capfd.readouterr().out == ""
    assert not (tmp_path / "code-ran").exists()


def test_sub_words_beyond_the_table_are_refused(tiny_tagger, tmp_path, snapshot):
    folder = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["Peter"] = 10**6
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UserError) as error:
        Tagger(folder)
    assert stable(error.value, folder) == snapshot


@pytest.mark.parametrize("part", ["AutoConfig", "AutoModelForTokenClassification", "AutoTokenizer"])
def test_standard_input_does_not_decide_whether_code_runs(part, tmp_path):
    """In a process of its own, with an answer of yes on standard input."""
    folder = save_tagger(Architecture("bert", "bert"), tmp_path)
    (folder / "own.py").write_text("open('code-ran', 'w').close()\n" + OWN_CODE)
    name = "own.OwnConfig" if part == "AutoConfig" else "own.OwnModel"
    if part == "AutoTokenizer":
        auto_map = {"auto_map": {part: ["own.OwnModel", None]}, "tokenizer_class": "OwnTokenizer"}
        change_json(TOKENIZER, **auto_map)(folder)
    else:
        change_json(CONFIG, model_type="own", auto_map={part: name})(folder)
    run = subprocess.run(
        [sys.executable, str(ROOT / "infer.py"), "--model", str(folder)],
        input=b"y\nyes\n",
        capture_output=True,
        cwd=tmp_path,
    )
    assert not (tmp_path / "code-ran").exists()
    if part == "AutoTokenizer":  # its tokenizer.json works without the code
        assert len(run.stdout.splitlines()) == 2
    else:
        assert run.returncode == 2 and b"--trust_remote_code" in run.stderr
