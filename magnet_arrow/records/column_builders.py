"""Column builders: collect the values of one field from many rows, and make a column of them.

Values come a batch at a time. `convert` makes Arrow arrays of them at once, while they are in the processor's caches,
and changes no column; `append` adds what was converted. So a run whose last file is bad leaves nothing behind: its
values are converted and never appended.

Builders form a tree that has the shape of HELM's objects. Objects that recur from row to row are kept once, and rows
hold their number: see `interner`.
"""

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import pyarrow as pa
from msgspec.structs import astuple

from magnet_arrow import _arrow_compute as pc
from magnet_arrow.decode.byte_search import count_byte
from magnet_arrow.decode.decoder import QUOTE, is_extreme
from magnet_arrow.decode.wire import INTERNED, partial_type
from magnet_arrow.helm.declared_types import FreeForm, ListOf, Object, Scalar, Shape
from magnet_arrow.schema.registry import arrow_type

_EXACT = 2.0**53
_FEW = 256
"""Python finds the least and the greatest of fewer numbers than this sooner than it calls Arrow."""
_NO_CODE = array("i", [-1])

D = TypeVar("D")


class InexactError(Exception):
    """The decoded values may have lost something, so the file must be decoded again, the careful way.

    A float may have been an integer that was rounded, an integer has more than 64 bits, or an object is empty, which
    its columns cannot tell from one that is missing. Or a free-form value may be more than Python's `json` can read.
    """


@dataclass(slots=True)
class Converted(Generic[D]):
    """Values in the form in which their builder appends them.

    Attributes:
        count: how many values.
        present: how many of them are not null.
        quotes: how many quotation marks JSON needs for them. A file that has more says more than they do: see
            `decoder.QUOTE`.
        data: the values; None if all are null.
    """

    count: int
    present: int
    quotes: int
    data: D | None


class ColumnBuilder(Protocol[D]):
    """Builds the column of one field."""

    def convert(self, values: Sequence[Any], exact: bool) -> Converted[D]:
        """A batch of values, ready to be appended.

        Args:
            values: as decoded; None for a missing one.
            exact: they are known to say all that the file says.

        Raises:
            InexactError: they are not known to, and may not.
        """

    def append(self, values: Converted[D]) -> None:
        """Append values that `convert` made."""

    def append_nulls(self, count: int) -> None:
        """Append so many nulls."""

    def array(self) -> pa.Array:
        """The column of all appended values."""


class _Arrays:
    """Arrow arrays of one type, one after the other. Runs of nulls are counted, and made at the end."""

    def __init__(self, arrow: pa.DataType) -> None:
        self.arrow = arrow
        self.count = 0
        self._arrays: list[pa.Array | int] = []

    def append(self, values: pa.Array) -> None:
        self._arrays.append(values)
        self.count += len(values)

    def append_nulls(self, count: int) -> None:
        last = self._arrays[-1] if self._arrays else None
        if isinstance(last, int):
            self._arrays[-1] = last + count
        else:
            self._arrays.append(count)
        self.count += count

    def array(self) -> pa.Array:
        if len(self._arrays) == 1 and not isinstance(self._arrays[0], int):
            return self._arrays[0]
        if all(isinstance(values, int) for values in self._arrays):
            return pa.nulls(self.count, self.arrow)
        return pa.concat_arrays(
            [pa.nulls(values, self.arrow) if isinstance(values, int) else values for values in self._arrays]
        )


class ScalarBuilder:
    """Builds a column of scalars, or of lists of scalars."""

    def __init__(self, arrow: pa.DataType) -> None:
        self._arrays = _Arrays(arrow)
        self._scalar = arrow.value_type if pa.types.is_list(arrow) else arrow

    def convert(self, values: Sequence[Any], exact: bool) -> Converted[pa.Array]:
        """An Arrow array of the values. See `ColumnBuilder.convert`."""
        try:
            made = pa.array(values, self._arrays.arrow)
        except (OverflowError, pa.ArrowInvalid):  # an integer of more than 64 bits
            raise InexactError from None
        flat = made.flatten() if pa.types.is_list(made.type) else made
        if not exact and pa.types.is_floating(self._scalar) and not _all_exact(flat, values if flat is made else ()):
            raise InexactError
        quotes = _string_quotes(flat) if pa.types.is_string(self._scalar) else 0
        return Converted(len(made), len(made) - made.null_count, quotes, made)

    def append(self, values: Converted[pa.Array]) -> None:
        """Append values that `convert` made."""
        self._arrays.append(values.data)

    def append_nulls(self, count: int) -> None:
        """Append so many nulls."""
        self._arrays.append_nulls(count)

    def array(self) -> pa.Array:
        """The column of all appended values."""
        return self._arrays.array()


def _all_exact(numbers: pa.Array, values: Sequence[Any]) -> bool:
    """Whether none of these floats may be an integer that was rounded; NaN and the infinities may be.

    Args:
        numbers: floats.
        values: the same numbers in Python; empty if there is no such list.
    """
    if 0 < len(values) < _FEW and not numbers.null_count:
        return bool(min(values) > -_EXACT and max(values) < _EXACT)
    ends = pc.min_max(numbers)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return low is None or bool(low > -_EXACT and high < _EXACT)


