import json
from pathlib import Path

import pytest
from command_line import Run

from magnet_arrow.predictions.panel import load_panel


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_a_panel_is_written_and_told(suffix: str, run: Run, demo_outputs: Path, tmp_path: Path) -> None:
    file = tmp_path / f"panel{suffix}"
    code, out, err = run("panel", demo_outputs / "runs" / "my-suite", "--to", file)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{file}: 2 models × 14 items, 0 scores missing",
        "exact_match on split test: 4 runs",
    ]
    assert load_panel(file).models == ["made/finch-1b", "made/owl-7b"]


def test_facts_in_json(run: Run, demo_outputs: Path, tmp_path: Path) -> None:
    file = tmp_path / "panel.npz"
    code, out, _ = run("panel", demo_outputs / "runs" / "my-suite", "--to", file, "--threshold", "0.5", "--json")
    assert code == 0
    assert json.loads(out) == {
        "file": str(file),
        "models": ["made/finch-1b", "made/owl-7b"],
        "items": 14,
        "missing": 0,
        "threshold": 0.5,
        "metrics": [{"metric": "exact_match", "split": "test", "runs": 4}],
        "repeats": 0,
        "excluded": [],
    }


def test_what_cannot_be_written_is_wrong_use(run: Run, demo_outputs: Path, tmp_path: Path) -> None:
    code, _, err = run("panel", demo_outputs, "--to", tmp_path / "panel.json")
    assert (code, ".csv, .npz or .parquet" in err) == (2, True)
    code, _, err = run("panel", demo_outputs, "--to", tmp_path / "none" / "panel.csv")
    assert (code, "there is no folder" in err) == (2, True)
    code, _, err = run("panel", demo_outputs, "--to", tmp_path / "panel.csv", "--metric", "exact_mach")
    assert (code, "Did you mean 'exact_match'" in err) == (2, True)
    assert list(tmp_path.glob("panel*")) == []


def test_several_runs_of_a_scenario_are_averaged_if_told(run: Run, demo_outputs: Path, tmp_path: Path) -> None:
    code, _, err = run("panel", demo_outputs, "--to", tmp_path / "panel.csv")
    assert (code, "several runs of one scenario" in err) == (2, True)
    assert "`magnet-arrow panel … --repeats mean`." in err
    code, out, err = run("panel", demo_outputs, "--to", tmp_path / "panel.csv", "--repeats", "mean")
    assert (code, "2 models × 14 items" in out, "are means" in err) == (0, True, True)
