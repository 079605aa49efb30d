"""Long runs that two workers take: what each brings is kept until the other is back too."""

from collections import Counter
from pathlib import Path

import msgspec

from magnet_arrow.decode.anomalies import add_places
from magnet_arrow.ingestion.parallel import task
from magnet_arrow.ingestion.parallel.task import Order, Outcome
from magnet_arrow.storage.maintenance import vacuum
from magnet_arrow.storage.maintenance.join import join

Pair = tuple[tuple[Order, Outcome], tuple[Order, Outcome]]


class Parts:
    """Orders for parts of runs that have come back before the others."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._back: dict[str, tuple[Order, Outcome]] = {}

    def add(self, order: Order, outcome: Outcome) -> tuple[list[Order], Outcome] | None:
        """An order for a part has come back: None if the other has not, else both and what became of the run.

        A part that could not be taken makes the other useless: the run is rejected if a worker died of it, and else
        left to be taken as a whole.

        Raises:
            CacheNotWritableError: the disk refused.
        """
        before = self._back.pop(order.runs[0].key, None)
        if before is None:
            self._back[order.runs[0].key] = (order, outcome)
            return None
        pair = before, (order, outcome)
        outcomes = {part.is_rest: brought for part, brought in pair}
        joined = self._joined(outcomes[True], outcomes[False])
        if joined is None:
            for part, _ in pair:
                vacuum.discard(self._cache, part.name)
            joined = _not_taken(pair)
        return [part for part, _ in pair], joined

    def _joined(self, rest: Outcome, one: Outcome) -> Outcome | None:
        """The run, as who took the rest of it has it, with the one file; None if it is to be taken as a whole."""
        if rest.segment is None or one.segment is None:
            return None
        found = join(self._cache, rest.segment, one.segment)
        if found is None:
            return None
        segment, entry = found
        odd = Counter(rest.unexpected)
        add_places(odd, one.unexpected)
        return msgspec.structs.replace(
            rest,
            segment=segment,
            partial=int(entry.is_partial),
            lacking=entry.lacking,
            rows=dict(Counter(rest.rows) + Counter(one.rows)),
            unexpected=odd,
            notes=tuple(sorted(one.notes + rest.notes)),
        )


def _not_taken(pair: Pair) -> Outcome:
    rejected = tuple(run for _, outcome in pair for run in outcome.rejected)[:1]
    return Outcome(rejected=rejected, left=() if rejected else (task.whole(pair[0][0].runs[0]),))
