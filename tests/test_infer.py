"""Tests of infer.py through its command line: input, results, output, exit status."""

import contextlib
import gzip
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import common
import infer
from encoder.batches import encode_split
from encoder.collate import PadBatch
from encoder.tokenizer import load_tokenizer
from scoring.evidence import EvidenceCounter
from scoring.scores import compute_metrics
from scoring.table import evidence_lines, score_table
from scoring.word_predictions import WordPredictions
from support import errors, reachability
from tagging import fast_bert, score
from tests.helpers.messages import stable
from tests.helpers.models import ENTITY_LABELS, ROOT, save_tiny_tagger
from tests.helpers.script_runs import PRINT_PEAK
from tests.helpers.tagging import (
    KNOWN,
    SURE,
    TEXT,
    TEXT_ENTITIES,
    rounded,
    rows_of,
    write_file,
)

INFER = str(ROOT / "infer.py")


@pytest.fixture
def cli(tiny_tagger, look_up, monkeypatch, capfd, tmp_path):
    """Return a function that runs infer.py in this process: (exit status, output, messages)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv, model=tiny_tagger):
        flags = ["--model", str(model)] if model else []
        monkeypatch.setattr(sys, "argv", ["infer.py", *map(str, argv), *flags])
        status = 0
        try:
            errors.run_script(infer.script)
        except SystemExit as end:
            status = end.code
        return (status, *capfd.readouterr())

    return run


# --- Input ------------------------------------------------------------------------------------


def test_each_argument_gets_one_result(cli):
    status, output, _ = cli(TEXT, "", "Anna")
    assert status == 0
    rows = rows_of(output)
    assert [row["text"] for row in rows] == [TEXT, "", "Anna"]
    assert rows[0]["entities"] == rounded(TEXT_ENTITIES)
    assert rows[1]["entities"] == []


def test_lines_of_text_with_empty_ones_and_any_line_end(cli, tmp_path):
    path = write_file(tmp_path, "a.txt", "\ufeff Peter\t \r\n\nAnna\x0b\x85 \u2028said\n\r\nEU")
    rows = rows_of(cli("--input", path)[1])
    assert [row["text"] for row in rows] == [" Peter\t ", "", "Anna\x0b\x85 \u2028said", "", "EU"]
    assert [len(row["entities"]) for row in rows] == [1, 0, 1, 0, 1]


def test_a_document_is_one_text_with_its_line_ends(cli, tmp_path):
    content = "Peter Blackburn\r\nwent\r\n\r\nto Paris\t.\r\n"
    path = write_file(tmp_path, "a.txt", content)
    (row,) = rows_of(cli("--input", path, "--by", "document")[1])
    assert row["text"] == content
    assert [content[e["start"] : e["end"]] for e in row["entities"]] == ["Peter Blackburn", "Paris"]


def test_json_lines_keep_their_other_fields(cli, tmp_path):
    records = [
        {"id": 7, "text": TEXT, "meta": {"entities": [1], "é": None}},
        {"tokens": ["Peter", "Blackburn", "has spaces", "", "EU"], "id": 8},
        {"text": "(Peter)EU", "tokens": ["(", "Peter", ")", "EU"]},
    ]
    lines = "\n".join(json.dumps(record) for record in records[:2])
    path = write_file(tmp_path, "a.jsonl", f"{lines}\n\n{json.dumps(records[2])}")
    first, second, third = rows_of(cli("--input", path)[1])
    assert first == records[0] | {"entities": rounded(TEXT_ENTITIES)}
    assert second["tokens"] == records[1]["tokens"] and second["id"] == 8
    assert second["text"] == "Peter Blackburn has spaces  EU"
    entities = [(e["word"], second["text"][e["start"] : e["end"]]) for e in second["entities"]]
    assert entities == [("Peter Blackburn",) * 2, ("EU",) * 2]
    assert third["text"] == "(Peter)EU"
    assert [(e["start"], e["end"]) for e in third["entities"]] == [(1, 6), (7, 9)]


def test_columns_keep_their_words(cli, tmp_path):
    content = "-DOCSTART- O\n\nPeter-Blackburn O\nEU B-ORG\n\nAnna O\n"
    path = write_file(tmp_path, "a.conll", content)
    status, output, _ = cli("--input", path, "--output_format", "conll")
    assert status == 0
    assert output == "Peter-Blackburn\tB-PER\nEU\tB-ORG\n\nAnna\tB-PER\n\n"
    path = write_file(tmp_path, "words.txt", "EU\nrejects\n\nAnna\n")
    output = cli("--input", path, "--input_format", "conll")[1]
    assert [row["text"] for row in rows_of(output)] == ["EU rejects", "Anna"]


def test_columns_through_a_pipe_and_in_a_text_file_keep_their_words(cli, tmp_path):
    path = write_file(tmp_path, "a.txt", "Peter-Blackburn O\nEU B-ORG\n\nAnna O\n")
    assert [row["text"] for row in rows_of(cli("--input", path)[1])] == [
        "Peter-Blackburn EU",
        "Anna",
    ]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(["sh", "-c", f"cat {path} > {pipe}"])
    assert [row["text"] for row in rows_of(cli("--input", pipe)[1])] == [
        "Peter-Blackburn EU",
        "Anna",
    ]
    assert process.wait(10) == 0
    output = cli("--input", path, "--input_format", "text")[1]
    assert [row["text"] for row in rows_of(output)][:2] == ["Peter-Blackburn O", "EU B-ORG"]


def test_files_globs_folders_and_compressed_files_in_order(cli, tmp_path):
    write_file(tmp_path, "in/b.txt", "Anna")
    write_file(tmp_path, "in/a.txt", "Peter\nEU")
    write_file(tmp_path, "in/.hidden", "no")
    write_file(tmp_path, "in/deep/c.jsonl.gz", gzip.compress(b'{"text": "Paris"}'))
    rows = rows_of(cli("--input", "in")[1])
    files = [("in/a.txt", "Peter"), ("in/a.txt", "EU"), ("in/b.txt", "Anna")]
    files += [("in/deep/c.jsonl.gz", "Paris")]
    assert [(row["file"], row["text"]) for row in rows] == files
    rows = rows_of(cli("--input", "in/*.txt", "in/deep/*")[1])
    assert [row["text"] for row in rows] == ["Peter", "EU", "Anna", "Paris"]


def test_text_takes_precedence_over_tokens_unless_the_user_names_them(cli, tmp_path):
    records = [
        {"text": "Anna in Paris", "words": "x"},
        {"text": "Anna in Paris", "tokens": []},
        {"text": "Anna in Paris", "tokens": ["Anna in", "Paris"]},
        {"tokens": ["Anna", "in", "Paris"], "text": None},
        {"sentence": "Anna in Paris"},
    ]
    path = write_file(tmp_path, "a.jsonl", "\n".join(map(json.dumps, records)))
    status, output, messages = cli("--input", path, "--all_words")
    assert status == 0, messages
    for record, row in zip(records, rows_of(output), strict=True):
        assert row["text"] == "Anna in Paris"
        assert [word["word"] for word in row["words"]] == ["Anna", "in", "Paris"], record
    path = write_file(tmp_path, "b.jsonl", json.dumps(records[2]))
    output = cli("--input", path, "--all_words", "--text_column_name", "tokens")[1]
    assert [word["word"] for word in rows_of(output)[0]["words"]] == ["Anna in", "Paris"]


@pytest.mark.parametrize(
    "record",
    [
        {"tokens": "not a list"},
        {"tokens": ["a", 1]},
        {"text": 5, "tokens": ["a"]},
        {"text": ["a", "b"]},
        {"title": "a"},
    ],
    ids=["string", "number-in-list", "number", "list-in-text", "neither"],
)
def test_a_field_of_another_type_is_a_broken_line(cli, tmp_path, snapshot, record):
    path = write_file(
        tmp_path, "a.jsonl", f'{{"text": "Peter"}}\n{json.dumps(record)}\n{{"text": "EU"}}'
    )
    status, output, messages = cli("--input", path)
    assert status == 2 and f"{path}:2:" in messages
    assert stable(messages, tmp_path) == snapshot
    status, output, messages = cli("--input", path, "--skip_errors")
    assert status == 0 and [row["text"] for row in rows_of(output)] == ["Peter", "EU"]
    assert f"{path}:2:" in messages


def test_by_document_applies_to_plain_text_only(cli, tmp_path):
    contents = {
        "a.jsonl": '{"id": 1, "text": "Peter"}\n{"id": 2, "text": "EU"}\n',
        "b.conll": "Peter O\nsaid O\n\nEU O\n",
        "c.txt": "Peter\nEU\n",
    }
    for name, content in contents.items():
        write_file(tmp_path, f"in/{name}", content)
    rows = rows_of(cli("--input", "in", "--by", "document")[1])
    assert [row["text"] for row in rows] == ["Peter", "EU", "Peter said", "EU", "Peter\nEU\n"]
    assert [row.get("id") for row in rows] == [1, 2, None, None, None]


def test_a_folder_contributes_its_texts_and_other_files_are_reported_once(cli, tmp_path, snapshot):
    texts = ["a.txt", "b.MD", "c.log.1.gz", "NOTES", "d.text", "e.markdown", "v 1.5"]
    for name in texts:
        content = f"Peter {name}".encode()
        write_file(
            tmp_path, f".mails/in/{name}", gzip.compress(content) if ".gz" in name else content
        )
    for name in ("photo.png", "page.html", "deep/table.xlsx"):
        write_file(tmp_path, f".mails/in/{name}", b"\x89PNG\xff")
    status, output, messages = cli("--input", ".mails/in")
    assert status == 0, messages
    assert {row["text"] for row in rows_of(output)} == {f"Peter {name}" for name in texts}
    for name in ("photo.png", "page.html", "deep/table.xlsx"):
        assert messages.count(f".mails/in/{name}") == 1
    assert messages == snapshot
    write_file(tmp_path, ".mails/in/page.html", "Peter")
    status, output, messages = cli("--input", ".mails/in/page.html", "NOTHING")
    assert status == 2
    status, output, messages = cli("--input", ".mails/in", ".mails/in/page.html")
    assert [row["file"] for row in rows_of(output)][-1] == ".mails/in/page.html"
    assert "page.html" not in messages and "photo.png" in messages
    status, _, messages = cli("--input", ".mails/in/deep")
    assert status == 2 and "deep/table.xlsx" in messages and ".txt" in messages
    assert messages == snapshot


def test_a_folder_of_labelled_tables_is_scored(cli, tmp_path):
    write_file(tmp_path, "in/a.csv", "sentence_id,token,ner_tag\n1,Peter,B-PER\n1,said,O\n")
    write_file(tmp_path, "in/readme.pdf", b"%PDF-1.4")
    status, output, messages = cli("--input", "in", "--score")
    assert status == 0 and output.startswith("2 words scored"), messages
    assert "readme.pdf" in messages


def test_a_json_array_is_read_record_by_record(cli, tmp_path):
    content = b'[\n  {"id": 1, "text": "Peter"},\n  {"id": 2, "text": "EU"}\n]\n'
    path = write_file(tmp_path, "a.json", content)
    rows = rows_of(cli("--input", path)[1])
    assert [(row["id"], row["text"]) for row in rows] == [(1, "Peter"), (2, "EU")]
    path = write_file(tmp_path, "b.json", content.replace(b"EU", b"\xff"))
    status, _, messages = cli("--input", path)
    assert status == 2 and f"{path}:3" in messages and "Traceback" not in messages


def test_a_named_pipe_is_read(cli, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    process = subprocess.Popen(["sh", "-c", f"printf 'Peter\\n\\nEU\\n' > {path}"])
    rows = rows_of(cli("--input", path)[1])
    assert [row["text"] for row in rows] == ["Peter", "", "EU"]
    assert process.wait(10) == 0


def test_a_damaged_gzip_file_is_reported(cli, tmp_path):
    path = write_file(tmp_path, "a.txt.gz", gzip.compress(b"Peter\n" * 1000)[:-12])
    status, _, messages = cli("--input", path)
    assert status == 2 and str(path) in messages and "Traceback" not in messages


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_utf_16_is_read(cli, tmp_path, name):
    text = '{"text": "Peter é"}\n' if name == "a.jsonl" else "Peter é\n"
    path = write_file(tmp_path, name, text.encode("utf-16"))
    assert [row["text"] for row in rows_of(cli("--input", path)[1])] == ["Peter é"]


def test_order_over_many_chunks(cli, tmp_path):
    texts = [f"{n} {'said ' * (n * 37 % 23)}Peter" for n in range(2500)]
    path = write_file(tmp_path, "many.txt", "\n".join(texts))
    rows = rows_of(cli("--input", path)[1])
    assert [row["text"] for row in rows] == texts
    assert all(len(row["entities"]) == 1 for row in rows)


# --- Errors -----------------------------------------------------------------------------------

BROKEN = b'{"text": "Peter"}\n{"text": \n{"words": 1}\n\xff\xfe{}\n{"text": "EU"}\n'


def test_a_broken_line_is_reported_after_the_results_before_it(cli, tmp_path, snapshot):
    path = write_file(tmp_path, "a.jsonl", BROKEN)
    status, output, messages = cli("--input", path)
    assert status == 2
    assert [row["text"] for row in rows_of(output)] == ["Peter"]
    assert f"{path}:2:" in messages and "--skip_errors" in messages
    assert stable(messages, tmp_path) == snapshot


def test_broken_lines_are_skipped_and_counted(cli, tmp_path, snapshot):
    path = write_file(tmp_path, "a.jsonl", BROKEN)
    status, output, messages = cli("--input", path, "--skip_errors")
    assert status == 0
    assert [row["text"] for row in rows_of(output)] == ["Peter", "EU"]
    for number in (2, 3, 4):
        assert f"{path}:{number}:" in messages
    assert "3 lines" in messages
    assert stable(messages, tmp_path) == snapshot


def test_a_binary_file_is_not_read_as_text(cli, tmp_path, snapshot):
    path = write_file(tmp_path, "a.out", b"\x7fELF\x02\x01\x01\0\0\0\xff\0\n")
    status, _, messages = cli("--input", path)
    assert status == 2 and f"{path}:1:" in messages
    assert stable(messages, tmp_path) == snapshot


def test_bytes_that_are_not_utf_8(cli, tmp_path, snapshot):
    path = write_file(tmp_path, "a.txt", b"Peter\nMalm\xf6\nEU\n")
    status, _, messages = cli("--input", path)
    assert status == 2 and f"{path}:2:" in messages and "0xf6" in messages and "Malm" in messages
    assert stable(messages, tmp_path) == snapshot
    status, output, _ = cli("--input", path, "--skip_errors")
    assert [row["text"] for row in rows_of(output)] == ["Peter", "EU"]


def test_user_errors_give_one_message_and_status_2(cli, tmp_path, tiny_encoder, snapshot):
    text = write_file(tmp_path, "a.txt", "Peter")
    (tmp_path / "empty").mkdir()
    unlabelled = write_file(tmp_path, "a.conll", "Peter\n\n")
    cases = [
        (["--input", "nothing.txt", "more*.txt"], ["nothing.txt", "more*.txt"]),
        (["a", "--input", text], ["--input"]),
        (["--input", text, "--output", text], [f"--output {text}"]),
        (["a", "--output", "no/such/out.jsonl"], ["no/such/out.jsonl"]),
        (["a", "--min_score", "2", "--batch_tokens", "0"], ["--min_score:", "--batch_tokens:"]),
        (["a", "--score"], ["--score", "--input"]),
        (["a", "--no_such_flag"], ["--no_such_flag"]),
        (["--modle", "x"], ["--modle", "--model?"]),
        (["a", "--min_scor=1"], ["--min_scor;", "--min_score?"]),
        (["--input", unlabelled, "--score"], [str(unlabelled)]),
        (["--input", text, "--output", tmp_path], [f"--output {tmp_path}"]),
        (["Peter", "--device", "nonsense"], ["--device nonsense"]),
        (["Peter", "--device", "meta:a"], ["--device meta:a"]),
    ]
    for argv, expected in cases:
        status, output, messages = cli(*argv)
        assert status == 2 and output == "", argv
        assert "Traceback" not in messages
        for part in expected:
            assert part in messages, (argv, messages)
        if "--device" in argv:  # the reason is torch's own
            messages = messages.partition(argv[-1])[0]
        assert stable(messages, tmp_path) == snapshot
    assert text.read_text() == "Peter"
    for model, expected in (
        (tmp_path / "empty", "config.json"),
        ("no/such_model", "no/such_model"),
        (tiny_encoder, str(tiny_encoder)),
    ):
        status, _, messages = cli("a", model=model)
        assert status == 2 and expected in messages and "Traceback" not in messages, messages
        assert stable(messages, tmp_path, tiny_encoder) == snapshot


def test_prose_has_no_labels_to_score_against(cli, tmp_path, snapshot):
    for name, content in (
        ("a.txt", "Anna went to Paris .\nPeter Blackburn said so .\nThe EU rejects it\n"),
        ("b.txt", "Anna went to Paris ."),
    ):
        path = write_file(tmp_path, name, content)
        status, output, messages = cli("--input", path, "--score")
        assert status == 2 and output == "", messages
        assert f"{path}:" in messages and "--input_format conll" in messages
        assert stable(messages, tmp_path) == snapshot
    path = write_file(tmp_path, "c.txt", "Peter B-PER\nsaid\n\nEU B-ORG\nsaid O\n")
    status, _, messages = cli("--input", path, "--score", "--input_format", "conll")
    assert status == 2 and f"{path}:2:" in messages
    path = write_file(tmp_path, "d.txt", "Peter B-PER\nsaid O\n")
    assert cli("--input", path, "--score")[1].startswith("2 words scored")


def test_a_folder_of_checkpoints_names_the_newest(cli, tmp_path, tiny_tagger, snapshot):
    (tmp_path / "run" / "checkpoint-9").mkdir(parents=True)
    status, _, messages = cli("a", model="run")
    assert status == 2 and messages == snapshot
    for step, name in ((10, "epoch_10"), (30, "step_30"), (90, "epoch_9")):
        folder = tmp_path / "run" / name
        shutil.copytree(tiny_tagger, folder)
        manifest = {
            "identity": {},
            "conditions": {},
            "files": {},
            "progress": {"run_id": "a", "step": step},
        }
        (folder / "checkpoint.json").write_text(json.dumps(manifest))
    (tmp_path / "run" / "epoch_9" / "model.safetensors").unlink()  # the newest, but it has no model
    status, output, messages = cli("a", model="run")
    assert status == 2 and output == ""
    assert "--model run/step_30\n" in messages and "--resume_from_checkpoint" in messages
    assert messages == snapshot
    assert cli("a", model="run/step_30")[0] == 0


@pytest.mark.parametrize("accepts", [False, True], ids=["refused", "hanging"])
def test_without_the_hub_an_unknown_model_is_reported_immediately(tmp_path, snapshot, accepts):
    """The port of the Hub is closed, or accepts the connection and never answers."""
    with socket.socket() as server:
        server.bind(("localhost", 0))
        if accepts:
            server.listen()
        environment = os.environ | {
            "HF_ENDPOINT": f"http://localhost:{server.getsockname()[1]}",
            "HF_HUB_OFFLINE": "0",
        }
        began = time.monotonic()
        process = start("--model", "nope", "Anna", env=environment, cwd=tmp_path)
        output, messages = process.communicate(timeout=60)
        seconds = time.monotonic() - began
    assert process.returncode == 2 and output == b""
    assert b"nope:" in messages and messages.count(b"\n") <= 2
    assert messages.decode() == snapshot(name="message")
    # Besides the time-out, a busy machine needs time to start the process.
    assert seconds < reachability.HUB_TIMEOUT_S + 20 * max(time_of_help(), 0.2)


def time_of_help() -> float:
    """Return the seconds that `infer.py --help` takes."""
    began = time.monotonic()
    start("--help").communicate(timeout=60)
    return time.monotonic() - began


def test_a_slow_tokenizer_is_refused(cli, tmp_path, tiny_tagger, monkeypatch):
    from transformers import AutoTokenizer

    monkeypatch.setattr(fast_bert, "load", lambda *_: None)
    slow = SimpleNamespace(is_fast=False)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: slow)
    status, _, messages = cli("a")
    assert status == 2 and str(tiny_tagger) in messages


def test_the_newest_model_in_the_folder_is_used_and_reported(cli, tmp_path, snapshot):
    status, _, messages = cli("Peter", model=None)
    assert status == 2 and "python train_trainer.py --sample" in messages
    assert messages == snapshot
    for age, name in ((30, "old-finetuned-ner"), (10, "my model")):
        folder = save_tiny_tagger(tmp_path / name, ENTITY_LABELS)
        os.utime(folder / "run.json", (time.time() - age,) * 2)
    (tmp_path / "unfinished-finetuned-ner").mkdir()
    write_file(tmp_path, "of another tool/run.json", "{}")
    status, output, messages = cli("Peter", model=None)
    assert status == 0 and len(rows_of(output)) == 1
    assert "my model" in messages
    assert messages == snapshot


def test_a_text_that_is_the_name_of_a_file_is_tagged_and_reported(cli, tmp_path):
    write_file(tmp_path, "my notes.txt", "Peter")
    status, output, messages = cli("Paris", "my notes.txt", "x" * 5000, "a\0b")
    assert status == 0
    assert [row["text"] for row in rows_of(output)] == ["Paris", "my notes.txt", "x" * 5000, "a\0b"]
    assert messages == (
        "'my notes.txt' is tagged as a text. To tag the file of this name: --input 'my notes.txt'\n"
    )


# --- Output -----------------------------------------------------------------------------------


def test_csv_has_a_row_for_each_entity(cli):
    output = cli("Peter said", "", 'EU, "Paris"', "--output_format", "csv")[1]
    assert output == (
        "text_number,text,entity,entity_type,entity_score,entity_start,entity_end\n"
        f"1,Peter said,Peter,PER,{SURE:.4f},0,5\n"
        "2,,,,,,\n"
        f'3,"EU, ""Paris""",EU,ORG,{SURE:.4f},0,2\n'
        f'3,"EU, ""Paris""",Paris,LOC,{SURE:.4f},5,10\n'
    )


