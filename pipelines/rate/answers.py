"""What raters saved: files of answers, each checked against the plan, and their votes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, Field, ValidationError

from pipelines.rate.make import PLAN
from pipelines.rate.rating_plan import RatingPlan
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.manifest import Record
from stages.evaluate.raters import FIRST, MISSING, NEITHER, SECOND, Choices
from stages.storage import reaching

TALLY, TALLY_PAGE = "tally.json", "tally.html"

Model = TypeVar("Model", bound=BaseModel)


class Answer(Record):
    """What a rater chose for one pair, and how long the pair was looked at."""

    pair: int
    realism: Literal["left", "right"]
    match: Literal["left", "right", "neither"]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Answers(Record):
    """The file that a rater's page saves."""

    format: Literal["dalle-ray rating"]
    version: Literal[1]
    plan: str
    rater: int
    answers: tuple[Answer, ...]


def read_plan(folder: Path) -> RatingPlan:
    """Return the plan; raise ArtifactMissing or SchemaMismatch if there is none of ours."""
    path = folder / PLAN
    if not path.is_file():
        raise ArtifactMissing(
            f"wanted a {PLAN} in {folder}, found none; make one with "
            "`python -m pipelines.rate make`, or give its folder"
        )
    return _read(RatingPlan, path, "the plan of a rating")


def read_answers(folder: Path, plan: RatingPlan) -> dict[str, Answers]:
    """Return the raters' files by name, in the order of raters.

    Raises ArtifactMissing if there are none, SchemaMismatch for a file that is none of theirs, is
    of another plan, or of a rater who has another file.
    """
    files = sorted(path for path in folder.glob("*.json") if path.name not in (PLAN, TALLY))
    if not files:
        raise ArtifactMissing(
            f"wanted the files that raters saved in {folder}, found none; put them there"
        )
    found = {path.name: _read(Answers, path, "what a rater's page saved") for path in files}
    owners: dict[int, str] = {}
    for name, answers in found.items():
        _require_of_plan(name, answers, plan)
        other = owners.setdefault(answers.rater, name)
        if other != name:
            raise SchemaMismatch(
                f"wanted one file of each rater, found two of rater {answers.rater}, {other} and "
                f"{name}; keep the newer one"
            )
    return dict(sorted(found.items(), key=lambda item: item[1].rater))


def _read(model: type[Model], path: Path, what: str) -> Model:
    with reaching(str(path), "the rating"):
        data = path.read_bytes()
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = " ".join(f"{where}: {first['msg']}".split()).removeprefix(": ")[:200]
        raise SchemaMismatch(
            f"wanted {what} in {path}, found another file ({said}); move it away"
        ) from None


def _require_of_plan(name: str, answers: Answers, plan: RatingPlan) -> None:
    """Raise SchemaMismatch unless these answer the questions that the plan asked that rater."""
    if answers.plan != plan.identity:
        raise SchemaMismatch(
            f"wanted answers to the plan {plan.identity}, found {name} of the plan {answers.plan}; "
            "move it to that plan's folder"
        )
    page = next((page for page in plan.pages if page.rater == answers.rater), None)
    numbers = [answer.pair for answer in answers.answers]
    if page is None or not set(numbers) <= set(page.pairs) or len(set(numbers)) < len(numbers):
        raise SchemaMismatch(
            f"wanted the answers of a rater of the plan, each pair of the page once, found others "
            f"in {name} of rater {answers.rater}; ask for the file that the page saves"
        )


@dataclass(frozen=True)
class Votes:
    """The answers of all raters to all pairs of the plan, sides turned back into pictures."""

    realism: Choices
    match: Choices
    seconds: Float[np.ndarray, "raters pairs"]  # nan where there is no answer
    left: Float[np.ndarray, " raters"]  # share of answers that found the left picture more real

    @property
    def both(self) -> Choices:
        """The votes on both questions side by side."""
        return np.concatenate([self.realism, self.match], axis=1)


def votes(plan: RatingPlan, answers: Sequence[Answers]) -> Votes:
    """Return what each rater chose, the raters as in `answers` and the pairs as in the plan."""
    place = {pair.number: place for place, pair in enumerate(plan.pairs)}
    first_is_left = {
        (page.rater, number): is_left
        for page in plan.pages
        for number, is_left in zip(page.pairs, page.first_is_left, strict=True)
    }
    size = len(answers), len(plan.pairs)
    realism, match = np.full(size, MISSING), np.full(size, MISSING)
    seconds, left = np.full(size, np.nan), np.zeros(len(answers))
    for row, one in enumerate(answers):
        for answer in one.answers:
            column, is_left = place[answer.pair], first_is_left[one.rater, answer.pair]
            realism[row, column] = _picture(answer.realism, is_left)
            match[row, column] = _picture(answer.match, is_left)
            seconds[row, column] = answer.seconds
            left[row] += (answer.realism == "left") / len(one.answers)
    return Votes(realism, match, seconds, left)


def _picture(chosen: str, first_is_left: bool) -> int:
    if chosen == "neither":
        return NEITHER
    return FIRST if (chosen == "left") == first_is_left else SECOND
