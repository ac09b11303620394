"""Tests of infer.py: what is read, what is found, what is written, and how it ends."""

import contextlib
import gzip
import json
import math
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import common
import infer
from encoder.batches import PadBatch, encode_split
from scoring.scores import compute_metrics
from scoring.table import score_table
from support import errors, reachability
from support.errors import UserError
from tagging import fast_bert as bert
from tagging import inputs
from tagging import tagger as tagger_module
from tagging import writers as formats
from tagging.tagger import Tagged, Tagger
from tests.helpers.models import ENTITY_LABELS, ROOT, save_tiny_tagger
from tests.helpers.script_runs import PRINT_PEAK

INFER = str(ROOT / "infer.py")
KNOWN = {  # what the look-up model tags; every other word is O
    "Peter": "B-PER",
    "Blackburn": "I-PER",
    "Anna": "B-PER",
    "EU": "B-ORG",
    "German": "B-MISC",
    "Paris": "B-LOC",
    "New": "B-LOC",
    "York": "I-LOC",
}
SURE = math.exp(4) / (math.exp(4) + 8)  # probability of a logit of 4 among eight of 0
TEXT = "Peter Blackburn went from Paris to New York."
TEXT_ENTITIES = [
    {"entity_group": "PER", "score": SURE, "word": "Peter Blackburn", "start": 0, "end": 15},
    {"entity_group": "LOC", "score": SURE, "word": "Paris", "start": 26, "end": 31},
    {"entity_group": "LOC", "score": SURE, "word": "New York", "start": 35, "end": 43},
]


class LookUp:
    """A network that tags sub-words by a list, so that what must come out is known."""

    def __init__(self, tokenizer, labels: list[str]):
        import torch

        self.logits = torch.zeros(2000, len(labels))
        self.logits[:, 0] = 4.0
        self.widths = []
        for word, tag in KNOWN.items():
            number = tokenizer.backend.token_to_id(word)
            self.logits[number] = 0.0
            self.logits[number, labels.index(tag)] = 4.0

    def __call__(self, windows):
        import torch

        self.widths.append((len(windows), max(len(window["input_ids"]) for window in windows)))
        ids = torch.tensor([i for window in windows for i in window["input_ids"]])
        words = torch.tensor([i for window in windows for i in window["word_index"]])
        first = words.ne(common.IGNORED)
        return self.logits[ids[first]], words[first]


@pytest.fixture
def look_up(tiny_tagger, monkeypatch):
    """Makes every `Tagger` of the tiny folder the look-up model."""
    load = bert.load

    def load_look_up(folder, dtype, device):
        loaded = load(folder, dtype, device)
        if loaded is None:
            return None
        config, tokenizer, _ = loaded
        labels = [config.id2label[i] for i in range(len(config.id2label))]
        return config, tokenizer, LookUp(tokenizer, labels)

    monkeypatch.setattr(bert, "load", load_look_up)
    return Tagger(tiny_tagger)


