"""What is in HELM's public bucket: its benchmarks, their versions, and the runs of these, from listings of folders."""

from dataclasses import replace

import polars as pl

from magnet_arrow.helm import public_bucket, version_order
from magnet_arrow.helm.name_patterns import matching
from magnet_arrow.helm.public_bucket import ALL, PublicRuns
from magnet_arrow.helm.release_folder import named_runs
from magnet_arrow.helm.run_place import RUNS
from magnet_arrow.helm.walk import LATEST, NOT_RUNS
from magnet_arrow.sources import filesystem


def benchmarks(wanted: PublicRuns) -> pl.DataFrame:
    """The benchmarks that are meant."""
    return pl.DataFrame({"benchmark": public_bucket.benchmarks(wanted.benchmark)})


def versions(wanted: PublicRuns) -> pl.DataFrame:
    """The versions of each benchmark that are meant, the newest first; all of them if no pattern is given."""
    pattern = ALL if wanted.version == LATEST else wanted.version
    rows = []
    for benchmark in public_bucket.benchmarks(wanted.benchmark):
        latest = version_order.latest(public_bucket.versions(benchmark))
        names = public_bucket.chosen_versions(benchmark, pattern)
        rows += [(benchmark, name, name == latest, version_order.is_pre_release(name)) for name in names]
    columns = {"benchmark": pl.String(), "version": pl.String(), "latest": pl.Boolean(), "pre_release": pl.Boolean()}
    return pl.DataFrame(rows, schema=columns, orient="row")


def runs(wanted: PublicRuns, pattern: str) -> pl.DataFrame:
    """The folders of runs that match a pattern, in the versions or releases that are meant."""
    rows = _runs_of_releases(wanted, pattern) if wanted.release is not None else _runs_of_versions(wanted, pattern)
    columns = {"benchmark": pl.String(), "version": pl.String(), "run": pl.String()}
    return pl.DataFrame(rows, schema=columns, orient="row")


def _runs_of_releases(wanted: PublicRuns, pattern: str) -> list[tuple[str, str, str]]:
    rows: dict[tuple[str, str, str], None] = {}  # two releases may name the same run
    for benchmark in public_bucket.benchmarks(wanted.benchmark):
        for folder in public_bucket.choose(replace(wanted, benchmark=benchmark)).folders:
            named = named_runs(filesystem.as_path(folder))
            chosen = matching({name for _, name in named}, pattern)
            rows |= dict.fromkeys((benchmark, suite, name) for suite, name in named if name in chosen)
    return list(rows)


def _runs_of_versions(wanted: PublicRuns, pattern: str) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for benchmark in public_bucket.benchmarks(wanted.benchmark):
        seen: set[str] = set()
        for version in public_bucket.chosen_versions(benchmark, wanted.version):  # the newest first
            folder = f"{public_bucket.outputs_of(benchmark)}/{RUNS}/{version}"
            names = matching(set(filesystem.folder_names(folder)) - NOT_RUNS, pattern)
            rows += [(benchmark, version, name) for name in sorted(names - seen)]
            seen |= names if wanted.version == ALL else set()
    return rows
