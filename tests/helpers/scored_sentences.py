"""Scored sentences, written by hand: gold and predicted tags of words."""


def example(gold: str, predicted: str, probability=None, tokens: str | None = None) -> dict:
    """Return a scored sentence; tags and tokens are given as words separated by spaces."""
    gold, predicted = gold.split(), predicted.split()
    tokens = tokens.split() if tokens else [f"w{n}" for n in range(len(gold))]
    sentence = {"tokens": tokens, "gold": gold, "predicted": predicted}
    return sentence if probability is None else sentence | {"probability": probability}


ENTITY_EXAMPLES = [
    example("B-PER I-PER O", "B-PER I-PER O", [0.9, 0.9, 0.9], "Ada Lovelace wrote"),
    example("B-ORG O B-LOC", "B-PER O O", [0.7, 1.0, 0.8], "Acme in Rome"),
    example("O O B-LOC I-LOC", "B-MISC O B-LOC O", [0.6, 0.9, 0.5, 0.9], "We left New York"),
]
PLAIN_TAGS = ["NN", "PRP$", "WP$", "VB"]
PLAIN_EXAMPLES = [
    example("NN NN PRP$", "NN VB PRP$", [0.9, 0.8, 0.7], "time flies its"),
    example("NN VB WP$", "O NN WP$", [0.2, 0.6, 0.7], "\x07 runs whose"),
]
