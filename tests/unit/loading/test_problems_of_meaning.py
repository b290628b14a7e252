from collections.abc import Callable
from typing import Protocol

import pytest

from gameday.model.scenario import Scenario

ToldAfter = Callable[[str, str], list[str]]


class Load(Protocol):
    def __call__(self, text: str, /, **settings: str) -> Scenario: ...


Complaints = Callable[[Callable[[], object]], list[str]]

DURATION = "write a number and one of us, ms, s, min, h"

ONE_PROBLEM = {
    # Words
    "an unknown fault": (
        "- kill: redis",
        "- kil: redis",
        "12:5: faults[0].kil: unknown fault; valid: kill, latency, part, promote; nearest: 'kill'",
    ),
    "a fault that is not first in its item": (
        "  - kill: redis\n    at: 1s\n",
        "  - at: 1s\n    kil: redis\n",
        "13:5: faults[0].kil: unknown fault; valid: kill, latency, part, promote; nearest: 'kill'",
    ),
    "an item without any word": (
        "  - kill: redis\n    at: 1s\n",
        "  - at: 1s\n",
        "12:5: faults[0]: names no fault; valid: kill, latency, part, promote",
    ),
    "a key that fills in for the word": (
        "- kill: redis",
        "- wordless: redis",
        "12:5: faults[0].wordless: unknown fault; valid: kill, latency, part, promote",
    ),
    "two faults in an item": (
        "    at: 1s",
        "    at: 1s\n    latency: relay",
        "14:5: faults[0].latency: one fault an item: this is a second one",
    ),
    "an unknown workload": (
        "- publish:",
        "- publich:",
        "8:5: workload[0].publich: unknown workload; valid: publish; nearest: 'publish'",
    ),
    "a second workload": (
        "steady:",
        "  - publish: {to: listener, rate: 100/s}\nsteady:",
        (
            "9:5: workload[1]: only one workload is supported so far, and this is a second one; "
            "take it out, or give it a scenario of its own"
        ),
    ),
    "a name that no option could have": (
        "[redis, nightly]",
        "[redis, 'a b']",
        ("4:15: tags[1]: 'a b' is not a name; use letters, digits, '-' and '_'"),
    ),
    "a number that YAML reads as octal": (
        "    for: ${outage}\n",
        "    for: ${outage}\n    exposure: 010\n",
        "15:15: faults[0].exposure: 010 is 8 to YAML; write 8, or the value you mean",
    ),
    "a number that YAML reads to the base of 60": (
        "timeline: {baseline",
        "safety: {services: 1:30}\ntimeline: {baseline",
        "10:20: safety.services: 1:30 is 90 to YAML; write 90, or the value you mean",
    ),
    "a NUL in a text": (
        "title: A scenario in which everything is right",
        'title: "a\\0b"',
        ("2:8: title: the character NUL is not allowed in a variable or a file name"),
    ),
    "an unknown finding": (
        "- availability:",
        "- availabilty:",
        (
            "17:5: expect[1].availabilty: unknown finding; "
            "valid: sla, availability, lost, outage, recovery; nearest: 'availability'"
        ),
    ),
    "an unknown SLA": (
        "- sla: arbees/mttr",
        "- sla: mttr",
        (
            "16:10: expect[0].sla: 'mttr' is not a known SLA; valid: arbees/mttr; "
            "nearest: 'arbees/mttr'"
        ),
    ),
    # Meaning
    "a name that is not the file's": (
        "scenario: good",
        "scenario: bad",
        "1:11: scenario: 'bad' is not the name of its file; write 'good'",
    ),
    "an unknown target": (
        "target: signals",
        "target: signal",
        "3:9: target: no target 'signal'; valid: signals",
    ),
    "a service that the target has not": (
        "- kill: redis",
        "- kill: reddis",
        (
            "12:11: faults[0].kill: 'reddis' is not a service of target 'signals'; "
            "valid: redis, relay, listener; nearest: 'redis'"
        ),
    ),
    "a fault that lasts for nothing": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - kill: redis\n    for: 0s\n",
        (
            "16:10: faults[1].for: a fault of no length breaks nothing; "
            "write a duration, such as '100ms'"
        ),
    ),
    "a connection where a service is hit": (
        "- kill: redis",
        "- kill: relay -> redis",
        (
            "12:11: faults[0].kill: kill hits a service, which 'relay -> redis' is not; "
            "valid: redis, relay, listener; nearest: 'redis'"
        ),
    ),
    "a service of a kind that the fault cannot hit": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - promote: redis\n    for: 1s\n",
        (
            "15:14: faults[1].promote: promote hits a service of kind app, and redis is redis; "
            "valid: relay, listener"
        ),
    ),
    "a side with a service that the target has not": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - part: redis | relay, listner\n    for: 1s\n",
        (
            "15:11: faults[1].part: 'listner' is not a service of target 'signals'; "
            "valid: redis, relay, listener, client; nearest: 'listener'"
        ),
    ),
    "a connection where services are parted": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - part: relay -> redis\n    for: 1s\n",
        (
            "15:11: faults[1].part: part hits services, which 'relay -> redis' is not; "
            "valid: redis, relay, listener; nearest: 'relay | redis'"
        ),
    ),
    "a service where a connection is hit": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - latency: redis\n    for: 1500ms\n    delay: 1s\n",
        (
            "15:14: faults[1].latency: latency hits a connection, which 'redis' is not; "
            "valid: relay -> redis, listener -> redis, client -> redis, client -> relay, "
            "client -> listener; nearest: 'relay -> redis'"
        ),
    ),
    "a fault that cannot be beside the load": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - kill: relay\n    for: 101s\n",
        (
            "16:10: faults[1].for: '101s' is given; "
            "wanted at most 100 times the deadline of the load"
        ),
    ),
    "an edge that the target has not": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - latency: redis -> relay\n    for: 1s\n    delay: 1s\n",
        (
            "15:14: faults[1].latency: 'redis -> relay' is not a connection of target 'signals'; "
            "valid: relay -> redis, listener -> redis, client -> redis, client -> relay, "
            "client -> listener; nearest: 'relay -> redis'"
        ),
    ),
    "a workload to no service": (
        "to: relay",
        "to: rely",
        (
            "8:19: workload[0].publish.to: 'rely' is not a service of target 'signals'; "
            "valid: redis, relay, listener; nearest: 'relay'"
        ),
    ),
    "a ledger that is no service": (
        "ledger: listener",
        "ledger: lisener",
        (
            "8:34: workload[0].publish.ledger: 'lisener' is not a service of target 'signals'; "
            "valid: redis, relay, listener; nearest: 'listener'"
        ),
    ),
    "a workload to what is no app": (
        "to: relay, ledger: listener",
        "to: redis, ledger: redis",
        [
            (
                "8:19: workload[0].publish.to: publish wants a service of kind app, and redis is "
                "redis; valid: relay, listener"
            ),
            (
                "8:34: workload[0].publish.ledger: publish wants a service of kind app, and redis "
                "is redis; valid: relay, listener"
            ),
        ],
    ),
    "a workload that is wrong in all it says": (
        "to: relay, ledger: listener, rate: 200/s",
        "to: redis, rate: 9999/s, deadline: 0s",
        [
            (
                "8:19: workload[0].publish.to: publish wants a service of kind app, and redis is "
                "redis; valid: relay, listener"
            ),
            "8:32: workload[0].publish.rate: '9999/s' is given; wanted at most 1000/s",
            "8:50: workload[0].publish.deadline: '0s' is given; wanted more than nothing",
        ],
    ),
    "a steady state for no time": (
        "for: 5s",
        "for: 0s",
        "9:51: steady.for: '0s' is given; wanted 100ms to 10min",
    ),
    "a baseline without an end": (
        "baseline: 5s",
        "baseline: 100h",
        "10:22: timeline.baseline: '100h' is given; wanted 100ms to 1h",
    ),
    "a limit that nothing can keep": (
        'availability: ">= 90%"',
        'lost: "< 0"',
        "17:11: expect[1].lost: no value can satisfy '< 0'; write it as in '== 0'",
    ),
    "a share that nothing can keep": (
        '">= 90%"',
        '"> 100%"',
        ("17:19: expect[1].availability: no value can satisfy '> 100%'; write it as in '>= 99%'"),
    ),
    "a limit that nothing can break": (
        '">= 90%"',
        '">= 0%"',
        ("17:19: expect[1].availability: every value satisfies '>= 0%'; write it as in '>= 99%'"),
    ),
    "a limit in another unit than its finding": (
        '">= 90%"',
        '"<= 2s"',
        (
            "17:19: expect[1].availability: '<= 2s' is a duration, but availability is a "
            "percentage; write it as in '>= 99%'"
        ),
    ),
    "an expectation that stands twice": (
        "  - sla: arbees/mttr",
        "  - sla: arbees/mttr\n  - sla: arbees/mttr",
        "17:10: expect[1].sla: arbees/mttr is expected twice",
    ),
    "a steady state without a floor": (
        'success: ">= 99%"',
        'success: "<= 99%"',
        "9:19: steady.success: '<= 99%' cannot be a steady state; write it as in '>= 99%'",
    ),
    "a steady state with a floor for its latency": (
        'p99: "<= 100ms"',
        'p99: "<= 1%"',
        "9:34: steady.p99: '<= 1%' cannot be a steady state; write it as in '<= 50ms'",
    ),
    "a fault that the load never meets": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - latency: client -> redis\n    for: 1s\n    delay: 1s\n",
        (
            "15:14: faults[1].latency: the load never passes client -> redis: nothing it "
            "reaches from relay or listener needs it, so the run would show nothing; hit "
            "something else, or write 'met_by: probes' to count the harness's own probes"
        ),
    ),
    "a fault that has to meet nothing": (
        "    for: ${outage}\n",
        "    for: ${outage}\n    exposure: 0\n",
        "15:15: faults[0].exposure: a fault that meets nothing shows nothing; write at least 1",
    ),
    "a fault that lasts longer than the file allows": (
        "timeline: {baseline",
        "safety: {longest: 1s}\ntimeline: {baseline",
        "15:10: faults[0].for: 2 s is longer than safety.longest, 1 s (from ${outage}, line 6)",
    ),
    "more services hit at once than the file allows": (
        "    for: ${outage}\n",
        (
            "    for: ${outage}\n  - kill: relay\n    at: 2s\n    for: 1s\n"
            "  - kill: listener\n    at: 2500ms\n    for: 1s\n"
            "  - kill: redis\n    at: 12s\n    for: 1s\n"
        ),
        (
            "18:11: faults[2].kill: 3 services are hit at the same time, listener, redis, relay; "
            "safety.services allows 2"
        ),
    ),
    "faults that are at odds at the same time": (
        "    for: ${outage}\n",
        (
            "    for: ${outage}\n  - kill: relay\n    at: 1s\n    for: 1s\n"
            "  - kill: redis\n    at: 2999ms\n    for: 1s\n"
        ),
        (
            "18:11: faults[2].kill: is active at the same time as kill of redis, faults[0], and "
            "both kill it; let one end before the other begins"
        ),
    ),
    "a reason to stop that asks for too much success": (
        "timeline: {baseline",
        'safety: {stop: {success: "> 5%"}}\ntimeline: {baseline',
        "10:26: safety.stop.success: '> 5%' cannot be a reason to stop; write it as in '< 5%'",
    ),
    "no service that may be hit": (
        "timeline: {baseline",
        "safety: {services: 0}\ntimeline: {baseline",
        "10:20: safety.services: 0 is given; wanted at least 1",
    ),
    "a recovery that is watched for too short": (
        "recovery: 130s",
        "recovery: 30s",
        (
            "10:36: timeline.recovery: arbees/mttr wants < 2min, but recovery is watched for 30s "
            "only: it could never fail; write more than 2 min"
        ),
    ),
    "a recovery that is watched for exactly the limit": (
        "recovery: 130s",
        "recovery: 120s",
        (
            "10:36: timeline.recovery: arbees/mttr wants < 2min, but recovery is watched for 120s "
            "only: it could never fail; write more than 2 min"
        ),
    ),
    "a default watch that is too short": (
        ", recovery: 130s",
        "",
        (
            "10:1: timeline.recovery: arbees/mttr wants < 2min, but recovery is watched for 2 min "
            "only: it could never fail; write more than 2 min"
        ),
    ),
    "a sabotage of nothing": (
        "disable: reconnect",
        "disable: reconect",
        (
            "19:15: sabotage[0].disable: 'reconect' is not a switch of the target or a fault of "
            "the scenario; valid: reconnect, kill; nearest: 'reconnect'"
        ),
    ),
    "a sabotage of a fault that is not used": (
        "disable: [kill]",
        "disable: [kill, latency]",
        (
            "20:22: sabotage[1].disable[1]: 'latency' is not a switch of the target or a fault of "
            "the scenario; valid: reconnect, kill"
        ),
    ),
    "a sabotage that breaks what is not expected": (
        "breaks: arbees/mttr",
        "breaks: [arbees/mttr, lost]",
        (
            "19:48: sabotage[0].breaks[1]: 'lost' is not expected here; "
            "valid: arbees/mttr, availability"
        ),
    ),
    "a sabotage without an outcome": (
        ", gives: INVALID",
        "",
        "20:5: sabotage[1]: write either breaks or gives",
    ),
    "a sabotage with two outcomes": (
        "gives: INVALID",
        "gives: INVALID, breaks: availability",
        "20:5: sabotage[1]: write either breaks or gives, not both",
    ),
    "a sabotage that shows nothing": (
        "gives: INVALID",
        "gives: PASS",
        (
            "20:30: sabotage[1].gives: 'PASS' is not valid here; "
            "valid: FAIL, INVALID, INCONCLUSIVE, ERROR"
        ),
    ),
    # Parameters
    "an unknown parameter": (
        "${outage}",
        "${outge}",
        [
            "6:3: parameters.outage: is never used; write ${outage} where it belongs",
            "14:10: faults[0].for: unknown parameter '${outge}'; valid: outage; nearest: 'outage'",
        ],
    ),
    "a parameter without a default": (
        "{default: 2s, sweep: [500ms, 10s]}",
        "{sweep: [500ms, 10s]}",
        [
            "6:3: parameters.outage.default: is missing",
            "14:10: faults[0].for: the parameter 'outage' has no default",
        ],
    ),
    "a parameter whose value does not fit": (
        "default: 2s",
        "default: 2",
        (
            f"14:10: faults[0].for: 2 has no unit; {DURATION}; nearest: '2s' "
            "(from ${outage}, line 6)"
        ),
    ),
    "a swept value that does not fit": (
        "sweep: [500ms, 10s]",
        "sweep: [1s, 2parsec]",
        (
            f"14:10: faults[0].for: '2parsec' is not a duration; {DURATION} "
            "(from ${outage}, '2parsec' in its sweep)"
        ),
    ),
    "a sweep of nothing": (
        "sweep: [500ms, 10s]",
        "sweep: []",
        "6:32: parameters.outage.sweep: is empty; wanted at least one",
    ),
}


