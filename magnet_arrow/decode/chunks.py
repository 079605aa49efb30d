"""Bytes to raw JSON elements: where each element of a file's array begins and ends, without building it.

HELM writes `json.dumps(x, indent=2)`, and a raw newline cannot stand inside a JSON string. So in a file of that
layout `newline, two blanks, },` at the array's depth ends an element, which one `rfind` in a block finds. A file in
another layout is scanned token by token, at some 60 MB/s. Whichever way it was cut, a chunk is decoded as a JSON
array of its own afterwards, so a wrong cut cannot go by unseen.
"""

import json
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from magnet_arrow.decode.byte_search import count_byte, find, has
from magnet_arrow.decode.tokenizer import (
    END_OF_FILE,
    OPENERS,
    TOKEN,
    BrokenError,
    Scanner,
    after_key,
    sample,
    skip_space,
)
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.sources.file import SourceFile

BLOCK_BYTES = 16 << 20
CHUNK_BYTES = 4 << 20
"""How much of a block is looked at at once: row groups end between chunks."""
MAX_ELEMENT_BYTES = 32 << 20
"""No element, and no document that is one object, may be longer: what is made of it takes a few times as much."""
MAX_ELEMENTS = 1 << 15
"""How many elements are looked at with care at once: one takes some 1,000 bytes then, even if it is `{}`."""
MAX_VALUES = 1 << 19
"""How many values one element may have that is looked at with care, about; each takes some 300 bytes then."""
_PART_VALUES = 1 << 17
_COMMA = b","
_TAIL_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"
_MEMBER = b'\n  "'
"""What a member of the document begins with in HELM's layout, and nothing else: a raw newline stands in no text."""
_SPACE = b" \t\r\n"

_members = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


@dataclass(slots=True)
class Chunk:
    """Whole elements of a file's array, standing in a buffer as a JSON array: brackets included.

    Valid until the buffer is filled again.

    Attributes:
        buffer: what they stand in.
        begin: offset in `buffer` of the opening bracket.
        end: offset in `buffer` after the closing one.
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
    """Elements in it; whoever decodes the chunk sets it, before the next one is asked for."""
    is_part: bool = False
    """Whether it is one of the `parts` of another."""

    @property
    def view(self) -> memoryview:
        """The JSON array, not copied."""
        return memoryview(self.buffer)[self.begin : self.end]

    def has(self, text: bytes) -> bool:
        """Whether `text` stands anywhere in it."""
        return has(self.buffer, self.begin, self.end, text)

    def count_of(self, text: bytes) -> int:
        """How often `text` stands in it."""
        return self.buffer.count(text, self.begin, self.end)

    def elements(self) -> Iterator[tuple[int, int]]:
        """Begin and end in `buffer` of each element, found token by token; nothing is decoded.

        Raises:
            BadFileError: the brackets don't match, or the chunk ends within one.
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
        """Where the element with this index begins in `buffer`; scanned for, since only an error asks."""
        return next(begin for number, (begin, _) in enumerate(self.elements()) if number == index)

    @property
    def is_crowded(self) -> bool:
        """Whether it has more than `MAX_ELEMENTS` elements, or so many values that `parts` must look at each."""
        commas = count_byte(self.buffer, _COMMA[0], self.begin, self.end)
        if commas < MAX_ELEMENTS or commas >= MAX_VALUES:
            return commas >= MAX_VALUES
        try:
            return len(items(self.view)) > MAX_ELEMENTS
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return True

    def parts(self) -> "Iterator[Chunk]":
        """Its elements, at most `MAX_ELEMENTS` at a time, valid until the next ones; `count` is set on the way.

        Raises:
            BadFileError: one of them has too many values, or is no JSON.
        """
        begin, number, values, end = self.begin, 0, 0, self.begin
        for start, end in self.elements():
            commas = self.buffer.count(_COMMA, start, end)
            if commas >= MAX_VALUES and _values(self.buffer, start, end) >= MAX_VALUES:
                raise self.too_large(start, f"an element of at most {MAX_VALUES:,} values", "more", number)
            number += 1
            values += commas
            first = self.count
            if (number - first >= MAX_ELEMENTS or values >= _PART_VALUES) and self.buffer.startswith(_COMMA, end):
                yield self._part(begin, end, number)
                begin, values = end, 0
        if number > self.count:
            yield self._part(begin, self.end - 1, number)

    def _part(self, begin: int, end: int, number: int) -> "Chunk":
        """The elements up to the one with this number; brackets are put where commas stood around them."""
        self.buffer[begin], self.buffer[end] = b"[]"
        first, self.count = self.first + self.count, number
        return Chunk(self.buffer, begin, end + 1, self.offset, first, self.path, self.where, is_part=True)

    def too_large(self, at: int, expected: str, found: str, index: int) -> BadFileError:
        """The error for an element that would take too much memory."""
        error = self.error(at, expected, found, index)
        return BadFileError("", where=error.where, expected=expected, found=found, hint=_SHORTEN)

    def error(self, at: int, expected: str, found: str, index: int | None = None) -> BadFileError:
        """The error for a fault at `at` in the buffer, in the element with this index in the chunk."""
        path = self.path if index is None else f"{self.path}[{self.first + index}]"
        where = Where(self.where.run, self.where.file, path, self.offset + at)
        hint = (
            "Copy the file again, or read what is complete of it with partial=True." if found == END_OF_FILE else None
        )
        return BadFileError("", where=where, expected=expected, found=found, hint=hint)


