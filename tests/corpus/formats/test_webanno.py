"""WebAnno TSV 3: layers and features, annotations over several tokens, parts of tokens."""

import pytest

from corpus.formats import detect
from corpus.formats.sentence import ReadOptions
from corpus.problems import ProblemKind, Problems
from tests.helpers.corpus_files import read, write_file

HEAD = """\
#FORMAT=WebAnno TSV 3.3
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue
#T_CH=de.tudarmstadt.ukp.dkpro.core.api.coref.type.CoreferenceLink|referenceRelation|referenceType
#T_SP=webanno.custom.NamedEntity|identifier|value


#Text=x
"""
ROWS = [  # position, token, part of speech, entity
    ("1-1", "Anna", "NE", "PER[3]"),
    ("1-2", "Bell", "NE", "PER[3]"),
    ("1-3", "Rome", "NE", "LOC"),
    ("1-4", "Oslo", "NE", "LOC[4]"),
    ("1-5", "Bonn", "NE", "LOC[5]"),
    ("1-6", "a\\_b\\[1\\]", "X", "_"),
]


def webanno(rows, head=HEAD) -> str:
    return head + "".join(
        f"{position}\t0-1\t{token}\t{pos}\t_\t_\t*\t{entity}\t\n"
        for position, token, pos, entity in rows
    )


WORDS = ["Anna", "Bell", "Rome", "Oslo", "Bonn", "a_b[1]"]


def test_annotations_become_tags(tmp_path):
    content = webanno(ROWS) + "\n#Text=y\n2-1\t9-12\tBob\tNE\t_\t_\t*\tPER\t\n"
    path = write_file(tmp_path, "a.tsv", content)
    assert read(path) == [
        (WORDS, ["B-PER", "I-PER", "B-LOC", "B-LOC", "B-LOC", "O"]),
        (["Bob"], ["B-PER"]),
    ]
    assert read(path, task="pos")[0] == (WORDS, ["NE"] * 5 + ["X"])
    opened = detect.read(path, ReadOptions(), Problems())
    assert [(s.lines[0], s.record_id) for s in opened.sentences] == [(8, "1"), (16, "2")]


def test_another_feature_can_be_named(tmp_path):
    path = write_file(tmp_path, "a.tsv", webanno(ROWS))
    assert read(path, label_column="POS|PosValue")[0][1][0] == "B-NE"


@pytest.mark.parametrize("head", ["#FORMAT=WebAnno TSV 3.2\n", HEAD.replace("custom.Named", "X.")])
def test_a_file_without_a_layer_of_the_task_is_rejected(tmp_path, head, snapshot):
    path = write_file(tmp_path, "a.tsv", webanno(ROWS, head))
    assert read(path, problems := Problems(), task="chunk") == []
    assert [group.kind for group in problems.groups] == [ProblemKind.NO_SUCH_COLUMN]
    assert str(problems).replace(str(tmp_path), "<folder>") == snapshot


@pytest.mark.parametrize(
    ("entity", "kind"),
    [
        ("PER[3]|ORG[4]", ProblemKind.SPANS_OVERLAP),
        ("*[3]", ProblemKind.SPAN_FORM),
        ("*", ProblemKind.SPAN_FORM),
    ],
)
def test_annotations_that_are_not_one_label_are_rejected(tmp_path, entity, kind):
    path = write_file(tmp_path, "a.tsv", webanno([("1-1", "Anna", "NE", entity)]))
    read(path, problems := Problems())
    assert [(group.kind, group.shown[0].place.line) for group in problems.groups] == [(kind, 8)]


PART = [("1-1", "London-based", "X", "_"), ("1-1.1", "London", "_", "LOC"), ("1-2", "a", "X", "_")]


def test_a_part_of_a_token(tmp_path):
    path = write_file(tmp_path, "a.tsv", webanno(PART))
    read(path, problems := Problems())
    assert [group.kind for group in problems.groups] == [ProblemKind.SPAN_CUTS_WORD]
    words = ["London-based", "a"]
    for alignment, tags, kind in (
        ("expand", ["B-LOC", "O"], ProblemKind.SPAN_EXPANDED),
        ("skip", ["O", "O"], ProblemKind.SPAN_LEFT_OUT),
    ):
        assert read(path, problems := Problems(), span_alignment=alignment) == [(words, tags)]
        assert not problems
        assert [group.kind for group in problems.warnings.groups] == [kind]


@pytest.mark.parametrize("position", ["-2", "1-3", "2", "1-2-2"])
def test_a_missing_token_is_a_problem(tmp_path, position):
    rows = [ROWS[0], (position, *ROWS[1][1:])]
    read(write_file(tmp_path, "a.tsv", webanno(rows)), problems := Problems())
    assert [(g.kind, g.shown[0].place.line) for g in problems.groups] == [
        (ProblemKind.WORD_INDEX, 9)
    ]
