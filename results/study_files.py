"""The corpus of a study, written as files: each run reads a part of them.

sentences = sentences_of(corpus, "train")
write_sentences(Path("fold_1_train.jsonl"), sentences)
flags = corpus_flags(Path("labels.txt"), corpus, "ner")
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from corpus.load import Corpus
from corpus.problems import Place
from support.files import write_text, written_whole

WORDS_FIELD, LABELS_FIELD = "tokens", "labels"


class LabelledSentence(NamedTuple):
    """A sentence of the corpus with its tags and its place."""

    words: list[str]
    tags: list[str]
    place: Place


def sentences_of(corpus: Corpus, split: str) -> list[LabelledSentence]:
    """Return the sentences of a labelled split."""
    rows = corpus.splits[split].select_columns(["tokens", "labels"])
    return [
        LabelledSentence(row["tokens"], [corpus.label_names[i] for i in row["labels"]], place)
        for row, place in zip(rows, corpus.places(split), strict=True)
    ]


def write_sentences(path: Path, sentences: Iterable[LabelledSentence]) -> None:
    """Write sentences as JSON Lines, which `corpus_flags` describes."""
    with written_whole(path) as file:
        for words, tags, place in sentences:
            record: dict[str, object] = {WORDS_FIELD: words, LABELS_FIELD: tags}
            if place.document is not None:
                record["document"] = place.document
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def corpus_flags(label_file: Path, corpus: Corpus, task: str) -> list[str]:
    """Return the flags of training that read such files, with the labels of the whole corpus.

    The labels are written into `label_file`.
    """
    write_text(label_file, "".join(f"{name}\n" for name in corpus.label_names))
    flags = ["--task_name", task, "--label_names", str(label_file)]
    flags += ["--text_column_name", WORDS_FIELD, "--label_column_name", LABELS_FIELD]
    return [*flags, "--tag_scheme", "iob2"] if corpus.entity_tags else flags
