"""A pretrained encoder with a head for our labels: loading and checking it."""

import dataclasses
import hashlib
import os
import sys
from pathlib import Path

import common
from corpus import words as words_module
from encoder import batches as window_set
from settings.flags import model_title, sharded_by
from support.errors import UserError


def load_tokenizer(name: str, **options):
    """The fast tokenizer of a model, told to expect words.

    Some byte-level tokenizers must put a space before each word, or a word is not tokenized as
    it is in running text; they are found by trying. `options` go to `from_pretrained`. Raises
    UserError where there is no fast tokenizer.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(not_loaded("tokenizer", name, error)) from None
    if not tokenizer.is_fast:
        raise UserError(
            f"{name}: its tokenizer ({type(tokenizer).__name__}) is a slow one, which cannot tell "
            "the word of a sub-word. Choose a model with a tokenizer.json (a fast tokenizer)."
        )
    if not _reads_words(tokenizer):
        tokenizer = AutoTokenizer.from_pretrained(name, add_prefix_space=True, **options)
    if not _reads_words(tokenizer):  # the generic class, ModernBERT's, ignores that option
        _put_space_before_words(tokenizer)
    return tokenizer


def load_run_tokenizer(args):
    """The tokenizer that this run's flags name, or its model's."""
    return load_tokenizer(args.tokenizer_name or args.model_name_or_path, **hub_options(args))


def _put_space_before_words(tokenizer) -> None:
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    steps = [backend.normalizer] if backend.normalizer is not None else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Prepend(" ")])


def _reads_words(tokenizer) -> bool:
    """Whether a list of words is tokenized as the same words in running text are."""
    words = ["the", "word", "the"]
    try:
        from_words = tokenizer(words, is_split_into_words=True, add_special_tokens=False)
    except (AssertionError, ValueError):  # byte-level tokenizers may refuse words outright
        return False
    running = tokenizer(" ".join(words), add_special_tokens=False)
    return from_words["input_ids"][1:] == running["input_ids"][1:]


def window_length(tokenizer, config, asked: int | None) -> int:
    """Longest window in tokens, special ones included: `asked`, within what the model can take.

    A model without a limit of its own gets 512.
    """
    limit = tokenizer.model_max_length  # 1e30 where the tokenizer does not know
    positions = getattr(config, "max_position_embeddings", None)
    if positions and positions > 0:
        # RoBERTa and its kin count two positions that no token can have: 514 for 512.
        limit = min(limit, positions - positions % 8)
    room = tokenizer.num_special_tokens_to_add() + 1
    if asked is None:
        return int(limit) if limit < 1e6 else 512
    if not room <= asked <= limit:
        raise UserError(f"--max_seq_length {asked}: expected {room} to {limit:g} for this model")
    return asked


def hub_options(args) -> dict:
    """How this run's model is fetched, for each `from_pretrained`."""
    return {
        "revision": args.model_revision,
        "cache_dir": args.cache_dir,
        "token": args.hub_token,
        "trust_remote_code": args.trust_remote_code,
    }


def load_config(args, corpus):
    """The model's configuration, with the corpus's labels.

    A model that already has a head for these labels, or more, keeps its own list of them, to
    which `match_labels` maps the corpus. Raises UserError for a head of other labels.
    """
    from transformers import AutoConfig

    name = args.config_name or args.model_name_or_path
    try:
        config = AutoConfig.from_pretrained(name, **hub_options(args))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(not_loaded("configuration", name, error)) from None
    has_head = any("ForTokenClassification" in a for a in config.architectures or [])
    theirs = [config.id2label[i] for i in range(config.num_labels)]
    if has_head and set(corpus.label_names) <= set(theirs):
        config.label2id = {label: i for i, label in enumerate(theirs)}  # not every model has one
        return config
    if has_head and not (args.ignore_mismatched_sizes and args.do_train):
        raise UserError(
            f"{model_title(args.model_name_or_path)} already has a head for other labels.\n"
            f"  its {len(theirs)} labels:        {', '.join(theirs)}\n"
            f"  the corpus's {len(corpus.label_names)} labels: {', '.join(corpus.label_names)}\n"
            "Name another model, or give it a new head with --ignore_mismatched_sizes."
        )
    if not args.do_train:
        raise UserError(
            f"{model_title(args.model_name_or_path)} has no head for token classification, and "
            "without --do_train it gets none: there is nothing to score."
        )
    config.use_cache = False  # an encoder has none; Trainer says so in the saved file
    config.id2label = dict(enumerate(corpus.label_names))
    config.label2id = {label: i for i, label in enumerate(corpus.label_names)}
    return config


