"""CoNLL columns: their roles, comments, documents, and rows that do not fit."""

import json
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.formats import detect
from corpus.formats.sentence import LayoutKind, ReadOptions
from corpus.problems import Place, ProblemKind, Problems
from tests.helpers.broken_corpora import GOOD, BrokenCorpus, check_broken_corpus
from tests.helpers.corpus_files import (
    CONLL2003,
    CONLLU,
    PLAIN,
    columns_text,
    read,
    spaced,
    write_file,
)
from tests.helpers.messages import stable

SPACED = {
    "one_space.conll": spaced,
    "aligned.conll": lambda s: columns_text(s, lambda i, w, t: f"{w:12}   {t} "),
    "four_columns.txt": lambda s: columns_text(s, lambda i, w, t: f"{w} NN B-NP {t}"),
    "three_columns.txt": lambda s: columns_text(s, lambda i, w, t: f"{w} NN {t}"),
}


@pytest.mark.parametrize("name", SPACED)
def test_columns_separated_by_spaces(tmp_path, name):
    assert read(write_file(tmp_path, name, SPACED[name](PLAIN))) == PLAIN


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (CONLLU, {"task": "pos"}, ["VERB PRON ADV", "INTJ"]),
        (CONLLU, {"task": "pos", "label_column": "xpos"}, ["VB PRP RB", "UH"]),
        (CONLLU, {"label_column": "4"}, ["VB PRP RB", "UH"]),
        (CONLLU, {"label_column": "-6"}, ["VB PRP RB", "UH"]),
        (CONLL2003, {}, ["B-ORG O", "B-PER", "B-PER"]),
        (CONLL2003, {"task": "chunk"}, ["B-NP B-VP", "B-NP", "B-NP"]),
        (CONLL2003, {"task": "pos"}, ["NNP VBZ", "NNP", "NNP"]),
        (CONLL2003, {"label_column": "1"}, ["NNP VBZ", "NNP", "NNP"]),
        ("a DT B-NP\nb NN I-NP\n", {"task": "pos"}, ["DT NN"]),  # CoNLL-2000
        ("a DT B-NP\nb NN I-NP\n", {"task": "chunk"}, ["B-NP I-NP"]),
        ("a lemma DT\nb lemma NN\n", {"task": "pos"}, ["DT NN"]),  # like TreeTagger
        ("# global.columns = ID FORM NER\n1\ta\tO\n2\tb\tB-X\n", {}, ["O B-X"]),
        ("# id 7 domain=en\na _ _ O\nb _ _ B-X\n", {}, ["O B-X"]),  # as many cells as a row
        ("ner_tags\ttokens\nO\ta\nB-X\tb\n", {}, ["O B-X"]),
        ("x\ty\nO\ta\nB-X\tb\n", {"text_column": "y", "label_column": "x"}, ["O B-X"]),
        ("O\ta\nB-X\tb\n", {"text_column": "-1", "label_column": "0"}, ["O B-X"]),
    ],
)
def test_columns_of_tags(tmp_path, content, options, expected):
    sentences = read(write_file(tmp_path, "file", content), **options)
    assert [" ".join(sentence_tags) for _, sentence_tags in sentences] == expected


