"""Training only the rows of sub-words that occur: nothing else about a model may change."""

import copy

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertForTokenClassification,
    FNetConfig,
    FNetForTokenClassification,
    RobertaConfig,
    RobertaForTokenClassification,
)

from common import token_loss
from encoder.cpu.embeddings import OccurringEmbedding, train_occurring_rows
from encoder.model import load_config, load_model
from settings.run_settings import ModelSettings
from tests.helpers.architectures import ARCHITECTURES, build
from tests.helpers.models import ENTITY_LABELS, tiny_config

OCCURRING = [2, 3, 7, 8, 20, 21, 40]
PADDING = 0
TABLE = "bert.embeddings.word_embeddings.weight"


@pytest.fixture
def pair():
    """Return a BERT with dropout, and a copy that trains only the rows of `OCCURRING`."""
    torch.manual_seed(0)
    model = BertForTokenClassification(tiny_config(num_labels=len(ENTITY_LABELS)))
    partial = copy.deepcopy(model)
    train_occurring_rows(partial, [PADDING, *OCCURRING])
    assert type(partial.bert.embeddings.word_embeddings) is OccurringEmbedding
    return model, partial


def batch(ids: list[int], seed: int) -> tuple[dict, torch.Tensor]:
    """Return four sentences, the last one padded, and their labels."""
    random = torch.Generator().manual_seed(seed)
    input_ids = torch.tensor(ids)[torch.randint(len(ids), (4, 9), generator=random)]
    labels = torch.randint(len(ENTITY_LABELS), (4, 9), generator=random)
    mask = torch.ones_like(input_ids)
    input_ids[3, 5:], mask[3, 5:], labels[3, 5:] = PADDING, 0, -100
    return {"input_ids": input_ids, "attention_mask": mask}, labels


def train(model, steps: int, max_norm: float | None = None, **options) -> None:
    optimizer = torch.optim.AdamW(
        (p for p in model.parameters() if p.requires_grad), lr=1e-2, fused=True, **options
    )
    model.train()
    for number in range(steps):
        inputs, labels = batch(OCCURRING, seed=number)
        torch.manual_seed(number)  # of the dropout
        token_loss(model(**inputs).logits, labels, len(labels)).backward()
        if max_norm:
            nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        optimizer.zero_grad()


def test_training_is_that_of_the_whole_table_to_the_bit(pair):
    model, partial = pair
    before = copy.deepcopy(model.state_dict())
    for network in pair:
        train(network, 5, weight_decay=0.0)
    weights, partial_weights = model.state_dict(), partial.state_dict()
    assert list(weights) == list(partial_weights)
    for name, value in weights.items():
        assert torch.equal(value, partial_weights[name]), name
    moved = (weights[TABLE] != before[TABLE]).any(1).nonzero().flatten().tolist()
    assert moved == OCCURRING


def test_clipping_is_that_of_the_whole_table(pair):
    for network in pair:
        train(network, 5, max_norm=0.1, weight_decay=0.0)
    model, partial = pair
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, partial.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_weight_decay_is_for_the_rows_that_occur(pair):
    model, partial = pair
    before = model.state_dict()[TABLE].clone()
    for network in pair:
        train(network, 3, weight_decay=0.1)
    whole, rows = model.state_dict()[TABLE], partial.state_dict()[TABLE]
    assert torch.equal(whole[OCCURRING], rows[OCCURRING])
    absent = [i for i in range(len(before)) if i not in OCCURRING]
    assert torch.equal(rows[absent], before[absent])
    assert not torch.equal(whole[absent], before[absent])


def test_no_mean_is_kept_of_rows_that_do_not_occur(pair):
    _, partial = pair
    trained = [p for p in partial.parameters() if p.requires_grad]
    table = partial.bert.embeddings.word_embeddings
    assert table.rows.shape == (len(OCCURRING), 32)
    assert table.weight.shape[0] not in {p.shape[0] for p in trained}


def test_words_that_did_not_occur_are_read_from_the_table(pair):
    model, partial = pair
    train(partial, 3)
    model.load_state_dict(partial.state_dict())
    inputs, _ = batch([5, 6, 9, *OCCURRING], seed=0)
    for network in pair:
        network.eval()
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, partial(**inputs).logits)


def test_loads_what_the_whole_model_saves_and_the_other_way_round(pair, tmp_path):
    model, partial = pair
    train(model, 3)
    model.save_pretrained(tmp_path / "whole")
    for saved in (model.state_dict(), partial.state_dict()):
        keys = partial.load_state_dict(saved)
        assert not keys.missing_keys
        assert not keys.unexpected_keys
        assert all(torch.equal(v, saved[k]) for k, v in partial.state_dict().items())
    partial.load_state_dict(model.state_dict())
    partial.save_pretrained(tmp_path / "partial")
    whole, part = (tmp_path / n / "model.safetensors" for n in ("whole", "partial"))
    assert whole.read_bytes() == part.read_bytes()
    loaded = BertForTokenClassification.from_pretrained(tmp_path / "partial")
    assert torch.equal(loaded.state_dict()[TABLE], model.state_dict()[TABLE])


