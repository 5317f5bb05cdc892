"""How fast a run is, in numbers that can be checked with a pencil, and in lines one can read."""

import pytest
import torch
from torch import nn

from stages.training import hardware
from stages.training.hardware import (
    CpuMeter,
    CpuShare,
    Peak,
    data_sheet_of,
    matrix_product,
    peak_of,
)
from stages.training.metrics_log import Meter, Window, used_memory
from stages.training.state import State
from tests.stages.training.toy import ALONE, Line, settings
from tests.stages.training.workers import learn

CPU = torch.device("cpu")


class Counted(Line):
    def tokens_per_row(self):
        return 1_280

    def flops_per_row(self):
        return 3e9


def measured(task, meanwhile=lambda: None):
    """The line of a window in which 4 updates of 8 rows took 2 seconds, half of one waiting."""
    cfg = settings(steps=430_000)
    meter, window = Meter(task, cfg.fit, ALONE), Window()
    meanwhile()
    window.rows, window.updates, window.spent, window.waited = 32, 4, 2.0, 0.5
    window.add({"square": torch.tensor(64.0), "absolute": torch.tensor(16.0)},
               {"square": 32, "absolute": 16})  # fmt: skip
    state = State.fresh(nn.Linear(3, 1), cfg.fit)
    state.step = 1_000
    return meter, meter.metrics(state, window, 1.0)


def test_rates_are_rows_tokens_and_operations_over_seconds():
    meter, line = measured(Counted(settings()))
    assert line["rows_per_second"] == 16
    assert line["tokens_per_second"] == 16 * 1_280
    assert line["waiting_share"] == 0.25
    assert line["model_flop_utilisation"] == pytest.approx(16 * 3e9 / meter.peak.flops)
    assert line["peak_flops"] == meter.peak.flops
    assert line["peak_memory_gib"] * 2**30 == pytest.approx(used_memory(CPU), rel=0.1)


def test_a_line_says_how_far_a_run_is_and_the_next_how_fast_in_80_columns_of_a_log():
    meter, line = measured(Counted(settings()))
    meter.peak, meter.cpu = Peak(989e12, "data sheet"), CpuShare(1.9, 2.0)
    line |= {"step": 399_999, "rows_per_second": 1_234.5, "tokens_per_second": 1_580_160.0,
             "model_flop_utilisation": 0.4321, "peak_memory_gib": 78.123, "waiting_share": 0.12,
             "loss": 3.14159}  # fmt: skip
    first, second = meter.words(line).splitlines()
    assert first == "toy  step 399999/430000  loss 3.142  ETA 3m14s"
    assert second == (
        "    1.58 M tokens/s  wait 12%  MFU 43% of 989 TFLOP/s (data sheet)  78.1 GiB"
    )
    stamp = len("00:00:00 ")
    assert len(first) + stamp + len("train_prior") - len("toy") <= 80
    assert len(second) <= 80
    meter.cpu = CpuShare(1.12, 2.0)
    assert meter.words(line).splitlines()[2:] == [
        "    1.1 of 2.0 cores wanted: other programs have the rest"
    ]


class Thread:
    """A thread as the kernel counts it, in a folder like the kernel's."""

    def __init__(self, folder, name, ran, waited):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "schedstat").write_text(f"{ran * 10**9} {waited * 10**9} 7\n")


def test_what_threads_wanted_is_what_they_got_and_what_they_waited_for(tmp_path, monkeypatch):
    """Two threads, one of which is new, and a third that ended, in ten seconds."""
    monkeypatch.setattr(hardware, "THREADS", tmp_path)
    monkeypatch.setattr(hardware.time, "perf_counter", iter([100.0, 110.0]).__next__)
    Thread(tmp_path, "1", 50, 20), Thread(tmp_path, "3", 9, 9)
    found = CpuMeter()
    (tmp_path / "3" / "schedstat").unlink()
    Thread(tmp_path, "1", 56, 24), Thread(tmp_path, "2", 5, 5)
    assert found.share() == pytest.approx((1.1, 2.0))
    assert CpuShare(1.1, 2.0).is_short
    assert not CpuShare(1.7, 2.0).is_short


def test_a_window_in_which_others_had_the_processors_is_said(tmp_path, monkeypatch):
    """What the kernel counts while the window is open: 11 seconds of 20."""
    monkeypatch.setattr(hardware, "THREADS", tmp_path)
    Thread(tmp_path, "1", 50, 20)
    meter, line = measured(Line(settings()), lambda: Thread(tmp_path, "1", 61, 29))
    assert line["cores"] / line["cores_wanted"] == pytest.approx(11 / 20)
    assert meter.words(line).endswith(" cores wanted: other programs have the rest")
    meter, line = measured(Line(settings()), lambda: Thread(tmp_path, "1", 90, 29))
    assert "other programs" not in meter.words(line)


def test_where_nothing_is_counted_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "THREADS", tmp_path / "none")
    assert CpuMeter().share() is None


def test_this_process_is_counted():
    found = CpuMeter()
    sum(range(3_000_000))
    share = found.share()
    assert share is None or 0 < share.used <= share.wanted


def test_where_operations_are_not_counted_nothing_is_said_of_them():
    meter, line = measured(Line(settings()))
    assert "model_flop_utilisation" not in line
    assert "tokens_per_second" not in line
    assert meter.words(line).splitlines()[1].startswith("    16 rows/s  wait 25%  ")


class Asks(Line):
    """Fails unless every worker hears of the last one's number."""

    def batches(self, step, context):
        assert context.all_reduce_max(10.0 + context.rank) == 11.0
        yield from super().batches(step, context)


def test_the_largest_of_all_workers_is_what_every_worker_is_told(tmp_path):
    cfg = settings(steps=2)
    learn(2, (cfg, Asks(cfg), tmp_path / "two"))


def test_a_gpu_that_is_not_known_and_a_processor_are_measured():
    peak = peak_of(CPU, torch.float32)
    assert peak.source == "measured"
    again = matrix_product(CPU, torch.float32, seconds=0.5)
    assert 0.2 < peak.flops / again < 5
    assert str(Peak(62.4e9, "measured")) == "62.4 GFLOP/s (measured)"
    assert str(Peak(1.27e12, "measured")) == "1.27 TFLOP/s (measured)"


@pytest.mark.parametrize(
    ("name", "sheet"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"), ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200"), ("NVIDIA GH200 480GB", "H200"),
        ("NVIDIA A100-SXM4-40GB", "A100"), ("NVIDIA RTX A1000 Laptop GPU", None),
    ],
)  # fmt: skip
def test_a_gpu_is_looked_up_by_its_name(name, sheet):
    assert data_sheet_of(name) == sheet


def test_a_run_in_32_bits_is_measured_against_half_the_sheets_16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    for kind, flops in ((torch.bfloat16, 989e12), (torch.float32, 494.5e12)):
        assert peak_of(torch.device("cuda"), kind) == Peak(flops, "data sheet")