def test_conll_has_every_word_and_with_all_words_its_score(cli):
    assert cli("Peter said", "--output_format", "conll")[1] == "Peter\tB-PER\nsaid\tO\n\n"
    output = cli("Peter said", "--output_format", "conll", "--all_words")[1]
    assert output == f"Peter\tB-PER\t{SURE:.4f}\nsaid\tO\t{SURE:.4f}\n\n"


def test_conll_has_one_row_for_each_word_even_with_white_space(cli, tmp_path):
    words = ["Peter", "", "a\tb", "c\u2028d", "e f"]
    path = write_file(tmp_path, "a.jsonl", json.dumps({"tokens": words}))
    output = cli("--input", path, "--output_format", "conll")[1]
    assert output == "Peter\tB-PER\n_\tO\na_b\tO\nc_d\tO\ne f\tO\n\n"


def test_the_extension_selects_html_and_markup_of_the_text_is_escaped(cli, tmp_path):
    status, output, _ = cli("Peter <script>alert(1)</script>", "--output", "page.html")
    assert status == 0 and output == ""
    page = (tmp_path / "page.html").read_text()
    assert page.lower().startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "<script>alert" not in page and "PER" in page


@pytest.mark.parametrize(
    "name,beginning", [("a.jsonl.gz", b"{"), ("a.conll.GZ", b"Peter\t"), ("a.htm.gz", b"<!doctype")]
)
def test_output_is_compressed_if_its_name_ends_in_gz(cli, tmp_path, name, beginning):
    assert cli("Peter", "--output", name) == (0, "", "1 text, 1 word tagged.\n")
    assert gzip.decompress((tmp_path / name).read_bytes()).lower().startswith(beginning.lower())


