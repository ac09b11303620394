"""Tag random inputs, whole and damaged, and load damaged and hostile models.

    python benchmarks/fuzz_tagging.py                          # for a minute
    python benchmarks/fuzz_tagging.py --seconds 3600 --seed 7 --keep failures

Each round runs in a process of its own, forked from one that has tiny models loaded. A round of
inputs writes random texts in one of the forms that `infer.py` reads, often damages the file, and
runs the script on it, from a file, a compressed file or a pipe, to one of its output formats. A
round of models damages the folder of a model and tags a few texts with it. Failures are: an
exception other than a UserError, a process that dies or takes more than 5 seconds, a whole input
that is refused, and results that are too few, too many, of other texts, or at wrong offsets.
"""

import argparse
import contextlib
import copy
import csv
import gzip
import io
import json
import os
import random
import resource
import runpy
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fuzz import damaged, with_harmless_change

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from support.errors import UserError  # noqa: E402
from tagging.tagger import Tagger  # noqa: E402
from tests.helpers.models import ENTITY_LABELS, save_tiny_tagger, save_tiny_tokenizer  # noqa: E402

SLOW = 5  # seconds of computing
HANG = 300  # seconds until a round is killed; at idle priority it may have to wait
MEMORY = 6 << 30  # bytes of address space that a round may take in addition
WORDS = (
    *("Anna", "Müller", "works", "in", "Paris", "Peter", "Blackburn", "東", "東京", "Zoë", "😀"),
    *("José", "yes", "it's", "l'Italie", "U.S.", "12.5", "Ankara'da", "สวัสดี", "مرحبا", "e\u0301"),
    *("a\u200db", "\u200f", "\u2061", "#", "O", "B-PER", "-", "...", "x" * 40, "👩\u200d👧"),
)
CHARACTERS = (
    *("\t", "\x0b", "\x0c", "\x1b", "\x1c", "\x85", "\xa0", "\u2028", "\u202e", "\x00", "\r"),
)
SENTENCES = ("Peter Blackburn went to Paris.", "", "EU rejects German call " * 40, "東京 \u200b 😀")


class Text(NamedTuple):
    """A random text, as a record of one of the forms has it."""

    text: str
    words: list[str]
    note: str


class Form(NamedTuple):
    """A form of input: its file name, a writer, the texts that a result must have, and flags."""

    name: str
    write: Callable[[list[Text]], str | bytes]
    texts: Callable[[list[Text]], list[str]]
    flags: tuple[str, ...] = ()
    any_text: bool = True  # also texts of several lines, and with control characters
    notes: bool = False  # results repeat the field `note`


class Failure(Exception):
    """A round that failed; the first argument is its kind, in capitals."""


# --- Random texts ---------------------------------------------------------------------------------


def random_text(generator: random.Random, *, any_text: bool) -> Text:
    """Return a random text; `any_text`: with line ends and control characters too."""
    count = generator.choice((0, 1, 1, 2, 3, 5, 8, 13, 200 if generator.random() < 0.05 else 3))
    words = [generator.choice(WORDS) for _ in range(count)]
    pieces = []
    for word in words:
        pieces += [word, generator.choice((" ", " ", " ", "  ", ""))]
        if any_text and generator.random() < 0.05:
            pieces.append(generator.choice((*CHARACTERS, "\n", "\r\n", '"', ",", ";", "|", "\\")))
    return Text("".join(pieces), words, generator.choice(("", "x", "é,;\t", "=1+1", "0")))


# --- Forms: text and records ----------------------------------------------------------------------


def whole_texts(texts: list[Text]) -> list[str]:
    """Return the texts as they are."""
    return [text.text for text in texts]


def joined_words(texts: list[Text]) -> list[str]:
    """Return the words joined by blanks; sentences without a word are none."""
    return [" ".join(text.words) for text in texts if text.words]


def as_lines(texts: list[Text]) -> str:
    """Write a text in each line."""
    return "".join(f"{text.text}\n" for text in texts)


def record(number: int, text: Text) -> dict[str, Any]:
    """Return a record of JSON."""
    return {"id": number, "note": text.note, "text": text.text, "more": {"a": [1, None]}}


