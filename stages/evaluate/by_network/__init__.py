"""What feature networks see of a run: how far drawings are from real pictures, and copies.

The run's own CLIP always looks, and a network that is handed in (`evaluate.features`).

picture_sets    which pictures are looked at
distances       Frechet distances of drawings, reconstructions and real pictures from held-out ones
memorisation    the training pictures that drawings are suspiciously close to
"""

from stages.evaluate.by_network.picture_sets import PictureSets
from stages.evaluate.by_network.seen import by_networks

__all__ = ["PictureSets", "by_networks"]
