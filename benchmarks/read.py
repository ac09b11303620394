"""Time the reading and encoding of a million words: the suite and the course's code.

    python benchmarks/read.py                 # 1 million words, 3 rounds
    python benchmarks/read.py --words 10000000 --rounds 1

The suite reads CoNLL columns. The rival does what the course does, with the same words in a parquet
file: `load_dataset`, then `map` with the tokenizer and `align_labels_with_tokens`. Each measurement
is a process of its own with empty caches; the two take turns. Times exclude imports; memory is the
peak of the process.
"""

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
MAX_LENGTH = 128
LABELS = ["O", *(f"{prefix}-{kind}" for kind in ("LOC", "MISC", "ORG", "PER") for prefix in "BI")]


def main():
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--words", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("SIDE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        side, folder = options.measure
        print(json.dumps(SIDES[side](Path(folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), options.words)
        results = {side: [] for side in SIDES}
        for _ in range(options.rounds):
            for side, runs in results.items():
                runs.append(measure(side, folder))
    report(options.words, results)


def write_corpus(folder: Path, words: int) -> None:
    """Write random sentences of the embedded corpus, with one word in twenty replaced by a new one.

    The same sentences go into `train.conll` and `train.parquet`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = (ROOT / "data" / "sample" / "train.conll").read_text(encoding="utf-8")
    blocks = [
        [(row[0], row[3]) for row in (line.split() for line in block.split("\n"))]
        for block in text.strip().split("\n\n")
        if not block.startswith("-DOCSTART-")
    ]
    generator, num_written = random.Random(0), 0
    schema = pa.schema({"tokens": pa.list_(pa.string()), "ner_tags": pa.list_(pa.int64())})
    with (
        open(folder / "train.conll", "w", encoding="utf-8") as columns,
        pq.ParquetWriter(folder / "train.parquet", schema) as table,
    ):
        while num_written < words:
            rows = []
            for block in generator.choices(blocks, k=1000):
                tokens = [
                    word if generator.random() > 0.05 else f"{word}{generator.randrange(10**6)}"
                    for word, _ in block
                ]
                columns.writelines(
                    f"{word}\t{tag}\n" for word, (_, tag) in zip(tokens, block, strict=True)
                )
                columns.write("\n")
                rows.append({"tokens": tokens, "ner_tags": [LABELS.index(tag) for _, tag in block]})
                num_written += len(tokens)
            table.write_table(pa.Table.from_pylist(rows, schema=schema))
    (folder / "validation.conll").write_text("Rome\tB-LOC\nis\tO\n")


def measure(side: str, folder: str) -> dict:
    """Return one measurement, made in a process of its own with empty caches."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "HF_HOME": cache, "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, __file__, "--measure", side, folder]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment, cwd=cache
        )
    return json.loads(done.stdout.strip().split("\n")[-1])


def load_tokenizer():
    """Return the tokenizer of the embedded encoder."""
    from transformers import AutoTokenizer

    from settings.defaults import embedded_encoder

    return AutoTokenizer.from_pretrained(str(embedded_encoder()))


def measure_suite(folder: Path) -> dict:
    """Read and encode the columns as the suite does."""
    import common
    from corpus.load import load_corpus
    from encoder.batches import encode_split
    from settings.run_settings import CorpusSettings

    tokenizer = load_tokenizer()
    files = {
        f"{split}_file": (str(folder / f"{split}.conll"),) for split in ("train", "validation")
    }
    start = now()
    corpus = load_corpus(CorpusSettings(**files))
    read = now()
    inside = common.inside_labels(corpus.label_names)
    windows = encode_split(
        corpus.splits["train"], tokenizer, MAX_LENGTH, inside, evaluate=False, key="benchmark"
    )
    return figures(read - start, now() - read, windows.rows, corpus.label_names)


def measure_course(folder: Path) -> dict:
    """Read and encode the parquet file as the course does."""
    import datasets

    tokenizer = load_tokenizer()

    def align_labels_with_tokens(labels, word_ids):
        aligned, current = [], None
        for word_id in word_ids:
            if word_id != current:
                current = word_id
                aligned.append(-100 if word_id is None else labels[word_id])
            elif word_id is None:
                aligned.append(-100)
            else:
                label = labels[word_id]
                aligned.append(label + 1 if label % 2 == 1 else label)
        return aligned

    def tokenize_and_align_labels(examples):
        encoded = tokenizer(
            examples["tokens"], truncation=True, max_length=MAX_LENGTH, is_split_into_words=True
        )
        encoded["labels"] = [
            align_labels_with_tokens(labels, encoded.word_ids(number))
            for number, labels in enumerate(examples["ner_tags"])
        ]
        return encoded

    start = now()
    dataset = datasets.load_dataset("parquet", data_files=str(folder / "train.parquet"))["train"]
    read = now()
    encoded = dataset.map(
        tokenize_and_align_labels, batched=True, remove_columns=dataset.column_names
    )
    return figures(read - start, now() - read, encoded, LABELS)


SIDES = {"suite": measure_suite, "course": measure_course}


def now():
    """Return the seconds of the clock and of the processor, which other load affects less."""
    import numpy as np

    return np.array([time.perf_counter(), time.process_time()])


def figures(read, encode, rows, label_names: list[str]) -> dict:
    """Return the times, the peak memory, and the counts of sub-words and labels to compare."""
    import numpy as np

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts, tokens = np.zeros(len(label_names), int), 0
    for batch in rows.with_format("arrow").iter(1000):
        labels = batch["labels"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        counts += np.bincount(labels[labels >= 0].astype(int), minlength=len(label_names))
        tokens += len(labels)
    work = {"sub-words": tokens, **dict(zip(label_names, counts.tolist(), strict=True))}
    times = {"read": read.tolist(), "encode": encode.tolist(), "sum": (read + encode).tolist()}
    return {**times, "peak MiB": peak, "work": work}


def report(words: int, results: dict[str, list[dict]]) -> None:
    """Print the medians of both sides and their ratio."""
    works = [run["work"] for runs in results.values() for run in runs]
    assert all(work == works[0] for work in works), "the sides did not do the same work"
    print(f"{words:,} words, {works[0]['sub-words']:,} sub-words, {platform.machine()}, ", end="")
    print(f"{os.cpu_count()} cores, median of {len(works) // 2}")
    for position, clock in enumerate(("clock", "processor")):
        sums = {}
        for side, runs in results.items():
            read, encode, sums[side] = (
                statistics.median(run[part][position] for run in runs)
                for part in ("read", "encode", "sum")
            )
            peak = statistics.median(run["peak MiB"] for run in runs)
            print(
                f"{side}: read {read:.2f} s, encode {encode:.2f} s, sum {sums[side]:.2f} s by the "
                f"{clock}; peak {peak:.0f} MiB"
            )
        print(f"suite / course: {sums['suite'] / sums['course']:.2f} of the time by the {clock}")


if __name__ == "__main__":
    main()
