"""Texts made to fit so many cells of a terminal, without losing what tells them apart."""

import re
from collections import Counter
from collections.abc import Iterable

from rich.cells import cell_len

from magnet_arrow._text import for_terminal

_ELLIPSIS = "…"
_ELLIPSES = re.compile("…{2,}")
_PART = re.compile(r"[^,:/=]*[,:/=]|[^,:/=]+")
"""A part of a run's name or of a path, with what is behind it: `subject=`, `anatomy,`."""
_WORD = re.compile(r"[^,:/=._ -]*[,:/=._ -]|[^,:/=._ -]+")
"""A word of a part, with what is behind it."""
_LEAST_PIECE = 5
_MAX_PIECES = 5
"""More pieces of a text, such as a prompt, cannot be read."""


def cells_of(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def shortened(names: Iterable[str], width: int) -> dict[str, str]:
    """Each name, escaped, as a text of at most so many cells; names that differ have texts that differ.

    A longer name loses what names like it share, then the middle of what is left. Where names would become equal, what
    follows their first difference is kept; at last they are numbered.

    >>> list(shortened(["org/llama-3-70b-chat", "org/llama-3-8b-chat", "gpt"], 10).values())
    ['org/…70b-…', 'org/…8b-…', 'gpt']
    >>> list(shortened([f"mmlu:subject={subject},method=joint,model=owl" for subject in ("art", "law")], 30).values())
    ['mmlu:subject=art,…', 'mmlu:subject=law,…']
    """
    known = {name: for_terminal(name) for name in names}
    texts = list(dict.fromkeys(known.values()))
    if all(cells_of(text) <= width for text in texts):
        return known
    short = _without_common(texts, width)
    for group in _equal(short):
        short |= _by_the_difference([text for text in group if text != short[text]], width)
    short = _numbered(short, width)
    return {name: short[text] for name, text in known.items()}


def without_middle(text: str, width: int) -> str:
    """The text with its middle replaced by … so that it fits; as much is kept of its beginning as of its end."""
    if cells_of(text) <= width:
        return text
    room = max(width - 1, 0)
    return f"{_beginning(text, room // 2)}{_ELLIPSIS}{_end(text, room - room // 2)}"


def raised(low: list[int], high: list[int], room: int) -> list[int]:
    """Widths between low and high that take the room, the narrowest raised first."""
    widths, left = list(low), room - sum(low)
    while left > 0 and (open_ := [index for index, most in enumerate(high) if widths[index] < most]):
        lowest = min(widths[index] for index in open_)
        narrow = [index for index in open_ if widths[index] == lowest]
        next_level = min([high[index] for index in narrow] + [widths[i] for i in open_ if widths[i] > lowest])
        step = min(next_level - lowest, max(left // len(narrow), 1))
        for index in narrow[:left]:
            widths[index] += step
            left -= step
    return widths


def _without_common(texts: list[str], width: int) -> dict[str, str]:
    """The texts without so much of what texts like them share that they fit: parts, then words; then without more."""
    found = {text: text for text in texts}
    for pattern in (_PART, _WORD):
        parts = {text: pattern.findall(shown) for text, shown in found.items()}
        common = _common_parts(list(parts.values()))
        for text, shown in found.items():
            if cells_of(shown) > width:
                found[text] = _fitting(parts[text], common, width)
    return {
        text: shown if cells_of(shown) <= width else _pieces_without_middle(text, shown, width)
        for text, shown in found.items()
    }


def _common_parts(texts: list[list[str]]) -> set[tuple[str, str]]:
    """Parts that more than half of the texts with the same first part have, each behind that first part."""
    alike = Counter(parts[0] for parts in texts if parts)
    counts = Counter((parts[0], part) for parts in texts for part in set(parts[1:]))
    common = {(first, part) for (first, part), count in counts.items() if count > max(alike[first] / 2, 1)}
    return common | {(first, first) for first, count in alike.items() if 1 < count == len(texts)}


def _fitting(parts: list[str], common: set[tuple[str, str]], width: int) -> str:
    """A text without so many of its common parts that it fits, the last ones first; or without all of them.

    Arguments go with their names; then go names whose arguments stay, as these differ.
    """
    last_first = [index for index in range(len(parts) - 1, -1, -1) if (parts[0], parts[index]) in common]
    names = {index for index in last_first if parts[index].endswith("=")}
    sizes = list(map(cells_of, parts))
    gone: set[int] = set()
    left = sum(sizes)
    for index in [*(index for index in last_first if index not in names), *sorted(names, reverse=True)]:
        for one in (index, index - 1) if index - 1 in names else (index,):
            if one not in gone:
                left += 1 - sizes[one] - (one - 1 in gone) - (one + 1 in gone)  # neighbours share one …
                gone.add(one)
        if left <= width:
            break
    return _ELLIPSES.sub(_ELLIPSIS, "".join(_ELLIPSIS if i in gone else part for i, part in enumerate(parts)))


def _pieces_without_middle(text: str, shown: str, width: int) -> str:
    """What is left of a text, each piece without its middle; the text without its middle if there are too many."""
    pieces = shown.split(_ELLIPSIS)
    most = list(map(cells_of, pieces))
    least = [min(_LEAST_PIECE, size) for size in most]
    room = width - len(pieces) + 1
    if len(pieces) == 1 or len(pieces) > _MAX_PIECES or sum(least) > room:
        return without_middle(text, width)
    widths = raised(least, most, room)
    return _ELLIPSIS.join(without_middle(piece, size) for piece, size in zip(pieces, widths, strict=True))


def _equal(short: dict[str, str]) -> list[list[str]]:
    """The texts that share a short one, group by group."""
    groups: dict[str, list[str]] = {}
    for text, shown in short.items():
        groups.setdefault(shown, []).append(text)
    return [group for group in groups.values() if len(group) > 1]


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
