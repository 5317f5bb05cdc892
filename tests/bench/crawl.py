"""Our crawl against the img2dataset command: same server, pictures, cores, resize and hashes.

`python -m tests.bench.crawl` prints ratios. Speed is the slope between two lengths of the url list,
so start-up is left out and printed apart; a second slope counts CPU seconds instead of wall time,
which other work on the machine disturbs less.
"""

import io
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from infra.store import Store
from schemas.artifacts import PAIRS
from schemas.settings import CrawlSettings
from stages.crawl.shrink import Shrink
from tests.bench.answers import HOSTS, serving
from tests.bench.clock import cpu_each
from tests.bench.watched import cpu_seconds, watch
from tests.stages.photographs import jpeg, photograph

FILES, WIDTH, HEIGHT = 300, 800, 600
SHARD = 1_000  # img2dataset starts a process anew after five shards: at most five for each here
LENGTHS = (2_000, 10_000)  # rows of the list
WORKERS, THREADS = 2, 32
LATENCY, PATIENT_THREADS = 0.2, 128
SIDES = (256, 170)  # of training; 3/2 of it is kept: 384 and 255 pixels of the short side


def write_pictures(folder: Path) -> list[bytes]:
    """Make a few hundred distinct JPEGs of about 115 kB from a few photographs; return them."""
    rng = np.random.default_rng(0)
    large = [photograph(seed, 2 * WIDTH, 2 * HEIGHT) for seed in range(6)]
    files = []
    for number in range(FILES):
        top, left = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
        window = large[number % 6][top : top + HEIGHT, left : left + WIDTH]
        files.append(jpeg(window, 95))
        (folder / f"{number:04d}.jpg").write_bytes(files[-1])
    return files


def write_list(path: Path, rows: int, port: int) -> Path:
    """Write a url list that goes around the hosts and the pictures."""
    urls = [f"http://{HOSTS[n % len(HOSTS)]}:{port}/{n}.jpg" for n in range(rows)]
    captions = [f"a picture with the number {n}" for n in range(rows)]
    pq.write_table(pa.table({"url": urls, "caption": captions}), path)
    return path


def ours(urls: Path, root: Path, port: int, side: int, threads: int) -> list[str]:
    settings = {
        "tokens.grid": side // 8, "crawl.source.kind": "urls", "crawl.source.path": urls,
        "crawl.rows_per_shard": SHARD, "crawl.retries": 0, "crawl.run.workers": WORKERS,
        "crawl.run.threads": threads,
        "crawl.run.allow_hosts": ",".join(f"{host}:{port}" for host in HOSTS),
    }  # fmt: skip
    return [sys.executable, "pipelines/full.py", "--preset", "h200", "--only", "crawl",
            *(f"--set={name}={value}" for name, value in settings.items()),
            "--root", str(root)]  # fmt: skip


def theirs(urls: Path, out: Path, side: int, threads: int) -> list[str]:
    options = {
        "url_list": urls, "output_folder": out, "input_format": "parquet", "caption_col": "caption",
        "output_format": "parquet", "number_sample_per_shard": SHARD, "processes_count": WORKERS,
        "thread_count": threads, "image_size": short_side(side), "resize_mode": "keep_ratio",
        "resize_only_if_bigger": True, "encode_quality": 95, "compute_hash": "sha256",
        "retries": 0, "extract_exif": False,
    }  # fmt: skip
    program = Path(sys.executable).with_name("img2dataset")
    return [str(program), *(f"--{name}={value}" for name, value in options.items())]


def short_side(side: int) -> int:
    return Shrink(CrawlSettings(side=side)).short


@dataclass(frozen=True)
class Speed:
    """The slope between two lengths of the list, and what is left at length nought."""

    per_second: float
    per_cpu_second: float
    start_up_seconds: float
    server_share: float  # of one core, over the longer run

    def __str__(self) -> str:
        return (
            f"{self.per_second:4.0f} pairs/s, {self.per_cpu_second:4.0f} per CPU second; start-up "
            f"{self.start_up_seconds:.0f} s; the server took {self.server_share:.0%} of a core"
        )


