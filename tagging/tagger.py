"""Texts to words with tags and to entities: the part of `infer.py` that other programs import.

A text goes the way of a sentence in training: words, windows of sub-words, batches, one tag a
word. Windows of like length share a batch of bounded size, so that hardly any of it is padding.
"""

import os
import re
from collections.abc import Iterable
from itertools import compress, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

import common
from corpus import words as words_module
from corpus.schemes import TagTable, iob2_names
from encoder.batches import PadBatch
from encoder.tokenizer import window_length
from support.errors import UserError
from tagging import fast_bert as bert

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
# Sub-words a batch. More gains nothing, and on a CPU leaves its caches.
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 2048, 32768
# Between the probabilities of the two best tags: half precision errs by up to half of it (0.045
# over 800 sentences), and so cannot tell which is the best.
DOUBT = 0.1
CHUNK_TEXTS = 4096  # texts sorted by length together by `Tagger.__call__`
COURSE_MODEL = "huggingface-course/bert-finetuned-ner"

Words = list[tuple[str, int, int]]  # (word, start, end)


class Tagged(NamedTuple):
    """A text with one tag a word."""

    text: str
    words: Words
    tags: list[str]
    probabilities: list[float]  # of the tag chosen


class Tagger:
    """A model that tags texts: `Tagger("folder")(["My name is Sylvain."])`.

    `model`: a folder or a name on the Hub, of any `AutoModelForTokenClassification`. `dtype`:
    fp32, bf16 or fp16; what the latter two leave in doubt is computed again in fp32. `device`:
    as torch names it; a GPU if there is one. `batch_tokens`: the size of a batch in sub-words.
    Raises UserError where the model cannot tag words.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        *,
        revision: str = "main",
        dtype: str = "fp32",
        device: str | None = None,
        batch_tokens: int | None = None,
    ):
        import torch

        if dtype not in DTYPES:
            raise UserError(f"dtype {dtype}: expected one of {', '.join(DTYPES)}")
        try:
            self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"--device {device}: not to be had here: {reason}") from None
        networks = {}
        for name in dict.fromkeys((dtype, "fp32")):
            precision = getattr(torch, DTYPES[name])
            config, self.tokenizer, networks[name] = load(
                str(model), revision, precision, self.device
            )
        self.network = networks[dtype]
        self.exact = None if dtype == "fp32" else networks["fp32"]
        self.max_length = _window_length(self.tokenizer, config)
        self.task = getattr(config, "task_name", None)
        self.label_names = [config.id2label[i] for i in range(len(config.id2label))]
        self.entity_tags = common.are_entity_tags(self.label_names)
        on_cpu = self.device.type == "cpu"
        self.batch_tokens = batch_tokens or (CPU_BATCH_TOKENS if on_cpu else GPU_BATCH_TOKENS)

    def __call__(
        self, texts: str | Iterable[str], *, all_words: bool = False, min_score: float = 0.0
    ) -> list[dict]:
        """Entities of each text: `{"text", "entities": [{"entity_group", "score", "word",
        "start", "end"}]}`. `start` and `end` count code points: `text[start:end] == word`.

        The score of an entity is the mean, over its words, of the probability of the tag
        chosen. Plain tags (parts of speech) give `"words": [{"word", "tag", "score", "start",
        "end"}]` instead, `all_words` both. `min_score` leaves out entities below it.
        """
        texts = iter([texts] if isinstance(texts, str) else texts)
        results = []
        while chunk := list(islice(texts, CHUNK_TEXTS)):
            tagged = self.tag_texts([(text, None) for text in chunk])
            results += [self.result(one, all_words, min_score) for one in tagged]
        return results

    def tag_texts(self, texts: list[tuple[str, Words | None]]) -> list[Tagged]:
        """Tag texts, each with its words or with None, to have it split."""
        texts = [(text, split_words(text) if words is None else words) for text, words in texts]
        tagged = self.tag_words([[word for word, _, _ in words] for _, words in texts])
        return [Tagged(*text, *one) for text, one in zip(texts, tagged, strict=True)]

    def tag_words(self, sentences: list[list[str]]) -> list[tuple[list[str], list[float]]]:
        """(tags, their probabilities), one a word, of each sentence of words.

        As in evaluation, a word without a sub-word gets O, here with probability 0.
        """
        if any(isinstance(words, str) for words in sentences):
            raise TypeError("tag_words: expected lists of words, found a string; texts: tagger()")
        sentences = [_readable(words) for words in sentences]
        ends = np.cumsum([len(words) for words in sentences], dtype=np.int64).tolist()
        starts = [0, *ends[:-1]]
        windows = []
        for sentence, columns, owned in common.encode(sentences, self.tokenizer, self.max_length):
            numbers = range(starts[sentence], ends[sentence])
            columns["word_index"] = common.align_labels_with_tokens(numbers, owned)
            windows.append(columns)
        tags = ["O"] * (ends[-1] if ends else 0)
        probabilities = [0.0] * len(tags)
        doubtful = self._predict(self.network, windows, tags, probabilities)
        if self.exact is not None and doubtful:
            again = [w for w in windows if not doubtful.isdisjoint(w["word_index"])]
            self._predict(self.exact, again, tags, probabilities)
        return [
            (tags[start:end], probabilities[start:end])
            for start, end in zip(starts, ends, strict=True)
        ]

    def _predict(self, network, windows: list[dict], tags: list, probabilities: list) -> set[int]:
        """Fill in tags and probabilities by word index; returns the words in doubt."""
        import torch

        done = []
        with torch.inference_mode():
            for batch in self._batches(windows):
                logits, words = network(batch)
                found = logits.softmax(-1)
                two_best = found.topk(min(2, found.shape[-1])).values
                done.append((*found.max(-1), two_best[:, 0] - two_best[:, -1] < DOUBT, words))
        doubtful = set()
        # Only now, so that a GPU has all batches queued before the first result is awaited.
        for best, tag_ids, doubts, words in done:
            words = words.tolist()
            for word, tag_id, probability in zip(
                words, tag_ids.tolist(), best.tolist(), strict=True
            ):
                tags[word] = self.label_names[tag_id]
                probabilities[word] = probability
            doubtful.update(compress(words, doubts.tolist()))
        return doubtful

    def _batches(self, windows: list[dict]):
        """Windows of like length, the longest first, as many as fit into `batch_tokens`."""
        windows = sorted(windows, key=lambda window: -len(window["input_ids"]))
        start = 0
        while start < len(windows):
            size = max(1, self.batch_tokens // len(windows[start]["input_ids"]))
            yield windows[start : start + size]
            start += size

    def result(self, tagged: Tagged, all_words: bool = False, min_score: float = 0.0) -> dict:
        """What `__call__` gives for a text."""
        text, words, tags, probabilities = tagged
        result: dict = {"text": text}
        if self.entity_tags:
            result["entities"] = [
                entity for entity in entities_of(tagged) if entity["score"] >= min_score
            ]
        if all_words or not self.entity_tags:
            result["words"] = [
                {"word": word, "tag": tag, "score": score, "start": start, "end": end}
                for (word, start, end), tag, score in zip(words, tags, probabilities, strict=True)
            ]
        return result


HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair: tokenizers take none


def split_words(text: str) -> Words:
    """`words_module.split_words` for any string of Python's, half a surrogate pair included."""
    if not HALF.search(text):
        return words_module.split_words(text)
    words = words_module.split_words(HALF.sub("\ufffd", text))
    return [(text[start:end], start, end) for _, start, end in words]


