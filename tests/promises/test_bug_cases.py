"""Each case of `bugcases.py` comes to what the maintainers' bug log asks for; where it offers a choice, it is taken."""

import functools
import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from bugcases import CASES, EDGES, NAME, ODD_NAMES, OTHER, SUITE, THIRD, TYPOS, WRONG_KIND, write_case
from reading import cached_places, read
from sameness import differences

from magnet_arrow.cache import Cache
from magnet_arrow.checks.verify import verify
from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion.api import IngestReport, ingest
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.restore.run_files import restore

STATES = "scenario_state.request_states"
ENTRIES = "per_instance_stats"


@dataclass(frozen=True)
class Taken:
    """A case that was ingested."""

    outputs: Path
    cache: Path
    report: IngestReport

    def frame(self, table: str) -> pl.DataFrame:
        return read(cached_places(self.outputs, self.cache), table, self.cache)

    @property
    def suite(self) -> Path:
        return self.outputs / "runs" / SUITE


Take = Callable[..., Taken]


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    """Ingests a case, once for all tests that ask for it; they change neither the case nor its cache."""

    @functools.cache
    def taken(number: int, *, partial: bool = False) -> Taken:
        folder = tmp_path_factory.mktemp("case")
        outputs = write_case(number, folder)
        return Taken(outputs, folder / "cache", ingest(outputs, folder / "cache", partial=partial))

    return taken


@dataclass(frozen=True)
class Outcome:
    """What an ingest of a case comes to.

    Attributes:
        runs: how many go in.
        rejected: the others, by folder: file, JSON path, byte, expected, beginning of found.
        lacking: with `partial`, files of these runs that are not in their tables, by folder.
        cut: with `partial`, files that are there in part, and their rows, by folder.
        unexpected: what the report says is odd.
    """

    runs: int = 1
    rejected: dict[str, tuple[str, str | None, int | None, str, str]] = field(default_factory=dict)
    lacking: dict[str, list[str]] = field(default_factory=dict)
    cut: dict[str, tuple[str, int]] = field(default_factory=dict)
    unexpected: dict[tuple[str, str], int] = field(default_factory=dict)


END = "the end of the file"
OUTCOMES = {number: Outcome() for number in CASES} | {
    2: Outcome(runs=2),
    5: Outcome(
        rejected={OTHER: ("scenario_state.json", None, None, "a file", "none of this name")},
        lacking={OTHER: ["scenario_state.json", "per_instance_stats.json"]},
    ),
    6: Outcome(
        rejected={
            OTHER: ("per_instance_stats.json", "$[2]", 713, "']'", END),
            THIRD: ("stats.json", "$", 0, "a JSON document", "an empty file"),
        },
        lacking={THIRD: ["stats.json"]},
        cut={OTHER: ("per_instance_stats.json", 2)},
    ),
    7: Outcome(unexpected={("unknown field", "per_instance_stats.json $[].stats[].ci"): 1}),
    9: Outcome(runs=2),
    10: Outcome(
        unexpected={
            ("unknown field", "per_instance_stats.json $[].stats[].name.facet"): 1,
            ("unknown field", "run_spec.json $.adapter_spec.brand_new_knob"): 1,
            ("unknown field", "scenario_state.json $.request_states[].request.brand_new"): 1,
        }
    ),
    13: Outcome(runs=2, unexpected={("unknown field", "scenario_state.json $.request_states[].mystery"): 1}),
    18: Outcome(runs=2),
    21: Outcome(runs=5),
    25: Outcome(runs=2),
    35: Outcome(unexpected={("value of another type", "stats.json $[].stddev"): 1}),
    41: Outcome(unexpected={("duplicate key", "stats.json $[].sum"): 1}),
    42: Outcome(
        rejected={
            OTHER: ("stats.json", "$", 0, "an array", r"'\\xff\\xfe["),
            THIRD: ("stats.json", "$[0]", 37, "UTF-8 text", "byte 0xe4"),
        },
        lacking={OTHER: ["stats.json"], THIRD: ["stats.json"]},
    ),
    43: Outcome(
        rejected={OTHER: ("stats.json", "$[0]", 100_000, "']'", END)},
        cut={OTHER: ("stats.json", 0)},
    ),
    49: Outcome(runs=2),
    50: Outcome(runs=2),
    51: Outcome(runs=2),
    60: Outcome(
        rejected={
            "tide:an object for stats": ("stats.json", "$", 0, "an array", "'{}'"),
            "tide:null for stats": ("stats.json", "$", 0, "an array", "'null'"),
            "tide:an object for entries": ("per_instance_stats.json", "$", 0, "an array", "'{"),
            "tide:an array for states": ("scenario_state.json", "$", 0, "an object", "'[]'"),
            "tide:a text for the spec": ("run_spec.json", "$", 0, "an object", "a string"),
        },
        lacking={f"tide:{what}": [file] for what, (file, _) in WRONG_KIND.items() if file != "run_spec.json"},
    ),
}
each_case = pytest.mark.parametrize("number", CASES, ids=[f"{number}-{CASES[number].__name__}" for number in CASES])


