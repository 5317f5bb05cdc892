"""Train the prior: a transformer that continues a caption with the codes of its picture.

Reads   token_pairs  (rows.token_pair), bpe (for BPE dropout), dvae (to look at samples)
Writes  prior        (safetensors + config)
Where   Ray Train, one worker per GPU (see training.on_ray)
Paper   section 2.2, appendix B.2

`task` says what is learned and from what; `training.trainer` is the loop that does it.
"""

from schemas.artifacts import BPE, DVAE, TOKEN_PAIRS, TRAIN, VAL
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import PriorSettings
from schemas.tokens import TokenHeader
from stages import weights
from stages.data.intact import require_intact
from stages.data.table import open_splits
from stages.train_prior.forecast import forecast
from stages.train_prior.task import PriorTask
from stages.training import on_ray

__all__ = ["REVISION", "forecast", "run"]

REVISION = 4


def run(inputs: Inputs, out: Folder, cfg: PriorSettings) -> Result:
    """Train on all token pairs, once their shards are known to be whole and to fit both models."""
    folder = inputs.folder(TOKEN_PAIRS)
    header = TokenHeader.of(inputs.manifest(DVAE), inputs.manifest(BPE), cfg.tokens)
    train, held_out = open_splits(folder, header.schema, header.text())
    every_row = train.rows if held_out is train else train.rows + held_out.rows
    require_intact(folder, inputs.manifest(TOKEN_PAIRS), (TRAIN, VAL), every_row)
    bpe = weights.load_bpe(inputs.folder(BPE))
    task = PriorTask(cfg, train, held_out, bpe, inputs.folder(DVAE))
    return on_ray.train(task, cfg, out, rows=train.rows)
