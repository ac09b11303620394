"""The configuration of a model, checked before a library interprets it.

A configuration comes from a file that may be damaged, edited by hand or made to do harm. The
libraries check little of it: a wrong value ends in an error of their own, in a network that does
not fit into the memory, or in tags that mean nothing. Training and tagging both check it here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from support.errors import UserError
from support.text import counted, printable, quote

HEAD = "ForTokenClassification"  # in the name of an architecture
MAX_LAYERS, MAX_HEADS, MAX_SIZE = 1000, 4096, 2**31 - 1
MAX_EPSILON = 0.1  # of a layer norm; usual are 1e-12 to 1e-5
SCORING = {  # lowest, highest value
    "score_temperature": (0.1, 100.0),
    "score_offset": (-100.0, 100.0),
    "outside_bias": (-100.0, 100.0),
    "min_entity_score": (0.0, 1.0),
}
SHOWN = 8  # problems in one message
OF_SUITE = ("window_length", "context")  # sizes that the suite stores as integers


class Range(NamedTuple):
    """The values of an integer in a configuration, both ends included."""

    names: re.Pattern[str]
    least: int
    most: int


# The first pattern that fits a name decides. Models name the same size in different ways.
RANGES = [
    Range(re.compile(r"num_hidden_layers|n_layers?|num_layers"), 1, MAX_LAYERS),
    Range(re.compile(r".*_layers|num_blocks|num_hidden_groups|depth"), 0, MAX_LAYERS),
    Range(re.compile(r"(num_|n_)(attention_)?heads?|encoder_attention_heads"), 1, MAX_HEADS),
    Range(re.compile(r".*_heads"), 0, MAX_HEADS),
    Range(re.compile(r"context"), 0, MAX_SIZE),
    Range(re.compile(r"hidden_size|d_model|n_embd|emb_dim|vocab_size|window_length"), 1, MAX_SIZE),
    Range(re.compile(r"max_position_embeddings|n_positions|max_seq_len"), -1, MAX_SIZE),
    Range(re.compile(r".*_size|dim|d_ff|d_inner|d_head|d_kv|hidden_dim|n_inner"), 0, MAX_SIZE),
]
EPSILON = re.compile(r".*norm.*_eps(ilon)?|norm_eps")
INDEX = re.compile(r"[0-9]{1,9}")


def has_head(values: Mapping[str, Any]) -> bool:
    """Return whether a configuration is of a model with a head for token classification."""
    architectures = values.get("architectures")
    return isinstance(architectures, list) and any(HEAD in str(name) for name in architectures)


def check_config(
    values: object, place: str, *, labels_needed: bool = True, trust_remote_code: bool = False
) -> dict[str, Any]:
    """Return the values of a `config.json`; raise one UserError about all that is wrong.

    `place`: the file, for the message. `labels_needed`: whether a model with a head for token
    classification must name its labels; not if the head is replaced. `trust_remote_code`: whether
    code from elsewhere may run.
    """
    if not isinstance(values, dict):
        raise UserError(f"{place}: got {quote(values)}, expected a JSON object.")
    problems = [*_kind_problems(values), *_size_problems(values)]
    if not trust_remote_code:
        problems += _code_problems(values)
    if has_head(values) and labels_needed:
        problems += label_problems(values.get("id2label"), values.get("label2id"))
    elif not isinstance(values.get("id2label") or {}, dict):
        problems.append(f"id2label: got {quote(values['id2label'])}, expected an object")
    if problems:
        shown = [
            *problems[:SHOWN],
            *([f"and {len(problems) - SHOWN} more"] * (len(problems) > SHOWN)),
        ]
        raise UserError(
            f"{place}: not the configuration of a model that works:\n  "
            + "\n  ".join(map(printable, shown))
            + "\nThe file is damaged, or was edited. Get it again from where it came from."
        )
    return values


def _kind_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems of values whose type is wrong."""
    expected: dict[str, tuple[type, str]] = {
        "model_type": (str, "a name"),
        "auto_map": (dict, "an object"),
        "quantization_config": (dict, "an object"),
        "task_name": (str, "a name"),
        "word_splitter": (str, "a name"),
    }
    for name, (kind, description) in expected.items():
        value = values.get(name)
        if value is not None and not isinstance(value, kind):
            yield f"{name}: got {quote(value)}, expected {description}"
    architectures = values.get("architectures")
    if architectures is not None and not _are_names(architectures):
        yield f"architectures: got {quote(architectures)}, expected a list of names"


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _size_problems(values: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Yield the problems of numbers that no network has; `within`: the names of the objects above.

    A size that is null keeps the default of its architecture.
    """
    for name, value in values.items():
        if name.endswith("_config") and isinstance(value, dict) and name != "quantization_config":
            yield from _size_problems(value, f"{within}{name}.")
        elif value is None:
            continue
        elif EPSILON.fullmatch(name) or name in SCORING:
            least, most = SCORING.get(name, (0, MAX_EPSILON))
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not least <= value <= most:
                yield f"{within}{name}: got {quote(value)}, expected {least:g} to {most:g}"
        elif not isinstance(value, list | dict) or name in OF_SUITE:
            limits = next((limits for limits in RANGES if limits.names.fullmatch(name)), None)
            if limits is not None and not _is_integer(value, limits.least, limits.most):
                yield (
                    f"{within}{name}: got {quote(value)}, expected an integer from "
                    f"{max(limits.least, 0)} to {limits.most:,}"
                )
    window, positions = values.get("window_length"), values.get("max_position_embeddings")
    if isinstance(window, int) and _is_integer(positions, 1, window - 1):
        yield f"window_length: got {window}, expected at most {positions}, the model's positions"


def _is_integer(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _code_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems of values that make transformers run code from the Hub.

    A name with a slash is the repository of a kernel.
    """
    for name in ("attn_implementation", "_attn_implementation", "experts_implementation"):
        value = values.get(name)
        for implementation in value.values() if isinstance(value, dict) else [value]:
            if isinstance(implementation, str) and "/" in implementation:
                yield (
                    f"{name}: got {quote(implementation)}, a repository with code that would run. "
                    "If you trust its authors: --trust_remote_code"
                )


def label_problems(id2label: object, label2id: object = None) -> list[str]:
    """Return the problems of the labels of a model: each id from 0 has a name.

    `label2id` may be of other labels, as in many published models, which transformers ignores.
    """
    if not isinstance(id2label, Mapping) or not id2label:
        got = "nothing" if id2label is None else quote(id2label)
        return [f'id2label: got {got}, expected the names of the labels: {{"0": "O", ...}}']
    problems = []
    keys = [key for key in id2label if not INDEX.fullmatch(str(key))]
    if keys:
        problems.append(f"id2label: got the key {quote(keys[0])}, expected integers from 0")
    elif missing := sorted(set(range(len(id2label))) - set(map(int, id2label))):
        problems.append(
            f"id2label: got {counted(len(id2label), 'label')} without one for {missing[0]}, "
            f"expected one for each integer from 0 to {len(id2label) - 1}"
        )
    for key, name in id2label.items():
        if not isinstance(name, str) or not name.strip():
            problems.append(f"id2label: {key}: got {quote(name)}, expected a name")
    if problems:
        return problems
    ids = {name: int(key) for key, name in id2label.items()}
    if isinstance(label2id, Mapping) and label2id.keys() == ids.keys() and label2id != ids:
        name = next(name for name in ids if label2id[name] != ids[name])
        problems.append(
            f"label2id: got {quote(label2id[name])} for {quote(name)}, expected {ids[name]} as in "
            "id2label"
        )
    return problems
