"""Raw elements to wire structs, by one reused decoder a type.

The fast way decodes a whole chunk at once. What it can't tell apart or refuses, the careful way takes element by
element: explicit nulls (a decoded None could also be a missing key), keys that no struct has, values of another
type, `NaN` and the infinities, half surrogate pairs, numbers that a double would round. See `wire.conform`.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import msgspec
from msgspec import Raw, Struct

from magnet_arrow.decode import wire
from magnet_arrow.decode.chunks import Chunk, items
from magnet_arrow.decode.tokenizer import END_OF_FILE
from magnet_arrow.decode.wire import Residual
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm.declared_types import ListOf, Object, Shape, object_shape
from magnet_arrow.helm.json_faults import Fault, first_fault, kind

# A key with an explicit null. False alarms (in free-form parts) cost time only; a key that ends in a backslash is
# missed, and no declared key does.
_NULL_MEMBER = re.compile(rb'(?<!\\)"[ \t\r\n]*:[ \t\r\n]*null\b')
_EMPTY_OBJECT = re.compile(rb"\{[ \t\r\n]*\}")
# An integer of 16 digits or more may not be a double. False alarms (digits in a text) cost time only.
_LONG_INTEGER = re.compile(rb"(?<![0-9.])[0-9]{16,}+(?![.eE])")
REFUSED = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What msgspec raises for JSON that it does not take."""
_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([\[{])|[\]}]', re.DOTALL)

MAX_LEVELS = 500
"""How deep an element may be nested. Python's own limit counts the frames of whoever calls, so what one process took
another could not read; and HELM's own data has a dozen levels."""


@dataclass(slots=True)
class Decoded:
    """Elements in their order, and what their structs could not hold by index."""

    structs: list[Any]
    residuals: dict[int, Residual] = field(default_factory=dict)
    exact: bool = True
    """Whether integers that a double would round have been looked for."""


