"""The report of `--check`: figures, warnings and problems of a whole corpus."""

import json
import re

import pytest
from transformers import AutoTokenizer

from corpus.check import check_corpus
from corpus.load import load_corpus
from corpus.tag_problems import is_nearly_the_same
from support.errors import UserError
from tests.helpers.corpora import GOOD, squeezed
from tests.helpers.messages import stable


def test_figures_and_warnings(corpus_settings, tiny_encoder, tmp_path, snapshot):
    test = "rejects O\n\x07 O\nla O\n☃ O\nEU B-ORG\n\nEU B-ORG\nrejects O\nGerman B-MISC\n"
    settings = corpus_settings(
        train_file="-DOCSTART- O\n\n" + GOOD,
        validation_file="\tB-MISC\nEU\tB-ORG\nBonn\tI-PER\n",
        test_file=test,
    )
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    report, without_problems = check_corpus(settings, tokenizer, window_length=5)
    lines = squeezed(report, tmp_path)
    assert without_problems
    for expected in (
        "train 3 6 1 3 16.67 %",  # a window of 3 sub-words, Bl ##a ##c: one word does not fit
        "MISC 1 1 1",
        "ORG 2 1 2",
        "PER 1 1 0",
        "validation.conll:3: 'I-PER' of 'Bonn'",
        "test.conll:4: '☃'",
        "test.conll:7: 'EU rejects German'",
    ):
        assert expected in lines, expected
    # The empty word is reported as empty, and as a word without a known sub-word.
    assert sum(line.startswith("validation.conll:1: ") for line in lines) == 2
    assert sum("test.conll:1" in line for line in lines) == 1  # the longest sentence
    assert stable(report, tmp_path) == snapshot


def test_unknown_words_are_grouped(corpus_settings, tiny_encoder, tmp_path, snapshot):
    settings = corpus_settings(
        train_file="EU B-ORG\n\n☃ O\nin O\n☃ O\n\n" + 30 * "☃ O\n",
        validation_file="EU B-ORG\n☂ O\n☃ O\n\n" + 40 * "☂ O\n",
    )
    report, _ = check_corpus(settings, AutoTokenizer.from_pretrained(tiny_encoder), 64)
    lines = squeezed(report, tmp_path)
    first = lines.index("validation.conll:2: '☂', 41 times")  # the most frequent first
    assert lines[first - 1].endswith(" (2):")
    assert lines[first + 1 : first + 3] == ["train.conll:3: '☃', 33 times", ""]
    assert stable(report, tmp_path) == snapshot


def test_the_held_out_split_and_the_sentences_it_shares(corpus_settings, tmp_path, snapshot):
    document = "-DOCSTART- O\n\nReuters B-ORG\n\n"
    text = "".join(f"{document}w{number} O\nin O\n\n" for number in range(20))
    settings = corpus_settings(train_file=text, test_file="w7 O\nin O\n")
    report, without_problems = check_corpus(settings)
    assert without_problems
    lines = squeezed(report, tmp_path)
    held_out = load_corpus(settings).splits["validation"]
    assert len(held_out) == 4
    for expected in (
        "train 36 54 18 2",
        "validation 4 6 2 2",
        "test 1 2 0 2",
        "ORG 18 2 0",
    ):
        assert expected in lines, expected
    # Each document has seven lines, the third of which is the sentence that all documents share.
    documents = sorted(int(name[1:]) for (name, *_) in held_out["tokens"] if name != "Reuters")
    shared = [f"train.conll:{7 * number + 3}: 'Reuters'" for number in documents]
    first = lines.index(shared[0])
    assert lines[first - 1].endswith(" (2):")
    assert lines[first : first + 2] == shared
    assert stable(report, tmp_path) == snapshot


def test_sentences_repeated_too_often_to_be_held_out_together(corpus_settings, tmp_path, snapshot):
    """They fill more than a tenth of the corpus, so they are in both splits; the report says so."""
    text = 10 * "EU B-ORG\n\nin O\nit O\n\n"
    report, _ = check_corpus(corpus_settings(train_file=text))
    lines = squeezed(report, tmp_path)
    assert any(line.startswith("train 18 ") for line in lines)
    assert any(line.startswith("validation 2 ") for line in lines)
    assert sum(line.endswith(" (2):") for line in lines) == 1  # the shared sentences
    assert stable(report, tmp_path) == snapshot  # no claim that they are kept together


