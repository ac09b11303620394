"""Compare the F1 of the suite with that of plain Trainer at equal steps, over seeds and corpora.

    NER_CORPORA=... python benchmarks/accuracy.py --results FOLDER          # 3 corpora, 5 seeds
    python benchmarks/accuracy.py --results FOLDER --corpora sample         # the embedded corpus
    python benchmarks/accuracy.py --results FOLDER --variants default= grouped=--group_by_length
    python benchmarks/accuracy.py --results FOLDER --variants "two=--max_grad_norm 2" --no_rival
    python benchmarks/accuracy.py --results FOLDER --report --against grouped

The rival, `plain`, is what transformers' example `run_ner.py` does by default: Trainer with default
arguments, random order, dynamic padding, fp32, labels on first sub-words, truncation at the model's
limit. A variant is `train_accelerate.py` in fp32 with the flags given. All sides start from
all-MiniLM-L6-v2 and train for the same epochs and steps, at the same batch size and learning rate.
The suite scores all models on the test split; each word counts.

Each run is written to a file in the folder of results, and is not repeated. A comparison can thus
be stopped and resumed, and variants can be added later. Each difference of means has two paired
95 % intervals: over seeds (t distribution), and over test sentences (bootstrap; each resample is
the same for both sides and all seeds).
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import describe
from scipy.stats import t

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
RIVAL = "plain"
NUM_RESAMPLES = 1000
CONFIDENCE = 0.95
EPOCHS = {"wnut17": 3, "sec": 3, "wikigold": 2, "sample": 1, "litbank": 1}
# RoBERTa's kind of tokenizer takes split words only with this setting; as in `run_ner.py`.
PREFIX_SPACE = ("bloom", "gpt2", "roberta", "deberta")


class Result(NamedTuple):
    """The result of one run."""

    variant: str
    corpus: str
    seed: int
    f1: float
    flags: list[str]
    work: dict  # steps and settings: the same for all sides
    environment: dict  # machine, versions and date
    gold: list[str]  # the tags of each sentence of the test split
    counts: np.ndarray  # (sentences, 3): entities that are correct, predicted, gold


class Difference(NamedTuple):
    """The difference in F1 between two sides, paired."""

    by_seed: dict[int, float]
    resamples: np.ndarray  # (NUM_RESAMPLES,), means over seeds

    def over_seeds(self) -> tuple[float, float]:
        """Return the interval of the mean over seeds, by the t distribution; of one seed: nan."""
        gaps = np.array([*self.by_seed.values()])
        if len(gaps) < 2:
            return np.nan, np.nan
        half = t.ppf((1 + CONFIDENCE) / 2, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
        return gaps.mean() - half, gaps.mean() + half

    def over_sentences(self) -> tuple[float, float]:
        """Return the interval of the mean over resampled test sentences, by percentiles."""
        low, high = np.quantile(self.resamples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return low, high

    def cells(self) -> str:
        """Return the mean and both intervals as cells of a table."""
        mean = np.mean([*self.by_seed.values()])
        intervals = (self.over_seeds(), self.over_sentences())
        return " | ".join(
            [f"{mean:+.4f}", *(f"{low:+.4f} to {high:+.4f}" for low, high in intervals)]
        )


def main():
    """Read the command line, make the runs that have no result, and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, help="folder of the runs' results (required)")
    parser.add_argument(
        "--corpora", nargs="+", choices=EPOCHS, default=["wnut17", "sec", "wikigold"]
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N - 1 (default: 5)")
    parser.add_argument(
        "--variants",
        nargs="*",
        metavar="NAME=FLAGS",
        help="flags of train_accelerate.py (default: default=; with --report: all results)",
    )
    parser.add_argument("--no_rival", action="store_true", help="leave plain Trainer out")
    parser.add_argument("--against", metavar="NAME", help="the side to compare with", default=RIVAL)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, of one thread each")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--learning_rate", type=float, default=2e-4)
    parser.add_argument("--sentences", type=int, help="train on the first N only, to try it out")
    parser.add_argument("--report", action="store_true", help="report on the results that exist")
    parser.add_argument("--rival", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rival:
        train_plainly(**json.loads(options.rival))
        return
    if not options.results:
        parser.error("--results is required: a folder for the results")
    variants = read_variants(options, parser)
    if not options.report and options.against not in (RIVAL, *variants):
        parser.error(f"--against {options.against}: expected one of {', '.join(variants)}")
    os.environ["OMP_NUM_THREADS"] = "1"  # of this process and of the runs that it starts
    if not options.report:
        with tempfile.TemporaryDirectory() as work:
            # All runs share a cache of their own, so that none is left with the user's.
            os.environ["HF_DATASETS_CACHE"] = str(Path(work, "cache"))
            corpora = {name: find_corpus(name, Path(work), parser) for name in options.corpora}
            make_runs(options, variants, corpora, Path(work), parser)
    named = None if options.report and options.variants is None else list(variants)
    report(options, load_results(options, named, parser), parser)


def read_variants(options, parser) -> dict[str, list[str]]:
    """Return the flags of each variant by its name; those of the rival are empty."""
    variants = {} if options.no_rival else {RIVAL: []}
    for variant in ["default="] if options.variants is None else options.variants:
        name, _, flags = variant.partition("=")
        if not name.replace("_", "").isalnum() or name in variants or name == RIVAL:
            parser.error(
                f"--variants {variant}: got the name {name!r}, expected letters, digits and _, "
                f"each name once, and not {RIVAL}"
            )
        variants[name] = shlex.split(flags)
    return variants


# --- Corpora --------------------------------------------------------------------------------------


def find_corpus(name: str, work: Path, parser) -> dict:
    """Return the files of a corpus, as keyword arguments of `CorpusSettings`.

    A corpus without splits is split by document; files that this takes are written to `work`. The
    test split is called the validation split, so that nothing of the training split is held out.
    """
    folder = ROOT / "data" / "sample"
    if name != "sample":
        if not os.environ.get("NER_CORPORA"):
            parser.error(
                f"--corpora {name}: NER_CORPORA is not set: expected the folder of the corpora; "
                "see benchmarks/README.md. `--corpora sample` needs none."
            )
        folder = Path(os.environ["NER_CORPORA"], name)
    columns = {}
    if name == "sample":
        train, test = [folder / "train.conll"], [folder / "test.conll"]
    elif name == "wnut17":
        train, test = [folder / "wnut17train.conll"], [folder / "emerging.test.annotated"]
    elif name == "sec":
        train, test = [folder / "FIN5.txt"], [folder / "FIN3.txt"]
    elif name == "wikigold":  # the first three quarters of the documents, and the last
        train, test = [work / "wikigold-train.conll"], [work / "wikigold-test.conll"]
        source, end = folder / "wikigold.conll.txt", "-DOCSTART- O\n"
        if source.is_file():
            documents = [text for text in source.read_text("utf-8").split(end) if text.strip()]
            cut = len(documents) * 3 // 4
            train[0].write_text(end.join(documents[:cut]), "utf-8")
            test[0].write_text(end.join(documents[cut:]), "utf-8")
    elif name == "litbank":  # every fourth document is tested; every second of the others trained
        documents = sorted(folder.glob("tsv/*.tsv"))
        test = documents[3::4]
        train = [document for document in documents if document not in test][::2]
        columns = {"label_column_name": "1"}  # the outer layer of nested entities
    missing = [str(file) for file in [*train, *test] if not file.is_file()]
    if missing or not train:
        parser.error(f"{folder}: files of the corpus {name} are missing: {', '.join(missing)}")
    return {"train_file": [*map(str, train)], "validation_file": [*map(str, test)]} | columns


# --- Runs -----------------------------------------------------------------------------------------


def make_runs(options, variants, corpora: dict[str, dict], work: Path, parser) -> None:
    """Make all runs that have no result yet, `options.jobs` at a time."""
    from settings.defaults import embedded_encoder

    model = str(embedded_encoder())
    options.results.mkdir(parents=True, exist_ok=True)
    runs = []
    for corpus in options.corpora:
        for seed in range(options.seeds):
            for variant, flags in variants.items():
                file = options.results / f"{corpus}-{variant}-{seed}.json"
                settings = {
                    "flags": flags,
                    "epochs": EPOCHS[corpus],
                    "batch_size": options.batch_size,
                    "learning_rate": options.learning_rate,
                    "sentences": options.sentences,
                }
                if not file.is_file():
                    runs.append((variant, corpus, seed, settings, file))
                elif (earlier := read_json(file)["settings"]) != settings:
                    parser.error(
                        f"{file}: result of another run: got {earlier}, expected {settings}. "
                        "Delete the file, or name another variant or another folder."
                    )
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = [pool.submit(make_run, *run, corpora[run[1]], model, work) for run in runs]
        try:
            for run in as_completed(waiting):
                print(run.result(), flush=True)
        finally:  # after an error, no further run begins
            pool.shutdown(cancel_futures=True)


def make_run(variant, corpus, seed, settings, file: Path, files: dict, model: str, work) -> str:
    """Train and score one model, write the result, and return a line on it."""
    from support.files import write_json

    began = time.time()
    if settings["sentences"]:
        files = files | {"max_train_samples": settings["sentences"]}
    with tempfile.TemporaryDirectory(dir=work) as folder:
        arguments = {
            "output_dir": folder,
            "num_train_epochs": settings["epochs"],
            "per_device_train_batch_size": settings["batch_size"],
            "learning_rate": settings["learning_rate"],
            "seed": seed,
        }
        if variant == RIVAL:
            run = {"model": model, "corpus": files, "arguments": arguments}
            call([__file__, "--rival", json.dumps(run)])
        else:
            kept = ["--do_train", "--checkpointing_steps", "no", "--mixed_precision", "no"]
            flags = as_flags(files | arguments | {"model_name_or_path": model})
            call([ROOT / "train_accelerate.py", *flags, *kept, *settings["flags"]])
        steps = read_json(Path(folder, "train_results.json"))["train_steps"]
        scores = Path(folder, "scores")
        scored = files | {"test_file": files["validation_file"]}
        flags = as_flags(scored | {"model_name_or_path": folder, "output_dir": scores})
        call([ROOT / "train_accelerate.py", *flags, "--do_predict"])
        f1 = read_json(scores / "predict_results.json")["predict_f1"]
        gold, predicted = read_tags(scores / "predictions.txt")
    result = {
        "variant": variant,
        "corpus": corpus,
        "seed": seed,
        "f1": f1,
        "steps": steps,
        "settings": settings,
        "environment": environment(),
        "gold": gold,
        "predicted": predicted,
    }
    write_json(file, result)
    minutes = (time.time() - began) / 60
    return f"{corpus}, {variant}, seed {seed}: F1 {f1:.4f}, {steps} steps, {minutes:.1f} minutes"


def as_flags(values: dict) -> list[str]:
    """Return the flags of a command line that give these values."""
    flags = []
    for name, value in values.items():
        flags += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return flags


def call(command) -> None:
    """Run a Python command; if it fails, exit with its output."""
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def read_json(file: Path) -> dict:
    """Return the content of a JSON file."""
    return json.loads(file.read_text("utf-8"))


def read_tags(file: Path) -> tuple[list[str], list[str]]:
    """Return the gold and predicted tags of `predictions.txt`, one string of tags per sentence."""
    sentences = file.read_text("utf-8").strip("\n").split("\n\n")
    columns = [
        list(zip(*(line.split(" ") for line in s.split("\n")), strict=True)) for s in sentences
    ]
    return [" ".join(c[1]) for c in columns], [" ".join(c[2]) for c in columns]


def environment() -> dict[str, str]:
    """Return the machine, the versions and the date of a run."""
    import torch
    import transformers

    machine = describe("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "machine": f"{machine}, transformers {transformers.__version__}",
        "date": time.strftime("%Y-%m-%d"),
    }


def train_plainly(model: str, corpus: dict, arguments: dict, label_all_tokens=False) -> None:
    """Train with Trainer as `run_ner.py` does; write model and `train_results.json`.

    `model`: folder of an encoder. `corpus`: keyword arguments of `CorpusSettings`, with a
    `validation_file`, whose labels the model knows too. `arguments`: those of `TrainingArguments`
    that differ from the default. `label_all_tokens`: label all sub-words, not only the first.
    """
    from transformers import (
        AutoConfig,
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    import common
    from corpus.load import load_corpus
    from settings.run_settings import CorpusSettings

    loaded = load_corpus(CorpusSettings(**corpus))
    names = loaded.label_names
    set_seed(arguments["seed"])
    config = AutoConfig.from_pretrained(
        model, id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)}
    )
    spaced = {"add_prefix_space": True} if config.model_type in PREFIX_SPACE else {}
    tokenizer = AutoTokenizer.from_pretrained(model, **spaced)
    inside = common.inside_labels(names) if label_all_tokens else None

    def tokenize(examples):
        inputs = tokenizer(examples["tokens"], truncation=True, is_split_into_words=True)
        inputs["labels"] = [
            common.align_labels_with_tokens(labels, inputs.word_ids(i), inside)
            for i, labels in enumerate(examples["labels"])
        ]
        return inputs

    train = loaded.splits["train"]
    trainer = Trainer(
        model=AutoModelForTokenClassification.from_pretrained(
            model, config=config, ignore_mismatched_sizes=True
        ),
        args=TrainingArguments(**arguments, save_strategy="no", disable_tqdm=True),
        train_dataset=train.map(tokenize, batched=True, remove_columns=train.column_names),
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
    )
    metrics = trainer.train().metrics | {"train_steps": trainer.state.global_step}
    trainer.save_model()
    Path(arguments["output_dir"], "train_results.json").write_text(json.dumps(metrics))


