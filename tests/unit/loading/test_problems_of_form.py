import re
from collections.abc import Callable
from typing import Protocol

import pytest

from gameday.model.scenario import Scenario

ToldAfter = Callable[[str, str], list[str]]


class Load(Protocol):
    def __call__(self, text: str, /, **settings: str) -> Scenario: ...


Complaints = Callable[[Callable[[], object]], list[str]]
DURATION = "write a number and one of us, ms, s, min, h"
LIMIT = "write <, <=, >, >= or == and a percentage, such as '>= 99%'"


ONE_PROBLEM = {
    # The form
    "a missing key": (
        "title: A scenario in which everything is right\n",
        "",
        "1:1: title: is missing",
    ),
    "an unknown key": (
        "title:",
        "titel: x\ntitle:",
        (
            "2:1: titel: unknown key; valid: scenario, title, target, tags, parameters, workload, "
            "steady, timeline, safety, faults, expect, sabotage; nearest: 'title'"
        ),
    ),
    "an unknown key of a part": (
        "quiet:",
        "quite:",
        "10:42: timeline.quite: unknown key; valid: baseline, recovery, quiet; nearest: 'quiet'",
    ),
    "a missing key of an item": (
        "    for: ${outage}\n",
        "    signal: SIG${outage}\n",
        [
            "12:5: faults[0].for: is missing",
            (
                "14:13: faults[0].signal: 'SIG2s' is not valid here; "
                "valid: SIGKILL, SIGTERM (from ${outage}, line 6)"
            ),
        ],
    ),
    "a key that stands twice": (
        "title:",
        "title: x\ntitle:",
        "3:1: title: is repeated; the first is on line 2",
    ),
    "a part that is no mapping": (
        '{success: ">= 99%", p99: "<= 100ms", for: 5s}',
        "[1]",
        "9:9: steady: a list is given; wanted a mapping of keys",
    ),
    "a part that is no list": (
        "[redis, nightly]",
        "redis",
        "4:7: tags: 'redis' is given; wanted a list",
    ),
    "a part without a value": (
        "[redis, nightly]",
        "",
        "4:6: tags: nothing is given; wanted a list",
    ),
    "an empty list": (
        "\n  - {disable: reconnect, breaks: arbees/mttr}\n  - {disable: [kill], gives: INVALID}",
        "\n  - {disable: [], gives: INVALID}",
        "19:15: sabotage[0].disable: is empty; wanted at least one",
    ),
    "an item that is no mapping": (
        '  - availability: ">= 90%"',
        "  - availability",
        "17:5: expect[1]: 'availability' is given; wanted a mapping of keys",
    ),
    # Values
    "a number without a unit": (
        "for: 5s",
        "for: 2",
        f"9:51: steady.for: 2 has no unit; {DURATION}; nearest: '2s'",
    ),
    "text without a unit": (
        "for: 5s",
        'for: "2"',
        f"9:51: steady.for: '2' has no unit; {DURATION}; nearest: '2s'",
    ),
    "a unit that is spelled otherwise": (
        "for: 5s",
        "for: 5 sec",
        f"9:51: steady.for: '5 sec' is not a duration; {DURATION}; nearest: '5s'",
    ),
    "a switch word for a duration": (
        "for: 5s",
        "for: on",
        f"9:51: steady.for: on is not a duration; {DURATION}",
    ),
    "a rate without its unit": (
        "rate: 200/s",
        "rate: 200",
        (
            "8:50: workload[0].publish.rate: 200 has no unit; "
            "write a number above 0 and '/s' or '/min'; nearest: '200/s'"
        ),
    ),
    "a rate of nothing": (
        "rate: 200/s",
        "rate: 0/s",
        (
            "8:50: workload[0].publish.rate: '0/s' is not a rate; "
            "write a number above 0 and '/s' or '/min'"
        ),
    ),
    "a limit without a comparison": (
        '">= 90%"',
        "90%",
        f"17:19: expect[1].availability: '90%' is not a limit; {LIMIT}; nearest: '>= 90%'",
    ),
    "a ratio where a percentage is wanted": (
        '">= 90%"',
        '">= 0.99"',
        f"17:19: expect[1].availability: '>= 0.99' is not a limit; {LIMIT}; nearest: '>= 99%'",
    ),
    "a number that may be meant in milliseconds": (
        "for: 5s",
        "for: 50",
        f"9:51: steady.for: 50 has no unit; {DURATION}; nearest: '50s' or '50ms'",
    ),
    "a finding by a longer name": (
        "- availability:",
        "- publish_availability:",
        (
            "17:5: expect[1].publish_availability: unknown finding; "
            "valid: sla, availability, lost, outage, recovery; nearest: 'availability'"
        ),
    ),
    "several services where one is hit": (
        "- kill: redis",
        "- kill: [redis, relay]",
        (
            "12:11: faults[0].kill: a list is given; wanted one service; "
            "valid: redis, relay, listener"
        ),
    ),
    "a fault without what it hits": (
        "- kill: redis",
        "- kill:",
        (
            "12:10: faults[0].kill: nothing is given; wanted one service; "
            "valid: redis, relay, listener"
        ),
    ),
    "a fault that parts nothing": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - part:\n    for: 1s\n",
        (
            "15:10: faults[1].part: nothing is given; wanted services, as text; "
            "valid: redis, relay, listener"
        ),
    ),
    "a connection that is not written": (
        "    for: ${outage}\n",
        "    for: ${outage}\n  - latency: {}\n    for: 1s\n    delay: 1s\n",
        (
            "15:14: faults[1].latency: a mapping is given; wanted one connection; "
            "valid: relay -> redis, listener -> redis, client -> redis, client -> relay, "
            "client -> listener"
        ),
    ),
    "a switch word where text is wanted": (
        "[redis, nightly]",
        "[redis, yes]",
        '4:15: tags[1]: yes is not text; write "yes" in quotes',
    ),
    "a number where text is wanted": (
        "title: A scenario in which everything is right",
        "title: 12:30",
        '2:8: title: 12:30 is not text; write "12:30" in quotes',
    ),
    "a list where text is wanted": (
        "title: A scenario in which everything is right",
        "title: [a]",
        "2:8: title: a list is given; wanted text",
    ),
    "a word that is not among the valid": (
        "    at: 1s",
        "    at: 1s\n    signal: SIGKIL",
        (
            "14:13: faults[0].signal: 'SIGKIL' is not valid here; valid: SIGKILL, SIGTERM; "
            "nearest: 'SIGKILL'"
        ),
    ),
    "a verdict that is not among the valid": (
        "gives: INVALID",
        "gives: INVALD",
        (
            "20:30: sabotage[1].gives: 'INVALD' is not valid here; "
            "valid: FAIL, INVALID, INCONCLUSIVE, ERROR; nearest: 'INVALID'"
        ),
    ),
    "text where a whole number is wanted": (
        "  - kill: redis\n",
        '  - latency: relay -> redis\n    delay: 1s\n    count: "3"\n',
        [
            "14:12: faults[0].count: '3' is given; wanted a whole number",
        ],
    ),
    "a part of a number where a whole one is wanted": (
        "  - kill: redis\n",
        "  - latency: relay -> redis\n    delay: 1s\n    count: 1.5\n",
        "14:12: faults[0].count: 1.5 is given; wanted a whole number",
    ),
    "a switch word where a number is wanted": (
        "  - kill: redis\n",
        "  - latency: relay -> redis\n    delay: 1s\n    scale: yes\n",
        "14:12: faults[0].scale: yes is given; wanted a number",
    ),
    "a number where a switch word is wanted": (
        "  - kill: redis\n",
        "  - latency: relay -> redis\n    delay: 1s\n    once: 1\n",
        "14:11: faults[0].once: 1 is given; wanted true or false",
    ),
    "values that a fault refuses": (
        "    for: ${outage}\n",
        (
            "    for: ${outage}\n"
            "  - latency: relay -> redis\n    for: 1s\n    delay: 1s\n"
            "    count: 0\n    scale: .nan\n"
        ),
        [
            "18:12: faults[1].count: 0 is given; wanted at least 1",
            "19:12: faults[1].scale: .nan is given; wanted more than 0",
        ],
    ),
    "a value that a fault refuses and nobody wrote": (
        "    for: ${outage}\n",
        (
            "    for: ${outage}\n"
            "  - latency: relay -> redis\n    for: 1s\n    delay: 1s\n    once: true\n"
        ),
        "15:5: faults[1].count: is left out; wanted at least 2 of once",
    ),
    "an item whose target and key are wrong": (
        "    for: ${outage}\n",
        (
            "    for: ${outage}\n"
            "  - latency: redis -> relay\n    for: 1s\n    delay: 1s\n    sgnal: up\n"
        ),
        [
            (
                "15:14: faults[1].latency: 'redis -> relay' is not a connection of target "
                "'signals'; valid: relay -> redis, listener -> redis, client -> redis, "
                "client -> relay, client -> listener; nearest: 'relay -> redis'"
            ),
            (
                "18:5: faults[1].sgnal: unknown key; valid: latency, delay, jitter, share, count, "
                "scale, once, at, for, exposure, met_by; nearest: 'scale'"
            ),
        ],
    ),
    "keys that a fault finds at odds": (
        "    for: ${outage}\n",
        (
            "    for: ${outage}\n"
            "  - latency: relay -> redis\n    for: 1s\n    delay: 1s\n    jitter: 2s\n"
        ),
        "15:14: faults[1].latency: jitter is larger than delay",
    ),
}


