"""Completion: what bash and zsh are answered, and the scripts that ask."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from command_line import Run, commands
from makedump import make_run, write_runs
from typer.main import get_command

from magnet_arrow.cache import Cache
from magnet_arrow.cli import candidates, completion
from magnet_arrow.cli.app import application
from magnet_arrow.evaluation.harness import folds
from magnet_arrow.evaluation.predictor_ranking import checked_factors
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.predictions.levels import LEVELS
from magnet_arrow.predictions.panel_of_samples import Repeats
from magnet_arrow.runs.helm_runs import HelmRuns
from magnet_arrow.schema.registry import TABLES

BREAKS = " \t\n\"'><=;|&(:"
ODD = "few:shots=[1],by='x' \"y\",cost=$2"


@pytest.fixture
def bash(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What bash is answered for a line up to the cursor."""

    def bash(line: str) -> list[str]:
        monkeypatch.setenv("_MAGNET_ARROW_COMPLETE", "bash")
        monkeypatch.setenv("_MAGNET_ARROW_LINE", line)
        monkeypatch.setenv("_MAGNET_ARROW_BREAKS", BREAKS)
        ended = run()
        assert (ended.code, ended.err) == (0, "")
        return ended.out.splitlines()

    return bash


@pytest.fixture
def zsh(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What zsh is answered for words, the last of which is incomplete."""

    def zsh(*words: str) -> list[str]:
        monkeypatch.setenv("_MAGNET_ARROW_COMPLETE", "zsh")
        ended = run(*words)
        assert (ended.code, ended.err) == (0, "")
        return ended.out.splitlines()

    return zsh


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """An outputs folder with three runs, all cached; one has a column of its own."""
    runs = [make_run("mmlu:subject=abstract algebra", args={"subject": "a"}), make_run("mmlu:subject=anatomy")]
    write_runs(tmp_path / "outputs", [*runs, make_run(ODD)])
    ingest(tmp_path / "outputs")
    return tmp_path / "outputs"


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        pytest.param("magnet-arrow ver", ["verify "], id="command"),
        pytest.param("magnet-arrow cache i", ["info "], id="command-of-a-group"),
        pytest.param("magnet-arrow ls --ca", ["--cache "], id="option"),
        pytest.param("magnet-arrow head per", ["per_instance_stats "], id="table"),
        pytest.param("magnet-arrow evaluate x --level o", ["outputs ", "outcomes "], id="choice"),
        pytest.param("magnet-arrow evaluate x --level=pl", ["plan "], id="choice-after-an-equals-sign"),
        pytest.param("magnet-arrow evaluate x --over model,sc", ["model,scenario"], id="list"),
        pytest.param("magnet-arrow head stats --columns stats.me", ["stats.mean"], id="column"),
        pytest.param("magnet-arrow head stats --columns stats.mean,stats.me", [], id="a-column-is-offered-once"),
        pytest.param(
            "magnet-arrow scores x --metric exact_match", ["exact_match ", "exact_match_indicator "], id="metric"
        ),
        pytest.param("magnet-arrow evaluate x --seed ", [], id="a-number-is-not-guessed"),
        pytest.param("magnet-arrow 'ver", ["verify"], id="bash-closes-the-quotes"),
    ],
)
def test_what_bash_is_answered(bash: Run, line: str, replies: list[str]) -> None:
    assert bash(line) == replies


def test_names_of_runs_come_through_bash_as_they_are(bash: Run, cached: Path) -> None:
    replies = {
        "mm": [r"mmlu:subject=abstract\ algebra ", "mmlu:subject=anatomy "],  # begin
        "mmlu:su": [r"subject=abstract\ algebra ", "subject=anatomy "],  # bash breaks at a colon
        "mmlu:subject=ab": [r"abstract\ algebra "],  # and at an equals sign
        r"mmlu\:subject\=ab": [r"mmlu:subject=abstract\ algebra "],  # but not after a backslash
        "'mmlu:subject=ab": ["mmlu:subject=abstract algebra"],  # nor in quotes
        '"mmlu:subject=abstract al': ["mmlu:subject=abstract algebra"],  # nor in double quotes
        r"mmlu:subject=abstract\ al": [r"abstract\ algebra "],  # blank
        "few": [r"few:shots=\[1\],by=\'x\'\ \"y\",cost=\$2 "],  # all kinds of signs
        "'few": [r"""few:shots=[1],by='\''x'\'' "y",cost=$2"""],  # all kinds of signs in quotes
        '"few': [r"""few:shots=[1],by='x' \"y\",cost=\$2"""],  # and in double quotes
        "xyz": [],  # nothing
    }
    assert {typed: bash(f"magnet-arrow restore {typed}") for typed in replies} == replies


def test_paths_of_runs_come_through_bash_as_they_are(bash: Run, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cached)
    monkeypatch.setenv("HOME", str(cached))
    assert bash("magnet-arrow ls ru") == ["runs/"]
    assert bash("magnet-arrow ls ~/ru") == ["~/runs/"]
    assert bash("magnet-arrow verify runs/made/mmlu:subject=ab") == [r"abstract\ algebra/"]
    assert bash("magnet-arrow verify runs/made/few") == [r"runs/made/few:shots=\[1\],by=\'x\'\ \"y\",cost=\$2/"]
    assert bash("magnet-arrow ls nowhere/x") == []