def test_an_extension_without_a_format_is_refused(cli, tmp_path, snapshot):
    status, _, messages = cli("Peter", "--output", "tagged.xyz")
    assert status == 2 and not (tmp_path / "tagged.xyz").exists()
    assert messages == snapshot
    for name in ("tagged", "tagged.jsonl"):
        assert cli("Peter", "--output", name) == (0, "", "1 text, 1 word tagged.\n")
    known = cli("Peter", "--output", "tagged.xyz", "--output_format", "csv")
    assert known == (0, "", "1 text, 1 word tagged.\n")


def test_a_replaced_field_is_reported_once(cli, tmp_path, snapshot):
    row = '{"text": "Peter", "entities": "mine", "id": 1}\n'
    status, output, messages = cli("--input", write_file(tmp_path, "a.jsonl", row * 3))
    assert status == 0 and messages.count("'entities'") == 1
    assert messages == snapshot
    assert [(row["id"], row["entities"][0]["word"]) for row in rows_of(output)] == [
        (1, "Peter")
    ] * 3


def test_a_page_of_several_files_has_a_heading_above_the_texts_of_each(cli, tmp_path):
    write_file(tmp_path, "in/<a>.txt", "Peter\nsaid")
    write_file(tmp_path, "in/b.txt", "EU")
    page = cli("--input", "in", "--output_format", "html")[1]
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings == ["in/&lt;a&gt;.txt", "in/b.txt"]
    order = [page.index(part) for part in ("in/&lt;a&gt;", "Peter<", "said<", "in/b.txt<", "EU<")]
    assert order == sorted(order)
    assert "<h2" not in cli("--input", "in/b.txt", "--output_format", "html")[1]


