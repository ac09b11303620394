"""Tag a folder of JSON Lines or parquet on Ray Data, on one machine or a cluster.

    pip install "ray[data]>=2.60,<3"
    python examples/tag_on_ray.py --model MODEL --input records/ --output tagged.jsonl
    ray job submit --working-dir . -- python examples/tag_on_ray.py --model ... --output t.parquet

The extension of the output selects the files of the folder, which are read in the order of their
names. The output has their records in the same order, each with the `entities` (for a model with
plain tags, the `words`) of `Tagger`. Other fields and the types of parquet are kept. A part is a
megabyte of JSON Lines, or a row group of parquet. The parts of a lost worker are tagged again.
Every machine needs Ray and requirements.txt, and must reach model and input by the same paths, as
on a shared disk. Each GPU has a tagger; without GPUs, each core.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support.errors import UserError, run_script
from support.files import written_whole
from tagging.writers import LINE_ENDS

ROOT = sys.path[0]
PART_BYTES = 1 << 20  # of JSON Lines
ROWS = 4096  # rows of parquet in memory, tagged together
BLOCKS = 10_000  # maximum number of blocks of parts
SPAN = {"score": pa.float64(), "start": pa.int64(), "end": pa.int64()}
ENTITY = {"entity_group": pa.string(), "word": pa.string(), **SPAN}
WORD = {"word": pa.string(), "tag": pa.string(), **SPAN}
COLUMNS = {"entities": pa.list_(pa.struct(ENTITY)), "words": pa.list_(pa.struct(WORD))}


class TagPart:
    """A worker's tagger."""

    def __init__(self, model: str, column: str):
        # Imported here, because only the worker needs torch.
        from infer import Tagger

        self.tagger, self.column = Tagger(model), column

    def __call__(self, part: dict[str, Any]) -> Iterator[pa.Table]:
        """Yield tables of the tagged records of a part: a row of path, start and end."""
        path, start, end = (column[0] for column in part.values())
        if path.endswith(".parquet"):
            yield from self.rows(path, start)
        else:
            yield from self.lines(path, start, end)

    def rows(self, path: str, row_group: int) -> Iterator[pa.Table]:
        """Yield the rows of a row group with the columns of the results."""
        for batch in pq.ParquetFile(path).iter_batches(ROWS, row_groups=[row_group]):
            try:
                results = self.tagger(batch[self.column].to_pylist())
            except (KeyError, TypeError) as error:
                raise UserError(f"{path}: row group {row_group}: {error}") from None
            table = pa.Table.from_batches([batch])
            for name in COLUMNS.keys() & results[0].keys():
                spans = pa.array([result[name] for result in results], COLUMNS[name])
                table = table.append_column(name, spans)
            yield table

    def lines(self, path: str, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the records of the lines that begin in a range of bytes, as lines of JSON."""
        records = []
        for position, line in lines_of(path, start, end):
            try:
                record = json.loads(line)
                is_text = isinstance(record[self.column], str)
            except (ValueError, KeyError, TypeError, RecursionError):
                is_text = False
            if not is_text:
                got = f"got {line[:80].decode(errors='replace')}"
                expected = f"expected a JSON object with a string {self.column!r}"
                raise UserError(f"{path}: byte {position}: {got}, {expected}.")
            records.append(record)
        results = self.tagger(record[self.column] for record in records)
        for record, result in zip(records, results, strict=True):
            record.update((name, result[name]) for name in COLUMNS.keys() & result.keys())
        texts = (json.dumps(record, ensure_ascii=False) for record in records)
        texts = (LINE_ENDS.sub(lambda end: f"\\u{ord(end[0]):04x}", text) for text in texts)
        # An unpaired surrogate is written as \udXXX.
        encoded = [text.encode("utf-8", "backslashreplace") for text in texts]
        yield pa.table({"line": pa.array(encoded, pa.large_binary())})


def lines_of(path: str, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield position and text of the lines that begin in a range of bytes, without blank ones."""
    with open(path, "rb") as file:
        if start:
            file.seek(start - 1)
            file.readline()  # the rest of a line that begins earlier
        while (position := file.tell()) < end and (line := file.readline()):
            if line.strip():
                yield position, line


def parts_of(path: Path) -> list[dict[str, Any]]:
    """Return the parts of a file: its row groups, or ranges of its bytes."""
    if path.suffix == ".parquet":
        starts, step = range(pq.ParquetFile(path).num_row_groups), 1
    else:
        starts, step = range(0, path.stat().st_size, PART_BYTES), PART_BYTES
    return [{"path": str(path.resolve()), "start": start, "end": start + step} for start in starts]


def tagged_tables(parts: list[dict[str, Any]], model: str, column: str) -> Iterator[pa.Table]:
    """Yield the tagged records of all parts, in their order."""
    resources = ray.cluster_resources()
    device = "GPU" if resources.get("GPU") else "CPU"
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.raise_original_map_exception = True  # see `errors_of_workers`
    dataset = ray.data.from_items(parts, override_num_blocks=min(len(parts), BLOCKS)).map_batches(
        TagPart,
        fn_constructor_args=(model, column),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=int(resources[device])),
        **{f"num_{device.lower()}s": 1},
    )
    return iter(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))


@contextmanager
def errors_of_workers() -> Iterator[None]:
    """Report a record that a worker refuses as one message."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause).splitlines()[0]) from None  # Ray adds advice
        raise


def main() -> None:
    """Tag the files of the input folder into one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a folder, or a name on the Hub")
    parser.add_argument("--input", type=Path, required=True, help="a folder")
    parser.add_argument("--output", type=Path, required=True, help="FILE.jsonl or FILE.parquet")
    parser.add_argument("--text_column_name", default="text")
    flags = parser.parse_args()
    extension = flags.output.suffix
    if extension not in (".jsonl", ".parquet"):
        raise UserError(f"--output {flags.output}: expected FILE.jsonl or FILE.parquet")
    files = sorted(path for path in flags.input.rglob(f"*{extension}") if path != flags.output)
    parts = [part for path in files for part in parts_of(path)]
    if not parts:
        raise UserError(f"--input {flags.input}: no records in files of {extension}")
    model = str(Path(flags.model).resolve()) if os.path.isdir(flags.model) else flags.model
    search_path = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))
    ray.init(runtime_env={"env_vars": {"PYTHONPATH": search_path}})
    tables = tagged_tables(parts, model, flags.text_column_name)
    with written_whole(flags.output, "wb") as file, errors_of_workers():
        if extension == ".jsonl":
            for table in tables:
                file.writelines(line.as_py() + b"\n" for line in table["line"])
        else:
            first = next(tables)
            with pq.ParquetWriter(file, first.schema) as writer:
                for table in chain([first], tables):
                    writer.write_table(table)


if __name__ == "__main__":
    run_script(main)
