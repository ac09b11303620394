"""Tests of tagging/tagger.py: the tags and entities of texts."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.errors import UserError
from tagging import tagger as tagger_module
from tagging.tagger import Tagger
from tests.helpers.tagging import SURE, TEXT, TEXT_ENTITIES, cached_tagger


def test_entities_of_a_text(look_up):
    (result,) = look_up([TEXT])
    assert result == {"text": TEXT, "entities": [pytest.approx(e) for e in TEXT_ENTITIES]}
    assert look_up(TEXT) == [result]
    assert look_up([]) == []


def test_adjacent_entities_are_kept_apart_and_a_stray_i_tag_begins_an_entity(look_up):
    (result,) = look_up(["Peter Anna Paris York Blackburn Peter Blackburn"])
    entities = [(entity["entity_group"], entity["word"]) for entity in result["entities"]]
    assert entities == [
        ("PER", "Peter"),
        ("PER", "Anna"),
        ("LOC", "Paris York"),
        ("PER", "Blackburn"),
        ("PER", "Peter Blackburn"),
    ]


def test_all_words_and_min_score(look_up):
    (result,) = look_up(["Peter said"], all_words=True)
    assert result["words"] == [
        {"word": "Peter", "tag": "B-PER", "score": pytest.approx(SURE), "start": 0, "end": 5},
        {"word": "said", "tag": "O", "score": pytest.approx(SURE), "start": 6, "end": 10},
    ]
    assert look_up(TEXT, min_score=SURE + 0.01)[0]["entities"] == []
    assert len(look_up(TEXT, min_score=SURE - 0.01)[0]["entities"]) == 3
    with pytest.raises(ValueError, match="min_score: got 50, expected 0 to 1"):
        look_up(TEXT, min_score=50)


def test_probabilities_of_all_labels(look_up):
    first, second = look_up.predict_labels([["Peter", "said"], ["\u200b"]])
    assert first[0] == ["B-PER", "O"] and first[1].shape == (2, len(look_up.label_names))
    row = dict(zip(look_up.label_names, np.exp(first[1][0]), strict=True))
    assert row["B-PER"] == pytest.approx(SURE) and sum(row.values()) == pytest.approx(1)
    # A word without a sub-word says nothing.
    assert second[0] == ["O"] and np.exp(second[1][0]) == pytest.approx(1 / len(row))


def test_probabilities_of_all_plain_tags(tiny_pos_tagger):
    ((tags, rows),) = Tagger(tiny_pos_tagger).predict_labels([["Peter", "said"]])
    assert len(tags) == 2 and np.exp(rows).sum(1) == pytest.approx(1)


def test_plain_tags_give_words(tiny_pos_tagger):
    (result,) = Tagger(tiny_pos_tagger)(["The name is Peter."])
    assert set(result) == {"text", "words"}
    assert [word["word"] for word in result["words"]] == ["The", "name", "is", "Peter", "."]
    assert {word["tag"] for word in result["words"]} <= {"DET", "NOUN", "PUNCT", "VERB"}


def test_a_text_of_any_length_loses_nothing_at_the_edges_of_windows(look_up):
    """With 64 tokens per window, every offset of an entity from a window's edge occurs."""
    for filler in range(1, 6):
        sentence = "Peter Blackburn " + "said " * filler + "New York and "
        text = sentence * 60
        (result,) = look_up([text])
        entities = [(entity["entity_group"], entity["word"]) for entity in result["entities"]]
        assert entities == [("PER", "Peter Blackburn"), ("LOC", "New York")] * 60
    assert max(width for _, width in look_up.network.widths) == 64


def test_batches_keep_to_the_limit_and_results_to_the_order_of_the_texts(tiny_tagger, look_up):
    texts = [f"Peter {'said ' * (i * 7 % 40)}Paris" for i in range(100)]
    look_up.batch_tokens = 128
    results = look_up(texts)
    assert [result["text"] for result in results] == texts
    assert all(rows * width <= 128 for rows, width in look_up.network.widths)
    assert all(len(result["entities"]) == 2 for result in results)


def test_batching_changes_no_tag_of_a_real_network(tiny_tagger):
    texts = [f"{'Peter went to Paris , ' * (i % 9)}{i} and Anna" for i in range(60)]
    single = Tagger(tiny_tagger, batch_tokens=1)(texts, all_words=True)
    for batch_tokens in (100, 10_000):
        batched = Tagger(tiny_tagger, batch_tokens=batch_tokens)(texts, all_words=True)
        for expected, result in zip(single, batched, strict=True):
            assert [w["tag"] for w in expected["words"]] == [w["tag"] for w in result["words"]]
            assert [w["score"] for w in expected["words"]] == pytest.approx(
                [w["score"] for w in result["words"]], abs=1e-5
            )


