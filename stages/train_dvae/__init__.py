"""Train the discrete VAE, which draws any picture again from a grid of codes.

Reads   clean_pairs  (rows.CLEAN_PAIR)
Writes  dvae         (safetensors + config)
Where   Ray Train, one worker per GPU; pretrained weights are only copied and measured
Paper   section 2.1, appendices A.2 and A.3
"""

from schemas import rows
from schemas.artifacts import CLEAN_PAIRS
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import DvaeSettings
from stages.data.table import open_splits
from stages.train_dvae import pretrained
from stages.train_dvae.forecast import forecast
from stages.train_dvae.health import alarm
from stages.train_dvae.pretrained import outside
from stages.train_dvae.task import DvaeTask
from stages.training import on_ray

__all__ = ["REVISION", "forecast", "outside", "run"]

REVISION = 2


def run(inputs: Inputs, out: Folder, cfg: DvaeSettings) -> Result:
    """Train on all clean pairs, or copy pretrained weights; warn of codes that are no use."""
    train, held_out = open_splits(inputs.folder(CLEAN_PAIRS), rows.CLEAN_PAIR)
    task = DvaeTask(cfg, train, held_out)
    if cfg.pretrained:
        return pretrained.run(task, out, rows=train.rows)
    result = on_ray.train(task, cfg, out, rows=train.rows)
    health = result.health | {"alarm": alarm(result.health, cfg, cfg.fit.steps)}
    return result.model_copy(update={"health": health})
