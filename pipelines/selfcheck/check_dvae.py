"""Check the discrete VAE: PSNR as in training, and codes that survive decoding and encoding."""

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from pipelines.selfcheck.run import CPU_FLOPS, CheckResult, Run
from schemas.artifacts import CLEAN_PAIRS, DVAE
from schemas.errors import SchemaMismatch
from stages.data.table import readable
from stages.evaluate.reconstructions import measured_pictures
from stages.models.fidelity import Psnr
from stages.models.flops import dvae_flops
from stages.pictures.tensors import from_tensor, to_tensor
from stages.train_dvae.task import VALIDATION_PICTURES
from stages.weights import DvaeConfig, read_config

ALLOWED_DB = 1.0  # on a CPU fewer pictures may be looked at than were in training
TILE = 16
FEWEST = 8


class Trip(NamedTuple):
    """Validation pictures put through the dVAE twice."""

    psnr_db: float
    codes: Int[Tensor, " n"]
    again: Int[Tensor, " n"]  # of the decoded pictures, rounded to 8 bits


def round_trip(run: Run) -> CheckResult:
    """Compare the PSNR of validation pictures with the training's, on the same pictures."""
    trip = travel(run)
    found = f"PSNR {trip.psnr_db:.2f} dB"
    trained = run.inputs.manifest(DVAE).health.get("psnr_db")
    if trained is None:
        return CheckResult(None, f"{found}; the manifest has none to compare")
    ok = abs(trip.psnr_db - trained) <= ALLOWED_DB
    return CheckResult(ok, f"{found} ({trained:.2f} in training, limit {ALLOWED_DB:g} dB)")


def codes_again(run: Run) -> CheckResult:
    """Encode decoded codes again: more of them must be equal than by chance."""
    trip = travel(run)
    equal = (trip.codes == trip.again).double().mean().item()
    frequency = trip.codes.bincount() / len(trip.codes)
    chance = frequency.square().sum().item()
    message = f"{equal:.1%} of {len(trip.codes):,} codes come back ({chance:.1%} by chance)"
    return CheckResult(equal > chance, message)


@lru_cache(maxsize=1)
def travel(run: Run) -> Trip:
    """Encode, decode and encode again the pictures that training validates on.

    On a CPU only as many of them as take a bounded time.
    """
    torch.backends.cudnn.allow_tf32 = False  # as in encode
    side = read_config(run.inputs.folder(DVAE), DvaeConfig).side
    with readable(run.inputs.folder(CLEAN_PAIRS).url):
        _, found = measured_pictures(run.inputs, side, _affordable(run, side))
    psnr = Psnr()
    codes: list[Tensor] = []
    again: list[Tensor] = []
    for start in range(0, len(found), TILE):
        pixels = to_tensor([one.pixels for one in found[start : start + TILE]]).to(run.device)
        codes.append(run.dvae.codes(pixels))
        drawn = run.dvae.decode(codes[-1])
        again.append(run.dvae.codes(to_tensor(from_tensor(drawn)).to(run.device)))
        psnr.add(drawn, pixels)
    if not found:
        raise SchemaMismatch("wanted a picture in clean_pairs, found none; run with --from filter")
    return Trip(psnr.db, torch.cat(codes).flatten(), torch.cat(again).flatten())


def _affordable(run: Run, side: int) -> int:
    if run.device.type != "cpu":
        return VALIDATION_PICTURES
    count = int(CPU_FLOPS / 2 / dvae_flops(run.dvae, side))  # half a pass more than this counts
    return max(FEWEST, min(count, VALIDATION_PICTURES))
