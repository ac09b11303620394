"""The model card: the README.md that describes a model on the Hub.

Each run rewrites the part between two marks. Text outside the marks stays, and so does metadata
that a person has added or changed. The words of the card are in `templates/card_body.md.jinja`.
"""

import hashlib
import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCard, ModelCardData, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from results.calibration_rows import calibration_rows
from results.history import INTERVAL, history_table, scored_history
from results.verdict import date_of, nouns_of, scored_split, scores_of, verdict
from scoring.evidence import NEW, Nouns
from scoring.table import interval_notes, span
from support.files import write_text
from support.secrets import scrub
from support.text import counted, on_terminal

TEMPLATES = Path(__file__).parent / "templates"

# Cards on the Hub contain these two lines: with other wording, they would not be recognised.
CARD_BEGIN = "<!-- Generated: what stands from here to the end mark is rewritten by each run. -->"
CARD_END = "<!-- End of the generated part. What stands outside of it is kept. -->"
HASHES = re.compile(r"<!-- Generated metadata: (\{.*?\}) -->")
# The section that asks a person to write the intended use, until there is one outside of the
# generated part.
USE_MISSING = re.compile(r"<!-- Intended use: begin -->.*?<!-- Intended use: end -->\s*", re.DOTALL)
USE_WRITTEN = re.compile(r"^#+\s*(?:intended\s+use|uses?\b)", re.IGNORECASE | re.MULTILINE)
# The course's sentence, for a model of English. A sentence of the corpus is shown only if the user
# has requested that text from the corpus be pushed.
EXAMPLE = "My name is Sylvain and I work at Hugging Face in Brooklyn."
MARKUP = re.compile(r"[\\|`*\[\]~]|(?<!\w)_|_(?!\w)")  # in Markdown; not the _ in a name
LONGEST_HISTORY = 20  # rows
# The Hub's metric types, by the names of our scores.
HUB_METRICS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "macro_f1": "f1",
    "accuracy": "accuracy",
}
TASKS = {
    "ner": "named entity recognition",
    "pos": "part-of-speech tagging",
    "chunk": "text chunking",
}

Facts = Mapping[str, Any]


# --- Writing ------------------------------------------------------------------------------------


def write_card(folder: str | Path, facts: Facts) -> Path:
    """Write `README.md`, the model card, into `folder`, whole or not at all.

    Only the generated part of an existing card is replaced. Metadata that a person has added or
    changed is kept; scores are always those of this run.

    Args:
        folder: holds the model; its picture `training_curves.png` is shown if it exists.
        facts: describe the run, see `generate_card`.

    Returns:
        The path written: `README.md`, or `README.generated.md` if the metadata of an existing
        README.md cannot be read. That README.md is not changed.
    """
    path = Path(folder) / "README.md"
    card = scrub(generate_card(facts, Path(folder)), get_token())
    if path.exists():
        try:
            card = merge_cards(card, path.read_text(encoding="utf-8-sig"))
        except Exception as error:  # nothing that a person wrote there may stop the training
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            card_path = path.with_name("README.generated.md")
            message = (
                f"{path}: the metadata cannot be read: {reason}. The file is unchanged; the card "
                f"of this run is {card_path.name}."
            )
            print(on_terminal(message))
            path = card_path
    write_text(path, card)
    return path


def generate_card(facts: Facts, folder: Path) -> str:
    """Return the card of a run, the text of a README.md.

    Args:
        folder: holds the model; its picture `training_curves.png` is shown if it exists.
        facts: `output_name`, `base_model`, `base_model_is_local`, `base_model_license`,
            `corpus_name`, `dataset_id`, `corpus_fingerprint`, `task` ("ner", "pos", "chunk" or
            another name), `label_names`, `entity_tags`, `language`, `scores` (split -> {"overall":
            metric -> value, "per_type": type -> metric -> value, "words": number scored}; see
            `scoring.evidence` for intervals), `sentences` (of each split), `run_id` (which begins
            with the date), `more_epochs`, `kept_step`, `still_improved`, `patience_ended` (see
            `write_report`), `calibration` (see `calibration_rows`), `history` (one mapping for each
            evaluation), `score_intervals`, `epoch_steps`, `arguments`, `command`, `versions`,
            `suite_version`, `script`, `example_text`, `replaced` (sentences about what replaced a
            default). Unknown facts may be missing or None.
    """
    data = _card_metadata(facts)
    hashes = {key: _short_hash(value) for key, value in data.to_dict().items()}
    # A fact that holds a mark would end the generated part too early.
    body = _render("card_body.md.jinja", **_card_text(facts, folder))
    body = body.replace(CARD_BEGIN, "").replace(CARD_END, "").strip()
    return _render(
        "card.md.jinja",
        metadata=data.to_yaml(),
        begin=CARD_BEGIN,
        hashes=json.dumps(hashes),
        body=body,
        end=CARD_END,
    )


