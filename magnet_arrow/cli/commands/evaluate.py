"""`evaluate`: predictors and baselines on held-out models, runs or items."""

import contextlib
import json as json_text
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.bucket_options import with_bucket_options
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.large_reads import ask_before_frames
from magnet_arrow.cli.options import CacheDir, Csv, Full, Json, one_form, require_folder
from magnet_arrow.cli.printing import complain, print_rows, say

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from magnet_arrow.evaluation.record import Evaluation


PredictorsAndSource = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODULE:CLASS]... SOURCE",
        help="Predictors of panels, runs or instances; then runs, or a .csv, .parquet or .npz of scores.",
        autocompletion=candidates.some_paths,
    ),
]
Target = Annotated[
    str,
    typer.Option(
        help="What is predicted: model, item, run or extrapolation.", autocompletion=candidates.of(candidates.TARGETS)
    ),
]
Folds = Annotated[
    str,
    typer.Option(
        help="What is held out together: organization, family, model, run, scenario or item.",
        autocompletion=candidates.of(candidates.FOLDS),
    ),
]
Budgets = Annotated[str | None, typer.Option(metavar="K,K,…", help="Numbers of items asked, such as 4,16,all.")]
Level = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL",
        help="Only predictors of this level: what they see of the answers.",
        autocompletion=candidates.of(candidates.LEVELS),
    ),
]
Over = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="What ties are about: model, or model,scenario; by default by their number.",
        autocompletion=candidates.lists_of(candidates.FACTORS),
    ),
]
Draws = Annotated[int, typer.Option(min=1, metavar="N", help="Random orders of the items.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Decides which items are asked.")]
Families = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV", help="Says of which family and organisation models are.", autocompletion=candidates.some_paths
    ),
]
Timeout = Annotated[float | None, typer.Option(metavar="SECONDS", help="For each predictor in each fold.")]
Workers = Annotated[int, typer.Option(min=1, metavar="N", help="Number of processes.")]
NoBaselines = Annotated[bool, typer.Option("--no-baselines", help="Just the predictors named.")]
ParquetFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the evaluation to this file.", autocompletion=candidates.some_paths),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html",
        help="Write a page with charts, rankings and largest errors to this file.",
        autocompletion=candidates.some_paths,
    ),
]


@with_bucket_options
def evaluate(
    arguments: PredictorsAndSource,
    target: Target = "model",
    folds: Folds = "organization",
    budgets: Budgets = None,
    level: Level = None,
    over: Over = None,
    draws: Draws = 12,
    seed: Seed = 0,
    families: Families = None,
    timeout: Timeout = None,
    workers: Workers = 1,
    no_baselines: NoBaselines = False,
    cache: CacheDir = None,
    full: Full = False,
    csv: Csv = False,
    json: Json = False,
    parquet: ParquetFile = None,
    report: ReportFile = None,
) -> None:
    """Compare predictions with actual scores, and rank predictors and baselines.

    All models of an organisation are held out together, and predicted from the others and from a few of their answers.
    SOURCE may also be a table with columns model, item, score and perhaps scenario.
    """
    from magnet_arrow.cli.load_predictor import stdout_for_data
    from magnet_arrow.evaluation.evaluate import evaluate as evaluation_of

    one_form(json=json, csv=csv, full=full)
    factors = None if over is None else over.split(",")
    _check(level, factors, parquet, report)
    own, source = _loaded(arguments[:-1]), arguments[-1]
    with stdout_for_data() as data:
        with _executor(workers) as executor:
            found = evaluation_of(
                own if no_baselines else [*own, *_baselines()],
                _scores(source, cache),
                target=target,  # type: ignore[arg-type]  # these two are checked there
                folds=folds,  # type: ignore[arg-type]
                budgets=None if budgets is None else _budgets(budgets),
                draws=draws,
                seed=seed,
                families=families,
                timeout=timeout,
                executor=executor,
            )
        if parquet is not None:
            found.to_parquet(parquet)
        if json:
            data.write(_as_json(found, level, factors))
        else:
            _print_rankings(found, data, len(own), (level, factors), csv=csv, full=full)
        if report is not None:
            found.report(level=level, over=factors, source=source).save(report)
    raise typer.Exit(_report_failures(found))