PIECES = [
    *("Peter", "Paris", " ", "U.S.", "don't", "\t", "\r\n", "\x00", "\u200b", "\u200d", "e\u0301"),
    *("👩\u200d👩\u200d👧", "🇩🇪", "中文", "שלום", "\ud800"),
]
any_text = st.text(st.characters(exclude_categories=()), max_size=40) | st.lists(
    st.sampled_from(PIECES), max_size=12
).map("".join)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(any_text, max_size=4))
@example(["\ud800 Peter", "\r\n", "", "a\u0000b", "e\u0301a 👩‍👩‍👧 中文"])
def test_offsets_index_the_text_whatever_it_contains(tiny_tagger, texts):
    results = cached_tagger(tiny_tagger)(texts, all_words=True)
    assert [result["text"] for result in results] == texts
    for result in results:
        text, words = result["text"], result["words"]
        end = 0
        for word in words:
            assert word["start"] >= end and word["end"] > word["start"]
            assert text[word["start"] : word["end"]] == word["word"]
            assert not text[end : word["start"]].strip()
            end = word["end"]
        assert not text[end:].strip()
        starts, ends = {word["start"] for word in words}, {word["end"] for word in words}
        end = 0
        for entity in result["entities"]:
            assert end <= entity["start"] < entity["end"]
            assert entity["start"] in starts and entity["end"] in ends
            assert text[entity["start"] : entity["end"]] == entity["word"]
            assert 0 < entity["score"] <= 1
            end = entity["end"]


def test_a_string_is_not_a_sentence_of_words(tiny_tagger, snapshot):
    with pytest.raises(TypeError) as error:
        Tagger(tiny_tagger).tag_words(["Anna said"])
    assert str(error.value) == snapshot


def test_bf16_computes_doubtful_tags_again_in_fp32(tiny_tagger, monkeypatch):
    fp32, bf16 = (Tagger(tiny_tagger, dtype=dtype) for dtype in ("fp32", "bf16"))
    # Each word has a window of its own, so that some windows are in doubt and others are not.
    text = "Peter went to Paris said Anna of EU rejects German call"
    words = [[word] for word in text.split()]

    def probabilities(tagger, doubt):
        monkeypatch.setattr(tagger_module, "DOUBT", doubt)
        return [p for _, of_words in tagger.tag_words(words) for p in of_words]

    exact, rough = probabilities(fp32, 0.0), probabilities(bf16, 0.0)
    assert rough == pytest.approx(exact, abs=0.05) and rough != exact
    assert probabilities(bf16, 1.1) == exact  # every tag is in doubt
    mixed = probabilities(bf16, 0.5)
    assert all(p in pair for p, *pair in zip(mixed, exact, rough, strict=True))
    assert mixed not in (exact, rough)


def with_config(tiny_tagger, folder, **values):
    """Return a copy of a tagger with these values in its configuration."""
    shutil.copytree(tiny_tagger, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))
    return folder


def test_the_score_of_a_calibrated_model_is_the_probability_of_the_entity(tiny_tagger, tmp_path):
    text = "Peter went to Paris said Anna of EU rejects German call"
    values = {"decode": "viterbi", "score_temperature": 1.0}
    tagger = Tagger(with_config(tiny_tagger, tmp_path / "model", **values))
    plain = Tagger(tiny_tagger, decode="viterbi")
    (result,), (uncalibrated,) = (t([text], all_words=True) for t in (tagger, plain))
    assert [w["tag"] for w in result["words"]] == [w["tag"] for w in uncalibrated["words"]]
    words = {word["start"]: word["score"] for word in result["words"]}
    assert result["entities"]
    for entity in result["entities"]:
        # An entity is at most as probable as each of its tags.
        assert (
            0
            < entity["score"]
            <= min(
                score for start, score in words.items() if entity["start"] <= start < entity["end"]
            )
        )
    scores = sorted(entity["score"] for entity in result["entities"])
    (kept,) = tagger([text], min_score=scores[-1])
    assert [entity["score"] for entity in kept["entities"]] == [scores[-1]]
    assert result != uncalibrated


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_an_operating_point_changes_the_number_of_entities(dtype, tiny_tagger, tmp_path):
    text = "Peter went to Paris said Anna of EU rejects German call"
    words, counts = [[word] for word in text.split()], []
    for bias in (-20.0, -2.0, 2.0, 20.0):
        values = {"decode": "viterbi", "outside_bias": bias, "score_temperature": 1.0}
        folder = with_config(tiny_tagger, tmp_path / str(bias), **values)
        tagged = Tagger(folder, dtype=dtype).tag_words(words)
        counts.append(sum(tag != "O" for tags, _ in tagged for tag in tags))
        assert tagged[0][0] == Tagger(folder).tag_words(words)[0][0]
    (folder / "config.json").write_text(
        (folder / "config.json").read_text().replace("20.0", '-20.0, "min_entity_score": 0.5')
    )
    (result,) = Tagger(folder, dtype=dtype)([text])
    assert all(entity["score"] >= 0.5 for entity in result["entities"])
    assert 0 < len(result["entities"]) < len(words)
    assert counts[0] == len(words) and counts[3] == 0
    assert counts == sorted(counts, reverse=True)


def test_a_model_splits_text_as_it_was_trained(tiny_tagger, tmp_path):
    """By its splitter's name; a model from elsewhere has none and gets the newest."""
    text = "Anna aime l'Italie."
    old, new = ["Anna", "aime", "l'Italie", "."], ["Anna", "aime", "l'", "Italie", "."]
    for name, expected in (("words-1", old), ("words-2", new), (None, new)):
        folder = shutil.copytree(tiny_tagger, tmp_path / str(name))
        config = json.loads((folder / "config.json").read_text()) | {"word_splitter": name}
        config = {key: value for key, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(config))
        (result,) = Tagger(folder)([text], all_words=True)
        assert [word["word"] for word in result["words"]] == expected
    config["word_splitter"] = "words-2+icu4py-0.0.1+icu-1.0"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"pip install icu4py==0\.0\.1"):
        Tagger(folder)
