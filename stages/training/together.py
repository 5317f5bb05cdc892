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


class FailedElsewhere(UserError):
    """Another worker could not do its part."""


@contextmanager
def together(place: Place, wanted: str) -> Iterator[None]:
    """Run a block on all workers; if it fails on one, each of them raises UserError.

    In the block workers may only meet in `heard`: there, or at the end, they hear of a failure.
    """
    try:
        yield
        heard(place, None)
    except FailedElsewhere:
        raise
    except Exception as error:
        found = str(error) or type(error).__name__
        sentence = found if isinstance(error, UserError) else f"wanted {wanted}, found: {found}"
        _exchanged(place, Failure(sentence))
        raise UserError(sentence) from error


def heard(place: Place, told: Told) -> list[Told]:
    """Return what every worker told, by rank; raise FailedElsewhere if one failed instead."""
    everyone = _exchanged(place, told)
    answers = [each for each in everyone if not isinstance(each, Failure)]
    for each in everyone:
        if isinstance(each, Failure):
            raise FailedElsewhere(each.sentence)
    return answers


def _exchanged(place: Place, told: Told | Failure) -> list[Told | Failure]:
    everyone: list[Told | Failure] = [told] * place.world
    if place.world > 1:
        dist.all_gather_object(everyone, told)
    return everyone
