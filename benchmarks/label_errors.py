"""Compare the ranking of suspected label errors with that of cleanlab.

    pip install cleanlab
    NER_CORPORA=... python benchmarks/label_errors.py --results FOLDER     # two corpora, 3 seeds
    python benchmarks/label_errors.py --results FOLDER --report            # of the studies there
    python benchmarks/label_errors.py --results FOLDER --frozen            # without training

Of the entities of a corpus, 5 % are corrupted: a third of them are dropped, a third get another
type, a third are shifted by one word. `study.py label_errors` trains on the corrupted corpus and
lists its suspects. cleanlab ranks the words and the sentences of the corpus by the same
probabilities of models that have not seen the sentence. Its two rankings are shown: the quality
scores of `token_classification.rank` (the probability of the label; a sentence has that of its
worst word), and the list of `token_classification.filter` (confident learning).

The table has the average precision of the first 50 of each ranking: the mean of the precision at
each right one, over 50 or, if there are fewer, all that could be found. Three units are ranked:

words       a word is right if its label has been changed. Suspects list their words where label
            and suggestion differ.
sentences   a sentence is right if one of its words is. Its place is that of its first word.
entities    a word of cleanlab's stands for the entities, labelled or predicted, that it is in, and
            a later word of them is skipped. One is right if a word in it is, and a corrupted entity
            that has been listed is skipped after that.

With `--frozen`, the models of the folds are not fine-tuned: they are those of `frozen.py`. That
takes seconds, not minutes, and gives weaker models.

Errors that the corpus had before count as wrong on all sides. A study that exists in the folder of
results is resumed, and its probabilities are read again.
"""

import argparse
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import describe

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import entities
from corpus.folds import make_folds
from corpus.load import load_corpus
from results.label_error_files import rank_suspects
from results.study_files import LabelledSentence, sentences_of, write_sentences
from results.study_folds import (
    LabelPredictions,
    read_label_predictions,
    write_label_predictions,
)
from scoring.label_errors import error_log_odds
from scoring.scores import score_tags
from settings.defaults import embedded_encoder
from settings.run_settings import CorpusSettings

ROOT = Path(__file__).resolve().parent.parent
FILES = {"wikigold": "wikigold.conll.txt", "sec": "FIN[35].txt", "wnut17": "wnut17train.conll"}
CORRUPTED = 0.05  # of the entities
FIRST = 50  # of a ranking, which are scored
FOLDS = 3
EPOCHS, FROZEN_EPOCHS = 2, 4
UNITS = ("words", "sentences", "entities")
COLUMNS = {"text_column_name": "tokens", "label_column_name": "labels", "tag_scheme": "iob2"}

Word = tuple[int, int]  # the number of the sentence, and of the word in it


