"""Collectors: the values of many runs, field by field, until a row group of them is made into columns.

A row group is filled run by run and then made into Arrow arrays at once: a hundred small arrays a run would cost more
than decoding it. Until then values are kept in plain lists, in a tree of collectors that has the shape of HELM's
objects. What recurs from row to row (stats, instances, adapter specs) is collected once, and rows hold its number:
see `Shared`.

A run that turns out to be bad leaves nothing: its rows are staged, and join the others when it is whole.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import msgspec
import pyarrow as pa
from msgspec import Raw
from msgspec.structs import astuple

from magnet_arrow.helm.decode import KEY_MARK, Decoded, ElementDecoder, is_extreme
from magnet_arrow.helm.shapes import FreeForm, ListOf, Object, Scalar, Shape
from magnet_arrow.helm.wire import INT64_MAX, INT64_MIN, INTERNED, Residual, twin
from magnet_arrow.schema import arrow_type

_EXACT = 2.0**53


class InexactError(Exception):
    """What was decoded may say less than the file: decode the stretch again, carefully.

    A float field may have had an integer token that was rounded, an integer has more than 64 bits, or an object is
    empty, which its columns can't tell from one that is not there. Or a free-form value may be more than can be read.
    """


class Collector(Protocol):
    """Takes the values of one field, a batch at a time."""

    def extend(self, values: Sequence[Any], exact: bool) -> None:
        """Take a batch. `exact`: it is known to say all that the file says, see `InexactError`."""

    def absorb(self, staged: Any) -> None:
        """Take over what another collector of this kind holds, and empty that one."""

    def clear(self) -> None:
        """Forget all."""

    def array(self) -> pa.Array:
        """All values."""


class Values:
    """Scalars, and lists of scalars."""

    def __init__(self, arrow: pa.DataType) -> None:
        self._arrow = arrow
        self._float = pa.types.is_floating(arrow)
        self._floats = pa.types.is_list(arrow) and pa.types.is_floating(arrow.value_type)
        self._integer = pa.types.is_integer(arrow)
        self._values: list[Any] = []

    def extend(self, values: Sequence[Any], exact: bool) -> None:
        """See `Collector`."""
        if not exact and (self._float or self._floats):
            flat = chain.from_iterable(filter(None, values)) if self._floats else values
            numbers = list(filter(None, flat))
            if numbers and not (max(numbers) < _EXACT and min(numbers) > -_EXACT):
                raise InexactError
        if not exact and self._integer:
            numbers = list(filter(None, values))
            if numbers and not (max(numbers) <= INT64_MAX and min(numbers) >= INT64_MIN):
                raise InexactError
        self._values.extend(values)

    def absorb(self, staged: "Values") -> None:
        """See `Collector`."""
        self._values.extend(staged._values)
        staged._values.clear()

    def clear(self) -> None:
        """See `Collector`."""
        self._values.clear()

    def array(self) -> pa.Array:
        """See `Collector`."""
        if self._values.count(None) == len(self._values):
            return pa.nulls(len(self._values), self._arrow)
        return pa.array(self._values, self._arrow)


class Texts:
    """Free-form JSON, compact; each distinct text is kept once."""

    def __init__(self) -> None:
        self._codes: list[int | None] = []
        self._known: dict[bytes, int] = {}
        self.texts: list[str] = []

    def extend(self, values: Sequence[Any], exact: bool) -> None:
        """See `Collector`."""
        known = self._known
        for raw in values:
            data = bytes(raw) if raw is not None else b""
            if not data:
                self._codes.append(None)
                continue
            code = known.get(data)
            if code is None:
                if not exact and is_extreme(data):
                    raise InexactError
                code = known[data] = len(self.texts)
                self.texts.append(_compact(data))
            self._codes.append(code)

    def absorb(self, staged: "Texts") -> None:
        """See `Collector`."""
        known = self._known
        codes: dict[int | None, int | None] = {None: None}
        for data, code in staged._known.items():
            held = known.get(data)
            if held is None:
                held = known[data] = len(self.texts)
                self.texts.append(staged.texts[code])
            codes[code] = held
        self._codes.extend([codes[code] for code in staged._codes])
        staged.clear()

    def clear(self) -> None:
        """See `Collector`."""
        self._codes.clear()
        self._known.clear()
        self.texts.clear()

    def array(self) -> pa.Array:
        """See `Collector`. Dictionary encoded."""
        return pa.DictionaryArray.from_arrays(pa.array(self._codes, pa.int32()), pa.array(self.texts, pa.string()))


def _compact(data: bytes) -> str:
    """JSON without blanks; numbers and escapes as they were written."""
    try:
        return msgspec.json.format(data, indent=-1).decode()
    except (msgspec.DecodeError, RecursionError):  # NaN, half a surrogate pair: from the careful way, compact already
        return data.decode()


class Lists:
    """Lists of objects, of JSON texts, or of such lists."""

    def __init__(self, item: Shape) -> None:
        self._items = collector(item)
        self._lengths: list[int | None] = []

    def extend(self, values: Sequence[Any], exact: bool) -> None:
        """See `Collector`."""
        self._lengths.extend([None if entry is None else len(entry) for entry in values])
        self._items.extend(list(chain.from_iterable(filter(None, values))), exact)

    def absorb(self, staged: "Lists") -> None:
        """See `Collector`."""
        self._lengths.extend(staged._lengths)
        staged._lengths.clear()
        self._items.absorb(staged._items)

    def clear(self) -> None:
        """See `Collector`."""
        self._lengths.clear()
        self._items.clear()

    def array(self) -> pa.Array:
        """See `Collector`."""
        offsets = [0]
        total = 0
        for length in self._lengths:
            total += length or 0
            offsets.append(total)
        mask = pa.array([length is None for length in self._lengths]) if None in self._lengths else None
        items = self._items.array()
        if pa.types.is_dictionary(items.type):
            items = items.cast(pa.string())
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, mask=mask)


class Objects:
    """Objects with declared fields: one collector a field."""

    def __init__(self, shape: Object, *, shared: Iterable[str] = ()) -> None:
        self.shape = shape
        self._empty = twin(shape.struct)()
        self._absent: list[bool] = []
        self.fields: list[Collector | None] = [
            None if field.name in shared else collector(field.shape) for field in shape.fields
        ]
        # A shape may leave out fields of its struct.
        by_name = {field.name: part for field, part in zip(shape.fields, self.fields, strict=True)}
        self._by_place = [by_name.get(name) for name in shape.struct.__struct_fields__]

    def extend(self, values: Sequence[Any], exact: bool) -> None:
        """See `Collector`."""
        if not exact and self._empty in values:
            raise InexactError
        absent = [value is None for value in values]
        self._absent.extend(absent)
        if True in absent:
            values = [self._empty if value is None else value for value in values]
        for part, column in zip(self._by_place, zip(*map(astuple, values), strict=True), strict=False):
            if part is not None:
                part.extend(column, exact)

    def absorb(self, staged: "Objects") -> None:
        """See `Collector`."""
        self._absent.extend(staged._absent)
        staged._absent.clear()
        for part, other in zip(self.fields, staged.fields, strict=True):
            if part is not None:
                part.absorb(other)

    def clear(self) -> None:
        """See `Collector`."""
        self._absent.clear()
        for part in self.fields:
            if part is not None:
                part.clear()

    def array(self) -> pa.Array:
        """See `Collector`. A struct; see `columns` for the flattened form."""
        parts = [part.array() for part in self.fields if part is not None]
        fields = [pa.field(field.name, arrow_type(field.shape)) for field in self.shape.fields]
        parts = [part.cast(pa.string()) if pa.types.is_dictionary(part.type) else part for part in parts]
        mask = pa.array(self._absent) if True in self._absent else None
        return pa.StructArray.from_arrays(parts, fields=fields, mask=mask)

    def columns(self, prefix: str) -> "Iterator[tuple[str, pa.Array]]":
        """The flattened columns, by dotted name."""
        for field_, part in zip(self.shape.fields, self.fields, strict=True):
            name = f"{prefix}.{field_.name}"
            if isinstance(part, Objects):
                yield from part.columns(name)
            elif part is not None:
                yield name, part.array()

    @property
    def count(self) -> int:
        """Objects collected so far."""
        return len(self._absent)


def collector(shape: Shape) -> Collector:
    """The collector for the values of a shape."""
    match shape:
        case Scalar():
            return Values(arrow_type(shape))
        case FreeForm():
            return Texts()
        case ListOf(item=Scalar()):
            return Values(arrow_type(shape))
        case ListOf(item=item):
            return Lists(item)
        case Object(struct=struct):
            return Objects(shape, shared=[name for owner, name in INTERNED if owner is struct])


def taken(column: pa.Array, codes: pa.Array) -> pa.Array:
    """A column's values at these places. Most columns of most dumps hold nothing, which costs nothing to repeat."""
    if column.null_count == len(column) and not pa.types.is_dictionary(column.type):
        return pa.nulls(len(codes), column.type)
    return column.take(codes)