def _string_quotes(strings: pa.StringArray) -> int:
    """Quotation marks around and in these strings, which come straight from `pa.array`."""
    data = strings.buffers()[2]
    inner = 0 if data is None else count_byte(data, QUOTE[0])
    return 2 * int(len(strings) - strings.null_count) + inner


class JsonBuilder:
    """Builds a dictionary column of free-form JSON as compact text; each distinct text is kept once."""

    def __init__(self) -> None:
        self._codes = array("i")
        self._known: dict[bytes, int] = {}
        self._quotes: list[int] = []
        self._texts: dict[str, int] = {}

    def convert(self, values: Sequence[Any], exact: bool) -> "Converted[array[int]]":
        """The numbers of the values' texts. See `ColumnBuilder.convert`.

        Texts that are new are known from now on. Those that no row comes to hold stay, unused.
        """
        known, quotes = self._known, 0
        codes = array("i")
        for raw in values:
            data = bytes(raw) if raw is not None else b""
            if not data:
                codes.append(-1)
                continue
            code = known.get(data)
            if code is None:
                if not exact and is_extreme(data):
                    raise InexactError
                code = known[data] = self._texts.setdefault(_compact(data), len(self._texts))
                if code == len(self._quotes):
                    self._quotes.append(data.count(QUOTE))
            codes.append(code)
            quotes += self._quotes[code]
        return Converted(len(codes), len(codes) - codes.count(-1), quotes, codes)

    def append(self, values: "Converted[array[int]]") -> None:
        """Append values that `convert` made."""
        self._codes.extend(values.data or ())

    def append_nulls(self, count: int) -> None:
        """Append so many nulls."""
        self._codes.extend(_NO_CODE * count)

    def array(self) -> pa.Array:
        """The column of all appended values, dictionary encoded."""
        return pa.DictionaryArray.from_arrays(int32(self._codes), pa.array(list(self._texts), pa.string()))


def _compact(data: bytes) -> str:
    """JSON without blanks; numbers and escapes as they were written."""
    try:
        return msgspec.json.format(data, indent=-1).decode()
    except (msgspec.DecodeError, RecursionError):  # NaN, half a surrogate pair: decoded carefully, so compact already
        return data.decode()


class ListBuilder:
    """Builds a column of lists of objects, of free-form JSON, or of such lists."""

    def __init__(self, item: Shape) -> None:
        self._items = column_builder(item)
        self._lengths = array("i")

    def convert(self, values: Sequence[Any], exact: bool) -> "Converted[tuple[array[int], Converted[Any]]]":
        """The length of each list, -1 for null, and the items of all. See `ColumnBuilder.convert`."""
        items = self._items.convert(list(chain.from_iterable(filter(None, values))), exact)
        lengths = array("i", [-1 if entry is None else len(entry) for entry in values])
        return Converted(len(lengths), len(lengths) - lengths.count(-1), items.quotes, (lengths, items))

    def append(self, values: "Converted[tuple[array[int], Converted[Any]]]") -> None:
        """Append values that `convert` made."""
        assert values.data is not None
        lengths, items = values.data
        self._lengths.extend(lengths)
        self._items.append(items)

    def append_nulls(self, count: int) -> None:
        """Append so many nulls."""
        self._lengths.extend(_NO_CODE * count)

    def array(self) -> pa.Array:
        """The column of all appended values."""
        lengths = int32(self._lengths)
        known = lengths.fill_null(0) if lengths.null_count else lengths
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(known)])
        items = self._items.array()
        if pa.types.is_dictionary(items.type):
            items = items.cast(pa.string())
        mask = lengths.is_null() if lengths.null_count else None
        return pa.ListArray.from_arrays(offsets, items, mask=mask)


@dataclass(slots=True)
class _Fields:
    """Converted objects, field by field.

    Attributes:
        values: of each field, in the order of `StructBuilder.fields`; None for a field that no object has.
        is_present: whether each object is there; None if all are.
    """

    values: list[Converted[Any] | None]
    is_present: pa.BooleanArray | None


