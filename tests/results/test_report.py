"""The report of a run and the page of tagged texts, down to how a browser shows them."""

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results import charts, report
from results.report import write_report
from support import markup
from tagging.page import render_texts
from tests.helpers.scored_sentences import (
    ENTITY_EXAMPLES,
    PLAIN_EXAMPLES,
    PLAIN_TAGS,
    example,
)

PAYLOAD = "</td></style><script>alert('x')</script><img src=x onerror=alert(1)>\"'&amp;"


# --- What a page holds --------------------------------------------------------------------------


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails where an element is not closed in its turn."""

    def __init__(self, source: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.open, self.texts = [], [], [], []
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in ("meta", "br"):
            self.open.append((name, dict(attributes).get("class") or ""))
        if (name, dict(attributes).get("class")) == ("div", "text"):
            self.texts.append("")

    def handle_startendtag(self, name, attributes):
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name):
        assert self.open.pop()[0] == name

    def handle_data(self, data):
        if ("style", "") in self.open:
            return
        self.text.append(data)
        inside = [css for _, css in self.open]
        if "text" in inside and not {"label", "pill t", "quiet"} & set(inside):
            self.texts[-1] += data

    @property
    def all_text(self) -> str:
        return " ".join("".join(self.text).split())


def assert_inert(page: Page) -> None:
    """Nothing that runs, nothing that is fetched."""
    names = {name for name, _ in page.elements}
    assert not names & {"script", "img", "iframe", "link", "object", "embed", "base", "form", "a:x"}
    for name, attributes in page.elements:
        for key, value in attributes.items():
            assert not key.startswith("on"), (name, key)
            if key in ("href", "src", "xlink:href"):
                assert value.startswith("#"), (name, key, value)
            if key == "style":
                assert "url(" not in value.replace("url(#", ""), value


def entity_run(**more) -> dict:
    """What a training script hands over, with numbers that are told apart."""
    scores = {
        "overall": {"precision": 0.3333, "recall": 0.2525, "f1": 0.2857, "accuracy": 0.6},
        "per_type": {
            "PER": {"precision": 0.5, "recall": 1.0, "f1": 0.6667, "number": 1},
            "LOC": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 2},
        },
        "words": 10,
        "loss": 0.4242,
    }
    run = {
        "title": "tiny-bert fine-tuned on tiny-corpus",
        "base_model": "tiny-bert",
        "corpus_name": "tiny-corpus",
        "corpus_fingerprint": "f00dcafe",
        "task": "ner",
        "entity_tags": True,
        "label_names": ["O", "B-LOC", "I-LOC", "B-ORG", "B-PER", "I-PER"],
        "replaced": ["The base model was replaced."],
        "script": "train_trainer.py",
        "command": "python train_trainer.py --seed 7",
        "arguments": {"seed": 7, "learning_rate": 2e-5},
        "versions": {"torch": "2.13.0"},
        "duration_s": 372.4,
        "device": "cpu",
        "precision": "fp32",
        "processes": 2,
        "step_losses": [
            {"step": n, "loss": 2 / n, "learning_rate": 1e-4 / n} for n in range(1, 900)
        ],
        "history": [
            {"epoch": 0, "train_loss": 1.0, "eval_loss": 0.8, "eval_f1": 0.3, "eval_accuracy": 0.5},
            {"epoch": 1, "train_loss": 0.6, "eval_loss": 0.7, "eval_f1": 0.4, "eval_accuracy": 0.6},
        ],
        "scores": {"validation": scores, "test": scores},
        "label_counts": {"train": {"O": 800, "B-PER": 100, "I-PER": 100}, "test": {"O": 7}},
        "lengths": {"train": {5: 3, 9: 1}, "test": {"7": 2, "600": 2}},
        "max_seq_length": 128,
        "windowed": {"train": 0, "test": 2},
        "examples": iter(ENTITY_EXAMPLES),
    }
    return run | more


def plain_run(**more) -> dict:
    scores = {
        "overall": {"accuracy": 0.5, "macro_f1": 0.4321},
        "per_type": {
            "NN": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "number": 3},
            "PRP$": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "number": 1},
        },
        "words": 6,
        "loss": 1.5,
    }
    run = {
        "base_model": "tiny-bert",
        "task": "pos",
        "entity_tags": False,
        "label_names": PLAIN_TAGS,
        "history": [{"epoch": 0, "train_loss": 1.0, "eval_accuracy": 0.5, "eval_macro_f1": 0.4}],
        "scores": {"test": scores},
        "label_counts": {"train": {"NN": 3, "PRP$": 1}},
        "examples": PLAIN_EXAMPLES,
    }
    return run | more


def report_page(folder, run: dict) -> Page:
    write_report(folder, run)
    return Page((folder / "report.html").read_text("utf-8"))


# --- Small functions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_number", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (7.0, "7"),
        (1234567, "1\u202f234\u202f567"),
        (0.25, "0.2500"),
        (2e-5, "2.00e-05"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("text", "text"),
    ],
)
def test_numbers(given_number, shown):
    assert markup.number(given_number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0.26, "0.3 s"), (59.9, "59.9 s"), (60, "1 min 00 s"), (3661, "1 h 01 min")],
)
def test_durations(seconds, shown):
    assert markup.duration(seconds) == shown


@pytest.mark.parametrize(
    ("part", "length"), [(0.5, 3), (0.75, 3), (0.76, 10), (0.95, 10), (1.0, 10), (0.0, 1)]
)
def test_quantiles(part, length):
    assert report.quantile({3: 2, 1: 1, 10: 1}, part) == length


def test_thinned_keeps_the_mean_and_the_size_down():
    line = [(n, 2.0 * n) for n in range(1200)]
    thin = charts.thinned(line)
    assert len(thin) == charts.STEP_POINTS == 300
    assert thin[0] == (1.5, 3.0)
    assert charts.thinned(line[:10]) == line[:10]


def test_points_leave_out_what_is_no_number():
    rows = [{"x": 1, "y": 2}, {"x": 2}, {"x": 3, "y": float("nan")}, {"x": 4, "y": None}]
    assert charts.points(rows, "x", "y") == [(1, 2)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\r\nc", "a\tb\r\nc"),
        ("\x00\x07\x1b\x1f\x0b\x0c", "\u2400\u2407\u241b\u241f\u240b\u240c"),
        ("\x7f", "\u2421"),
        ("\x80\x9f\ud800\udfff", "\ufffd" * 4),
        ("é\u0301\u200d\u202e\U0001f469", "é\u0301\u200d\u202e\U0001f469"),
    ],
)
def test_printable(text, shown):
    assert markup.printable(text) == shown


def test_length_chart_by_hand():
    lengths = {"train": {0: 1, 3: 1, 79: 2}, "test": {"5": 4}, "empty": {}}
    lengths = report.sentence_lengths({"lengths": lengths})
    chart = charts.length_chart(lengths, 40)
    assert chart.limit == 40
    train, test = dict(chart.series["train"]), dict(chart.series["test"])
    assert list(chart.series) == ["train", "test"]
    assert list(train) == list(test) == list(range(0, 80, 2))
    assert {start: share for start, share in train.items() if share} == {0: 25, 2: 25, 78: 50}
    assert {start: share for start, share in test.items() if share} == {4: 100}
    assert charts.length_chart(lengths, 512).limit is None


@pytest.mark.parametrize(
    "secret", ["--hub_token hf_verysecret", "--hub_token=abc", "--token s3cret", "x hf_abcdefgh1"]
)
def test_no_access_token_is_shown(secret):
    shown = report.secretless(f"train.py {secret} --seed 7 --label_all_tokens")
    assert not re.search(r"verysecret|abc|s3cret", shown)
    assert shown.startswith("train.py ") and shown.endswith(" --seed 7 --label_all_tokens")


def luminance(red: float, green: float, blue: float) -> float:
    """Relative luminance of sRGB in 0 to 1, as WCAG 2 defines it."""
    linear = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    )
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: tuple, other: tuple) -> float:
    light, dark = sorted((luminance(*one), luminance(*other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def theme_variables(dark: bool) -> dict[str, str]:
    blocks = re.findall(r":root\{(.*?)\}", markup.STYLE, re.DOTALL)
    assert len(blocks) == 2
    return dict(re.findall(r"--([\w-]+):([^;]+)", blocks[dark]))


@pytest.mark.parametrize("dark", [False, True])
def test_labels_can_be_read_in_both_themes_whatever_their_hue(dark):
    import colorsys

    theme = theme_variables(dark)
    share = {name: float(theme[name].rstrip("%")) / 100 for name in ("ts", "tl", "bs", "bl")}
    for hue in range(360):
        text = colorsys.hls_to_rgb(hue / 360, share["tl"], share["ts"])
        ground = colorsys.hls_to_rgb(hue / 360, share["bl"], share["bs"])
        assert contrast(text, ground) >= 4.5, hue


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["ink", "muted", "accent", "wrong"])
def test_text_can_be_read_in_both_themes(dark, name):
    theme = theme_variables(dark)

    def rgb(value):
        digits = value.lstrip("#")
        digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
        return tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))

    for ground in ("bg", "panel"):
        assert contrast(rgb(theme[name]), rgb(theme[ground])) >= 4.5


def test_well_known_types_are_told_apart():
    for types in (
        ["PER", "ORG", "LOC", "MISC"],
        ["person", "location", "corporation", "group", "product", "creative-work"],
    ):
        hues = [markup.hue(name) for name in types]
        apart = [min((a - b) % 360, (b - a) % 360) for a, b in itertools.combinations(hues, 2)]
        assert min(apart) >= 45


def test_import_brings_neither_matplotlib_nor_torch():
    heavy = (
        "import results.report, tagging.page, sys\n"
        "print(*{'matplotlib','torch','datasets','evaluate'} & {*sys.modules})"
    )
    answer = subprocess.run(
        [sys.executable, "-c", heavy], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == []


# --- The report ---------------------------------------------------------------------------------


def test_report_of_entity_tags_says_what_the_run_was_and_how_it_went(tmp_path):
    page = report_page(tmp_path, entity_run())
    assert_inert(page)
    for expected in (
        "tiny-bert fine-tuned on tiny-corpus",
        "The base model was replaced.",
        "f00dcafe",
        "python train_trainer.py --seed 7",
        "6 min 12 s",
        "0.2857",
        "0.4242",
        "Words scored",
        "2 (50.0 %)",  # sentences of test that needed windows
        "800 (80.0 %)",
        "Missed 1",
        "Spurious 1",
        "Wrong type 1",
        "Wrong boundary 1",
        "New York",
        "confidence 0.700",
    ):
        assert expected in page.all_text, expected
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.html",
        "training_curves.png",
        "confusion_matrix.png",
    }
    for picture in tmp_path.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


SPLIT_IN_TWO = example(
    "O B-ORG I-ORG I-ORG O", "O B-ORG B-ORG I-ORG O", [1.0] * 5, "said Szeged Electric Co. today"
)


def test_an_entity_predicted_in_two_parts_is_wrong_twice_and_spurious_never(tmp_path):
    text = report_page(tmp_path, entity_run(examples=[SPLIT_IN_TWO])).all_text
    for expected in (
        "Missed 0Gold entities that no predicted one overlaps.None.",
        "Spurious 0Predicted entities that no gold one overlaps.None.",
        "Wrong boundary 2",
        "These are 1 gold and 2 predicted entities:",
        "gold ORG Szeged Electric Co.predicted ORG Electric Co.sentence 1",
        "gold ORG Szeged Electric Co.predicted ORG Szegedsentence 1",
        "Wrong typeWrong boundaryMissedORG10 (0.0 %)010all10 (0.0 %)010",
        "Wrong typeWrong boundarySpuriousORG20 (0.0 %)020all20 (0.0 %)020",
    ):
        assert expected in text, (expected, text)


@pytest.mark.parametrize(
    ("task", "own", "other"), [("chunk", "chunk", "entit"), ("ner", "entit", "chunk")]
)
def test_the_report_speaks_of_what_the_task_marks(tmp_path, task, own, other):
    text = report_page(tmp_path, entity_run(task=task)).all_text.lower()
    assert other not in text
    assert text.count(own) >= 8


def test_the_first_epoch_is_done_at_1(tmp_path):
    run = entity_run()
    loss, scores, *_ = charts.training_charts(run["history"], [], True)
    assert loss.series == {"training": [(1, 1.0), (2, 0.6)], "validation": [(1, 0.8), (2, 0.7)]}
    assert [x for x, _ in scores.series["F1"]] == [1, 2]
    assert (loss.x_label, scores.x_label) == ("epochs done", "epochs done")
    text = report_page(tmp_path, run).all_text
    assert "Epochs donetrain losseval losseval f1eval accuracy110.80000.3000" in text


def test_report_of_plain_tags(tmp_path):
    page = report_page(tmp_path, plain_run())
    assert_inert(page)
    for expected in (
        "0.4321",
        "3 of 6 words have a wrong tag.",
        "NN taken for VB 1 (33.3 %)",
        "NN taken for none 1",
        "Words by label",
        "\u2407",
    ):
        assert expected in page.all_text, expected
    assert "Missed" not in page.all_text


def test_mistakes_stand_in_order_of_confidence(tmp_path):
    examples = [
        example("B-PER", "O", [confidence], f"name{confidence}") for confidence in (0.3, 0.9, 0.6)
    ]
    text = report_page(tmp_path, entity_run(examples=examples)).all_text
    assert re.findall(r"confidence (0\.\d)", text) == ["0.9", "0.6", "0.3"]


def test_the_last_split_comes_first_unless_another_was_scored(tmp_path):
    scores = entity_run()["scores"]["test"]
    other = scores | {"overall": scores["overall"] | {"f1": 0.1234}}
    run = {"scores": {"validation": other, "test": scores}}
    tile = r"F1 ?(0\.\d+) ?precision"
    page = report_page(tmp_path, run)
    assert re.search(tile, page.all_text)[1] == "0.2857"
    page = report_page(tmp_path, run | {"examples_split": "validation"})
    assert re.search(tile, page.all_text)[1] == "0.1234"
    assert "On validation." in page.all_text


def test_same_run_same_page(tmp_path):
    write_report(tmp_path / "one", entity_run())
    write_report(tmp_path / "two", entity_run(examples=iter(ENTITY_EXAMPLES)))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("missing", sorted(entity_run()))
def test_report_does_without_any_key(tmp_path, missing, monkeypatch):
    monkeypatch.setattr(charts, "_picture", lambda *_: b"<svg></svg>")
    run = entity_run()
    del run[missing]
    assert_inert(report_page(tmp_path, run))


@pytest.mark.parametrize("run", [{}, {"scores": {"test": {}}}, {"history": [{"epoch": 0}]}])
def test_report_of_next_to_nothing(tmp_path, run):
    assert_inert(report_page(tmp_path, run))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_pictures_of_an_older_run_do_not_stay(tmp_path):
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
    """The same structure with the payload in every string."""
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


def test_labels_that_are_no_latin_letters_are_drawn_without_a_warning(tmp_path, recwarn):
    names = ["PRP$", "WP$", "_", "$x$", "名詞", "اسم", "\x00\x1f", "\ud800", "%", "$\\frac$", "{"]
    examples = [{"tokens": names, "gold": names, "predicted": names[::-1]}]
    run = plain_run(label_names=names, examples=examples)
    write_report(tmp_path, run)
    assert (tmp_path / "confusion_matrix.png").stat().st_size > 5000
    assert [str(w.message) for w in recwarn] == []


# --- Tagged texts -------------------------------------------------------------------------------


def found(text: str, word: str, kind: str, score: float = 0.5) -> dict:
    start = text.index(word)
    end = start + len(word)
    return {"entity_group": kind, "score": score, "start": start, "end": end, "word": word}


def texts_page(results) -> Page:
    return Page("".join(render_texts(results)))


def test_tagged_text_shows_label_and_score_beside_the_words():
    text = "Ada met Bob in Rome."
    marked = [found(text, "Ada", "PER", 0.98765), found(text, "Rome", "LOC")]
    page = texts_page([{"text": text, "entities": marked}, {"text": "", "entities": []}])
    assert_inert(page)
    assert "AdaPER 0.988 met Bob in RomeLOC 0.500." in page.all_text
    assert "2 texts, 2 entities LOC 1 PER 1" in page.all_text
    assert page.texts == [text, ""]
    hues = [a["style"] for name, a in page.elements if name == "mark"]
    assert hues == [f"--h:{markup.hue('PER')}", f"--h:{markup.hue('LOC')}"]


def test_words_with_their_tags():
    text = "Time flies"
    words = [
        {"word": "Time", "tag": "NOUN", "score": 0.9, "start": 0, "end": 4},
        {"word": "flies", "tag": "VERB", "score": 0.8, "start": 5, "end": 10},
    ]
    page = texts_page([{"text": text, "entities": [], "words": words}])
    assert page.texts == [text]
    assert "TimeNOUN fliesVERB" in page.all_text


def test_chunks_word_by_word_take_the_colour_of_their_type_and_no_label_for_O():
    tags = ["B-NP", "I-NP", "O"]
    words = [
        {"word": w, "tag": t, "score": 1.0, "start": s, "end": s + 1}
        for w, t, s in zip("abc", tags, (0, 2, 4), strict=True)
    ]
    page = texts_page([{"text": "a b c", "entities": [], "words": words}])
    pills = [a["style"] for _, a in page.elements if a.get("class") == "pill t"]
    assert pills == [f"--h:{markup.hue('NP')}"] * 2
    assert "aB-NP bI-NP c" in page.all_text


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=40), st.data())
def test_every_text_comes_out_as_it_went_in(text, data):
    """All of Unicode; control characters and halves of surrogate pairs as what stands for them."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6).map(set)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    marked = [{"entity_group": "X", "score": 1.0, "start": a, "end": b} for a, b in spans]
    page = texts_page([{"text": text, "entities": marked}])
    assert_inert(page)
    assert page.texts == [markup.printable(text)]
    assert len(markup.printable(text)) == len(text)
    "".join(render_texts([{"text": text, "entities": marked}])).encode("utf-8")


