"""Shared by the readers of runs and of suites: the tables' builders, and what was read of a run."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from magnet_arrow._text import as_size
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.decode.wire import Residual
from magnet_arrow.errors import BadFileError, Rejected
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion.rules import Run, chosen_files
from magnet_arrow.records.flatten import residual_text
from magnet_arrow.records.row_group import Batch
from magnet_arrow.records.table_builder import Owner, Rows, TableBuilder
from magnet_arrow.records.table_builders import builder_of
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import Table
from magnet_arrow.sources.file import FileStamp, SourceFile, SystemReadError, plain_name
from magnet_arrow.storage.manifest import RunEntry

MAX_TEXT_BYTES = 64 << 20
"""A file without a table of its own is kept as text up to this size."""

B = TypeVar("B", bound=TableBuilder[Any])


class TableBuilders:
    """The builders of all tables, each made when it is asked for: most runs have files of a few tables only.

    Args:
        add: is given each row group.

    Attributes:
        rows: how many rows the row groups had, by table.
    """

    def __init__(self, add: Callable[[Batch], None]) -> None:
        self._add = add
        self._builders: dict[str, TableBuilder[Any]] = {}
        self.rows: dict[str, int] = dict.fromkeys(registry.TABLES, 0)

    def find(self, table: Table, kind: type[B]) -> B:
        """The builder of a table, which is known to be of this kind."""
        builder = self.of(table)
        assert isinstance(builder, kind), (table.name, kind)
        return builder

    def of(self, table: Table) -> TableBuilder[Any]:
        """The builder of a table."""
        builder = self._builders.get(table.name)
        if builder is None:
            builder = self._builders[table.name] = builder_of(table)
        return builder

    def flush_full(self) -> None:
        """Pass on the row groups that are full."""
        for builder in self._builders.values():
            if builder.is_full:
                self._pass_on(builder.flush())

    def finish(self) -> None:
        """Pass on all rows, in the order of the tables; what is appended later goes to new builders."""
        for table in registry.TABLES:
            builder = self._builders.pop(table, None)
            if builder is not None and builder.rows:
                self._pass_on(builder.finish())

    def _pass_on(self, batch: Batch) -> None:
        self.rows[batch.table.name] += batch.rows
        self._add(batch)


@dataclass(slots=True)
class Found:
    """What was read of the files of a run, or of a suite.

    Attributes:
        rows: rows to append, with their table and how many bytes of JSON they were read from.
        unexpected: unknown fields and values of another type: how often, by (what, file and JSON path).
        elements: how many rows each file has.
        rejected: what was excluded: ends of files that end early, missing files of an incomplete run.
        residuals: what no row of a file can hold.
        cut: where files that end early were cut, as the number of bytes before.
        missing: required files that are missing or unreadable.
        not_kept: files that are not in the cache.
    """

    rows: list[tuple[Table, Rows, int]] = field(default_factory=list)
    unexpected: Counter[tuple[str, str]] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)
    residuals: dict[str, Residual] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    not_kept: list[str] = field(default_factory=list)

    def forget(self, table: Table) -> None:
        """Forget the rows of a table's file, which is to be read again or as text."""
        self.rows = [(of, rows, size) for of, rows, size in self.rows if of is not table]
        self.elements.pop(table.file, None)
        self.residuals.pop(table.file, None)
        self.cut.pop(table.file, None)

    def entry(self, entry: RunEntry) -> RunEntry:
        """The entry of the run with what was found."""
        return replace(
            entry,
            residual={name: residual_text(residual) for name, residual in self.residuals.items() if residual},
            not_kept=tuple(sorted(self.not_kept)),
            missing=tuple(self.missing),
            cut=dict(self.cut),
            elements=dict(self.elements),
            rejected=tuple(self.rejected),
        )


@dataclass(frozen=True, slots=True)
class ReadContext:
    """What the readers of all runs use.

    Attributes:
        tables: the tables' builders.
        buffer: reused for every file.
        on_bytes: told how many bytes of JSON have been read since it was last called.
    """

    tables: TableBuilders
    buffer: Buffer
    on_bytes: Callable[[int], None]

    def append(self, entry: RunEntry, table: Table, rows: Rows, json_bytes: int) -> None:
        """Append rows of a run: they are good."""
        self.tables.of(table).append(rows, [Owner(entry.key, entry.name, json_bytes)])

    def load(self, file: SourceFile) -> bytes:
        """The bytes of a whole file, without a byte-order mark.

        Raises:
            BadFileError: it cannot be read, is too large, or empty.
        """
        self.buffer.clear()
        whole = self.buffer.load(file)
        return bytes(whole.buffer[whole.begin : whole.end])

    def read_text(self, place: RunPlace, name: str) -> tuple[str, bytes] | None:
        """A file that is kept as text: the text, and its bytes without a byte-order mark. None if it cannot be kept.

        Raises:
            SystemReadError: the system does not let it be read.
        """
        try:
            with SourceFile(place.path, name, where_of(place)) as file:
                if file.size_bytes > MAX_TEXT_BYTES:
                    return None
                self.buffer.clear()
                whole = self.buffer.load(file, empty=True, max_bytes=MAX_TEXT_BYTES)
                text = bytes(whole.buffer[: whole.end]).decode("utf-8")
                self.on_bytes(file.size_bytes)
        except SystemReadError:
            raise
        except (BadFileError, UnicodeDecodeError):
            return None
        return text, bytes(memoryview(whole.buffer)[whole.begin : whole.end])


def new_entry(run: Run, name: str = "") -> RunEntry:
    """The entry of a run or suite before anything is known of its rows."""
    place, tables = run.place, run.rules.tables
    chosen = None if tables is None else tuple(sorted(tables))
    return RunEntry(run.source, place.suite, place.folder, name, run.stamps, {}, chosen=chosen)


def where_of(place: RunPlace) -> str:
    """The run, as messages name it; the suite if there is no run."""
    return f"{place.suite}/{place.folder}".rstrip("/")


PICTURED = registry.TABLES["display_predictions"]
"""The table whose file may embed pictures."""
PEEKED_BYTES = 4 << 20
"""Predictions in a bucket of this size or more are fetched only after their beginning was looked at: they may embed
pictures, which are not kept unless the rules say so, and reach gigabytes then."""
WHY_NOT_CHOSEN = "no chosen table needs it"
PEEK_BYTES = 1 << 20
"""So much of them is looked at."""
DERIVED = frozenset({"runs.json"})
"""Files that are not kept: all that is in them is in others (`runs.json` reaches 2 GB)."""


def read_as_a_whole(run: Run) -> list[FileStamp]:
    """Those files of a run or suite that are certainly read from beginning to end."""
    return [
        stamp
        for stamp in chosen_files(run)
        if (name := plain_name(stamp.name)) not in DERIVED
        and (name != PICTURED.file or stamp.size_bytes < PEEKED_BYTES or run.rules.pictures)
    ]


def why_not_kept(name: str) -> str:
    """Why a file of a run or a suite is not in the cache."""
    if name == PICTURED.file:
        return "it embeds pictures; they are read with pictures=True or --pictures"
    if name in DERIVED:
        return "all that is in it is in the runs' own files"
    return f"it is no UTF-8 text of at most {as_size(MAX_TEXT_BYTES)}"
