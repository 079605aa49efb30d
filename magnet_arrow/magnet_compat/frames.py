"""`DotDictDataFrame`: a pandas frame whose columns can be chosen by the parts of their dotted names."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import pandas as pd


class DotDictDataFrame(pd.DataFrame):  # type: ignore[misc]  # pandas ships no types
    """A frame with dotted column names, as MAGNET gives it.

    >>> frame = DotDictDataFrame({"stats.mean": [0.5], "stats.name.name": ["exact_match"], "run_spec.name": ["a"]})
    >>> list(frame.prefix["stats"].columns), list(frame.suffix["name"].columns)
    (['stats.mean', 'stats.name.name'], ['stats.name.name', 'run_spec.name'])
    >>> list(frame.prefix_subframe("stats", drop_prefix=True).columns)
    ['mean', 'name.name']
    """

    @property
    def _constructor(self) -> type["DotDictDataFrame"]:
        return DotDictDataFrame

    @property
    def prefix(self) -> "_Lookup":
        """`frame.prefix["a"]` is `frame.prefix_subframe("a")`."""
        return _Lookup(self.prefix_subframe)

    @property
    def suffix(self) -> "_Lookup":
        """`frame.suffix["a"]` is `frame.suffix_subframe("a")`."""
        return _Lookup(self.suffix_subframe)

    def prefix_subframe(self, prefix: str | Iterable[str], drop_prefix: bool = False) -> "DotDictDataFrame":
        """The columns that are called `prefix`, or that begin with it and a dot; several prefixes mean any of them."""
        prefixes = _listed(prefix)
        chosen: DotDictDataFrame = self.loc[:, [n for n in self.columns if _beginning(n, prefixes) is not None]]
        if drop_prefix:
            chosen = chosen.rename(columns=lambda name: name[len(_beginning(name, prefixes) or "") + 1 :])
        return chosen

    def suffix_subframe(self, suffix: str | Iterable[str]) -> "DotDictDataFrame":
        """The columns that are called `suffix`, or that end with a dot and it; several suffixes mean any of them."""
        ends = _listed(suffix)
        chosen = [name for name in self.columns if any(f".{name}".endswith(f".{end}") for end in ends)]
        return DotDictDataFrame(self.loc[:, chosen])

    def insert_prefix(self, prefix: str) -> "DotDictDataFrame":
        """The same frame, each column's name with `prefix` and a dot before it."""
        return DotDictDataFrame(self.rename(columns=lambda name: f"{prefix}.{name}"))

    def match_columns(self, pat: str) -> list[str]:
        """Names of the columns that match a glob pattern."""
        return [name for name in self.columns if fnmatchcase(name, pat)]


class _Lookup:
    """Calls a method with what is in the brackets."""

    def __init__(self, subframe: Callable[[Any], DotDictDataFrame]) -> None:
        self._subframe = subframe

    def __getitem__(self, key: str | Iterable[str]) -> DotDictDataFrame:
        return self._subframe(key)


def _listed(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _beginning(name: str, prefixes: list[str]) -> str | None:
    return next((prefix for prefix in prefixes if f"{name}.".startswith(f"{prefix}.")), None)