# --- Report ---------------------------------------------------------------------------------------


def load_results(options, variants: list[str] | None, parser) -> list[Result]:
    """Return the results of these variants, corpora and seeds; variants None: all that exist."""
    results = []
    for file in sorted(options.results.glob("*.json")):
        run = read_json(file)
        wanted = run["corpus"] in options.corpora and run["seed"] < options.seeds
        if variants is None:
            wanted &= not (options.no_rival and run["variant"] == RIVAL)
        else:
            wanted &= run["variant"] in variants
        if not wanted:
            continue
        counts = count_sentences(run["gold"], run["predicted"])
        assert np.isclose(f1(counts.sum(0)), run["f1"]), f"{file}: tags and F1 disagree"
        work = {"steps": run["steps"]} | run["settings"]
        flags = work.pop("flags")
        shared = {
            name: run[name] for name in ("variant", "corpus", "seed", "f1", "environment", "gold")
        }
        results.append(Result(**shared, flags=flags, work=work, counts=counts))
    if not results:
        parser.error(f"--results {options.results}: holds no result of these variants and corpora")
    for corpus in options.corpora:
        of_corpus = [result for result in results if result.corpus == corpus]
        for result in of_corpus:
            first = of_corpus[0]
            if (result.work, result.gold) != (first.work, first.gold):
                parser.error(
                    f"{corpus}: {first.variant} and {result.variant} did not do the same work: got "
                    f"{first.work} and {result.work}, or other test sentences"
                )
    return results


