"""The README is run as it stands: its Python, with the output beside it, and its lists against the code."""

import contextlib
import io
import re
import warnings
from pathlib import Path

import pytest
import typer.main
from makedump import make_run, write_runs

from magnet_arrow import cli
from magnet_arrow.schema import TABLES, Form

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_blocks_print_what_stands_below_them() -> None:
    blocks = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == TEXT.count("```python\n") >= 3
    names: dict[str, object] = {}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert printed.getvalue() == expected


@pytest.mark.parametrize("lacks", ["perturbations", "means", "stats", "request states", "one run"])
def test_the_first_lines_work_on_any_dump(lacks: str, tmp_path: Path) -> None:
    run = make_run("a")
    match lacks:
        case "means":
            run["stats"] = [{key: value for key, value in one.items() if key != "mean"} for one in run["stats"]]
        case "stats":
            run["stats"] = run["per_instance_stats"] = []
        case "request states":
            run["scenario_state"]["request_states"] = []
    write_runs(tmp_path / "outputs", [run, make_run("b")] if lacks == "one run" else [run])
    if lacks == "one run":
        (tmp_path / "outputs/runs/made/b/stats.json").unlink()
    code = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[0]
    code = code.replace("HelmOutputs.demo()", f"HelmOutputs({str(tmp_path / 'outputs')!r})").replace("my-suite", "made")
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore" if lacks == "one run" else "error")
        exec(code, {})
    accuracy = {"means": "[None]", "stats": "[]"}.get(lacks, "[0.5]")
    n_runs, n_stats = (2 if lacks == "one run" else 1), (0 if lacks == "stats" else 2)
    assert printed.getvalue() == f"{n_runs} runs with {n_stats} stats; accuracy {accuracy}\n"


def test_every_command_is_in_the_readme_and_has_help() -> None:
    for path, command in commands(typer.main.get_command(cli.app)):
        assert f"`magnet-arrow {path}" in TEXT
        assert command.help
        for parameter in command.params:
            assert parameter.name == "help" or getattr(parameter, "help", None), (path, parameter.name)


def test_the_exit_codes_are_those_of_the_code() -> None:
    section = TEXT.partition("## Exit codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) +\| (.*?) *\|$", section, re.MULTILINE)
    assert [int(code) for code, _ in rows] == [int(code) for code in cli.ExitCode]
    drawn = re.findall(r"^    (\d+) +(.*)$", cli.__doc__ or "", re.MULTILINE)
    assert rows == drawn


def test_the_table_of_tables_is_that_of_the_code() -> None:
    section = TEXT.partition("## The tables")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    assert [(name, row) for name, _, row in rows] == [(table.name, table.row) for table in TABLES.values()]
    for name, file, _ in rows:
        assert TABLES[name].form is Form.TEXTS or f"`{TABLES[name].file}`" in file


def test_ci_runs_the_readmes_own_two_commands() -> None:
    lines = [line for line in TEXT.splitlines() if "python3 -m venv .venv" in line]
    assert len(lines) == 2
    assert lines[0].endswith("magnet-arrow demo")
    assert lines[1].endswith("pytest")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "run_readme_command 1 " in script
    assert "run_readme_command 2 " in script


def test_links_inside_the_project_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def commands(group: object, prefix: str = "") -> list[tuple[str, object]]:
    found = []
    for name, command in group.commands.items():
        path = f"{prefix}{name}"
        found += commands(command, f"{path} ") if hasattr(command, "commands") else [(path, command)]
    return found
