"""What a dump's JSON is like: how long its texts are and how much of it recurs.

    python benchmarks/figures.py DUMP

Of a file only the first 64 MB are looked at, so that this works on dumps of any size.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import IO, Any

_HEAD_BYTES = 64 << 20
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one dump; a share is that of the distinct ones."""

    runs: int
    states: int
    bytes_a_state: float
    prompt_length: float
    input_length: float
    tokens_a_state: float
    distinct_instances: float
    stats_an_entry: float
    distinct_instance_stats: float
    stats_a_run: float
    distinct_stats: float


REAL = {
    "mmlu": Figures(283, 5660, 5097, 2650, 205, 1.09, 0.201, 27.0, 0.045, 159, 0.105),
    "mmlu_made": Figures(100, 4000, 3340, 1289, 96, 1.0, 0.2, 27.0, 0.112, 89, 0.317),
    "classic": Figures(14, 2198, 3732, 1284, 113, 2.49, 0.5, 26.6, 0.128, 449, 0.512),
    "large": Figures(1, 4900, 7027, 3082, 485, 15.3, 1.0, 27.0, 0.114, 89, 1.0),
}
"""The dumps that were measured, as this script sees them."""


def elements(path: Path, opening: str) -> Iterator[tuple[Any, int]]:
    """The elements of the array after `opening`, as far as the head of the file holds them, and the bytes of each."""
    with path.open("rb") as file:
        text = file.read(_HEAD_BYTES).decode("ascii")
    place = text.index("[", text.index(opening)) + 1
    while True:
        while place < len(text) and text[place] in " \n\r\t,":
            place += 1
        if place >= len(text) or text[place] == "]":
            return
        try:
            value, end = _DECODER.raw_decode(text, place)
        except json.JSONDecodeError:
            return
        yield value, end - place
        place = end


def measure(outputs: Path) -> Figures:
    """The figures of all runs below a folder."""
    sizes: list[int] = []
    prompts, inputs, tokens = [], [], []
    instances: set[str] = set()
    instance_stats: set[str] = set()
    stats: set[str] = set()
    entries = n_instance_stats = n_stats = 0
    folders = [path.parent for path in sorted(outputs.rglob("run_spec.json"))]
    for folder in folders:
        for state, size in elements(folder / "scenario_state.json", '"request_states"'):
            sizes.append(size)
            prompts.append(len(state["request"]["prompt"]))
            inputs.append(len(state["instance"]["input"]["text"]))
            tokens.append(sum(len(one["tokens"]) for one in state["result"]["completions"]))
            instances.add(json.dumps(state["instance"]))
        for entry, _ in elements(folder / "per_instance_stats.json", "["):
            entries += 1
            n_instance_stats += len(entry["stats"])
            instance_stats.update(map(json.dumps, entry["stats"]))
        for stat, _ in elements(folder / "stats.json", "["):
            n_stats += 1
            stats.add(json.dumps(stat))
    return Figures(
        len(folders),
        len(sizes),
        fmean(sizes),
        fmean(prompts),
        fmean(inputs),
        fmean(tokens),
        len(instances) / len(sizes),
        n_instance_stats / entries,
        len(instance_stats) / n_instance_stats,
        n_stats / len(folders),
        len(stats) / n_stats,
    )


def print_figures(outputs: Path, file: IO[str] = sys.stdout) -> None:
    """The figures of a dump beside those of the real ones."""
    columns = {"this dump": measure(outputs), **REAL}
    print(f"{'':24}" + "".join(f"{name:>12}" for name in columns), file=file)
    for one in fields(Figures):
        values = [getattr(figures, one.name) for figures in columns.values()]
        print(f"{one.name.replace('_', ' '):24}" + "".join(f"{value:12,.4g}" for value in values), file=file)


def main() -> None:
    """Print the figures of the dump that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump", type=Path, help="folder of a dump")
    print_figures(parser.parse_args().dump)


if __name__ == "__main__":
    main()