def test_a_table_missing_from_what_is_loaded_is_an_error(pair):
    model, partial = pair
    saved = model.state_dict()
    del saved[TABLE]
    with pytest.raises(RuntimeError, match=r"Missing key.*word_embeddings\.weight"):
        partial.load_state_dict(saved)


def test_a_row_of_the_padding_that_padding_idx_protects_is_not_trained():
    """RoBERTa pads with 1."""
    config = RobertaConfig(**{**tiny_config().to_dict(), "pad_token_id": 1})
    model = RobertaForTokenClassification(config)
    train_occurring_rows(model, [0, 1, 2, 5])
    assert model.roberta.embeddings.word_embeddings.token_ids.tolist() == [0, 2, 5]


def test_training_is_that_of_the_whole_table_where_padding_leaks():
    """A table without `padding_idx` trains the padding's row, if padding has a gradient."""
    torch.manual_seed(0)
    model = FNetForTokenClassification(
        FNetConfig(
            vocab_size=60, hidden_size=32, num_hidden_layers=1, intermediate_size=64, num_labels=9
        )
    )
    model.set_input_embeddings(nn.Embedding(60, 32))
    model.config.pad_token_id = PADDING
    partial = copy.deepcopy(model)
    train_occurring_rows(partial, OCCURRING)
    for network in (model, partial):
        train(network, 3, weight_decay=0.0)
    weights, partial_weights = model.state_dict(), partial.state_dict()
    for name, value in weights.items():
        torch.testing.assert_close(value, partial_weights[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("optim", "applied"),
    [
        *((name, True) for name in ("adamw_torch", "adamw_torch_fused", "sgd", "rmsprop")),
        *((name, False) for name in ("adafactor", "lomo", "adamw_bnb_8bit", "stable_adamw")),
    ],
)
def test_only_elementwise_optimizers_train_a_part_of_the_table(optim, applied, tiny_encoder):
    settings = ModelSettings(str(tiny_encoder))
    config = load_config(settings, ENTITY_LABELS, do_train=True)
    model = load_model(
        settings,
        config,
        torch.device("cpu"),
        do_train=True,
        train_token_ids=OCCURRING,
        optim=optim,
    )
    assert isinstance(model.get_input_embeddings(), OccurringEmbedding) == applied


def test_tables_of_other_kinds_stay_as_they_are():
    class Scaled(nn.Embedding):
        def forward(self, ids):
            return super().forward(ids) * 2

    def model_with(table) -> BertForTokenClassification:
        model = BertForTokenClassification(tiny_config())
        model.set_input_embeddings(table)
        return model

    tied = model_with(nn.Embedding(100, 32))
    tied.decoder = nn.Linear(32, 100)
    tied.decoder.weight = tied.get_input_embeddings().weight
    frozen = model_with(nn.Embedding(100, 32).requires_grad_(False))
    for model in (model_with(Scaled(100, 32)), tied, frozen):
        table = model.get_input_embeddings()
        train_occurring_rows(model, OCCURRING)
        assert model.get_input_embeddings() is table


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_training_is_that_of_the_whole_table_in_all_architectures(architecture, tmp_path):
    model = AutoModelForTokenClassification.from_pretrained(
        build(architecture, tmp_path), num_labels=len(ENTITY_LABELS)
    ).eval()
    padding = AutoTokenizer.from_pretrained(tmp_path).pad_token_id or 0
    partial = copy.deepcopy(model)
    train_occurring_rows(partial, OCCURRING)
    for network in (model, partial):
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.0)
        for number in range(3):
            inputs, labels = batch([i for i in OCCURRING if i != padding], seed=number)
            inputs["input_ids"][inputs["attention_mask"] == 0] = padding
            token_loss(network(**inputs).logits, labels, len(labels)).backward()
            optimizer.step()
            optimizer.zero_grad()
    partial_weights = partial.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, partial_weights[name], rtol=0, atol=1e-6)


def test_gradients_of_several_batches_of_a_step_add_up(pair):
    gradients = []
    for network in pair:
        network.eval()  # no dropout
        for step in range(2):
            network.zero_grad()
            for number in range(3):
                inputs, labels = batch(OCCURRING, seed=10 * step + number)
                token_loss(network(**inputs).logits, labels, len(labels)).backward()
        table = network.get_input_embeddings()
        whole = type(table) is nn.Embedding
        gradients.append(table.weight.grad[OCCURRING] if whole else table.rows.grad)
    assert torch.equal(*gradients)


def test_a_gradient_takes_the_memory_of_the_last_step(pair):
    _, partial = pair
    rows, places = partial.get_input_embeddings().rows, []
    for number in range(3):
        inputs, labels = batch(OCCURRING, seed=number)
        token_loss(partial(**inputs).logits, labels, len(labels)).backward()
        places.append(rows.grad.data_ptr())
        partial.zero_grad()
    assert len(set(places)) == 1
