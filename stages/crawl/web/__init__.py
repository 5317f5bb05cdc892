"""Set up fetching from the web by the settings of a crawl, within a memory budget."""

import io
from collections.abc import Callable
from typing import Any

from schemas.settings import CrawlSettings
from stages.crawl.web.opener import WebOpener

Resize = Callable[..., tuple[Any, ...]]  # as img2dataset calls it


def from_web(cfg: CrawlSettings, resize: Resize) -> tuple[WebOpener, Resize]:
    """Return an opener, and `resize` such that the two keep to one budget of bytes.

    The opener waits while too many bytes wait to be resized, so each picture it hands out must
    come to this resizer.
    """
    opener = WebOpener(cfg)

    def resize_and_free(stream: io.BytesIO, boxes: None = None) -> tuple[Any, ...]:
        try:
            return resize(stream, boxes)
        finally:
            opener.budget.give_back(stream.getbuffer().nbytes)

    return opener, resize_and_free
