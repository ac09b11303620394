"""Compare the F1 of the suite with that of plain Trainer at equal steps, over seeds and corpora.

    NER_CORPORA=... python benchmarks/accuracy.py --results FOLDER          # 3 corpora, 5 seeds
    python benchmarks/accuracy.py --results FOLDER --corpora sample         # the embedded corpus
    python benchmarks/accuracy.py --results FOLDER --variants default= grouped=--group_by_length
    python benchmarks/accuracy.py --results FOLDER --variants "two=--max_grad_norm 2" --no_rival
    python benchmarks/accuracy.py --results FOLDER --report --against grouped
    python benchmarks/accuracy.py --results FOLDER --corpora wikigold litbank sec --seeds 3 \
        --no_rival --against default --variants default= "context64=--context 64" --alone

The rival, `plain`, is what transformers' example `run_ner.py` does by default: Trainer with default
arguments, random order, dynamic padding, fp32, labels on first sub-words, truncation at the model's
limit. A variant is `train_accelerate.py` in fp32 with the flags given. All sides start from
all-MiniLM-L6-v2 and train for the same epochs and steps, at the same batch size and learning rate.
The suite scores all models on the test split; each word counts.

Each run writes a file into the folder of results. A run that has one is not repeated, so a
comparison can be stopped and resumed, and variants can be added later. After a change of the code,
give variants other names. Each difference of means has paired 95 % intervals: over seeds
(t distribution), over test sentences, and over test documents if there are several (bootstrap;
each resample is the same for both sides and all seeds). The last column is the result of
`compare.py` for the same tags: an interval over documents (or sentences) and runs, and a p value.
"""

import argparse
import json
import os
import re
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
FILES = {  # training and test split, or all documents
    "wnut17": ("wnut17train.conll", "emerging.test.annotated"),
    "sec": ("FIN[35].txt",),
    "wikigold": ("wikigold.conll.txt",),
    "sample": ("train.conll", "test.conll"),
    "litbank": ("tsv/*.tsv",),
}
ALONE = "_alone"  # suffix of a side: a variant's weights, scored without context
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
    predicted: list[str]
    counts: np.ndarray  # (sentences, 3): entities that are correct, predicted, gold
    documents: np.ndarray  # (sentences,), the number of the document of each
    seconds: float | None  # of training


