"""Loading models: what is refused, whose labels count, how byte-level tokenizers read words."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset, DatasetDict
from tokenizers import Tokenizer, decoders, processors
from tokenizers import models as tokenizer_models
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoConfig, AutoTokenizer, BertConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward

import common
from corpus import words as words_module
from corpus.load import Corpus
from encoder import batches as window_set
from encoder import model as models
from encoder.cpu.dropout import CpuDropout, attention
from settings.flags import Arguments
from support.errors import UserError
from tests.helpers.messages import stable
from tests.helpers.models import ENTITY_LABELS

CPU = torch.device("cpu")


def arguments_for(model: Path | str, **changes) -> Arguments:
    return Arguments(model_name_or_path=str(model), **{"do_train": True, **changes})


def corpus_of(label_names: list[str], **splits) -> Corpus:
    """Splits as (words, labels) of each sentence; labels None: without the column."""
    tables = {}
    for name, sentences in splits.items():
        columns = {"tokens": [words for words, _ in sentences]}
        if all(labels is not None for _, labels in sentences):
            columns["labels"] = [labels for _, labels in sentences]
        tables[name] = Dataset.from_dict(columns)
    entity_tags = common.are_entity_tags(label_names)
    return Corpus(DatasetDict(tables), label_names, entity_tags, "a corpus", repr(splits))


def own_words(error, *folders: Path) -> str:
    """The first line of a message; what follows is the library's reason."""
    return stable(error.value, *folders).splitlines()[0]


# --- Tokenizers -----------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", ["canine", "byt5"])
def test_slow_tokenizer_is_refused(model_type, tmp_path, snapshot):
    name = {"canine": "CanineTokenizer", "byt5": "ByT5Tokenizer"}[model_type]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    with pytest.raises(UserError) as error:
        models.load_tokenizer(str(tmp_path))
    message = str(error.value)
    assert str(tmp_path) in message
    assert name in message
    assert stable(message, tmp_path) == snapshot


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config.json": "{}"},
        {"config.json": "{"},
        {"config.json": '{"model_type": "no-such-model"}'},
        {"config.json": '{"model_type": "bert"}', "tokenizer.json": "{"},
    ],
)
def test_folder_without_a_tokenizer_is_named(files, tmp_path, snapshot):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        models.load_tokenizer(str(tmp_path))
    assert str(tmp_path) in str(error.value)
    assert own_words(error, tmp_path) == snapshot


@pytest.mark.parametrize(
    "load",
    [
        lambda name: models.load_tokenizer(name),
        lambda name: models.load_config(arguments_for(name), corpus_of(ENTITY_LABELS)),
        lambda name: models.load_model(arguments_for(name), BertConfig(), CPU),
    ],
)
@pytest.mark.parametrize("name", ["no/such-model", "no/such/folder", "bert-base-cased"])
def test_name_that_is_nowhere_is_named(load, name, snapshot):
    with pytest.raises(UserError) as error:
        load(name)
    assert str(error.value).startswith(f"{name}: ")
    assert own_words(error) == snapshot
    assert len(str(error.value).splitlines()) == 2


def byte_level_files(folder: Path, tokenizer_class: str, model_type: str) -> Path:
    """A byte-level tokenizer as RoBERTa's, which puts no space before its first word."""
    alphabet = sorted(ByteLevel.alphabet())
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet]
    merges = []
    for word in ("Ġthe", "Ġword", "Ġhere", "the", "word"):
        for end in range(1, len(word)):
            if word[: end + 1] not in vocabulary:
                vocabulary.append(word[: end + 1])
                merges.append((word[:end], word[end]))
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    backend = Tokenizer(tokenizer_models.BPE(vocab=ids, merges=merges))
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    names |= {"unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": tokenizer_class, **names})
    )
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


