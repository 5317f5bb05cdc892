"""A small demo world on a real web server of this machine."""

from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipelines.demo import world_site
from schemas.settings import CrawlSettings, SourceSettings, WorldSettings

# What the crawl, not the filter, finds wrong.
FETCHING = ("http_", "timeout", "not_an_image", "truncated", "too_large", "forbidden_address")


class World(NamedTuple):
    files: world_site.WorldFiles
    address: str
    settings: WorldSettings

    def job(self, run=None, **settings) -> CrawlSettings:
        """Return crawl's settings for this world."""
        source = SourceSettings(kind="world", path=str(self.files.urls), world=self.settings)
        own = {"side": 64, "timeout_seconds": 1.5, "retries": 0, "rows_per_shard": 40}
        run = {"allow_hosts": (f"{world_site.HOST}:80={self.address}",), **(run or {})}
        return CrawlSettings(source=source, run=run, **own | settings)


@contextmanager
def served(folder: Path, *, pictures: int, bad_share: float):
    """Build a world and serve it while the block runs."""
    settings = WorldSettings(pictures=pictures, bad_share=bad_share, prompts=1)
    files = world_site.build(folder, settings)
    with world_site.serve(files) as server:
        yield World(files, server.address, settings)