def count_sentences(gold: list[str], predicted: list[str]) -> np.ndarray:
    """Return the entities of each sentence that are correct, predicted, gold: (sentences, 3)."""
    from scoring.scores import KINDS, count_tags

    rows = []
    for tags in zip(gold, predicted, strict=True):
        counts = count_tags(*([column.split(" ")] for column in tags), entity_tags=True)
        rows.append([sum(n for key, n in counts.items() if key[0] == kind) for kind in KINDS])
    return np.array(rows)


def f1(counts: np.ndarray) -> np.ndarray:
    """Return the F1 of counts of entities: (..., 3), that are correct, predicted, gold."""
    correct, predicted, gold = np.moveaxis(counts, -1, 0)
    return 2 * correct / np.maximum(predicted + gold, 1)


def difference(side: dict[int, Result], other: dict[int, Result]) -> Difference | None:
    """Return the difference between two sides on a corpus, over the seeds that both have.

    `side`, `other`: results by seed.
    """
    seeds = sorted(side.keys() & other.keys())
    if not seeds:
        return None
    first = side[seeds[0]]
    size = len(first.gold)
    # Each corpus has its own resamples, the same for all sides and seeds.
    rng = np.random.default_rng(list(EPOCHS).index(first.corpus))
    weights = rng.multinomial(size, np.full(size, 1 / size), NUM_RESAMPLES).astype(float)
    gaps = [f1(weights @ side[seed].counts) - f1(weights @ other[seed].counts) for seed in seeds]
    return Difference(
        {seed: side[seed].f1 - other[seed].f1 for seed in seeds}, np.mean(gaps, axis=0)
    )


