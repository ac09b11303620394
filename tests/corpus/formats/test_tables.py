"""CSV, parquet and Arrow."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.formats import detect
from corpus.formats.sentence import ReadOptions
from corpus.formats.tables import read_csv
from corpus.problems import ProblemKind, Problems
from tests.helpers.broken_corpora import BrokenCorpus, check_broken_corpus
from tests.helpers.corpus_files import read, write_file


def test_a_table_names_its_integer_labels(tmp_path):
    import datasets

    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-X"])),
        }
    )
    rows = {"tokens": [["a", "b"]], "ner_tags": [[1, 0]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
    opened = detect.read(tmp_path / "a.parquet", ReadOptions(), Problems())
    assert opened.label_names == ["O", "B-X"]
    assert [list(sentence.tags) for sentence in opened.sentences] == [[1, 0]]


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\r\nsentence_id;word;tag\r\n1;Anna;B-PER\r\n2;ran;O\r\n",
        '"sep=,"\nsentence_id,word,tag\n1,Anna,B-PER\n2,ran,O\n',
        "sentence_id;word;tag;;\n1;Anna;B-PER;;\n2;ran;O;;\n;;;;\n",
        "sentence_id, word, tag\n1, Anna, B-PER\n2, ran, O\n",
        "sentence_id ,word ,tag\n1,Anna,B-PER\n2,ran,O\n",
        "sentence_id;word;tag;\n1;Anna;B-PER;\n2;ran;O\n",
    ],
    ids=["delimiter line", "in quotes", "empty columns", "spaces", "names", "an empty column"],
)
def test_what_spreadsheets_add_to_a_table_is_not_part_of_it(tmp_path, content):
    path = write_file(tmp_path, "a.csv", content)
    assert read(path) == [(["Anna"], ["B-PER"]), (["ran"], ["O"])]


@pytest.mark.parametrize("header", ["text", "text,label"])
def test_spaces_that_begin_a_cell_belong_to_it(tmp_path, header):
    rest = ',"[[1, 5, ""PER""]]"' if "," in header else ""
    path = write_file(tmp_path, "a.csv", f"{header}\n Anna ran{rest}\n")
    opened = detect.read(path, ReadOptions(), Problems())
    assert [s.tags for s in opened.sentences] == [["B-PER", "O"] if rest else None]


def test_a_value_beyond_the_named_columns_is_a_problem(tmp_path):
    path = write_file(tmp_path, "a.csv", "sentence_id,word,tag,\n1,Anna,B-PER,x\n2,ran,O,\n")
    assert read(path, problems := Problems()) == [(["ran"], ["O"])]
    assert [group.kind for group in problems.groups] == [ProblemKind.ROW_WIDTH]


def test_sentences_of_documents_in_a_table_are_read(tmp_path):
    """The layout of OntoNotes on the Hub: a list of objects with integer labels."""
    import datasets

    names = datasets.ClassLabel(names=["O", "B-X"])
    sentence = {"words": datasets.List(datasets.Value("string")), "ner": datasets.List(names)}
    features = datasets.Features({"document_id": datasets.Value("string"), "sentences": [sentence]})
    sentences = [{"words": ["a", "b"], "ner": [1, 0]}, {"words": ["c"], "ner": [0]}]
    rows = {"document_id": ["d"], "sentences": [sentences]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
    opened = detect.read(tmp_path / "a.parquet", ReadOptions(), Problems())
    assert opened.label_names == ["O", "B-X"]
    assert [(s.words, s.tags, s.document) for s in opened.sentences] == [
        (["a", "b"], [1, 0], "d"),
        (["c"], [0], "d"),
    ]


def test_spans_in_a_list_for_each_key_are_read(tmp_path):
    spans = {"start": [0, 9], "end": [4, 13], "label": ["PER", "LOC"]}
    empty = {key: [] for key in spans}
    texts = pa.array(["Anna saw Rome", "Bob ran"])
    spans_by_key = pa.array([spans, empty])
    pq.write_table(pa.table({"text": texts, "entities": spans_by_key}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [
        (["Anna", "saw", "Rome"], ["B-PER", "O", "B-LOC"]),
        (["Bob", "ran"], ["O", "O"]),
    ]


def test_spans_of_a_table_may_have_any_name(tmp_path):
    spans = pa.array([[{"value": "Anna", "start": 0, "end": 4, "label": "NAME"}]])
    texts, masked = pa.array(["Anna ran"]), pa.array(["[NAME] ran"])
    table = pa.table({"source_text": texts, "masked_text": masked, "privacy_mask": spans})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [(["Anna", "ran"], ["B-NAME", "O"])]


def test_ids_of_sentences_may_be_numbers_with_a_point(tmp_path):
    """A column of integers with missing values becomes one in pandas."""
    ids = pa.array([1.0, None, 2.0])
    words, tags = pa.array(["Anna", "ran", "Bob"]), pa.array(["B-PER", "O", "B-PER"])
    table = pa.table({"sentence_id": ids, "word": words, "tag": tags})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [
        (["Anna", "ran"], ["B-PER", "O"]),
        (["Bob"], ["B-PER"]),
    ]


CASES = {
    "a CSV row that is too short": BrokenCorpus(
        "a.csv",
        "sentence_id,word,tag\n1,EU,B-ORG\n1,rejects\n",
        {},
        [(ProblemKind.ROW_WIDTH, 1, ["a.csv:3"])],
    ),
    "a CSV file without a header": BrokenCorpus(
        "a.csv", "EU,B-ORG\nrejects,O\n", {}, [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.csv:2"])]
    ),
    "two columns with the same name": BrokenCorpus(
        "a.csv",
        "sentence_id,word,tag,tag\n1,EU,B-ORG,O\n1,in,O,O\n",
        {},
        [(ProblemKind.REPEATED_COLUMN_NAME, 1, ["a.csv:1"])],
    ),
    "a quote that is never closed": BrokenCorpus(
        "a.csv",
        'sentence_id,word,tag\n1,EU,B-ORG\n1,"rejects,O\n1,in,O\n',
        {},
        [(ProblemKind.NOT_CSV, 1, ["a.csv:3"])],
    ),
    "a long list as numpy prints it": BrokenCorpus(
        "a.csv",
        "tokens,ner_tags\n\"['EU', 'is']\",\"['B-X', 'O']\"\n\"['EU' ... 'is']\",\"['B-X' 'O']\"\n",
        {},
        [(ProblemKind.WORDS_NOT_LIST, 1, ["a.csv:3"])],
    ),
    "a truncated parquet file": BrokenCorpus(
        "a.parquet", b"PAR1\x15\x04\x15", {}, [(ProblemKind.UNREADABLE_FILE, 1, ["a.parquet"])]
    ),
    "a truncated Arrow file": BrokenCorpus(
        "a.arrow", b"ARROW1\x00\x00\xff", {}, [(ProblemKind.UNREADABLE_FILE, 1, ["a.arrow"])]
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)


def test_a_carriage_return_among_quotes_and_tabs_is_no_traceback():
    problems = Problems()
    lines = ["text\tnote\n", 'a "b\tx\ry\tz\n', "c\td\n"]
    records = list(read_csv(lines, problems, "a.csv", "\t"))
    assert [record.fields for record in records] == [{"text": "c", "note": "d"}]
    assert problems.concern("a.csv")
