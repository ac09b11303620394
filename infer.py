"""Tag texts with a trained model: named entities, parts of speech, chunks.

    python infer.py "My name is Sylvain and I work at Hugging Face in Brooklyn."
    python infer.py --model bert-finetuned-ner --input notes.txt more/*.jsonl --output tagged.jsonl
    tail -f app.log | python infer.py | jq .entities
    python infer.py --input reports/ --by document --output_format html --output reports.html
    python infer.py --input test.conll --score
    accelerate launch infer.py --input big.jsonl --output tagged.jsonl      # all GPUs

Without --model: the newest model that a training script left in a default folder here. As a
library: `from infer import Tagger; Tagger("bert-finetuned-ner")(["My name is Sylvain."])`.
"""

import argparse
import contextlib
import gzip
import itertools
import os
import pickle
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import common
from encoder.cpu.process import prepare_process
from scoring.scores import count_tags, scores_of_counts
from scoring.table import score_table
from support.errors import UserError
from support.errors import run_script as run
from support.text import counted, unknown_flag
from tagging import inputs
from tagging import writers as formats
from tagging.tagger import DTYPES, Tagged, Tagger, default_model, iob2

__all__ = ["Tagger"]

PROGRESS_AFTER_S, PROGRESS_EVERY_S, LOG_EVERY_S = 3.0, 0.5, 30.0