def jsonl_of(make: Callable[[int, Text], Any]) -> Callable[[list[Text]], str]:
    """Return a writer of JSON Lines."""

    def write(texts: list[Text]) -> str:
        values = (make(number, text) for number, text in enumerate(texts))
        return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)

    return write


def json_of(make: Callable[[list[Text]], Any], indent: int | None) -> Callable[[list[Text]], str]:
    """Return a writer of one JSON value."""
    return lambda texts: json.dumps(make(texts), ensure_ascii=False, indent=indent)


def records(texts: list[Text]) -> list[dict[str, Any]]:
    """Return an array of records."""
    return [record(number, text) for number, text in enumerate(texts)]


def wrapped(texts: list[Text]) -> dict[str, Any]:
    """Return records inside an object."""
    return {"version": "1", "records": records(texts)}


def tokens(number: int, text: Text) -> dict[str, Any]:
    """Return a record of words."""
    return {"id": number, "note": text.note, "tokens": text.words}


def doccano(number: int, text: Text) -> dict[str, Any]:
    """Return a record of doccano."""
    return {"id": number, "text": text.text, "label": [[0, 1, "PER"]], "note": text.note}


def prodigy(number: int, text: Text) -> dict[str, Any]:
    """Return a record of Prodigy; every third is rejected, and tagged all the same."""
    answer = "reject" if number % 3 == 2 else "accept"
    return {"text": text.text, "spans": [], "answer": answer, "note": text.note}


def label_studio(texts: list[Text]) -> list[dict[str, Any]]:
    """Return tasks of Label Studio without annotations."""
    return [{"id": number, "data": {"text": text.text}} for number, text in enumerate(texts)]


def argilla(number: int, text: Text) -> dict[str, Any]:
    """Return a record of Argilla 2."""
    return {"id": str(number), "fields": {"text": text.text}, "responses": {}}


# --- Forms: tables and columns --------------------------------------------------------------------


def table_of(delimiter: str, text: str = "text") -> Callable[[list[Text]], str]:
    """Return a writer of CSV; `text` names the column of the texts."""

    def write(texts: list[Text]) -> str:
        file = io.StringIO()
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["ref", text, "note"])
        writer.writerows([number, item.text, item.note] for number, item in enumerate(texts))
        return file.getvalue()

    return write


