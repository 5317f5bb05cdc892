"""The report's view of single combinations: a map of colours by shapes, and the worst by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages import shapes

WORST = 4  # combinations of a set that are named
Judged = Sequence[tuple[str, Mapping[str, Any]]]  # sets of prompts, with their part of the report


@dataclass(frozen=True)
class Cell:
    """What was right of the prompts for one combination alone."""

    right: int
    prompts: int
    held_out: bool

    @property
    def share(self) -> float:
        """The share that was right."""
        return self.right / self.prompts


def grid(judged: Judged) -> dict[str, list[Cell | None]]:
    """Lay out by colour, then by shape, what was right; empty where nobody asked for single ones.

    Sets whose prompts name several things are left out: which of them failed is not known.
    """
    alone = [(name, row) for name, row in judged if _names_one(row)]
    cells = {
        (one["colour"], one["shape"]): Cell(one["reranked"], one["prompts"], name == "held_out")
        for name, row in alone
        for one in row["by_combination"]
    }
    if not cells:
        return {}
    return {
        colour: [cells.get((colour, shape)) for shape in shapes.SHAPES] for colour in shapes.COLOURS
    }


def worst(row: Mapping[str, Any]) -> str:
    """Name the combinations of a set of which the least is right."""
    every = row["by_combination"]
    failing = [one for one in every if one["reranked"] < one["prompts"]]
    whole = len(every) - len(failing)
    named = ", ".join(
        f"{one['colour']} {one['shape']} ({one['reranked']} of {one['prompts']})"
        for one in failing[:WORST]
    )
    if not failing:
        return "every prompt of every combination is right."
    return f"worst are {named}; {whole} of {len(every)} combinations are right every time."


def _names_one(row: Mapping[str, Any]) -> bool:
    return sum(one["prompts"] for one in row["by_combination"]) == row["prompts"]
