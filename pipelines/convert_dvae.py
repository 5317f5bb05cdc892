"""Convert a discrete VAE between the released files and ours.

python -m pipelines.convert_dvae release/ ours/
    reads encoder.pkl and decoder.pkl without running any code in them, and
    writes model.safetensors and config.json
python -m pipelines.convert_dvae ours/ release/ --published
    writes encoder.pt and decoder.pt, for the released code's load_state_dict
"""

import argparse
import sys
from collections.abc import Sequence

from infra.folders import open_folder
from pipelines.command import arguments, command, program, writing_to
from schemas.artifacts import MODEL_CONFIG, WEIGHTS
from schemas.errors import ConfigError
from schemas.folder import Folder
from stages.training.forecast import parameter_count
from stages.weights import DvaeConfig, save_model
from stages.weights.published import DECODER, ENCODER, open_published, save_published

PUBLISHED = (f"{ENCODER}.pt", f"{DECODER}.pt")
SIDE = 256  # pixels: what the release learned from
RELEASED = ("random", 8)  # how it starts, and pixels per side of one of its codes


def convert(source: str, target: str, *, published: bool, side: int | None) -> str:
    """Write the files; describe what they hold in a line."""
    found = open_published(source)
    side = side or found.side or SIDE
    patch = found.shape.patch
    if side < patch or side % patch:
        raise ConfigError(f"--side: wanted a multiple of {patch} pixels, found {side}")
    if published and (found.shape.init, patch) != RELEASED:
        raise ConfigError(
            f"--published: wanted the released code's networks (dvae.init={RELEASED[0]}, "
            f"tokens.patch={RELEASED[1]}), found {found.shape.init} and {patch}; train with these"
        )
    out = open_folder(target)
    names = PUBLISHED if published else (WEIGHTS, MODEL_CONFIG)
    _require_free(out, names)
    if published:
        save_published(out, found.dvae)
    else:
        sizes = DvaeConfig(shape=found.shape, image_vocab=found.image_vocab, side=side)
        save_model(out, found.dvae, sizes)
    return (
        f"wrote {' and '.join(names)} to {out.url}: {parameter_count(found.dvae):,} weights, "
        f"width {found.shape.width}, {found.shape.blocks} blocks a group, codebook width "
        f"{found.shape.codebook_width}, {found.image_vocab:,} codes"
    )


def _require_free(out: Folder, names: Sequence[str]) -> None:
    taken = [name for name in names if out.exists(name)]
    if taken:
        raise ConfigError(
            f"wanted to write {' and '.join(names)}, found {' and '.join(taken)} in {out.url} "
            "already; name another folder, or delete them"
        )


def parser() -> argparse.ArgumentParser:
    line = arguments("convert_dvae", __doc__)
    line.add_argument("source", metavar="FROM", help="a folder with encoder.pkl and decoder.pkl, "
                      "a dvae artifact, or one file that holds both parts")  # fmt: skip
    line.add_argument("target", metavar="TO", help="the folder to write to")
    line.add_argument("--published", action="store_true", help="write encoder.pt and decoder.pt")
    line.add_argument("--side", type=int, metavar="PIXELS",
                      help=f"side of the pictures it was trained on (default {SIDE})")  # fmt: skip
    return line


@command(parser)
def main(args: argparse.Namespace) -> None:
    with writing_to(args.target):
        print(convert(args.source, args.target, published=args.published, side=args.side))


if __name__ == "__main__":
    sys.exit(program(main))
