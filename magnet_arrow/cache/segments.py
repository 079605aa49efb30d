"""Segments: many runs in one immutable Parquet file a table, written once and read by row group.

5,000 small files cost a hundred times what one costs, so runs share files; a row group ends at a run's end, so that
four of 5,000 runs are read without touching the rest. Pages carry checksums, and every read verifies them.
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from magnet_arrow import freeform, schema
from magnet_arrow.cache import manifest
from magnet_arrow.cache.manifest import FileEntry, Profile, RunEntry, RunList, Segment, StoredRows, TableEntry
from magnet_arrow.columns import Batch, plain_columns
from magnet_arrow.errors import CacheDamagedError, CacheNotWritableError
from magnet_arrow.freeform import CellType, Kind
from magnet_arrow.schema import Table
from magnet_arrow.spreading import RunRows, bounded, residual_text, with_overflow

_HELD_BYTES = 32 << 20
"""Arrow bytes of a table held back before its file is begun: the longer, the more columns are known by then."""


@dataclass(slots=True)
class _Placed:
    """A run's rows of one table, as its batches came."""

    group: int
    groups: int
    skip: int
    rows: int
    occurs: int
    dynamic: dict[str, Kind]


class TableWriter:
    """Writes one table of a segment.

    The columns found in the data are known only when all runs have been seen. Up to `_HELD_BYTES` are held back for
    that; past them a file is begun with the columns met so far, and where later ones don't fit, another part is
    begun and the parts are made one at the end.
    """

    def __init__(self, table: Table, path: Path) -> None:
        self.table = table
        self.path = path
        self.kinds: dict[str, Kind] = {}
        self.placed: dict[str, _Placed] = {}
        self.rows = 0
        self._groups = 0
        self._held: list[Batch] = []
        self._held_bytes = 0
        self._parts: dict[Path, dict[str, Kind]] = {}
        self._writer: pq.ParquetWriter | None = None
        self._written: dict[str, CellType] = {}

    def add(self, batch: Batch) -> None:
        """One row group."""
        for name, kind in batch.kinds.items():
            self.kinds[name] = self.kinds.get(name, Kind(0)) | kind
        for run in batch.runs:
            self._place(run)
        self._groups += 1
        self.rows += batch.rows
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes > _HELD_BYTES:
            self._spill()

    def _place(self, run: RunRows) -> None:
        placed = self.placed.get(run.key)
        if placed is None:
            self.placed[run.key] = _Placed(self._groups, 1, run.first, run.rows, run.occurs, run.dynamic)
            return
        placed.groups += 1
        placed.rows += run.rows
        placed.occurs |= run.occurs
        for name, kind in run.dynamic.items():
            placed.dynamic[name] = placed.dynamic.get(name, Kind(0)) | kind

    def _stored(self) -> dict[str, CellType]:
        """The columns found in the data that get a stored column, in order of name; the others go to the residual."""
        kept, _ = bounded(self.kinds, (placed.dynamic for placed in self.placed.values()))
        types = {name: freeform.stored_type(kept[name]) for name in sorted(kept)}
        return {name: cell_type for name, cell_type in types.items() if cell_type != freeform.NOTHING}

    def _spill(self) -> None:
        stored = self._stored()
        if self._writer is None or stored != self._written:
            self._begin_part(stored)
        self._write_held()

    def _begin_part(self, stored: dict[str, CellType]) -> None:
        self._close()
        part = self.path.with_suffix(f".part{len(self._parts)}")
        self.path.parent.mkdir(exist_ok=True)
        self._parts[part] = {name: self.kinds[name] for name in stored}
        self._written = stored
        self._writer = _open_writer(part, self.table, stored)

    def _write_held(self) -> None:
        assert self._writer is not None
        for batch in self._held:
            self._writer.write_table(_stored_table(batch, self._written), row_group_size=max(1, batch.rows))
        self._held, self._held_bytes = [], 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def finish(self) -> TableEntry:
        """Write what is left; the file is complete, though not flushed to disk yet."""
        stored = self._stored()
        if self._writer is None or stored != self._written:
            self._begin_part(stored)
        self._write_held()
        self._close()
        if len(self._parts) == 1:
            os.replace(next(iter(self._parts)), self.path)
        else:
            self._join_parts(stored)
        kinds = {name: int(self.kinds[name]) for name in stored}
        return TableEntry(file_entry(self.path, self.path.parent.parent), self.rows, kinds)

    def _join_parts(self, stored: dict[str, CellType]) -> None:
        with _open_writer(self.path, self.table, stored) as writer:
            for part, written in self._parts.items():
                with pq.ParquetFile(part, page_checksum_verification=True) as file:
                    for group in range(file.num_row_groups):
                        writer.write_table(
                            _restored_table(file.read_row_group(group), self.table, written, stored),
                            row_group_size=max(1, file.metadata.row_group(group).num_rows),
                        )
        for part in self._parts:
            part.unlink()

    def discard(self) -> None:
        """Remove whatever was written."""
        self._close()
        for path in (*self._parts, self.path):
            path.unlink(missing_ok=True)


