"""The `Rows` of each kind of table: how the elements of its file become rows."""

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
from msgspec import Struct

from magnet_arrow.decode import layout_split
from magnet_arrow.decode.byte_search import count_byte, has
from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.decode.decoder import ESCAPED_QUOTE, QUOTE, ElementDecoder, NotPlainError, decoder_of
from magnet_arrow.decode.wire import Residual
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import Object, object_shape
from magnet_arrow.records.column_builders import Objects, Shared, require_plain
from magnet_arrow.records.stat_builders import InstanceStatRows, RecurringRows, StatRows
from magnet_arrow.records.table_builder import Rows
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import Form, Table

_HOT_BYTES = 3 << 18
"""How much is decoded before it becomes columns: a long chunk as a whole would leave the processor's caches."""
MAX_ITEMS = 1 << 29
"""Items of lists that may stand in the rows of a run because they stand once in its file."""
_STATE_END = b"\n    }"


class ObjectRows(Rows):
    """A table whose file is one object: one row a run or suite.

    Attributes:
        plain_objects: those that were staged by `stage_plain` last.
    """

    plain_objects: list[Any]

    def _reset(self) -> None:
        super()._reset()
        self._objects = Shared(self.table.name, "", Objects(_shape_of(self.table)))
        self._shared = (self._objects,)

    def _stage_plain(self, files: Sequence[Chunk]) -> list[int]:
        self.plain_objects = objects = decoder_of(_struct_of(self.table)).plain_pieces(file.view for file in files)
        first = self._objects.objects.count
        quotes = self._objects.objects.extend(objects, exact=False)
        _require_quotes(files, quotes)
        self._objects.codes.extend(range(first, first + len(objects)))
        return [1] * len(objects)

    def stage_whole(self, files: Sequence[tuple[str, bytes]]) -> None:
        """More objects of the run at hand: whole files, or the elements of files that are arrays.

        Args:
            files: their names and bytes.

        Raises:
            NotPlainError: one of them may hold something that needs another look. Nothing more is staged.
        """
        decoder = decoder_of(_struct_of(self.table))
        found, names = [], []
        for name, whole in files:
            values = decoder.plain(whole) if whole.lstrip().startswith(b"[") else decoder.plain_pieces([whole])
            found += values
            names += [name] * len(values)
        needed = require_plain([whole for _, whole in files])
        if found:
            self._objects.add_all(found, needed)
            self._stage_names(names)
            self._add_staged(len(found))

    def stage_object(self, value: Any, residual: Residual, file: str = "") -> None:
        """An object of the run at hand, and of the file that it is in."""
        self._objects.codes.append(self._objects.add(value, residual))
        self._stage_names([file])
        self._add_staged(1)

    def _stage_names(self, files: Sequence[str]) -> None:
        """Where objects are from, one by one."""


class FiledRows(ObjectRows):
    """A table of objects out of several files, which a column names."""

    def _reset(self) -> None:
        super()._reset()
        self._files: list[str] = []

    def _stage_names(self, files: Sequence[str]) -> None:
        self._files += files

    def drop(self) -> None:
        """See `Rows`."""
        del self._files[self.rows :]
        super().drop()

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield self.table.named("file"), pa.array(self._files, pa.string())
        yield from super()._columns()


class ElementRows(Rows):
    """A table whose file is an array of objects that seldom recur: one row an element."""

    def __init__(self, name: str) -> None:
        self._decoder = ElementDecoder(_struct_of(registry.table(name)))
        super().__init__(name)

    def _reset(self) -> None:
        super()._reset()
        self._objects = Objects(self._decoder.shape)

    def _stage_plain(self, files: Sequence[Chunk]) -> list[int]:
        quotes = 0
        held: list[Any] = []
        held_bytes = 0
        for file in files:
            file.count = 0
            for region in layout_split.cuts(file, layout_split.ELEMENT_END, _HOT_BYTES):
                _require_room(file, region)
                values = region.decoded_by(self._decoder.plain)
                file.count += len(values)
                held += values
                held_bytes += region.end - region.begin
                if held_bytes >= _HOT_BYTES:
                    quotes += self._objects.extend(held, exact=False)
                    held, held_bytes = [], 0
        if held:
            quotes += self._objects.extend(held, exact=False)
        _require_quotes(files, quotes)
        return [file.count for file in files]

    def _stage(self, chunk: Chunk) -> None:
        decoded = self._decoder.careful(chunk)
        self._objects.extend(decoded.structs, exact=True)
        self._staged_residuals = decoded.residuals
        self._add_staged(len(decoded.structs))

    def drop(self) -> None:
        """See `Rows`."""
        self._objects.truncate(self.rows)
        super().drop()

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield from self._objects.columns(self.table.name)