def words_of_types(**counts) -> str:
    return "".join(f"x B-{kind}\nin O\n\n" for kind, n in counts.items() for _ in range(n))


def test_a_corpus_without_entities_is_reported(corpus_settings, tmp_path, snapshot):
    report, without_problems = check_corpus(corpus_settings(train_file="EU O\nrejects O\n\nit O\n"))
    assert without_problems
    assert stable(report, tmp_path) == snapshot
    assert stable(check_corpus(corpus_settings(train_file=GOOD))[0], tmp_path) == snapshot


def test_a_misspelt_type_in_training_is_reported(corpus_settings, tmp_path, snapshot):
    settings = corpus_settings(train_file=words_of_types(PER=200, PRE=1, per=2, ORG=150, OGR=3))
    report, without_problems = check_corpus(settings)
    assert without_problems
    assert stable(report, tmp_path) == snapshot
    lines = squeezed(report, tmp_path)
    rare = [
        *((3 * n + 1, "B-OGR", "B-ORG") for n in (353, 354, 355)),
        (601, "B-PRE", "B-PER"),
        *((3 * n + 1, "B-per", "B-PER") for n in (201, 202)),
    ]
    first = next(i for i, line in enumerate(lines) if line.startswith("train.conll:1060: "))
    for line, (number, tag, meant) in zip(lines[first : first + 6], rare, strict=True):
        assert line.startswith(f"train.conll:{number}: '{tag}' of 'x'") and meant in line
    notes = load_corpus(settings).notes
    assert sum("'B-OGR' of 'x'" in note and "B-ORG" in note for note in notes) == 1


@pytest.mark.parametrize(
    ("name", "intended"),
    [("PERS", "PER"), ("person.", "Person"), ("0RG", "ORG"), ("L0C", "LOC"), ("Organizatoin",
     "Organization"), ("work-of-arts", "work_of_art"), ("per", "PER")],
)  # fmt: skip
def test_a_rare_type_of_nearly_the_same_name_is_reported(corpus_settings, name, intended):
    """Also where it has more words than a slip has, and the corpus is small."""
    for rare, frequent, is_reported in ((1, 10, True), (20, 200, True), (2, 19, False)):
        content = words_of_types(**{intended: frequent, name: rare, "X": 1})
        report, without_problems = check_corpus(corpus_settings(train_file=content))
        assert without_problems
        expected = f"'B-{name}' of 'x'; did you mean B-{intended}?"
        assert (expected in report) == is_reported, report
        assert ("'B-X' of 'x'" in report) is False


@pytest.mark.parametrize(
    "types",
    [
        "DATE RATE", "PER PET", "DNA RNA", "LD LDS", "ST STR", "CARDINAL ORDINAL", "LAW LOC",
        "person-actor person-author", "IN_LOCATION ON_LOCATION", "IPV4 IPV6", "cell_line cell_type",
        "street state", "start_date end_date", "B1 BI", "GROUP_1 GROUP_I", "TIME_5 TIME_S",
    ],
)  # fmt: skip
def test_types_of_published_corpora_are_not_misspellings(types):
    first, second = types.split()
    assert not is_nearly_the_same(first, second) and not is_nearly_the_same(second, first)


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        pytest.param(words_of_types(PER=5000, PERS=21), {}, id="a type of its own"),
        pytest.param(words_of_types(LOC=100, LOCA=90, DATE=90, RATE=80), {}, id="both frequent"),
        pytest.param(words_of_types(PER=100, PRE=3), {}, id="not rare enough"),
        pytest.param(words_of_types(PER=1000, PRE=4), {}, id="too frequent for a slip"),
        pytest.param(words_of_types(PER=1000, PRQ=1, LOC=1), {}, id="two letters"),
        pytest.param(words_of_types(ENT1=1000, ENT2=1, ENT=1), {}, id="numbered types"),
        pytest.param(words_of_types(NP=1000, VP=1, PP=1), {"task_name": "chunk"}, id="chunks"),
        pytest.param(
            200 * "x NN\n" + "\nx NNS\n" + 200 * "x PRP\n" + "x PRP$\n",
            {"task_name": "pos"},
            id="parts of speech",
        ),
        pytest.param(
            words_of_types(PER=200, PET=1),
            {"label_names": ["O", "B-PER", "I-PER", "B-PET", "I-PET"]},
            id="declared",
        ),
    ],
)
def test_types_that_may_be_intended_are_not_reported_as_misspelt(corpus_settings, content, flags):
    report, without_problems = check_corpus(corpus_settings(train_file=content, **flags))
    assert without_problems
    assert not re.search(r"'\S+' of 'x'", report)  # no tag is quoted