def _open_writer(path: Path, table: Table, stored: dict[str, CellType]) -> pq.ParquetWriter:
    fields = [pa.field(column.name, column.type) for column in table.columns]
    fields += [pa.field(name, cell_type.arrow) for name, cell_type in stored.items()]
    try:
        return pq.ParquetWriter(
            path,
            pa.schema(fields),
            compression="zstd",
            compression_level=1,
            write_page_checksum=True,
            # Without the Arrow schema in the file, readers see plain columns where we wrote dictionaries.
            store_schema=False,
        )
    except OSError as error:
        raise CacheNotWritableError(f"{path} cannot be written: {error}.") from error


def _stored_table(batch: Batch, stored: dict[str, CellType]) -> pa.Table:
    columns = plain_columns(batch)
    overflow = {name: batch.kinds[name] for name in batch.dynamic if name not in stored}
    if overflow:
        columns[schema.EXTRA] = with_overflow(columns[schema.EXTRA], columns, batch.table, overflow)
    columns = {name: columns[name] for name in batch.registered}
    for name, cell_type in stored.items():
        column = batch.dynamic.get(name)
        if column is None:
            columns[name] = pa.nulls(batch.rows, cell_type.arrow)
        else:
            columns[name] = freeform.convert(column, freeform.stored_type(batch.kinds[name]), cell_type)
    return pa.table(columns)


def _restored_table(
    part: pa.Table, table: Table, written: Mapping[str, Kind], stored: Mapping[str, CellType]
) -> pa.Table:
    """A part's row group with the columns of the whole segment.

    Which ones have room was another matter when the part was begun: what has none any more goes to the residual, and
    what has it now is taken out of there.
    """
    columns = {name: part.column(name) for name in table.names}
    lost = {name: kind for name, kind in written.items() if name not in stored}
    if lost:
        columns[schema.EXTRA] = with_overflow(part.column(schema.EXTRA), part, table, lost)
    columns |= _out_of_residual(
        columns[schema.EXTRA], table, {name: stored[name] for name in stored if name not in written}
    )
    for name, kind in written.items():
        if name in stored:
            column = part.column(name).combine_chunks()
            columns[name] = freeform.convert(column, freeform.stored_type(kind), stored[name])
    return pa.table({name: columns[name] for name in (*table.names, *stored)})


def _out_of_residual(extra: pa.Array, table: Table, types: Mapping[str, CellType]) -> dict[str, pa.Array]:
    """These columns with the values that the residual has of them, and the residual without."""
    residuals = [{} if text is None else dict(freeform.parse_many([text])[0]) for text in extra.to_pylist()]
    columns = {}
    for name, cell_type in types.items():
        spread = table.spread_of(name)
        assert spread is not None, name
        place = schema.pointer_of(spread, name)
        values = [None if residual.get(place) is None else residual.pop(place) for residual in residuals]
        columns[name] = freeform.array_of(values, cell_type)
    texts = [residual_text(residual) if residual else None for residual in residuals]
    return {**columns, schema.EXTRA: pa.array(texts, pa.string())} if types else {}


