"""Reading of much, such as terabytes of a bucket: on a terminal a question comes first, with the bill."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from magnet_arrow.cli.printing import complain
from magnet_arrow.cli.questions import agrees, is_somebody_there

if TYPE_CHECKING:
    from magnet_arrow.cache import Cache
    from magnet_arrow.cli.load_predictor import AnyPredictor
    from magnet_arrow.helm.layout import Source
    from magnet_arrow.ingestion.api import IngestReport, PreparedIngest
    from magnet_arrow.ingestion.rules import Rules
    from magnet_arrow.outputs import HelmRuns

ASKED_BYTES = 1_000_000_000
"""What is larger is asked for, where somebody can answer."""


def run_ingest(sources: "Sequence[Source]", store: "Cache", *, partial: bool = False) -> "IngestReport":
    """Ingest what the cache lacks for samples; on a terminal, a large ingest is asked for first."""
    from magnet_arrow.ingestion.api import prepare
    from magnet_arrow.ingestion.parallel.settings import WorkerSettings

    planned = prepare(sources, store, rules=_rules_of_samples(partial=partial))
    ask_for(planned)
    return planned.execute(WorkerSettings())


def _rules_of_samples(*, partial: bool) -> "Rules":
    """The rules by which frames of samples are ingested."""
    from magnet_arrow.ingestion.rules import Rules
    from magnet_arrow.runs.summaries import OF_SAMPLES

    return Rules(partial=partial, tables=OF_SAMPLES, all_of_new=True)


def ask_for(planned: "PreparedIngest") -> None:
    """On a terminal, show the bill of a large ingest and ask; ends the command if the answer is no."""
    from magnet_arrow.cli.bill import bill_text

    # The bill itself takes a while to make for thousands of runs.
    if not is_somebody_there() or planned.size_bytes <= ASKED_BYTES:
        return
    bill = planned.bill()
    if bill.n_bytes > ASKED_BYTES:
        complain(bill_text(bill))
        _ask(bill.n_bytes)


def _ask(size_bytes: int) -> None:
    from magnet_arrow._text import as_size

    if not agrees(f"Read {as_size(size_bytes)}?"):
        complain("Nothing was read.")
        raise typer.Exit


def ask_before_frames(sources: Sequence[str], store: "Cache", *, partial: bool = False) -> None:
    """Ask before frames of runs in a bucket are made whose ingest is large."""
    if is_somebody_there() and any(map(_is_url, sources)):
        from magnet_arrow.ingestion.api import prepare

        ask_for(prepare(sources, store, rules=_rules_of_samples(partial=partial), writes=False))


def ask_before_draw(predictor: "AnyPredictor", runs: "HelmRuns") -> None:
    """Ask before what a predictor draws from runs in a bucket is read, if that is much."""
    from magnet_arrow.sources import filesystem

    if not (is_somebody_there() and any(filesystem.is_remote(place.path) for place in runs.places)):
        return
    import random

    from magnet_arrow.data_splits import draw_runs
    from magnet_arrow.ingestion.api import prepare
    from magnet_arrow.ingestion.rules import Selection

    if not (predictor.include_partial or predictor.skip_unreadable):  # these read all runs
        train, held_out = draw_runs(len(runs), predictor.num_example_runs, random.Random(predictor.random_seed))
        runs = runs.take([*train, held_out])
    rules = _rules_of_samples(partial=predictor.include_partial)
    ask_for(prepare(runs, runs.cache, Selection(retry=True), rules=rules, writes=False))


def ask_before_all(sources: Sequence[str]) -> None:
    """Ask before all files of runs in a bucket are read, if they are large, whatever a cache has of them."""
    if not (is_somebody_there() and any(map(_is_url, sources))):
        return
    from magnet_arrow.helm.layout import find_all
    from magnet_arrow.ingestion.run_reader import stamps_of

    size_bytes = sum(stamp.size_bytes for place in find_all(sources).places for stamp in stamps_of(place))
    if size_bytes > ASKED_BYTES:
        _ask(size_bytes)


def _is_url(path: str) -> bool:
    from magnet_arrow.helm.no_source import url_of
    from magnet_arrow.helm.public_bucket import public_runs

    return public_runs(path) is not None or url_of(path) is not None