def rows_of_words(texts: list[Text]) -> str:
    """Write a word in each row, with the number of its sentence."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["sentence_id", "token"])
    for number, text in enumerate(texts):
        writer.writerows([number, word] for word in text.words)
    return file.getvalue()


def arrow_of(form: str) -> Callable[[list[Text]], bytes]:
    """Return a writer of parquet or Arrow."""

    def write(texts: list[Text]) -> bytes:
        import pyarrow
        import pyarrow.parquet

        columns = {"text": [text.text for text in texts], "note": [text.note for text in texts]}
        table = pyarrow.table(columns, pyarrow.schema({name: pyarrow.string() for name in columns}))
        file = io.BytesIO()
        if form == "parquet":
            pyarrow.parquet.write_table(table, file)
        else:
            maker = pyarrow.ipc.new_file if form == "arrow" else pyarrow.ipc.new_stream
            with maker(file, table.schema) as writer:
                writer.write_table(table)
        return file.getvalue()

    return write


def columns_of(row: str) -> Callable[[list[Text]], str]:
    """Return a writer of CoNLL columns."""

    def write(texts: list[Text]) -> str:
        return "".join(
            "".join(
                row.format(word=word, tag="B-PER" if word[0].isupper() else "O", number=number)
                for number, word in enumerate(text.words, 1)
            )
            + "\n"
            for text in texts
            if text.words
        )

    return write


def conllu(texts: list[Text]) -> str:
    """Write CoNLL-U with comments."""
    row = "{number}\t{word}\t_\tX\t_\t_\t0\troot\t_\t_\n"
    sentences = columns_of(row)(texts).split("\n\n")[:-1]
    return "".join(f"# sent_id = s{number}\n{s}\n\n" for number, s in enumerate(sentences))


SHORT = Text("Anna works in Paris", ["Anna", "works", "in", "Paris"], "")
TEXT = ("--input_format", "text")
FORMS = (
    Form("a.txt", as_lines, whole_texts, TEXT, any_text=False),
    Form("a.md", as_lines, lambda texts: [as_lines(texts)], (*TEXT, "--by", "document")),
    Form("a.jsonl", jsonl_of(record), whole_texts, notes=True),
    Form("a.ndjson", jsonl_of(record), whole_texts, ("--input_format", "jsonl"), notes=True),
    Form("array.json", json_of(records, None), whole_texts, notes=True),
    Form("pretty.json", json_of(records, 2), whole_texts, notes=True),
    Form("wrapped.json", json_of(wrapped, 1), whole_texts, notes=True),
    Form("strings.json", json_of(whole_texts, None), whole_texts),
    Form("tokens.jsonl", jsonl_of(tokens), lambda texts: [" ".join(t.words) for t in texts]),
    Form("doccano.jsonl", jsonl_of(doccano), whole_texts, notes=True),
    Form("prodigy.jsonl", jsonl_of(prodigy), whole_texts, notes=True),
    Form("studio.json", json_of(label_studio, 1), whole_texts),
    Form("argilla.jsonl", jsonl_of(argilla), whole_texts),
    Form("comma.csv", table_of(","), whole_texts, notes=True),
    Form("semicolon.csv", table_of(";"), whole_texts, notes=True),
    Form("bar.csv", table_of("|"), whole_texts, notes=True),
    Form("tab.csv", table_of("\t"), whole_texts, notes=True),
    Form("named.csv", table_of(",", "body"), whole_texts, ("--text_column_name", "body")),
    Form("rows.csv", rows_of_words, joined_words),
    Form("a.parquet", arrow_of("parquet"), whole_texts, notes=True),
    Form("a.arrow", arrow_of("arrow"), whole_texts, notes=True),
    Form("stream.arrow", arrow_of("stream"), whole_texts, notes=True),
    Form("a.conll", columns_of("{word}\t{tag}\n"), joined_words),
    Form("blank.conll", columns_of("{word} NN {tag}\n"), joined_words),
    Form("first.bio", columns_of("{tag}\t{word}\n"), joined_words),
    Form("a.conllu", conllu, joined_words),
)
FORMATS = (
    *("jsonl", "jsonl", "jsonl", "json", "csv", "parquet", "conll", "conllu", "doccano"),
    *("label_studio", "html", "pretty"),
)
BINARY = ("parquet", "arrow")


# --- A round of inputs ----------------------------------------------------------------------------


def round_of_inputs(generator: random.Random, folder: Path, taggers: list[Tagger]) -> str:
    """Run `infer.py` on a random input; return the outcome, or raise Failure."""
    form = generator.choice(FORMS)
    count = generator.choice((1, 2, 3, 10, 40))
    # The first text shows what the file is.
    texts = [SHORT] + [random_text(generator, any_text=form.any_text) for _ in range(count)]
    content = form.write(texts)
    whole = generator.random() < 0.4
    data = content if isinstance(content, bytes) else _encoded(content, form, generator)
    data = data if whole else damaged(data, generator)
    (folder / form.name).write_bytes(data)  # kept, if the round fails
    output_format = generator.choice(FORMATS)
    flags = [*form.flags, "--output_format", output_format, "--model", "tiny"]
    skips = not whole and generator.random() < 0.5
    flags += ["--skip_errors"] * skips
    if output_format in ("jsonl", "json", "csv", "html") and generator.random() < 0.3:
        flags += ["--all_words"]
    path = _delivered(data, form, folder, generator)
    if output_format == "parquet" or generator.random() < 0.5:
        flags += ["--output", str(folder / "out")]
    status, messages, output = _run(["--input", path, *flags], folder, taggers)
    if status == "refused":
        if whole:
            raise Failure("REFUSED", f"{flags}: {messages}")
        return "damaged, refused"
    found = list(_results(output_format, output))
    if whole:
        _compare(found, form, texts, output_format, flags)
        return "whole, as expected"
    expected = _number_of_texts(form, data)
    skipped = [line for line in messages.splitlines() if line.startswith("Skipped ")]
    lost = int(skipped[0].split()[1].replace(",", "")) if skipped else 0
    if expected is not None and len(found) + lost != expected and output_format in EXACT:
        raise Failure(
            "LOST", f"{flags}: {expected} texts, {len(found)} results, {lost} skipped: {messages}"
        )
    return "damaged, tagged"


EXACT = ("jsonl", "json", "csv", "parquet", "doccano", "label_studio", "conll", "conllu")


def _encoded(content: str, form: Form, generator: random.Random) -> bytes:
    if form.any_text or "\r" in content:  # line ends may be part of a text
        return content.encode("utf-8", "surrogatepass")
    return with_harmless_change(content, generator)


def _delivered(data: bytes, form: Form, folder: Path, generator: random.Random) -> str:
    """Return the path of the input: a file, a compressed one, a named pipe or standard input."""
    kind = generator.choice(("file", "file", "gzip", "fifo", "stdin"))
    path = folder / form.name
    if kind == "gzip" and Path(form.name).suffix.removeprefix(".") not in BINARY:
        path = folder / f"{form.name}.gz"
        path.write_bytes(gzip.compress(data))
    elif kind == "fifo":
        path = folder / f"pipe-{form.name}"
        os.mkfifo(path)
        threading.Thread(target=_send, args=(path, data, generator), daemon=True).start()
    elif kind == "stdin" and path.suffix in (".jsonl", ".txt", ".md"):  # no extension says the form
        reader, writer = os.pipe()
        os.dup2(reader, 0)
        os.close(reader)
        threading.Thread(target=_send, args=(writer, data, generator), daemon=True).start()
        return "-"
    return str(path)


def _send(target: Path | int, data: bytes, generator: random.Random) -> None:
    """Write into a pipe in pieces, with pauses."""
    pauses = random.Random(generator.random())
    with contextlib.suppress(BrokenPipeError), open(target, "wb", buffering=0) as pipe:
        while data:
            size = pauses.choice((1, 7, 100, 5000))
            pipe.write(data[:size])
            data = data[size:]
            if pauses.random() < 0.02:
                time.sleep(0.002)


def _run(flags: list[str], folder: Path, taggers: list[Tagger]) -> tuple[str, str, bytes]:
    """Run `infer.py` in this process: "done" or "refused", its messages, its output."""
    script = runpy.run_path(str(ROOT / "infer.py"))
    script["main"].__globals__["Tagger"] = lambda *args, **kwargs: taggers[0]
    sys.argv = ["infer.py", *flags]
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_RDWR), number)
    status = "done"
    try:
        script["main"]()
    except UserError as error:
        status = "refused"
        print(error, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    messages = (folder / "stderr").read_text(errors="replace")
    output = folder / ("out" if "--output" in flags else "stdout")
    return status, messages, output.read_bytes() if output.exists() else b""


# --- Results --------------------------------------------------------------------------------------


def _results(output_format: str, output: bytes) -> Iterator[dict[str, Any]]:
    """Yield the results in an output; check their offsets. Others than `EXACT` have none."""
    if output_format == "parquet":
        import pyarrow.parquet

        yield from _of_rows(pyarrow.parquet.read_table(io.BytesIO(output)).to_pylist())
        return
    text = output.decode()
    if output_format in ("jsonl", "doccano"):
        results = [json.loads(line) for line in text.split("\n")[:-1]]
    elif output_format in ("json", "label_studio"):
        results = json.loads(text)
    elif output_format == "csv":
        csv.field_size_limit(1 << 30)
        yield from _of_rows(list(csv.DictReader(io.StringIO(text, newline=""), strict=True)))
        return
    elif output_format in ("conll", "conllu"):
        yield from ({} for line in text.split("\n")[:-1] if not line)
        return
    else:
        return
    for result in results:
        whole = result["data"]["text"] if output_format == "label_studio" else result["text"]
        for span in [*result.get("entities", ()), *result.get("words", ())]:
            _check_span(whole, span["start"], span["end"], span["word"])
        for start, end, _ in result.get("label", ()) if output_format == "doccano" else ():
            _check_span(whole, start, end, None)
        yield {"text": whole, "note": result.get("note")}


def _of_rows(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a result for each text of a table of entities."""
    before = 0
    for row in rows:
        number = int(row["text_number"])
        for word, start, end in (
            ("entity", "entity_start", "entity_end"),
            ("word", "word_start", "word_end"),
        ):
            if row.get(start) not in (None, ""):
                _check_span(row["text"], int(row[start]), int(row[end]), row[word])
        if number != before:
            if number != before + 1:
                raise Failure("LOST", f"text {number} follows text {before}")
            yield {"text": row["text"], "note": row.get("note")}
        before = number


