"""The type in which a run multiplies matrices; weights stay in float32 either way."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from schemas.settings import Precision
from stages.cpu_threads import on_every_thread

# CPU capabilities (x86, ARM) that multiply bfloat16 natively.
BF16_UNITS = ("amx_bf16", "avx512_bf16", "bf16")


def product_type(precision: Precision, device: torch.device) -> torch.dtype:
    """Resolve `auto`: bfloat16 where the device multiplies it natively, else float32.

    A CPU without such a unit is some twenty times slower in bfloat16 than in float32.
    """
    if precision != "auto":
        named: torch.dtype = getattr(torch, precision)
        return named
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        found = torch.cpu.get_capabilities()
        fast = any(found.get(unit, False) for unit in BF16_UNITS)
    return torch.bfloat16 if fast else torch.float32


@contextmanager
def without_subnormals() -> Iterator[None]:
    """Flush numbers below 1.2e-38 to zero on all threads of this one's team, as GPUs do.

    CPUs are slow with them, and a relaxed sample at the paper's last temperature is full of them:
    a step of the dVAE takes half as long again.
    """
    on_every_thread(lambda: torch.set_flush_denormal(True))
    try:
        yield
    finally:
        on_every_thread(lambda: torch.set_flush_denormal(False))
