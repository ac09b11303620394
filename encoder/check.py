"""`--check`: the report on a corpus, with the model's tokenizer if it can be loaded."""

from __future__ import annotations

import sys
from typing import NoReturn

from encoder.tokenizer import load_run_tokenizer
from settings.run_settings import CorpusSettings, ModelSettings
from support.errors import UserError
from support.processes import is_main_process


def check_and_exit(
    corpus: CorpusSettings, model: ModelSettings, max_seq_length: int | None
) -> NoReturn:
    """Print the report on the corpus and exit: status 0 if training would start, otherwise 2."""
    from corpus.check import check_corpus  # imports datasets, which `--help` need not wait for

    try:
        tokenizer = load_run_tokenizer(model)
    except UserError:  # not reachable: the report leaves sub-words out
        tokenizer = None
    report, would_start = check_corpus(corpus, tokenizer, max_seq_length)
    if is_main_process():
        print(report)
    sys.exit(0 if would_start else 2)