class StructBuilder:
    """Builds the columns of objects with declared fields: a builder per field.

    Args:
        shape: the object's fields.
        without: names of fields that get no column here.

    Attributes:
        shape: the object's fields.
        fields: builders in the order of the shape; None for a field without one.
    """

    def __init__(self, shape: Object, *, without: Collection[str] = ()) -> None:
        self.shape = shape
        self._empty = partial_type(shape.struct)()
        self._nothing = astuple(self._empty)
        self._is_present = _Arrays(pa.bool_())
        self._missing = 0  # objects appended last that are all missing: fields get their nulls when another one comes
        self.fields: list[ColumnBuilder[Any] | None] = [
            None if field.name in without else column_builder(field.shape) for field in shape.fields
        ]
        places = {name: place for place, name in enumerate(shape.struct.__struct_fields__)}
        self._places = [places[field.name] for field in shape.fields]  # a shape may leave out fields of its struct

    @property
    def count(self) -> int:
        """Objects appended so far."""
        return self._is_present.count + self._missing

    def convert(self, values: Sequence[Any], exact: bool) -> Converted[_Fields]:
        """The objects' fields. See `ColumnBuilder.convert`."""
        count = len(values)
        present = len(list(filter(None, values)))  # structs are true; `count` would compare each with None
        if not present:
            return Converted(count, 0, 0, None)
        is_present = None
        if present < count:
            is_present = pa.array([value is not None for value in values], pa.bool_())
            values = [self._empty if value is None else value for value in values]
        columns = list(zip(*map(astuple, values), strict=True))
        fields = self._convert_fields(columns, exact)
        found = list(filter(None, fields))
        # Where each field is missing now and then, one of the objects may have none.
        most = max((field.present for field in found), default=0)
        if most < present and not exact and self._has_empty(columns, count - present):
            raise InexactError
        quotes = sum(field.quotes + 2 * field.present for field in found)
        return Converted(count, present, quotes, _Fields(fields, is_present))

    def _convert_fields(self, columns: Sequence[tuple[Any, ...]], exact: bool) -> list[Converted[Any] | None]:
        count = len(columns[0])
        found: list[Converted[Any] | None] = []
        for builder, place in zip(self.fields, self._places, strict=True):
            column, nothing = columns[place], self._nothing[place]
            # A field that the first one has is seldom missing in others, and to count is to compare.
            if builder is None or (column[0] is nothing and column.count(nothing) == count):
                found.append(None)
            else:
                found.append(builder.convert(column, exact))
        return found

    def _has_empty(self, columns: Sequence[tuple[Any, ...]], missing: int) -> bool:
        """Whether one of the objects is there without any key; `missing` are those that are not there."""
        return sum(row == self._nothing for row in zip(*columns, strict=True)) > missing

    def append(self, values: Converted[_Fields]) -> None:
        """Append values that `convert` made."""
        if values.data is None:
            self._missing += values.count
            return
        self._append_missing()
        for builder, field in zip(self.fields, values.data.values, strict=True):
            if builder is None:
                continue
            if field is None:
                builder.append_nulls(values.count)
            else:
                builder.append(field)
        if values.data.is_present is None:
            self._is_present.append_nulls(values.count)
        else:
            self._is_present.append(values.data.is_present)

    def append_nulls(self, count: int) -> None:
        """Append so many missing objects."""
        self._missing += count

    def _append_missing(self) -> None:
        count, self._missing = self._missing, 0
        if not count:
            return
        for builder in self.fields:
            if builder is not None:
                builder.append_nulls(count)
        self._is_present.append(pa.repeat(scalar(False, pa.bool_()), count))

    def array(self) -> pa.Array:
        """The objects as a column of structs; `columns` gives them flattened."""
        self._append_missing()
        parts = [builder.array() for builder in self.fields if builder is not None]
        fields = [pa.field(field.name, arrow_type(field.shape)) for field in self.shape.fields]
        parts = [part.cast(pa.string()) if pa.types.is_dictionary(part.type) else part for part in parts]
        present = self._is_present.array()
        mask = pc.invert(present.fill_null(True)) if present.null_count < len(present) else None
        return pa.StructArray.from_arrays(parts, fields=fields, mask=mask)

    def columns(self, prefix: str) -> Iterator[tuple[str, pa.Array]]:
        """The flattened columns, by dotted name."""
        self._append_missing()
        for field, builder in zip(self.shape.fields, self.fields, strict=True):
            name = f"{prefix}.{field.name}"
            if isinstance(builder, StructBuilder):
                yield from builder.columns(name)
            elif builder is not None:
                yield name, builder.array()


def column_builder(shape: Shape) -> ColumnBuilder[Any]:
    """A new builder for values of a shape."""
    match shape:
        case Scalar():
            return ScalarBuilder(arrow_type(shape))
        case FreeForm():
            return JsonBuilder()
        case ListOf(item=Scalar()):
            return ScalarBuilder(arrow_type(shape))
        case ListOf(item=item):
            return ListBuilder(item)
        case Object(struct=struct):
            return StructBuilder(shape, without=[name for owner, name in INTERNED if owner is struct])


def int32(codes: "array[int]") -> pa.Int32Array:
    """Numbers as an Arrow array, -1 as null."""
    found = pa.Array.from_buffers(pa.int32(), len(codes), [None, pa.py_buffer(codes.tobytes())])
    if not codes or pc.min(found).as_py() >= 0:
        return found
    return pc.if_else(pc.less(found, scalar(0, pa.int32())), scalar(None, pa.int32()), found)


@cache
def scalar(value: Any, arrow: pa.DataType) -> pa.Scalar:
    """An Arrow scalar, made once: each time one is made, pyarrow looks for NumPy, which takes long if there is none.

    None is made when this module is imported, for pyarrow would import pandas with it.
    """
    return pa.scalar(value, arrow)
