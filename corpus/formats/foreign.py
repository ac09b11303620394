"""Formats that are recognised but not read, each with what to export or convert instead."""

import re
import zipfile
from collections.abc import Collection
from dataclasses import fields
from typing import Any

from corpus.formats.spans import SPANS_EXAMPLE
from corpus.formats.text import FilePath, regular_file
from settings.flag_table import OF_TRAINER, SETTLED
from settings.flags import LoopFlags
from support.text import quote

JSON_LINES = f"JSON Lines such as {SPANS_EXAMPLE}"
LFS_POINTER = re.compile(r"version https://git-lfs\.")
HTML = re.compile(r"\s*+<(?:!DOCTYPE html|html\b)", re.IGNORECASE)
XML = re.compile(
    r"\s*+<(?:\?xml\s|!DOCTYPE\s|DOC\b|[a-z]\w*+\s++(?:xmlns|version)\b)", re.IGNORECASE
)
WEBANNO_2 = re.compile(r"\s*+#\s*(?:webanno\.|FORMAT=WebAnno TSV [12]\b)|#id=\d+\n#text=.*\n1-1\t")
# Entity tags, or parts of speech as in the Brown and Penn corpora: NN, PRP$, np-tl, .
TAGGED_WORD = re.compile(
    r"\S*?\S(###|[/_|,])"
    r"(?:O|[BIESLUM]-[^\W\d_][^\s/|#]*+|[A-Za-z]{1,5}+\$?(?:[-+*][A-Za-z$]++)*+|[.,:;()'`\"#$-]{1,3}+)"
)
# A word and a tag of which only the separator is unusual.
COLUMNS = re.compile(r"\S+([,;|])(?:O|[BIESLUM]-[^\W\d_][^\s,;|]*+)")
INLINE = re.compile(  # XML, OpenNLP, Rasa, and the brackets of CogComp
    r"<([^\W\d_]\w*)(?: [^<>]*)?>[^<>]+</\1>|<START(?::[^<>\s]+)?> [^<>]+ <END>|"
    r"\[[^\[\]]+\](?:\([a-zA-Z_]+\)|\{ *\"entity\")|\[[A-Z][A-Z_]+ [^\[\]]+\]"
)
PYTHON = re.compile(r"\s*+\[?\s*+\(?\s*+(['\"]).*\1\s*,\s*\{\s*['\"]entities['\"]\s*:")
# A key of a YAML file.
FLAG = re.compile(r"([a-zA-Z]\w*+(?:-\w++)*+)\s*+:(?:\s|$)")
LINES = 20  # the lines of a text that are examined
CORPUS = (
    "a corpus. To train with these flags, give the file as the first argument: "
    "python train_trainer.py FILE"
)

# Keys of JSON objects -> their format, and what to export instead.
FOREIGN_OBJECTS: dict[str, tuple[str, str]] = {
    "annotatable": (
        "tagtog's ann.json, whose text is in another file",
        f"texts with their spans: {JSON_LINES}",
    ),
    "%FEATURE_STRUCTURES": ("UIMA CAS JSON, of INCEpTION", "its export as WebAnno TSV 3"),
    "referenced_fss": ("UIMA CAS JSON, of WebAnno", "its export as WebAnno TSV 3"),
    "projectFileVersion": (
        "a project of Azure, whose texts are in other files",
        f"texts with their spans: {JSON_LINES}",
    ),
    "rasa_nlu_data": ("training data of Rasa", JSON_LINES),
    "PubTator3": ("BioC JSON", f"its export in the format PubTator; from other tools {JSON_LINES}"),
    "data_row": ("an export of Labelbox", JSON_LINES),
    "Labeled Data": ("an export of Labelbox", JSON_LINES),
    "text_snippet": ("a data set of AutoML", JSON_LINES),
    "messages": ("a dialogue with a language model", JSON_LINES),
}


def foreign_object(record: dict[str, Any]) -> tuple[str, str] | None:
    """Return the description of a JSON object of another format, and what is expected."""
    known = next((known for key, known in FOREIGN_OBJECTS.items() if key in record), None)
    if "source" in record and any(key.endswith("-metadata") for key in record):
        return "a manifest of SageMaker Ground Truth", JSON_LINES
    if known is None and _are_flags(record):
        return f"a file of flags, such as {quote(next(iter(record)))}", CORPUS
    values = list(record.values())
    numbered = all(isinstance(value, dict) and "0" in value for value in values)
    parallel = all(
        isinstance(value, list) and isinstance(next(iter(value), None), list) for value in values
    )
    parallel = parallel and len(values) > 1 and len(set(map(len, values))) == 1
    if known is None and values and (numbered or parallel):
        example = "DataFrame.to_json(FILE, orient='records', lines=True)"
        return "columns in place of records", f"one object for each record, as from {example}"
    return known


