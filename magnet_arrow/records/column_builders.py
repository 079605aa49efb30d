"""Collectors: the values of many runs, field by field, until a row group of them is made into columns.

Values come a batch at a time and become Arrow arrays at once, while they are hot; a row group's columns are these
arrays in a row. Collectors form a tree that has the shape of HELM's objects. What recurs from row to row (stats,
instances, adapter specs) is collected once, and rows hold its number: see `Shared`.

A run that turns out to be bad leaves nothing: what it brought is cut off again.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from typing import Any, Protocol

import msgspec
import pyarrow as pa
from msgspec import Raw
from msgspec.structs import astuple

from magnet_arrow import _arrow_compute as pc
from magnet_arrow._interning import taken
from magnet_arrow.decode.byte_search import count_byte, has
from magnet_arrow.decode.decoder import ESCAPED_QUOTE, QUOTE, ElementDecoder, NotPlainError, is_extreme, is_utf8
from magnet_arrow.decode.layout_split import require_whole
from magnet_arrow.decode.wire import INTERNED, Residual, twin
from magnet_arrow.helm.declared_types import FreeForm, ListOf, Object, Scalar, Shape
from magnet_arrow.schema.registry import arrow_type

_EXACT = 2.0**53


@cache
def scalar(value: Any, arrow: pa.DataType) -> pa.Scalar:
    """An Arrow scalar, made once: each time one is made, pyarrow looks for NumPy, which takes long if there is none.

    Nor is one made when this is imported, for pyarrow would import pandas with it.
    """
    return pa.scalar(value, arrow)


class InexactError(Exception):
    """What was decoded may say less than the file: decode the chunk again, carefully.

    A float field may have had an integer token that was rounded, an integer has more than 64 bits, or an object is
    empty, which its columns can't tell from one that is not there. Or a free-form value may be more than can be read.
    """


class Collector(Protocol):
    """Takes the values of one field, a batch at a time.

    Attributes:
        there: how many values of the batch that `extend` took last are no null.
    """

    there: int

    def extend(self, values: Sequence[Any], exact: bool) -> int:
        """Take a batch; how many quotation marks a file needs to write it.

        `exact`: it is known to say all that the file says, see `InexactError`. A file that has more marks than the
        values and keys in it need says more than they do: see `decode.QUOTE`.
        """

    def extend_absent(self, count: int) -> None:
        """As `extend` with so many times no value."""

    def truncate(self, count: int) -> None:
        """Forget all but the first values."""

    def array(self) -> pa.Array:
        """All values."""


class _Chunks:
    """Arrow arrays of one type, one behind the other; runs of nulls are counted, not made."""

    def __init__(self, arrow: pa.DataType) -> None:
        self.arrow = arrow
        self.count = 0
        self._chunks: list[Any] = []

    def add(self, chunk: pa.Array) -> None:
        self._chunks.append(chunk)
        self.count += len(chunk)

    def add_nulls(self, count: int) -> None:
        if self._chunks and isinstance(self._chunks[-1], int):
            self._chunks[-1] += count
        else:
            self._chunks.append(count)
        self.count += count

    def truncate(self, count: int) -> None:
        while self.count > count:
            last = self._chunks.pop()
            size = last if isinstance(last, int) else len(last)
            self.count -= size
            left = count - self.count
            if left > 0 and isinstance(last, int):
                self.add_nulls(left)
            elif left > 0:
                self.add(last.slice(0, left))

    def array(self) -> pa.Array:
        if len(self._chunks) == 1 and not isinstance(self._chunks[0], int):
            return self._chunks[0]
        if all(isinstance(chunk, int) for chunk in self._chunks):
            return pa.nulls(self.count, self.arrow)
        return pa.concat_arrays(
            [pa.nulls(chunk, self.arrow) if isinstance(chunk, int) else chunk for chunk in self._chunks]
        )


class Values:
    """Scalars, and lists of scalars."""

    def __init__(self, arrow: pa.DataType) -> None:
        self.there = 0
        self._chunks = _Chunks(arrow)
        self._scalar = arrow.value_type if pa.types.is_list(arrow) else arrow

    def extend(self, values: Sequence[Any], exact: bool) -> int:
        """See `Collector`."""
        try:
            chunk = pa.array(values, self._chunks.arrow)
        except (OverflowError, pa.ArrowInvalid):  # an integer of more than 64 bits
            raise InexactError from None
        self.there = len(chunk) - chunk.null_count
        flat = chunk.flatten() if pa.types.is_list(chunk.type) else chunk
        if not exact and pa.types.is_floating(self._scalar) and not _all_exact(flat, values if flat is chunk else ()):
            raise InexactError
        self._chunks.add(chunk)
        return _text_quotes(flat) if pa.types.is_string(self._scalar) else 0

    def extend_absent(self, count: int) -> None:
        """See `Collector`."""
        self._chunks.add_nulls(count)

    def truncate(self, count: int) -> None:
        """See `Collector`."""
        self._chunks.truncate(count)

    def array(self) -> pa.Array:
        """See `Collector`."""
        return self._chunks.array()


def _all_exact(numbers: pa.Array, values: Sequence[Any]) -> bool:
    """Whether no number is one that an integer may have been rounded to; one that is no number may be.

    Args:
        numbers: floats.
        values: the same in Python; empty if they are not at hand.
    """
    if 0 < len(values) < _FEW and not numbers.null_count:
        return bool(min(values) > -_EXACT and max(values) < _EXACT)
    ends = pc.min_max(numbers)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return low is None or bool(low > -_EXACT and high < _EXACT)


_FEW = 256
"""Up to so many, Python finds the ends sooner than it calls Arrow."""


def _text_quotes(texts: pa.StringArray) -> int:
    """Quotation marks around and in these texts, which come straight from `pa.array`."""
    data = texts.buffers()[2]
    inner = 0 if data is None else count_byte(data, QUOTE[0])
    return 2 * int(len(texts) - texts.null_count) + inner


class Texts:
    """Free-form JSON, compact; each distinct text is kept once."""

    def __init__(self) -> None:
        self.there = 0
        self._codes = array("i")
        self._known: dict[bytes, int] = {}
        self._quotes: list[int] = []
        self._texts: dict[str, int] = {}

    def extend(self, values: Sequence[Any], exact: bool) -> int:
        """See `Collector`."""
        known, quotes = self._known, 0
        codes = []
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
        self.there = len(codes) - codes.count(-1)
        self._codes.extend(codes)
        return quotes

    def extend_absent(self, count: int) -> None:
        """See `Collector`."""
        self._codes.extend(_NO_CODE * count)

    def truncate(self, count: int) -> None:
        """See `Collector`. The texts stay, unused."""
        del self._codes[count:]

    def array(self) -> pa.Array:
        """See `Collector`. Dictionary encoded."""
        return pa.DictionaryArray.from_arrays(int32(self._codes), pa.array(list(self._texts), pa.string()))


_NO_CODE = array("i", [-1])


def int32(codes: "array[int]") -> pa.Int32Array:
    """Numbers as an Arrow array, -1 as null."""
    found = pa.Array.from_buffers(pa.int32(), len(codes), [None, pa.py_buffer(codes.tobytes())])
    if not codes or pc.min(found).as_py() >= 0:
        return found
    return pc.if_else(pc.less(found, scalar(0, pa.int32())), scalar(None, pa.int32()), found)


def _compact(data: bytes) -> str:
    """JSON without blanks; numbers and escapes as they were written."""
    try:
        return msgspec.json.format(data, indent=-1).decode()
    except (msgspec.DecodeError, RecursionError):  # NaN, half a surrogate pair: from the careful way, compact already
        return data.decode()


def require_plain(pieces: Sequence[bytes]) -> int:
    """Quotation marks in raw objects; see `decode.QUOTE`.

    Raises:
        NotPlainError: there may be more of them, or what msgspec does not look into is no text.
    """
    joined = b"".join(pieces)
    if has(joined, 0, len(joined), ESCAPED_QUOTE) or not is_utf8(joined):
        raise NotPlainError
    return count_byte(joined, QUOTE[0])


class Lists:
    """Lists of objects, of JSON texts, or of such lists."""

    def __init__(self, item: Shape) -> None:
        self.there = 0
        self._items = collector(item)
        self._lengths = array("i")

    def extend(self, values: Sequence[Any], exact: bool) -> int:
        """See `Collector`."""
        quotes = self._items.extend(list(chain.from_iterable(filter(None, values))), exact)
        lengths = [-1 if entry is None else len(entry) for entry in values]
        self.there = len(lengths) - lengths.count(-1)
        self._lengths.extend(lengths)
        return quotes

    def extend_absent(self, count: int) -> None:
        """See `Collector`."""
        self._lengths.extend(_NO_CODE * count)

    def truncate(self, count: int) -> None:
        """See `Collector`."""
        del self._lengths[count:]
        self._items.truncate(sum(length for length in self._lengths if length > 0))

    def array(self) -> pa.Array:
        """See `Collector`."""
        lengths = int32(self._lengths)
        known = lengths.fill_null(0) if lengths.null_count else lengths
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(known)])
        items = self._items.array()
        if pa.types.is_dictionary(items.type):
            items = items.cast(pa.string())
        mask = lengths.is_null() if lengths.null_count else None
        return pa.ListArray.from_arrays(offsets, items, mask=mask)


class Objects:
    """Objects with declared fields: one collector a field."""

    def __init__(self, shape: Object, *, shared: Iterable[str] = ()) -> None:
        self.there = 0
        self.shape = shape
        self._empty = twin(shape.struct)()
        self._nothing = astuple(self._empty)
        self._is_there = _Chunks(pa.bool_())
        self._absent = 0  # objects met last, none of which is there: their fields are told when another one comes
        self.fields: list[Collector | None] = [
            None if field.name in shared else collector(field.shape) for field in shape.fields
        ]
        # A shape may leave out fields of its struct.
        by_name = {field.name: part for field, part in zip(shape.fields, self.fields, strict=True)}
        self._by_place = [by_name.get(name) for name in shape.struct.__struct_fields__]

    def extend(self, values: Sequence[Any], exact: bool) -> int:
        """See `Collector`."""
        count = len(values)
        self.there = len(list(filter(None, values)))  # structs are true; `count` would compare each with None
        absent = count - self.there
        if absent == count:
            self.extend_absent(count)
            return 0
        self._tell_absent()
        if absent:
            there = [value is not None for value in values]
            values = [self._empty if value is None else value for value in values]
        columns = list(zip(*map(astuple, values), strict=True))
        try:
            quotes, most = self._extend_fields(columns, exact)
            # Where each field is missing now and then, one of the objects may have none.
            if most < self.there and not exact and self._has_empty(columns, absent):
                raise InexactError
        except BaseException:
            self.truncate(self.count)  # fields before the one that failed have more
            raise
        if absent:
            self._is_there.add(pa.array(there, pa.bool_()))
        else:
            self._is_there.add_nulls(count)
        return quotes

    def _extend_fields(self, columns: Sequence[tuple[Any, ...]], exact: bool) -> tuple[int, int]:
        """Quotation marks that the fields need, and how many objects have the most frequent one."""
        count, quotes, most = len(columns[0]), 0, 0
        for part, column, nothing in zip(self._by_place, columns, self._nothing, strict=True):
            if part is None:
                continue
            # A field that the first one has is seldom missing in others, and to count is to compare.
            if column[0] is nothing and column.count(nothing) == count:
                part.extend_absent(count)
                continue
            quotes += part.extend(column, exact) + 2 * part.there
            most = max(most, part.there)
        return quotes, most

    def _has_empty(self, columns: Sequence[tuple[Any, ...]], absent: int) -> bool:
        """Whether one of the objects is there without any key; `absent` are those that are not there."""
        return sum(row == self._nothing for row in zip(*columns, strict=True)) > absent

    def extend_absent(self, count: int) -> None:
        """See `Collector`."""
        self._absent += count

    def _tell_absent(self) -> None:
        count, self._absent = self._absent, 0
        if not count:
            return
        for part in self.fields:
            if part is not None:
                part.extend_absent(count)
        self._is_there.add(pa.repeat(scalar(False, pa.bool_()), count))

    def truncate(self, count: int) -> None:
        """See `Collector`."""
        self._tell_absent()
        self._is_there.truncate(count)
        for part in self.fields:
            if part is not None:
                part.truncate(count)

    def array(self) -> pa.Array:
        """See `Collector`. A struct; see `table_builder` for the flattened form."""
        self._tell_absent()
        parts = [part.array() for part in self.fields if part is not None]
        fields = [pa.field(field.name, arrow_type(field.shape)) for field in self.shape.fields]
        parts = [part.cast(pa.string()) if pa.types.is_dictionary(part.type) else part for part in parts]
        there = self._is_there.array()
        mask = pc.invert(there.fill_null(True)) if there.null_count < len(there) else None
        return pa.StructArray.from_arrays(parts, fields=fields, mask=mask)

    def columns(self, prefix: str) -> "Iterator[tuple[str, pa.Array]]":
        """The flattened columns, by dotted name."""
        self._tell_absent()
        for field_, part in zip(self.shape.fields, self.fields, strict=True):
            name = f"{prefix}.{field_.name}"
            if isinstance(part, Objects):
                yield from part.columns(name)
            elif part is not None:
                yield name, part.array()

    @property
    def count(self) -> int:
        """Objects collected so far."""
        return self._is_there.count + self._absent


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


@dataclass
class Shared:
    """Objects that rows refer to by number, each collected once.

    Attributes:
        prefix: dotted name of the object's columns.
        pointer: JSON pointer of the object in a row's element.
        residuals: what the objects could not hold, by number.
        codes: the number of each row's object, -1 where there is none.
        known: numbers by what the objects were known as: raw JSON, or the inside of it.
    """

    prefix: str
    pointer: str
    objects: Objects
    decoder: ElementDecoder | None = None
    residuals: dict[int, Residual] = field(default_factory=dict)
    codes: "array[int]" = field(default_factory=lambda: array("i"))
    known: dict[bytes, int] = field(default_factory=dict)
    _quotes: dict[int, int] = field(default_factory=lambda: {-1: 0})

    def quotes(self, numbers: Iterable[int]) -> int:
        """Quotation marks in the raw objects with these numbers; see `decode.QUOTE`."""
        counts = self._quotes
        new = islice(self.known.items(), len(counts) - 1, None)
        counts.update((number, piece.count(QUOTE)) for piece, number in new)
        return sum(map(counts.__getitem__, numbers))

    def number_pieces(self, raws: Sequence[Raw]) -> list[int]:
        """The numbers of raw objects, those not met before in this row group decoded now. -1 for no object.

        Raises:
            BadPieceError: one of the new ones is no JSON.
        """
        known = self.known
        pieces = list(map(bytes, raws))
        new = [piece for piece in dict.fromkeys(pieces) if piece and piece not in known]
        if new:
            self.learn(new, new)
        return [known[piece] if piece else -1 for piece in pieces]

    def number_insides(self, insides: Sequence[bytes]) -> list[int]:
        """As `number_pieces`, of what was cut out of a file by its layout: insides of objects, if the cuts are right.

        Raises:
            NotPlainError: one is not the inside of an object.
            BadPieceError: one is no JSON.
        """
        known = self.known
        new = [inside for inside in dict.fromkeys(insides) if inside not in known]
        if new:
            self.learn([b"{%b}" % inside for inside in new], new, cut=True)
        return [known[inside] for inside in insides]

    def learn(self, pieces: Sequence[bytes], keys: Sequence[bytes], *, cut: bool = False) -> None:
        """Decode raw objects that were not met before, to be known by these keys.

        Args:
            pieces: the objects.
            keys: one for each.
            cut: a piece may be less or more than an object.

        Raises:
            NotPlainError: one is.
            BadPieceError: one is no JSON.
        """
        assert self.decoder is not None
        first = self.objects.count
        try:
            self._learn_plain(pieces)
        except (NotPlainError, InexactError):
            self.objects.truncate(first)
            if cut:
                require_whole(pieces)
            self._learn_others(pieces, first)
        self.known.update(zip(keys, range(first, first + len(keys)), strict=True))

    def _learn_plain(self, pieces: Sequence[bytes]) -> None:
        assert self.decoder is not None
        structs = self.decoder.plain_pieces(pieces)
        if self.objects.extend(structs, exact=False) != require_plain(pieces):
            raise NotPlainError

    def _learn_others(self, pieces: Sequence[bytes], first: int) -> None:
        assert self.decoder is not None
        decoded = self.decoder.careful_pieces(pieces)
        self.objects.extend(decoded.structs, exact=True)
        for index, residual in decoded.residuals.items():
            self.residuals[first + index] = residual

    def add(self, value: Any, residual: Residual | None = None) -> int:
        """Collect one object; its number."""
        number = self.objects.count
        self.objects.extend([value], True)
        if residual:
            self.residuals[number] = residual
        return number

    def add_all(self, values: Sequence[Any], quotes: int) -> None:
        """Collect objects that are not looked for among the others, as one a row.

        Args:
            values: the objects.
            quotes: quotation marks in the JSON that they were decoded from; see `decode.QUOTE`.

        Raises:
            NotPlainError: it says more than they do. None is collected.
        """
        first = self.objects.count
        try:
            needed = self.objects.extend(values, exact=False)
        except InexactError:
            raise NotPlainError from None
        if needed != quotes:
            self.objects.truncate(first)
            raise NotPlainError
        self.codes.extend(range(first, self.objects.count))

    def residuals_from(self, row: int) -> Iterator[Residual]:
        """What the objects of the rows from `row` on could not hold, once a row."""
        if self.residuals:
            yield from (self.residuals[code] for code in self.codes[row:] if code in self.residuals)

    def truncate(self, count: int) -> None:
        """Forget all but the first rows. Their objects stay, unused."""
        del self.codes[count:]

    def columns(self) -> Iterator[tuple[str, pa.Array]]:
        """The flattened columns, one value a row."""
        if self.codes == array("i", range(self.objects.count)):  # none recurs
            yield from self.objects.columns(self.prefix)
            return
        codes = int32(self.codes)
        for name, column in self.objects.columns(self.prefix):
            yield name, taken(column, codes)

    def residual_rows(self, last: int) -> Iterator[tuple[int, Residual]]:
        """Rows before `last` whose object has a residual."""
        if self.residuals:
            for row, code in enumerate(self.codes[:last]):
                if code in self.residuals:
                    yield row, self.residuals[code]
