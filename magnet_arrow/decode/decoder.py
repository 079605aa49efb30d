"""Raw elements to wire structs, by one reused decoder a type.

The fast way decodes a whole chunk at once. What it can't tell apart or refuses, the careful way takes element by
element: explicit nulls (a decoded None could also be a missing key), keys that no struct has, values of another
type, `NaN` and the infinities, half surrogate pairs, numbers that a double would round. See `wire.conform`.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import msgspec
from msgspec import Raw, Struct

from magnet_arrow.decode import wire
from magnet_arrow.decode.chunks import REFUSED, Chunk, raw_items
from magnet_arrow.decode.tokenizer import END_OF_FILE
from magnet_arrow.decode.wire import Residual
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm.declared_types import Object, object_shape
from magnet_arrow.helm.json_faults import Fault, first_fault, kind

_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([\[{])|[\]}]', re.DOTALL)

MAX_LEVELS = 500
"""How deep an element may be nested. Python's own limit counts the frames of whoever calls, so what one process took
another could not read; and HELM's own data has a dozen levels."""


@dataclass(slots=True)
class Decoded:
    """Elements in their order, and what their structs could not hold by index."""

    structs: list[Any]
    residuals: dict[int, Residual] = field(default_factory=dict)


class ElementDecoder:
    """Decodes the elements of one type."""

    def __init__(self, struct: type[Struct]) -> None:
        self.shape: Object = object_shape(struct)
        self._twin = wire.twin(struct)
        self._many: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[self._twin])  # type: ignore[name-defined]

    @cached_property
    def _one(self) -> "msgspec.json.Decoder[Any]":
        return msgspec.json.Decoder(self._twin)

    def plain(self, array: bytes | memoryview) -> list[Any]:
        """The elements of a JSON array, if msgspec takes all of them; what they leave out is not looked for.

        Raises:
            NotPlainError: it does not.
        """
        try:
            found: list[Any] = self._many.decode(array)
        except REFUSED:
            raise NotPlainError from None
        return found

    def plain_pieces(self, pieces: Iterable[bytes | memoryview]) -> list[Any]:
        """As `plain`, element by element: each piece is one."""
        try:
            return list(map(self._one.decode, pieces))
        except REFUSED:
            raise NotPlainError from None

    def careful(self, chunk: Chunk) -> Decoded:
        """The elements of a chunk, each parsed by itself; sets the chunk's `count`.

        An element that is no object leaves an empty struct, and its residual is the whole of it.

        Args:
            chunk: of a file.

        Raises:
            BadFileError: an element is no JSON.
        """
        decoded = Decoded([])
        for index, raw in enumerate(_raws(chunk)):
            try:
                self._add_careful(decoded, raw)
            except _BadElementError as error:
                raise chunk.error(chunk.begin_of(index) + error.byte, error.expected, error.found, index) from None
        chunk.count = len(decoded.structs)
        return decoded

    def careful_pieces(self, pieces: Iterable[bytes]) -> Decoded:
        """As `careful`, for elements that were cut out of others before.

        Args:
            pieces: raw JSON.

        Raises:
            BadPieceError: one is no JSON.
        """
        decoded = Decoded([])
        for piece in pieces:
            try:
                self._add_careful(decoded, piece)
            except _BadElementError as error:
                raise BadPieceError(error.found) from None
        return decoded

    def _add_careful(self, decoded: Decoded, raw: bytes | memoryview) -> None:
        residual: Residual = {}
        value = parse(raw, residual)
        try:
            held = wire.conform(value, self.shape, "", residual)
        except wire.Nowhere:
            held, residual[""] = self._twin(), value
        if residual:
            decoded.residuals[len(decoded.structs)] = residual
        decoded.structs.append(held)


QUOTE = b'"'
"""A file has two for each key and each text, and those within texts. One that has more than what was decoded of it
needs has a key that was not seen: one with a null, or one that stood there twice. Only a mark that is written as
`ESCAPED_QUOTE` could hide it, and HELM writes none."""

ESCAPED_QUOTE = b"\\u0022"


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


def _raws(chunk: Chunk) -> Iterator[bytes | memoryview]:
    try:
        return map(memoryview, raw_items(chunk.view))
    except REFUSED:
        return (memoryview(chunk.buffer)[begin:end] for begin, end in chunk.elements())


def raw_elements(chunk: Chunk) -> list[Raw]:
    """The elements of a chunk as raw JSON; those that msgspec skips over have not been looked into.

    Raises:
        BadFileError: one is no JSON.
    """
    try:
        raws = raw_items(chunk.view)
    except REFUSED:
        return parsed_elements(chunk)
    chunk.count = len(raws)
    return raws


def parsed_elements(chunk: Chunk) -> list[Raw]:
    """As `raw_elements`, after each of them was parsed.

    Raises:
        BadFileError: one is no JSON.
    """
    raws: list[Raw] = []
    for begin, end in chunk.elements():
        try:
            parse(memoryview(chunk.buffer)[begin:end])
        except _BadElementError as error:
            raise chunk.error(begin + error.byte, error.expected, error.found, len(raws)) from None
        raws.append(Raw(bytes(chunk.buffer[begin:end]).strip()))
    chunk.count = len(raws)
    return raws


@cache
def decoder_of(struct: type[Struct]) -> ElementDecoder:
    """The decoder of a type, made once."""
    return ElementDecoder(struct)


def document(raw: bytes, shape: Object, where: Where, path: str = "$", offset: int = 0) -> tuple[Any, Residual]:
    """One object that is a whole file, or a member of one: its wire struct and residual.

    Raises:
        BadFileError: no JSON, or no object.
    """
    residual: Residual = {}
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