def test_a_label_stays_on_the_line_of_its_score(cli):
    page = cli("Peter", "--output_format", "html")[1]
    (label,) = re.findall(r'<span class="label"[^>]*>', page)
    assert "white-space:nowrap" in label


def test_an_unpaired_surrogate_is_written_as_json_writes_it(cli, tmp_path):
    path = write_file(tmp_path, "a.jsonl", '{"text": "Peter \\ud800"}')
    (row,) = rows_of(cli("--input", path)[1])
    assert row["text"] == "Peter \ud800" and len(row["entities"]) == 1


def test_flags_without_effect_are_refused(cli, tmp_path, snapshot):
    text = write_file(tmp_path, "a.txt", "Peter")
    columns = write_file(tmp_path, "a.conll", "Peter B-PER\nsaid O\n")
    cases = [
        ["Peter", "--by", "document", "--input_format", "text", "--skip_errors"],
        ["--input", text, "--text_column_name", "body"],
        ["--input", columns, "--by", "document"],
        ["--input", columns, "--label_column_name", "1"],
        ["--input", columns, "--score", "--all_words", "--min_score", "0.5", "--by", "document"],
        ["Peter", "--csv_safe", "--output", "a.jsonl"],
        ["Peter", "--all_words", "--output", "a.conllu"],
        ["Peter", "--min_score", "0.5", "--output", "a.conll"],
    ]
    for argv in cases:
        status, output, messages = cli(*argv)
        assert status == 2 and output == "", argv
        assert stable(messages, tmp_path) == snapshot
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(["sh", "-c", f"cat {columns} > {pipe}"])
    status, output, messages = cli("--input", pipe, "--by", "document")
    assert (status, output) == (2, "") and "--by document" in messages
    assert process.wait(10) == 0
    folder = [write_file(tmp_path, f"in/{name}", "Peter\n") for name in ("a.txt", "b.conll")]
    assert cli("--input", *folder, "--by", "document")[0] == 0