@pytest.mark.parametrize(("old", "new", "wanted"), ONE_PROBLEM.values(), ids=list(ONE_PROBLEM))
def test_a_problem_is_told_with_its_place_and_what_is_valid(
    told_after: ToldAfter, old: str, new: str, wanted: str | list[str]
) -> None:
    assert told_after(old, new) == ([wanted] if isinstance(wanted, str) else wanted)


def test_values_of_a_part_are_judged_beside_wrong_ones(
    load: Load, good: str, complaints: Complaints
) -> None:
    text = good
    for old, new in (
        ('{success: ">= 99%", p99: "<= 100ms", for: 5s}', '{success: 5, p99: "> 1s", fro: 1s}'),
        ("{baseline: 5s, recovery: 130s, quiet: 2s}", "{baseline: 5, recovery: 30s, quiet: 1h}"),
        ("faults:", "safety: {services: 0, longest: 1s, stop: 5}\nfaults:"),
        ("    at: 1s", "    at: 1"),
        ("breaks: arbees/mttr}", "breaks: arbees/mttl, gives: never}"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    assert [line.split(": ")[1] for line in complaints(lambda: load(text))] == [
        "steady.success",
        "steady.p99",
        "steady.fro",
        "timeline.baseline",
        "timeline.recovery",
        "timeline.quiet",
        "safety.services",
        "safety.stop",
        "faults[0].at",
        "faults[0].for",
        "sabotage[0].breaks",
        "sabotage[0].gives",
    ]


def test_a_value_of_a_sweep_is_not_tried_where_the_file_is_wrong(
    load: Load, good: str, complaints: Complaints
) -> None:
    text = good.replace("sweep: [500ms, 10s]", "sweep: [1parsec]").replace("for: 5s", "for: 5")
    (told,) = complaints(lambda: load(text))
    assert "steady.for" in told


def test_of_a_thousand_problems_the_first_fifty_are_shown(
    load: Load, good: str, complaints: Complaints
) -> None:
    wrong = "".join(f"  - availability: '{'9' * 200}{number}'\n" for number in range(1000))
    told = complaints(lambda: load(good.replace("sabotage:", f"{wrong}sabotage:")))
    assert len(told) == 51
    assert told[-1] == "and 950 more problems"
    assert all(len(line) < 300 for line in told)


def test_two_lengths_that_differ_are_never_written_the_same(
    load: Load, good: str, complaints: Complaints
) -> None:
    text = good.replace("for: ${outage}", "for: 1000001us").replace("at: 1s", "at: ${outage}")
    (told,) = complaints(lambda: load(text.replace("faults:", "safety: {longest: 1s}\nfaults:")))
    assert told.endswith("faults[0].for: 1.000001 s is longer than safety.longest, 1 s")


def test_more_runs_than_anybody_waits_for_are_told_at_once(
    load: Load, good: str, complaints: Complaints
) -> None:
    values = ", ".join(f"{number}ms" for number in range(1, 1002))
    (told,) = complaints(lambda: load(good.replace("500ms, 10s", values)))
    assert "the sweeps give 1001 runs; at most 1000 are allowed" in told


def test_all_problems_are_told_at_once_in_the_order_of_the_file(
    load: Load, good: str, complaints: Complaints
) -> None:
    text = good
    for old, new in (
        ("title:", "titel: x\ntitle:"),
        ("target: signals", "target: signal"),
        ("[redis, nightly]", "[redis, yes]"),
        ("rate: 200/s", "rate: 200"),
        ("for: 5s", "for: 2"),
        ("recovery: 130s", "recovery: 30s"),
        ("    at: 1s", "    at: 1s\n    latency: relay"),
        ("- availability:", "- availabilty:"),
        (", gives: INVALID", ""),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    assert [line.split(": ")[1] for line in complaints(lambda: load(text))] == [
        "titel",
        "target",
        "tags[1]",
        "workload[0].publish.rate",
        "steady.for",
        "timeline.recovery",
        "faults[0].latency",
        "expect[1].availabilty",
        "sabotage[1]",
    ]