class ElementDecoder:
    """Decodes the elements of one type."""

    def __init__(self, struct: type[Struct]) -> None:
        self.shape: Object = object_shape(struct)
        self._twin = wire.twin(struct)
        # Lists that stay raw are looked through by whoever takes them apart.
        self._interns_lists = any(owner is struct and _is_list(self.shape, name) for owner, name in wire.INTERNED)
        self._many: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[self._twin])  # type: ignore[name-defined]

    @cached_property
    def _one(self) -> "msgspec.json.Decoder[Any]":
        return msgspec.json.Decoder(self._twin)

    @cached_property
    def _whole(self) -> "msgspec.json.Decoder[Any]":
        struct = wire.whole_twin(self.shape.struct)
        return msgspec.json.Decoder(list[struct])  # type: ignore[valid-type]

    def plain(self, array: bytes | memoryview) -> list[Any]:
        """The elements of a JSON array, if msgspec takes all of them; what they leave out is not looked for.

        Raises:
            NotPlainError: it does not.
        """
        return _plain(self._many, array)

    def plain_whole(self, array: bytes | memoryview) -> list[Any]:
        """As `plain`, with what otherwise stays raw decoded too; see `wire.whole_twin`."""
        return _plain(self._whole, array)

    def plain_pieces(self, pieces: Iterable[bytes | memoryview]) -> list[Any]:
        """As `plain`, element by element: each piece is one."""
        try:
            return list(map(self._one.decode, pieces))
        except REFUSED:
            raise NotPlainError from None

    def chunk(self, chunk: Chunk, *, carefully: bool = False) -> Decoded:
        """The elements of a chunk.

        One that is no object leaves an empty struct, and stands in its residual as a whole.

        Args:
            chunk: of a file.
            carefully: look at each element by itself.

        Raises:
            BadFileError: an element is no JSON.
        """
        if not carefully and not chunk.has(b"null"):
            try:
                decoded = Decoded(self._many.decode(chunk.view), exact=False)
                if self._interns_lists or chunk.count_of(KEY_MARK) == key_marks(decoded.structs):
                    chunk.count = len(decoded.structs)
                    return decoded
            except REFUSED:
                pass
            decoded = self._each(chunk)
        else:
            decoded = self._each(chunk, fast=not carefully)
        chunk.count = len(decoded.structs)
        return decoded

    def _each(self, chunk: Chunk, *, fast: bool = True) -> Decoded:
        """Element by element: the fast way first, where it is safe."""
        decoded = Decoded([])
        view = chunk.view
        try:
            raws: Iterable[bytes | memoryview] = [memoryview(raw) for raw in items(view)]
        except REFUSED:
            raws = (memoryview(chunk.buffer)[begin:end] for begin, end in chunk.elements())
        for index, raw in enumerate(raws):
            held = self.fast(raw) if fast else None
            if held is None:
                residual: Residual = {}
                try:
                    held = self._careful(raw, residual)
                except _BadElementError as error:
                    begin = _place(chunk, index)
                    raise chunk.error(begin + error.byte, error.expected, error.found, index) from None
                if residual:
                    decoded.residuals[index] = residual
            decoded.structs.append(held)
        return decoded

    def fast(self, raw: bytes | memoryview) -> Any:
        """The struct, or None if only the careful way may take this element."""
        data = bytes(raw)
        if _has_null(data) or _has_long_integer(data) or is_deep(data):
            return None
        try:
            held = self._one.decode(data)
        except REFUSED:
            return None
        if _EMPTY_OBJECT.search(data) and _has_empty(held, self.shape):
            return None
        return held if data.count(KEY_MARK) == key_marks(held) else None

    def _careful(self, raw: bytes | memoryview, residual: Residual) -> Any:
        """As `wire.conform` has it; what is no object leaves an empty one."""
        value = parse(raw, residual)
        try:
            return wire.conform(value, self.shape, "", residual)
        except wire.Nowhere:
            residual[""] = value
            return self._twin()

    def pieces(self, pieces: Sequence[bytes], *, carefully: bool = False) -> Decoded:
        """Elements that were cut out of others before; the careful way is taken for those that need it.

        One that is no object leaves an empty struct, and stands in its residual as a whole.

        Args:
            pieces: raw JSON.
            carefully: look at each piece by itself.

        Raises:
            BadPieceError: one is no JSON.
        """
        joined = b",".join(pieces)
        if not carefully and not _has_null(joined):
            try:
                structs = self._many.decode(b"[" + joined + b"]")
                if is_utf8(joined) and joined.count(KEY_MARK) == key_marks(structs):
                    return Decoded(structs, exact=False)
            except REFUSED:
                pass
        decoded = Decoded([])
        for index, piece in enumerate(pieces):
            held = self.fast(piece) if is_utf8(piece) else None
            residual: Residual = {}
            if held is None:
                try:
                    held = self._careful(piece, residual)
                except _BadElementError as error:
                    raise BadPieceError(error.found) from None
            if residual:
                decoded.residuals[index] = residual
            decoded.structs.append(held)
        return decoded


def _plain(decoder: "msgspec.json.Decoder[Any]", array: bytes | memoryview) -> list[Any]:
    try:
        found: list[Any] = decoder.decode(array)
    except REFUSED:
        raise NotPlainError from None
    return found


QUOTE = b'"'
"""A file has two for each key and each text, and those within texts. One that has more than what was decoded of it
needs has a key that was not seen: one with a null, or one that stood there twice. Only a mark that is written as
`ESCAPED_QUOTE` could hide it, and HELM writes none."""

ESCAPED_QUOTE = b"\\u0022"

KEY_MARK = b'":'
"""What follows a key. It also stands in texts, where it is written `\\":` in the file and by msgspec alike."""


def key_marks(structs: Any) -> int:
    """How many keys a file has that says no more than these wire structs, plus the marks in their texts.

    A file that has more has a key twice: msgspec takes the last one without a word. (One that has blanks between a
    key and its colon has fewer; it is looked at with care too.)
    """
    return _encode(structs).count(KEY_MARK)


_encode = msgspec.json.Encoder().encode


def _has_null(data: bytes) -> bool:
    """Whether there may be an explicit null in a declared field."""
    return b"null" in data and _NULL_MEMBER.search(data) is not None


