"""Set up fetching from the web by the settings of a crawl, within a memory budget."""

import io
from collections.abc import Callable
from typing import Any

from schemas.settings import CrawlSettings
from stages.crawl.web.bodies import Budget
from stages.crawl.web.hosts import Hosts
from stages.crawl.web.opener import WebOpener

Resize = Callable[..., tuple[Any, ...]]  # as img2dataset calls it


def from_web(cfg: CrawlSettings, resize: Resize) -> tuple[WebOpener, Resize]:
    """Return an opener, and `resize` such that the two keep to one budget of bytes.

    The opener waits while too many bytes wait to be resized, so each picture it hands out must
    come to this resizer.
    """
    budget = Budget()
    opener = WebOpener(
        max_bytes=cfg.max_bytes,
        retries=cfg.retries,
        allow_hosts=cfg.run.allow_hosts,
        agent=cfg.user_agent,
        contact=cfg.run.contact,
        robots_timeout=cfg.timeout_seconds if cfg.respect_robots else None,
        respect_opt_outs=cfg.respect_opt_outs,
        hosts=Hosts(cfg.run.host_connections, cfg.run.host_pause_seconds),
        budget=budget,
    )

    def resize_and_free(stream: io.BytesIO, boxes: None = None) -> tuple[Any, ...]:
        try:
            return resize(stream, boxes)
        finally:
            budget.give_back(stream.getbuffer().nbytes)

    return opener, resize_and_free
