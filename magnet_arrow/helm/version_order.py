"""The order of versions of a benchmark, and which of them is the latest."""

import re
from collections.abc import Collection

_NUMBER = re.compile(r"v?(\d+(?:\.\d+)*)(.*)", re.IGNORECASE)
_PIECE = re.compile(r"\d+")
_NO_PRE_RELEASE = re.compile(r"(?:\+.*|[-_.]?post.*)?", re.IGNORECASE)
"""What may follow the number of a version that is no pre-release: nothing, or the name of a build."""


def order(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...], str]:
    """The key to sort versions by: numbers as such, a pre-release before its version, other names before all.

    >>> sorted(["v1.10.0", "v1.9.0", "v1.10.0-rc2", "v1.10.0-rc10", "draft"], key=order)
    ['draft', 'v1.9.0', 'v1.10.0-rc2', 'v1.10.0-rc10', 'v1.10.0']
    """
    found = _NUMBER.fullmatch(version)
    numbers = tuple(map(int, found[1].split("."))) if found else ()
    return numbers, not is_pre_release(version), _pieces(found[2] if found else version), version


def is_pre_release(version: str) -> bool:
    """Whether a version is not to be taken for the latest: something follows its number, or it has none.

    >>> [is_pre_release(version) for version in ("v1.0.0", "1.0", "v1.0.0-rc1", "v2.0b1", "draft")]
    [False, False, True, True, True]
    """
    found = _NUMBER.fullmatch(version)
    return found is None or not _NO_PRE_RELEASE.fullmatch(found[2])


def latest(versions: Collection[str]) -> str:
    """The highest version that is no pre-release; if there are only pre-releases, the highest of these.

    >>> latest(["v1.9.0", "v1.10.0", "v1.11.0-beta"])
    'v1.10.0'
    """
    return max(versions, key=lambda version: (not is_pre_release(version), order(version)))


def _pieces(text: str) -> tuple[tuple[bool, int, str], ...]:
    """A text as its numbers and what is between them."""
    pieces = re.findall(r"\d+|\D+", text)
    return tuple((bool(_PIECE.fullmatch(one)), int(one) if _PIECE.fullmatch(one) else 0, one) for one in pieces)
