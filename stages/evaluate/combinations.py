"""The report's view of single combinations: a map of colours by shapes, and the worst by name."""

from typing import NamedTuple

from schemas.run_report.accuracy_part import SetAccuracy
from stages import shapes
from stages.evaluate.charts import Judged

WORST = 4  # combinations of a set that are named


class MapCell(NamedTuple):
    """How many of the prompts that name a combination are right."""

    reranked: int
    prompts: int
    held_out: bool


def grid(judged: Judged) -> dict[str, list[MapCell | None]]:
    """Arrange what was right by colour, then by shape; None where no prompt names it alone.

    Sets whose prompts name several combinations are left out: which of them failed is not known.
    """
    cells = {
        (one.colour, one.shape): MapCell(one.reranked, one.prompts, name == "held_out")
        for name, row in judged
        if sum(one.prompts for one in row.by_combination) == row.prompts
        for one in row.by_combination
    }
    if not cells:
        return {}
    return {
        colour: [cells.get((colour, shape)) for shape in shapes.SHAPES] for colour in shapes.COLOURS
    }


def worst(row: SetAccuracy) -> str:
    """Name the combinations of a set for which the fewest prompts are right."""
    every = row.by_combination
    failing = [one for one in every if one.reranked < one.prompts]
    if not failing:
        return "every prompt of every combination is right."
    named = ", ".join(
        f"{one.colour} {one.shape} ({one.reranked} of {one.prompts})" for one in failing[:WORST]
    )
    whole = len(every) - len(failing)
    return f"worst are {named}; {whole} of {len(every)} combinations are right every time."
