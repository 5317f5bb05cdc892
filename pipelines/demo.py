"""Join the demo's world, its web server and the list of stages.

Only *how* settings change, so fingerprints do not depend on where the files are or the server is;
nor does what is crawled, for the urls name a host that is nowhere else.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipelines import world_site
from schemas.settings import Settings


@contextmanager
def joined(settings: Settings, root: str, *, crawls: bool) -> Iterator[Settings]:
    """Yield settings that say where the world is; serve it while the block runs if `crawls`.

    Settings that do not ask for the world come back as they are.
    """
    source, prompts = settings.crawl.source, settings.sample.prompts
    if "world" not in (source.kind, prompts.kind):
        yield settings
        return
    files = world_site.build(_folder(root, source.world.digest), source.world)
    with ExitStack() as stack:
        address = stack.enter_context(world_site.serve(files)).address if crawls else ""
        yield _told(settings, files, address)


def _told(settings: Settings, files: world_site.WorldFiles, address: str) -> Settings:
    """Say where the url list and the prompts are, and at which address the world is."""
    crawl, sample = settings.crawl, settings.sample
    if crawl.source.kind == "world":
        source = crawl.source.model_copy(update={"path": str(files.urls)})
        hosts = (f"{world_site.HOST}:80={address}",) if address else ()
        crawl = crawl.model_copy(
            update={"source": source, "run": crawl.run.model_copy(update={"allow_hosts": hosts})}
        )
    if sample.prompts.kind == "world":
        prompts = sample.prompts.model_copy(update={"path": str(files.prompts)})
        sample = sample.model_copy(update={"prompts": prompts})
    return settings.model_copy(update={"crawl": crawl, "sample": sample})


def _folder(root: str, digest: str) -> Path:
    """Keep the world beside the artifacts, or on this machine if those are on an object store."""
    if "://" not in root:
        return Path(root) / "world" / digest[:12]
    return Path(tempfile.gettempdir()) / "dalle-ray-world" / digest[:12]
