"""One word per row: rows grouped into sentences."""

import json
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.problems import ProblemKind, Problems
from tests.helpers.broken_corpora import BrokenCorpus, check_broken_corpus
from tests.helpers.corpus_files import read, write_file


def test_unquoted_tabs_with_sentence_ids(tmp_path):
    sentences = [(['"', "a"], ["O", "B-X"]), (["'"], ["O"])]
    text = "sentence_id\tword\ttag\n1\t\"\tO\n1\ta\tB-X\n2\t'\tO\n"
    assert read(write_file(tmp_path, "a.tsv", text)) == sentences


def test_only_the_first_row_of_a_sentence_needs_its_id(tmp_path):
    rows = "Sentence #,Word,POS,Tag\nSentence: 1,EU,NNP,B-org\n,said,VBD,O\nSentence: 2,No,UH,O\n"
    path = write_file(tmp_path, "ner.csv", rows)
    assert read(path) == [(["EU", "said"], ["B-org", "O"]), (["No"], ["O"])]
    assert read(path, task="pos") == [(["EU", "said"], ["NNP", "VBD"]), (["No"], ["UH"])]


A, B, C = (["a1", "a2"], ["B-X", "I-X"]), (["b1", "b2"], ["O", "O"]), (["c1", "c2"], ["O", "B-X"])


@pytest.mark.parametrize(
    ("rows", "expected", "warnings"),
    [
        # A change of document ends a sentence.
        ("d1,1,a1,B-X d1,1,a2,I-X d2,1,b1,O d2,1,b2,O", [A, B], []),
        ("d1,1,a1,B-X d1,1,a2,I-X d1,2,b1,O d1,2,b2,O d2,1,c1,O d2,1,c2,B-X", [A, B, C], []),
        # Interleaved rows belong to the sentence of their document and id.
        ("d1,1,a1,B-X d1,2,b1,O d1,1,a2,I-X d1,2,b2,O", [A, B], [ProblemKind.JOINED_ROWS]),
        ("d1,1,a1,B-X d2,1,b1,O d1,1,a2,I-X d2,1,b2,O", [A, B], [ProblemKind.JOINED_ROWS]),
        (",s,a1,B-X ,t,b1,O ,s,a2,I-X ,t,b2,O", [A, B], [ProblemKind.JOINED_ROWS]),
        # Without documents, numbers that begin again are new sentences.
        (
            ",1,a1,B-X ,1,a2,I-X ,2,b1,O ,2,b2,O ,1,c1,O ,1,c2,B-X ,2,b1,O ,2,b2,O",
            [A, B, C, B],
            [ProblemKind.REPEATED_IDS],
        ),
        (",,a1,B-X ,,a2,I-X ,,,O ,,b1,O ,,b2,O", [A, B], [ProblemKind.BLANK_ROW]),
        ("d1,1,a1,B-X ,,a2,I-X d2,1,b1,O ,,b2,O", [A, B], []),
    ],
)
def test_sentences_of_rows(tmp_path, rows, expected, warnings):
    cells = [row.split(",") for row in rows.split()]
    header = ["doc_id", "sentence_id", "token", "ner_tag"]
    filled = [any(row[column] for row in cells) for column in range(4)]
    text = "".join(
        ",".join(cell for cell, keep in zip(row, filled, strict=True) if keep) + "\n"
        for row in [header, *cells]
    )
    problems = Problems()
    assert read(write_file(tmp_path, "a.csv", text), problems) == expected
    assert not problems
    assert [group.kind for group in problems.warnings.groups] == warnings


def test_an_id_may_be_of_another_type(tmp_path):
    rows = [("1", "a"), ("1", "b"), ([1], "c"), ([1], "d")]
    records = [{"sentence_id": key, "token": word, "tag": "O"} for key, word in rows]
    text = "".join(json.dumps(record) + "\n" for record in records)
    assert read(write_file(tmp_path, "a.jsonl", text)) == [
        (["a", "b"], ["O", "O"]),
        (["c", "d"], ["O", "O"]),
    ]


def test_a_blank_word_of_an_identified_sentence_is_a_word(tmp_path):
    text = "sentence_id,token,tag\n1,a,B-X\n1,,O\n1,b,O\n"
    assert read(write_file(tmp_path, "a.csv", text)) == [(["a", "", "b"], ["B-X", "O", "O"])]


CASES = {
    "a row far from its sentence": BrokenCorpus(
        "a.csv",
        "sentence_id,word,tag\n" + "".join(f"{n},EU,B-ORG\n" for n in range(1500)) + "7,in,O\n",
        {},
        [(ProblemKind.SCATTERED_SENTENCE, 1, ["a.csv:1502 (record '7')"])],
    ),
    "rows without a sentence id": BrokenCorpus(
        "a.csv",
        "word,tag\nEU,B-ORG\nrejects,O\n",
        {},
        [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.csv:2"])],
    ),
    "words that do not belong to a sentence": BrokenCorpus(
        "a.csv",
        "sentence_id,word,tag\n,EU,B-ORG\n1,rejects,O\n",
        {},
        [(ProblemKind.WORD_WITHOUT_SENTENCE, 1, ["a.csv:2"])],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)


def test_missing_ids_of_pandas_are_not_ids(tmp_path):
    rows = "Sentence: 1,EU,B-X\nNaN,ran,O\nSentence: 2,Bo,B-X\nnan,sat,O\n"
    path = write_file(tmp_path, "a.csv", f"Sentence #,Word,Tag\n{rows}")
    assert read(path) == [(["EU", "ran"], ["B-X", "O"]), (["Bo", "sat"], ["B-X", "O"])]


def test_a_quote_that_swallows_rows_is_a_problem(tmp_path):
    rows = '1,said,O\n1,",O\n1,EU,B-X\n1,",O\n2,Bo,B-X\n'
    path = write_file(tmp_path, "a.csv", f"sentence_id,token,ner_tag\n{rows}")
    read(path, problems := Problems())
    assert [(g.kind, g.shown[0].place.line) for g in problems.groups] == [
        (ProblemKind.OPEN_QUOTES, 3)
    ]


def test_two_interleaved_sentences_of_which_one_is_longer_are_joined(tmp_path):
    words = {"s0": "a b c", "s1": "d e f g h i j k l m"}
    pairs = [(key, w) for key, text in words.items() for w in text.split()]
    order = ["s0", "s1"] * 3 + ["s1"] * 7
    rows = []
    for key in order:
        word = next(w for k, w in pairs if k == key)
        pairs.remove((key, word))
        rows.append(f"{key},{word},O\n")
    path = write_file(tmp_path, "a.csv", "sentence_id,token,ner_tag\n" + "".join(rows))
    sentences = read(path, problems := Problems())
    assert [" ".join(found) for found, _ in sentences] == list(words.values()) and not problems
