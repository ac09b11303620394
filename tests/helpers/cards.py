"""A run's facts for the model card, and the Hub's rules for a card's metadata."""

import math
import re

import yaml

from tests.helpers.hub_server import TOKEN

FACTS = {
    "output_name": "bert-finetuned-ner",
    "base_model": "google-bert/bert-base-cased",
    "base_model_license": "apache-2.0",
    "corpus_name": "CoNLL-2003",
    "dataset_id": "lhoestq/conll2003",
    "corpus_fingerprint": "0123456789abcdef",
    "task": "ner",
    "label_names": ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"],
    "entity_tags": True,
    "language": "en",
    "scores": {
        "validation": {
            "overall": {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "accuracy": 0.9},
            "per_type": {"PER": {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "number": 8}},
            "words": 1000,
        },
        "test": {
            "overall": {"precision": 0.75, "recall": 0.6, "f1": 2 / 3, "accuracy": 0.95},
            "per_type": {
                "LOC": {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "number": 2},
                "PER": {"precision": 0.0, "recall": 0.0, "f1": math.nan, "number": 0},
            },
            "words": 46435,
        },
    },
    "epoch_steps": 30,
    "history": [
        {"epoch": 0, "step": 30, "train_loss": 0.5, "eval_loss": 0.25, "eval_f1": 0.3},
        {"epoch": 1, "step": 60, "train_loss": 0.4, "eval_loss": 0.2, "eval_f1": 1 / 3},
    ],
    "arguments": {"learning_rate": 2e-5, "hub_token": TOKEN, "seed": 42, "config_name": None},
    "command": f"python train_trainer.py --seed 42 --hub_token {TOKEN}",
    "versions": {"transformers": "5.23.0"},
    "script": "train_trainer.py",
    "example_text": None,
    "replaced": [],
}


def problems_the_hub_would_find(text: str) -> list[str]:
    """Return how a card breaks the Hub's rules for metadata, as far as our cards can break them."""
    header = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    data = yaml.safe_load(header[1]) if header else None
    if not isinstance(data, dict):
        return ["no metadata"]
    repo = re.compile(r"[\w.-]+(/[\w.-]+)?")
    problems = [
        f"{key}: {data.get(key)!r}"
        for key, good in {
            "pipeline_tag": lambda v: v == "token-classification",
            "library_name": lambda v: v == "transformers",
            "license": lambda v: v is None or v in ("apache-2.0", "mit", "cc-by-4.0", "other"),
            "language": lambda v: v is None or re.fullmatch("[a-z]{2,3}|multilingual", v),
            "base_model": lambda v: v is None or repo.fullmatch(v),
            "datasets": lambda v: v is None or all(repo.fullmatch(name) for name in v),
            "tags": lambda v: all(isinstance(tag, str) and tag for tag in v),
            "metrics": lambda v: v is None or set(v) <= {"precision", "recall", "f1", "accuracy"},
            "widget": lambda v: v is None or all(isinstance(item["text"], str) for item in v),
        }.items()
        if not good(data.get(key))
    ]
    for model in data.get("model-index", []):
        for result in model["results"]:
            if not (model["name"] and result["task"]["type"] == "token-classification"):
                problems.append(f"model-index: {model['name']!r}")
            if not (result["dataset"]["type"] and result["dataset"]["name"]):
                problems.append("model-index without a data set")
            for metric in result["metrics"]:
                if not (metric["type"] and math.isfinite(metric["value"])):
                    problems.append(f"metric {metric}")
    return problems
