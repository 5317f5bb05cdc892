"""One network after another: its figures for the report, and pairs to look at."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.folder import Folder
from schemas.run_report.networks_part import NetworkFigures, SuspectDrawing
from stages.evaluate.by_network.distances import distances
from stages.evaluate.by_network.memorisation import memorisation
from stages.evaluate.by_network.picture_sets import PictureSets, see_all
from stages.evaluate.page import SuspectPair
from stages.evaluate.reconstructions import captioned_at
from stages.features import FeatureExtractor
from stages.features.networks import clip_of_run, open_network


class Looked(NamedTuple):
    """What one network measured, and the pairs that it finds the most alike."""

    figures: NetworkFigures
    pairs: Sequence[SuspectPair]


def by_networks(clip: Folder, address: str, pictures: PictureSets) -> Iterator[Looked]:
    """Look with the run's CLIP, and with the network at `address` unless that is empty.

    Nothing is measured where no pictures were held out.
    """
    if len(pictures.held_out):
        yield look(clip_of_run(clip), pictures)
        if address:
            yield look(open_network(address, "clean", setting="evaluate.features"), pictures)


def look(extractor: FeatureExtractor, pictures: PictureSets) -> Looked:
    """Measure all that one network can tell."""
    seen = see_all(extractor, pictures)
    own = distances(extractor, seen.held_out.as_they_are, pictures.reference, seen.sets)
    figures = NetworkFigures(network=extractor.network, distances=own, copies=None)
    if not len(pictures.favourite) or len(pictures.held_out) < 2:
        return Looked(figures, [])
    copies, suspects = memorisation(seen)
    rows = {one.training for one in suspects}
    training = dict(captioned_at(pictures.clean, pictures.side, rows))
    pairs = [
        SuspectPair(
            prompt=pictures.prompts[one.prompt],
            drawn=pictures.favourite[one.prompt],
            caption=training[one.training].caption,
            training=training[one.training].pixels,
            distance=one.distance,
        )
        for one in suspects
    ]
    listed = tuple(
        SuspectDrawing(prompt=p.prompt, caption=p.caption, distance=p.distance) for p in pairs
    )
    copies = copies.model_copy(update={"suspects": listed})
    return Looked(figures.model_copy(update={"copies": copies}), pairs)
