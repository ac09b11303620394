"""Tagging on Ray Data: `examples/tag_on_ray.py` on a cluster of two nodes on this machine."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.errors import UserError
from tests.helpers.examples import FOLDER, load_example, need, run_example
from tests.helpers.tagging import cached_tagger, rows_of

pytestmark = pytest.mark.exhaustive
need("ray", "ray.data")

WORDS = ["Anna", "went", "to", "said", "lamb", "Paris", "New York", "EU", "中", "\u2028", "don't"]
NAMES = ("a", "b/a", "c")  # of files, in their order
RECORDS = 4000  # in each


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core each."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def records_of(file: int) -> list[dict[str, Any]]:
    """Return the records of a file; not all have the same fields."""
    draw = random.Random(file)
    records = []
    for n in range(RECORDS):
        text = " ".join(draw.choices(WORDS, k=draw.randrange(60)))
        records.append({"id": n, "text": text, "day": "2026-11-26", "more": [None, {"é": file}]})
        if n % 3 == 0:
            records[-1]["only_here"] = "ü"
    return records


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """JSON Lines and parquet with the same texts, and files that are not read."""
    folder = tmp_path_factory.mktemp("records")
    (folder / "b").mkdir()
    for file, name in enumerate(NAMES):
        records = records_of(file)
        # One file has blank lines, one has a byte order mark.
        lines = ("\n" * (file == 2) + json.dumps(r, ensure_ascii=False) + "\n" for r in records)
        encoding = "utf-8-sig" if file == 1 else "utf-8"
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding=encoding, newline="\n")
        columns = {
            "text": [record["text"] for record in records],
            "day": pa.array([n % 365 for n in range(RECORDS)], pa.date32()),
            "small": pa.array([n % 100 for n in range(RECORDS)], pa.int8()),
        }
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", row_group_size=1500)
    (folder / "empty.jsonl").touch()
    (folder / "note.txt").write_text("not read")
    return folder


@pytest.fixture(scope="module")
def expected(tiny_tagger) -> list[list[dict[str, Any]]]:
    """The entities of all texts in their order, as one process gives them."""
    tagger = cached_tagger(tiny_tagger)
    texts = [record["text"] for file in range(len(NAMES)) for record in records_of(file)]
    return rounded(result["entities"] for result in tagger(texts))


def rounded(texts) -> list[list[dict[str, Any]]]:
    """Return entities with rounded scores: batches change the last digits."""
    return [[{**entity, "score": f"{entity['score']:.3f}"} for entity in own] for own in texts]


def run(
    cluster,
    model,
    source: Path,
    output: Path,
    *flags: str,
    meanwhile: Callable[[], bool] | None = None,
) -> tuple[int, str]:
    """Run the example on the cluster from another folder; return its status and its messages.

    `meanwhile` is called until it returns True.
    """
    command = [sys.executable, FOLDER / "tag_on_ray.py", "--model", model, "--input", source]
    log = output.with_suffix(".log")
    with open(log, "w") as file:
        process = subprocess.Popen(
            [*command, "--output", output, *flags],
            stdout=file,
            stderr=file,
            cwd=output.parent,
            env=os.environ | {"RAY_ADDRESS": cluster.address, "RAY_USAGE_STATS_ENABLED": "0"},
        )
        while meanwhile is not None and process.poll() is None:
            if meanwhile():
                meanwhile = None
            time.sleep(0.05)
        status = process.wait(timeout=600)
    assert meanwhile is None, "no worker was tagging"
    return status, log.read_text()


def busy_workers(node=None) -> list[psutil.Process]:
    """Return the processes that are tagging, of a node or of this test's cluster."""
    pid = None if node is None else node.all_processes["raylet"][0].process.pid
    workers = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::") and "TagPart" in title and "submit" in title:
            workers.append(process)
    return workers


def check_jsonl(output: Path, expected) -> None:
    rows = rows_of(output.read_text(encoding="utf-8"))
    assert rounded(row.pop("entities") for row in rows) == expected
    assert rows == [record for file in range(len(NAMES)) for record in records_of(file)]


# --- On a cluster -----------------------------------------------------------------------------


def test_json_lines_get_the_entities_that_one_process_gives(
    cluster, tiny_tagger, folder, expected, tmp_path
):
    status, messages = run(cluster, tiny_tagger, folder, tmp_path / "out.jsonl")
    assert status == 0, messages
    check_jsonl(tmp_path / "out.jsonl", expected)


def test_parquet_gets_the_entities_and_keeps_its_types(
    cluster, tiny_tagger, folder, expected, tmp_path
):
    status, messages = run(cluster, tiny_tagger, folder, tmp_path / "out.parquet")
    assert status == 0, messages
    table = pq.read_table(tmp_path / "out.parquet")
    assert rounded(table["entities"].to_pylist()) == expected
    source = pa.concat_tables(pq.read_table(folder / f"{name}.parquet") for name in NAMES)
    assert table.drop_columns("entities").equals(source)


