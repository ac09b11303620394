"""Small corpora as text, and helpers that inspect a loaded corpus."""

from pathlib import Path

from corpus.load import Corpus

GOOD = "EU B-ORG\nrejects O\nGerman B-MISC\n\nPeter B-PER\nBlackburn I-PER\n\nBonn B-ORG\n"


def numbered(sentences: int, documents: int) -> str:
    """Return CoNLL columns with one-word sentences, w0, w1, ..., in documents of equal length."""
    lines = []
    for number in range(sentences):
        if documents and number % (sentences // documents) == 0:
            lines.append("-DOCSTART- O\n")
        lines.append(f"w{number} O\n")
    return "\n".join(lines)


def tag_lists(corpus: Corpus, split: str) -> list[list[str]]:
    """Return the tags of each sentence of a split, by name."""
    return [[corpus.label_names[i] for i in labels] for labels in corpus.splits[split]["labels"]]


def split_words(corpus: Corpus, split: str) -> list[list[str]]:
    """Return the words of each sentence of a split."""
    return corpus.splits[split]["tokens"][:]


def squeezed(text: str, folder: Path) -> list[str]:
    """Return the lines of a text without `folder`, with each run of spaces collapsed."""
    return [" ".join(line.split()) for line in text.replace(f"{folder}/", "").split("\n")]