INPUT_HELP = (
    "Files, folders or globs; - is a pipe. Of a folder the files are read that are texts by their "
    f"ending ({' '.join(sorted(filter(None, inputs.TEXT_ENDINGS)))}, each also with .gz) or have "
    "none; a file that is named itself is read whatever its ending."
)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        # argparse would print all flags over the one line that matters.
        raise UserError(f"{message}\nAll flags: --help")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    head, _, rest = __doc__.partition("\n")
    parser = Parser(
        description=head,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("texts", nargs="*", metavar="TEXT", help="Texts to tag; each is one input.")
    add("--model", "--model_name_or_path", "-m", help="Folder of a model, or a name on the Hub.")
    add("--revision", default="main", help="Branch, tag or commit of a model on the Hub.")
    add("--input", "-i", nargs="+", metavar="FILE", help=INPUT_HELP)
    add(
        "--input_format",
        choices=("auto", "text", "jsonl", "conll"),
        default="auto",
        help="Plain text (one text a line), JSON Lines with `text` (a string) or, in records "
        "without one, `tokens` (a list of strings), other fields being carried through, or CoNLL "
        "columns. Default: by the file's ending, else its first lines; what is not JSON or "
        "columns for certain is plain text.",
    )
    add(
        "--by",
        choices=("line", "document"),
        default="line",
        help="What a text of a plain text file is; records and columns say so themselves.",
    )
    add(
        "--text_column_name",
        help="Column or field of the text or the words: a name, or, of columns, a number from 0.",
    )
    add("--label_column_name", help="Column of the labels, for --score.")
    add(
        "--output",
        "-o",
        metavar="FILE",
        help="Where results go, packed where it ends in .gz. Default: standard output.",
    )
    add(
        "--output_format",
        choices=formats.FORMATS,
        help="Default: by the ending of --output; pretty on a terminal, else jsonl. The offsets "
        "`start` and `end` count code points of `text`.",
    )
    add(
        "--all_words",
        action="store_true",
        help="Each word with its tag and the tag's probability, not the entities alone.",
    )
    add(
        "--min_score",
        type=float,
        default=0.0,
        help="Leave out entities with a lower score. The score of an entity is the mean, over "
        "its words, of the probability of the tag chosen.",
    )
    add(
        "--score",
        action="store_true",
        help="Compare with the labels of the input: the table that training prints.",
    )
    add("--skip_errors", action="store_true", help="Pass over lines that cannot be read.")
    add(
        "--dtype",
        choices=tuple(DTYPES),
        default="fp32",
        help="Precision. In half precision what stays in doubt between two tags is computed again "
        "in fp32.",
    )
    add("--device", help="cpu, cuda, cuda:1, mps, ... Default: cuda if it is there.")
    add("--batch_tokens", type=int, help="Sub-words a batch, padding included.")
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        # What follows an unknown flag is its value.
        known = [option for action in parser._actions for option in action.option_strings]
        flags = [word for word in unknown if word.startswith("-")] or unknown
        parser.error("\n".join(unknown_flag(word.partition("=")[0], known) for word in flags))
    check(args)
    return args


def check(args: argparse.Namespace) -> None:
    """Everything wrong with the flags alone, told at once; settles inputs and output format."""
    problems = []
    if args.texts and args.input:
        problems.append("texts and --input: expected one of them")
    if not args.texts and not args.input:
        if sys.stdin is None or sys.stdin.isatty():
            problems.append(
                "nothing to tag: give texts, --input FILE, or a pipe:\n"
                '  python infer.py "My name is Sylvain and I work at Hugging Face in Brooklyn."'
            )
        else:
            args.input = ["-"]
    if args.batch_tokens is not None and args.batch_tokens < 1:
        problems.append(f"--batch_tokens {args.batch_tokens}: expected at least 1")
    if not 0 <= args.min_score <= 1:
        problems.append(f"--min_score {args.min_score}: expected 0 to 1")
    if args.score and (not args.input or "-" in args.input):
        problems.append("--score: expected --input with files that have labels")
    if args.score and args.output:
        problems.append("--score and --output: expected one of them")
    if process_count() > 1 and not (args.output or args.score):
        problems.append("several processes: expected --output FILE, which they share")
    if process_count() > 1 and "-" in (args.input or ()):
        problems.append("several processes: expected files, which each of them can read")
    try:
        endings = inputs.LABELLED_ENDINGS if args.score else inputs.TEXT_ENDINGS
        args.files, others = inputs.find_files(args.input or [], endings)
    except UserError as error:
        problems.append(str(error))
    else:
        same = [path for path in args.files if args.output and _same_file(path, args.output)]
        problems += [f"--output {path}: is an input too" for path in same]
    if args.output and (
        os.path.isdir(args.output) or not Path(args.output).absolute().parent.is_dir()
    ):
        problems.append(f"--output {args.output}: expected a file in a folder that is there")
    if problems:
        raise UserError("\n".join(problems))
    if others and process_index() == 0:
        print(
            f"Not read, as they are no texts by their ending: {inputs.listed(others)} (a file "
            "that is named itself is read)",
            file=sys.stderr,
        )
    if args.output_format is None and args.output is None:
        args.output_format = "pretty" if sys.stdout.isatty() else "jsonl"
    elif args.output_format is None:
        ending = inputs.ending_of(args.output)
        args.output_format = formats.BY_ENDING.get(ending, "jsonl")
        if ending and ending not in formats.BY_ENDING and process_index() == 0:
            print(
                f"{args.output} is written as JSON Lines: {ending} says nothing of its format, "
                f"--output_format {'|'.join(formats.FORMATS)} does",
                file=sys.stderr,
            )


def _same_file(path: str, other: str) -> bool:
    return path != "-" and os.path.exists(other) and os.path.samefile(path, other)


def main():
    args = parse()
    tagger = Tagger(
        model_of(args),
        revision=args.revision,
        dtype=args.dtype,
        device=args.device or own_gpu(),
        batch_tokens=args.batch_tokens,
    )
    problems = inputs.Broken(args.skip_errors, tell=process_index() == 0)
    if args.score:
        score(args, tagger, problems)
    else:
        tag(args, tagger, problems)
    if problems.skipped and process_index() == 0:
        print(f"{counted(problems.skipped, 'line')} passed over", file=sys.stderr)


def model_of(args: argparse.Namespace) -> str:
    if args.model is not None:
        return args.model
    model, why = default_model(Path())
    if process_index() == 0:
        print(f"Model: {model} ({why})", file=sys.stderr)
    return model


# --- Tagging ----------------------------------------------------------------------------------


def tag(args: argparse.Namespace, tagger: Tagger, problems: inputs.Broken) -> None:
    """Read, tag, write, in constant memory and in the order of the input."""
    progress = Progress(args)
    sources = [inputs.Source(path) for path in args.files]
    chunks = inputs.chunks(items(args, tagger, sources, problems), lambda: any_waiting(sources))
    if process_count() > 1:
        share(args, tagger, chunks, progress, sources)
        return
    with Output(args.output) as output:
        results = tagged(args, tagger, chunks, progress, sources, output.flush)
        output.write_all(pieces(args, tagger, results))
    progress.close()


def any_waiting(sources: list[inputs.Source]) -> bool:
    return any(source.waiting() for source in sources)


def items(args, tagger, sources, problems) -> Iterator[inputs.Item]:
    """The texts of the command line, or of all files in turn."""
    yield from map(inputs.Item, args.texts)
    wanted = inputs.Wanted(tagger.task or "ner", args.text_column_name, args.label_column_name)
    written = tagger.result(Tagged("", [], [], []), args.all_words).keys() - {"text"}
    for source in sources:
        name = source.name if len(sources) > 1 else None
        found = inputs.read_items(source, args.input_format, args.by, wanted, problems)
        for item in found:
            for lost in sorted(written & (item.fields or {}).keys()):
                written.remove(lost)  # told once
                if process_index() == 0:
                    print(f"Records' own {lost!r} give way to what is found", file=sys.stderr)
            yield item._replace(source=name)


def tagged(args, tagger, chunks, progress, sources=(), flush=lambda: None):
    """A `formats.Result` for each item."""
    for chunk in chunks:
        answers = tagger.tag_texts([(item.text, item.words) for item in chunk])
        for item, answer in zip(chunk, answers, strict=True):
            found = tagger.result(answer, args.all_words, args.min_score)
            yield formats.Result(answer, found, item.fields or {}, item.source)
        flush()
        progress.add(len(chunk), sum(len(a.words) for a in answers), sources)


def pieces(args, tagger, results: Iterable[formats.Result]) -> Iterator[str]:
    """The output's text."""
    if args.output_format == "conll":
        return formats.as_conll(results, scores=args.all_words)
    if args.output_format == "csv":
        return formats.as_csv(results, with_source=len(args.files) > 1)
    if args.output_format == "html":
        names = [Path(path).name for path in args.files if path != "-"]
        return formats.as_html(results, ", ".join(names[:3]) + (", ..." if names[3:] else ""))
    if args.output_format == "pretty":
        to_terminal = args.output is None and sys.stdout.isatty()
        colour = to_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        width = shutil.get_terminal_size().columns
        return formats.as_pretty(results, width, colour or bool(os.environ.get("FORCE_COLOR")))
    return formats.as_jsonl(results)


class Output:
    """Where results go. A signal waits for the end of the piece that is being written, so that
    Ctrl-C leaves whole lines.
    """

    def __init__(self, path: str | None):
        self.path, self.writing, self.interrupted = path, False, False

    def __enter__(self):
        try:
            # Half a surrogate pair becomes \udXXX, which is how JSON writes it too.
            options = {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
            if self.path is not None:
                opener = gzip.open if self.path.lower().endswith(".gz") else open
                self.file = opener(self.path, "wt", **options)
            elif sys.stdout.isatty():
                self.file = sys.stdout
            else:
                self.file = open(sys.stdout.fileno(), "w", closefd=False, **options)
        except OSError as error:
            raise UserError(f"--output {self.path}: {error.strerror}") from None
        self.before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def _interrupt(self, number, frame):
        if not self.writing:
            raise KeyboardInterrupt
        self.interrupted = True

    def write_all(self, pieces: Iterable[str]) -> None:
        for piece in pieces:
            self._whole(self.file.write, piece)

    def flush(self) -> None:
        self._whole(self.file.flush)

    def _whole(self, write, *piece) -> None:
        self.writing = True
        write(*piece)
        self.writing = False
        if self.interrupted:
            raise KeyboardInterrupt

    def __exit__(self, kind, error, traceback):
        self.writing = True  # whatever comes now: what is written is written whole
        if kind is not BrokenPipeError:
            self.file.flush()
        signal.signal(signal.SIGINT, self.before)
        if self.path is not None:
            self.file.close()


class Progress:
    """Texts, rate and time left on stderr, once it takes long."""

    def __init__(self, args: argparse.Namespace):
        self.started = self.shown = time.monotonic()
        self.texts = self.words = 0
        self.terminal = sys.stderr.isatty()
        plain = [path for path in args.files if path != "-" and not path.endswith(".gz")]
        # Compressed or piped, nobody knows how much there is.
        self.total = sum(map(os.path.getsize, plain)) if plain == args.files else 0
        # Results that scroll by on the same screen are progress enough.
        quiet = self.terminal and args.output is None and sys.stdout.isatty()
        self.quiet = quiet or process_index() > 0

    def add(self, texts: int, words: int, sources) -> None:
        self.texts += texts
        self.words += words
        now = time.monotonic()
        every = PROGRESS_EVERY_S if self.terminal else LOG_EVERY_S
        if self.quiet or now - self.started < PROGRESS_AFTER_S or now - self.shown < every:
            return
        self.shown, passed = now, now - self.started
        line = f"{self.texts:,} texts, {self.words / passed:,.0f} words/s"
        share = sum(source.bytes_read for source in sources) / max(self.total, 1)
        if 0 < share <= 1:
            line += f", {share:.0%}, {_clock(passed / share - passed)} left"
        print(f"\r{line}\x1b[K" if self.terminal else line, end="" if self.terminal else "\n",
              file=sys.stderr, flush=True)  # fmt: skip

    def close(self) -> None:
        if self.terminal and self.shown > self.started:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


# --- Scores -----------------------------------------------------------------------------------


def score(args: argparse.Namespace, tagger: Tagger, problems: inputs.Broken) -> None:
    """Compare with the labels of the input, as training's evaluation does."""
    wanted = inputs.Wanted(tagger.task or "ner", args.text_column_name, args.label_column_name)
    counts = Counter()
    progress = Progress(args)
    # A corpus is IOB2 once it is read, and so are the labels of a model that was trained on it.
    convert = tagger.entity_tags and any(label[0] not in "OBI" for label in tagger.label_names)
    labelled = gold_sentences(args.files, args.input_format, wanted, problems)
    for number, chunk in enumerate(inputs.chunks(labelled, lambda: False)):
        if number % process_count() != process_index():
            continue
        check_kind(tagger, chunk)
        answers = tagger.tag_words([[word for word, _, _ in item.words] for item in chunk])
        references = [iob2(item.tags) if tagger.entity_tags else item.tags for item in chunk]
        predictions = [iob2(tags) if convert else tags for tags, _ in answers]
        counts += count_tags(references, predictions, tagger.entity_tags)
        progress.add(len(chunk), sum(len(tags) for tags in references), ())
    progress.close()
    if process_count() > 1:
        counts = sum(gathered(counts), Counter())
    if process_index() == 0:
        scores = scores_of_counts(counts, tagger.entity_tags)
        unknown = set(scores["per_type"]) - {
            label.partition("-")[2] if tagger.entity_tags else label for label in tagger.label_names
        }
        if unknown:
            print(f"The model knows no {', '.join(sorted(unknown))}.", file=sys.stderr)
        print(f"{scores['words']} words scored")
        print(score_table(scores))


def check_kind(tagger: Tagger, chunk: list[inputs.Item]) -> None:
    """Entity tags are compared with entity tags, parts of speech with their like."""
    gold = sorted({tag for item in chunk for tag in item.tags})
    if common.are_entity_tags(gold) != tagger.entity_tags and gold != ["O"]:
        raise UserError(
            "the labels are of another task than the model:\n"
            f"  in the input: {', '.join(gold[:8])}\n"
            f"  the model's:  {', '.join(tagger.label_names[:8])}"
        )


def gold_sentences(files, input_format, wanted, problems) -> Iterator[inputs.Item]:
    """Words and gold tags of labelled files, in any format that training reads."""
    from corpus.formats import detect
    from corpus.formats.sentence import LayoutKind

    for path in files:
        opened = detect.read(path, wanted, problems)
        if not opened.labelled:
            raise UserError(f"{path}: no labels to score against ({opened.layout or 'unreadable'})")
        asked = wanted.labels is not None or input_format == "conll"
        if opened.layout_kind is LayoutKind.COLUMNS and not asked and inputs.is_prose(path):
            raise UserError(
                f"{path}: no labels to score against: its lines are no columns, but plain text. "
                "Expected a word and its tag a line and a blank line after each sentence, or "
                "records with tokens and tags (columns they are all the same: --input_format conll)"
            )
        for sentence in opened.sentences:
            tags = [_tag_name(tag, opened.label_names, path, sentence) for tag in sentence.tags]
            yield inputs.item_of_words(list(sentence.words), tags)


def _tag_name(tag, label_names, path, sentence) -> str:
    if isinstance(tag, str):
        return tag.strip()
    if label_names and 0 <= tag < len(label_names):
        return label_names[tag]
    raise UserError(f"{path}:{sentence.lines[0]}: the label {tag} has no name to score against")


# --- Several processes --------------------------------------------------------------------------


def process_index() -> int:
    return int(os.environ.get("RANK", 0))


def process_count() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def own_gpu() -> str | None:
    """The GPU of this process, of several that a launcher started."""
    if process_count() == 1:
        return None
    import torch

    on_gpu = torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU") != "true"
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if on_gpu else "cpu"


def gathered(value) -> list:
    """The values of all processes, on each; it waits for all of them."""
    import datetime

    from torch import distributed

    if not distributed.is_initialized():
        distributed.init_process_group("gloo", timeout=datetime.timedelta(days=7))
    values = [None] * process_count()
    distributed.all_gather_object(values, value)
    return values


def leave_group() -> None:
    """End the group of processes while Python still runs, whose lock its threads may want."""
    if process_count() > 1 and "torch.distributed" in sys.modules:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def share(args, tagger, chunks, progress, sources) -> None:
    """Chunks in turn to the processes; the main one then writes all results in order."""
    path = Path(args.output)
    parts = [path.with_name(f".{path.name}.part-{n}") for n in range(process_count())]
    own_part = parts[process_index()]
    failure = None
    try:
        with open(own_part, "wb") as file:
            own = (c for n, c in enumerate(chunks) if n % process_count() == process_index())
            try:
                for chunk in own:
                    results = list(tagged(args, tagger, [chunk], progress, sources))
                    pickle.dump(results, file, pickle.HIGHEST_PROTOCOL)
            except UserError as error:  # all processes meet it, each after what is before it
                failure = error
        gathered(None)
        if process_index() == 0:
            progress.close()
            with Output(args.output) as output:
                output.write_all(pieces(args, tagger, merged(parts)))
        gathered(None)
    finally:
        own_part.unlink(missing_ok=True)
    if failure is not None:
        raise failure


def merged(parts: list[Path]) -> Iterator[formats.Result]:
    """Results in the order of the input: the first chunk of each part, the second of each, ..."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(part, "rb")) for part in parts]
        for file in itertools.cycle(files):
            try:
                results = pickle.load(file)
            except EOFError:
                return  # chunks are dealt in turn: where the first part ends, all do
            yield from results


def script() -> None:
    """`main`; Ctrl-C ends with status 130, a reader that has gone away without a word."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # What is still buffered goes nowhere, and Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    finally:
        leave_group()


if __name__ == "__main__":
    prepare_process()
    run(script)
