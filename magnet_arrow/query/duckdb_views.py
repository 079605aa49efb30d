"""Views for DuckDB: one per table, over the Parquet files of a snapshot, and one of the runs. DuckDB reads the files.

DuckDB tells the columns of a file apart by name without regard to case: of `x.A` and `x.a` it calls the second
`x.a_1`, and gives the first for both. So columns are addressed by their position in the file, and renamed.

A segment may have a column in another type than the view. Rows that count fit the view's type. DuckDB may convert the
others before it filters them away, so no conversion may fail (`TRY`).
"""

import glob
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from magnet_arrow.decode.wire import BESIDE, dumps, escape
from magnet_arrow.query.projection import ProjectedColumn, all_columns
from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.schema.dynamic_types import JSON_TEXT, NOTHING, CellType, Kind, settled
from magnet_arrow.schema.registry import EXTRA, RUN, RUN_NAME, TABLES, Table, sql_name
from magnet_arrow.storage import checksums
from magnet_arrow.storage.manifest import Segment
from magnet_arrow.storage.profiles import kinds_of
from magnet_arrow.storage.segments.evolution import Other
from magnet_arrow.storage.segments.reader import other_columns
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def create(snapshot: Snapshot, connection: "DuckDBPyConnection") -> pl.DataFrame:
    """See `Cache.to_duckdb`."""
    rows = []
    for table in TABLES.values():
        projection = all_columns(table, _live(snapshot, table))
        names = table.sql_names(column.name for column in projection if not column.registered)
        selects = [_select(files, paths, table, projection, names) for files, paths in _alike(snapshot, table).items()]
        query = " UNION ALL ".join(selects) or _no_rows(projection, names)
        connection.execute(f"CREATE OR REPLACE VIEW {_name(table.name)} AS {query}")
        rows += [(table.name, column.name, names[column.name], _sql_type(column.type.arrow)) for column in projection]
    rows += _create_runs(snapshot, connection)
    return pl.DataFrame(rows, schema=["table", "column", "sql_name", "type"], orient="row")


def _create_runs(snapshot: Snapshot, connection: "DuckDBPyConnection") -> list[tuple[str, str, str, str]]:
    """Make the view `runs`, with a row for each run of the frame.

    The rows are in the view's text, as JSON: DuckDB reads 10,000 in 20 ms, and as VALUES in 500.
    """
    paths = {source.id: source.path for source in snapshot.manifest.sources}
    runs = [
        (run.key, paths[run.entry.source], run.entry.suite, run.entry.folder, run.name, *_states(snapshot, run))
        for run in snapshot.runs.values()
    ]
    names = [sql_name(column) for column in RUNS_COLUMNS]
    rows = json.dumps([dict(zip(names, run, strict=True)) for run in runs])
    types = json.dumps([dict(zip(names, RUNS_COLUMNS.values(), strict=True))])
    query = f"SELECT unnest(from_json({_text(rows)}, {_text(types)}), recursive := true)"
    connection.execute(f"CREATE OR REPLACE VIEW runs AS {query}")
    return [("runs", column, name, RUNS_COLUMNS[column]) for column, name in zip(RUNS_COLUMNS, names, strict=True)]


def _states(snapshot: Snapshot, run: CachedRun) -> tuple[bool, bool]:
    return run.entry.is_partial, run.key in snapshot.stale


RUNS_COLUMNS = {
    **dict.fromkeys((RUN, "source", "suite", "folder", RUN_NAME), "VARCHAR"),
    **dict.fromkeys(("partial", "stale"), "BOOLEAN"),
}
"""Columns of the view `runs`, as in `Cache.runs`, and their types."""


def _live(snapshot: Snapshot, table: Table) -> list[CachedRun]:
    """The runs, or suites, that have rows of a table."""
    return [run for run in snapshot.entries.values() if run.rows(table.name).rows]


@dataclass(frozen=True, slots=True)
class _Files:
    """What a group of files has in common that one SELECT can read.

    Attributes:
        columns: in their order.
        stored: types of those that were found in the data.
        elsewhere: columns found in the data that old caches kept in the residual, see `profiles.in_residual`.
        dead: runs whose rows do not count.
        others: columns that are not as the registry of today has them.
    """

    columns: tuple[str, ...]
    stored: tuple[tuple[str, CellType], ...]
    elsewhere: frozenset[str]
    dead: tuple[str, ...]
    others: tuple[Other, ...]


def _alike(snapshot: Snapshot, table: Table) -> dict[_Files, list[Path]]:
    """The files of a table, grouped by what they have in common."""
    runs: dict[str, list[CachedRun]] = {}
    for run in _live(snapshot, table):
        runs.setdefault(run.segment.id, []).append(run)
    alike: dict[_Files, list[Path]] = {}
    for segment in snapshot.manifest.segments:
        if segment.id in runs:
            entry = segment.tables[table.name].file
            path = checksums.check_digest(snapshot.path, entry)
            dead = tuple(sorted(snapshot.deleted(segment)))
            others = other_columns(snapshot.path, segment, table.name)
            with checksums.reading(snapshot.path, entry):
                files = _files(path, segment, table, runs[segment.id], dead, others)
            alike.setdefault(files, []).append(path.absolute())
    return alike


