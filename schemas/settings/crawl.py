"""Where pairs come from, and how their pictures are fetched."""

import codecs
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from schemas.settings.base import (
    Config,
    Count,
    CountFrom0,
    InputPath,
    InputPaths,
    NonNegative,
    Positive,
    Share,
    SharedSize,
    Workers,
)


def _known_encoding(name: str) -> str:
    try:
        "".encode(name)  # raises for what turns no text into bytes, such as base64
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(
            "must be the name of a text encoding that Python knows, such as utf-8, cp1252 or "
            "shift_jis"
        ) from None


def _separator(said: Any) -> Any:
    if isinstance(said, str) and said in ('"', "\n", "\r", "\0", " "):
        raise ValueError("must be a character that is no space, quote or end of a line, or `tab`")
    return "\t" if said in ("tab", "\\t") else said


def _host_and_port(entry: str) -> str:
    if not re.fullmatch(r"[^=\s]+:\d+(=[^=\s]+:\d+)?", entry):
        raise ValueError("must be host:port, or host:port=address:port to say where that host is")
    return entry


Separator = Annotated[str, Field(min_length=1, max_length=1)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
AllowedHost = Annotated[str, AfterValidator(_host_and_port)]


class WorldSettings(Config):
    """The demo's world of captioned shapes, a pure function of these numbers."""

    revision: Count = Field(6, description="of the code that draws it; raised with that")
    pictures: Count = Field(14_000, description="pictures in the world")
    bad_share: Share = Field(0.1, description="share of URLs that must fail")
    prompts: Count = Field(240, description="of held-out kinds; half as many of other sets")
    seed: CountFrom0 = Field(0, description="random seed")


class SourceSettings(Config):
    """Where (picture, caption) pairs come from."""

    kind: Literal["urls", "folder", "tars", "world"] = Field(
        "urls", description="lists of URLs, a folder, WebDataset tars, or the demo's shapes"
    )
    path: InputPaths = Field("", description="of the lists, folder or tars; commas between several")
    url_column: str = Field("url", description="column of a list with the picture's URL")
    caption_column: str = Field("caption", description="column or key with the caption")
    columns: tuple[str, ...] = Field(
        (), description="column names of CSV and TSV files that have no header"
    )
    file_column: str = Field(
        "file_name", description="key of a metadata file with the picture's name beside it"
    )
    encoding: Encoding = Field("utf-8", description="of texts that have no byte order mark")
    separator: Annotated[Separator | None, BeforeValidator(_separator)] = Field(
        None, description="of columns in CSV and TSV files, `tab` too; null: detected"
    )
    caption: Literal["whole", "first_line", "each_line"] = Field(
        "whole", description="which part of a .txt is the caption; each_line makes a row of each"
    )
    world: WorldSettings = WorldSettings()


class CrawlRun(Workers):
    """How the crawl runs, and how it treats servers."""

    threads: Count = Field(32, le=4_096, description="simultaneous downloads of each worker")
    contact: str = Field(
        "", pattern="^[ -~]*$", description="page or mailbox that servers are told with our name"
    )
    host_connections: Count = Field(8, description="simultaneous ones of a worker to a host")
    host_pause_seconds: NonNegative = Field(
        0.0, le=86_400, description="between requests to one host"
    )
    allow_hosts: tuple[AllowedHost, ...] = Field(
        (),
        description="host:port pairs that may be private; host:port=address:port also says where",
    )


class CrawlSettings(Config):
    """How pictures are fetched and bounded."""

    source: SourceSettings = SourceSettings()
    rows_per_shard: Count = Field(2_000, description="rows that one worker takes at a time")
    timeout_seconds: Positive = Field(10, le=86_400, description="for the whole of one download")
    max_bytes: Count = Field(20_000_000, description="largest download")
    max_pixels: Count = Field(67_108_864, description="largest picture that is decoded")
    retries: CountFrom0 = Field(1, description="further attempts at a URL that failed")
    encode_quality: Count = Field(95, le=100, description="of stored JPEGs")
    enlarge_from: Count | None = Field(
        None, description="fewest pixels of a short side that is enlarged to the side; null: none"
    )
    user_agent: str = Field(
        "dalle-ray", pattern=r"^[A-Za-z0-9_.-]+$", description="our name to servers and robots.txt"
    )
    respect_robots: bool = Field(True, description="skip what a robots.txt forbids")
    respect_opt_outs: bool = Field(True, description="skip by X-Robots-Tag and TDMRep headers")
    earlier: InputPath = Field(
        "", description="an earlier crawl whose results are kept, except failures that may heal"
    )
    run: CrawlRun = CrawlRun()
    side: SharedSize = 256
