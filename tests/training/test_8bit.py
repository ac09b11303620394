"""8-bit AdamW of bitsandbytes: the loop trains as Trainer does, and a resumed run is the same."""

import signal
from functools import partial

import pytest

from tests.helpers.checkpoints import SETTINGS
from tests.helpers.script_runs import BOTH, SEED_STEP, interrupt, run, weights, write_corpus

pytest.importorskip("bitsandbytes", reason="optional: pip install bitsandbytes")


def test_both_scripts_and_a_resumed_run_give_the_same(tiny_encoder, tmp_path):
    flags = ["--model_name_or_path", tiny_encoder, *write_corpus(tmp_path / "corpus"), *SETTINGS]
    flags += ["--num_train_epochs", 2, "--optim"]
    before = partial(interrupt, SEED_STEP, 2, signal.SIGTERM)
    saved = []
    for script in BOTH:
        run(script, [*flags, "adamw_bnb_8bit"], tmp_path / script)
        saved.append(weights(tmp_path / script / "out"))
        resumed = tmp_path / f"resumed-{script}"
        options = {"status": 128 + signal.SIGTERM, "before": before}
        run(script, [*flags, "adamw_bnb_8bit"], resumed, **options)
        run(script, [*flags, "adamw_bnb_8bit", "--resume_from_checkpoint"], resumed)
        saved.append(weights(resumed / "out"))
    assert saved[1:] == saved[:1] * 3
    run(BOTH[0], [*flags, "adamw_torch"], tmp_path / "whole")
    assert weights(tmp_path / "whole" / "out") != saved[0]