def merge_cards(new: str, old: str) -> str:
    """Return the card `new` with what a person has added to `old`.

    That is metadata that no run wrote or that was changed since, and text outside the generated
    part. If a person has edited both cards, `new` takes precedence.

    Raises:
        ValueError, yaml.YAMLError: the metadata of `old` cannot be read.
    """
    new_card, old_card = ModelCard(new), ModelCard(old, ignore_metadata_errors=True)
    new_edits = _metadata_of_a_person(new_card)
    old_edits = _metadata_of_a_person(old_card)
    added = {key: value for key, value in old_edits.items() if key not in new_edits}
    new_card.data.__dict__.update(added)
    texts = _texts_of_a_person(new_card.text)
    old_texts = _texts_of_a_person(old_card.text)
    rewrite = not any(text.strip() for text in texts) and any(text.strip() for text in old_texts)
    if rewrite:
        generated = new_card.text.removeprefix(texts[0]).removesuffix(texts[1])
        texts = old_texts
        if any(map(USE_WRITTEN.search, texts)):
            generated = USE_MISSING.sub("", generated)
        new_card.text = texts[0] + generated + texts[1]
    return str(new_card) if added or rewrite else new


def _short_hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _metadata_of_a_person(card: ModelCard) -> dict[str, Any]:
    """Return the metadata of a card that no run wrote, or that was changed since."""
    match = HASHES.search(card.text)
    generated = json.loads(match[1]) if match else {}
    return {
        key: value
        for key, value in card.data.to_dict().items()
        if key != "model-index" and _short_hash(value) != generated.get(key)
    }


def _texts_of_a_person(text: str) -> tuple[str, str]:
    """Return the text before and after the generated part.

    A card without a generated part is all text after it.
    """
    before, begin, rest = text.partition(CARD_BEGIN)
    _, end, after = rest.partition(CARD_END)
    if begin and end:
        return before, after
    return "\n", f"\n\n{text.strip()}\n"


# --- Metadata -----------------------------------------------------------------------------------


def _hub_id(name: str | None) -> str | None:
    """Return `name` if it can be a repository's id on the Hub, which refuses cards with paths."""
    if not name or Path(name).exists():
        return None
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return name


def _base_model_id(facts: Facts) -> str | None:
    """Return the base model's id on the Hub, if it came from there.

    The name of a local folder may be the name of somebody else's model.
    """
    return None if facts.get("base_model_is_local") else _hub_id(facts.get("base_model"))


def _task_name(facts: Facts) -> str:
    return TASKS.get(facts.get("task") or "", "token classification")


def _card_metadata(facts: Facts) -> ModelCardData:
    results = _eval_results(facts)
    dataset = _hub_id(facts.get("dataset_id"))
    task = facts.get("task") or ""
    return ModelCardData(
        language=facts.get("language"),
        license=facts.get("base_model_license"),
        library_name="transformers",
        base_model=_base_model_id(facts),
        datasets=[dataset] if dataset else None,
        metrics=sorted({result.metric_type for result in results}) or None,
        pipeline_tag="token-classification",
        tags=["token-classification", _slug(TASKS.get(task, task))],
        model_name=facts["output_name"] if results else None,
        eval_results=results or None,
        widget=[{"text": example}] if (example := _example(facts)) else None,
    )


def _example(facts: Facts) -> str | None:
    return facts.get("example_text") or (EXAMPLE if facts.get("language") == "en" else None)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "token-classification"


def _eval_results(facts: Facts) -> list[EvalResult]:
    """Return the scores of the last split that has any, overall and by type.

    The test split counts as later than the validation split.
    """
    splits = [split for split in ("validation", "test") if split in facts.get("scores", {})]
    if not splits:
        return []
    split = splits[-1]
    scores = facts["scores"][split]
    named = [("", scores["overall"]), *scores.get("per_type", {}).items()]
    corpus = facts.get("corpus_name") or "corpus"
    return [
        EvalResult(
            task_type="token-classification",
            task_name=_task_name(facts),
            dataset_type=_hub_id(facts.get("dataset_id")) or _slug(corpus),
            dataset_name=corpus,
            dataset_split=split,
            metric_type=HUB_METRICS[metric],
            metric_name=_metric_name(type_name, metric, values),
            metric_value=float(value),
        )
        for type_name, values in named
        for metric, value in values.items()
        if metric in HUB_METRICS and math.isfinite(value)
    ]


def _metric_name(type_name: str, metric: str, scores: Mapping[str, Any]) -> str:
    """Return the name of a score with its interval, for which the Hub has no field."""
    name = f"{type_name} {metric.replace('_', ' ')}".strip()
    interval = scores.get(f"{metric}{INTERVAL}")
    return f"{name} (95 % interval {span(interval)})" if interval else name


# --- Text ---------------------------------------------------------------------------------------


class Markdown(str):
    """A text that is Markdown, not data."""


class Table(NamedTuple):
    """A table; a cell without a value is None."""

    columns: list[str]
    rows: list[list[object]]


