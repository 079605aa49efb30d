"""Finds the name that was probably meant by one that does not exist.

Every "Did you mean …?" of this package comes from here, in Python as on the command line.
"""

import difflib
import heapq
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

MAX_SHOWN = 3
_MAX_COMPARED = 64
"""So many names are compared letter by letter, up to a millisecond each; of more, the likeliest are chosen."""
_LEAST_ALIKE = 0.6
"""The least `ratio` of difflib for names that are alike: twice the letters that match, by the letters of both."""
_MAX_PIECES = 24
_MAX_LENGTH = 1000
_SEPARATORS = ".:=,/"
"""What stands between the parts of a column's, a run's and a model's name."""


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """The names that may have been meant, at most three, the likeliest first.

    The first of these rules that fits any name decides: it differs only in upper and lower case; it ends with `name`
    after a separator; it begins with `name` before one; it is spelled alike; its last part is spelled alike; it
    contains `name`. Where several names fit, the shortest is first; where names are spelled alike, only the most
    similar one is given.

    >>> near_names("mean", ["stats.mean", "stats.sum", "per_instance_stats.stats.mean"])
    ['stats.mean', 'per_instance_stats.stats.mean']
    >>> near_names("exact_mach", ["exact_match", "quasi_exact_match"])
    ['exact_match']
    """
    if not name or len(name) > _MAX_LENGTH:
        return []
    folded = {other: other.casefold() for other in sorted(set(known)) if other != name}
    wanted = name.casefold()
    found = (
        [other for other, text in folded.items() if text == wanted]
        or [other for other, text in folded.items() if _ends_with_part(text, wanted)]
        or [other for other, text in folded.items() if _begins_with_part(text, wanted)]
        or _alike(wanted, folded)
        or _alike(_last_part(wanted), {other: _last_part(text) for other, text in folded.items()})
        or [other for other, text in folded.items() if len(wanted) > 2 and wanted in text]
    )
    return heapq.nsmallest(MAX_SHOWN, found, key=len)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that offers the near names; empty if there are none.

    >>> did_you_mean("stat", ["stats", "instances"])
    "Did you mean 'stats'?"
    """
    return asked(near_names(name, known))


def did_you_mean_pattern(pattern: str, names: Collection[str]) -> str:
    """A question that offers what matches some of the names, for a pattern that matches none; empty if nothing does.

    Offered are names that differ in upper and lower case only, the pattern between asterisks, a beginning that is
    spelled alike, or near names.

    >>> did_you_mean_pattern("anatomy", ["mmlu:subject=anatomy,model=gpt2"])
    "Did you mean '*anatomy*'?"
    >>> did_you_mean_pattern("mmlu:subject=anatomi*", ["mmlu:subject=anatomy,model=gpt2"])
    "Did you mean 'mmlu:subject=anatomy*'?"
    """
    folded = pattern.casefold()
    same = [name for name in names if fnmatchcase(name.casefold(), folded)]
    if same:
        return asked(sorted(same)[:MAX_SHOWN])
    offered = [f"*{pattern.strip('*')}*"]
    if pattern.endswith("*"):
        begin = pattern.rstrip("*")
        offered += [f"{near}*" for near in near_names(begin, {name[: len(begin)] for name in names})[:1]]
    working = [one for one in offered if any(fnmatchcase(name, one) for name in names)]
    return asked(working[:1]) or did_you_mean(pattern, names)


def nearest_first(name: str, names: Collection[str]) -> list[str]:
    """The names, those first that share most with one that is none of them; else in their order.

    >>> nearest_first("*anatomi*", ["mmlu:subject=law", "mmlu:subject=anatomy"])
    ['mmlu:subject=anatomy', 'mmlu:subject=law']
    """
    pieces = _pieces(name.casefold().strip("*"))
    n_shared = {other: sum(map(other.casefold().__contains__, pieces)) for other in names}
    return sorted(names, key=lambda other: -n_shared[other])


def asked(names: Iterable[str]) -> str:
    """The question for names that were found; empty without any."""
    shown = " or ".join(map(repr, names))
    return f"Did you mean {shown}?" if shown else ""


def _ends_with_part(text: str, part: str) -> bool:
    return text.endswith(part) and text[-len(part) - 1] in _SEPARATORS


def _begins_with_part(text: str, part: str) -> bool:
    return text.startswith(part) and text[len(part)] in _SEPARATORS


def _last_part(text: str) -> str:
    return text.rpartition(".")[2]


def _alike(wanted: str, folded: dict[str, str]) -> list[str]:
    """The name that is spelled most alike, if one is; `folded` has what is compared of each name."""
    if not wanted:
        return []
    likely = [other for other, text in folded.items() if 3 / 7 <= len(text) / len(wanted) <= 7 / 3]  # else below 0.6
    if len(likely) > _MAX_COMPARED:
        likely = _likeliest(wanted, likely, folded)
    near = difflib.get_close_matches(wanted, [folded[other] for other in likely], n=1, cutoff=_LEAST_ALIKE)
    return [next(other for other in likely if folded[other] == near[0])] if near else []


def _likeliest(wanted: str, names: list[str], folded: dict[str, str]) -> list[str]:
    """The names that share the most pieces with the wanted one.

    Whether a text contains a piece is quickly told. To compare 100,000 names by difflib would take many seconds.
    """
    pieces = _pieces(wanted)

    def unlikeness(other: str) -> tuple[int, int]:
        text = folded[other]
        return -sum(piece in text for piece in pieces), abs(len(text) - len(wanted))

    return heapq.nsmallest(_MAX_COMPARED, names, key=unlikeness)


def _pieces(text: str) -> list[str]:
    """Parts of a text that are spread evenly over it: of a long one three letters each, of a short one fewer."""
    lengths = (3,) if len(text) > _MAX_PIECES // 2 else (1, 2)
    every = [text[at : at + length] for length in lengths for at in range(len(text) - length + 1)]
    step = max(1, -(-len(every) // _MAX_PIECES))  # of an empty text there are none
    return every[::step]
