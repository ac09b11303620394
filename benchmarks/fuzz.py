"""Read random corpora in many formats, whole and damaged, and compare with naive readers.

    python benchmarks/fuzz.py                          # for a minute
    python benchmarks/fuzz.py --seconds 3600 --seed 7

Each round writes a random corpus in one of the formats, and often damages it. The suite reads the
file, and so does a naive reader of its format (`naive_readers.py`), which shares no code with the
suite. Failures are a traceback, a file that takes more than 5 seconds, and a whole file that is
refused or read differently. A damaged file may be refused. If both sides read it, they must agree
on the entities.
"""

import argparse
import contextlib
import gzip
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from naive_readers import FORMATS  # noqa: E402
from random_corpora import Entities, Format, documents, entities_of, squeezed  # noqa: E402

from corpus.formats import detect  # noqa: E402
from corpus.formats.sentence import ReadOptions  # noqa: E402
from corpus.plausible import plausible  # noqa: E402
from corpus.problems import Problems  # noqa: E402
from corpus.spellings import spelling_of  # noqa: E402

SLOW = 5  # seconds of CPU time


# --- Damage ---------------------------------------------------------------------------------------


def with_harmless_change(content: str, generator: random.Random) -> bytes:
    """Return a file with CRLF, a byte-order mark, or in UTF-16, which change nothing."""
    if generator.random() < 0.25:
        content = content.replace("\n", "\r\n")
    if generator.random() < 0.1:
        return content.encode("utf-16")
    return content.encode("utf-8-sig" if generator.random() < 0.2 else "utf-8")


def decoded(data: bytes) -> str:
    """Return the text of a file, without marks at the beginning of lines."""
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    return "\n".join(line.lstrip("\ufeff") for line in text.split("\n"))


def damaged(data: bytes, generator: random.Random) -> bytes:
    """Return a file with some bytes or lines changed, removed, repeated or exchanged."""
    for _ in range(generator.randint(1, 3)):
        at, length = generator.randrange(len(data) + 1), generator.choice((1, 1, 2, 8, 200))
        kind = generator.randrange(6)
        if kind == 0:
            data = data[:at] + data[at + length :]
        elif kind == 1:
            data = data[:at] + bytes(generator.choices(range(256), k=length)) + data[at:]
        elif kind == 2:
            data = data[:at] + data[at : at + length] * 2 + data[at + length :]
        elif kind == 3:
            data = data[:at]
        else:
            lines = data.split(b"\n")
            first, second = generator.randrange(len(lines)), generator.randrange(len(lines))
            if kind == 4:
                lines[first], lines[second] = lines[second], lines[first]
            else:
                lines[first:first] = [generator.choice((b"", b"\t", b" ", b"[", b"{}", b"O\tO"))]
            data = b"\n".join(lines)
    return data


# --- Comparison -----------------------------------------------------------------------------------


def read_by_suite(path: Path, task: str) -> tuple[Entities | None, str]:
    """Return the entities that the suite reads; None with its message if it refuses the file.

    The plain tags of the task pos are entities of one word.
    """
    problems = Problems()
    opened = detect.read(path, ReadOptions(task), problems)
    sentences = list(plausible(opened, str(path), problems).sentences)
    if problems or not opened.labelled:
        return None, str(problems)
    if task == "pos":
        tagged = ((s.words, s.tags or [""] * len(s.words)) for s in sentences)
        return [(str(t), squeezed(w)) for pair in tagged for w, t in zip(*pair, strict=True)], ""
    names = dict(enumerate(opened.label_names or ()))
    tags_of = [[names.get(t, t) for t in s.tags or ()] for s in sentences]
    tags = {tag for sentence_tags in tags_of for tag in sentence_tags if isinstance(tag, str)}
    spelling = spelling_of(tags)
    if spelling is None:
        return ([], "") if tags <= {"O"} else (None, f"no entity tags: {sorted(tags)[:5]}")
    entities: Entities = []
    for s, sentence_tags in zip(sentences, tags_of, strict=True):
        read = [spelling.read(str(tag)) or "O" for tag in sentence_tags]
        iob2 = [{"U": "B", "S": "B", "L": "I", "E": "I"}.get(t[0], t[0]) + t[1:] for t in read]
        entities += entities_of(list(zip(s.words, iob2, strict=True)))
    return entities, ""


def main() -> None:
    """Read the command line, and run until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files of failures")
    parser.add_argument("--whole", action="store_true", help="damage no file")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    end, seed = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            outcome, path, detail = one_round(
                Path(folder), random.Random(seed), whole=options.whole
            )
            counts["files"] += 1
            counts[outcome] += 1
            if outcome.isupper():
                print(f"{outcome} seed {seed} {path.name}: {detail}", flush=True)
                if options.keep:
                    options.keep.mkdir(exist_ok=True, parents=True)
                    for file in Path(folder).iterdir():
                        (options.keep / f"{seed}-{file.name}").write_bytes(file.read_bytes())
        seed += 1
    print(dict(sorted(counts.items())))
    sys.exit(any(key.isupper() for key in counts))


def one_round(folder: Path, generator: random.Random, *, whole: bool) -> tuple[str, Path, str]:
    """Return the outcome of one file, in capitals if it is a failure, its path and a detail."""
    form = generator.choice(FORMATS)
    whole = whole or generator.random() < 0.3
    paths, files = write_files(form, folder, generator, whole)
    start = time.process_time()  # the process may run at idle priority
    try:
        entities, message = read_by_suite(paths[0], form.task)
    except Exception:  # any is a failure, and is reported
        return "TRACEBACK", paths[0], traceback.format_exc()
    if (spent := time.process_time() - start) > SLOW:
        return "SLOW", paths[0], f"{spent:.1f} s"
    expected = None
    with contextlib.suppress(Exception):  # the naive reader fails on most damaged files
        expected = form.read(*(decoded(data) if form.is_text else data for data in files))
    if whole and entities is None:
        return "REFUSED", paths[0], message
    if entities is None:
        return "damaged, refused", paths[0], message
    if expected is None:
        return "damaged, read by the suite only", paths[0], ""
    if Counter(entities) != Counter(expected):
        extra, lost = Counter(entities) - Counter(expected), Counter(expected) - Counter(entities)
        kind = "DIFFERENT" if whole else "DAMAGED AND DIFFERENT"
        return kind, paths[0], f"suite only {dict(extra)}, naive only {dict(lost)}"
    return "whole, equal" if whole else "damaged, equal", paths[0], ""


def write_files(
    form: Format, folder: Path, generator: random.Random, whole: bool
) -> tuple[list[Path], list[bytes]]:
    """Write a random corpus; return the paths of its files, and their content before gzip.

    One of the files is damaged, unless `whole`.
    """
    corpus = documents(generator)
    writers = [(form.name, form.write), *([] if form.beside is None else [form.beside])]
    contents = [write(corpus) for _, write in writers]
    files = [c if isinstance(c, bytes) else with_harmless_change(c, generator) for c in contents]
    if not whole:
        position = generator.randrange(len(files))
        files[position] = damaged(files[position], generator)
    paths = [folder / name for name, _ in writers]
    compressed = form.beside is None and generator.random() < 0.1
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(gzip.compress(data, 1) if compressed else data)
    return paths, files


if __name__ == "__main__":
    main()
