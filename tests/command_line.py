"""What a command ends with, for tests of the command line."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


def rows(ended: Ended) -> list[dict[str, object]]:
    return [json.loads(line) for line in ended.out.splitlines()]


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each command of a group of typer's with the words that call it, the groups included."""
    yield before, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{before} {name}".strip())
