"""score.json: every number with what it was made with; equal evaluations write equal bytes."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from pipelines.score.problems import Problem
from schemas.errors import ConfigError
from schemas.manifest import Record
from stages.metrics.reported import FeatureNetwork, Reported, comparable

FORMAT_VERSION: Literal[2] = 2
BENCHMARKS = ("MS-COCO", "CUB")  # formats of captions
PROGRAMS = ("dalle-ray", "torch", "transformers", "numpy", "scipy", "pillow",
            "opencv-python-headless")  # fmt: skip


class Captions(Record):
    """The captions that pictures were drawn for, and how they were chosen."""

    name: str
    sha256: str
    format: str
    listed: int
    chosen: int
    seed: int
    problems: tuple[Problem, ...]


class Overlap(Record):
    """The list of reference pictures that some numbers leave out."""

    name: str
    sha256: str
    listed: int
    found: int


class ReferenceSide(Record):
    """The pictures that drawings are compared with; numbers have its hash and count themselves."""

    name: str
    problems: tuple[Problem, ...]
    overlap: Overlap | None


class ShownShapes(Record):
    """How many drawings show what their captions say, by the judge of the demo's world.

    Intervals are of 95 %, of combinations of colour and shape rather than of captions.
    """

    captions: int
    right: float = Field(description="every colour and shape that the caption names is there")
    right_interval: tuple[float, float]
    whole: float = Field(description="all that the caption says is so: size, place, ... as well")
    whole_interval: tuple[float, float]


class Fidelity(Record):
    """How close a dVAE's reconstructions are to their pictures, cut to its side."""

    pictures: int
    psnr_db: float = Field(description="of the mean squared error over all pictures")
    ssim: float
    lpips: float | None = Field(description="null if no network was handed in")
    lpips_network: FeatureNetwork | None


class System(Record):
    """One system that was measured, and its numbers."""

    name: str
    pictures: str  # the name of the folder
    sha256: str  # of the list of its pictures' digests
    count: int
    best_of: int
    called: str
    problems: tuple[Problem, ...]
    values: tuple[Reported, ...]
    fidelity: Fidelity | None = Field(None, description="null unless they are reconstructions")
    shown: ShownShapes | None = Field(
        None, description="null unless all captions are the demo world's"
    )


class PublishedRow(Record):
    """What a paper says of a system: not measured here, and by another protocol."""

    system: str
    dataset: str
    source: str
    protocol: str
    fid: Mapping[float, float]  # by blur radius
    inception_score: Mapping[float, float] = {}


class ScoreFile(Record):
    """All of an evaluation."""

    format_version: Literal[2] = FORMAT_VERSION
    made_with: Mapping[str, str]
    side: int
    radii: tuple[float, ...]
    captions: Captions | None
    reference: ReferenceSide
    systems: tuple[System, ...]
    published: tuple[PublishedRow, ...]

    @property
    def problems(self) -> list[tuple[str, Problem]]:
        """All problems, each with whose it is."""
        of_captions = [("captions", p) for p in self.captions.problems] if self.captions else []
        of_reference = [("reference", problem) for problem in self.reference.problems]
        of_systems = [(label(one), problem) for one in self.systems for problem in one.problems]
        return [*of_captions, *of_reference, *of_systems]

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=2).encode() + b"\n"


def label(system: System) -> str:
    return system.name + best_of(system)


def best_of(system: System) -> str:
    """Return what the label says of the number of candidates."""
    return "" if system.best_of == 1 else f", best of {system.best_of}"


def programs() -> dict[str, str]:
    """Return the versions of what computes."""
    return {name: version(name) for name in PROGRAMS}


def read_score_file(address: str) -> ScoreFile:
    """Read an earlier evaluation; raise ConfigError for another file."""
    try:
        return ScoreFile.model_validate_json(Path(address).read_bytes())
    except OSError as error:
        raise ConfigError(
            f"--beside: wanted a score.json at '{address}', found {error.strerror}; give another"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"--beside: wanted a score.json of format {FORMAT_VERSION} in '{address}', found "
            f"{place}: {first['msg']}; score those pictures again"
        ) from error


def require_comparable(ours: ScoreFile, other: ScoreFile, address: str) -> None:
    """Raise ConfigError unless the numbers of both with one name were made in the same way."""
    if not _same_captions(ours.captions, other.captions):
        raise ConfigError(
            f"--beside: wanted numbers of the same captions, found in '{address}' those of "
            f"{_called(other.captions)}, and here {_called(ours.captions)}; score both with one "
            "file of captions"
        )
    known = {identity(value): value for one in ours.systems for value in one.values}
    for system in other.systems:
        for value in system.values:
            mine = known.get(identity(value))
            reasons = comparable(mine, value) if mine is not None else ()
            if reasons:
                raise ConfigError(
                    f"--beside: wanted numbers that were made alike, found in '{address}' a "
                    f"{value.metric} that differs in {'; '.join(reasons)}; score both in one way"
                )
    if not any(identity(value) in known for one in other.systems for value in one.values):
        raise ConfigError(
            f"--beside: wanted numbers of the same networks and metrics, found none in "
            f"'{address}'; score both in one way"
        )


def _same_captions(ours: Captions | None, other: Captions | None) -> bool:
    """Return whether both are of one benchmark, whichever were chosen of it, or of one file."""
    if ours is None or other is None:
        return True  # there is then no number that looks at captions
    of_benchmark = ours.format == other.format and ours.format in BENCHMARKS
    return of_benchmark or ours.sha256 == other.sha256


def _called(captions: Captions | None) -> str:
    return f"{captions.name} ({captions.format})" if captions else "none"


def identity(value: Reported) -> tuple[str, str, object, bool]:
    """Return what a reader takes for one thing: metric, network, radius, with overlaps or not."""
    radius, part = value.parameters.get("blur_radius"), value.parameters.get("overlap")
    return value.metric, value.network.name, radius, part is not None
