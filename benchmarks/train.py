"""Compare the training speed of both scripts of the suite with that of plain Trainer.

    NER_CORPORA=... python benchmarks/train.py                  # WNUT-17, MiniLM, CPU or GPU
    NER_CORPORA=... python benchmarks/train.py --f1             # all sentences, F1 over 3 seeds
    NER_CORPORA=... python benchmarks/train.py --f1 --corpus sec --batch_size 32
    NER_CORPORA=... python benchmarks/train.py --model bert-base-size --batch_size 8   # a GPU
    python benchmarks/train.py --corpus sample --against ../another/checkout

The rival is what a reader of the course writes today: default `TrainingArguments`, random order,
dynamic padding, fp32. With --against, the rivals are the scripts of another checkout of this suite.
All sides train on the same sentences for the same epochs and steps, at the same learning rate, and
the suite scores them on the same test split. Runs are interleaved; medians are printed.
`bert-base-size` is BERT-base with random weights, for speed only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe, matrix_rate

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PLAIN = "plain Trainer"
SCRIPTS = ("train_trainer.py", "train_accelerate.py")
CORPORA = {  # training split, test split
    "wnut17": ("wnut17train.conll", "emerging.test.annotated"),
    "sec": ("FIN5.txt", "FIN3.txt"),
    "sample": ("train.conll", "test.conll"),  # the embedded corpus
}


def main():
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="embedded", help="folder, 'embedded', 'bert-base-size'")
    parser.add_argument("--corpus", choices=CORPORA, default="wnut17")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--learning_rate", type=float, default=2e-4)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--f1", action="store_true", help="all sentences, 3 epochs, seeds 0 to 2")
    parser.add_argument("--against", type=Path, help="compare with another checkout of this suite")
    parser.add_argument("--rival", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rival:
        train_plainly(json.loads(options.rival))
        return
    if options.f1:
        options.sentences, options.epochs = 10**6, 3
    with tempfile.TemporaryDirectory() as folder:
        compare(options, *corpus_files(options.corpus), Path(folder))


def corpus_files(name: str) -> list[Path]:
    """Return the files of the training and the test split."""
    if name == "sample":
        folder = ROOT / "data" / "sample"
    elif corpora := os.environ.get("NER_CORPORA"):
        folder = Path(corpora) / name
    else:
        sys.exit("NER_CORPORA is not set: expected the folder of the corpora; see README.md")
    return [folder / file for file in CORPORA[name]]


def compare(options, train: Path, test: Path, folder: Path) -> None:
    """Train with all sides in turn, score the models, and print the table."""
    from settings.defaults import embedded_encoder

    model = options.model
    if model == "embedded":
        model = str(embedded_encoder())
    elif model == "bert-base-size":
        model = random_bert_base(embedded_encoder(), folder / "bert-base-size")
    sides = {PLAIN: None, **{script: ROOT / script for script in SCRIPTS}}
    rivals = dict.fromkeys(sides, PLAIN)
    if options.against:
        sides, rivals = {}, {}
        for script in SCRIPTS:
            rival = f"{script}, other checkout"
            sides |= {script: ROOT / script, rival: options.against / script}
            rivals |= {script: rival, rival: rival}
    speeds = {side: [] for side in sides}
    f1s = {side: [] for side in sides}
    work = {}
    for seed in range(options.rounds):
        for side, script in sides.items():
            output = folder / f"{side.replace(' ', '_')}-{seed}"
            run = {
                "train_file": str(train),
                "validation_file": str(test),  # otherwise a tenth of the training file is held out
                "model_name_or_path": model,
                "output_dir": str(output),
                "num_train_epochs": options.epochs,
                "per_device_train_batch_size": options.batch_size,
                "learning_rate": options.learning_rate,
                "seed": seed,
                "max_train_samples": options.sentences,
            }
            if script is None:
                command = [__file__, "--rival", json.dumps(run)]
            else:
                flags = [word for name, value in run.items() for word in (f"--{name}", str(value))]
                command = [script, *flags, "--do_train", "--checkpointing_steps", "no"]
            call(command)
            result = json.loads((output / "train_results.json").read_text())
            speeds[side].append(result["train_samples_per_second"])
            work.setdefault(side, (result["train_steps"], options.sentences))
            f1s[side].append(score(script.parent if script else ROOT, output, train, test))
            print(
                f"  seed {seed}, {side}: {speeds[side][-1]:.1f} sentences/s, F1 {f1s[side][-1]:.4f}"
            )
    assert len(set(work.values())) == 1, f"the sides did not do the same work: {work}"
    num_steps = next(iter(work.values()))[0]
    report(options, model, train, speeds, f1s, rivals, num_steps)


def call(command) -> None:
    """Run a Python command; if it fails, exit with its output."""
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def score(checkout: Path, folder: Path, train: Path, test: Path) -> float:
    """Return the F1 of the model in `folder` on the test split, as the suite computes it."""
    files = ["--train_file", train, "--test_file", test]
    scoring = ["--do_predict", "--model_name_or_path", folder, "--output_dir", folder]
    call([checkout / "train_accelerate.py", *files, *scoring])
    return json.loads((folder / "predict_results.json").read_text())["predict_f1"]


def train_plainly(run: dict) -> None:
    """Train with Trainer as the course does, on today's libraries."""
    from datasets import Dataset
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    import common

    corpus = load_splits(run["train_file"], run["validation_file"], run["max_train_samples"])
    set_seed(run["seed"])
    tokenizer = AutoTokenizer.from_pretrained(run["model_name_or_path"])
    inside = common.inside_labels(corpus.label_names)

    def tokenize(examples):
        inputs = tokenizer(examples["tokens"], truncation=True, is_split_into_words=True)
        inputs["labels"] = [
            common.align_labels_with_tokens(labels, inputs.word_ids(i), inside)
            for i, labels in enumerate(examples["labels"])
        ]
        return inputs

    train: Dataset = corpus.splits["train"]
    train = train.map(tokenize, batched=True, remove_columns=train.column_names)
    model = AutoModelForTokenClassification.from_pretrained(
        run["model_name_or_path"],
        id2label=dict(enumerate(corpus.label_names)),
        label2id={name: i for i, name in enumerate(corpus.label_names)},
        ignore_mismatched_sizes=True,
    )
    names = (
        "output_dir",
        "num_train_epochs",
        "per_device_train_batch_size",
        "learning_rate",
        "seed",
    )
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            **{name: run[name] for name in names}, save_strategy="no", disable_tqdm=True
        ),
        train_dataset=train,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
    )
    metrics = trainer.train().metrics
    trainer.save_model()
    metrics["train_steps"] = trainer.state.global_step
    Path(run["output_dir"], "train_results.json").write_text(json.dumps(metrics))


