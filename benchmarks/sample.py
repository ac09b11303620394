"""How far the embedded corpus carries: a tagger trained on it, scored on real text.

    export NER_CORPORA=FOLDER          # holds uner-ewt/, wnut17/ and ewt/
    python train_trainer.py --sample && python benchmarks/sample.py uner MODEL
    python benchmarks/sample.py wnut MODEL
    python train_trainer.py --sample --task_name pos && python benchmarks/sample.py pos MODEL

uner: PER, LOC and ORG on the development split of Universal NER's English Web Treebank (web text).
wnut: the same types on WNUT-17's development split (comments from social media), where corporations
and groups are organisations. pos: parts of speech on the English Web Treebank's development split.
The training corpora know MISC and the real ones do not, so MISC is left out of what is predicted.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from common import score_table, score_tags
from tagger import Tagger

TYPES = {"PER", "LOC", "ORG"}
WNUT_TYPES = {"person": "PER", "location": "LOC", "corporation": "ORG", "group": "ORG"}
# The Treebank's tags that CoNLL-2003 writes otherwise
CONLL_POS = {
    "-LRB-": "(",
    "-RRB-": ")",
    "HYPH": ":",
    "NFP": ":",
    "``": '"',
    "''": '"',
    "ADD": "NN",
    "AFX": "JJ",
    "GW": "NN",
    "XX": "FW",
}


def read_columns(path: Path, word: int, tag: int) -> tuple[list[list[str]], list[list[str]]]:
    """Words and tags of each sentence of a tab-separated file.

    Comments, empty nodes ("1.1") and multi-word tokens ("1-2") of CoNLL-U are no words.
    """
    words, tags = [[]], [[]]
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        fields = line.split("\t")
        if not line.strip():
            words.append([])
            tags.append([])
        elif len(fields) > tag and (word == 0 or fields[0].isdigit()):
            words[-1].append(fields[word])
            tags[-1].append(fields[tag].strip())
    return [w for w in words if w], [t for t in tags if t]


def keep_types(tags: list[str], names: dict[str, str]) -> list[str]:
    """Tags with their types renamed; types without a new name become O."""
    return [f"{tag[0]}-{names[tag[2:]]}" if tag[2:] in names else "O" for tag in tags]


def conll_pos(word: str, tag: str) -> str:
    """CoNLL-2003's tag for one of the Treebank's; there every "to" is TO."""
    return "TO" if word.lower() == "to" else CONLL_POS.get(tag, tag)


def uner(corpora: Path) -> tuple[list[list[str]], list[list[str]]]:
    words, tags = read_columns(corpora / "uner-ewt" / "en_ewt-ud-dev.iob2", 1, 2)
    return words, [keep_types(sentence, {t: t for t in TYPES}) for sentence in tags]


def wnut(corpora: Path) -> tuple[list[list[str]], list[list[str]]]:
    words, tags = read_columns(corpora / "wnut17" / "emerging.dev.conll", 0, 1)
    return words, [keep_types(sentence, WNUT_TYPES) for sentence in tags]


def pos(corpora: Path) -> tuple[list[list[str]], list[list[str]]]:
    words, tags = read_columns(corpora / "ewt" / "en_ewt-ud-dev.conllu", 1, 4)
    return words, [list(map(conll_pos, *columns)) for columns in zip(words, tags, strict=True)]


def main():
    measurements = {"uner": uner, "wnut": wnut, "pos": pos}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measurement", choices=measurements)
    parser.add_argument("model", help="folder that a training script left")
    args = parser.parse_args()
    corpora = os.environ.get("NER_CORPORA")
    if not corpora:
        parser.error("NER_CORPORA must name the folder that holds the real corpora")

    words, gold = measurements[args.measurement](Path(corpora))
    predicted = [tags for tags, _ in Tagger(args.model).tag_words(words)]
    entity_tags = args.measurement != "pos"
    if entity_tags:
        predicted = [keep_types(tags, {t: t for t in TYPES}) for tags in predicted]
    print(score_table(score_tags(gold, predicted, entity_tags)))
    print(f"{len(words)} sentences, {sum(map(len, words))} words")


if __name__ == "__main__":
    main()