def speed(who: str, scratch: Path, server: tuple[int, int], side: int, threads: int) -> Speed:
    """Crawl both lists with one of the two, and check that nothing is missing."""
    costs, (port, server_pid) = [], server
    for rows in LENGTHS:
        name = f"{who}-{side}-{threads}-{rows}-{time.monotonic_ns()}"
        urls = write_list(scratch / f"{name}.parquet", rows, port)
        out, before = scratch / name, cpu_seconds(server_pid)
        if who == "ours":
            costs.append(watch(ours(urls, out, port, side, threads)))
            folder = Store(str(out)).newest(PAIRS)
            shards = [folder.open(shard) for shard in folder.list("shard-")]
        else:
            costs.append(watch(theirs(urls, out, side, threads)))
            shards = [path.open("rb") for path in out.glob("*.parquet")]
        images = ("image", "jpg")[who != "ours"]
        found = sum(len(pq.read_table(s, columns=[images])[images].drop_null()) for s in shards)
        assert found == rows, f"{who} has {found} pictures of {rows}"
    (short, long), (few, many) = costs, LENGTHS
    rate = (many - few) / (long.seconds - short.seconds)
    cpu = (many - few) / (long.cpu_seconds - short.cpu_seconds)
    share = (cpu_seconds(server_pid) - before) / long.seconds
    return Speed(rate, cpu, short.seconds - few / rate, share)


def limit(files: list[bytes], side: int) -> tuple[float, float]:
    """Return CPU seconds to shrink a picture: with three calls of OpenCV alone, with `Shrink`."""
    shrink, short = Shrink(CrawlSettings(side=side)), short_side(side)

    def bare(data: bytes) -> None:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        sides = (round(WIDTH * short / HEIGHT), short)
        small = cv2.resize(pixels, sides, interpolation=cv2.INTER_AREA)
        cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 95])

    return cpu_each(bare, files), cpu_each(lambda data: shrink(io.BytesIO(data)), files)


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, {WORKERS} workers of {THREADS} threads, shards of {SHARD} rows")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scratch, site = Path(folder), Path(folder) / "site"
        site.mkdir()
        files = write_pictures(site)
        size = sum(map(len, files)) / len(files)
        print(f"{FILES} JPEGs of {WIDTH} x {HEIGHT}, {size / 1000:.0f} kB each")
        with serving(site) as server:
            for side in SIDES:
                compare(files, scratch, server, side, cores)
            prompt = speed("ours", scratch, server, SIDES[0], PATIENT_THREADS)
        with serving(site, LATENCY) as server:
            slow = speed("ours", scratch, server, SIDES[0], PATIENT_THREADS)
        print(f"with {PATIENT_THREADS} threads, a prompt server:      {prompt}")
        print(f"with {PATIENT_THREADS} threads, {1000 * LATENCY:.0f} ms of latency:  {slow}")
        print(
            f"latency costs {1 - slow.per_second / prompt.per_second:.0%} of the pairs per second, "
            f"{1 - slow.per_cpu_second / prompt.per_cpu_second:.0%} of those per CPU second"
        )


def compare(
    files: list[bytes], scratch: Path, server: tuple[int, int], side: int, cores: int
) -> None:
    """Print both speeds at one size, and how near ours is to what OpenCV alone would do."""
    bare, whole = limit(files, side)
    print(
        f"to {short_side(side)} pixels: OpenCV alone {1000 * bare:.2f} ms, Shrink "
        f"{1000 * whole:.2f} ms a picture; limit {cores / bare:.0f} pairs/s on {cores} cores"
    )
    other = speed("theirs", scratch, server, side, THREADS)
    print(f"  img2dataset  {other}", flush=True)
    mine = speed("ours", scratch, server, side, THREADS)
    print(
        f"  ours         {mine}\n"
        f"  ours / img2dataset: {mine.per_second / other.per_second:.2f} by the clock, "
        f"{mine.per_cpu_second / other.per_cpu_second:.2f} by CPU time; ours / limit: "
        f"{mine.per_second * bare / cores:.2f} by the clock, {mine.per_cpu_second * bare:.2f} by "
        "CPU time",
        flush=True,
    )


if __name__ == "__main__":
    main()