def test_a_misspelt_type_without_prefixes_is_reported(corpus_settings):
    text = 200 * "x PER\nin O\n\n" + "x PRE\n"
    report, _ = check_corpus(corpus_settings(train_file=text, tag_scheme="io"))
    assert re.search(r"'PRE' of 'x'.*\bPER\b", report)


def test_a_test_split_alone_gets_a_report_that_does_not_mention_training(
    corpus_settings, tmp_path, snapshot
):
    report, without_problems = check_corpus(corpus_settings(test_file=GOOD))
    assert without_problems
    assert stable(report, tmp_path) == snapshot


def test_a_check_without_a_tokenizer_caches_nothing(corpus_settings, tmp_path, snapshot):
    report, without_problems = check_corpus(corpus_settings(train_file=GOOD))
    assert without_problems
    assert stable(report, tmp_path) == snapshot  # does not mention sub-words; has a held-out split
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_figures_and_problems_are_shown_together(corpus_settings, tmp_path, snapshot):
    report, without_problems = check_corpus(corpus_settings(train_file=20 * GOOD + 30 * "x\n"))
    assert not without_problems
    assert " (30):" in report
    assert len(re.findall(r"train\.conll:\d+: ", report)) == 20  # and 10 more
    assert stable(report, tmp_path) == snapshot


# --- Every problem, as a file ---------------------------------------------------------------------


def test_every_problem_is_written_to_a_file(corpus_settings, tmp_path):
    """The report lists twenty; the file holds them all, with their places and texts."""
    rows = [
        {"id": 100 + n, "doc_id": "news", "tokens": ["In", f"w{n}"], "ner_tags": ["O", "ORG"]}
        for n in range(30)
    ]
    rows[0]["ner_tags"] = ["O", "B-ORG"]
    rows[5]["tokens"][0] = ""
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = corpus_settings(train_file=(str(path),), hold_out=False)
    file = tmp_path / "problems.jsonl"
    report, would_start = check_corpus(settings, problem_file=file)
    assert not would_start and "and 9 more" in report
    assert report == check_corpus(settings)[0]
    written = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    errors = [row for row in written if row["severity"] == "error"]
    assert len(errors) == 29 and {row["kind"] for row in errors} == {"not-entity-tag"}
    assert [row["line"] for row in errors] == list(range(2, 31))
    assert errors[0] | {"expected": ""} == {
        "severity": "error",
        "kind": "not-entity-tag",
        "file": str(path),
        "line": 2,
        "record_id": "101",
        "document": "news",
        "span": [3, 5],
        "text": "In w1",
        "title": "tags that are not entity tags",
        "detail": errors[0]["detail"],
        "expected": "",
    }
    assert "B-PER" in errors[0]["expected"]
    (warning,) = (row for row in written if row["severity"] == "warning")
    assert (warning["kind"], warning["line"], warning["span"]) == ("empty-word", 6, [0, 0])


def test_a_corpus_that_is_not_found_is_a_line_too(corpus_settings, tmp_path):
    file = tmp_path / "problems.jsonl"
    settings = corpus_settings(train_file=(str(tmp_path / "absent.conll"),))
    assert not check_corpus(settings, problem_file=file)[1]
    (row,) = (json.loads(line) for line in file.read_text().splitlines())
    assert (row["severity"], row["kind"]) == ("error", "not-read")
    assert "absent.conll" in row["detail"]


def test_a_corpus_without_problems_gives_an_empty_file(corpus_settings, tmp_path):
    file = tmp_path / "problems.jsonl"
    assert check_corpus(corpus_settings(train_file=GOOD, hold_out=False), problem_file=file)[1]
    assert file.read_text() == ""
    with pytest.raises(UserError, match="--output"):
        check_corpus(corpus_settings(train_file=GOOD), problem_file=tmp_path / "no" / "file")
