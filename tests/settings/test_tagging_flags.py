"""Tests of settings/tagging_flags.py: the flags of infer.py."""

import re
from dataclasses import fields
from typing import get_args

import infer
from settings.argument_parser import make_parser
from settings.parse import parse_flags
from settings.tagging_flags import OutputFormat, TaggingFlags
from tagging.input_files import TEXT_EXTENSIONS
from tagging.writers import FORMATS_BY_EXTENSION


def parse(*argv: str) -> TaggingFlags:
    return parse_flags(TaggingFlags, infer.__doc__, list(argv))


def test_the_help_lists_the_extensions_that_a_folder_is_read_by():
    (field,) = (field for field in fields(TaggingFlags) if field.name == "input")
    listed = re.findall(r"(?<= )\.\w+", field.metadata["help"])
    assert sorted(listed) == sorted([*filter(None, TEXT_EXTENSIONS), ".gz"])


def test_each_output_format_has_an_extension():
    for_import = {"doccano", "label_studio"}  # JSON, like others
    assert {*FORMATS_BY_EXTENSION.values()} | for_import == {*get_args(OutputFormat)}


def test_a_text_may_follow_a_flag_without_a_value():
    for name in ("all_words", "skip_errors", "score", "csv_safe"):
        flags = parse(f"--{name}", "Peter said", "EU")
        assert flags.texts == ["Peter said", "EU"]
        assert getattr(flags, name) is True


def test_all_spellings_of_a_flag():
    for model, text, output in (
        ("--model", "--input", "--output"),
        ("--model_name_or_path", "-i", "-o"),
        ("-m", "--input", "--output"),
    ):
        flags = parse(model, "m", text, "a", "b", output, "c")
        assert (flags.model, flags.input, flags.output) == ("m", ["a", "b"], "c")


def test_defaults():
    flags = parse()
    assert flags == TaggingFlags()
    assert (flags.input_format, flags.by, flags.dtype) == ("auto", "line", "fp32")
    assert (flags.revision, flags.min_score, flags.texts) == ("main", 0.0, [])
    unset = {name for name, value in vars(flags).items() if value is None}
    assert unset == {
        "input",
        "text_column_name",
        "label_column_name",
        "output",
        "output_format",
        "model",
        "device",
        "batch_tokens",
        "decode",
    }


def test_help_states_each_default_once_and_each_flag():
    text = make_parser(TaggingFlags, infer.__doc__).format_help()
    assert "(default" not in text and "None" not in text
    for field in fields(TaggingFlags):
        assert field.metadata["help"].lower().count("default") <= 2, field.name
        assert field.name == "texts" or f"--{field.name}" in text
