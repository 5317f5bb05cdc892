"""What sample does: prompts into shards, shards onto actors."""

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
from stages.data.digests import digest_of_files
from stages.data.parquet import parquet_bytes
from stages.pictures import encode_png
from stages.sample.artist import Drawn, load_artist
from stages.sample.given import with_codes
from stages.sample.prompts import Prompt, digest, pictures, prompts
from stages.sample.tile_size import agreed_tile
from stages.shards import Made, Shard, run_shards

REVISION = 4
LOG = logging.getLogger(__name__)

SLUG_LENGTH = 48  # characters of the prompt in a file's name


def outside(cfg: SampleSettings) -> dict[str, str]:
    """Digest the prompts a user gave, and the pictures that are completed.

    The world's prompts are a function of settings that crawl has.
    """
    if cfg.prompts.kind != "file":
        return {}
    found = {"prompts": digest(cfg.prompts.path)}
    if cfg.given_rows:
        found["pictures"] = digest_of_files(sorted(pictures(cfg.prompts.path).items()))
    return found


def forecast(cfg: SampleSettings) -> Forecast:
    """Return how much there is to draw."""
    return Forecast(f"{cfg.candidates} candidates a prompt")


def run(inputs: Inputs, out: Folder, cfg: SampleSettings) -> Result:
    """Draw and rank every prompt's candidates."""
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
    cut = {
        reader: sum(stats.health[f"truncated_for_{reader}"] for stats in outcome.stats)
        for reader in ("prior", "clip")
    }
    if cut["clip"]:
        LOG.info(
            "sample: %d of %d prompts are longer than CLIP reads, and were ranked by their start",
            *(cut["clip"], len(found.kept)),
        )
    return Result(
        rows_in=found.given,
        rows_out=outcome.rows_out,
        rejects=rejects,
        health={
            "tile": tile,
            "prompts": len(found.kept),
            "truncated_prompts": cut["prior"],
            "truncated_for_clip": cut["clip"],
        },
        files=outcome.files | record,
    )


class DrawShard:
    """One per actor. Plain Python, so a test can call it without Ray."""

    def __init__(self, inputs: Inputs, cfg: SampleSettings) -> None:
        torch.set_num_threads(cfg.run.threads)
        self.cfg = cfg
        self.artist = load_artist(inputs, cfg)

    def __call__(self, payload: tuple[str, list[Prompt]]) -> Made:
        """Draw some prompts: their table, and loose PNGs of the best."""
        name, listed = payload
        some, rejects = self.kept(listed)
        texts = [prompt.text for prompt in some]
        table: list[dict[str, object]] = []
        files: dict[str, bytes] = {}
        for prompt, ranked in zip(some, self.draw(some), strict=True):
            for drawn in ranked:
                png = self.png(prompt, drawn)
                kept = self.cfg.keep is None or drawn.rank < self.cfg.keep
                file = loose_file(prompt, drawn) if kept else None
                if file is not None:
                    files[file] = png
                seen = png if kept or not self.cfg.forget else None
                table.append(_row(prompt, drawn, seen, file))
        # One row group per prompt, so that a reader can go through the table prompt by prompt.
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
                "truncated_for_prior": sum(map(self.artist.truncates, texts)),
                "truncated_for_clip": sum(map(self.artist.clip.truncates, texts)),
            },
        )

    def kept(self, listed: list[Prompt]) -> tuple[list[Prompt], Counter[str]]:
        """Return the prompts with the codes they begin with; count those that cannot be drawn."""
        if not self.cfg.given_rows:
            return listed, Counter()
        return with_codes(listed, self.cfg.given_rows, self.artist)

    def draw(self, some: list[Prompt]) -> list[list[Drawn]]:
        """Draw and rank every prompt's candidates."""
        if not some:
            return []
        given = torch.tensor([prompt.given for prompt in some], dtype=torch.long)
        return self.artist.draw(
            [prompt.text for prompt in some],
            range(self.cfg.candidates),
            self.cfg.seed,
            given=given.to(self.artist.device),
        )

    def png(self, prompt: Prompt, drawn: Drawn) -> bytes:
        """Return a PNG that says how to draw it again; its bytes do not depend on its rivals."""
        text = self.artist.about(prompt.text, drawn, run_seed=self.cfg.seed)
        if prompt.given:
            text |= {
                "given_rows": str(self.cfg.given_rows),
                "given_codes": " ".join(map(str, prompt.given)),
            }
        return encode_png(drawn.pixels, text)


def slug(prompt: str) -> str:
    """Return words of the prompt that are safe in a file name anywhere."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    return "-".join(words)[:SLUG_LENGTH].strip("-") or "prompt"


def loose_file(prompt: Prompt, drawn: Drawn) -> str:
    """Name the loose PNG of a picture: files sort by prompt, then by rank."""
    return f"pictures/{prompt.prompt_id:05d}-{drawn.rank:03d}-{slug(prompt.text)}.png"


def _row(prompt: Prompt, drawn: Drawn, png: bytes | None, file: str | None) -> dict[str, object]:
    return {
        "prompt_id": prompt.prompt_id,
        "prompt": prompt.text,
        "set": prompt.set,
        "seed": drawn.seed,
        "candidate": drawn.candidate,
        "clip_score": drawn.clip_score,
        "rank": drawn.rank,
        "given": prompt.given or None,
        "png": png,
        "file": file,
    }
