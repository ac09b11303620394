"""The page of tagged texts."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.text import printable
from support.type_colours import hue_of, type_hues
from tagging.page import render_texts
from tests.helpers.pages import PAYLOAD, Element, Page, assert_inert, entity_in


def texts_page(results) -> Page:
    return Page("".join(render_texts(results)))


def test_tagged_text_shows_label_and_score_beside_the_words(snapshot):
    text = "Ada met Bob in Rome."
    marked = [entity_in(text, "Ada", "PER", 0.98765), entity_in(text, "Rome", "LOC")]
    page = texts_page([{"text": text, "entities": marked}, {"text": "", "entities": []}])
    assert_inert(page)
    marks = [(m.children[0], m.all("span", "label")[0].text) for m in page.root.all("mark")]
    assert marks == [("Ada", "PER 0.988"), ("Rome", "LOC 0.500")]
    (summary,) = page.root.all("p", "summary")
    assert summary.text.endswith("LOC 1 PER 1")
    assert page.wording == snapshot
    assert page.texts == [text, ""]
    hues = [a["style"] for name, a in page.elements if name == "mark"]
    assert hues == [f"--h:{hue_of('PER', {})}", f"--h:{hue_of('LOC', {})}"]


def test_the_page_is_filtered_by_type_and_sorted_by_score_without_a_script():
    text = "Ada met Bob in Rome."
    entities = [entity_in(text, "Ada", "PER", 0.9), entity_in(text, "Rome", "LOC", 0.25)]
    page = texts_page(
        [
            {"text": text, "entities": entities, "record_id": "r<1>"},
            {"text": "Bob", "entities": [entity_in("Bob", "Bob", "PER", 0.5)]},
            {"text": "", "entities": []},
        ]
    )
    assert_inert(page)
    articles = page.root.all("article")
    assert [article.css.split() for article in articles] == [["k1", "k2"], ["k1"], []]
    assert [a.attributes["style"] for a in articles] == ["--s:2500", "--s:5000", "--s:10001"]
    assert [mark.css for mark in page.root.all("mark")] == ["t k1", "t k2", "t k1"]
    inputs = [a["id"] for name, a in page.elements if name == "input"]
    assert inputs == ["by-score", "k0", "k2", "k1"]
    assert [element.text for element in page.root.all("span", "id")] == ["r<1>"]


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
    assert pills == [f"--h:{hue_of('NP', {})}"] * 2
    assert "aB-NP bI-NP c" in page.all_text


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=40), st.data())
def test_every_text_is_shown_unchanged(text, data):
    """All of Unicode; only control characters and unpaired surrogates are replaced."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6).map(set)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    marked = [{"entity_group": "X", "score": 1.0, "start": a, "end": b} for a, b in spans]
    page = texts_page([{"text": text, "entities": marked}])
    assert_inert(page)
    assert page.texts == [printable(text)]
    assert len(printable(text)) == len(text)
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
def test_offsets_outside_the_text_are_refused(start, end, snapshot):
    marked = [{"entity_group": "X", "score": 0.5, "start": start, "end": end}]
    with pytest.raises(ValueError) as error:
        list(render_texts([{"text": "abc", "entities": marked}]))
    assert str(error.value) == snapshot


def test_overlapping_entities_are_refused(snapshot):
    marked = [
        {"entity_group": "X", "score": 0.5, "start": 0, "end": 2},
        {"entity_group": "Y", "score": 0.5, "start": 1, "end": 3},
    ]
    with pytest.raises(ValueError) as error:
        list(render_texts([{"text": "abc", "entities": marked}]))
    assert str(error.value) == snapshot


def test_each_file_is_a_heading_above_its_texts():
    results = [
        {"text": text, "entities": [], "file": file}
        for text, file in (("a", "<x>.txt"), ("b", "<x>.txt"), ("c", "y.txt"))
    ]
    page = texts_page(results)
    (main,) = page.root.all("main", "texts")
    names = [child.name for child in main.children if isinstance(child, Element)]
    assert names == ["h2", "article", "article", "h2", "article", "p"]
    assert page.headings[1:] == ["<x>.txt", "y.txt"]
    assert texts_page([{"text": "a", "entities": []}]).headings == ["Tagged texts"]


def test_a_label_stays_on_the_line_of_its_score():
    page = texts_page([{"text": "Ada", "entities": [entity_in("Ada", "Ada", "PER")]}])
    (label,) = page.root.all("span", "label")
    assert "white-space:nowrap" in label.attributes["style"]


def test_texts_stream():
    """The page begins before the first result is read; each text follows its result."""
    read = []

    def results():
        for n in itertools.count():
            read.append(n)
            yield {"text": f"text {n}", "entities": []}

    chunks = render_texts(results())
    head = next(chunks)
    assert head.startswith("<!DOCTYPE html>")
    while '<main class="texts">' not in head:
        head += next(chunks)
    assert read == []
    for n in range(3):
        assert f"text {n}" in next(chunks)
        assert read == list(range(n + 1))


def test_types_have_the_colours_of_the_models_types():
    text = "Ada met Bob in Rome."
    marked = [entity_in(text, "Ada", "PER"), entity_in(text, "Rome", "LOC")]
    labels = ["O", "B-PER", "I-PER", "B-ORG", "B-LOC"]
    results = [{"text": text, "entities": marked}]
    page = Page("".join(render_texts(results, label_names=labels)))
    hues = type_hues(labels)
    shown = [a["style"] for name, a in page.elements if name == "mark"]
    assert shown == [f"--h:{hues['PER']}", f"--h:{hues['LOC']}"]
