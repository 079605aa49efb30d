"""What is said of files that hold no scores, and that a CSV is read as a person means it."""

from pathlib import Path

import pytest

from magnet_arrow import rank
from magnet_arrow.errors import BadFileError, MagnetError

HEAD = "model,item,score\n"
BAD = {
    "nothing": (b"", "It holds no scores"),
    "no rows": (HEAD.encode(), "There are no rows"),
    "no scores": (f"{HEAD}ant,1,\nbee,1,\n".encode(), "No model has a score"),
    "a score in words": (f"{HEAD}ant,1,1\nbee,1,yes\n".encode(), "expected numbers or booleans, found 'yes'"),
    "a percentage": (f"{HEAD}ant,1,85%\n".encode(), "found '85%'"),
    "a row that is too long": (f"{HEAD}ant,1,1,1\n".encode(), "found more fields than defined in 'Schema'.$"),
    "a row that is too short": (f"{HEAD}ant,1,1\nant,2\n".encode(), r"Line 3 is too short.\n  expected 3 fields.* 2\."),
    "two columns of scores": (b"model,item,score,score\nant,1,1,0\n", "Two columns have the name 'score'"),
    "another encoding": (f"{HEAD}antïque,1,1\n".encode("latin-1"), "invalid utf-8"),
    "two scores": (f"{HEAD}ant,1,1\nant,1,0\n".encode(), "1 pair of model and item in more than one row"),
    "not a number": (f"{HEAD}ant,1,NaN\nant,2,1\n".encode(), "write null, or nothing in a CSV"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_without_scores_is_refused_in_words(what: str, tmp_path: Path) -> None:
    data, message = BAD[what]
    (tmp_path / "scores.csv").write_bytes(data)
    with pytest.raises(MagnetError, match=message):
        rank(tmp_path / "scores.csv")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MagnetError, match=r"There is no file .*scores\.csv"):
        rank(tmp_path / "scores.csv")


def test_a_csv_may_be_called_so_in_capitals_and_its_names_may_be_numbers(tmp_path: Path) -> None:
    (tmp_path / "SCORES.CSV").write_text(f"{HEAD}01,1,1\n1,1,0\n")
    assert rank(tmp_path / "SCORES.CSV").select("model", "score").rows() == [("01", 1.0), ("1", 0.0)]


def test_an_empty_last_field_is_a_missing_score(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(f'{HEAD}"ant,\n1",1,1\n"ant,\n1",2,\nbee,1,0\nbee,2,1\n')
    assert rank(tmp_path / "scores.csv")["n"].to_list() == [1, 2]


@pytest.mark.parametrize("name", ["scores.tsv", "notes"])
def test_a_file_of_another_kind_is_no_table(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("model\titem\tscore\nant\t1\t1\n")
    with pytest.raises(
        BadFileError, match=r"is no table of scores\.\n  expected a file named \.csv, \.npz or \.parquet"
    ):
        rank(tmp_path / name)
