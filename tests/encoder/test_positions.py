"""The longest window of a model: it runs, and a window with one more sub-word does not."""

import pytest
import torch
from transformers import AutoModelForTokenClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from encoder.positions import first_position, usable_positions
from support.errors import UserError
from tests.helpers.architectures import ARCHITECTURES, SIZES, build

ROWS = 48


def runs(network: torch.nn.Module, length: int) -> bool:
    """Return whether the network computes a window of a length, without the padding's id."""
    ids = torch.randint(7, 20, (2, length))
    try:
        with torch.no_grad():
            logits = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    except (IndexError, RuntimeError):
        return False
    return logits.shape[1] == length


def check_limit(network: torch.nn.Module, limit: int | None) -> None:
    network.eval()
    if limit is None:
        assert runs(network, 4 * ROWS)
    else:
        assert runs(network, limit)
        assert not runs(network, limit + 1)


@pytest.mark.parametrize(
    ("model_type", "changes", "expected"),
    [
        ("bert", {}, 48),
        ("distilbert", {}, 48),
        ("roberta", {"pad_token_id": 1}, 46),
        ("roberta", {"pad_token_id": 0}, 47),
        ("roberta", {"pad_token_id": 5}, 42),
        ("xlm-roberta", {"pad_token_id": 1}, 46),
        ("camembert", {"pad_token_id": 1}, 46),
        ("mpnet", {"pad_token_id": 0}, 46),  # always 2 rows
        ("longformer", {"attention_window": 8}, 46),
        ("ibert", {}, 46),
        ("esm", {"pad_token_id": 1}, 46),
        ("esm", {"pad_token_id": 1, "position_embedding_type": "rotary"}, None),
        ("gpt2", {}, 48),
        ("biogpt", {}, 48),
        ("roformer", {}, 48),
        ("nystromformer", {}, 48),
        ("mpt", {}, 48),
        ("deberta-v2", {}, 48),
        ("deberta-v2", {"position_biased_input": False, "relative_attention": True}, None),
        ("t5", {}, None),
        ("xlnet", {}, None),
        ("modernbert", {}, None),
    ],
    ids=str,
)
def test_positions_by_kind(model_type, changes, expected):
    kind = CONFIG_MAPPING[model_type]
    known = kind().to_dict() | dict.fromkeys(kind.attribute_map)
    sizes = {
        name: size for name, size in SIZES.items() if name in known and name != "embedding_size"
    }
    config = kind(**{"pad_token_id": 1, **sizes, "vocab_size": 50, **changes})
    before = torch.get_rng_state()
    assert usable_positions(config) == expected
    assert torch.equal(before, torch.get_rng_state())
    check_limit(AutoModelForTokenClassification.from_config(config), expected)


def test_positions_of_published_sizes():
    assert usable_positions(CONFIG_MAPPING["bert"]()) == 512
    assert usable_positions(CONFIG_MAPPING["roberta"](max_position_embeddings=514)) == 512
    assert usable_positions(CONFIG_MAPPING["roberta"](max_position_embeddings=512)) == 510
    assert usable_positions(CONFIG_MAPPING["longformer"](max_position_embeddings=4098)) == 4096


@pytest.mark.parametrize(
    ("model_type", "changes", "expected"),
    [
        *(("bert", {}, 0), ("distilbert", {}, 0), ("gpt2", {}, 0), ("biogpt", {}, 0)),
        *(("modernbert", {}, 0), ("xlnet", {}, 0)),
        *(("roberta", {}, 2), ("roberta", {"pad_token_id": 0}, 1), ("xlm-roberta", {}, 2)),
        *(("mpnet", {"pad_token_id": 0}, 2), ("camembert", {"pad_token_id": 5}, 6)),
    ],
    ids=str,
)
def test_the_first_position_is_that_of_the_network(model_type, changes, expected):
    """The positions that a network counts by itself, given as `position_ids`."""
    kind = CONFIG_MAPPING[model_type]
    known = kind().to_dict() | dict.fromkeys(kind.attribute_map)
    sizes = {name: size for name, size in SIZES.items() if name in known}
    config = kind(**{"pad_token_id": 1, **sizes, "vocab_size": 50, **changes})
    network = AutoModelForTokenClassification.from_config(config).eval()
    assert first_position(network) == expected
    if model_type == "xlnet":  # it takes no positions
        return
    ids = torch.randint(7, 20, (2, 12))
    given = torch.arange(expected, expected + 12).expand(2, -1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        counted = network(**inputs).logits
        torch.testing.assert_close(network(**inputs, position_ids=given).logits, counted)
        later = network(**inputs, position_ids=given + 1).logits
        # ModernBERT's positions are relative.
        assert torch.allclose(later, counted, atol=1e-4) == (model_type == "modernbert")


def test_a_configuration_without_a_network_is_a_message():
    with pytest.raises(UserError, match="the model cannot be loaded"):
        usable_positions(CONFIG_MAPPING["distilbert"](dim=33, n_heads=4))


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_positions_of_all_architectures(architecture, tmp_path):
    network = AutoModelForTokenClassification.from_pretrained(build(architecture, tmp_path))
    check_limit(network, usable_positions(network.config))
