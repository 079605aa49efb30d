"""The dumps that are measured: real ones, as they are or only the four files of each run, and made ones.

Real ones lie as `NAME.tar.xz` in the folder `data` of `$MAGNET_ARROW_SHARED` (default: `shared` beside the clone).
"""

import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from generate import generate, size_of

SHARED = Path(os.environ.get("MAGNET_ARROW_SHARED", Path(__file__).parents[2] / "shared"))
FILES = ("run_spec.json", "scenario_state.json", "stats.json", "per_instance_stats.json")


@contextmanager
def work_folder(given: Path | None) -> Iterator[Path]:
    """The folder that was asked for, which is kept, or one that is not."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="magnet-arrow-benchmark-") as folder:
        yield Path(folder)


def dump(name: str, work: Path) -> Path | None:
    """The outputs folder of a dump, None if it is missing: by its name, by its path, or made.

    Made ones are `1GB`, one long run whose scenario state has that size, and `5000runs`, so many short ones.
    """
    if _is_many(name):
        return None  # only as it is
    if name.endswith("runs") and name.removesuffix("runs").isdigit():
        return made(work, runs=int(name.removesuffix("runs")))
    if name[:1].isdigit():
        return made(work, long_bytes=size_of(name))
    target = work / "real" / Path(name).name / "benchmark_output"
    if not target.exists():
        source = _whole(name, work)
        if source is None:
            return None
        _copy_runs(source, target)
    warm(target)
    return target


def complete(name: str, work: Path) -> Path | None:
    """The outputs folder of a real dump with all that HELM left in it, None if it is missing; made ones have no more.

    `9xmmlu` is one with nine suites, each a copy of the dump's only one.
    """
    if not _is_many(name):
        return _whole(name, work)
    times, plain = name.split("x", 1)
    outputs = _whole(plain, work)
    if outputs is None:
        return None
    target = work / "whole" / name / "benchmark_output"
    if not target.exists():
        (suite,) = (outputs / "runs").iterdir()
        for number in range(int(times)):
            shutil.copytree(suite, target / "runs" / f"v{number + 1}")
    warm(target)
    return target


def _is_many(name: str) -> bool:
    return name.split("x", 1)[0].isdigit() and "x" in name


def _whole(name: str, work: Path) -> Path | None:
    """The outputs folder of a real dump, by its name or path, as it is; None if it is missing."""
    folder, archive = Path(name), SHARED / "data" / f"{name}.tar.xz"
    if not folder.is_dir():
        folder = work / "whole" / name
        if not folder.is_dir():
            if not archive.is_file():
                return None
            with tarfile.open(archive) as members:
                members.extractall(folder, filter="data")
    outputs = next((path.parent for path in [folder / "runs", *sorted(folder.rglob("runs"))] if path.is_dir()), None)
    if outputs is not None:
        warm(outputs)
    return outputs


def _copy_runs(source: Path, target: Path) -> None:
    for spec in sorted(source.rglob(f"runs/*/*/{FILES[0]}")):
        run = spec.parent
        if run.parent.name != "latest":
            folder = target / "runs" / run.parent.name / run.name
            folder.mkdir(parents=True)
            for file in FILES:
                shutil.copyfile(run / file, folder / file)


def made(work: Path, *, runs: int = 0, instances: int = 20, long_bytes: int = 0, one_line: bool = False) -> Path:
    """The outputs folder of a made dump, from an earlier use if it is there."""
    folder = work / "made" / f"{runs}x{instances}-{long_bytes}{'-one-line' if one_line else ''}"
    if not folder.exists():
        begun = folder.with_suffix(".begun")
        shutil.rmtree(begun, ignore_errors=True)
        generate(begun, runs=runs, instances=instances, long_bytes=long_bytes, one_line=one_line)
        begun.rename(folder)
    outputs = folder / "benchmark_output"
    warm(outputs)
    return outputs


def warm(outputs: Path) -> None:
    """Read all of it once, so that the disk is not what is measured."""
    room = bytearray(1 << 20)
    for path in all_files(outputs):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(room):
                pass


def json_bytes(outputs: Path) -> int:
    """Size of all its JSON."""
    return sum(map(os.path.getsize, all_files(outputs)))


def all_files(outputs: str | Path) -> list[str]:
    """Paths of all JSON files, sorted."""
    return sorted(map(str, Path(outputs).rglob("*.json")))


def files_of(outputs: str | Path) -> dict[str, list[str]]:
    """Paths of the four files, by their name without ending, sorted by run."""
    runs = sorted(path.parent for path in Path(outputs).rglob(FILES[0]))
    return {name.removesuffix(".json"): [str(run / name) for run in runs] for name in FILES}