@pytest.mark.parametrize(("old", "new", "wanted"), ONE_PROBLEM.values(), ids=list(ONE_PROBLEM))
def test_a_problem_is_told_with_its_place_and_what_is_valid(
    told_after: ToldAfter, old: str, new: str, wanted: str | list[str]
) -> None:
    assert told_after(old, new) == ([wanted] if isinstance(wanted, str) else wanted)


@pytest.mark.parametrize("part", ["workload", "faults", "expect"])
def test_an_experiment_without_a_part_that_matters_is_refused(
    load: Load, good: str, complaints: Complaints, part: str
) -> None:
    text = re.sub(rf"{part}:\n(  .*\n)+", f"{part}: []\n", good)
    told = complaints(lambda: load(text))
    assert any(line.endswith(f"{part}: is empty; wanted at least one") for line in told), told


@pytest.mark.parametrize("written", ["010", "1:30", "0x10", "1_000", "1e3", "0b11", ".inf"])
def test_a_number_that_yaml_reads_otherwise_than_people_do_gets_no_hint(
    told_after: ToldAfter, written: str
) -> None:
    (told,) = told_after("for: 5s", f"for: {written}")
    assert re.search(rf"steady\.for: '?{re.escape(written)}'? ", told)
    assert "nearest" not in told
