"""The cache that a command works on."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magnet_arrow.cache import Cache


def open_cache(path: Path | None) -> "Cache":
    """The cache in a folder, or the default one; it may not exist yet."""
    from magnet_arrow.cache import Cache

    return Cache(path)


def existing_cache(path: Path | None) -> "Cache":
    """The cache in a folder, which must exist, or the default one, which need not.

    Raises:
        MagnetError: there is no such folder.
    """
    return open_cache(existing_folder(path))


def existing_folder(path: Path | None) -> Path:
    """The folder of `existing_cache`, without the import of what reads it."""
    from magnet_arrow.errors import MagnetError
    from magnet_arrow.sources.paths import cache_folder

    folder = cache_folder(path)
    if path is not None and not folder.exists():
        raise MagnetError(f"There is no cache in {folder}.")
    return folder
