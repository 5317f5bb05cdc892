"""A second pass: what an earlier crawl of the same list found stays, but for what may have healed.

The earlier crawl is a finished `pairs` artifact in a folder, local or on an object store. Its rows
are known again by their key and url.
"""

from collections.abc import Sequence
from typing import Any

import fsspec
import pyarrow.parquet as pq
from pydantic import ValidationError

from schemas.configs import CrawlJob
from schemas.errors import ConfigError
from schemas.manifest import MANIFEST, Manifest
from stages.crawl.reasons import HEALING

MAY_DIFFER = {"source", "timeout_seconds", "retries"}  # none of them changes a picture
TAKEN = ("image", "width", "height", "original_width", "original_height", "sha256")


def earlier_manifest(path: str) -> Manifest:
    """Return what the earlier crawl left; raise ConfigError if it is none that finished."""
    try:
        with fsspec.open(f"{path.rstrip('/')}/{MANIFEST}", "rb") as file:
            manifest = Manifest.model_validate_json(file.read())
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"wanted a finished crawl at crawl.earlier, found no {MANIFEST} of one in '{path}' "
            f"({type(error).__name__}); give the folder <root>/pairs/<fingerprint> of a crawl"
        ) from error
    if manifest.artifact != "pairs":
        raise ConfigError(
            f"wanted a finished crawl at crawl.earlier, found {manifest.artifact} in '{path}'; "
            "give the folder <root>/pairs/<fingerprint> of a crawl"
        )
    return manifest


class Earlier:
    """The rows of the earlier crawl, shard by shard.

    Raises ConfigError if other settings or another `revision` of the stage made its pictures.
    """

    def __init__(self, cfg: CrawlJob, revision: int) -> None:
        self.path = cfg.earlier.rstrip("/")
        manifest = earlier_manifest(self.path)
        mine = _comparable(cfg.what()) | {"revision": revision}
        theirs = manifest.settings | {"revision": manifest.revision}
        if other := sorted(name for name, value in mine.items() if theirs.get(name) != value):
            raise ConfigError(
                f"wanted an earlier crawl with the same settings, but that in '{self.path}' has "
                + ", ".join(f"{name}={theirs.get(name)} (now {mine[name]})" for name in other)
                + "; set them as they were, or leave crawl.earlier empty"
            )

    def known(self, shard: str, asked: Sequence[tuple[str, str]]) -> dict[int, dict[str, Any]]:
        """Return what came of the rows whose result stands, by their place in `asked`.

        Rows are asked for by key and url; what came of one is in img2dataset's words.
        """
        try:
            with fsspec.open(f"{self.path}/{shard}", "rb") as file:
                table = pq.read_table(file)
        except FileNotFoundError:  # the list has grown since
            return {}
        places = {key_and_url: place for place, key_and_url in enumerate(asked)}
        found = {}
        for row in table.to_pylist():
            place = places.get((row["key"], row["url"]))
            if place is not None and row["reason"] not in HEALING:
                status = "success" if row["status"] == "ok" else "failed"
                taken = {name: row[name] for name in TAKEN}
                found[place] = taken | {"status": status, "error_message": row["detail"]}
        return found


def _comparable(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in MAY_DIFFER}
