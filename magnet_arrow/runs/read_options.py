"""How frames of runs are read. An object passes its options to the objects that it makes."""

import os
from dataclasses import dataclass
from typing import Any, TypeAlias

from magnet_arrow.cache import Cache

CacheLike: TypeAlias = Cache | str | os.PathLike[str] | None
"""A cache, its folder, or None for the default one."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How frames of runs are read.

    Attributes:
        cache: where frames are kept.
        partial: whether frames hold incomplete runs too.
        strict: whether a run that frames would not hold raises.
        progress: whether an ingest for a frame is shown where somebody watches.
    """

    cache: Cache
    partial: bool = False
    strict: bool = False
    progress: bool = True

    @classmethod
    def of(
        cls, source: object, cache: CacheLike, partial: bool | None, strict: bool | None, progress: bool | None
    ) -> "ReadOptions":
        """The arguments that are given; for the others, the options of the first object in `source` that has some."""
        items = source if isinstance(source, list | tuple) else [source]
        inherited = next((item._options for item in items if isinstance(item, HasReadOptions)), None)
        return (inherited or cls(Cache.coerce(cache))).replaced(cache, partial, strict, progress)

    def replaced(
        self, cache: CacheLike, partial: bool | None, strict: bool | None, progress: bool | None
    ) -> "ReadOptions":
        """These options, replaced by the arguments that are not None."""
        return ReadOptions(
            self.cache if cache is None else Cache.coerce(cache),
            self.partial if partial is None else partial,
            self.strict if strict is None else strict,
            self.progress if progress is None else progress,
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments that give another object these options."""
        return {"cache": self.cache, "partial": self.partial, "strict": self.strict, "progress": self.progress}


class HasReadOptions:
    """An object whose runs are read by `ReadOptions`."""

    __slots__ = ("_options",)

    _options: ReadOptions

    @property
    def cache(self) -> Cache:
        """Where frames are kept."""
        return self._options.cache

    @property
    def partial(self) -> bool:
        """Whether frames hold incomplete runs too."""
        return self._options.partial

    @property
    def strict(self) -> bool:
        """Whether a run that frames would not hold raises."""
        return self._options.strict

    @property
    def progress(self) -> bool:
        """Whether an ingest for a frame is shown, where somebody watches."""
        return self._options.progress