def test_nothing_in_a_text_becomes_markup():
    marked = [{"entity_group": PAYLOAD, "score": 0.5, "start": 0, "end": 9}]
    word = {"word": PAYLOAD, "tag": PAYLOAD, "score": 0.5, "start": 0, "end": len(PAYLOAD)}
    results = [
        {"text": PAYLOAD, "entities": marked},
        {"text": PAYLOAD, "entities": [], "words": [word]},
    ]
    page = Page("".join(render_texts(results, title=PAYLOAD)))
    assert_inert(page)
    assert page.texts == [PAYLOAD, PAYLOAD]


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (2, 1), (0, 9), (8, 9)])
def test_offsets_outside_the_text_are_refused(start, end):
    marked = [{"entity_group": "X", "score": 0.5, "start": start, "end": end}]
    with pytest.raises(ValueError, match="no place"):
        list(render_texts([{"text": "abc", "entities": marked}]))


def test_overlapping_entities_are_refused():
    marked = [
        {"entity_group": "X", "score": 0.5, "start": 0, "end": 2},
        {"entity_group": "Y", "score": 0.5, "start": 1, "end": 3},
    ]
    with pytest.raises(ValueError, match="no place"):
        list(render_texts([{"text": "abc", "entities": marked}]))


def test_texts_stream():
    """The page begins before the first result is read, and each answer follows its question."""
    asked = []

    def results():
        for n in itertools.count():
            asked.append(n)
            yield {"text": f"text {n}", "entities": []}

    chunks = render_texts(results())
    assert next(chunks).startswith("<!DOCTYPE html>")
    assert asked == []
    for n in range(3):
        assert f"text {n}" in next(chunks)
        assert asked == list(range(n + 1))