@pytest.fixture
def cli(tiny_tagger, look_up, monkeypatch, capfd, tmp_path):
    """Run infer.py with flags, in this process: (exit status, output, messages)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv, model=tiny_tagger):
        flags = ["--model", str(model)] if model else []
        monkeypatch.setattr(sys, "argv", ["infer.py", *map(str, argv), *flags])
        status = 0
        try:
            errors.run(infer.script)
        except SystemExit as end:
            status = end.code
        return (status, *capfd.readouterr())

    return run


def rows_of(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


def rounded(entities: list[dict]) -> list[dict]:
    return [{**entity, "score": round(entity["score"], 4)} for entity in entities]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- The library ------------------------------------------------------------------------------


def test_entities_of_a_text(look_up):
    (result,) = look_up([TEXT])
    assert result == {"text": TEXT, "entities": [pytest.approx(e) for e in TEXT_ENTITIES]}
    assert look_up(TEXT) == [result]
    assert look_up([]) == []


def test_adjacent_entities_are_kept_apart_and_a_stray_inside_begins_one(look_up):
    (result,) = look_up(["Peter Anna Paris York Blackburn Peter Blackburn"])
    found = [(entity["entity_group"], entity["word"]) for entity in result["entities"]]
    assert found == [
        ("PER", "Peter"),
        ("PER", "Anna"),
        ("LOC", "Paris York"),
        ("PER", "Blackburn"),
        ("PER", "Peter Blackburn"),
    ]


def test_all_words_and_min_score(look_up):
    (result,) = look_up(["Peter said"], all_words=True)
    assert result["words"] == [
        {"word": "Peter", "tag": "B-PER", "score": pytest.approx(SURE), "start": 0, "end": 5},
        {"word": "said", "tag": "O", "score": pytest.approx(SURE), "start": 6, "end": 10},
    ]
    assert look_up(TEXT, min_score=SURE + 0.01)[0]["entities"] == []
    assert len(look_up(TEXT, min_score=SURE - 0.01)[0]["entities"]) == 3


def test_the_score_is_the_mean_over_the_words():
    tagged = Tagged("a b", [("a", 0, 1), ("b", 2, 3)], ["B-X", "I-X"], [0.5, 1.0])
    assert tagger_module.entities_of(tagged) == [
        {"entity_group": "X", "score": 0.75, "word": "a b", "start": 0, "end": 3}
    ]


def test_tags_of_any_scheme_give_the_same_entities():
    words = [(str(i), 2 * i, 2 * i + 1) for i in range(6)]
    for tags in (
        ["B-X", "I-X", "O", "B-Y", "B-X", "I-X"],
        ["B-X", "E-X", "O", "S-Y", "B-X", "E-X"],
        ["B-X", "L-X", "O", "U-Y", "B-X", "L-X"],
    ):
        found = tagger_module.entities_of(Tagged("0 1 2 3 4 5", words, tags, [1.0] * 6))
        spans = [(one["entity_group"], one["start"], one["end"]) for one in found]
        assert spans == [("X", 0, 3), ("Y", 6, 7), ("X", 8, 11)]


def test_plain_tags_give_words(tiny_pos_tagger):
    (result,) = Tagger(tiny_pos_tagger)(["The name is Peter."])
    assert set(result) == {"text", "words"}
    assert [word["word"] for word in result["words"]] == ["The", "name", "is", "Peter", "."]
    assert {word["tag"] for word in result["words"]} <= {"DET", "NOUN", "PUNCT", "VERB"}


def test_a_text_of_any_length_loses_nothing_at_the_windows_edges(look_up):
    """64 tokens a window: every offset of an entity from an edge occurs."""
    for filler in range(1, 6):
        sentence = "Peter Blackburn " + "said " * filler + "New York and "
        text = sentence * 60
        (result,) = look_up([text])
        found = [(one["entity_group"], one["word"]) for one in result["entities"]]
        assert found == [("PER", "Peter Blackburn"), ("LOC", "New York")] * 60
    assert max(width for _, width in look_up.network.widths) == 64


def test_batches_keep_to_the_budget_and_order_does_not_matter(tiny_tagger, look_up):
    texts = [f"Peter {'said ' * (i * 7 % 40)}Paris" for i in range(100)]
    look_up.batch_tokens = 128
    results = look_up(texts)
    assert [result["text"] for result in results] == texts
    assert all(rows * width <= 128 for rows, width in look_up.network.widths)
    assert all(len(result["entities"]) == 2 for result in results)


def test_batching_changes_no_tag_of_a_real_network(tiny_tagger):
    texts = [f"{'Peter went to Paris , ' * (i % 9)}{i} and Anna" for i in range(60)]
    single = Tagger(tiny_tagger, batch_tokens=1)(texts, all_words=True)
    for batch_tokens in (100, 10_000):
        batched = Tagger(tiny_tagger, batch_tokens=batch_tokens)(texts, all_words=True)
        for one, other in zip(single, batched, strict=True):
            assert [w["tag"] for w in one["words"]] == [w["tag"] for w in other["words"]]
            assert [w["score"] for w in one["words"]] == pytest.approx(
                [w["score"] for w in other["words"]], abs=1e-5
            )


PIECES = [
    *("Peter", "Paris", " ", "U.S.", "don't", "\t", "\r\n", "\x00", "\u200b", "\u200d", "e\u0301"),
    *("👩\u200d👩\u200d👧", "🇩🇪", "中文", "שלום", "\ud800"),
]
any_text = st.text(st.characters(exclude_categories=()), max_size=40) | st.lists(
    st.sampled_from(PIECES), max_size=12
).map("".join)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(any_text, max_size=4))
@example(["\ud800 Peter", "\r\n", "", "a\u0000b", "e\u0301a 👩‍👩‍👧 中文"])
def test_offsets_index_the_text_whatever_it_holds(tiny_tagger, texts):
    found_tagger = _kept(tiny_tagger)
    results = found_tagger(texts, all_words=True)
    assert [result["text"] for result in results] == texts
    for result in results:
        text, words = result["text"], result["words"]
        end = 0
        for word in words:
            assert word["start"] >= end and word["end"] > word["start"]
            assert text[word["start"] : word["end"]] == word["word"]
            assert not text[end : word["start"]].strip()
            end = word["end"]
        assert not text[end:].strip()
        starts, ends = {word["start"] for word in words}, {word["end"] for word in words}
        end = 0
        for entity in result["entities"]:
            assert end <= entity["start"] < entity["end"]
            assert entity["start"] in starts and entity["end"] in ends
            assert text[entity["start"] : entity["end"]] == entity["word"]
            assert 0 < entity["score"] <= 1
            end = entity["end"]


_taggers: dict[Path, Tagger] = {}


def _kept(folder: Path) -> Tagger:
    if folder not in _taggers:
        _taggers[folder] = Tagger(folder)
    return _taggers[folder]


# --- The network without transformers ---------------------------------------------------------


def test_the_plain_network_is_transformers_own(tiny_tagger):
    """Logits of every batch, against each window alone in `BertForTokenClassification`."""
    import torch
    from transformers import AutoModelForTokenClassification

    _, _, plain = bert.load(tiny_tagger, torch.float32, "cpu")
    theirs = AutoModelForTokenClassification.from_pretrained(tiny_tagger).eval()
    random = np.random.default_rng(0)
    for lengths in ([1], [64], [40, 17, 17, 17, 3, 1], [5] * 9):
        windows, expected = [], []
        for number, length in enumerate(lengths):
            window = {
                "input_ids": random.integers(0, 100, length).tolist(),
                "token_type_ids": random.integers(0, 2, length).tolist(),
                "word_index": [
                    common.IGNORED if i % 3 == 1 else 1000 * number + i for i in range(length)
                ],
            }
            windows.append(window)
            inputs = {name: torch.tensor([window[name]]) for name in list(window)[:2]}
            with torch.inference_mode():
                logits = theirs(**inputs).logits[0]
            expected.append(logits[torch.tensor(window["word_index"]) != common.IGNORED])
        with torch.inference_mode():
            logits, words = plain(windows)
        torch.testing.assert_close(logits, torch.cat(expected), rtol=0, atol=2e-6)
        flat = [i for window in windows for i in window["word_index"] if i != common.IGNORED]
        assert words.tolist() == flat


def test_products_come_in_few_sizes(tiny_tagger, monkeypatch):
    """Each size is a kernel more to make and to keep, some hundred thousand bytes in bf16."""
    import torch

    rows = set()
    linear = torch.nn.functional.linear

    def noted(x, *args):
        rows.add(len(x))
        return linear(x, *args)

    monkeypatch.setattr(torch.nn.functional, "linear", noted)
    tagger = _kept(tiny_tagger)
    for number in range(513, 1025):
        tagger.tag_words([["Peter"] * 7] * (number // 7) + [["Anna"] * (number % 7 + 1)])
    assert len(rows) < 70  # 512 numbers of words, as many of sub-words
    for n in range(5000):
        assert n <= bert.rounded(n) <= n * 17 / 16


def test_a_sentence_of_words_is_no_string(tiny_tagger):
    with pytest.raises(TypeError, match="expected lists of words, found a string"):
        Tagger(tiny_tagger).tag_words(["Anna said"])


def test_bf16_computes_again_what_it_leaves_in_doubt(tiny_tagger, monkeypatch):
    fp32, bf16 = (Tagger(tiny_tagger, dtype=dtype) for dtype in ("fp32", "bf16"))
    # Alone in a window each, so that some windows are in doubt and others are not.
    words = [
        [word]
        for word in [
            "Peter",
            "went",
            "to",
            "Paris",
            "said",
            "Anna",
            "of",
            "EU",
            "rejects",
            "German",
            "call",
        ]
    ]

    def probabilities(tagger, doubt):
        monkeypatch.setattr(tagger_module, "DOUBT", doubt)
        return [p for _, found in tagger.tag_words(words) for p in found]

    exact, rough = probabilities(fp32, 0.0), probabilities(bf16, 0.0)
    assert rough == pytest.approx(exact, abs=0.05) and rough != exact
    assert probabilities(bf16, 1.1) == exact  # all of it in doubt
    mixed = probabilities(bf16, 0.5)
    assert all(p in pair for p, *pair in zip(mixed, exact, rough, strict=True))
    assert mixed not in (exact, rough)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=6), min_size=1, max_size=4))
def test_the_plain_tokenizer_is_transformers_own(tiny_tagger, sentences):
    import torch

    if tiny_tagger not in _tokenizers:
        from encoder.tokenizer import load_tokenizer

        _, plain, _ = bert.load(tiny_tagger, torch.float32, "cpu")
        _tokenizers[tiny_tagger] = plain, load_tokenizer(str(tiny_tagger))
    ours, theirs = _tokenizers[tiny_tagger]
    for max_length in (64, 8):
        assert list(common.encode(sentences, ours, max_length)) == list(
            common.encode(sentences, theirs, max_length)
        )
    pads = [(t.padding_side, t.pad_token_id, t.pad_token_type_id) for t in (ours, theirs)]
    assert pads[0] == pads[1]


_tokenizers: dict[Path, tuple] = {}


@pytest.mark.parametrize(
    "change",
    [{"hidden_act": "relu"}, {"word_splitter": None}, {"position_embedding_type": "relative_key"}],
)
def test_what_is_no_plain_bert_is_left_to_transformers(tiny_tagger, tmp_path, change):
    import shutil

    import torch

    folder = tmp_path / "model"
    shutil.copytree(tiny_tagger, folder)
    config = json.loads((folder / "config.json").read_text()) | change
    config = {name: value for name, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    assert bert.load(folder, torch.float32, "cpu") is None
    assert bert.load(tiny_tagger, torch.float32, "cpu") is not None
    texts = [TEXT, "", "Anna"]
    results = Tagger(folder)(texts, all_words=True)
    assert [result["text"] for result in results] == texts
    if "word_splitter" in change:  # the same network, trained elsewhere
        expected = Tagger(tiny_tagger)(texts, all_words=True)
        for one, other in zip(results, expected, strict=True):
            assert [w["tag"] for w in one["words"]] == [w["tag"] for w in other["words"]]


def test_another_architecture_works(tmp_path):
    from transformers import DistilBertConfig, DistilBertForTokenClassification

    from tests.helpers.models import save_tiny_tokenizer, tiny_vocabulary

    labels = dict(enumerate(ENTITY_LABELS))
    config = DistilBertConfig(
        vocab_size=len(tiny_vocabulary()), dim=32, n_layers=1, n_heads=2, hidden_dim=64,
        max_position_embeddings=64, id2label=labels, label2id={v: k for k, v in labels.items()},
    )  # fmt: skip
    DistilBertForTokenClassification(config).save_pretrained(tmp_path)
    save_tiny_tokenizer(tmp_path)
    found = Tagger(tmp_path)
    assert found.max_length == 64
    (result,) = found(["Peter went to Paris . " * 40], all_words=True)
    assert len(result["words"]) == 200


# --- What is read -----------------------------------------------------------------------------


def test_texts_as_arguments_one_answer_each(cli):
    status, output, _ = cli(TEXT, "", "Anna")
    assert status == 0
    rows = rows_of(output)
    assert [row["text"] for row in rows] == [TEXT, "", "Anna"]
    assert rows[0]["entities"] == rounded(TEXT_ENTITIES)
    assert rows[1]["entities"] == []


def test_lines_of_text_with_empty_ones_and_any_line_end(cli, tmp_path):
    path = write(tmp_path, "a.txt", "\ufeff Peter\t \r\n\nAnna\x0b\x85 \u2028said\n\r\nEU")
    rows = rows_of(cli("--input", path)[1])
    assert [row["text"] for row in rows] == [" Peter\t ", "", "Anna\x0b\x85 \u2028said", "", "EU"]
    assert [len(row["entities"]) for row in rows] == [1, 0, 1, 0, 1]


def test_a_document_is_one_text_with_its_line_ends(cli, tmp_path):
    content = "Peter Blackburn\r\nwent\r\n\r\nto Paris\t.\r\n"
    path = write(tmp_path, "a.txt", content)
    (row,) = rows_of(cli("--input", path, "--by", "document")[1])
    assert row["text"] == content
    assert [content[e["start"] : e["end"]] for e in row["entities"]] == ["Peter Blackburn", "Paris"]


def test_json_lines_carry_their_other_fields_through(cli, tmp_path):
    records = [
        {"id": 7, "text": TEXT, "meta": {"entities": [1], "é": None}},
        {"tokens": ["Peter", "Blackburn", "has spaces", "", "EU"], "id": 8},
        {"text": "(Peter)EU", "tokens": ["(", "Peter", ")", "EU"]},
    ]
    lines = "\n".join(json.dumps(record) for record in records[:2])
    path = write(tmp_path, "a.jsonl", f"{lines}\n\n{json.dumps(records[2])}")
    first, second, third = rows_of(cli("--input", path)[1])
    assert first == records[0] | {"entities": rounded(TEXT_ENTITIES)}
    assert second["tokens"] == records[1]["tokens"] and second["id"] == 8
    assert second["text"] == "Peter Blackburn has spaces  EU"
    found = [(e["word"], second["text"][e["start"] : e["end"]]) for e in second["entities"]]
    assert found == [("Peter Blackburn",) * 2, ("EU",) * 2]
    assert third["text"] == "(Peter)EU"
    assert [(e["start"], e["end"]) for e in third["entities"]] == [(1, 6), (7, 9)]


def test_columns_keep_their_words(cli, tmp_path):
    content = "-DOCSTART- O\n\nPeter-Blackburn O\nEU B-ORG\n\nAnna O\n"
    path = write(tmp_path, "a.conll", content)
    status, output, _ = cli("--input", path, "--output_format", "conll")
    assert status == 0
    assert output == "Peter-Blackburn\tB-PER\nEU\tB-ORG\n\nAnna\tB-PER\n\n"
    path = write(tmp_path, "words.txt", "EU\nrejects\n\nAnna\n")
    output = cli("--input", path, "--input_format", "conll")[1]
    assert [row["text"] for row in rows_of(output)] == ["EU rejects", "Anna"]


COLUMNS = [
    "-DOCSTART-\n\nPeter\n",
    "EU NNP B-NP B-ORG\n",
    "rejects VBZ B-VP O\n",
    "Peter B-PER\nsaid O\n",
    "Peter\tB-PER\nsaid\tO\n\nAnna\tB-PER\n",
    "\n\nsaid O\nthe O\nPeter B-person\n",
    "Peter B-PER\nBlackburn I-PER\n",
    "said O\n" * 10,
    "# sent_id = 1\n1\tPeter\t_\tPROPN\t_\t_\t0\troot\t_\t_\n",
    "1\tPeter\t_\tPROPN\t_\t_\t0\troot\t_\t_\n",
    "#\thttp://example.org [2009-10-17]\n1\tPeter\tB-PER\tO\n2\tsaid\tO\tO\n",
]
PROSE = [
    "My blood group is O\n",
    "Anna's is O\nBob's is O\nMine is O\n",
    "vitamin B-12\nno O\n",
    "Wir nehmen die S-Bahn\nWir nehmen die U-Bahn\nIhr nehmt die S-Bahn\n",
    "mein I-Phone\ndein I-Phone\n",
    "take the S-Bahn\nO\n",
    "said O\nPeter came from B-LOC\n",
    "O\nO\nB-PER\n",
    "name\tgroup\nAnna Blackburn\tO\nPeter\tB-LOC\n",
    "New York\tB-LOC\nsaid so\tO\n",
    "# A title\n\ntext = O\n",
    "-DOCSTART-s begin documents\n",
    "{curly} Peter\n",
    "",
]


@pytest.mark.parametrize("content", COLUMNS)
def test_columns_are_known_by_their_first_lines(content):
    lines = content.splitlines()
    assert [inputs.form_of(name, lines) for name in ("-", "a.txt.gz", "a")] == ["conll"] * 3


@pytest.mark.parametrize("content", PROSE)
def test_prose_is_never_taken_for_columns(content):
    assert inputs.form_of("a.txt", content.splitlines()) == "text"


def test_no_line_of_our_own_prose_is_taken_for_columns():
    lines = "".join((ROOT / name).read_text() for name in ("README.md", "LICENSE")).splitlines()
    for start in range(len(lines)):
        assert not inputs.are_columns(lines[start : start + 20]), lines[start]


def test_columns_through_a_pipe_and_in_a_text_file_keep_their_words(cli, tmp_path):
    path = write(tmp_path, "a.txt", "Peter-Blackburn O\nEU B-ORG\n\nAnna O\n")
    assert [row["text"] for row in rows_of(cli("--input", path)[1])] == [
        "Peter-Blackburn EU",
        "Anna",
    ]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(["sh", "-c", f"cat {path} > {pipe}"])
    assert [row["text"] for row in rows_of(cli("--input", pipe)[1])] == [
        "Peter-Blackburn EU",
        "Anna",
    ]
    assert process.wait(10) == 0
    output = cli("--input", path, "--input_format", "text")[1]
    assert [row["text"] for row in rows_of(output)][:2] == ["Peter-Blackburn O", "EU B-ORG"]


def test_files_globs_folders_and_packed_ones_in_order(cli, tmp_path):
    write(tmp_path, "in/b.txt", "Anna")
    write(tmp_path, "in/a.txt", "Peter\nEU")
    write(tmp_path, "in/.hidden", "no")
    write(tmp_path, "in/deep/c.jsonl.gz", gzip.compress(b'{"text": "Paris"}'))
    rows = rows_of(cli("--input", "in")[1])
    files = [("in/a.txt", "Peter"), ("in/a.txt", "EU"), ("in/b.txt", "Anna")]
    files += [("in/deep/c.jsonl.gz", "Paris")]
    assert [(row["file"], row["text"]) for row in rows] == files
    rows = rows_of(cli("--input", "in/*.txt", "in/deep/*")[1])
    assert [row["text"] for row in rows] == ["Peter", "EU", "Anna", "Paris"]


def test_text_wins_over_tokens_unless_they_are_asked_for(cli, tmp_path):
    records = [
        {"text": "Anna in Paris", "words": "x"},
        {"text": "Anna in Paris", "tokens": []},
        {"text": "Anna in Paris", "tokens": ["Anna in", "Paris"]},
        {"tokens": ["Anna", "in", "Paris"], "text": None},
        {"sentence": "Anna in Paris"},
    ]
    path = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, records)))
    status, output, messages = cli("--input", path, "--all_words")
    assert status == 0, messages
    for record, row in zip(records, rows_of(output), strict=True):
        assert row["text"] == "Anna in Paris"
        assert [word["word"] for word in row["words"]] == ["Anna", "in", "Paris"], record
    path = write(tmp_path, "b.jsonl", json.dumps(records[2]))
    output = cli("--input", path, "--all_words", "--text_column_name", "tokens")[1]
    assert [word["word"] for word in rows_of(output)[0]["words"]] == ["Anna in", "Paris"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"tokens": "not a list"}, "'tokens' is 'not a list', expected a list of strings"),
        ({"tokens": ["a", 1]}, "expected a list of strings"),
        ({"text": 5, "tokens": ["a"]}, "'text' is '5', expected a string"),
        ({"text": ["a", "b"]}, "for a list of words: --text_column_name text"),
        ({"title": "a"}, "no 'text' or 'tokens'"),
    ],
)
def test_a_field_of_another_kind_is_a_broken_line(cli, tmp_path, record, expected):
    path = write(
        tmp_path, "a.jsonl", f'{{"text": "Peter"}}\n{json.dumps(record)}\n{{"text": "EU"}}'
    )
    status, output, messages = cli("--input", path)
    assert status == 2 and f"{path}:2:" in messages and expected in messages
    status, output, messages = cli("--input", path, "--skip_errors")
    assert status == 0 and [row["text"] for row in rows_of(output)] == ["Peter", "EU"]
    assert f"{path}:2:" in messages


def test_by_document_concerns_plain_text_only(cli, tmp_path):
    contents = {
        "a.jsonl": '{"id": 1, "text": "Peter"}\n{"id": 2, "text": "EU"}\n',
        "b.conll": "Peter O\nsaid O\n\nEU O\n",
        "c.txt": "Peter\nEU\n",
    }
    for name, content in contents.items():
        write(tmp_path, f"in/{name}", content)
    rows = rows_of(cli("--input", "in", "--by", "document")[1])
    assert [row["text"] for row in rows] == ["Peter", "EU", "Peter said", "EU", "Peter\nEU\n"]
    assert [row.get("id") for row in rows] == [1, 2, None, None, None]


def test_of_a_folder_the_texts_are_read_and_the_others_named_once(cli, tmp_path):
    texts = ["a.txt", "b.MD", "c.log.1.gz", "NOTES", "d.text", "e.markdown", "v 1.5"]
    for name in texts:
        content = f"Peter {name}".encode()
        write(tmp_path, f".mails/in/{name}", gzip.compress(content) if ".gz" in name else content)
    for name in ("photo.png", "page.html", "deep/table.csv"):
        write(tmp_path, f".mails/in/{name}", b"\x89PNG\xff")
    status, output, messages = cli("--input", ".mails/in")
    assert status == 0, messages
    assert {row["text"] for row in rows_of(output)} == {f"Peter {name}" for name in texts}
    for name in ("photo.png", "page.html", "deep/table.csv"):
        assert messages.count(f".mails/in/{name}") == 1
    write(tmp_path, ".mails/in/page.html", "Peter")
    status, output, messages = cli("--input", ".mails/in/page.html", "NOTHING")
    assert status == 2
    status, output, messages = cli("--input", ".mails/in", ".mails/in/page.html")
    assert [row["file"] for row in rows_of(output)][-1] == ".mails/in/page.html"
    assert "page.html" not in messages and "photo.png" in messages
    status, _, messages = cli("--input", ".mails/in/deep")
    assert status == 2 and "deep/table.csv" in messages and ".txt" in messages


def test_a_folder_of_labelled_tables_is_scored(cli, tmp_path):
    write(tmp_path, "in/a.csv", "sentence_id,token,ner_tag\n1,Peter,B-PER\n1,said,O\n")
    write(tmp_path, "in/readme.pdf", b"%PDF-1.4")
    status, output, messages = cli("--input", "in", "--score")
    assert status == 0 and output.startswith("2 words scored"), messages
    assert "readme.pdf" in messages


def test_a_json_array_is_read_record_by_record(cli, tmp_path):
    content = b'[\n  {"id": 1, "text": "Peter"},\n  {"id": 2, "text": "EU"}\n]\n'
    path = write(tmp_path, "a.json", content)
    rows = rows_of(cli("--input", path)[1])
    assert [(row["id"], row["text"]) for row in rows] == [(1, "Peter"), (2, "EU")]
    path = write(tmp_path, "b.json", content.replace(b"EU", b"\xff"))
    status, _, messages = cli("--input", path)
    assert status == 2 and f"{path}:3" in messages and "Traceback" not in messages


def test_a_named_pipe_is_read(cli, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    process = subprocess.Popen(["sh", "-c", f"printf 'Peter\\n\\nEU\\n' > {path}"])
    rows = rows_of(cli("--input", path)[1])
    assert [row["text"] for row in rows] == ["Peter", "", "EU"]
    assert process.wait(10) == 0


def test_a_damaged_gzip_file_is_told(cli, tmp_path):
    path = write(tmp_path, "a.txt.gz", gzip.compress(b"Peter\n" * 1000)[:-12])
    status, _, messages = cli("--input", path)
    assert status == 2 and str(path) in messages and "Traceback" not in messages


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_utf_16_is_read(cli, tmp_path, name):
    text = '{"text": "Peter é"}\n' if name == "a.jsonl" else "Peter é\n"
    path = write(tmp_path, name, text.encode("utf-16"))
    assert [row["text"] for row in rows_of(cli("--input", path)[1])] == ["Peter é"]


def test_order_over_many_chunks(cli, tmp_path):
    texts = [f"{n} {'said ' * (n * 37 % 23)}Peter" for n in range(2500)]
    path = write(tmp_path, "many.txt", "\n".join(texts))
    rows = rows_of(cli("--input", path)[1])
    assert [row["text"] for row in rows] == texts
    assert all(len(row["entities"]) == 1 for row in rows)


def test_chunks_grow_and_depend_on_the_items_alone():
    items = [inputs.Item("x" * 10)] * 5000
    sizes = [len(chunk) for chunk in inputs.chunks(items, lambda: False)]
    assert sizes[:4] == [8, 16, 32, 64] and max(sizes) == inputs.CHUNK_TEXTS
    assert sum(sizes) == 5000
    long = [inputs.Item("x" * (inputs.CHUNK_CHARACTERS // 2))] * 5
    assert [len(chunk) for chunk in inputs.chunks(long, lambda: False)] == [2, 2, 1]
    assert [len(chunk) for chunk in inputs.chunks(items[:3], lambda: True)] == [1, 1, 1]


# --- What cannot be read ------------------------------------------------------------------------

BROKEN = b'{"text": "Peter"}\n{"text": \n{"words": 1}\n\xff\xfe{}\n{"text": "EU"}\n'


def test_a_broken_line_is_told_with_its_number_after_what_is_before_it(cli, tmp_path):
    path = write(tmp_path, "a.jsonl", BROKEN)
    status, output, messages = cli("--input", path)
    assert status == 2
    assert [row["text"] for row in rows_of(output)] == ["Peter"]
    assert f"{path}:2: not JSON" in messages and "--skip_errors" in messages
    assert "Traceback" not in messages


def test_broken_lines_are_passed_over_and_counted(cli, tmp_path):
    path = write(tmp_path, "a.jsonl", BROKEN)
    status, output, messages = cli("--input", path, "--skip_errors")
    assert status == 0
    assert [row["text"] for row in rows_of(output)] == ["Peter", "EU"]
    for number in (2, 3, 4):
        assert f"{path}:{number}:" in messages
    assert "3 lines passed over" in messages


def test_a_program_is_told_from_text(cli, tmp_path):
    path = write(tmp_path, "a.out", b"\x7fELF\x02\x01\x01\0\0\0\xff\0\n")
    status, _, messages = cli("--input", path)
    assert status == 2 and "zero bytes in a line, as no text has" in messages


def test_bytes_that_are_no_utf_8(cli, tmp_path):
    path = write(tmp_path, "a.txt", b"Peter\nMalm\xf6\nEU\n")
    status, _, messages = cli("--input", path)
    assert status == 2 and f"{path}:2: wrong encoding: byte 0xf6, perhaps 'Malm" in messages
    status, output, _ = cli("--input", path, "--skip_errors")
    assert [row["text"] for row in rows_of(output)] == ["Peter", "EU"]


def test_what_the_user_gets_wrong(cli, tmp_path, tiny_encoder, monkeypatch):
    text = write(tmp_path, "a.txt", "Peter")
    (tmp_path / "empty").mkdir()
    unlabelled = write(tmp_path, "a.conll", "Peter\n\n")
    cases = [
        (["--input", "nothing.txt", "more*.txt"], ["nothing.txt: no such", "more*.txt: no such"]),
        (["a", "--input", text], ["expected one of them"]),
        (["--input", text, "--output", text], ["is an input too"]),
        (["a", "--output", "no/such/out.jsonl"], ["no/such/out.jsonl"]),
        (["a", "--min_score", "2", "--batch_tokens", "0"], ["--min_score 2", "--batch_tokens 0"]),
        (["a", "--score"], ["--score: expected --input"]),
        (["a", "--no_such_flag"], ["--no_such_flag"]),
        (["--modle", "x"], ["unknown argument --modle; did you mean --model?"]),
        (["a", "--min_scor=1"], ["unknown argument --min_scor; did you mean --min_score?"]),
        (["--input", unlabelled, "--score"], ["no labels to score against"]),
        (["--input", text, "--output", tmp_path], ["expected a file"]),
        (["Peter", "--device", "nonsense"], ["--device nonsense: not to be had here"]),
        (["Peter", "--device", "meta:a"], ["--device meta:a: not to be had here"]),
    ]
    for argv, expected in cases:
        status, output, messages = cli(*argv)
        assert status == 2 and output == "", argv
        assert "Traceback" not in messages
        for part in expected:
            assert part in messages, (argv, messages)
    assert text.read_text() == "Peter"
    for model, expected in (
        (tmp_path / "empty", "no config.json"),
        ("no/such_model", "no/such_model"),
        (tiny_encoder, "another task"),
    ):
        status, _, messages = cli("a", model=model)
        assert status == 2 and expected in messages and "Traceback" not in messages, messages


def test_prose_has_no_labels_to_score_against(cli, tmp_path):
    for name, content in (
        ("a.txt", "Anna went to Paris .\nPeter Blackburn said so .\nThe EU rejects it\n"),
        ("b.txt", "Anna went to Paris ."),
    ):
        path = write(tmp_path, name, content)
        status, output, messages = cli("--input", path, "--score")
        assert status == 2 and output == "", messages
        assert f"{path}: no labels to score against: its lines are no columns" in messages
    path = write(tmp_path, "c.txt", "Peter B-PER\nsaid\n\nEU B-ORG\nsaid O\n")
    status, _, messages = cli("--input", path, "--score", "--input_format", "conll")
    assert status == 2 and f"{path}:2: rows with another number of columns" in messages
    path = write(tmp_path, "d.txt", "Peter B-PER\nsaid O\n")
    assert cli("--input", path, "--score")[1].startswith("2 words scored")


def test_a_folder_of_checkpoints_names_the_newest(cli, tmp_path, tiny_tagger):
    import shutil

    (tmp_path / "run" / "checkpoint-9").mkdir(parents=True)
    status, _, messages = cli("a", model="run")
    assert status == 2 and "no config.json" in messages
    for age, name in ((5, "epoch_10"), (2, "step_30"), (1, "epoch_9")):
        folder = tmp_path / "run" / name
        shutil.copytree(tiny_tagger, folder)
        (folder / "checkpoint.json").write_text("{}")
        os.utime(folder / "checkpoint.json", (time.time() - age,) * 2)
    (tmp_path / "run" / "epoch_9" / "model.safetensors").unlink()  # the newest, but it has no model
    status, output, messages = cli("a", model="run")
    assert status == 2 and output == ""
    assert "--model run/step_30\n" in messages and "--resume_from_checkpoint" in messages
    assert cli("a", model="run/step_30")[0] == 0


@pytest.mark.parametrize("name", ["/no/such", "a/b/c", "./x", "runs/x/", "~/x", "a b"])
def test_what_cannot_be_a_repository_is_no_such_folder(monkeypatch, name):
    monkeypatch.setattr(reachability, "hub_reachable", lambda: pytest.fail("the Hub was asked"))
    with pytest.raises(UserError, match="no such folder"):
        Tagger(name)


def test_a_file_is_not_a_model(tiny_tagger):
    with pytest.raises(UserError, match="a file, not the folder"):
        Tagger(tiny_tagger / "model.safetensors")


@pytest.mark.parametrize("answers", [False, True], ids=["refused", "hanging"])
def test_without_the_hub_an_unknown_model_is_told_at_once(tmp_path, answers):
    """Of a Hub whose port is closed, and of one that takes the connection and says nothing."""
    with socket.socket() as server:
        server.bind(("localhost", 0))
        if answers:
            server.listen()
        environment = os.environ | {
            "HF_ENDPOINT": f"http://localhost:{server.getsockname()[1]}",
            "HF_HUB_OFFLINE": "0",
        }
        began = time.monotonic()
        process = start("--model", "nope", "Anna", env=environment, cwd=tmp_path)
        output, messages = process.communicate(timeout=60)
        seconds = time.monotonic() - began
    assert process.returncode == 2 and output == b""
    assert b"nope: no such folder; the Hugging Face Hub cannot be reached" in messages
    assert b"etry" not in messages and messages.count(b"\n") <= 2
    bare = time_of_help()
    # The probe's three seconds, and what a machine with more to do than cores takes to start.
    assert seconds < reachability.HUB_TIMEOUT_S + 20 * max(bare, 0.2)


def time_of_help() -> float:
    began = time.monotonic()
    start("--help").communicate(timeout=60)
    return time.monotonic() - began


def test_readme_s_service_answers_and_refuses_what_is_no_utf_8(tiny_tagger, monkeypatch):
    """The snippet itself, with another model, on a port of its own."""
    import http.client
    import http.server

    readme = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"```python\n(import json\n.*?)```", readme, re.DOTALL)
    assert 'Tagger("all-MiniLM-L6-v2-finetuned-ner")' in code
    code = code.replace('"all-MiniLM-L6-v2-finetuned-ner"', repr(str(tiny_tagger)))
    servers = []

    class Server(http.server.HTTPServer):
        def __init__(self, address, handler):
            super().__init__(("localhost", 0), handler)
            servers.append(self)

        def serve_forever(self):
            pass

    monkeypatch.setattr(http.server, "HTTPServer", Server)
    exec(code, {})
    (server,) = servers
    monkeypatch.setattr(server.RequestHandlerClass, "log_message", lambda *_: None)
    thread = threading.Thread(
        target=http.server.socketserver.BaseServer.serve_forever, args=[server]
    )
    thread.start()
    try:
        answers = []
        for body in ("Peter é".encode(), b"Malm\xf6", b"EU"):
            connection = http.client.HTTPConnection(*server.server_address)
            connection.request("POST", "/", body)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
    assert [status for status, _ in answers] == [200, 400, 200]
    assert json.loads(answers[0][1])["text"] == "Peter é"


def test_a_slow_tokenizer_is_refused(cli, tmp_path, tiny_tagger, monkeypatch):
    from types import SimpleNamespace

    from transformers import AutoTokenizer

    monkeypatch.setattr(bert, "load", lambda *_: None)
    slow = SimpleNamespace(is_fast=False)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: slow)
    status, _, messages = cli("a")
    assert status == 2 and "slow" in messages


def test_the_newest_model_here_is_taken_and_named(cli, tmp_path, tiny_tagger):
    status, _, messages = cli("Peter", model=None)
    assert status == 2 and "python train_trainer.py --sample" in messages
    for age, name in ((30, "old-finetuned-ner"), (10, "bert-finetuned-ner-accelerate")):
        folder = save_tiny_tagger(tmp_path / name, ENTITY_LABELS)
        os.utime(folder / "run.json", (time.time() - age,) * 2)
    (tmp_path / "unfinished-finetuned-ner").mkdir()
    status, output, messages = cli("Peter", model=None)
    assert status == 0 and len(rows_of(output)) == 1
    assert "bert-finetuned-ner-accelerate (the newest model here)" in messages


# --- What is written --------------------------------------------------------------------------


def test_csv_has_a_row_for_each_entity(cli):
    output = cli("Peter said", "", 'EU, "Paris"', "--output_format", "csv")[1]
    assert output == (
        "text,kind,label,score,start,end,word\n"
        f"1,entity,PER,{SURE:.4f},0,5,Peter\n"
        f"3,entity,ORG,{SURE:.4f},0,2,EU\n"
        f"3,entity,LOC,{SURE:.4f},5,10,Paris\n"
    )


def test_conll_has_all_words_and_with_all_words_their_scores(cli):
    assert cli("Peter said", "--output_format", "conll")[1] == "Peter\tB-PER\nsaid\tO\n\n"
    output = cli("Peter said", "--output_format", "conll", "--all_words")[1]
    assert output == f"Peter\tB-PER\t{SURE:.4f}\nsaid\tO\t{SURE:.4f}\n\n"


def test_conll_has_one_row_a_word_whatever_the_word_is(cli, tmp_path):
    words = ["Peter", "", "a\tb", "c\u2028d", "e f"]
    path = write(tmp_path, "a.jsonl", json.dumps({"tokens": words}))
    output = cli("--input", path, "--output_format", "conll")[1]
    assert output == "Peter\tB-PER\n_\tO\na_b\tO\nc_d\tO\ne f\tO\n\n"


def test_html_goes_where_its_ending_says_and_holds_no_markup_of_the_text(cli, tmp_path):
    status, output, _ = cli("Peter <script>alert(1)</script>", "--output", "page.html")
    assert status == 0 and output == ""
    page = (tmp_path / "page.html").read_text()
    assert page.lower().startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "<script>alert" not in page and "PER" in page


@pytest.mark.parametrize(
    "name,beginning", [("a.jsonl.gz", b"{"), ("a.conll.GZ", b"Peter\t"), ("a.htm.gz", b"<!doctype")]
)
def test_output_is_packed_where_its_ending_says_so(cli, tmp_path, name, beginning):
    assert cli("Peter", "--output", name) == (0, "", "")
    assert gzip.decompress((tmp_path / name).read_bytes()).lower().startswith(beginning.lower())


def test_an_ending_that_says_nothing_of_the_format_is_told(cli, tmp_path):
    status, _, messages = cli("Peter", "--output", "tagged.xyz")
    assert status == 0 and "tagged.xyz is written as JSON Lines" in messages
    assert rows_of((tmp_path / "tagged.xyz").read_text())[0]["text"] == "Peter"
    for name in ("tagged", "tagged.json", "tagged.jsonl"):
        assert cli("Peter", "--output", name) == (0, "", "")
    assert cli("Peter", "--output", "tagged.xyz", "--output_format", "csv") == (0, "", "")


def test_a_field_that_gives_way_is_told_once(cli, tmp_path):
    row = '{"text": "Peter", "entities": "mine", "id": 1}\n'
    status, output, messages = cli("--input", write(tmp_path, "a.jsonl", row * 3))
    assert status == 0 and messages.count("'entities' give way") == 1
    assert [(row["id"], row["entities"][0]["word"]) for row in rows_of(output)] == [
        (1, "Peter")
    ] * 3


def test_a_page_of_several_files_names_each_before_its_texts(cli, tmp_path):
    write(tmp_path, "in/<a>.txt", "Peter\nsaid")
    write(tmp_path, "in/b.txt", "EU")
    page = cli("--input", "in", "--output_format", "html")[1]
    heads = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert heads == ["in/&lt;a&gt;.txt", "in/b.txt"]
    places = [page.index(part) for part in ("in/&lt;a&gt;", "Peter<", "said<", "in/b.txt<", "EU<")]
    assert places == sorted(places)
    assert "<h2" not in cli("--input", "in/b.txt", "--output_format", "html")[1]


def test_a_label_stays_on_the_line_of_its_score(cli):
    page = cli("Peter", "--output_format", "html")[1]
    (label,) = re.findall(r'<span class="label"[^>]*>', page)
    assert "white-space:nowrap" in label


def test_half_a_surrogate_pair_is_written_as_json_writes_it(cli, tmp_path):
    path = write(tmp_path, "a.jsonl", '{"text": "Peter \\ud800"}')
    (row,) = rows_of(cli("--input", path)[1])
    assert row["text"] == "Peter \ud800" and len(row["entities"]) == 1


def pretty(texts: list[str], tagger: Tagger, width: int = 80, colour: bool = False, **options):
    answers = tagger.tag_texts([(text, None) for text in texts])
    results = [formats.Result(a, tagger.result(a, **options), {}) for a in answers]
    return "".join(formats.as_pretty(results, width, colour))


def test_labels_stand_under_the_words(look_up):
    assert pretty(["Peter Blackburn went to Paris .", "", "said"], look_up) == (
        "[Peter Blackburn] went to [Paris] .\nPER 0.87                  LOC 0.87\n\nsaid\n"
    )
    # Wide characters and joined emoji count the columns they take; short words make room.
    assert pretty(["中文 👩‍👩‍👧 EU EU EU said"], look_up) == (
        "中文 👩‍👩‍👧 [EU]     [EU]     [EU] said\n        ORG 0.87 ORG 0.87 ORG 0.87\n"
    )
    assert pretty(["Peter said"], look_up, all_words=True) == "Peter said\nB-PER\n"


def test_long_lines_break_between_words_and_controls_move_no_cursor(look_up):
    shown = pretty(["said Peter " * 20 + "\x1b[2J\tEU\r"], look_up, width=40)
    lines = shown.splitlines()
    assert all(formats.width_of(line) <= 40 for line in lines)
    assert sum(line.count("[Peter]") for line in lines) == 20
    assert "\x1b" not in shown and "\r" not in shown and "\t" not in shown
    above, below = lines[0], lines[1]
    for match in re.finditer(r"\[Peter\]", above):
        assert below[match.start() : match.start() + 3] == "PER"


def test_colours_take_no_columns(look_up):
    plain = pretty(["EU and Anna met Peter"], look_up, colour=True)
    assert "\x1b[1;" in plain and "[EU]" not in plain.replace("\x1b[", "")
    bare = re.sub(r"\x1b\[[0-9;]*m", "", plain)
    assert bare == "EU and   Anna met Peter\nORG 0.87 PER 0.87 PER 0.87\n"


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("abc", 3),
        ("é", 1),
        ("e\u0301", 1),
        ("中文", 4),
        ("한국", 4),
        ("ｗｉｄｅ", 8),
        ("🙂", 2),
        ("👍🏽", 2),
        ("👩‍👩‍👧", 2),
        ("🇩🇪", 2),
        ("🇩🇪🇫🇷", 4),
        ("❤", 1),
        ("❤️", 2),
        ("a\u200bb", 2),
        ("שלום", 4),
        ("नि", 2),
    ],
)
def test_columns_on_a_terminal(text, width):
    assert formats.width_of(text) == width


# --- Scores -----------------------------------------------------------------------------------


def labelled_corpus() -> list[list[tuple[str, str]]]:
    """Sentences of random words and legal random tags, one of them longer than a window."""
    random = np.random.default_rng(0)
    vocabulary = [*KNOWN, "said", "the", "lamb", "Brooklyn", "rejects", "U.S.", "\u200b"]
    sentences = []
    for length in [*random.integers(1, 30, 60), 150]:
        tags, previous = [], "O"
        for _ in range(length):
            options = ["O", "B-PER", "B-ORG", "B-LOC"]
            options += ["I-" + previous[2:]] * 3 if previous != "O" else []
            previous = str(random.choice(options))
            tags.append(previous)
        sentences.append([(str(random.choice(vocabulary)), tag) for tag in tags])
    return sentences


def table_numbers(output: str) -> dict[str, list[str]]:
    rows = (line.rsplit(maxsplit=4) for line in output.splitlines()[2:])
    return {row[0]: row[1:] for row in rows if len(row) == 5}


def test_score_is_conlleval_of_a_network_run_sentence_by_sentence(
    tiny_tagger, monkeypatch, capfd, tmp_path
):
    import torch
    from conlleval import evaluate
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    # Windows cannot be told apart here, so that no sentence may be longer than one.
    sentences = labelled_corpus()[:-1]
    model = AutoModelForTokenClassification.from_pretrained(tiny_tagger).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_tagger)
    lines = []
    for sentence in sentences:
        words = [word for word, _ in sentence]
        encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.inference_mode():
            ids = model(**encoded).logits[0].argmax(-1).tolist()
        owners = encoded.word_ids()
        for number, (word, tag) in enumerate(sentence):
            at = owners.index(number) if number in owners else None
            predicted = "O" if at is None else model.config.id2label[ids[at]]
            lines.append(f"{word} {tag} {predicted}")
        lines.append("")
    expected = evaluate(lines)
    content = "".join("".join(f"{w}\t{t}\n" for w, t in s) + "\n" for s in sentences)
    path = write(tmp_path, "gold.conll", content)
    monkeypatch.setattr(
        sys, "argv", ["infer.py", "--model", str(tiny_tagger), "--input", str(path), "--score"]
    )
    infer.main()
    output = capfd.readouterr().out
    assert output.startswith(f"{sum(map(len, sentences))} words scored\n")
    table = table_numbers(output)
    overall = expected["overall"]["chunks"]["evals"]
    assert table["overall"][:3] == [f"{overall[k]:.4f}" for k in ("prec", "rec", "f1")]
    for kind, found in expected["slots"]["chunks"].items():
        scores = [f"{found['evals'][k]:.4f}" for k in ("prec", "rec", "f1")]
        assert table[kind][:3] == scores, kind


def test_score_is_the_score_of_training(tiny_tagger, monkeypatch, capfd, tmp_path):
    """The evaluation of the training scripts, on the same sentences, windows among them."""
    import datasets
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoModelForTokenClassification

    from encoder.tokenizer import load_tokenizer
    from training import checkpoints

    sentences = labelled_corpus()
    split = datasets.Dataset.from_dict(
        {
            "tokens": [[word for word, _ in sentence] for sentence in sentences],
            "labels": [[ENTITY_LABELS.index(tag) for _, tag in s] for s in sentences],
        }
    )
    tokenizer = load_tokenizer(str(tiny_tagger))
    windows = encode_split(split, tokenizer, 64, None, True, "test_score")
    model = AutoModelForTokenClassification.from_pretrained(tiny_tagger).eval()
    order = checkpoints.evaluation_order(windows.lengths, 32)
    predictions = common.WordPredictions(windows.num_words)
    collate = PadBatch(tokenizer)
    with torch.no_grad():
        for batch in DataLoader(windows, 32, sampler=order, collate_fn=collate):
            predictions.add(*common.predict_batch(model, batch))
    scores = compute_metrics(predictions, split, ENTITY_LABELS)

    content = "".join("".join(f"{w}\t{t}\n" for w, t in s) + "\n" for s in sentences)
    path = write(tmp_path, "gold.conll", content)
    monkeypatch.setattr(
        sys, "argv", ["infer.py", "--model", str(tiny_tagger), "--input", str(path), "--score"]
    )
    infer.main()
    output = capfd.readouterr().out
    assert output == f"{scores['words']} words scored\n{score_table(scores)}\n"


def test_gold_of_any_scheme_and_format_scores_the_same(cli, tmp_path):
    words = ["Peter", "Blackburn", "said", "Anna", "Peter"]
    iob2 = ["B-PER", "I-PER", "O", "B-PER", "B-PER"]
    bioes = ["B-PER", "E-PER", "O", "S-PER", "S-PER"]
    iob1 = ["I-PER", "I-PER", "O", "I-PER", "B-PER"]
    spans = [[0, 15, "PER"], [21, 25, "PER"], [26, 31, "PER"]]
    files = [
        write(
            tmp_path, f"{n}.conll", "".join(f"{w} {t}\n" for w, t in zip(words, tags, strict=True))
        )
        for n, tags in enumerate((iob2, bioes, iob1))
    ]
    by_words = json.dumps({"tokens": words, "ner_tags": iob2})
    by_spans = json.dumps({"text": " ".join(words), "spans": spans})
    files += [write(tmp_path, "c.jsonl", by_words), write(tmp_path, "d.jsonl", by_spans)]
    for path in files:
        status, output, messages = cli("--input", path, "--score")
        assert status == 0, messages
        assert output.startswith("5 words scored\n")
        assert table_numbers(output)["overall"] == ["1.0000", "1.0000", "1.0000", "3"], path
        assert output.split()[-2:] == ["accuracy", "1.0000"], path


def test_labels_of_another_task_are_told(cli, tmp_path):
    pos = write(tmp_path, "pos.conll", "Peter NNP\nsaid VBD\n")
    status, output, messages = cli("--input", pos, "--score")
    assert status == 2 and output == "" and "another task" in messages and "NNP" in messages
    other = write(tmp_path, "other.conll", "Peter B-DRUG\nsaid O\n")
    status, output, messages = cli("--input", other, "--score")
    assert status == 0 and "The model knows no DRUG." in messages
    assert table_numbers(output)["DRUG"] == ["0.0000", "0.0000", "0.0000", "1"]


# --- As a process -----------------------------------------------------------------------------


def start(*argv, **options) -> subprocess.Popen:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([sys.executable, INFER, *map(str, argv)], **options)


def test_importing_does_nothing_and_help_needs_no_model():
    code = (
        "import sys, infer\n"
        "heavy = {'torch', 'datasets', 'evaluate', 'accelerate', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.argv = ['infer.py', '--help']\n"
        "infer.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "mean, over its words, of the probability" in " ".join(done.stdout.split())


def test_a_pipe_gets_its_answer_line_by_line_and_may_close(tiny_tagger):
    """The first answer comes while the second text is not yet there."""
    process = start("--model", tiny_tagger, stdin=subprocess.PIPE)
    watchdog = threading.Timer(60, process.kill)  # else a first answer that is held back hangs
    watchdog.start()
    for text in ("Peter", "", "ünïcödé"):
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == text
    process.stdout.close()  # as `| head` does
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(b"Anna\n" * 100_000)
        process.stdin.close()
    assert process.wait(60) == 0
    watchdog.cancel()
    assert process.stderr.read() == b""


def test_ctrl_c_leaves_whole_lines(tiny_tagger, tmp_path):
    source = write(tmp_path, "big.txt", "Peter went from Paris to New York .\n" * 200_000)
    out = tmp_path / "out.jsonl"
    process = start("--model", tiny_tagger, "--input", source, "--output", out)
    for _ in range(600):
        if out.exists() and out.stat().st_size > 10_000:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr.read() == b""
    content = out.read_text()
    assert content.endswith("\n") and 0 < len(rows_of(content)) < 200_000


def test_a_signal_in_the_midst_of_a_piece_waits_for_its_end(tmp_path):
    written = []

    class Interrupted:
        def write(self, piece):
            written.append(piece[:3])
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)  # the handler runs before this is over
            written.append(piece[3:])

        def flush(self):
            pass

        close = flush

    with pytest.raises(KeyboardInterrupt), infer.Output(str(tmp_path / "out")) as output:
        output.file.close()
        output.file = Interrupted()
        output.write_all(["abcdef\n", "never\n"])
    assert written == ["abc", "def\n"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_processes_share_the_scoring(cli, tmp_path, monkeypatch):
    path = write(tmp_path, "gold.conll", "Peter B-PER\nsaid O\n\n" * 30)
    parts = []
    monkeypatch.setattr(infer, "process_count", lambda: 2)
    monkeypatch.setattr(infer, "gathered", lambda counts: parts.append(counts) or parts)
    for index in (1, 0):
        monkeypatch.setattr(infer, "process_index", lambda index=index: index)
        status, output, messages = cli("--input", path, "--score")
        assert status == 0, messages
    assert all(0 < part["words"] < 60 for part in parts)
    assert output.startswith("60 words scored\n")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal(tiny_tagger, no_color):
    """Colours and labels under the words; without colour where NO_COLOR asks for it."""
    main, terminal = pty.openpty()
    environment = os.environ | {"NO_COLOR": no_color, "TERM": "xterm"}
    process = start(
        "--model", tiny_tagger, "Peter went to 中文", stdout=terminal, env=environment
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while block := os.read(main, 4096):
            shown += block
    except OSError:  # Linux ends a terminal so
        pass
    assert process.wait(60) == 0, process.stderr.read()
    assert (b"\x1b[" in shown) == (not no_color)
    assert "中" in shown.decode() and not shown.lstrip().startswith(b"{")


def test_two_processes_write_what_one_writes(tiny_tagger, tmp_path):
    texts = [f"{n} {'said ' * (n * 37 % 23)}Peter went to Paris" for n in range(300)]
    lines = "".join(json.dumps({"id": n, "text": t}) + "\n" for n, t in enumerate(texts))
    source = write(tmp_path, "big.jsonl", lines)
    common_flags = ["--model", tiny_tagger, "--input", source, "--output"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    one = start(*common_flags, tmp_path / "one.jsonl", env=environment)
    assert one.wait(120) == 0, one.stderr.read()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", INFER]
    flags = map(str, [*common_flags, tmp_path / "two.jsonl"])
    two = subprocess.run([*torchrun, *flags], capture_output=True, text=True, env=environment)
    assert two.returncode == 0, two.stderr
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert len(rows_of((tmp_path / "one.jsonl").read_text())) == 300
    assert sorted(os.listdir(tmp_path)) == ["big.jsonl", "one.jsonl", "two.jsonl"]


@pytest.mark.exhaustive
def test_200_megabytes_in_constant_memory(tiny_tagger, tmp_path):
    """A million records, 200 MB, take no more memory than ten thousand, within 30 MB."""
    text = "Peter Blackburn went from Paris to New York , Anna said on Monday ."
    peaks = []
    for count in (10_000, 1_000_000):
        source = tmp_path / "big.jsonl"
        with open(source, "w") as file:
            for number in range(count):
                record = {"id": number, "text": text, "note": "x" * 99}
                file.write(json.dumps(record) + "\n")
        out = tmp_path / "out.jsonl"
        code = (
            "import sys, infer\n"
            f"sys.argv = ['infer.py', '--model', {str(tiny_tagger)!r}, '--input', {str(source)!r},"
            f" '--output', {str(out)!r}]\n"
            f"infer.main()\n{PRINT_PEAK}"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
        )
        peaks.append(int(done.stdout) / 1024)
        size = source.stat().st_size / 1e6
        print(f"peak memory {peaks[-1]:.0f} MB for {size:.0f} MB, {count} records")
        with open(out) as file:
            assert sum(1 for _ in file) == count
    assert peaks[1] < peaks[0] + 30
