"""Values as the text of a HELM file, laid out as `decode.helm_layout` says."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from magnet_arrow.decode import helm_layout
from magnet_arrow.decode.wire import dumps

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[\]|\{\}|[\[\]{},:]|[^"\[\]{},:]+')


def helm_text(value: Any, level: int = 0) -> str:
    """A value as HELM writes it at this level of a document.

    >>> print(helm_text({"a": [1, {}]}))
    {
      "a": [
        1,
        {}
      ]
    }
    """
    text = dumps(value).decode("ascii")
    try:
        indented = msgspec.json.format(text, indent=helm_layout.INDENT)
    except msgspec.DecodeError:  # NaN, the infinities, half a surrogate pair
        indented = _indented(text)
    return indented.replace("\n", _line_break(level)) if level else indented


def list_texts(elements: Iterable[Any], level: int) -> Iterator[str]:
    """A list that is built element by element, as HELM writes it at this level of a document, in pieces."""
    separator = "["
    for element in elements:
        yield f"{separator}{_line_break(level + 1)}{helm_text(element, level + 1)}"
        separator = ","
    yield "[]" if separator == "[" else f"{_line_break(level)}]"


def object_texts(members: Mapping[str, Any], key: str, elements: Iterable[Any]) -> Iterator[str]:
    """A document whose member `key` is a list that is built element by element, in pieces."""
    separator = "{"
    for name, value in members.items():
        yield f"{separator}{_line_break(1)}{dumps(name).decode('ascii')}: "
        if name == key:
            yield from list_texts(elements, 1)
        else:
            yield helm_text(value, 1)
        separator = ","
    yield f"{_line_break(0)}}}"


def _indented(text: str) -> str:
    """Compact JSON in HELM's layout, with Python's words (`NaN`), which JSON does not have."""
    parts: list[str] = []
    level = 0
    for token in _TOKEN.findall(text):
        match token:
            case "[" | "{":
                level += 1
                parts += (token, _line_break(level))
            case "]" | "}":
                level -= 1
                parts += (_line_break(level), token)
            case ",":
                parts += (token, _line_break(level))
            case ":":
                parts.append(": ")
            case _:
                parts.append(token)
    return "".join(parts)


def _line_break(level: int) -> str:
    return helm_layout.line_break(level).decode("ascii")
