"""The model card: its metadata, its text, and the edits of a person."""

import dataclasses
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from results import card
from results.card import write_card
from settings.tagging_flags import TaggingFlags
from tests.helpers.cards import FACTS, problems_the_hub_would_find
from tests.helpers.hub_server import TOKEN
from tests.helpers.messages import stable


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


def metadata(path: Path) -> dict:
    return ModelCard.load(path).data.to_dict()


def test_the_card_contains_metadata_for_the_hub_and_text_for_readers(folder, snapshot):
    path = write_card(folder, FACTS)
    text = path.read_text()
    assert path == folder / "README.md"
    assert problems_the_hub_would_find(text) == []
    data = metadata(path)
    assert data["license"] == "apache-2.0"
    assert data["language"] == "en"
    assert data["base_model"] == "google-bert/bert-base-cased"
    assert data["datasets"] == ["lhoestq/conll2003"]
    assert data["widget"] == [{"text": card.EXAMPLE}]
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"]["split"] == "test"
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert values == {
        **{"precision": 0.75, "recall": 0.6, "f1": 2 / 3, "accuracy": 0.95},
        **{"LOC precision": 1.0, "LOC recall": 0.5, "LOC f1": 2 / 3},
        **{"PER precision": 0.0, "PER recall": 0.0},  # its F1 is not a number
    }
    for part in (
        "| 60 | 2 | 0.4000 |",
        "46435", "| LOC | 1.0000 | 0.5000 | 0.6667 |", "0123456789abcdef", "infer.py", "pipeline(",
        "learning_rate: 2e-05", "transformers: 5.23.0", "--seed 42", "`B-LOC`",
    ):  # fmt: skip
        assert part in text, part
    assert TOKEN not in text
    assert "hub_token:" not in text
    assert "training_curves.png" not in text
    assert not [p for p in folder.iterdir() if p.name != "README.md"]
    assert text == snapshot


def test_scores_of_evaluations_and_of_the_metadata_have_their_intervals(folder):
    overall = {"f1": 0.75, "f1_interval": [0.7, 0.8]}
    scores = {"overall": overall, "per_type": {"PER": overall}, "words": 9}
    scores["intervals"] = {"level": 0.95, "unit": "sentence", "units": 40}
    scores["per_type"]["PER"] = overall | {"number": 400}
    history = [{"step": 30, "eval_loss": 0.5, "eval_f1": 0.75, "eval_accuracy": 0.9}]
    facts = FACTS | {
        "scores": {"test": scores},
        "history": history,
        "score_intervals": [{"step": 30, "eval_f1_interval": [0.6, 0.85]}],
    }
    path = write_card(folder, facts)
    assert "| 30 | 1 | 0.5000 | 0.7500 (0.600-0.850) |" in path.read_text()
    assert problems_the_hub_would_find(path.read_text()) == []
    (result,) = metadata(path)["model-index"][0]["results"]
    assert [metric["name"] for metric in result["metrics"]] == [
        "f1 (95 % interval 0.700-0.800)",
        "PER f1 (95 % interval 0.700-0.800)",
    ]
    # Without an interval, the score of an evaluation is left out.
    assert "0.9000" not in path.read_text()


def test_the_example_is_of_the_corpus_only_if_the_facts_have_one(folder):
    """The facts have one only if the user pushes text from the corpus."""
    for language, given, shown in (
        ("en", None, card.EXAMPLE),
        ("en", "Jane left.", "Jane left."),
        ("de", "Anna ging.", "Anna ging."),
        ("de", None, None),
        (None, None, None),
    ):
        path = write_card(folder, {**FACTS, "language": language, "example_text": given})
        text = path.read_text()
        for sentence in (card.EXAMPLE, "Jane left.", "Anna ging."):
            assert (sentence in text) == (sentence == shown), (language, given)
        assert metadata(path).get("widget") == ([{"text": shown}] if shown else None)
        assert "infer.py --model bert-finetuned-ner" in text


def test_the_card_and_the_help_of_infer_name_the_flag_alike(folder):
    text = write_card(folder, FACTS).read_text()
    _, flag = re.search(r"python (infer.py) (--\w+) bert-finetuned-ner", text).groups()
    assert flag in {f"--{field.name}" for field in dataclasses.fields(TaggingFlags)}


def test_the_card_states_why_there_are_more_epochs(folder):
    reason = "30 instead of 6, because the corpus is small"
    text = write_card(folder, {**FACTS, "more_epochs": reason}).read_text()
    assert f"\n- Epochs: {reason}.\n" in text
    assert "- Epochs" not in write_card(folder, FACTS).read_text()


