"""The command line: arguments -> one call -> report. Data goes to stdout, everything else to stderr.

Exit codes (the one table; the README shows the same):

    0    done
    1    done, but something is reported: runs rejected, partial or stale, missing truth, what validate or verify find
    2    wrong use, source not found, no runs in it
    3    stopped: disk full, cache locked, damaged or not readable, all runs rejected, an error in a predictor
    130  interrupted (Ctrl-C)
    143  terminated (SIGTERM)

The package is imported inside the commands, so that `--help` does not wait for Polars and Arrow (see
`cli.start`).
"""

import enum
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    import polars as pl
    from rich.console import Console

    from magnet_arrow.cache import Cache
    from magnet_arrow.data_splits import SequesteredTestSplit, TrainSplit
    from magnet_arrow.errors import MagnetError
    from magnet_arrow.ingestion.api import IngestReport
    from magnet_arrow.outputs import HelmRuns
    from magnet_arrow.predictor import RunPredictor


class ExitCode(enum.IntEnum):
    """The exit codes, as in the table above."""

    DONE = 0
    REPORTED = 1
    WRONG_USE = 2
    STOPPED = 3
    INTERRUPTED = 130
    TERMINATED = 143


class Terminated(BaseException):
    """SIGTERM came; like Ctrl-C, it ends every `with` in order."""


class TableName(enum.StrEnum):
    """The tables, spelled as in `schema.registry.TABLES`, which is too slow to import for a help text."""

    RUN_SPEC = "run_spec"
    SCENARIO_STATE = "scenario_state"
    STATS = "stats"
    PER_INSTANCE_STATS = "per_instance_stats"
    SCENARIO = "scenario"
    INSTANCES = "instances"
    DISPLAY_PREDICTIONS = "display_predictions"
    DISPLAY_REQUESTS = "display_requests"
    FILES = "files"
    RUNS_TO_RUN_SUITES = "runs_to_run_suites"
    RUN_SPECS = "run_specs"
    SCHEMA = "schema"
    SUMMARY = "summary"
    GROUPS = "groups"
    SUITE_FILES = "suite_files"


def _table(name: str) -> TableName:
    """The table of this name; else a guess at which one was meant."""
    import difflib

    if name in list(TableName):
        return TableName(name)
    near = difflib.get_close_matches(name, list(TableName), n=1)
    raise typer.BadParameter(
        f"there is no table {name!r}. "
        + (f"Did you mean {str(near[0])!r}?" if near else f"There are {', '.join(TableName)}.")
    )


