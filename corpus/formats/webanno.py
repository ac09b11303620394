"""WebAnno TSV 3, as WebAnno and INCEpTION export it: one token on each line, spans in columns."""

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from corpus.formats.sentence import UNREADABLE, LayoutKind, OpenedSource, ReadOptions, Sentence
from corpus.formats.spans import WHOLE_WORDS
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import counted, quote

HEADER = re.compile(r"#FORMAT=WebAnno TSV 3")
LAYERS = {"ner": ("namedentity", "ner.type"), "pos": ("pos",), "chunk": ("chunk",)}
FEATURES = ("value", "identifier", "PosValue", "coarseValue", "chunkValue")
FIRST_FEATURE = 3  # columns before: sentence and token, offsets, the token
UNLABELLED = "*"  # an annotation whose feature has no value
ANNOTATION = re.compile(r"(.*?)(?:\[(\d+)\])?", re.DOTALL)
ESCAPED = re.compile(r"\\(->|.)", re.DOTALL)
POSITION = re.compile(r"\d{1,9}-(\d{1,9})")
SEPARATOR = re.compile(r"(?<!\\)(?:\\\\)*+\|")
EXAMPLE = "1-1\t0-4\tAnna\tPER"


class Feature(NamedTuple):
    """A feature of a layer, and its column."""

    layer: str
    name: str
    column: int

    def __str__(self) -> str:
        return f"{self.layer.rpartition('.')[2]}|{self.name}"


def open_webanno(
    lines: Iterable[str], options: ReadOptions, problems: Problems, name: str
) -> OpenedSource:
    """Open a file of WebAnno TSV 3, given as lines without line ends."""
    lines = iter(lines)
    header: list[str] = []
    for line in lines:
        if not line.startswith("#") or line.startswith("#Text="):
            lines = itertools.chain([line], lines)
            break
        header.append(line)
    features = features_of(header)
    feature = _choose(features, options)
    if feature is None:
        listed = ", ".join(map(str, features)) or "no features"
        detail = f"no layer for {options.task} tags: the file has {listed}"
        if options.label_column is not None:
            detail = f"--label_column_name {options.label_column}: the file has {listed}"
        expected = "a layer of spans; name its feature with --label_column_name"
        problems.add(Problem(ProblemKind.NO_SUCH_COLUMN, Place(name), detail, expected))
        return UNREADABLE
    sentences = _read_sentences(lines, len(header) + 1, feature, options, problems, name)
    return OpenedSource(sentences, LayoutKind.COLUMNS, f"WebAnno TSV, tags from {feature}", True)


def features_of(header: Iterable[str]) -> list[Feature]:
    """Return the features of the layers of spans, with their columns, counted from 0."""
    features: list[Feature] = []
    column = FIRST_FEATURE
    for line in header:
        kind, _, declared = line.partition("=")
        layer, *names = declared.split("|")
        if kind == "#T_SP":
            features += [Feature(layer, feature, column + i) for i, feature in enumerate(names)]
        if kind in ("#T_SP", "#T_CH", "#T_RL"):  # a layer without features has a column, too
            column += max(1, len(names))
    return features


def _choose(features: list[Feature], options: ReadOptions) -> Feature | None:
    """Return the feature that the user named, or else the likeliest one of the task's layer."""
    if options.label_column is not None:
        named = (f for f in features if options.label_column in (str(f), f.name, f.layer))
        return next(named, None)
    of_task = [
        feature
        for feature in features
        if any(name in feature.layer.lower() for name in LAYERS[options.task])
    ]
    if not of_task and options.task == "ner" and len({f.layer for f in features}) == 1:
        of_task = features  # a layer of the project's own
    ranked = (feature for name in FEATURES for feature in of_task if feature.name == name)
    return next(ranked, of_task[0] if of_task else None)


def _read_sentences(
    lines: Iterator[str],
    number: int,
    feature: Feature,
    options: ReadOptions,
    problems: Problems,
    name: str,
) -> Iterator[Sentence]:
    """Yield the sentences; the first of `lines` has the number `number`."""
    reader = _TokenReader(feature, options, problems, name)
    for line_number, line in enumerate(lines, number):
        if line.startswith("#"):
            if line.startswith("#Text="):
                yield from reader.sentence()
        elif line:
            row = line.split("\t")
            if len(row) <= feature.column:
                width = f"{counted(len(row), 'column')} in {quote(line)}"
                place = Place(name, line_number)
                problems.add(Problem(ProblemKind.ROW_WIDTH, place, width, EXAMPLE))
            else:
                reader.add(row, line_number)
        else:
            yield from reader.sentence()
    yield from reader.sentence()


