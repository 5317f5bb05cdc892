"""Run the stage: shards of prompts, each drawn by an actor."""

import logging
import re
from collections import Counter

import pyarrow as pa
import torch

from schemas import rows
from schemas.errors import ConfigError
from schemas.folder import Folder, Inputs
from schemas.forecast import Forecast
from schemas.manifest import Result
from schemas.settings import SampleSettings
from stages.cpu_threads import use_threads
from stages.data.digests import digest_of_files
from stages.data.parquet import parquet_bytes
from stages.sample.completion import with_given_codes
from stages.sample.generator import Picture, load_generator
from stages.sample.prompts import Prompt, digest, pictures, prompts
from stages.sample.tile_size import agreed_tile
from stages.shards import Made, Shard, run_shards

REVISION = 6
LOG = logging.getLogger(__name__)

SLUG_LENGTH = 48  # characters of the prompt in a file name


def outside(cfg: SampleSettings) -> dict[str, str]:
    """Digest the user's file of prompts, and the pictures that are completed.

    The demo world's prompts need none: they follow from crawl's settings.
    """
    if cfg.prompts.kind != "file":
        return {}
    found = {"prompts": digest(cfg.prompts.path)}
    if cfg.given_rows:
        found["pictures"] = digest_of_files(sorted(pictures(cfg.prompts.path).items()))
    return found


def forecast(cfg: SampleSettings) -> Forecast:
    return Forecast(f"{cfg.candidates} candidates a prompt")


def run(inputs: Inputs, out: Folder, cfg: SampleSettings) -> Result:
    found = prompts(inputs, cfg.prompts, cfg.given_rows)
    tile, record = agreed_tile(inputs, out, cfg)
    size = cfg.prompts_per_shard
    shards = [
        Shard(
            name=f"shard-{number:05d}",
            payload=(f"table/shard-{number:05d}.parquet", found.kept[first : first + size]),
            rows=len(found.kept[first : first + size]) * cfg.candidates,
        )
        for number, first in enumerate(range(0, len(found.kept), size))
    ]
    outcome = run_shards(
        DrawShard,
        {"inputs": inputs, "cfg": cfg.model_copy(update={"tile": tile})},
        shards,
        out,
        what="sample: pictures",
        workers=cfg.run.workers,
        gpus=1.0 if cfg.run.gpu else 0.0,
    )
    rejects = dict(found.rejects + Counter(outcome.rejects))
    if not outcome.rows_out:
        raise ConfigError(
            "sample.prompts wants at least one picture that can be completed, found none: "
            f"{rejects}; mend them, or set sample.given_rows to 0"
        )
    truncated = {
        reader: sum(stats.health[f"truncated_for_{reader}"] for stats in outcome.stats)
        for reader in ("prior", "clip")
    }
    if truncated["clip"]:
        LOG.info(
            "sample: %d of %d prompts are longer than CLIP reads; their start decided the ranking",
            *(truncated["clip"], len(found.kept)),
        )
    return outcome.result(
        rows_in=found.listed,
        rejects=rejects,
        health={
            "tile": tile,
            "prompts": len(found.kept),
            "truncated_prompts": truncated["prior"],
            "truncated_for_clip": truncated["clip"],
        },
        files=outcome.files | record,
    )


class DrawShard:
    """One per actor: draws shards of prompts. Plain Python, so a test can call it without Ray."""

    def __init__(self, inputs: Inputs, cfg: SampleSettings) -> None:
        use_threads(cfg.run.threads)
        self.cfg = cfg
        self.generator = load_generator(inputs, cfg)

    def __call__(self, payload: tuple[str, list[Prompt]]) -> Made:
        """Draw a shard: its table of all candidates, and loose PNGs of the best."""
        name, listed = payload
        some, rejects = with_given_codes(listed, self.cfg.given_rows, self.generator)
        texts = [prompt.text for prompt in some]
        table: list[dict[str, object]] = []
        files: dict[str, bytes] = {}
        for prompt, ranked in zip(some, self.draw(some), strict=True):
            for picture in ranked:
                png = self.png(prompt, picture)
                kept = self.cfg.keep is None or picture.rank < self.cfg.keep
                file = None
                if kept:  # loose files sort by prompt, then by rank
                    number = f"{prompt.prompt_id:05d}-{picture.rank:03d}"
                    file = f"pictures/{number}-{slug(prompt.text)}.png"
                    files[file] = png
                stored = png if kept or not self.cfg.forget else None
                table.append(_row(prompt, picture, stored, file))
        # one row group per prompt, so that a reader can go through the table prompt by prompt
        files[name] = parquet_bytes(
            pa.Table.from_pylist(table, schema=rows.SAMPLE),
            {"row_group_size": self.cfg.candidates, "compression": "zstd"},
        )
        return Made(
            files=files,
            rows_in=len(listed),
            rows_out=len(table),
            rejects=dict(rejects),
            health={
                "truncated_for_prior": sum(map(self.generator.truncates, texts)),
                "truncated_for_clip": sum(map(self.generator.clip.truncates, texts)),
            },
        )

    def draw(self, some: list[Prompt]) -> list[list[Picture]]:
        if not some:
            return []
        given = torch.tensor([prompt.given for prompt in some], dtype=torch.long)
        return self.generator.draw(
            [prompt.text for prompt in some],
            range(self.cfg.candidates),
            self.cfg.seed,
            given=given.to(self.generator.device),
        )

    def png(self, prompt: Prompt, picture: Picture) -> bytes:
        """Encode a picture; the PNG's text says how to draw it again."""
        given = {
            "given_rows": str(self.cfg.given_rows),
            "given_codes": " ".join(map(str, prompt.given)),
        }
        return self.generator.png(picture, self.cfg.seed, given=given if prompt.given else None)


def slug(prompt: str) -> str:
    """Return the prompt's ASCII words, safe in any file name; `prompt` if it has none."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    return "-".join(words)[:SLUG_LENGTH].strip("-") or "prompt"


def _row(
    prompt: Prompt, picture: Picture, png: bytes | None, file: str | None
) -> dict[str, object]:
    names = ("prompt", "seed", "candidate", "clip_score", "log_likelihood", "rank")
    drawn = {name: getattr(picture, name) for name in names}
    asked = {"prompt_id": prompt.prompt_id, "set": prompt.set, "given": prompt.given or None}
    return drawn | asked | {"png": png, "file": file}
