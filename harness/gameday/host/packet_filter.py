"""Rules of the kernel's packet filter, in this thread's network namespace.

Each set of drops has chains with a common name: "-in" and "-out" sort the packets, and one chain
per drop counts what matches and then what it drops. A set is added and removed atomically: the
kernel takes the whole text or nothing.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence

from gameday.api.packets import Drop, Tally

__all__ = ["lift_drops", "put_drops", "read_tallies", "rules_of"]

_LIMIT_S = 10.0
_LOCK_LIMIT_S = "5"
_HOOKS = (("INPUT", "-in"), ("OUTPUT", "-out"))
_COUNTED = re.compile(r"\[(\d+):\d+\] -A (\S+)-(\d+) ")


def put_drops(chain: str, drops: Sequence[Drop], remark: str) -> None:
    """Let these packets vanish. Raises OSError or SubprocessError, and then none does."""
    lines = [f":{chain}{suffix} - [0:0]" for _, suffix in _HOOKS]
    lines += [f":{chain}-{number} - [0:0]" for number in range(len(drops))]
    note = f"-m comment --comment {remark}"
    for number, drop in enumerate(drops):
        sorter = f"{chain}{'-out' if drop.leaving else '-in'}"
        lines += [f"-A {sorter} {match} -j {chain}-{number}" for match in _matches(drop)]
        drawn = "" if drop.share >= 1 else f"-m statistic --mode random --probability {drop.share}"
        # The first rule has no target: it counts what the second is asked about.
        lines += [f"-A {chain}-{number} {note}", f"-A {chain}-{number} {note} {drawn} -j DROP"]
    lines += [f"-I {hook} {note} -j {chain}{suffix}" for hook, suffix in _HOOKS]
    _restore(lines)


def lift_drops(chain: str) -> None:
    """Remove every rule and chain of that name; what is not there is well removed."""
    rules = rules_of(chain)
    jumps = [line for line in rules if re.search(r"-A (INPUT|OUTPUT) ", line)]
    chains = [line[1:].split(" ")[0] for line in rules if line.startswith(":")]
    lines = [line[line.index("-A ") :].replace("-A ", "-D ", 1) for line in jumps]
    lines += [f"-F {name}" for name in chains] + [f"-X {name}" for name in chains]
    if lines:
        _restore(lines)


def read_tallies(chain: str) -> tuple[Tally, ...]:
    """Return what each drop of that name was about, and what it dropped."""
    counts: dict[int, list[int]] = {}
    for line in rules_of(chain):
        counted = _COUNTED.match(line)
        if counted is not None and counted[2] == chain:
            counts.setdefault(int(counted[3]), []).append(int(counted[1]))
    return tuple(Tally(met=met, dropped=dropped) for _, (met, dropped) in sorted(counts.items()))


def rules_of(chain: str) -> list[str]:
    """Return every line in which the name is, with its counters, as the kernel has it."""
    named = re.compile(rf"(?<![\w-]){re.escape(chain)}-(in|out|\d+)(?!\w)")
    return [line for line in _run("iptables-save", "-c", "-t", "filter") if named.search(line)]


def _matches(drop: Drop) -> Iterator[str]:
    address = f"{'-d' if drop.leaving else '-s'} {drop.peer} " if drop.peer else ""
    own, other = ("--sport", "--dport") if drop.leaving else ("--dport", "--sport")
    ports = f"{own} {drop.own_port} " if drop.own_port else ""
    ports += f"{other} {drop.peer_port} " if drop.peer_port else ""
    if not ports:
        yield address
        return
    for protocol in ("tcp", "udp"):
        yield f"{address}-p {protocol} {ports}"


def _restore(lines: Sequence[str]) -> None:
    text = "\n".join(("*filter", *lines, "COMMIT", ""))
    _run("iptables-restore", "-w", _LOCK_LIMIT_S, "--noflush", given=text)


def _run(*command: str, given: str = "") -> list[str]:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=_LIMIT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        said = str(error.stderr).strip().replace("\n", " ")
        raise OSError(f"{command[0]} ended with {error.returncode}: {said}") from error
    return done.stdout.splitlines()
