"""The tally for people: in a terminal of 80 columns, and as a page that needs no network."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from pipelines.command import shown
from pipelines.rate.rater_checks import CheckedRater
from pipelines.rate.tally import Matchup, QuestionTally, Strength, Tally
from stages.pages import template

QUESTIONS = {
    "realism": "Which is more realistic?",
    "match": "Which matches the caption better?",
}
RATER = ("rater", "answers", "gold", "median", "<4 s", "left", "differs", "others")
MATCHUP = ("system", "against", "majority", "95 %", "pairs", "neither", "tied", "votes")
STRENGTH = ("system", "strength", "95 %")


def print_tally(console: Console, found: Tally) -> None:
    console.print(summary(found))
    _print(console, RATER, map(rater_cells, found.raters), names=1)
    for one in found.raters:
        if one.left_out is not None:
            console.print(f"[bold red]left out[/] rater {one.rater}: {shown(one.left_out)}")
    for name, title in QUESTIONS.items():
        question: QuestionTally = getattr(found, name)
        console.print(f"\n[bold]{title}[/]  {agreement(question)}")
        _print(console, MATCHUP, map(matchup_cells, question.matchups), names=2)
        if len(found.systems) > 2:
            _print(console, STRENGTH, map(strength_cells, question.strengths), names=1)


def render_tally(found: Tally) -> str:
    """Return the page."""
    return template("pipelines.rate", "tally.html").render(
        found=found,
        summary=summary(found),
        raters=(RATER, list(map(rater_cells, found.raters))),
        questions=[
            (
                title,
                agreement(getattr(found, name)),
                (MATCHUP, list(map(matchup_cells, getattr(found, name).matchups))),
                (STRENGTH, list(map(strength_cells, getattr(found, name).strengths))),
            )
            for name, title in QUESTIONS.items()
        ],
    )


def summary(found: Tally) -> str:
    """Say in a sentence what was counted."""
    counted = sum(rater.left_out is None for rater in found.raters)
    of_raters = f"{counted} of {len(found.raters)} raters counted"
    return f"{found.pairs:,} pairs of {len(found.systems)} systems, {of_raters}; {_votes(found)}"


def _votes(found: Tally) -> str:
    """Say how many pairs have all their votes."""
    whole = found.pairs_by_votes.get(found.votes_planned, 0)
    if whole == found.pairs:
        return f"{found.votes_planned} votes each"
    few = ", ".join(
        f"{pairs:,} with {votes}"
        for votes, pairs in sorted(found.pairs_by_votes.items(), reverse=True)
        if votes < found.votes_planned
    )
    return f"{whole:,} have all {found.votes_planned} votes ({few})"


def agreement(question: QuestionTally) -> str:
    if question.agreeing is None:
        return "no two votes on one pair"
    alpha = "undefined" if question.alpha is None else f"{question.alpha:.2f}"
    return f"votes agree in {question.agreeing:.0%}, alpha {alpha}"


def rater_cells(one: CheckedRater) -> tuple[str, ...]:
    return (
        f"{one.rater}",
        f"{one.answers:,}",
        f"{one.gold_right}/{one.gold_asked}",
        "" if one.median_seconds is None else f"{one.median_seconds:.1f} s",
        f"{one.fast:.0%}",
        f"{one.left:.0%}",
        f"{one.differs:.0%}",
        "" if one.others_differ is None else f"{one.others_differ:.0%}",
    )


def matchup_cells(one: Matchup) -> tuple[str, ...]:
    return (
        one.one,
        one.other,
        "" if one.share is None else f"{one.share:.1%}",
        f"{100 * one.interval[0]:.1f}-{100 * one.interval[1]:.1f}",
        f"{one.pairs:,}",
        f"{one.neither:,}",
        f"{one.tied:,}",
        f"{one.votes_for_one:,}:{one.votes_for_other:,}",
    )


def strength_cells(one: Strength) -> tuple[str, ...]:
    between = "" if one.interval is None else "{:+.2f} to {:+.2f}".format(*one.interval)
    return one.system, f"{one.strength:+.2f}", between


def _print(
    console: Console, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], names: int
) -> None:
    """Print a table whose first columns hold names, which are folded, and the others numbers."""
    table = Table(box=None, padding=(0, 0, 0, 2), header_style="dim")
    for place, head in enumerate(heads):
        if place < names:
            table.add_column(head, overflow="fold")
        else:
            table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(shown, row))
    console.print(table)
