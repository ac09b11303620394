"""Prediction files, read: those of this suite, and any columns that conlleval reads.

    file = PredictionFile("out/predictions.jsonl")
    file.entity_tags                           # whether its tags are entity tags
    for words, gold, predicted, place in file.sentences(): ...

JSON Lines have `words`, `gold_tags` and `predicted_tags`. Columns have the word first, the gold tag
second to last, the predicted tag last, and a blank line after each sentence. The content decides.
"""

import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from common import are_entity_tags
from corpus.formats.column_layout import DOCUMENT_START
from corpus.formats.text import text_lines
from corpus.problems import CorpusError, Place, Problems
from results.result_files import PREDICTIONS, column_cell
from support.errors import UserError
from support.text import quote, shortened
from tagging.entities import to_iob2

SPLITS = ("test", "validation")  # validation selected the weights, so it comes second
FIELDS = ("words", "gold_tags", "predicted_tags")
HEAD_LINES = 50  # lines that decide what separates the columns
JSON_OBJECT = re.compile(r'[\s\ufeff]*{\s*".*:')  # a word may be a brace too
SPACES = re.compile("[ \t]+")
FORM = (
    "JSON Lines with the fields words, gold_tags and predicted_tags, or one word on each line with "
    "its gold tag and its predicted tag in the last two columns"
)


class ScoredSentence(NamedTuple):
    """A sentence with its gold and predicted tags, and where it comes from.

    `place`: its place in the corpus if the file has it, otherwise in the file.
    """

    words: list[str]
    gold: list[str]
    predicted: list[str]
    place: Place