def _check_span(text: str, start: int, end: int, word: str | None) -> None:
    # A word that came with the text may be empty.
    inside = 0 <= start <= end <= len(text) and (start < end or word == "")
    if not inside or (word is not None and text[start:end] != word):
        raise Failure("OFFSETS", f"{text[:200]!r} [{start}:{end}] is not {word!r}")


def _compare(
    found: list[dict[str, Any]],
    form: Form,
    texts: list[Text],
    output_format: str,
    flags: list[str],
) -> None:
    """Raise Failure unless the results are those of the texts of a whole input."""
    expected = form.texts(texts)
    if output_format not in EXACT:
        return
    if len(found) != len(expected):
        raise Failure("LOST", f"{flags}: {len(expected)} texts, {len(found)} results")
    if output_format in ("conll", "conllu"):
        return
    for number, (result, text) in enumerate(zip(found, expected, strict=True)):
        if result["text"] != text:
            raise Failure("CHANGED", f"{flags}: {text!r} became {result['text']!r}")
        note = texts[number].note if form.notes else None
        if note and output_format in ("jsonl", "json", "csv", "parquet") and result["note"] != note:
            raise Failure("CHANGED", f"{flags}: note {note!r} became {result['note']!r}")


def _number_of_texts(form: Form, data: bytes) -> int | None:
    """Return the number of texts of a damaged input, as a naive reader counts; None: unknown."""
    lines = data.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    if form.name == "a.txt":
        return len(lines)
    if form.name == "a.ndjson":
        return sum(1 for line in lines if line.decode("utf-8-sig", "replace").strip())
    return None


