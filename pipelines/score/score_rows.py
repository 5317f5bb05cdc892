"""The tables of an evaluation as texts: the terminal prints them, and the page shows them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.score.score_file import Fidelity, PublishedRow, ScoreFile, ShownShapes, System, label
from stages.metrics.reported import FeatureNetwork, Reported

BY_RADIUS = {
    "fid": "FID by blur radius, lower is better",
    "fd": "Frechet distance by blur radius, lower is better",
    "inception_score": "Inception Score by blur radius, higher is better",
}
HEADS = {
    "kid": "KID x1000", "cmmd": "CMMD", "clip_score": "CLIP score",
    "r_precision": "R-precision (95 %)", "precision": "precision", "recall": "recall",
    "density": "density", "coverage": "coverage",
    "fid_without_bias": "FID without bias (95 %)", "fid_at_infinity": "at infinity",
    "fd_without_bias": "FD without bias (95 %)", "fd_at_infinity": "at infinity",
}  # fmt: skip
SHARES = ("precision", "recall", "density", "coverage", "r_precision")
UNBLURRED = (
    ("kid", "cmmd"),
    ("clip_score", "r_precision"),
    ("precision", "recall", "density", "coverage"),
    ("fid_without_bias", "fid_at_infinity", "fd_without_bias", "fd_at_infinity"),
)
MARK = "*"

Systems = Sequence[tuple[str, System]]  # with what they are called


class TableRow(NamedTuple):
    """One system in a table: its name, how many pictures it has, and its values."""

    name: str
    pictures: str
    cells: Sequence[str]
    is_published: bool = False


class ScoreTable(NamedTuple):
    """A table; `columns` are the heads after the system's name and its number of pictures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[TableRow]


class NetworkSection(NamedTuple):
    """All tables of one network, and what their numbers were made with."""

    network: FeatureNetwork
    made_with: Sequence[str]
    tables: Sequence[ScoreTable]


def all_systems(found: ScoreFile, beside: Mapping[str, ScoreFile]) -> Systems:
    """Return the systems of an evaluation, and behind them those of earlier ones."""
    systems = [(label(one), one) for one in found.systems]
    for address, file in beside.items():
        systems += [(f"{label(one)} ({Path(address).name})", one) for one in file.systems]
    return systems


def sections(found: ScoreFile, systems: Systems) -> list[NetworkSection]:
    """Return the tables of each network of the evaluation."""
    values = [value for one in found.systems for value in one.values]
    networks = {value.network.sha256: value.network for value in values}
    return [
        NetworkSection(
            network,
            list(_made_with([value for value in values if value.network == network])),
            [*_by_radius(found, systems, network), *_unblurred(systems, network)],
        )
        for network in networks.values()
    ]


def shapes_table(systems: Systems) -> ScoreTable | None:
    """Return how many drawings show what their captions say; None if no judge looked at them."""
    rows = [_shapes_row(name, one.shown) for name, one in systems if one.shown is not None]
    title = "The pictures show what their captions say, by the demo's judge (95 %)"
    return ScoreTable(title, ["colour and shape", "everything"], rows) if rows else None


def fidelity_table(systems: Systems) -> ScoreTable | None:
    """Return how close reconstructions are to their pictures; None if there are none."""
    rows = [_fidelity_row(name, one.fidelity) for name, one in systems if one.fidelity is not None]
    title = "Reconstructions, each beside its picture"
    return ScoreTable(title, ["PSNR", "SSIM", "LPIPS"], rows) if rows else None


def _fidelity_row(name: str, found: Fidelity) -> TableRow:
    lpips = "" if found.lpips is None else f"{found.lpips:.4f}"
    cells = [f"{found.psnr_db:.2f} dB", f"{found.ssim:.4f}", lpips]
    return TableRow(name, f"{found.pictures:,}", cells)


def _shapes_row(name: str, shown: ShownShapes) -> TableRow:
    shares = ((shown.right, shown.right_interval), (shown.whole, shown.whole_interval))
    return TableRow(name, f"{shown.captions:,}", [_percent(*share) for share in shares])