@each_case
def test_what_goes_in_and_what_is_rejected(number: int, take: Take) -> None:
    taken, outcome = take(number), OUTCOMES[number]
    report = taken.report
    assert (report.runs, report.partial) == (outcome.runs, 0)
    rejected = {
        each.run.removeprefix(f"{SUITE}/"): (each.file, each.json_path, each.byte, each.expected, each.found)
        for each in report.rejected
    }
    assert rejected.keys() == outcome.rejected.keys()
    for folder, (*place, found) in outcome.rejected.items():
        assert list(rejected[folder][:4]) == place
        assert str(rejected[folder][4]).startswith(found)
    assert report.unexpected == outcome.unexpected
    assert Cache(taken.cache).rejects()["folder"].sort().to_list() == sorted(outcome.rejected)
    assert not Cache(taken.cache).runs()["partial"].any()


@each_case
def test_the_files_of_what_went_in_come_back(number: int, take: Take, tmp_path: Path) -> None:
    assert_restored(take(number), tmp_path)


lacking = pytest.mark.parametrize("number", [number for number in CASES if OUTCOMES[number].rejected])


@lacking
def test_what_is_there_goes_in_with_partial(number: int, take: Take) -> None:
    taken, outcome = take(number, partial=True), OUTCOMES[number]
    assert taken.report.runs == outcome.runs + len(outcome.lacking | outcome.cut)
    assert taken.report.partial == len(outcome.lacking | outcome.cut)
    runs = {row["folder"]: row for row in Cache(taken.cache).runs().rows(named=True)}
    assert {folder for folder, row in runs.items() if row["partial"]} == (outcome.lacking | outcome.cut).keys()
    for folder, files in outcome.lacking.items():
        assert sorted(runs[folder]["missing"]) == sorted(files)
        assert [runs[folder][f"rows.{file.removesuffix('.json')}"] for file in files] == [0] * len(files)
    for folder, (file, rows) in outcome.cut.items():
        assert runs[folder][f"rows.{file.removesuffix('.json')}"] == rows


@lacking
def test_the_files_of_a_partial_run_come_back_and_no_others(number: int, take: Take, tmp_path: Path) -> None:
    assert_restored(take(number, partial=True), tmp_path)


def assert_restored(taken: Taken, folder: Path) -> None:
    """The files restored from the cache say what the source's do, and none is invented; `verify` finds so too."""
    snapshot = Cache(taken.cache).snapshot()
    places = [place for place in find_runs(taken.outputs).places if snapshot.lookup(place)]
    for place in places:
        run = snapshot.lookup(place)
        assert run is not None
        restored = {path.name: path for path in restore(snapshot, run, folder / "restored").glob("*.json")}
        there = {path.name: path for path in place.path.glob("*.json")}
        assert restored.keys() <= there.keys()
        assert there.keys() - restored.keys() <= set(run.entry.not_kept)
        for name, path in restored.items():
            assert lost(there[name], path, is_cut=name in run.entry.cut, is_text=name in run.entry.missing) == []
    report = verify(taken.outputs, taken.cache)
    assert (report.runs, report.differences) == (len(places), ())
    assert len(report.rejected) == len(taken.report.rejected)


def lost(source: Path, restored: Path, *, is_cut: bool, is_text: bool) -> list[str]:
    """What differs between a file and what was restored of it. A partial run has what could be no table as it was."""
    if is_text:
        return [] if source.read_bytes() == restored.read_bytes() else [f"{source.name} is not what it was"]
    said = source.read_text("utf-8-sig")
    return differences(whole_elements(said) if is_cut else json.loads(said), json.loads(restored.read_bytes()))


