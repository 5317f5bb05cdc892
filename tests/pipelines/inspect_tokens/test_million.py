"""A million rows are looked into in under a minute on two cores, in under 1 GiB."""

import pytest

from tests.bench.inspection import ROWS, inspected, write_corpus

pytestmark = pytest.mark.soak


def test_a_million_rows(tmp_path, capsys):
    write_corpus(tmp_path, ROWS)
    cost = inspected(tmp_path)
    with capsys.disabled():
        mib = cost.peak_bytes / 2**20
        print(f"\n{cost.seconds:.0f} s, {cost.cpu_seconds:.0f} CPU s, {mib:,.0f} MiB")
    assert cost.cpu_seconds < 2 * 60  # what two cores have to give in a minute
    assert cost.peak_bytes < 2**30
