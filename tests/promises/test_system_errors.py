"""The system says no for a moment: the run is rejected by name, and nothing of it is remembered."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from makedump import make_run, write_run

from magnet_arrow.cache import Cache
from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.storage.manifest import read_manifest

VICTIM, SOUND = "tide:n=1", "tide:n=2"
SYSTEM = ["EACCES", "EPERM", "EIO", "EMFILE", "ENFILE", "ESTALE", "ENOMEM", "ETIMEDOUT"]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    for name in (VICTIM, SOUND):
        write_run(tmp_path / "outputs", make_run(name))
    return tmp_path / "outputs"


@pytest.fixture
def victim(outputs: Path) -> Path:
    return outputs / "runs" / "made" / VICTIM


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path, int], None]:
    """A call of `os` fails for a path, by hand: the super-user may read everything, and no disk fails when asked."""

    def refuse(call: str, path: Path, number: int) -> None:
        usual = getattr(os, call)

        def refusing(asked: Any, *rest: Any, **options: Any) -> Any:
            if isinstance(asked, str | Path) and Path(asked) == path:
                raise OSError(number, os.strerror(number), str(asked))
            return usual(asked, *rest, **options)

        monkeypatch.setattr(os, call, refusing)

    return refuse


def folders(cache: Path) -> list[str]:
    found: list[str] = Cache(cache).runs()["folder"].to_list()
    return found


@pytest.mark.parametrize("name", SYSTEM)
def test_the_next_ingest_looks_again(
    name: str,
    outputs: Path,
    victim: Path,
    cache: Path,
    refuse: Callable[[str, Path, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number = getattr(errno, name)
    refuse("open", victim / "stats.json", number)
    for n_taken in (1, 0):
        report = ingest(outputs, cache)
        [rejected] = report.rejected
        assert (rejected.run, rejected.file, rejected.found) == (f"made/{VICTIM}", "stats.json", os.strerror(number))
        assert "the next ingest looks again" in (rejected.hint or "")
        assert report.runs == n_taken
        assert (folders(cache), Cache(cache).rejects().height) == ([SOUND], 0)
    monkeypatch.undo()
    report = ingest(outputs, cache)
    assert (report.runs, report.rejected, folders(cache)) == (1, (), [VICTIM, SOUND])


def test_a_repeat_writes_nothing(
    outputs: Path, victim: Path, cache: Path, refuse: Callable[[str, Path, int], None]
) -> None:
    refuse("open", victim / "run_spec.json", errno.EACCES)
    ingest(outputs, cache)
    before = (cache / "manifest.json").stat()
    assert len(ingest(outputs, cache).rejected) == 1
    after = (cache / "manifest.json").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


@pytest.mark.parametrize("partial", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("name", [*RUN_FILES, "scenario.json", "notes.json"])
def test_no_file_is_left_out_by_it(
    name: str,
    partial: bool,
    outputs: Path,
    victim: Path,
    cache: Path,
    refuse: Callable[[str, Path, int], None],
) -> None:
    """A run that is taken without the file would never be looked at again, as its date has not changed."""
    for other in ("scenario.json", "notes.json"):
        (victim / other).write_text("{}")
    refuse("open", victim / name, errno.EIO)
    report = ingest(outputs, cache, partial=partial)
    assert [(one.run, one.file) for one in report.rejected] == [(f"made/{VICTIM}", name)]
    assert (folders(cache), Cache(cache).rejects().height) == ([SOUND], 0)


def test_a_folder_that_may_be_entered_but_not_listed(
    outputs: Path, victim: Path, cache: Path, refuse: Callable[[str, Path, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its four files can be opened by name, but nobody can tell if there are others."""
    for call in ("scandir", "listdir"):
        refuse(call, victim, errno.EACCES)
    report = ingest(outputs, cache)
    [rejected] = report.rejected
    assert (rejected.run, rejected.hint) == (f"made/{VICTIM}", "Make it readable.")
    assert "its folder cannot be listed" in rejected.reason
    assert folders(cache) == [SOUND]
    monkeypatch.undo()
    assert ingest(outputs, cache).runs == 1


def test_what_was_cached_before_stays_and_is_not_called_rejected(
    outputs: Path, victim: Path, cache: Path, refuse: Callable[[str, Path, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, cache)
    os.utime(victim / "stats.json", ns=(1, 1))
    refuse("open", victim / "stats.json", errno.ESTALE)
    before = read_manifest(cache)
    assert len(ingest(outputs, cache).rejected) == 1
    assert read_manifest(cache) == before
    monkeypatch.undo()
    assert ingest(outputs, cache).runs == 1


def test_a_file_that_is_no_file_is_remembered(outputs: Path, victim: Path, cache: Path) -> None:
    """What the system says of the dump itself is a rejection like others."""
    (victim / "stats.json").unlink()
    (victim / "stats.json").symlink_to("stats.json")
    assert len(ingest(outputs, cache).rejected) == 1
    assert Cache(cache).rejects()["folder"].to_list() == [VICTIM]