Sources = Annotated[
    list[str],
    typer.Argument(metavar="PATH", help="Outputs folders, suites, runs, or glob patterns of these."),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        envvar="MAGNET_ARROW_CACHE_DIR",
        help="The cache's folder, if not the usual one.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
FollowLinks = Annotated[
    bool,
    typer.Option(
        " /--no-follow-links", help="Skip linked folders, and reject runs with linked files.", show_default=False
    ),
]
SkipDamaged = Annotated[
    bool, typer.Option("--skip-damaged", help="Leave out runs that damage of the cache affects; reads all of it.")
]
JsonLines = Annotated[bool, typer.Option("--json", help="Print a JSON object a row, each on its line, for scripts.")]

# Plain help: laying it out by rich takes three times as long as all the rest of typer.
app = typer.Typer(
    name="magnet-arrow",
    help="HELM's output as typed tables, and predictors on top of them.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
cache_app = typer.Typer(help="Look at the cache, or empty it.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(cache_app, name="cache")


def main() -> NoReturn:
    """Run the command that the arguments name, and exit with its code."""
    warned: list[str] = []
    try:
        with _signals_raising(), _warnings_shown() as warned:
            code = _run()
    except (KeyboardInterrupt, Terminated) as end:  # it came in one of these lines
        code = _stopped(end)
    raise SystemExit(ExitCode.REPORTED if warned and code == ExitCode.DONE else code)


def _run() -> int:
    if sys.stdout is None:  # closed by whoever started this: what is written there is lost, as asked for
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (open until the process ends)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a locale cannot show is written out, and ends nothing
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except SystemExit as end:  # typer ends each command by one, and Ctrl-C too
        if end.code == ExitCode.INTERRUPTED:
            return _stopped(KeyboardInterrupt())
        if isinstance(end.__context__, BrokenPipeError):  # typer and rich make a SystemExit of it
            return _cut_short()
        return end.code if isinstance(end.code, int) else ExitCode.DONE
    except (KeyboardInterrupt, Terminated) as end:
        return _stopped(end)
    except BrokenPipeError:
        return _cut_short()
    except Exception as err:
        if _came:  # what was interrupted made another error of it
            return _stopped(KeyboardInterrupt() if _came[0] == signal.SIGINT else Terminated())
        return _failed(err)
    except BaseException as err:
        if not _is_no_thread(err):
            raise
        return _failed(RuntimeError(str(err)))
    return ExitCode.DONE


def _is_no_thread(err: BaseException) -> bool:
    """Whether the system refused to start a thread: Python's error, or the panic that Polars makes of it."""
    text = str(err)
    return (
        type(err).__name__ in ("RuntimeError", "PanicException")
        and "thread" in text
        and ("spawn" in text or "start new" in text)
    )


def _stopped(end: BaseException) -> ExitCode:
    """Say what a signal leaves."""
    is_ctrl_c = isinstance(end, KeyboardInterrupt)
    print(f"{'Interrupted' if is_ctrl_c else 'Terminated'}. What was committed stays.", file=sys.stderr)
    return ExitCode.INTERRUPTED if is_ctrl_c else ExitCode.TERMINATED


_came: list[int] = []
"""The signals that came."""


@contextmanager
def _signals_raising() -> "Iterator[None]":
    """Ctrl-C and SIGTERM raise in here, so that every `with` is ended in order."""
    _came.clear()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in ours:
            signal.signal(number, _on_signal)
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def _on_signal(number: int, frame: "FrameType | None") -> None:
    _came.append(number)
    if len(_came) == 2:  # `timeout` sends it to the process, and to its group: what is being ended in order goes on
        return
    if len(_came) > 2 or _is_importing(frame):
        with suppress(OSError):
            os.write(2, b"Interrupted.\n" if number == signal.SIGINT else b"Terminated.\n")
        os._exit(128 + number)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _is_importing(frame: "FrameType | None") -> bool:
    """Whether a command is importing what it needs, and has done nothing yet.

    What is imported makes other errors of an exception that comes in between, or says that it ignores it.
    """
    inner: list[FrameType] = []
    while frame is not None and frame.f_code is not main.__code__:
        inner.append(frame)
        frame = frame.f_back
    for one in reversed(inner):
        file = one.f_code.co_filename
        if file.startswith("<frozen importlib"):
            return True
        if file.startswith(_PACKAGE) and file != __file__ and one.f_code.co_name != "<module>":
            return False
    return False


_PACKAGE = os.path.join(os.path.dirname(__file__), "")


def _cut_short() -> ExitCode:
    """Whoever read our output wants no more of it (`… | head -1`), which is no fault of anyone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python flushes the rest to at its end
    return ExitCode.DONE


def _failed(err: Exception) -> ExitCode:
    """Say what went wrong; the exit code for it."""
    from magnet_arrow import errors
    from magnet_arrow._text import as_options
    from magnet_arrow.cli.load_predictor import PredictorFailedError

    match err:
        case PredictorFailedError():
            return _predictor_failed(err.__cause__)
        case errors.MagnetError():
            err.hint = err.hint and as_options(err.hint)
            _complain(str(err))
            return ExitCode.STOPPED if _stops(err) else ExitCode.WRONG_USE
        case OSError(strerror=str(reason)):
            _complain(f"{err.filename or 'magnet-arrow'}: {reason}")
        case _ if _is_no_thread(err):
            _complain(f"No thread could be started: {err}\nWhat was committed stays. See to the limit on processes.")
        case _:  # a mistake of ours
            traceback.print_exception(err)
    return ExitCode.STOPPED


def _stops(err: "MagnetError") -> bool:
    """Whether it is the machine, the cache, the dump or a predictor, and not how the command was used."""
    from magnet_arrow import errors

    if isinstance(err, errors.RunNotCachedError):
        return False
    stopping = (
        *(errors.BadFileError, errors.CacheError, errors.WorkersLostError),
        *(errors.FilterError, errors.PredictionError, errors.FolderNotWritableError),
    )
    return isinstance(err, stopping)


def _predictor_failed(cause: BaseException | None) -> ExitCode:
    """Say what a predictor raised. Its author needs the way it took, unless it says itself what is wrong."""
    from magnet_arrow.errors import MagnetError

    match cause:
        case MagnetError():
            _complain(f"The predictor failed: {cause}")
        case SystemExit(code=code):
            _complain(f"The predictor ended the process: {code if isinstance(code, str) else f'exit code {code or 0}'}")
        case BaseException():
            traceback.print_exception(cause)
    return ExitCode.STOPPED


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"magnet-arrow {version('magnet-arrow')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """HELM's output as typed tables, and predictors on top of them."""


@app.command()
def demo(cache: CacheDir = None) -> None:
    """Ingest the demo, and predict one of its runs."""
    from magnet_arrow.cli.summaries import plain
    from magnet_arrow.examples.random_run_predictor import RandomRunPredictor
    from magnet_arrow.outputs import HelmOutputs

    store = _cache(cache)
    outputs = HelmOutputs.demo(cache=store)
    _stdout().print(plain(f"The demo lies in {outputs.path}\n"))
    done = _ingest([str(outputs.path)], store)
    _print_ingest(done)
    runs = outputs.suites()[0].runs()
    predictor = RandomRunPredictor(num_eval_samples=5)
    train, sequestered = predictor.prepare_predict_inputs(runs)
    _print_split("What a predictor learns from: the train split", train)
    _print_split("What it sees of the held-out run: the sequestered test split, without stats", sequestered)
    missing = _print_comparison(predictor(helm_runs=runs), title="\nRandom predictions beside the truth")
    raise typer.Exit(ExitCode.REPORTED if missing else _ingest_code(done))


@app.command()
def ingest(
    paths: Sources,
    runs: Annotated[str, typer.Option(metavar="GLOB", help="Only the run folders that match.")] = "*",
    cache: CacheDir = None,
    retry: Annotated[bool, typer.Option("--retry", help="Read rejected runs again, though unchanged.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Drop cached runs that the source has lost.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what is whole of runs that lack files or have one cut short.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Reject runs that hold what HELM does not declare.")] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Take display_predictions.json with pictures too.")
    ] = False,
    content_hash: Annotated[
        bool, typer.Option("--content-hash", help="Notice changed files by their bytes, not by size and date alone.")
    ] = False,
    follow_links: FollowLinks = True,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes that read; one a core where that pays.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What all processes together may take, such as 2GiB.")
    ] = None,
    json: Json = False,
) -> None:
    """Take runs into the cache.

    Unchanged ones are not read again, and rejected ones only with --retry or --partial.
    """
    from magnet_arrow.ingestion.parallel.settings import parse_bytes

    store = _cache(cache)
    known = () if retry or partial else {found.rejected for found in store.snapshot_to_ingest().rejected.values()}
    done = _ingest(
        paths,
        store,
        runs=runs,
        retry=retry,
        prune=prune,
        partial=partial,
        strict=strict,
        pictures=pictures,
        content_hash=content_hash,
        follow_links=follow_links,
        workers=workers,
        memory_bytes=None if memory is None else parse_bytes(memory),
    )
    _print_ingest(done, json=json)
    if any(rejected in known for rejected in done.rejected):
        _complain("What was rejected before and has not changed was not read again; --retry reads it.")
    raise typer.Exit(_ingest_code(done))


@app.command()
def validate(paths: Sources, follow_links: FollowLinks = True, json: Json = False) -> None:
    """Look through runs without taking them.

    Tells what is there, what HELM does not declare, what would be rejected, and which releases of HELM wrote it.
    Nothing is written, no cache is looked at.
    """
    from magnet_arrow.checks.validate import validate
    from magnet_arrow.cli.summaries import (
        as_json,
        findings_text,
        first_of,
        plain,
        progress_bar,
        validation_facts,
        validation_summary,
    )

    with progress_bar(_stderr()) as progress:
        found = validate(paths, follow_links=follow_links, progress=progress)
    if json:
        print(as_json(validation_facts(found)))
    else:
        print(validation_summary(found))
        texts = [str(one) for one in found.unreadable]
        texts += [findings_text(one) for one in (*found.runs, *found.suites) if not one.is_clean]
        for text in filter(
            None, (first_of(texts, rest="; --json has all"), first_of(found.notes, rest="; --json has all"))
        ):
            _stdout().print(plain(f"\n{text}"))
    raise typer.Exit(ExitCode.DONE if found.is_clean else ExitCode.REPORTED)


@app.command()
def ls(
    path: Annotated[str | None, typer.Argument(metavar="PATH", help="A source; the cache, if none.")] = None,
    cache: CacheDir = None,
    json: JsonLines = False,
) -> None:
    """List the runs of a source, or of the cache.

    With model, scenario, and where a run is cached its rows, if it is partial (and what it lacks), and if it is stale:
    its source has rejected or lost it since, and the cache has what it was. Nothing is ingested for it.
    """
    from magnet_arrow.cli.listing import cached_runs, source_runs

    store = _cache(cache)
    _print_frame(cached_runs(store) if path is None else source_runs(path, store), json=json)


@app.command()
def head(
    table: Annotated[TableName, typer.Argument(parser=_table, metavar="TABLE", help=f"One of {', '.join(TableName)}.")],
    columns: Annotated[str | None, typer.Option(metavar="A,B", help="Only these columns, divided by commas.")] = None,
    run: Annotated[str, typer.Option(metavar="GLOB", help="Only runs whose name matches.")] = "*",
    n: Annotated[int, typer.Option("-n", min=1, metavar="ROWS", help="So many rows.")] = 3,
    skip_damaged: SkipDamaged = False,
    cache: CacheDir = None,
    json: JsonLines = False,
) -> None:
    """Show the first rows of a cached table, a column a line."""
    from magnet_arrow.cli.listing import first_rows
    from magnet_arrow.cli.summaries import records

    chosen = [name.lstrip() for name in columns.split(",")] if columns else "occurring"
    frame = first_rows(
        _cache(cache), table.value, runs=run, columns=chosen, rows=n, skip_damaged=skip_damaged, tell=_complain
    )
    if frame.is_empty():
        _complain(f"No rows of {table.value} are cached for {run!r}.")
    if json:
        _print_frame(frame, json=True)
    else:
        _stdout().print(records(frame))


@app.command()
def export(
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make; it must not hold anything yet.")] = Path(
        "magnet-export"
    ),
    tables: Annotated[
        list[TableName] | None,
        typer.Option("--table", parser=_table, metavar="TABLE", help="Only this one; may be repeated."),
    ] = None,
    partition_by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Divide the tables that have this column into a folder a value."),
    ] = None,
    skip_damaged: SkipDamaged = False,
    cache: CacheDir = None,
    json: Json = False,
) -> None:
    """Write what is cached as plain Parquet, a folder a table.

    Any tool can read it. A README in the folder says what each table is, and the table `runs` which runs are partial or
    stale.
    """
    import polars as pl

    from magnet_arrow.cli.summaries import rows_bar
    from magnet_arrow.export.parquet import export_tables, remove_leftovers

    names = [table.value for table in tables or ()]
    told: list[str] = []
    for path in remove_leftovers(to):
        _complain(f"{path} was removed: an export that was killed had left it.")
    with rows_bar(_stderr()) as progress:
        done = export_tables(
            _cache(cache),
            to,
            tables=names,
            partition_by=partition_by,
            skip_damaged=skip_damaged,
            progress=progress,
            tell=told.append,
        )
    _print_frame(pl.DataFrame(done), json=json)
    for text in [*told, f"The tables lie in {to}"]:
        _complain(text)
    raise typer.Exit(ExitCode.REPORTED if told else ExitCode.DONE)