def test_a_table_is_tagged_and_written_as_parquet_with_its_fields(cli, tmp_path):
    import pyarrow.parquet

    path = write_file(tmp_path, "a.tsv", "id\ttext\tlabel\n7\tPeter and EU\tx\n8\tnone\ty\n")
    assert cli("--input", path, "--output", "out.parquet")[0] == 0
    rows = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    found = [(row["id"], row["label"], row["text"], row["entity"]) for row in rows]
    text = "Peter and EU"
    assert found == [("7", "x", text, "Peter"), ("7", "x", text, "EU"), ("8", "y", "none", None)]


def test_brat_gets_the_text_beside_the_annotations(cli, tmp_path, snapshot):
    assert cli("Peter", "", "said\u2028EU", "--output", "out.ann")[0] == 0
    assert (tmp_path / "out.txt").read_text() == "Peter\n\nsaid\u2028EU\n"
    text, annotations = (tmp_path / "out.txt").read_text(), (tmp_path / "out.ann").read_text()
    assert annotations == snapshot
    for line in annotations.splitlines():
        if line.startswith("T"):
            _, (_, start, end), words = (cell.split(" ") for cell in line.split("\t"))
            assert text[int(start) : int(end)] == words[0]
    status, _, messages = cli("Peter", "--output", "out.ann")
    assert status == 2 and messages == snapshot
    for flags in ([], ["--by", "document"]):
        path = write_file(tmp_path, "in/a.txt", "Peter\n\nEU")
        assert cli("--input", path, "--output", "in/a.ann", *flags)[0] == 0
        assert "7 9\tEU" in (tmp_path / "in/a.ann").read_text()
        assert path.read_text() == "Peter\n\nEU"
    write_file(tmp_path, "in/a.txt", "Peter\r\nEU")
    assert cli("--input", "in/a.txt", "--output", "in/a.ann")[0] == 2


def test_binary_output_through_a_pipe_and_not_on_a_terminal(tiny_tagger):
    import pyarrow.parquet

    process = start("--model", tiny_tagger, "Peter", "--output_format", "parquet")
    output, messages = process.communicate(timeout=60)
    assert process.returncode == 0, messages
    table = pyarrow.parquet.read_table(pyarrow.BufferReader(output))
    assert table.column("text").to_pylist()[0] == "Peter"
    main, terminal = pty.openpty()
    refused = start("--model", tiny_tagger, "a", "--output_format", "parquet", stdout=terminal)
    assert b"terminal" in refused.communicate(timeout=60)[1] and refused.returncode == 2
    os.close(terminal)
    os.close(main)


# --- Scores -----------------------------------------------------------------------------------


def labelled_corpus() -> list[list[tuple[str, str]]]:
    """Return sentences of random words and valid random tags, one of them longer than a window."""
    random = np.random.default_rng(0)
    vocabulary = [*KNOWN, "said", "the", "lamb", "Brooklyn", "rejects", "U.S.", "\u200e"]
    sentences = []
    for length in [*random.integers(1, 30, 60), 150]:
        tags, previous = [], "O"
        for _ in range(length):
            options = ["O", "B-PER", "B-ORG", "B-LOC"]
            options += ["I-" + previous[2:]] * 3 if previous != "O" else []
            previous = str(random.choice(options))
            tags.append(previous)
        sentences.append([(str(random.choice(vocabulary)), tag) for tag in tags])
    return sentences


