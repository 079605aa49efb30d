"""Rebuild the JSON files of cached runs, and write them to a folder."""

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import merge
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from magnet_arrow import _arrow_compute as pc
from magnet_arrow import _durable
from magnet_arrow.decode.wire import BESIDE, Residual
from magnet_arrow.errors import CacheDamagedError, FolderNotWritableError, MagnetError, RestoreError, Where
from magnet_arrow.query.stored_tables import StoredTables, stored_types
from magnet_arrow.restore import assemble
from magnet_arrow.restore.helm_text import helm_text, list_texts, object_texts
from magnet_arrow.schema import dynamic_types
from magnet_arrow.schema.registry import ENTRY, ROW, RUN, RUN_NAME, RUN_TABLES, TABLES, Form, Table
from magnet_arrow.sources.file import plain_name
from magnet_arrow.sources.paths import absolute
from magnet_arrow.storage.named_runs import find_cached as find_cached
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

_STATS = TABLES["stats"]
_TABLE_OF = {table.file: table for table in RUN_TABLES if table.file}
_STATE_ORDER = ("adapter_spec", "request_states", "annotator_specs")


@dataclass(frozen=True, slots=True)
class RebuiltFile:
    """One file of a run. Its long list is rebuilt item by item, and can be read once.

    Attributes:
        document: the complete file; if there is a list, the object that it is a member of.
        elements: items of the list; None if there is none.
        key: which member of the document the list is; None if it is the document.
        text: the file itself, where it was kept as it is; it may be no JSON.
    """

    document: Any = None
    elements: Iterable[Any] | None = None
    key: str | None = None
    text: str | None = None

    def value(self) -> Any:
        """The file as Python's `json` reads it."""
        if self.text is not None:
            return json.loads(self.text.removeprefix("\ufeff"))
        if self.elements is None:
            return self.document
        if self.key is None:
            return list(self.elements)
        return {**self.document, self.key: list(self.elements)}

    def texts(self) -> Iterator[str]:
        """The file, in pieces: as it was kept, or as HELM would write it (`json.dumps(indent=2)`)."""
        if self.text is not None:
            yield self.text
        elif self.elements is None:
            yield helm_text(self.document)
        elif self.key is None:
            yield from list_texts(self.elements, 0)
        else:
            yield from object_texts(self.document, self.key, self.elements)


def kept_names(run: CachedRun) -> list[str]:
    """Names of a run's files that are kept, sorted, without the ending of those that were compressed."""
    entry = run.entry
    return sorted({plain_name(stamp.name) for stamp in run.fingerprint} - {*entry.not_kept, *entry.not_chosen})