@pytest.mark.parametrize(
    ("tokenizer_class", "model_type"),
    [
        ("RobertaTokenizer", "roberta"),
        ("GPT2Tokenizer", "gpt2"),
        # The generic class takes no notice of `add_prefix_space`: ModernBERT is published so.
        ("PreTrainedTokenizerFast", "modernbert"),
    ],
)
def test_byte_level_tokenizer_reads_words_as_in_running_text(tokenizer_class, model_type, tmp_path):
    name = str(byte_level_files(tmp_path / "model", tokenizer_class, model_type))
    words = ["the", "word", "here", "U.S.", "the"]
    plain = AutoTokenizer.from_pretrained(name)
    assert plain.tokenize(" the word here") == ["Ġthe", "Ġword", "Ġhere"]

    tokenizer = models.load_tokenizer(name)
    tokenizer.save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")  # as a pipeline loads it
    for found in (tokenizer, models.load_tokenizer(str(tmp_path / "saved")), saved):
        ((_, columns, owned),) = common.encode([words], found, 512)
        pieces = found.convert_ids_to_tokens(columns["input_ids"])
        assert [p for p in pieces if p not in ("<s>", "</s>")] == (
            ["Ġthe", "Ġword", "Ġhere", "Ġ", "U", ".", "S", ".", "Ġthe"]
        )
        content = [word for word in owned if word is not None]
        assert content == [0, 1, 2, 3, 3, 3, 3, 3, 4]


def test_word_piece_tokenizer_is_left_as_it_is(tiny_encoder):
    as_published = json.loads((tiny_encoder / "tokenizer.json").read_text())
    tokenizer = models.load_tokenizer(str(tiny_encoder))
    assert (
        json.loads(tokenizer.backend_tokenizer.to_str())["normalizer"]
        == (as_published["normalizer"])
    )


@pytest.mark.parametrize(
    ("tokenizer_limit", "positions", "asked", "expected"),
    [
        (512, 512, None, 512),
        (10**30, 514, None, 512),  # RoBERTa's two positions of padding
        (10**30, 512, None, 512),
        (256, 512, None, 256),
        (512, 128, None, 128),
        (10**30, None, None, 512),
        (10**30, -1, None, 512),  # relative positions
        (512, 512, 128, 128),
        (512, 512, 3, 3),
        (10**30, None, 4096, 4096),
    ],
)
def test_window_length(tokenizer_limit, positions, asked, expected, tiny_encoder):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder, model_max_length=tokenizer_limit)
    config = SimpleNamespace(**({"max_position_embeddings": positions} if positions else {}))
    assert models.window_length(tokenizer, config, asked) == expected


@pytest.mark.parametrize("asked", [-1, 0, 2, 513, 10**6])
def test_window_length_beyond_the_model_is_refused(asked, tiny_encoder, snapshot):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder, model_max_length=512)
    with pytest.raises(UserError) as error:
        models.window_length(tokenizer, BertConfig(), asked)
    numbers = re.findall(r"-?\d+", str(error.value))
    assert numbers == [str(asked), "3", "512"]
    assert str(error.value) == snapshot


# --- Labels of a model and of a corpus ------------------------------------------------------

OTHER_LABELS = ["O", "B-GENE", "I-GENE"]


def test_encoder_gets_the_corpus_s_labels(tiny_encoder, tmp_path):
    args = arguments_for(tiny_encoder)
    config = models.load_config(args, corpus_of(OTHER_LABELS))
    assert config.id2label == {0: "O", 1: "B-GENE", 2: "I-GENE"}
    assert config.label2id == {"O": 0, "B-GENE": 1, "I-GENE": 2}
    torch.manual_seed(1)
    model = models.load_model(args, config, CPU)
    assert model.classifier.weight.shape == (3, 32)
    assert model.dtype == torch.float32
    torch.manual_seed(1)
    again = models.load_model(args, config, CPU)
    assert torch.equal(model.classifier.weight, again.classifier.weight)
    model.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).label2id == config.label2id


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({}, OTHER_LABELS),
        ({}, ["O", *(f"{p}-{t}" for t in "ABCD" for p in "BI")]),  # as many, but others
        ({}, [*ENTITY_LABELS, "B-GPE", "I-GPE"]),  # one more type
        ({"do_train": False, "do_eval": True}, OTHER_LABELS),
        # Nothing is trained, so a new head would be worth nothing.
        ({"do_train": False, "ignore_mismatched_sizes": True}, OTHER_LABELS),
    ],
)
def test_head_of_other_labels_is_refused_with_both_lists(changes, labels, tiny_tagger, snapshot):
    with pytest.raises(UserError) as error:
        models.load_config(arguments_for(tiny_tagger, **changes), corpus_of(labels))
    message = str(error.value)
    assert ", ".join(ENTITY_LABELS) in message
    assert ", ".join(labels) in message
    assert {"9", str(len(labels))} <= set(re.findall(r"\d+", message))
    assert stable(message, Path(tiny_tagger.name)) == snapshot


