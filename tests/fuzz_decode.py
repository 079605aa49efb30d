"""Mutates real files of runs and ingests them: `python tests/fuzz_decode.py --seconds 600 --seed 1 [DUMP…]`.

Whatever becomes of a file, the outcome must be a value that comes back as Python's `json` reads it, or one of our
rejections. Another exception, a crash, a hang, or a value that is not the file's is a failure; a failing mutant is
made again from the seed and its number. Mutants are ingested in batches, by a child process that may die.
"""

import argparse
import json
import random
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sameness import differences

from magnet_arrow.cache import Cache
from magnet_arrow.errors import Rejected
from magnet_arrow.helm.layout import RUN_FILES, find_runs
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.restore.run_files import restore
from magnet_arrow.sources import demo
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

BATCH = 25
BATCH_SECONDS = 60
ELEMENTS = 3
KINDS = ("an array", "an object", "a string", "an array 'request_states'")
"""What a rejection may miss in a file that is JSON."""

Parts = dict[str, bytes]


def run_parts(outputs: Iterable[Path]) -> list[Parts]:
    """The four files of real runs, arrays cut to their first elements, each in HELM's layout and without blanks."""
    found = []
    for folder in outputs:
        for place in find_runs(folder).places:
            if any(not (place.path / name).is_file() for name in RUN_FILES):
                continue
            files = {name: short(json.loads((place.path / name).read_bytes())) for name in RUN_FILES}
            found.append({name: json.dumps(value, indent=2).encode() for name, value in files.items()})
            found.append({name: json.dumps(value).encode() for name, value in files.items()})
    return found


def short(value: Any) -> Any:
    if isinstance(value, list):
        return value[:ELEMENTS]
    if "request_states" in value:
        return value | {"request_states": value["request_states"][:ELEMENTS]}
    return value


Mutation = Callable[[random.Random, bytes, bytes], bytes]
"""Takes a file's bytes, and another's to take parts of."""

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null|[\[\]{},:]')
JSON_VALUES = [
    *(b"null", b"true", b"0", b"-0.0", b"1", b"1.0", b"1e400", b"NaN", b"-Infinity", b"0.1e-7", b"9007199254740993"),
    *(b"12345678901234567890", b"-9223372036854775809", b'""', b'"1"', b'"\\ud83d"', b'"\\u0000"', b'"a\\"\\\\b"'),
    *(b"{}", b"[]", b"[[]]", b'{"": {}}', b'{"a": null}', b'{"a": 1, "a": 2}', b'{"text": "x"}', b'[1, 2.5, "x"]'),
    '"é中\U0001f600"'.encode(),
]
VALUES = [*JSON_VALUES, b"1" * 4400, b"01", b"+1", b"'x'", b"nan", b'"\t"', b'"\\x"', b'"\xff"']
BYTES = [*(bytes([value]) for value in range(256)), b"\xef\xbb\xbf", b"\\u", b'":', b"\n  },\n  {", b"\r\n", b"\n  ]"]


