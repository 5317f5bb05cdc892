"""Check a finished run on this machine: its files, and that its models compute what they should.

`python -m pipelines.selfcheck --root runs/demo`

One line each: `ok`, `FAIL`, or `-` for what could not be looked at. Exits with 0 if nothing fails.
"""

if __name__ == "__main__":
    from pipelines.stopping import while_importing

    while_importing()

import argparse
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from pipelines.checking import dvae, files, pictures, prior
from pipelines.checking.run import Found, Run
from pipelines.command import complain, program
from schemas.artifacts import BPE, CLEAN_PAIRS, CLIP, DVAE, PRIOR, TOKEN_PAIRS, Artifact
from schemas.errors import ConfigError, UserError

WIDTH = 80
WORDS = {True: "ok", False: "FAIL", None: "-"}


class Check(NamedTuple):
    """One line: what it is called, what it needs, and how to look."""

    name: str
    needs: tuple[Artifact, ...]
    look: Callable[[Run], Found]


CHECKS = (
    Check("weights", (), files.weights),
    Check("token shards", (BPE, DVAE, TOKEN_PAIRS), files.shards),
    Check("dVAE round trip", (CLEAN_PAIRS, DVAE), dvae.round_trip),
    Check("decoded codes", (CLEAN_PAIRS, DVAE), dvae.codes_again),
    Check("sparse = dense", (TOKEN_PAIRS, PRIOR), prior.whole_masks),
    Check("causality", (TOKEN_PAIRS, PRIOR), prior.causal),
    Check("cache on = off", (TOKEN_PAIRS, PRIOR), prior.cached),
    Check("guidance 1 = plain", (TOKEN_PAIRS, PRIOR), prior.guided),
    Check("batch of 1 = of N", (BPE, DVAE, TOKEN_PAIRS, PRIOR, CLIP), pictures.company),
)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    line = argparse.ArgumentParser(prog="python -m pipelines.selfcheck", description=__doc__)
    line.add_argument("--root", default="runs/demo", help="of a run (runs/demo)")
    line.add_argument("--gpu", action="store_true", help="compute on the GPU")
    return line


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each check; return 0 if none failed, 1 if one did, 2 if there is no run."""
    args = parser().parse_args(argv)
    started = time.monotonic()
    try:
        if args.gpu and not torch.cuda.is_available():
            raise ConfigError("--gpu wants a CUDA device, found none; leave it out")
        run = Run(args.root, gpu=args.gpu)
    except UserError as error:
        complain(error)
        return 2
    print(f"{args.root}, torch {torch.__version__} on {run.device.type}")
    found = [shown(check, look(check, run)) for check in CHECKS]
    failed, skipped = found.count(False), found.count(None)
    seconds = time.monotonic() - started
    print(f"{found.count(True)} ok, {failed} failed, {skipped} not looked at, in {seconds:.0f} s")
    return 1 if failed else 0


@torch.no_grad()
def look(check: Check, run: Run) -> Found:
    """Look, if all that it takes is there; no model is loaded from files that somebody changed."""
    missing = run.missing(check.needs)
    if missing:
        return Found(None, f"not finished: {', '.join(missing)}")
    for artifact in check.needs:
        if artifact in files.MODELS and files.changed(run, artifact) is not None:
            return Found(None, f"{artifact.name} is not as its stage left it: see weights")
    try:
        return check.look(run)
    except UserError as error:  # rows that cannot be read
        return Found(False, str(error))


def shown(check: Check, found: Found) -> bool | None:
    """Print a line; return how it went."""
    head = f"{WORDS[found.good]:4} {check.name:18} "
    indent = " " * len(head)
    lines = textwrap.wrap(found.said, WIDTH, initial_indent=head, subsequent_indent=indent)
    print("\n".join(lines), flush=True)
    return found.good


if __name__ == "__main__":
    sys.exit(program(main))
