"""Tag texts with a trained model: named entities, parts of speech, chunks.

    python infer.py "My name is Sylvain and I work at Hugging Face in Brooklyn."
    python infer.py --model bert-finetuned-ner --input notes.txt more/*.jsonl --output tagged.jsonl
    tail -f app.log | python infer.py | jq .entities
    python infer.py --input reports/ --by document --output reports.html
    python infer.py --input test.conll --score
    accelerate launch infer.py --input big.jsonl --output tagged.jsonl      # on all GPUs

As a library: `from infer import Tagger; Tagger("bert-finetuned-ner")(["My name is Sylvain."])`.
"""

from support.start import begin_script

if __name__ == "__main__":
    begin_script()  # before the imports below, which take seconds

import codecs
import itertools
import os
import shlex
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from corpus.formats.sentence import ReadOptions
from encoder.cpu.process import prepare_process
from settings.parse import parse_flags
from settings.tagging_flags import OutputFormat, TaggingFlags
from support.errors import UserError, run_script
from support.processes import is_main_process, world_size
from support.start import imports_are_done
from support.text import counted, on_terminal
from tagging.chunks import Chunk, TaggedItem, in_chunks, tag_chunk
from tagging.doc_bin import spacy_is_installed
from tagging.entities import TaggedText
from tagging.entity_tables import written_columns
from tagging.input_files import (
    STANDARD_INPUT,
    extension_of,
    find_files,
    shortened,
)
from tagging.input_form import Form, form_of_file
from tagging.input_lines import BrokenLines, Source
from tagging.inputs import read_items
from tagging.items import Item
from tagging.loading import default_model
from tagging.output_file import RESUMABLE, OutputFile, is_regular
from tagging.processes import device_of_process, leave_group, share
from tagging.progress import Progress
from tagging.tagger import Tagger
from tagging.writers import (
    BINARY,
    ENTITIES_ONLY,
    EVERY_TAG,
    FORMATS_BY_EXTENSION,
    WriterOptions,
    replaced_fields,
    to_pieces,
)

__all__ = ["Tagger"]


def main() -> None:
    """Tag the input, or score the model on it."""
    # --- Settings -----------------------------------------------------------------------------
    flags = parse_flags(TaggingFlags, __doc__)
    files = check(flags)
    output_format = format_of(flags)

    # --- Model --------------------------------------------------------------------------------
    model = announced_default_model() if flags.model is None else flags.model
    tagger = Tagger(
        model,
        revision=flags.revision,
        trust_remote_code=flags.trust_remote_code,
        dtype=flags.dtype,
        device=flags.device or device_of_process(),
        batch_tokens=flags.batch_tokens,
        decode=flags.decode,
    )
    imports_are_done()

    # --- Input --------------------------------------------------------------------------------
    options = ReadOptions(
        tagger.task or "ner",
        flags.text_column_name,
        flags.label_column_name,
        word_splitter=tagger.word_splitter,
    )
    problems = BrokenLines(skip=flags.skip_errors, verbose=is_main_process())
    progress = Progress(files, results_on_terminal=flags.output is None and sys.stdout.isatty())

    # --- Score --------------------------------------------------------------------------------
    if flags.score:
        print_scores(flags, files, tagger, options, problems, progress)

    # --- Tag: read, tag and write in constant memory, in the order of the input ---------------
    else:
        sources = [Source(path, is_one_of_several=len(files) > 1) for path in files]
        items = items_of(flags, output_format, sources, tagger, options, problems)
        resumable = output_format in RESUMABLE and not (flags.output or "").endswith(".gz")
        if flags.min_score and not tagger.entity_tags:
            raise UserError("--min_score: the model has no entities. Leave it out.")
        output = OutputFile(
            flags.output,
            whole=is_finite(files),
            job=job_of(flags, files) if resumable and world_size() == 1 else None,
            resume=flags.resume,
            binary=output_format in BINARY,
        )

        def is_waiting(seconds: float = 0) -> bool:
            return any(source.is_waiting(seconds) for source in sources)

        chunks = in_chunks(items, is_waiting, tagger, skip=output.done)

        writing = WriterOptions(
            os.path.basename(os.path.normpath(model)),
            tagger.label_names,
            scores=flags.all_words,
            with_source=len(files) > 1,
            finite=is_finite(files),
            title=title_of(files),
            csv_safe=flags.csv_safe,
            brat_text=text_of_brat(flags.output, files) if output_format == "brat" else None,
            done=output.done,
            columns=written_columns(output.partial, safe=flags.csv_safe)
            if output_format == "csv" and output.done and output.partial
            else (),
        )

        def tag(chunk: Chunk) -> list[TaggedItem]:
            tagged_items = tag_chunk(
                tagger, chunk, all_words=flags.all_words, min_score=flags.min_score
            )
            num_words = sum(len(item.tagged.words) for item in tagged_items)
            progress.add(len(chunk.items), num_words, sources)
            return tagged_items

        def tag_all() -> Iterator[TaggedItem]:
            for chunk in chunks:
                yield from tag(chunk)
                output.flush()  # so that the reader of a pipe gets each result immediately

        def write(tagged_items: Iterable[TaggedItem]) -> None:
            # The first text is read and tagged before the output is opened.
            tagged_items = iter(tagged_items)
            first = list(itertools.islice(tagged_items, 1))
            with output:
                tagged_items = itertools.chain(first, tagged_items)
                pieces = to_pieces(tagged_items, output_format, output.file, writing)
                if output.is_terminal and output_format != "pretty":  # which has colours of its own
                    pieces = map(on_terminal, pieces)
                output.write_all(pieces)

        if world_size() > 1 and flags.output is not None:
            share(chunks, tag, Path(flags.output), write)
        else:
            write(tag_all())
        progress.close(counts=flags.output is not None or sys.stderr.isatty())

    if problems.skipped and is_main_process():
        print(f"Skipped {counted(problems.skipped, 'line')}.", file=sys.stderr)
        if world_size() == 1 and not progress.texts:
            raise UserError("nothing was tagged: every line was skipped.")


