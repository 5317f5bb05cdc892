"""Score the pairs of one shard.

Scores depend on no threshold, so a run with other thresholds reads them again.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from schemas import rows
from schemas.folder import Folder
from schemas.settings import MeasureSettings
from stages.data.parquet import PLAIN_FILE, parquet_bytes, row_groups
from stages.hashing import hash_bits
from stages.measure.boilerplate import boilerplate_share
from stages.measure.cleaning import clean_caption
from stages.measure.language import Language
from stages.measure.nsfw import Nsfw
from stages.measure.writing import TextReader
from stages.pictures.looks import contrast, glance, perceptual_hash
from stages.shards import Made

Row = dict[str, Any]


class MeasurePairs:
    """One per actor: turns a shard of PAIR rows into a shard of MEASURED rows, in their order."""

    def __init__(self, pairs: Folder, cfg: MeasureSettings) -> None:
        self.pairs = pairs
        self.language = Language()
        self.nsfw = Nsfw() if cfg.nsfw else None
        self.reader = TextReader() if cfg.writing else None
        self.agreement = None
        if cfg.clip:
            from stages.measure.agreement import Agreement  # importing transformers takes seconds

            self.agreement = Agreement(cfg.clip)

    def __call__(self, name: str) -> Made:
        measured = [
            row
            for group in row_groups(self.pairs, name, schema=rows.PAIR)
            for row in self.measure(group.to_pylist())
        ]
        table = pa.Table.from_pylist(measured, rows.MEASURED)
        return Made(
            files={name: parquet_bytes(table, PLAIN_FILE)},
            rows_in=len(measured),
            rows_out=len(measured),
        )

    def measure(self, pairs: Sequence[Row]) -> list[Row]:
        """Return the measurements of some rows, those of the picture only where there is one."""
        measured = [self._caption(pair) for pair in pairs]
        for row, pair in zip(measured, pairs, strict=True):
            if pair["status"] == "ok":
                row |= self._picture(pair)
        looked_at = [number for number, row in enumerate(measured) if "contrast" in row]
        if self.agreement is not None and looked_at:
            scores = self.agreement.scores(
                [pairs[number]["image"] for number in looked_at],
                [measured[number]["caption"] for number in looked_at],
            )
            for number, score in zip(looked_at, scores, strict=True):
                measured[number]["clip_score"] = score
        return measured

    def _caption(self, pair: Row) -> Row:
        caption = clean_caption(pair["caption"])
        return {
            "key": pair["key"],
            "caption": caption,
            "caption_digest": hash_bits(caption.casefold()),
            "sha256": pair["sha256"],
            "chars": len(caption),
            "words": len(caption.split()),
            "english": self.language.english(caption),
            "boilerplate": boilerplate_share(caption),
        }

    def _picture(self, pair: Row) -> Row:
        found = sizes(pair)
        seen = glance(pair["image"], pair["height"], pair["width"])
        if seen is None:
            return found  # the rules see that it could not be decoded
        found |= {"contrast": contrast(seen), "perceptual_hash": perceptual_hash(seen)}
        if self.nsfw is not None:
            found["nsfw"] = self.nsfw.score(pair["image"])
        if self.reader is not None:
            found["writing"], found["watermark"] = self.reader.read(pair["image"])
        return found


class MeasureCaptions(MeasurePairs):
    """Stands in for a shard whose pictures kill every worker: the rules call them undecodable."""

    def __init__(self, pairs: Folder, cfg: MeasureSettings) -> None:
        self.pairs, self.language, self.agreement = pairs, Language(), None

    def __call__(self, payload: tuple[str, str]) -> Made:  # type: ignore[override]
        return super().__call__(payload[0])

    def _picture(self, pair: Row) -> Row:
        return sizes(pair)


def sizes(pair: Row) -> Row:
    width, height = pair["original_width"], pair["original_height"]
    return {
        "aspect": max(width, height) / min(width, height),
        "short_side": min(pair["width"], pair["height"]),
    }
