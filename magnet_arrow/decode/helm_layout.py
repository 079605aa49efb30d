r"""HELM's text layout, spelt here only: HELM writes its files by `json.dumps(value, indent=2)`.

JSON escapes the line breaks within a string. So a line break in a file is always one of the layout, and the blanks
after it say how deep in the document the next token is.

>>> element_break(1)
b'\n  },\n  {'
"""

INDENT = 2
"""Blanks per level."""


def line_break(level: int) -> bytes:
    """The end of a line, and the blanks before a token at this level."""
    return b"\n" + b" " * (INDENT * level)


def object_start(level: int) -> bytes:
    """How an object that is an array's element begins at this level."""
    return line_break(level) + b"{"


def object_end(level: int) -> bytes:
    """How an object ends at this level."""
    return line_break(level) + b"}"


def array_end(level: int) -> bytes:
    """How an array that is not empty ends at this level."""
    return line_break(level) + b"]"


def element_break(level: int) -> bytes:
    """What is between two objects of an array at this level."""
    return object_end(level) + b"," + object_start(level)


def member_start(level: int) -> bytes:
    """How a member of an object begins at this level, and nothing else does."""
    return line_break(level) + b'"'


def array_member(level: int, key: str) -> bytes:
    """How a member begins whose value is an array."""
    return member_start(level) + f'{key}": ['.encode()
