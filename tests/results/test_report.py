"""The report of a run."""

import re
import subprocess
import sys

import pytest

from corpus.problems import Place
from results import charts
from results.report import write_report
from results.report_corpus import quantile
from results.report_scores import (
    ReliabilityRow,
    Score,
    one_surface,
    pooled,
    reliability_table,
)
from support.secrets import scrub
from tests.helpers.pages import PAYLOAD, SPLIT_IN_TWO, Page, assert_inert, entity_run, plain_run
from tests.helpers.scored_sentences import ENTITY_EXAMPLES, example


def report_page(folder, run: dict) -> Page:
    write_report(folder, run)
    return Page((folder / "report.html").read_text("utf-8"))


@pytest.mark.parametrize(
    ("part", "length"), [(0.5, 3), (0.75, 3), (0.76, 10), (0.95, 10), (1.0, 10), (0.0, 1)]
)
def test_quantiles(part, length):
    assert quantile({3: 2, 1: 1, 10: 1}, part) == length


@pytest.mark.parametrize(
    "secret", ["--hub_token hf_verysecret", "--hub_token=abc", "--token s3cret", "x hf_abcdefgh1"]
)
def test_no_access_token_is_shown(secret):
    shown = scrub(f"train.py {secret} --seed 7 --label_all_tokens")
    assert not re.search(r"verysecret|abc|s3cret", shown)
    assert shown.startswith("train.py ") and shown.endswith(" --seed 7 --label_all_tokens")


def test_importing_loads_neither_matplotlib_nor_torch():
    code = (
        "import results.report, tagging.page, sys\n"
        "print(*{'matplotlib','torch','datasets','evaluate'} & {*sys.modules})"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.split() == []


def test_report_of_entity_tags_shows_the_run_and_its_results(tmp_path, snapshot):
    page = report_page(tmp_path, entity_run())
    assert_inert(page)
    for expected in (
        "tiny-bert fine-tuned on tiny-corpus",
        "The base model was replaced.",
        "f00dcafe",
        "python train_trainer.py --seed 7",
        "6 min 12 s",
        "0.286",
        "0.4242",
        "2 (50.0 %)",  # sentences of test that were cut into windows
        "800 (80.0 %)",
        "New York",
    ):
        assert expected in page.all_text, expected
    assert [mistake[1] for mistake in page.mistakes] == [
        "missed", "wrong type", "wrong boundary", "spurious"
    ]  # fmt: skip
    assert "score 0.700" in page.mistakes[1]
    assert page.wording == snapshot
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.html",
        "training_curves.png",
        "confusion_matrix.png",
    }
    for picture in tmp_path.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_an_entity_predicted_in_two_parts_has_two_wrong_boundaries_and_is_never_spurious(
    tmp_path, snapshot
):
    page = report_page(tmp_path, entity_run(examples=[SPLIT_IN_TWO]))
    pairs = [
        ["gold ORG Szeged Electric Co.", "predicted ORG Electric Co."],
        ["gold ORG Szeged Electric Co.", "predicted ORG Szeged"],
    ]
    assert [mistake[1:4] for mistake in page.mistakes] == [["wrong boundary", *p] for p in pairs]
    for side in ("1", "2"):  # gold entities, predicted entities
        for name in ("ORG", "all"):
            assert [name, side, "0", "0", side, "0"] in page.rows
    assert page.wording.partition("Where it errs")[2] == snapshot


@pytest.mark.parametrize(
    ("task", "own", "other"), [("chunk", "chunk", "entit"), ("ner", "entit", "chunk")]
)
def test_the_report_names_entities_or_chunks_by_task(tmp_path, task, own, other):
    text = report_page(tmp_path, entity_run(task=task)).all_text.lower()
    assert other not in text
    assert text.count(own) >= 8


def test_scores_are_shown_by_step_with_the_epochs_done(tmp_path):
    run = entity_run()
    loss, scores, *_ = charts.training_charts(run["history"], [], True)
    steps = {"training": [(450, 1.0), (900, 0.6)], "validation": [(450, 0.8), (900, 0.7)]}
    assert loss.series == steps
    assert [x for x, _ in scores.series["F1"]] == [450, 900]
    assert (loss.x_label, scores.x_label) == ("step", "step")
    rows = report_page(tmp_path, run).rows
    assert ["450", "1", "1", "0.8000", "0.3000", "0.5000"] in rows
    assert ["900", "2", "0.6000", "0.7000", "0.4000", "0.6000"] in rows


