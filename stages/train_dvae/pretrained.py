"""`dvae.pretrained`: weights copied instead of trained, the released ones or another run's."""

from typing import Any

import torch

from schemas.errors import ConfigError
from schemas.folder import Folder
from schemas.manifest import Result
from schemas.settings import DvaeSettings, DvaeShape
from schemas.settings.base import Shared
from stages import weights
from stages.cpu_threads import use_threads
from stages.models.dvae import Dvae
from stages.train_dvae.task import DvaeTask
from stages.training.metrics_log import PICTURES
from stages.training.on_ray import WORKER_CPUS
from stages.training.task import Scalars
from stages.weights.published import digest_of, open_published


def outside(cfg: DvaeSettings) -> dict[str, str]:
    """Return a digest of the pretrained weights, if there are any.

    Raises ConfigError for weights of other sizes than the settings', before any stage runs.
    """
    if not cfg.pretrained:
        return {}
    open_matching(cfg)
    return {"pretrained": digest_of(cfg.pretrained)}


def open_matching(cfg: DvaeSettings) -> Dvae:
    """Open the weights; raise ConfigError unless their sizes are those of the settings."""
    found = open_published(cfg.pretrained)
    shared = DvaeShape.marked(Shared)  # set in `tokens`
    sizes = {
        f"{'tokens' if n in shared else 'dvae'}.{n}": (getattr(found.shape, n), getattr(cfg, n))
        for n in DvaeShape.model_fields
    }
    sizes["tokens.image_vocab"] = (found.image_vocab, cfg.image_vocab)
    if found.side is not None:
        sizes["tokens.grid"] = (found.side // found.shape.patch, cfg.side // cfg.patch)
    other = {name: size for name, size in sizes.items() if size[0] != size[1]}
    if other:
        raise ConfigError(
            f"dvae.pretrained: wanted weights of the settings' sizes in {cfg.pretrained}, found "
            f"others; {' '.join(f'--set {name}={size}' for name, (size, _) in other.items())} "
            f"takes them (now {', '.join(str(size) for _, size in other.values())})"
        )
    return found.dvae


def run(task: DvaeTask, out: Folder, *, rows: int) -> Result:
    """Write the weights as the artifact, and measure them on a Ray worker like a training's."""
    import ray  # here, because a stage is imported where Ray is not needed

    task.export(open_matching(task.cfg), out)
    remote: Any = ray.remote(num_cpus=WORKER_CPUS, num_gpus=1 if task.cfg.run.gpu else 0)(measured)
    health = ray.get(remote.remote(task, out))
    # Advice on training is no use here; encode's gate tells if they are not good enough.
    return Result(rows_in=rows, rows_out=0, health=health | {"alarm": None})


def measured(task: DvaeTask, out: Folder) -> Scalars:
    """Validate the artifact's weights as after a training, and keep the reconstructions."""
    use_threads(task.cfg.run.threads)
    device = torch.device("cuda" if task.cfg.run.gpu else "cpu")
    model = weights.load_dvae(out).to(device)
    with torch.no_grad():
        found = task.validate(model, task.cfg.fit.steps)
    for name, picture in found.pictures.items():
        out.commit(f"{PICTURES}{name}-00000000.png", picture)  # no update was made
    return found.scalars
