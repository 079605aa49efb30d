"""Real outcomes of 83 models on six scenarios of HELM Lite: what predictors can be told apart on.

From https://github.com/socialfoundations/benchmark-prediction, MIT licence (`helm_lite_scores.LICENSE`), the data of
G. Zhang, F. E. Dorner and M. Hardt, "How Benchmark Prediction from Fewer Data Misses the Mark", NeurIPS 2025,
arXiv 2506.07673; repacked.
"""

from importlib import resources
from typing import Any, Literal, TypeAlias, get_args

from magnet_arrow import Panel
from magnet_arrow.errors import MissingPackageError, SettingError

Scenario: TypeAlias = Literal["commonsense", "gsm", "legalbench", "math", "med_qa", "mmlu"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)


def helm_lite(scenario: Scenario) -> Panel:
    """The panel of one scenario: 83 models (legalbench: 79 without names), 437 to 2,047 items, scores 0 or 1.

    There are no texts: items are numbered.

    Raises:
        MissingPackageError: NumPy is not installed.
        SettingError: there is no such scenario.

    >>> helm_lite("mmlu")
    <Panel 83 models × 567 items>
    """
    import polars as pl

    scores, models = matrix(scenario)
    frame = pl.DataFrame(
        {
            "model": [name for name in models for _ in range(scores.shape[1])],
            "item": list(range(scores.shape[1])) * scores.shape[0],
            "score": scores.ravel(),
        }
    )
    return Panel.from_frame(frame, model="model", item="item", score="score")


def matrix(scenario: Scenario) -> tuple[Any, list[str]]:
    """The scores as float64, models × items, and the names of the models.

    Raises:
        MissingPackageError: NumPy is not installed.
        SettingError: there is no such scenario.
    """
    if scenario not in SCENARIOS:
        raise SettingError.among("scenario", scenario, SCENARIOS)
    try:
        import numpy as np
    except ImportError as error:
        raise MissingPackageError("HELM Lite's scores need NumPy.", hint="pip install 'magnet-arrow[panel]'") from error
    with resources.files(__package__).joinpath("helm_lite_scores.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        bits, n_items = arrays[scenario], int(arrays[f"{scenario}_items"])
        named = [str(name) for name in arrays["models"]]
    scores = np.unpackbits(bits, axis=1, count=n_items).astype(np.float64)
    models = named if len(named) == len(scores) else [f"model {row}" for row in range(len(scores))]
    return scores, models
