"""Record the reference that both training scripts are compared with (`tests/test_reference.py`).

    python -m tests.reference.record                    # the scripts of this tree
    python -m tests.reference.record --scripts FOLDER   # those of another tree

The reference is the loss of each step and the final scores of one small run: fp32, one thread,
a random encoder, windows, dropout, accumulation, a warm-up. Record it again only after a
deliberate change of what is computed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.helpers.models import ROOT, save_tiny_encoder
from tests.helpers.script_runs import BOTH, facts, losses, results, write_corpus

REFERENCE = Path(__file__).with_name("reference.json")
SCORES = tuple(
    f"{split}_{name}"
    for split in ("eval", "predict")
    for name in ("accuracy", "f1", "loss", "precision", "recall", "words")
)
FLAGS = [
    *("--mixed_precision", "no", "--max_seq_length", 24, "--num_train_epochs", 3),
    *("--per_device_train_batch_size", 4, "--gradient_accumulation_steps", 2),
    *("--learning_rate", 5e-3, "--warmup_steps", 3, "--weight_decay", 0.1),
    *("--logging_steps", 1, "--checkpointing_steps", "no", "--output_dir", "out"),
    *("--decode", "argmax"),  # with legal tags all are right, which would hide a change
]


def write_inputs(folder: Path) -> list[str]:
    """Write the corpus and the encoder into `folder`; return all flags of the run."""
    corpus = write_corpus(folder / "corpus")
    encoder = save_tiny_encoder(folder / "encoder")
    return [str(flag) for flag in ["--model_name_or_path", encoder, *corpus, *FLAGS]]


def measure(output_dir: Path) -> dict:
    """Return losses, learning rates and scores of a finished run."""
    steps, scores = losses(output_dir), results(output_dir)
    return {
        "losses": [float(f"{loss:.7g}") for loss in steps[:, 0]],
        "learning_rates": [float(f"{rate:.7g}") for rate in steps[:, 1]],
        "epoch_losses": [float(f"{row['eval_loss']:.7g}") for row in facts(output_dir)["history"]],
        "scores": {name: float(f"{scores[name]:.7g}") for name in SCORES},
    }


def run_script(scripts: Path, script: str, folder: Path) -> dict:
    """Run a script in a separate process, offline, in one thread; return its measurements."""
    folder.mkdir()
    environment = os.environ | {
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
    }
    command = [sys.executable, str(scripts / script), *write_inputs(folder)]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return measure(folder / "out")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scripts", type=Path, default=ROOT, help="folder of the two scripts")
    parser.add_argument("--output", type=Path, default=REFERENCE, help="file to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = [run_script(args.scripts, name, Path(folder) / name) for name in BOTH]
    for name in ("losses", "epoch_losses"):
        np.testing.assert_allclose(measured[0][name], measured[1][name], rtol=1e-5)
    assert measured[0]["scores"] == measured[1]["scores"], "the two scripts differ"
    args.output.write_text(json.dumps(measured[0], indent=2) + "\n", encoding="utf-8")
    print(f"Recorded: {args.output}. Put the reason into the commit message.")


if __name__ == "__main__":
    main()
