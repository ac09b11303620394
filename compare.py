"""Compare two models on the same sentences: scores, intervals of their differences, mistakes.

    python compare.py old-model new-model                      # output folders of training
    python compare.py a/predictions.txt b.conll                # prediction files
    python compare.py old-model new-model --input test.conll   # the models tag the file now
    python compare.py a1 a2 a3 --against b1 b2 b3              # several seeds on each side
    python compare.py a b --output diff.html diff.json

A difference is B - A. A prediction file is `predictions.jsonl`, `predictions.txt`, or any columns
that begin with the word and end with its gold and its predicted tag, as conlleval reads them.
"""

from support.start import begin_script

if __name__ == "__main__":
    begin_script()  # before the imports below, which take seconds

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common import entities
from encoder.cpu.process import prepare_process
from settings.comparison_flags import ComparisonFlags
from settings.parse import parse_flags
from support.errors import UserError, run_script
from support.start import imports_are_done
from support.text import on_terminal, quote, shortened

if TYPE_CHECKING:
    from corpus.problems import Place
    from results.prediction_files import ScoredSentence
    from tagging.tagger import Tagger

MIN_RESAMPLES = 100


def main() -> None:
    """Compare the runs of two sides."""
    # --- Settings -----------------------------------------------------------------------------
    flags = parse_flags(ComparisonFlags, __doc__)
    # Imported here so that `--help` and a mistyped flag respond immediately.
    from results.comparison_files import ComparisonReport, comparison_text, write_comparison
    from scoring.comparison import PairedCounter
    from scoring.mistake_changes import MistakeChanges

    imports_are_done()
    sides, files = check(flags)

    # --- Predictions --------------------------------------------------------------------------
    names = [*sides.a, *sides.b]
    runs = saved_runs(names) if not files else tagged_runs(names, files, flags)
    entity_tags = all(run.entity_tags for run in runs)

    # --- Compare ------------------------------------------------------------------------------
    num_runs = (len(sides.a), len(sides.b))
    counter = PairedCounter(num_runs, entity_tags)
    changes = MistakeChanges(num_runs, entity_tags)
    for words, gold, predictions, place in paired_sentences(runs, entity_tags):
        counter.add(gold, predictions, place.document_in_file)
        changes.add(words, gold, predictions, place)
    comparison = counter.compare(flags.resamples, flags.shuffles)

    # --- Report -------------------------------------------------------------------------------
    shown = [run.name for run in runs]
    report = ComparisonReport(shown[: num_runs[0]], shown[num_runs[0] :], comparison, changes)
    for path in flags.output or []:
        try:
            write_comparison(Path(path), report)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"--output {path}: cannot be written: {reason}") from None
    print(on_terminal(comparison_text(report)))


# --- Settings -----------------------------------------------------------------------------------


class Sides(NamedTuple):
    """The names of the runs of each side, as given."""

    a: list[str]
    b: list[str]


def check(flags: ComparisonFlags) -> tuple[Sides, list[str]]:
    """Return the sides and the input files; report everything wrong with the flags in one error."""
    from results.comparison_files import EXTENSIONS
    from results.study_folder import runs_of_study
    from tagging.input_files import find_files

    problems = []
    given_a, given_b = flags.runs, flags.against or []
    if flags.against is None:
        given_a, given_b = flags.runs[:1], flags.runs[1:]
    if not given_a or not given_b or (flags.against is None and len(flags.runs) > 2):
        problems.append(
            f"the sides: got {shortened(flags.runs) or 'nothing'}, expected two runs, or several "
            "on each side: A1 A2 --against B1 B2"
        )
    sides = Sides(
        *([r for name in side for r in runs_of_study(name)] for side in (given_a, given_b))
    )
    names = [*sides.a, *sides.b]
    spellings: dict[str, list[str]] = {}  # of the path of each run
    for name in names:
        path = os.path.abspath(name) if os.path.exists(name) else name
        spellings.setdefault(path, []).append(name)
    for same in spellings.values():
        if len(same) > 1:
            given = " and ".join(dict.fromkeys(same))
            problems.append(f"{given}: got the same run twice, expected different runs")
    files: list[str] = []
    if flags.input:
        try:
            files, _ = find_files(flags.input)
        except UserError as error:
            problems.append(str(error))
    else:
        problems += [
            f"{name}: no such file or folder: expected an output folder or a prediction file"
            for name in names
            if not os.path.exists(name)
        ]
        problems += [
            f"--{name} has no effect without --input. Leave it out."
            for name in ("text_column_name", "label_column_name")
            if getattr(flags, name) is not None
        ]
    if flags.resamples < MIN_RESAMPLES:
        problems.append(f"--resamples: got {flags.resamples}, expected at least {MIN_RESAMPLES}")
    if flags.shuffles < 1:
        problems.append(f"--shuffles: got {flags.shuffles}, expected at least 1")
    for output in flags.output or []:
        if Path(output).suffix not in EXTENSIONS:
            expected = " or ".join(EXTENSIONS)
            problems.append(f"--output {output}: unknown extension: expected {expected}")
        elif os.path.isdir(output) or not Path(output).absolute().parent.is_dir():
            problems.append(f"--output {output}: expected a file in an existing folder")
        elif any(_is_same_file(output, name) for name in (*names, *files)):
            problems.append(f"--output {output}: got an input file, expected a different file")
    if problems:
        raise UserError("\n".join(problems))
    return sides, files


def _is_same_file(output: str, source: str) -> bool:
    return os.path.isfile(output) and os.path.isfile(source) and os.path.samefile(output, source)