# --- Settings ---------------------------------------------------------------------------------


def check(flags: TaggingFlags) -> list[str]:
    """Return the input files; report everything wrong with the flags in one error."""
    problems = []
    patterns = flags.input or []
    if flags.texts and flags.input:
        problems.append("texts and --input: got both, expected one of them")
    if not flags.texts and not flags.input:
        if sys.stdin is None or sys.stdin.isatty():
            problems.append(
                "nothing to tag: expected texts, --input FILE, or a pipe, for example:\n"
                '  python infer.py "My name is Sylvain and I work at Hugging Face in Brooklyn."'
            )
        else:
            patterns = [STANDARD_INPUT]
    if flags.batch_tokens is not None and flags.batch_tokens < 1:
        problems.append(f"--batch_tokens: got {flags.batch_tokens}, expected at least 1")
    if not 0 <= flags.min_score <= 1:
        problems.append(f"--min_score: got {flags.min_score}, expected 0 to 1")
    if flags.score and (not patterns or STANDARD_INPUT in patterns):
        problems.append("--score: expected --input with files that have labels")
    problems += _flags_without_effect(flags)
    if flags.score and flags.output:
        problems.append("--score and --output: got both, expected one of them")
    if world_size() > 1 and not (flags.output or flags.score):
        problems.append("several processes: got no --output, expected --output FILE")
    if world_size() > 1 and STANDARD_INPUT in patterns:
        problems.append(
            "several processes: got a pipe, expected files: each process reads all of them"
        )
    files: list[str] = []
    passed_over: list[str] = []
    try:
        files, passed_over = find_files(patterns)
    except UserError as error:
        problems.append(str(error))
    if sys.__stdout__ is None and not flags.output:  # `run_script` replaces sys.stdout then
        problems.append("standard output is closed: expected --output FILE, or an open one")
    elif not flags.score:
        output = f"--output {flags.output}" if flags.output else "standard output"
        for path in files:
            if _is_output(path, flags.output):
                name = "standard input" if path == STANDARD_INPUT else path
                problems.append(f"{output}: got the input {name}, expected another file")
    if not flags.score:
        problems += _format_problems(flags, files)
    if flags.resume:
        problems += _resume_problems(flags, files)
    if not problems and not flags.score:
        problems += flags_without_input(flags, map(known_form, files, itertools.repeat(flags)))
    parent = Path(flags.output or "").absolute().parent
    if flags.output and (os.path.isdir(flags.output) or not parent.is_dir()):
        problems.append(f"--output {flags.output}: expected a file in an existing folder")
    if problems:
        raise UserError("\n".join(problems))
    for text in filter(os.path.isfile, flags.texts if is_main_process() else ()):
        name = shlex.quote(text)
        note = f"{name} is tagged as a text. To tag the file of this name: --input {name}"
        print(on_terminal(note), file=sys.stderr)
    if passed_over and is_main_process():
        print(
            on_terminal(
                f"Not read because of their extensions: {shortened(passed_over)}. To read one of "
                "them, name the file itself."
            ),
            file=sys.stderr,
        )
    return files


