"""Measure how memory and time grow with the corpus, from reading to tagging.

    python benchmarks/scale.py                     # 10,000 and 100,000 sentences
    python benchmarks/scale.py 10000 100000 1000000

The sentences of the embedded corpus are repeated, with one in ten words of label O replaced by a
number, so that few are copies. The model is a random BERT of two narrow layers, so memory that
grows is the suite's own. Memory is the peak of anonymous memory; pages of memory-mapped files,
which the system can reclaim, do not count.
"""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main():
    """Measure each step for each size of the corpus, and print a table."""
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 100_000]
    print("| sentences | words | step | seconds | peak memory, MB |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        encoder = thin_encoder(folder / "thin-encoder")
        for size in sizes:
            corpus, lines = folder / f"{size}.conll", folder / f"{size}.txt"
            words = write_corpus(corpus, lines, size)
            output = folder / f"run-{size}"
            common = ["--train_file", corpus, "--validation_file", ROOT / "data/sample/test.conll"]
            common += ["--model_name_or_path", encoder, "--output_dir", output]
            training = [*common, "--do_train", "--max_steps", "20", "--checkpointing_steps", "no"]
            evaluation = ["--model_name_or_path", output, "--validation_file", corpus, "--do_eval"]
            evaluation += ["--output_dir", folder / "scores", "--train_file"]
            evaluation += [ROOT / "data/sample/train.conll"]
            tagging = ["--model", output, "--input", lines, "--output", folder / "tagged.jsonl"]
            for step, command in {
                "read, encode, 20 steps": [ROOT / "train_accelerate.py", *training],
                "evaluate": [ROOT / "train_accelerate.py", *evaluation],
                "tag with infer.py": [ROOT / "infer.py", *tagging],
            }.items():
                seconds, peak = measured([sys.executable, *map(str, command)])
                print(f"| {size:,} | {words:,} | {step} | {seconds:.0f} | {peak:.0f} |", flush=True)
            scored = json.loads((folder / "scores" / "eval_results.json").read_text())["eval_words"]
            assert scored == words, f"{scored} words scored of {words}"
            with open(folder / "tagged.jsonl", encoding="utf-8") as tagged:
                assert sum(1 for _ in tagged) == size


def write_corpus(columns: Path, lines: Path, size: int) -> int:
    """Write the same sentences as CoNLL columns and as text; return the number of words."""
    from corpus.load import load_corpus
    from settings.run_settings import CorpusSettings

    sample = load_corpus(CorpusSettings(sample=True))
    sentences = [
        [
            (word, sample.label_names[i])
            for word, i in zip(row["tokens"], row["labels"], strict=True)
        ]
        for row in sample.splits["train"]
    ]
    generator = random.Random(0)
    count = 0
    with open(columns, "w", encoding="utf-8") as table, open(lines, "w", encoding="utf-8") as text:
        for number in range(size):
            words = []
            for word, label in sentences[number % len(sentences)]:
                if label == "O" and generator.random() < 0.1:
                    word = str(generator.randrange(10**6))
                words.append(word)
                table.write(f"{word} {label}\n")
            table.write("\n")
            text.write(" ".join(words) + "\n")
            count += len(words)
    return count


def thin_encoder(folder: Path) -> Path:
    """Save a random BERT of two narrow layers with the embedded encoder's tokenizer."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    from settings.defaults import embedded_encoder

    tokenizer = AutoTokenizer.from_pretrained(embedded_encoder())
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and its peak of anonymous memory in MB."""
    began, peak = time.time(), 0.0
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            try:
                fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            except (OSError, ValueError):
                break
            peak = max(peak, int(fields.get("RssAnon", "0 kB").split()[0]) / 1024)
            time.sleep(0.05)
        if process.wait():
            errors.seek(0)
            sys.exit(f"{' '.join(command)}\n{errors.read().decode()[-3000:]}")
    return time.time() - began, peak


if __name__ == "__main__":
    main()