def test_the_card_shows_an_existing_picture(folder):
    (folder / "training_curves.png").write_bytes(b"")
    assert re.search(r"!\[.+\]\(training_curves.png\)", write_card(folder, FACTS).read_text())


def test_replaced_defaults_are_reported_first(folder):
    replaced = ["The Hub cannot be reached: the embedded corpus is used instead."]
    body = ModelCard.load(write_card(folder, {**FACTS, "replaced": replaced})).text
    assert body.index(replaced[0]) < body.index("[google-bert/bert-base-cased]")


def test_a_card_of_a_local_corpus_and_a_local_model_is_valid(folder, tmp_path, snapshot):
    facts = {
        "output_name": "pos-model",
        "base_model": str(tmp_path),
        "corpus_name": "the embedded corpus data/sample",
        "task": "pos",
        "label_names": ["NN", "VB"],
        "entity_tags": False,
        "scores": {"validation": {"overall": {"accuracy": 0.9, "macro_f1": 0.8}, "words": 7}},
    }
    path = write_card(folder, facts)
    assert problems_the_hub_would_find(path.read_text()) == []
    data = metadata(path)
    assert "base_model" not in data
    assert "license" not in data
    metrics = data["model-index"][0]["results"][0]["metrics"]
    assert [(m["type"], m["name"]) for m in metrics] == [
        ("accuracy", "accuracy"),
        ("f1", "macro f1"),
    ]
    assert "aggregation_strategy" not in path.read_text()
    assert stable(path.read_text(), tmp_path) == snapshot


@pytest.mark.parametrize(
    ("title", "expected"),
    [("encoder", None), ("sentence-transformers/all-MiniLM-L6-v2",) * 2],
)
def test_a_local_folder_is_not_a_base_model_of_the_hub(
    folder, tmp_path, monkeypatch, title, expected
):
    """A folder may be named like somebody's model; the embedded encoder keeps its own name."""
    (tmp_path / "my" / "encoder").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    facts = {**FACTS, "base_model": title, "base_model_is_local": expected is None}
    path = write_card(folder, facts)
    assert metadata(path).get("base_model") == expected
    assert title in path.read_text()
    facts = {**FACTS, "base_model": "my/encoder"}
    assert "base_model" not in metadata(write_card(folder, facts))


def test_scores_have_their_intervals_and_a_note_if_there_are_few_entities(folder):
    overall = {"f1": 2 / 3, "f1_interval": [0.51, 0.801], "accuracy": 0.9}
    scores = {
        "overall": overall,
        "per_type": {"LOC": {"recall": 0.5, "recall_interval": [0.1, 0.9], "number": 39}},
        "words": 120,
        "intervals": {"level": 0.95, "unit": "document", "units": 1200},
    }
    path = write_card(folder, {**FACTS, "scores": {"test": scores}})
    text = path.read_text()
    assert "| **test** | 0.6667 (0.510-0.801) | 0.9000 | 120 |" in text
    assert "| LOC |  |  |  | 0.5000 (0.100-0.900) | 39 |" in text
    note = "95 % intervals, from resampling 1,200 documents. Only 39 entities: treat as rough."
    assert f"\n\n{note}\n\n## Training" in text
    (result,) = metadata(path)["model-index"][0]["results"]
    assert [m["name"] for m in result["metrics"]] == [
        "f1 (95 % interval 0.510-0.801)",
        "accuracy",
        "LOC recall (95 % interval 0.100-0.900)",
    ]


def test_a_card_before_any_score_is_valid(folder):
    path = write_card(folder, {**FACTS, "scores": {}, "history": []})
    assert problems_the_hub_would_find(path.read_text()) == []
    assert "model-index" not in metadata(path)


def test_edits_of_a_person_survive_the_next_run(folder):
    path = write_card(folder, FACTS)
    text = path.read_text()
    text = text.replace("license: apache-2.0", "license: mit\ninference: false")
    text = text.replace("tags:\n", "tags:\n- legal\n")
    text = text.replace(card.CARD_BEGIN, f"Read this first.\n\n{card.CARD_BEGIN}")
    path.write_text(text + "\n## Limits\n\nIt was trained on news.\n")
    changed = {**FACTS, "language": "de", "corpus_fingerprint": "fedcba9876543210"}
    for _ in range(2):
        write_card(folder, changed)
    data, text = metadata(path), path.read_text()
    assert (data["license"], data["inference"]) == ("mit", False)
    assert "legal" in data["tags"]
    assert data["language"] == "de"  # generated, and untouched since
    assert text.count("Read this first.\n\n<!--") == 1
    assert text.count("## Limits\n\nIt was trained on news.") == 1
    assert text.count(card.CARD_BEGIN) == text.count(card.CARD_END) == 1
    assert "fedcba9876543210" in text
    assert "0123456789abcdef" not in text
    assert problems_the_hub_would_find(text) == []


