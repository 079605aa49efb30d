"""A short round of the fuzzer, the same each time; `python tests/fuzz_decode.py --seconds 600` is the long one."""

import json
from pathlib import Path

import fuzz_decode
import pytest
from fuzz_decode import BATCH, Mutant, fuzz, make_mutant, outcomes_of, seeds_of

SEED = 17


@pytest.mark.slow
def test_what_becomes_of_mutated_files(tmp_path: Path) -> None:
    """Each is a value that comes back, or a rejection; some hundred of them, with and without `partial`."""
    found = fuzz(SEED, 0, 4 * BATCH, tmp_path / "fuzz")
    assert found.failures == []
    assert found.counts.total() == 4 * BATCH
    assert all(found.counts[outcome] > 5 for outcome in ("rejected: no JSON", "value, and the same one when rebuilt"))


def test_a_mutant_is_made_again_from_its_number() -> None:
    first, again, another = (make_mutant(seeds_of(()), SEED, number) for number in (3, 3, 4))
    assert first == again
    assert first.data != another.data


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'[{"count": 1, "mean": 0.5}]', "another value"),
        (b'[{"count": 2, "mean": 0.5}', "taken though it is no JSON"),
    ],
)
def test_the_fuzzer_sees_what_may_not_be(
    data: bytes, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged by other bytes than those that were ingested."""
    parts = seeds_of(())[0]
    honest = Mutant(0, "stats.json", b'[{"count": 2, "mean": 0.5}]', parts, "none")
    assert outcomes_of([honest], tmp_path / "fuzz").failures == []
    said = json.loads(data) if what == "another value" else ValueError("no JSON")
    monkeypatch.setattr(fuzz_decode, "parsed", lambda _: said)
    [failure] = outcomes_of([honest], tmp_path / "fuzz").failures
    assert failure.startswith(f"mutant 0 (none of stats.json): {what}: ")


def test_an_ingest_that_raises_is_told_mutant_by_mutant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutants = [make_mutant(seeds_of(()), SEED, number) for number in range(2)]

    def ingest(outputs: Path, *_: object, **__: object) -> None:
        raise RecursionError(outputs)

    monkeypatch.setattr(fuzz_decode, "ingest", ingest)
    found = outcomes_of(mutants, tmp_path / "fuzz")
    assert found.counts == {"FAILURE: another exception": 2}
    assert [failure.split(" (")[0] for failure in found.failures] == ["mutant 0", "mutant 1"]
