"""Use a model as a component of a spaCy pipeline.

    pip install "spacy>=3.8,<4"
    python examples/spacy_component.py all-MiniLM-L6-v2-finetuned-ner "Anna went to Paris."

In a program:

    import spacy
    import spacy_component  # registers the factory; also before spacy.load of a saved pipeline

    nlp = spacy.blank("en")
    nlp.add_pipe("token_classifier", config={"model": "all-MiniLM-L6-v2-finetuned-ner"})
    for doc in nlp.pipe(texts, batch_size=256):
        print([(entity.text, entity.label_, entity._.score) for entity in doc.ents])

The model splits the text into words itself, as in training, independently of spaCy's tokens. Its
entities are then aligned to tokens. `alignment` treats an entity that begins or ends inside a
token: "expand" widens it to whole tokens, "contract" reduces it to the whole tokens inside it, if
any, "strict" leaves it out. If entities then overlap, the longest is kept. The entities replace
those of the document.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans, minibatch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from infer import Tagger

Span.set_extension("score", default=None, force=True)


@Language.factory(
    "token_classifier",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type"],
    default_config={"alignment": "expand", "min_score": 0.0},
)
class TokenClassifier:
    """A component that sets the entities of documents.

    `model`: a folder, or a name on the Hub. `min_score`: leave out entities with a lower score.
    """

    def __init__(
        self, nlp: Language, name: str, model: str, alignment: str, min_score: float
    ) -> None:
        if alignment not in ("strict", "contract", "expand"):
            raise ValueError(f"alignment: got {alignment}, expected strict, contract or expand")
        self.name, self.alignment, self.min_score = name, alignment, min_score
        self.tagger = Tagger(model)
        if not self.tagger.entity_tags:
            raise ValueError(f"{model}: got a model with plain tags, expected one with entity tags")

    def __call__(self, doc: Doc) -> Doc:
        """Return the document with its entities."""
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 256) -> Iterator[Doc]:
        """Yield documents with their entities; those of a batch are tagged together."""
        for docs in minibatch(stream, batch_size):
            results = self.tagger([doc.text for doc in docs], min_score=self.min_score)
            for doc, result in zip(docs, results, strict=True):
                doc.set_ents(filter_spans(self.spans(doc, result["entities"])))
                yield doc

    def spans(self, doc: Doc, entities: list[dict[str, Any]]) -> Iterator[Span]:
        """Yield entities as spans of tokens."""
        for entity in entities:
            span = doc.char_span(
                entity["start"],
                entity["end"],
                label=entity["entity_group"],
                alignment_mode=self.alignment,
            )
            if span is not None:
                span._.score = entity["score"]
                yield span


if __name__ == "__main__":
    nlp = spacy.blank("xx")
    nlp.add_pipe("token_classifier", config={"model": sys.argv[1]})
    for doc in nlp.pipe(sys.argv[2:]):
        print(*((entity.text, entity.label_, entity._.score) for entity in doc.ents), sep="\n")
