"""A document: a complete file in a buffer, and the array in it that holds its elements."""

import json
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from magnet_arrow._text import as_size
from magnet_arrow.decode import helm_layout, limits
from magnet_arrow.decode.byte_search import find
from magnet_arrow.decode.chunks import REFUSED, SHORTEN_HINT, Chunk
from magnet_arrow.decode.tokenizer import BrokenError, Scanner, after_key, sample, skip_space
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.sources.file import SourceFile

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MEMBER = helm_layout.member_start(1)
_ARRAY_END = helm_layout.array_end(1)
_SPACE = b" \t\r\n"
_members = msgspec.json.Decoder(dict[str, Raw])


@dataclass(slots=True)
class Buffer:
    """A reused buffer that a run's files are read into, one after the other.

    A new buffer for each file would cost the page faults of touching new memory each time.
    """

    data: bytearray = field(default_factory=bytearray)
    used: int = 0

    def clear(self) -> None:
        """Forget what is in it; the memory stays."""
        self.used = 0

    def load(self, file: SourceFile, *, empty: bool = False, max_bytes: int | None = None) -> "Document":
        """Read a complete file.

        Args:
            file: just opened.
            empty: whether it may be empty.
            max_bytes: how long it may be; None for `MAX_ELEMENT_BYTES`.

        Raises:
            BadFileError: it cannot be read, or is empty though it may not be.
        """
        begin = self.used
        # One byte more than the file had, so that a file that has grown meanwhile is read to its end.
        wanted = file.size_bytes + 1
        limit = (limits.MAX_ELEMENT_BYTES if max_bytes is None else max_bytes) + 1
        while True:
            if wanted > limit:
                found = f"one of more than {as_size(limit)}"
                raise BadFileError("", where=file.where, expected="a JSON document", found=found, hint=SHORTEN_HINT)
            if begin + wanted > len(self.data):
                grown = bytearray(max(2 * len(self.data), begin + wanted))
                grown[: self.used] = memoryview(self.data)[: self.used]
                self.data = grown
            got = file.read_into(memoryview(self.data)[self.used : begin + wanted])
            self.used += got
            if self.used < begin + wanted:
                return document_in(self.data, begin, self.used, file.where, empty=empty)
            wanted *= 2


@dataclass(slots=True)
class Document:
    """A complete file in a buffer."""

    buffer: bytearray
    begin: int
    end: int
    offset: int
    where: Where
    duplicate_keys: list[str] = field(default_factory=list)
    """Keys of members that were there before; `members_and_array` finds them. The last member counts."""

    def error(self, at: int, expected: str, found: str, path: str = "$") -> BadFileError:
        """The error for a fault at `at` in the buffer."""
        where = Where(self.where.run, self.where.file, path, self.offset + at)
        return BadFileError("", where=where, expected=expected, found=found)

    def array(self) -> Chunk:
        """The document as an array of elements.

        Raises:
            BadFileError: it is no array.
        """
        self._require_start(b"[", "an array")
        return Chunk(self.buffer, self.begin, self.end, self.offset, 0, "$", self.where)

    def require_object(self) -> None:
        """Require that the document begins as an object.

        Raises:
            BadFileError: it does not.
        """
        self._require_start(b"{", "an object")

    def members_and_array(self, key: str, *, by_layout: bool = True) -> tuple[dict[str, bytes], Chunk | None]:
        """The document as an object: the members but `key` as raw JSON, and the array of `key`.

        Args:
            key: the member that holds the array. If it is missing there is no array; if it holds something else,
                it is among the members.
            by_layout: try first to find the array by HELM's layout.

        Raises:
            BadFileError: the document is no object, or its brackets don't match.
        """
        self.require_object()
        return (self._by_layout(key) if by_layout else None) or self._by_scan(key)

    def _by_layout(self, key: str) -> tuple[dict[str, bytes], Chunk | None] | None:
        """As `members_and_array`; None if the brackets are not where HELM's layout has them."""
        opening = helm_layout.array_member(1, key)
        at = self.buffer.find(opening, self.begin, self.end)
        if at < 0:
            return None
        array = at + len(opening) - 1
        is_empty = self.buffer.startswith(b"[]", array)
        end = array + 2 if is_empty else find_array_end(self.buffer, array, self.end)
        if end < 0:
            return None
        rest = self.buffer[self.begin : array] + b"null" + self.buffer[end : self.end]
        members = raw_members(rest)
        if members is None or members.pop(key, None) != b"null" or rest.count(_MEMBER) != len(members) + 1:
            return None
        chunk = Chunk(self.buffer, array, end, self.offset, 0, f"$.{key}", self.where)
        return members, chunk

    def _by_scan(self, key: str) -> tuple[dict[str, bytes], Chunk | None]:
        members: dict[str, bytes] = {}
        chunk = None
        self.duplicate_keys = []
        scanner = Scanner(self.buffer, self.begin, self.end)
        try:
            for begin, end in scanner.elements():
                colon = after_key(self.buffer, begin, end)
                if colon < 0:
                    raise self.error(begin, "a key and its value", sample(self.buffer, begin, end))
                name, value = self._key(begin, colon), skip_space(self.buffer, colon + 1, end)
                if name in members or (name == key and chunk is not None):
                    self.duplicate_keys.append(name)
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

    def _require_start(self, bracket: bytes, expected: str) -> None:
        self.begin = skip_space(self.buffer, self.begin, self.end)
        if not self.buffer.startswith(bracket, self.begin, self.end):
            raise self.error(self.begin, expected, sample(self.buffer, self.begin, self.end))


def document_in(data: bytearray, begin: int, end: int, where: Where, *, empty: bool = False) -> Document:
    """A complete file that was read to this place of a buffer, without its byte-order mark.

    Raises:
        BadFileError: it is empty though it may not be.
    """
    start = begin + (len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK, begin, end) else 0)
    document = Document(data, start, end, -begin, where)
    if not empty and skip_space(data, start, end) == end:
        raise document.error(start, "a JSON document", "an empty file")
    return document


def raw_members(text: bytes | bytearray) -> dict[str, bytes] | None:
    """The members of an object as raw JSON, by key; None if msgspec refuses it."""
    try:
        members = _members.decode(text)
    except REFUSED:
        return None
    return {name: bytes(raw) for name, raw in members.items()}


def find_array_end(data: bytes | bytearray, begin: int, end: int) -> int:
    """Where an array ends that is a member of the document, by HELM's layout; -1 if it is not near the document's end.

    Other members that follow it (`annotator_specs`) may be arrays too, so the first closing bracket ends it, not the
    last.
    """
    at = find(data, max(begin, end - limits.TAIL_BYTES), end, _ARRAY_END)
    return at + len(_ARRAY_END) if at >= 0 else -1