def test_several_evaluations_of_an_epoch_and_one_before_training(tmp_path):
    history = [
        {"epoch": 0, "step": step, "train_loss": loss, "eval_loss": 0.5, "eval_f1": 0.25}
        for step, loss in ((0, None), (200, 0.75), (400, 0.5), (500, 0.25))
    ]
    run = entity_run(history=history, epoch_steps=400)
    loss, scores, *_ = charts.training_charts(history, [], True)
    assert loss.series["training"] == [(200, 0.75), (400, 0.5), (500, 0.25)]
    assert [x for x, _ in scores.series["F1"]] == [0, 200, 400, 500]
    rows = [row[:3] for row in report_page(tmp_path, run).rows]
    for row in (["0", "0", "–"], ["200", "0.5", "0.7500"], ["500", "1.25", "0.2500"]):
        assert row in rows, row


def test_report_of_plain_tags(tmp_path, snapshot):
    page = report_page(tmp_path, plain_run())
    assert_inert(page)
    assert "0.432" in page.all_text and "\u2407" in page.all_text
    assert {"NN predicted as VB (1)", "NN predicted as none (1)"} <= {
        option.text for option in page.root.all("option")
    }
    assert "missed" not in page.all_text.lower()
    assert page.wording == snapshot


def test_mistakes_are_sorted_by_confidence(tmp_path):
    examples = [
        example("B-PER", "O", [confidence], f"name{confidence}") for confidence in (0.3, 0.9, 0.6)
    ]
    text = report_page(tmp_path, entity_run(examples=examples)).all_text
    assert re.findall(r"(?:score|O) (0\.\d)", text) == ["0.9", "0.6", "0.3"]


def test_the_last_split_comes_first_unless_the_run_names_another(tmp_path):
    scores = entity_run()["scores"]["test"]
    validation = scores | {"overall": scores["overall"] | {"f1": 0.1234}}
    run = {"scores": {"validation": validation, "test": scores}}
    tile = r"F1 (0\.\d+) on the (\w+) split"
    page = report_page(tmp_path, run)
    assert re.search(tile, page.all_text).groups() == ("0.286", "test")
    page = report_page(tmp_path, run | {"examples_split": "validation"})
    assert re.search(tile, page.all_text).groups() == ("0.123", "validation")
    (types,) = (part for part in page.root.all("section") if part.attributes["id"] == "scores")
    assert "On validation." in types.all("p")[1].text


def test_the_same_run_gives_the_same_page(tmp_path):
    write_report(tmp_path / "one", entity_run())
    write_report(tmp_path / "two", entity_run(examples=iter(ENTITY_EXAMPLES)))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("missing", sorted(entity_run()))
def test_report_of_a_run_without_a_key(tmp_path, missing, monkeypatch):
    monkeypatch.setattr(charts, "_picture", lambda *_: b"<svg></svg>")
    run = entity_run()
    del run[missing]
    assert_inert(report_page(tmp_path, run))


@pytest.mark.parametrize("run", [{}, {"scores": {"test": {}}}, {"history": [{"epoch": 0}]}])
def test_report_of_an_almost_empty_run(tmp_path, run):
    assert_inert(report_page(tmp_path, run))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_pictures_of_an_earlier_run_are_removed(tmp_path):
    write_report(tmp_path, entity_run())
    write_report(tmp_path, {"title": "scored only"})
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_report_shows_no_access_token(tmp_path):
    arguments = {"hub_token": "s3cret", "tracker": "hf_s3cretsecret", "label_all_tokens": True}
    run = entity_run(arguments=arguments, command=["train.py", "--hub_token", "s3cret"])
    write_report(tmp_path, run)
    source = (tmp_path / "report.html").read_text("utf-8")
    assert "s3cret" not in source
    assert "label_all_tokens" in source


def poisoned(value):
    """Return the same structure with the payload in every string."""
    if isinstance(value, str):
        return value[:2] + PAYLOAD if value[:2] in ("B-", "I-") else PAYLOAD
    if isinstance(value, dict):
        return {
            key if key in KNOWN_KEYS else f"{key}{PAYLOAD}": poisoned(inner)
            for key, inner in value.items()
        }
    return [poisoned(inner) for inner in value] if isinstance(value, list) else value


