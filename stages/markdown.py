"""Tables as Markdown, for the READMEs."""

from collections.abc import Iterable, Sequence

Row = Sequence[str]


def table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines).replace("| --- ", "|---")


def code(words: Iterable[str]) -> str:
    return " ".join(f"`{word}`" for word in words)
