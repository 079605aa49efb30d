from pathlib import Path

import pytest
from command_line import Run
from html_elements import Elements

from magnet_arrow.cli.commands.report import _file_name


def test_a_report_is_written(run: Run, demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("report", demo_outputs)
    (file,) = tmp_path.glob("*.html")
    assert ended == (0, f"{file.name}: 9 runs, {len(file.read_bytes()) / 1000:.3g} kB\n", "")
    assert file.name == f"{demo_outputs.parent.name}-report.html"


def test_another_file_stays(run: Run, outputs: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.html"
    notes.write_text("mine")
    ended = run("report", outputs, "--to", notes)
    assert ended.code == 2
    assert "is no report" in ended.err
    assert notes.read_text() == "mine"
    ended = run("report", outputs, "--to", tmp_path / "no" / "page.html")
    assert ended.code == 2
    assert "there is no folder" in ended.err


def test_broken_runs_are_counted(run: Run, broken: Path, tmp_path: Path) -> None:
    ended = run("report", broken, "--to", tmp_path / "page.html")
    assert ended.code == 1
    assert "1 run rejected or incomplete: the report lists them." in ended.err
    (row,) = Elements((tmp_path / "page.html").read_text()).table("1 rejected or incomplete part")[1:]
    assert row[:2] == ["made/tide:n=1", "the run"]
    assert row[2].startswith("stats.json: ")
    ended = run("report", broken, "--partial", "--to", tmp_path / "page.html")
    assert ended.code == 0  # and the older report is replaced
    assert "the rest of a file" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/mmlu/benchmark_output", "mmlu-report.html"),
        ("/data/mmlu/benchmark_output/runs/v1", "v1-report.html"),
        ("/data/mmlu/runs/v1/mmlu:subject=law", "mmlu-subject-law-report.html"),
        ("/data/*/runs", "report.html"),
    ],
)
def test_the_file_is_named_after_the_source(source: str, name: str) -> None:
    assert _file_name(source) == name
