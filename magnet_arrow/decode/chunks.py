"""A chunk: some elements of a file's array, as raw JSON in a buffer, that are decoded together."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from magnet_arrow._text import as_size
from magnet_arrow.decode import limits
from magnet_arrow.decode.byte_search import count_byte, has
from magnet_arrow.decode.tokenizer import END_OF_FILE, TOKEN, BrokenError, Scanner, skip_space
from magnet_arrow.errors import BadFileError, Where

_COMMA = b","
_items = msgspec.json.Decoder(list[Raw])
REFUSED = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What msgspec raises for JSON that it does not accept."""
SHORTEN_HINT = "It would take too much memory. Shorten it, or leave the run out."


class CrowdedError(Exception):
    """A chunk has too many values for the careful way to decode it at once; see `Chunk.parts`."""


@dataclass(slots=True)
class Chunk:
    """Complete elements of a file's array. In the buffer they are a JSON array of their own, with its brackets.

    Valid until the buffer is filled again.

    Attributes:
        buffer: where they are.
        begin: offset in `buffer` of the opening bracket.
        end: offset in `buffer` after the closing bracket.
        offset: what to add to an offset in `buffer` to get one in the file.
        first: index in the file's array of the first element.
        path: JSON path of the array, `$` or `$.request_states`.
        where: run and file.
    """

    buffer: bytearray
    begin: int
    end: int
    offset: int
    first: int
    path: str
    where: Where

    count: int = 0
    """How many elements it has. Decoding the chunk sets it; that must happen before the next chunk is asked for."""
    is_part: bool = False
    """Whether it is one of the `parts` of another chunk."""

    @property
    def view(self) -> memoryview:
        """The JSON array, not copied."""
        return memoryview(self.buffer)[self.begin : self.end]

    def has(self, text: bytes) -> bool:
        """Whether `text` is anywhere in it."""
        return has(self.buffer, self.begin, self.end, text)

    def elements(self) -> Iterator[tuple[int, int]]:
        """Begin and end in `buffer` of each element, found token by token; nothing is decoded.

        Raises:
            BadFileError: the brackets don't match, or the chunk ends within an element.
        """
        scanner = Scanner(self.buffer, self.begin, self.end)
        index = 0
        try:
            for begin, end in scanner.elements():
                yield skip_space(self.buffer, begin, end), end
                index += 1
        except BrokenError as error:
            raise self.error(error.at, error.expected, error.found, None if error.closed else index) from None

    def begin_of(self, index: int) -> int:
        """Where the element with this index begins in `buffer`. It scans for it, since only an error asks."""
        return next(begin for number, (begin, _) in enumerate(self.elements()) if number == index)

    @property
    def is_crowded(self) -> bool:
        """Whether it has more than `MAX_ELEMENTS` elements, or so many values that `parts` must count them."""
        commas = count_byte(self.buffer, _COMMA[0], self.begin, self.end)
        if commas < limits.MAX_ELEMENTS or commas >= limits.MAX_VALUES:
            return commas >= limits.MAX_VALUES
        try:
            return len(raw_items(self.view)) > limits.MAX_ELEMENTS
        except REFUSED:
            return True

    def parts(self) -> "Iterator[Chunk]":
        """Its elements in smaller chunks of at most `MAX_ELEMENTS`, each valid until the next. Sets `count`.

        Raises:
            BadFileError: an element has too many values, or is no JSON.
        """
        begin, number, values, end = self.begin, 0, 0, self.begin
        for start, end in self.elements():
            commas = self.buffer.count(_COMMA, start, end)
            if commas >= limits.MAX_VALUES and _values(self.buffer, start, end) >= limits.MAX_VALUES:
                raise self.too_large(start, f"an element of at most {limits.MAX_VALUES:,} values", "more", number)
            number += 1
            values += commas
            first = self.count
            is_full = number - first >= limits.MAX_ELEMENTS or values >= limits.PART_VALUES
            if is_full and self.buffer.startswith(_COMMA, end):
                yield self._part(begin, end, number)
                begin, values = end, 0
        if number > self.count:
            yield self._part(begin, self.end - 1, number)

    def _part(self, begin: int, end: int, number: int) -> "Chunk":
        """The elements before the one with this number. The commas around them are overwritten by brackets."""
        self.buffer[begin], self.buffer[end] = b"[]"
        first, self.count = self.first + self.count, number
        return Chunk(self.buffer, begin, end + 1, self.offset, first, self.path, self.where, is_part=True)

    def require_short(self) -> None:
        """Require that it is no longer than an element may be. A chunk that is longer has only one element.

        Raises:
            BadFileError: it is longer.
        """
        if self.end - self.begin > limits.MAX_ELEMENT_BYTES:
            found = f"one of more than {as_size(limits.MAX_ELEMENT_BYTES)}"
            raise self.too_large(self.begin, "an element", found, 0)

    def too_large(self, at: int, expected: str, found: str, index: int) -> BadFileError:
        """The error for an element that would take too much memory."""
        error = self.error(at, expected, found, index)
        return BadFileError("", where=error.where, expected=expected, found=found, hint=SHORTEN_HINT)

    def error(self, at: int, expected: str, found: str, index: int | None = None) -> BadFileError:
        """The error for a fault at `at` in the buffer, in the element with this index in the chunk."""
        path = self.path if index is None else f"{self.path}[{self.first + index}]"
        where = Where(self.where.run, self.where.file, path, self.offset + at)
        hint = (
            "Copy the file again, or read what is complete of it with partial=True." if found == END_OF_FILE else None
        )
        return BadFileError("", where=where, expected=expected, found=found, hint=hint)


def raw_items(array: bytes | memoryview) -> list[Raw]:
    """The items of a JSON array as raw JSON.

    Raises:
        msgspec.DecodeError: not an array, or a token that msgspec refuses (NaN, half a surrogate pair).
    """
    return _items.decode(array)


def _values(buffer: bytearray, begin: int, end: int) -> int:
    """The commas of JSON that are not within a string."""
    return sum(buffer[match.start()] == _COMMA[0] for match in TOKEN.finditer(buffer, begin, end))