def test_sources_and_runs_of_the_cache_that_is_named(
    bash: Run, cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"{cached} " in bash("magnet-arrow cache remove ")
    assert bash(f"magnet-arrow cache remove --cache {tmp_path / 'empty'} mm") == []
    assert bash("magnet-arrow head stats --run mmlu:subject=an") == ["anatomy "]
    monkeypatch.setattr(candidates, "_MAX_RUNS", 2)
    assert bash("magnet-arrow restore mm") == []


def test_columns_that_were_found_in_the_data_are_offered(bash: Run, cached: Path) -> None:
    begin = "run_spec.scenario_spec.args."
    assert bash(f"magnet-arrow head run_spec --columns run_spec.name,{begin}") == [f"run_spec.name,{begin}subject"]


def test_each_argument_and_option_for_a_path_offers_paths(
    bash: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their names in `--help`; `autocompletion=candidates.some_paths` lets them."""
    (tmp_path / "my.csv").touch()
    monkeypatch.chdir(tmp_path)
    words = ("PATH", "DIR", "FILE", "CSV", "SOURCE")
    for name, command in commands(get_command(application())):
        for parameter in command.params:
            if not any(word in (parameter.metavar or "") for word in words):
                continue
            before = "x:Y " if name == "predict" else ""
            asked = parameter.opts[0] if parameter.opts[0].startswith("-") else before
            assert "my.csv " in bash(f"magnet-arrow {name} {asked} m"), (name, parameter.opts[0])


def test_zsh_gets_whole_words_with_help(zsh: Run, cached: Path) -> None:
    assert zsh("ver") == ["verify \tRebuild every file from the cache, and..."]
    assert zsh("restore", "mmlu:subject=ab") == ["mmlu:subject=abstract algebra "]
    assert zsh("evaluate", "x", "--level=pl") == ["--level=plan "]
    assert zsh("head", "stats", "--columns", "stats.me") == ["stats.mean"]


def test_a_name_that_would_act_on_the_terminal_is_not_offered(bash: Run, tmp_path: Path) -> None:
    write_runs(tmp_path / "outputs", [make_run("evil:\x1b[2J"), make_run("evil:\nx"), make_run("evil:a")])
    ingest(tmp_path / "outputs")
    assert bash("magnet-arrow restore evil") == ["evil:a "]


@pytest.mark.parametrize(
    "line", ["magnet-arrow head p", pytest.param("magnet-arrow head stats --columns stats.m", marks=pytest.mark.slow)]
)
def test_completion_does_without_what_is_slow(line: str) -> None:
    code = (
        "import sys; from magnet_arrow.cli.start import main\n"
        "try: main()\n"
        "finally: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    asked = {"_MAGNET_ARROW_COMPLETE": "bash", "_MAGNET_ARROW_LINE": line}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | asked
    )
    loaded = set(ended.stderr.split())
    assert ended.stdout
    assert not {"polars", "rich", "pandas"} & loaded
    assert ("pyarrow" in loaded) == ("--columns" in line)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_script_for_bash(tmp_path: Path) -> None:
    """In bash itself, which has split the line at the colon."""
    (tmp_path / "mmlu:a b").mkdir()
    lines = [
        completion.script("bash"),
        'magnet() { "$PYTHON" -m magnet_arrow; }',
        "COMP_LINE='magnet-arrow ls mmlu:a and more' COMP_POINT=22",
        '_magnet_arrow magnet a :; printf "<%s>" "${COMPREPLY[@]}"',
    ]
    environ = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True, env=environ, cwd=tmp_path
    )
    assert (done.stdout, done.stderr) == (r"<a\ b/>", "")


def test_the_scripts_are_shown_and_installed_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("ZDOTDIR", raising=False)
    for shell, start_up in (("bash", ".bashrc"), ("zsh", ".zshrc")):
        monkeypatch.setattr(completion, "current_shell", lambda shell=shell: shell)
        (tmp_path / start_up).write_text("alias x=y")
        shown = run("--show-completion")
        assert (shown.code, shown.out) == (0, completion.script(shell))
        for _ in range(2):
            assert run("--install-completion").code == 0
        file = tmp_path / "data" / "magnet_arrow" / f"completion.{shell}"
        assert file.read_text() == shown.out
        assert (tmp_path / start_up).read_text() == f"alias x=y\nsource {file}  # completion of magnet-arrow\n"


def test_another_shell_is_an_error_in_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import shellingham

    monkeypatch.setattr(shellingham, "detect_shell", lambda: ("fish", "/usr/bin/fish"))
    ended = run("--install-completion")
    assert ended.code == 2
    assert "expected bash or zsh, found fish" in ended.err


def test_the_names_that_are_written_out_are_those_that_there_are(demo_outputs: Path) -> None:
    assert tuple(TABLES) == candidates.TABLES
    assert (folds.TARGETS, folds.FOLDS, LEVELS) == (candidates.TARGETS, candidates.FOLDS, candidates.LEVELS)
    assert get_args(Repeats) == candidates.REPEATS
    for factor in candidates.FACTORS:
        checked_factors([factor])
    columns = HelmRuns(demo_outputs, cache=Cache()).scores().columns
    assert columns[: len(candidates.SCORE_COLUMNS)] == list(candidates.SCORE_COLUMNS)
