"""Suspected label errors on the pages of their study and of runs."""

import json
import os
import random

from corpus.problems import Place
from results.label_error_files import rank_suspects, suspect_json, write_suspects
from results.report import write_report
from results.report_label_errors import (
    SuspectPair,
    digest_of,
    study_cautions,
    study_of,
    study_verdict,
    suspect_pairs,
    suspects_shown,
    write_suspect_page,
)
from results.study_files import LabelledSentence
from results.study_folds import score_sentences
from tests.helpers.pages import Page, assert_inert, entity_run


def labelled(words: str, tags: str, line: int = 1, file: str = "a.conll") -> LabelledSentence:
    return LabelledSentence(words.split(), tags.split(), Place(file, line, f"r{line}", "d1"))


SENTENCES = [
    labelled("Ada left Rome", "B-PER O O", 1),
    labelled("Bank of New York", "B-ORG O B-LOC I-LOC", 5),
    labelled("Paris slept", "B-LOC O", 10),
]
SUGGESTED = [["B-PER", "O", "B-LOC"], ["B-ORG", "I-ORG", "I-ORG", "I-ORG"], ["B-PER", "O"]]
LOG_ODDS = [[0, 0, 2.2], [0, 1.4, 1.4, 1.4], [0.85, 0]]


def records() -> list[dict]:
    ranked = rank_suspects(SENTENCES, SUGGESTED, LOG_ODDS, entity_tags=True)
    return [suspect_json(row, entity_tags=True) for row in ranked]


def test_a_record_has_the_tags_of_its_words():
    first, second, _ = records()
    assert (first["kind"], first["text"][first["start"] : first["end"]]) == (
        "missing entity",
        "Rome",
    )
    assert (first["words"], first["tags"], first["suggested_tags"]) == (["Rome"], ["O"], ["B-LOC"])
    assert first["label"] == [[0, 3, "PER"], [9, 13, "LOC"]]
    assert [entity["text"] for entity in second["labelled"]] == ["Bank", "New York"]
    assert second["label"] == [[0, 16, "ORG"]]


def test_suspects_keep_their_order_and_are_numbered_by_place():
    rows = records()
    random.Random(0).shuffle(rows)
    suspects = suspects_shown(rows, total=9)
    assert [s.mention for s in suspects.shown] == [" ".join(row["words"]) for row in rows]
    by_place = sorted(suspects.shown, key=lambda suspect: suspect.sentence)
    lines = [suspect.place.line for suspect in by_place]
    assert lines == sorted(lines) and suspects.total == 9
    assert {choice.name for choice in suspects.types} == {"PER", "LOC", "ORG"}
    assert sum(choice.mistakes for choice in suspects.kinds) == len(rows)


def test_only_the_words_concerned_show_their_tags():
    shown = suspects_shown(records()[:1], 1).shown[0]
    assert [(w.text, w.gold, w.predicted, w.bare) for w in shown.words] == [
        ("Ada", "", "", True),
        ("left", "", "", True),
        ("Rome", "O", "B-LOC", False),
    ]


