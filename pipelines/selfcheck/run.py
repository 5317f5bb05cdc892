"""A finished run, or the part of one that is there: its files, and its models on their device."""

from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from infra.nearby import require_run
from infra.store import Store, recorded_files
from schemas import rows
from schemas.artifacts import ASIDE, BPE, CLEAN_PAIRS, CLIP, DVAE, PRIOR, TOKEN_PAIRS, Artifact
from schemas.errors import ArtifactMissing
from schemas.folder import Folder, Inputs
from schemas.manifest import FileDigest
from stages.data.digests import file_digest
from stages.data.table import first, open_splits
from stages.models.dvae import Dvae
from stages.models.flops import prior_flops
from stages.models.prior import Prior
from stages.weights import load_dvae, load_prior

CHECKED = (CLEAN_PAIRS, BPE, DVAE, TOKEN_PAIRS, PRIOR, CLIP)
ROWS = 2  # token pairs to run the prior on
CPU_FLOPS = 1e13  # per check: some 40 seconds of two cores


class CheckResult(NamedTuple):
    """The outcome of one check."""

    ok: bool | None  # None: it could not be done
    message: str


class TokenSample(NamedTuple):
    """A few token pairs to run the prior on."""

    captions: list[str]
    text: Int[Tensor, "b T"]
    codes: Int[Tensor, "b I"]


class Run:
    """The newest run under a root, each model of it loaded at most once."""

    def __init__(self, root: str, *, gpu: bool = False) -> None:
        store = Store(root)
        require_run(store.top)
        self.device = torch.device("cuda" if gpu else "cpu")
        self.folders: dict[str, Folder] = {}
        for artifact in CHECKED:
            with suppress(ArtifactMissing):
                self.folders[artifact.name] = store.newest(artifact)
        self.inputs = Inputs(self.folders)
        self._files: dict[str, dict[str, FileDigest | None]] = {}

    def missing(self, needs: tuple[Artifact, ...]) -> list[str]:
        return [artifact.name for artifact in needs if artifact.name not in self.folders]

    def files(self, artifact: Artifact) -> Mapping[str, FileDigest | None]:
        """Hash the artifact's recorded files as they are now; None for one that is gone."""
        if artifact.name not in self._files:
            folder = self.inputs.folder(artifact)
            listed = recorded_files(folder, self.inputs.manifest(artifact))
            self._files[artifact.name] = {
                name: file_digest(folder, name) if folder.exists(name) else None
                for name in listed
                if not name.startswith(ASIDE)
            }
        return self._files[artifact.name]

    @cached_property
    def dvae(self) -> Dvae:
        return load_dvae(self.inputs.folder(DVAE)).to(self.device)

    @cached_property
    def prior(self) -> Prior:
        return load_prior(self.inputs.folder(PRIOR)).to(self.device)

    @cached_property
    def example(self) -> TokenSample:
        """The first token pairs of val, or of train if val is empty."""
        tokens = self.prior.tokens
        schema = rows.token_pair(text_len=tokens.text_len, grid=tokens.grid)
        folder = self.inputs.folder(TOKEN_PAIRS)
        _, table = open_splits(folder, schema)
        found = first(table, ("caption", "text", "image"), ROWS)
        text, codes = (
            torch.from_numpy(found[name].astype("int64")).to(self.device)
            for name in ("text", "image")
        )
        return TokenSample(found["caption"].tolist(), text, codes)

    def too_slow(self, forward_passes: int) -> str | None:
        """Explain that a CPU is too slow for so many rows of the prior; None if it is not."""
        flops = forward_passes * prior_flops(self.prior.tokens, self.prior.shape)
        if self.device.type != "cpu" or flops <= CPU_FLOPS:
            return None
        return f"takes {flops / 1e12:,.0f} TFLOP, too slow on a CPU; use --gpu"