def _files(
    path: Path,
    segment: Segment,
    table: Table,
    runs: Sequence[CachedRun],
    dead: tuple[str, ...],
    others: tuple[Other, ...],
) -> _Files:
    dynamic = segment.tables[table.name].dynamic
    stored = tuple((name, dynamic_types.stored_type(Kind(kinds))) for name, kinds in sorted(dynamic.items()))
    met = {name for name, kinds in kinds_of(table, runs).items() if dynamic_types.frame_type(kinds) != NOTHING}
    return _Files(tuple(pq.read_schema(path).names), stored, frozenset(met - dynamic.keys()), dead, others)


def _no_rows(projection: Iterable[ProjectedColumn], names: dict[str, str]) -> str:
    nulls = (f"{_null(column.type)} AS {_name(names[column.name])}" for column in projection)
    return f"SELECT {', '.join(nulls)} WHERE false"


def _select(
    files: _Files, paths: Iterable[Path], table: Table, projection: Iterable[ProjectedColumn], names: dict[str, str]
) -> str:
    places = {name: f"c{number}" for number, name in enumerate(files.columns)}
    columns = (f"{_expression(column, files, places, table)} AS {_name(names[column.name])}" for column in projection)
    listed = ", ".join(_text(glob.escape(str(path))) for path in paths)
    query = (
        f"SELECT {', '.join(columns)} "
        f"FROM read_parquet([{listed}], hive_partitioning = false) AS file({', '.join(places.values())})"
    )
    dead = ", ".join(map(_text, files.dead))
    return f"{query} WHERE {places[RUN]} NOT IN ({dead})" if dead else query


def _expression(column: ProjectedColumn, files: _Files, places: dict[str, str], table: Table) -> str:
    """A column of a view out of a file."""
    if column.name == EXTRA and files.others:
        return _extra(files.others, places)
    if column.name in places:
        changed = {other.name: CellType(other.type) for other in files.others}
        have = changed.get(column.name, column.type) if column.registered else dict(files.stored)[column.name]
        return _converted(places[column.name], have, column.type)
    owner = table.dynamic_object_of(column.name)
    if owner is None or column.name not in files.elsewhere:
        return _null(column.type)
    # A key of the residual is a JSON pointer; here it is a part of another pointer.
    pointer = "/" + escape(registry.pointer_of(owner, column.name))
    text = f"CAST(json_extract({places[EXTRA]}, {_text(pointer)}) AS VARCHAR)"
    return _converted(f"nullif({text}, 'null')", JSON_TEXT, column.type)


def _extra(others: Iterable[Other], places: dict[str, str]) -> str:
    """The residual, with the values of columns of another schema that do not fit today's."""
    members: dict[bool, list[str]] = {False: [], True: []}
    for other in others:
        if other.may_lose:
            place = places[other.name]
            value = place if other.name in other.json_text else f"CAST(to_json({place}) AS VARCHAR)"
            key = _text(dumps(other.pointer).decode("ascii") + ":")
            members[other.is_beside].append(f"CASE WHEN {place} IS NOT NULL THEN {key} || {value} END")
    if members[True]:
        beside = f"nullif(concat_ws(',', {', '.join(members[True])}), '')"
        members[False].append(f"{_text(dumps(BESIDE).decode('ascii') + ':{')} || {beside} || '}}'")
    extra = places[EXTRA]
    if not members[False]:
        return extra
    more = f"nullif(concat_ws(',', {', '.join(members[False])}), '')"
    return f"coalesce('{{' || {more} || coalesce(',' || substr({extra}, 2), '}}'), {extra})"


def _converted(value: str, have: CellType, want: CellType) -> str:
    """`dynamic_types.convert` in SQL."""
    if want == NOTHING:
        return _null(want)
    if have == want:
        return value
    if want.is_json:
        return f"CAST(to_json({value}) AS VARCHAR)"
    if have.is_json and pa.types.is_string(want.arrow):
        return f"TRY(json_extract_string({value}, '$'))"
    if have.is_json and pa.types.is_nested(want.arrow):
        return f"TRY(CAST(CAST({value} AS JSON) AS {_sql_type(want.arrow)}))"
    if not have.is_json and pa.types.is_nested(have.arrow) != pa.types.is_nested(want.arrow):
        return _null(want)  # only runs that are dead have values here
    return f"TRY_CAST({value} AS {_sql_type(want.arrow)})"


def _null(column: CellType) -> str:
    return f"CAST(NULL AS {_sql_type(column.arrow)})"


def _sql_type(arrow: pa.DataType) -> str:
    arrow = settled(arrow)
    if pa.types.is_list(arrow):
        return f"{_sql_type(arrow.value_type)}[]"
    if pa.types.is_struct(arrow):
        return f"STRUCT({', '.join(f'{_name(field.name)} {_sql_type(field.type)}' for field in arrow)})"
    return _SQL_TYPES[arrow]


_SQL_TYPES = {pa.string(): "VARCHAR", pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN"}


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
