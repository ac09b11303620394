"""Tests of tagging/arguments.py, and of `Tagger` with them: an error names the position."""

import multiprocessing
import threading

import pytest

from tagging.arguments import sentences_of, texts_of
from tests.helpers.tagging import TEXT, cached_tagger


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, "texts: got None, expected a string or strings"),
        (b"Peter", "texts: got bytes, expected a string or strings"),
        ({"text": "Peter"}, "texts: got dict, expected a string or strings"),
        ({"Peter"}, "texts: got set, expected a string or strings"),
        (5, "texts: got int, expected a string or strings"),
        (["Peter", None], "texts[1]: got None, expected a string"),
        ([["Peter"]], "texts[0]: got list, expected a string"),
        (iter(["a", "b", b"c"]), "texts[2]: got bytes, expected a string"),
    ],
)
def test_a_text_of_another_type_is_named(tiny_tagger, texts, message):
    with pytest.raises(TypeError) as error:
        cached_tagger(tiny_tagger)(texts)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (None, "sentences: got None, expected lists of words"),
        ("Peter", "sentences: got str, expected lists of words"),
        ({"a": ["b"]}, "sentences: got dict, expected lists of words"),
        ([["Peter"], None], "sentences[1]: got None, expected a list of words"),
        ([b"Peter"], "sentences[0]: got bytes, expected a list of words"),
        ([["Peter", 5]], "sentences[0][1]: got int, expected a string"),
        (
            [["a"], "Peter"],
            "sentences[1]: got a string, expected a list of words. To tag texts, call the tagger.",
        ),
    ],
)
def test_a_sentence_of_another_type_is_named(tiny_tagger, sentences, message):
    with pytest.raises(TypeError) as error:
        cached_tagger(tiny_tagger).tag_words(sentences)
    assert str(error.value) == message


def test_nothing_gives_nothing(tiny_tagger):
    tagger = cached_tagger(tiny_tagger)
    assert tagger([]) == tagger(iter(())) == tagger.tag_words([]) == []
    assert tagger("")[0]["entities"] == [] and tagger.tag_words([[]]) == [([], [])]


def test_any_order_of_elements_is_read():
    assert list(texts_of(("a", "b"))) == list(texts_of(iter("ab"))) == ["a", "b"]
    assert sentences_of((("a", "b"), iter("c"))) == [["a", "b"], ["c"]]


def test_threads_share_a_tagger(tiny_tagger):
    tagger = cached_tagger(tiny_tagger)
    texts = [[f"{TEXT} {number}"] * (number + 1) for number in range(8)]
    expected = [tagger(part, all_words=True) for part in texts]
    results = [None] * len(texts)

    def tag(number: int) -> None:
        for _ in range(5):
            results[number] = tagger(texts[number], all_words=True)

    threads = [threading.Thread(target=tag, args=[number]) for number in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == expected


def test_a_forked_worker_tags_with_the_tagger_of_its_parent(tiny_tagger, one_thread):
    tagger = cached_tagger(tiny_tagger)
    expected = tagger([TEXT] * 3)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=lambda: sender.send(tagger([TEXT] * 3)))
    worker.start()
    try:
        assert receiver.poll(60)
        assert receiver.recv() == expected
    finally:
        worker.kill()
        worker.join()