KNOWN_KEYS = (
    {*entity_run(), *ENTITY_EXAMPLES[0], "overall", "per_type", "words", "loss", "number"}
    | {"precision", "recall", "f1", "accuracy", "macro_f1", "step", "learning_rate", "epoch"}
    | {"train_loss", "eval_loss", "eval_f1", "5", "9", "7", "600", 5, 9}
)


@pytest.mark.parametrize("make_run", [entity_run, plain_run])
def test_nothing_in_a_run_becomes_markup(tmp_path, make_run):
    run = make_run()
    run = poisoned(run | {"examples": list(run["examples"])})
    write_report(tmp_path, run)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert_inert(page)
    assert PAYLOAD in page.all_text


def test_labels_without_latin_letters_are_drawn_without_a_warning(tmp_path, recwarn):
    names = ["PRP$", "WP$", "_", "$x$", "名詞", "اسم", "\x00\x1f", "\ud800", "%", "$\\frac$", "{"]
    examples = [{"tokens": names, "gold": names, "predicted": names[::-1]}]
    run = plain_run(label_names=names, examples=examples)
    write_report(tmp_path, run)
    assert (tmp_path / "confusion_matrix.png").stat().st_size > 5000
    assert [str(w.message) for w in recwarn] == []


def test_the_report_names_the_version_of_the_suite(tmp_path):
    page = report_page(tmp_path, entity_run(suite_version="1.2.3"))
    assert "1.2.3" in [row[-1] for row in page.rows]


def test_the_report_states_why_there_are_more_epochs(tmp_path):
    page = report_page(tmp_path, entity_run(more_epochs="30 instead of 6, because ..."))
    assert ["Epochs", "30 instead of 6, because ..."] in page.rows


def test_a_run_without_mistakes_or_validation(tmp_path, snapshot):
    examples = [example("B-PER O", "B-PER O", [0.9, 0.9], "Ada left")]
    scores = {"test": entity_run()["scores"]["test"]}
    run = entity_run(examples=examples, scores=scores, history=[], step_losses=[])
    page = report_page(tmp_path, run)
    assert_inert(page)
    assert page.mistakes == []
    (section,) = (s for s in page.root.all("section") if s.attributes["id"] == "mistakes")
    assert section.text == snapshot
    assert "Learning curves" not in page.headings


EVIDENCE = {
    "overall": {
        "precision": 0.5, "precision_interval": [0.3, 0.7], "recall": 0.25,
        "recall_interval": [0.1, 0.4], "f1": 0.333, "f1_interval": [0.2, 0.5],
        "accuracy": 0.6, "accuracy_interval": [0.5, 0.7],
    },
    "per_type": {
        name: {
            "precision": 0.5, "precision_interval": [0.1, 0.9], "recall": 0.5,
            "recall_interval": [0.1, 0.9], "f1": f1, "f1_interval": interval, "number": 20,
        }
        for name, f1, interval in (("PER", 0.9, [0.8, 1.0]), ("LOC", 0.1, [0.0, 0.2]))
    },
    "words": 10,
    "loss": 0.4242,
    "intervals": {"level": 0.95, "unit": "document", "units": 20},
    "by_length": {
        "1": {"f1": 0.5, "f1_interval": [0.2, 0.8], "number": 3},
        "2": {"f1": 0.0, "f1_interval": [0.0, 0.8], "number": 1},
    },
    "reliability": {
        "bins": [
            {"start": 0.0, "end": 0.5, "entities": 0, "mean_score": None, "precision": None},
            {"start": 0.5, "end": 1.0, "entities": 4, "mean_score": 0.8, "precision": 0.5},
        ],
        "expected_calibration_error": 0.3,
    },
}  # fmt: skip


