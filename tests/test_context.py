"""Context: windows show sub-words of neighbouring sentences of the same document.

It never crosses a document and never owns a word, in training, evaluation and tagging.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

import common
from encoder.batches import encode_split
from tagging.tagger import Tagger
from tests.helpers.checkpoints import MICRO_BATCH
from tests.helpers.messages import stable
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    error_message,
    interrupt,
    run,
    weights,
    write_corpus,
)
from tests.helpers.sub_words import labelled, letters_tokenizer, rows_of
from tests.helpers.tagging import rows_of as records_of

# --- Windows --------------------------------------------------------------------------------

TOKENIZERS = {True: letters_tokenizer(), False: letters_tokenizer(specials=False)}
some_documents = st.lists(  # documents of sentences of words, each as its number of sub-words
    st.lists(st.lists(st.integers(0, 4), max_size=8), min_size=1, max_size=6),
    min_size=1,
    max_size=5,
)


def sentences_of(documents: list) -> tuple[list[list[str]], list[int]]:
    """Return the sentences of documents, and the document of each.

    The words of a document begin with a letter that no other document has.
    """
    sentences, numbers = [], []
    for number, document in enumerate(documents):
        first = chr(ord("m") + number)
        for sentence in document:
            sentences.append([(first + "abc")[:count] for count in sentence])
            numbers.append(number)
    return sentences, numbers


def encoded(sentences, tokenizer, limit, context=None) -> list[dict]:
    """Return the windows of evaluation."""
    starts = np.cumsum([0, *map(len, sentences)])[: len(sentences)]
    examples = {"tokens": sentences}
    columns = common.tokenize_and_align_labels(examples, tokenizer, limit, None, starts, context)
    return rows_of(columns) if columns["length"] else []


@given(some_documents, st.integers(1, 12), st.integers(5, 30), st.booleans())
@settings(deadline=None)
def test_context_never_crosses_a_document_and_never_owns_a_word(documents, size, limit, specials):
    tokenizer = TOKENIZERS[specials]
    sentences, numbers = sentences_of(documents)
    alone = encoded(sentences, tokenizer, limit)
    windows = encoded(sentences, tokenizer, limit, common.Context(size, numbers))
    assert len(windows) == len(alone)
    sentence_of_word = np.repeat(np.arange(len(sentences)), [len(words) for words in sentences])
    text_of = {}  # the sub-words of each document, and where each of its sentences lies
    for number in set(numbers):
        text, places = [], {}
        for sentence in (i for i, other in enumerate(numbers) if other == number):
            ids = tokenizer(sentences[sentence], is_split_into_words=True, add_special_tokens=False)
            places[sentence] = (len(text), len(text) + len(ids["input_ids"]))
            text += ids["input_ids"]
        text_of[number] = text, places
    for window, without in zip(windows, alone, strict=True):
        left, start, end, right = window["context"]
        ids = window["input_ids"]
        assert ids[:left] + ids[start:end] + ids[right:] == without["input_ids"]
        assert len(ids) == window["length"] <= limit and len(ids) == len(window["word_index"])
        assert (left, right) == (specials, len(ids) - specials)
        for name in ("labels", "word_index"):  # context owns nothing
            assert set(window[name][left:start] + window[name][end:right]) <= {-100}
        assert labelled([window["word_index"]]) == labelled([without["word_index"]])
        words = labelled([window["word_index"]])
        (sentence,) = {int(sentence_of_word[word]) for word in words}
        text, places = text_of[numbers[sentence]]
        first, last = places[sentence]
        whole = window["length"] - (start - left) - (right - end) == last - first + 2 * specials
        if start > left:  # exactly the sub-words before the sentence, none of another document
            assert text[first - (start - left) : first] == ids[left:start]
        if right > end:
            assert text[last : last + right - end] == ids[end:right]
        wanted = [min(size, first), min(size, len(text) - last)]
        shown = [start - left, right - end]
        assert all(got <= most for got, most in zip(shown, wanted, strict=True))
        if whole and shown != wanted:  # the window is full, and both sides have a fair share
            assert len(ids) == limit
            short = [got for got, most in zip(shown, wanted, strict=True) if got < most]
            assert max(shown) - min(short) <= 1


def test_context_by_hand():
    tokenizer = TOKENIZERS[True]
    sentences = [["ab"], ["c", "d"], ["efg"], ["h"]]

    def texts(limit: int, size: int, documents: list) -> list[str]:
        windows = encoded(sentences, tokenizer, limit, common.Context(size, documents))
        tokens = (tokenizer.convert_ids_to_tokens(window["input_ids"]) for window in windows)
        return ["".join(row).replace("##", "").strip("[CLSEP]") for row in tokens]

    assert texts(12, 2, [1, 1, 1, 1]) == ["abcd", "abcdef", "cdefgh", "fgh"]
    assert texts(12, 2, [1, 1, 2, 2]) == ["abcd", "abcd", "efgh", "fgh"]
    assert texts(12, 2, [1, 2, 1, 1]) == ["ab", "cd", "efgh", "fgh"]
    assert texts(12, 2, [None] * 4) == ["ab", "cd", "efg", "h"]
    assert texts(7, 3, [1, 1, 1, 1]) == ["abcde", "bcdef", "defgh", "efgh"]
    # The sentence in the middle has two windows, of which the first has no room.
    sentences = [["ab"], ["c", "d", "e", "f"], ["gh"]]
    assert texts(5, 3, [1, 1, 1]) == ["abc", "cde", "fgh", "fgh"]


def test_context_reaches_beyond_the_batches_of_a_split():
    """More than the 1000 sentences that `map` takes at a time; some words have no sub-word."""
    random = np.random.default_rng(0)
    sentences = [
        ["a" * n for n in random.integers(0, 3, random.integers(0, 4))] for _ in range(2500)
    ]
    numbers = np.repeat(np.arange(4), [700, 1, 1790, 9])
    split = Dataset.from_dict({"tokens": sentences})
    windows = encode_split(
        split, TOKENIZERS[True], 40, None, True, "context-1", context=16, documents=numbers
    )
    expected = encoded(sentences, TOKENIZERS[True], 40, common.Context(16, numbers))
    assert windows.lengths.tolist() == [row["length"] for row in expected]
    for row, window in zip(expected, windows.__getitems__([*range(len(windows))]), strict=True):
        assert window == {name: row[name] for name in window}
        assert "context" not in window


def test_windows_can_be_had_without_their_context():
    sentences, numbers = sentences_of([[[1, 2], [3], [4, 4, 4, 4]], [[1], [], [2]]])
    labels = [[1] * len(words) for words in sentences]
    split = Dataset.from_dict({"tokens": sentences, "labels": labels})
    tokenizer = TOKENIZERS[True]
    alone = encode_split(split, tokenizer, 10, None, False, "alone-1")
    windows = encode_split(
        split, tokenizer, 10, None, False, "context-2", context=5, documents=np.array(numbers)
    )
    size = len(windows)
    assert size == len(alone) and (windows.lengths > alone.lengths).any()
    assert windows.lengths_alone.tolist() == alone.lengths.tolist()
    assert (alone.lengths_alone == alone.lengths).all()
    order = [*range(2 * (size + 1), 3 * (size + 1) - 1)]
    assert windows.__getitems__(order) == alone.__getitems__([*range(size)])
    filler = windows[size + 1 + 2]
    assert filler["input_ids"] == windows[2]["input_ids"] and set(filler["labels"]) == {-100}


# --- Scripts --------------------------------------------------------------------------------

LENGTH = ["--max_seq_length", 48]
SETTINGS = ["--mixed_precision", "no", *LENGTH, "--learning_rate", 1e-2]
CONTEXT = ["--context", 12]
RESULTS = ("eval_results.json", "predict_results.json", "predictions.jsonl")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list:
    """Three files with a document of every seven sentences."""
    flags = write_corpus(tmp_path_factory.mktemp("corpus"))
    for path in (flag for flag in flags if isinstance(flag, Path)):
        sentences = path.read_text().strip().split("\n\n")
        documents = ["\n\n".join(sentences[i : i + 7]) for i in range(0, len(sentences), 7)]
        path.write_text("".join(f"-DOCSTART- O\n\n{text}\n\n" for text in documents))
    return flags


@pytest.fixture(scope="module", params=BOTH)
def trained(request, tiny_encoder, corpus, tmp_path_factory) -> tuple[str, list, Path]:
    """Script, flags and folder of a run of two epochs with context."""
    folder = tmp_path_factory.mktemp("trained")
    flags = ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS, "--num_train_epochs", 2]
    output = run(request.param, [*flags, *CONTEXT, "--output_dir", "out"], folder)
    assert "12 sub-words on each side (train: 7 documents; validation: 4 documents;" in " ".join(
        output.split()
    )
    return request.param, flags, folder / "out"


@pytest.fixture(scope="module")
def model(trained) -> Path:
    return trained[2]


def test_context_is_stored_and_changes_the_weights(trained, tmp_path):
    script, flags, out = trained
    assert json.loads((out / "config.json").read_text())["context"] == 12
    assert json.loads((out / "run.json").read_text())["arguments"]["context"] == 12
    run(script, [*flags, "--output_dir", "out"], tmp_path)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["context"] == 0
    assert weights(tmp_path / "out") != weights(out)


def test_both_scripts_end_with_the_same_weights(tiny_encoder, corpus, tmp_path):
    flags = ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS, *CONTEXT, "--max_steps", 9]
    for script in BOTH:
        run(script, [*flags, "--do_train", "--output_dir", "out"], tmp_path / script)
    by_loop, by_trainer = (weights(tmp_path / script / "out") for script in BOTH)
    assert by_loop == by_trainer


@pytest.mark.parametrize("script", BOTH)
def test_a_resumed_run_drops_the_same_context(script, tiny_encoder, corpus, tmp_path):
    flags = ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS, *CONTEXT, "--do_train"]
    flags += ["--max_steps", 9, "--checkpointing_steps", 4, "--output_dir", "out"]
    run(script, flags, tmp_path / "straight")
    stop = partial(interrupt, MICRO_BATCH, 6, RuntimeError("stopped"))
    run(script, flags, tmp_path / "stopped", status=1, before=stop)
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path / "stopped")
    straight, resumed = (weights(tmp_path / name / "out") for name in ("straight", "stopped"))
    assert resumed == straight
    other = [*flags, "--context", 11, "--resume_from_checkpoint"]
    assert "  context" in error_message(run(script, other, tmp_path / "stopped", status=2))


def evaluate(script, model, corpus, folder: Path, processes: int, *flags) -> tuple[dict, str]:
    """Evaluate a model; return its result files by name, and what is printed."""
    flags = ["--model_name_or_path", model, *corpus, *LENGTH, "--do_eval", "--do_predict", *flags]
    output = run(script, [*flags, "--output_dir", "scores"], folder, processes)
    return {name: (folder / "scores" / name).read_bytes() for name in RESULTS}, output


def table_of(output: str, split: str) -> list[str]:
    """Return the score table of a split in the output of a training script, line by line."""
    lines = output[output.index(f"\n{split}: ") :].strip().splitlines()
    end = next(n for n, line in enumerate(lines) if line.startswith("accuracy"))
    return [line.rstrip() for line in lines[1 : end + 1]]


@pytest.mark.parametrize(
    "numbers", [(1, 3), pytest.param((2,), marks=pytest.mark.exhaustive)], ids=str
)
def test_evaluation_and_scores_of_infer_are_the_same_on_any_number_of_processes(
    trained, corpus, tmp_path, numbers
):
    script, _, model = trained
    expected, output = evaluate(LOOP, model, corpus, tmp_path / "1", 1)
    assert "Context: 12 sub-words on each side (test: 5 documents)." in output
    for processes in numbers:
        files, _ = evaluate(script, model, corpus, tmp_path / f"n{processes}", processes)
        assert files == expected
        flags = ["--model", model, "--input", corpus[-1], "--score"]
        scored = run("infer.py", flags, tmp_path / f"s{processes}", processes)
        table = table_of(output, "test")
        assert [line.rstrip() for line in scored.strip().splitlines()[1:]][: len(table)] == table
    alone, _ = evaluate(LOOP, model, corpus, tmp_path / "alone", 1, "--context", 0)
    assert alone["predictions.jsonl"] != expected["predictions.jsonl"]


def tags_of(path: Path) -> list[list[str]]:
    """Return the predicted tags of each sentence of predictions in columns."""
    blocks = path.read_text().strip("\n").split("\n\n")
    return [[line.split()[-1] for line in block.split("\n")] for block in blocks]


def test_files_of_several_are_documents(model, corpus, tmp_path):
    """As in LitBank: a file without a boundary of its own; one file alone is no document."""
    documents = corpus[-1].read_text().split("-DOCSTART- O\n\n")[1:]
    files = []
    for number, text in enumerate(documents):
        files.append(tmp_path / f"{number}.conll")
        files[-1].write_text(text)
    for name, flags in (("marked", corpus[-2:]), ("files", ["--test_file", *files])):
        flags = ["--model_name_or_path", model, *flags, *LENGTH, "--do_predict"]
        flags += ["--output_dir", name]
        run(LOOP, flags, tmp_path)
    predictions = [tmp_path / name / "predictions.txt" for name in ("marked", "files")]
    assert predictions[0].read_bytes() == predictions[1].read_bytes()
    flags = ["--model", model, "--output_format", "conll", "--output"]
    run("infer.py", [*flags, "files.txt", "--input", *files], tmp_path)
    run("infer.py", [*flags, "one.txt", "--input", files[0]], tmp_path)
    assert tags_of(tmp_path / "files.txt") == tags_of(predictions[0])
    output = run(
        LOOP,
        [
            "--model_name_or_path",
            model,
            "--test_file",
            files[0],
            "--do_predict",
            "--output_dir",
            "one",
        ],
        tmp_path,
    )
    assert "test: each sentence alone, because it has no documents" in " ".join(output.split())
    assert tags_of(tmp_path / "one.txt") == tags_of(tmp_path / "one" / "predictions.txt")


@pytest.mark.parametrize("script", BOTH)
def test_context_without_documents_is_refused(script, tiny_encoder, snapshot, tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    flags = ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS, *CONTEXT]
    output = run(script, [*flags, "--output_dir", "out"], tmp_path, status=2)
    assert stable(error_message(output), tmp_path) == snapshot
    assert not (tmp_path / "out").exists()


# --- Tagging --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sentences(corpus) -> list[tuple[int, list[str]]]:
    """Document and words of the sentences of the training file, which need several chunks."""
    rows = []
    for number, text in enumerate(corpus[1].read_text().split("-DOCSTART- O\n\n")[1:]):
        blocks = text.strip().split("\n\n")
        rows += [(number, [line.split()[0] for line in block.split("\n")]) for block in blocks]
    return rows


def close(tagged: list, others: list) -> bool:
    """Return whether sentences have the same tags, with probabilities that are nearly the same."""
    return all(
        tags == expected_tags and scores == pytest.approx(expected, abs=1e-5)
        for (tags, scores), (expected_tags, expected) in zip(tagged, others, strict=True)
    )


def test_tagger_takes_documents(model, sentences):
    tagger = Tagger(model)
    documents, words = zip(*sentences, strict=True)
    alone = tagger.tag_words(list(words))
    together = tagger.tag_words(list(words), documents=documents)
    assert not close(together, alone)
    for number in set(documents):  # a document is tagged as it is tagged among others
        mine = [i for i, document in enumerate(documents) if document == number]
        tagged = tagger.tag_words([words[i] for i in mine], documents=["x"] * len(mine))
        assert close(tagged, [together[i] for i in mine])
    for documents in ([None] * len(words), range(len(words))):
        assert close(tagger.tag_words(list(words), documents=documents), alone)
    with pytest.raises(ValueError, match="documents: got 1, expected 2"):
        tagger.tag_words([["a"], ["b"]], documents=[1])


def test_records_and_columns_of_a_document_are_tagged_alike(model, sentences, corpus, tmp_path):
    """Documents go on beyond the chunks, of which the first has 8 texts."""
    documents, words = zip(*sentences, strict=True)
    tagger = Tagger(model)
    alone = tagger.tag_words(list(words))
    together = tagger.tag_words(list(words), documents=documents)
    names = {
        "tokens": [{"tokens": w, "doc_id": d} for d, w in sentences],
        "texts": [{"article_id": d, "text": " ".join(w)} for d, w in sentences],
        "alone": [{"text": " ".join(w)} for w in words],
    }
    files = {corpus[1]: together}
    for name, records in names.items():
        files[tmp_path / f"{name}.jsonl"] = alone if name == "alone" else together
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    for file, expected in files.items():
        for processes in (1, 2):
            flags = ["--model", model, "--input", file, "--all_words", "--output", "tagged.jsonl"]
            run("infer.py", flags, tmp_path, processes)
            records = records_of((tmp_path / "tagged.jsonl").read_text())
            tagged = [
                ([w["tag"] for w in record["words"]], [w["score"] for w in record["words"]])
                for record in records
            ]
            assert len(tagged) == len(expected)
            for (tags, scores), (expected_tags, rounded) in zip(tagged, expected, strict=True):
                assert tags == expected_tags
                assert scores == pytest.approx(rounded, abs=1e-4)
    assert not close(together, alone)


def test_a_model_without_context_ignores_documents(model, sentences, tmp_path):
    """A model trained before has no `context` in its configuration."""
    documents, words = zip(*sentences, strict=True)
    folder = copy_of(model, tmp_path / "earlier", "context")
    tagger = Tagger(folder)
    assert tagger.context == 0
    assert tagger.tag_words(list(words), documents=documents) == tagger.tag_words(list(words))
    with pytest.raises(ValueError, match="documents"):
        tagger.tag_words([["a"], ["b"]], documents=[1])


def copy_of(model: Path, folder: Path, without: str) -> Path:
    """Copy a model; leave a value out of its configuration."""
    folder.mkdir()
    for file in model.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    del config[without]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_pipe_is_answered_without_the_next_sentence(model, tmp_path):
    """The last sentence read has no context on its right, rather than waiting for it."""
    import subprocess
    import sys

    from tests.helpers.script_runs import ROOT

    process = subprocess.Popen(
        [sys.executable, ROOT / "infer.py", "--model", model, "--input_format", "conll"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdin.write(b"-DOCSTART- O\n\nPeter O\nsaid O\n\nParis O\n\n")
    process.stdin.flush()
    first = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [row["text"] for row in first] == ["Peter said", "Paris"]
    output, _ = process.communicate(b"Anna O\n\n", timeout=60)
    assert [row["text"] for row in records_of(output.decode())] == ["Anna"]