class TextRows(Rows):
    """A table of two texts a row: a file's path and content, or a map's key and value."""

    def _reset(self) -> None:
        super()._reset()
        self._pairs: list[tuple[str, str]] = []

    def stage_pair(self, first: str, second: str) -> None:
        """One row."""
        self._pairs.append((first, second))
        self._add_staged(1)

    def drop(self) -> None:
        """See `Rows`."""
        del self._pairs[self.rows :]
        super().drop()

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        own = [name for name in self.table.names if name not in self.table.hidden and name != registry.RUN_NAME]
        for place, name in enumerate(own):
            yield name, pa.array([pair[place] for pair in self._pairs], pa.string())


class StateRows(Rows):
    """`scenario_state`: one row a request state, with the rest of the file beside it."""

    _PREFIX = "scenario_state.request_states"
    _INSTANCE = ElementDecoder(structs.Instance)
    _REQUEST = ElementDecoder(structs.RequestState)
    _STATE = ElementDecoder(structs.ScenarioState)

    def __init__(self) -> None:
        self._rest_value: Any = None
        self._rest_items = 0
        self._run_rows = 0
        super().__init__("scenario_state")

    def _reset(self) -> None:
        super()._reset()
        self._rest = Shared("scenario_state", "", Objects(registry.STATE_REST))
        self._rest_number: int | None = None
        shape = self._INSTANCE.shape
        self._instances = Shared(f"{self._PREFIX}.instance", "/instance", Objects(shape), self._INSTANCE)
        self._requests = Objects(self._REQUEST.shape, shared=["instance"])
        self._shared = (self._rest, self._instances)

    def stage_rest(self, rest: Any) -> None:
        """What stands beside the request states of the run at hand, before the first of them."""
        self._rest_value, self._rest_number = rest, None
        self._rest_items = _items_of(rest)

    def stage_documents(self, files: Sequence[Chunk]) -> None:
        """As `stage_plain`, with whole files instead of their arrays."""
        self._stage_parts(self._stage_documents, files)

    def _stage_documents(self, files: Sequence[Chunk]) -> list[int]:
        counts: list[int] = []
        quotes = 2 * len(files)  # of the key of the request states
        rests: list[Any] = []
        for few in _hot(files):
            if any(map(_is_dense, few)):
                raise NotPlainError
            documents = self._STATE.plain_pieces(file.view for file in few)
            quotes += self._extend(list(chain.from_iterable(document.request_states or () for document in documents)))
            for document in documents:
                counts.append(len(document.request_states or ()))
                document.request_states = None
            rests += documents
        if 0 in counts:
            raise NotPlainError  # no row is there to hold what stands beside them
        # A list has fewer items than its file bytes.
        if any(count * (file.end - file.begin) > MAX_ITEMS for count, file in zip(counts, files, strict=True)):
            raise NotPlainError
        first = self._rest.objects.count
        _require_quotes(files, quotes + self._rest.objects.extend(rests, exact=False))
        for number, count in enumerate(counts, first):
            self._rest.codes.extend(array("i", [number]) * count)
        return counts

    def _stage_plain(self, files: Sequence[Chunk]) -> list[int]:
        if self._rest_number is None:
            self._rest_number = self._rest.add(self._rest_value)
        quotes = 0
        for file in files:
            file.count = 0
            for region in layout_split.cuts(file, _STATE_END, _HOT_BYTES):
                _require_room(file, region)
                states = region.decoded_by(self._REQUEST.plain)
                quotes += self._extend(states)
                file.count += len(states)
            self._rest.codes.extend(array("i", [self._rest_number]) * file.count)
        _require_quotes(files, quotes)
        if (self._run_rows + sum(file.count for file in files)) * self._rest_items > MAX_ITEMS:
            raise NotPlainError
        return [file.count for file in files]

    def _extend(self, states: Sequence[Any]) -> int:
        """Rows of these states; how many quotation marks a file needs for them."""
        numbers = self._instances.number_pieces([state.instance for state in states])
        self._instances.codes.extend(numbers)
        keys = 2 * (len(numbers) - numbers.count(-1))
        return keys + self._instances.quotes(numbers) + self._requests.extend(states, exact=False)

    def _stage(self, chunk: Chunk) -> None:
        decoded = self._REQUEST.careful(chunk)
        self._requests.extend(decoded.structs, exact=True)
        numbers = self._instances.number_pieces([state.instance for state in decoded.structs])
        if self._rest_number is None:
            self._rest_number = self._rest.add(self._rest_value)
        self._instances.codes.extend(numbers)
        self._rest.codes.extend(array("i", [self._rest_number]) * len(numbers))
        self._staged_residuals = decoded.residuals
        self._add_staged(len(numbers))
        self._require_few_items(chunk, len(numbers))

    def _require_few_items(self, chunk: Chunk, rows: int) -> None:
        rows += self._run_rows
        if rows * self._rest_items > MAX_ITEMS:
            where = Where(chunk.where.run, chunk.where.file, "$")
            expected = f"lists beside the request states with at most {MAX_ITEMS:,} items in all rows together"
            found = f"{self._rest_items:,} items for each of {rows:,} rows"
            hint = "Every request state would have them. Shorten the lists of `adapter_spec`, or leave the run out."
            raise BadFileError("", where=where, expected=expected, found=found, hint=hint)

    def keep(self, key: str, name: str, json_bytes: int = 0) -> None:
        """See `Rows`."""
        self._run_rows += self._parts[0] if self._parts else 0
        super().keep(key, name, json_bytes)

    def drop(self) -> None:
        """See `Rows`."""
        self._requests.truncate(self.rows)
        super().drop()

    def end_run(self) -> None:
        """See `Rows`."""
        self._run_rows = 0
        super().end_run()

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield from self._requests.columns(self._PREFIX)
        yield from super()._columns()