def foreign_text(text: str) -> tuple[str, str] | None:
    """Return the description of a text in another format, and what is expected.

    `text`: the beginning of a file.
    """
    if LFS_POINTER.match(text):
        return "a pointer of Git LFS in place of the file", "the file: git lfs pull"
    if HTML.match(text):
        return (
            f"an HTML page, perhaps in place of a download: {quote(text.strip()[:60])}",
            "the file itself, in a format that is read",
        )
    if XML.match(text) and "\t" not in text.lstrip().partition("\n")[0]:
        return (
            f"XML, as in UIMA, GATE, BioC and TEI: {quote(text.strip()[:60])}",
            f"WebAnno TSV 3 from INCEpTION and WebAnno; from other tools {JSON_LINES}",
        )
    lines = [line for line in text.split("\n", LINES)[:LINES] if line.strip()]
    top_level = [line for line in lines if line[0] not in "#- \t"]
    pairs = [FLAG.match(line) for line in top_level]
    if _are_flags([pair[1] for pair in pairs if pair]) and all(pairs):
        return f"a file of flags: {quote(top_level[0].strip())}", CORPUS
    if python := next(filter(PYTHON.match, lines), None):
        return (
            f"Python code with the training data of spaCy 2: {quote(python.strip())}",
            f"{JSON_LINES}. To convert in Python: json.dump(TRAIN_DATA, open('train.json', 'w'))",
        )
    if WEBANNO_2.match(text):
        return "WebAnno TSV 2 or older", "WebAnno TSV 3: choose it in the export"
    columns = [COLUMNS.fullmatch(line.rstrip("\r")) for line in lines]
    if lines and len({None if row is None else row[1] for row in columns}) == 1 and columns[0]:
        separator = columns[0][1]
        return (
            f"columns separated by {separator!r}: {quote(lines[0])}",
            f"tabs between the columns. To convert: tr '{separator}' '\\t' < FILE > NEWFILE",
        )
    if separator := _separator_of_tags(lines):
        pattern = "[|]" if separator == "|" else separator
        return (
            f"sentences of words joined to their tags by {separator}: {quote(lines[0])}",
            "one word and its tag on each line, and a blank line after each sentence. To convert: "
            f"sed -E 's:{pattern}([^ {separator[0]}]*)( |$):\\t\\1\\n:g' FILE > NEWFILE",
        )
    inline = [line for line in lines if INLINE.search(line) and "\t" not in line]
    if inline and 2 * len(inline) >= len(lines):
        return f"texts with inline markup of entities: {quote(inline[0])}", JSON_LINES
    return None


def _are_flags(names: Collection[str]) -> bool:
    """Return whether more than half of the names are flags of the training scripts."""
    flags = {field.name for field in fields(LoopFlags)} | OF_TRAINER.keys() | SETTLED.keys()
    known = {name.replace("-", "_") for name in names} & flags
    return 2 * len(known) > len(names)


def _separator_of_tags(lines: list[str]) -> str | None:
    """Return the separator of words and tags, if each line is a sentence of such pairs."""
    pairs = [[TAGGED_WORD.fullmatch(pair) for pair in line.split()] for line in lines]
    separators = {None if pair is None else pair[1] for line in pairs for pair in line}
    if len(separators) != 1 or not any(len(line) > 1 for line in pairs):
        return None
    return separators.pop()


def foreign_archive(path: FilePath) -> str | None:
    """Return what to do with a zip archive; None if the file is not one."""
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return None
    curated = [name for name in names if name.startswith("curation/") and name.endswith(".tsv")]
    annotated = [name for name in names if name.startswith("annotation/")]
    if curated:
        return "its files: unzip it, and name the curated ones: --train_file 'curation/*/*.tsv'"
    if annotated:
        return (
            "its files: unzip it, and name those of one annotator: --train_file "
            "'annotation/*/NAME.tsv'. To merge several annotators, curate the documents first"
        )
    if any(name.endswith(".ann") for name in names):
        return "its files: unzip it, and name the texts: --train_file 'FOLDER/*.txt'"
    shown = ", ".join(map(quote, names[:3]))
    return f"one of its files: unzip it, and name the file with --train_file. It contains {shown}"
