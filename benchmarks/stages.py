"""Where the time of an ingest goes, stage by stage.

    python benchmarks/stages.py large          # of mmlu without a name
    python benchmarks/stages.py mmlu --four    # of the four files of each run alone

Processor time of later calls in one process on one core, in milliseconds an ingest. A stage is a function of ours that
is timed whenever it is called; `intern` is a part of the stage above it, the other lines do not overlap.
"""

import functools
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dumps import complete, dump, work_folder
from harness import arguments, header, report

from magnet_arrow.ingestion import api, batch_reader, execution
from magnet_arrow.records import stat_builders, table_builder, table_builders
from magnet_arrow.records.interner import Interner
from magnet_arrow.storage import transaction
from magnet_arrow.storage.segments.writer import TableWriter

WARM_UP, CALLS = 2, 5


def _table(builder: Any) -> str:
    return str(builder.table.name)


STAGES: tuple[tuple[type, str, str, Callable[[Any], str]], ...] = (
    (batch_reader.BatchReader, "read", "read short runs", lambda _: ""),
    (table_builders.ObjectBuilder, "_read_files", "decode", _table),
    (table_builders.ElementBuilder, "_read_fast", "decode", _table),
    (table_builders.StateBuilder, "_read_fast", "decode", _table),
    (table_builders.StateBuilder, "_read_files", "decode", _table),
    (stat_builders.RecurringBuilder, "_read_fast", "decode", _table),
    (stat_builders.InstanceStatsBuilder, "_read_fast", "decode", _table),
    (Interner, "intern", "  of it: intern what is new", lambda interner: interner.prefix),
    (table_builder.TableBuilder, "flush", "columns", _table),
    (TableWriter, "_write_held", "write", _table),
    (execution.Ingestion, "plan", "plan", lambda _: ""),
)


def timed(spent: Counter[str], function: Callable[..., Any], name: Callable[[Any], str]) -> Callable[..., Any]:
    """The same function, which adds what it takes to what was spent."""

    @functools.wraps(function)
    def run(first: Any, *rest: Any, **options: Any) -> Any:
        begin = time.process_time_ns()
        try:
            return function(first, *rest, **options)
        finally:
            spent[name(first)] += time.process_time_ns() - begin

    return run


def measure(outputs: Path, work: Path) -> dict[str, float]:
    """Milliseconds an ingest by stage, the longest first."""
    spent: Counter[str] = Counter()
    for owner, function, stage, name in STAGES:
        label = functools.partial(lambda stage, name, first: f"{stage} {name(first)}".rstrip(), stage, name)
        setattr(owner, function, timed(spent, vars(owner)[function], label))
    transaction.commit_transaction = timed(spent, transaction.commit_transaction, lambda _: "commit")
    for call in range(WARM_UP + CALLS):
        if call == WARM_UP:
            spent.clear()
        cache = Path(tempfile.mkdtemp(prefix="cache-", dir=work))
        begin = time.process_time_ns()
        api.ingest(outputs, cache, workers=1)
        spent["in all"] += time.process_time_ns() - begin
        shutil.rmtree(cache)
    return {stage: round(ns / CALLS / 1e6, 1) for stage, ns in spent.most_common()}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("dump", nargs="?", default="mmlu", help="a name, a size or a path")
    parser.add_argument("--four", action="store_true", help="only the four files of each run")
    args = parser.parse_args()
    head = header()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    with work_folder(args.work) as work:
        outputs = (None if args.four else complete(args.dump, work)) or dump(args.dump, work)
        if outputs is None:
            raise SystemExit(f"{args.dump} is not here.")
        report(__file__, head, [], write_json=args.json, more=measure(outputs, work))


if __name__ == "__main__":
    main()