_SHORTEN = "It would take too much memory. Shorten it, or leave the run out."


def _values(buffer: bytearray, begin: int, end: int) -> int:
    """The commas of JSON that stand in no text."""
    return sum(buffer[match.start()] == _COMMA[0] for match in TOKEN.finditer(buffer, begin, end))


class CrowdedError(Exception):
    """A chunk is to be looked at with care, and has too much in it for that: see `Chunk.parts`."""


@dataclass(slots=True)
class Buffer:
    """A reused buffer that the files of a run are read into, one behind the other.

    A fresh one for each file would cost the page faults of touching new memory each time.
    """

    data: bytearray = field(default_factory=bytearray)
    used: int = 0

    def clear(self) -> None:
        """Forget what is in it; the memory stays."""
        self.used = 0

    def load(self, file: SourceFile, *, empty: bool = False, max_bytes: int | None = None) -> "Document":
        """Read a whole file.

        Args:
            file: just opened.
            empty: it may be.
            max_bytes: how long it may be; None for `MAX_ELEMENT_BYTES`.

        Raises:
            BadFileError: it cannot be read, or is empty though it may not be.
        """
        begin = self.used
        # One byte more than the file had, so that one that has grown meanwhile is read to its end.
        wanted = file.size_bytes + 1
        limit = (MAX_ELEMENT_BYTES if max_bytes is None else max_bytes) + 1
        while True:
            if wanted > limit:
                found = f"one of more than {limit >> 20} MiB"
                raise BadFileError("", where=file.where, expected="a JSON document", found=found, hint=_SHORTEN)
            if begin + wanted > len(self.data):
                grown = bytearray(max(2 * len(self.data), begin + wanted))
                grown[: self.used] = memoryview(self.data)[: self.used]
                self.data = grown
            got = file.read_into(memoryview(self.data)[self.used : begin + wanted])
            self.used += got
            if self.used < begin + wanted:
                return _whole(self.data, begin, self.used, file.where, empty=empty)
            wanted *= 2


def _whole(data: bytearray, begin: int, end: int, where: Where, *, empty: bool = False) -> "Document":
    """A whole file that was read to `begin`, behind its byte-order mark if it has one."""
    start = begin + (len(_BOM) if data.startswith(_BOM, begin, end) else 0)
    document = Document(data, start, end, -begin, where)
    if not empty and skip_space(data, start, end) == end:
        raise document.error(start, "a JSON document", "an empty file")
    return document


