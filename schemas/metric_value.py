"""A metric's value with all that must stand beside it.

Published values of FID cannot be had again because what they were made with is not said: the
network's weights, the reference pictures, the resizing (Parmar et al. 2022), the counts.
"""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints

from schemas.manifest import Record

ENOUGH = 10_000  # pictures; below, the bias of FID is larger than differences between models

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class FeatureNetwork(Record):
    """The network that made the features."""

    name: str
    sha256: Sha256 = Field(description="of its file of weights; without weights, of its definition")


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
