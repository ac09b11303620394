"""A model's tokenizer: loading it, making it read words, the longest window it allows.

transformers is imported by the functions that need it, so that `infer.py` can start without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoder.errors import loading
from encoder.model_folder import TOKENIZER_FILES, check_tokenizer_files, files_of
from encoder.positions import usable_positions
from support.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

    from settings.run_settings import ModelSettings

LENGTH_WITHOUT_LIMIT = 512  # tokens, where neither tokenizer nor model states a limit
NO_LIMIT = 1e6  # tokens; tokenizers without a limit state 1e30


def load_tokenizer(name: str, **hub_options: Any) -> PreTrainedTokenizerFast:
    """Return the fast tokenizer of a model, set up to read lists of words.

    `hub_options` go to `from_pretrained`. Some byte-level tokenizers must put a space before each
    word, otherwise they tokenize a word of a list differently from the same word in running text;
    comparing the two shows which do. Raises UserError if there is no fast tokenizer, or if it
    needs more than words.
    """
    from transformers import AutoTokenizer

    with loading("tokenizer", name):
        with files_of(name, TOKENIZER_FILES, hub_options) as folder:
            check_tokenizer_files(folder)
        tokenizer = AutoTokenizer.from_pretrained(name, **hub_options)
    if not tokenizer.is_fast:
        raise UserError(
            f"{name}: slow tokenizer: got {type(tokenizer).__name__}, expected a fast tokenizer, "
            "which knows the word of each sub-word. Choose a model that has a tokenizer.json."
        )
    if not tokenizer.get_vocab().keys() - set(tokenizer.all_special_tokens):
        raise UserError(
            f"{name}: the tokenizer has no sub-words: got special tokens only, expected a "
            "tokenizer.json or a vocabulary beside the model."
        )
    with loading("tokenizer", name):
        if not _reads_words(tokenizer):
            tokenizer = AutoTokenizer.from_pretrained(name, add_prefix_space=True, **hub_options)
        if not _reads_words(tokenizer):  # the generic class, ModernBERT's, ignores it
            _put_space_before_words(tokenizer)
        _check_words(tokenizer, name)
    return tokenizer


def load_run_tokenizer(model: ModelSettings) -> PreTrainedTokenizerFast:
    """Return the tokenizer that the settings name, or else the model's own."""
    return load_tokenizer(model.tokenizer_name or model.model_name_or_path, **model.hub_options)


def window_length(
    tokenizer: PreTrainedTokenizerFast,
    config: PretrainedConfig,
    max_seq_length: int | None,
    *,
    do_train: bool = True,
) -> int:
    """Return the longest window in tokens, special tokens included.

    That is `max_seq_length`. If it is None, a model that is not trained (`do_train`) keeps the
    length of its training; otherwise, it is the limit that tokenizer and model state, or 512 if
    they state none. Raises UserError if `max_seq_length` is beyond what the model can compute, or
    has no room for a sub-word.
    """
    positions = usable_positions(config)
    shortest = tokenizer.num_special_tokens_to_add() + 1
    if max_seq_length is None and not do_train:  # as in `infer.py`
        max_seq_length = getattr(config, "window_length", None)
    if max_seq_length is None:
        stated = getattr(config.get_text_config(), "max_position_embeddings", None)
        limits = [tokenizer.model_max_length, positions or stated]
        limit = min(limit for limit in limits if limit and limit > 0)
        return int(limit) if limit < NO_LIMIT else LENGTH_WITHOUT_LIMIT
    if not shortest <= max_seq_length <= (positions or max_seq_length):
        expected = f"{shortest} to {positions}" if positions else f"at least {shortest}"
        raise UserError(
            f"--max_seq_length {max_seq_length}: out of range for this model: expected {expected}"
        )
    return max_seq_length


def _reads_words(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Return whether a list of words is tokenized like the same words in running text."""
    words = ["the", "word", "the"]
    try:
        from_words = tokenizer(words, is_split_into_words=True, add_special_tokens=False)
    except (AssertionError, ValueError):  # byte-level tokenizers may refuse lists of words
        return False
    running_text = tokenizer(" ".join(words), add_special_tokens=False)
    return from_words["input_ids"][1:] == running_text["input_ids"][1:]


def _check_words(tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    """Raise UserError if the tokenizer does not take a list of words as one sentence."""
    reason = ""
    try:
        # A batch, as `common.encode` makes it: LUKE's tokenizer takes the words for two texts.
        encoded = tokenizer([["the", "word"]], is_split_into_words=True)
    except (AssertionError, NotImplementedError, TypeError, ValueError) as error:
        reason = f"\n  {str(error).splitlines()[0]}"
    if reason or 1 in encoded.sequence_ids(0):
        raise UserError(
            f"{name}: the tokenizer does not read words: got {type(tokenizer).__name__}, expected "
            f"a tokenizer that needs nothing but the words of a text. Choose another model.{reason}"
        )


def _put_space_before_words(tokenizer: PreTrainedTokenizerFast) -> None:
    """Let the tokenizer's own normalizer put a space before each word."""
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    steps = [backend.normalizer] if backend.normalizer is not None else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Prepend(" ")])
