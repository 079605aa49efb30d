"""The README and the pages of `docs/` are run as they are: their blocks, links, and lists against the code.

A `python` block is run, and prints the `text` block behind it. Of an `sh` block, lines that begin with `magnet-arrow`
are run; a `text` block behind it is what they print together, where `...` stands for anything. A `sql` block is a
statement for `magnet-arrow sql`. A page is run from top to bottom, in a folder that holds the demo as
`benchmark_output`, with an empty cache.
"""

import ast
import contextlib
import doctest
import io
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import typer.main
from makedump import make_run, write_runs

import magnet_arrow
from magnet_arrow.cli import exit_codes
from magnet_arrow.cli import main as command_line
from magnet_arrow.cli.app import application
from magnet_arrow.schema.registry import TABLES, Form

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "reference").rglob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
ENVIRONMENT = "python3 -m venv .venv"
NEEDS = {"from-inspect-ai.md": "inspect_ai", "hugging-face.md": "datasets"}  # more than the extra `dev`
SERVED = "helm-bucket.md"  # run where HELM's bucket is served, see `sources/remote/test_page_about_buckets.py`
RUN = [page for page in PAGES if page.name not in {*NEEDS, SERVED}]
LONG = {
    *("baselines.md", "caching.md", "dask.md", "evaluation.md"),
    *("predictors.md", "rankings.md", "reports.md", "scores-and-intervals.md"),
}
"""Their commands and calls have tests of their own; that the pages print the same is tested with the slow ones."""


