"""Texts made to fit so many cells of a terminal, without losing what tells them apart."""

import re
from collections import Counter
from collections.abc import Iterable

from rich.cells import cell_len

from magnet_arrow._text import for_terminal

_ELLIPSIS = "…"
_GONE = "\0"
_LEAST_PIECE = 5
_PART = re.compile(r"[^,:/=]*[,:/=]|[^,:/=]+")
"""A part of a run's name or of a path, with what is behind it: `subject=`, `anatomy,`."""


def cells_of(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def shortened(names: Iterable[str], width: int) -> dict[str, str]:
    """Each name, escaped, as a text of at most so many cells; names that differ have texts that differ.

    A longer name loses what names like it share, then the middle of what is left. Where names would become equal, other
    pieces of them are kept; at last they are numbered.

    >>> list(shortened(["org/llama-3-70b-chat", "org/llama-3-8b-chat", "gpt"], 10).values())
    ['or…0b-chat', 'or…8b-chat', 'gpt']
    >>> list(shortened([f"mmlu:subject={subject},method=joint,model=owl" for subject in ("art", "law")], 30).values())
    ['mmlu:subject=art,…', 'mmlu:subject=law,…']
    """
    known = {name: for_terminal(name) for name in names}
    texts = list(dict.fromkeys(known.values()))
    long = [text for text in texts if cells_of(text) > width]
    if not long:
        return known
    common = _common_parts(texts)
    short = {text: text for text in texts} | {text: _without_common(text, common, width) for text in long}
    if equal := [text for group in _equal(short) for text in group if text != short[text]]:
        short |= _by_the_middle(equal, width)
    for group in _equal(short):
        short |= _by_the_difference([text for text in group if text != short[text]], width)
    short = _numbered(short, width)
    return {name: short[text] for name, text in known.items()}


def without_middle(text: str, width: int, parts: int = 2) -> str:
    """The text with its middle replaced by …; of the cells that are kept, 1 of `parts` is at the beginning."""
    if cells_of(text) <= width:
        return text
    room = max(width - 1, 0)
    begin = _beginning(text, room // parts)
    return f"{begin}{_ELLIPSIS}{_end(text, room - room // parts)}"


def raised(low: list[int], high: list[int], room: int) -> list[int]:
    """Widths between low and high that take the room, the narrowest raised first."""
    widths, left = list(low), room - sum(low)
    for level in range(max(high, default=0) + 1):
        for index, most in enumerate(high):
            if left > 0 and widths[index] < min(level, most):
                widths[index] += 1
                left -= 1
    return widths


def _common_parts(texts: list[str]) -> set[tuple[str, str]]:
    """Parts that more than half of the texts with the same first part have, each behind that first part."""
    parts = [_PART.findall(text) for text in texts]
    alike = Counter(found[0] for found in parts if found)
    counts = Counter((found[0], part) for found in parts for part in set(found[1:]))
    common = {(first, part) for (first, part), count in counts.items() if count > max(alike[first] / 2, 1)}
    return common | {(first, first) for first, count in alike.items() if 1 < count == len(texts)}


def _without_common(text: str, common: set[tuple[str, str]], width: int) -> str:
    """The text without so many of its common parts that it fits, the last ones first; then without more.

    Arguments go with their names; then go names whose arguments stay, as these differ.
    """
    parts = _PART.findall(text)
    last_first = [index for index in range(len(parts) - 1, -1, -1) if (parts[0], parts[index]) in common]
    names = [index for index in last_first if parts[index].endswith("=")]
    for index in [*(index for index in last_first if index not in names), *names]:
        parts[index] = _GONE
        if index - 1 in names:
            parts[index - 1] = _GONE
        short = re.sub(f"{_GONE}+", _ELLIPSIS, "".join(parts))
        if cells_of(short) <= width:
            return short
    pieces = re.split(f"{_GONE}+", "".join(parts))
    return _pieces_without_middle(pieces, width) or without_middle(text, width)


def _pieces_without_middle(pieces: list[str], width: int) -> str | None:
    """The pieces with … between, each without its middle; None if there is no room for them all."""
    most = list(map(cells_of, pieces))
    least = [min(_LEAST_PIECE, size) for size in most]
    room = width - len(pieces) + 1
    if len(pieces) == 1 or sum(least) > room:
        return None
    widths = raised(least, most, room)
    return _ELLIPSIS.join(without_middle(piece, size) for piece, size in zip(pieces, widths, strict=True))


def _equal(short: dict[str, str]) -> list[list[str]]:
    """The texts that share a short one, group by group."""
    groups: dict[str, list[str]] = {}
    for text, shown in short.items():
        groups.setdefault(shown, []).append(text)
    return [group for group in groups.values() if len(group) > 1]


def _by_the_middle(texts: list[str], width: int) -> dict[str, str]:
    """As much of the beginning as of the end, or less of the beginning if that tells more of the texts apart."""
    tried = [{text: without_middle(text, width, parts) for text in texts} for parts in (2, 3, 4, 6)]
    return max(tried, key=lambda short: len(set(short.values())))  # the first of the best


def _by_the_difference(texts: list[str], width: int) -> dict[str, str]:
    """A little of the beginning, and what follows from where the texts begin to differ."""
    first, last = min(texts), max(texts)
    pairs = enumerate(zip(first, last, strict=False))
    differing = next((index for index, (one, other) in pairs if one != other), len(first))
    room = width // 4
    return {text: f"{_beginning(text, room)}{_ELLIPSIS}{_cut(text[differing:], width - room - 1)}" for text in texts}


def _numbered(short: dict[str, str], width: int) -> dict[str, str]:
    """The same with numbers behind short texts that are equal to others."""
    taken = {text for text, shown in short.items() if text == shown}
    numbers: Counter[str] = Counter()
    found = {}
    for text, first in short.items():
        shown = first
        while shown in taken and shown != text:
            numbers[first] += 1
            mark = f"#{numbers[first] + 1}"
            shown = without_middle(text, width - len(mark)) + mark
        taken.add(shown)
        found[text] = shown
    return found


def _beginning(text: str, width: int) -> str:
    """As much of the beginning as fits so many cells."""
    kept = text[:width]  # a character without width may be lost, but a long text is not measured
    while cells_of(kept) > width:
        kept = kept[:-1]
    return kept


def _cut(text: str, width: int) -> str:
    """The text, or its beginning and …."""
    return text if cells_of(text) <= width else _beginning(text, width - 1) + _ELLIPSIS


def _end(text: str, width: int) -> str:
    """As much of the end as fits so many cells; it does not begin with a mark that belongs to the character before."""
    kept = text[max(len(text) - width, 0) :]
    while kept and (cells_of(kept) > width or not cells_of(kept[0])):
        kept = kept[1:]
    return kept
