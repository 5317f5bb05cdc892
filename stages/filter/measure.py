"""First pass: measure each pair of a shard by itself.

What is measured does not depend on any threshold, so it is kept in a folder of its own, from which
a run with other thresholds goes on.
"""

import hashlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import rows
from schemas.folder import Folder
from schemas.settings import FilterSettings
from stages.data.parquet import PLAIN_FILE, parquet_bytes
from stages.filter.boilerplate import boilerplate_share
from stages.filter.cleaning import clean_caption
from stages.filter.language import Language
from stages.filter.looks import contrast, glance, perceptual_hash
from stages.filter.nsfw import Nsfw
from stages.filter.parts import Row
from stages.filter.rules import aspect
from stages.filter.writing import Reader
from stages.shards import Made

REVISION = 2  # raised when the same settings come to measure something else


class MeasurePairs:
    """One per actor: turns a shard of PAIR rows into a shard of MEASURED rows, in their order."""

    def __init__(self, pairs: Folder, cfg: FilterSettings) -> None:
        self.pairs = pairs
        self.language = Language()
        self.nsfw = Nsfw() if cfg.nsfw.measure else None
        self.reader = Reader() if cfg.writing.measure else None
        self.agreement = None
        if cfg.clip.path:
            from stages.filter.agreement import Agreement  # seconds, for transformers

            self.agreement = Agreement(cfg.clip.path)

    def __call__(self, name: str) -> Made:
        """Measure the shard called `name`."""
        measured = [row for group in read_groups(self.pairs, name) for row in self.measure(group)]
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
            "caption_digest": digest64(caption.casefold()),
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

    def __init__(self, pairs: Folder, cfg: FilterSettings) -> None:
        self.pairs, self.language, self.agreement = pairs, Language(), None

    def __call__(self, payload: tuple[str, str]) -> Made:  # type: ignore[override]
        """Measure the captions of the shard that the payload names."""
        return super().__call__(payload[0])

    def _picture(self, pair: Row) -> Row:
        return sizes(pair)


def sizes(pair: Row) -> Row:
    """Return what is known of a picture without decoding it."""
    return {
        "aspect": aspect(pair["original_width"], pair["original_height"]),
        "short_side": min(pair["width"], pair["height"]),
    }


def digest64(text: str) -> int:
    """Return 64 bits that are the same for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:8], "big")


def read_groups(pairs: Folder, name: str) -> Iterator[list[Row]]:
    """Yield the rows of a PAIR file, a row group at a time."""
    with pairs.open(name) as file:
        parquet = pq.ParquetFile(file)
        rows.check(parquet.schema_arrow, rows.PAIR, where=f"{pairs.url}/{name}")
        for group in range(parquet.num_row_groups):
            yield parquet.read_row_group(group).to_pylist()
