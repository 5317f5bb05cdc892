"""A crawl costs the same for each row, however long the list, and its driver holds none of it."""

import sys

import pytest

from infra.store import Store
from schemas.artifacts import PAIRS
from tests.bench.answers import HOSTS, serving
from tests.bench.crawl import write_list
from tests.bench.watched import watch
from tests.stages.photographs import jpeg, photograph

pytestmark = [pytest.mark.soak, pytest.mark.ray]
LENGTHS = (10_000, 100_000, 1_000_000)
PICTURES, SIDE = 5, 32  # few and tiny: what is measured is everything else


def crawled(rows, tmp_path, port):
    """Crawl so many urls by the command, check the outcome, and return what it cost."""
    urls, root = write_list(tmp_path / f"{rows}.parquet", rows, port), tmp_path / f"run-{rows}"
    hosts = ",".join(f'"{host}:{port}"' for host in HOSTS)
    settings = {"source.kind": "urls", "source.path": urls, "run.workers": 2,
                "run.threads": 16, "run.allow_hosts": f"[{hosts}]"}  # fmt: skip
    command = [sys.executable, "pipelines/full.py", "--preset", "h200", "--only", "crawl",
               "--root", str(root)]  # fmt: skip
    for name, value in settings.items():
        command += ["--set", f"crawl.{name}={value}"]
    cost = watch([*command, "--set", "crawl.rows_per_shard=2000"])
    crawl = Store(str(root)).summary().stages["crawl"]
    assert (crawl.rows_in, crawl.rows_out, crawl.rejects) == (rows, rows, {})
    assert len(Store(str(root)).newest(PAIRS).list("shard-")) == rows // 2_000
    return cost


def test_a_row_of_a_million_costs_what_a_row_of_a_hundred_thousand_does(tmp_path, capsys):
    (tmp_path / "site").mkdir()
    for number in range(PICTURES):
        (tmp_path / "site" / f"{number}.jpg").write_bytes(jpeg(photograph(number, SIDE, SIDE)))
    with serving(tmp_path / "site") as (port, _):
        costs = [crawled(rows, tmp_path, port) for rows in LENGTHS]
    slopes = [
        1000 * (costs[n + 1].cpu_seconds - costs[n].cpu_seconds) / (LENGTHS[n + 1] - LENGTHS[n])
        for n in (0, 1)
    ]
    with capsys.disabled():
        for rows, cost in zip(LENGTHS, costs, strict=True):
            print(
                f"\n{rows:,} rows: {cost.seconds:,.0f} s, {cost.cpu_seconds:,.0f} CPU s, driver "
                f"{cost.peak_bytes / 2**20:,.0f} MiB, worker {cost.peak_worker_bytes / 2**20:,.0f}"
            )
        print("CPU ms for each additional row:", [round(slope, 3) for slope in slopes])
    assert slopes[1] < 1.2 * slopes[0]
    assert costs[-1].peak_bytes < 2**30
    assert costs[-1].peak_worker_bytes < 2**30