def whole_elements(cut: str) -> list[Any]:
    """The elements of an array laid out by HELM that are whole before its text ends."""
    head, closing, _ = cut.rpartition("\n  }")
    found: list[Any] = json.loads(f"{head}{closing}]") if closing else []
    return found


JOINED = {3: 4, 12: 3, 23: 8}


@pytest.mark.parametrize(("number", "rows"), JOINED.items())
def test_requests_find_their_instance_stats_once(number: int, rows: int, take: Take) -> None:
    """A join by instance, perturbation and trial, null being a value like others."""
    taken = take(number)
    columns = {"perturbation.name": "perturbation", "train_trial_index": "trial"}
    requests = renamed(taken.frame("scenario_state"), STATES, {"instance.id": "id"}, "instance.perturbation.name")
    entries = renamed(taken.frame(ENTRIES), ENTRIES, {"instance_id": "id", **columns}, "perturbation.name")
    assert requests.height == rows
    joined = requests.join(entries, on=["id", "perturbation", "trial"], how="inner", nulls_equal=True, validate="m:1")
    assert joined.height == rows


def renamed(frame: pl.DataFrame, prefix: str, names: dict[str, str], perturbation: str) -> pl.DataFrame:
    """The key of a request or an entry, under short names; the perturbation's where there is one."""
    short = {f"{prefix}.{name}": to for name, to in names.items()}
    short |= {f"{prefix}.train_trial_index": "trial", f"{prefix}.{perturbation}": "perturbation"}
    kept = frame.select(pl.col(name).alias(to) for name, to in short.items() if name in frame.columns)
    return kept if "perturbation" in kept.columns else kept.with_columns(perturbation=pl.lit(None, pl.String))


def test_instance_stats_listed_twice_count_once_and_a_clash_is_seen(take: Take) -> None:
    rows = take(15).frame(ENTRIES)
    key = [f"{ENTRIES}.instance_id", f"{ENTRIES}.train_trial_index", f"{ENTRIES}.stats.name.name"]
    single = rows.group_by(key).agg(pl.col(f"{ENTRIES}.stats.mean").unique())
    clashes = single.filter(pl.col(f"{ENTRIES}.stats.mean").list.len() > 1)
    assert rows.height == 7
    assert clashes.select(key).rows() == [("id2", 0, "f1")]
    exact = single.filter(pl.col(key[2]) == "exact_match")[f"{ENTRIES}.stats.mean"].explode()
    assert sorted(exact) == [0.0, 1.0]


SCORES = {11: {"exact_match": 0.5}, 24: {"exact_match": 2 / 3, "bleu": None}, 35: {"exact_match": 2 / 3, "f1": 0.5}}


@pytest.mark.parametrize(("number", "scores"), SCORES.items())
def test_a_score_is_the_sum_by_the_count_and_null_where_nothing_was_counted(
    number: int, scores: dict[str, float | None], take: Take
) -> None:
    count = pl.col("stats.count")
    mean = pl.when(count > 0).then(pl.col("stats.sum") / count)
    found = take(number).frame("stats").select("stats.name.name", mean.alias("mean"))
    assert dict(found.rows()) == scores


COMPLETIONS = f"{STATES}.result.completions"


def first_completion(field: str) -> pl.Expr:
    return pl.col(COMPLETIONS).list.first().struct.field(field)


def test_a_mean_that_is_missing_is_null_and_one_that_is_nan_is_nan(take: Take) -> None:
    taken = take(2)
    missing, nan = taken.frame("stats").filter(pl.col("run_spec.name") == NAME)["stats.mean"]
    assert missing is None
    assert math.isnan(nan)
    logprobs = taken.frame("scenario_state").select(first_completion("logprob")).to_series()
    assert [str(value) for value in logprobs[:3]] == ["nan", "-inf", "-0.25"]


def test_a_whole_number_in_a_late_row_does_not_decide_for_the_others(take: Take) -> None:
    taken = take(7)
    assert taken.frame(ENTRIES)[f"{ENTRIES}.stats.mean"].to_list() == [1.0] * 149 + [0.5]


