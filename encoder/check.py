"""`--check`: the report on a corpus, with the model's tokenizer if it can be loaded."""

from __future__ import annotations

from pathlib import Path

from encoder.architecture import load_base_config
from encoder.tokenizer import load_run_tokenizer, window_length
from settings.run_settings import Settings
from support.errors import UserError
from support.processes import is_main_process
from support.text import on_terminal


def check_only(settings: Settings) -> None:
    """Print the report on the corpus; raise UserError if training would not start.

    The sentences on replaced defaults come first. The main process writes every problem to
    `settings.problem_file`. Also raises UserError if the model does not allow windows of the
    requested length, or if the file cannot be written.
    """
    from corpus.check import check_corpus  # imports datasets, which is slow

    problem_file = settings.problem_file
    file = Path(problem_file) if problem_file and is_main_process() else None
    try:
        tokenizer, config = load_run_tokenizer(settings.model), load_base_config(settings.model)
    except UserError:  # not reachable: the report leaves sub-words out
        report, would_start = check_corpus(settings.corpus, problem_file=file)
    else:
        length = window_length(tokenizer, config, settings.windows.max_seq_length)
        report, would_start = check_corpus(settings.corpus, tokenizer, length, file)
    if is_main_process():
        print(*map(on_terminal, (*settings.replaced, report)), sep="\n")
    if not would_start:
        error = UserError("--check: training would not start: see the report.")
        error.is_shown = True  # in the report
        raise error
