"""Join the demo's world, its web server and the list of stages.

Only *how* settings change, so fingerprints do not depend on the port or on where the files are.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infra.web_server import HOST
from pipelines import world_site
from schemas.configs import Settings
from schemas.errors import UserError


@contextmanager
def joined(settings: Settings, root: str, *, crawls: bool) -> Iterator[Settings]:
    """Yield settings that say where the world is; serve it while the block runs if `crawls`.

    Settings that do not ask for the world come back as they are.
    """
    source, prompts = settings.crawl.source, settings.sample.prompts
    if "world" not in (source.kind, prompts.kind):
        yield settings
        return
    folder = _folder(root, source.world.digest)
    with ExitStack() as stack:
        port = world_site.port_of(folder)
        if crawls:
            port = _serve(stack, folder, port)
        files = world_site.build(folder, source.world, port)
        yield _told(settings, files, f"{HOST}:{port}")


def _serve(stack: ExitStack, folder: Path, port: int) -> int:
    """Serve on the port that an earlier run's urls name, or on a free one if that is taken."""
    files = world_site.WorldFiles.in_folder(folder)
    try:
        return stack.enter_context(world_site.serve(files, port)).port
    except UserError:
        return stack.enter_context(world_site.serve(files, 0)).port


def _told(settings: Settings, files: world_site.WorldFiles, address: str) -> Settings:
    """Say where the url list and the prompts are, and which private address may be asked."""
    crawl, sample = settings.crawl, settings.sample
    if crawl.source.kind == "world":
        source = crawl.source.model_copy(update={"path": str(files.urls)})
        crawl = crawl.model_copy(update={"source": source, "allow_hosts": (address,)})
    if sample.prompts.kind == "world":
        prompts = sample.prompts.model_copy(update={"path": str(files.prompts)})
        sample = sample.model_copy(update={"prompts": prompts})
    return settings.model_copy(update={"crawl": crawl, "sample": sample})


def _folder(root: str, digest: str) -> Path:
    """Keep the world beside the artifacts, or on this machine if those are on an object store."""
    if "://" not in root:
        return Path(root) / "world" / digest[:12]
    return Path(tempfile.gettempdir()) / "dalle-ray-world" / digest[:12]
