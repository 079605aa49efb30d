import json
from pathlib import Path

from command_line import Run

from magnet_arrow.cli import main as cli


def test_scores(outputs: Path, run: Run) -> None:
    ended = run("scores", outputs, "--metric", "exact_match")
    assert ended == (0, "model          TideScenario\nmade/heron-2b        0.5000\n", ended.err)
    assert "Mean of exact_match over the runs of each cell, on test." in ended.err
    ended = run("scores", outputs, "--metric", "exact_match", "--by", "run", "--csv")
    assert ended.out.splitlines()[:2] == ["run,metric,split,score,runs", "tide:n=0,exact_match,test,0.5,1"]
    ended = run("scores", outputs, "--metric", "exact_match", "--json")
    assert json.loads(ended.out)["runs"] == 3
    assert run("scores", outputs, "--csv", "--json").code == 2
    ended = run("scores", outputs)
    assert ended.code == cli.ExitCode.REPORTED
    assert "No run has a main metric: name one with --metric." in ended.err
    assert "main_metrics()" not in ended.err


def test_notes_name_options_and_commands(outputs: Path, run: Run) -> None:
    next(outputs.glob("runs/*/*n=0/stats.json")).unlink()
    ended = run("scores", outputs, "--metric", "exact_match")
    assert ended.code == cli.ExitCode.REPORTED
    assert "1 of 3 runs excluded" in ended.err
    assert "`magnet-arrow rejects` tells why; with --partial partial runs are read." in ended.err
    assert "=True" not in ended.err