def test_encoder_without_a_head_scores_nothing(tiny_encoder, snapshot):
    with pytest.raises(UserError) as error:
        models.load_config(arguments_for(tiny_encoder, do_train=False), corpus_of(OTHER_LABELS))
    assert stable(error.value, Path(tiny_encoder.name)) == snapshot


@pytest.mark.parametrize("labels", [OTHER_LABELS, ["O", *(p + t for t in "ABCD" for p in "BI")]])
def test_new_head_is_new(labels, tiny_tagger):
    """Of another size or of the same: nothing of the old labels' weights is left in it."""
    old = models.load_model(
        arguments_for(tiny_tagger),
        models.load_config(arguments_for(tiny_tagger), corpus_of(ENTITY_LABELS)),
        CPU,
    )
    args = arguments_for(tiny_tagger, ignore_mismatched_sizes=True)
    config = models.load_config(args, corpus_of(labels))
    assert list(config.id2label.values()) == labels
    torch.manual_seed(3)
    model = models.load_model(args, config, CPU)
    torch.manual_seed(3)
    again = models.load_model(args, config, CPU)
    assert model.classifier.weight.shape == (len(labels), 32)
    assert not torch.isin(model.classifier.weight, old.classifier.weight).any()
    assert model.classifier.weight.std() < 0.2  # the old one's is 0.5
    assert torch.equal(model.classifier.weight, again.classifier.weight)
    kept = dict(old.bert.named_parameters())
    assert all(torch.equal(p, kept[name]) for name, p in model.bert.named_parameters())


def test_head_of_these_labels_or_more_is_kept(tiny_tagger):
    args = arguments_for(tiny_tagger, do_train=False)
    for labels in (ENTITY_LABELS, ENTITY_LABELS[::-1], ["O", "B-LOC", "I-LOC"]):
        config = models.load_config(args, corpus_of(labels))
        assert list(config.id2label.values()) == ENTITY_LABELS
        model = models.load_model(args, config, CPU)
        again = models.load_model(args, config, CPU)
        assert torch.equal(model.classifier.weight, again.classifier.weight)
        assert model.classifier.weight.std() > 0.4  # as published


def test_corpus_s_labels_are_mapped_to_the_model_s_by_name(tiny_tagger):
    labels = ["O", "B-LOC", "I-LOC", "B-PER"]
    corpus = corpus_of(
        labels,
        train=[(["in", "New", "York"], [0, 1, 2]), (["Anna"], [3])],
        test=[(["Paris"], None)],
    )
    config = models.load_config(arguments_for(tiny_tagger), corpus)
    matched = models.match_labels(corpus, config)
    assert matched.label_names == ENTITY_LABELS
    assert matched.splits["train"]["labels"][:] == [[0, 5, 6], [1]]
    assert matched.splits["train"]["tokens"][:] == [["in", "New", "York"], ["Anna"]]
    assert "labels" not in matched.splits["test"].column_names
    assert corpus.splits["train"]["labels"][:] == [[0, 1, 2], [3]]
    assert (matched.name, matched.fingerprint) == (corpus.name, corpus.fingerprint)
    # Where the lists agree nothing is copied.
    same = corpus_of(ENTITY_LABELS, train=[(["Anna"], [1])])
    assert models.match_labels(same, config) is same


def test_model_whose_config_lists_labels_one_way_only(tiny_tagger, tmp_path):
    folder = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    values = json.loads((folder / "config.json").read_text())
    del values["label2id"]
    (folder / "config.json").write_text(json.dumps(values))
    corpus = corpus_of(["O", "B-LOC"], train=[(["in", "Paris"], [0, 1])])
    config = models.load_config(arguments_for(folder), corpus)
    assert models.match_labels(corpus, config).splits["train"]["labels"][:] == [[0, 5]]


# --- Weights --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"no weights", "half"])
def test_damaged_weights_are_named(content, tiny_tagger, tmp_path, snapshot):
    folder = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    if content is not None:
        weights.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    config = models.load_config(arguments_for(folder), corpus_of(ENTITY_LABELS))
    with pytest.raises(UserError) as error:
        models.load_model(arguments_for(folder), config, CPU)
    assert str(folder) in str(error.value)
    assert own_words(error, folder) == snapshot


