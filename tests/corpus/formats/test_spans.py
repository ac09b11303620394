"""Records of raw text with character spans, as annotation tools export them."""

import json
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.load import load_corpus
from corpus.problems import ProblemKind, Problems
from tests.helpers.broken_corpora import TEXT, BrokenCorpus, check_broken_corpus, record
from tests.helpers.corpora import tag_lists
from tests.helpers.corpus_files import LABEL_STUDIO, SPANS, read, write_file
from tests.helpers.messages import stable


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("plain.jsonl", {"spans": SPANS}),
        ("spacy.jsonl", {"entities": [[0, 4, "PER"], [14, 22, "LOC"]]}),
        ("doccano.jsonl", {"id": 3, "label": [[0, 4, "PER"], [14, 22, "LOC"]]}),
        (
            "doccano_relations.jsonl",
            {
                "entities": [
                    {"id": 1, "label": "LOC", "start_offset": 14, "end_offset": 22},
                    {"id": 2, "label": "PER", "start_offset": 0, "end_offset": 4},
                ],
                "relations": [],
            },
        ),
        (
            "prodigy.jsonl",
            {
                "tokens": [{"text": "Anna", "start": 0, "end": 4}],
                "spans": SPANS,
                "answer": "accept",
            },
        ),
        (
            "studio_min.jsonl",
            {"label": [{**s, "labels": [s["label"]], "label": None} for s in SPANS]},
        ),
        (
            "infer.jsonl",
            {
                "entities": [
                    {"entity_group": s["label"], "score": 0.9, **s, "label": None} for s in SPANS
                ]
            },
        ),
        ("trailing_space.jsonl", {"spans": [[0, 5, "PER"], [13, 22, "LOC"]]}),
    ],
)
def test_character_spans(tmp_path, name, fields):
    content = json.dumps({"text": "Anna lives in New York.", **fields})
    path = write_file(tmp_path, name, content)
    expected = (
        ["Anna", "lives", "in", "New", "York", "."],
        ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"],
    )
    assert read(path) == [expected]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("studio.json", [LABEL_STUDIO]),
        (
            "spacy_training.json",
            [["Anna lives in New York.", {"entities": [[14, 22, "LOC"], [0, 4, "PER"]]}]],
        ),
        (
            "spacy_annotator.json",
            {
                "classes": ["PER", "LOC"],
                "annotations": [
                    ["Anna lives in New York.", {"entities": [[0, 4, "PER"], [14, 22, "LOC"]]}]
                ],
            },
        ),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_exports_of_annotation_tools(tmp_path, name, content, indent):
    assert read(write_file(tmp_path, name, json.dumps(content, indent=indent))) == [
        (["Anna", "lives", "in", "New", "York", "."], ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"])
    ]


def test_offsets_count_code_points(tmp_path):
    content = json.dumps({"text": "👍👍 Zoë", "spans": [[3, 6, "PER"]]})
    assert read(write_file(tmp_path, "a.jsonl", content))[0][1][-1] == "B-PER"


def test_entities_of_adjacent_words_stay_separate(tmp_path):
    content = json.dumps({"text": "Anna Maria", "spans": [[0, 4, "PER"], [5, 10, "PER"]]})
    assert read(write_file(tmp_path, "a.jsonl", content)) == [
        (["Anna", "Maria"], ["B-PER", "B-PER"])
    ]


def test_rejected_answers_are_skipped_with_a_warning(tmp_path):
    lines = [
        {"text": "Anna", "spans": [], "answer": answer} for answer in ("accept", "reject", "ignore")
    ]
    path = write_file(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))
    assert read(path, problems := Problems()) == [(["Anna"], ["O"])]
    assert [(group.kind, group.count) for group in problems.warnings.groups] == [
        (ProblemKind.REJECTED_ANSWER, 2)
    ]