NER_POS = "a\tB-X\tDT\nb\tI-X\tNN\nc\tO\tNN\n"


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (NER_POS, {}, "B-X I-X O"),
        (NER_POS, {"task": "pos"}, "DT NN NN"),
        (NER_POS, {"label_column": "2"}, "DT NN NN"),  # as requested
        ("a NN B-X 0.9\nb NN O 0.8\n", {}, "B-X O"),
        ("a b_x NN\nb o NN\n", {}, "b_x o"),
        ("a B NN\nb O NN\n", {}, "B O"),
        ("a\tB-X\tO\t\nb\tI-X\tB-X\t\n", {}, "B-X I-X"),  # layers, and an empty column
        ("a\tB-X\tO\nb\tI-X\tB-X\n", {}, "B-X I-X"),
        ("a\tB-X\tO\tO\nb\tI-X\tO\tO\n", {}, "B-X I-X"),  # not CoNLL-2003
        ("a a NN B-NC B-X\nb b VV B-VC O\n", {}, "B-X O"),  # as in the German CoNLL-2003
        ("a a NN B-NC B-X\nb b VV B-VC O\n", {"task": "chunk"}, "B-NC B-VC"),
        ("a NN sn B-X\nb VB B-sn O\n", {}, "B-X O"),
        ("a NN B-NP O\nb VB B-VP O\n", {}, "O O"),  # no entity yet
        ("a\tB-X\tNN\tB-NP\nb\tO\tVB\tB-VP\n", {}, "B-X O"),
        ("a\tB-X\tNN\tB-NP\nb\tO\tVB\tB-VP\n", {"task": "chunk"}, "B-NP B-VP"),
        ("a\tO\tNN\nb\tO\tVB\n", {}, "O O"),
        ("a\tDT\nb\tNN\n", {}, "DT NN"),  # refused later: there are no entity tags
        ("1\ta\ta\tX\tX\t_\t_\t_\t_\tB-X\n2\tb\tb\tX\tX\t_\t_\t_\t_\tO\n", {}, "B-X O"),
        ("O\ta\nB-X\tb\n", {}, "O B-X"),  # the label first
        ("O\ta\nB-X\tb\n", {"label_column": "0"}, "O B-X"),
        ("token\tentity\na\tO\nb\tB-X\n", {}, "O B-X"),
        ("Wort\ttag\na\tO\nb\tB-X\n", {}, "O B-X"),
        ("entity\ttoken\nO\ta\nB-X\tb\n", {}, "O B-X"),
        ("word\tgender\na\tm\nb\tf\n", {"task": "pos"}, "m f"),
        ("pos\tWort\nm\ta\nf\tb\n", {"task": "pos"}, "m f"),
        ("text\tO\nb\tB-X\n", {}, "O B-X"),  # the word "text"
        ("Text NN\nist VB\n", {"task": "pos"}, "NN VB"),
        ("Tag NN O\nb VB B-X\n", {}, "O B-X"),
    ],
)
def test_columns_are_chosen_by_content(tmp_path, content, options, expected):
    ((_, sentence_tags),) = read(write_file(tmp_path, "file", content), **options)
    assert " ".join(sentence_tags) == expected


@pytest.mark.parametrize(
    "content",
    [NER_POS, "a\tB-X\tB-X\nb\tO\tI-X\n", "O\ta\nB-X\tb\n", "word\tner\tpos\na\tB-X\tDT\n"],
)
def test_a_choice_by_content_is_said(tmp_path, content, snapshot):
    path = write_file(tmp_path, "a.tsv", content)
    assert detect.read(path, ReadOptions(), Problems()).notes == snapshot


@pytest.mark.parametrize(
    ("blank", "separator"),
    [
        ("\tO", "\t"),
        ("\t", "\t"),
        (" \tO", "\t"),
        ("\u00a0\tO", "\t"),
        ("\u00a0", "\t"),
        ('""\tO', "\t"),
        ("\u00a0 O", " "),
        ("\u200b\tO", "\t"),
        ("\u2060\t", "\t"),
        ("\u2060 O", " "),
        ("\ufeff\tO", "\t"),
        (" O", " "),
        ("\u3000", " "),
    ],
)
def test_rows_of_a_blank_word_end_sentences(tmp_path, blank, separator):
    rows = [f"a{separator}B-X", f"b{separator}O"]
    text = "\n".join([*rows, blank, *rows, "", *rows, blank]) + "\n"
    problems = Problems()
    sentences = read(write_file(tmp_path, "a.conll", text), problems)
    assert not problems
    assert sentences == [(["a", "b"], ["B-X", "O"])] * 3
    counts = [group.count for group in problems.warnings.groups]
    assert counts == ([] if blank == "\t" else [2])


def test_a_blank_word_of_an_entity_is_a_word(tmp_path):
    text = "New B-X\n\u00a0 I-X\nYork I-X\n"
    expected = [(["New", "\u00a0", "York"], ["B-X", "I-X", "I-X"])]
    assert read(write_file(tmp_path, "a.conll", text)) == expected


def test_two_quotes_before_a_blank_line_are_a_word(tmp_path):
    text = 'a\tB-X\n""\tO\n\nb\tO\n'
    assert read(write_file(tmp_path, "a.tsv", text)) == [
        (["a", '""'], ["B-X", "O"]),
        (["b"], ["O"]),
    ]


