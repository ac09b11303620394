"""Rounds of `fuzz_tagging.py` that damage the folder of a model and tag with it."""

import copy
import json
import os
import random
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

from fuzz import damaged
from fuzz_rounds import Failure, check_span

from support.errors import UserError
from tagging.tagger import Tagger

SENTENCES = ("Peter Blackburn went to Paris.", "", "EU rejects German call " * 40, "東京 \u200b 😀")
VALUES = (
    *(None, True, False, -1, 0, 1, 3, 7, 10**6, 10**10, 10**30, 0.5, -1.5, 1e308, float("nan")),
    *("", "x", "../../x", "gelu", "viterbi", [], {}, [1], [[]], {"a": 1}, ["a"] * 100, "\ud800"),
)
ADDED = {
    "auto_map": ({"AutoModelForTokenClassification": "code.Model"}, {"AutoConfig": "a/b--c.D"}),
    "quantization_config": ({"quant_method": "bitsandbytes"}, {"quant_method": "x"}, {}),
    "attn_implementation": ("evil/kernel", "flash_attention_2", "eager", 5),
    "dtype": ("float64", "bfloat16", "x", 5),
    "pruned_heads": ({"0": [1]}, {"a": "b"}),
    "is_decoder": (True, "x"),
    "return_dict": (False, "x"),
    "torchscript": (True,),
    "output_attentions": (True,),
    "chunk_size_feed_forward": (1, -1, "x"),
    "tie_word_embeddings": (False, "x"),
    "use_cache": (True, []),
    "num_labels": (0, 1, 10**9, "x"),
    "architectures": ([], ["BertModel"], ["os.system"], ["XForTokenClassification"], "x"),
    "model_type": ("bert", "gpt2", "t5", "xlnet", "deberta-v2", "layoutlm", "x", "../x", 5),
    "tokenizer_class": ("BertTokenizer", "GPT2Tokenizer", "os.system", "x", 5),
    "added_tokens_decoder": ({"0": 5}, {"x": {"content": "a"}}, []),
    "model_max_length": (0, 1, 2, 5, -1, 1e30, "x"),
    "truncation": ({"max_length": 1, "strategy": "LongestFirst", "stride": 0}, 5),
    "padding": ({"strategy": {"Fixed": 10**9}}, 5),
}


def round_of_models(generator: random.Random, folder: Path, models: list[Path]) -> str:
    """Load a damaged model and tag with it; return the outcome, or raise Failure."""
    source = generator.choice(models)
    model = folder / "model"
    shutil.copytree(source, model)
    changes = [_damage_model(model, generator) for _ in range(generator.choice((1, 1, 1, 2)))]
    sys.stdin.close()  # a question to the user must fail
    try:
        tagger = Tagger(model, dtype=generator.choice(("fp32", "fp32", "fp32", "bf16")))
        results = tagger(SENTENCES, all_words=True)
        tagged = tagger.tag_words([["Anna", "", "\u200b"], [], ["x" * 1000]])
    except UserError:
        return "model, refused"
    except BaseException as error:
        raise Failure("TRACEBACK", f"{source.name}: {changes}\n{traceback.format_exc()}") from error
    if [result["text"] for result in results] != list(SENTENCES):
        raise Failure("LOST", f"{source.name}: {changes}")
    if [len(tags) for tags, _ in tagged] != [3, 0, 1]:
        raise Failure("LOST", f"{source.name}: {changes}")
    for result in results:
        for span in [*result.get("entities", ()), *result["words"]]:
            check_span(result["text"], span["start"], span["end"], span["word"])
            if not 0 <= span["score"] <= 1 + 1e-6:
                raise Failure("SCORE", f"{source.name}: {changes}: {span}")
    return "model, tags"


def _damage_model(model: Path, generator: random.Random) -> str:
    """Damage a file of a model; return what was done."""
    path = generator.choice(sorted(path for path in model.iterdir() if path.is_file()))
    kind = generator.choice(("bytes", "values", "values", "values", "weights", "special"))
    if kind == "values" and path.suffix == ".json":
        change = _damage_json(path, generator)
    elif kind == "weights":
        path = model / "model.safetensors"
        change = _damage_weights(path, generator) if path.is_file() else "none"
    elif kind == "special":
        change = _replace(path, generator)
    else:
        path.write_bytes(damaged(path.read_bytes(), generator))
        change = "bytes"
    return f"{path.name}: {change}"


def _damage_json(path: Path, generator: random.Random) -> str:
    """Change, remove or add values in a JSON file."""
    try:
        root = json.loads(path.read_text())
    except ValueError:  # damaged before
        return "none"
    changes = []
    for _ in range(generator.choice((1, 1, 2, 3))):
        holder, key = _place_in(root, generator)
        value = copy.deepcopy(generator.choice(VALUES))
        if key is None or (isinstance(root, dict) and generator.random() < 0.3):
            key = generator.choice(sorted(ADDED))
            holder, value = root, copy.deepcopy(generator.choice(ADDED[key]))
        if isinstance(holder, dict | list) and generator.random() < 0.15 and len(holder):
            key = key if isinstance(holder, list) or key in holder else next(iter(holder))
            del holder[key]
            changes.append(f"{key} removed")
        elif isinstance(holder, dict | list):
            holder[key] = value
            changes.append(f"{key}: {value!r:.80}")
    path.write_text(json.dumps(root))
    return ", ".join(changes)


def _place_in(value: Any, generator: random.Random) -> tuple[Any, Any]:
    """Return a random container inside a JSON value, and a key of it."""
    holder, key = value, None
    while isinstance(value, dict | list) and value:
        holder = value
        key = generator.choice(list(value)) if isinstance(value, dict) else None
        key = generator.randrange(len(value)) if key is None and isinstance(value, list) else key
        value = value[key]
        if generator.random() < 0.5:
            break
    return holder, key


def _damage_weights(path: Path, generator: random.Random) -> str:
    """Change a tensor, or the header, of a file of weights."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load, save

    kind = generator.choice(("nan", "huge", "shape", "type", "missing", "more", "header"))
    data = path.read_bytes()
    try:
        tensors = load(data)
        name = generator.choice(sorted(tensors))
    except (SafetensorError, ValueError, IndexError):  # damaged before
        return "none"
    if kind == "header":
        size = int.from_bytes(data[:8], "little")
        header = damaged(data[8 : 8 + size], generator)
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
        return kind
    values = tensors[name].copy()
    if kind == "nan":
        values.flat[generator.randrange(values.size)] = np.nan
    elif kind == "huge":
        values *= 1e30
    elif kind == "shape":
        values = values.reshape(-1)[: values.size // 2 + 1]
    elif kind == "type":
        values = values.astype(generator.choice((np.int8, np.float16, np.float64, np.bool_)))
    tensors[name] = values
    if kind == "missing":
        del tensors[name]
    elif kind == "more":
        tensors[f"{name}.more"] = values
    path.write_bytes(save(tensors, {"format": "pt"}))
    return f"{kind} {name}"


def _replace(path: Path, generator: random.Random) -> str:
    """Put something else in the place of a file."""
    kind = generator.choice(
        ("missing", "empty", "folder", "fifo", "loop", "zero", "pickle", "pointer", "elsewhere")
    )
    content = path.read_bytes()
    path.unlink()
    if kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "pickle":
        (path.parent / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    elif kind == "pointer":
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    elif kind == "elsewhere":
        target = path.parent.parent / "elsewhere"
        target.write_bytes(content)
        path.symlink_to(target)
    return kind
