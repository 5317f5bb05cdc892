"""The dVAE at full width on a GPU: training and encoding, pictures a second, and what limits them.

`python -m tests.bench.dvae_gpu` builds nothing, measures all and prints a table; with a folder's
name in $OUT it also leaves the table there, line by line. Weights and pictures are random: neither
changes what a step takes. `--device cpu` and small sizes only show that it runs.
"""

import argparse
from collections.abc import Sequence

import torch

from schemas.settings import DvaeSettings
from stages.models.dvae import Dvae
from stages.pictures.tensors import to_tensor
from stages.train_dvae.task import DvaeTask
from stages.training.hardware import matrix_product, peak_of
from tests.bench.on_gpu import Table, fits, heading, parser_of, seconds, tensor_cores
from tests.bench.updates import in_the_loop

MODES = ("eager", "recompute", "compile", "compile+recompute")


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parsed(arguments)
    device = torch.device(asked.device)
    torch.backends.cudnn.benchmark = True  # as a training worker does
    tensor_cores(True)
    table = Table("dvae_gpu")
    product = matrix_product(device, torch.bfloat16, asked.matrix)
    peak = peak_of(device, torch.bfloat16)
    table.add(heading(device))
    table.add(
        f"dVAE of {asked.width} channels, {asked.blocks} blocks a group, {asked.codes} codes, "
        f"{asked.side} x {asked.side}; bfloat16, channels_last; matrix product "
        f"{product / 1e12:.3g} TFLOP/s measured, {peak} taken for the utilisation"
    )
    table.add("training            rows   pictures/s  utilisation  GiB     first gradient's norm")
    for rows in asked.rows:
        for mode in asked.modes:
            line = fits(
                lambda rows=rows, mode=mode: training(asked, mode, rows, device, peak.flops)
            )
            table.add(f"{mode:18}  {rows:5}  {line}")
    table.add("encoding            rows   pictures/s  codes as in float32")
    for line in fits(lambda: encoding(asked, device)).splitlines():
        table.add(line)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; the defaults are the paper's sizes."""
    sizes = {"width": 256, "blocks": 2, "codes": 8_192, "side": 256, "matrix": 8_192}
    parser = parser_of("dvae_gpu", {**sizes, "tile": 128, "updates": 10})
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 64], help="of a forward pass")
    parser.add_argument("--modes", choices=MODES, nargs="+", default=list(MODES))
    return parser.parse_args(arguments)


def job(asked: argparse.Namespace, mode: str, rows: int) -> DvaeSettings:
    """Return the paper's settings for a model and a step of these sizes."""
    paper = DvaeSettings()
    how = {"compile": "compile" in mode, "activation_checkpointing": "recompute" in mode}
    nodes = {"fit": paper.fit.model_copy(update={"batch_size": rows}),
             "run": paper.run.model_copy(update=how)}  # fmt: skip
    sizes = {"width": asked.width, "blocks": asked.blocks, "side": asked.side}
    return DvaeSettings(**dict(paper) | nodes | sizes | {"image_vocab": asked.codes})


def training(
    asked: argparse.Namespace, mode: str, rows: int, device: torch.device, peak: float
) -> str:
    cfg = job(asked, mode, rows)
    task = DvaeTask(cfg, None, None)  # type: ignore[arg-type]
    torch.manual_seed(0)
    batch = {
        "pixels": torch.randint(0, 256, (rows, asked.side, asked.side, 3), dtype=torch.uint8),
        "seed": torch.arange(rows),
    }
    batch = {name: values.to(device) for name, values in batch.items()}
    took, memory, norm = in_the_loop(task, cfg, batch, asked.updates, device)
    used = task.flops_per_row() * rows / took / peak
    return f"{rows / took:11.1f}  {used:11.1%}  {memory:6.1f}  {norm:.5g}"


def encoding(asked: argparse.Namespace, device: torch.device) -> str:
    """Name the codes of pictures as encode does, in three kinds of arithmetic."""
    torch.manual_seed(0)
    cfg = job(asked, "eager", asked.tile)
    model = Dvae(cfg, asked.codes).to(device, memory_format=torch.channels_last).eval()
    shape = (asked.tile, asked.side, asked.side, 3)
    pixels = to_tensor(torch.randint(0, 256, shape, dtype=torch.uint8, device=device))
    lines, exact = [], None
    for kind, short in (("float32", False), ("TF32", True), ("bfloat16", True)):
        tensor_cores(short)

        @torch.inference_mode()
        def encode(kind: str = kind) -> torch.Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=kind == "bfloat16"):
                return model.codes(pixels)

        codes = encode()
        exact = codes if exact is None else exact
        rate = asked.tile / seconds(encode, asked.updates, device)
        same = (codes == exact).double().mean().item()
        lines.append(f"{kind:18}  {asked.tile:5}  {rate:11.1f}  {same:.2%}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