def test_writing_the_same_card_again_changes_nothing(folder):
    first = write_card(folder, FACTS).read_bytes()
    assert write_card(folder, FACTS).read_bytes() == first


def test_the_whole_text_of_a_card_without_a_generated_part_is_kept(folder):
    mine = "---\nlicense: cc-by-4.0\nthumbnail: me.png\n---\n# My model\n\nBy hand.\n"
    (folder / "README.md").write_text(mine)
    path = write_card(folder, FACTS)
    data = metadata(path)
    assert (data["license"], data["thumbnail"]) == ("cc-by-4.0", "me.png")
    assert data["pipeline_tag"] == "token-classification"
    assert path.read_text().endswith("# My model\n\nBy hand.\n")


def test_a_card_with_broken_metadata_is_not_changed(folder, capsys, snapshot):
    broken = "---\nlicense: [mit\n---\n# Mine\n"
    (folder / "README.md").write_text(broken)
    path = write_card(folder, FACTS)
    assert (folder / "README.md").read_text() == broken
    assert path.name == "README.generated.md"
    assert stable(capsys.readouterr().out, folder) == snapshot


def test_the_card_names_the_version_of_the_suite(folder):
    assert "\nsuite: 1.2.3\n" in write_card(folder, {**FACTS, "suite_version": "1.2.3"}).read_text()
    assert "suite:" not in write_card(folder, FACTS).read_text()


def test_a_mark_inside_a_fact_does_not_end_the_generated_part(folder):
    text = write_card(folder, {**FACTS, "corpus_name": f"mine {card.CARD_END}"}).read_text()
    body = ModelCard(text).text
    assert body.count(card.CARD_BEGIN) == body.count(card.CARD_END) == 1
    assert body.rstrip().endswith(card.CARD_END)


def test_a_cell_of_a_table_stays_one_cell(folder):
    scores = {"overall": {"f1": 0.5}, "per_type": {"a|b": {"f1": 1.0, "number": 3}}, "words": 7}
    text = write_card(folder, {**FACTS, "scores": {"test": scores}}).read_text()
    assert "| a\\|b | 1.0000 |  | 3 |" in text


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("B|C", r"B\|C"),
        ("a_b", "a_b"),
        ("*x* _y_ `z` [u](v)", r"\*x\* \_y\_ \`z\` \[u\](v)"),
        ("<script>&amp;", "&lt;script>&amp;amp;"),
        ("two\nlines\ttab", "two lines tab"),
        ("\x1b\u202e", r"\u202e".join(("\u241b\\", ""))),
        (0.5, "0.5000"),
        (7, "7"),
        (None, ""),
    ],
)
def test_a_cell_of_a_table_is_data(value, cell):
    assert card._cell(value) == cell


def test_the_card_asks_for_the_intended_use_until_a_person_has_written_it(folder):
    path = write_card(folder, FACTS)
    assert "**Not written yet.**" in path.read_text()
    path.write_text(path.read_text() + "\n## Intended use\n\nTickets of one shop.\n")
    for _ in range(2):
        text = write_card(folder, FACTS).read_text()
        assert "Not written yet" not in text
        assert text.count("## Intended use\n\nTickets of one shop.") == 1
        assert text.count("Intended use") == 1


def test_the_card_has_size_date_seed_and_limits(folder, snapshot):
    scores = {
        "overall": {"f1": 0.8, "f1_interval": [0.7, 0.9]},
        "per_type": {},
        "by_surface": {"new": {"recall": 0.5, "recall_interval": [0.4, 0.6], "number": 9}},
        "words": 7,
    }
    facts = {
        **FACTS,
        "scores": {"validation": scores},
        "sentences": {"train": 1200, "validation": 1},
        "run_id": "2026-01-05T10:00:00.000000Z-0a",
    }
    text = write_card(folder, facts).read_text()
    start, end = text.index("F1 0.800"), text.index("## Labels")
    assert text[start:end] == snapshot
    # Nothing is said about new entities if the split has none.
    scores["by_surface"]["new"] = {"recall": 0.0, "recall_interval": [0.0, 1.0], "number": 0}
    assert "that training does not have" not in write_card(folder, facts).read_text()