# --- A round of models ----------------------------------------------------------------------------

VALUES = (
    *(None, True, False, -1, 0, 1, 3, 7, 10**6, 10**10, 10**30, 0.5, -1.5, 1e308, float("nan")),
    *("", "x", "../../x", "gelu", "viterbi", [], {}, [1], [[]], {"a": 1}, ["a"] * 100, "\ud800"),
)
ADDED = {
    "auto_map": ({"AutoModelForTokenClassification": "code.Model"}, {"AutoConfig": "a/b--c.D"}),
    "quantization_config": ({"quant_method": "bitsandbytes"}, {"quant_method": "x"}, {}),
    "attn_implementation": ("evil/kernel", "flash_attention_2", "eager", 5),
    "dtype": ("float64", "bfloat16", "x", 5),
    "pruned_heads": ({"0": [1]}, {"a": "b"}),
    "is_decoder": (True, "x"),
    "return_dict": (False, "x"),
    "torchscript": (True,),
    "output_attentions": (True,),
    "chunk_size_feed_forward": (1, -1, "x"),
    "tie_word_embeddings": (False, "x"),
    "use_cache": (True, []),
    "num_labels": (0, 1, 10**9, "x"),
    "architectures": ([], ["BertModel"], ["os.system"], ["XForTokenClassification"], "x"),
    "model_type": ("bert", "gpt2", "t5", "xlnet", "deberta-v2", "layoutlm", "x", "../x", 5),
    "tokenizer_class": ("BertTokenizer", "GPT2Tokenizer", "os.system", "x", 5),
    "added_tokens_decoder": ({"0": 5}, {"x": {"content": "a"}}, []),
    "model_max_length": (0, 1, 2, 5, -1, 1e30, "x"),
    "truncation": ({"max_length": 1, "strategy": "LongestFirst", "stride": 0}, 5),
    "padding": ({"strategy": {"Fixed": 10**9}}, 5),
}


