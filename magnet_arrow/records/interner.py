"""Objects that recur from row to row: each distinct one is decoded and kept once, and rows hold its number."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from msgspec import Raw

from magnet_arrow._interning import take
from magnet_arrow.decode.byte_search import count_byte, has
from magnet_arrow.decode.decoder import ESCAPED_QUOTE, QUOTE, ElementDecoder, FastDecodeError, is_utf8
from magnet_arrow.decode.layout_split import require_whole
from magnet_arrow.decode.wire import Residual
from magnet_arrow.records.column_builders import InexactError, StructBuilder, int32


@dataclass
class Interner:
    """Distinct objects of one kind, and the number of each row's object.

    Objects are kept as soon as they are met. Those that no appended row holds stay, unused.

    Attributes:
        prefix: dotted name of the object's columns.
        pointer: JSON pointer of the object in a row's element.
        objects: builds the distinct objects' columns.
        decoder: decodes raw objects; None if they come decoded.
        residuals: what the columns could not hold of an object, by its number.
        codes: the number of each row's object, -1 where there is none.
        known: the numbers of raw objects, by their JSON or by what is within their braces.
    """

    prefix: str
    pointer: str
    objects: StructBuilder
    decoder: ElementDecoder | None = None
    residuals: dict[int, Residual] = field(default_factory=dict)
    codes: "array[int]" = field(default_factory=lambda: array("i"))
    known: dict[bytes, int] = field(default_factory=dict)
    _quotes: dict[int, int] = field(default_factory=lambda: {-1: 0})

    def quotes(self, numbers: Iterable[int]) -> int:
        """Quotation marks in the JSON of the objects with these numbers; see `decoder.QUOTE`."""
        return sum(map(self._quotes.__getitem__, numbers))

    def numbers_of(self, raws: Sequence[Raw]) -> "array[int]":
        """The numbers of raw objects; new ones are decoded now. -1 for no object.

        Raises:
            BadPieceError: a new one is no JSON.
        """
        known = self.known
        pieces = list(map(bytes, raws))
        new = [piece for piece in dict.fromkeys(pieces) if piece and piece not in known]
        if new:
            self.intern(new, new)
        return array("i", [known[piece] if piece else -1 for piece in pieces])

    def numbers_of_insides(self, insides: Sequence[bytes]) -> list[int]:
        """The numbers of objects that are given without their braces, as the layout split cuts them.

        Raises:
            FastDecodeError: one is not the inside of a single object.
            BadPieceError: one is no JSON.
        """
        known = self.known
        new = [inside for inside in dict.fromkeys(insides) if inside not in known]
        if new:
            self.intern([b"{%b}" % inside for inside in new], new, split=True)
        return [known[inside] for inside in insides]

    def intern(self, pieces: Sequence[bytes], keys: Sequence[bytes], *, split: bool = False) -> None:
        """Decode and keep raw objects that are new.

        Args:
            pieces: the objects.
            keys: what each is known by from now on.
            split: they come from a file's layout, so a piece may be less or more than an object.

        Raises:
            FastDecodeError: one is less or more than an object.
            BadPieceError: one is no JSON.
        """
        first = self.objects.count
        quotes = [piece.count(QUOTE) for piece in pieces]
        try:
            self._intern_fast(pieces, sum(quotes))
        except (FastDecodeError, InexactError):
            if split:
                require_whole(pieces)
            self._intern_carefully(pieces)
        numbers = range(first, first + len(keys))
        self.known.update(zip(keys, numbers, strict=True))
        self._quotes.update(zip(numbers, quotes, strict=True))

    def _intern_fast(self, pieces: Sequence[bytes], quotes: int) -> None:
        assert self.decoder is not None
        objects = self.objects.convert(self.decoder.fast_pieces(pieces), exact=False)
        _require_countable_quotes(b"".join(pieces))
        if objects.quotes != quotes:
            raise FastDecodeError
        self.objects.append(objects)

    def _intern_carefully(self, pieces: Sequence[bytes]) -> None:
        assert self.decoder is not None
        first = self.objects.count
        decoded = self.decoder.careful_pieces(pieces)
        self.objects.append(self.objects.convert(decoded.structs, exact=True))
        self.residuals.update((first + index, residual) for index, residual in decoded.residuals.items())

    def add(self, value: Any) -> int:
        """Keep one decoded object, without looking whether it is known; its number."""
        number = self.objects.count
        self.objects.append(self.objects.convert([value], exact=True))
        return number

    def residuals_of(self, codes: Iterable[int]) -> Iterator[Residual]:
        """What the columns could not hold of the objects with these numbers, once for each time."""
        if self.residuals:
            yield from (self.residuals[code] for code in codes if code in self.residuals)

    def residual_rows(self) -> Iterator[tuple[int, Residual]]:
        """The rows whose object has a residual, and the residual."""
        if self.residuals:
            for row, code in enumerate(self.codes):
                if code in self.residuals:
                    yield row, self.residuals[code]

    def columns(self) -> Iterator[tuple[str, pa.Array]]:
        """The flattened columns, by dotted name; one value per row."""
        if self.codes == array("i", range(self.objects.count)):  # none recurs
            yield from self.objects.columns(self.prefix)
            return
        codes = int32(self.codes)
        for name, column in self.objects.columns(self.prefix):
            yield name, take(column, codes)


def count_quotes(pieces: Sequence[bytes]) -> int:
    """Quotation marks in raw objects; see `decoder.QUOTE`.

    Raises:
        FastDecodeError: there may be more of them, or what msgspec does not look into is no UTF-8.
    """
    joined = b"".join(pieces)
    _require_countable_quotes(joined)
    return count_byte(joined, QUOTE[0])


def _require_countable_quotes(joined: bytes) -> None:
    if has(joined, 0, len(joined), ESCAPED_QUOTE) or not is_utf8(joined):
        raise FastDecodeError
