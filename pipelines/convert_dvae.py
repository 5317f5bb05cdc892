"""Convert a discrete VAE from the released files to ours, or to plain files with released names.

`python -m pipelines.convert_dvae release/ ours/` takes encoder.pkl and decoder.pkl, runs nothing of
what is in them, and writes model.safetensors and config.json. With `--published` the new files are
encoder.pt and decoder.pt, dicts of tensors for the released code's load_state_dict.
"""

if __name__ == "__main__":
    from pipelines.stopping import while_importing

    while_importing()

import argparse
import sys
from collections.abc import Sequence

from infra.store import open_folder
from pipelines.command import outcome, program
from pipelines.costs import parameters
from schemas.artifacts import MODEL_CONFIG, WEIGHTS
from schemas.errors import ConfigError
from schemas.folder import Folder
from stages.training.published import DECODER, ENCODER, open_published, save_published
from stages.training.weights import DvaeConfig, save_model

PUBLISHED = (f"{ENCODER}.pt", f"{DECODER}.pt")
SIDE = 256  # pixels: what the release learned from


def convert(source: str, target: str, *, published: bool, side: int | None) -> str:
    """Write the files; return a line that says what they hold. Raises UserError."""
    found = open_published(source)
    side = side or found.side or SIDE
    if side < 8 or side % 8:
        raise ConfigError(f"--side wants a multiple of 8 pixels, found {side}")
    out = open_folder(target)
    _require_free(out, PUBLISHED if published else (WEIGHTS, MODEL_CONFIG))
    if published:
        save_published(out, found.dvae)
        written = "encoder.pt and decoder.pt"
    else:
        sizes = DvaeConfig(shape=found.shape, image_vocab=found.image_vocab, side=side)
        save_model(out, found.dvae, sizes)
        written = f"{WEIGHTS} and {MODEL_CONFIG}"
    return (
        f"wrote {written} to {out.url}: {parameters(found.dvae):,} weights, "
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


def main(argv: Sequence[str] | None = None) -> int:
    """Convert; return the exit code."""
    line = argparse.ArgumentParser(prog="python -m pipelines.convert_dvae", description=__doc__)
    line.add_argument("source", metavar="FROM", help="a folder of encoder.pkl and decoder.pkl, "
                      "a dvae artifact, or one file of both parts")  # fmt: skip
    line.add_argument("target", metavar="TO", help="the folder to write to")
    line.add_argument("--published", action="store_true", help="write encoder.pt and decoder.pt")
    line.add_argument("--side", type=int, help=f"of the pictures it learned from ({SIDE} pixels)")
    args = line.parse_args(argv)
    return outcome(
        lambda: convert(args.source, args.target, published=args.published, side=args.side),
        args.target,
    )


if __name__ == "__main__":
    sys.exit(program(main))