def round_of_models(generator: random.Random, folder: Path, models: list[Path]) -> str:
    """Load a damaged model and tag with it; return the outcome, or raise Failure."""
    source = generator.choice(models)
    model = folder / "model"
    shutil.copytree(source, model)
    changes = [_damage_model(model, generator) for _ in range(generator.choice((1, 1, 1, 2)))]
    sys.stdin.close()  # a question to the user must fail
    try:
        tagger = Tagger(model, dtype=generator.choice(("fp32", "fp32", "fp32", "bf16")))
        results = tagger(SENTENCES, all_words=True)
        tagged = tagger.tag_words([["Anna", "", "\u200b"], [], ["x" * 1000]])
    except UserError:
        return "model, refused"
    except BaseException as error:
        raise Failure("TRACEBACK", f"{source.name}: {changes}\n{traceback.format_exc()}") from error
    if [result["text"] for result in results] != list(SENTENCES):
        raise Failure("LOST", f"{source.name}: {changes}")
    if [len(tags) for tags, _ in tagged] != [3, 0, 1]:
        raise Failure("LOST", f"{source.name}: {changes}")
    for result in results:
        for span in [*result.get("entities", ()), *result["words"]]:
            _check_span(result["text"], span["start"], span["end"], span["word"])
            if not 0 <= span["score"] <= 1 + 1e-6:
                raise Failure("SCORE", f"{source.name}: {changes}: {span}")
    return "model, tags"


def _damage_model(model: Path, generator: random.Random) -> str:
    """Damage a file of a model; return what was done."""
    path = generator.choice(sorted(path for path in model.iterdir() if path.is_file()))
    kind = generator.choice(("bytes", "values", "values", "values", "weights", "special"))
    if kind == "values" and path.suffix == ".json":
        change = _damage_json(path, generator)
    elif kind == "weights":
        path = model / "model.safetensors"
        change = _damage_weights(path, generator) if path.is_file() else "none"
    elif kind == "special":
        change = _replace(path, generator)
    else:
        path.write_bytes(damaged(path.read_bytes(), generator))
        change = "bytes"
    return f"{path.name}: {change}"


def _damage_json(path: Path, generator: random.Random) -> str:
    """Change, remove or add values in a JSON file."""
    try:
        root = json.loads(path.read_text())
    except ValueError:  # damaged before
        return "none"
    changes = []
    for _ in range(generator.choice((1, 1, 2, 3))):
        holder, key = _place_in(root, generator)
        value = copy.deepcopy(generator.choice(VALUES))
        if key is None or (isinstance(root, dict) and generator.random() < 0.3):
            key = generator.choice(sorted(ADDED))
            holder, value = root, copy.deepcopy(generator.choice(ADDED[key]))
        if isinstance(holder, dict | list) and generator.random() < 0.15 and len(holder):
            key = key if isinstance(holder, list) or key in holder else next(iter(holder))
            del holder[key]
            changes.append(f"{key} removed")
        elif isinstance(holder, dict | list):
            holder[key] = value
            changes.append(f"{key}: {value!r:.80}")
    path.write_text(json.dumps(root))
    return ", ".join(changes)


def _place_in(value: Any, generator: random.Random) -> tuple[Any, Any]:
    """Return a random container inside a JSON value, and a key of it."""
    holder, key = value, None
    while isinstance(value, dict | list) and value:
        holder = value
        key = generator.choice(list(value)) if isinstance(value, dict) else None
        key = generator.randrange(len(value)) if key is None and isinstance(value, list) else key
        value = value[key]
        if generator.random() < 0.5:
            break
    return holder, key


