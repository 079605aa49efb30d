"""The packaged table is looked at by `csv`; what it must cover is read from the dumps."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from large_dumps import SHARED

import magnet_arrow
from magnet_arrow.errors import BadFileError, FamilyNotFoundError, SourceNotFoundError
from magnet_arrow.predictions.model_families import model_families

PACKAGED = Path(magnet_arrow.__file__).parent / "predictions" / "model_families.csv"


def test_the_packaged_table_says_all_of_each_model() -> None:
    with PACKAGED.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert model_families().to_dicts() == rows
    assert len({row["model"].replace("/", "_") for row in rows}) == len(rows)
    assert all(all(row.values()) for row in rows)
    weights: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        weights.setdefault(row["weights"], set()).add((row["family"], row["organisation"]))
    assert all(len(families) == 1 for families in weights.values())


def test_the_same_weights_under_two_names() -> None:
    found = model_families(["together/Llama-3-70b-chat-hf", "groq/llama3-70b-8192", "huggingface/Meta-Llama-3-8B"])
    assert found["weights"].n_unique() == 2
    assert found["weights"][0] == found["weights"][1]
    assert set(found["family"]) == {"Llama"}


def test_models_as_runs_are_called_and_more_than_once() -> None:
    found = model_families(["01-ai_yi-6b", "01-ai/yi-6b", "01-ai_yi-6b"])
    assert found["model"].to_list() == ["01-ai_yi-6b", "01-ai/yi-6b", "01-ai_yi-6b"]
    assert found["family"].to_list() == ["Yi"] * 3
    assert model_families([]).is_empty()


def test_a_model_without_a_family_is_an_error_that_names_it() -> None:
    with pytest.raises(FamilyNotFoundError, match="2 models without a family: made/roc-9b, other/roc") as caught:
        model_families(["made/owl-7b", "made/roc-9b", "other/roc", "made/roc-9b"])
    assert "file=" in str(caught.value)


def test_a_file_of_ones_own_wins(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text('model,family,note\nmade/roc-9b,Roc,"a, b"\nmade_owl-7b,Night birds,\n', encoding="utf-8")
    found = model_families(["made/roc-9b", "made/owl-7b", "made/wren-3b"], file=own)
    assert found["family"].to_list() == ["Roc", "Night birds", "wren"]
    assert found.row(0) == ("made/roc-9b", "made/roc-9b", "Roc", None, "own.csv")
    assert model_families(file=own).height == model_families().height + 1


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("model,kin\na,b\n", "expected a column family, found model, kin"),
        ("model,family\na,\n", "model 'a', family None"),
        ('model,family\n"",b\n', "a model and its family"),
        ("model,family\na/b,x\na_b,y\n", "'a/b' has more than one row"),
        ("", "expected a CSV"),
        ("model,family\na,b,c\n", "expected a CSV"),
    ],
)
def test_a_file_that_says_no_families_is_refused(content: str, part: str, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text(content, encoding="utf-8")
    with pytest.raises(BadFileError, match=r"own\.csv") as caught:
        model_families(file=own)
    assert part in str(caught.value)
    with pytest.raises(SourceNotFoundError, match=r"none\.csv"):
        model_families(file=tmp_path / "none.csv")


def test_every_model_of_the_demo_has_a_family(demo_outputs: Path) -> None:
    model_families(models_of(demo_outputs))


@pytest.mark.slow
@pytest.mark.shared
def test_every_model_of_the_shared_data_has_a_family(shared_dumps: Callable[[str], Path]) -> None:
    names = [
        "mmlu",
        "bbq",
        "modelbench",
        "eee",
        "classic_022",
        "helm_made",
        "helm_old",
        "classic",
        "mmlu_made",
        "large",
    ]
    models = {model for name in names for model in models_of(shared_dumps(name))}
    assert {"groq/llama3-70b-8192", "made/condor-70b", "simple/model1"} <= models
    with np.load(SHARED / "data" / "helm_lite_scores.npz", allow_pickle=False) as arrays:
        assert len(arrays["models"]) == 83
        models |= set(arrays["models"].tolist())
    assert model_families(models)["family"].null_count() == 0


def models_of(folder: Path) -> set[str]:
    files = folder.glob("**/run_spec.json")
    return {json.loads(file.read_bytes())["adapter_spec"]["model"] for file in files}
