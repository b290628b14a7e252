"""What became of every acknowledged signal, according to the receiver's own record."""

import numpy as np

from gameday.analysis.operations import Flags, Int64s
from gameday.analysis.signals import LedgerCounts, PublishedCounts
from gameday.model.clock import SECOND
from gameday.model.finding import Finding
from gameday.model.operation import Outcome
from gameday.model.result import Window
from gameday.model.units import Unit, format_duration

__all__ = ["LEDGER_FINDINGS", "losses", "unknown_count", "unmeasured_losses"]

LEDGER_FINDINGS = {
    "lost": Unit.COUNT,
    "phantom": Unit.COUNT,
    "duplicate": Unit.COUNT,
    "reordered": Unit.COUNT,
    "corrupt": Unit.COUNT,
    "rpo": Unit.NS,
}
_FEWEST_ACKED = 100
_NAMED = 10


def losses(ledger: LedgerCounts, injected: Window | None) -> list[Finding]:
    """Return lost, rpo, phantom, duplicate, reordered and corrupt; all are exact counts.

    `injected` is the bracket of the first fault.
    """
    acked = ledger.published.outcome == Outcome.OK
    lost = np.flatnonzero(acked & ~ledger.delivered)
    return [
        *_lost(ledger, acked, lost, injected),
        _phantom(ledger),
        _duplicate(ledger),
        _reordered(ledger, acked),
        _corrupt(ledger),
    ]


def unmeasured_losses(why: str) -> list[Finding]:
    """Return every finding of the ledger as not measured, for this reason."""
    return [Finding.unmeasured(name, unit, why) for name, unit in LEDGER_FINDINGS.items()]


def unknown_count(published: PublishedCounts, ledger: LedgerCounts | None) -> Finding:
    """Return how many signals may or may not have been written.

    That is a statement about data: a client that got an error was not served, and may have been
    heard all the same.
    """
    outcome = published.outcome
    unknown = (outcome == Outcome.UNKNOWN) | (
        (outcome == Outcome.PENDING) & (published.sent_ns > 0)
    )
    if ledger is not None:
        unknown |= (outcome == Outcome.PENDING) & ledger.delivered
    count = int(np.count_nonzero(unknown))
    fate = "which of them arrived is not known"
    if ledger is not None:
        there = int(np.count_nonzero(unknown & ledger.delivered))
        fate = f"{there} of them arrived even so (recovered), {count - there} did not"
    return Finding.count(
        "unknown",
        count,
        samples=int(outcome.size),
        evidence=(
            f"{count} of {outcome.size} publishes got no answer, or an error that leaves open "
            f"whether they were written; {fate}"
        ),
    )


def _lost(
    ledger: LedgerCounts, acked: Flags, lost: Int64s, injected: Window | None
) -> tuple[Finding, Finding]:
    """Return lost and rpo. A loss that was found is a fact; that there is none needs samples."""
    acked_ns = ledger.published.acked_ns
    total = int(np.count_nonzero(acked))
    why = None if lost.size else _too_few(acked_ns[acked], injected)
    if why is not None:
        return (
            Finding.unmeasured("lost", Unit.COUNT, why),
            Finding.unmeasured("rpo", Unit.NS, why),
        )
    finding = Finding.count(
        "lost",
        int(lost.size),
        samples=total,
        evidence=(
            f"{lost.size} of {total} acknowledged signals are absent from the final read"
            f"{_which(ledger, lost)}"
        ),
    )
    return finding, _rpo(ledger, acked_ns[lost], total, injected)


def _too_few(acked_ns: Int64s, injected: Window | None) -> str | None:
    """Return why the acknowledged signals are too few to say that none was lost."""
    before_ns = acked_ns if injected is None else acked_ns[acked_ns < injected.start_ns]
    if before_ns.size < _FEWEST_ACKED:
        return (
            f"too few acknowledged: {before_ns.size} before the fault, "
            f"and at least {_FEWEST_ACKED} are needed to speak of loss"
        )
    if injected is not None and int(before_ns.max()) < injected.start_ns - SECOND:
        ago = format_duration(injected.start_ns - int(before_ns.max()))
        return (
            f"too few writes at the moment of the fault: the last was acknowledged {ago} before, "
            "and at least 1 is needed within 1 s"
        )
    return None


