"""CoNLL-2012, the columns of OntoNotes: entities in brackets, a column for each predicate."""

import re
from collections.abc import Iterable, Iterator

from corpus.formats.column_names import requested_column
from corpus.formats.sentence import UNREADABLE, LayoutKind, OpenedSource, ReadOptions, Sentence
from corpus.formats.text import BLANK
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import counted, quote

HEADER = re.compile(r"\s*+#begin document ")
NEW_DOCUMENT = re.compile(r"#begin document \((.*)\);?\s*(?:part\s+(\d+))?.*")
# Columns from the left; those after them depend on the predicates of the sentence.
COLUMNS = (
    *("document", "part", "number", "word", "pos", "parse", "lemma", "frameset", "sense"),
    *("speaker", "ner"),
)
WORD = COLUMNS.index("word")
BRACKETS = re.compile(r"(?:\(([^()*]+))?\*?(\))?")
MISSING_WORD = "[WORD]"
EXAMPLE = "(PERSON* for the first word, * for the next, *) for the last, (GPE) for the only one"


def open_conll2012(
    lines: Iterable[str], options: ReadOptions, problems: Problems, name: str
) -> OpenedSource:
    """Open a file of CoNLL-2012, given as lines without line ends."""
    column = COLUMNS.index(options.task) if options.task in COLUMNS else None
    if options.label_column is not None:
        column = requested_column(options.label_column, COLUMNS, len(COLUMNS))
    if column is None:
        asked = options.label_column or options.task
        detail = f"CoNLL-2012 has no column for {asked} tags"
        expected = (
            f"--task_name ner or pos, or --label_column_name with one of {', '.join(COLUMNS)}"
        )
        problems.add(Problem(ProblemKind.NO_SUCH_COLUMN, Place(name), detail, expected))
        return UNREADABLE
    sentences = _read_sentences(lines, column, problems, name)
    description = f"CoNLL-2012, words in column {WORD}, tags in column {column} (counted from 0)"
    return OpenedSource(
        sentences, LayoutKind.COLUMNS, description, True, label_column=COLUMNS[column]
    )


def _read_sentences(
    lines: Iterable[str], column: int, problems: Problems, name: str
) -> Iterator[Sentence]:
    document: str | None = None
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(lines, 1):
        row = line.split()
        if line.startswith(("#begin document", "#end document")) or not line.strip(BLANK):
            yield from _sentence(rows, column, document, problems, name)
            rows = []
            if match := NEW_DOCUMENT.fullmatch(line):
                document = match[1] if match[2] is None else f"{match[1]}#{int(match[2])}"
        elif len(row) < len(COLUMNS) or row[WORD] == MISSING_WORD:
            detail = f"{counted(len(row), 'column')} in {quote(line)}"
            if len(row) >= len(COLUMNS):
                detail = f"{MISSING_WORD} in place of a word, in {quote(line)}"
            expected = f"at least {len(COLUMNS)} columns, the words among them"
            place = Place(name, number, None, document)
            problems.add(Problem(ProblemKind.ROW_WIDTH, place, detail, expected))
        else:
            rows.append((number, row))
    yield from _sentence(rows, column, document, problems, name)


def _sentence(
    rows: list[tuple[int, list[str]]],
    column: int,
    document: str | None,
    problems: Problems,
    name: str,
) -> Iterator[Sentence]:
    if not rows:
        return
    tags = [row[column] for _, row in rows]
    if COLUMNS[column] == "ner":
        tags, faulty = iob2_of_brackets(tags)
        for position in faulty:
            number, row = rows[position]
            detail = f"{quote(row[column])} of {quote(row[WORD])}"
            place = Place(name, number, None, document)
            problems.add(Problem(ProblemKind.NOT_ENTITY_TAG, place, detail, EXAMPLE))
    words, lines = [row[WORD] for _, row in rows], [number for number, _ in rows]
    yield Sentence(words, tags, document, lines, name, None)


def iob2_of_brackets(cells: list[str]) -> tuple[list[str], list[int]]:
    """Return the IOB2 tags of entities in brackets, and the positions of cells that are wrong."""
    tags: list[str] = []
    faulty: list[int] = []
    label: str | None = None  # of the entity that is open
    for position, cell in enumerate(cells):
        match = BRACKETS.fullmatch(cell) if cell != "-" else BRACKETS.fullmatch("*")
        begins = None if match is None else match[1]
        if match is None or not cell or (begins and label) or (match[2] and not (begins or label)):
            faulty.append(position)
            tags.append("O")
            label = None
            continue
        label = begins or label
        tags.append("O" if label is None else f"{'B' if begins else 'I'}-{label}")
        if match[2]:
            label = None
    if label is not None:
        faulty.append(len(cells) - 1)
    return tags, faulty