CASES = {
    "a span that ends inside a word": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="EU rejects", spans=[[0, 5, "ORG"]]),
        {},
        [(ProblemKind.SPAN_CUTS_WORD, 1, ["a.jsonl:2"])],
    ),
    "a span that begins inside a word": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="EU rejects", spans=[[1, 2, "ORG"]]),
        {},
        [(ProblemKind.SPAN_CUTS_WORD, 1, ["a.jsonl:2"])],
    ),
    "two spans in one word": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="ran 10km", spans=[[4, 6, "NUM"], [6, 8, "UNIT"]]),
        {},
        [(ProblemKind.SPAN_CUTS_WORD, 2, ["a.jsonl:2", "a.jsonl:2"])],
    ),
    "a span beyond the text": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="EU", spans=[[0, 3, "ORG"]]),
        {},
        [(ProblemKind.SPAN_OUTSIDE_TEXT, 1, ["a.jsonl:2"])],
    ),
    "a span that ends before it begins": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="EU", spans=[[2, 0, "ORG"]]),
        {},
        [(ProblemKind.SPAN_OUTSIDE_TEXT, 1, ["a.jsonl:2"])],
    ),
    "overlapping spans": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="New York City", spans=[[0, 8, "LOC"], [4, 13, "LOC"]]),
        {},
        [(ProblemKind.SPANS_OVERLAP, 1, ["a.jsonl:2"])],
    ),
    "two labels of a place": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="Rome", spans=[[0, 4, "LOC"], [0, 4, "ORG"]]),
        {},
        [(ProblemKind.SPANS_OVERLAP, 1, ["a.jsonl:2"])],
    ),
    "spans in another field": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="in Rome", labels=[[3, 7, "LOC"]]),
        {},
        [(ProblemKind.MISSING_COLUMN, 1, ["a.jsonl:2"])],
    ),
    "a span of white space": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="in Rome", spans=[[2, 3, "LOC"]]),
        {},
        [(ProblemKind.SPAN_WITHOUT_WORD, 1, ["a.jsonl:2"])],
    ),
    "a span without a label": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="Rome", spans=[{"start": 0, "end": 4}]),
        {},
        [(ProblemKind.SPAN_FORM, 1, ["a.jsonl:2"])],
    ),
    "a span with two labels": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="Rome", spans=[{"start": 0, "end": 4, "labels": ["A", "B"]}]),
        {},
        [(ProblemKind.SPAN_FORM, 1, ["a.jsonl:2"])],
    ),
    "offsets that are not numbers": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="Rome", spans=[["0", "4", "LOC"]]),
        {},
        [(ProblemKind.SPAN_FORM, 1, ["a.jsonl:2"])],
    ),
    "spans that are not a list": BrokenCorpus(
        "a.jsonl",
        TEXT + record(text="Rome", spans="LOC"),
        {},
        [(ProblemKind.SPANS_NOT_LIST, 1, ["a.jsonl:2"])],
    ),
    "two annotations of a text": BrokenCorpus(
        "a.json",
        json.dumps(
            [
                {
                    "data": {"text": "Rome"},
                    "annotations": [
                        {"result": []},
                        {"result": [{"value": {"start": 0, "end": 4, "labels": ["LOC"]}}]},
                    ],
                }
            ]
        ),
        {},
        [(ProblemKind.SEVERAL_ANNOTATIONS, 1, ["a.json:1"])],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)


# --- Spans inside a word ------------------------------------------------------------------------

BANK = {"text": "The London-based bank hired Anna.", "spans": [[4, 10, "LOC"], [28, 32, "PER"]]}
BANK_WORDS = ["The", "London-based", "bank", "hired", "Anna", "."]


@pytest.mark.parametrize(
    ("alignment", "tag", "kind"),
    [("expand", "B-LOC", ProblemKind.SPAN_EXPANDED), ("skip", "O", ProblemKind.SPAN_LEFT_OUT)],
)
def test_spans_inside_a_word_are_widened_or_left_out_and_counted(
    tmp_path, snapshot, alignment, tag, kind
):
    path = write_file(tmp_path, "a.jsonl", record(**BANK) * 2)
    sentences = read(path, problems := Problems(), span_alignment=alignment)
    assert sentences == [(BANK_WORDS, ["O", tag, "O", "O", "B-PER", "O"])] * 2
    assert not problems
    assert [(group.kind, group.count) for group in problems.warnings.groups] == [(kind, 2)]
    assert stable(problems.warnings, tmp_path) == snapshot


def test_a_span_is_widened_at_both_ends(tmp_path):
    text = "in Upper-Silesia and Baden-Baden today"
    path = write_file(tmp_path, "a.jsonl", record(text=text, spans=[[9, 26, "LOC"]]))
    tags = ["O", "B-LOC", "I-LOC", "I-LOC", "O"]
    assert read(path, span_alignment="expand")[0][1] == tags


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        ("in \u200eParis\u200f now", [4, 9, "LOC"], ["in", "\u200eParis\u200f", "now"]),
        ("in Paris\ufeff now", [3, 8, "LOC"], ["in", "Paris\ufeff", "now"]),
        ("in Pa\u00adris now", [3, 9, "LOC"], ["in", "Pa\u00adris", "now"]),
    ],
)
def test_a_span_without_the_zero_width_characters_of_its_word_is_whole(tmp_path, text, span, words):
    path = write_file(tmp_path, "a.jsonl", record(text=text, spans=[span]))
    assert read(path) == [(words, ["O", "B-LOC", "O"])]


