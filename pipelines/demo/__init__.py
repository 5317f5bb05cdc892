"""Build and serve the demo's world for a run that crawls it.

Only settings that are in no fingerprint change: where the files are, and the server's address. The
urls name a host that exists nowhere else.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipelines.demo import world_site
from schemas.settings import Settings


@contextmanager
def joined(settings: Settings, root: str, *, crawls: bool) -> Iterator[Settings]:
    """Yield settings with the world's paths; serve its pictures while the block runs if `crawls`.

    Settings that do not use the world are yielded unchanged.
    """
    source, prompts = settings.crawl.source, settings.sample.prompts
    if "world" not in (source.kind, prompts.kind):
        yield settings
        return
    files = world_site.build(_folder(root, source.world.digest), source.world)
    with ExitStack() as stack:
        address = stack.enter_context(world_site.serve(files)).address if crawls else ""
        yield _with_paths(settings, files, address)


def _with_paths(settings: Settings, files: world_site.WorldFiles, address: str) -> Settings:
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
    """Return a folder beside the artifacts, or on this machine if those are on an object store."""
    temporary = Path(tempfile.gettempdir()) / "dalle-ray-world"
    return (temporary if "://" in root else Path(root) / "world") / digest[:12]