class Difference(NamedTuple):
    """The difference in F1 between two sides, by the seeds that both have."""

    by_seed: dict[int, float]
    # Of "sentences" and, if there are several, "documents", by seed: (NUM_RESAMPLES,)
    resamples: dict[str, dict[int, np.ndarray]]

    def over_seeds(self) -> tuple[float, float]:
        """Return the interval of the mean over seeds, by the t distribution; needs two seeds."""
        gaps = np.array([*self.by_seed.values()])
        half = t.ppf((1 + CONFIDENCE) / 2, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
        return gaps.mean() - half, gaps.mean() + half

    def over_resamples(self, unit: str) -> tuple[float, float]:
        """Return the interval of the mean over resampled test sentences or documents."""
        means = np.mean([*self.resamples[unit].values()], axis=0)
        low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return low, high

    def cells(self, compared: str = "-") -> str:
        """Return the mean and all intervals as cells of a table; `compared`: of `compare`."""
        cells = ["-", "-", "-", "-", compared]
        if self.by_seed:
            cells[0] = f"{np.mean([*self.by_seed.values()]):+.4f}"
            for cell, unit in ((2, "sentences"), (3, "documents")):
                if unit in self.resamples:
                    cells[cell] = "{:+.4f} to {:+.4f}".format(*self.over_resamples(unit))
        if len(self.by_seed) > 1:
            cells[1] = "{:+.4f} to {:+.4f}".format(*self.over_seeds())
        return " | ".join(cells)


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
    parser.add_argument(
        "--alone",
        action="store_true",
        help=f"also score the weights of variants with --context without context, as NAME{ALONE}",
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
    sides = [side for name, flags in variants.items() for side in sides_of(name, flags, options)]
    if not options.report and options.against not in (RIVAL, *sides):
        parser.error(f"--against {options.against}: expected one of {', '.join(sides)}")
    os.environ["OMP_NUM_THREADS"] = "1"  # of this process and of the runs that it starts
    if not options.report:
        with tempfile.TemporaryDirectory() as work:
            # All runs share a cache of their own, so that none is left with the user's.
            os.environ["HF_DATASETS_CACHE"] = str(Path(work, "cache"))
            corpora = {name: find_corpus(name, Path(work), parser) for name in options.corpora}
            make_runs(options, variants, corpora, Path(work), parser)
    named = None if options.report and options.variants is None else sides
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


def sides_of(variant: str, flags: list[str], options) -> dict[str, list[str]]:
    """Return the sides of a variant, with the flags of the scoring of each."""
    alone = {variant + ALONE: ["--context", "0"]} if options.alone and "--context" in flags else {}
    return {variant: [], **alone}


# --- Corpora --------------------------------------------------------------------------------------


def find_corpus(name: str, work: Path, parser) -> dict:
    """Return the files of a corpus, as keyword arguments of `CorpusSettings`.

    A corpus without a split is split by document, into files in `work`. The test split is called
    the validation split, so that nothing of the training split is held out.
    """
    folder = ROOT / "data" / "sample"
    if name != "sample":
        if not os.environ.get("NER_CORPORA"):
            parser.error(
                f"--corpora {name}: NER_CORPORA is not set: expected the folder of the corpora; "
                "see benchmarks/README.md. `--corpora sample` needs none."
            )
        folder = Path(os.environ["NER_CORPORA"], name)
    files = sorted(path for pattern in FILES[name] for path in folder.glob(pattern))
    if len(files) < len(FILES[name]):
        expected = ", ".join(str(folder / pattern) for pattern in FILES[name])
        parser.error(f"--corpora {name}: files are missing: expected {expected}")
    columns = {}
    if name in ("wikigold", "sec"):  # three quarters of the documents, and one quarter
        text = "".join(file.read_text("utf-8") for file in files)
        begin = re.search("^-DOCSTART-.*\n", text, re.MULTILINE)[0]
        documents = [begin + part for part in text.split(begin) if part.strip()]
        cut = len(documents) * 3 // 4
        parts = documents[:cut], documents[cut:]
        if name == "sec":  # eight long documents, of two years
            parts = [d for n, d in enumerate(documents) if n % 4 != 3], documents[3::4]
        train, test = [work / f"{name}-train.conll"], [work / f"{name}-test.conll"]
        for path, part in zip((*train, *test), parts, strict=True):
            path.write_text("".join(part), "utf-8")
    elif name == "litbank":  # a file per document: every fourth, and the others
        test = files[3::4]
        train = [file for file in files if file not in test]
        columns = {"label_column_name": "1"}  # the outer layer of nested entities
    else:
        train, test = ([folder / file] for file in FILES[name])
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
                sides = {
                    side: (options.results / f"{corpus}-{side}-{seed}.json", scored_with)
                    for side, scored_with in sides_of(variant, flags, options).items()
                }
                settings = {
                    "flags": flags,
                    "epochs": EPOCHS[corpus],
                    "batch_size": options.batch_size,
                    "learning_rate": options.learning_rate,
                    "sentences": options.sentences,
                }
                missing = [file for file, _ in sides.values() if not file.is_file()]
                if missing:
                    runs.append((variant, corpus, seed, settings, sides))
                for file in (file for file, _ in sides.values() if file not in missing):
                    earlier = read_json(file)["settings"]
                    if earlier | {"flags": flags} == settings:
                        continue
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


def make_run(variant, corpus, seed, settings, sides: dict, files: dict, model: str, work) -> str:
    """Train one model, score it as each side, write the results, and return a line on them.

    `sides`: the file of each side's result, and the flags of its scoring.
    """
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
            fixed = ["--do_train", "--checkpointing_steps", "no", "--mixed_precision", "no"]
            flags = as_flags(files | arguments | {"model_name_or_path": model})
            call([ROOT / "train_accelerate.py", *flags, *fixed, *settings["flags"]])
        training = read_json(Path(folder, "train_results.json"))
        files = files | {"test_file": files["validation_file"]}
        f1s = []
        for side, (file, scored_with) in sides.items():
            scores = Path(folder, f"scores_{side}")
            flags = as_flags(files | {"model_name_or_path": folder, "output_dir": scores})
            call([ROOT / "train_accelerate.py", *flags, "--do_predict", *scored_with])
            f1 = read_json(scores / "predict_results.json")["predict_f1"]
            f1s.append(f"{side} {f1:.4f}")
            gold, predicted = read_tags(scores / "predictions.txt")
            scoring = ["scored with", *scored_with] if scored_with else []
            result = {
                "variant": side,
                "corpus": corpus,
                "seed": seed,
                "f1": f1,
                "steps": training["train_steps"],
                "seconds": training["train_runtime"],
                "settings": settings | {"flags": settings["flags"] + scoring},
                "environment": environment(),
                "gold": gold,
                "predicted": predicted,
                "documents": read_documents(scores / "predictions.jsonl"),
            }
            write_json(file, result)
    minutes = (time.time() - began) / 60
    steps = training["train_steps"]
    return f"{corpus}, seed {seed}: F1 {', '.join(f1s)}, {steps} steps, {minutes:.1f} minutes"


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


def read_documents(file: Path) -> list[int]:
    """Return the number of the document of each sentence of `predictions.jsonl`.

    A document has a name, or is a file without names.
    """
    numbers: dict[tuple, int] = {}
    places = map(json.loads, file.read_text("utf-8").splitlines())
    return [numbers.setdefault((p["file"], p["document"]), len(numbers)) for p in places]


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
    files = [f for corpus in options.corpora for f in options.results.glob(f"{corpus}-*.json")]
    for file in sorted(files):
        run = read_json(file)
        wanted = run["seed"] < options.seeds
        if variants is None:
            wanted &= not (options.no_rival and run["variant"] == RIVAL)
        else:
            wanted &= run["variant"] in variants
        if not wanted:
            continue
        counts = count_sentences(run["gold"], run["predicted"])
        assert np.isclose(f1_of(counts.sum(0)), run["f1"]), f"{file}: tags and F1 disagree"
        work = {"steps": run["steps"]} | run["settings"]
        flags = work.pop("flags")
        shared = {
            name: run[name]
            for name in ("variant", "corpus", "seed", "f1", "environment", "gold", "predicted")
        }
        documents = np.array(run.get("documents", [0] * len(counts)))
        shared |= {"documents": documents, "seconds": run.get("seconds")}
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


def f1_of(counts: np.ndarray) -> np.ndarray:
    """Return the F1 of counts of entities: (..., 3), that are correct, predicted, gold."""
    correct, predicted, gold = np.moveaxis(counts, -1, 0)
    return 2 * correct / np.maximum(predicted + gold, 1)


def difference(side: dict[int, Result], rival: dict[int, Result]) -> Difference:
    """Return the difference between two sides on a corpus; `side`, `rival`: results by seed."""
    by_seed, resamples = {}, {}
    for seed in sorted(side.keys() & rival.keys()):
        left, right = side[seed], rival[seed]
        by_seed[seed] = left.f1 - right.f1
        units = {"sentences": np.arange(len(left.gold))}
        if left.documents.max() > 0:
            units["documents"] = left.documents
        for name, unit in units.items():
            size = unit.max() + 1
            # Each corpus has its own resamples, the same for all sides and seeds.
            rng = np.random.default_rng(list(EPOCHS).index(left.corpus))
            weights = rng.multinomial(size, np.full(size, 1 / size), NUM_RESAMPLES)[:, unit]
            f1s = [f1_of(weights.astype(float) @ result.counts) for result in (left, right)]
            resamples.setdefault(name, {})[seed] = f1s[0] - f1s[1]
    return Difference(by_seed, resamples)


def compare(side: dict[int, Result], rival: dict[int, Result]) -> str:
    """Return the interval and the p value of `compare.py` for two sides of a corpus, as text."""
    from scoring.comparison import PairedCounter

    runs = [*rival.values(), *side.values()]
    several = runs[0].documents.max() > 0
    counter = PairedCounter((len(rival), len(side)), entity_tags=True)
    for number, gold in enumerate(runs[0].gold):
        document = int(runs[0].documents[number]) if several else None
        counter.add(gold.split(" "), [run.predicted[number].split(" ") for run in runs], document)
    main = counter.compare().main
    return f"{main.low:+.4f} to {main.high:+.4f}, p {main.p_value:.3f}"


def mean_difference(by_corpus: list[Difference]) -> Difference:
    """Return the mean over corpora, by the seeds that all of them have."""
    seeds = sorted(set.intersection(*(set(gap.by_seed) for gap in by_corpus)))
    units = set.intersection(*(set(gap.resamples) for gap in by_corpus))
    return Difference(
        {seed: float(np.mean([gap.by_seed[seed] for gap in by_corpus])) for seed in seeds},
        {
            unit: {
                seed: np.mean([gap.resamples[unit][seed] for gap in by_corpus], axis=0)
                for seed in seeds
            }
            for unit in units
        },
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
    for variant, flags in sorted({(r.variant, shlex.join(r.flags)) for r in results if r.flags}):
        print(f"{variant}: {flags}")
    differences: dict[str, dict[str, Difference]] = {}  # of each side, by corpus
    for corpus in options.corpora:
        of_corpus = [result for result in results if result.corpus == corpus]
        if not of_corpus:
            print(f"\n{corpus}: no results")
            continue
        for side, gap in report_corpus(of_corpus, sides, options).items():
            differences.setdefault(side, {})[corpus] = gap
    if differences:
        print(f"\n| mean over corpora | of | {difference_columns(options)}")
        print("| --- | --- | --- | --- | --- | --- | --- |")
    for side, by_corpus in differences.items():
        gap = mean_difference([*by_corpus.values()])
        print(f"| {side} | {', '.join(by_corpus)} | {gap.cells()} |")


def report_corpus(results: list[Result], sides: list[str], options) -> dict[str, Difference]:
    """Print the table of a corpus; return the differences of sides that share seeds with it."""
    first = results[0]
    steps = (
        "{steps} steps of {batch_size} sentences, {epochs} epochs, learning rate {learning_rate}"
    )
    size = f"{len(first.gold)} test sentences"
    if first.documents.max() > 0:
        size += f" in {first.documents.max() + 1} documents"
    print(f"\n{first.corpus}: {steps.format(**first.work)}; {size}\n")
    head = f"| | F1 of seeds 0 to {options.seeds - 1} | mean | s.d. | seconds of training |"
    print(f"{head} {difference_columns(options)}")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    by_side = {side: {r.seed: r for r in results if r.variant == side} for side in sides}
    differences = {}
    for side, by_seed in by_side.items():
        if not by_seed:
            continue
        gap, compared = Difference({}, {}), "-"
        if side != options.against:
            gap = difference(by_seed, by_side.get(options.against, {}))
        if gap.by_seed:
            differences[side] = gap
            compared = compare(by_seed, by_side[options.against])
        f1s = [result.f1 for result in by_seed.values()]
        shown = [f"{by_seed[n].f1:.4f}" if n in by_seed else "-" for n in range(options.seeds)]
        spread = f"{np.std(f1s, ddof=1):.4f}" if len(f1s) > 1 else "-"
        times = [result.seconds for result in by_seed.values() if result.seconds is not None]
        cells = [side, ", ".join(shown), f"{np.mean(f1s):.4f}", spread]
        cells.append(f"{np.mean(times):.0f}" if times else "-")
        print(f"| {' | '.join(cells)} | {gap.cells(compared)} |")
    return differences


def difference_columns(options) -> str:
    """Return the headings of the cells of a difference."""
    columns = (f"minus {options.against}", "95 %, seeds", "95 %, sentences", "95 %, documents")
    return f"{' | '.join(columns)} | compare.py: 95 %, p |"


if __name__ == "__main__":
    main()