class Block(NamedTuple):
    language: str
    code: str
    printed: str | None

    @property
    def commands(self) -> list[str]:
        """Those of ours in a block for a shell; the one that asks a block of SQL."""
        if self.language == "sql":
            return [f"magnet-arrow sql {shlex.quote(self.code)}"]
        lines = self.code.splitlines() if self.language == "sh" else []
        return [line for line in lines if line.startswith("magnet-arrow ")]


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page, each with the `text` block behind it, if there is one."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)\n(.*?)^```\n+(?:```text\n(.*?)^```$)?", text, re.DOTALL | re.MULTILINE)
    for language, code, printed in found:
        yield Block(language, code, printed or None)


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow) if page.name in LONG else page for page in RUN],
    ids=names(RUN),
)
def test_the_blocks_print_what_is_below_them(
    page: Path, demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_blocks(page, demo_outputs, tmp_path, monkeypatch)


@pytest.mark.filterwarnings("ignore")  # what another package warns about is no fault of ours
@pytest.mark.parametrize(("page", "package"), NEEDS.items())
def test_the_blocks_about_other_packages_print_what_is_below_them(
    page: str, package: str, demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not find_spec(package):
        pytest.skip(f"needs {package}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hugging-face"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run_blocks(ROOT / "docs" / page, demo_outputs, tmp_path, monkeypatch)


def run_blocks(page: Path, demo_outputs: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(demo_outputs, folder / "benchmark_output")
    monkeypatch.chdir(folder)
    defined: dict[str, object] = {}
    for block in blocks(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()) as reported:
            if block.language == "python":
                exec(block.code, defined)
            for command in block.commands:
                assert run(command, monkeypatch) == exit_codes.ExitCode.DONE, f"{command}\n{reported.getvalue()}"
        if block.printed is not None:
            same = doctest.OutputChecker().check_output(block.printed, printed.getvalue(), doctest.ELLIPSIS)
            assert same, f"{block.code}\nprinted\n{printed.getvalue()}"


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command, run in this process."""
    monkeypatch.setattr(sys, "argv", shlex.split(line, comments=True))
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_blocks_are_of_languages_that_are_run() -> None:
    kinds = {"python", "sh", "sql", "text"}
    for page in PAGES:
        fences = re.findall(r"^```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(fences) <= kinds | {""}, page
        # Each `text` block is the output of a block before it.
        assert fences.count("text") == sum(block.printed is not None for block in blocks(page)), page
        assert all(block.printed for block in blocks(page) if block.language == "python"), page


@pytest.mark.parametrize("lacks", ["perturbations", "means", "stats", "request states", "one run"])
def test_the_first_lines_work_on_any_dump(lacks: str, tmp_path: Path) -> None:
    run = make_run("a")
    run["run_spec"]["scenario_spec"]["class_name"] = "helm.benchmark.scenarios.mmlu_scenario.MMLUScenario"
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
    code = next(blocks(README)).code.replace("HelmOutputs.demo()", f"HelmOutputs({str(tmp_path / 'outputs')!r})")
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore" if lacks in ("one run", "stats") else "error")
        exec(code, {})
    rows = re.findall(r"^│ (made\S+) +┆ (\d+) +┆ (\S+) +│$", printed.getvalue(), re.MULTILINE)
    assert rows == [("made/heron-2b", "1", "null" if lacks in ("means", "stats") else "0.5")]


def test_every_command_is_in_the_documentation_and_has_help() -> None:
    """Options are in `docs/reference/commands.md`, which is written from their help texts."""
    for path, command in commands(typer.main.get_command(application())):
        assert f"`magnet-arrow {path}" in TEXT
        assert command.help
        for parameter in command.params:
            assert parameter.name == "help" or getattr(parameter, "help", None), (path, parameter.name)


def test_every_public_name_is_in_the_documentation() -> None:
    assert [name for name in magnet_arrow.__all__ if not re.search(rf"\b{name}\b", TEXT)] == []


def test_every_argument_of_the_entry_points_is_in_the_documentation() -> None:
    for called in (magnet_arrow.ingest, magnet_arrow.Predictor.__init__):
        for name in called.__kwdefaults__:
            assert re.search(rf"\b{name}=|--{name.replace('_', '-')}\b", TEXT) or name == "progress", name


def test_the_exit_codes_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) +\| (.*?) *\|$", text, re.MULTILINE)
    assert [int(code) for code, _ in rows] == [int(code) for code in exit_codes.ExitCode]
    drawn = re.findall(r"^    (\d+) +(.*)$", exit_codes.__doc__ or "", re.MULTILINE)
    assert rows == drawn


def test_the_table_of_tables_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "tables-and-columns.md").read_text(encoding="utf-8")
    section = text.partition("## The tables")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    assert [(name, row) for name, _, row in rows] == [(table.name, table.row) for table in TABLES.values()]
    for name, file, _ in rows:
        assert TABLES[name].form is Form.TEXTS or f"`{TABLES[name].file}`" in file


def test_ci_runs_the_readmes_own_two_commands() -> None:
    lines = [line for line in README.read_text(encoding="utf-8").splitlines() if ENVIRONMENT in line]
    assert len(lines) == 2
    assert lines[0].endswith("magnet-arrow demo")
    assert lines[1].endswith("pytest")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "run_readme_command 1 " in script
    assert "run_readme_command 2 " in script


@pytest.mark.parametrize("page", LINKED, ids=names(LINKED))
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page))
    assert targets
    for target in targets:
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_list_of_pages_is_linked_from_the_readme_and_names_every_page() -> None:
    start = ROOT / "docs" / "README.md"
    assert "](docs/README.md)" in prose(README)
    linked = {(start.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)", prose(start))}
    assert [page.name for page in PAGES if page not in linked and page.name != "README.md"] == []


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What the forge calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(group: object, prefix: str = "") -> list[tuple[str, object]]:
    found = []
    for name, command in group.commands.items():
        path = f"{prefix}{name}"
        found += commands(command, f"{path} ") if hasattr(command, "commands") else [(path, command)]
    return found


def test_every_promise_has_tests_that_a_plain_pytest_runs() -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| (R\d+): [^|]+\| ([^|]+) \|$", text, re.MULTILINE))
    assert list(named) == [f"R{number}" for number in range(1, 20)]
    for promise, shown in named.items():
        files = [ROOT / "tests" / file for file in re.findall(r"`([\w/]+\.py)`", shown)]
        assert all(file.is_file() for file in files), promise
        assert any(quick_tests(file) for file in files), promise


def quick_tests(file: Path) -> list[str]:
    """The tests in a file that are not marked as slow."""
    functions = [one for one in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(one, ast.FunctionDef)]
    return [
        one.name
        for one in functions
        if one.name.startswith("test_") and "pytest.mark.slow" not in map(ast.unparse, one.decorator_list)
    ]