@dataclass(slots=True)
class Document:
    """A whole file in a buffer."""

    buffer: bytearray
    begin: int
    end: int
    offset: int
    where: Where
    doubled: list[str] = field(default_factory=list)
    """Members whose key stood there before; `state` finds them."""

    def error(self, at: int, expected: str, found: str, path: str = "$") -> BadFileError:
        """The error for a fault at `at` in the buffer."""
        where = Where(self.where.run, self.where.file, path, self.offset + at)
        return BadFileError("", where=where, expected=expected, found=found)

    def array(self) -> Chunk:
        """The document as the array of elements that it must be."""
        self._begins_with(b"[", "an array")
        return Chunk(self.buffer, self.begin, self.end, self.offset, 0, "$", self.where)

    def object(self) -> "Document":
        """The document, known to begin as an object."""
        self._begins_with(b"{", "an object")
        return self

    def state(self, key: str, *, by_layout: bool = True) -> tuple[dict[str, bytes], Chunk | None]:
        """The members of the object that the document must be: all but `key` as raw JSON, and `key`'s array.

        The array is None where `key` is missing or is no array (it is then among the members).
        """
        self._begins_with(b"{", "an object")
        return (self._state_by_layout(key) if by_layout else None) or self._state_by_scan(key)

    def _state_by_layout(self, key: str) -> tuple[dict[str, bytes], Chunk | None] | None:
        """By the places where HELM's layout puts the brackets; None where that doesn't hold."""
        opening = f'\n  "{key}": ['.encode()
        at = self.buffer.find(opening, self.begin, self.end)
        if at < 0:
            return None
        array = at + len(opening) - 1
        empty = self.buffer.startswith(b"[]", array)  # written on one line
        closing = array - 2 if empty else _array_end(self.buffer, array, self.end)
        if closing < 0:
            return None
        rest = self.buffer[self.begin : array] + b"null" + self.buffer[closing + 4 : self.end]
        try:
            members = _members.decode(rest)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        if members.get(key) is None or bytes(members.pop(key)) != b"null" or rest.count(_MEMBER) != len(members) + 1:
            return None
        chunk = Chunk(self.buffer, array, closing + 4, self.offset, 0, f"$.{key}", self.where)
        return {name: bytes(raw) for name, raw in members.items()}, chunk

    def _state_by_scan(self, key: str) -> tuple[dict[str, bytes], Chunk | None]:
        members: dict[str, bytes] = {}
        chunk = None
        self.doubled = []
        scanner = Scanner(self.buffer, self.begin, self.end)
        try:
            for begin, end in scanner.elements():
                colon = after_key(self.buffer, begin, end)
                if colon < 0:
                    raise self.error(begin, "a key and its value", sample(self.buffer, begin, end))
                name, value = self._key(begin, colon), skip_space(self.buffer, colon + 1, end)
                if name in members or (name == key and chunk is not None):
                    self.doubled.append(name)
                if name == key and self.buffer.startswith(b"[", value):
                    chunk = Chunk(self.buffer, value, end, self.offset, 0, f"$.{key}", self.where)
                    members.pop(name, None)
                else:
                    members[name] = bytes(self.buffer[value:end]).rstrip(_SPACE)
                    chunk = None if name == key else chunk
        except BrokenError as error:
            raise self.error(error.at, error.expected, error.found) from None
        return members, chunk

    def _key(self, begin: int, colon: int) -> str:
        try:
            key: str = json.loads(self.buffer[begin:colon].decode("utf-8"))  # half a surrogate pair is no fault
        except UnicodeDecodeError as error:
            found = f"byte 0x{self.buffer[begin + error.start]:02x}"
            raise self.error(begin + error.start, "UTF-8 text", found) from None
        except ValueError:
            raise self.error(begin, "a key", sample(self.buffer, begin, colon)) from None
        return key

    def _begins_with(self, bracket: bytes, expected: str) -> None:
        self.begin = skip_space(self.buffer, self.begin, self.end)
        if not self.buffer.startswith(bracket, self.begin, self.end):
            raise self.error(self.begin, expected, sample(self.buffer, self.begin, self.end))


def _spells(text: bytes, key: str) -> bool:
    """Whether a JSON string says this; it may be written with escapes."""
    if b"\\" not in text:
        return text == f'"{key}"'.encode()
    try:
        return bool(json.loads(text) == key)
    except ValueError:
        return False


def _array_end(data: bytes | bytearray, begin: int, end: int) -> int:
    """Where HELM's layout closes an array that is a member of the document, looked for near the document's end.

    What follows it (`annotator_specs`) may be arrays too, so the first closing bracket is it, not the last.
    """
    return find(data, max(begin, end - _TAIL_BYTES), end, b"\n  ]")


def _require_short(chunk: Chunk) -> None:
    """A chunk that is longer than an element may be is a single one.

    Raises:
        BadFileError: this is one.
    """
    if chunk.end - chunk.begin > MAX_ELEMENT_BYTES:
        expected, found = "an element", f"one of more than {MAX_ELEMENT_BYTES >> 20} MiB"
        raise chunk.too_large(chunk.begin, expected, found, 0)


