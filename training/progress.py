"""The progress of a run: steps done, losses, scores of the evaluations, the best of them."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from scoring.scores import score_names
from settings.run_settings import CheckpointSettings
from support.errors import UserError
from support.terminal import say
from support.text import did_you_mean


@dataclass(frozen=True)
class BestScore:
    """The score that decides which evaluation is the best."""

    name: str
    greater_is_better: bool

    def improves(self, score: float, best: float | None) -> bool:
        """Return whether `score` is better than the best so far."""
        return best is None or (score > best if self.greater_is_better else score < best)


def choose_best_score(
    checkpoints: CheckpointSettings, label_names: Sequence[str], entity_tags: bool
) -> BestScore:
    """Return the score that decides: the flag's, else F1, or accuracy for plain tags.

    Raises UserError for a score that a model with these labels does not have.
    """
    name = checkpoints.metric_for_best_model or ("f1" if entity_tags else "accuracy")
    name = name.removeprefix("eval_")
    names = score_names(label_names, entity_tags)
    if name not in names:
        raise UserError(
            f"--metric_for_best_model: no such score: got {name}, expected one of "
            f"{', '.join(names)}{did_you_mean(name, names)}"
        )
    greater = checkpoints.greater_is_better
    return BestScore(name, not name.endswith("loss") if greater is None else greater)


def new_run_id() -> str:
    """Return an id for a run; ids of later runs are greater."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z-{secrets.token_hex(4)}"


@dataclass
class Progress:
    """Everything a loop must know to resume; the order of the data follows from `step`."""

    run_id: str = field(default_factory=new_run_id)  # a run that resumes keeps it
    step: int = 0  # steps done
    logged_step: int = 0  # the last step whose loss was logged
    total_loss: float = 0.0  # summed over the steps up to `logged_step`
    pending_loss: float = 0.0  # summed over the steps after it
    step_losses: list[dict[str, Any]] = field(default_factory=list)  # step, loss, learning_rate
    history: list[dict[str, Any]] = field(default_factory=list)  # one row per evaluation
    # Of the scores of evaluations: `step`, and by name, such as "eval_f1_interval", both ends.
    score_intervals: list[dict[str, Any]] = field(default_factory=list)
    scored_loss: float = 0.0  # summed over the steps up to the last evaluation
    best_score: float | None = None
    best_checkpoint: str | None = None  # its name
    evaluations_without_better: int = 0

    @property
    def scored_step(self) -> int | None:
        """Return the step of the last evaluation, or None."""
        return self.history[-1]["step"] if self.history else None

    def log_loss(self, total: float, learning_rate: float) -> float:
        """Record the mean loss of the steps since the last one logged, and return it.

        `total`: summed over these steps.
        """
        self.check_finite(total)
        loss = total / max(self.step - self.logged_step, 1)
        self.total_loss += total
        self.pending_loss = 0.0
        self.logged_step = self.step
        row = {"step": self.step, "loss": loss, "learning_rate": learning_rate}
        self.step_losses.append(row)
        return loss

    def check_finite(self, loss: float) -> None:
        """Raise UserError if the loss shows that training has diverged."""
        if not math.isfinite(loss):
            raise diverged(f"the loss is {loss}", self.step)

    def record_scores(
        self, epoch: int, scores: dict[str, float], checkpoint: str | None, best: BestScore
    ) -> bool:
        """Record and print the scores of an evaluation; return whether they are the best so far.

        `scores`: "f1", "loss", ... of the validation split. `checkpoint`: the name of the
        checkpoint that holds, or will hold, these weights; None: they are not saved and never the
        best. `pending_loss` must be that of this step.
        """
        if not math.isfinite(scores["loss"]):
            raise diverged(f"the loss of the validation split is {scores['loss']}", self.step)
        score = scores[best.name]
        improved = checkpoint is not None and best.improves(score, self.best_score)
        if improved:
            self.best_score, self.best_checkpoint = score, checkpoint
            self.evaluations_without_better = 0
        elif checkpoint is not None:
            self.evaluations_without_better += 1
        loss = self.total_loss + self.pending_loss
        steps = self.step - (self.scored_step or 0)
        row: dict[str, Any] = {"epoch": epoch, "step": self.step}
        row["train_loss"] = (loss - self.scored_loss) / steps if steps else None
        row |= {f"eval_{name}": value for name, value in scores.items()}
        self.scored_loss = loss
        self.history.append(row)
        names = ("train_loss", "eval_loss", "eval_f1", "eval_macro_f1", "eval_accuracy")
        shown = [f"{name} {row[name]:.4f}" for name in names if row.get(name) is not None]
        number = epoch + 1 if self.step else 0  # counted from 1, as in card and report
        say(f"epoch {number}, step {self.step}: " + ", ".join(shown))
        return improved

    def patience_is_over(self, patience: int | None) -> bool:
        """Return whether `patience` evaluations gave no better score; None: never."""
        return patience is not None and self.evaluations_without_better >= patience

    def train_metrics(self, seconds: float, steps: int, samples: int) -> dict[str, float]:
        """Return the metrics of training; the arguments cover this session alone.

        `samples`: windows that were trained on.
        """
        self.check_finite(self.pending_loss)
        return {
            "train_loss": (self.total_loss + self.pending_loss) / max(self.step, 1),
            "train_runtime": round(seconds, 3),
            "train_samples_per_second": round(samples / seconds, 3),
            "train_steps_per_second": round(steps / seconds, 3),
            "train_steps": self.step,
        }


def diverged(evidence: str, step: int) -> UserError:
    """Return the error of a training that has diverged by `step`."""
    return UserError(
        f"Training has diverged: {evidence} after step {step}. Use a smaller --learning_rate, a "
        "warm-up (--warmup_steps 0.1), or --mixed_precision no. Earlier checkpoints are unchanged."
    )