def _readable(words: list[str]) -> list[str]:
    return [HALF.sub("\ufffd", word) for word in words] if HALF.search("".join(words)) else words


def entities_of(tagged: Tagged) -> list[dict]:
    """Entities of whole words, in order; none overlaps another."""
    found = []
    # In IOB2 and IOB1 alike `common.entities` reads what conlleval does.
    known = all(tag[0] in "OBI" for tag in tagged.tags)
    for entity_type, first, end in common.entities(tagged.tags if known else iob2(tagged.tags)):
        start_at, end_at = tagged.words[first][1], tagged.words[end - 1][2]
        found.append(
            {
                "entity_group": entity_type,
                "score": sum(tagged.probabilities[first:end]) / (end - first),
                "word": tagged.text[start_at:end_at],
                "start": start_at,
                "end": end_at,
            }
        )
    return found


def iob2(tags: list[str]) -> list[str]:
    """The same entities in IOB2, for entity tags of any scheme."""
    table = TagTable(sorted(set(tags)))
    numbers = np.array([table.names.index(tag) for tag in tags], dtype=np.int64)
    starts = np.arange(len(tags)) == 0
    names = iob2_names(table.types)
    return [names[i] for i in table.to_iob2(numbers, starts, names)]


# --- Loading ----------------------------------------------------------------------------------


