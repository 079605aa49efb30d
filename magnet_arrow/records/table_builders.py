"""The builder of each table: how the elements of its file become rows."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
from msgspec import Struct

from magnet_arrow.decode import helm_layout, layout_split
from magnet_arrow.decode.byte_search import count_byte, has
from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.decode.decoder import ESCAPED_QUOTE, QUOTE, ElementDecoder, FastDecodeError, decoder_of
from magnet_arrow.decode.wire import Residual
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import Object, object_shape
from magnet_arrow.records.column_builders import Converted, InexactError, StructBuilder
from magnet_arrow.records.interner import Interner, count_quotes
from magnet_arrow.records.stat_builders import InstanceStatsBuilder, RecurringBuilder, StatsBuilder
from magnet_arrow.records.table_builder import ArrayBuilder, Rows, TableBuilder, moved
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import Form, Table

_HOT_BYTES = 3 << 18
"""How much is decoded before it becomes columns: more would leave the processor's caches."""
MAX_ITEMS = 1 << 29
"""How many items the lists beside the request states may have in all rows of a run together."""
_STATE_END = helm_layout.object_end(2)


@dataclass(slots=True)
class ObjectRows(Rows):
    """Rows that are an object each.

    Attributes:
        values: the objects, decoded.
        objects: the same as columns have them.
        files: the file that each is from; empty where the table has no such column.
    """

    values: list[Any]
    objects: Converted[Any]
    files: list[str]


class ObjectBuilder(TableBuilder[ObjectRows]):
    """Builds row groups of a table whose file is one object, or a few: one row per object."""

    def _begin_group(self) -> None:
        super()._begin_group()
        self._objects = StructBuilder(_shape_of(self.table))

    def _read_files(self, files: Sequence[Chunk]) -> ObjectRows:
        values = decoder_of(_struct_of(self.table)).fast_pieces(file.view for file in files)
        objects = self._objects.convert(values, exact=False)
        _require_quotes(files, objects.quotes)
        return ObjectRows([1] * len(values), values, objects, [])

    def read_documents(self, files: Sequence[tuple[str, bytes]]) -> ObjectRows:
        """The rows of some files of one run or suite, of which each is an object or an array of objects.

        Args:
            files: their names and bytes.

        Raises:
            FastDecodeError: one of them may hold something that needs a closer look.
        """
        decoder = decoder_of(_struct_of(self.table))
        values, names = [], []
        for name, whole in files:
            found = decoder.fast(whole) if whole.lstrip().startswith(b"[") else decoder.fast_pieces([whole])
            values += found
            names += [name] * len(found)
        try:
            objects = self._objects.convert(values, exact=False)
        except InexactError:
            raise FastDecodeError from None
        if objects.quotes != count_quotes([whole for _, whole in files]):
            raise FastDecodeError
        return ObjectRows([len(values)], values, objects, names)

    def row_of(self, value: Any, residual: Residual, file: str = "") -> ObjectRows:
        """The row of one object that was decoded with care.

        Args:
            value: the object.
            residual: what it could not hold.
            file: where it is from.
        """
        objects = self._objects.convert([value], exact=True)
        return ObjectRows([1], [value], objects, [file], residuals={0: residual} if residual else {})

    def _append_values(self, rows: ObjectRows) -> None:
        self._objects.append(rows.objects)

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield from self._objects.columns(self.table.name)


class NamedObjectBuilder(ObjectBuilder):
    """Builds row groups of a table of objects from several files, with a column that names each one's file."""

    def _begin_group(self) -> None:
        super()._begin_group()
        self._files: list[str] = []

    def _append_values(self, rows: ObjectRows) -> None:
        super()._append_values(rows)
        self._files += rows.files

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield self.table.named("file"), pa.array(self._files, pa.string())
        yield from super()._columns()


@dataclass(slots=True)
class PairRows(Rows):
    """Rows that are two strings each."""

    pairs: list[tuple[str, str]]


class PairBuilder(TableBuilder[PairRows]):
    """Builds row groups of two strings per row: a file's path and content, or a map's key and value."""

    def _begin_group(self) -> None:
        super()._begin_group()
        self._pairs: list[tuple[str, str]] = []

    def rows_of(self, pairs: list[tuple[str, str]]) -> PairRows:
        """The rows of these pairs, all of one run or suite."""
        return PairRows([len(pairs)], pairs)

    def _append_values(self, rows: PairRows) -> None:
        self._pairs += rows.pairs

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        own = [name for name in self.table.names if name not in self.table.hidden and name != registry.RUN_NAME]
        for place, name in enumerate(own):
            yield name, pa.array([pair[place] for pair in self._pairs], pa.string())


@dataclass(slots=True)
class ElementRows(Rows):
    """Rows that are an element each, converted some at a time."""

    elements: list[Converted[Any]]


