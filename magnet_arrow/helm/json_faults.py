"""Finds where a text stops being JSON and why, and names JSON's values in messages.

Python's `json` decides what is JSON. But its byte and its words change from release to release (3.13 points at a
trailing comma, earlier releases after it), so ours are made here.
"""

import re
from dataclasses import dataclass
from typing import Any

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+')
_SCALAR = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null|NaN|-?Infinity", re.DOTALL)
_OPENERS = {0x5B: 0x5D, 0x7B: 0x7D}


@dataclass(frozen=True, slots=True)
class Fault:
    """The first fault in a document.

    Attributes:
        byte: where it is.
        what: what is wrong there.
    """

    byte: int
    what: str


def first_fault(data: bytes) -> Fault | None:
    """The first fault in a document that is UTF-8; None if Python's `json` accepts it."""
    at, closers = _skip(data, 0), bytearray()
    while True:
        # A value must begin here.
        opener = data[at] if at < len(data) else 0
        if opener in _OPENERS:
            inner = _skip(data, at + 1)
            if data[inner : inner + 1] == bytes([_OPENERS[opener]]):
                at = inner + 1
            else:
                closers.append(_OPENERS[opener])
                found = _after_key(data, inner) if opener == 0x7B else inner
                if isinstance(found, Fault):
                    return found
                at = found
                continue
        else:
            end = _after_scalar(data, at)
            if isinstance(end, Fault):
                return end
            at = end
        after = _after_value(data, _skip(data, at), closers)
        if not isinstance(after, int):
            return after
        at = after


def _after_value(data: bytes, at: int, closers: bytearray) -> int | Fault | None:
    """Where the next value begins; None at the document's end."""
    while closers and data[at : at + 1] == closers[-1:]:
        closers.pop()
        at = _skip(data, at + 1)
    if not closers:
        return Fault(at, "more after its end") if at < len(data) else None
    if not data.startswith(b",", at):
        return Fault(at, f"neither a comma nor {chr(closers[-1])!r}")
    at = _skip(data, at + 1)
    return _after_key(data, at) if closers[-1] == 0x7D else at


def _after_key(data: bytes, at: int) -> int | Fault:
    """Where the value of the member at `at` begins."""
    if not data.startswith(b'"', at):
        return Fault(at, "no key in quotation marks")
    end = _after_string(data, at)
    if isinstance(end, Fault):
        return end
    colon = _skip(data, end)
    return _skip(data, colon + 1) if data.startswith(b":", colon) else Fault(colon, "no colon after a key")


def _after_scalar(data: bytes, at: int) -> int | Fault:
    if data.startswith(b'"', at):
        return _after_string(data, at)
    match = _SCALAR.match(data, at)
    return match.end() if match else Fault(at, "no value")


def _after_string(data: bytes, at: int) -> int | Fault:
    match = _STRING.match(data, at)
    assert match is not None
    end = match.end()
    if data.startswith(b'"', end):
        return end + 1
    if end == len(data):
        return Fault(at, "a string without an end")
    if data.startswith(b"\\", end):
        is_cut = end + 1 == len(data)
        return Fault(at, "a string without an end") if is_cut else Fault(end, "a backslash that escapes nothing")
    return Fault(end, "a control character in a string")


def _skip(data: bytes, at: int) -> int:
    match = _SPACE.match(data, at)
    return match.end() if match else at


def kind(value: Any) -> str:
    """What a parsed JSON value is, in words."""
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
