"""The panels of HELM Lite, which are part of the package."""

import pytest

from magnet_arrow.errors import SettingError
from magnet_arrow.examples.helm_lite import SCENARIOS, helm_lite, matrix

# As ../shared/BASELINES.md says of the data: models × items of each scenario.
SHAPES = {
    "commonsense": (83, 500),
    "gsm": (83, 1000),
    "legalbench": (79, 2047),
    "math": (83, 437),
    "med_qa": (83, 1000),
    "mmlu": (83, 567),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_shapes(scenario):
    scores, models = matrix(scenario)
    assert scores.shape == SHAPES[scenario]
    assert len(models) == len(set(models)) == SHAPES[scenario][0]
    assert set(scores.ravel()) == {0.0, 1.0}


def test_a_panel_has_the_matrix():
    scores, models = matrix("math")
    panel = helm_lite("math")
    assert panel.models == models
    assert (panel.matrix() == scores).all()


def test_a_scenario_that_is_not_there():
    with pytest.raises(SettingError, match="one of commonsense, gsm"):
        helm_lite("hellaswag")
