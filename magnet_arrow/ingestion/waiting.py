"""What an ingest of a bucket waits for, by the last seconds."""

import time
from collections import deque

from magnet_arrow.ingestion.rules import WaitsFor

_SECONDS = 5.0
_SAMPLE_S = 0.25
_MOSTLY, _HARDLY = 0.5, 0.1

clock = time.monotonic


class Waiting:
    """Decides by the share of the last seconds in which a reader has waited for copies."""

    def __init__(self) -> None:
        self._before: deque[tuple[float, float]] = deque()

    def waits_for(self, waited_s: float, ahead_bytes: int, *, is_repeating: bool = False) -> WaitsFor:
        """What is waited for: the network, if copies were waited for most of the time; decoding, if copies lie unread.

        Args:
            waited_s: how long copies were waited for, since the beginning.
            ahead_bytes: bytes that were fetched and not read yet.
            is_repeating: most requests have failed and will be repeated.
        """
        now = clock()
        before = self._before
        if not before or now - before[-1][0] >= _SAMPLE_S:
            before.append((now, waited_s))
        while len(before) > 1 and now - before[1][0] >= _SECONDS:
            before.popleft()
        begin, waited_before_s = before[0]
        if now <= begin:
            return ""
        share = (waited_s - waited_before_s) / (now - begin)
        if share >= _MOSTLY:
            return "retries" if is_repeating else "network"
        return "decoding" if share < _HARDLY and ahead_bytes > 0 else ""