class RunFiles:
    """The files of a cached run, or of a suite's own files, each rebuilt when it is asked for.

    A file that ended early is rebuilt up to its last complete element.

    Attributes:
        names: see `kept_names`.
    """

    def __init__(self, stored: StoredTables, run: CachedRun) -> None:
        self._stored, self._run = stored, run
        self.names = kept_names(run)

    def rebuild(self, name: str) -> RebuiltFile:
        """One of the files.

        Raises:
            CacheDamagedError: what is stored of it can't be read, or is not what was written; for a file with a list
                perhaps only when its elements are asked for.
        """
        with _as_damage(self._run, name):
            rebuilt = self._rebuilt(name)
        elements = rebuilt.elements
        return rebuilt if elements is None else replace(rebuilt, elements=_guarded(self._run, name, elements))

    def _rebuilt(self, name: str) -> RebuiltFile:
        table = _TABLE_OF.get(name) if name in self._run.entry.elements else None
        if table is None:
            return RebuiltFile(text=self._texts[name])
        text = self._run.entry.residual.get(name)
        residual: Residual = {} if text is None else dynamic_types.parse_many([text])[0]
        match table.form:
            case Form.STATE:
                return self._scenario_state(table, residual)
            case Form.ENTRIES:
                return RebuiltFile(elements=self._entries(table, residual))
            case Form.OBJECT:
                [document] = self._elements(table, self._rows(table))
                return RebuiltFile(document)
        elements = self._elements(table, self._rows(table))
        return RebuiltFile(elements=map(assemble.with_integer_zeros, elements) if table is _STATS else elements)

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        """Files that were kept as they are, by name."""
        table = TABLES["files" if self._run.entry.folder else "suite_files"]
        paths, texts = table.named("path"), table.named("text")
        pairs = [
            zip(_values(rows.column(paths)), _values(rows.column(texts)), strict=True) for rows in self._rows(table)
        ]
        return dict(chain.from_iterable(pairs))

    def _rows(self, table: Table) -> Iterator[pa.Table]:
        """The run's rows of a table; checked to be of this run, complete, and in order."""
        run = self._run
        n_rows = 0
        for rows in self._stored.rows(run, table.name):
            numbers = pa.chunked_array([pa.array(range(n_rows, n_rows + rows.num_rows), pa.int64())])
            n_rows += rows.num_rows
            is_named = table.of == "suite" or _all_are(rows.column(RUN_NAME), run.name)
            if not (is_named and _all_are(rows.column(RUN), run.key) and rows.column(ROW).equals(numbers)):
                raise _damaged(run, table.file, "rows of another run, or in another order")
            yield rows
        if n_rows != run.rows(table.name).rows:
            raise _damaged(run, table.file, f"{n_rows} rows of {run.rows(table.name).rows}")

    def _elements(self, table: Table, parts: Iterable[pa.Table]) -> Iterator[Any]:
        rebuilder = assemble.rebuilder_of_elements(table, stored_types(self._run, table.name))
        for rows in parts:
            for element, residual in rebuilder.elements(rows):
                yield assemble.put(element, residual)

    def _scenario_state(self, table: Table, residual: Residual) -> RebuiltFile:
        key = "request_states"
        parts = self._rows(table)
        first = list(islice(parts, 1))
        rest = assemble.rebuilder_of_rest(table)
        state: dict[str, Any] = {key: []}
        for rows in first:
            for element, in_row in rest.elements(rows.slice(0, 1)):
                state = assemble.put(state | element, in_row.get(BESIDE, {}))
        state = assemble.put(state, residual)
        order = {name: number for number, name in enumerate(_STATE_ORDER)}
        ordered = {name: state[name] for name in sorted(state, key=lambda name: order.get(name, len(order)))}
        return RebuiltFile(ordered, self._elements(table, self._same_rest(table, chain(first, parts))), key)

    def _same_rest(self, table: Table, parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The rows; checked to agree about what the file holds besides the request states."""
        before: pa.Table | None = None
        for rows in parts:
            rest = rows.select([name for name in rows.column_names if _is_rest(table, name)])
            joined = rest if before is None else pa.concat_tables([before, rest])
            for column in joined.itercolumns():
                if not column.slice(1).equals(column.slice(0, len(column) - 1)) and _differ(column.to_pylist()):
                    raise _damaged(self._run, table.file, "rows that do not agree about the rest of the file")
            before = rest.slice(0, 1)
            yield rows

    def _entries(self, table: Table, residual: Residual) -> Iterator[Any]:
        """The entries of per-instance stats, those without a row among them."""
        rowless = sorted((int(pointer[1:]), entry) for pointer, entry in residual.items())
        found = merge(assemble.entries(self._numbered(table)), rowless, key=itemgetter(0))
        for expected, (number, entry) in enumerate(found):
            if number != expected:
                raise _damaged(self._run, table.file, f"entry {number} where entry {expected} should be")
            yield entry

    def _numbered(self, table: Table) -> Iterator[tuple[int, dict[str, Any], Residual]]:
        rebuilder = assemble.rebuilder_of_elements(table, stored_types(self._run, table.name))
        for rows in self._rows(table):
            for number, (element, extra) in zip(_values(rows.column(ENTRY)), rebuilder.elements(rows), strict=True):
                yield number, element, extra


def _values(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def _all_are(column: pa.ChunkedArray, value: str) -> bool:
    return bool(pc.all(pc.equal(column, value), skip_nulls=False, min_count=0).as_py())


def _is_rest(table: Table, name: str) -> bool:
    """Whether a column of the scenario state is of what the file holds besides the request states."""
    return name.startswith(f"{table.name}.") and not name.startswith(f"{assemble.STATES}.")


def _differ(values: Sequence[Any]) -> bool:
    """Whether values differ. NaN equals NaN here, unlike in Arrow."""
    return len(set(map(repr, values))) > 1


def _guarded(run: CachedRun, file: str, elements: Iterable[Any]) -> Iterator[Any]:
    with _as_damage(run, file):
        yield from elements


@contextmanager
def _as_damage(run: CachedRun, file: str) -> Iterator[None]:
    """Report a failure to rebuild rows as damage, though their checksums hold: bad JSON text, a pointer to nowhere."""
    try:
        yield
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(run, file, f"what cannot be rebuilt ({type(error).__name__}: {error})") from error


def _damaged(run: CachedRun, file: str, found: str) -> CacheDamagedError:
    where = Where(f"{run.entry.suite}/{run.entry.folder}", file)
    hint = "Move the cache away and ingest the sources again."
    return CacheDamagedError("", where=where, expected="what was written to the cache", found=found, hint=hint)


def restore(snapshot: Snapshot, run: CachedRun, out: Path, *, stored: StoredTables | None = None) -> Path:
    """Write a run's files below a folder, as `runs/<suite>/<run>`; the run's folder.

    The folder is there with all its kept files or not at all. On Windows `:` in its name becomes `-`.

    Args:
        snapshot: of the cache.
        run: what to restore.
        out: the folder.
        stored: its tables, where runs are restored one after the other, since neighbours share row groups.

    Raises:
        CacheDamagedError: what is stored of it can't be read.
        RestoreError: the run's folder is there already, its name leads out of `out`, or the locale cannot write it.
        FolderNotWritableError: the disk refused, or there are no rights.
    """
    target = _target(run, absolute(out))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _durable.replacing(target, lambda: f".restoring-{secrets.token_hex(8)}") as staged:
            _write_files(RunFiles(stored or StoredTables(snapshot), run), run, staged)
    except OSError as error:
        if isinstance(error, MagnetError):
            raise
        raise FolderNotWritableError.of(target, error, "with out= or --out") from error
    return target


_LEFTOVER = re.compile(r"\.restoring-[0-9a-f]{16}")


def remove_leftovers(out: Path) -> list[Path]:
    """Remove what killed restores have left in this folder; returns the folders removed."""
    runs = absolute(out) / "runs"
    try:
        suites = [runs / name for name in sorted(os.listdir(runs))]
    except OSError:  # it is not there; or writing will tell
        return []
    return [path for suite in suites for path in _durable.remove_leftovers(suite, _LEFTOVER)]


def _write_files(files: RunFiles, run: CachedRun, folder: Path) -> None:
    for name in files.names:
        if not _is_name(name):
            raise RestoreError(f"The file {name!r} of {run.key!r} cannot be restored: its name leads elsewhere.")
        with (folder / name).open("wb") as file:
            for text in files.rebuild(name).texts():
                file.write(text.encode("utf-8"))


def _target(run: CachedRun, out: Path) -> Path:
    """Where a run is to be restored, found to be below `out` and free."""
    suite, folder = _fit(run.entry.suite), _fit(run.entry.folder)
    if not (_is_name(suite) and _is_name(folder)):
        raise RestoreError(f"The run {run.key!r} cannot be restored: its name leads out of {out}.")
    target = out / "runs" / suite / folder
    try:
        os.fsencode(target)
    except UnicodeEncodeError:
        hint = "Set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8."
        raise RestoreError(f"The name of {run.key!r} cannot be written under this locale.", hint=hint) from None
    if not target.parent.resolve().is_relative_to(out.resolve()):
        raise RestoreError(f"{target.parent} leads out of {out}.", hint="A link is in the way: name another folder.")
    if os.path.lexists(target):
        raise RestoreError(f"{target} is there already.", hint="Nothing is overwritten: name another folder.")
    return target


def _fit(name: str) -> str:
    return name.replace(":", "-") if os.name == "nt" else name


def _is_name(name: str) -> bool:
    """Whether a string is a folder's name, not a path."""
    return name not in ("", ".", "..") and not any(sign in name for sign in ("/", "\0", os.sep, os.altsep or "/"))