class ElementBuilder(ArrayBuilder[ElementRows]):
    """Builds row groups of a table whose file is an array of objects that seldom recur: one row per element."""

    def __init__(self, name: str) -> None:
        self._decoder = ElementDecoder(_struct_of(registry.table(name)))
        super().__init__(name)

    def _begin_group(self) -> None:
        super()._begin_group()
        self._elements = StructBuilder(self._decoder.shape)

    def _read_fast(self, chunks: Sequence[Chunk]) -> ElementRows:
        found: list[Converted[Any]] = []
        held: list[Any] = []
        held_bytes = 0
        for chunk in chunks:
            chunk.count = 0
            for region in layout_split.regions(chunk, layout_split.ELEMENT_END, _HOT_BYTES):
                _require_room(chunk, region)
                values = region.decoded_by(self._decoder.fast)
                chunk.count += len(values)
                held += values
                held_bytes += region.end - region.begin
                if held_bytes >= _HOT_BYTES:
                    found.append(self._elements.convert(held, exact=False))
                    held, held_bytes = [], 0
        if held:
            found.append(self._elements.convert(held, exact=False))
        _require_quotes(chunks, sum(elements.quotes for elements in found))
        return ElementRows([chunk.count for chunk in chunks], found)

    def _read_carefully(self, chunk: Chunk) -> ElementRows:
        decoded = self._decoder.careful(chunk)
        elements = self._elements.convert(decoded.structs, exact=True)
        return ElementRows([len(decoded.structs)], [elements], residuals=decoded.residuals)

    def _append_values(self, rows: ElementRows) -> None:
        for elements in rows.elements:
            self._elements.append(elements)

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield from self._elements.columns(self.table.name)


@dataclass(slots=True)
class StateRows(Rows):
    """Rows that are a request state each.

    Attributes:
        requests: the request states without their instances, converted some at a time.
        instances: the number of each one's instance.
        rests: what is beside the request states in each file; None if `rest` says it.
        rest: the same, of the only file, decoded.
    """

    requests: list[Converted[Any]]
    instances: "array[int]"
    rests: Converted[Any] | None = None
    rest: Any = None


class StateBuilder(ArrayBuilder[StateRows]):
    """Builds row groups of `scenario_state`: one row per request state, with the rest of the file in each."""

    _PREFIX = "scenario_state.request_states"
    _INSTANCE = ElementDecoder(structs.Instance)
    _REQUEST = ElementDecoder(structs.RequestState)
    _STATE = ElementDecoder(structs.ScenarioState)

    def __init__(self) -> None:
        super().__init__("scenario_state")

    def _begin_group(self) -> None:
        super()._begin_group()
        self._rests = Interner("scenario_state", "", StructBuilder(registry.STATE_REST))
        self._last_rest: tuple[Any, int] = (None, -1)
        shape = self._INSTANCE.shape
        self._instances = Interner(f"{self._PREFIX}.instance", "/instance", StructBuilder(shape), self._INSTANCE)
        self._requests = StructBuilder(self._REQUEST.shape, without=["instance"])
        self._interners = (self._rests, self._instances)

    def _read_files(self, files: Sequence[Chunk]) -> StateRows:
        found = StateRows([], [], array("i"))
        quotes = 2 * len(files)  # of the key of the request states
        rests: list[Any] = []
        for few in _hot(files):
            if any(map(_is_dense, few)):
                raise FastDecodeError
            documents = self._STATE.fast_pieces(file.view for file in few)
            quotes += self._add(
                found, list(chain.from_iterable(document.request_states or () for document in documents))
            )
            for document in documents:
                found.counts.append(len(document.request_states or ()))
                document.request_states = None
            rests += documents
        if 0 in found.counts:
            raise FastDecodeError  # no row is there to hold what is beside them
        # A list has fewer items than its file has bytes.
        if any(count * (file.end - file.begin) > MAX_ITEMS for count, file in zip(found.counts, files, strict=True)):
            raise FastDecodeError
        found.rests = self._rests.objects.convert(rests, exact=False)
        _require_quotes(files, quotes + found.rests.quotes)
        return found

    def read(self, chunk: Chunk, beside: Any = None) -> StateRows:
        """The rows of some request states of one run. See `ArrayBuilder.read`."""
        rows = super().read(chunk, beside)
        rows.rest = beside
        _require_few_items(chunk, rows.count, _items_of(beside))
        return rows

    def _read_fast(self, chunks: Sequence[Chunk]) -> StateRows:
        found = StateRows([], [], array("i"))
        quotes = 0
        for chunk in chunks:
            chunk.count = 0
            for region in layout_split.regions(chunk, _STATE_END, _HOT_BYTES):
                _require_room(chunk, region)
                states = region.decoded_by(self._REQUEST.fast)
                quotes += self._add(found, states)
                chunk.count += len(states)
            found.counts.append(chunk.count)
        _require_quotes(chunks, quotes)
        return found

    def _add(self, found: StateRows, states: Sequence[Any]) -> int:
        """Add these states to what was found; how many quotation marks a file needs for them."""
        numbers = self._instances.numbers_of([state.instance for state in states])
        found.instances.extend(numbers)
        requests = self._requests.convert(states, exact=False)
        found.requests.append(requests)
        keys = 2 * (len(numbers) - numbers.count(-1))
        return keys + self._instances.quotes(numbers) + requests.quotes

    def _read_carefully(self, chunk: Chunk) -> StateRows:
        decoded = self._REQUEST.careful(chunk)
        requests = self._requests.convert(decoded.structs, exact=True)
        numbers = self._instances.numbers_of([state.instance for state in decoded.structs])
        return StateRows([len(numbers)], [requests], numbers, residuals=decoded.residuals)

    def residuals_of(self, rows: StateRows) -> Iterator[Residual]:
        """What no column holds of each row's element. See `TableBuilder.residuals_of`."""
        yield from super().residuals_of(rows)
        for residual in self._instances.residuals_of(rows.instances):
            yield moved(residual, self._instances.pointer)

    def _append_values(self, rows: StateRows) -> None:
        for requests in rows.requests:
            self._requests.append(requests)
        self._instances.codes.extend(rows.instances)
        for number, count in zip(self._numbers_of_rests(rows), rows.counts, strict=True):
            self._rests.codes.extend(array("i", [number]) * count)

    def _numbers_of_rests(self, rows: StateRows) -> Sequence[int]:
        if rows.rests is not None:
            first = self._rests.objects.count
            self._rests.objects.append(rows.rests)
            return range(first, self._rests.objects.count)
        rest, number = self._last_rest
        if number < 0 or rest is not rows.rest:
            number = self._rests.add(rows.rest)
            self._last_rest = rows.rest, number
        return [number]

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield from self._requests.columns(self._PREFIX)
        yield from super()._columns()


