"""How fast a device multiplies matrices at best: what its use in training is measured against."""

import re
import time
from typing import NamedTuple

import torch

# FLOP/s of dense bfloat16 products, from the makers' data sheets, by part of a GPU's name
SHEETS = {  # the first that fits counts
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
}
SIDES = {"cuda": 8_192, "cpu": 1_024}  # of matrices large enough that the product is what counts


class Peak(NamedTuple):
    """FLOP/s, and who says so."""

    flops: float
    source: str

    def __str__(self) -> str:
        unit, name = (1e12, "TFLOP/s") if self.flops >= 1e12 else (1e9, "GFLOP/s")
        return f"{self.flops / unit:.3g} {name} ({self.source})"


def peak_of(device: torch.device, kind: torch.dtype) -> Peak:
    """Look a GPU up by its name; multiply for a moment on what is not known."""
    if device.type == "cuda":
        part = sheet_of(torch.cuda.get_device_name(device))
        if part is not None:
            slower = 2 if kind == torch.float32 else 1  # of products in TF32, on all of these
            return Peak(SHEETS[part] / slower, "data sheet")
    return Peak(matrix_product(device, kind), "measured")


def sheet_of(name: str) -> str | None:
    """Return which data sheet is that of a GPU of this name: an A1000 is no A100."""
    return next((part for part in SHEETS if re.search(rf"{part}(?!\d)", name)), None)


def matrix_product(
    device: torch.device, kind: torch.dtype, side: int | None = None, seconds: float = 0.2
) -> float:
    """Return FLOP/s of the product of two square matrices, multiplied again and again."""
    side = side or SIDES.get(device.type, 1_024)
    one = torch.randn(side, side, device=device).to(kind)

    def multiply() -> None:
        one @ one
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    multiply()  # the first call prepares the kernel
    count, started = 0, time.perf_counter()
    while not count or time.perf_counter() - started < seconds:
        multiply()
        count += 1
    return count * 2 * side**3 / (time.perf_counter() - started)