@pytest.mark.parametrize("others", [{"label": ["sport"]}, {"labels": []}, {"entities": None}])
def test_a_text_without_spans_may_have_classes(tmp_path, others):
    content = record(text="Anna", spans=[[0, 4, "PER"]]) * 2 + record(
        text="Rome", spans={}, **others
    )
    path = write_file(tmp_path, "a.jsonl", content)
    assert read(path, problems := Problems())[2] == (["Rome"], ["O"])
    assert [group.kind for group in problems.warnings.groups] == [ProblemKind.NO_SPANS]


@pytest.mark.parametrize("form", ["text", "gliner"])
def test_a_span_given_twice_is_read_once(tmp_path, form):
    fields = {
        "text": {"text": "Anna ran", "spans": [[0, 4, "PER"]] * 2},
        "gliner": {"tokenized_text": ["Anna", "ran"], "ner": [[0, 0, "PER"]] * 2},
    }[form]
    path = write_file(tmp_path, "a.jsonl", record(**fields))
    assert read(path, problems := Problems()) == [(["Anna", "ran"], ["B-PER", "O"])]
    assert [group.kind for group in problems.warnings.groups] == [ProblemKind.SPAN_REPEATED]
    assert not problems


def test_spans_that_overlap_once_they_are_widened_are_rejected(tmp_path):
    path = write_file(
        tmp_path, "a.jsonl", record(text="ran 10km", spans=[[4, 6, "NUM"], [6, 8, "UNIT"]])
    )
    assert read(path, problems := Problems(), span_alignment="expand") == []
    assert [group.kind for group in problems.groups] == [ProblemKind.SPANS_OVERLAP]
    assert read(path, span_alignment="skip") == [(["ran", "10km"], ["O", "O"])]


def test_the_alignment_is_part_of_the_cache_key_and_reaches_the_readers(corpus_settings, tmp_path):
    path = write_file(tmp_path, "a.jsonl", record(**BANK) * 20)
    train = {"train_file": (str(path),), "hold_out": False}
    skipped = load_corpus(corpus_settings(**train, span_alignment="skip"))
    expanded = load_corpus(corpus_settings(**train, span_alignment="expand"))
    assert tag_lists(skipped, "train")[0][1] == "O"
    assert tag_lists(expanded, "train")[0][1] == "B-LOC"
    assert sum("widened to whole words: 20" in note for note in expanded.notes) == 1


SHIFTS = {"the last character": (0, -1), "from one": (1, 1), "from one, the last one": (1, 0)}
TEXTS = [("Anna Bell lives in Rome.", [(0, 9), (19, 23)]), ("Bob left Bonn.", [(0, 3), (9, 13)])]


@pytest.mark.parametrize("name", SHIFTS)
@pytest.mark.parametrize("alignment", ["strict", "expand"])
def test_offsets_that_are_wrong_by_one_are_named(tmp_path, snapshot, name, alignment):
    start, end = SHIFTS[name]
    content = "".join(
        record(text=text, spans=[[a + start, b + end, "X"] for a, b in spans])
        for text, spans in TEXTS
    )
    path = write_file(tmp_path, "a.jsonl", content)
    read(path, problems := Problems(), span_alignment=alignment)
    target = problems if alignment == "strict" else problems.warnings
    (group,) = [group for group in target.groups if group.kind is ProblemKind.OFFSET_UNIT]
    assert group.shown[0].detail == snapshot


def test_a_label_that_is_a_number_or_one_of_several_is_explained(tmp_path, snapshot):
    spans = [{"label": 7, "start": 0, "end": 3}, {"labels": ["X", "Y"], "start": 0, "end": 3}]
    path = write_file(tmp_path, "a.jsonl", record(text="Bob left", spans=spans))
    read(path, problems := Problems())
    assert stable(problems, tmp_path) == snapshot


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "Bob left", "label": {"name": {"Bob": [[0, 2]]}, "x": {}}},
        {"text": "Bob left", "entities": {"Person": [{"indices": [0, 3]}], "Place": []}},
        {"tokens": ["Bob", "left"], "entities": [{"type": "PER", "start": 0, "end": 1}]},
    ],
)
def test_labels_that_are_neither_tags_nor_spans_are_shown(tmp_path, snapshot, fields):
    assert read(write_file(tmp_path, "a.jsonl", record(**fields)), problems := Problems()) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.LABEL_FORM]
    assert stable(problems, tmp_path) == snapshot