def flip(rng: random.Random, data: bytes, _: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def insert(rng: random.Random, data: bytes, _: bytes) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + rng.choice(BYTES) + data[place:]


def cut(rng: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def remove(rng: random.Random, data: bytes, _: bytes) -> bytes:
    begin, end = span(rng, data)
    return data[:begin] + data[end:]


def repeat(rng: random.Random, data: bytes, _: bytes) -> bytes:
    begin, end = span(rng, data)
    return data[:end] + data[begin:end] * rng.choice((1, 1, 3)) + data[end:]


def splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    begin, end = span(rng, data)
    first, last = span(rng, other)
    return data[:begin] + other[first:last] + data[end:]


def swap_tokens(rng: random.Random, data: bytes, _: bytes) -> bytes:
    first, second = sorted(rng.sample(tokens(data), 2))
    return (
        data[: first[0]] + data[slice(*second)] + data[first[1] : second[0]] + data[slice(*first)] + data[second[1] :]
    )


def swap_type(rng: random.Random, data: bytes, _: bytes) -> bytes:
    """A token becomes another value."""
    begin, end = rng.choice(tokens(data))
    return data[:begin] + rng.choice(VALUES) + data[end:]


def swap_value(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A whole value becomes another file's, or one that is made: the file stays JSON."""
    value, source = json.loads(data), json.loads(other)
    for _ in range(rng.choice((1, 1, 3))):
        holder, key = rng.choice(list(holders(value)) or [([value], 0)])
        others = [found[at] for found, at in holders(source)]
        holder[key] = "@" if not others or rng.random() < 0.6 else rng.choice(others)
    indent = rng.choice((None, 2, 2))
    text = json.dumps(value, indent=indent).encode()
    return re.sub(rb'"@"', lambda _: rng.choice(JSON_VALUES), text)


def add_key(rng: random.Random, data: bytes, _: bytes) -> bytes:
    """An object has a key more, or one twice."""
    braces = [match.end() for match in re.finditer(rb"\{(?=\s*\")", data)] or [0]
    place = rng.choice(braces)
    odd = (b'"a.b"', b'""', b'"~1/~0"', b'"\\ud83d"', b'"~text"')
    keys = [*re.findall(rb'"[^"\\]*"(?=:)', data), *odd]
    return data[:place] + rng.choice(keys) + b": " + rng.choice(VALUES) + b", " + data[place:]


def nest(rng: random.Random, data: bytes, _: bytes) -> bytes:
    begin, end = rng.choice(tokens(data))
    levels = rng.choice((5, 300, 470, 495, 500, 505, 950, 1500, 50_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"b": ', b"}]")))
    return data[:begin] + opening * levels + data[begin:end] + closing * levels + data[end:]


def two(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """One mutation after another."""
    for _ in range(rng.randrange(2, 5)):
        data = rng.choice(MUTATIONS[:-1])(rng, data, other) if len(data) > 2 and len(tokens(data)) > 2 else data
    return data


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, insert, cut, remove, repeat, splice, swap_tokens, swap_type, add_key, nest),
    two,
)
VALID_MUTATIONS: tuple[Mutation, ...] = (swap_value,)


def span(rng: random.Random, data: bytes) -> tuple[int, int]:
    """A chunk of bytes, or from one token to another."""
    found = tokens(data)
    if rng.random() < 0.5 and len(found) > 1:
        place = rng.randrange(len(found))
        last = min(len(found) - 1, place + rng.choice((0, 1, 3, 20, 200)))
        return found[place][0], found[last][1]
    begin = rng.randrange(len(data))
    return begin, min(len(data), begin + rng.choice((1, 2, 5, 50, 500)))


def tokens(data: bytes) -> list[tuple[int, int]]:
    return [match.span() for match in TOKEN.finditer(data)] or [(0, len(data))]


def holders(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every object or list with each of its keys or indices."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from holders(inner)


@dataclass(frozen=True)
class Mutant:
    """A run of which one file is mutated.

    Attributes:
        number: with the seed, all that it takes to make it again.
        file: which file.
        data: its bytes.
        parts: the run's files before.
        how: the mutation's name.
    """

    number: int
    file: str
    data: bytes
    parts: Parts
    how: str

    @property
    def folder(self) -> str:
        return f"mutant:n={self.number}"


def make_mutant(seeds: Sequence[Parts], seed: int, number: int) -> Mutant:
    rng = random.Random(f"{seed}-{number}")
    parts, others = rng.choice(seeds), rng.choice(seeds)
    file, other = rng.choice(RUN_FILES), rng.choice(RUN_FILES)
    mutation = rng.choice(MUTATIONS + VALID_MUTATIONS * 3)
    return Mutant(number, file, mutation(rng, parts[file], others[other]), parts, mutation.__name__)


@dataclass
class Outcomes:
    """How often what came of mutants.

    Attributes:
        counts: by outcome.
        failures: those that may not be, told.
    """

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def fail(self, mutant: Mutant, what: str, told: str) -> None:
        self.counts[f"FAILURE: {what}"] += 1
        self.failures.append(f"mutant {mutant.number} ({mutant.how} of {mutant.file}): {what}: {told[:500]}")

    def add(self, other: "Outcomes") -> None:
        self.counts.update(other.counts)
        self.failures += other.failures


def outcomes_of(mutants: Sequence[Mutant], folder: Path, *, partial: bool = False) -> Outcomes:
    """Ingests a run of each mutant, all at once, and looks at what came of each."""
    shutil.rmtree(folder, ignore_errors=True)
    for mutant in mutants:
        path = folder / "outputs" / "runs" / "fuzz" / mutant.folder
        path.mkdir(parents=True)
        for name, data in {**mutant.parts, mutant.file: mutant.data}.items():
            (path / name).write_bytes(data)
    found = Outcomes()
    try:
        report = ingest(folder / "outputs", folder / "cache", partial=partial)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of Polars is no Exception
        if len(mutants) > 1:
            for mutant in mutants:
                found.add(outcomes_of([mutant], folder, partial=partial))
        else:
            found.fail(mutants[0], "another exception", repr(error))
        return found
    rejected = {each.run.removeprefix("fuzz/"): each for each in report.rejected}
    snapshot = Cache(folder / "cache").snapshot()
    for place in find_runs(folder / "outputs").places:
        mutant = next(mutant for mutant in mutants if mutant.folder == place.folder)
        run = snapshot.lookup(place)
        if place.folder in rejected:
            judge_rejection(mutant, rejected[place.folder], found)
        elif run is None:
            found.fail(mutant, "neither taken nor rejected", "")
        else:
            judge_value(mutant, snapshot, run, folder / "restored", found)
    return found


def parsed(data: bytes) -> Any:
    """What Python's `json` reads; the error if it refuses."""
    try:
        return json.loads(data.decode("utf-8").removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        return error


def judge_rejection(mutant: Mutant, reason: Rejected, found: Outcomes) -> None:
    if reason.file != mutant.file:
        found.fail(mutant, "another file is named", str(reason))
    elif "levels" in str(reason.expected) and levels(mutant.data) > 400:
        found.counts["rejected: nested too deeply"] += 1
    elif isinstance(parsed(mutant.data), Exception):
        found.counts["rejected: no JSON"] += 1
    elif reason.expected in KINDS:
        found.counts["rejected: JSON of another kind"] += 1
    else:
        found.fail(mutant, "JSON refused", str(reason))


def levels(data: bytes) -> int:
    """How deep the brackets go."""
    depth = deepest = 0
    for match in TOKEN.finditer(data):
        depth += (match[0] in b"[{") - (match[0] in b"]}")
        deepest = max(deepest, depth)
    return deepest


def judge_value(mutant: Mutant, snapshot: Snapshot, run: CachedRun, folder: Path, found: Outcomes) -> None:
    """Whether what was taken of the mutated file is what it says."""
    said = parsed(mutant.data)
    try:
        restored = restore(snapshot, run, folder)
        path = restored / mutant.file
        if mutant.file in run.entry.missing:
            same = not path.exists() or path.read_bytes() == mutant.data
            told = [] if same else ["what was kept as text is another"]
            outcome = "partial: the file is kept as text, or not at all"
        elif mutant.file in run.entry.cut:
            told = differing_start(mutant.data, json.loads(path.read_bytes()))
            outcome = "partial: whole elements of a file that ends early"
        elif isinstance(said, Exception):
            found.fail(mutant, "taken though it is no JSON", repr(said))
            return
        else:
            told = differences(said, json.loads(path.read_bytes()))
            outcome = "value, and the same one when rebuilt"
    except BaseException as error:
        found.fail(mutant, "not rebuilt", f"{type(error).__name__}: {error}")
        return
    if told:
        found.fail(mutant, "another value", "; ".join(told[:3]))
    else:
        found.counts[outcome] += 1


def differing_start(data: bytes, taken: Any) -> list[str]:
    """What differs between the elements taken of a file that ends early and those that `json` reads one by one."""
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if isinstance(taken, dict):
        taken = taken.get("request_states")
        place = re.search(r'"request_states"\s*:\s*\[', text)
        at = place.end() if place else len(text)
    else:
        at = text.index("[") + 1
    read: list[Any] = []
    decoder = json.JSONDecoder()
    for _ in taken:
        at = re.compile(r"[\s,]*").match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
        value, at = decoder.raw_decode(text, at)
        read.append(value)
    return differences(read, taken)


@cache
def seeds_of(folders: tuple[Path, ...]) -> list[Parts]:
    """Seeds out of these dumps, and of the demo."""
    with tempfile.TemporaryDirectory() as folder:
        return run_parts([demo.unpack(Path(folder)), *folders])


def fuzz(seed: int, first: int, count: int, folder: Path, dumps: tuple[Path, ...] = ()) -> Outcomes:
    """Mutants of these numbers; every other batch is ingested with `partial`."""
    found = Outcomes()
    for begin in range(first, first + count, BATCH):
        numbers = range(begin, min(begin + BATCH, first + count))
        mutants = [make_mutant(seeds_of(dumps), seed, number) for number in numbers]
        found.add(outcomes_of(mutants, folder, partial=begin // BATCH % 2 == 1))
    return found


def child(options: argparse.Namespace) -> None:
    """Fuzzes batch by batch, saying what came of each, until it is stopped."""
    with tempfile.TemporaryDirectory() as folder:
        number = options.first
        while True:
            found = fuzz(options.seed, number, options.count, Path(folder) / "batch", tuple(options.dumps))
            print(json.dumps([number, found.counts, found.failures]), flush=True)
            number += options.count


class Child:
    """A process that fuzzes."""

    def __init__(self, options: argparse.Namespace, first: int, count: int) -> None:
        command = [sys.executable, __file__, "--child", "--seed", str(options.seed), "--first", str(first)]
        command += ["--count", str(count), *map(str, options.dumps)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def batch(self) -> Outcomes | str:
        """What came of the next batch, or how the process ended."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], BATCH_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if line:
            _, counts, failures = json.loads(line)
            return Outcomes(Counter(counts), failures)
        self.end()
        return f"crash (exit code {self._process.returncode})" if ready else "hang"

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dumps", nargs="*", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=BATCH)
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    if options.child:
        child(options)
    found = Outcomes()
    end = time.monotonic() + options.seconds
    number = options.first
    process = Child(options, number, BATCH)
    while time.monotonic() < end:
        batch = process.batch()
        if isinstance(batch, str):
            found.add(one_by_one(options, number))
            process = Child(options, number + BATCH, BATCH)
        else:
            found.add(batch)
        number += BATCH
    process.end()
    print(f"{number - options.first} mutants, seed {options.seed}:")
    for outcome, count in found.counts.most_common():
        print(f"{count:8}  {outcome}")
    print(*found.failures[:50], sep="\n")
    return 1 if found.failures else 0


def one_by_one(options: argparse.Namespace, first: int) -> Outcomes:
    """A batch that ended the process, or did not end: each mutant in a process of its own."""
    found = Outcomes()
    for number in range(first, first + BATCH):
        process = Child(options, number, 1)
        outcome = process.batch()
        process.end()
        if isinstance(outcome, str):
            found.fail(make_mutant(seeds_of(tuple(options.dumps)), options.seed, number), outcome, "")
        else:
            found.add(outcome)
    return found


if __name__ == "__main__":
    sys.exit(main())