def _damage_weights(path: Path, generator: random.Random) -> str:
    """Change a tensor, or the header, of a file of weights."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load, save

    kind = generator.choice(("nan", "huge", "shape", "type", "missing", "more", "header"))
    data = path.read_bytes()
    try:
        tensors = load(data)
        name = generator.choice(sorted(tensors))
    except (SafetensorError, ValueError, IndexError):  # damaged before
        return "none"
    if kind == "header":
        size = int.from_bytes(data[:8], "little")
        header = damaged(data[8 : 8 + size], generator)
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
        return kind
    values = tensors[name].copy()
    if kind == "nan":
        values.flat[generator.randrange(values.size)] = np.nan
    elif kind == "huge":
        values *= 1e30
    elif kind == "shape":
        values = values.reshape(-1)[: values.size // 2 + 1]
    elif kind == "type":
        values = values.astype(generator.choice((np.int8, np.float16, np.float64, np.bool_)))
    tensors[name] = values
    if kind == "missing":
        del tensors[name]
    elif kind == "more":
        tensors[f"{name}.more"] = values
    path.write_bytes(save(tensors, {"format": "pt"}))
    return f"{kind} {name}"


def _replace(path: Path, generator: random.Random) -> str:
    """Put something else in the place of a file."""
    kind = generator.choice(
        ("missing", "empty", "folder", "fifo", "loop", "zero", "pickle", "pointer", "elsewhere")
    )
    content = path.read_bytes()
    path.unlink()
    if kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "pickle":
        (path.parent / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    elif kind == "pointer":
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    elif kind == "elsewhere":
        target = path.parent.parent / "elsewhere"
        target.write_bytes(content)
        path.symlink_to(target)
    return kind


# --- Rounds in processes of their own -------------------------------------------------------------


def save_distilbert(folder: Path) -> Path:
    """Save a tiny model that transformers loads."""
    from transformers import DistilBertConfig, DistilBertForTokenClassification

    labels = dict(enumerate(ENTITY_LABELS))
    sizes = {
        "dim": 32,
        "n_layers": 1,
        "n_heads": 2,
        "hidden_dim": 64,
        "max_position_embeddings": 64,
    }
    config = DistilBertConfig(
        **sizes,
        vocab_size=300,
        id2label=labels,
        label2id={name: i for i, name in labels.items()},
    )
    DistilBertForTokenClassification(config).save_pretrained(folder)
    save_tiny_tokenizer(folder)
    return folder


def one_round(seed: int, folder: Path, play: Callable[[random.Random, Path], str]) -> list[str]:
    """Return the outcome of a round, and its detail; the round runs in a process of its own."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        outcome = _play(seed, folder, play)
        with open(writer, "w") as pipe:
            json.dump(outcome, pipe)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        if select.select([pipe], [], [], HANG)[0]:
            answer = pipe.read()
        else:
            os.kill(process, signal.SIGKILL)
            answer = b'["HANG", ""]'
    _, status = os.waitpid(process, 0)
    return json.loads(answer) if answer else ["DIED", f"status {status}"]


def _play(seed: int, folder: Path, play: Callable[[random.Random, Path], str]) -> list[str]:
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    started = time.process_time()
    try:
        outcome = [play(random.Random(seed), folder), ""]
    except Failure as failure:
        outcome = [failure.args[0], str(failure.args[1])]
    except BaseException:  # any is a failure, and is reported
        outcome = ["TRACEBACK", traceback.format_exc()]
    took = time.process_time() - started
    return ["SLOW", f"{took:.1f} s: {outcome}"] if took > SLOW else outcome


def main() -> None:
    """Read the command line, and run until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, help="number of rounds, however long they take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["inputs", "models"])
    parser.add_argument("--keep", type=Path, help="folder for the files of failures")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        os.environ |= {"HF_HOME": name, "HF_HUB_OFFLINE": "1"}
        models = [
            save_tiny_tagger(base / "bert", ENTITY_LABELS),
            save_tiny_tagger(base / "pos", ["DET", "NOUN", "PUNCT", "VERB"], "pos", seed=1),
            save_distilbert(base / "distilbert"),
        ]
        # The second is loaded so that no round has to import what transformers imports for it.
        taggers = [Tagger(models[0]), Tagger(models[2])]
        plays: dict[str, Callable[[random.Random, Path], str]] = {
            "inputs": lambda generator, folder: round_of_inputs(generator, folder, taggers),
            "models": lambda generator, folder: round_of_models(generator, folder, models),
        }
        end, seed = time.monotonic() + options.seconds, options.seed
        while counts["rounds"] < options.rounds if options.rounds else time.monotonic() < end:
            kind = options.only or ("inputs", "models")[seed % 2]
            folder = base / "round"
            folder.mkdir()
            outcome, detail = one_round(seed, folder, plays[kind])
            counts["rounds"] += 1
            counts[outcome] += 1
            if outcome.isupper():
                print(f"{outcome} seed {seed} {kind}: {detail}", flush=True)
                if options.keep:
                    shutil.copytree(
                        folder, options.keep / f"{seed}", symlinks=True, ignore=_special_files
                    )
            shutil.rmtree(folder)
            seed += 1
    print(dict(sorted(counts.items())))
    sys.exit(any(key.isupper() for key in counts))


def _special_files(folder: str, names: list[str]) -> list[str]:
    paths = [Path(folder) / name for name in names]
    return [path.name for path in paths if not (path.is_file() or path.is_dir())]


if __name__ == "__main__":
    main()
