"""How fast this machine trains: updates of a small transformer, timed for a second or two.

A plain matrix product would not do: from one machine to another it grows ninefold where training
grows by half (tests/bench/LOG.md).

One thread computes, and its own seconds count: what other programs do at the moment, which may be
over when the training begins, changes nothing. So two measurements of a machine are much the same.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from schemas.machine_speed import MachineSpeed
from schemas.settings import PriorShape, TokenSpec
from stages.models.flops import prior_flops
from stages.models.prior import Prior, prior_terms
from stages.training.precision import product_type

TOKENS = TokenSpec(text_vocab=256, text_len=32, image_vocab=512, grid=16)
SHAPE = PriorShape(layers=2, heads=8, head_dim=24)
ROWS = 8
ROUNDS = 3
DIGITS = 2  # of the result, which is no more exact than that


def measure_speed(threads: int) -> MachineSpeed:
    """Measure one thread, and take so many of them, or as many as there are cores."""
    dtype = product_type("auto", torch.device("cpu"))
    threads = min(threads, os.cpu_count() or 1)
    prior = Prior(TOKENS, SHAPE)
    text = torch.zeros(ROWS, TOKENS.text_len, dtype=torch.long)
    image = torch.zeros(ROWS, TOKENS.image_len, dtype=torch.long)

    def seconds() -> float:
        began = time.process_time()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            terms = prior_terms(prior, text, image)
        (terms.text + terms.image).backward()
        return time.process_time() - began

    with _on_one_thread():
        seconds()  # the first one prepares kernels
        quickest = min(seconds() for _ in range(ROUNDS))
    gflops = 3 * prior_flops(TOKENS, SHAPE) * ROWS * threads / quickest / 1e9
    return MachineSpeed(
        training_gflops=float(f"{gflops:.{DIGITS}g}"),
        threads=threads,
        precision=str(dtype).removeprefix("torch."),
    )


@contextmanager
def _on_one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