# --- Predictions --------------------------------------------------------------------------------


class Run(NamedTuple):
    """The predictions of a run; `name` is shown to the user."""

    name: str
    entity_tags: bool
    sentences: "Iterator[ScoredSentence]"


def saved_runs(names: Sequence[str]) -> list[Run]:
    """Return the runs of prediction files, and of folders that hold some."""
    from results.prediction_files import SPLITS, PredictionFile, saved_predictions

    saved = {name: saved_predictions(Path(name)) for name in names if os.path.isdir(name)}
    split = next((s for s in SPLITS if all(s in files for files in saved.values())), None)
    if split is None:
        listed = "\n".join(
            f"  {name}: {', '.join(files) or 'none'}" for name, files in saved.items()
        )
        raise UserError(
            "the folders have no predictions with gold tags of the same split:\n"
            f"{listed}\nExpected the test or the validation split in each of them. To tag a "
            "labelled file with the models now: --input FILE"
        )
    paths = [str(saved[name][split]) if name in saved else name for name in names]
    files = [PredictionFile(path) for path in paths]
    return [Run(file.path, file.entity_tags, file.sentences()) for file in files]


def tagged_runs(names: Sequence[str], files: list[str], flags: ComparisonFlags) -> list[Run]:
    """Return the runs of models that tag the input, one after another, and of prediction files."""
    from results.prediction_files import PredictionFile
    from tagging.tagger import Tagger

    runs = []
    for name in names:
        if os.path.isfile(name):
            file = PredictionFile(name)
            runs.append(Run(file.path, file.entity_tags, file.sentences()))
            continue
        tagger = Tagger(name)
        # A list, so that only one model is in memory at a time.
        sentences = list(tag_input(tagger, files, flags))
        runs.append(Run(name, tagger.entity_tags, iter(sentences)))
    return runs


def tag_input(
    tagger: "Tagger", files: list[str], flags: ComparisonFlags
) -> "Iterator[ScoredSentence]":
    """Yield the sentences of labelled files with the tags of a model."""
    from corpus.formats.sentence import ReadOptions
    from results.prediction_files import ScoredSentence
    from tagging.chunks import in_chunks
    from tagging.input_lines import BrokenLines
    from tagging.score import labelled_items, tag_labelled

    columns = flags.text_column_name, flags.label_column_name
    options = ReadOptions(tagger.task or "ner", *columns, word_splitter=tagger.word_splitter)
    is_labelled = flags.label_column_name is not None
    problems = BrokenLines(skip=False, can_skip=False)
    items = labelled_items(files, options, problems, may_be_prose=not is_labelled)
    for chunk in in_chunks(items, lambda seconds=0: False, tagger):
        pairs = zip(*tag_labelled(tagger, chunk), strict=True)
        for item, (references, predictions) in zip(chunk.items, pairs, strict=True):
            words = [word for word, _, _ in item.words or []]
            assert item.place is not None  # of a labelled sentence
            yield ScoredSentence(words, references, predictions, item.place)


class PairedSentence(NamedTuple):
    """A sentence that all runs tagged; `predictions` has the tags of each run."""

    words: list[str]
    gold: list[str]
    predictions: list[list[str]]
    place: "Place"


def paired_sentences(runs: Sequence[Run], entity_tags: bool) -> Iterator[PairedSentence]:
    """Yield the sentences of all runs; raise UserError where they are not the same."""
    streams = (run.sentences for run in runs)
    for number, sentences in enumerate(itertools.zip_longest(*streams), 1):
        first = sentences[0]
        for run, sentence in zip(runs[1:], sentences[1:], strict=True):
            difference = difference_of(first, sentence, entity_tags)
            if difference is not None:
                raise UserError(
                    f"{run.name} and {runs[0].name} are not predictions for the same sentences: "
                    f"sentence {number}: {difference}. Compare predictions for the same corpus."
                )
        # The most informative place: one in the corpus rather than in a prediction file. Prediction
        # files in columns name neither documents nor records.
        places = [(run.name, s.place) for run, s in zip(runs, sentences, strict=True)]
        _, place = max(
            places,
            key=lambda item: (
                item[1].file != item[0],
                item[1].document is not None,
                item[1].record_id is not None,
            ),
        )
        predictions = [sentence.predicted for sentence in sentences]
        yield PairedSentence(first.words, first.gold, predictions, place)


def difference_of(
    expected: "ScoredSentence | None", got: "ScoredSentence | None", entity_tags: bool
) -> str | None:
    """Describe the first difference of words and gold tags; return None if there is none."""
    from results.result_files import column_cell

    if expected is None or got is None:
        present = expected or got
        assert present is not None
        side = "the first" if got is None else "the second"
        return f"{side} ends before {quote(' '.join(present.words))} ({present.place})"
    # Columns hold no white space inside a word.
    for pair in itertools.zip_longest(got.words, expected.words):
        if None in pair or column_cell(pair[0]) != column_cell(pair[1]):
            return (
                f"got {quote(' '.join(got.words))} ({got.place}), expected "
                f"{quote(' '.join(expected.words))} ({expected.place})"
            )
    # Schemes of entity tags may differ where the entities are the same.
    equal = got.gold == expected.gold
    if equal or (entity_tags and entities(got.gold) == entities(expected.gold)):
        return None
    tags = zip(got.words, got.gold, expected.gold, strict=True)
    word, tag, expected_tag = next(row for row in tags if row[1] != row[2])
    return f"the gold tag of {quote(word)}: got {tag} ({got.place}), expected {expected_tag}"


if __name__ == "__main__":
    prepare_process()
    run_script(main)
