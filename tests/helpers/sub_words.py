"""Sentences, tokenizers and windows that are small enough to be counted by hand."""

from datasets import Dataset, DatasetDict
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import models as tokenizer_models
from transformers import PreTrainedTokenizerFast

import common
from corpus.load import Corpus
from corpus.words import WORD_SPLITTER

# The columns and the label order of CoNLL-2003, as the course prints them.
COURSE_LABELS = [
    "O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"
]  # fmt: skip
FIRST_ROW = ["EU", "rejects", "German", "call", "to", "boycott", "British", "lamb", "."]
FIRST_LABELS = [3, 0, 7, 0, 0, 0, 7, 0, 0]
SECOND_ROW = ["Peter", "Blackburn"]
SECOND_LABELS = [1, 2]
COURSE_VOCABULARY = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "EU", "rejects", "German", "call", "to", "boycott",
    "British", "la", "##mb", ".", "Peter", "Blackburn",
]  # fmt: skip


def word_piece_tokenizer(vocabulary: list[str], specials: bool = True, **options):
    """Return a cased WordPiece tokenizer like BERT's."""
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    backend = Tokenizer(tokenizer_models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    if specials:
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
        )
        names |= {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, model_input_names=inputs, **names, **options
    )


def letters_tokenizer(specials: bool = True, **options):
    """Return a tokenizer that makes n sub-words of a word of n letters."""
    letters = [chr(ord("a") + i) for i in range(26)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *("##" + c for c in letters)]
    return word_piece_tokenizer(vocabulary, specials, **options)


def course_windows(tokenizer=None) -> dict[str, list]:
    """Return the windows of the course's two rows, labelled for training."""
    examples = {"tokens": [FIRST_ROW, SECOND_ROW], "labels": [FIRST_LABELS, SECOND_LABELS]}
    return common.tokenize_and_align_labels(
        examples,
        tokenizer or word_piece_tokenizer(COURSE_VOCABULARY),
        512,
        common.inside_labels(COURSE_LABELS),
        None,
    )


def rows_of(columns: dict[str, list]) -> list[dict]:
    """Return columns as rows."""
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def labelled(rows: list[list[int]]) -> list[int]:
    """Return all values that are not ignored, in order."""
    return [value for row in rows for value in row if value != -100]


def split_of(sentences: list[list[str]], labels: list[list[int]] | None = None) -> Dataset:
    """Return a split of these sentences; without labels if they are None."""
    columns = {"tokens": sentences} | ({} if labels is None else {"labels": labels})
    return Dataset.from_dict(columns)


def corpus_of(label_names: list[str], **splits) -> Corpus:
    """Return a corpus of splits given as (words, labels) of each sentence.

    Labels of None leave the column out.
    """
    tables = {}
    for name, sentences in splits.items():
        columns = {"tokens": [words for words, _ in sentences]}
        if all(labels is not None for _, labels in sentences):
            columns["labels"] = [labels for _, labels in sentences]
        tables[name] = Dataset.from_dict(columns | origins(len(sentences)))
    entity_tags = common.are_entity_tags(label_names)
    sources = {name: [f"{name}.jsonl"] for name in splits}
    tables = DatasetDict(tables)
    fingerprint = repr(splits)
    return Corpus(tables, label_names, entity_tags, "a corpus", fingerprint, sources, WORD_SPLITTER)


def origins(sentences: int) -> dict[str, list]:
    """Return the columns of origin of a split: a sentence on each line, with an id."""
    lines = range(1, sentences + 1)
    return {
        "source": [0] * sentences,
        "line": [*lines],
        "line_step": [0] * sentences,
        "lines": [None] * sentences,
        "record_id": [f"r{line}" for line in lines],
    }
