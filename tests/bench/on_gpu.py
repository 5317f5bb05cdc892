"""What the benches for a GPU share: a table kept as it grows, time and memory of a device."""

import argparse
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pipelines.options import resolve
from schemas.settings import PriorShape, TokenSpec


def parser_of(name: str, sizes: dict[str, int]) -> argparse.ArgumentParser:
    """Return a bench's parser: the device, and sizes with their defaults."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.bench.{name}")
    parser.add_argument("--device", default="cuda")
    for option, size in sizes.items():
        parser.add_argument(f"--{option}", type=int, default=size)
    return parser


def prior_parser(name: str, **more: int) -> argparse.ArgumentParser:
    """Return a parser of a prior's sizes, whose defaults are those of the preset `h200`."""
    preset = resolve("h200")
    sizes = {
        "layers": preset.prior.layers, "heads": preset.prior.heads,
        "head-dim": preset.prior.head_dim, "text": preset.tokens.text_len,
        "grid": preset.tokens.grid, "text-vocab": preset.tokens.text_vocab,
        "image-vocab": preset.tokens.image_vocab,
    }  # fmt: skip
    return parser_of(name, sizes | more)


def tokens_of(asked: argparse.Namespace) -> TokenSpec:
    return TokenSpec(
        text_vocab=asked.text_vocab, text_len=asked.text,
        image_vocab=asked.image_vocab, grid=asked.grid,
    )  # fmt: skip


def llama(tokens: TokenSpec, shape: PriorShape, slots: int, **options: object) -> LlamaForCausalLM:
    """Return transformers' model of this width and depth, text and images in one alphabet."""
    config = LlamaConfig(
        vocab_size=tokens.text_vocab + 1 + tokens.image_vocab,
        hidden_size=shape.width,
        intermediate_size=8 * -(-shape.width // 3),
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=slots,
        attn_implementation="sdpa",
        **options,
    )
    return LlamaForCausalLM(config)


def heading(device: torch.device) -> str:
    """Say when and on what is measured."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{date.today()}  {name}  torch {torch.__version__}  CUDA {torch.version.cuda}"


class Table:
    """Lines that are printed, and kept in $OUT as they come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        print(line, flush=True)
        self.lines.append(line)
        if folder := os.environ.get("OUT"):
            (Path(folder) / f"{self.name}.txt").write_text("\n".join(self.lines) + "\n")


def fits(measure: Callable[[], str]) -> str:
    try:
        return measure()
    except torch.OutOfMemoryError:
        return "out of memory"
    finally:
        torch.compiler.reset()
        torch.cuda.empty_cache()


def seconds(
    work: Callable[[], object], times: int, device: torch.device, *, warm: bool = False
) -> float:
    """Return the mean time of one piece of work, all of it done."""
    if not warm:
        work()  # algorithms are chosen, memory is taken
    done(device)
    started = time.perf_counter()
    for _ in range(times):
        work()
    done(device)
    return (time.perf_counter() - started) / times


def done(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def tensor_cores(on: bool) -> None:
    """Let GPUs shorten the factors of float32 products, or not; other devices stay as they are."""
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = on
        torch.backends.cudnn.allow_tf32 = on


def seconds_and_memory(
    work: Callable[[], object], times: int, device: torch.device
) -> tuple[float, float]:
    """Return the mean time of one piece of work, and the most memory that it took, in GiB."""
    forget_peak(device)
    return seconds(work, times, device), peak_gib(device)


def forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