def test_the_original_text_of_a_record_is_shown(tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text(json.dumps({"text": "Isn't  it Ada's?"}) + "\n")
    sentence = labelled("Is n't it Ada 's ?", "O O O O O O", 1, str(file))
    row = rank_suspects([sentence], [["O", "O", "O", "B-PER", "O", "O"]], [[2.0] * 6], True)
    (shown,) = suspects_shown([suspect_json(row[0], True)], 1).shown
    assert "".join(word.text + word.after for word in shown.words) == "Isn't  it Ada's?"


def test_pairs_of_label_and_suggestion_are_counted():
    rows = [*records(), records()[0] | {"score": 0.95}]
    assert suspect_pairs(rows)[0] == SuspectPair((None,), ("LOC",), 2, 0.95)


def scores_of(right: int, wrong: int) -> dict:
    sentences = [labelled("Ada left", "B-PER O")] * (right + wrong)
    predicted = [["B-PER", "O"]] * right + [["O", "O"]] * wrong
    return score_sentences(sentences, predicted, entity_tags=True)


def test_weak_models_are_a_caution(snapshot):
    assert study_cautions(scores_of(190, 10)) == []
    assert study_cautions(scores_of(90, 110)) == snapshot
    assert study_cautions(scores_of(9, 1)) == snapshot
    words = [labelled("Ada left", "NN VB")] * 100
    plain = score_sentences(words, [["NN", "NN"]] * 50 + [["NN", "VB"]] * 50, entity_tags=False)
    assert study_cautions(plain) == snapshot
    assert study_verdict(1, 200, scores_of(190, 10)) == snapshot


def test_the_page_of_a_study(tmp_path, snapshot):
    write_suspect_page(
        tmp_path / "page.html",
        records(),
        entity_tags=True,
        title="Suspected label errors in a.conll",
        date="26 November 2026",
        verdict=["3 suspected label errors.", "The models reach F1 0.5."],
        cautions=["The models are weak."],
    )
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    assert_inert(page)
    assert page.wording == snapshot


def test_a_page_without_suspects(tmp_path):
    write_suspect_page(tmp_path / "p.html", [], True, title="t", date="d", verdict=["None."])
    page = Page((tmp_path / "p.html").read_text("utf-8"))
    assert "None: where the models differ" in page.all_text and page.mistakes == []


# --- The pages of runs --------------------------------------------------------------------------


def write_study(folder, sentences) -> None:
    folder.mkdir(parents=True)
    ranked = rank_suspects(sentences, SUGGESTED, LOG_ODDS, entity_tags=True)
    write_suspects(folder / "label_errors.jsonl", ranked, True)
    record = {
        "suspects": len(ranked),
        "cautions": ["Weak."],
        "sentences_digest": digest_of(sentences),
    }
    (folder / "study.json").write_text(json.dumps(record))


def parts_of(*parts):
    return [lambda part=part: part for part in parts]


def test_a_study_of_the_same_sentences_is_found(tmp_path):
    write_study(tmp_path / "study", SENTENCES)
    write_study(tmp_path / "other", [*SENTENCES[:2], labelled("Oslo slept", "O O")])
    found = study_of([tmp_path], parts_of(SENTENCES[::-1]))
    assert (found.total, found.cautions) == (3, ["Weak."]) and found.folder.endswith("study")
    assert [row.mention for row in found.shown.shown] == [" ".join(r["words"]) for r in records()]
    # Two of the sentences are held out for validation.
    assert study_of([tmp_path], parts_of(SENTENCES[1:2], SENTENCES[::2])).folder == found.folder
    assert study_of([tmp_path], parts_of(SENTENCES[:2])) is None
    assert study_of([tmp_path / "study"], parts_of(SENTENCES)) is None


def test_suspects_whose_labels_are_changed_are_left_out(tmp_path):
    write_study(tmp_path / "study", SENTENCES)
    corrected = [labelled("Ada left Rome", "B-PER O B-LOC"), *SENTENCES[1:]]
    found = study_of([tmp_path], parts_of(corrected))
    assert found.total == 2 and len(found.shown.shown) == 2
    assert "Rome" not in [row.mention for row in found.shown.shown]


def test_the_newest_study_is_shown_and_damaged_ones_are_passed_over(tmp_path):
    for age, name in ((20, "b"), (10, "a")):
        write_study(tmp_path / name, SENTENCES)
        path = tmp_path / name / "study.json"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    for name, content in (("c", "{"), ("d", "[]"), ("e", '{"sentences_digest": "x"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.json").write_text(content)
    assert study_of([tmp_path], parts_of(SENTENCES)).folder.endswith("a")


def test_sentences_are_not_read_without_a_study(tmp_path):
    def fail():
        raise AssertionError

    assert study_of([tmp_path], [fail]) is None


def test_the_page_of_a_run_has_a_section_for_the_suspects(tmp_path, snapshot):
    write_study(tmp_path / "study", SENTENCES)
    study = study_of([tmp_path], parts_of(SENTENCES))._replace(folder="label_errors-study")
    write_report(tmp_path / "out", entity_run(label_errors=study))
    page = Page((tmp_path / "out" / "report.html").read_text("utf-8"))
    assert_inert(page)
    (section,) = (s for s in page.root.all("section") if s.attributes["id"] == "label-errors")
    assert len(section.all("article")) == 3
    assert section.text == snapshot
    assert "#label-errors" in [link.attributes["href"] for link in page.root.all("a")]
