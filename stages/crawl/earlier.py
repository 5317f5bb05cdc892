"""Reuse the results of an earlier crawl of the same list, except for temporary failures.

The earlier crawl is a `pairs` artifact, local or on an object store, finished or not: of an
unfinished one, the finished shards are used. Rows are matched by key and url.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow.parquet as pq
from pydantic import ValidationError

from schemas.artifacts import STATS
from schemas.errors import ConfigError
from schemas.folder import Folder
from schemas.manifest import MANIFEST, Manifest
from schemas.settings import CrawlSettings
from stages.crawl.reasons import HEALING
from stages.crawl.sources import INPUT
from stages.storage import reaching
from stages.threads import in_threads

SETTINGS = f"{INPUT}settings.json"  # of a crawl that is not finished
MAY_DIFFER = {"source", "timeout_seconds", "retries"}  # none of them changes a picture
OF_PICTURE = ("image", "width", "height", "original_width", "original_height", "sha256")
WANTED = "wanted a crawl at crawl.earlier, found"
ADVICE = "give the folder <root>/pairs/<fingerprint> of a crawl"


@dataclass(frozen=True)
class Before:
    """What is known of an earlier crawl: how it was made, and a digest of what it holds."""

    settings: dict[str, Any]
    content: str
    finished: frozenset[str] | None = None  # names of shards; None: all of them


def leave_settings(out: Folder, cfg: CrawlSettings, revision: int) -> None:
    """Leave what a later crawl has to know of this one, should it not come to its end."""
    out.commit(SETTINGS, json.dumps(cfg.what() | {"revision": revision}).encode())


def earlier_crawl(path: str) -> Before:
    """Return what the earlier crawl left; raise ConfigError if it is none, or has no shard yet."""
    path = path.rstrip("/")
    with reaching(path, "crawl.earlier"):
        try:
            with fsspec.open(f"{path}/{MANIFEST}", "rb") as file:
                manifest = Manifest.model_validate_json(file.read())
        except FileNotFoundError:
            return _unfinished(path)
        except (OSError, ValidationError) as error:
            raise ConfigError(
                f"{WANTED} no {MANIFEST} of one in '{path}' ({type(error).__name__}); {ADVICE}"
            ) from error
    if manifest.artifact != "pairs":
        raise ConfigError(f"{WANTED} {manifest.artifact} in '{path}'; {ADVICE}")
    return Before(manifest.settings | {"revision": manifest.revision}, manifest.content_sha256)


def _unfinished(path: str) -> Before:
    """Return what a crawl that was broken off left: its finished shards' statistics say which."""
    system, top = fsspec.core.url_to_fs(path)
    try:
        settings = json.loads(system.cat_file(f"{top}/{SETTINGS}"))
        names = sorted(system.find(f"{top}/{STATS}"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{WANTED} neither a {MANIFEST} nor a {SETTINGS} of one in '{path}' "
            f"({type(error).__name__}); {ADVICE}"
        ) from error
    if not names:
        raise ConfigError(
            f"{WANTED} one without a finished shard in '{path}'; leave crawl.earlier empty"
        )
    content = hashlib.sha256(b"".join(in_threads(system.cat_file, names)))
    shards = (name.rpartition("/")[2].removesuffix(".json") for name in names)
    return Before(settings, content.hexdigest(), frozenset(shards))


class Earlier:
    """The rows of the earlier crawl, shard by shard.

    Raises ConfigError if other settings or another `revision` of the stage made its pictures.
    """

    def __init__(self, cfg: CrawlSettings, revision: int) -> None:
        self.path = cfg.earlier.rstrip("/")
        before = earlier_crawl(self.path)
        self.finished = before.finished
        mine = {name: value for name, value in cfg.what().items() if name not in MAY_DIFFER}
        mine["revision"] = revision
        theirs = before.settings
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
        if self.finished is not None and shard.removesuffix(".parquet") not in self.finished:
            return {}
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
                taken = {name: row[name] for name in OF_PICTURE}
                found[place] = taken | {"status": status, "error_message": row["detail"]}
        return found
