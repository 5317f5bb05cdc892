"""The prior's options on the demo's tokens: nats per held-out token after the same updates.

`python -m tests.bench.prior_quality runs/demo [variant ...]` trains the demo's prior once for each
variant, on one core, on the tokens that a finished demo left. The figures say what an option is
worth at a size at which it can be tried, not at the paper's.
"""

import sys
import tempfile
import time
from collections.abc import Iterator

import torch

from infra.store import Store, open_folder
from pipelines.options import resolve
from schemas import rows
from schemas.artifacts import BPE, DVAE, TOKEN_PAIRS, TRAIN, VAL
from schemas.settings import PriorSettings
from stages import weights
from stages.data.table import open_table
from stages.train_prior.task import PriorTask
from stages.training.distributed import DistributedContext
from stages.training.trainer import Trainer

VARIANTS = {
    "paper": {},
    "dense": {"attention": "dense"},
    "rotary": {"positions": "rotary"},
    "qk_norm": {"qk_norm": True},
    "llama": {"block": "llama"},
    "all": {"positions": "rotary", "qk_norm": True, "block": "llama"},
}


def trained(store: Store, cfg: PriorSettings) -> dict[str, float]:
    """Train on the demo's tokens and return the last validation's numbers."""
    pairs = store.newest(TOKEN_PAIRS)
    schema = rows.token_pair(text_len=cfg.tokens.text_len, grid=cfg.tokens.grid)
    train, val = (open_table(pairs, split, schema) for split in (TRAIN, VAL))
    bpe = weights.load_bpe(store.newest(BPE))
    task = PriorTask(cfg, train, val, bpe, store.newest(DVAE))
    with tempfile.TemporaryDirectory() as out:
        return Trainer(task, cfg, open_folder(out), DistributedContext()).fit()


def lines(store: Store, names: list[str]) -> Iterator[str]:
    """Yield the head of the table, then one line for each variant."""
    yield "variant   text nats  image nats  against the paper's  CPU s"
    settings, base = resolve("demo"), None
    for name in names:
        prior = settings.prior.model_copy(update=VARIANTS[name])
        started = time.process_time()
        found = trained(store, PriorSettings(**dict(prior), tokens=settings.tokens))
        text, image = found["validation_text"], found["validation_image"]
        base = base or image
        yield (
            f"{name:8}  {text:9.4f}  {image:10.4f}  {image / base - 1:19.1%}  "
            f"{time.process_time() - started:5.0f}"
        )


def main(root: str, *names: str) -> None:
    torch.set_num_threads(1)
    for line in lines(Store(root), ["paper", *(n for n in names or VARIANTS if n != "paper")]):
        print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