def items(raw: bytes | memoryview) -> list[Raw]:
    """The items of a JSON array, raw.

    Raises:
        msgspec.DecodeError: not an array, or a token that msgspec refuses (NaN, half a surrogate pair).
    """
    return _items.decode(raw)


class Reader:
    """A file's elements, in chunks, in constant memory.

    A file that fits a block is one chunk; a longer one is cut into some of `CHUNK_BYTES`, or more where its
    elements are longer. What follows the last whole element of a block is carried to the front of the buffer before
    the next block is read behind it.

    Attributes:
        members: of a file that is an object, what stands beside the array, as raw JSON by key. They are known
            before the first chunk, wherever in the file they stand.
        doubled: members whose key stood there before; the last one counts. Known after the last chunk.
    """

    def __init__(
        self,
        file: SourceFile,
        buffer: Buffer,
        key: str | None = None,
        *,
        by_layout: bool = True,
        ahead: bool = True,
        salvage: bool = False,
    ) -> None:
        """Read the beginning of the file, and with a `key` what stands outside of its array.

        Args:
            file: just opened.
            buffer: is filled anew.
            key: the member that holds the array; None if the document is the array itself.
            by_layout: trust HELM's indentation to find the end of an element; else scan for it.
            ahead: know `members` before the first chunk; else they are known after the last.
            salvage: where the file ends early, give its whole elements and set `cut_at`. Its `members` are those
                before the array.

        Raises:
            BadFileError: empty, cannot be read, or is neither an array nor an object.
        """
        self._file, self._buffer, self._key, self._by_layout = file, buffer, key, by_layout
        self._ahead, self._salvage = ahead and not salvage, salvage
        self.members: dict[str, bytes] = {}
        self.doubled: list[str] = []
        self.cut_at: int | None = None
        self._last: Chunk | None = None
        self._array_end = sys.maxsize
        buffer.clear()
        if len(buffer.data) < BLOCK_BYTES:
            buffer.data = bytearray(BLOCK_BYTES)
        array = self._read_beginning()
        self._is_whole = self._is_read and not salvage
        document = _whole(buffer.data, 0, self._filled, file.where)
        if not self._is_whole:
            self._open_long(document, array)
            if self._is_read:
                self._salvage_read()
        elif key is None:
            self._last = document.array()
        else:
            self.members, self._last = document.state(key, by_layout=by_layout)
            self.doubled = document.doubled

    @property
    def has_array(self) -> bool:
        """Whether the array is there at all."""
        return not self._is_whole or self._last is not None

    def __iter__(self) -> Iterator[Chunk]:
        """The chunks, once.

        Raises:
            BadFileError: the file ends early, goes on after its end, or one element passes `MAX_ELEMENT_BYTES`.
        """
        if not self._is_read:
            for chunk in self._blocks():
                _require_short(chunk)
                yield chunk
        if self._last is not None:
            if not self._is_read:
                _require_short(self._last)
            yield self._last

    def _read_beginning(self) -> int | None:
        """Read a block, or as much as it takes to know where the array begins; where that is, if that must be known."""
        buffer, size = self._buffer, BLOCK_BYTES
        self._filled, self._array = 0, 0
        while True:
            self._filled += self._file.read_into(memoryview(buffer.data)[self._filled : size])
            self._is_read = self._filled < size
            if self._is_read and not self._salvage:
                return None
            begin = skip_space(buffer.data, len(_BOM) if buffer.data.startswith(_BOM) else 0, self._filled)
            is_open = begin == self._filled
            array = None
            if not is_open and self._key is not None and buffer.data.startswith(b"{", begin):
                array = self._find_array(self._key, begin)
                is_open = array is None
            if not is_open or self._is_read:
                return array
            if size >= MAX_ELEMENT_BYTES:
                path = "$" if self._key is None else f"$.{self._key}"
                where = Where(self._file.where.run, self._file.where.file, path)
                expected = f"an array that begins in the first {MAX_ELEMENT_BYTES >> 20} MiB"
                raise BadFileError("", where=where, expected=expected, found="none")
            size = min(2 * size, MAX_ELEMENT_BYTES)
            if len(buffer.data) < size:
                buffer.data = buffer.data + bytearray(size - len(buffer.data))

    def _open_long(self, document: Document, array: int | None) -> None:
        data = self._buffer.data
        self._document = document
        if self._key is None:
            self._array = document.array().begin
        else:
            document.object()
            if array is None:
                raise document.error(document.begin, f"an array {self._key!r}", "none", f"$.{self._key}")
            self._array = array
            if self._ahead:
                self.members = self._members_around(self._array, self._key)
            elif self._salvage:
                self.members = self._members_before(self._array, self._key)
        self._head = bytes(data[document.begin : self._array])
        indented = b"\n  {" if self._key is None else b"\n    {"
        self._by_layout = self._by_layout and data.startswith(indented, self._array + 1)

    def _salvage_read(self) -> None:
        """What is whole in a file that fits a block, as one chunk."""
        self._buffer.data[self._array] = 0x5B
        if not self._is_cut(self._array, self._filled, 0, 0):
            self._finish(self._array, self._filled, 0, 0)

    def _members_before(self, array: int, key: str) -> dict[str, bytes]:
        head = bytes(self._document.buffer[self._document.begin : array])
        try:
            members = _members.decode(head + b"null}")
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise self._document.error(array, "members before the array", "what is no JSON") from None
        return {name: bytes(raw) for name, raw in members.items() if name != key}

    def _find_array(self, key: str, begin: int) -> int | None:
        """Where the array begins that is a member of the object at `begin`; None if not in what has been read."""
        data, end = self._buffer.data, self._filled
        at = data.find(f'\n  "{key}": ['.encode(), begin, end)
        if at >= 0 and self._by_layout and data.startswith(b'{\n  "', begin):
            return data.index(b"[", at, end)
        depth = 0
        for match in TOKEN.finditer(data, begin, end):
            token = data[match.start()]
            if token == 0x22 and depth == 1:
                colon = skip_space(data, match.end(), end)
                if data.startswith(b":", colon) and _spells(bytes(data[match.start() : match.end()]), key):
                    value = skip_space(data, colon + 1, end)
                    if data.startswith(b"[", value):
                        return value
            elif token in OPENERS:
                depth += 1
            elif token in OPENERS.values():
                depth -= 1
        return None

    def _members_around(self, array: int, key: str) -> dict[str, bytes]:
        """What stands beside the array: read at the file's end where the layout shows it, else by a first pass."""
        if self._by_layout:
            head = bytes(self._document.buffer[self._document.begin : array])
            tail = self._file.tail(_TAIL_BYTES)
            closing = _array_end(tail, 0, len(tail))
            try:
                members = _members.decode(head + b"null" + tail[closing + 4 :]) if closing >= 0 else {}
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                members = {}
            if members.pop(key, None) is not None:
                self._array_end = self._file.size_bytes - len(tail) + closing
                return {name: bytes(raw) for name, raw in members.items()}
        with self._file.again() as file:
            first = Reader(file, Buffer(), key, by_layout=False, ahead=False)
            self._array_end = max(chunk.offset + chunk.end for chunk in first)
            return first.members

    def _blocks(self) -> Iterator[Chunk]:
        """All chunks but the last, which is left in `_last`."""
        buffer, where = self._buffer, self._file.where
        path = "$" if self._key is None else f"$.{self._key}"
        opening, offset, first = self._array, 0, 0
        filled = self._filled
        at_end = False
        while not at_end:
            opening, first = yield from self._whole_elements(opening, filled, offset, first)
            carried = filled - opening
            if carried > MAX_ELEMENT_BYTES:
                _require_short(Chunk(buffer.data, opening, filled, offset, first, path, where))
            buffer.data[:carried] = buffer.data[opening:filled]
            offset += opening
            opening = 0
            if len(buffer.data) - carried < BLOCK_BYTES // 2:
                buffer.data = buffer.data + bytearray(len(buffer.data))
            room = memoryview(buffer.data)[carried:]
            got = self._file.read_into(room)
            at_end = got < len(room)
            room.release()
            filled = carried + got
        if not self._salvage:
            opening, first = yield from self._whole_elements(opening, filled, offset, first, leave=CHUNK_BYTES)
        buffer.data[opening] = 0x5B
        if not self._salvage or not self._is_cut(opening, filled, offset, first):
            self._finish(opening, filled, offset, first)

    def _whole_elements(
        self, opening: int, filled: int, offset: int, first: int, *, leave: int = 0
    ) -> Generator[Chunk, None, tuple[int, int]]:
        """What is whole of a block, in chunks, while more than `leave` bytes of it are left.

        The comma behind the last whole element of one, and the one (or the bracket) before its first, are made the
        brackets of an array of their own.

        Returns:
            Where the rest begins, with such a comma, and the index in the file's array of its first element.
        """
        data, where = self._buffer.data, self._file.where
        path = "$" if self._key is None else f"$.{self._key}"
        while filled - opening > leave:
            data[opening] = 0x5B
            comma = self._last_comma(opening, min(filled, opening + CHUNK_BYTES), offset)
            if comma == opening and filled - opening > CHUNK_BYTES:
                comma = self._first_comma(opening, filled, offset)
            if comma == opening:
                break
            data[comma] = 0x5D
            chunk = Chunk(data, opening, comma + 1, offset, first, path, where)
            yield chunk
            first += chunk.count
            opening = comma
        return opening, first

    def _is_cut(self, opening: int, filled: int, offset: int, first: int) -> bool:
        """Whether the file ends within its array; what is whole before that is left in `_last`."""
        data, where = self._buffer.data, self._file.where
        end = opening
        try:
            for element in Scanner(data, opening, filled).elements():
                end = element[1]
        except BrokenError as error:
            if error.closed or error.at < filled:
                return False
        else:
            return False
        rest = bytes(data[end + 1 : filled])
        try:
            json.loads(rest)
        except (ValueError, RecursionError):
            self.cut_at = offset + end + 1
        else:  # the last element is whole, only what should follow it is missing
            end = self.cut_at = filled
            self.cut_at += offset
        if end > opening:
            if end == len(data):
                data.append(0)
            data[end] = 0x5D
            path = "$" if self._key is None else f"$.{self._key}"
            self._last = Chunk(data, opening, end + 1, offset, first, path, where)
        return True

    def _finish(self, opening: int, filled: int, offset: int, first: int) -> None:
        """The rest of the file: the last elements, and of an object what follows them."""
        data, where = self._buffer.data, self._file.where
        # The bracket was made of a comma, which an element must follow.
        rest = skip_space(data, opening + 1, filled)
        if offset + opening > self._array and data.startswith(b"]", rest):
            path = "$" if self._key is None else f"$.{self._key}"
            raise Chunk(data, opening, filled, offset, first, path, where).error(rest, "a value", "']'", 0)
        if self._key is None:
            self._last = Chunk(data, opening, filled, offset, first, "$", where)
            return
        tail = bytearray(self._head) + data[opening:filled]
        shift = offset + opening - len(self._head)
        document = Document(tail, 0, len(tail), shift, where)
        members, self._last = document.state(self._key, by_layout=self._by_layout)
        self.doubled = document.doubled
        if self._last is None:
            raise document.error(len(tail), f"the end of {self._key}", "the end of the file", f"$.{self._key}")
        self._last.first = first
        if not self._ahead:
            self.members = members
        elif members != self.members:
            raise document.error(0, "the members of the object where HELM writes them", "other ones at the end")

    def _first_comma(self, opening: int, filled: int, offset: int) -> int:
        """The comma behind the first element, which is a long one; `opening` if there is none."""
        data = self._buffer.data
        if self._by_layout:
            closing = b"\n  }," if self._key is None else b"\n    },"
            at = data.find(closing, opening, max(opening, min(filled, self._array_end - offset)))
            if at >= 0:
                return at + len(closing) - 1
        try:
            end = next((end for _, end in Scanner(data, opening, filled).elements()), opening)
        except BrokenError as error:
            return opening if error.at >= filled else self._last_comma(opening, filled, offset)
        return end if data.startswith(_COMMA, end) else opening

    def _last_comma(self, opening: int, filled: int, offset: int) -> int:
        """The comma behind the last whole element in the buffer; `opening` if there is none."""
        data = self._buffer.data
        if self._by_layout:
            closing = b"\n  }," if self._key is None else b"\n    },"
            # What follows the array (`annotator_specs`) may be laid out as its elements are.
            at = data.rfind(closing, opening, max(opening, min(filled, self._array_end - offset)))
            if at >= 0:
                return at + len(closing) - 1
        last = opening
        try:
            for _, end in Scanner(data, opening, filled).elements():
                last = end if data[end] == 0x2C else last
        except BrokenError as error:
            follows = error.closed and self._key is not None
            if error.at < filled and not follows:
                raise Document(data, opening, filled, offset, self._file.where).error(
                    error.at, error.expected, error.found
                ) from None
        return last