def test_a_killed_worker_loses_nothing(cluster, tiny_tagger, folder, expected, tmp_path):
    def kill_one() -> bool:
        workers = busy_workers()
        for worker in workers[:1]:
            worker.kill()
        return bool(workers)

    output = tmp_path / "out.jsonl"
    status, messages = run(cluster, tiny_tagger, folder, output, meanwhile=kill_one)
    assert status == 0, messages
    check_jsonl(output, expected)


def test_a_lost_node_loses_nothing(cluster, tiny_tagger, folder, expected, tmp_path):
    """That of the driver stays; another one joins before."""
    cluster.add_node(num_cpus=1)

    def remove_one() -> bool:
        nodes = [node for node in cluster.worker_nodes if busy_workers(node)]
        for node in nodes[:1]:
            cluster.remove_node(node, allow_graceful=False)
        return bool(nodes)

    output = tmp_path / "out.jsonl"
    status, messages = run(cluster, tiny_tagger, folder, output, meanwhile=remove_one)
    assert status == 0, messages
    check_jsonl(output, expected)


def test_a_model_of_plain_tags_gives_words(cluster, tiny_pos_tagger, tmp_path):
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table({"body": ["Anna said", ""]}), tmp_path / "in" / "a.parquet")
    output = tmp_path / "out.parquet"
    flags = ("--text_column_name", "body")
    status, messages = run(cluster, tiny_pos_tagger, tmp_path / "in", output, *flags)
    assert status == 0, messages
    first, second = pq.read_table(output)["words"].to_pylist()
    assert [word["word"] for word in first] == ["Anna", "said"] and second == []


def test_a_broken_record_is_one_message_and_nothing_is_written(cluster, tiny_tagger, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"text": "Anna"}\n{"text": 5}\n')
    status, messages = run(cluster, tiny_tagger, tmp_path / "in", tmp_path / "out.jsonl")
    last = messages.rstrip().splitlines()[-1]
    assert status == 2 and last.startswith("error: ") and "a.jsonl: byte 17: " in last
    assert not (tmp_path / "out.jsonl").exists()


# --- Without a cluster ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["not JSON", "[]", '{"body": "Anna"}', '{"text": 5}', '{"text": "\xf6"}'],
    ids=range(5),
)
def test_a_broken_record_is_named(tiny_tagger, line, tmp_path):
    good = '{"text": "Anna"}\n'
    path = tmp_path / "a.jsonl"
    path.write_text(good + line + "\n" + good, encoding="latin-1")
    with pytest.raises(UserError) as error:
        list(load_example("tag_on_ray").TagPart(tiny_tagger, "text").lines(str(path), 0, 1000))
    assert f"{path}: byte {len(good)}: got {line[:8]}" in str(error.value)


@pytest.mark.parametrize("column,got", [("text", "texts[1]: got None"), ("body", "body")])
def test_a_row_that_cannot_be_tagged_is_named(tiny_tagger, column, got, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["Anna", None]}), path)
    with pytest.raises(UserError) as error:
        list(load_example("tag_on_ray").TagPart(tiny_tagger, column).rows(str(path), 0))
    assert f"{path}: row group 0: " in str(error.value) and got in str(error.value)


def test_unpaired_surrogates_stay_as_they_are(tiny_tagger, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "Anna \\ud800"}\n')
    (table,) = load_example("tag_on_ray").TagPart(tiny_tagger, "text").lines(str(path), 0, 1000)
    assert json.loads(table["line"][0].as_py())["text"] == "Anna \ud800"


@pytest.mark.parametrize("output", ["out.csv", "out.jsonl"])
def test_what_cannot_be_read_or_written_is_one_message(tiny_tagger, output, tmp_path):
    flags = ("--model", tiny_tagger, "--input", tmp_path, "--output", tmp_path / output)
    process = run_example("tag_on_ray", *flags)
    assert process.returncode == 2 and process.stderr.startswith("error: --")


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=9),
    st.lists(st.integers(1, 60), max_size=9),
)
def test_ranges_hold_each_line_once_whatever_their_bounds(tmp_path_factory, lines, bounds):
    path = tmp_path_factory.getbasetemp() / "lines"
    content = b"\n".join(lines)
    path.write_bytes(content)
    bounds = [0, *sorted({bound for bound in bounds if bound < len(content)}), max(len(content), 1)]
    lines_of = load_example("tag_on_ray").lines_of
    parts = [list(lines_of(str(path), *part)) for part in pairwise(bounds)]
    found = [(position, line.rstrip(b"\n")) for part in parts for position, line in part]
    assert [line for _, line in found] == [line for line in lines if line.strip()]
    assert all(content[position:].startswith(line) for position, line in found)
