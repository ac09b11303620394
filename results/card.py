"""The model card: the README.md with which a model presents itself on the Hub.

A part between two marks is written by each run; what a person writes around it stays, and so does
metadata that a person has added or changed.
"""

import hashlib
import json
import math
import re
import shlex
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from support.files import write_text
from support.secrets import scrub

CARD_BEGIN = "<!-- Generated: what stands from here to the end mark is rewritten by each run. -->"
CARD_END = "<!-- End of the generated part. What stands outside of it is kept. -->"
HASHES = re.compile(r"<!-- Generated metadata: (\{.*?\}) -->")
EXAMPLE = "My name is Sylvain and I work at Hugging Face in Brooklyn."  # the course's
# The metric types the Hub knows, by the names that scores have here.
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


def generate_card(facts: dict, folder: Path) -> str:
    """The card of a run, as the text of a README.md.

    Args:
        folder: holds the model; its picture `training_curves.png` is shown if it is there.
        facts: `output_name`, `base_model`, `base_model_license`, `corpus_name`, `dataset_id`,
            `corpus_fingerprint`, `task` ("ner", "pos", "chunk" or another name), `label_names`,
            `entity_tags`, `language`, `scores` (split -> {"overall": metric -> value, "per_type":
            type -> metric -> value, "words": number scored}), `history` (one dict an epoch),
            `arguments`, `command`, `versions`, `script`, `example_text`, `replaced` (sentences on
            what stood in for the defaults). What is unknown may be missing or None.
    """
    data = _card_metadata(facts)
    hashes = {key: _short_hash(value) for key, value in data.to_dict().items()}
    body = _card_body(facts, folder).replace(CARD_BEGIN, "").replace(CARD_END, "")
    return (
        f"---\n{data.to_yaml()}\n---\n\n{CARD_BEGIN}\n"
        f"<!-- Generated metadata: {json.dumps(hashes)} -->\n\n{body}\n\n{CARD_END}\n"
    )


def merge_cards(new: str, old: str) -> str:
    """The card `new` with what a person has added to `old`: metadata that no run wrote or that was
    changed since, and text outside of the generated part. Where a person has been at work on both,
    `new` wins.

    Raises:
        ValueError, yaml.YAMLError: the metadata of `old` cannot be read.
    """
    new_card, old_card = ModelCard(new), ModelCard(old, ignore_metadata_errors=True)
    kept = _metadata_of_a_person(new_card)
    taken = {k: v for k, v in _metadata_of_a_person(old_card).items() if k not in kept}
    new_card.data.__dict__.update(taken)
    before, after = _texts_of_a_person(new_card.text)
    old_texts = _texts_of_a_person(old_card.text)
    rewrite = not (before.strip() or after.strip()) and any(text.strip() for text in old_texts)
    if rewrite:
        generated = new_card.text.removeprefix(before).removesuffix(after)
        new_card.text = old_texts[0] + generated + old_texts[1]
    return str(new_card) if taken or rewrite else new


def _short_hash(value) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _metadata_of_a_person(old: ModelCard) -> dict:
    """The keys of an older card that no run wrote, or that somebody has changed since."""
    match = HASHES.search(old.text)
    generated = json.loads(match[1]) if match else {}
    return {
        key: value
        for key, value in old.data.to_dict().items()
        if key != "model-index" and _short_hash(value) != generated.get(key)
    }


def _texts_of_a_person(text: str) -> tuple[str, str]:
    """What stands before and after the generated part; a card without one comes after it."""
    before, begin, rest = text.partition(CARD_BEGIN)
    _, end, after = rest.partition(CARD_END)
    if begin and end:
        return before, after
    return "\n", f"\n\n{text.strip()}\n"


def _hub_id(name: str | None) -> str | None:
    """`name` if it can be the id of a repository on the Hub: the Hub refuses cards with paths."""
    if not name or Path(name).exists():
        return None
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return name


def _base_model_id(facts: dict) -> str | None:
    """The base model's id on the Hub, if it came from there: of a local folder the facts give the
    last part of its path alone, which somebody else's model may have for its name.
    """
    name = facts.get("base_model") or ""
    given = (facts.get("arguments") or {}).get("model_name_or_path")
    from_a_folder = given is not None and Path(given).exists() and "/" not in name
    return None if from_a_folder else _hub_id(name)


def _card_metadata(facts: dict) -> ModelCardData:
    results = _eval_results(facts)
    dataset = _hub_id(facts.get("dataset_id"))
    return ModelCardData(
        language=facts.get("language"),
        license=facts.get("base_model_license"),
        library_name="transformers",
        base_model=_base_model_id(facts),
        datasets=[dataset] if dataset else None,
        metrics=sorted({result.metric_type for result in results}) or None,
        pipeline_tag="token-classification",
        tags=["token-classification", _slug(TASKS.get(facts.get("task"), facts.get("task") or ""))],
        model_name=facts["output_name"] if results else None,
        eval_results=results or None,
        widget=[{"text": facts.get("example_text") or EXAMPLE}],
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "token-classification"


def _eval_results(facts: dict) -> list[EvalResult]:
    """The scores of the last split that has any (test before validation), overall and by type."""
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
            task_name=TASKS.get(facts.get("task"), "token classification"),
            dataset_type=_hub_id(facts.get("dataset_id")) or _slug(corpus),
            dataset_name=corpus,
            dataset_split=split,
            metric_type=HUB_METRICS[metric],
            metric_name=f"{type_name} {metric.replace('_', ' ')}".strip(),
            metric_value=float(value),
        )
        for type_name, values in named
        for metric, value in values.items()
        if metric in HUB_METRICS and math.isfinite(value)
    ]


