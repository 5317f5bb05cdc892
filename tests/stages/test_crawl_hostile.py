"""A hostile web: every address ends as it must, nobody goes where nobody may, and it ends."""

import hashlib
import os
import threading
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import open_folder
from schemas.settings import CrawlSettings, SourceSettings
from stages import crawl
from tests.stages import hostile
from tests.stages.finished import NOTHING
from tests.stages.test_crawl import read_all

pytestmark = pytest.mark.ray
MEMORY = 2**30  # an actor may not reach it


class Watch(threading.Thread):
    """Looks at the memory of Ray's workers that do the crawl's work, five times a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.stopping = 0, threading.Event()

    def run(self):
        while not self.stopping.wait(0.2):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if b"ray::" in (process / "cmdline").read_bytes():
                        pages = int((process / "statm").read_text().split()[1])
                        self.peak = max(self.peak, pages * os.sysconf("SC_PAGE_SIZE"))
                except (FileNotFoundError, ProcessLookupError):
                    continue

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()


def crawl_hostile_web(tmp_path, count, **settings):
    """Crawl so many addresses and compare what came of each with what had to; return figures."""
    with hostile.served() as web:
        listed = web.listed(count)
        path = tmp_path / "list.parquet"
        captions = [f"{kind} {number}" for number, (_, kind, _) in enumerate(listed)]
        pq.write_table(pa.table({"url": [row[0] for row in listed], "caption": captions}), path)
        cfg = CrawlSettings(
            source=SourceSettings(path=str(path)),
            side=64,
            timeout_seconds=hostile.SECONDS,
            max_bytes=hostile.MAX_BYTES,
            retries=1,
            rows_per_shard=500,
            run={"workers": 2, "allow_hosts": web.allow_hosts},
            **settings,
        )
        started = time.monotonic()
        with Watch() as watch:
            result = crawl.run(NOTHING, open_folder(tmp_path / "out"), cfg)
        seconds = time.monotonic() - started
        rows = read_all(open_folder(tmp_path / "out"))
        assert [row["caption"] for row in rows] == captions  # none lost, none doubled, in order
        assert len({row["key"] for row in rows}) == count
        wrong = Counter(
            f"{kind}: {row['reason']} ({row['detail']})"
            for row, (_, kind, expected) in zip(rows, listed, strict=True)
            if row["reason"] != expected or (row["image"] is None) != (expected is not None)
        )
        assert not wrong, wrong.most_common(20)
        bombs = {row["detail"] for row, (_, kind, _) in zip(rows, listed, strict=True)
                 if kind.startswith("bomb")}  # fmt: skip
        assert all("pixels" in detail for detail in bombs), bombs  # not by their bytes
        for row, (_, kind, _) in zip(rows, listed, strict=True):
            if kind == "fine":
                served = hostile.picture(int(row["url"].rpartition("/")[2].removesuffix(".jpg")))
                assert row["sha256"] == hashlib.sha256(served).hexdigest()
        assert web.intruders == 0
        assert result.rows_in == count
        assert result.rejects == Counter(row[2] for row in listed if row[2] is not None)
        assert watch.peak < MEMORY
    return {
        "count": count,
        "seconds": round(seconds, 1),
        "peak MiB": watch.peak >> 20,
        "kinds": len(hostile.KINDS),
    }


def test_two_thousand_addresses_of_a_hostile_web(ray_cluster, tmp_path):
    crawl_hostile_web(tmp_path, 2_000)


@pytest.mark.soak
def test_twenty_thousand_addresses_of_a_hostile_web(ray_cluster, tmp_path):
    print(crawl_hostile_web(tmp_path, 20_000))
