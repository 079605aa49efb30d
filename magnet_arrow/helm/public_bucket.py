"""HELM's public bucket: `helm://BENCHMARK[/VERSION]` is short for the folders of its versions.

    gs://crfm-helm-public/<benchmark>/benchmark_output/runs/<version>/<run>/run_spec.json

What there is to choose from is listed folder by folder, without the objects below.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from magnet_arrow._near_names import did_you_mean, did_you_mean_pattern, nearest_first
from magnet_arrow._text import counted
from magnet_arrow.errors import SettingError, SourceNotFoundError
from magnet_arrow.helm import version_order
from magnet_arrow.helm.name_patterns import matching
from magnet_arrow.helm.release_folder import RELEASES
from magnet_arrow.helm.run_place import RUNS
from magnet_arrow.helm.walk import LATEST
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.remote.urls import refuse_password

BUCKET = "gs://crfm-helm-public"
ALL = "all"
NOT_BENCHMARKS = frozenset({"assets", "config", "prod_env", "source_datasets", "tmp"})
"""Folders of the bucket that hold no benchmark."""
_OUTPUTS = "benchmark_output"
_URL = re.compile(r"helm:/{0,2}([^/]*)(?:/+([^/]*))?/*", re.IGNORECASE)
_SCHEME = re.compile(r"helm:/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PublicRuns:
    """A choice of runs in HELM's public bucket.

    Attributes:
        benchmark: a pattern of benchmarks, see `name_patterns`.
        version: a pattern of versions. `latest` is the highest that is no pre-release. `all` is every version, and of
            each run name the newest run.
        release: a pattern of releases in place of versions: the runs that they name.
    """

    benchmark: str
    version: str = LATEST
    release: str | None = None

    def __str__(self) -> str:
        """The URL."""
        return f"helm://{self.benchmark}/{self.version}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The folders of a choice.

    Attributes:
        folders: URLs of versions or releases.
        notes: sentences about the choice.
        keeps_newest: whether of each run name only the newest run is meant.
    """

    folders: tuple[str, ...]
    notes: tuple[str, ...] = ()
    keeps_newest: bool = False


def public_runs(
    text: str, *, benchmark: str | None = None, version: str | None = None, release: str | None = None
) -> PublicRuns | None:
    """What a `helm://` URL and the options beside it choose; None if the text is no such URL.

    >>> public_runs("helm://lite"), public_runs("gs://bucket/lite")
    (PublicRuns(benchmark='lite', version='latest', release=None), None)

    Raises:
        SourceNotFoundError: the URL goes further than a version.
        SettingError: something is said twice, or no benchmark is named.
    """
    if not _SCHEME.match(text):
        return None
    refuse_password(text, "helm://BENCHMARK or helm://BENCHMARK/VERSION")
    found = _URL.fullmatch(text)
    if found is None:
        raise SourceNotFoundError(
            f"{text} goes further than a version.",
            expected="helm://BENCHMARK or helm://BENCHMARK/VERSION",
            hint=f"Choose runs by runs='PATTERN', or name the folder itself: {BUCKET}/…",
        )
    if release is not None and (version or found[2]):
        raise SettingError("A version and a release are named.", hint="A release has its own versions: name one.")
    chosen = PublicRuns(
        _said_once("benchmark", found[1], benchmark), _said_once("version", found[2], version) or LATEST, release
    )
    if not chosen.benchmark:
        raise SettingError("helm:// names no benchmark.", expected="helm://BENCHMARK", found=_first(benchmarks()))
    return chosen


def _said_once(what: str, in_url: str | None, beside: str | None) -> str:
    if in_url and beside and in_url != beside:
        raise SettingError(f"The URL names the {what} {in_url!r}, and {what}={beside!r} another.")
    return in_url or beside or ""


