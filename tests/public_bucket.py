"""A bucket laid out like HELM's, as a folder: its keys, and a stand-in for the store that lists them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from makedump import make_run, write_runs

from magnet_arrow.sources.remote import objects
from magnet_arrow.sources.remote.catalog import CATALOG
from magnet_arrow.sources.remote.stores import Stores
from magnet_arrow.sources.remote.urls import Address
from magnet_arrow.sources.stamps import FileStamp

NAME = "crfm-helm-public"
RUNS = {
    "lite": {
        "v1.0.0": ("gsm:x,model=a", "mmlu:subject=a,model=a", "mmlu:subject=b,model=a"),
        "v1.9.0": ("mmlu:subject=a,model=a",),
        "v1.10.0": ("mmlu:subject=a,model=a", "mmlu:subject=c,model=b"),
        "v1.11.0-rc1": ("mmlu:subject=d,model=b",),
        "latest": ("gsm:x,model=a",),
    },
    "air-bench": {"v1.0.0": ("air:x,model=a",)},
    "new": {"v0.1.0-rc2": ("x:y,model=a",), "v0.1.0-rc10": ("x:y,model=a",)},
}
"""Run folders by benchmark and version."""


def write(folder: Path) -> None:
    """Write the bucket's objects into a folder, under their keys."""
    for benchmark, versions in RUNS.items():
        for version, names in versions.items():
            write_runs(folder / benchmark / "benchmark_output", [make_run(name) for name in names], suite=version)
    for other in ("assets", "config", "prod_env", "source_datasets", "tmp"):
        (folder / other).mkdir()
        (folder / other / "x.json").write_text("{}")
    releases = folder / "lite/benchmark_output/releases"
    (releases / "v1.10.0").mkdir(parents=True)
    release = '{"gsm:x,model=a": "v1.0.0", "mmlu:subject=a,model=a": "v1.9.0"}'
    (releases / "v1.10.0/runs_to_run_suites.json").write_text(release)


class Listed:
    """A stand-in for the store of the bucket, which only lists. It counts its requests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.requests: list[str] = []

    def replace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let it answer in place of Google's."""
        for name in ("list_objects", "names", "head", "is_folder"):
            monkeypatch.setattr(objects, name, getattr(self, name))

    def _at(self, what: str, address: Address) -> Path:
        assert (address.scheme, address.bucket) == ("gs", NAME)
        self.requests.append(f"{what} {address.key}")
        return self._folder / address.key

    def list_objects(self, _: Stores, address: Address) -> Iterator[FileStamp]:
        """All objects below a folder."""
        folder = self._at("list", address)
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                yield FileStamp(file.relative_to(folder).as_posix(), file.stat().st_size, 1, "1 ")

    def names(self, _: Stores, address: Address) -> tuple[list[str], list[str]]:
        """The folders and the files right in a folder."""
        folder = self._at("names", address)
        entries = list(folder.iterdir()) if folder.is_dir() else []
        return [one.name for one in entries if one.is_dir()], [one.name for one in entries if one.is_file()]

    def head(self, _: Stores, address: Address) -> FileStamp | None:
        """An object."""
        file = self._at("head", address)
        return FileStamp(file.name, file.stat().st_size, 1, "1 ") if file.is_file() else None

    def is_folder(self, _: Stores, address: Address) -> bool:
        """Whether an object is below a folder of this name."""
        return self._at("is_folder", address).is_dir()


def listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Listed:
    """The stand-in, in the place of the store."""
    write(folder)
    store = Listed(folder)
    store.replace(monkeypatch)
    CATALOG.forget()
    monkeypatch.setattr(CATALOG, "_forgotten", set())  # of other tests, which had such a bucket too
    return store