# --- In a browser -------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]


class Browser:
    """Headless Chromium, spoken to over its debugging pipe (file descriptors 3 and 4)."""

    def __init__(self, profile):
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # The shell puts the pipe's ends where Chromium looks for them.
        line = f'exec "$@" 3<&{commands} 4>&{answers}'
        self._process = subprocess.Popen(
            ["bash", "-c", line, "bash", CHROMIUM, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._buffer, self._count, self._session, self.events = b"", 0, None, []
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _read(self) -> dict:
        while b"\0" not in self._buffer:
            piece = os.read(self._answers, 1 << 16)
            assert piece, "Chromium ended"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method: str, **parameters) -> dict:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path, width: int, height: int, theme: str) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": theme}],
        )
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def value(self, expression: str):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def seen(self, *methods: str) -> list[dict]:
        return [event["params"] for event in self.events if event["method"] in methods]

    def screenshot(self, path) -> None:
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def close(self) -> None:
        os.close(self._commands)  # Chromium ends when nobody can command it any more
        self._process.wait(timeout=20)
        os.close(self._answers)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not CHROMIUM:
        pytest.skip("needs Chromium on the PATH (Debian's package `chromium`)")
    chromium = Browser(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Each kind of page, with what breaks layouts: endless words, many types, all scripts."""
    folder = tmp_path_factory.mktemp("pages")
    endless = "W" * 400
    many = [f"TYPE{n}" for n in range(25)]
    wide = {
        "tokens": [endless, "שלום", *many],
        "gold": ["B-PER", "O", *(f"B-{t}" for t in many)],
        "predicted": ["O", "B-LOC", *(f"B-{t}" for t in reversed(many))],
        "probability": [0.9] * 27,
    }
    write_report(
        folder / "entities",
        entity_run(
            title=endless,
            command=f"train.py --train_file {endless}",
            arguments={endless: endless},
            examples=[*ENTITY_EXAMPLES, SPLIT_IN_TWO, wide],
        ),
    )
    write_report(folder / "plain", plain_run())
    text = f"Ada {endless} אנגלה מרקל ביקרה בירושלים\r\n\t👩‍👩‍👧 \x07 <b>"
    marked = [found(text, "Ada", "PER"), found(text, endless, "ORG"), found(text, "מרקל", "PER")]
    word = {"word": "Ada", "tag": "NOUN" * 40, "score": 0.5, "start": 0, "end": 3}
    results = [{"text": text, "entities": marked}, {"text": text, "entities": [], "words": [word]}]
    (folder / "texts.html").write_text("".join(render_texts(results)), "utf-8", newline="")
    return {
        "entities": folder / "entities" / "report.html",
        "plain": folder / "plain" / "report.html",
        "texts": folder / "texts.html",
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("name", ["entities", "plain", "texts"])
def test_page_in_chromium(browser, pages, name, width, height, theme):
    browser.open(pages[name], width, height, theme)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    complaints = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert browser.seen(*complaints) == []
    requests = [seen["request"]["url"] for seen in browser.seen("Network.requestWillBeSent")]
    assert requests == [pages[name].as_uri()]
    root = "document.documentElement"
    assert browser.value(f"{root}.scrollWidth") <= browser.value("innerWidth") == width
    assert browser.value("document.body.scrollWidth") <= browser.value(f"{root}.clientWidth")
    # What is wider than the page must be inside a box that scrolls, and out of nobody's sight.
    escaped = browser.value(
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg') &&"
        " (e.getBoundingClientRect().right > innerWidth + 1 ||"
        " e.getBoundingClientRect().left < -1)).map(e => e.outerHTML.slice(0, 80))"
    )
    assert escaped == []
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
    assert brightness > 200 if theme == "light" else brightness < 60
    if folder := os.environ.get("NER_SCREENSHOTS"):
        browser.screenshot(Path(folder) / f"{name}_{width}_{theme}.png")


def test_tables_that_are_too_wide_scroll_by_themselves(browser, pages):
    browser.open(pages["entities"], 390, 844, "light")
    matrix = "document.querySelector('.matrix').parentElement"
    assert browser.value(f"{matrix}.scrollWidth > 2 * {matrix}.clientWidth")
    assert browser.value(f"getComputedStyle({matrix}).overflowX") == "auto"
