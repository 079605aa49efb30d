"""`predict` and `demo`: a predictor, and predicted vs. actual stats."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magnet_arrow.cli.bucket_options import with_bucket_options
from magnet_arrow.cli.commands.ingest import ingest_code, print_ingest
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.large_reads import ask_before_draw, run_ingest
from magnet_arrow.cli.options import CacheDir, Csv, Full, JsonLines, Sources, one_form
from magnet_arrow.cli.printing import complain, print_rows, say

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from magnet_arrow.cli.load_predictor import AnyPredictor
    from magnet_arrow.cli.tables import Layout
    from magnet_arrow.data_splits import SequesteredTestSplit, TrainSplit
    from magnet_arrow.outputs import HelmRuns


def demo(cache: CacheDir = None) -> None:
    """Ingest the demo, and predict one of its runs."""
    from magnet_arrow.cli.summaries import without_empty
    from magnet_arrow.examples.random_run_predictor import RandomRunPredictor
    from magnet_arrow.outputs import HelmOutputs

    store = open_cache(cache)
    outputs = HelmOutputs.demo(cache=store)
    say(f"The demo is in {outputs.path}\n")
    report = run_ingest([str(outputs.path)], store)
    print_ingest(report)
    runs = outputs.suites()[0].runs()
    predictor = RandomRunPredictor(num_eval_samples=5)
    train, sequestered = predictor.prepare_predict_inputs(runs)
    _print_split("The train split: what a predictor learns from", train)
    _print_split("The sequestered test split: what it sees of the held-out run, without stats", sequestered)
    comparison = predictor(helm_runs=runs)
    print("\nRandom predictions: predicted vs. actual")
    print_rows(without_empty(comparison, keep="actual_mean"), layout=_comparison_layout())
    raise typer.Exit(ExitCode.REPORTED if _lacks_truth(comparison) else ingest_code(report))


@with_bucket_options
def predict(
    predictor: Annotated[
        str,
        typer.Argument(metavar="MODULE:CLASS", help="A RunPredictor or InstancePredictor; MODULE may be a file here."),
    ],
    paths: Sources,
    examples: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="num_example_runs: number of runs to learn from.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="num_eval_samples: number of instances of the held-out run.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="random_seed: decides which runs are drawn.")] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Ingest all runs, and draw from the complete ones only.")
    ] = False,
    include_partial: Annotated[
        bool,
        typer.Option("--include-partial", help="Ingest what is complete of runs, and draw from partial runs too."),
    ] = False,
    cache: CacheDir = None,
    full: Full = False,
    csv: Csv = False,
    json: JsonLines = False,
) -> None:
    """Let a predictor predict a held-out run or its instances, and show predicted and actual stats.

    The train runs and the held-out run are drawn from PATH. Options that are not given are the predictor's own. If a
    drawn run is not complete, the command ends with exit code 3; --skip-unreadable excludes such runs from the draw,
    --include-partial uses what is there of them.
    """
    from magnet_arrow.cli.load_predictor import load_predictor, stdout_for_data
    from magnet_arrow.cli.summaries import without_empty
    from magnet_arrow.outputs import HelmRuns

    one_form(json=json, csv=csv, full=full)
    options = {"num_example_runs": examples, "num_eval_samples": samples, "random_seed": seed}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given |= {"skip_unreadable": True} if skip_unreadable else {}
    given |= {"include_partial": True} if include_partial else {}
    with stdout_for_data() if json or csv else nullcontext() as data:
        runs = HelmRuns(paths, cache=open_cache(cache))
        comparison = _compared(load_predictor(predictor), given, runs)
        _complain_of_none(comparison)
        shown = comparison if json or csv else without_empty(comparison, keep="actual_mean")
        print_rows(shown, json=json, csv=csv, full=full, layout=_comparison_layout(), out=data)
    raise typer.Exit(ExitCode.REPORTED if _lacks_truth(comparison) else ExitCode.DONE)


def _print_split(title: str, split: "TrainSplit | SequesteredTestSplit") -> None:
    import polars as pl

    from magnet_arrow.data_splits import frames_of

    sizes = [(name, frame.height, frame.width) for name, frame in frames_of(split).items()]
    print(f"\n{title}")
    print_rows(pl.DataFrame(sizes, schema=["frame", "rows", "columns"], orient="row"))


def _compared(
    predictor_class: "Callable[..., AnyPredictor]", given: dict[str, Any], runs: "HelmRuns"
) -> "pl.DataFrame":
    """The comparison of a predictor; an error of ours comes from the draw, unless `predict` raised it."""
    from magnet_arrow.cli.load_predictor import predictors_code, with_own_errors
    from magnet_arrow.errors import MagnetError

    with predictors_code(leave=(MagnetError, typer.Exit)):
        predictor = predictor_class(**given)
        filtered = predictor._filtered

        def asked_for(runs: "HelmRuns") -> "HelmRuns":
            chosen = filtered(runs)
            ask_before_draw(predictor, chosen)
            return chosen

        predictor._filtered = asked_for  # type: ignore[method-assign]
        predictor.predict = with_own_errors(predictor.predict)  # type: ignore[method-assign,assignment]
        return predictor(helm_runs=runs)


def _complain_of_none(comparison: "pl.DataFrame") -> None:
    if comparison.is_empty():
        complain("The predictor made no predictions.")


def _comparison_layout() -> "Layout":
    """The run is the same in all rows."""
    from magnet_arrow.cli.tables import Layout

    return Layout(heading=["run_spec"], drop=["prediction_id", "split", "stat_name"])


def _lacks_truth(comparison: "pl.DataFrame") -> bool:
    """Whether some prediction has no actual value."""
    from magnet_arrow.predictions.scoring import without_truth

    return without_truth(comparison.lazy()).collect().height > 0
