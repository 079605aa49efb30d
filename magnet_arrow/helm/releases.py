"""Finds the releases of HELM that may have written a run, by the fields that it has or lacks. No file names them.

A field's `Doc` says which releases write it. If a run has the field, it was written by one of them. If it lacks a field
that HELM always writes, it was written before the first of them. Runs written between releases mix fields, and runs are
edited by hand, so fields may contradict each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import get_args, get_type_hints

from magnet_arrow.helm.structs import AdapterSpec, Doc

RELEASES = (
    *("0.1.0", "0.2.0", "0.2.1", "0.2.2", "0.2.3", "0.2.4", "0.3.0", "0.4.0"),
    *(f"0.5.{number}" for number in range(17)),
)
"""All releases of crfm-helm, in order; 0.5.16 of April 2026 is the last."""

FIRST, LAST = RELEASES[0], RELEASES[-1]


@dataclass(frozen=True, slots=True, order=True)
class Era:
    """The releases that may have written a run, both ends included.

    Attributes:
        first: the first release that writes all fields of the run.
        last: the last release that writes them, and that does not write the fields that the run lacks. If it is before
            `first`, the run was written between releases, by more than one, or changed by hand.
    """

    first: str = FIRST
    last: str = LAST

    @property
    def is_mixed(self) -> bool:
        """Whether no single release writes such a run."""
        return _number(self.first) > _number(self.last)

    def __str__(self) -> str:
        """The range in words.

        >>> print(Era("0.5.0", "0.5.4"), "|", Era("0.5.0", "0.4.0"))
        0.5.0 to 0.5.4 | mixed (some fields since 0.5.0, others until 0.4.0)
        """
        if self.is_mixed:
            return f"mixed (some fields since {self.first}, others until {self.last})"
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


def era_of(present: Iterable[tuple[str, str | None]], absent: Iterable[str]) -> Era:
    """The range that follows from fields.

    Args:
        present: first and last release of each field that the run has; None as the last if it is still written.
        absent: first release of each field that the run lacks, and that is always written from then on.

    >>> str(era_of([("0.1.0", None), ("0.2.4", None)], ["0.4.0"]))
    '0.2.4 to 0.3.0'
    """
    first, last = 0, len(RELEASES) - 1
    for since, until in present:
        first = max(first, _number(since))
        last = min(last, _number(until or LAST))
    for since in absent:
        last = min(last, _number(since) - 1)
    return Era(RELEASES[first], RELEASES[max(last, 0)])


def _number(release: str) -> int:
    return RELEASES.index(release)


def _always_written() -> dict[str, str]:
    plain, full = get_type_hints(AdapterSpec), get_type_hints(AdapterSpec, include_extras=True)
    docs: dict[str, Doc] = {name: full[name].__metadata__[0] for name in plain}
    return {
        name: doc.since
        for name, doc in docs.items()
        if doc.since != FIRST and doc.until is None and NoneType not in get_args(plain[name])
    }


ALWAYS_WRITTEN: Mapping[str, str] = _always_written()
"""Fields of an adapter spec that HELM always writes, with their first release.

HELM omits a field only if its value is None.
"""
