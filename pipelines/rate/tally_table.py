"""The tally as a terminal shows it, in 80 columns."""

from rich.console import Console
from rich.table import Table

from pipelines.command import shown
from pipelines.rate.rater_checks import CheckedRater
from pipelines.rate.tally import Matchup, QuestionTally, Tally

QUESTIONS = {
    "realism": "Which is more realistic?",
    "match": "Which matches the caption better?",
}


def print_tally(console: Console, found: Tally) -> None:
    counted = sum(rater.left_out is None for rater in found.raters)
    of_raters = f"{counted} of {len(found.raters)} raters counted"
    console.print(
        f"{found.pairs:,} pairs of {len(found.systems)} systems, {of_raters}; {_votes(found)}"
    )
    _print_raters(console, found.raters)
    for name, title in QUESTIONS.items():
        question: QuestionTally = getattr(found, name)
        console.print(f"\n[bold]{title}[/]  {_agreement(question)}")
        _print_matchups(console, question.matchups)
        if len(found.systems) > 2:
            _print_strengths(console, question)


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


def _print_raters(console: Console, raters: tuple[CheckedRater, ...]) -> None:
    table = _table(
        "rater", "answers", "gold", "median", "<4 s", "left", "differs", "others", names=1
    )
    for one in raters:
        table.add_row(
            f"{one.rater}",
            f"{one.answers:,}",
            f"{one.gold_right}/{one.gold_asked}",
            "" if one.median_seconds is None else f"{one.median_seconds:.1f} s",
            f"{one.fast:.0%}",
            f"{one.left:.0%}",
            f"{one.differs:.0%}",
            "" if one.others_differ is None else f"{one.others_differ:.0%}",
        )
    console.print(table)
    for one in raters:
        if one.left_out is not None:
            console.print(f"[bold red]left out[/] rater {one.rater}: {shown(one.left_out)}")


def _agreement(question: QuestionTally) -> str:
    if question.agreeing is None:
        return "no two votes on one pair"
    alpha = "undefined" if question.alpha is None else f"{question.alpha:.2f}"
    return f"votes agree in {question.agreeing:.0%}, alpha {alpha}"


def _print_matchups(console: Console, matchups: tuple[Matchup, ...]) -> None:
    table = _table(
        "system", "against", "majority", "95 %", "pairs", "neither", "tied", "votes", names=2
    )
    for one in matchups:
        table.add_row(
            shown(one.one),
            shown(one.other),
            "" if one.share is None else f"{one.share:.1%}",
            f"{100 * one.interval[0]:.1f}-{100 * one.interval[1]:.1f}",
            f"{one.pairs:,}",
            f"{one.neither:,}",
            f"{one.tied:,}",
            f"{one.votes_for_one:,}:{one.votes_for_other:,}",
        )
    console.print(table)


def _print_strengths(console: Console, question: QuestionTally) -> None:
    table = _table("system", "strength", "95 %", names=1)
    for one in question.strengths:
        between = "" if one.interval is None else "{:+.2f} to {:+.2f}".format(*one.interval)
        table.add_row(shown(one.system), f"{one.strength:+.2f}", between)
    console.print(table)


def _table(*heads: str, names: int) -> Table:
    """Return a table whose first columns hold names, which are folded, and the others numbers."""
    table = Table(box=None, padding=(0, 0, 0, 2), header_style="dim")
    for place, head in enumerate(heads):
        if place < names:
            table.add_column(head, overflow="fold")
        else:
            table.add_column(head, justify="right", no_wrap=True)
    return table