def _is_output(path: str, output: str | None) -> bool:
    """Return whether an input is the regular file that the results go to.

    The shell may have opened either of them.
    """
    try:
        status = os.fstat(sys.stdin.fileno()) if path == STANDARD_INPUT else os.stat(path)
        target = os.fstat(sys.stdout.fileno()) if output is None else os.stat(output)
    except (OSError, ValueError):  # there is no such file yet, or the stream has no descriptor
        return False
    return stat.S_ISREG(status.st_mode) and os.path.samestat(status, target)


def _flags_without_effect(flags: TaggingFlags) -> Iterator[str]:
    """Yield the flags that the other flags leave without effect."""
    defaults = TaggingFlags()

    def given(*names: str) -> list[str]:
        return [name for name in names if getattr(flags, name) != getattr(defaults, name)]

    if flags.texts:
        of_files = given("input_format", "by", "text_column_name", "skip_errors")
        yield from (f"--{name}: got texts as arguments, expected --input" for name in of_files)
    if flags.score:
        of_results = given("output_format", "all_words", "min_score", "by")
        yield from (f"--{name} has no effect with --score. Leave it out." for name in of_results)
    elif flags.label_column_name is not None:
        yield "--label_column_name has no effect without --score. Leave it out."


def known_form(path: str, flags: TaggingFlags) -> Form | None:
    """Return the form of an input file; None for a pipe, which shows it only when it is read."""
    if flags.input_format != "auto" and flags.input_format != "json":
        return flags.input_format
    if not os.path.isfile(path):
        return None
    try:
        return form_of_file(path, flags.text_column_name)
    except (OSError, EOFError, zlib.error):
        return None  # reported when it is read


def flags_without_input(flags: TaggingFlags, forms: Iterable[Form | None]) -> Iterator[str]:
    """Yield the flags that have no effect on any input, of inputs of known forms."""
    known = set(forms)
    if not known or None in known:
        return
    if flags.by == "document" and "text" not in known:
        yield "--by document: no input is plain text. Each record or sentence is one text."
    if flags.text_column_name is not None and known == {"text"}:
        yield (
            f"--text_column_name {flags.text_column_name}: every input is plain text, which has no "
            "columns. To read it in another form: --input_format"
        )


def _resume_problems(flags: TaggingFlags, files: list[str]) -> Iterator[str]:
    """Yield the reasons why a job cannot be resumed."""
    output = flags.output or ""
    if not output or flags.score:
        yield "--resume: expected --output FILE"
    elif not is_regular(output) or not is_finite(files):
        yield "--resume: got a stream, expected files for --input and --output"
    elif output.endswith(".gz") or (
        (flags.output_format or FORMATS_BY_EXTENSION.get(extension_of(output), "jsonl"))
        not in RESUMABLE
    ):
        yield f"--resume: got {output}, expected JSON Lines, CSV, CoNLL or CoNLL-U without .gz"
    if world_size() > 1:
        yield "--resume: got several processes, expected one"


def is_finite(files: Iterable[str]) -> bool:
    """Return whether all inputs are regular files, which end."""
    return all(
        stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
        if path == STANDARD_INPUT
        else os.path.isfile(path)
        for path in files
    )


def job_of(flags: TaggingFlags, files: Iterable[str]) -> dict[str, Any]:
    """Return what is tagged and how; a job is resumed only if this is equal."""
    names = ["texts", "model", "revision", "input_format", "by", "text_column_name", "skip_errors"]
    names += ["output_format", "all_words", "min_score", "dtype", "decode", "csv_safe"]
    status = {path: os.stat(path) for path in files if path != STANDARD_INPUT}
    return {name: getattr(flags, name) for name in names} | {
        "files": [[path, file.st_size, file.st_mtime_ns] for path, file in status.items()]
    }


def format_of(flags: TaggingFlags) -> OutputFormat:
    """Return the format that was chosen, or that the extension of the output selects.

    JSON Lines by default. Raises UserError for an unknown extension.
    """
    if flags.output_format is not None:
        return flags.output_format
    if flags.output is None:
        return "pretty" if sys.stdout.isatty() else "jsonl"
    extension = extension_of(flags.output)
    if extension and extension not in FORMATS_BY_EXTENSION:
        raise UserError(
            f"--output {flags.output}: unknown extension: got {extension}, expected one of "
            f"{', '.join(FORMATS_BY_EXTENSION)}. To choose a format: --output_format"
        )
    return FORMATS_BY_EXTENSION.get(extension, "jsonl")


