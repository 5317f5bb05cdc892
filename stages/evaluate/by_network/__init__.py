"""What feature networks see of a run: copies, and how far drawings are from real pictures.

Thumbnails always look for copies, and the run's own CLIP measures distances; a network that is
handed in (`evaluate.features`) does both.

picture_sets    which pictures are looked at
distances       Frechet distances of drawings, reconstructions and real pictures from held-out ones
memorisation    the training pictures that drawings are suspiciously close to
"""

from stages.evaluate.by_network.picture_sets import PictureSets
from stages.evaluate.by_network.seen import by_networks

__all__ = ["PictureSets", "by_networks"]
