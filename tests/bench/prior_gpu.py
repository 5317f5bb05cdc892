"""The prior of about a billion parameters on a GPU: its kernels, and its step beside a Llama's.

`python -m tests.bench.prior_gpu` checks FlexAttention against the dense reference, then times whole
updates of the preset `h200` and of transformers' Llama of the same width and depth over one
alphabet, with scaled-dot-product attention and compiled as well. With a folder's name in $OUT it
leaves the table there, line by line. Utilisation counts what the model cannot do without: for ours
only attention that the masks allow, for the other all that is causal. `--device cpu` and small
sizes only show that it runs.
"""

import argparse
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.options import resolve
from schemas.settings import PriorSettings, PriorShape
from stages.models import sparse_attention
from stages.models.masks import Attend, MaskName, SequenceLayout, make_mask, masked_attention
from stages.train_prior.task import PriorTask
from stages.training.hardware import matrix_product, peak_of
from tests.bench import on_gpu
from tests.bench.on_gpu import Table, fits, prior_parser, tensor_cores, tokens_of
from tests.bench.updates import in_the_loop

MODES = ("eager", "compile", "compile+recompute")


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parsed(arguments)
    device = torch.device(asked.device)
    table = Table("prior_gpu")
    table.add(on_gpu.heading(device))
    layout = SequenceLayout(1 + asked.text, asked.grid, 11)
    for kind, short in ((torch.float32, False), (torch.bfloat16, True)):
        tensor_cores(short)
        for name in ("row", "column", "conv"):
            table.add(f"{name:6} {kind}: {error(name, layout, kind, device)}")
    tensor_cores(True)
    product, peak = matrix_product(device, torch.bfloat16), peak_of(device, torch.bfloat16)
    table.add(
        f"prior of {asked.layers} layers, {asked.heads} heads of {asked.head_dim}; bfloat16; a "
        f"product of matrices {product / 1e12:.3g} TFLOP/s measured, {peak} the utilisation is of"
    )
    table.add("training            rows     tokens/s  utilisation  GiB     first gradient's norm")
    for rows in asked.rows:
        for mode in asked.modes:
            line = fits(lambda rows=rows, mode=mode: ours(asked, mode, rows, device, peak.flops))
            table.add(f"{mode:18}  {rows:5}  {line}")
        line = fits(lambda rows=rows: llama(asked, rows, device, peak.flops))
        table.add(f"{'llama, compile':18}  {rows:5}  {line}")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = prior_parser("prior_gpu", updates=10)
    parser.add_argument("--rows", type=int, nargs="+", default=[16, 32], help="of an update")
    parser.add_argument("--modes", choices=MODES, nargs="+", default=list(MODES))
    return parser.parse_args(arguments)


def error(name: MaskName, layout: SequenceLayout, kind: torch.dtype, device: torch.device) -> str:
    """Compare the fast path with the reference in 32 bits, forward and backward."""
    generator = torch.Generator().manual_seed(0)
    shape = (4, 2, 4, layout.slots, 64)
    *qkv, gradient = torch.randn(shape, generator=generator).to(device)
    mask = make_mask(name, layout).to(device)
    fast = learned(sparse_attention.attention(name, layout, device), qkv, gradient, kind)
    exact = learned(lambda q, k, v: masked_attention(q, k, v, mask), qkv, gradient, torch.float32)
    worst = [(a.float() - b).abs().max().item() for a, b in zip(fast, exact, strict=True)]
    return f"largest error {worst[0]:.1e} forward, {max(worst[1:]):.1e} backward"


def learned(attend: Attend, qkv: list[Tensor], gradient: Tensor, kind: torch.dtype) -> list[Tensor]:
    """Return what is found, and the gradients of q, k and v."""
    given = [x.to(kind).requires_grad_() for x in (y.clone() for y in qkv)]
    found = attend(*given)
    return [found, *torch.autograd.grad(found, given, gradient.to(found.dtype))]


def job(asked: argparse.Namespace, mode: str, rows: int) -> PriorSettings:
    preset = resolve("h200").prior
    how = {"micro_batch_size": None, "gpu": asked.device == "cuda", "compile": "compile" in mode,
           "activation_checkpointing": "recompute" in mode}  # fmt: skip
    sizes = {"layers": asked.layers, "heads": asked.heads, "head_dim": asked.head_dim,
             "fit": preset.fit.model_copy(update={"batch_size": rows}),
             "run": preset.run.model_copy(update=how)}  # fmt: skip
    return PriorSettings(**dict(preset) | sizes | {"tokens": tokens_of(asked)})


def ours(asked: argparse.Namespace, mode: str, rows: int, device: torch.device, peak: float) -> str:
    cfg = job(asked, mode, rows)
    task = PriorTask(cfg, None, None, None, None)  # type: ignore[arg-type]
    torch.manual_seed(0)
    text = torch.randint(asked.text_vocab, (rows, asked.text), device=device)
    image = torch.randint(asked.image_vocab, (rows, asked.grid**2), device=device)
    batch = {"text": text, "image": image}
    took, memory, norm = in_the_loop(task, cfg, batch, asked.updates, device)
    return f"{in_words(asked, rows, took, task.flops_per_row() * rows / peak, memory)}  {norm:.5g}"


def llama(asked: argparse.Namespace, rows: int, device: torch.device, peak: float) -> str:
    """Make whole updates of a dense model with as many weights in its blocks."""
    slots, shape = asked.text + asked.grid**2, PriorShape(
        layers=asked.layers, heads=asked.heads, head_dim=asked.head_dim,
        attention="dense", block="llama",
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        model = on_gpu.llama(tokens_of(asked), shape, slots, use_cache=False)
    vocab = model.config.vocab_size
    for layer in model.model.layers if device.type == "cuda" else ():
        layer.forward = torch.compile(layer.forward, dynamic=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids = torch.randint(vocab, (rows, slots), device=device)

    def update() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(ids).logits[:, :-1]
            loss = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 4.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    matrices = sum(w.numel() for w in model.parameters() if w.ndim == 2) - vocab * shape.width
    attention = 2 * shape.width * slots * (slots + 1) * shape.layers
    flops = 3 * (2 * matrices * slots + attention) * rows
    took, memory = on_gpu.seconds_and_memory(update, asked.updates, device)
    return in_words(asked, rows, took, flops / peak, memory)


def in_words(asked: argparse.Namespace, rows: int, took: float, least: float, memory: float) -> str:
    """Return tokens a second, utilisation and GiB; `least` is the time at the peak's rate."""
    tokens = rows * (asked.text + asked.grid**2)
    return f"{tokens / took:11,.0f}  {least / took:11.1%}  {memory:6.1f}"


if __name__ == "__main__":
    main()