def test_model_of_a_kind_without_token_classification_is_named(tmp_path, snapshot):
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    args = arguments_for(tmp_path)
    config = models.load_config(args, corpus_of(OTHER_LABELS))
    with pytest.raises(UserError) as error:
        models.load_model(args, config, CPU)
    assert own_words(error, tmp_path) == snapshot


# --- Encoding a corpus ----------------------------------------------------------------------

SENTENCES = [
    (["Anna", "Smith", "went", "to", "lamb", "."], [1, 2, 0, 0, 5, 0]),
    (["EU"], [3]),
]


def test_corpus_is_encoded_for_training_and_for_evaluation(tiny_encoder):
    args = arguments_for(tiny_encoder, max_seq_length=16)
    corpus = corpus_of(ENTITY_LABELS, train=SENTENCES, validation=SENTENCES, test=SENTENCES[1:])
    config = models.load_config(args, corpus)
    tokenizer = models.load_tokenizer(str(tiny_encoder))
    windows = models.encode_corpus(args, corpus, config, tokenizer)
    assert set(windows) == {"train", "validation", "test"}
    assert windows["train"][0]["labels"] == [-100, 1, 2, 0, 0, 5, 6, 0, -100]  # la ##mb
    assert "word_index" not in windows["train"][0]
    assert windows["validation"][0]["labels"] == [-100, 1, 2, 0, 0, 5, -100, 0, -100]
    assert windows["validation"][1]["word_index"] == [-100, 6, -100]
    assert windows["test"][0]["word_index"] == [-100, 0, -100]
    # What tags text the same way later is in the folder's configuration.
    assert config.word_splitter == words_module.WORD_SPLITTER
    assert config.window_length == 16
    assert config.task_name == "ner"

    first_only = arguments_for(tiny_encoder, label_all_tokens=False)
    windows = models.encode_corpus(first_only, corpus, config, tokenizer)
    assert windows["train"][0]["labels"] == [-100, 1, 2, 0, 0, 5, -100, 0, -100]
    assert config.window_length == 64


def test_encoded_corpus_is_kept_by_all_that_matters(tiny_encoder, tmp_path, monkeypatch):
    corpus = corpus_of(ENTITY_LABELS, train=SENTENCES)
    corpus.splits.save_to_disk(str(tmp_path / "corpus"))
    corpus.splits = DatasetDict.load_from_disk(str(tmp_path / "corpus"))
    tokenizer = models.load_tokenizer(str(tiny_encoder))
    calls = []
    encode = window_set.tokenize_and_align_labels
    monkeypatch.setattr(
        window_set, "tokenize_and_align_labels", lambda *a: calls.append(a) or encode(*a)
    )

    def encoded_afresh(corpus=corpus, tokenizer=tokenizer, **changes) -> bool:
        args = arguments_for(tiny_encoder, **changes)
        calls.clear()
        config = models.load_config(args, corpus)
        models.encode_corpus(args, corpus, config, tokenizer)
        return bool(calls)

    assert encoded_afresh()
    assert not encoded_afresh()
    assert not encoded_afresh(tokenizer=models.load_tokenizer(str(tiny_encoder)))
    assert encoded_afresh(overwrite_cache=True)
    assert encoded_afresh(max_seq_length=16)
    assert encoded_afresh(label_all_tokens=False)
    assert not encoded_afresh(seed=7)
    larger = models.load_tokenizer(str(tiny_encoder))
    larger.add_tokens(["Smith-Jones"])
    assert encoded_afresh(tokenizer=larger)
    corpus.fingerprint = "other"
    assert encoded_afresh()
    monkeypatch.setattr(window_set, "ENCODING", window_set.ENCODING + 1)
    assert encoded_afresh()