def benchmarks(pattern: str = "*") -> list[str]:
    """The benchmarks of the bucket that match a pattern, sorted.

    Raises:
        SourceNotFoundError: none matches; says which there are.
    """
    names = [name for name in filesystem.folder_names(BUCKET) if name not in NOT_BENCHMARKS]
    chosen = sorted(matching(names, pattern))
    if not chosen:
        raise _nothing(f"No benchmark in {BUCKET} is called {pattern!r}.", pattern, names)
    return chosen


def outputs_of(benchmark: str) -> str:
    """The URL of a benchmark's outputs folder."""
    return f"{BUCKET}/{benchmark}/{_OUTPUTS}"


def versions(benchmark: str) -> list[str]:
    """The versions of a benchmark, the newest first. A folder called `latest` stands for one of them.

    Raises:
        SourceNotFoundError: there is none.
    """
    names = [name for name in filesystem.folder_names(f"{outputs_of(benchmark)}/{RUNS}") if name != LATEST]
    if not names:
        raise _nothing(f"{benchmark} has no versions: {outputs_of(benchmark)}/{RUNS} is empty or not there.", "", [])
    return sorted(names, key=version_order.order, reverse=True)


def choose(wanted: PublicRuns) -> Chosen:
    """The folders that are meant, of each benchmark by itself.

    Raises:
        SourceNotFoundError: a benchmark, version or release is not there; says what is there.
    """
    parts = [_choose(benchmark, wanted) for benchmark in benchmarks(wanted.benchmark)]
    return Chosen(
        tuple(folder for part in parts for folder in part.folders),
        tuple(note for part in parts for note in part.notes),
        wanted.release is None and wanted.version == ALL,
    )


def chosen_versions(benchmark: str, pattern: str) -> list[str]:
    """The versions of one benchmark that are meant, the newest first.

    Raises:
        SourceNotFoundError: there is none; says which there are.
    """
    return _matching_versions(f"versions of {benchmark}", versions(benchmark), pattern)


def _choose(benchmark: str, wanted: PublicRuns) -> Chosen:
    outputs = outputs_of(benchmark)
    if wanted.release is not None:
        names = [name for name in filesystem.folder_names(f"{outputs}/{RELEASES}") if name != LATEST]
        folders = _matching_versions(f"releases of {benchmark}", names, wanted.release)
        return Chosen(tuple(f"{outputs}/{RELEASES}/{name}" for name in folders))
    chosen = chosen_versions(benchmark, wanted.version)
    notes: tuple[str, ...] = ()
    if wanted.version == LATEST and version_order.is_pre_release(chosen[0]):
        notes = (f"{benchmark} has only pre-releases: the latest is {chosen[0]}.",)
    return Chosen(tuple(f"{outputs}/{RUNS}/{name}" for name in chosen), notes)


def _matching_versions(what: str, names: Sequence[str], pattern: str) -> list[str]:
    if pattern == LATEST and names:
        return [version_order.latest(names)]
    chosen = matching(names, "*" if pattern == ALL else pattern)
    if not chosen:
        raise _nothing(f"None of the {what} is called {pattern!r}.", pattern, names)
    return sorted(chosen, key=version_order.order, reverse=True)


def _nothing(message: str, pattern: str, names: Sequence[str]) -> SourceNotFoundError:
    hint = did_you_mean(pattern, names) or did_you_mean_pattern(pattern, names)
    return SourceNotFoundError(message, found=_first(nearest_first(pattern, names)), hint=hint or None)


def _first(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, … ({counted(len(names), 'name')})" if len(names) > _SHOWN else shown or "none"


_SHOWN = 20


def only(chosen: PublicRuns) -> tuple[str, PublicRuns]:
    """The one benchmark that is meant, and the same choice of it.

    Raises:
        SourceNotFoundError: there are several, or none.
    """
    names = benchmarks(chosen.benchmark)
    if len(names) > 1:
        raise SourceNotFoundError(f"{chosen} means several benchmarks.", expected="one", found=_first(names))
    return names[0], replace(chosen, benchmark=names[0])
