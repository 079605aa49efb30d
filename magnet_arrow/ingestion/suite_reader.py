"""Reads the files beside the runs of a suite, which `helm-summarize` writes: as texts, and as rows of their tables."""

import json
from collections.abc import Sequence

import msgspec

from magnet_arrow.decode.decoder import FastDecodeError, document, parse_document
from magnet_arrow.decode.wire import dumps
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm.declared_types import object_shape
from magnet_arrow.ingestion.reading import DERIVED, Found, ReadContext, new_entry, where_of, why_not_kept
from magnet_arrow.ingestion.rejection import rejected_of
from magnet_arrow.ingestion.rules import Run, chosen_files
from magnet_arrow.records.table_builders import ObjectBuilder, PairBuilder
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import Form, Table
from magnet_arrow.sources.file import plain_name
from magnet_arrow.storage.manifest import RunEntry

_TEXTS = registry.TABLES["suite_files"]
_GROUPS = registry.TABLES["groups"]
_TABLE_OF = {table.file: table for table in registry.TABLES.values() if table.file and table.of == "suite"}
_BATCH_BYTES = 1 << 20
"""Files are read into their tables together up to this size: more would leave the processor's caches."""


def table_of(name: str) -> Table | None:
    """The table of a suite's file, if there is one."""
    return _GROUPS if name.startswith("groups/") else _TABLE_OF.get(name)


class SuiteReader:
    """Reads the files of one suite.

    Args:
        run: the suite, as a run without a folder.
        context: what all readers use.

    Attributes:
        found: what was read.
    """

    def __init__(self, run: Run, context: ReadContext) -> None:
        self._place = run.place
        self._where = where_of(run.place)
        self._names = sorted({plain_name(stamp.name) for stamp in chosen_files(run)})
        self._context = context
        self._entry = new_entry(run)
        self.found = Found()

    def read(self) -> RunEntry:
        """Read the files; the suite's entry.

        Raises:
            SystemReadError: the system does not let one be read.
        """
        pairs: list[tuple[str, str]] = []
        batch: list[tuple[str, bytes]] = []
        size = 0
        for name in self._names:
            text = None if name in DERIVED else self._context.read_text(self._place, name)
            if text is None:
                self._note_not_kept(name)
                continue
            pairs.append((name, text[0]))
            if table_of(name) is not None:
                batch.append((name, text[1]))
                size += len(text[1])
            if size >= _BATCH_BYTES:
                self._read_tables(batch)
                batch, size = [], 0
        self._read_tables(batch)
        if pairs:
            self.found.rows.append((_TEXTS, self._context.tables.find(_TEXTS, PairBuilder).rows_of(pairs), 0))
        return self.found.entry(self._entry)

    def _note_not_kept(self, name: str) -> None:
        self.found.not_kept.append(name)
        if name not in DERIVED:
            error = BadFileError(f"It is not kept: {why_not_kept(name)}.", where=Where(self._where, name))
            self.found.rejected.append(rejected_of(self._where, self._place.path, error))

    def _read_tables(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Read files into their tables: all of one table at once if they are ordinary, else one by one."""
        by_table: dict[str, list[tuple[str, bytes]]] = {}
        for name, whole in files:
            table = table_of(name)
            assert table is not None, name
            by_table.setdefault(table.name, []).append((name, whole))
        for table_name, of_table in by_table.items():
            table = registry.TABLES[table_name]
            if self._read_fast(table, of_table):
                continue
            for name, whole in of_table:
                try:
                    self._read_file(table, name, whole)
                except BadFileError as error:
                    rejected = rejected_of(self._where, self._place.path, error)
                    hint = (
                        f"It is not in table {table_name}, but kept as text in suite_files. Run helm-summarize again."
                    )
                    self.found.rejected.append(msgspec.structs.replace(rejected, hint=hint))

    def _read_fast(self, table: Table, files: Sequence[tuple[str, bytes]]) -> bool:
        """Read files of one table at once; whether they are ordinary enough for that."""
        if table.form is Form.MAP:
            return False
        try:
            rows = self._context.tables.find(table, ObjectBuilder).read_documents(files)
        except FastDecodeError:
            return False
        self.found.rows.append((table, rows, 0))
        return True

    def _read_file(self, table: Table, name: str, whole: bytes) -> None:
        if self._read_fast(table, [(name, whole)]):
            return
        where = Where(self._where, name)
        value = parse_document(whole, where)
        if table.form is Form.MAP:
            items = value.items() if isinstance(value, dict) else ()
            pairs = [(key, text if isinstance(text, str) else json.dumps(text)) for key, text in items]
            self.found.rows.append((table, self._context.tables.find(table, PairBuilder).rows_of(pairs), 0))
            return
        assert table.struct is not None
        shape = object_shape(table.struct)
        builder = self._context.tables.find(table, ObjectBuilder)
        elements = value if isinstance(value, list) else [value]
        decoded = [document(dumps(element), shape, where) for element in elements]
        self.found.rows += [(table, builder.row_of(struct, residual, name), 0) for struct, residual in decoded]