def _which(ledger: LedgerCounts, lost: Int64s) -> str:
    """Name the lost, and tell holes (later ones arrived) from a tail (nothing later did)."""
    if not lost.size:
        return ""
    value = np.sort(ledger.published.value[lost])
    arrived = ledger.published.value[ledger.delivered]
    last = int(arrived.max(initial=-1))
    holes = int(np.count_nonzero(value < last))
    return (
        f": {_named(value)}; {holes} are holes, for later ones arrived, "
        f"and {lost.size - holes} are the tail, after the last that arrived"
    )


def _named(values: Int64s) -> str:
    named = ", ".join(str(value) for value in values[:_NAMED])
    return f"{named}, ..." if values.size > _NAMED else named


def _rpo(ledger: LedgerCounts, lost_ns: Int64s, total: int, injected: Window | None) -> Finding:
    """Return the age, when the fault was asked for, of the oldest acknowledged signal lost."""
    if injected is None:
        return Finding.unmeasured("rpo", Unit.NS, "no fault was injected")
    oldest_ns = int(lost_ns.min(initial=injected.end_ns))
    return Finding(
        name="rpo",
        value=max(0, injected.start_ns - oldest_ns),
        low=max(0, injected.start_ns - oldest_ns),
        high=max(0, injected.end_ns - oldest_ns),
        unit=Unit.NS,
        samples=total,
        resolution=round(SECOND / ledger.published.stream.rate_per_s),
        evidence=(
            f"the oldest of {lost_ns.size} lost signals was acknowledged "
            f"{format_duration(abs(injected.start_ns - oldest_ns))} "
            f"{'before' if oldest_ns < injected.start_ns else 'after'} the fault was requested"
            if lost_ns.size
            else f"none of {total} acknowledged signals was lost"
        ),
    )


def _phantom(ledger: LedgerCounts) -> Finding:
    """Count what is there and should not be: never published, or refused and yet delivered."""
    denied = (ledger.published.outcome == Outcome.FAILED) & ledger.delivered
    refused = ledger.published.value[denied]
    count = int(ledger.strays.size + refused.size)
    named = f": {_named(np.concatenate((ledger.strays, refused)))}" if count else ""
    return Finding.count(
        "phantom",
        count,
        samples=int(ledger.deliveries.value.size),
        evidence=(
            f"{ledger.strays.size} delivered signals were never published, and {refused.size} were "
            f"refused, yet delivered{named}"
        ),
    )


def _duplicate(ledger: LedgerCounts) -> Finding:
    twice = np.flatnonzero(ledger.copies > 1)
    extra = int(ledger.copies[twice].sum()) - int(twice.size)
    named = f": {_named(np.sort(ledger.published.value[twice]))}" if twice.size else ""
    return Finding.count(
        "duplicate",
        int(twice.size),
        samples=int(np.count_nonzero(ledger.delivered)),
        evidence=(
            f"{twice.size} signals were received more than once, {extra} copies too many{named}"
        ),
    )


def _reordered(ledger: LedgerCounts, acked: Flags) -> Finding:
    """Count the signals that were overtaken by one sent only after their acknowledgement.

    Signals that were under way at the same time have no order, and cannot be out of it.
    """
    sent = ledger.published
    here = np.flatnonzero(ledger.delivered & (sent.sent_ns > 0))
    place = ledger.place[here]
    # In the order of receipt: the latest sending among all that had been received by then.
    latest_ns = np.zeros(ledger.deliveries.value.size, np.int64)
    latest_ns[place] = sent.sent_ns[here]
    np.maximum.accumulate(latest_ns, out=latest_ns)
    overtaken = here[acked[here] & (latest_ns[place] > sent.acked_ns[here])]
    named = f": {_named(np.sort(sent.value[overtaken]))}" if overtaken.size else ""
    return Finding.count(
        "reordered",
        int(overtaken.size),
        samples=int(here.size),
        evidence=(
            f"{overtaken.size} of {here.size} signals were received after one that was sent only "
            f"when they had been acknowledged{named}"
        ),
    )


def _corrupt(ledger: LedgerCounts) -> Finding:
    intact = ledger.deliveries.intact
    places = np.flatnonzero(~intact)
    named = f", at places {_named(places)} of the record" if places.size else ""
    return Finding.count(
        "corrupt",
        int(places.size),
        samples=int(intact.size),
        evidence=(
            f"{places.size} of {intact.size} received signals did not fit their checksum{named}"
        ),
    )
