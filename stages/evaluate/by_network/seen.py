"""What each network measures: its figures for the report, and pairs to look at."""

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

Tells = Collection[Literal["copies", "distances"]]


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
    if not len(pictures.held_out):
        return
    networks: list[tuple[FeatureExtractor, Tells]] = [
        (thumbnail(), {"copies"}),
        (clip_of_run(clip), {"distances"}),
    ]
    if address:
        network = open_network(address, "clean", setting="evaluate.features")
        networks.append((network, {"copies", "distances"}))
    yield from look(networks, pictures)


def look(
    networks: Sequence[tuple[FeatureExtractor, Tells]], pictures: PictureSets
) -> Iterator[Looked]:
    """Measure what each network can tell."""
    can_copy = len(pictures.favourite) > 0 and len(pictures.held_out) > 1
    wanted = [(extractor, can_copy and "copies" in tells) for extractor, tells in networks]
    every = see_all(wanted, pictures)
    for (extractor, tells), (_, copies), seen in zip(networks, wanted, every, strict=True):
        own = {}
        if "distances" in tells:
            own = distances(extractor, seen.held_out, pictures.reference, seen.sets)
        figures = NetworkFigures(network=extractor.network, distances=own, copies=None)
        yield _with_copies(extractor, pictures, seen, figures) if copies else Looked(figures, [])


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
