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
import csv
import gzip
import io
import json
import os
import random
import runpy
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fuzz import damaged, with_harmless_change  # noqa: E402
from fuzz_forms import FORMS, SHORT, Form, Text, random_text  # noqa: E402
from fuzz_models import round_of_models  # noqa: E402
from fuzz_rounds import Failure, check_span, one_round  # noqa: E402

from support.errors import UserError  # noqa: E402
from tagging.tagger import Tagger  # noqa: E402
from tests.helpers.models import ENTITY_LABELS, save_tiny_tagger, save_tiny_tokenizer  # noqa: E402

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
            check_span(whole, span["start"], span["end"], span["word"])
        for start, end, _ in result.get("label", ()) if output_format == "doccano" else ():
            check_span(whole, start, end, None)
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
                check_span(row["text"], int(row[start]), int(row[end]), row[word])
        if number != before:
            if number != before + 1:
                raise Failure("LOST", f"text {number} follows text {before}")
            yield {"text": row["text"], "note": row.get("note")}
        before = number


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
