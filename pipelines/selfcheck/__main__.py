"""Check a finished run on this machine: its files, and what its models compute.

  python -m pipelines.selfcheck --root runs/demo

Prints a line per check: `ok`, `FAIL`, or `-` if it could not be done. Exits
with 0 if none failed, 1 if one did, 2 if there is no run.
"""

import argparse
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import torch

from pipelines.command import arguments, command, program
from pipelines.draw.text_to_image import MODELS, require_gpu
from pipelines.selfcheck import check_dvae, check_files, check_pictures, check_prior
from pipelines.selfcheck.run import CheckResult, Run
from schemas.artifacts import BPE, CLEAN_PAIRS, CLIP, DVAE, PRIOR, TOKEN_PAIRS, Artifact
from schemas.errors import UserError

WIDTH = 80
WORDS = {True: "ok", False: "FAIL", None: "-"}


class SelfCheck(NamedTuple):
    """One line: its name, the artifacts it needs, and the function that checks."""

    name: str
    needs: tuple[Artifact, ...]
    check: Callable[[Run], CheckResult]


CHECKS = (
    SelfCheck("weights", (), check_files.weights),
    SelfCheck("token shards", (BPE, DVAE, TOKEN_PAIRS), check_files.shards),
    SelfCheck("dVAE round trip", (CLEAN_PAIRS, DVAE), check_dvae.round_trip),
    SelfCheck("decoded codes", (CLEAN_PAIRS, DVAE), check_dvae.codes_again),
    SelfCheck("sparse = dense", (TOKEN_PAIRS, PRIOR), check_prior.whole_masks),
    SelfCheck("causality", (TOKEN_PAIRS, PRIOR), check_prior.causal),
    SelfCheck("cache on = off", (TOKEN_PAIRS, PRIOR), check_prior.cached),
    SelfCheck("guidance 1 = plain", (TOKEN_PAIRS, PRIOR), check_prior.guided),
    SelfCheck(
        "batch of 1 = of N",
        (BPE, DVAE, TOKEN_PAIRS, PRIOR, CLIP),
        check_pictures.alone_and_in_a_batch,
    ),
)


def parser() -> argparse.ArgumentParser:
    line = arguments("selfcheck", __doc__)
    line.add_argument("--root", default="runs/demo", help="root of a run (default runs/demo)")
    line.add_argument("--gpu", action="store_true", help="compute on the GPU")
    return line


@command(parser)
def main(args: argparse.Namespace) -> int:
    started = time.monotonic()
    if args.gpu:
        require_gpu()
    run = Run(args.root, gpu=args.gpu)
    print(f"{args.root}, torch {torch.__version__} on {run.device.type}")
    count = Counter(result_of(each, run).ok for each in CHECKS)
    seconds = time.monotonic() - started
    print(f"{count[True]} ok, {count[False]} failed, {count[None]} not done, in {seconds:.0f} s")
    return 1 if count[False] else 0


def result_of(each: SelfCheck, run: Run) -> CheckResult:
    result = attempt(each, run)
    head = f"{WORDS[result.ok]:4} {each.name:18} "
    indent = " " * len(head)
    lines = textwrap.wrap(result.message, WIDTH, initial_indent=head, subsequent_indent=indent)
    print("\n".join(lines), flush=True)
    return result


@torch.no_grad()
def attempt(each: SelfCheck, run: Run) -> CheckResult:
    """Do a check if all it needs is there; no model is loaded from files that somebody changed."""
    missing = run.missing(each.needs)
    if missing:
        return CheckResult(None, f"not finished: {', '.join(missing)}")
    for artifact in each.needs:
        if artifact in MODELS and check_files.changed(run, artifact) is not None:
            return CheckResult(None, f"{artifact.name} was changed after its stage: see weights")
    try:
        return each.check(run)
    except UserError as error:  # rows that cannot be read
        return CheckResult(False, str(error))


if __name__ == "__main__":
    sys.exit(program(main))
