"""The model as a component of spaCy's pipelines: `examples/spacy_component.py`."""

import pytest

from tests.helpers.examples import load_example, need
from tests.helpers.tagging import KNOWN, TEXT, TEXT_ENTITIES, cached_tagger, use_look_up

pytestmark = pytest.mark.exhaustive
need("spacy")

import spacy  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from spacy.tokenizer import Tokenizer  # noqa: E402

FACTORY = "token_classifier"
WORDS = [
    *KNOWN,
    "went",
    "to",
    "don't",
    "U.S.",
    "a-b",
    "中",
    "\U0001f600",
    "\u2028",
    "\n",
    "  ",
    ".",
]


def make_pipeline(model, language="en", **config):
    """Return a blank pipeline with the component."""
    load_example("spacy_component")
    nlp = spacy.blank(language)
    nlp.add_pipe(FACTORY, config={"model": str(model), **config})
    return nlp


@pytest.fixture
def known(monkeypatch):
    """Give each model that is loaded the known tags."""
    use_look_up(monkeypatch)


def spans(doc) -> list[tuple[str, int, int]]:
    return [(entity.label_, entity.start_char, entity.end_char) for entity in doc.ents]


def test_a_document_gets_the_entities_of_the_tagger(tiny_tagger, known):
    doc = make_pipeline(tiny_tagger)(TEXT)
    assert [(e.text, e.label_, e.start_char, e.end_char) for e in doc.ents] == [
        (e["word"], e["entity_group"], e["start"], e["end"]) for e in TEXT_ENTITIES
    ]
    assert [e._.score for e in doc.ents] == pytest.approx([e["score"] for e in TEXT_ENTITIES])
    assert [token.ent_iob_ for token in doc] == list("BIOOBOBIO")


@pytest.mark.parametrize("size", [1, 3, 256])
def test_a_pipe_gives_what_single_documents_get(tiny_tagger, size):
    nlp = make_pipeline(tiny_tagger)
    texts = [TEXT, "", "EU rejects German call.", "Anna", " ", TEXT * 20, "中"]
    docs = list(nlp.pipe(texts, batch_size=size))
    assert [doc.text for doc in docs] == texts
    assert [spans(doc) for doc in docs] == [spans(nlp(text)) for text in texts]


def test_a_pipe_tags_the_documents_of_a_batch_together(tiny_tagger, monkeypatch):
    nlp = make_pipeline(tiny_tagger)
    component = nlp.get_pipe(FACTORY)
    calls = []
    tagger = component.tagger
    monkeypatch.setattr(
        component, "tagger", lambda texts, **k: calls.append(len(texts)) or tagger(texts, **k)
    )
    assert len(list(nlp.pipe([TEXT] * 10, batch_size=4))) == 10
    assert calls == [4, 4, 2]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(WORDS)), st.booleans())
def test_whole_tokens_hold_each_entity_of_the_model(tiny_tagger, known, words, spaced):
    """With spaCy's English tokens; entities in one token become one."""
    text = (" " if spaced else "").join(words)
    nlp = _pipeline_of_property(tiny_tagger)
    doc = nlp(text)
    assert doc.text == text
    results = nlp.get_pipe(FACTORY).tagger(text)[0]["entities"]
    covered = [(start, end) for _, start, end in spans(doc)]
    for entity in results:
        assert any(start < entity["end"] and entity["start"] < end for start, end in covered)
    edges = {token.idx for token in doc} | {token.idx + len(token) for token in doc}
    exact = [(e["entity_group"], e["start"], e["end"]) for e in results]
    if all(start in edges and end in edges for _, start, end in exact):
        assert spans(doc) == exact


_CACHE = {}


def _pipeline_of_property(model):
    if model not in _CACHE:
        _CACHE[model] = make_pipeline(model)
    return _CACHE[model]