def _has_long_integer(data: bytes) -> bool:
    """Whether there may be an integer that a double would round. The search costs more than the look before it."""
    return _SIXTEEN_DIGITS in data.translate(_DIGITS_ALIKE) and _LONG_INTEGER.search(data) is not None


_SIXTEEN_DIGITS = b"0" * 16
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"0" * 9)


def _has_empty(held: Any, shape: Shape) -> bool:
    """Whether an object with declared fields is there without any: as good as a missing one in columns."""
    match shape:
        case Object(fields=fields, struct=struct) if held is not None:
            return bool(held == wire.twin(struct)()) or any(
                _has_empty(getattr(held, field.name), field.shape)
                for field in fields
                if (struct, field.name) not in wire.INTERNED
            )
        case ListOf(item=item) if held is not None:
            return any(_has_empty(entry, item) for entry in held)
    return False


def _is_list(shape: Object, name: str) -> bool:
    return any(field.name == name and isinstance(field.shape, ListOf) for field in shape.fields)


class NotPlainError(Exception):
    """Something needs another look than the many at once get that hold nothing out of the ordinary."""


class BadPieceError(Exception):
    """A piece of an element is no JSON. Whoever cut it out decodes the element carefully, to say where."""


def is_no_object(residual: Residual) -> bool:
    """Whether an element that left this is no object: it stands there as a whole."""
    return "" in residual and residual[""] != {}


def is_utf8(data: bytes) -> bool:
    """Whether raw parts, which msgspec does not look into, are text."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class _BadElementError(Exception):
    def __init__(self, byte: int, expected: str, found: str) -> None:
        super().__init__(found)
        self.byte, self.expected, self.found = byte, expected, found


def raw_elements(chunk: Chunk, *, carefully: bool = False) -> list[Raw]:
    """The elements of a chunk, none decoded; carefully: each parsed.

    Raises:
        BadFileError: one is no JSON.
    """
    if not carefully:
        try:
            raws = items(chunk.view)
        except REFUSED:
            return raw_elements(chunk, carefully=True)
        chunk.count = len(raws)
        return raws
    raws = []
    for begin, end in chunk.elements():
        try:
            parse(memoryview(chunk.buffer)[begin:end])
        except _BadElementError as error:
            begin = _place(chunk, len(raws))
            raise chunk.error(begin + error.byte, error.expected, error.found, len(raws)) from None
        raws.append(Raw(bytes(chunk.buffer[begin:end]).strip()))
    chunk.count = len(raws)
    return raws


def _place(chunk: Chunk, index: int) -> int:
    """Where an element begins in the chunk's buffer; scanned for, since only an error asks."""
    for number, (begin, _) in enumerate(chunk.elements()):
        if number == index:
            text = bytes(chunk.buffer[begin : begin + 256])
            return begin + len(text) - len(text.lstrip())
    return chunk.begin


@cache
def decoder_of(struct: type[Struct]) -> ElementDecoder:
    """The decoder of a type, made once."""
    return ElementDecoder(struct)


def plain_objects(struct: type[Struct], raws: Iterable[bytes | memoryview]) -> list[Any]:
    """Objects, each a whole file, if msgspec takes all of them; what that leaves out is not looked for.

    Raises:
        NotPlainError: it does not.
    """
    return decoder_of(struct).plain_pieces(raws)


def document(raw: bytes, shape: Object, where: Where, path: str = "$", offset: int = 0) -> tuple[Any, Residual]:
    """One object that is a whole file, or a member of one: its wire struct and residual.

    Raises:
        BadFileError: no JSON, or no object.
    """
    residual: Residual = {}
    held = decoder_of(shape.struct).fast(raw) if is_utf8(raw) else None
    if held is not None:
        return held, residual
    try:
        value = parse(raw, residual)
        try:
            return wire.conform(value, shape, "", residual), residual
        except wire.Nowhere:
            raise _BadElementError(0, "an object", kind(value)) from None
    except _BadElementError as error:
        place = Where(where.run, where.file, path, offset + error.byte)
        hint = "Copy the file again." if error.found == END_OF_FILE else None
        raise BadFileError("", where=place, expected=error.expected, found=error.found, hint=hint) from None


