"""What is below a folder of a bucket, in little memory: there may be a million objects."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from magnet_arrow.sources.stamps import FileStamp

_OPEN_FOLDERS = 64
"""So many folders are kept as objects while they are listed; the files of the others are packed."""


_FILES = msgspec.msgpack.Decoder(list[FileStamp])
_encode = msgspec.msgpack.encode


@dataclass(slots=True)
class Listing:
    """The folders and files below a folder. A folder is there if an object's key begins with its name and a slash.

    Attributes:
        root: the folder's URL.
        own: what the URL names itself, if that is a file.
        is_partial: whether it may lack what is below it, such as the runs of a suite whose own files are known.
        n_objects: how many objects were listed.
        refused: paths below the root that cannot be those of files, and why.
    """

    root: str
    own: FileStamp | None = None
    is_partial: bool = False
    n_objects: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    _packed: dict[str, list[bytes]] = field(default_factory=dict)
    _open: dict[str, list[FileStamp]] = field(default_factory=dict)
    _below: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: str, files: Iterable[FileStamp]) -> "Listing":
        """The listing of a folder, from the files below it in any order; their names are paths relative to it."""
        listing = cls(root)
        for file in files:
            listing._add(file)
        listing._close()
        listing._refuse_like_names()
        return listing

    def _add(self, file: FileStamp) -> None:
        self.n_objects += 1
        folder, _, name = file.name.rpartition("/")
        if (why := _why_no_path(file.name.removesuffix("/"))) is not None:
            self.refused[file.name] = why
            return
        self._add_folder(folder)
        if not name:  # such an object stands for a folder that would else be empty
            return
        self._open.setdefault(folder, []).append(FileStamp(name, file.size_bytes, file.mtime_ns, file.tag))
        if len(self._open) > _OPEN_FOLDERS:
            self._close()

    def _add_folder(self, folder: str) -> None:
        if folder in self._below:
            return
        self._below[folder] = []
        if folder:
            above, _, name = folder.rpartition("/")
            self._add_folder(above)
            self._below[above].append(name)

    def _close(self) -> None:
        for folder, files in self._open.items():
            self._packed.setdefault(folder, []).append(_encode(files))
        self._open.clear()

    def _refuse_like_names(self) -> None:
        """Refuse names in a folder that differ by case only: on many systems they are one file."""
        for folder, below in self._below.items():
            files = self.files(folder) or []
            names = {*below, *(file.name for file in files)}
            if len({name.casefold() for name in names}) == len(names):
                continue
            by_name: dict[str, list[str]] = {}
            for name in sorted(names):
                by_name.setdefault(name.casefold(), []).append(name)
            alike = {name: others for others in by_name.values() if len(others) > 1 for name in others}
            for name, others in alike.items():
                other = next(other for other in others if other != name)
                self.refused[f"{folder}/{name}".lstrip("/")] = f"its name differs by case only from {other}"
            below[:] = [name for name in below if name not in alike]
            self._packed[folder] = [_encode([file for file in files if file.name not in alike])]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there: then there is no such folder."""
        return not self._below

    def folders(self, folder: str) -> list[str] | None:
        """The names of the folders in a folder, relative to the root; None if there is no such folder."""
        return self._below.get(folder)

    def files(self, folder: str) -> list[FileStamp] | None:
        """The files in a folder, relative to the root; None if there is no such folder."""
        if folder not in self._below:
            return None
        return [file for part in self._packed.get(folder, ()) for file in _FILES.decode(part)]

    def file(self, path: str) -> FileStamp | None:
        """A file, by its path relative to the root."""
        if not path:
            return self.own
        folder, _, name = path.rpartition("/")
        return next((file for file in self.files(folder) or () if file.name == name), None)


def _why_no_path(path: str) -> str | None:
    for name in path.split("/"):
        if name in ("", ".", ".."):
            return f"it has a part {name!r}, so it is no path of a file"
    return "it holds a NUL" if "\0" in path else None
