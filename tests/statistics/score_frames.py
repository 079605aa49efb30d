"""Frames of predictions that are scored, and the jackknife of a statistic of them."""

from typing import Any

import numpy as np
import polars as pl

from magnet_arrow import score


def predictions(n: int = 300, seed: int = 0, *, binary: bool = False) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    predicted = rng.random(n)
    actual = (rng.random(n) < predicted).astype(float) if binary else np.clip(predicted + rng.normal(0, 0.2, n), 0, 1)
    return pl.DataFrame(
        {
            "predictor": rng.choice(["first", "second"], n),
            "model": rng.choice([f"m{i}" for i in range(8)], n),
            "item": rng.choice([f"i{i}" for i in range(12)], n),
            "fold": rng.integers(0, 6, n),
            "predicted": predicted,
            "actual": actual,
            "train_mean": rng.choice([0.4, 0.6], n),
            "train_median": rng.choice([0.3, 0.5], n),
        }
    )


def only_row(frame: pl.DataFrame, **options: Any) -> dict[str, Any]:
    """The only row of the scores of a frame, without intervals unless a level is given."""
    found = score(frame, **{"level": None} | options)
    assert found.height == 1
    return found.row(0, named=True)


def jackknife(frame: pl.DataFrame, factors: list[str], statistic: Any) -> tuple[float, float]:
    """The two-way cluster jackknife, written out: variance and degrees of freedom."""
    estimate = statistic(frame)

    def variance(columns: list[str]) -> float:
        levels = frame.select(columns).unique().rows()
        of_row = frame.select(columns).rows()
        without = [statistic(frame.filter([row != level for row in of_row])) for level in levels]
        return (len(levels) - 1) / len(levels) * sum((value - estimate) ** 2 for value in without)

    alone = [variance([name]) for name in factors]
    total = alone[0] if len(factors) == 1 else max(*alone, sum(alone) - variance(factors))
    return total, min(frame[name].n_unique() for name in factors) - 1