@pytest.mark.parametrize("order", [(NAME, OTHER), (OTHER, NAME)], ids=["as sorted", "the other way round"])
def test_runs_with_other_columns_are_one_frame_in_any_order_of_ingest(order: tuple[str, str], tmp_path: Path) -> None:
    outputs = write_case(9, tmp_path)
    for folder in order:
        ingest(outputs / "runs" / SUITE / folder, tmp_path / "cache")
    rows = read(find_runs(outputs).places, "scenario_state", tmp_path / "cache")
    assert rows.height == 6
    assert rows[f"{STATES}.instance.perturbation.name"].to_list() == [None] * 3 + ["typos"] * 3
    assert [text and json.loads(text) for text in rows[f"{STATES}.annotations"]] == (
        [None] * 3 + [{"judge": {"score": 4, "why": "fine"}}] * 3
    )


def test_an_older_helms_texts_stand_in_todays_columns(take: Take) -> None:
    rows = take(11).frame("scenario_state")
    assert rows[f"{STATES}.instance.input.text"].to_list() == [f"What comes after tide id{n}?" for n in (1, 2)]
    outputs = pl.col(f"{STATES}.instance.references").list.eval(
        pl.element().struct.field("output").struct.field("text")
    )
    assert rows.select(outputs).to_series().to_list() == [["ebb", "sun"]] * 2


def test_an_integer_id_is_a_text_and_07_another(take: Take) -> None:
    assert take(12).frame("scenario_state")[f"{STATES}.instance.id"].to_list() == ["7", "8", "07"]


def test_half_an_emoji_is_shown_as_a_replacement_and_a_whole_one_as_it_is(take: Take) -> None:
    rows = take(13).frame("scenario_state")
    assert rows.select(first_completion("text")).to_series()[:2].to_list() == ["�", "\U0001f600 ok"]


def test_columns_do_not_grow_with_free_keys(take: Take) -> None:
    taken = take(14)
    names = set(Cache(taken.cache).scan("scenario_state").collect_schema().names())
    assert len(names) < 300
    mapped = {f"{STATES}.output_mapping.{key}" for key in ('""', " ", '"a.b"', "A", "a")}
    assert mapped <= names


def test_links_are_said_to_be_passed_over(take: Take) -> None:
    notes = take(17).report.notes
    assert [sum(f"/{name} " in note for note in notes) for name in ("latest", "gone", "loop")] == [1, 1, 1]


def test_a_runs_name_is_that_of_its_run_spec(take: Take) -> None:
    runs = Cache(take(18).cache).runs()
    assert dict(runs.select("folder", "run_spec.name").rows()) == {NAME.replace(":", "_"): NAME, "tide": "tide"}


def test_odd_names_are_read_back_one_by_one_and_lead_nowhere(take: Take) -> None:
    taken = take(21)
    for subject in ODD_NAMES:
        name = f"tide:subject={subject}"
        runs = HelmRuns(taken.suite / name, cache=taken.cache)
        assert runs.run_spec()["run_spec.name"].to_list() == [name]
    assert {path.name for path in taken.cache.parent.iterdir()} <= {taken.outputs.parent.name, "cache"}


def test_zero_is_not_taken_for_unset(take: Take) -> None:
    taken = take(25)
    runs = HelmRuns(taken.outputs, cache=taken.cache)
    cold = runs.filter(pl.col("run_spec.adapter_spec.temperature") == 0)
    assert [place.folder for place in cold.places] == [OTHER]
    requests = taken.frame("scenario_state").filter(pl.col("run_spec.name") == NAME)
    asked = requests.select(f"{STATES}.request.{name}" for name in ("temperature", "top_p", "max_tokens"))
    assert asked.rows() == [(0.0, 0.0, 0)] * 3


def test_kinds_in_one_field_stay_what_they_are(take: Take) -> None:
    texts = take(35).frame("scenario_state")[f"{STATES}.annotations"]
    assert [ascii(json.loads(text)["judge"]) for text in texts] == [
        *("4", "'4'", "4.5", "{'score': 4}", "[4]", "True", "None")
    ]


