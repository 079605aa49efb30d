"""Calibration against statsmodels, and where there is none."""

import numpy as np
import pytest
from statsmodels.discrete.discrete_model import Logit
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools import add_constant

from magnet_arrow.statistics.calibration import calibrate


def _data(seed: int, n: int = 400, slope: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(1, 2, n)
    truths = (rng.random(n) < 1 / (1 + np.exp(-(0.3 + slope * logits)))).astype(float)
    return truths, 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(("seed", "slope"), [(0, 0.6), (1, 1.0), (2, -0.3)])
def test_slope_and_intercept_are_those_of_a_logistic_regression(seed: int, slope: float) -> None:
    truths, predicted = _data(seed, slope=slope)
    found = calibrate(truths, predicted)
    design = add_constant(np.log(predicted / (1 - predicted)))
    intercept, coefficient = Logit(truths, design).fit(disp=0, tol=1e-14).params
    assert found.slope == pytest.approx(coefficient, abs=1e-6)
    assert found.intercept == pytest.approx(intercept, abs=1e-6)
    assert found.why is None


def test_in_the_large_is_the_intercept_of_a_glm_with_an_offset() -> None:
    truths, predicted = _data(3)
    offset = np.log(predicted / (1 - predicted))
    glm = GLM(truths, np.ones((len(truths), 1)), family=Binomial(), offset=offset).fit(tol=1e-14)
    assert calibrate(truths, predicted).in_the_large == pytest.approx(glm.params[0], abs=1e-6)


def test_a_saturated_fit_is_the_logit_of_shares() -> None:
    # 3 of 4 right where 0.9 was said, 1 of 4 where 0.1 was said: logits ± log 3 at ± log 9, so the slope is ½.
    truths, predicted = np.array([1, 1, 1, 0, 1, 0, 0, 0.0]), np.repeat([0.9, 0.1], 4)
    found = calibrate(truths, predicted)
    assert (found.slope, found.intercept, found.in_the_large) == pytest.approx((0.5, 0, 0), abs=1e-6)


def test_probabilities_of_0_and_1_are_clipped() -> None:
    truths = np.array([1, 1, 0, 0, 1, 0.0])
    sure, nearly = np.array([1, 1, 1, 0, 0, 0.0]), np.repeat([1 - 1e-6, 1e-6], 3)
    assert calibrate(truths, sure) == calibrate(truths, nearly)


@pytest.mark.parametrize(
    ("truths", "predicted", "why"),
    [
        ([1.0, 1.0], [0.2, 0.4], "the truths are all equal"),
        ([0.0, 0.0], [0.2, 0.4], "the truths are all equal"),
        ([], [], "the truths are all equal"),
        ([0.0, 1.0, 1.0], [0.5, 0.5, 0.5], "the predictions are all equal"),
        ([0.0, 0.0, 1.0], [0.2, 0.4, 0.6], "a threshold separates the truths, so the slope is infinite"),
        ([0.0, 1.0, 1.0], [0.4, 0.4, 0.6], "a threshold separates the truths, so the slope is infinite"),
        ([1.0, 1.0, 0.0], [0.2, 0.4, 0.6], "a threshold separates the truths, so the slope is infinite"),
    ],
    ids=["all right", "all wrong", "no rows", "constant", "separable", "touching", "separable the other way"],
)
def test_a_slope_that_does_not_exist_is_none(truths: list[float], predicted: list[float], why: str) -> None:
    found = calibrate(np.array(truths), np.array(predicted))
    assert (found.slope, found.intercept, found.why) == (None, None, why)


def test_in_the_large_of_a_constant_is_the_difference_of_logits() -> None:
    found = calibrate(np.array([1.0, 1, 1, 0]), np.full(4, 0.5))
    assert found.in_the_large == pytest.approx(np.log(3), abs=1e-9)
    # Clipped, the logits are ±a with a = logit(1 − 1e-6). Shifted by a, two of four are 1 and two ½: 3 in all.
    extreme = calibrate(np.array([1.0, 1, 1, 0]), np.array([0.0, 1, 0, 1]))
    assert extreme.in_the_large == pytest.approx(np.log((1 - 1e-6) / 1e-6), abs=1e-9)


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 0.5])
def test_logits_of_any_spread_have_a_slope(factor: float) -> None:
    truths, predicted = _data(4)
    logits = np.log(predicted / (1 - predicted)) * factor
    found = calibrate(truths, 1 / (1 + np.exp(-logits)))
    plain = calibrate(truths, predicted)
    assert found.slope is not None
    assert plain.slope is not None
    assert found.slope * factor == pytest.approx(plain.slope, rel=1e-4)


def test_a_fit_that_starts_at_the_optimum_does_not_warn() -> None:
    # half right at either prediction: no slope at all; Newton's line search finds no better place
    found = calibrate(np.array([0, 1, 1, 1, 0, 0.0]), np.array([0.5, 0.5, 1e-9, 1e-9, 1e-9, 0.0]))
    assert (found.slope, found.intercept) == pytest.approx((0, 0), abs=1e-9)
