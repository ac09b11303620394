"""The progress of a run: steps done, losses, scores of the epochs, the best of them."""

import math
from dataclasses import dataclass, field
from typing import Any

from settings.run_settings import Settings
from support.errors import UserError
from support.terminal import say


@dataclass(frozen=True)
class BestScore:
    """The score that decides which epoch is the best."""

    name: str
    greater_is_better: bool

    def improves(self, score: float, best: float | None) -> bool:
        """Return whether `score` is better than the best so far."""
        return best is None or (score > best if self.greater_is_better else score < best)


def choose_best_score(settings: Settings, entity_tags: bool) -> BestScore:
    """Return the score that decides: the flag's, else F1, or accuracy for plain tags.

    Raises UserError for a score that such tags do not have.
    """
    checkpoints = settings.checkpoints
    name = checkpoints.metric_for_best_model or ("f1" if entity_tags else "accuracy")
    name = name.removeprefix("eval_")
    scores = ["precision", "recall", "f1"] if entity_tags else ["macro_f1"]
    scores += ["accuracy", "loss"]
    if name not in scores and not settings.output.return_entity_level_metrics:
        raise UserError(
            f"--metric_for_best_model {name}: expected one of {', '.join(scores)}. The score of a "
            "type, such as PER_f1, needs --return_entity_level_metrics."
        )
    greater = checkpoints.greater_is_better
    return BestScore(name, not name.endswith("loss") if greater is None else greater)


@dataclass
class Progress:
    """Everything a loop must know to resume; the order of the data follows from `step`."""

    step: int = 0  # steps done
    epochs_done: int = 0  # epochs trained and scored
    total_loss: float = 0.0  # summed over the logged steps
    pending_loss: float = 0.0  # summed over the steps after the last logged one
    step_losses: list[dict[str, Any]] = field(default_factory=list)  # step, loss, learning_rate
    history: list[dict[str, Any]] = field(default_factory=list)  # one row per epoch
    best_score: float | None = None
    best_checkpoint: str | None = None  # its name
    epochs_without_better: int = 0

    def log_loss(self, loss: float, learning_rate: float) -> None:
        """Record the mean loss of the steps since the last one logged."""
        self.check_finite(loss)
        row = {"step": self.step, "loss": loss, "learning_rate": learning_rate}
        self.step_losses.append(row)

    def check_finite(self, loss: float) -> None:
        """Raise UserError if the loss shows that training has diverged."""
        if not math.isfinite(loss):
            raise UserError(
                f"Training has diverged: the loss is {loss} by step {self.step}. Use a smaller "
                "--learning_rate, a warm-up (--warmup_steps 0.1), or --mixed_precision no. "
                "Earlier checkpoints are unchanged."
            )

    def end_epoch(
        self, epoch: int, scores: dict[str, float], checkpoint: str, best: BestScore
    ) -> None:
        """Record and print the scores of an epoch.

        `scores`: "f1", "loss", ... of the validation split. `checkpoint`: the name of the
        checkpoint that holds the weights of this epoch.
        """
        if best.name not in scores:
            raise UserError(
                f"--metric_for_best_model {best.name}: expected one of {', '.join(scores)}"
            )
        if best.improves(scores[best.name], self.best_score):
            self.best_score, self.best_checkpoint = scores[best.name], checkpoint
            self.epochs_without_better = 0
        else:
            self.epochs_without_better += 1
        epoch_start = self.history[-1]["step"] if self.history else 0
        losses = [row["loss"] for row in self.step_losses if row["step"] > epoch_start]
        row: dict[str, Any] = {"epoch": epoch, "step": self.step}
        row["train_loss"] = sum(losses) / len(losses) if losses else None
        row |= {f"eval_{name}": value for name, value in scores.items()}
        self.history.append(row)
        names = ("train_loss", "eval_loss", "eval_f1", "eval_macro_f1", "eval_accuracy")
        shown = [f"{name} {row[name]:.4f}" for name in names if row.get(name) is not None]
        say(f"epoch {epoch}: " + ", ".join(shown))

    def patience_is_over(self, patience: int | None) -> bool:
        """Return whether `patience` epochs have passed without a better score; None: never."""
        return patience is not None and self.epochs_without_better >= patience

    def train_metrics(self, seconds: float, steps: int, step_size: int) -> dict[str, float]:
        """Return the metrics of training; `seconds` and `steps` cover this session alone.

        `step_size`: windows of a step.
        """
        self.check_finite(self.pending_loss)
        return {
            "train_loss": (self.total_loss + self.pending_loss) / max(self.step, 1),
            "train_runtime": round(seconds, 3),
            "train_samples_per_second": round(steps * step_size / seconds, 3),
            "train_steps_per_second": round(steps / seconds, 3),
            "train_steps": self.step,
        }
