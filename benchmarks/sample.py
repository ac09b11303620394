"""Score models trained on the embedded corpus on real text.

    export NER_CORPORA=FOLDER          # contains uner-ewt/, wnut17/ and ewt/
    python train_trainer.py --sample && python benchmarks/sample.py uner MODEL
    python benchmarks/sample.py wnut MODEL
    python benchmarks/sample.py everyday MODEL
    python train_trainer.py --sample --task_name pos && python benchmarks/sample.py pos MODEL

Several models, for example of several seeds, are scored one by one, and their F1 is averaged.

uner: PER, LOC and ORG on the development split of Universal NER's English Web Treebank (web text).
wnut: the same types on WNUT-17's development split (comments from social media), where corporations
and groups are organisations. pos: parts of speech on the English Web Treebank's development split.
The training corpora have MISC and the real ones do not, so predicted MISC entities are dropped.
everyday: entities of all four types in the thirty texts of tests/everyday.jsonl, as running text.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parent.parent))

from scoring.scores import score_tags
from scoring.table import score_table
from tagging.tagger import Tagger

EVERYDAY = Path(__file__).parent.parent / "tests" / "everyday.jsonl"
TYPES = {"PER", "LOC", "ORG"}
WNUT_TYPES = {"person": "PER", "location": "LOC", "corporation": "ORG", "group": "ORG"}
# The Treebank's tags that differ from those of CoNLL-2003.
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
    """Return the words and the tags of each sentence of a tab-separated file.

    Comments, empty nodes ("1.1") and multi-word tokens ("1-2") of CoNLL-U are skipped.
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
    """Return tags with their types renamed; tags of types without a new name become O."""
    return [f"{tag[0]}-{names[tag[2:]]}" if tag[2:] in names else "O" for tag in tags]


def conll_pos(word: str, tag: str) -> str:
    """Return CoNLL-2003's tag for a tag of the Treebank; CoNLL-2003 tags every "to" as TO."""
    return "TO" if word.lower() == "to" else CONLL_POS.get(tag, tag)


def uner(corpora: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Return words and tags of Universal NER's English Web Treebank, development split."""
    words, tags = read_columns(corpora / "uner-ewt" / "en_ewt-ud-dev.iob2", 1, 2)
    return words, [keep_types(sentence, {t: t for t in TYPES}) for sentence in tags]


def wnut(corpora: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Return words and tags of WNUT-17, development split."""
    words, tags = read_columns(corpora / "wnut17" / "emerging.dev.conll", 0, 1)
    return words, [keep_types(sentence, WNUT_TYPES) for sentence in tags]


def pos(corpora: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Return words and parts of speech of the English Web Treebank, development split."""
    words, tags = read_columns(corpora / "ewt" / "en_ewt-ud-dev.conllu", 1, 4)
    return words, [list(map(conll_pos, *columns)) for columns in zip(words, tags, strict=True)]


def score_columns(tagger: Tagger, words, gold, entity_tags: bool) -> dict:
    """Return the scores over sentences of words, for the types of the gold tags only."""
    predicted = [tags for tags, _ in tagger.tag_words(words)]
    if entity_tags:
        predicted = [keep_types(tags, {t: t for t in TYPES}) for tags in predicted]
    return score_tags(gold, predicted, entity_tags)


def score_everyday(tagger: Tagger) -> dict:
    """Return the scores on running text: a span is correct if its type, start and end are.

    Each character gets a tag, so that the scores do not depend on the splitting of words.
    """
    rows = EVERYDAY.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(row) for row in rows]
    gold, predicted = [], []
    for row, answer in zip(rows, tagger([row["text"] for row in rows]), strict=True):
        length = len(row["text"])
        gold.append(span_tags(length, row["spans"], "label"))
        predicted.append(span_tags(length, answer["entities"], "entity_group"))
    return score_tags(gold, predicted, True)


def span_tags(length: int, spans: list[dict], name: str) -> list[str]:
    """Return IOB2 tags by character; `name` is the key of a span's type."""
    tags = ["O"] * length
    for span in spans:
        tags[span["start"] : span["end"]] = [
            f"{'I' if i else 'B'}-{span[name]}" for i in range(span["end"] - span["start"])
        ]
    return tags


def main():
    """Read the command line, then score each model."""
    on_corpora = {"uner": uner, "wnut": wnut, "pos": pos}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measurement", choices=[*on_corpora, "everyday"])
    parser.add_argument("models", nargs="+", help="folders that a training script wrote")
    args = parser.parse_args()
    if args.measurement != "everyday":
        corpora = os.environ.get("NER_CORPORA")
        if not corpora:
            parser.error("NER_CORPORA is not set: expected the folder of the real corpora")
        words, gold = on_corpora[args.measurement](Path(corpora))
        print(f"{len(words)} sentences, {sum(map(len, words))} words")

    all_scores = []
    for model in args.models:
        tagger = Tagger(model)
        if args.measurement == "everyday":
            scores = score_everyday(tagger)
        else:
            scores = score_columns(tagger, words, gold, args.measurement != "pos")
        print(f"\n{model}\n{score_table(scores)}")
        all_scores.append(scores)
    if len(all_scores) > 1:
        print(f"\nmean of {len(all_scores)} models")
        if args.measurement == "pos":
            print(f"accuracy {mean(s['overall']['accuracy'] for s in all_scores):.4f}")
            return
        for kind in sorted(all_scores[0]["per_type"]):
            print(f"{kind:8} {mean(s['per_type'][kind]['f1'] for s in all_scores):.4f}")
        print(f"overall  {mean(s['overall']['f1'] for s in all_scores):.4f}")


if __name__ == "__main__":
    main()
