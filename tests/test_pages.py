"""The report and the page of tagged texts as a browser shows them."""

import os
import re
from pathlib import Path

import pytest

from corpus.problems import Place
from results.comparison_files import ComparisonReport, write_comparison
from results.label_error_files import rank_suspects, suspect_json
from results.report import write_report
from results.report_label_errors import write_suspect_page
from results.study_files import LabelledSentence
from scoring.comparison import PairedCounter
from scoring.mistake_changes import MistakeChanges
from tagging.page import render_texts
from tests.helpers.browser import CHROMIUM, Browser
from tests.helpers.pages import SPLIT_IN_TWO, entity_in, entity_run, plain_run
from tests.helpers.scored_sentences import ENTITY_EXAMPLES, example


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not CHROMIUM:
        pytest.skip("needs Chromium on the PATH (Debian's package `chromium`)")
    chromium = Browser(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of each kind with content that breaks layouts: long words, many types, all scripts."""
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
    names = {"Ada": "PER", endless: "ORG", "מרקל": "PER"}
    marked = [entity_in(text, name, kind) for name, kind in names.items()]
    word = {"word": "Ada", "tag": "NOUN" * 40, "score": 0.5, "start": 0, "end": 3}
    identified = {"text": text, "entities": marked, "record_id": endless}
    results = [identified, {"text": text, "entities": [], "words": [word]}]
    (folder / "texts.html").write_text("".join(render_texts(results)), "utf-8", newline="")
    survey = MistakeChanges((1, 1), entity_tags=True)
    counter = PairedCounter((1, 1), entity_tags=True)
    nothing = ["O"] * len(wide["tokens"])
    place = Place(endless, 7, endless, endless)
    for sides in ([wide["predicted"], wide["gold"]], [wide["gold"], nothing]):
        counter.add(wide["gold"], sides)
        survey.add(wide["tokens"], wide["gold"], sides, place)
    comparison = counter.compare(resamples=100, shuffles=9)
    report = ComparisonReport([endless], ["b"], comparison, survey)
    write_comparison(folder / "comparison.html", report)
    sentence = LabelledSentence(wide["tokens"], wide["gold"], place)
    ranked = rank_suspects([sentence], [wide["predicted"]], [[2.0] * 27], True)
    write_suspect_page(
        folder / "label_errors.html",
        [suspect_json(row, True) for row in ranked],
        True,
        title=f"Suspected label errors in {endless}",
        date="26 November 2026",
        verdict=["27 suspected label errors.", endless],
        cautions=[endless],
    )
    return {
        "comparison": folder / "comparison.html",
        "label_errors": folder / "label_errors.html",
        "entities": folder / "entities" / "report.html",
        "plain": folder / "plain" / "report.html",
        "texts": folder / "texts.html",
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("name", ["entities", "plain", "texts", "comparison", "label_errors"])
def test_a_page_fits_its_window_and_loads_nothing(browser, pages, name, width, height, theme):
    browser.open(pages[name], width, height, theme)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    messages = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert browser.seen(*messages) == []
    requests = [event["request"]["url"] for event in browser.seen("Network.requestWillBeSent")]
    assert requests == [pages[name].as_uri()]
    root = "document.documentElement"
    assert browser.value(f"{root}.scrollWidth") <= browser.value("innerWidth") == width
    assert browser.value("document.body.scrollWidth") <= browser.value(f"{root}.clientWidth")
    # Content wider than the page must be inside a box that scrolls.
    escaped = browser.value(
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg') &&"
        " (e.getBoundingClientRect().right > innerWidth + 1 ||"
        " e.getBoundingClientRect().left < -1)).map(e => e.outerHTML.slice(0, 80))"
    )
    assert escaped == []
    background = browser.value("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert brightness > 200 if theme == "light" else brightness < 60
    if folder := os.environ.get("NER_SCREENSHOTS"):
        browser.screenshot(Path(folder) / f"{name}_{width}_{theme}.png")


def test_tables_that_are_too_wide_scroll_by_themselves(browser, pages):
    browser.open(pages["entities"], 390, 844, "light")
    matrix = "document.querySelector('.matrix').parentElement"
    assert browser.value(f"{matrix}.scrollWidth > 2 * {matrix}.clientWidth")
    assert browser.value(f"getComputedStyle({matrix}).overflowX") == "auto"


def test_tagged_texts_are_filtered_by_type_and_sorted_by_score(browser, tmp_path):
    results = [
        {"text": "Ada", "entities": [entity_in("Ada", "Ada", "PER", 0.9)], "file": "a"},
        {"text": "", "entities": [], "file": "a"},
        {
            "text": "Bob in Rome",
            "entities": [
                entity_in("Bob in Rome", "Bob", "PER", 0.8),
                entity_in("Bob in Rome", "Rome", "LOC", 0.3),
            ],
            "file": "b",
        },
    ]
    page = tmp_path / "texts.html"
    page.write_text("".join(render_texts(results)), "utf-8")
    browser.open(page, 800, 600, "light")
    shown = (
        "[...document.querySelectorAll('article')].filter(a => a.offsetHeight)"
        ".sort((a, b) => a.offsetTop - b.offsetTop)"
        ".map(a => a.querySelector('.line').textContent)"
    )
    labels = (
        "[...document.querySelectorAll('.label')].filter(a => a.offsetHeight)"
        ".map(a => a.querySelector('b').firstChild.textContent.trim())"
    )
    assert browser.value(shown) == ["1", "2", "3"]
    assert browser.value(labels) == ["PER", "PER", "LOC"]
    browser.value("document.querySelector('#by-score').click()")
    assert browser.value(shown) == ["3", "1", "2"]
    browser.value("document.querySelector('#k2').click()")
    assert browser.value(shown) == ["3"] and browser.value(labels) == ["LOC"]
    browser.value("document.querySelector('#k1').click()")
    assert browser.value(shown) == ["3", "1"] and browser.value(labels) == ["PER", "PER"]
    browser.value("document.querySelector('#k0').click()")
    assert browser.value(shown) == ["3", "1", "2"]


SHOWN_MISTAKES = (
    "[...document.querySelectorAll('.mistake')].filter(a => a.offsetHeight)"
    ".sort((a, b) => a.offsetTop - b.offsetTop)"
    ".map(a => a.querySelector('.mention').textContent)"
)


def choose(browser, menu: str, text: str) -> None:
    """Choose the option of a menu that begins with a text."""
    browser.value(
        f"(() => {{ const menu = document.querySelector('#{menu}'); menu.value ="
        f" [...menu.options].find(o => o.text.startsWith({text!r})).value }})()"
    )


def mistake_run(**more) -> dict:
    """Return a run with mistakes of three kinds; those of the first sentence are the least sure."""
    examples = [
        example("B-PER O", "O O", [0.4, 1], "Ada left"),
        example("O B-LOC", "O B-ORG", [1, 0.995], "in Rome"),
        example("O B-ORG", "O B-PER", [1, 0.7], "at Acme"),
        example("O O", "B-LOC O", [0.8, 1], "Monday came"),
    ]
    return entity_run(examples=examples, **more)


def test_mistakes_are_filtered_by_type_and_kind_and_sorted(browser, tmp_path):
    write_report(tmp_path, mistake_run())
    browser.open(tmp_path / "report.html", 900, 700, "light")
    assert browser.value(SHOWN_MISTAKES) == ["Rome", "Monday", "Acme", "Ada"]
    choose(browser, "sort", "least sure first")
    assert browser.value(SHOWN_MISTAKES) == ["Ada", "Acme", "Monday", "Rome"]
    choose(browser, "sort", "by place")
    assert browser.value(SHOWN_MISTAKES) == ["Ada", "Rome", "Acme", "Monday"]
    choose(browser, "by-type", "PER (2)")
    assert browser.value(SHOWN_MISTAKES) == ["Ada", "Acme"]
    choose(browser, "by-kind", "wrong type (2)")
    assert browser.value(SHOWN_MISTAKES) == ["Acme"]
    choose(browser, "by-type", "all")
    choose(browser, "sort", "surest first")
    assert browser.value(SHOWN_MISTAKES) == ["Rome", "Acme"]
    choose(browser, "by-kind", "all")
    browser.value("document.querySelector('#only-sure').click()")
    assert browser.value(SHOWN_MISTAKES) == ["Rome"]
    count = "getComputedStyle(document.querySelector('.shown-count'), '::before').content"
    assert browser.value(count) == 'counter(shown) " "'


def test_confusions_of_plain_tags_are_filtered(browser, tmp_path):
    write_report(tmp_path, plain_run())
    browser.open(tmp_path / "report.html", 900, 700, "light")
    assert len(browser.value(SHOWN_MISTAKES)) == 3
    choose(browser, "by-kind", "VB predicted as NN")
    assert browser.value(SHOWN_MISTAKES) == ["runs"]


def test_a_long_list_is_short_until_it_is_filtered(browser, tmp_path):
    """200 types: each has a colour, an option and a rule of its own."""
    types = [f"TYPE{n:03}" for n in range(200)]
    examples = [
        example(f"B-{t}", "O", [1 - n / 1000], f"w{n}") for n, t in enumerate(types)
    ]  # only the surest of a kind are shown
    labels = ["O", *(f"B-{t}" for t in types)]
    scores = {"per_type": {t: {"f1": 0.5, "number": 1} for t in types}, "overall": {"f1": 0.5}}
    run = entity_run(label_names=labels, examples=examples, scores={"test": scores})
    write_report(tmp_path, run)
    browser.open(tmp_path / "report.html", 390, 844, "dark")
    assert browser.value("document.documentElement.scrollWidth") == 390
    assert browser.value(SHOWN_MISTAKES) == [f"w{n}" for n in range(12)]
    browser.value("document.querySelector('#show-all').click()")
    assert browser.value(SHOWN_MISTAKES) == [f"w{n}" for n in range(50)]
    browser.value("document.querySelector('#show-all').click()")
    choose(browser, "by-type", "TYPE040")
    assert browser.value(SHOWN_MISTAKES) == ["w40"]
    hues = "new Set([...document.querySelectorAll('#scores .pill')].map(p => p.style.cssText)).size"
    assert browser.value(hues) == 200