def _items_of(held: Any) -> int:
    """Items of the lists in a wire struct, and in those within."""
    if isinstance(held, list):
        return len(held)
    if not isinstance(held, Struct):
        return 0
    return sum(_items_of(getattr(held, name)) for name in held.__struct_fields__ if name != "request_states")


def _hot(files: Sequence[Chunk]) -> Iterator[list[Chunk]]:
    """Some files at a time."""
    few: list[Chunk] = []
    for file in files:
        few.append(file)
        if few[-1].end - few[0].begin >= _HOT_BYTES:
            yield few
            few = []
    if few:
        yield few


def _require_room(file: Chunk, region: layout_split.Region) -> None:
    """A region that could not be cut small may have any number of elements.

    Raises:
        NotPlainError: it may have too many to be decoded at once.
    """
    if region.end - region.begin > 2 * _HOT_BYTES and file.is_crowded:
        raise NotPlainError


def _is_dense(file: Chunk) -> bool:
    """Whether a file is long, and has more values than HELM's layout has room for."""
    size = file.end - file.begin
    return size > 2 * _HOT_BYTES and count_byte(file.buffer, b","[0], file.begin, file.end) * 8 > size


def _require_quotes(files: Sequence[Chunk], needed: int) -> None:
    """See `decode.QUOTE`; the files lie one behind the other."""
    first = files[0]
    if count_byte(first.buffer, QUOTE[0], first.begin, files[-1].end) != needed:
        raise NotPlainError
    if has(first.buffer, first.begin, files[-1].end, ESCAPED_QUOTE):
        raise NotPlainError


def rows_of(table: Table) -> Rows:
    """The `Rows` that fills a table."""
    own = {"scenario_state": StateRows, "stats": StatRows, "per_instance_stats": InstanceStatRows}
    if table.name in own:
        return own[table.name]()
    if table.name == "instances":  # runs of other models have the same ones
        return RecurringRows(table.name, _struct_of(table))
    if table.name == "groups":
        return FiledRows(table.name)
    if table.of == "suite" and table.form is Form.ARRAY:
        return ObjectRows(table.name)
    forms = {Form.OBJECT: ObjectRows, Form.ARRAY: ElementRows, Form.MAP: TextRows, Form.TEXTS: TextRows}
    return forms[table.form](table.name)


def _struct_of(table: Table) -> type[Struct]:
    assert table.struct is not None, table.name
    return table.struct


def _shape_of(table: Table) -> Object:
    return object_shape(_struct_of(table))