def mean_difference(differences: list[Difference]) -> Difference:
    """Return the mean over corpora, over the seeds that all of them have."""
    seeds = set.intersection(*(set(d.by_seed) for d in differences))
    return Difference(
        {seed: float(np.mean([d.by_seed[seed] for d in differences])) for seed in sorted(seeds)},
        np.mean([d.resamples for d in differences], axis=0),
    )


def report(options, results: list[Result], parser) -> None:
    """Print the environments of the runs, a table for each corpus, and one over all corpora."""
    sides = sorted({result.variant for result in results}, key=lambda name: (name != RIVAL, name))
    if options.against not in (RIVAL, *sides):
        parser.error(f"--against {options.against}: expected one of {', '.join(sides)}")
    for machine in sorted({result.environment["machine"] for result in results}):
        print(f"{machine} (each run)")
    dates = sorted({result.environment["date"] for result in results})
    print(f"{' and '.join(dates)}: python {shlex.join(sys.argv)}")
    for variant, flags in {result.variant: result.flags for result in results}.items():
        print(f"{variant}: {shlex.join(flags) or 'no flags'}")
    intervals = f"minus {options.against} | 95 %, seeds | 95 %, sentences |"
    differences: dict[str, dict[str, Difference]] = {}  # of each side, by corpus
    for corpus in options.corpora:
        by_side: dict[str, dict[int, Result]] = {}
        for result in results:
            if result.corpus == corpus:
                by_side.setdefault(result.variant, {})[result.seed] = result
        if not by_side:
            print(f"\n{corpus}: no results")
            continue
        first = next(iter(next(iter(by_side.values())).values()))
        print(f"\n{corpus}: {len(first.gold)} test sentences; {first.work}\n")
        print(f"| | F1 of seeds 0 to {options.seeds - 1} | mean | s.d. | {intervals}")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for side in [name for name in sides if name in by_side]:
            f1s = {seed: result.f1 for seed, result in by_side[side].items()}
            shown = [f"{f1s[n]:.4f}" if n in f1s else "-" for n in range(options.seeds)]
            spread = f"{np.std([*f1s.values()], ddof=1):.4f}" if len(f1s) > 1 else "-"
            cells = "- | - | -"
            if side != options.against and options.against in by_side:
                gap = difference(by_side[side], by_side[options.against])
                if gap:
                    cells = gap.cells()
                    differences.setdefault(side, {})[corpus] = gap
            mean = np.mean([*f1s.values()])
            print(f"| {side} | {', '.join(shown)} | {mean:.4f} | {spread} | {cells} |")
    if differences:
        print(f"\n| mean over corpora | of | {intervals}\n| --- | --- | --- | --- | --- |")
    for side, by_corpus in differences.items():
        gap = mean_difference([*by_corpus.values()])
        print(f"| {side} | {', '.join(by_corpus)} | {gap.cells()} |")


if __name__ == "__main__":
    main()
