"""DuckDB with explicit columns: the same four tables, flattened, each as one Parquet file."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
from dumps import files_of
from json_types import in_duckdb, leaves

LARGEST_OBJECT_BYTES = 4_294_967_295


def to_parquet(outputs: str, types: str, work: str, threads: str = "1") -> Iterator[Any]:
    """Read, flatten and write, at zstd's first level."""
    folder = Path(tempfile.mkdtemp(prefix="duckdb-", dir=work))
    steps = _steps(outputs, types, folder, "COMPRESSION zstd, COMPRESSION_LEVEL 1", threads)
    yield next(steps)
    yield next(steps)
    shutil.rmtree(folder)


def to_parquet_kept(outputs: str, types: str, folder: str) -> Iterator[Any]:
    """The same at the compression that DuckDB chooses for zstd, into a folder that is kept."""
    yield from _steps(outputs, types, Path(folder), "COMPRESSION zstd")


def _steps(outputs: str, types: str, folder: Path, options: str, threads: str = "1") -> Iterator[Any]:
    files = files_of(outputs)
    kinds = json.loads(Path(types).read_text())
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(threads)}")
    queries = {table: _query(table, kinds[table], paths) for table, paths in files.items()}
    rows = {}
    yield None
    for table, query in queries.items():
        target = folder / f"{table}.parquet"
        connection.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, {options})")
        rows[table] = connection.fetchone()[0]  # type: ignore[index]  # a COPY tells its rows
    connection.close()
    yield rows


def _query(table: str, kind: Any, paths: list[str]) -> str:
    """One row a run spec, request state, stat, or stat of an instance, all leaves in columns of their own."""
    columns = ", ".join(f"'{name}': '{in_duckdb(one)}'" for name, one in kind.items())
    names = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    form = "unstructured" if table in ("run_spec", "scenario_state") else "array"
    # An object has to fit a buffer of this size, and the scenario state is one.
    most = min(max(16 << 20, 2 * max(map(os.path.getsize, paths))), LARGEST_OBJECT_BYTES)
    read = (
        f"read_json([{names}], format = '{form}', columns = {{{columns}}}, filename = true, "
        f"hive_partitioning = false, maximum_object_size = {most})"
    )
    array = {"scenario_state": "request_states", "per_instance_stats": "stats"}.get(table)
    outer = [path for path in leaves(kind) if path[0] != array]
    inner = [(array, *path) for path in leaves(kind[array][0])] if array else []
    unnested = f", unnest({array}) AS element" if array else ""
    rows = f"SELECT * {f'EXCLUDE ({array})' if array else ''} {unnested} FROM {read}"
    shown = [f'{_path(path)} AS "{".".join(path)}"' for path in outer]
    shown += [f'{_path(("element", *path[1:]))} AS "{".".join(path)}"' for path in inner]
    return f"SELECT filename, {', '.join(shown)} FROM ({rows})"


def _path(path: tuple[str, ...]) -> str:
    return ".".join(f'"{part}"' for part in path)
