"""Drawing with the prior of about a billion parameters on a GPU: seconds a picture, and the floor.

`python -m tests.bench.drawing_gpu` draws candidates of one prompt with the preset `h200`'s prior,
untrained, in bfloat16, by tiles of several sizes: with each step recorded as a CUDA graph, and with
the same step launched kernel by kernel (a few steps of it, since all are alike). The floor is that
of all candidates at once, whatever the tile. With a folder's name in $OUT the table is left there.
`--device cpu` and small sizes only show that it runs.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import torch

from schemas.settings import PriorShape
from stages.models.prior import Prior
from stages.models.sampler import Sampler
from stages.models.sampling import DEFAULT_SAMPLING
from stages.training.hardware import matrix_product
from tests.bench import on_gpu
from tests.bench.drawing_floor import Machine, Step, bandwidth, step_of
from tests.bench.on_gpu import Table, fits, prior_parser, tensor_cores, tokens_of

KIND = torch.bfloat16
TILES = 8  # at most, one after another


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parsed(arguments)
    device = torch.device(asked.device)
    tensor_cores(True)
    table = Table("drawing_gpu")
    table.add(on_gpu.heading(device))
    tokens = tokens_of(asked)
    shape = PriorShape(layers=asked.layers, heads=asked.heads, head_dim=asked.head_dim)
    machine = Machine(bandwidth(device, asked.copied), matrix_product(device, KIND))
    table.add(
        f"prior of {asked.layers} layers, {asked.heads} heads of {asked.head_dim}, "
        f"{tokens.text_len} + {tokens.image_len} tokens, bfloat16; {machine}"
    )
    floors = {n: step_of(tokens, shape, n, KIND.itemsize) for n in asked.candidates}
    steps = tokens.image_len - 1  # the first code is the prompt's
    for n, step in floors.items():
        table.add(
            f"floor of {n:4}: {step.seconds(machine) * steps / n:.5f} s a picture, by "
            f"{step.limit(machine)}; a step reads {step.weights / 1e6:,.0f} MB of weights, "
            f"{step.prompt / 1e6:,.0f} of the prompt, {step.codes / 1e6:,.0f} of codes"
        )
    torch.manual_seed(0)
    with device:
        prior = Prior(tokens, shape).eval()
    table.add("tile  candidates  s a picture  tokens/s  of the floor  without a graph  GiB")
    for tile in asked.tiles:
        table.add(fits(partial(drawn, prior, tile, machine, floors, asked.updates)))


def drawn(prior: Prior, tile: int, machine: Machine, floors: dict[int, Step], updates: int) -> str:
    """Draw by tiles of one size; return a line for each number that fills one, or some."""
    device, codes = prior.start.device, prior.tokens.image_len
    on_gpu.forget_peak(device)
    sampler = Sampler(prior, tile=tile, precision="bfloat16")
    text = torch.zeros(1, prior.tokens.text_len, dtype=torch.long, device=device)

    def draw(n: int) -> Callable[[], object]:
        return lambda: sampler.draw(text, torch.arange(n)[None])

    @torch.no_grad()
    def step(advance: Callable[[], object]) -> float:
        drawing.decoder.position.zero_()  # from the first step of a picture on
        with torch.autocast(device.type, KIND):
            return on_gpu.seconds(advance, updates, device)

    draw(1)()  # compiles, records
    drawing = sampler.tile_sampler(DEFAULT_SAMPLING)
    alone, recorded = step(drawing._advance), step(drawing.advance)
    lines = []
    for n, floor in floors.items():
        if tile <= n <= TILES * tile:
            took = on_gpu.seconds(draw(n), 1, device, warm=True)
            at_least = floor.seconds(machine) * (codes - 1)
            lines.append(
                f"{tile:4}  {n:10}  {took / n:11.5f}  {n * codes / took:8,.0f}  "
                f"{at_least / took:12.1%}  {alone / recorded:9.2f} times  "
                f"{on_gpu.peak_gib(device):6.1f}"
            )
    return "\n".join(lines)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = prior_parser("drawing_gpu", updates=32, copied=2_048)
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 64, 512])
    parser.add_argument("--tiles", type=int, nargs="+", default=[1, 64, 128, 256, 512])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