def _table(rows: Sequence[Mapping[str, object]]) -> Table:
    """Return a table whose columns are the keys of all rows, in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return Table(columns, [[row.get(column) for column in columns] for row in rows])


class SplitScores(NamedTuple):
    """The scores of a split, with notes on how sure they are."""

    table: Table
    notes: list[str]


def _split_scores(split: str, scores: Mapping[str, Any], nouns: Nouns) -> SplitScores:
    words = {"words scored": scores.get("words")}
    rows = [{"": Markdown(f"**{split}**"), **_with_intervals(scores["overall"]), **words}]
    rows += [
        {"": type_name, **_with_intervals(values)}
        for type_name, values in scores.get("per_type", {}).items()
    ]
    notes = interval_notes(scores, nouns) if "intervals" in scores else []
    return SplitScores(_table(rows), notes)


def _with_intervals(scores: Mapping[str, Any]) -> dict[str, object]:
    """Return scores as text with their intervals; a score without one stays a number."""
    return {
        name: f"{value:.4f} ({span(interval)})"
        if (interval := scores.get(f"{name}_interval"))
        else value
        for name, value in scores.items()
        if not name.endswith("_interval")
    }


def _card_text(facts: Facts, folder: Path) -> dict[str, Any]:
    """Return the values of the template `card_body.md.jinja`."""
    name = facts.get("repo_id") or facts["output_name"]
    example = _example(facts)
    texts = [example] if example else ["--input", "texts.txt"]
    return {
        "output_name": facts["output_name"],
        "replaced": facts.get("replaced") or (),
        "base_model": facts.get("base_model"),
        "base_model_id": _base_model_id(facts),
        "license": facts.get("base_model_license"),
        "task": _task_name(facts),
        "corpus": facts.get("corpus_name"),
        "dataset_id": _hub_id(facts.get("dataset_id")),
        "fingerprint": facts.get("corpus_fingerprint"),
        "entity_tags": facts.get("entity_tags"),
        "label_names": facts.get("label_names") or (),
        "name": name,
        "example": example,
        "infer_command": shlex.join(["python", "infer.py", "--model", name, *texts]),
        "scores": [
            _split_scores(split, scores, nouns_of(facts))
            for split, scores in facts.get("scores", {}).items()
        ],
        "calibration": calibration_rows(facts.get("calibration") or {}, with_scores=False),
        "verdict": verdict(facts, bool(facts.get("entity_tags"))),
        "sizes": [
            f"{split} {counted(number, 'sentence')}"
            for split, number in (facts.get("sentences") or {}).items()
        ],
        "date": date_of(facts),
        "more_epochs": facts.get("more_epochs"),
        "seed": (facts.get("arguments") or {}).get("seed"),
        "limits": _limits(facts),
        "script": facts.get("script"),
        "command": facts.get("command"),
        "history": history_table(
            _scored(scored_history(facts)), facts.get("epoch_steps"), LONGEST_HISTORY
        ),
        "has_curves": (folder / "training_curves.png").exists(),
        "arguments": _arguments(facts),
        "versions": _versions(facts),
    }


def _scored(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the evaluations with their losses, and with the scores that have intervals."""
    kept = {"epoch", "step", "train_loss", "eval_loss"}
    return [
        {
            key: value
            for key, value in row.items()
            if key in kept or key.endswith(INTERVAL) or f"{key}{INTERVAL}" in row
        }
        for row in history
    ]


def _limits(facts: Facts) -> list[str]:
    """Return what a user of the model must know about its scores."""
    scores = scores_of(facts)
    split, nouns = scored_split(facts), nouns_of(facts)
    limits = []
    if split:
        limits.append(
            f"The scores hold for text like the {split} split. On text of another kind, time or "
            "language they may be lower."
        )
    if split == "validation" and facts.get("history"):
        limits.append("Training was followed on the same split, so the scores may be too high.")
    new = (scores.get("by_surface") or {}).get(NEW)
    if new and new["number"]:
        low, high = new["recall_interval"]
        limits.append(
            f"Of {nouns.plural} that training does not have, it finds a share of "
            f"{new['recall']:.3f} ({low:.3f} to {high:.3f})."
        )
    return limits


def _arguments(facts: Facts) -> list[tuple[str, object]]:
    """Return the arguments by name, without access tokens and without those that are not set."""
    return [
        (name, value)
        for name, value in sorted((facts.get("arguments") or {}).items())
        if value is not None and not name.endswith("token")
    ]


def _versions(facts: Facts) -> list[tuple[str, object]]:
    versions = dict(facts.get("versions") or {})
    if facts.get("suite_version"):
        versions = {"suite": facts["suite_version"], **versions}
    return list(versions.items())


@cache
def _environment() -> Environment:
    """Return the environment of the card's templates: Markdown, so nothing is escaped as HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters.update(cell=_cell, python_string=_python_string)
    return environment


def _render(template: str, **values: object) -> str:
    return _environment().get_template(template).render(values)


def _cell(value: object) -> str:
    """Return a value as a cell of a Markdown table."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, Markdown):
        return value
    # The name of a type is data: it must not end its cell, or become markup or a link.
    text = on_terminal(" ".join(str(value).split()))
    return MARKUP.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;")


def _python_string(text: str) -> str:
    """Return a text as a Python string literal, which JSON's string literals are too."""
    return json.dumps(text, ensure_ascii=False)