def test_conllu_has_words_documents_and_lines(tmp_path):
    opened = detect.read(
        write_file(tmp_path, "a.conllu", CONLLU), ReadOptions(task="pos"), problems := Problems()
    )
    sentences = list(opened.sentences)
    assert not problems
    assert [(s.words, s.document, s.lines) for s in sentences] == [
        (["da", "melo", "Nueva York"], "first", [5, 6, 8]),
        (["sí"], "second", [12]),
    ]


def test_docstart_begins_documents(tmp_path):
    opened = detect.read(write_file(tmp_path, "a.conll", CONLL2003), ReadOptions(), Problems())
    assert [(s.document, list(s.lines)) for s in opened.sentences] == [
        ("a.conll#1", [3, 4]),
        ("a.conll#2", [6]),
        ("a.conll#2", [8]),
    ]


@pytest.mark.parametrize("mark", ["-DOCSTART- (1 EU)", "-DOCSTART- (1)\tO", "-docstart-\tO"])
def test_marks_of_documents_with_a_name_or_in_lower_case_are_not_words(tmp_path, mark):
    content = f"{mark}\n\nEU\tB-ORG\n\n{mark}\nAnna\tB-PER\n"
    path = write_file(tmp_path, "a.conll", content)
    sentences = list(detect.read(path, ReadOptions(), Problems()).sentences)
    assert [(s.words, s.document) for s in sentences] == [
        (["EU"], "a.conll#1"),
        (["Anna"], "a.conll#2"),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("# a comment\nEU O\n", ["EU"]),
        ("#\nEU O\n", ["EU"]),
        ("# key = value\nEU O\n", ["EU"]),
        ("#tag O\nEU O\n", ["#tag", "EU"]),
        ("# O\nEU O\n", ["#", "EU"]),
        ("# = O\nEU NN O\n", ["#", "EU"]),
        ("EU O\n# O\n", ["EU", "#"]),
        ("EU\tO\n#\tO\n", ["EU", "#"]),
        ("# EU rejects\nEU\tO\n", ["EU"]),
    ],
)
def test_comments_and_words_that_begin_with_a_hash(tmp_path, content, expected):
    assert read(write_file(tmp_path, "a.conll", content)) == [(expected, ["O"] * len(expected))]


def test_only_spaces_and_tabs_are_blank(tmp_path):
    assert read(write_file(tmp_path, "a.txt", "EU\n\u00a0\n\u3000\n \t\nx\n")) == [
        (["EU", "\u00a0", "\u3000"], None),
        (["x"], None),
    ]