@pytest.mark.parametrize(
    "alignment,expected",
    [
        ("expand", [("LOC", 0, 7), ("LOC", 11, 29)]),
        ("contract", [("LOC", 11, 14)]),
        ("strict", []),
    ],
)
def test_alignment_with_tokens_that_cut_across_entities(tiny_tagger, known, alignment, expected):
    """The tokens are divided by spaces: `Paris/x`, `to`, `New`, `York/Brooklyn.`."""
    nlp = make_pipeline(tiny_tagger, alignment=alignment)
    nlp.tokenizer = Tokenizer(nlp.vocab)
    assert spans(nlp("Paris/x to New York/Brooklyn.")) == expected


def test_of_entities_in_one_token_the_longest_stays(tiny_tagger, known):
    nlp = make_pipeline(tiny_tagger)
    nlp.tokenizer = Tokenizer(nlp.vocab)
    assert spans(nlp("Paris/EU")) == [("LOC", 0, 8)]


def test_entities_below_the_score_are_left_out(tiny_tagger, known):
    assert spans(make_pipeline(tiny_tagger, min_score=0.99)(TEXT)) == []


def test_entities_replace_those_of_the_document(tiny_tagger, known):
    nlp = make_pipeline(tiny_tagger)
    ruler = nlp.add_pipe("entity_ruler", first=True)
    ruler.add_patterns([{"label": "OTHER", "pattern": "Peter"}])
    assert [label for label, _, _ in spans(nlp(TEXT))] == ["PER", "LOC", "LOC"]


def test_a_pipeline_is_saved_and_loaded(tiny_tagger, tmp_path):
    nlp = make_pipeline(tiny_tagger, alignment="contract", min_score=0.1)
    nlp.to_disk(tmp_path / "pipeline")
    loaded = spacy.load(tmp_path / "pipeline")
    assert loaded.get_pipe(FACTORY).alignment == "contract"
    assert spans(loaded(TEXT)) == spans(nlp(TEXT))
    (doc,) = spacy.tokens.DocBin(store_user_data=True, docs=[nlp(TEXT)]).get_docs(nlp.vocab)
    assert [e._.score for e in doc.ents] == [e._.score for e in nlp(TEXT).ents]


def test_several_processes_give_the_same(tiny_tagger, one_thread):
    nlp = make_pipeline(tiny_tagger)
    texts = [f"{TEXT} {n}" for n in range(20)]
    docs = nlp.pipe(texts, n_process=2, batch_size=4)
    assert [spans(doc) for doc in docs] == [spans(nlp(text)) for text in texts]


@pytest.mark.parametrize("language", ["xx", "de", "fr", "he", "hi"])
def test_any_language(tiny_tagger, known, language):
    expected = [(e["entity_group"], e["start"], e["end"]) for e in TEXT_ENTITIES]
    assert spans(make_pipeline(tiny_tagger, language)(TEXT)) == expected


def test_what_cannot_work_is_refused(tiny_tagger, tiny_pos_tagger):
    with pytest.raises(ValueError, match="alignment: got nearest"):
        make_pipeline(tiny_tagger, alignment="nearest")
    with pytest.raises(ValueError, match="plain tags"):
        make_pipeline(tiny_pos_tagger)


def test_a_random_model_gives_the_entities_of_the_tagger(tiny_tagger):
    """With tokens that are the model's own words, nothing is moved."""
    tagger = cached_tagger(tiny_tagger)
    nlp = make_pipeline(tiny_tagger)
    for text in (TEXT, "EU rejects German call to boycott British lamb"):
        words = [word for word, _, _ in tagger.split_words(text)]
        spaces = [text[end : end + 1] == " " for _, _, end in tagger.split_words(text)]
        doc = spacy.tokens.Doc(nlp.vocab, words=words, spaces=spaces)
        (result,) = tagger(text)
        expected = [(e["entity_group"], e["start"], e["end"]) for e in result["entities"]]
        assert spans(nlp(doc)) == expected
