"""Which differences are beyond noise: every other run against the first, all of them together."""

from collections.abc import Iterator, Sequence

from pipelines.compare.comparison_file import FigureRow, FoundOut, NoiseVerdict
from pipelines.compare.figure_tests import Finding
from pipelines.compare.figures import ComparedFigure
from pipelines.compare.noise import ALPHA, TestedDifference, holm
from schemas.run_report import Report

Key = tuple[int, int]  # a figure, and the run that is compared with the first


def judge_figures(
    figures: Sequence[ComparedFigure], letters: Sequence[str], reports: Sequence[Report]
) -> tuple[list[FigureRow], int]:
    """Return a row with verdicts for each figure, and how many comparisons were tested.

    Holm's correction counts all of them, whatever their section, but for those in which no item
    differs: these could not have been called different (Tarone 1990).
    """
    found = dict(_findings(figures, reports))
    tested = {key: f.p for key, f in found.items() if isinstance(f, TestedDifference) and f.differ}
    together = holm(tested)
    rows = []
    for number, figure in enumerate(figures):
        verdicts = tuple(
            _verdict(figure, letters, other, found[number, other], together.get((number, other)))
            for other in range(1, len(reports))
        )
        rows.append(
            FigureRow(
                section=figure.section,
                name=figure.name,
                unit=figure.unit,
                values=tuple(figure.values),
                intervals=tuple(figure.intervals),
                verdicts=verdicts,
            )
        )
    return rows, len(tested)


def _findings(
    figures: Sequence[ComparedFigure], reports: Sequence[Report]
) -> Iterator[tuple[Key, Finding]]:
    for number, figure in enumerate(figures):
        for other in range(1, len(reports)):
            known = figure.values[0] is not None and figure.values[other] is not None
            test = figure.test if known else None
            yield (number, other), None if test is None else test(reports[0], reports[other])


def _verdict(
    figure: ComparedFigure,
    letters: Sequence[str],
    other: int,
    found: Finding,
    corrected: float | None,
) -> NoiseVerdict:
    run, first, second = letters[other], figure.values[0], figure.values[other]
    if first is None or second is None:
        has = "neither has" if first is second else "only one has"
        return NoiseVerdict(run=run, finding="not compared", how=f"{has} this figure")
    difference = second - first
    if isinstance(found, str):
        return NoiseVerdict(run=run, finding="not compared", difference=difference, how=found)
    words: FoundOut = "no noise known" if found is None else "not beyond noise"
    if difference == 0:
        words = "no difference"
    if found is None:
        return NoiseVerdict(run=run, finding=words, difference=difference)
    different = corrected is not None and corrected < ALPHA
    rises = (difference > 0) != figure.lower_is_better
    return NoiseVerdict(
        run=run,
        finding="beyond noise" if different else words,
        better=letters[other if rises else 0] if different else None,
        difference=difference,
        p=found.p,
        p_together=corrected,
        how=found.how,
        items=found.items,
        items_that_differ=found.differ,
    )