def load_splits(train: str, test: str, sentences: int | None = None):
    """Return the corpus of two files, without holding out a part."""
    from corpus.load import load_corpus
    from settings.run_settings import CorpusSettings

    return load_corpus(
        CorpusSettings(train_file=(train,), validation_file=(test,), max_train_samples=sentences)
    )


def random_bert_base(encoder: Path, folder: Path) -> str:
    """Save a BERT of BERT-base's size with random weights and the tokenizer of `encoder`."""
    from transformers import AutoTokenizer, BertConfig, BertForTokenClassification

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    BertForTokenClassification(BertConfig(vocab_size=len(tokenizer))).bert.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def report(options, model: str, train: Path, speeds, f1s, rivals, num_steps: int) -> None:
    """Print the machine, its limits and the table."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    precisions = {"fp32": torch.float32, "bf16": torch.bfloat16}
    rates = {name: matrix_rate(dtype, device) for name, dtype in precisions.items()}
    work = operations_per_sentence(model, train)
    print(f"\n{describe(device)}; {options.model}; {options.corpus}; {num_steps} steps of ", end="")
    print(f"{options.batch_size} sentences; medians of {options.rounds} interleaved rounds.")
    for name, rate in rates.items():
        print(f"A matrix product in {name}: {rate / 1e9:.0f} GFLOP/s; ", end="")
        print(f"this rate alone would allow {rate / work:.0f} sentences/s.")
    fastest = max(rates.values())
    print(f"\n| | sentences/s | ratio | of the limit | F1, mean of {options.rounds} seeds |")
    print("| --- | --- | --- | --- | --- |")
    for side, rival in rivals.items():
        median, f1 = statistics.median(speeds[side]), statistics.mean(f1s[side])
        ratio, share = median / statistics.median(speeds[rival]), median * work / fastest
        print(f"| {side} | {median:.1f} | {ratio:.2f} | {share:.0%} | {f1:.4f} |")


def operations_per_sentence(model: str, train: Path) -> float:
    """Return the floating-point operations of a training step for an average sentence.

    Forward and backward: 6 for each weight of the layers and each token, and the two products of
    attention.
    """
    from transformers import AutoConfig, AutoTokenizer

    config, tokenizer = AutoConfig.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    sentences = load_splits(str(train), str(train)).splits["train"]["tokens"][:]
    encoded = tokenizer(sentences, is_split_into_words=True, truncation=False, verbose=False)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    width, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * width**2 + 2 * width * config.intermediate_size)
    total = sum(6 * weights * n + 12 * layers * width * n**2 for n in lengths)
    return total / len(lengths)


if __name__ == "__main__":
    main()