def test_no_digit_is_lost_at_the_edges(take: Take) -> None:
    row = take(36).frame("scenario_state").row(0, named=True)
    found = {name: row[f"{STATES}.instance.extra_data.{name}"] for name in EDGES}
    assert {name: int(value) for name, value in found.items()} == EDGES


def test_values_stand_under_their_names_in_any_order_of_keys(take: Take) -> None:
    rows = take(40).frame("scenario_state")
    place = f"{STATES}.instance.perturbation"
    found = rows.select(pl.col(f"{place}.{name}").alias(name) for name in TYPOS)
    assert found.rows(named=True) == [TYPOS, TYPOS, dict.fromkeys(TYPOS)]


def test_the_last_of_two_equal_keys_counts_as_in_helms_own_reader(take: Take) -> None:
    assert take(41).frame("stats")["stats.sum"].to_list() == [3.0]


def test_deep_nesting_ends_no_thread_of_small_stack(tmp_path: Path) -> None:
    outputs = write_case(43, tmp_path)
    reports: list[IngestReport] = []
    before = threading.stack_size(512 << 10)
    try:
        thread = threading.Thread(target=lambda: reports.append(ingest(outputs, tmp_path / "cache")))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert [(report.runs, len(report.rejected)) for report in reports] == [(1, 1)]


def test_nan_counts_the_same_from_the_cache_and_from_memory(take: Take) -> None:
    """Polars: a mean with NaN is NaN, a maximum leaves NaN out, NaN is greater than any number."""
    taken = take(46)
    mean = pl.col("stats.mean")
    stored = HelmRuns(taken.outputs, cache=taken.cache).scan("stats")
    for rows in (stored, pl.LazyFrame({"stats.mean": [1.0, 2.0, math.nan]})):
        assert rows.filter(mean.is_nan()).collect().height == 1
        assert rows.filter(mean > 1e300).collect().height == 1
        assert str(rows.select(mean.mean()).collect().item()) == "nan"
        assert rows.select(mean.max()).collect().item() == 2.0


def test_not_equal_keeps_rows_that_have_nothing_to_compare(take: Take) -> None:
    rows = take(47).frame("scenario_state")
    typos = pl.col(f"{STATES}.instance.perturbation.name").eq_missing("typos")
    sub_split = pl.col(f"{STATES}.instance.sub_split").ne_missing("A")
    assert (rows.filter(typos).height, rows.filter(~typos).height) == (3, 3)
    assert rows.filter(sub_split).height == 5


def test_instances_of_two_runs_are_matched_by_id(take: Take) -> None:
    rows = take(49).frame("scenario_state").select("run_spec.name", pl.col(f"{STATES}.instance.id").alias("id"))
    first, second = (rows.filter(pl.col("run_spec.name") == name) for name in (NAME, OTHER))
    assert sorted(first.join(second, on="id")["id"]) == ["id1", "id3"]
    assert first.join(second, on="id", how="anti")["id"].to_list() == ["id2"]
    assert second.join(first, on="id", how="anti")["id"].to_list() == ["id4"]


def test_two_runs_of_one_name_are_two(take: Take) -> None:
    taken = take(50)
    runs = Cache(taken.cache).runs().filter(pl.col("run_spec.name") == "tide:model=made/heron")
    assert runs["folder"].sort().to_list() == ["tide:model=made_heron", "tide:model=made_heron,temperature=0.7"]


def test_labels_are_not_mixed_up_between_runs(take: Take) -> None:
    rows = take(51).frame("stats")
    sums = rows.group_by("stats.name.name").agg(pl.col("stats.sum").sum())
    assert dict(sums.rows()) == {"a": 6.0, "b": 5.0, "c": 4.0}


def test_a_request_without_an_answer_is_a_row_with_null(take: Take) -> None:
    rows = take(56).frame("scenario_state")
    assert rows.select(first_completion("text")).to_series().to_list() == [None, None, None, " ebb"]
    assert rows[f"{STATES}.result.success"].to_list() == [None, True, False, True]


def test_nul_is_a_character_like_others(take: Take, tmp_path: Path) -> None:
    rows = take(57).frame("scenario_state")
    assert rows.select(first_completion("text")).to_series()[0] == "a\0b"
    rows.select(first_completion("text")).write_csv(tmp_path / "texts.csv")
    assert pl.read_csv(tmp_path / "texts.csv")["text"][0] == "a\0b"