def table_numbers(output: str) -> dict[str, list[str]]:
    """Return the numbers in each row of the score table, without the intervals."""
    lines = re.sub(r" \d\.\d{3}-\d\.\d{3} ", " ", output).splitlines()[2:]
    rows = (line.rsplit(maxsplit=4) for line in lines)
    return {row[0]: row[1:] for row in rows if len(row) == 5}


def test_scores_are_those_of_conlleval_on_a_network_run_sentence_by_sentence(
    tiny_tagger, monkeypatch, capfd, tmp_path
):
    import torch
    from conlleval import evaluate
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    # The reference has no windows, so the sentence that needs several is left out.
    sentences = labelled_corpus()[:-1]
    model = AutoModelForTokenClassification.from_pretrained(tiny_tagger).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_tagger)
    lines = []
    for sentence in sentences:
        words = [word for word, _ in sentence]
        encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.inference_mode():
            ids = model(**encoded).logits[0].argmax(-1).tolist()
        owners = encoded.word_ids()
        tags = [
            model.config.id2label[ids[owners.index(number)]] if number in owners else None
            for number in range(len(words))
        ]
        for number, (word, gold) in enumerate(sentence):
            predicted = tags[number]
            if predicted is None:  # without a sub-word: inside an entity that surrounds it
                left = [tag for tag in tags[:number] if tag][-1:]
                right = [tag for tag in tags[number:] if tag][:1]
                surrounded = left and right and right[0] == "I" + left[0][1:]
                predicted = right[0] if surrounded else "O"
            lines.append(f"{word} {gold} {predicted}")
        lines.append("")
    expected = evaluate(lines)
    content = "".join("".join(f"{w}\t{t}\n" for w, t in s) + "\n" for s in sentences)
    path = write_file(tmp_path, "gold.conll", content)
    monkeypatch.setattr(
        sys, "argv", ["infer.py", "--model", str(tiny_tagger), "--input", str(path), "--score"]
    )
    infer.main()
    output = capfd.readouterr().out
    assert output.startswith(f"{sum(map(len, sentences))} words scored\n")
    table = table_numbers(output)
    overall = expected["overall"]["chunks"]["evals"]
    assert table["overall"][:3] == [f"{overall[k]:.4f}" for k in ("prec", "rec", "f1")]
    for kind, values in expected["slots"]["chunks"].items():
        scores = [f"{values['evals'][k]:.4f}" for k in ("prec", "rec", "f1")]
        assert table[kind][:3] == scores, kind


@pytest.mark.parametrize("decode", ["viterbi", "argmax"])
def test_scores_are_those_of_training(decode, tiny_tagger, monkeypatch, capfd, tmp_path):
    """Compare with the training scripts' evaluation, also on a sentence of several windows."""
    import datasets
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoModelForTokenClassification

    from training.order import evaluation_order

    sentences = labelled_corpus()
    split = datasets.Dataset.from_dict(
        {
            "tokens": [[word for word, _ in sentence] for sentence in sentences],
            "labels": [[ENTITY_LABELS.index(tag) for _, tag in s] for s in sentences],
        }
    )
    tokenizer = load_tokenizer(str(tiny_tagger))
    windows = encode_split(split, tokenizer, 64, None, True, "test_score")
    model = AutoModelForTokenClassification.from_pretrained(tiny_tagger).eval()
    order = evaluation_order(windows.lengths, 32)
    decodes = decode == "viterbi"
    predictions = WordPredictions(windows.num_words, ENTITY_LABELS, decodes)
    collate = PadBatch(tokenizer)
    with torch.no_grad():
        for batch in DataLoader(windows, 32, sampler=order, collate_fn=collate):
            predictions.add(*common.predict_batch(model, batch))
    best = predictions.tag_ids.copy()
    if decodes:
        predictions.decode([len(sentence) for sentence in sentences])
    assert decodes == (predictions.tag_ids != best).any()  # the random model begins with I-
    scores = compute_metrics(predictions, split, ENTITY_LABELS)

    content = "".join("".join(f"{w}\t{t}\n" for w, t in s) + "\n" for s in sentences)
    path = write_file(tmp_path, "gold.conll", content)
    flags = ["--model", str(tiny_tagger), "--input", str(path), "--score", "--decode", decode]
    monkeypatch.setattr(sys, "argv", ["infer.py", *flags])
    infer.main()
    output = capfd.readouterr().out
    evidence = EvidenceCounter(entity_tags=True)
    for sentence in common.postprocess(predictions, split, ENTITY_LABELS):
        evidence.add(sentence.words, sentence.gold, sentence.predicted)
    scores = evidence.added_to(scores)
    lines = [f"{scores['words']} words scored", score_table(scores), *evidence_lines(scores)]
    assert output.splitlines() == "\n".join(lines).splitlines()


def test_gold_of_any_scheme_and_format_scores_the_same(cli, tmp_path):
    words = ["Peter", "Blackburn", "said", "Anna", "Peter"]
    iob2 = ["B-PER", "I-PER", "O", "B-PER", "B-PER"]
    bioes = ["B-PER", "E-PER", "O", "S-PER", "S-PER"]
    iob1 = ["I-PER", "I-PER", "O", "I-PER", "B-PER"]
    suffixed = ["PER_B", "PER_E", "O", "PER_S", "PER_S"]
    spans = [[0, 15, "PER"], [21, 25, "PER"], [26, 31, "PER"]]
    files = [
        write_file(
            tmp_path, f"{n}.conll", "".join(f"{w} {t}\n" for w, t in zip(words, tags, strict=True))
        )
        for n, tags in enumerate((iob2, bioes, iob1, suffixed))
    ]
    by_words = json.dumps({"tokens": words, "ner_tags": iob2})
    by_spans = json.dumps({"text": " ".join(words), "spans": spans})
    files += [write_file(tmp_path, "c.jsonl", by_words), write_file(tmp_path, "d.jsonl", by_spans)]
    for path in files:
        status, output, messages = cli("--input", path, "--score")
        assert status == 0, messages
        assert output.startswith("5 words scored\n")
        assert table_numbers(output)["overall"] == ["1.0000", "1.0000", "1.0000", "3"], path
        assert re.search(r"\naccuracy +1\.0000 ", output), path


