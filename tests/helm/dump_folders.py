"""Folders that are dumps and runs to `helm.layout`, which opens none of their files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from magnet_arrow.helm import layout
from magnet_arrow.helm.layout import Found

TOY = "toy:subject=colours,method=multiple_choice_joint,model=acme_tiny"


def add_run(suite: Path, folder: str = TOY) -> Path:
    """A folder that is a run to this module: what its files hold is others' concern."""
    run = suite / folder
    run.mkdir(parents=True)
    for name in layout.RUN_FILES:
        (run / name).write_text("{}")
    return run


def add_dump(outputs: Path, *runs: str) -> Path:
    """An outputs folder with runs given as `suite/folder`."""
    for run in runs:
        suite, _, folder = run.partition("/")
        add_run(outputs / "runs" / suite, folder)
    return outputs


def names(found: Found) -> list[str]:
    return [f"{place.suite}/{place.folder}" for place in found.places]


def add_four_runs(folder: Path) -> Path:
    return add_dump(folder / "dump" / "benchmark_output", "v2/b:x", "v1/c:x", "v1/a:x", "v1/B:x")


def add_linked_run(folder: Path) -> Path:
    """Bug case 17: `latest` leads to v1, `loop` to its own parent, `gone` nowhere."""
    outputs = add_dump(folder / "benchmark_output", f"v1/{TOY}")
    (outputs / "runs/latest").symlink_to(outputs / "runs/v1")
    (outputs / "runs/v1/loop").symlink_to("../v1")
    (outputs / "runs/gone").symlink_to("nowhere")
    return outputs


def folders_that_refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """What makes a folder refuse everybody, the way it does for anyone but root."""
    denied: list[str] = []

    def refuse(name: str) -> None:
        original = getattr(os, name)

        def guarded(path: str) -> object:
            if any(path == folder or path.startswith(folder + os.sep) for folder in denied):
                raise PermissionError(13, "Permission denied", path)
            return original(path)

        monkeypatch.setattr(layout.os, name, guarded)

    for name in ("scandir", "listdir", "lstat"):
        refuse(name)
    return lambda folder: denied.append(str(folder))