def _card_body(facts: dict, folder: Path) -> str:
    sections = [
        f"# {facts['output_name']}",
        "\n".join(f"> **Note:** {sentence}" for sentence in facts.get("replaced") or []),
        _card_summary(facts),
        "## How to use it",
        _card_usage(facts),
        "## Scores",
        *(_score_table(split, scores) for split, scores in facts.get("scores", {}).items()),
        "## Training",
        _card_training(facts),
        _markdown_table(_rounded_rows(facts.get("history") or [])),
        "![Loss and scores by epoch](training_curves.png)"
        if (folder / "training_curves.png").exists()
        else "",
        _details("All arguments", _argument_lines(facts)),
        _details("Versions", "\n".join(f"{k}: {v}" for k, v in facts.get("versions", {}).items())),
    ]
    return "\n\n".join(section for section in sections if section)


def _card_summary(facts: dict) -> str:
    base, dataset = _base_model_id(facts), _hub_id(facts.get("dataset_id"))
    base = f"[{base}](https://huggingface.co/{base})" if base else f"`{facts.get('base_model')}`"
    corpus = f"**{facts.get('corpus_name')}**"
    if dataset:
        corpus = f"[{facts.get('corpus_name')}](https://huggingface.co/datasets/{dataset})"
    fingerprint = facts.get("corpus_fingerprint")
    license_line = ""
    if not facts.get("base_model_license"):
        license_line = "\n\nFor the licence see those of the base model and of the corpus."
    kind = "entity tags (IOB2)" if facts.get("entity_tags") else "tags"
    names = ", ".join(f"`{name}`" for name in facts.get("label_names") or [])
    return (
        f"{base}, fine-tuned for {TASKS.get(facts.get('task'), 'token classification')} on "
        f"{corpus}" + (f" (content hash `{fingerprint}`)" if fingerprint else "") + "."
        f"\n\nIts {kind}: {names}." + license_line
    )


def _card_usage(facts: dict) -> str:
    name, text = facts.get("repo_id") or facts["output_name"], facts.get("example_text") or EXAMPLE
    command = shlex.join(["python", "infer.py", "--model_name_or_path", name, text])
    grouping = ', aggregation_strategy="simple"' if facts.get("entity_tags") else ""
    return (
        "With the script that comes with the training scripts:\n\n"
        f"```bash\n{command}\n```\n\n"
        "With transformers alone:\n\n"
        "```python\nfrom transformers import pipeline\n\n"
        f'tagger = pipeline("token-classification", model={json.dumps(name)}{grouping})\n'
        f"print(tagger({json.dumps(text, ensure_ascii=False)}))\n```"
    )


def _card_training(facts: dict) -> str:
    return f"Trained by `{facts.get('script')}`:\n\n```bash\n{facts.get('command')}\n```"


def _score_table(split: str, scores: dict) -> str:
    rows = [{"": f"**{split}**", **scores["overall"], "words scored": scores.get("words")}]
    rows += [{"": name, **values} for name, values in scores.get("per_type", {}).items()]
    return _markdown_table(_rounded_rows(rows))


def _rounded_rows(rows: list[dict]) -> list[dict]:
    return [
        {key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()}
        for row in rows
    ]


def _markdown_table(rows: list[dict]) -> str:
    """Rows as a table whose columns are all their keys, in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return ""

    def line(cells) -> str:
        cells = ("" if cell is None else str(cell).replace("|", "\\|") for cell in cells)
        return f"| {' | '.join(cells)} |"

    lines = [line(columns), line("---" for _ in columns)]
    return "\n".join(lines + [line(row.get(column) for column in columns) for row in rows])


def _argument_lines(facts: dict) -> str:
    arguments = dict(facts.get("arguments") or {})
    if arguments.get("model_name_or_path") and Path(arguments["model_name_or_path"]).is_dir():
        # Where a folder lies on this machine says nothing to others.
        arguments["model_name_or_path"] = facts.get("base_model")
    # Which precision it came to, whoever chose it.
    for name in ("bf16", "fp16"):
        arguments.pop(name, None)
    if facts.get("precision"):
        arguments["mixed_precision"] = facts["precision"]
    return "\n".join(
        f"{name}: {value}"
        for name, value in sorted(arguments.items())
        if value is not None and not name.endswith("token")
    )


def _details(title: str, lines: str) -> str:
    if not lines:
        return ""
    return f"<details><summary>{title}</summary>\n\n```yaml\n{lines}\n```\n\n</details>"


def write_card(folder: str | Path, facts: dict) -> Path:
    """Write `README.md`, the model card, into `folder`, whole or not at all.

    Only the generated part of an existing card is replaced. Metadata that a person has added or
    changed stays; scores are always those of this run.

    Args:
        folder: holds the model; its picture `training_curves.png` is shown if it is there.
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
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            print(f"{path} was left alone: its metadata cannot be read ({reason}).")
            path = path.with_name("README.generated.md")
    write_text(path, card)
    return path
