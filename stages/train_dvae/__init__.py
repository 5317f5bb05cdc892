"""Teach the discrete VAE to draw any picture again from a grid of codes.

Reads   clean_pairs  (rows.CLEAN_PAIR)
Writes  dvae         (safetensors + config)
Where   Ray Train, one worker per GPU; pretrained weights are only taken over and measured
Paper   section 2.1, appendices A.2 and A.3
"""

from schemas import rows
from schemas.artifacts import CLEAN_PAIRS, TRAIN, VAL
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import DvaeSettings
from stages.train_dvae import taken_over
from stages.train_dvae.health import alarm
from stages.train_dvae.taken_over import outside
from stages.train_dvae.task import DvaeTask
from stages.training import on_ray
from stages.training.table import open_table, require_rows

__all__ = ["REVISION", "outside", "run"]

REVISION = 2


def run(inputs: Inputs, out: Folder, cfg: DvaeSettings) -> Result:
    """Train on all clean pairs, or take weights over, and say what is wrong with the codes."""
    folder = inputs.folder(CLEAN_PAIRS)
    train = require_rows(open_table(folder, TRAIN, rows.CLEAN_PAIR), TRAIN)
    held_out = open_table(folder, VAL, rows.CLEAN_PAIR)
    task = DvaeTask(cfg, train, held_out if held_out.rows else train)
    if cfg.pretrained:
        return taken_over.run(task, out, rows=train.rows)
    result = on_ray.train(task, cfg, out, rows=train.rows)
    health = result.health | {"alarm": alarm(result.health, cfg, cfg.fit.steps)}
    return result.model_copy(update={"health": health})
