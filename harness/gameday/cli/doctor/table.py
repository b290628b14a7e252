"""What was found out as tables for people, as wide as their terminal."""

import io
from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gameday.cli.doctor.capabilities import Capability
from gameday.cli.doctor.requirements import RUNTIMES
from gameday.cli.doctor.uses import Use
from gameday.report.labels import one_line

__all__ = ["report"]

_PLAIN = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
_ENOUGH = "nothing but the services and the proxies before their edges"


def report(found: Sequence[Capability], used: Sequence[Use], runtime: str, width: int) -> str:
    """Return what works, and below it what is used in each environment."""
    rows = [(c.name, "works" if c.works else "no", _seen(c)) for c in found]
    parts = [_table(("mechanism", "here", "what was seen, and how to get it"), rows, width)]
    for name in RUNTIMES:
        chosen = ", which is used here unless --gameday-runtime says otherwise"
        parts.append(f"In {name}{chosen if name == runtime else ''}:")
        rows_of = _grouped(use for use in used if use.runtime == name)
        parts.append(_table(("service or fault", "here", "by, or why not"), list(rows_of), width))
    return "\n\n".join(parts)


def _seen(capability: Capability) -> str:
    if capability.works:
        return capability.seen
    missed = f"needed for {capability.used_for}"
    if capability.instead:
        missed = f"used instead: {capability.instead}"
    return "; ".join(filter(None, (capability.seen, capability.cure, missed)))


def _grouped(used: Iterable[Use]) -> Iterator[tuple[str, str, str]]:
    """Yield one row for all that come by the same, the refused ones last."""
    rows: dict[tuple[bool, str], list[str]] = {}
    for use in used:
        why = use.refused or " and ".join(use.by) or _ENOUGH
        what = f"{use.what} ({use.when})" if use.when else use.what
        rows.setdefault((bool(use.refused), why), []).append(what)
    for (refused, why), names in sorted(rows.items(), key=lambda row: row[0][0]):
        yield ", ".join(names), "refused" if refused else "works", why


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    table = Table(box=_PLAIN, pad_edge=False, show_edge=False, header_style="")
    for name in columns:
        table.add_column(name, no_wrap=name == "here", overflow="fold")
    for row in rows:
        # Text, because a bracket in what a host says is no markup.
        table.add_row(*(Text(one_line(value)) for value in row))
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, force_terminal=False).print(table)
    return "\n".join(filter(None, (line.rstrip() for line in out.getvalue().splitlines())))
