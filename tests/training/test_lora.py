"""--lora in both scripts: a whole model, its adapter in a subfolder, a resumed run the same."""

import json
import signal
from functools import partial

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.helpers.architectures import ARCHITECTURES, build
from tests.helpers.checkpoints import SETTINGS, name_of
from tests.helpers.script_runs import (
    BOTH,
    SEED_STEP,
    facts,
    interrupt,
    run,
    trains_without_padding,
    weights,
    write_corpus,
)

pytest.importorskip("peft", reason="optional: pip install peft")
TEXT = "Peter Blackburn went from Paris to New York."


@pytest.fixture(scope="module")
def flags(tiny_encoder, tmp_path_factory) -> list:
    """Return flags of a run whose first epoch, which has the largest loss, is the one to keep."""
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    flags = ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS, "--num_train_epochs", 2]
    flags += ["--load_best_model_at_end", "--metric_for_best_model", "loss"]
    return [*flags, "--greater_is_better", "true", "--lora", "--lora_rank", 4]


@pytest.fixture(scope="module")
def straight(flags, tmp_path_factory) -> dict:
    """Return the output folder of a run of each script."""
    folders = {script: tmp_path_factory.mktemp("straight") for script in BOTH}
    for script, folder in folders.items():
        output = run(script, flags, folder)
        assert trains_without_padding(output)
        assert "LoRA of rank 4" in output
    return {script: folder / "out" for script, folder in folders.items()}


def adapter(folder) -> dict:
    """Return the bytes of the saved adapter by name."""
    saved = load_file(folder / "adapter" / "adapter_model.safetensors")
    return {name: values.tobytes() for name, values in saved.items()}


def test_both_scripts_give_the_same(straight):
    loop, trainer = straight.values()
    assert weights(loop) == weights(trainer)
    assert adapter(loop) == adapter(trainer)


@pytest.mark.parametrize("script", BOTH)
def test_the_saved_model_is_whole_and_only_linear_layers_change(script, straight, tiny_encoder):
    from transformers import AutoModelForTokenClassification

    out = straight[script]
    _, report = AutoModelForTokenClassification.from_pretrained(out, output_loading_info=True)
    assert not any(report.values()), report
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_encoder, out))
    changed = {n for n in after if not np.array_equal(after[n], before.get(n[len("bert.") :]))}
    linear = ("query.weight", "key.weight", "value.weight", "dense.weight")
    expected = {n for n in after if ".layer." in n and n.endswith(linear)}
    assert changed == expected | {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("script", BOTH)
def test_tagger_and_pipeline_and_peft_read_one_model(script, straight, tiny_encoder):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    from infer import Tagger

    out = straight[script]
    saved = AutoModelForTokenClassification.from_pretrained(out)
    base = AutoModelForTokenClassification.from_pretrained(
        tiny_encoder, num_labels=saved.config.num_labels
    )
    adapted = PeftModel.from_pretrained(base, out / "adapter").eval()
    inputs = AutoTokenizer.from_pretrained(out)(TEXT, return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(
            adapted(**inputs).logits, saved(**inputs).logits, rtol=1e-4, atol=1e-5
        )
    assert pipeline("token-classification", model=str(out), ignore_labels=[])(TEXT)
    assert Tagger(out)(TEXT)


@pytest.mark.parametrize("script", BOTH)
def test_the_kept_epoch_is_a_checkpoint_that_holds_its_adapter(script, straight):
    out = straight[script]
    rows = facts(out)["history"]
    best = max(rows, key=lambda row: row["eval_loss"])
    assert best is not rows[-1], "the best epoch must not be the last"
    checkpoint = out / name_of(script, best["step"], best["epoch"])
    assert weights(out) == weights(checkpoint)
    assert adapter(out) == adapter(checkpoint)
    assert facts(out)["scores"]["validation"]["loss"] == pytest.approx(best["eval_loss"], rel=1e-5)


@pytest.mark.parametrize("script", BOTH)
def test_killed_and_resumed_equals_straight(script, flags, straight, tmp_path):
    before = partial(interrupt, SEED_STEP, 2, signal.SIGTERM)
    run(script, flags, tmp_path, status=128 + signal.SIGTERM, before=before)
    output = run(script, [*flags, "--resume_from_checkpoint"], tmp_path)
    assert "missing" not in output.lower()
    assert weights(tmp_path / "out") == weights(straight[script])
    assert adapter(tmp_path / "out") == adapter(straight[script])


@pytest.mark.exhaustive
def test_two_processes(flags, tmp_path):
    for script in BOTH:
        run(script, flags, tmp_path / script, 2)
    loop, trainer = (tmp_path / script / "out" for script in BOTH)
    assert weights(loop) == weights(trainer)
    assert adapter(loop) == adapter(trainer)


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ["qwen3", "llama"])
def test_decoders_are_the_same_with_left_and_right_padding(architecture, flags, tmp_path):
    """In both scripts, in batches that are padded and in batches that are not."""
    (chosen,) = (a for a in ARCHITECTURES if str(a) == architecture)
    plain = [*flags[: flags.index("--load_best_model_at_end")], *flags[flags.index("--lora") :]]
    del plain[:2]
    runs = {}
    for side in ("left", "right"):
        folder = tmp_path / side
        build(chosen, folder)
        config = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps(config | {"padding_side": side}))
        for script in BOTH:
            for padding in ([], ["--pad_to_max_length"]):
                place = tmp_path / f"{side}-{script}-{len(padding)}"
                run(script, ["--model_name_or_path", folder, *plain, *padding], place)
                runs[side, script, len(padding)] = load_file(place / "out" / "model.safetensors")
    for padding in (0, 1):
        expected = runs["right", BOTH[0], padding]
        for (_, _, own), saved in runs.items():
            if own == padding:
                for name, values in saved.items():
                    np.testing.assert_allclose(values, expected[name], atol=1e-3, err_msg=name)
