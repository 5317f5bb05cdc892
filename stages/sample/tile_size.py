"""The tile: how many candidates are drawn at once, as many as the device's memory holds.

Chosen once for an artifact and recorded with it: the tile decides how arithmetic rounds, so a
killed run goes on with the same one, on whatever machine.
"""

import json
import os

import torch

from schemas.artifacts import PRIOR
from schemas.errors import ConfigError
from schemas.folder import Folder, Inputs
from schemas.manifest import FileDigest
from schemas.settings import LANE, SampleSettings, rows_of_lane
from stages.models.incremental_decoding import TileDecoder
from stages.models.on_meta import on_meta
from stages.models.prior import Prior
from stages.models.sampling import SamplingParams
from stages.shards import run_once
from stages.weights import PriorConfig, read_config

TILE = "tile.json"
LARGEST = {"cpu": 64, "cuda": 512}  # larger tiles are hardly faster there
SHARE = 0.7  # of the free memory; the rest is for the other models and for libraries
SCRATCH = 8  # temporary float64 arrays of a row's logits while a code is drawn


def agreed_tile(
    inputs: Inputs, out: Folder, cfg: SampleSettings
) -> tuple[int, dict[str, FileDigest]]:
    """Return the artifact's tile, and the file that records it where the settings give none."""
    if cfg.tile is not None:
        return cfg.tile, {}
    if out.exists(TILE):
        with out.open(TILE) as file:
            tile = int(json.load(file)["tile"])
    else:
        tile = run_once(tile_for_device, inputs, cfg, gpus=1.0 if cfg.run.gpu else 0.0)
    return tile, {TILE: out.commit(TILE, json.dumps({"tile": tile}).encode())}


def tile_for_device(inputs: Inputs, cfg: SampleSettings) -> int:
    """Choose a tile by the GPU's free memory, or a worker's share of half the machine's memory."""
    config = read_config(inputs.folder(PRIOR), PriorConfig)
    with on_meta():
        prior = Prior(config.tokens, config.shape)
    if cfg.run.gpu:
        return fitting_tile(prior, cfg, torch.cuda.mem_get_info()[0], LARGEST["cuda"])
    built_in = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return fitting_tile(prior, cfg, built_in // 2 // cfg.run.workers, LARGEST["cpu"])


def fitting_tile(prior: Prior, cfg: SampleSettings, free: int, largest: int) -> int:
    """Return the largest tile that fits into `free` bytes, LANE doubled up to `largest`.

    `prior` may be on the meta device. Raises ConfigError if not even one candidate fits.
    """
    tiles = [1] + [
        LANE << power for power in range(largest.bit_length()) if LANE << power <= largest
    ]
    weights = sum(weight.nbytes for weight in prior.parameters())
    room = SHARE * free - weights
    fitting = [tile for tile in tiles if bytes_of(prior, tile, cfg) <= room]
    if not fitting:
        raise ConfigError(
            f"sample: wanted memory for the prior and one picture, "
            f"{(weights + bytes_of(prior, 1, cfg)) / SHARE / 2**30:.1f} GiB, found "
            f"{free / 2**30:.1f} GiB free; use a larger device or fewer sample.run.workers"
        )
    return fitting[-1]


def bytes_of(prior: Prior, tile: int, cfg: SampleSettings) -> int:
    """Return the bytes that a tile takes besides the weights."""
    rows = rows_of_lane(tile)
    guided = SamplingParams(guidance=cfg.guidance).guided
    lanes = tile // rows * (2 if guided else 1)
    dtype = torch.bfloat16 if cfg.precision == "bfloat16" else torch.float32
    cache = TileDecoder(prior, lanes, rows, dtype).nbytes
    return cache + SCRATCH * torch.double.itemsize * lanes * rows * prior.tokens.image_vocab
