"""Damage to a cache that its checksums don't show: files are changed, and the digests made to fit."""

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def change_table(cache: Path, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Rewrite a table of the cache's only segment."""

    def rewrite(path: Path) -> None:
        pq.write_table(change(pq.read_table(path)), path, write_page_checksum=True, store_schema=False)

    _change(cache, lambda segment: segment["tables"][table]["file"], rewrite)


def change_runs(cache: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Rewrite the run list of the cache's only segment."""

    def rewrite(path: Path) -> None:
        listed = json.loads(pa.input_stream(path, compression="zstd").read())
        change(listed["runs"])
        path.write_text(json.dumps(listed), encoding="ascii")  # uncompressed, as in the first caches

    _change(cache, lambda segment: segment["runs"], rewrite)


def _change(cache: Path, entry_of: Callable[[dict[str, Any]], dict[str, Any]], rewrite: Callable[[Path], None]) -> None:
    manifest = json.loads((cache / "manifest.json").read_bytes().splitlines()[0])  # its own digest is in the second
    [segment] = manifest["segments"]
    entry = entry_of(segment)
    path = cache / entry["path"]
    rewrite(path)
    data = path.read_bytes()
    if path.suffix == ".parquet":  # the digest is of the footer, its length and the magic number behind it
        data = data[-8 - int.from_bytes(data[-8:-4], "little") :]
    entry |= {"size_bytes": path.stat().st_size, "digest": blake2b(data, digest_size=16).hexdigest()}
    text = json.dumps(manifest).encode("ascii")
    seal = blake2b(text, digest_size=16).hexdigest().encode("ascii")
    (cache / "manifest.json").write_bytes(text + b"\nblake2b " + seal + b"\n")


def with_value(rows: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    """The rows with one value changed."""
    values = rows.column(column).to_pylist()
    values[row] = value
    return with_column(rows, column, pa.array(values, rows.schema.field(column).type))


def with_column(rows: pa.Table, column: str, values: Any) -> pa.Table:
    """The rows with one column changed."""
    return rows.set_column(rows.column_names.index(column), column, values)
