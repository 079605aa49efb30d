"""`panel`: the score of every model on every item, written to a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.bucket_options import with_bucket_options
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.large_reads import ask_before_frames
from magnet_arrow.cli.options import CacheDir, Json, Partial, Sources, require_folder

if TYPE_CHECKING:
    from magnet_arrow.predictions.panel import Panel
    from magnet_arrow.predictions.panel_of_samples import Repeats

_WRITERS = {".csv": "to_csv", ".npz": "to_npz", ".parquet": "to_parquet"}


@with_bucket_options
def panel(
    paths: Sources,
    to: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The file to write: .csv, .npz or .parquet.", autocompletion=candidates.some_paths
        ),
    ],
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="A stat; main: the main metric of each run.", autocompletion=candidates.metrics
        ),
    ] = "main",
    items: Annotated[str, typer.Option(metavar="COLUMN", help="The column of the samples that names the item.")] = (
        "item_key"
    ),
    split: Annotated[str, typer.Option(metavar="NAME", help="A split; main: that of the main metric.")] = "main",
    threshold: Annotated[
        float | None, typer.Option(metavar="SCORE", help="Write 1 for scores from this one on, 0 for others.")
    ] = None,
    repeats: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="Several runs of one scenario by one model: refuse, or their mean.",
            autocompletion=candidates.of(candidates.REPEATS),
        ),
    ] = "refuse",
    partial: Partial = False,
    cache: CacheDir = None,
    json: Json = False,
) -> None:
    """Write the score of every model on every item to a file.

    CSV and Parquet have one row per model and item, NPZ a matrix and its names. A file that is there is replaced.
    Samples that are in no cell are counted.
    """
    from magnet_arrow.outputs import HelmRuns
    from magnet_arrow.panels import panel as panel_of

    _check_file(to)
    store = open_cache(cache)
    ask_before_frames(paths, store, partial=partial)
    found = panel_of(
        HelmRuns(paths, cache=store, partial=partial),
        metric,
        items,
        split=split,
        threshold=threshold,
        repeats=cast("Repeats", repeats),
    )
    getattr(found, _WRITERS[to.suffix])(to)
    _print_json(found, to) if json else _print(found, to)
    raise typer.Exit(ExitCode.REPORTED if found.excluded.height else ExitCode.DONE)


def _check_file(to: Path) -> None:
    """Refuse a file that cannot be written, before anything is read."""
    if to.suffix not in _WRITERS:
        raise typer.BadParameter(f"{to} does not end in .csv, .npz or .parquet.", param_hint="--to")
    require_folder(to, "--to")


def _print(found: "Panel", to: Path) -> None:
    from magnet_arrow._text import counted
    from magnet_arrow.cli.printing import complain, say

    size = f"{counted(len(found.models), 'model')} × {counted(len(found.items), 'item')}"
    say(f"{to}: {size}, {counted(found.missing.height, 'score')} missing")
    for metric, split, runs in found.metrics.iter_rows():
        say(f"{metric} on split {split}: {counted(runs, 'run')}")
    if found.repeats.height:
        complain(f"{counted(found.repeats.height, 'score')} of items that the data has more than once are means.")
    for model, reason, rows in found.excluded.iter_rows():
        complain(f"{model}: {counted(rows, 'sample')} excluded: {reason}.")


def _print_json(found: "Panel", to: Path) -> None:
    import json

    facts = {
        "file": str(to),
        "models": found.models,
        "items": len(found.items),
        "missing": found.missing.height,
        "threshold": found.threshold,
        "metrics": found.metrics.to_dicts(),
        "repeats": found.repeats.height,
        "excluded": found.excluded.to_dicts(),
    }
    print(json.dumps(facts, indent=2))