class SegmentWriter:
    """Writes one segment: hand it row groups and the runs they are of, then `finish` it."""

    def __init__(self, cache: Path) -> None:
        self.id = secrets.token_hex(8)
        self._cache = cache
        self._runs: list[RunEntry] = []
        self._tables = {
            name: TableWriter(table, cache / name / f"{self.id}.parquet") for name, table in schema.TABLES.items()
        }
        try:
            (cache / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheNotWritableError(f"The cache {cache} cannot be written: {error.strerror}.") from error

    def add(self, batch: Batch) -> None:
        """One row group of one table."""
        self._tables[batch.table.name].add(batch)

    def add_run(self, entry: RunEntry) -> None:
        """A run whose rows are in the row groups; where they are is filled in at the end."""
        self._runs.append(entry)

    @property
    def n_runs(self) -> int:
        """Runs so far."""
        return len(self._runs)

    def finish(self) -> Segment:
        """All files written, none flushed to disk.

        Raises:
            CacheNotWritableError: the disk is full, or something else kept a file from being written.
        """
        try:
            tables = {name: writer.finish() for name, writer in self._tables.items() if writer.rows}
            path = self._cache / "runs" / f"{self.id}.json"
            path.write_bytes(manifest.encode(self._run_list()))
            runs = file_entry(path, self._cache)
            return Segment(self.id, tables, runs, len(self._runs), schema_version=schema.SCHEMA_VERSION)
        except (OSError, pa.ArrowException) as error:
            self.discard()
            raise CacheNotWritableError(f"The cache {self._cache} cannot be written: {error}.") from error

    def _run_list(self) -> RunList:
        profiles: dict[bytes, tuple[int, Profile]] = {}
        runs = []
        for run in sorted(self._runs, key=lambda run: run.key):
            tables = {}
            for name, writer in self._tables.items():
                placed = writer.placed.get(run.key)
                if placed is None:
                    continue
                dynamic = {column: int(kind) for column, kind in sorted(placed.dynamic.items())}
                profile = Profile(f"{placed.occurs:x}", dynamic)
                number, _ = profiles.setdefault(manifest.encode(profile), (len(profiles), profile))
                tables[name] = StoredRows(placed.rows, placed.group, placed.groups, placed.skip, number)
            _check_sums(run, tables)
            runs.append(msgspec.structs.replace(run, tables=tables))
        return RunList(tuple(profile for _, profile in profiles.values()), tuple(runs))

    def discard(self) -> None:
        """Remove whatever was written."""
        for writer in self._tables.values():
            writer.discard()
        (self._cache / "runs" / f"{self.id}.json").unlink(missing_ok=True)


def _check_sums(run: RunEntry, tables: Mapping[str, StoredRows]) -> None:
    """Every element that was decoded is a row that was written (a mistake of ours if not)."""
    for table in schema.RUN_TABLES:
        elements = run.elements.get(table.file)
        if elements is not None:
            rows = tables[table.name].rows if table.name in tables else 0
            if rows != elements:
                raise AssertionError(f"{run.key}/{table.file}: {elements} elements became {rows} rows")


def file_entry(path: Path, cache: Path) -> FileEntry:
    """The entry of a file that has just been written."""
    return FileEntry(path.relative_to(cache).as_posix(), path.stat().st_size, digest(path))


def digest(path: Path) -> str:
    """BLAKE2b of a file; of a Parquet file of its footer alone, since its pages have checksums."""
    with path.open("rb") as file:
        if path.suffix == ".parquet":
            file.seek(-8, os.SEEK_END)
            length = int.from_bytes(file.read(4), "little")
            file.seek(-min(length + 8, file.tell() + 4), os.SEEK_END)
        return hashlib.blake2b(file.read(), digest_size=16).hexdigest()


def check_file(cache: Path, entry: FileEntry) -> Path:
    """The path of a file of the cache that is there and has its size.

    Raises:
        CacheDamagedError: it is not.
    """
    path = cache / entry.path
    try:
        size = path.stat().st_size
    except OSError as error:
        raise damaged(path, error.strerror or "missing") from None
    if size != entry.size_bytes:
        raise damaged(path, f"it has {size} bytes, {entry.size_bytes} were written")
    return path


def check_digest(cache: Path, entry: FileEntry) -> Path:
    """As `check_file`, and the digest is that of what was written.

    Raises:
        CacheDamagedError: it is not.
    """
    path = check_file(cache, entry)
    if digest(path) != entry.digest:
        raise damaged(path, "its content has changed")
    return path


def damaged(path: Path, what: str) -> CacheDamagedError:
    """The error for a damaged file of the cache."""
    hint = "Ingest the source again with --retry: the runs in it are taken anew."
    return CacheDamagedError(f"{path} is damaged: {what}.", hint=hint)


class TableFile:
    """An open table of a segment, read by row group with page checksums verified."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise damaged(path, str(error)) from error
        self._names = set(self._file.schema_arrow.names)

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Some columns of a row group; those that the file does not have are left out.

        Raises:
            CacheDamagedError: cut, or a bit flipped.
        """
        there = [name for name in columns if name in self._names]
        try:
            # A name also brings the columns below it in the file's eyes (`a` brings `a.b`); select drops them.
            return self._file.read_row_group(group, columns=there).select(there)
        except (OSError, pa.ArrowException) as error:
            raise damaged(self._path, str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextlib.contextmanager
def open_table(cache: Path, entry: TableEntry) -> Iterator[TableFile]:
    """A table of a segment, to be read.

    Raises:
        CacheDamagedError: the file is missing, has another size, or another footer than was written.
    """
    file = TableFile(check_digest(cache, entry.file))
    try:
        yield file
    finally:
        file.close()
