"""HELM's public bucket: which folders `helm://` means, on a bucket laid out like it."""

from pathlib import Path

import public_bucket as made
import pytest
from public_bucket import Listed

from magnet_arrow import HelmOutputs, HelmRuns, HelmSuite
from magnet_arrow.errors import NoRunsError, SettingError, SourceNotFoundError
from magnet_arrow.helm.layout import Found, find_all, find_runs, written_out
from magnet_arrow.helm.public_bucket import PublicRuns, benchmarks, choose, public_runs, versions

LITE = "gs://crfm-helm-public/lite/benchmark_output"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listed:
    return made.listed(tmp_path / "bucket", monkeypatch)


def runs_of(found: Found) -> list[tuple[str, str]]:
    return [(place.suite, place.folder) for place in found.places]


def test_what_is_there_is_listed_by_folders(store: Listed) -> None:
    assert benchmarks() == ["air-bench", "lite", "new"]
    assert versions("lite") == ["v1.11.0-rc1", "v1.10.0", "v1.9.0", "v1.0.0"]
    assert store.requests == ["names ", "names lite/benchmark_output/runs"]


def test_the_latest_version_is_the_highest_that_is_no_pre_release(store: Listed) -> None:
    found = find_runs("helm://lite")
    assert runs_of(found) == [("v1.10.0", "mmlu:subject=a,model=a"), ("v1.10.0", "mmlu:subject=c,model=b")]
    assert str(found.places[0].path) == f"{LITE}/runs/v1.10.0/mmlu:subject=a,model=a"
    assert found.notes == ()
    assert [request for request in store.requests if request.startswith("list ")] == [
        "list lite/benchmark_output/runs/v1.10.0"
    ]
    for same in ("helm://lite/", "helm:/lite", "HELM://lite/latest", PublicRuns("lite")):
        assert runs_of(find_runs(same)) == runs_of(found)


def test_of_pre_releases_alone_the_highest_is_the_latest(store: Listed) -> None:
    found = find_runs("helm://new")
    assert runs_of(found) == [("v0.1.0-rc10", "x:y,model=a")]
    assert found.notes == ("new has only pre-releases: the latest is v0.1.0-rc10.",)


@pytest.mark.parametrize(
    ("url", "folders"),
    [
        ("helm://lite/v1.9.0", ["lite v1.9.0"]),
        ("helm://lite/v1.9.0|v1.0*", ["lite v1.9.0", "lite v1.0.0"]),
        ("helm://lite/regex:v1[.](9|10)[.]0", ["lite v1.10.0", "lite v1.9.0"]),
        ("helm://lite|air*/v1.0.0", ["air-bench v1.0.0", "lite v1.0.0"]),
        ("helm://lite|new", ["lite v1.10.0", "new v0.1.0-rc10"]),
        ("helm://lite/all", ["lite v1.11.0-rc1", "lite v1.10.0", "lite v1.9.0", "lite v1.0.0"]),
    ],
)
def test_benchmarks_and_versions_are_patterns(store: Listed, url: str, folders: list[str]) -> None:
    chosen = public_runs(url)
    assert chosen is not None
    parts = [folder.split("/") for folder in choose(chosen).folders]
    assert [f"{part[3]} {part[-1]}" for part in parts] == folders


def test_of_all_versions_the_newest_run_of_a_name_is_kept(store: Listed) -> None:
    found = find_all("helm://lite/all")
    assert [one for one in runs_of(found) if one[1]] == [
        ("v1.0.0", "gsm:x,model=a"),
        ("v1.0.0", "mmlu:subject=b,model=a"),
        ("v1.10.0", "mmlu:subject=a,model=a"),
        ("v1.10.0", "mmlu:subject=c,model=b"),
        ("v1.11.0-rc1", "mmlu:subject=d,model=b"),
    ]
    assert found.notes == (
        "v1.0.0/mmlu:subject=a,model=a is left out: v1.10.0 has a newer run of this name.",
        "v1.9.0/mmlu:subject=a,model=a is left out: v1.10.0 has a newer run of this name.",
    )


def test_several_versions_that_are_named_keep_their_runs(store: Listed) -> None:
    assert runs_of(find_runs("helm://lite/v1.9.0|v1.10.0", pattern="regex:mmlu.*a,.*")) == [
        ("v1.10.0", "mmlu:subject=a,model=a"),
        ("v1.9.0", "mmlu:subject=a,model=a"),
    ]


@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("helm://lit", "No benchmark in gs://crfm-helm-public is called 'lit'", "Did you mean 'lite'?"),
        ("helm://assets", "found air-bench, lite, new", None),
        ("helm://lite/v1.9", "None of the versions of lite is called 'v1.9'", "Did you mean 'v1.9.0'?"),
        ("helm://lite/v1.0.0/mmlu", "goes further than a version", "Choose runs by runs='PATTERN', or name"),
    ],
)
def test_what_is_not_there_is_an_error_with_what_is(store: Listed, url: str, message: str, hint: str | None) -> None:
    with pytest.raises(SourceNotFoundError, match=message.replace("(", r"\(")) as caught:
        HelmRuns(url)
    assert (caught.value.hint or "").startswith(hint or "")
    assert bool(caught.value.hint) == bool(hint)


def test_contradictions_are_refused(store: Listed) -> None:
    with pytest.raises(SettingError, match="another"):
        public_runs("helm://lite/v1.0.0", version="v1.9.0")
    with pytest.raises(SettingError, match="A version and a release"):
        public_runs("helm://lite", version="v1.9.0", release="v1.0.0")
    with pytest.raises(SettingError, match="names no benchmark"):
        public_runs("helm://")
    with pytest.raises(SettingError, match="no regular expression"):
        HelmRuns("helm://lite/regex:(")
    with pytest.raises(SourceNotFoundError, match="None of the releases of lite is called 'v9'"):
        find_runs(PublicRuns("lite", release="v9"))


def test_outputs_of_a_benchmark_have_the_versions_that_are_meant(store: Listed, tmp_path: Path) -> None:
    outputs = HelmOutputs("helm://lite", cache=tmp_path / "cache")
    assert (str(outputs.path), outputs.list_suites()) == (LITE, ["v1.10.0"])
    assert outputs.list_run_specs() == ["mmlu:subject=a,model=a", "mmlu:subject=c,model=b"]
    every = HelmOutputs("helm://lite", version="all", cache=tmp_path / "cache")
    assert every.list_suites() == ["v1.0.0", "v1.10.0", "v1.11.0-rc1", "v1.9.0"]
    assert len(every.runs()) == len(HelmRuns(every)) == 5
    assert len(HelmOutputs.coerce(every, partial=True).runs()) == 5
    assert every.suites("v1.9*").runs()[0].name == "mmlu:subject=a,model=a"
    with pytest.raises(NoRunsError, match="No suite"):
        outputs.suites("v1.9.0")
    assert str(HelmSuite("helm://lite/v1.9.0").path) == f"{LITE}/runs/v1.9.0"
    with pytest.raises(SourceNotFoundError, match="means several folders"):
        HelmSuite("helm://lite/all")
    with pytest.raises(SettingError, match="Only helm:// has versions"):
        HelmOutputs(tmp_path, version="all")
    with pytest.raises(SourceNotFoundError, match="means several benchmarks"):
        HelmOutputs("helm://lite|new")
    assert len(HelmRuns("helm://lite").refresh()) == 2
    assert written_out("helm://lite") == PublicRuns("lite")
