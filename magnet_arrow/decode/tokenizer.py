"""JSON token by token, without building any value: where the items of an array or the members of an object are."""

import re
from collections.abc import Iterator

END_OF_FILE = "the end of the file"
"""What a message says was found, if a file ends early."""
TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[\[\]{},]', re.DOTALL)
"""A string (its group is empty if the end is missing), a bracket or a comma."""
OPENERS = {0x5B: 0x5D, 0x7B: 0x7D}
"""The closing bracket of each opening one."""
_NEXT = re.compile(rb"[^ \t\r\n]")


class BrokenError(Exception):
    """What was scanned is no JSON.

    Attributes:
        at: where in the buffer.
        expected: what should be there.
        found: what is there.
        closed: whether the document ended, and something follows it.
    """

    def __init__(self, at: int, expected: str, found: str, *, closed: bool = False) -> None:
        super().__init__(found)
        self.at, self.expected, self.found, self.closed = at, expected, found, closed


class Scanner:
    """Finds the items of the array, or the members of the object, which begins at `begin`."""

    def __init__(self, buffer: bytearray, begin: int, end: int) -> None:
        self._buffer, self._begin, self._end = buffer, begin, end

    def elements(self) -> Iterator[tuple[int, int]]:
        """Begin and end of each, with the blanks before and after it.

        Raises:
            BrokenError: the brackets don't match, an item is missing, or the buffer ends within one.
        """
        buffer, end = self._buffer, self._end
        closers: list[int] = []
        start = self._begin + 1
        some = False
        for match in TOKEN.finditer(buffer, self._begin, end):
            token = buffer[match.start()]
            if token == 0x22:
                if not match.group(1):
                    raise BrokenError(end, "the end of a string", END_OF_FILE)
            elif token in OPENERS:
                closers.append(OPENERS[token])
            elif token == 0x2C:
                if len(closers) == 1:
                    self._require(start, match.start())
                    yield start, match.start()
                    start, some = match.end(), True
            else:
                if not closers or closers.pop() != token:
                    raise BrokenError(match.start(), "matching brackets", repr(chr(token)))
                if not closers:
                    if some or skip_space(buffer, start, match.start()) < match.start():
                        self._require(start, match.start())
                        yield start, match.start()
                    rest = skip_space(buffer, match.end(), end)
                    if rest < end:
                        found = sample(buffer, rest, end) + " after it"
                        raise BrokenError(rest, "the end of the file after the document", found, closed=True)
                    return
        raise BrokenError(end, f"{chr(closers[-1])!r}" if closers else "a value", END_OF_FILE)

    def _require(self, start: int, stop: int) -> None:
        """Require that something other than blanks is there."""
        if skip_space(self._buffer, start, stop) == stop:
            raise BrokenError(stop, "a value", repr(chr(self._buffer[stop])))


def after_key(buffer: bytearray, begin: int, end: int) -> int:
    """Where the colon of a member is; -1 if it doesn't begin with a string and a colon."""
    match = TOKEN.match(buffer, skip_space(buffer, begin, end), end)
    if match is None or buffer[match.start()] != 0x22:
        return -1
    colon = skip_space(buffer, match.end(), end)
    return colon if colon < end and buffer[colon] == 0x3A else -1


def skip_space(buffer: bytearray, begin: int, end: int) -> int:
    """Where the first character other than blanks is; `end` if there is none."""
    match = _NEXT.search(buffer, begin, end)
    return match.start() if match else end


def sample(buffer: bytearray, begin: int, end: int, max_bytes: int = 24) -> str:
    """The first bytes of a part of the buffer, for a message."""
    text = bytes(buffer[begin : min(end, begin + max_bytes)]).decode("utf-8", "backslashreplace")
    return repr(text) + ("…" if end - begin > max_bytes else "")
