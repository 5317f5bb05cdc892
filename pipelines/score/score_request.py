"""From the command line to an evaluation: what is asked for is checked, then opened."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.folders import open_folder
from infra.store import Store
from pipelines.draw.text_to_image import require_gpu
from pipelines.score.caption_files import read_captions
from pipelines.score.caption_set import CaptionSet, chosen
from pipelines.score.drawn import drawings, read_scores, without_captions
from pipelines.score.evaluation import MeasuredSystem, evaluate
from pipelines.score.feature_cache import FeatureCache
from pipelines.score.picture_set import REFERENCE, open_pictures
from pipelines.score.reconstructed import reconstructed
from pipelines.score.run_places import samples_of
from pipelines.score.score_file import ScoreFile
from pipelines.score.system_scores import Setup
from schemas.artifacts import CLIP
from schemas.errors import ConfigError
from stages.features import FeatureExtractor
from stages.features.networks import clip_of_run, open_network


def require_sense(args: argparse.Namespace) -> None:
    """Raise ConfigError for arguments that ask for nothing, or for what cannot be."""
    if args.gpu:
        require_gpu()
    names = [name for name, _ in named(args.pictures)]
    captions = args.captions or drawn_by_runs(args)
    measured = args.pictures or args.reconstruct
    for good, flag, wanted, found in (
        (measured or args.list, "--pictures", "a system's pictures to measure", "none"),
        (len(set(names)) == len(names), "--pictures", "names that differ", ", ".join(names)),
        (not measured or args.reference, "--reference", "real pictures", "none"),
        (not measured or args.features or args.root, "--features", "a network, or --root of "
         "a run whose CLIP is used", "neither"),
        (not args.lpips or args.reconstruct, "--reconstruct", "a run with a dVAE", "none"),
        (not args.list or captions, "--captions", "captions to list", "none"),
        (args.count is None or captions, "--captions", "captions to choose from", "none"),
        (args.count is None or args.count > 0, "--count", "1 or more", args.count),
        (args.seed >= 0, "--seed", "0 or more", args.seed),
        (args.side >= 0, "--side", "0 or more pixels", args.side),
        (all(n > 0 for n in args.best_of), "--best-of", "1 or more", min(args.best_of)),
        (max(args.best_of) == 1 or captions, "--captions", "captions with candidates", "none"),
        (all(0 <= r < math.inf for r in args.radii), "--radii", "0 or more pixels", args.radii),
    ):  # fmt: skip
        if not good:
            raise ConfigError(f"{flag}: wanted {wanted}, found {found}; see --help")


def named(places: Sequence[str]) -> list[tuple[str, str]]:
    """Return each system's name, by default the last part of its place, and its place."""
    found = []
    for place in places:
        name, equals, rest = place.partition("=")
        if not equals or "/" in name:
            name, rest = place.rstrip("/").rpartition("/")[2], place
        found.append((name, rest))
    return found


def drawn_by_runs(args: argparse.Namespace) -> bool:
    """Return whether all pictures are drawings of runs, which say what they were drawn for."""
    return bool(args.pictures) and all(samples_of(place) for _, place in named(args.pictures))


def chosen_captions(args: argparse.Namespace) -> CaptionSet | None:
    """Read the captions, or else what the first of runs drew, and choose from them.

    None where none are given.
    """
    place = args.captions
    if place is None and drawn_by_runs(args):
        _, place = named(args.pictures)[0]
    return None if place is None else chosen(read_captions(place), args.count, args.seed)


def evaluated(args: argparse.Namespace, captions: CaptionSet | None) -> ScoreFile:
    """Open all that is named, before the first picture is looked at, and measure."""
    systems = [
        one for name, place in named(args.pictures) for one in _systems(name, place, captions, args)
    ]
    reference = open_pictures(args.reference, REFERENCE)
    setup = Setup(
        radii=sorted({0.0, *args.radii}), side=args.side, seed=args.seed, infinity=args.infinity
    )
    cache = FeatureCache(open_folder(args.cache)) if args.cache else None
    networks = _extractors(args)
    with TemporaryDirectory() as folder:
        if args.reconstruct:
            made, found = reconstructed(
                args.reconstruct, reference, _device(args), args.lpips, Path(folder)
            )
            systems.append(MeasuredSystem(made.name, without_captions(made), found))
        return evaluate(systems, captions, reference, args.overlap, networks, setup, cache)


def _systems(
    name: str, place: str, captions: CaptionSet | None, args: argparse.Namespace
) -> list[MeasuredSystem]:
    source = open_pictures(place, "--pictures")
    if captions is None:
        return [MeasuredSystem(name, without_captions(source))]
    scores = read_scores(source, place)
    return [
        MeasuredSystem(name, drawings(source, captions, count, scores))
        for count in sorted(set(args.best_of))
    ]


def _device(args: argparse.Namespace) -> str:
    return "cuda" if args.gpu else "cpu"


def _extractors(args: argparse.Namespace) -> list[FeatureExtractor]:
    device = _device(args)
    found = [open_network(address, args.resize, device) for address in args.features]
    if args.root:
        found.append(clip_of_run(Store(args.root).newest(CLIP), device))
    return found