def _format_problems(flags: TaggingFlags, files: list[str]) -> Iterator[str]:
    """Yield what the format of the output cannot do."""
    try:
        output_format = format_of(flags)
    except UserError as error:
        yield str(error)
        return
    chosen = f"--output_format {output_format}"
    if flags.csv_safe and output_format != "csv":
        yield f"--csv_safe: got {chosen}, expected csv"
    if flags.all_words and output_format in ENTITIES_ONLY:
        yield f"--all_words: has no effect on {chosen}. Leave it out."
    if flags.min_score and output_format in EVERY_TAG:
        yield f"--min_score: has no effect on {chosen}, which has every tag. Leave it out."
    if output_format in BINARY and flags.output is None and sys.stdout.isatty():
        yield f"{chosen}: got a terminal, expected --output FILE or a pipe"
    if output_format == "spacy" and not spacy_is_installed():
        yield f"{chosen}: spaCy is not installed. To install it: pip install spacy"
    if output_format == "brat":
        try:
            text_of_brat(flags.output, files)
        except UserError as error:
            yield str(error)


def text_of_brat(output: str | None, files: list[str]) -> Path | None:
    """Return the file for the text of a brat document, which lies beside its annotations.

    None if it is the only input, and plain text whose offsets are those of the file. Raises
    UserError if there is another file of that name.
    """
    if output is None or not output.endswith(".ann"):
        raise UserError(
            f"--output_format brat: got {output or 'standard output'}, expected --output FILE.ann, "
            "beside which FILE.txt holds the text"
        )
    path = Path(output).with_suffix(".txt")
    if not path.exists():
        return path
    if len(files) == 1 and os.path.isfile(files[0]) and path.samefile(files[0]):
        with open(path, "rb") as file:
            exact = not any(b"\r" in line or line.startswith(codecs.BOM_UTF8) for line in file)
        if exact and form_of_file(str(path)) == "text":
            return None
    raise UserError(
        f"--output {output}: its text goes to {path}, which exists. Name another output."
    )


def announced_default_model() -> str:
    """Return the default model, and print its name and why it was chosen."""
    model, reason = default_model(Path())
    if is_main_process():
        print(on_terminal(f"Model: {model} ({reason})"), file=sys.stderr)
    return model


# --- Input and output -------------------------------------------------------------------------


def items_of(
    flags: TaggingFlags,
    output_format: OutputFormat,
    sources: list[Source],
    tagger: Tagger,
    options: ReadOptions,
    problems: BrokenLines,
) -> Iterator[Item]:
    """Yield the texts of the command line, or of all files in turn."""
    yield from map(Item, flags.texts)
    result = tagger.result(TaggedText("", [], [], [], []), flags.all_words)
    output_fields = replaced_fields(output_format, result, len(sources) > 1)
    for source in sources:
        name = source.name if len(sources) > 1 else None
        read = read_items(source, flags.input_format, flags.by, options, problems)
        forms = (opened.form for opened in sources)
        if ineffective := list(flags_without_input(flags, forms)):  # once all forms are known
            raise UserError("\n".join(ineffective))
        for item in read:
            for field in sorted(output_fields & (item.fields or {}).keys()):
                output_fields.remove(field)  # reported once
                if is_main_process():
                    message = f"The field {field!r} of the input is replaced in the output."
                    print(on_terminal(message), file=sys.stderr)
            yield item._replace(source=name)


def title_of(files: list[str]) -> str:
    """Return the title of the HTML page: the names of the first files."""
    names = [Path(path).name for path in files if path != STANDARD_INPUT]
    return ", ".join(names[:3]) + (", ..." if names[3:] else "")


def print_scores(
    flags: TaggingFlags,
    files: list[str],
    tagger: Tagger,
    options: ReadOptions,
    problems: BrokenLines,
    progress: Progress,
) -> None:
    """Print the scores of the model on labelled files."""
    # Imported here, so that tagging starts without loading the corpus readers.
    from scoring.evidence import ENTITIES, NOUNS
    from scoring.table import evidence_lines, score_table
    from tagging.score import labelled_items, score, unknown_types

    is_labelled = flags.label_column_name is not None or flags.input_format == "conll"
    items = labelled_items(files, options, problems, may_be_prose=not is_labelled)
    scores = score(tagger, items, progress)
    if is_main_process():
        if unknown := unknown_types(tagger, scores):
            message = f"The model has no label for {', '.join(unknown)}."
            print(on_terminal(message), file=sys.stderr)
        print(f"{scores['words']} words scored")
        lines = evidence_lines(scores, NOUNS.get(tagger.task or "", ENTITIES))
        print(score_table(scores), *lines, sep="\n")


def script() -> None:
    """Run `main`; Ctrl-C exits with status 130, a closed pipe with status 0, both silently."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Discard buffered output, which Python would fail to write at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    finally:
        leave_group()


if __name__ == "__main__":
    prepare_process()
    run_script(script)
