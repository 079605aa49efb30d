"""Reads a file's elements in chunks. It finds where each chunk begins and ends without decoding values.

In HELM's layout the end of an element at the array's depth is one line break and one string of blanks (see
`helm_layout`), which one `rfind` in a block finds. A file in another layout is scanned token by token, at some 60 MB/s.
A chunk is then decoded as a JSON array of its own, so an element that was cut in the wrong place is noticed.
"""

import json
import sys
from collections.abc import Generator, Iterator

from magnet_arrow._text import as_size
from magnet_arrow.decode import helm_layout, limits
from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.decode.documents import BYTE_ORDER_MARK, Buffer, Document, document_in, find_array_end, raw_members
from magnet_arrow.decode.tokenizer import OPENERS, TOKEN, BrokenError, Scanner, skip_space
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.sources.file import SourceFile

_COMMA = b","
_OPEN, _CLOSE, _QUOTE, _COMMA_BYTE = b'[]",'
_DOCUMENT_START = b"{" + helm_layout.member_start(1)


class ChunkReader:
    """A file's elements, in chunks, in constant memory.

    A file that fits a block is one chunk. A longer file has chunks of `CHUNK_BYTES`, or longer ones where its elements
    are longer. What follows the last complete element of a block is moved to the front of the buffer before the next
    block is read.

    Attributes:
        members: of a file that is an object, its members but the array, as raw JSON by key. They are known
            before the first chunk, wherever in the file they are.
        duplicate_keys: keys of members that occurred before; the last member counts. Known after the last chunk.
        cut_at: the byte after the last complete element, of a file that ended early and was salvaged.
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
        """Read the beginning of the file, and with a `key` the members outside of its array.

        Args:
            file: just opened.
            buffer: is overwritten.
            key: the member that holds the array; None if the document is the array itself.
            by_layout: find the end of an element by HELM's indentation; else scan for it.
            ahead: know `members` before the first chunk; else they are known after the last.
            salvage: where the file ends early, give its complete elements and set `cut_at`. Its `members` are those
                before the array.

        Raises:
            BadFileError: empty, cannot be read, or is neither an array nor an object.
        """
        self._file, self._buffer, self._key, self._by_layout = file, buffer, key, by_layout
        self._path = "$" if key is None else f"$.{key}"
        self._level = 1 if key is None else 2
        self._ahead, self._salvage = ahead and not salvage, salvage
        self.members: dict[str, bytes] = {}
        self.duplicate_keys: list[str] = []
        self.cut_at: int | None = None
        self._last: Chunk | None = None
        self._array_end = sys.maxsize
        buffer.clear()
        if len(buffer.data) < limits.BLOCK_BYTES:
            buffer.data = bytearray(limits.BLOCK_BYTES)
        array = self._read_beginning()
        self._is_in_one_block = self._is_read and not salvage
        document = document_in(buffer.data, 0, self._filled, file.where)
        if not self._is_in_one_block:
            self._open_long(document, array)
            if self._is_read:
                self._salvage_block()
        elif key is None:
            self._last = document.array()
        else:
            self.members, self._last = document.members_and_array(key, by_layout=by_layout)
            self.duplicate_keys = document.duplicate_keys

    @property
    def has_array(self) -> bool:
        """Whether the file has the array at all."""
        return not self._is_in_one_block or self._last is not None

    def __iter__(self) -> Iterator[Chunk]:
        """The chunks, once.

        Raises:
            BadFileError: the file ends early, goes on after its end, or one element passes `MAX_ELEMENT_BYTES`.
        """
        if not self._is_read:
            for chunk in self._chunks_of_blocks():
                chunk.require_short()
                yield chunk
        if self._last is not None:
            if not self._is_read:
                self._last.require_short()
            yield self._last

    def _chunk(self, begin: int, end: int, offset: int, first: int) -> Chunk:
        return Chunk(self._buffer.data, begin, end, offset, first, self._path, self._file.where)

    def _read_beginning(self) -> int | None:
        """Read a block, or as many bytes as show where the array begins; that place, if it must be known."""
        buffer, size = self._buffer, limits.BLOCK_BYTES
        self._filled, self._array = 0, 0
        while True:
            self._filled += self._file.read_into(memoryview(buffer.data)[self._filled : size])
            self._is_read = self._filled < size
            if self._is_read and not self._salvage:
                return None
            start = len(BYTE_ORDER_MARK) if buffer.data.startswith(BYTE_ORDER_MARK) else 0
            begin = skip_space(buffer.data, start, self._filled)
            is_open = begin == self._filled
            array = None
            if not is_open and self._key is not None and buffer.data.startswith(b"{", begin):
                array = self._find_array(self._key, begin)
                is_open = array is None
            if not is_open or self._is_read:
                return array
            if size >= limits.MAX_ELEMENT_BYTES:
                where = Where(self._file.where.run, self._file.where.file, self._path)
                expected = f"an array that begins in the first {as_size(limits.MAX_ELEMENT_BYTES)}"
                raise BadFileError("", where=where, expected=expected, found="none")
            size = min(2 * size, limits.MAX_ELEMENT_BYTES)
            if len(buffer.data) < size:
                buffer.data = buffer.data + bytearray(size - len(buffer.data))

    def _open_long(self, document: Document, array: int | None) -> None:
        """Find the array and the other members of a file that is longer than a block, or is to be salvaged."""
        data = self._buffer.data
        self._document = document
        if self._key is None:
            self._array = document.array().begin
        else:
            document.require_object()
            if array is None:
                raise document.error(document.begin, f"an array {self._key!r}", "none", self._path)
            self._array = array
            if self._ahead:
                self.members = self._members_around(self._array, self._key)
            elif self._salvage:
                self.members = self._members_before(self._array, self._key)
        self._head = bytes(data[document.begin : self._array])
        is_indented = data.startswith(helm_layout.object_start(self._level), self._array + 1)
        self._by_layout = self._by_layout and is_indented

    def _salvage_block(self) -> None:
        """Keep the complete elements of a file that fits a block, as the last chunk."""
        self._buffer.data[self._array] = _OPEN
        if not self._is_cut(self._array, self._filled, 0, 0):
            self._finish(self._array, self._filled, 0, 0)

    def _members_before(self, array: int, key: str) -> dict[str, bytes]:
        members = raw_members(self._document.buffer[self._document.begin : array] + b"null}")
        if members is None:
            raise self._document.error(array, "members before the array", "what is no JSON")
        return {name: raw for name, raw in members.items() if name != key}

    def _find_array(self, key: str, begin: int) -> int | None:
        """Where the array begins in the object at `begin`; None if it has not been read yet."""
        data, end = self._buffer.data, self._filled
        at = data.find(helm_layout.array_member(1, key), begin, end)
        if at >= 0 and self._by_layout and data.startswith(_DOCUMENT_START, begin):
            return data.index(b"[", at, end)
        depth = 0
        for match in TOKEN.finditer(data, begin, end):
            token = data[match.start()]
            if token == _QUOTE and depth == 1:
                colon = skip_space(data, match.end(), end)
                if data.startswith(b":", colon) and _is_key(bytes(data[match.start() : match.end()]), key):
                    value = skip_space(data, colon + 1, end)
                    if data.startswith(b"[", value):
                        return value
            elif token in OPENERS:
                depth += 1
            elif token in OPENERS.values():
                depth -= 1
        return None

    def _members_around(self, array: int, key: str) -> dict[str, bytes]:
        """The members before and after the array: read at the file's end by HELM's layout, else by a first pass."""
        if self._by_layout:
            head = bytes(self._document.buffer[self._document.begin : array])
            tail = self._file.tail(limits.TAIL_BYTES)
            end = find_array_end(tail, 0, len(tail))
            members = raw_members(head + b"null" + tail[end:]) if end >= 0 else None
            if members is not None and members.pop(key, None) is not None:
                self._array_end = self._file.size_bytes - len(tail) + end - len(helm_layout.array_end(1))
                return members
        with self._file.again() as file:
            first = ChunkReader(file, Buffer(), key, by_layout=False, ahead=False)
            self._array_end = max(chunk.offset + chunk.end for chunk in first)
            return first.members

    def _chunks_of_blocks(self) -> Iterator[Chunk]:
        """All chunks but the last, which is left in `_last`."""
        buffer = self._buffer
        opening, offset, first = self._array, 0, 0
        filled = self._filled
        at_end = False
        while not at_end:
            opening, first = yield from self._complete_elements(opening, filled, offset, first)
            carried = filled - opening
            self._chunk(opening, filled, offset, first).require_short()
            buffer.data[:carried] = buffer.data[opening:filled]
            offset += opening
            opening = 0
            if len(buffer.data) - carried < limits.BLOCK_BYTES // 2:
                buffer.data = buffer.data + bytearray(len(buffer.data))
            room = memoryview(buffer.data)[carried:]
            got = self._file.read_into(room)
            at_end = got < len(room)
            room.release()
            filled = carried + got
        if not self._salvage:
            opening, first = yield from self._complete_elements(
                opening, filled, offset, first, leave=limits.CHUNK_BYTES
            )
        buffer.data[opening] = _OPEN
        if not self._salvage or not self._is_cut(opening, filled, offset, first):
            self._finish(opening, filled, offset, first)

    def _complete_elements(
        self, opening: int, filled: int, offset: int, first: int, *, leave: int = 0
    ) -> Generator[Chunk, None, tuple[int, int]]:
        """The complete elements of a block, in chunks, while more than `leave` bytes of it are left.

        The comma after a chunk's last element, and the comma (or the bracket) before its first, are overwritten by
        the brackets of its array.

        Returns:
            Where the rest begins, with such a comma, and the index in the file's array of its first element.
        """
        data = self._buffer.data
        while filled - opening > leave:
            data[opening] = _OPEN
            comma = self._last_comma(opening, min(filled, opening + limits.CHUNK_BYTES), offset)
            if comma == opening and filled - opening > limits.CHUNK_BYTES:
                comma = self._first_comma(opening, filled, offset)
            if comma == opening:
                break
            data[comma] = _CLOSE
            chunk = self._chunk(opening, comma + 1, offset, first)
            yield chunk
            first += chunk.count
            opening = comma
        return opening, first

    def _is_cut(self, opening: int, filled: int, offset: int, first: int) -> bool:
        """Whether the file ends within its array. The complete elements before that are left in `_last`."""
        data = self._buffer.data
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
        else:  # the last element is complete, only what should follow it is missing
            end = self.cut_at = filled
            self.cut_at += offset
        if end > opening:
            if end == len(data):
                data.append(0)
            data[end] = _CLOSE
            self._last = self._chunk(opening, end + 1, offset, first)
        return True

    def _finish(self, opening: int, filled: int, offset: int, first: int) -> None:
        """The rest of the file: the last elements, and of an object the members that follow them."""
        data, where = self._buffer.data, self._file.where
        # The bracket was made of a comma, which an element must follow.
        rest = skip_space(data, opening + 1, filled)
        if offset + opening > self._array and data.startswith(b"]", rest):
            raise self._chunk(opening, filled, offset, first).error(rest, "a value", "']'", 0)
        if self._key is None:
            self._last = self._chunk(opening, filled, offset, first)
            return
        tail = bytearray(self._head) + data[opening:filled]
        shift = offset + opening - len(self._head)
        document = Document(tail, 0, len(tail), shift, where)
        members, self._last = document.members_and_array(self._key, by_layout=self._by_layout)
        self.duplicate_keys = document.duplicate_keys
        if self._last is None:
            raise document.error(len(tail), f"the end of {self._key}", "the end of the file", self._path)
        self._last.first = first
        if not self._ahead:
            self.members = members
        elif members != self.members:
            raise document.error(0, "the members of the object where HELM writes them", "other ones at the end")

    def _first_comma(self, opening: int, filled: int, offset: int) -> int:
        """The comma after the first element, which is a long one; `opening` if there is none."""
        data = self._buffer.data
        closing = helm_layout.object_end(self._level) + _COMMA
        if self._by_layout:
            at = data.find(closing, opening, self._end_of_array(opening, filled, offset))
            if at >= 0:
                return at + len(closing) - 1
        try:
            end = next((end for _, end in Scanner(data, opening, filled).elements()), opening)
        except BrokenError as error:
            return opening if error.at >= filled else self._last_comma(opening, filled, offset)
        return end if data.startswith(_COMMA, end) else opening

    def _last_comma(self, opening: int, filled: int, offset: int) -> int:
        """The comma after the last complete element in the buffer; `opening` if there is none."""
        data = self._buffer.data
        closing = helm_layout.object_end(self._level) + _COMMA
        if self._by_layout:
            at = data.rfind(closing, opening, self._end_of_array(opening, filled, offset))
            if at >= 0:
                return at + len(closing) - 1
        last = opening
        try:
            for _, end in Scanner(data, opening, filled).elements():
                last = end if data[end] == _COMMA_BYTE else last
        except BrokenError as error:
            follows = error.closed and self._key is not None
            if error.at < filled and not follows:
                document = Document(data, opening, filled, offset, self._file.where)
                raise document.error(error.at, error.expected, error.found) from None
        return last

    def _end_of_array(self, opening: int, filled: int, offset: int) -> int:
        """Where to stop looking for elements: a member that follows the array may be laid out as its elements are."""
        return max(opening, min(filled, self._array_end - offset))


def _is_key(text: bytes, key: str) -> bool:
    """Whether a JSON string is this key; it may be written with escapes."""
    if b"\\" not in text:
        return text == f'"{key}"'.encode()
    try:
        return bool(json.loads(text) == key)
    except ValueError:
        return False
