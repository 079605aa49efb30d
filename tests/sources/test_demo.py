import importlib.util
import json
import lzma
import threading
from pathlib import Path

import pytest

from magnet_arrow.errors import CacheNotWritableError
from magnet_arrow.sources import demo

MY_SUITE = [
    f"mmlu:subject={subject},method=multiple_choice_joint,model=made_{model}"
    for subject in ("anatomy", "philosophy")
    for model in ("finch-1b", "owl-7b")
]
RUN_FILES = {"run_spec.json", "scenario.json", "scenario_state.json", "stats.json", "per_instance_stats.json"}
SHARED_DEMO = Path(__file__).parents[3] / "shared" / "data" / "demo" / "benchmark_output"


def test_the_demo_has_two_suites_and_nine_whole_runs(tmp_path: Path) -> None:
    outputs = demo.unpack(tmp_path / "new")
    assert outputs.name == "benchmark_output"
    assert sorted(suite.name for suite in outputs.joinpath("runs").iterdir()) == ["my-suite", "perturbed"]
    assert sorted(run.name for run in outputs.joinpath("runs/my-suite").iterdir()) == MY_SUITE
    runs = list(outputs.glob("runs/*/*"))
    assert len(runs) == 9
    for run in runs:
        assert {file.name for file in run.iterdir()} == RUN_FILES
        assert json.loads(run.joinpath("run_spec.json").read_bytes())["name"]


def test_a_second_unpack_writes_nothing(tmp_path: Path) -> None:
    outputs = demo.unpack(tmp_path)
    mark = outputs / "mark"
    mark.touch()
    assert demo.unpack(tmp_path) == outputs
    assert mark.exists()
    assert [path.name for path in tmp_path.iterdir()] == [outputs.parent.name]


def test_unpacks_at_the_same_moment_all_find_a_whole_demo(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    found: list[int] = []

    def one() -> None:
        start.wait()
        found.append(len(list(demo.unpack(tmp_path).glob("runs/*/*/stats.json"))))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [9] * 8
    assert len(list(tmp_path.iterdir())) == 1


def test_where_a_name_may_hold_no_colon_a_dash_stands_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_COLON", "-")
    outputs = demo.unpack(tmp_path)
    assert sorted(run.name for run in outputs.joinpath("runs/my-suite").iterdir()) == [
        name.replace(":", "-") for name in MY_SUITE
    ]


def test_a_folder_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()
    with pytest.raises(CacheNotWritableError, match=r"could not be unpacked into .*file") as caught:
        demo.unpack(tmp_path / "file")
    assert "MAGNET_ARROW_CACHE_DIR" in (caught.value.hint or "")


@pytest.mark.shared
@pytest.mark.skipif(not SHARED_DEMO.is_dir(), reason="no ../shared/data")
def test_the_archive_holds_what_helm_wrote(tmp_path: Path) -> None:
    outputs = demo.unpack(tmp_path)
    assert contents(outputs) == contents(SHARED_DEMO)


def test_packing_the_demo_again_gives_the_same_archive(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "data" / "make_demo.py"
    spec = importlib.util.spec_from_file_location("make_demo", script)
    assert spec
    assert spec.loader
    make_demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_demo)
    shipped = Path(demo.__file__).parents[1].joinpath("_demo.tar.xz").read_bytes()
    # Another version of the xz library may compress differently: it is the tar that is repeatable.
    assert lzma.decompress(make_demo.pack(demo.unpack(tmp_path))) == lzma.decompress(shipped)
    assert len(shipped) < 32_000


def contents(outputs: Path) -> dict[str, bytes]:
    return {file.relative_to(outputs).as_posix(): file.read_bytes() for file in outputs.rglob("*") if file.is_file()}