@app.command()
def schemas(
    write: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write one JSON file a table into this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the columns of every table, or write schemas/."""
    from magnet_arrow.cli.summaries import as_json
    from magnet_arrow.schema import registry
    from magnet_arrow.sources.paths import absolute

    published = {name: table.to_json() for name, table in registry.TABLES.items()}
    if write:
        write = absolute(write)
        write.mkdir(parents=True, exist_ok=True)
        for name, contract in published.items():
            (write / f"{name}.json").write_text(as_json(contract, indent=2) + "\n", encoding="utf-8")
            print(write / f"{name}.json")
    elif json:
        print(as_json(published))
    else:
        from magnet_arrow.cli.listing import columns

        for number, name in enumerate(published):
            _print_frame(columns(name), title=f"\n{name}" if number else name, fold=True)


@cache_app.command("path")
def cache_path(cache: CacheDir = None) -> None:
    """Print the cache's folder."""
    print(_cache(cache).path)


@cache_app.command("info")
def cache_info(cache: CacheDir = None, json: JsonLines = False) -> None:
    """Show the cache's sources, with runs, bytes of their JSON, and rows a table; and its bytes on disk."""
    from magnet_arrow.cli.listing import bytes_on_disk, sources

    shown = _existing_cache(cache)
    _print_frame(sources(shown), json=json)
    _complain(f"{bytes_on_disk(shown):,} bytes on disk, in {shown.path}")


@cache_app.command("clear")
def cache_clear(
    cache: CacheDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all that is cached. The sources stay as they are."""
    from magnet_arrow.storage.maintenance.clear import clear

    path = _cache(cache).path
    if not path.exists():
        print(f"There is no cache in {path}.")
    elif yes or _agrees(f"Delete all that is cached in {path}?"):
        clear(path)
        print(f"The cache in {path} is empty.")
    else:
        _complain("Nothing was deleted.")


@cache_app.command("remove")
def cache_remove(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE|RUN", help="Folders of sources, suites or runs, gone perhaps; or runs' names."),
    ] = None,
    stale: Annotated[bool, typer.Option("--stale", help="All that their source has rejected or lost since.")] = False,
    cache: CacheDir = None,
) -> None:
    """Take runs out of the cache, whether or not their source is still there.

    The sources stay as they are.
    """
    from magnet_arrow._text import counted

    if not names and not stale:
        raise typer.BadParameter("name a source or a run, or give --stale.")
    store = _existing_cache(cache)
    print(f"{counted(store.remove(*names or (), stale=stale), 'run')} removed from the cache.")


@app.command()
def check(cache: CacheDir = None, json: Json = False) -> None:
    """Read all that is cached, and name what is damaged.

    Each damaged file, and the runs that it affects; ingesting their sources again cures them.
    """
    from magnet_arrow.cli.summaries import as_json, check_facts, check_lines, check_summary

    found = _existing_cache(cache).check()
    if json:
        print(as_json(check_facts(found)))
    else:
        print(check_summary(found))
        for line in check_lines(found):
            _complain(line)
    raise typer.Exit(ExitCode.REPORTED if found.damages else ExitCode.DONE)


@app.command()
def compact(
    cache: CacheDir = None,
    grace: Annotated[float, typer.Option(min=0, metavar="HOURS", help="Keep files out of use for so long.")] = 24,
    json: Json = False,
) -> None:
    """Merge small segments, and drop replaced runs.

    Ingests do so by themselves in time. Whoever looks at the cache meanwhile can go on for the grace time: less of it
    frees space at once.
    """
    from magnet_arrow.cli.summaries import as_json, compact_facts, compact_summary

    done = _existing_cache(cache).compact(grace_s=grace * 3600)
    print(as_json(compact_facts(done)) if json else compact_summary(done))
    for text in done.damaged:
        _complain(text)
    raise typer.Exit(ExitCode.REPORTED if done.damaged else ExitCode.DONE)


@app.command()
def predict(
    predictor: Annotated[
        str, typer.Argument(metavar="MODULE:CLASS", help="A RunPredictor; modules in this folder count too.")
    ],
    paths: Sources,
    examples: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="num_example_runs: runs to learn from.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="num_eval_samples: instances of the evaluated run.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="random_seed: decides the draw.")] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Ingest all runs, and draw from those that are complete.")
    ] = False,
    include_partial: Annotated[
        bool, typer.Option("--include-partial", help="Ingest what is whole of runs, and draw from partial ones too.")
    ] = False,
    cache: CacheDir = None,
    json: JsonLines = False,
) -> None:
    """Let a predictor predict a held-out run, and show predicted and actual stats.

    Runs to learn from and the held-out run are drawn from PATH. What is not given is as the predictor has it. A run
    that is drawn and not complete ends it with 3, unless --skip-unreadable leaves such runs out of the draw, or
    --include-partial takes what is there of them.
    """
    from magnet_arrow.cli.load_predictor import load_predictor, stdout_for_data
    from magnet_arrow.outputs import HelmRuns

    options = {"num_example_runs": examples, "num_eval_samples": samples, "random_seed": seed}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given |= {"skip_unreadable": True} if skip_unreadable else {}
    given |= {"include_partial": True} if include_partial else {}
    with stdout_for_data() if json else nullcontext() as data:
        runs = HelmRuns(paths, cache=_cache(cache))
        comparison = _compared(load_predictor(predictor), given, runs)
        missing = _print_comparison(comparison, to=data)
    raise typer.Exit(ExitCode.REPORTED if missing else ExitCode.DONE)


@app.command()
def verify(paths: Sources, cache: CacheDir = None, follow_links: FollowLinks = True, json: Json = False) -> None:
    """Rebuild every file from the cache, and compare.

    A run or a file that the cache lacks is a difference, a rejected run is reported. Nothing is ingested for it.
    """
    from magnet_arrow.checks.verify import verify
    from magnet_arrow.cli.summaries import (
        as_json,
        first_of,
        plain,
        progress_bar,
        verify_facts,
        verify_reasons,
        verify_summary,
    )

    with progress_bar(_stderr()) as progress:
        report = verify(paths, _cache(cache), follow_links=follow_links, progress=progress)
    if not report.runs:
        _complain("No run of it is cached. `magnet-arrow ingest PATH` takes runs into the cache.")
    if json:
        print(as_json(verify_facts(report)))
    else:
        print(verify_summary(report))
        for text in filter(None, (first_of(verify_reasons(report), rest="; --json has more"), first_of(report.notes))):
            _stdout().print(plain(f"\n{text}"))
    raise typer.Exit(ExitCode.DONE if report.is_equal else ExitCode.REPORTED)


@app.command()
def restore(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="A run's folder, its suite/folder in the cache, or its name.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to: runs/SUITE/RUN is made in it.")],
    cache: CacheDir = None,
) -> None:
    """Write runs as the JSON files that they came from.

    Nothing is overwritten.
    """
    from magnet_arrow._text import for_terminal
    from magnet_arrow.query.stored_tables import StoredTables
    from magnet_arrow.restore.run_files import remove_leftovers, restore
    from magnet_arrow.storage.named_runs import find_cached

    snapshot = _cache(cache).snapshot()
    stored = StoredTables(snapshot)
    for path in remove_leftovers(out):
        _complain(f"{path} was removed: a restoration that was killed had left it.")
    for run in [find_cached(snapshot, name) for name in runs]:
        print(for_terminal(str(restore(snapshot, run, out, stored=stored))))


@app.command()
def rejects(cache: CacheDir = None, json: JsonLines = False) -> None:
    """List the runs that were left out, and why.

    Of partial runs, the files that end early. With the range of bytes, and a sample of what stands there.
    """
    import polars as pl

    from magnet_arrow._text import as_options
    from magnet_arrow.cli.summaries import plain, rejection

    rejected = _existing_cache(cache).rejects()
    if json:
        _print_frame(rejected.with_columns(pl.col("hint").map_elements(as_options, pl.String)), json=True)
    else:
        for row in rejected.iter_rows(named=True):
            _stdout().print(plain(f"{rejection(row)}\n  It lies in {row['source']}."))
    if rejected.is_empty():
        _complain("Nothing was left out of the cache.")


def _agrees(question: str) -> bool:
    from magnet_arrow.errors import MagnetError

    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # standard input is closed
        print(file=sys.stderr)
        raise MagnetError("Nothing was done, since nobody answered.", hint="With --yes no question is asked.") from None


def _cache(path: Path | None) -> "Cache":
    from magnet_arrow.cache import Cache

    return Cache(path)


def _existing_cache(path: Path | None) -> "Cache":
    """A cache that was named, and is there; or the default one, which need not be."""
    from magnet_arrow.errors import MagnetError

    cache = _cache(path)
    if path is not None and not cache.path.exists():
        raise MagnetError(f"There is no cache in {cache.path}.")
    return cache


def _ingest(paths: list[str], store: "Cache", **options: Any) -> "IngestReport":
    """`ingest` with a progress bar; `options` are its."""
    from magnet_arrow.cli.summaries import progress_bar
    from magnet_arrow.ingestion.api import ingest

    with progress_bar(_stderr()) as progress:
        return ingest(paths, store, progress=progress, **options)


def _ingest_code(done: "IngestReport") -> ExitCode:
    if done.rejected and not (done.runs or done.skipped):
        return ExitCode.STOPPED
    return ExitCode.REPORTED if done.rejected or done.lacking or done.stale else ExitCode.DONE


def _print_ingest(done: "IngestReport", *, json: bool = False) -> None:
    from magnet_arrow.cli.summaries import (
        as_json,
        first_of,
        ingest_facts,
        ingest_summary,
        lacking_text,
        rejected_text,
        stale_text,
        unexpected_lines,
    )

    print(as_json(ingest_facts(done)) if json else ingest_summary(done))
    odd = first_of(
        [f"Kept in magnet.extra: {line}" for line in unexpected_lines(done.unexpected)], rest="; --json has all"
    )
    reasons = first_of([rejected_text(one) for one in done.rejected], rest="; `magnet-arrow rejects` lists all")
    notes = first_of(done.notes, rest="; --json has all")
    for text in filter(None, (notes, odd, reasons, lacking_text(done), stale_text(done))):
        _complain(text)


def _print_split(title: str, split: "TrainSplit | SequesteredTestSplit") -> None:
    import dataclasses

    import polars as pl

    frames = {field.name: getattr(split, field.name) for field in dataclasses.fields(split)}
    sizes = [(name, frame.height, frame.width) for name, frame in frames.items()]
    _print_frame(pl.DataFrame(sizes, schema=["frame", "rows", "columns"], orient="row"), title=f"\n{title}")


def _compared(made_by: "Callable[..., RunPredictor]", given: dict[str, Any], runs: "HelmRuns") -> "pl.DataFrame":
    """What a predictor makes of runs. Errors of ours are in the draw, if they are not in `predict`."""
    from magnet_arrow.cli.load_predictor import predictors_code, with_own_errors
    from magnet_arrow.errors import MagnetError

    with predictors_code(leave=(MagnetError,)):
        predictor = made_by(**given)
        predictor.predict = with_own_errors(predictor.predict)  # type: ignore[method-assign,assignment]
        return predictor(helm_runs=runs)


def _print_comparison(comparison: "pl.DataFrame", *, title: str = "", to: "TextIO | None" = None) -> int:
    """Print it, as JSON if there is a stream for it; how many predictions have no truth."""
    from magnet_arrow.cli.summaries import rows_as_json, without_empty
    from magnet_arrow.predictions.scoring import without_truth

    if comparison.is_empty():
        _complain("The predictor made no predictions.")
    if to is None:
        _print_frame(without_empty(comparison, keep="actual_mean"), title=title)
    else:
        to.writelines(f"{line}\n" for line in rows_as_json(comparison))
    return without_truth(comparison.lazy()).collect().height


def _print_frame(frame: "pl.DataFrame", *, title: str = "", json: bool = False, fold: bool = False) -> None:
    """Print it; where `fold` is false, a row stays one line, which a narrow terminal breaks better than we could."""
    from magnet_arrow.cli.tables import lines

    if json:
        from magnet_arrow.cli.summaries import rows_as_json

        for line in rows_as_json(frame):
            print(line)
        return
    if title:
        print(title)
    if fold and sys.stdout.isatty():
        from magnet_arrow.cli.summaries import table

        _stdout().print(table(frame))
    else:
        for line in lines(frame):
            print(line)


def _stdout() -> "Console":
    """Where data goes; in a file or a pipe no line is cut or folded."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)


def _stderr() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False)


@contextmanager
def _warnings_shown() -> "Iterator[list[str]]":
    """Show each warning as a note on stderr, without the line of code; the list holds what was shown."""
    shown: list[str] = []

    def show(message: Warning | str, *_: object, **__: object) -> None:
        shown.append(str(message))
        _complain(f"Note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield shown


def _complain(text: str) -> None:
    from magnet_arrow._text import for_terminal

    print("\n".join(map(for_terminal, text.split("\n"))), file=sys.stderr)