def test_dropout_on_a_cpu():
    """The share of zeros and the scale are those of the definition, forward and backward."""
    torch.manual_seed(0)
    for probability in (0.1, 0.5, 1e-6, 1.0):
        layer, values = CpuDropout(probability), torch.ones(999, 1001, requires_grad=True)
        result = layer(values)
        kept = result != 0
        deviation = (probability * (1 - probability) / values.numel()) ** 0.5
        assert abs(1 - kept.float().mean().item() - probability) <= 5 * deviation + 2**-17
        if probability < 1:
            assert torch.allclose(result[kept], torch.tensor(1 / (1 - probability)), rtol=2**-15)
        result.sum().backward()
        assert torch.equal(values.grad, result.detach())
        assert layer.eval()(values) is values
    # No position is like its neighbours: four come of one drawn number.
    kept = (CpuDropout(0.5)(torch.ones(100_000, 4)) != 0).float()
    assert (torch.corrcoef(kept.T) - torch.eye(4)).abs().max() < 0.02
    for odd in (torch.ones(0), torch.ones(7, dtype=torch.bfloat16), torch.ones(3, 5).T):
        result = CpuDropout(0.5)(odd)
        assert result.shape == odd.shape
        assert result.dtype == odd.dtype
        assert set(result.flatten().tolist()) <= {0.0, 2.0}


def test_dropout_is_chosen_by_the_device(tiny_encoder):
    """torch's own is faster on a GPU; the probability stays the model's."""
    args = arguments_for(tiny_encoder)
    config = models.load_config(args, corpus_of(ENTITY_LABELS))
    config.hidden_dropout_prob = 0.25
    for device, kind in ((CPU, CpuDropout), (torch.device("cuda"), torch.nn.Dropout)):
        model = models.load_model(args, config, device)
        layers = [m for m in model.modules() if isinstance(m, torch.nn.Dropout)]
        assert {type(layer) for layer in layers} == {kind}
        assert {layer.p for layer in layers} == {0.25, config.attention_probs_dropout_prob}
        on_cpu = kind is CpuDropout
        assert model.config._attn_implementation == ("cpu_dropout" if on_cpu else "sdpa")
        assert "attn" not in model.config.to_json_string()


def heads(batch: int, number: int, tokens: int) -> torch.Tensor:
    return torch.randn(batch, number, tokens, 8, requires_grad=True)


@pytest.mark.parametrize("masked", ["by truth", "by numbers", "not"])
@pytest.mark.parametrize("scaling", [None, 0.1])
def test_attention_that_drops_nothing_is_torch_s(masked, scaling):
    """A probability that rounds to none takes the way of dropout and gives what `sdpa` gives."""
    torch.manual_seed(0)
    parts = [heads(2, 3, 7) for _ in range(3)]
    seen = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    seen[1, ..., 4:] = False
    mask = {"by truth": seen, "by numbers": torch.zeros(2, 1, 1, 7).masked_fill(~seen, -1e9)}
    module = SimpleNamespace(is_causal=False)
    results = []
    for probability in (1e-9, 0.0):
        result, _ = attention(module, *parts, mask.get(masked), probability, scaling)
        results.append((result, *torch.autograd.grad(result.square().sum(), parts)))
    assert results[0][0].shape == (2, 7, 3, 8)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_attention_drops_weights_at_its_rate():
    """Of weights that are all the same the sum of those kept is the share kept, on average."""
    torch.manual_seed(0)
    zeros, ones = torch.zeros(8, 4, 50, 16), torch.ones(8, 4, 50, 16)
    result, _ = attention(SimpleNamespace(is_causal=False), zeros, zeros, ones, None, 0.25)
    kept = result[..., 0] * 50 * 0.75  # of 50 weights
    torch.testing.assert_close(kept, kept.round(), rtol=0, atol=1e-3)
    assert abs(kept.mean() / 50 - 0.75) < 5 * (0.75 * 0.25 / (8 * 4 * 50 * 50)) ** 0.5
    assert torch.equal(result, result[..., :1].expand_as(result))


@pytest.mark.parametrize("kind", ["causal", "grouped heads"])
def test_attention_of_decoders_is_left_to_torch(kind):
    torch.manual_seed(0)
    query, key, value = heads(2, 4, 7), *(heads(2, 2, 7) for _ in range(2))
    module = SimpleNamespace(is_causal=kind == "causal", num_key_value_groups=2)
    if kind == "causal":
        key, value, module.num_key_value_groups = heads(2, 4, 7), heads(2, 4, 7), 1
    outputs = []
    for function in (attention, sdpa_attention_forward):
        torch.manual_seed(1)
        outputs.append(function(module, query, key, value, None, dropout=0.5)[0])
    assert torch.equal(*outputs)
