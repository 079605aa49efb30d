"""`report`: one page about runs, to be read and sent."""

import contextlib
import itertools
import os
import shlex
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl

from magnet_arrow import __version__
from magnet_arrow._progress import Step, watched
from magnet_arrow._text import counted
from magnet_arrow.errors import MagnetWarning, MissingPackageError
from magnet_arrow.helm.layout import Source
from magnet_arrow.pages import Block, Page, Paragraph, Preformatted, Report, Section, Table, charts
from magnet_arrow.reports import questions
from magnet_arrow.reports.contents import contents, releases_text
from magnet_arrow.reports.dump import Dump, readable
from magnet_arrow.reports.ranking import by_scenario, rankings
from magnet_arrow.reports.usage import usage
from magnet_arrow.runs.helm_runs import HelmRuns
from magnet_arrow.statistics.stats_packages import sklearn

_PACKAGES = ("polars", "pyarrow", "altair", "vl-convert-python", "scikit-learn", "scipy")


def report(runs: Source) -> Report:
    """A page about runs: what is in them, how models compare, what it cost, and which questions deserve a look.

    The page is one HTML file, complete in itself. It loads nothing and runs nothing. The same runs, read by the same
    versions, give the same bytes. What can't be said of these runs, such as a ranking of a single model, is explained
    in its section. Runs that cannot be read are listed with the reason. It needs `magnet-arrow[report,stats]`.

    Args:
        runs: runs, suites, an outputs folder, or a path of these. New and changed runs are ingested first.

    Raises:
        BadFileError: the runs are strict, and one cannot be read.
        MissingPackageError: Altair, vl-convert, SciPy or scikit-learn is not installed.

    >>> report("benchmark_output").save("report.html")  # doctest: +SKIP
    """
    return report_of(HelmRuns.coerce(runs), os.fspath(runs) if isinstance(runs, str | os.PathLike) else None)


def report_of(runs: HelmRuns, path: str | None) -> Report:
    """See `report`.

    Args:
        runs: the runs.
        path: how the user named them; None if with an object.
    """
    require_packages()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MagnetWarning)  # the page says what they say
        selected = readable(runs)  # an ingest shows its own progress
        with _steps_shown(runs) as tell:
            dump = Dump.of(runs, selected, tell)
            sections = list(_sections(dump, path, tell))
            return Report(Page(_title(dump), _subtitle(dump), sections, _footer(dump)).html())


_N_STEPS = 5


@contextlib.contextmanager
def _steps_shown(runs: HelmRuns) -> Iterator[Callable[[str], None]]:
    """Within the context, the function shows what is being done, where somebody watches."""
    done = itertools.count()

    def describe(what: str) -> Step:
        return Step(next(done), _N_STEPS, what, is_even=False)

    with watched(None if runs.progress else False, describe) as report:
        yield report or (lambda _: None)


def require_packages() -> None:
    """Check that all that a report needs is installed.

    Raises:
        MissingPackageError: something is not.
    """
    try:
        charts.require()
        sklearn("svm")  # it needs SciPy
    except MissingPackageError as error:
        error.hint = "pip install 'magnet-arrow[report,stats]'"  # at once, not one after the other
        raise


def _sections(dump: Dump, path: str | None, tell: Callable[[str], None]) -> Iterator[Section]:
    yield contents(dump)
    if dump.cached.keys:
        tell("drawing the ranking")
        yield rankings(dump)
        yield by_scenario(dump)
        yield usage(dump)
        tell("looking for suspicious questions")
        found = questions.Questions.all_of(dump)
        yield questions.audit(found)
        yield questions.disputed(found)
        yield questions.all_wrong(found)
    tell("writing the page")
    yield _repeat(dump, path)


def _title(dump: Dump) -> str:
    """The names of the folders that the runs are in, as far as HELM did not choose them."""
    names = list(dict.fromkeys(_name(place.source) for place in dump.runs.places))
    return f"Report of {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _name(folder: Path) -> str:
    return next((part for part in reversed(folder.parts) if part not in ("benchmark_output", "runs")), "runs")


def _subtitle(dump: Dump) -> str:
    """How much there is, and which HELM wrote it."""
    if not dump.cached.keys:
        return "No run could be read."
    scenarios = dump.scores["scenario"].n_unique()
    variants = f" in {counted(len(dump.labels), 'variant')}" if len(dump.labels) > scenarios else ""
    runs, models = counted(len(dump.cached.keys), "run"), counted(len(dump.models), "model")
    return f"{runs} of {models} on {counted(scenarios, 'scenario')}{variants}, written by HELM {releases_text(dump)}"


def _repeat(dump: Dump, path: str | None) -> Section:
    """How to make this page again."""
    versions = [("magnet-arrow", __version__), *((name, _version(name)) for name in _PACKAGES)]
    frame = pl.DataFrame(versions, schema=["package", "version"], orient="row")
    blocks = [*_lines(dump, path), Table(frame, "Versions"), Paragraph(_dates(dump))]
    return Section("How to repeat this", blocks)


def _lines(dump: Dump, path: str | None) -> Iterator[Block]:
    """The command, and the lines of Python."""
    partial = dump.runs.partial
    if path is None:
        folders = sorted({str(place.source) for place in dump.runs.places})
        named = repr(folders[0] if len(folders) == 1 else folders)
        yield Paragraph("The runs were chosen in Python. These lines report all runs of the folders that they are in.")
    else:
        named = repr(path)
        yield Preformatted(f"magnet-arrow report {shlex.quote(path)}{' --partial' if partial else ''}")
    runs = f"magnet_arrow.HelmRuns({named}{', partial=True' if partial else ''})"
    yield Preformatted(f"import magnet_arrow\n\nmagnet_arrow.report({runs}).save('report.html')")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _dates(dump: Dump) -> str:
    """When the files of the runs were last changed. When the page was made is not in it: it is the same each time."""
    times = [stamp.mtime_ns for run in dump.cached_runs for stamp in run.fingerprint]
    if not times:
        return "No run could be read."
    first, last = (datetime.fromtimestamp(time / 1e9, UTC).date().isoformat() for time in (min(times), max(times)))
    when = f"on {last}" if first == last else f"from {first} to {last}"
    return f"The files of the runs were last changed {when} (UTC)."


def _footer(dump: Dump) -> str:
    return f"Made by magnet-arrow {__version__}. {_dates(dump)}"