def _check(level: str | None, factors: list[str] | None, parquet: Path | None, report: Path | None) -> None:
    """Refuse what would be noticed only after the evaluation."""
    from magnet_arrow.evaluation.predictor_ranking import checked_factors
    from magnet_arrow.predictions.levels import check_level

    if factors is not None:
        checked_factors(factors)
    if level is not None:
        check_level("--level", level)
    _check_files(parquet, report)


def _check_files(parquet: Path | None, report: Path | None) -> None:
    """Refuse files that cannot be written, before the evaluation."""
    from magnet_arrow.pages import charts
    from magnet_arrow.pages.report import check_file

    for file, option in ((parquet, "--parquet"), (report, "--report")):
        if file is not None:
            require_folder(file, option)
    if report is not None:
        charts.require()
        check_file(report)


def _loaded(names: list[str]) -> list[type[Any]]:
    from magnet_arrow.cli.load_predictor import load_class
    from magnet_arrow.evaluation.evaluate import KINDS

    return [load_class(name, KINDS) for name in names]


def _baselines() -> tuple[type[Any], ...]:
    from magnet_arrow.evaluation import BASELINES

    return BASELINES


def _scores(source: str, cache: Path | None) -> Any:
    """The path of a table, or the runs of a source."""
    from magnet_arrow.evaluation.score_files import is_score_file
    from magnet_arrow.outputs import HelmRuns

    if is_score_file(source):
        return source
    store = open_cache(cache)
    ask_before_frames([source], store)
    return HelmRuns([source], cache=store)


def _budgets(text: str) -> list[Any]:
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part != "all" and not part.isdecimal():
            raise typer.BadParameter(f"{part!r} is neither a number nor all.", param_hint="--budgets")
    return [part if part == "all" else int(part) for part in parts]


@contextlib.contextmanager
def _executor(workers: int) -> "Iterator[Executor | None]":
    if workers == 1:
        yield None
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def _print_rankings(
    found: "Evaluation", out: TextIO, n_own: int, rankings_of: tuple[Any, Any], *, csv: bool, full: bool
) -> None:
    """Print the rankings as tables or as CSV.

    Args:
        found: the evaluation.
        out: where to print.
        n_own: how many predictors, the first ones, are no baselines.
        rankings_of: the level, and the factors that ties are about.
        csv: print one row for each predictor and budget.
        full: print whole tables on a terminal too.
    """
    from magnet_arrow.cli.evaluation_table import all_rankings, tables

    if csv:
        print_rows(all_rankings(found, *rankings_of), csv=True, out=out)
        return
    own = [predictor["name"] for predictor in found.provenance["predictors"][:n_own]]
    for part in tables(found, own, *rankings_of):
        if isinstance(part, str):
            say(part, out)
        else:
            table, layout = part
            print_rows(table, full=full, layout=layout, out=out)


def _as_json(found: "Evaluation", level: str | None, over: list[str] | None) -> str:
    from magnet_arrow.evaluation.report.findings import rankings

    facts = {
        "provenance": found.provenance,
        "rankings": [
            {"level": of, "budget": "all" if budget is None else budget, "predictors": ranking.to_dicts()}
            for of, budget, ranking in rankings(found, level, over)
        ],
        "errors": found.errors.to_dicts(),
    }
    return json_text.dumps(facts, indent=2) + "\n"


def _report_failures(found: "Evaluation") -> ExitCode:
    """Print what was not answered, and why."""
    from magnet_arrow._text import counted

    errors = found.errors
    for predictor, name, error, values in errors.select("predictor", "name", "error", "values").head(5).iter_rows():
        complain(f"{predictor} did not answer {counted(values, 'value')} of fold {name}: {error}")
    if errors.height > 5:
        complain(f"… and {counted(errors.height - 5, 'more failure')}; --json and --parquet have all.")
    return ExitCode.REPORTED if errors.height else ExitCode.DONE