def _require_few_items(chunk: Chunk, rows: int, items: int) -> None:
    """Require that the lists beside the request states are short enough, as each row has them.

    Raises:
        BadFileError: they are not.
    """
    rows += chunk.first
    if rows * items > MAX_ITEMS:
        where = Where(chunk.where.run, chunk.where.file, "$")
        expected = f"lists beside the request states with at most {MAX_ITEMS:,} items in all rows together"
        found = f"{items:,} items for each of {rows:,} rows"
        hint = "Every request state would have them. Shorten the lists of `adapter_spec`, or leave the run out."
        raise BadFileError("", where=where, expected=expected, found=found, hint=hint)


def _items_of(held: Any) -> int:
    """Items of the lists in a wire struct, and in those within."""
    if isinstance(held, list):
        return len(held)
    if not isinstance(held, Struct):
        return 0
    return sum(_items_of(getattr(held, name)) for name in held.__struct_fields__ if name != "request_states")


def _hot(files: Sequence[Chunk]) -> Iterator[list[Chunk]]:
    """Some files at a time, of about `_HOT_BYTES` together."""
    few: list[Chunk] = []
    for file in files:
        few.append(file)
        if few[-1].end - few[0].begin >= _HOT_BYTES:
            yield few
            few = []
    if few:
        yield few


def _require_room(chunk: Chunk, region: layout_split.Region) -> None:
    """Require that a region which the layout could not divide is small enough.

    Raises:
        FastDecodeError: it may have too many to be decoded at once.
    """
    if region.end - region.begin > 2 * _HOT_BYTES and chunk.is_crowded:
        raise FastDecodeError


def _is_dense(file: Chunk) -> bool:
    """Whether a file is long, and has more values than HELM's layout has room for."""
    size = file.end - file.begin
    return size > 2 * _HOT_BYTES and count_byte(file.buffer, b","[0], file.begin, file.end) * 8 > size


def _require_quotes(files: Sequence[Chunk], needed: int) -> None:
    """Require that consecutive files have just the quotation marks that their values need.

    Raises:
        FastDecodeError: they have others; see `decoder.QUOTE`.
    """
    first = files[0]
    if count_byte(first.buffer, QUOTE[0], first.begin, files[-1].end) != needed:
        raise FastDecodeError
    if has(first.buffer, first.begin, files[-1].end, ESCAPED_QUOTE):
        raise FastDecodeError


def builder_of(table: Table) -> TableBuilder[Any]:
    """A new builder for a table."""
    own: dict[str, Callable[[], TableBuilder[Any]]] = {
        "scenario_state": StateBuilder,
        "stats": StatsBuilder,
        "per_instance_stats": InstanceStatsBuilder,
    }
    if table.name in own:
        return own[table.name]()
    if table.name == "instances":  # runs of other models have the same ones
        return RecurringBuilder(table.name, _struct_of(table))
    if table.name == "groups":
        return NamedObjectBuilder(table.name)
    if table.of == "suite" and table.form is Form.ARRAY:
        return ObjectBuilder(table.name)
    forms: dict[Form, type[TableBuilder[Any]]] = {
        Form.OBJECT: ObjectBuilder,
        Form.ARRAY: ElementBuilder,
        Form.MAP: PairBuilder,
        Form.TEXTS: PairBuilder,
    }
    return forms[table.form](table.name)


def _struct_of(table: Table) -> type[Struct]:
    assert table.struct is not None, table.name
    return table.struct


def _shape_of(table: Table) -> Object:
    return object_shape(_struct_of(table))