def main():
    """Read the command line, make the studies, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, required=True, help="folder of the studies")
    parser.add_argument("--corpora", nargs="+", choices=FILES, default=["wikigold", "sec"])
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1 (default: 3)")
    parser.add_argument("--report", action="store_true", help="report on the studies that exist")
    parser.add_argument("--frozen", action="store_true", help="models on a frozen encoder")
    options = parser.parse_args()
    corpora = os.environ.get("NER_CORPORA")
    if not corpora:
        parser.error("NER_CORPORA is not set: expected the folder of the corpora")
    try:
        import cleanlab
    except ImportError:
        parser.error("cleanlab is not installed: `pip install cleanlab`")
    rows = []
    for seed, corpus in itertools.product(range(options.seeds), options.corpora):
        case = make_case(Path(corpora, corpus), options.results, seed, options.frozen)
        if not options.report:
            (train_on_frozen if options.frozen else make_study)(case)
        if all(file.exists() for file in case.files):
            rows.append((corpus, seed, *measure(case)))
            print(*rows[-1], flush=True)
    if rows:
        print(f"\n{describe()}, cleanlab {cleanlab.__version__}\n")
        print_table(sorted(rows, key=lambda row: row[:2]))


# --- Corruption ---------------------------------------------------------------------------------


class Case(NamedTuple):
    """A corrupted corpus, and the study of it.

    `changed`: the words of each corrupted entity whose labels have been changed.
    """

    file: Path
    study: Path
    seed: int
    changed: list[set[Word]]

    @property
    def files(self) -> list[Path]:
        """The probabilities of each fold."""
        return [self.study / f"fold_{fold + 1}_probabilities.npz" for fold in range(FOLDS)]


def make_case(folder: Path, results: Path, seed: int, frozen: bool) -> Case:
    """Write the corrupted corpus; return it."""
    files = sorted(map(str, folder.glob(FILES[folder.name])))
    corpus = load_corpus(CorpusSettings(train_file=tuple(files), hold_out=False))
    sentences = sentences_of(corpus, "train")
    tags, changed = corrupt([sentence.tags for sentence in sentences], seed)
    results.mkdir(parents=True, exist_ok=True)
    file = results / f"{folder.name}-{seed}.jsonl"
    corrupted = [
        LabelledSentence(sentence.words, list(of_sentence), sentence.place)
        for sentence, of_sentence in zip(sentences, tags, strict=True)
    ]
    write_sentences(file, corrupted)
    return Case(file, results / f"{folder.name}-{seed}{'-frozen' * frozen}", seed, changed)


def corrupt(tags: list[list[str]], seed: int) -> tuple[list[list[str]], list[set[Word]]]:
    """Return the tags with corrupted entities, and the words that each of these changes."""
    rng = random.Random(seed)
    spans = [list(entities(of_sentence)) for of_sentence in tags]
    types = sorted({name for of_sentence in spans for name, *_ in of_sentence})
    every = [(number, entity) for number, found in enumerate(spans) for entity in found]
    chosen = rng.sample(every, round(CORRUPTED * len(every)))
    changed: list[set[Word]] = []
    for position, (number, entity) in enumerate(chosen):
        before = as_tags(spans[number], len(tags[number]))
        name, start, end = entity
        others = [other for other in spans[number] if other != entity]
        taken = {word for _, first, last in others for word in range(first, last)}
        kind = ("drop", "retype", "shift")[position % 3]
        steps = [
            step
            for step in (-1, 1)
            if start + step >= 0
            and end + step <= len(tags[number])
            and taken.isdisjoint(range(start + step, end + step))
        ]
        if kind == "shift" and steps:
            step = rng.choice(steps)
            others.append((name, start + step, end + step))
        elif kind != "drop":
            others.append((rng.choice([other for other in types if other != name]), start, end))
        spans[number] = others
        after = as_tags(others, len(tags[number]))
        pairs = enumerate(zip(before, after, strict=True))
        changed.append({(number, word) for word, (old, new) in pairs if old != new})
    corrupted = [
        as_tags(found, len(of_sentence)) for found, of_sentence in zip(spans, tags, strict=True)
    ]
    return corrupted, changed


def as_tags(spans: Iterable[tuple[str, int, int]], length: int) -> list[str]:
    """Return the IOB2 tags of entities that do not overlap."""
    tags = ["O"] * length
    for name, start, end in spans:
        tags[start:end] = [f"B-{name}", *[f"I-{name}"] * (end - start - 1)]
    return tags


# --- Studies ------------------------------------------------------------------------------------


def make_study(case: Case) -> None:
    """Make the study of a corrupted corpus, unless it has been made."""
    flags = COLUMNS | {
        "train_file": case.file,
        "model_name_or_path": embedded_encoder(),
        "num_train_epochs": EPOCHS,
        "per_device_train_batch_size": 8,
        "learning_rate": 2e-4,
        "checkpointing_steps": "no",
    }
    command = [sys.executable, ROOT / "study.py", "label_errors", FOLDS]
    command += ["--script", "train_accelerate.py", "--seed", case.seed]
    command += ["--output_dir", case.study, "--"]
    command += [part for name, value in flags.items() for part in (f"--{name}", value)]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{case.study}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def read_corpus(case: Case) -> tuple[list[LabelledSentence], list[int]]:
    """Return the sentences of a corrupted corpus, and the fold of each in its study."""
    settings = CorpusSettings(train_file=(str(case.file),), hold_out=False, **COLUMNS)
    sentences = sentences_of(load_corpus(settings), "train")
    pairs = ((sentence.words, sentence.place.document) for sentence in sentences)
    return sentences, make_folds(pairs, FOLDS, case.seed).numbers


def train_on_frozen(case: Case) -> None:
    """Write the probabilities of models on a frozen encoder, unless they are there."""
    from frozen import BATCH, FrozenTagger

    if all(file.exists() for file in case.files):
        return
    case.study.mkdir(exist_ok=True)
    sentences, folds = read_corpus(case)
    names = sorted({tag for sentence in sentences for tag in sentence.tags})
    for fold, file in enumerate(case.files):
        train = [s for s, of_sentence in zip(sentences, folds, strict=True) if of_sentence != fold]
        test = [s for s, of_sentence in zip(sentences, folds, strict=True) if of_sentence == fold]
        words, tags = [s.words for s in train], [s.tags for s in train]
        steps = FROZEN_EPOCHS * sum(map(len, words)) // BATCH
        tagger = FrozenTagger(words, tags, names, steps, case.seed)
        write_label_predictions(file, names, tagger.predict([s.words for s in test]))


def read_study(case: Case) -> tuple[list[LabelledSentence], LabelPredictions]:
    """Return the sentences of a corrupted corpus and the predictions of its study."""
    sentences, folds = read_corpus(case)
    lengths = [len(sentence.words) for sentence in sentences]
    return sentences, read_label_predictions(case.files, lengths, folds)


# --- Rankings -----------------------------------------------------------------------------------


def measure(case: Case) -> tuple[float, dict[str, dict[str, float]]]:
    """Return the F1 of the models, and the average precision of each ranking by unit."""
    sentences, predictions = read_study(case)
    gold = [sentence.tags for sentence in sentences]
    regions = regions_of(gold, predictions.tags)
    rankings = {"study.py": own_ranking(sentences, predictions)}
    rankings |= cleanlab_rankings(gold, predictions)
    f1 = score_tags(gold, predictions.tags, True)["overall"]["f1"]
    return f1, {
        name: {
            "words": average_precision(*of_words(ranking, case.changed)),
            "sentences": average_precision(*of_sentences(ranking, case.changed)),
            "entities": average_precision(*of_entities(ranking, case.changed, regions)),
        }
        for name, ranking in rankings.items()
    }


def own_ranking(
    sentences: list[LabelledSentence], predictions: LabelPredictions
) -> list[list[Word]]:
    """Return the suspects of `study.py`, as their words where label and suggestion differ."""
    numbers = {id(sentence): number for number, sentence in enumerate(sentences)}
    log_odds = error_log_odds(
        [sentence.tags for sentence in sentences],
        predictions.tags,
        predictions.log_probabilities,
        predictions.label_names,
    )
    ranked = rank_suspects(sentences, predictions.tags, log_odds, entity_tags=True)
    return [
        [
            (numbers[id(sentence)], word)
            for word in range(suspect.start, suspect.end)
            if sentence.tags[word] != suggested[word]
        ]
        for suspect, sentence, suggested in ranked
    ]


def cleanlab_rankings(
    gold: list[list[str]], predictions: LabelPredictions
) -> dict[str, list[list[Word]]]:
    """Return the rankings of cleanlab; each item is a word."""
    from cleanlab.token_classification.filter import find_label_issues
    from cleanlab.token_classification.rank import get_label_quality_scores

    numbers = {name: number for number, name in enumerate(predictions.label_names)}
    labels = [[numbers[tag] for tag in tags] for tags in gold]
    chances = [np.exp(rows.astype(float)) for rows in predictions.log_probabilities]
    chances = [rows / rows.sum(1, keepdims=True) for rows in chances]
    _, scores = get_label_quality_scores(labels, chances)
    words = [(n, word) for n, tags in enumerate(gold) for word in range(len(tags))]
    quality = np.concatenate([of_sentence.to_numpy() for of_sentence in scores])
    by_score = [words[position] for position in np.argsort(quality, kind="stable")]
    return {
        "cleanlab, rank": [[word] for word in by_score],
        "cleanlab, filter": [[word] for word in find_label_issues(labels, chances, n_jobs=1)],
    }


def regions_of(gold: list[list[str]], predicted: list[list[str]]) -> dict[Word, set]:
    """Return the entities, labelled or predicted, that each word is in; a word is in itself."""
    regions = {}
    for number, sides in enumerate(zip(gold, predicted, strict=True)):
        for word in range(len(sides[0])):
            regions[number, word] = {(number, word, word + 1)}
        for tags in sides:
            for _, start, end in entities(tags):
                for word in range(start, end):
                    regions[number, word].add((number, start, end))
    return regions


# --- Average precision --------------------------------------------------------------------------


def of_words(ranking: list[list[Word]], changed: list[set[Word]]) -> tuple[Iterator[bool], int]:
    """Return whether each ranked word is right, and the number of words that are."""
    right = set().union(*changed)
    words = dict.fromkeys(word for item in ranking for word in item)
    return (word in right for word in words), len(right)


def of_sentences(ranking: list[list[Word]], changed: list[set[Word]]) -> tuple[Iterator[bool], int]:
    """Return whether each ranked sentence is right, and the number of sentences that are."""
    right = {number for words in changed for number, _ in words}
    numbers = dict.fromkeys(number for item in ranking for number, _ in item)
    return (number in right for number in numbers), len(right)


def of_entities(
    ranking: list[list[Word]], changed: list[set[Word]], regions: dict[Word, set]
) -> tuple[Iterator[bool], int]:
    """Return whether each ranked place is right, and the number of corrupted entities."""
    owners: dict[Word, set[int]] = {}
    for entity, words in enumerate(changed):
        for word in words:
            owners.setdefault(word, set()).add(entity)

    def judged() -> Iterator[bool]:
        listed: set = set()
        found: set[int] = set()
        for item in ranking:
            places = set().union(*(regions[word] for word in item))
            hits = {
                entity
                for number, start, end in places
                for word in range(start, end)
                for entity in owners.get((number, word), ())
            }
            if places <= listed or (hits and hits <= found):
                continue
            listed |= places
            found |= hits
            yield bool(hits)

    return judged(), len(changed)


def average_precision(are_right: Iterator[bool], possible: int) -> float:
    """Return the average precision of the first items of a ranking."""
    right, total = 0, 0.0
    for rank, is_right in enumerate(itertools.islice(are_right, FIRST), 1):
        right += is_right
        total += is_right * right / rank
    return total / min(FIRST, possible)


def print_table(rows: list[tuple]) -> None:
    """Print the mean of each ranking over the seeds, then the value of each seed."""
    names = list(rows[0][3])
    print("| corpus | F1 of the models | unit |", " | ".join(names), "|")
    print("| --- |" + " --- |" * (2 + len(names)))
    for corpus, group in itertools.groupby(rows, key=lambda row: row[0]):
        cases = list(group)
        f1 = np.mean([case[2] for case in cases])
        for unit in UNITS:
            cells = []
            for name in names:
                values = [case[3][name][unit] for case in cases]
                seeds = ", ".join(f"{value:.3f}" for value in values)
                cells.append(f"{np.mean(values):.3f} ({seeds})")
            print(f"| {corpus} | {f1:.3f} | {unit} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
