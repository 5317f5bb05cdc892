"""A metric's value with all that must stand beside it, and whether two such values compare.

Published values of FID cannot be had again because what they were made with is not said: the
network's weights, the reference pictures, the resizing (Parmar et al. 2022), the counts.
"""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints

from schemas.errors import UserError
from schemas.manifest import Record

ENOUGH = 10_000  # pictures; below, the bias of FID is larger than differences between models

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class FeatureNetwork(Record):
    """The network that made the features."""

    name: str
    sha256: Sha256 = Field(description="of its file of weights")


class ReferenceSet(Record):
    """The pictures that drawings are compared with."""

    name: str
    sha256: Sha256 = Field(description="of the list of its pictures' digests")
    count: PositiveInt


class Resize(Record):
    """How pictures came to the side that the network reads."""

    method: Literal["none", "area", "bilinear", "bicubic", "lanczos"]
    antialias: bool = Field(description="whether shrinking averages over all pixels")
    side: PositiveInt


class Reported(Record):
    """One value of one metric, and how it was made."""

    metric: str
    value: FiniteFloat
    standard_error: FiniteFloat | None = None
    interval: tuple[FiniteFloat, FiniteFloat] | None = Field(None, description="of 95 %")
    network: FeatureNetwork
    reference: ReferenceSet | None = Field(None, description="null where a metric needs none")
    resize: Resize
    count: PositiveInt = Field(description="drawn pictures")
    depends_on_count: bool = Field(
        description="whether the expected value changes with the number of pictures, as FID's does"
    )
    seed: NonNegativeInt | None = Field(None, description="null where nothing is random")
    parameters: dict[str, str | int | float] = Field(
        {}, description="what else decides the value: k, splits, estimator, blur radius"
    )

    @property
    def flag(self) -> str | None:
        """What must be said beside the value if there are too few pictures; else None."""
        counts = {"drawn": self.count}
        if self.reference is not None:
            counts["reference"] = self.reference.count
        few = [f"{count:,} {what}" for what, count in counts.items() if count < ENOUGH]
        return f"of only {' and '.join(few)} pictures, fewer than {ENOUGH:,}" if few else None


def comparable(a: Reported, b: Reported) -> tuple[str, ...]:
    """Return why two values must not be compared: what they were made with, where it differs.

    Empty if they may be. Seeds are free to differ, and counts where the value does not depend on
    them. A network or a reference is the same if its content is, whatever it is called.
    """
    with_count = a.depends_on_count or b.depends_on_count
    ours, theirs = _made_with(a, with_count=with_count), _made_with(b, with_count=with_count)
    nothing = _Part(None, "none")
    pairs = {
        what: (ours.get(what, nothing), theirs.get(what, nothing))
        for what in dict.fromkeys([*ours, *theirs])
    }
    return tuple(
        f"{what}: {one.words} and {other.words}"
        for what, (one, other) in pairs.items()
        if one.identity != other.identity
    )


def difference(a: Reported, b: Reported) -> float:
    """Return a - b. Raises UserError with the reasons if the two were made differently."""
    if reasons := comparable(a, b):
        raise UserError(
            f"two values of {a.metric} compare only if they were made alike; they differ in "
            f"{'; '.join(reasons)}: measure both with one command"
        )
    return a.value - b.value


class _Part(NamedTuple):
    """One thing that a value was made with: what tells it apart, and how it is written."""

    identity: object
    words: str


def _made_with(one: Reported, *, with_count: bool) -> dict[str, _Part]:
    resize = one.resize
    how = f"{resize.method} to {resize.side}, {'with' if resize.antialias else 'no'} antialias"
    found = {
        "metric": _Part(one.metric, one.metric),
        "feature network": _by_content(one.network),
        "resize": _Part(resize, how),
        **{name: _Part(value, str(value)) for name, value in one.parameters.items()},
    }
    if one.reference is not None:
        found["reference"] = _by_content(one.reference)
    if with_count:
        found["drawn pictures"] = _Part(one.count, f"{one.count:,}")
    return found


def _by_content(thing: FeatureNetwork | ReferenceSet) -> _Part:
    return _Part(thing.sha256, f"{thing.name} ({thing.sha256[:12]})")
