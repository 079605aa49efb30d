"""Folders that appear as a whole, though others remove what killed writers have left."""

import os
from pathlib import Path

import pytest

from magnet_arrow import _durable


@pytest.mark.skipif(os.name == "nt", reason="no locks on folders")
@pytest.mark.parametrize("is_opened_first", [False, True])
def test_a_new_folder_that_another_process_takes_for_a_leftover_is_made_again(
    is_opened_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = _durable._locked
    removed: list[Path] = []

    def locked(folder: Path, *, wait: bool) -> int | None:
        if removed:
            return really(folder, wait=wait)
        removed.append(folder)
        if is_opened_first:
            lock = really(folder, wait=wait)
            folder.rmdir()
            return lock
        folder.rmdir()
        return really(folder, wait=wait)

    monkeypatch.setattr(_durable, "_locked", locked)
    new_names = iter(["first", "second"])
    with _durable.replacing(tmp_path / "target", lambda: next(new_names)) as folder:
        assert (folder.name, folder.is_dir()) == ("second", True)
        assert really(folder, wait=False) is None, "it is locked: nobody removes it"
        (folder / "file").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["target", "target/file"]