def test_every_score_has_its_interval(tmp_path, snapshot):
    run = entity_run(
        title=None, task="ner", corpus_name="tickets.jsonl", run_id="2026-11-26T10:00:00Z",
        scores={"test": EVIDENCE}, history=[], kept_step=900, still_improved=True,
    )  # fmt: skip
    page = report_page(tmp_path, run)
    assert_inert(page)
    sections = [
        s for s in page.root.all("section") if s.attributes["id"] in ("scores", "reliability")
    ]
    cells = [cell for section in sections for cell in section.all("td")]
    with_score = [cell for cell in cells if re.search(r"0\.\d{3}", cell.text)]
    without = [
        cell.text for cell in with_score if not re.search(r"0\.\d{3}-[01]\.\d{3}", cell.text)
    ]
    # The loss is not a score, and the mean score of a bin has none.
    assert set(without) <= {"0.4242", "0.800"} and len(with_score) >= 11
    headings = [h.text for h in page.root.all("h2")]
    assert headings == [
        "Scores by type", "Where it errs", "What to do next", "Mistakes, sentence by sentence",
        "Reliability: can its scores be trusted?", "Learning curves", "Corpus", "Configuration",
    ]  # fmt: skip
    assert page.wording.partition("Where it errs")[0] == snapshot
    assert page.root.all("svg")[0].attributes["role"] == "img"
    (stand_in,) = (row for row in page.rows if row[0] == "Stand-in")
    assert stand_in[1] == "The base model was replaced."


def row(start: float, entities: int, mean_score: float, right: int) -> dict:
    """Return a bin of a reliability table."""
    return {
        "start": start, "end": start + 0.1, "entities": entities, "mean_score": mean_score,
        "precision": right / entities,
    }  # fmt: skip


def test_reliability_says_which_scores_can_be_trusted():
    # Wilson intervals by hand (z = 1.96): 95 of 100 is 0.888 to 0.978, 12 of 40 is 0.181 to 0.454.
    bins = [row(0.5, 15, 0.55, 2), row(0.8, 25, 0.85, 10), row(0.9, 100, 0.97, 95)]
    facts = {"bins": bins, "expected_calibration_error": 0.2}
    table = reliability_table({"scores": {"test": {"reliability": facts}}})
    high, low = table.groups
    assert (high.entities, high.precision.value, high.verdict) == (100, 0.95, "")
    assert high.precision.interval == pytest.approx((0.888, 0.978), abs=5e-4)
    assert (low.entities, low.precision.value, low.verdict) == (40, 0.3, "too high")
    assert low.mean_score == pytest.approx((15 * 0.55 + 25 * 0.85) / 40)
    assert low.precision.interval == pytest.approx((0.181, 0.454), abs=5e-4)
    assert pooled("", [ReliabilityRow(0.2, 0.3, 20, 0.25, Score(0.9))]).verdict == "too low"


@pytest.mark.parametrize(
    ("seen", "new", "expected"),
    [
        (0, 7, r"None of the 7 entities occurs in the training split\. .* recall may be higher\."),
        (7, 0, r"All 7 entities also occur in the training split\. .* recall may be lower\."),
        (3, 4, ""),
    ],
)
def test_names_that_are_all_new_or_all_known_are_said_in_a_sentence(seen, new, expected):
    rows = {"in training": {"number": seen}, "new": {"number": new}}
    assert re.fullmatch(expected, one_surface({"scores": {"test": {"by_surface": rows}}}))


def test_the_confusions_and_the_sum_of_the_mistakes_are_said_in_words(tmp_path):
    text = " ".join(report_page(tmp_path, entity_run()).wording.split())
    assert "4 mistakes: 1 missed, 1 spurious, 1 with a wrong type, 1 with a wrong boundary." in text
    assert "Most frequent confusion: ORG taken for PER (1 of 1)." in text


def test_the_original_text_of_a_record_is_shown(tmp_path):
    (tmp_path / "texts.jsonl").write_text('{"text": "Isn\'t  Ada here?"}\n')
    words = {"tokens": ["Is", "n't", "Ada", "here", "?"], "predicted": ["O"] * 5}
    place = Place(str(tmp_path / "texts.jsonl"), 1, "r7", None)
    wrong = words | {"gold": ["O", "O", "B-PER", "O", "O"], "place": place}
    page = report_page(tmp_path / "out", entity_run(examples=[wrong]))
    (sentence,) = page.root.all("div", "sentence")
    assert sentence.content(without=["pill t", "pill none"]) == "Isn't  Ada here?"
    (article,) = (a for a in page.root.all("article"))
    assert "texts.jsonl:1 record r7" in " ".join(
        part.text for part in article.all("p", "place")[0].all("span")
    )