class _TokenReader:
    """Collects the tokens of a sentence, and turns annotations into IOB2 tags."""

    def __init__(self, feature: Feature, options: ReadOptions, problems: Problems, name: str):
        self.feature, self.alignment = feature, options.span_alignment
        self.plain = options.task == "pos"
        self.problems, self.name = problems, name
        self._begin()

    def _begin(self) -> None:
        self.words: list[str] = []
        self.tags: list[str] = []
        self.lines: list[int] = []
        self.sentence_id: str | None = None
        self.open_id: str | None = None  # the annotation of the last token

    def sentence(self) -> Iterator[Sentence]:
        """Yield the sentence collected so far, if there is one, and begin another."""
        if self.words:
            document = Path(self.name).name
            yield Sentence(self.words, self.tags, document, self.lines, self.name, self.sentence_id)
        self._begin()

    def add(self, row: list[str], line: int) -> None:
        """Add the token of a row, or the annotation of a part of a token."""
        position, word, value = row[0], row[2], row[self.feature.column]
        if "." in position:  # 1-2.1: a part of token 1-2
            self._add_part(row, line, value)
            return
        match = POSITION.fullmatch(position)
        if match is None or int(match[1]) != len(self.words) + 1:
            detail = f"got {quote(position)} of {quote(word)}, expected token {len(self.words) + 1}"
            self._add_problem(ProblemKind.WORD_INDEX, line, detail)
        annotations = [] if value == "_" else SEPARATOR.split(value)
        if len(annotations) > 1:
            self._add_problem(ProblemKind.SPANS_OVERLAP, line, f"{quote(value)} of {quote(word)}")
            annotations = annotations[:1]
        self.words.append(_unescaped(word))
        self.lines.append(line)
        self.sentence_id = position.partition("-")[0]
        if not annotations:
            self.tags.append("O")
            self.open_id = None
            return
        annotation = ANNOTATION.fullmatch(annotations[0])
        label, annotation_id = annotations[0], None
        if annotation is not None:
            label, annotation_id = annotation[1], annotation[2]
        if label in (UNLABELLED, ""):
            self._add_problem(ProblemKind.SPAN_FORM, line, f"no {self.feature} of {quote(word)}")
        continued = annotation_id is not None and annotation_id == self.open_id
        label = _unescaped(label)
        self.tags.append(label if self.plain else f"{'I' if continued else 'B'}-{label}")
        self.open_id = annotation_id

    def _add_part(self, row: list[str], line: int, value: str) -> None:
        if value == "_":
            return
        whole = self.words[-1] if self.words else ""
        detail = f"{quote(row[2])} ({value}) cuts {quote(whole)}; whole words: {quote(whole)}"
        label = ANNOTATION.fullmatch(SEPARATOR.split(value)[0])
        expandable = self.words and self.tags[-1] == "O" and label is not None
        if self.alignment == "skip":
            self._add_warning(ProblemKind.SPAN_LEFT_OUT, line, detail)
        elif self.alignment == "expand" and expandable and label is not None:
            self.tags[-1] = f"B-{_unescaped(label[1])}"
            self._add_warning(ProblemKind.SPAN_EXPANDED, line, detail)
        else:
            overlap = self.alignment == "expand"
            kind = ProblemKind.SPANS_OVERLAP if overlap else ProblemKind.SPAN_CUTS_WORD
            self._add_problem(kind, line, detail)

    def _add_problem(self, kind: ProblemKind, line: int, detail: str) -> None:
        expected = "one label for each token"
        if kind is ProblemKind.WORD_INDEX:
            expected = "sentence and token, counted from 1 without gaps: 1-1, 1-2, 1-3"
        if kind is ProblemKind.SPAN_CUTS_WORD:
            expected = WHOLE_WORDS
        self.problems.add(Problem(kind, Place(self.name, line), detail, expected))

    def _add_warning(self, kind: ProblemKind, line: int, detail: str) -> None:
        self.problems.warnings.add(Problem(kind, Place(self.name, line), detail))


def _unescaped(text: str) -> str:
    return ESCAPED.sub(lambda match: {"t": "\t", "n": "\n"}.get(match[1], match[1]), text)
