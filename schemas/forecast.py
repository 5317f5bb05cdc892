"""What a stage will take, said before it runs."""

from collections.abc import Sequence
from typing import NamedTuple


class PlanLine(NamedTuple):
    """One line of `--plan`: a quantity, its value, and a remark or the paper's value."""

    what: str
    value: str
    remark: str = ""


class Forecast(NamedTuple):
    """What an optional `forecast(cfg)` beside a stage's `run` returns."""

    cost: str  # a phrase for the table of stages
    lines: Sequence[PlanLine] = ()  # in detail, for a stage that is to run
    refusal: str = ""  # why it cannot run on the hardware of the settings, and what would fit
