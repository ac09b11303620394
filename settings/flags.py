"""The flags of the training scripts, each declared once with its help.

Names follow `run_ner.py` and `run_ner_no_trainer.py` of transformers' examples, so that their
command lines run here unchanged. A flag that both scripts have means the same in both. Nothing
heavy is imported, because `--help` must respond immediately.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

from settings.check_values import settled_notes, value_problems
from settings.flag_table import LOOP, is_boolean, is_true
from settings.trackers import requested_trackers
from support.errors import UserError
from support.processes import launcher_requests

DEFAULT_CORPUS = "lhoestq/conll2003"
DEFAULT_MODEL = "bert-base-cased"
# A corpus that would get fewer steps gets more epochs, unless a flag sets their number. Chosen over
# 3 seeds on corpora of 50 to 2000 sentences: see "Small corpora" in benchmarks/README.md.
FEWEST_STEPS, MOST_EPOCHS = 600, 30


def flag(default: Any, help: str, *aliases: str, group: str = "options", **options: Any) -> Any:
    """Return a dataclass field that `settings.argument_parser` turns into a flag.

    `aliases`: other spellings that are accepted. `group`: its heading in `--help`. `options`:
    `nargs`, `const`, `metavar` as argparse takes them; `positional=True` for arguments without a
    flag; `switch=True` for a flag that takes no value; `hint`: a sentence that follows the message
    about a wrong value.
    """
    metadata = {"help": help, "aliases": list(aliases), "group": group, **options}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


_corpus = partial(flag, group="corpus")
_model = partial(flag, group="model")
_training = partial(flag, group="training")
_evaluation = partial(flag, group="evaluation")
_checkpoints = partial(flag, group="output and checkpoints")
_tracking = partial(flag, group="tracking")
_hub = partial(flag, group="Hub")


@dataclass
class SharedFlags:
    """The flags that `train_trainer.py` and `train_accelerate.py` share."""

    config_file_flags: ClassVar[bool] = True  # a YAML or JSON file may give them
    script: ClassVar[str | None] = None  # the script that has the flags; None: both

    # Corpus
    train_file: list[str] | None = _corpus(
        None, "Training files, in any format; globs are expanded.", metavar="FILE"
    )
    validation_file: list[str] | None = _corpus(
        None,
        "Validation files. Default: a tenth of the training split is held out.",
        metavar="FILE",
    )
    test_file: list[str] | None = _corpus(None, "Test files.", metavar="FILE")
    dataset_name: str | None = _corpus(
        None, f"Data set on the Hub, or a local folder. Default: {DEFAULT_CORPUS}."
    )
    dataset_config_name: str | None = _corpus(None, "Configuration of the data set.")
    dataset_revision: str | None = _corpus(None, "Branch, tag or commit of the data set.")
    sample: bool = _corpus(
        False, "Use the embedded corpus and, unless a model is named, the embedded encoder."
    )
    task_name: str = _corpus("ner", "The labels to learn: ner, pos or chunk.")
    check: bool = _corpus(
        False, "Check the corpus, print a report and stop. Exit status 0 if training would start."
    )
    output: str | None = _corpus(
        None,
        "With --check: also write every problem to this file, one JSON object per line.",
        metavar="FILE",
    )
    text_column_name: str | None = _corpus(
        None, "Column of the words: a name, or a number from 0, negative from the end."
    )
    label_column_name: str | None = _corpus(None, "Column of the labels: a name or a number.")
    label_names: list[str] | None = _corpus(
        None, "Names of integer labels in their order, or a file with one name per line."
    )
    tag_scheme: Literal["auto", "iob1", "io", "iob2", "bioes", "bilou", "bmes"] = _corpus(
        "auto", "Scheme of the corpus's entity tags. Default: detected from the tags."
    )
    span_alignment: Literal["strict", "expand", "skip"] = _corpus(
        "strict",
        "Character spans that begin or end inside a word: an error, widened to whole words, or "
        "left out.",
    )
    max_train_samples: int | None = _corpus(None, "Use the first N training sentences.")
    max_eval_samples: int | None = _corpus(None, "Use the first N validation sentences.")
    max_predict_samples: int | None = _corpus(None, "Use the first N test sentences.")
    overwrite_cache: bool = _corpus(False, "Read and encode the corpus again, ignoring caches.")
    debug: bool = _corpus(
        False,
        "Try everything on 100 sentences of each split.",
        hint="Trainer's search for overflows fails on the boolean masks of attention; training "
        "stops by itself when the loss is not finite.",
    )

    # Model
    model_name_or_path: str | None = _model(
        None, f"Pretrained encoder: a name on the Hub, or a folder. Default: {DEFAULT_MODEL}."
    )
    config_name: str | None = _model(None, "Configuration, if it is not the model's own.")
    tokenizer_name: str | None = _model(None, "Tokenizer, if it is not the model's own.")
    model_revision: str = _model("main", "Branch, tag or commit of the model.", "--revision")
    cache_dir: str | None = _model(None, "Folder for downloads and encoded corpora.")
    trust_remote_code: bool = _model(False, "Run code that comes with the model.")
    ignore_mismatched_sizes: bool = _model(
        False, "Replace the head of a model that was trained for other labels."
    )
    max_seq_length: int | None = _model(
        None,
        "Longest window in sub-words, special tokens included. A longer sentence becomes several "
        "overlapping windows; no word is lost. Default: the model's own limit; without training, "
        "the length that the model was trained with.",
        "--max_length",
    )
    context: int | None = _model(
        None,
        "Maximum number of sub-words of neighbouring sentences of the same document that a window "
        "shows on each side, in training, evaluation and tagging. Documents begin at -DOCSTART- or "
        "# newdoc, are named by a field such as doc_id, or are files of columns, if there are "
        "several. Default: 0; a model that is only scored keeps its own value.",
        metavar="N",
    )
    pad_to_max_length: bool = _model(False, "Pad every batch to --max_seq_length.")
    label_all_tokens: bool = _model(
        False, "Train on every sub-word of a word (B- becomes I- inside it), not only its first."
    )

    # Tasks
    do_train: bool = _training(False, "Train. Without any --do_ flag, all three are done.")
    dry_run: bool = _training(
        False,
        "Do everything but train: print the plan of the run, with the time and memory of a few "
        "measured steps and the files that it would write, and stop. Nothing is saved.",
    )
    do_eval: bool = _evaluation(False, "Score the validation split.")
    do_predict: bool = _evaluation(False, "Score the test split and write its predictions.")
    output_dir: str | None = _checkpoints(
        None, "Folder of the model. Default: {model}-finetuned-{task}."
    )
    overwrite_output_dir: bool = _checkpoints(
        False,
        "Replace files in the output folder: those of a run with another corpus, model, task or "
        "label set, or files that no run has written.",
    )
    decode: Literal["viterbi", "argmax"] | None = _evaluation(
        None,
        "Entity tags in evaluation and in the saved model: the most probable legal sequence of "
        "each sentence (viterbi), or the most probable tag of each word (argmax). Default: viterbi "
        "for a model trained here, argmax for any other.",
    )
    target_precision: float | None = _evaluation(
        None,
        "Choose the operating point that reaches this precision on the validation split, between 0 "
        "and 1, with the highest recall. It is stored in the model and applies in evaluation and "
        "tagging. Without training, it is chosen for the model in --output_dir.",
    )
    tune_for: Literal["f1", "recall"] | None = _evaluation(
        None,
        "Choose the operating point with the highest F1 on the validation split (f1), or the "
        "highest F2, in which recall weighs twice as much as precision (recall).",
    )
    return_entity_level_metrics: bool = _evaluation(
        False, "Write the scores of each entity type to the result files, under separate keys."
    )
    verbose: bool = _checkpoints(False, "Show the libraries' own messages.")

    # Training
    num_train_epochs: float | None = _training(
        None,
        "Epochs. Default: 3; the embedded encoder has its own. A small corpus gets more, unless it "
        f"is cut with --max_train_samples: at least {FEWEST_STEPS} steps, in at most {MOST_EPOCHS} "
        "epochs.",
    )
    max_steps: int = _training(
        -1, "Number of steps, instead of epochs. Default: set by the epochs.", "--max_train_steps"
    )
    per_device_train_batch_size: int | None = _training(
        None, "Windows per batch on each process. Default: 8; 32 for --sample."
    )
    per_device_eval_batch_size: int = _evaluation(
        32, "Windows per batch on each process in evaluation."
    )
    gradient_accumulation_steps: int | None = _training(None, "Batches per step. Default: 1.")
    learning_rate: float | None = _training(
        None,
        "Peak learning rate. Default: 2e-5, with --lora ten times that; the embedded encoder has "
        "its own.",
    )
    layerwise_lr_decay: float | None = _training(
        None,
        "Multiply the learning rate by this once for each layer below the top one; the embeddings "
        "count as a layer. Default: 1, the same rate for all weights. The embedded encoder has its "
        "own, unless --learning_rate is given.",
    )
    weight_decay: float = _training(0.01, "Weight decay, on all parameters but biases and norms.")
    max_grad_norm: float | None = _training(
        None, "Clip the gradient to this norm; 0 never clips. Default: 1."
    )
    label_smoothing_factor: float = _training(
        0.0, "Share of the probability that the loss spreads over all labels: at least 0, below 1."
    )
    optim: Literal[
        "adamw_torch_fused", "adamw_torch", "adamw_bnb_8bit", "sgd", "rmsprop", "adagrad"
    ] = _training(
        "adamw_torch_fused",
        "Optimizer.",
        hint="train_trainer.py accepts all optimizers of transformers.",
    )
    adam_beta1: float = _training(0.9, "Decay of AdamW's mean of the gradient.")
    adam_beta2: float = _training(0.999, "Decay of AdamW's mean of the squared gradient.")
    adam_epsilon: float = _training(1e-8, "Term that keeps AdamW from dividing by zero.")
    lr_scheduler_type: Literal[
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
    ] = _training(
        "linear",
        "Schedule of the learning rate.",
        hint="train_trainer.py accepts all schedules of transformers.",
    )
    lr_scheduler_kwargs: dict[str, Any] | None = _training(
        None, 'Arguments of the schedule, as JSON: {"num_cycles": 2}.'
    )
    warmup_steps: float = _training(
        0, "Steps of warm-up; a value below 1 is a share of all steps.", "--num_warmup_steps"
    )
    seed: int = _training(42, "Seed of the new head, dropout and the order of the data.")
    data_seed: int | None = _training(None, "Seed of the order of the data. Default: --seed.")
    use_cpu: bool = _training(False, "Use the CPU even if there is a GPU.", "--cpu")
    bf16: bool = _training(False, "The same as --mixed_precision bf16.")
    fp16: bool = _training(False, "The same as --mixed_precision fp16.")
    mixed_precision: Literal["no", "bf16", "fp16"] | None = _training(
        None, "Precision of training. Default: the launcher's, else what suits the hardware."
    )
    group_by_length: bool = _training(False, "Make batches of windows of similar length.")
    train_sampling_strategy: Literal["group_by_length", "random"] | None = _training(
        None,
        "group_by_length: the same as --group_by_length. random: without it, the default.",
        hint="Each epoch visits the sentences in a random order.",
    )
    gradient_checkpointing: bool = _training(
        False,
        "Recompute activations in the backward pass: less memory, but slower.",
        "--activation_checkpointing",
    )
    lora: bool = _training(
        False,
        "Train small matrices beside the linear layers of the encoder (LoRA, through peft) and the "
        "head: gradients and optimizer take a tenth of the memory or less. The matrices are merged "
        "into the saved model, and saved in its folder `adapter` too.",
    )
    lora_rank: int | None = _training(None, "Rank of the matrices of --lora. Default: 16.")
    freeze_layers: int | None = _training(
        None,
        "Do not train the embeddings and the first N layers: less memory and time. 0: only the "
        "embeddings. Default: all weights are trained.",
    )
    dataloader_num_workers: int = _training(
        0, "Processes that prepare batches. Default: 0, the training process itself."
    )
    logging_strategy: Literal["no", "steps", "epoch"] = _tracking(
        "steps", "When to log the loss: 'steps' (--logging_steps), 'epoch', or 'no'."
    )
    logging_steps: float = _tracking(
        10, "Steps between two logged losses; a value below 1 is a share of all steps."
    )
    logging_first_step: bool = _tracking(False, "Log the loss of the first step too.")
    eval_strategy: Literal["no", "steps", "epoch"] = _evaluation(
        "epoch", "When to evaluate: 'epoch', 'steps' (--eval_steps), or 'no'."
    )
    eval_steps: float | None = _evaluation(
        None,
        "Steps between two evaluations; a value below 1 is a share of all steps. Default: "
        "--logging_steps.",
    )
    eval_delay: float = _evaluation(
        0, "Epochs, or steps with --eval_strategy steps, before the first evaluation."
    )
    eval_on_start: bool = _evaluation(False, "Evaluate before the first step too.")

    # Checkpoints
    save_strategy: Literal["no", "steps", "epoch", "best"] = _checkpoints(
        "epoch",
        "When to save a checkpoint: 'epoch', 'steps' (--save_steps), 'best' (after each better "
        "score), or 'no'.",
    )
    save_steps: float = _checkpoints(
        500, "Steps between two checkpoints; a value below 1 is a share of all steps."
    )
    checkpointing_steps: str | None = _checkpoints(
        None, "Short for --save_strategy and --save_steps: 'epoch', N (every N steps), or 'no'."
    )
    save_total_limit: int | None = _checkpoints(
        2, "Number of newest checkpoints to keep; the best one is kept in addition."
    )
    resume_from_checkpoint: str | None = _checkpoints(
        None,
        "Resume from a checkpoint: its folder, or 'latest' (also without a value) for the newest "
        "complete one of this run.",
        nargs="?",
        const="latest",
    )
    load_best_model_at_end: bool = _checkpoints(
        False, "Keep the weights with the best score, not the last ones."
    )
    metric_for_best_model: str | None = _checkpoints(
        None,
        "Score that selects the best weights: f1, loss, ... Default: f1; accuracy for plain tags.",
    )
    greater_is_better: bool | None = _checkpoints(
        None, "Whether a greater score is better. Default: true, except for a loss."
    )
    early_stopping_patience: int | None = _checkpoints(
        None, "Stop after N evaluations without a better score."
    )

    # Tracking and the Hub
    log_file: str | None = _tracking(
        None,
        "Also write each logged step to this file: one JSON object per line, with step, loss and "
        "learning rate.",
        metavar="FILE",
    )
    disable_tqdm: bool = _tracking(False, "Show no progress bar.")
    with_tracking: bool = _tracking(False, "Report to every tracker that is installed.")
    report_to: list[str] | None = _tracking(
        None, "Trackers: tensorboard, wandb, trackio, ..., all or none."
    )
    push_to_hub: bool = _hub(False, "Push the model to the Hub each epoch, in the background.")
    hub_model_id: str | None = _hub(
        None, "Repository. Default: the output folder's name in your namespace."
    )
    hub_token: str | None = _hub(
        None, "Token, if neither HF_TOKEN nor `hf auth login` provides one.", "--token"
    )
    hub_private_repo: bool = _hub(False, "Create the repository as private.")
    hub_include: list[Literal["predictions", "report"]] | None = _hub(
        None,
        "Also push files that contain text from the corpus: predictions, report. Default: only the "
        "model, tokenizer, configuration, card and scores.",
    )
    hub_strategy: Literal["end", "every_save", "checkpoint"] = _hub(
        "every_save",
        "Push at the end, at every save, or at every save with the last checkpoint.",
        hint="A repository holds one checkpoint at most.",
    )

    def __post_init__(self) -> None:
        """Refuse invalid values, all together; use the CPU if the launcher requests it."""
        if problems := value_problems(self):
            raise UserError("\n".join(problems))
        # accelerate follows the request, but code that runs before its `Accelerator` would not.
        self.use_cpu = self.use_cpu or launcher_requests("CPU")
        self.task_name = self.task_name.lower()
        if self.debug:
            self.max_train_samples = self.max_eval_samples = self.max_predict_samples = 100
        resume = self.resume_from_checkpoint
        if resume is not None and is_boolean(resume):
            self.resume_from_checkpoint = "latest" if is_true(resume) else None

    @property
    def scores_epochs(self) -> bool:
        """Return whether a validation split is used; without any --do_ flag it is."""
        return self.do_eval or not (self.do_train or self.do_predict)

    def notes(self) -> list[str]:
        """Return what the user should know about accepted values, one line each."""
        lines = settled_notes(self)
        if self.max_steps > 0 and self.num_train_epochs is not None:
            lines.append(
                f"--max_steps {self.max_steps} sets the length of training: --num_train_epochs "
                f"{self.num_train_epochs:g} has no effect"
            )
        if (self.with_tracking or self.report_to == ["all"]) and not requested_trackers(self):
            lines.append("no tracker is installed: nothing is reported")
        return lines


@dataclass
class LoopFlags(SharedFlags):
    """The flags of `train_accelerate.py`."""

    script: ClassVar[str | None] = LOOP