def member_error(members: Mapping[str, bytes], where: Where) -> BadFileError | None:
    """The error for the first member of an object that is no JSON, by name; None if none is bad.

    Args:
        members: raw JSON by key, cut out of the file.
        where: run and file.
    """
    for name, raw in members.items():
        try:
            parse(raw)
        except _BadElementError as error:
            place = Where(where.run, where.file, f"$.{name}")
            return BadFileError("", where=place, expected=error.expected, found=error.found)
    return None


def parse_document(raw: bytes, where: Where) -> Any:
    """What Python's `json` makes of a whole file.

    Raises:
        BadFileError: it is no JSON.
    """
    try:
        return parse(raw)
    except _BadElementError as error:
        place = Where(where.run, where.file, "$", error.byte)
        raise BadFileError("", where=place, expected=error.expected, found=error.found) from None


def parse(raw: bytes | memoryview | Raw, residual: Residual | None = None) -> Any:
    """What Python's `json` makes of one document: NaN, infinities and integers of any size included.

    Args:
        raw: the document.
        residual: told which keys stood more than once.
    """
    data = bytes(raw)
    if is_deep(data):
        raise _BadElementError(0, f"JSON of at most {MAX_LEVELS} levels", "more of them")
    pairs = _Pairs()
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=pairs)
    except UnicodeDecodeError as error:
        raise _BadElementError(error.start, "UTF-8 text", f"byte 0x{data[error.start]:02x}") from None
    except json.JSONDecodeError as error:
        fault = first_fault(data) or Fault(0, error.msg)
        rest = data[fault.byte :].decode("utf-8", "replace")
        found = END_OF_FILE if not rest.strip() else f"{rest[:24]!r} ({fault.what})"
        raise _BadElementError(fault.byte, "JSON", found) from None
    except RecursionError:
        found = "more than can be read from so deep in the stack"
        raise _BadElementError(0, f"JSON of at most {MAX_LEVELS} levels", found) from None
    except ValueError as error:  # an integer of more than 4,300 digits
        raise _BadElementError(0, "a number that can be read", str(error)) from None
    if pairs.doubled and residual is not None:
        residual[wire.DUPLICATES] = pairs.places(value)
    return value


_MANY_DIGITS = re.compile(rb"[0-9]{4301}")


def is_extreme(data: bytes) -> bool:
    """Whether free-form JSON, which msgspec only skips over, may be more than Python's `json` can read.

    It may be nested too deeply once the levels around it are counted, or have an integer past 4,300 digits.
    """
    return is_deep(data, MAX_LEVELS - 20) or (len(data) > 4300 and _MANY_DIGITS.search(data) is not None)


def is_deep(raw: bytes | memoryview | Raw, most: int = MAX_LEVELS) -> bool:
    """Whether JSON is nested deeper than that. Only what has that many brackets is scanned."""
    if memoryview(raw).nbytes <= 2 * most:
        return False
    data = bytes(raw)
    if data.count(b"[") + data.count(b"{") <= most:
        return False
    depth = 0
    for match in _BRACKET.finditer(data):
        if match[1]:
            depth += 1
            if depth > most:
                return True
        elif data[match.start()] != 0x22:
            depth -= 1
    return False


class _Pairs:
    """Makes dicts of pairs, and remembers those that had a key twice."""

    def __init__(self) -> None:
        self.doubled: list[tuple[dict[str, Any], str]] = []

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.doubled += [(made, key) for key, count in counts.items() if count > 1]
        return made

    def places(self, value: Any) -> list[str]:
        """JSON pointers of the doubled keys in the document that came of it."""
        keys: dict[int, list[str]] = {}
        for made, key in self.doubled:
            keys.setdefault(id(made), []).append(key)
        return list(_places(value, keys, ""))


def _places(value: Any, keys: dict[int, list[str]], pointer: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{pointer}/{wire.escape(key)}" for key in keys.get(id(value), ()))
        for key, entry in value.items():
            yield from _places(entry, keys, f"{pointer}/{wire.escape(key)}")
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _places(entry, keys, f"{pointer}/{index}")