def check_and_exit(args) -> None:
    """`--check`: print what the corpus is like; status 0 where it can be trained on, else 2."""
    from corpus.check import check_corpus

    try:
        tokenizer = load_run_tokenizer(args)
    except UserError:  # not at hand: nothing is said of sub-words then
        tokenizer = None
    report, would_start = check_corpus(args, tokenizer, args.max_seq_length)
    if os.environ.get("RANK", "0") == "0":
        print(report)
    sys.exit(0 if would_start else 2)


def match_labels(corpus, config):
    """The corpus with label ids as the model has them, mapped by name."""
    label_names = [config.id2label[i] for i in range(config.num_labels)]
    if label_names == corpus.label_names:
        return corpus
    new_ids = [config.label2id[name] for name in corpus.label_names]

    def relabel(row):
        return {"labels": [new_ids[label] for label in row["labels"]]}

    splits = {
        name: split.map(relabel) if "labels" in split.column_names else split
        for name, split in corpus.splits.items()
    }
    return dataclasses.replace(corpus, splits=type(corpus.splits)(splits), label_names=label_names)


def encode_corpus(args, corpus, config, tokenizer) -> dict:
    """Each split as a `window_set.WindowSet`: "train" with training's labels, the others with one a
    word. What the model must remember to tag text the same way goes into its configuration."""
    max_length = window_length(tokenizer, config, args.max_seq_length)
    config.word_splitter = words_module.WORD_SPLITTER
    config.window_length = max_length
    config.task_name = args.task_name
    inside = None
    if args.label_all_tokens:
        inside = common.inside_labels(corpus.label_names, corpus.entity_tags)
    # Once: tokenizing changes the truncation that it states.
    tokenizer_text = tokenizer.backend_tokenizer.to_str()
    windows = {}
    for name, split in corpus.splits.items():
        evaluate = name != "train"
        matters = (
            corpus.fingerprint,
            name,
            len(split),
            corpus.label_names,
            tokenizer_text,
            max_length,
            None if evaluate else inside,
            window_set.ENCODING,
        )
        key = hashlib.blake2b(repr(matters).encode(), digest_size=16).hexdigest()
        windows[name] = window_set.encode_split(
            split, tokenizer, max_length, inside, evaluate, key, args.overwrite_cache
        )
    return windows


def load_model(args, config, device, windows=None):
    """The encoder with a head for `config`'s labels; a new head is drawn from torch's seed.

    It is still to be moved to `device`, for which its dropout is chosen. `windows`: what
    `encode_corpus` gave; to be trained, it trains the embeddings of "train"'s sub-words only.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForTokenClassification

    from encoder.cpu.dropout import use_cpu_dropout
    from encoder.cpu.embeddings import train_occurring_rows

    # Under FSDP all processes are to load the weights, not the main one alone: a new head's would
    # have no memory in the others, and accelerate tells parameters by their addresses; and where
    # nothing is trained nobody sends them.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    if not args.do_train:  # then nothing is sharded; for ZeRO 3 the weights would come in pieces
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()
    name, options = args.model_name_or_path, hub_options(args)
    try:
        model = AutoModelForTokenClassification.from_pretrained(
            name,
            config=config,
            ignore_mismatched_sizes=True,  # labels were compared by name, see load_config
            dtype="float32",
            **options,
        )
        its_labels = AutoConfig.from_pretrained(name, **options).id2label
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(not_loaded("model", name, error)) from None
    if its_labels != config.id2label and len(its_labels) == len(config.id2label):
        _renew_head(model)  # it was loaded, as only its size was compared
    if device.type == "cpu":
        use_cpu_dropout(model)
    if sharded_by(args):
        _let_accelerate_shard_embeddings(model)
    elif windows and args.do_train:
        train_occurring_rows(model, windows["train"].token_ids())
    return model


def _let_accelerate_shard_embeddings(model) -> None:
    """FSDP's usual policy shards the modules that a model names; accelerate then shards the table
    of embeddings by itself, which fails where it is in one of those, as in BERT."""
    table = model.get_input_embeddings()
    around = {type(m).__name__ for m in model.modules() for part in m.modules() if part is table}
    named = model._no_split_modules or []
    model._no_split_modules = [name for name in named if name not in around]


def _renew_head(model) -> None:
    for name, child in model.named_children():
        if name != model.base_model_prefix:
            for module in child.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()


def not_loaded(what: str, name: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    where = "" if Path(name).exists() else " It is no local folder; is it in reach on the Hub?"
    return f"{name}: no {what} could be loaded.{where}\n  {reason}"
