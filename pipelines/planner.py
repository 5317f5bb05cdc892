"""Plan a run: each stage's artifact, its fingerprint, and its state (see pipelines/runner.py)."""

import difflib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from infra.store import Store
from schemas.artifacts import Artifact
from schemas.errors import ConfigError
from schemas.folder import Folder, Inputs
from schemas.forecast import Forecast
from schemas.manifest import Manifest, Result
from schemas.settings import Config


class StageModule(Protocol):
    """What a stage's module must have.

    Optional: `outside(cfg) -> digests` of what is no artifact, and `forecast(cfg) -> Forecast` of
    what it will take.
    """

    REVISION: int  # to be raised when the same settings give another result

    def run(self, inputs: Inputs, out: Folder, cfg: Any) -> Result:
        """Write the artifact through `out`."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One line of a pipeline: the module to run, what it reads and writes, its settings."""

    module: StageModule
    reads: tuple[Artifact, ...]
    writes: Artifact
    config: Config

    @property
    def name(self) -> str:
        """The module's name, so the name in a log is the file to open."""
        return str(self.module.__name__).rsplit(".", 1)[-1]  # type: ignore[attr-defined]

    def outside(self) -> dict[str, str]:
        """Return a digest of every input that is not an artifact."""
        digests: Callable[[Any], dict[str, str]] = getattr(self.module, "outside", lambda cfg: {})
        return digests(self.config)

    def forecast(self) -> Forecast:
        """Return what the stage will take; empty where that depends on unseen data."""
        found: Callable[[Any], Forecast] = getattr(
            self.module, "forecast", lambda cfg: Forecast("")
        )
        return found(self.config)


# "check": finished, but an input will be made again and may come out different.
State = Literal["done", "run", "resume", "stale", "check"]


@dataclass(frozen=True)
class Step:
    """A stage with its artifact's address and whether it must run."""

    stage: Stage
    fingerprint: str
    inputs: Mapping[str, str]  # artifact name -> fingerprint
    outside: Mapping[str, str]
    state: State
    manifest: Manifest | None
    chosen: bool
    forced: bool

    @property
    def runs(self) -> bool:
        """Whether the stage is selected and has, or may have, something to do."""
        return self.chosen and self.state != "done"

    @property
    def address(self) -> str:
        return f"{self.stage.writes.name}/{self.fingerprint}"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The stages to run, as named on the command line."""

    first: str | None = None
    last: str | None = None
    only: str | None = None
    force: Sequence[str] = field(default=())

    def names(self, stages: Sequence[Stage]) -> set[str]:
        """Return the selected stages' names; raise ConfigError for an impossible selection."""
        known = [stage.name for stage in stages]
        for wanted in (self.first, self.last, self.only, *self.force):
            if wanted is not None and wanted not in known:
                close = difflib.get_close_matches(wanted.lower(), known, n=1, cutoff=0.5)
                hint = f"did you mean '{close[0]}'? " if close else ""
                raise ConfigError(
                    f"there is no stage '{wanted}'; {hint}the stages are {', '.join(known)}"
                )
        start = known.index(self.first) if self.first else 0
        end = known.index(self.last) if self.last else len(known) - 1
        if start > end:
            raise ConfigError(f"--from {self.first} comes after --until {self.last}")
        if self.only is not None and (self.first or self.last):
            raise ConfigError("--only runs one stage alone; leave --from and --until out")
        chosen = {self.only} if self.only is not None else set(known[start : end + 1])
        for wanted in self.force:
            if wanted not in chosen:
                raise ConfigError(
                    f"--force {wanted} must name a selected stage; selected are "
                    f"{', '.join(name for name in known if name in chosen)}"
                )
        return chosen


def wire(stages: Sequence[Stage]) -> None:
    """Raise ConfigError if a stage reads what no earlier stage writes."""
    known: set[str] = set()
    for stage in stages:
        for wanted in stage.reads:
            if wanted.name not in known:
                raise ConfigError(
                    f"{stage.name} reads '{wanted.name}', but no earlier stage writes it; "
                    f"available here: {', '.join(sorted(known)) or 'nothing'}"
                )
        known.add(stage.writes.name)


def fingerprint_of(stage: Stage, inputs: Mapping[str, str], outside: Mapping[str, str]) -> str:
    """Hash all that decides the artifact's content to twelve hex digits."""
    recipe = [stage.name, stage.module.REVISION, stage.config.digest, sorted(inputs.items()),
              sorted(outside.items())]  # fmt: skip
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def plan(stages: Sequence[Stage], store: Store, selection: Selection) -> list[Step]:
    """Compute each stage's fingerprint and state."""
    wire(stages)
    chosen = selection.names(stages)
    steps: dict[str, Step] = {}
    for stage in stages:
        sources = [steps[artifact.name] for artifact in stage.reads]
        inputs = {s.stage.writes.name: s.fingerprint for s in sources}
        outside = stage.outside()
        fingerprint = fingerprint_of(stage, inputs, outside)
        manifest = store.manifest(stage.writes.name, fingerprint)
        forced = stage.name in selection.force
        if manifest is None:
            state: State = (
                "resume" if store.folder(stage.writes.name, fingerprint).list() else "run"
            )
        else:
            state = "run" if forced else state_of(manifest, sources)
        steps[stage.writes.name] = Step(
            stage=stage,
            fingerprint=fingerprint,
            inputs=inputs,
            outside=outside,
            state=state,
            manifest=manifest,
            chosen=stage.name in chosen,
            forced=forced,
        )
    return list(steps.values())


def state_of(manifest: Manifest, sources: Sequence[Step]) -> State:
    """Return the state of a finished artifact, by the content of its inputs."""
    for source in sources:
        was = manifest.inputs[source.stage.writes.name].content_sha256
        if source.manifest is not None and source.manifest.content_sha256 != was:
            return "stale"
    return "check" if any(source.runs for source in sources) else "done"