def flags(found: ScoreFile) -> list[str]:
    """Return what must be said of numbers that have a mark, and of numbers side by side."""
    few = dict.fromkeys(v.flag for s in found.systems for v in s.values if v.flag)
    said = [f"{MARK} {flag}" for flag in few]
    if len({system.count for system in found.systems}) > 1:
        said.append(
            "These systems have different numbers of pictures, on which all but KID, CLIP score "
            "and R-precision depend: only equal numbers compare."
        )
    return said


def sources(found: ScoreFile) -> list[str]:
    """Return where the published rows are from, if any stand beside ours."""
    if not any(value.metric == "fid" for one in found.systems for value in one.values):
        return []
    return [f"{row.system}: {row.source}; {row.protocol}" for row in found.published]


def _made_with(values: Sequence[Reported]) -> Iterator[str]:
    first = next(value for value in values if value.reference is not None)
    for record in {v.reference.sha256: v.reference for v in values if v.reference}.values():
        yield f"reference  {record.name}, {record.count:,} pictures, {record.sha256[:12]}"
    yield f"pictures   {first.parameters['pictures']}"
    yield f"resize     to {first.resize.side}, {first.parameters['convention']}"


def _by_radius(found: ScoreFile, systems: Systems, network: FeatureNetwork) -> Iterator[ScoreTable]:
    def radius(value: Reported) -> object:
        return value.parameters.get("blur_radius")

    for metric, title in BY_RADIUS.items():
        rows = list(_rows(systems, network, (metric,), radius, found.radii))
        if rows:
            rows += [_published(row, metric, found.radii) for row in found.published]
            rows = [row for row in rows if any(row.cells)]
            yield ScoreTable(title, [f"{radius:g}" for radius in found.radii], rows)


def published_values(row: PublishedRow, metric: str) -> Mapping[float, float]:
    """Return what a paper says of a metric, by blur radius."""
    return {"fid": row.fid, "inception_score": row.inception_score}.get(metric, {})


def _published(row: PublishedRow, metric: str, radii: Sequence[float]) -> TableRow:
    values = published_values(row, metric)
    cells = [f"{values[radius]:.2f}" if radius in values else "" for radius in radii]
    return TableRow(row.system, "published", cells, is_published=True)


def _unblurred(systems: Systems, network: FeatureNetwork) -> Iterator[ScoreTable]:
    title = "without blur"
    for metrics in UNBLURRED:
        there = {v.metric for _, one in systems for v in one.values if v.network == network}
        columns = [metric for metric in metrics if metric in there]
        if columns:
            rows = list(_rows(systems, network, metrics, lambda value: value.metric, columns))
            yield ScoreTable(title, [HEADS[metric] for metric in columns], rows)
            title = ""


def _rows(
    systems: Systems,
    network: FeatureNetwork,
    metrics: Sequence[str],
    column: Callable[[Reported], object],
    columns: Sequence[object],
) -> Iterator[TableRow]:
    """Yield a row for each system, and one for what it is without overlaps."""
    for name, system in systems:
        parts: dict[str, dict[object, Reported]] = {}
        for value in system.values:
            if value.network == network and value.metric in metrics:
                part = str(value.parameters.get("overlap", ""))
                parts.setdefault(part, {})[column(value)] = value
        for part, values in parts.items():
            cells = [_number(values[one]) if one in values else "" for one in columns]
            count = next(iter(values.values())).count
            yield TableRow(f"  without {part}" if part else name, f"{count:,}", cells)


def _number(value: Reported) -> str:
    """Write a value with its interval, and a mark if it is of too few pictures."""
    short = _three if value.metric in SHARES else _two
    scale = 1_000 if value.metric == "kid" else 1
    text = short(scale * value.value)
    if value.interval:
        text += f" ({short(value.interval[0])} to {short(value.interval[1])})"
    return text + (MARK if value.flag else "")


def _two(number: float) -> str:
    """Write a number with two decimals, or a small one with two digits."""
    return f"{number:.2f}" if abs(number) >= 0.1 or number == 0 else f"{number:.2g}"


def _three(number: float) -> str:
    return f"{number:.3f}"


def _percent(share: float, interval: tuple[float, float]) -> str:
    low, high = (100 * end for end in interval)
    return f"{100 * share:.1f} % ({low:.1f} to {high:.1f})"
