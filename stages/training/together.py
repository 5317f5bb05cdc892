"""What all workers do or none: where one fails, all end, and all with its sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch.distributed as dist

from schemas.errors import UserError
from stages.training.task import Place

Told = TypeVar("Told")


@dataclass(frozen=True)
class Failure:
    """What a worker tells the others in place of what they wait for."""

    sentence: str
    for_people: bool  # not a fault of ours


class FailedElsewhere(RuntimeError):
    """Another worker could not do its part."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


@contextmanager
def together(place: Place, wanted: str) -> Iterator[None]:
    """Run a block on all workers; if one fails in it, none goes on.

    Where storage fails on one, each of them raises the same UserError. In the block workers may
    only meet in `heard`: there, or at the end, they hear of a failure.
    """
    try:
        yield
        heard(place, None)
    except FailedElsewhere as error:
        if error.failure.for_people:
            raise UserError(error.failure.sentence) from error
        raise
    except OSError as error:
        sentence = f"wanted {wanted}, found: {error}"
        _exchanged(place, Failure(sentence, for_people=True))
        raise UserError(sentence) from error
    except Exception as error:
        _exchanged(place, Failure(str(error), for_people=isinstance(error, UserError)))
        raise


def heard(place: Place, told: Told) -> list[Told]:
    """Return what every worker told, by rank; raise FailedElsewhere if one failed instead."""
    answers = []
    for each in _exchanged(place, told):
        if isinstance(each, Failure):
            raise FailedElsewhere(each)
        answers.append(each)
    return answers


def _exchanged(place: Place, told: Told | Failure) -> list[Told | Failure]:
    everyone: list[Told | Failure] = [told] * place.world
    if place.world > 1:
        dist.all_gather_object(everyone, told)
    return everyone
