"""The flags of `infer.py`.

Nothing heavy is imported here, so that `--help` responds immediately.
"""

from dataclasses import dataclass
from typing import Literal

from settings.flags import flag

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}  # flag -> torch's name
InputFormat = Literal["auto", "text", "jsonl", "json", "csv", "conll"]
OutputFormat = Literal[
    "pretty", "jsonl", "json", "conll", "conllu", "html", "csv", "parquet", "brat", "spacy",
    "doccano", "label_studio",
]  # fmt: skip


@dataclass
class TaggingFlags:
    """The flags of `infer.py` as given; None is a default that the script decides on."""

    # Input
    texts: list[str] = flag(
        [],
        "Texts to tag; each argument is one text.",
        group="input",
        positional=True,
        nargs="*",
        metavar="TEXT",
    )
    input: list[str] | None = flag(
        None,
        "Files, folders or globs to tag. - is standard input, the default if it is a pipe. A "
        "folder contributes its files without an extension and those with one of these: .arrow "
        ".bio .bio2 .col .conll .conllu .conllup .csv .iob .iob2 .json .jsonl .log .markdown .md "
        ".ndjson .parquet .text .tsv .txt; each may end in .gz. A file that is named itself is "
        "read whatever its extension.",
        "-i",
        group="input",
        metavar="FILE",
    )
    input_format: InputFormat = flag(
        "auto",
        "text: plain text. jsonl: JSON Lines with the field `text` (a string) or, in records "
        "without it, `tokens` (a list of strings); other fields are copied to the output. json: "
        "the same in an array or an object. csv: a table under a header, separated by commas, "
        "semicolons, tabs or bars. conll: CoNLL columns, with labels or without. auto: by the "
        "extension, or else by the first lines; what is not certainly JSON, a table or columns is "
        "plain text. Parquet and Arrow are recognised by their content.",
        group="input",
    )
    by: Literal["line", "document"] = flag(
        "line", "What counts as one text in a file of plain text.", group="input"
    )
    text_column_name: str | None = flag(
        None,
        "Column or field of the text or the words: a name, or the number of a column, from 0.",
        group="input",
        metavar="COLUMN",
    )
    label_column_name: str | None = flag(
        None, "Column of the labels, for --score.", group="input", metavar="COLUMN"
    )
    skip_errors: bool = flag(
        False,
        "Skip lines that cannot be read instead of stopping at the first.",
        group="input",
        switch=True,
    )

    # Output
    output: str | None = flag(
        None,
        "File to write, compressed if its name ends in .gz. Default: standard output.",
        "-o",
        group="output",
        metavar="FILE",
    )
    resume: bool = flag(
        False,
        "Continue an interrupted job: the same command again. Results of files are written beside "
        "--output, as .FILE.partial, and get its name when they are complete.",
        group="output",
        switch=True,
    )
    output_format: OutputFormat | None = flag(
        None,
        "Format of the results. The offsets `start` and `end` count code points of `text`. csv and "
        "parquet: a row for each entity, with the fields of its record. Default: by the extension "
        "of --output (.jsonl .json .csv .parquet .conll .bio .iob2 .tsv .conllu .html .txt; .ann: "
        "brat; .spacy: DocBin), jsonl without an extension; without --output, pretty on a "
        "terminal, otherwise jsonl. doccano and label_studio: for import into these tools.",
        group="output",
    )
    csv_safe: bool = flag(
        False,
        "Put ' before cells of CSV that begin with = + - @, so that no spreadsheet computes them. "
        "Numbers stay as they are.",
        group="output",
        switch=True,
    )
    all_words: bool = flag(
        False,
        "Write each word with its tag and the probability of the tag, not only the entities.",
        group="output",
        switch=True,
    )
    min_score: float = flag(
        0.0,
        "Leave out entities with a lower score. The score of an entity is its calibrated "
        "probability; for a model without a calibration, the mean probability of its tags. "
        "Default: 0, which keeps all.",
        group="output",
        metavar="SCORE",
    )
    score: bool = flag(
        False,
        "Compare the tags with the labels of the input, and print the table of scores that "
        "training prints.",
        group="output",
        switch=True,
    )

    # Model
    model: str | None = flag(
        None,
        "Folder of a model, or its name on the Hub. Default: the newest model that a training "
        "script saved in the current folder; without one, the course's model.",
        "--model_name_or_path",
        "-m",
        group="model",
    )
    revision: str = flag("main", "Branch, tag or commit of a model on the Hub.", group="model")
    trust_remote_code: bool = flag(
        False, "Run code that comes with the model.", group="model", switch=True
    )
    decode: Literal["viterbi", "argmax"] | None = flag(
        None,
        "Entity tags: the most probable legal sequence of each sentence (viterbi), or the most "
        "probable tag of each word (argmax). Default: as the model's configuration says, otherwise "
        "argmax.",
        group="model",
    )

    # Speed
    device: str | None = flag(
        None,
        "cpu, cuda, cuda:1, mps, ... Default: cuda if there is a GPU, otherwise cpu.",
        group="speed",
    )
    dtype: Literal["fp32", "bf16", "fp16"] = flag(
        "fp32",
        "Precision. Tags that half precision leaves in doubt are computed again in fp32.",
        group="speed",
    )
    batch_tokens: int | None = flag(
        None,
        "Sub-words in a batch, padding included. Default: 2048 on a CPU, otherwise 32768.",
        group="speed",
        metavar="N",
    )
