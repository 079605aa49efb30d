from pathlib import Path

import pytest
from command_line import Run, rows


@pytest.mark.parametrize("args", [["ls"], ["head", "stats"]], ids=" ".join)
def test_an_empty_cache_is_2_and_says_how_to_fill_it(run: Run, args: list[str]) -> None:
    ended = run(*args)
    assert ended.code == 2
    assert "magnet-arrow ingest" in ended.err


def test_the_cache_is_where_it_is_told(run: Run, outputs: Path, tmp_path: Path, cache_dir: Path) -> None:
    assert run("cache", "path").out == f"{cache_dir}\n"
    other = tmp_path / "other"
    assert run("cache", "path", "--cache", other).out == f"{other}\n"
    run("ingest", outputs, "--cache", other)
    assert not cache_dir.exists()
    (info,) = rows(run("cache", "info", "--cache", other, "--json"))
    assert (info["source"], info["runs"], info["stats"]) == (str(outputs.resolve()), 3, 6)


@pytest.mark.parametrize("command", ["check", "compact", "rejects"])
def test_a_cache_that_was_named_must_be_there(command: str, run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    ended = run(command, "--cache", missing)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"There is no cache in {missing}.\n"
    assert not missing.exists()
    assert run("cache", "info", "--cache", missing).code == 2