CASES = {
    "one column too few": BrokenCorpus(
        "a.conll", GOOD + "\nBonn\n", {}, [(ProblemKind.ROW_WIDTH, 1, ["a.conll:8"])]
    ),
    "one column too many": BrokenCorpus(
        "a.tsv",
        "EU\tB-ORG\nrejects\tO\nBonn\tB-LOC\tx\n",
        {},
        [(ProblemKind.ROW_WIDTH, 1, ["a.tsv:3"])],
    ),
    "two rows on one line": BrokenCorpus(
        "a.conll", "EU B-ORG rejects O\n" + GOOD, {}, [(ProblemKind.ROW_WIDTH, 1, ["a.conll:1"])]
    ),
    "spaces in a tab-separated file": BrokenCorpus(
        "a.conll",
        "EU\tB-ORG\nrejects O\nGerman\tB-MISC\n",
        {},
        [(ProblemKind.ROW_WIDTH, 1, ["a.conll:2"])],
    ),
    "tabs in a space-separated file": BrokenCorpus(
        "a.conll",
        "EU B-ORG\nnew\tYork B-LOC\nit O\n",
        {},
        [(ProblemKind.ROW_WIDTH, 1, ["a.conll:2"])],
    ),
    "a hashtag without a tag": BrokenCorpus(
        "a.conll", "#tag\nEU B-ORG\nin O\n", {}, [(ProblemKind.ROW_WIDTH, 1, ["a.conll:1"])]
    ),
    "the word # with a space instead of the tab": BrokenCorpus(
        "a.conll", "# O\nEU\tB-ORG\nin\tO\n", {}, [(ProblemKind.ROW_WIDTH, 1, ["a.conll:1"])]
    ),
    "a comment within a sentence": BrokenCorpus(
        "a.conll", "EU B-ORG\n# a comment\nin O\n", {}, [(ProblemKind.ROW_WIDTH, 1, ["a.conll:2"])]
    ),
    "an empty tag": BrokenCorpus(
        "a.tsv", "EU\tB-ORG\nrejects\t\n", {}, [(ProblemKind.EMPTY_LABEL, 1, ["a.tsv:2"])]
    ),
    "a tag of spaces": BrokenCorpus(
        "a.tsv", "EU\tB-ORG\nin\t \n", {}, [(ProblemKind.EMPTY_LABEL, 1, ["a.tsv:2"])]
    ),
    "an empty file": BrokenCorpus("a.conll", "", {}, [(ProblemKind.NO_SENTENCE, 1, ["a.conll"])]),
    "blank lines only": BrokenCorpus(
        "a.conll", "\n \n\t\n", {}, [(ProblemKind.NO_SENTENCE, 1, ["a.conll"])]
    ),
    "comments only": BrokenCorpus(
        "a.conll", "# one\n# two\n", {}, [(ProblemKind.NO_SENTENCE, 1, ["a.conll"])]
    ),
    "documents without words": BrokenCorpus(
        "a.conll", "-DOCSTART- -X- -X- O\n\n", {}, [(ProblemKind.NO_SENTENCE, 1, ["a.conll"])]
    ),
    "words without tags": BrokenCorpus(
        "a.txt", "EU\nrejects\n", {}, [(ProblemKind.NO_LABELS, 1, ["a.txt"])]
    ),
    "raw text": BrokenCorpus(
        "a.txt",
        "EU rejects German call.\nPeter Blackburn said.\nNo.\n",
        {},
        [(ProblemKind.ROW_WIDTH, 2, ["a.txt:2", "a.txt:3"])],
    ),
    "a label column beyond the last": BrokenCorpus(
        "a.conll", GOOD, {"label_column_name": "2"}, [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.conll"])]
    ),
    "a label column before the first": BrokenCorpus(
        "a.conll", GOOD, {"label_column_name": "-3"}, [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.conll"])]
    ),
    "a column name in a file without names": BrokenCorpus(
        "a.conll",
        GOOD,
        {"text_column_name": "words"},
        [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.conll"])],
    ),
    "a name that the header lacks": BrokenCorpus(
        "a.tsv",
        "token\tner\nEU\tB-ORG\n",
        {"label_column_name": "nre"},
        [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.tsv"])],
    ),
    "entity tags in CoNLL-U": BrokenCorpus(
        "a.conllu",
        "1\tA\ta\tDET\tDT\t_\t_\t_\t_\t_\n2\tb\tb\tNOUN\tNN\t_\t_\t_\t_\t_\n",
        {},
        [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.conllu"])],
    ),
    "a missing blank line in CoNLL-U": BrokenCorpus(
        "a.conllu",
        "".join(f"{n}\tw\tw\tX\tX\t_\t_\t_\t_\t_\n" for n in (1, 2, 1, 2)),
        {"task_name": "pos"},
        [(ProblemKind.WORD_INDEX, 2, ["a.conllu:3", "a.conllu:4"])],
    ),
    "a word index out of order": BrokenCorpus(
        "a.tsv",
        "1\tEU\tB-ORG\tO\n2\tis\tO\tO\n3\tin\tO\tO\n4\tit\tO\tO\n5\ton\tO\tO\n6\tx\tO\tO\n7\ty\tO\tO\n"
        "8\tz\tO\tO\n9\ta\tO\tO\n10\tb\tO\tO\n11\tc\tO\tO\n13\td\tO\tO\n",
        {},
        [(ProblemKind.WORD_INDEX, 1, ["a.tsv:12"])],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)


def test_sentences_have_a_file_a_line_and_an_id(tmp_path):
    path = write_file(tmp_path, "a.conllu", CONLLU)
    opened = detect.read(path, ReadOptions(task="pos"), Problems())
    assert opened.layout_kind is LayoutKind.COLUMNS
    assert [s.place() for s in opened.sentences] == [
        Place(str(path), 5, "1"),
        Place(str(path), 12, "2"),
    ]
    path = write_file(tmp_path, "a.conll", "# sent_id = s 1\nEU O\nis O\n\nin O\n")
    first, second = detect.read(path, ReadOptions(), Problems()).sentences
    assert (first.place(1), second.place()) == (Place(str(path), 3, "s 1"), Place(str(path), 5))


# --- Numbers beside the words -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("7\t{}\t{}", 1),  # the number of the sentence
        ("0\t4\t{}\t{}", 2),  # offsets
        ("7 {} NN {}", 1),
        ("0.25\t1.5\t{}\t{}", 2),  # times
        ("0-4\t{}\t{}", 1),  # offsets in one column
    ],
)
def test_a_first_column_of_numbers_does_not_hold_the_words(tmp_path, row, column):
    sentence = "\n".join(row.format(*pair) for pair in (("Anna", "B-PER"), ("ran", "O")))
    path = write_file(tmp_path, "a.tsv", f"{sentence}\n\n" * 2)
    assert read(path) == [(["Anna", "ran"], ["B-PER", "O"])] * 2
    (note,) = detect.read(path, ReadOptions(), Problems()).notes
    assert note == f"column 0 holds numbers, so the words are in column {column}"


def test_numbered_sentences_without_blank_lines_are_not_joined(tmp_path, snapshot):
    rows = "".join(f"{number}\tAnna\tB-PER\n{number}\tran\tO\n" for number in range(3))
    path = write_file(tmp_path, "a.tsv", rows)
    assert read(path, problems := Problems()) == []
    assert stable(problems, tmp_path) == snapshot
    path = write_file(tmp_path, "b.tsv", "sentence_id\ttoken\tner_tag\n" + rows)
    assert read(path) == [(["Anna", "ran"], ["B-PER", "O"])] * 3


@pytest.mark.parametrize("none", ["", "O", "_"])
@pytest.mark.parametrize("form", ["{0}\t{1}\t{2}", "{0}\t{2}\t{1}", "{0}\tx\t{1}\tn\t{2}"])
def test_types_in_a_column_of_their_own(tmp_path, none, form):
    rows = [("Anna", "B", "PERSON"), ("Bell", "I", "PERSON"), ("ran", "O", none), ("x", "O", none)]
    content = "".join(form.format(*row) + "\n" for row in rows)
    path = write_file(tmp_path, "a.tsv", f"{content}\n" * 2)
    tags = ["B-PERSON", "I-PERSON", "O", "O"]
    assert read(path) == [(["Anna", "Bell", "ran", "x"], tags)] * 2
    (note,) = detect.read(path, ReadOptions(), Problems()).notes
    assert note.startswith("the types of the tags in column")


def test_types_in_small_letters_beside_tags_without_a_b(tmp_path):
    rows = "Anna\tI\tPerson\nsaw\tO\t\nRome\tI\tPlace\n.\tO\t\n\n"
    path = write_file(tmp_path, "a.tsv", rows * 9)
    tags = ["I-Person", "O", "I-Place", "O"]
    assert read(path) == [(["Anna", "saw", "Rome", "."], tags)] * 9


def test_a_column_that_repeats_the_entities_does_not_hold_their_types(tmp_path):
    path = write_file(tmp_path, "a.tsv", "EU\tB\tEU\nsaid\tO\t\nUN\tB\tUN\n\n" * 2)
    sentences = read(path)
    assert [words for words, _ in sentences] == [["EU", "said", "UN"]] * 2
    assert {tag for _, tags in sentences for tag in tags}.isdisjoint({"B-EU", "B-UN"})


def test_types_in_a_column_of_their_own_after_identifiers(tmp_path):
    path = write_file(tmp_path, "a.tsv", "d1\tAnna\tB\tPER\nd1\tran\tO\t\nd1\tx\tO\t\n\n" * 3)
    assert read(path) == [(["Anna", "ran", "x"], ["B-PER", "O", "O"])] * 3
    assert [note[:17] for note in detect.read(path, ReadOptions(), Problems()).notes] == [
        "column 0 holds id",
        "the types of the ",
    ]


def test_types_in_a_list_of_their_own(tmp_path):
    fields = {"tokens": ["Anna", "ran"], "ent_iob": ["B", "O"], "ent_type": ["PERSON", ""]}
    short = {**fields, "ent_type": ["PERSON"]}
    path = write_file(tmp_path, "a.jsonl", f"{json.dumps(fields)}\n" * 3 + json.dumps(short))
    assert read(path, problems := Problems()) == [(["Anna", "ran"], ["B-PERSON", "O"])] * 3
    assert [group.kind for group in problems.groups] == [ProblemKind.LABEL_COUNT]


def test_types_in_a_column_of_a_table(tmp_path):
    rows = "1,Anna,B,PERSON\n1,ran,O,\n1,to,O,\n2,Rome,B,GPE\n2,x,O,\n"
    path = write_file(tmp_path, "a.csv", "sentence_id,word,iob,type\n" + rows)
    assert read(path) == [
        (["Anna", "ran", "to"], ["B-PERSON", "O", "O"]),
        (["Rome", "x"], ["B-GPE", "O"]),
    ]
    assert read(path, label_column="iob")[1] == (["Rome", "x"], ["B", "O"])


@pytest.mark.parametrize(
    "types", [("Anna Bell", "-"), ("Q42", "-"), ("PERSON", "PERSON"), ("", "")]
)
def test_other_columns_beside_bare_tags_are_not_types(tmp_path, types):
    """Mentions and entities as in AIDA, and columns that do not fit the tags."""
    content = "".join(
        f"{word}\t{tag}\t{type_}\n" for word, tag, type_ in zip("ab", "BO", types, strict=True)
    )
    assert read(write_file(tmp_path, "a.tsv", f"{content}\n" * 2)) == [(["a", "b"], ["B", "O"])] * 2


def test_a_type_that_does_not_fit_its_tag_is_part_of_the_tag(tmp_path):
    """It is reported as a tag that is not an entity tag."""
    rows = "a\tB\tPER\nb\tO\t\n\n" * 600 + "c\tO\tPER\nd\tB\t\n\n"
    assert read(write_file(tmp_path, "a.tsv", rows))[-1] == (["c", "d"], ["O-PER", "B-"])


STANZA = (
    "1\tAnna\t_\tPROPN\t_\t_\t2\tnsubj\t_\tstart_char=0|end_char=4|{}\n"
    "2\tran\t_\tVERB\t_\t_\t0\troot\t_\tstart_char=5|end_char=8|{}\n\n"
)


@pytest.mark.parametrize("asked", [None, "misc"])
def test_entity_tags_among_the_features_of_conllu(tmp_path, asked):
    content = STANZA.format("ner=O", "ner=O|SpaceAfter=No") + STANZA.format("ner=S-PER", "ner=O")
    path = write_file(tmp_path, "a.conllu", content)
    opened = detect.read(path, ReadOptions(label_column=asked), Problems())
    assert [sentence.tags for sentence in opened.sentences] == [["O", "O"], ["S-PER", "O"]]
    assert opened.notes == ("ner tags are in the feature 'ner' of column 9 (misc)",)
    assert read(path, task="pos") == [(["Anna", "ran"], ["PROPN", "VERB"])] * 2


def test_a_word_without_the_feature_of_the_tags_has_no_tag(tmp_path):
    path = write_file(tmp_path, "a.conllu", STANZA.format("ner=B-PER", "x=y"))
    assert read(path) == [(["Anna", "ran"], ["B-PER", ""])]


SENTENCE = (["Anna", "ran", "home", "."], ["B-PER", "O", "O", "O"])
ROWS = list(zip(*SENTENCE, strict=True))


@pytest.mark.parametrize(
    ("row", "column"),
    [("{name}\t{}\t{}", 1), ("{name}\t{name}\t{}\t{}", 2), ("{name}-{n}\t{}\t{}", 1)],
)
def test_a_first_column_of_identifiers_does_not_hold_the_words(tmp_path, row, column):
    content = "".join(
        "".join(f"{row.format(*pair, n=n, name=name)}\n" for n, pair in enumerate(ROWS, 8)) + "\n"
        for name in ("d9", "d10", "smith")
    )
    path = write_file(tmp_path, "a.tsv", content)
    assert read(path) == [SENTENCE] * 3
    (note,) = detect.read(path, ReadOptions(), Problems()).notes
    assert note == f"column 0 holds identifiers, so the words are in column {column}"
    names = "sent\tw\tner\n" if column == 1 else ""
    path = write_file(tmp_path, "b.tsv", names + content.replace("\n\n", "\n"))
    assert read(path, problems := Problems()) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.IMPLAUSIBLE]


def test_tags_before_the_words_are_not_names_of_sentences(tmp_path):
    """The features of CRFsuite, whose words are not words."""
    rows = "".join(f"{tag}\tw={word}\tp=x\n" for word, tag in ROWS)
    opened = detect.read(write_file(tmp_path, "a.tsv", f"{rows}\n" * 3), ReadOptions(), Problems())
    assert opened.layout.startswith("words in column 0")  # which are refused: they are tags


@pytest.mark.parametrize("word", [",,", ";;", "||"])
def test_a_first_word_of_delimiters_is_not_the_header_of_a_table(tmp_path, word):
    path = write_file(tmp_path, "a.txt", f"{word}\tO\nEU\tB-ORG\n")
    assert read(path) == [([word, "EU"], ["O", "B-ORG"])]


@pytest.mark.parametrize("name", ["a.conll", "a.csv", "a.jsonl"])
def test_the_mark_of_an_appended_file_is_not_part_of_a_word(tmp_path, name):
    content = {
        "a.conll": "EU\tB-X\n\n\ufeffEU\tB-X\n",
        "a.csv": "token,ner_tag,sentence_id\nEU,B-X,1\n\ufeffEU,B-X,2\n",
        "a.jsonl": '{"tokens": ["EU"], "ner_tags": ["B-X"]}\n' * 2,
    }[name]
    content = "\ufeff" + content.replace('\n{"', '\n\ufeff{"')
    assert read(write_file(tmp_path, name, content)) == [(["EU"], ["B-X"])] * 2


def test_an_empty_first_column_does_not_hold_the_words(tmp_path):
    path = write_file(tmp_path, "a.tsv", "\tEU\tB-ORG\n\trejects\tO\n\n\tBonn\tB-LOC\n")
    assert read(path) == [(["EU", "rejects"], ["B-ORG", "O"]), (["Bonn"], ["B-LOC"])]
    notes = detect.read(path, ReadOptions(), Problems()).notes
    assert notes == ("column 0 is empty, so the words are in column 1",)


def test_the_abstracts_of_jnlpba_are_documents(tmp_path):
    text = "###MEDLINE:95\n\nIL-2\tB-DNA\n\n###MEDLINE:96\n\n##\tO\ngene\tB-DNA\n"
    opened = detect.read(write_file(tmp_path, "a.iob2", text), ReadOptions(), Problems())
    documents = [(list(s.words), s.document) for s in opened.sentences]
    assert documents == [(["IL-2"], "MEDLINE:95"), (["##", "gene"], "MEDLINE:96")]


def test_chunks_do_not_replace_entity_tags_that_are_misspelt(tmp_path):
    rows = "U.S. NNP B-NP O\nran VBD B-VP B-\n\nBonn NNP B-NP B-\n"
    assert read(write_file(tmp_path, "a.conll", rows))[0] == (["U.S.", "ran"], ["O", "B-"])


def test_a_first_sentence_whose_index_begins_late_is_a_problem(tmp_path):
    """The file is still CoNLL-U: its ids are no words, and its empty columns no tags."""
    rows = [f"{n}\tword{n}\tword\tNOUN\t_\t_\t0\troot\t_\t_\n" for n in range(1, 6)]
    path = write_file(tmp_path, "a.conllu", "".join([*rows[1:], "\n", *rows, "\n"]))
    problems = Problems()
    opened = detect.read(str(path), ReadOptions("pos"), problems)
    (sentence,) = opened.sentences
    assert sentence.words == [f"word{n}" for n in range(1, 6)]
    assert [(g.kind, g.count) for g in problems.groups] == [(ProblemKind.WORD_INDEX, 4)]
