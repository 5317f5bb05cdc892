#!/usr/bin/env python3
"""The whole system as a list of stages, and the command that runs it.

Run it as `pipelines/full.py`, `python -m pipelines.full`, or through `ray job submit`.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # run as a file, only pipelines/ is on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from pipelines.starting import end_on_signals

    end_on_signals()

from infra import session
from infra.paths import is_remote, normal
from infra.ray_address import cluster_address
from infra.roots import require_root
from infra.store import Store
from pipelines import demo, run_tables, runner, sizing
from pipelines.command import command, complain, log_to_errors, program
from pipelines.command.streams import OutputLost
from pipelines.options import given_paths, resolve
from pipelines.places import of_workers
from pipelines.planner import Selection, Stage, Step, plan
from pipelines.presets import PRESETS
from pipelines.settings_table import show_settings
from schemas.artifacts import (
    BPE,
    CLEAN_PAIRS,
    CLIP,
    DVAE,
    MEASURED,
    PAIRS,
    PRIOR,
    REPORT,
    SAMPLES,
    TOKEN_PAIRS,
)
from schemas.errors import ConfigError
from schemas.settings import Settings
from stages import (
    crawl,
    encode,
    evaluate,
    filter,
    measure,
    sample,
    train_bpe,
    train_clip,
    train_dvae,
    train_prior,
)

log = logging.getLogger(__name__)


def dalle(cfg: Settings) -> tuple[Stage, ...]:
    """List the stages in the order they run, each with all it depends on."""
    return (
        Stage(module=crawl, reads=(), writes=PAIRS, config=cfg.crawl),
        Stage(module=measure, reads=(PAIRS,), writes=MEASURED, config=cfg.measure),
        Stage(module=filter, reads=(PAIRS, MEASURED), writes=CLEAN_PAIRS, config=cfg.filter),
        Stage(module=train_bpe, reads=(CLEAN_PAIRS,), writes=BPE, config=cfg.bpe),
        Stage(module=train_dvae, reads=(CLEAN_PAIRS,), writes=DVAE, config=cfg.dvae),
        Stage(module=encode, reads=(CLEAN_PAIRS, BPE, DVAE), writes=TOKEN_PAIRS, config=cfg.encode),
        Stage(module=train_prior, reads=(TOKEN_PAIRS, BPE, DVAE), writes=PRIOR, config=cfg.prior),
        Stage(module=train_clip, reads=(CLEAN_PAIRS, BPE), writes=CLIP, config=cfg.clip),
        Stage(
            module=sample,
            reads=(BPE, DVAE, PRIOR, CLIP)
            + ((TOKEN_PAIRS,) if cfg.sample.prompts.kind == "validation" else ()),
            writes=SAMPLES,
            config=cfg.sample,
        ),
        Stage(
            module=evaluate,
            reads=(PAIRS, MEASURED, CLEAN_PAIRS, BPE, DVAE, TOKEN_PAIRS, PRIOR, CLIP, SAMPLES),
            writes=REPORT,
            config=cfg.evaluate,
        ),
    )


def absolute_root(root: str | None, preset: str) -> str:
    """Return the root as an absolute path or an object-store address.

    Raises ConfigError for a malformed one, and for a relative path inside a working directory that
    `ray job submit` uploaded.
    """
    place = normal(f"runs/{preset}" if root is None else root, name="--root")
    if is_remote(place):
        return place
    if not os.path.isabs(place) and session.uploaded_working_dir():
        raise ConfigError(
            f"--root must be an absolute path or an object-store address, found '{place}': this "
            "job runs in an uploaded copy of the working directory that Ray throws away afterwards"
        )
    return os.path.abspath(place)


def parser() -> argparse.ArgumentParser:
    names = ", ".join(stage.name for stage in dalle(Settings()))
    line = argparse.ArgumentParser(prog="pipelines/full.py", description=__doc__.split("\n")[0],
                                   epilog=f"The stages are {names}.")  # fmt: skip
    line.add_argument("--preset", choices=PRESETS, default="demo", help="settings (default demo)")
    line.add_argument("--config", type=Path, metavar="FILE", help="YAML that overrides the preset")
    line.add_argument("--set", action="append", default=[], metavar="PATH=VALUE",
                      dest="assignments", help="override one setting; repeatable")  # fmt: skip
    line.add_argument("--root", metavar="URI",
                      help="directory or s3://... of the run (default runs/PRESET)")  # fmt: skip
    line.add_argument("--from", dest="first", metavar="STAGE", help="run from this stage on")
    line.add_argument("--until", dest="last", metavar="STAGE", help="run up to this stage")
    line.add_argument("--only", metavar="STAGE", help="run this stage alone")
    line.add_argument("--force", action="append", default=[], metavar="STAGE",
                      help="run this stage even if it is finished; repeatable")  # fmt: skip
    line.add_argument("--plan", action="store_true",
                      help="print what would run and what it would cost; run nothing")  # fmt: skip
    line.add_argument("--settings", nargs="?", const="", metavar="PREFIX",
                      help="print all settings, or those of a part such as prior.fit")  # fmt: skip
    return line


@command(parser)
def main(args: argparse.Namespace) -> int:
    """Plan or run; the exit code is 3 if rows had to be left out."""
    log_to_errors()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = resolve(args.preset, args.config, args.assignments)
    store = Store(absolute_root(args.root, args.preset))
    runs = not args.plan and args.settings is None
    if runs or args.plan or settings.minutes is not None:
        require_root(store.root, writes=runs)
    given = given_paths(args.config, args.assignments)
    settings, why = sizing.sized(settings, given, store, records=runs)
    if args.settings is not None:
        show_settings(settings, args.settings)
        return 0
    selection = Selection(first=args.first, last=args.last, only=args.only, force=tuple(args.force))
    steps = plan(dalle(settings), store, selection)
    if args.plan:
        run_tables.show_plan(steps, settings, store, why)
        return 0
    for line in why:
        log.info("%s", line)
    return _run(settings, store, selection, steps)


def _run(settings: Settings, store: Store, selection: Selection, steps: Sequence[Step]) -> int:
    if sentence := run_tables.unnamed_source(settings, steps):
        raise ConfigError(sentence)
    if any(step.runs for step in steps):
        cluster_address()  # refuses a malformed RAY_ADDRESS before anything is made
    start = partial(session.start, sees=of_workers(settings), root=store.root)
    try:
        with demo.joined(settings, store.root, crawls=steps[0].runs) as joined:
            ended = runner.run(dalle(joined), store, selection, start)
    finally:
        session.stop()
    with suppress(OutputLost):  # the exit code tells the outcome too
        run_tables.show_run(ended, store)
    if sentence := run_tables.shortfalls(ended, store):
        complain(sentence)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(program(main))
