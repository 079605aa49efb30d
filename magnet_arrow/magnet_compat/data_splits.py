"""MAGNET's splits: they hold pandas frames, and their attributes can be set."""

from typing import TYPE_CHECKING, ClassVar

from magnet_arrow.errors import SettingError
from magnet_arrow.magnet_compat.frames import DotDictDataFrame
from magnet_arrow.schema.registry import TABLES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DataSplit", "SequesteredTestSplit", "TestSplit", "TrainSplit"]

_ANNOTATIONS = TABLES["scenario_state"].named("request_states.annotations")


class DataSplit:
    """Up to four frames of the same runs; None stands for a frame that is not given."""

    def __init__(
        self,
        run_specs: "pd.DataFrame | None" = None,
        scenario_state: "pd.DataFrame | None" = None,
        stats: "pd.DataFrame | None" = None,
        per_instance_stats: "pd.DataFrame | None" = None,
    ) -> None:
        self.run_specs = run_specs
        self.scenario_state = scenario_state
        self.stats = stats
        self.per_instance_stats = per_instance_stats


class TrainSplit(DataSplit):
    """The frames of the train runs."""


class TestSplit(DataSplit):
    """The frames of the held-out run, with its actual stats."""

    __test__: ClassVar[bool] = False  # pytest would collect it because of its name

    def sequester(self) -> "SequesteredTestSplit":
        """A copy of the part that a predictor may see: no stats, and none of the judges' annotations."""
        states = self.scenario_state
        if states is not None:
            hidden = DotDictDataFrame(states).prefix_subframe(_ANNOTATIONS).columns
            states = states.drop(columns=hidden).copy()
        return SequesteredTestSplit(None if self.run_specs is None else self.run_specs.copy(), states)


class SequesteredTestSplit(TestSplit):
    """Run spec and request states of the held-out run; its stats are None.

    Raises:
        SettingError: stats are given.
    """

    def __init__(
        self,
        run_specs: "pd.DataFrame | None" = None,
        scenario_state: "pd.DataFrame | None" = None,
        stats: None = None,
        per_instance_stats: None = None,
    ) -> None:
        if stats is not None or per_instance_stats is not None:
            raise SettingError("A SequesteredTestSplit holds no stats.", hint="Use a TestSplit.")
        super().__init__(run_specs, scenario_state)