def load(name: str, revision: str, dtype, device):
    """(configuration, tokenizer, network) of a model for token classification."""
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(_no_config(folder))
        if loaded := bert.load(folder, dtype, device):
            return loaded
    else:
        _look_for(name, revision)
    from transformers import AutoConfig, AutoModelForTokenClassification
    from transformers.utils import logging

    from encoder.errors import not_loaded
    from encoder.tokenizer import load_tokenizer

    logging.disable_progress_bar()

    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(not_loaded("model", name, error)) from None
    architectures = config.architectures or []
    if not any("ForTokenClassification" in architecture for architecture in architectures):
        found = ", ".join(architectures) or "no architecture named"
        raise UserError(
            f"{name}: a model for another task ({found}), with no head that tags words. Train "
            f"one: python train_trainer.py --model_name_or_path {name}"
        )
    tokenizer = load_tokenizer(name, revision=revision)
    try:
        network = AutoModelForTokenClassification.from_pretrained(
            name, revision=revision, config=config, dtype=dtype
        )
    except (OSError, ValueError) as error:
        raise UserError(not_loaded("model", name, error)) from None
    return config, tokenizer, Padded(network.to(device).eval(), tokenizer)


EXPECTED_MODEL = (
    "Expected a folder that a training script left, or any model for token classification with its "
    "tokenizer."
)


def _no_config(folder: Path) -> str:
    from support.files import checkpoint_folders as sort_checkpoints

    whole = [
        path
        for path in sort_checkpoints(folder)
        if (path / "config.json").is_file() and any(path.glob("*.safetensors"))
    ]
    if not whole:
        return f"{folder}: no model there: it has no config.json. {EXPECTED_MODEL}"
    return (
        f"{folder}: only checkpoints there, of a training that has not ended. To tag with the "
        f"newest of them: --model {whole[-1]}\nTo end the training: the command that began it, "
        "with --resume_from_checkpoint"
    )


def _look_for(name: str, revision: str) -> None:
    """Refuse at once what is no folder and cannot be on the Hub, or is out of reach there.

    The libraries would ask for each file, and again and again, before they say so. Without the
    Hub, what is in its cache is loaded from there.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    from support.reachability import go_offline, hub_reachable

    if Path(name).exists():
        raise UserError(f"{name}: a file, not the folder of a model. {EXPECTED_MODEL}")
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise UserError(f"{name}: no such folder. {EXPECTED_MODEL}") from None
    if hub_reachable():
        return
    go_offline()
    if not isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
        raise UserError(
            f"{name}: no such folder; the Hugging Face Hub cannot be reached, and no model of this "
            f"name is in its cache. {EXPECTED_MODEL}"
        )


class Padded:
    """A network of transformers, called as `bert.Bert` is."""

    def __init__(self, network, tokenizer):
        self.network, self.collate = network, PadBatch(tokenizer)

    def __call__(self, windows: list[dict[str, list[int]]]) -> tuple:
        """(logits, words): (words, labels) in fp32 and (words,) the `word_index` of each."""
        inputs = self.collate(windows)
        words = inputs.pop("word_index")
        device = self.network.device
        inputs = {name: values.to(device) for name, values in inputs.items()}
        first = words.ne(common.IGNORED)
        return self.network(**inputs).logits[first.to(device)].float(), words[first]


def _window_length(tokenizer, config) -> int:
    """What the model was trained with; for a model trained elsewhere, what it can take."""
    trained = getattr(config, "window_length", None)
    if trained:
        return trained
    return window_length(tokenizer, config, None)


def newest_model(folder: Path) -> Path | None:
    """The model that a training script last left in a default folder there."""
    runs = [
        run
        for run in folder.glob("*-finetuned-*/run.json")
        if (run.parent / "config.json").is_file()
    ]
    return max(runs, key=lambda run: run.stat().st_mtime_ns).parent if runs else None


def default_model(folder: Path) -> tuple[str, str]:
    """The model to use where none is named, and why: the newest one here, else the course's."""
    newest = newest_model(folder)
    if newest is not None:
        return str(newest), "the newest model here"
    from support.reachability import go_offline, hub_reachable

    if hub_reachable():
        return COURSE_MODEL, "the course's, from the Hub, as no model was trained here"
    go_offline()
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(COURSE_MODEL, "config.json"), str):
        return COURSE_MODEL, "the course's, from the cache, as no model was trained here"
    raise UserError(
        "no model: none was trained in this folder, and the Hugging Face Hub cannot be reached. "
        "Name one with --model, or train one (a few minutes):\n  python train_trainer.py --sample"
    )
