"""One network after another: its figures for the report, and pairs to look at."""

from collections.abc import Collection, Iterator, Sequence
from typing import Literal, NamedTuple

from schemas.folder import Folder
from schemas.run_report.networks_part import NetworkFigures, SuspectDrawing
from stages.evaluate.by_network.distances import distances
from stages.evaluate.by_network.memorisation import memorisation
from stages.evaluate.by_network.picture_sets import PictureSets, SeenSets, see_all
from stages.evaluate.page import SuspectPair
from stages.evaluate.reconstructions import captioned_at
from stages.features import FeatureExtractor
from stages.features.networks import clip_of_run, open_network
from stages.features.thumbnail import thumbnail


class Looked(NamedTuple):
    """What one network measured, and the pairs that it finds the most alike."""

    figures: NetworkFigures
    pairs: Sequence[SuspectPair]


def by_networks(clip: Folder, address: str, pictures: PictureSets) -> Iterator[Looked]:
    """Look with thumbnails, with the run's CLIP, and with the network at `address`, if any.

    Thumbnails find copies, and say nothing of how real a picture is; the CLIP, which learned from
    the training pictures, is the other way round. Nothing is measured where no pictures were held
    out.
    """
    if len(pictures.held_out):
        yield look(thumbnail(), pictures, {"copies"})
        yield look(clip_of_run(clip), pictures, {"distances"})
        if address:
            network = open_network(address, "clean", setting="evaluate.features")
            yield look(network, pictures, {"copies", "distances"})


def look(
    extractor: FeatureExtractor,
    pictures: PictureSets,
    tells: Collection[Literal["copies", "distances"]],
) -> Looked:
    """Measure what one network can tell."""
    copies = "copies" in tells and len(pictures.favourite) > 0 and len(pictures.held_out) > 1
    seen = see_all(extractor, pictures, copies=copies)
    own = {}
    if "distances" in tells:
        own = distances(extractor, seen.held_out, pictures.reference, seen.sets)
    figures = NetworkFigures(network=extractor.network, distances=own, copies=None)
    return _with_copies(extractor, pictures, seen, figures) if copies else Looked(figures, [])


def _with_copies(
    extractor: FeatureExtractor, pictures: PictureSets, seen: SeenSets, figures: NetworkFigures
) -> Looked:
    """Add what drawings are suspiciously close to."""
    copies, suspects = memorisation(extractor, pictures, seen)
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
