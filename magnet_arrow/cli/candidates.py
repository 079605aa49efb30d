"""What completion offers for arguments and options: names of tables, columns, cached runs, choices and paths.

Nothing here imports Polars, and only the names of columns and of what is cached need Arrow. So the names of tables and
the choices are written out; a test compares them with where they come from.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import typer

if TYPE_CHECKING:
    from magnet_arrow.storage.snapshot import Snapshot

MORE = "more may follow"
"""What is said of a value of a list: no blank is put after it."""
TABLES = (
    *("run_spec", "scenario_state", "stats", "per_instance_stats", "scenario", "instances", "display_predictions"),
    *("display_requests", "files", "runs_to_run_suites", "run_specs", "schema", "summary", "groups", "suite_files"),
)
TARGETS = ("model", "item", "run", "extrapolation")
FOLDS = ("organization", "family", "model", "run", "scenario", "item")
LEVELS = ("plan", "items", "outputs", "outcomes")
FACTORS = ("fold", "model", "scenario", "item")
SCORE_COLUMNS = ("source", "suite", "run", "model", "scenario")
REPEATS = ("refuse", "mean")
_MAX_RUNS = 20_000
"""Of more cached runs no name is offered: to read them all would take seconds."""

Offer: TypeAlias = Callable[[typer.Context, str], list[str] | list[tuple[str, str]]]


def of(names: Iterable[str]) -> Offer:
    """Offers one of these names."""
    known = list(names)
    return lambda ctx, incomplete: known


def lists_of(names: Iterable[str]) -> Offer:
    """Offers lists of these names, separated by commas."""
    known = list(names)
    return lambda ctx, incomplete: _lists(known, incomplete)


def columns(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Lists of columns of the table that the command names, those that were found in the data included."""
    from magnet_arrow.schema import registry

    words = [ctx.params.get("table") or "", *ctx.args]  # the parser gives up at an option without a value
    table = next((registry.TABLES[word] for word in words if word in registry.TABLES), None)
    if table is None:
        return []
    found = [
        segment.tables[table.name].dynamic
        for segment in _snapshot(ctx).manifest.segments
        if table.name in segment.tables
    ]
    return _lists(dict.fromkeys([*table.names, *sorted(set().union(*found))]), incomplete)


def cached_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of cached runs; else paths, since a run's folder names it too."""
    from magnet_arrow.storage.named_runs import distinct_names

    snapshot = _snapshot(ctx)
    if sum(segment.n_runs for segment in snapshot.manifest.segments) > _MAX_RUNS:
        return paths(incomplete)
    return _beginning(distinct_names(snapshot), incomplete) or paths(incomplete)


def cached_sources_and_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Folders of sources, which may be gone, and names of cached runs; else paths."""
    sources = [source.path for source in _snapshot(ctx).manifest.sources]
    return [*_beginning(sources, incomplete), *cached_runs(ctx, incomplete)]


def cached_folders(ctx: typer.Context, incomplete: str) -> list[str]:
    """Folders of cached runs, each of which is a pattern too."""
    snapshot = _snapshot(ctx)
    if sum(segment.n_runs for segment in snapshot.manifest.segments) > _MAX_RUNS:
        return []
    return sorted({run.entry.folder for run in snapshot.runs.values()})


def metrics(ctx: typer.Context, incomplete: str) -> list[str]:
    """`main`, and the main metrics of HELM's scenarios."""
    import csv
    from importlib.resources import files

    text = files("magnet_arrow.predictions").joinpath("main_metrics.csv").read_text(encoding="utf-8")
    return ["main", *sorted({row["metric"] for row in csv.DictReader(text.splitlines())})]


def some_paths(ctx: typer.Context, incomplete: str) -> list[str]:
    """Files and folders."""
    return paths(incomplete)


def paths(incomplete: str) -> list[str]:
    """Files and folders whose path begins so; folders end with `/`. Hidden ones only if the name begins with a dot."""
    folder, begin = os.path.split(incomplete)
    written = incomplete.removesuffix(begin) if begin else incomplete
    try:
        with os.scandir(os.path.expanduser(folder) or os.curdir) as entries:
            found = [entry.name + "/" * entry.is_dir() for entry in entries if entry.name.startswith(begin)]
    except OSError:
        return []
    return sorted(written + name for name in found if begin or not name.startswith("."))


def _lists(names: Iterable[str], incomplete: str) -> list[tuple[str, str]]:
    before, comma, _ = incomplete.rpartition(",")
    chosen = set(before.split(","))
    return [(before + comma + name, MORE) for name in names if name not in chosen]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _snapshot(ctx: typer.Context) -> "Snapshot":
    """What the cache holds that the command names, or the default one."""
    from magnet_arrow.sources.paths import cache_folder
    from magnet_arrow.storage import manifest
    from magnet_arrow.storage.snapshot import Snapshot

    given: Path | None = ctx.params.get("cache")
    path = cache_folder(given)
    return Snapshot(path, manifest.read_manifest(path))
