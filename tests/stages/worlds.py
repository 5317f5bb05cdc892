"""A small demo world on a real web server of this machine."""

from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipelines import world_site
from schemas.configs import CrawlJob, SourceSettings, WorldSettings

# What the crawl, not the filter, finds wrong.
FETCHING = ("http_", "timeout", "not_an_image", "too_large", "forbidden_address")


class World(NamedTuple):
    files: world_site.WorldFiles
    address: str
    settings: WorldSettings

    def job(self, **settings) -> CrawlJob:
        """Return crawl's settings for this world."""
        source = SourceSettings(kind="world", path=str(self.files.urls), world=self.settings)
        own = {"side": 64, "timeout_seconds": 1.5, "retries": 0, "rows_per_shard": 40}
        return CrawlJob(source=source, allow_hosts=(self.address,), **own | settings)


@contextmanager
def served(folder: Path, *, pictures: int, bad_share: float):
    """Build a world and serve it while the block runs."""
    settings = WorldSettings(pictures=pictures, bad_share=bad_share, prompts=1)
    with world_site.serve(world_site.build(folder, settings, port=0), port=0) as server:
        pass
    files = world_site.build(folder, settings, port=server.port)
    with world_site.serve(files, port=server.port):
        yield World(files, server.address, settings)