class PredictionFile:
    """A prediction file, read once to check it, and again for its sentences.

    Raises UserError if it does not hold gold and predicted tags.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = str(path)
        self.has_columns = False  # otherwise JSON Lines
        gold: set[str] = set()
        predicted: set[str] = set()
        for sentence in self._read():
            gold.update(sentence.gold)
            predicted.update(sentence.predicted)
        if not gold:
            raise UserError(
                f"{self.path}: no predictions: got a file without a word, expected {FORM}."
            )
        tags = gold | predicted
        self.entity_tags = are_entity_tags(tags)
        self._is_iob = not self.entity_tags or all(tag[0] in "OBI" for tag in tags)
        types_of_gold, types_of_predicted = (_types(side) for side in (gold, predicted))
        # Two layers of tags, such as chunks and entities, look like gold and predicted tags.
        sides_differ = (
            types_of_gold and types_of_predicted and not types_of_gold & types_of_predicted
        )
        if self.has_columns and sides_differ:
            raise UserError(
                f"{self.path}: the last two columns have no type in common: got "
                f"{shortened(sorted(gold), 60)} and {shortened(sorted(predicted), 60)}, expected "
                "gold and predicted tags of one task. Write the gold tag in the second-to-last "
                "column and the predicted tag in the last."
            )

    def sentences(self) -> Iterator[ScoredSentence]:
        """Yield the sentences that have words; entity tags of another scheme as IOB2."""
        for sentence in self._read():
            if not self._is_iob:
                gold, predicted = to_iob2(sentence.gold), to_iob2(sentence.predicted)
                sentence = sentence._replace(gold=gold, predicted=predicted)
            if sentence.words:
                yield sentence

    def _read(self) -> Iterator[ScoredSentence]:
        problems = Problems()
        filled = (line for line in text_lines(self.path, problems) if line.strip())
        head = list(itertools.islice(filled, HEAD_LINES))
        if head:
            lines = text_lines(self.path, problems)
            self.has_columns = JSON_OBJECT.match(head[0]) is None
            tabs = 2 * sum(line.count("\t") > 1 for line in head) > len(head)
            yield from (
                self._read_columns(lines, tabs) if self.has_columns else self._read_json(lines)
            )
        if problems:
            raise CorpusError(problems)

    def _read_json(self, lines: Iterator[str]) -> Iterator[ScoredSentence]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise self._error(number, f"not JSON: got {quote(line)}: {error}") from None
            if not isinstance(record, dict):
                raise self._error(number, f"not a record: got {quote(line)}")
            for field in FIELDS:
                value = record.get(field)
                if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                    raise self._error(number, f"{field}: got {quote(value)}, expected strings")
            words, gold, predicted = (record[field] for field in FIELDS)
            if not len(words) == len(gold) == len(predicted):
                raise self._error(
                    number,
                    f"got {len(words)} words, {len(gold)} gold tags and {len(predicted)} predicted "
                    "tags, expected one of each for each word",
                )
            # As in columns, so that both formats have the same types.
            gold, predicted = [*map(column_cell, gold)], [*map(column_cell, predicted)]
            yield ScoredSentence(words, gold, predicted, self._place(record, number, len(words)))

    def _place(self, record: dict[str, object], number: int, num_words: int) -> Place:
        """Return the place that a record gives, or its own line."""
        file, line, lines = record.get("file"), record.get("line"), record.get("lines")
        record_id, document = (
            None if record.get(name) is None else str(record[name])
            for name in ("record_id", "document")
        )
        if not isinstance(file, str):
            return Place(self.path, number, record_id, document)
        of_words = tuple(lines) if isinstance(lines, list) and len(lines) == num_words else ()
        return Place(
            file,
            line if isinstance(line, int) else None,
            record_id,
            document,
            lines=of_words if all(isinstance(number, int) for number in of_words) else None,
        )

    def _read_columns(self, lines: Iterator[str], tabs: bool) -> Iterator[ScoredSentence]:
        rows: list[list[str]] = []
        of_words: list[int] = []  # the line of each row
        width = documents = 0
        for number, line in enumerate(itertools.chain(lines, [""]), 1):
            text = line.strip(" \t\ufeff") if number == 1 else line.strip(" \t")
            if tabs and text.startswith("#") and "\t" not in text:
                continue  # a comment
            cells = text.split("\t") if tabs else SPACES.split(text)
            if text and cells[0] != DOCUMENT_START:
                width = width or len(cells)
                self._check_row(cells, width, text, number)
                of_words.append(number)
                rows.append(cells)
                continue
            if rows:
                document = str(documents) if documents else None
                words, gold, predicted = (
                    [row[column].strip() for row in rows] for column in (0, -2, -1)
                )
                place = Place(self.path, of_words[0], document=document, lines=tuple(of_words))
                yield ScoredSentence(words, gold, predicted, place)
                rows, of_words = [], []
            documents += bool(text)

    def _check_row(self, cells: Sequence[str], width: int, text: str, number: int) -> None:
        if len(cells) < 3:
            raise self._error(number, f"no gold and predicted tag: got {quote(text)}")
        if len(cells) != width:
            raise UserError(
                f"{self.path}:{number}: the number of columns changes: got {len(cells)} in "
                f"{quote(text)}, expected {width} as in the first row. Write the same columns in "
                "each row."
            )

    def _error(self, number: int, problem: str) -> UserError:
        return UserError(f"{self.path}:{number}: {problem}. Expected {FORM}.")


def _types(tags: set[str]) -> set[str]:
    return {tag[2:] if are_entity_tags([tag]) else tag for tag in tags - {"O"}}


def saved_predictions(folder: Path) -> dict[str, Path]:
    """Return the prediction files with gold tags that a run wrote into its folder, by split."""
    saved = {}
    for split in SPLITS:
        paths = (folder / f"{PREDICTIONS[split]}{extension}" for extension in (".jsonl", ".txt"))
        path = next((path for path in paths if path.is_file()), None)
        if path is not None and _has_gold(path):
            saved[split] = path
    return saved


def _has_gold(path: Path) -> bool:
    """Return whether the first sentence of a file of this suite has gold tags."""
    line = next((line for line in text_lines(path, Problems()) if line.strip()), "")
    return '"gold_tags": null' not in line if path.suffix == ".jsonl" else line.count(" ") > 1