def test_labels_of_another_task_are_reported(cli, tmp_path, snapshot):
    pos = write_file(tmp_path, "pos.conll", "Peter NNP\nsaid VBD\n")
    status, output, messages = cli("--input", pos, "--score")
    assert status == 2 and output == "" and "NNP" in messages
    assert messages == snapshot
    drugs = write_file(tmp_path, "other.conll", "Peter B-DRUG\nsaid O\n")
    status, output, messages = cli("--input", drugs, "--score")
    assert status == 0 and "DRUG" in messages
    assert messages == snapshot
    assert table_numbers(output)["DRUG"] == ["0.0000", "0.0000", "0.0000", "1"]


# --- As a process -----------------------------------------------------------------------------


def start(*argv, **options) -> subprocess.Popen:
    """Start infer.py as a process of its own, with pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen([sys.executable, INFER, *map(str, argv)], **options)


def test_importing_does_nothing_and_help_needs_no_model(snapshot):
    code = (
        "import sys, infer\n"
        "heavy = {'torch', 'datasets', 'evaluate', 'accelerate', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.argv = ['infer.py', '--help']\n"
        "infer.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == snapshot


def test_a_pipe_gets_its_results_line_by_line_and_may_close(tiny_tagger):
    """Each result arrives before the next text is sent."""
    process = start("--model", tiny_tagger, stdin=subprocess.PIPE)
    # Otherwise, a result that is held back would hang the test.
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    for text in ("Peter", "", "ünïcödé"):
        process.stdin.write(f"{text}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == text
    process.stdout.close()  # as `| head` does
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(b"Anna\n" * 100_000)
        process.stdin.close()
    assert process.wait(60) == 0
    watchdog.cancel()
    assert process.stderr.read() == b""


def test_ctrl_c_leaves_whole_lines_that_resume_completes(tiny_tagger, tmp_path):
    lines = [f"Peter {number} went from Paris" for number in range(30_000)]
    source = write_file(tmp_path, "big.txt", "\n".join(lines))
    out = write_file(tmp_path, "out.jsonl", "before")
    partial = tmp_path / ".out.jsonl.partial"
    argv = ("--model", tiny_tagger, "--input", source, "--output", out)
    process = start(*argv)
    for _ in range(600):
        if partial.exists() and partial.stat().st_size > 10_000:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert b"--resume" in process.stderr.read() and out.read_text() == "before"
    content = partial.read_text()
    assert content.endswith("\n") and 0 < len(rows_of(content)) < len(lines)
    with open(partial, "a") as file:  # a process that was killed leaves more than it recorded
        file.write('{"text": "Pe')
    process = start(*argv, "--resume")
    assert process.wait(120) == 0, process.stderr.read()
    assert [row["text"] for row in rows_of(out.read_text())] == lines
    assert out.read_text().startswith(content)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.txt", "out.jsonl"]


@pytest.mark.parametrize("flags", [[], ["--csv_safe"], ["--output_format", "conllu"]])
def test_a_resumed_job_writes_what_an_uninterrupted_one_writes(cli, tmp_path, monkeypatch, flags):
    rows = [f"{number},Peter {number} went to Paris,=1" for number in range(1200)]
    source = write_file(tmp_path, "big.csv", "\n".join(["id,text,=note", *rows, ""]))
    assert cli("--input", source, "--output", "whole.csv", *flags)[0] == 0
    tag_chunk, calls = infer.tag_chunk, []

    def interrupted(*args, **options):
        calls.append(args)
        if len(calls) == 8:  # the first 1,000 texts decide the columns
            raise KeyboardInterrupt
        return tag_chunk(*args, **options)

    monkeypatch.setattr(infer, "tag_chunk", interrupted)
    for status in (130, 0):
        resume = ["--resume"] if status == 0 else []
        ended, _, messages = cli("--input", source, "--output", "out.csv", *flags, *resume)
        assert ended == status, messages
    whole = (tmp_path / "whole.csv").read_text()
    assert (tmp_path / "out.csv").read_text() == whole and "Peter 1199" in whole
    sizes = [len(chunk.items) for _, chunk, *_ in calls]
    assert sum(sizes) - sizes[7] == 1200  # none is tagged twice


def test_an_earlier_output_stays_until_the_new_one_is_complete(cli, tmp_path, snapshot):
    out = write_file(tmp_path, "out.jsonl", "before")
    broken = write_file(tmp_path, "a.jsonl", BROKEN)
    status, _, messages = cli("--input", broken, "--output", out)
    assert status == 2 and out.read_text() == "before"
    assert stable(messages, tmp_path) == snapshot
    status, _, messages = cli("--input", broken, "--output", out, "--resume", "--all_words")
    assert status == 2 and "other flags" in messages
    write_file(tmp_path, "b.jsonl", "{")
    assert cli("--input", "b.jsonl", "--output", "new.jsonl")[0] == 2
    assert not list(tmp_path.glob("*new*"))
    assert cli("--input", broken, "--output", out, "--skip_errors")[0] == 0
    assert [row["text"] for row in rows_of(out.read_text())] == ["Peter", "EU"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("output", "flags"),
    [
        (None, []),
        ("out.html", []),
        ("out.jsonl.gz", []),
        ("out.jsonl", []),
        ("/dev/null", []),
    ],
)
def test_what_cannot_be_resumed_is_refused(cli, tmp_path, output, flags, snapshot):
    path = write_file(tmp_path, "a.txt", "Peter")
    named = ["--output", output] if output else []
    status, _, messages = cli("--input", path, *named, "--resume")
    assert status == 2 and stable(messages, tmp_path) == snapshot


def test_a_linked_output_stays_a_link_and_keeps_its_mode(cli, tmp_path):
    target = write_file(tmp_path, "target.jsonl", "before")
    target.chmod(0o640)
    (tmp_path / "out.jsonl").symlink_to(target)
    assert cli("Peter", "--output", "out.jsonl")[0] == 0
    assert (tmp_path / "out.jsonl").is_symlink() and target.stat().st_mode & 0o777 == 0o640
    assert rows_of(target.read_text())[0]["text"] == "Peter"


def test_a_pipe_as_output_gets_the_results(cli, tmp_path):
    os.mkfifo(tmp_path / "out.jsonl")
    received = []
    reader = threading.Thread(
        target=lambda: received.append((tmp_path / "out.jsonl").read_text()), daemon=True
    )
    reader.start()
    assert cli("Peter", "--output", "out.jsonl")[0] == 0
    reader.join(10)
    assert rows_of(received[0])[0]["text"] == "Peter"


def test_the_field_of_the_text_is_the_remedy_where_no_record_has_one(cli, tmp_path):
    path = write_file(tmp_path, "a.jsonl", '{"body": "Peter"}\n')
    status, _, messages = cli("--input", path)
    assert status == 2 and "--text_column_name" in messages and "--skip_errors" not in messages


def test_names_of_files_and_labels_do_not_reach_the_terminal_raw(cli, tmp_path, tiny_tagger):
    evil = "\x1b[31m\u202ered"
    path = write_file(tmp_path, f"{evil}.jsonl", '{"text": "Peter"}\n{')
    for flags in ([], ["--skip_errors"], ["--output", f"{evil}/out"], ["--resume"]):
        _, _, messages = cli("--input", path, *flags, "--output_format", "pretty")
        assert "red" in messages or flags == ["--resume"]
        assert "\x1b" not in messages and "\u202e" not in messages
    folder = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {key: f"B-{evil}{key}" for key in config["id2label"]}
    config["label2id"] = {}
    (folder / "config.json").write_text(json.dumps(config))
    done = start("--model", folder, "--output_format", "pretty", "Peter", "Anna")
    output, messages = done.communicate(timeout=60)
    assert done.returncode == 0 and "red" in output.decode()
    for shown in (output.decode(), messages.decode()):
        assert "\x1b" not in shown and "\u202e" not in shown


def test_every_line_skipped_is_an_error(cli, tmp_path, snapshot):
    path = write_file(tmp_path, "a.jsonl", "{\n[\n")
    status, output, messages = cli("--input", path, "--skip_errors")
    assert (status, output) == (2, "") and stable(messages, tmp_path) == snapshot


def test_streams_that_fail_end_in_one_message(tiny_tagger, tmp_path, snapshot):
    """In a shell, which opens and closes them."""
    path = write_file(tmp_path, "a.txt", "Peter\n" * 20)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    commands = {
        "full disk": "{infer} --input a.txt > /dev/full",
        "full disk as output": "{infer} --input a.txt --output /dev/full",
        "closed": "{infer} --input a.txt >&-",
        "redirected input": "{infer} --output a.txt < a.txt",
        "redirected both": "{infer} < a.txt >> a.txt",
        "redirected output": "{infer} --input a.txt >> a.txt",
        "socket": "{infer} --input socket",
        "endless": "{infer} --input /dev/zero",
    }
    infer_command = f"{sys.executable} {INFER} --model {tiny_tagger}"
    for name, command in commands.items():
        shell = ["bash", "-c", command.format(infer=infer_command)]
        ended = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 2 and not ended.stdout, (name, ended.stderr)
        assert ended.stderr == snapshot(name=name)
        assert path.read_text() == "Peter\n" * 20
    listener.close()


def test_processes_share_the_scoring(cli, tmp_path, monkeypatch):
    text = "-DOCSTART- O\n\nPeter B-PER\nsaid O\n\nEU B-ORG\n\n" * 30
    path = write_file(tmp_path, "gold.conll", text)
    alone = cli("--input", path, "--score")[1]
    assert "from resampling 30 documents" in alone
    parts = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(score, "all_gather", lambda part: parts.append(part) or parts)
    for rank in (1, 0):
        monkeypatch.setenv("RANK", str(rank))
        status, output, messages = cli("--input", path, "--score")
        assert status == 0, messages
    assert all(0 < counts["words"] < 90 for counts, _ in parts)
    assert output == alone
    assert output.startswith("90 words scored\n")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal(tiny_tagger, no_color):
    """Labels are under the words, in colour unless NO_COLOR is set."""
    main, terminal = pty.openpty()
    environment = os.environ | {"NO_COLOR": no_color, "TERM": "xterm"}
    process = start(
        "--model", tiny_tagger, "Peter went to 中文", stdout=terminal, env=environment
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while block := os.read(main, 4096):
            shown += block
    except OSError:  # how Linux reports the end of a terminal
        pass
    assert process.wait(60) == 0, process.stderr.read()
    assert (b"\x1b[" in shown) == (not no_color)
    assert "中" in shown.decode() and not shown.lstrip().startswith(b"{")


def test_two_processes_write_what_one_writes(tiny_tagger, tmp_path):
    texts = [f"{n} {'said ' * (n * 37 % 23)}Peter went to Paris" for n in range(300)]
    lines = "".join(json.dumps({"id": n, "text": t}) + "\n" for n, t in enumerate(texts))
    source = write_file(tmp_path, "big.jsonl", lines)
    common_flags = ["--model", tiny_tagger, "--input", source, "--output"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    single = start(*common_flags, tmp_path / "one.jsonl", env=environment)
    assert single.wait(120) == 0, single.stderr.read()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", INFER]
    flags = map(str, [*common_flags, tmp_path / "two.jsonl"])
    shared = subprocess.run([*torchrun, *flags], capture_output=True, text=True, env=environment)
    assert shared.returncode == 0, shared.stderr
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert len(rows_of((tmp_path / "one.jsonl").read_text())) == 300
    assert sorted(os.listdir(tmp_path)) == ["big.jsonl", "one.jsonl", "two.jsonl"]


@pytest.mark.exhaustive
def test_200_megabytes_in_constant_memory(tiny_tagger, tmp_path):
    """A million records (200 MB) take at most 30 MB more memory than ten thousand."""
    text = "Peter Blackburn went from Paris to New York , Anna said on Monday ."
    peaks = []
    for count in (10_000, 1_000_000):
        source = tmp_path / "big.jsonl"
        with open(source, "w") as file:
            for number in range(count):
                record = {"id": number, "text": text, "note": "x" * 99}
                file.write(json.dumps(record) + "\n")
        out = tmp_path / "out.jsonl"
        code = (
            "import sys, infer\n"
            f"sys.argv = ['infer.py', '--model', {str(tiny_tagger)!r}, '--input', {str(source)!r},"
            f" '--output', {str(out)!r}]\n"
            f"infer.main()\n{PRINT_PEAK}"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
        )
        peaks.append(int(done.stdout) / 1024)
        size = source.stat().st_size / 1e6
        print(f"peak memory {peaks[-1]:.0f} MB for {size:.0f} MB, {count} records")
        with open(out) as file:
            assert sum(1 for _ in file) == count
    assert peaks[1] < peaks[0] + 30
