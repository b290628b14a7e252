"""The processes of a service are found wherever they went, and no others."""

import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from gameday.host import process_tree

MEMBERS = 4
"""The shell, its child, a child in a session of its own and the child of that one."""


@pytest.fixture
def main() -> Iterator[psutil.Process]:
    script = "sleep 61 & setsid sh -c 'sleep 62 & wait' & wait"
    shell = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    found = psutil.Process(shell.pid)
    give_up = time.monotonic() + 5
    while sorted(" ".join(p.cmdline()) for p in process_tree.of_main(found))[-2:] != [
        "sleep 61",
        "sleep 62",
    ]:
        assert time.monotonic() < give_up
        time.sleep(0.005)
    yield found
    process_tree.send(process_tree.of_main(found), signal.SIGKILL)
    shell.wait(5)


def await_freezer_state(main: psutil.Process, wanted: str) -> None:
    give_up = time.monotonic() + 5
    while process_tree.freezer_state_of(process_tree.of_main(main)) != wanted:
        assert time.monotonic() < give_up, wanted
        time.sleep(0.005)


def test_a_child_with_a_session_of_its_own_is_found(main: psutil.Process) -> None:
    members = process_tree.of_main(main)
    assert members[0] == main
    assert len(members) == MEMBERS


def test_an_orphan_of_the_session_is_found(main: psutil.Process) -> None:
    main.send_signal(signal.SIGKILL)
    give_up = time.monotonic() + 5
    while main in process_tree.of_main(main):
        assert time.monotonic() < give_up
    commands = [" ".join(process.cmdline()) for process in process_tree.of_main(main)]
    assert "sleep 61" in commands


def test_all_of_it_freezes_and_thaws(main: psutil.Process) -> None:
    process_tree.stop_all(main)
    await_freezer_state(main, "frozen")
    process_tree.send(process_tree.of_main(main)[:1], signal.SIGCONT)
    await_freezer_state(main, "partly frozen")
    process_tree.send(process_tree.of_main(main), signal.SIGCONT)
    await_freezer_state(main, "running")


def test_child_processes_are_all_but_the_main_process(main: psutil.Process) -> None:
    child_processes = process_tree.child_processes_of(process_tree.of_main(main), main=main.pid)
    assert main.pid not in {child_process.pid for child_process in child_processes}
    assert len(child_processes) == MEMBERS - 1


def test_a_number_that_somebody_else_has_by_now_finds_nothing(main: psutil.Process) -> None:
    impostor = psutil.Process(main.pid)
    impostor._create_time = main.create_time() - 1000  # type: ignore[attr-defined]
    impostor._ident = (main.pid, 1.0)  # type: ignore[attr-defined]
    assert process_tree.of_main(impostor) == []


def test_nothing_is_not_frozen() -> None:
    assert process_tree.freezer_state_of([]) == "running"
