"""The table of a verdict: each expectation, what was wanted, what was seen, and the margin."""

import io

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from gameday.escaping import printable
from gameday.model.result import Result
from gameday.model.verdict import Verdict
from gameday.report.labels import in_short, one_line

__all__ = ["TONES", "closing_line", "rich_verdict_table", "verdict_table"]

TONES = {
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.INVALID: "bold magenta",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.ERROR: "bold white on red",
}

_COLUMNS = ("expectation", "wanted", "seen", "margin", "verdict")
_PLAIN = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def verdict_table(result: Result, width: int = 100) -> str:
    """Return the table as plain text that is at most `width` wide, and the closing line below."""
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False)
    if result.expectations:
        console.print(_table(result, _PLAIN, coloured=False))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*filter(None, lines), closing_line(result)])


def rich_verdict_table(result: Result) -> Group:
    """Return the same table for a terminal that has colours."""
    closing = Text(closing_line(result))
    closing.stylize(TONES[result.verdict], 0, len(result.verdict))
    table = [_table(result, box.SIMPLE_HEAD, coloured=True)] if result.expectations else []
    return Group(*table, closing)


def closing_line(result: Result) -> str:
    """Return verdict, reason and folder in one line."""
    line = f"{result.verdict}  {in_short(result)}"
    return f"{line}  [{printable(result.folder)}]" if result.folder else line


def _table(result: Result, shape: box.Box, *, coloured: bool) -> Table:
    table = Table(box=shape, pad_edge=False, header_style="dim" if coloured else "")
    for name in _COLUMNS:
        table.add_column(name, no_wrap=name in ("expectation", "verdict"), overflow="fold")
    for judgement in result.expectations:
        tone = TONES[judgement.verdict] if coloured else ""
        values = (judgement.name, judgement.wanted, judgement.seen, judgement.margin)
        # Text, because a bracket in a name is no markup.
        row = [Text(one_line(value)) for value in values]
        table.add_row(*row, Text(judgement.verdict.value, style=tone))
    return table
