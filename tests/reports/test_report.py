"""Reports of dumps: what they show is counted in the JSON files by plain loops."""

import copy
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from html_elements import Elements
from makedump import make_run, stat, write_run, write_runs
from plain_samples import samples

from magnet_arrow import HelmOutputs, HelmRuns, report
from magnet_arrow.errors import BadFileError, CacheDamagedError, MissingPackageError

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202e"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports") / "cache"


@pytest.fixture(scope="module")
def demo_page(demo_outputs: Path, cache: Path) -> str:
    return report(HelmOutputs(demo_outputs, cache=cache)).html


@pytest.fixture(scope="module")
def demo(demo_page: str) -> Elements:
    return Elements(demo_page)


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def folders(outputs: Path) -> list[Path]:
    return sorted(path.parent for path in outputs.glob("runs/*/*/run_spec.json"))


def numbered(outputs: Path, rows: list[tuple[str, str, str, str]]) -> None:
    """Writes runs: model, scenario's argument, answers of its instances, and one bit of score for each of these."""
    for model, subject, texts, bits in rows:
        write_run(outputs, answered(model, subject, texts.split("|"), [int(bit) for bit in bits]))


def answered(model: str, subject: str, texts: list[str], scores: list[int]) -> dict[str, Any]:
    """A run of a model whose exact match is its main metric."""
    run = make_run(f"tide:subject={subject},model={model.replace('/', '_')}"[:80], args={"subject": subject})
    run = copy.deepcopy(run)
    states, per_instance = run["scenario_state"]["request_states"], run["per_instance_stats"]
    shape, stats_shape = states[0], per_instance[0]
    states[:], per_instance[:] = [], []
    for number, (text, score) in enumerate(zip(texts, scores, strict=True)):
        state, stats = copy.deepcopy(shape), copy.deepcopy(stats_shape)
        state["instance"]["id"] = stats["instance_id"] = f"id{number}"
        state["instance"]["input"]["text"] = f"Question {number} of {subject}?"
        state["request"]["prompt"] = f"Answer.\nQuestion {number} of {subject}?"
        state["result"]["completions"][0]["text"] = text
        stats["stats"] = [stat("exact_match", score), stat("num_output_tokens", 3)]
        states.append(state)
        per_instance.append(stats)
    run["run_spec"]["adapter_spec"]["model"] = model
    run["run_spec"]["adapter_spec"]["method"] = "multiple_choice_joint"
    run["scenario_state"]["adapter_spec"] = run["run_spec"]["adapter_spec"]
    run["stats"] = [stat("exact_match", mean(scores)), stat("num_instances", len(scores))]
    return run


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Three models on two subjects of 12 questions: one is right on all, one on half of them, one on none."""
    bits = {"m/all": "111111111111", "m/half": "111111000000", "m/none": "000000000000"}
    numbered(
        tmp_path / "three",
        [(model, subject, "|".join("ab" * 6), own) for model, own in bits.items() for subject in ("law", "art")],
    )
    return tmp_path / "three"


def test_contents_are_those_of_the_files(demo: Elements, demo_outputs: Path) -> None:
    specs = [read(folder, "run_spec") for folder in folders(demo_outputs)]
    models = {spec["adapter_spec"]["model"] for spec in specs}
    numbers = dict(demo.table("Numbers")[1:])
    assert numbers == {
        "complete runs": str(len(specs)),
        "incomplete runs, read in part": "0",
        "rejected runs, incomplete ones too": "0",
        "models": str(len(models)),
        "scenarios": "1",
    }
    by_suite: dict[str, int] = defaultdict(int)
    for folder in folders(demo_outputs):
        by_suite[folder.parent.name] += 1
    assert [row[:2] for row in demo.table("Suites")[1:]] == [[suite, str(n)] for suite, n in sorted(by_suite.items())]


def test_scores_are_those_of_the_stats(demo: Elements, demo_outputs: Path) -> None:
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for folder in folders(demo_outputs):
        spec = read(folder, "run_spec")
        (found,) = [
            one["mean"]
            for one in read(folder, "stats")
            if one["name"]["name"] == "exact_match"
            and one["name"]["split"] == "test"
            and "perturbation" not in one["name"]
        ]
        cells[f"MMLU: {spec['scenario_spec']['args']['subject']}", spec["adapter_spec"]["model"]].append(found)
    head, *rows = demo.table("Mean exact_match on split test: 2 models × 2 scenarios")
    shown = {(row[0], model): cell for row in rows for model, cell in zip(head[1:], row[1:], strict=True)}
    assert shown == {cell: f"{mean(found):.3f}" for cell, found in cells.items()}


def test_tokens_and_time_are_sums_over_instances(demo: Elements, demo_outputs: Path) -> None:
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for folder in folders(demo_outputs):
        own = sums[read(folder, "run_spec")["adapter_spec"]["model"]]
        own["requests"] += len(read(folder, "scenario_state")["request_states"])
        for instance in read(folder, "per_instance_stats"):
            for one in instance["stats"]:
                own[one["name"]["name"]] += one["sum"]
    head, *rows = demo.table("By model, all runs together")
    assert head[:6] == ["model", "runs", "requests", "prompt tokens", "output tokens", "seconds"]
    assert [[row[0], *row[2:6]] for row in rows] == [
        [
            model,
            f"{own['requests']:.0f}",
            f"{own['num_prompt_tokens']:,.0f}",
            f"{own['num_output_tokens']:,.0f}",
            f"{own['inference_runtime']:,.1f}",
        ]
        for model, own in sorted(sums.items())
    ]


def test_models_are_ranked_by_the_mean_over_questions(demo_outputs: Path, cache: Path) -> None:
    page = report(HelmOutputs(demo_outputs, cache=cache).suites("my-suite"))
    found: dict[str, list[float]] = defaultdict(list)
    for folder in folders(demo_outputs):
        if folder.parent.name == "my-suite":
            model = read(folder, "run_spec")["adapter_spec"]["model"]
            found[model] += [one["stats"]["exact_match"] for one in samples(folder)]
    best = sorted(found, key=lambda model: -mean(found[model]))
    rows = Elements(page.html).table("Mean exact_match over 14 questions")[1:]
    assert [row[:3] for row in rows] == [
        [model, str(place), f"{mean(found[model]):.3f}"] for place, model in enumerate(best, 1)
    ]
    chart = page.html.partition("<figure>")[2].partition("</figure>")[0]
    points = re.findall(r'<path [^>]*fill="var\(--accent\)"', chart)
    intervals = re.findall(r'<line [^>]*stroke="var\(--accent\)"', chart)
    assert (len(points), len(intervals)) == (len(found), len(found))


def test_the_page_is_safe_and_complete_in_itself(demo: Elements, demo_page: str) -> None:
    assert "default-src 'none'" in str(demo.named("meta")[1]["content"])
    assert not re.search(r'(?:src|href|srcset|data|action)="(?!#)', demo_page)
    assert not re.search(r"@import|url\((?!#)", demo_page)
    assert not demo.named("script")
    assert len(demo_page.encode()) < 100_000


def test_the_same_runs_are_the_same_page(demo_outputs: Path, demo_page: str, tmp_path: Path) -> None:
    again = report(HelmOutputs(demo_outputs, cache=tmp_path / "other"))
    assert again.html == demo_page


def test_questions_that_all_miss_or_dispute(three: Path, cache: Path) -> None:
    found = Elements(report(HelmRuns(three, cache=cache)).html)
    summaries = [line.strip() for line in found.text.splitlines() if " · Question " in line]
    # Each question of the first half is passed by two of three models, of the second half by one.
    assert "24 questions on which models disagree, by exact_match" in found.text
    assert "By exact_match each question has a model with a score above 0." in found.text
    assert len({line for line in summaries if line.startswith("Tide: art · ")}) >= 6
    assert "on which models disagree, by exact_match; the first 20." in found.text


def test_wrong_on_all_questions(tmp_path: Path, cache: Path) -> None:
    numbered(tmp_path, [("m/one", "law", "red|blue", "00"), ("m/two", "law", "green|blue", "00")])
    page = report(HelmRuns(tmp_path, cache=cache)).html
    found = Elements(page)
    assert "2 questions on which no model has a score above 0, by exact_match." in found.text
    missed = page.partition("Questions that all models miss</h2>")[2]
    assert "Tide · Question 0 of law?" in missed
    rows = Elements(missed).tables["Answers"]
    assert rows == [["answer", "score", "times", "models"], ["blue", "0", "2", "m/one, m/two"]]
    assert "By exact_match no two models have different scores on a question." in found.text


def test_text_from_a_dump_is_shown_and_not_run(tmp_path: Path, cache: Path) -> None:
    scenario = answered(f"m/{EVIL}", EVIL, [EVIL], [0])
    scenario["run_spec"]["scenario_spec"]["class_name"] = f"made.{EVIL}"
    write_run(tmp_path, scenario, folder="evil")
    write_run(tmp_path, answered("m/b", "law", [EVIL], [1]), folder="good")
    page = report(HelmRuns(tmp_path, cache=cache)).html
    found = Elements(page)
    shown = EVIL.replace("\u202e", "\\u202e")
    assert not found.named("script")
    assert not found.named("img")
    assert "\u202e" not in page
    for part in ("title", "svg"):
        assert found.named(part)
    assert f"m/{shown}" in found.text  # the model, in a table
    assert page.count(shown.replace("<", "&lt;").replace(">", "&gt;")) > 5


@pytest.mark.parametrize("n_models", [1, 2])
def test_one_run_or_one_model(n_models: int, tmp_path: Path, cache: Path) -> None:
    numbered(tmp_path, [(f"m/{number}", "law", "a|b", "10") for number in range(n_models)])
    text = Elements(report(HelmRuns(tmp_path, cache=cache)).html).text
    assert ("There is one model, so there is nothing to compare it with." in text) == (n_models == 1)
    assert "Fewer than 20 questions or 3 models: too few to suspect a key." in text


def test_runs_without_a_main_metric(tmp_path: Path, cache: Path) -> None:
    write_runs(tmp_path, [make_run("tide:n=1")])
    text = Elements(report(HelmRuns(tmp_path, cache=cache)).html).text
    assert "1 of 1 run have no main metric, so they are in no ranking." in text
    assert "No run has a main metric, so there are no scores to show." in text


def test_rejected_runs_are_listed(outputs: Path, cache: Path) -> None:
    (outputs / "runs" / "made" / "b:x=2" / "stats.json").write_text("[{")
    found = Elements(report(HelmRuns(outputs, cache=cache)).html)
    (row,) = found.table("1 rejected or incomplete part")[1:]
    assert row[0] == "made/b:x=2"
    assert row[1] == "the run"
    assert row[2].startswith("stats.json: ")
    assert ["rejected runs, incomplete ones too", "1"] in found.table("Numbers")


def test_a_dump_of_which_nothing_can_be_read(outputs: Path, cache: Path) -> None:
    for file in outputs.glob("runs/*/*/run_spec.json"):
        file.write_text("[")
    found = Elements(report(HelmRuns(outputs, cache=cache)).html)
    assert len(found.table("3 rejected or incomplete parts")) == 4
    assert "No run could be read." in found.text


def test_what_repeats_it(outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGNET_ARROW_CACHE_DIR", str(cache))
    monkeypatch.chdir(outputs.parent)
    text = Elements(report("outputs").html).text
    assert "magnet-arrow report outputs\n" in text
    assert "magnet_arrow.report(magnet_arrow.HelmRuns('outputs')).save('report.html')" in text
    chosen = Elements(report(HelmRuns("outputs", partial=True)).html).text
    assert "magnet-arrow report" not in chosen
    assert "partial=True" in chosen


@pytest.mark.parametrize("module", ["altair", "vl_convert", "sklearn.svm"])
def test_all_missing_extras_are_named_before_anything_is_read(
    module: str, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError, match=r"'magnet-arrow\[report,stats\]'"):
        report(HelmRuns(outputs, cache=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_questions_without_text(tmp_path: Path, cache: Path) -> None:
    run = answered("m/a", "law", ["x"], [1])
    run["scenario_state"]["request_states"][0]["instance"]["input"]["text"] = ""
    write_run(tmp_path, run)
    found = Elements(report(HelmRuns(tmp_path, cache=cache)).html)
    assert "No ranking by exact_match: No sample can be a cell of a panel." in found.text
    assert "Found: excluded: 1 as its question is empty." in found.text
    assert "or they cannot be used, as the section on rankings says." in found.text
    assert found.table("Mean exact_match on split test: 1 model × 1 scenario")[1] == ["Tide", "1.000"]


def test_strict_runs_are_all_or_none(outputs: Path, cache: Path) -> None:
    (outputs / "runs" / "made" / "b:x=2" / "stats.json").write_text("[{")
    with pytest.raises(BadFileError, match="b:x=2"):
        report(HelmRuns(outputs, cache=cache, strict=True))


def test_a_damaged_cache_makes_no_page(demo_outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: object) -> None:
        raise CacheDamagedError("a page is damaged.")

    monkeypatch.setattr("magnet_arrow.reports.dump.panel", damaged)
    with pytest.raises(CacheDamagedError, match="a page is damaged"):
        report(HelmRuns(demo_outputs, cache=cache))


@pytest.mark.slow
@pytest.mark.shared
def test_large_dumps(shared_dumps: Callable[[str], Path], cache: Path) -> None:
    page = report(HelmRuns(shared_dumps("mmlu"), cache=cache)).html
    assert len(page.encode()) < 2_000_000
    cells, right = {}, defaultdict(list)
    for folder in folders(shared_dumps("mmlu") / "benchmark_output"):
        spec = read(folder, "run_spec")
        subject, model = spec["scenario_spec"]["args"]["subject"], spec["adapter_spec"]["model"]
        own = [one["stats"]["exact_match"] for one in samples(folder) if one["split"] == "test"]
        cells[f"MMLU: {subject}", model] = f"{mean(own):.3f}"
        right[model] += own
    found = Elements(page)
    head, *rows = found.table("Mean exact_match on split test: 5 models × 57 scenarios")
    shown = {(row[0], model): cell for row in rows for model, cell in zip(head[1:], row[1:], strict=True)}
    assert {cell: score for cell, score in shown.items() if score != "–"} == cells
    assert len(rows) == 57
    forest, bars = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert len(re.findall(r'<path [^>]*fill="var\(--accent\)"', forest)) == len(right) == 5
    counts = [
        int(text) for text in re.findall(r"mark-text role-mark.*?</g>", bars) for text in re.findall(r">(\d+)<", text)
    ]
    assert (len(counts), sum(counts)) == (11, 1017)


def test_several_metrics(tmp_path: Path, cache: Path) -> None:
    # art: a is right on both, b on one. law, by bits per byte, of which fewer are better: a has 3, b 1.
    numbered(tmp_path, [("m/a", "art", "x|y", "11"), ("m/b", "art", "x|y", "10")])
    for model, bits in [("m/a", 3), ("m/b", 1)]:
        run = answered(model, "law", ["x"], [bits])
        for spec in (run["run_spec"]["adapter_spec"], run["scenario_state"]["adapter_spec"]):
            spec["method"] = "language_modeling"
        for stats in (run["stats"], run["per_instance_stats"][0]["stats"]):
            stats[0]["name"]["name"] = "bits_per_byte"
        write_run(tmp_path, run)
    found = Elements(report(HelmRuns(tmp_path, cache=cache)).html)
    rates = found.table("Mean win rate")
    assert {row[0]: row[2] for row in rates[1:]} == {"m/a": "0.500", "m/b": "0.500"}
    assert [row[:3] for row in found.table("Mean exact_match over 2 questions")[1:]] == [
        ["m/a", "1", "1.000"],
        ["m/b", "2", "0.500"],
    ]
    assert [row[:3] for row in found.table("Mean bits_per_byte over 1 question; lower is better")[1:]] == [
        ["m/b", "1", "1.000"],
        ["m/a", "2", "3.000"],
    ]
    assert found.table("Mean bits_per_byte on split test: 2 models × 1 scenario; lower is better")
