import ctypes
import sys
from ctypes.util import find_library

import pytest
import torch

from stages.training.precision import BF16_UNITS, product_type, without_subnormals

CPU = torch.device("cpu")


def test_what_is_asked_for_is_done():
    for precision in ("float32", "bfloat16", "float16"):
        assert str(product_type(precision, CPU)) == f"torch.{precision}"


def test_auto_uses_bfloat16_only_where_the_processor_has_a_unit_for_it(monkeypatch):
    for unit in BF16_UNITS:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda unit=unit: {unit: True})
        assert product_type("auto", CPU) is torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "avx2": True})
    assert product_type("auto", CPU) is torch.float32


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp")
def test_no_thread_computes_with_subnormals_while_training():
    if second := find_library("gomp"):
        ctypes.CDLL(second)  # as a compiled model does; torch does not compute with it
    torch.set_num_threads(2)
    numbers = torch.full((1 << 20,), 1e-30)
    numbers + numbers  # torch's threads exist by now, as they do when a training begins

    def flushed():
        """Per thread: torch gives each half of a large tensor to one."""
        return [bool((half == 0).all()) for half in (numbers * 1e-10).chunk(2)]

    assert flushed() == [False, False]
    with without_subnormals():
        assert flushed() == [True, True]
    assert flushed() == [False, False]
