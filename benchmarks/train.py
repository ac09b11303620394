"""Training speed: both scripts of the suite against plain use of Trainer, in one run.

    NER_CORPORA=... python benchmarks/train.py                  # WNUT-17, MiniLM, CPU or GPU
    NER_CORPORA=... python benchmarks/train.py --f1             # all of it, F1 over 3 seeds
    NER_CORPORA=... python benchmarks/train.py --f1 --corpus sec --batch_size 32
    NER_CORPORA=... python benchmarks/train.py --model bert-base-size --batch_size 8   # a GPU

The rival is what a reader of the course writes today: default `TrainingArguments`, random order,
dynamic padding, fp32. All sides train the same sentences for the same epochs and updates, at the
same learning rate, and are scored on the same test split by the suite. Runs are interleaved;
medians are printed. `bert-base-size` is BERT-base with random weights, for speed alone.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SIDES = ("plain Trainer", "train_trainer.py", "train_accelerate.py")
CORPORA = {  # training split, test split
    "wnut17": ("wnut17train.conll", "emerging.test.annotated"),
    "sec": ("FIN5.txt", "FIN3.txt"),
}


def main():
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
    parser.add_argument("--rival", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rival:
        rival(json.loads(options.rival))
        return
    if options.f1:
        options.sentences, options.epochs = 10**6, 3
    corpora = os.environ.get("NER_CORPORA")
    if not corpora:
        sys.exit("NER_CORPORA names the folder of the real corpora; see README.md")
    with tempfile.TemporaryDirectory() as folder:
        train, test = (Path(corpora) / options.corpus / name for name in CORPORA[options.corpus])
        compare(options, train, test, Path(folder))


def compare(options, train: Path, test: Path, folder: Path) -> None:
    from settings.flags import embedded_encoder

    model = options.model
    if model == "embedded":
        model = str(embedded_encoder())
    elif model == "bert-base-size":
        model = random_bert_base(embedded_encoder(), folder / "bert-base-size")
    speeds = {side: [] for side in SIDES}
    f1s = {side: [] for side in SIDES}
    work = {}
    for seed in range(options.rounds):
        for side in SIDES:
            output = folder / f"{side.replace(' ', '_')}-{seed}"
            run = {
                "train_file": str(train),
                "validation_file": str(test),  # or a tenth of the training file would be held out
                "model_name_or_path": model,
                "output_dir": str(output),
                "num_train_epochs": options.epochs,
                "per_device_train_batch_size": options.batch_size,
                "learning_rate": options.learning_rate,
                "seed": seed,
                "max_train_samples": options.sentences,
            }
            if side == "plain Trainer":
                command = [__file__, "--rival", json.dumps(run)]
            else:
                flags = [word for name, value in run.items() for word in (f"--{name}", str(value))]
                command = [ROOT / side, *flags, "--do_train", "--checkpointing_steps", "no"]
            call(command)
            result = json.loads((output / "train_results.json").read_text())
            speeds[side].append(result["train_samples_per_second"])
            work.setdefault(side, (result["train_steps"], options.sentences))
            f1s[side].append(score(output, train, test))
            print(
                f"  seed {seed}, {side}: {speeds[side][-1]:.1f} sentences/s, F1 {f1s[side][-1]:.4f}"
            )
    assert len(set(work.values())) == 1, f"not the same work: {work}"
    report(options, model, train, speeds, f1s, work[SIDES[0]][0])


def call(command) -> None:
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def score(folder: Path, train: Path, test: Path) -> float:
    """F1 on the test split, by the suite for every side."""
    files = ["--train_file", train, "--test_file", test]
    scoring = ["--do_predict", "--model_name_or_path", folder, "--output_dir", folder]
    call([ROOT / "train_accelerate.py", *files, *scoring])
    return json.loads((folder / "predict_results.json").read_text())["predict_f1"]


def rival(run: dict) -> None:
    """The course's use of Trainer, on today's libraries."""
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
    chosen = (
        "output_dir",
        "num_train_epochs",
        "per_device_train_batch_size",
        "learning_rate",
        "seed",
    )
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            **{name: run[name] for name in chosen}, save_strategy="no", disable_tqdm=True
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
    from corpus.load import load_corpus
    from settings.flags import Arguments

    return load_corpus(
        Arguments(train_file=[train], validation_file=[test], max_train_samples=sentences)
    )


def random_bert_base(encoder: Path, folder: Path) -> str:
    """BERT-base's sizes, random weights, the embedded encoder's tokenizer."""
    from transformers import AutoTokenizer, BertConfig, BertForTokenClassification

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    BertForTokenClassification(BertConfig(vocab_size=len(tokenizer))).bert.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def report(options, model: str, train: Path, speeds: dict, f1s: dict, updates: int) -> None:
    import torch

    rates, work = matrix_rates(), operations_a_sentence(model, train)
    print(f"\n{machine()}; torch {torch.__version__}; {options.model}; {options.corpus}; ", end="")
    print(f"{updates} updates of ", end="")
    print(f"{options.batch_size} sentences; medians of {options.rounds} interleaved rounds.")
    for name, rate in rates.items():
        print(f"A matrix product in {name}: {rate / 1e9:.0f} GFLOP/s; ", end="")
        print(f"by arithmetic alone {rate / work:.0f} sentences/s.")
    base, fastest = statistics.median(speeds[SIDES[0]]), max(rates.values())
    print(f"\n| | sentences/s | ratio | of the limit | F1, mean of {options.rounds} seeds |")
    print("| --- | --- | --- | --- | --- |")
    for side in SIDES:
        median, f1 = statistics.median(speeds[side]), statistics.mean(f1s[side])
        share = median * work / fastest
        print(f"| {side} | {median:.1f} | {median / base:.2f} | {share:.0%} | {f1:.4f} |")


def operations_a_sentence(model: str, train: Path) -> float:
    """Floating-point operations of a training step for a mean sentence, forward and back:
    6 for each weight of the layers and token, and the attention's two products.
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


def machine() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    names = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    name = names[0].split(":")[1].strip() if names else platform.processor()
    return f"{os.cpu_count()} cores of {name}"


def matrix_rates(size: int = 2048) -> dict[str, float]:
    """FLOP/s of one matrix product, by precision: what arithmetic alone would allow."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rates = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a = torch.randn(size, size, device=device).to(dtype)
        times = []
        for _ in range(7):
            begun = time.perf_counter()
            (a @ a)[0, 0].item()  # waits for a GPU
            times.append(time.perf_counter() - begun)
        rates[name] = 2 * size**3 / min(times)
    return rates


if __name__ == "__main__":
    main()
