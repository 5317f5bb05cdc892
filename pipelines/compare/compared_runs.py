"""The runs that are compared: their reports, and what is left of the artifacts behind them."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase

from infra.folders import open_folder
from infra.paths import is_remote, normal
from infra.store import Store, read_manifest
from schemas.artifacts import REPORT, REPORT_JSON, Artifact
from schemas.errors import ArtifactMissing, ConfigError
from schemas.folder import Folder
from schemas.manifest import MANIFEST, Manifest
from schemas.run_report import Report, parse_report

MOST = 5  # that fit into 80 columns side by side


@dataclass(frozen=True)
class ComparedRun:
    """A finished run: its report, and its root, without which neither curves nor drawings."""

    letter: str
    place: str  # as it was given
    report: Report
    sha256: str  # of report.json
    manifest: Manifest | None = None  # of the report
    store: Store | None = None

    @cached_property
    def manifests(self) -> dict[str, Manifest]:
        """Return those manifests of the run's stages that are still there, by stage."""
        found = {} if self.manifest is None else {self.manifest.stage: self.manifest}
        if self.store is not None:
            for stage, record in self.report.stages.items():
                if (manifest := read_manifest(self.store.at(record.artifact))) is not None:
                    found[stage] = manifest
        return found

    @property
    def artifacts(self) -> dict[str, str]:
        """Return the address of what each stage made, by stage."""
        found = {stage: record.artifact for stage, record in self.report.stages.items()}
        if self.manifest is not None:
            found[self.manifest.stage] = f"{self.manifest.artifact}/{self.manifest.fingerprint}"
        return found

    def folder(self, artifact: Artifact) -> Folder | None:
        """Return an artifact that the report was made of; None if it is not at hand."""
        if self.store is None:
            return None
        for address in self.artifacts.values():
            if address.startswith(f"{artifact.name}/"):
                folder = self.store.at(address)
                return folder if folder.exists(MANIFEST) else None
        return None


def read_runs(places: Sequence[str]) -> list[ComparedRun]:
    """Read the reports of runs; raise an error of one sentence for what is no finished run."""
    if not 2 <= len(places) <= MOST:
        raise ConfigError(
            f"wanted 2 to {MOST} runs, found {len(places)}; give their roots, or report.json files"
        )
    return list(_read(places))


def _read(places: Sequence[str]) -> Iterator[ComparedRun]:
    for letter, place in zip(ascii_uppercase, places, strict=False):
        address = normal(place, name="a run")
        folder, name = _report_of(address if is_remote(address) else os.path.abspath(address))
        with folder.open(name) as file:
            data = file.read()
        report = parse_report(data, f"{folder.url}/{name}")
        manifest = read_manifest(folder)
        store = None if manifest is None else Store(folder.url.rsplit("/", 2)[0])
        sha256 = hashlib.sha256(data).hexdigest()
        yield ComparedRun(letter, place, report, sha256, manifest, store)


def _report_of(place: str) -> tuple[Folder, str]:
    """Return where the report of a place is: a report.json, the folder of one, or a run's root."""
    above, _, name = place.rpartition("/")
    if name.endswith(".json"):
        folder = open_folder(above or "/")
        if not folder.exists(name):
            raise ArtifactMissing(f"wanted a report.json, found no file {place}; mend the path")
        return folder, name
    folder = open_folder(place)
    if not folder.exists(REPORT_JSON):
        return Store(place).newest(REPORT), REPORT_JSON
    if not folder.exists(MANIFEST):
        raise ArtifactMissing(
            f"wanted a finished report, found {place} without a manifest: evaluate is at work, or "
            "was stopped; run it to its end"
        )
    return folder, REPORT_JSON
