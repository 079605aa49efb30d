"""Raw elements to structs, by one reused decoder per type. There are two ways.

The fast way decodes many elements at once by msgspec. It refuses keys that HELM does not declare, values of another
type, `NaN`, the infinities and half surrogate pairs. What it decodes may still say less than the file: an explicit
null looks like a missing key, a key may occur twice, an integer may be rounded to a float. So the caller must count
quotation marks (see `QUOTE`) and look at the numbers (see `records.column_builders.InexactError`).

The careful way parses element by element by Python's `json`, and keeps beside each struct what does not fit it; see
`wire.structure`.
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
"""How deep an element may be nested; HELM's own data has a dozen levels. Python's own limit also counts the caller's
frames, so one process could read what another could not."""


@dataclass(slots=True)
class Decoded:
    """Decoded elements in order, and by index the values that their structs could not hold."""

    structs: list[Any]
    residuals: dict[int, Residual] = field(default_factory=dict)


class ElementDecoder:
    """Decodes the elements of one type."""

    def __init__(self, struct: type[Struct]) -> None:
        self.shape: Object = object_shape(struct)
        self._struct = wire.partial_type(struct)
        self._many: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[self._struct])  # type: ignore[name-defined]

    @cached_property
    def _one(self) -> "msgspec.json.Decoder[Any]":
        return msgspec.json.Decoder(self._struct)

    def fast(self, array: bytes | memoryview) -> list[Any]:
        """The elements of a JSON array, by the fast way.

        Raises:
            FastDecodeError: msgspec refuses one of them.
        """
        try:
            found: list[Any] = self._many.decode(array)
        except REFUSED:
            raise FastDecodeError from None
        return found

    def fast_pieces(self, pieces: Iterable[bytes | memoryview]) -> list[Any]:
        """As `fast`, for elements that were cut out of a file before: one per piece."""
        try:
            return list(map(self._one.decode, pieces))
        except REFUSED:
            raise FastDecodeError from None

    def careful(self, chunk: Chunk) -> Decoded:
        """The elements of a chunk, by the careful way. Sets the chunk's `count`.

        For an element that is no object there is an empty struct, and the residual holds the element.

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
        """As `careful`, for elements that were cut out of a file before.

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
            held = wire.structure(value, self.shape, "", residual)
        except wire.MisfitError:
            held, residual[""] = self._struct(), value
        if residual:
            decoded.residuals[len(decoded.structs)] = residual
        decoded.structs.append(held)


QUOTE = b'"'
"""A file has two quotation marks for each key and each string, and those within strings. If it has more than its
decoded values need, it has a key that was not seen: one with a null, or one that occurs twice. Only a mark that is
written as `ESCAPED_QUOTE` could make up for it, so a file with such marks is decoded the careful way."""

ESCAPED_QUOTE = b"\\u0022"
"""A quotation mark in a string as HELM never writes it."""


class FastDecodeError(Exception):
    """The fast way cannot decode something, or may have lost something: the careful way is needed."""


class BadPieceError(Exception):
    """A piece of an element is no JSON. To say where, decode the element that it was cut from."""


def is_no_object(residual: Residual) -> bool:
    """Whether this is the residual of an element that is no object."""
    return "" in residual and residual[""] != {}


def is_utf8(data: bytes) -> bool:
    """Whether JSON is UTF-8; msgspec does not look into the raw parts."""
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
    """The elements of a chunk as raw JSON. Their brackets and commas match, more is not known of them.

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
    """As `raw_elements`, each parsed as a check.

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
    """The decoder of a type. It is made once, since making one takes as long as decoding a small file."""
    return ElementDecoder(struct)


def document(raw: bytes, shape: Object, where: Where, offset: int = 0) -> tuple[Any, Residual]:
    """The struct and the residual of one object that is a complete file, or a member of one.

    Args:
        raw: the object as JSON.
        shape: what HELM declares it to be.
        where: run and file.
        offset: where in the file `raw` begins.

    Raises:
        BadFileError: no JSON, or no object.
    """
    residual: Residual = {}
    try:
        value = parse(raw, residual)
        try:
            return wire.structure(value, shape, "", residual), residual
        except wire.MisfitError:
            raise _BadElementError(0, "an object", kind(value)) from None
    except _BadElementError as error:
        fault = Where(where.run, where.file, "$", offset + error.byte)
        hint = "Copy the file again." if error.found == END_OF_FILE else None
        raise BadFileError("", where=fault, expected=error.expected, found=error.found, hint=hint) from None


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
            fault = Where(where.run, where.file, f"$.{name}")
            return BadFileError("", where=fault, expected=error.expected, found=error.found)
    return None


def parse_document(raw: bytes, where: Where) -> Any:
    """A complete file as Python's `json` reads it.

    Raises:
        BadFileError: it is no JSON.
    """
    try:
        return parse(raw)
    except _BadElementError as error:
        fault = Where(where.run, where.file, "$", error.byte)
        raise BadFileError("", where=fault, expected=error.expected, found=error.found) from None


def parse(raw: bytes | memoryview | Raw, residual: Residual | None = None) -> Any:
    """A document as Python's `json` reads it: NaN, infinities and integers of any size included.

    Args:
        raw: the document.
        residual: gets a list of the keys that occur more than once.

    Raises:
        _BadElementError: it is no JSON, or too deep.
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
    if pairs.duplicates and residual is not None:
        residual[wire.DUPLICATES] = pairs.pointers(value)
    return value


_MANY_DIGITS = re.compile(rb"[0-9]{4301}")


def is_extreme(data: bytes) -> bool:
    """Whether Python's `json` may be unable to read free-form JSON, which msgspec only skips.

    It may be nested too deeply once the levels around it are counted, or have an integer of more than 4,300 digits.
    """
    return is_deep(data, MAX_LEVELS - 20) or (len(data) > 4300 and _MANY_DIGITS.search(data) is not None)


def is_deep(raw: bytes | memoryview | Raw, max_levels: int = MAX_LEVELS) -> bool:
    """Whether JSON is nested deeper than `max_levels` levels. It is scanned only if it has that many brackets."""
    if memoryview(raw).nbytes <= 2 * max_levels:
        return False
    data = bytes(raw)
    if data.count(b"[") + data.count(b"{") <= max_levels:
        return False
    depth = 0
    for match in _BRACKET.finditer(data):
        if match[1]:
            depth += 1
            if depth > max_levels:
                return True
        elif data[match.start()] != 0x22:
            depth -= 1
    return False


class _Pairs:
    """Makes dicts of pairs, and remembers duplicate keys."""

    def __init__(self) -> None:
        self.duplicates: list[tuple[dict[str, Any], str]] = []

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            self.duplicates += [(made, key) for key, count in counts.items() if count > 1]
        return made

    def pointers(self, value: Any) -> list[str]:
        """JSON pointers of these keys in the parsed document."""
        keys: dict[int, list[str]] = {}
        for made, key in self.duplicates:
            keys.setdefault(id(made), []).append(key)
        return list(_pointers(value, keys, ""))


def _pointers(value: Any, keys: dict[int, list[str]], pointer: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{pointer}/{wire.escape(key)}" for key in keys.get(id(value), ()))
        for key, entry in value.items():
            yield from _pointers(entry, keys, f"{pointer}/{wire.escape(key)}")
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _pointers(entry, keys, f"{pointer}/{index}")