@dataclass
class Shared:
    """Objects that rows refer to by number, each collected once.

    Attributes:
        prefix: dotted name of the object's columns.
        pointer: JSON pointer of the object in a row's element.
        residuals: what the objects could not hold, by number.
    """

    prefix: str
    pointer: str
    objects: Objects
    decoder: ElementDecoder | None = None
    residuals: dict[int, Residual] = field(default_factory=dict)
    _codes: list[int | None] = field(default_factory=list)
    _staged: list[int | None] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)
    _marks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._new = Objects(self.objects.shape)
        """Objects that may turn out to need another look before they join the others."""

    def marks(self, numbers: Sequence[int | None]) -> int:
        """Key marks in the raw objects with these numbers; see `decode.key_marks`."""
        return sum(self._marks[number] for number in numbers if number is not None)

    def number_pieces(self, raws: Sequence[Raw]) -> list[int | None]:
        """The numbers of raw objects, those not met before in this row group decoded now. None for no object.

        Raises:
            BadPieceError: one of the new ones is no JSON.
        """
        known = self._known
        pieces = [bytes(raw) for raw in raws]
        new = list(dict.fromkeys(piece for piece in pieces if piece and piece not in known))
        if new and self.decoder is not None:
            try:
                self._collect(self.decoder.pieces(new), new)
            except InexactError:
                self._new.clear()
                self._collect(self.decoder.pieces(new, carefully=True), new)
        return [known[piece] if piece else None for piece in pieces]

    def _collect(self, decoded: Decoded, pieces: Sequence[bytes]) -> None:
        first = self.objects.count
        self._new.extend(decoded.structs, decoded.exact)
        self.objects.absorb(self._new)
        for index, residual in decoded.residuals.items():
            self.residuals[first + index] = residual
        self._known.update(zip(pieces, range(first, first + len(pieces)), strict=True))
        self._marks.extend([piece.count(KEY_MARK) for piece in pieces])

    def add(self, value: Any, residual: Residual | None = None) -> int:
        """Collect one object; its number."""
        number = self.objects.count
        self.objects.extend([value], True)
        if residual:
            self.residuals[number] = residual
        return number

    def stage(self, numbers: Iterable[int | None]) -> None:
        """Rows of the run at hand that refer to these objects."""
        self._staged.extend(numbers)

    def staged_residuals(self) -> Iterator[Residual]:
        """What the objects of the staged rows could not hold, once a row."""
        if self.residuals:
            yield from (self.residuals[code] for code in self._staged if code in self.residuals)

    def keep(self) -> None:
        """The run at hand is whole."""
        self._codes.extend(self._staged)
        self._staged.clear()

    def drop(self) -> None:
        """The run at hand is bad. Its objects stay, unused."""
        self._staged.clear()

    @property
    def codes(self) -> list[int | None]:
        """The number of each row's object."""
        return self._codes

    def columns(self) -> Iterator[tuple[str, pa.Array]]:
        """The flattened columns, one value a row."""
        codes = pa.array(self._codes, pa.int32())
        for name, column in self.objects.columns(self.prefix):
            yield name, taken(column, codes)

    def residual_rows(self, first: int, last: int) -> Iterator[tuple[int, Residual]]:
        """Rows from `first` to before `last` whose object has a residual."""
        if self.residuals:
            for row in range(first, last):
                code = self._codes[row]
                if code is not None and code in self.residuals:
                    yield row, self.residuals[code]
