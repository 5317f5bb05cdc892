"""The dial `minutes`: sizes models and trainings so that a run takes about so long.

The sizes are a function (sizes.py) of the settings, of the number of pictures and of the speed of
the machine. The speed is measured once in a root and recorded there, so that every later command
in the root finds the same sizes, and with them the same fingerprints.
"""

from collections.abc import Collection, Iterator, Sequence

from infra.store import Store
from pipelines.options import with_values
from pipelines.presets import TRAININGS
from pipelines.sizing.measured_speed import measure_speed
from pipelines.sizing.sizes import EPOCHS, Sizes, sizes_for
from schemas.errors import ConfigError
from schemas.machine_speed import SPEED, MachineSpeed
from schemas.settings import Settings
from stages.crawl.sources import source_of
from stages.numbers import duration

NAMES = {"dvae": "dVAE", "prior": "prior", "clip": "CLIP", "sample": "drawing"}
OVER = 1.1  # times the minutes, before the plan warns


def sized(
    settings: Settings, given: Collection[str], store: Store, *, records: bool
) -> tuple[Settings, Sequence[str]]:
    """Return the settings in the sizes of their `minutes`, and why, in lines.

    Paths that somebody has `given` keep their values. Without `minutes`, nothing changes.
    """
    if settings.minutes is None:
        return settings, ()
    _refuse_gpus(settings)
    pictures = picture_count(settings)
    if pictures is None:
        return settings, (f"minutes={settings.minutes:g} changes nothing: {_unknown(settings)}",)
    speed = store.speed()
    recorded = speed is not None or records
    if speed is None:
        speed = measure_speed(settings.prior.run.threads)
        speed = store.record_speed(speed) if records else speed
    flops = speed.training_gflops * 1e9
    found = sizes_for(settings, settings.minutes, pictures, flops, given)
    changed = with_values(settings, found.values, where=f"minutes={settings.minutes:g}")
    why = (
        _head(settings.minutes, pictures, speed, recorded=recorded),
        *_parts(settings, changed, found),
        *_notes(settings.minutes, pictures, found),
    )
    return changed, why


def picture_count(settings: Settings) -> int | None:
    """Return how many pictures the source lists, if that can be known before it is read."""
    source = source_of(settings.crawl.source)
    if source.wants and not settings.crawl.source.path:
        return None
    return source.picture_count()


def _refuse_gpus(settings: Settings) -> None:
    for name in TRAININGS:
        if getattr(settings, name).run.gpu:
            raise ConfigError(
                f"minutes is for trainings on CPUs, whose speed it measures, found "
                f"{name}.run.gpu=true; leave minutes out, or take a preset such as small"
            )


def _unknown(settings: Settings) -> str:
    source = settings.crawl.source
    if source_of(source).wants and not source.path:
        return "no source is named whose pictures could be counted"
    return (
        f"how many pictures there are in {source.kind} at '{source.path}' is known only when all "
        "of it has been read"
    )


def _head(minutes: float, pictures: int, speed: MachineSpeed, *, recorded: bool) -> str:
    where = f"{SPEED}, measured once in this root" if recorded else "measured now; a run records it"
    return (
        f"minutes={minutes:g} for {pictures:,} pictures, where {speed.threads} threads train at "
        f"{speed.training_gflops:g} GFLOP/s in {speed.precision} ({where}):"
    )


def _parts(before: Settings, after: Settings, found: Sizes) -> Iterator[str]:
    """Yield each part of the run: how long, and what it does in that time."""
    yield f"{_time(found.other_seconds)}  crawl, measure, filter, encode, evaluate"
    for name, part in found.parts.items():
        own = _words(before, name)
        words = _words(after, name)
        was = f" (set: {own})" if own != words else ""
        yield f"{_time(part.seconds)}  {NAMES[name]}: {words}{was}"
    yield f"{_time(found.seconds)}  together, on a machine that does nothing else"


def _notes(minutes: float, pictures: int, found: Sizes) -> Iterator[str]:
    few = [f"{NAMES[name]} ({EPOCHS[name]})" for name, part in found.parts.items()
           if part.few_pictures]  # fmt: skip
    if few:
        yield (
            f"More minutes would not lengthen {' and '.join(few)}: each sees every picture so many "
            "times, and after that would memorise them."
        )
    if found.kept:
        yield f"Left as you set them: {', '.join(found.kept)}."
    if found.seconds > OVER * 60 * minutes:
        yield (
            f"That is more than {minutes:g} minutes: {pictures:,} pictures and what was set do not "
            "go quicker on this machine."
        )


def _time(seconds: float) -> str:
    return f"{duration(seconds):>6}"


def _words(settings: Settings, name: str) -> str:
    if name == "sample":
        return f"{settings.sample.candidates:,} candidates for each prompt"
    node = getattr(settings, name)
    words = [f"{node.fit.steps:,} updates of {node.fit.batch_size:,}"]
    if name == "dvae":
        words.append(f"width {node.width}")
    if name == "prior":
        words.append(f"{node.layers} layers of width {node.width}")
        words += [f"dropout {node.dropout:g}"] if node.dropout else []
    return ", ".join(words)
