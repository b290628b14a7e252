"""What a user of pytest meets: selection, plans, and one clear line for each mistake."""

import json
import os
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

# pytester forgets the modules that a run in this process imports; numpy cannot be imported twice.
import gameday.plugin.collection
import gameday.plugin.extensions
import gameday.plugin.items  # noqa: F401
from gameday.engine import session
from gameday.engine.planning import Options, load
from gameday.resources import bundled

SCENARIO = """
scenario: mine
title: A scenario of my own
target: signals
tags: [own]
parameters:
  outage: {default: 1s, sweep: [500ms, 1s]}
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 99%", p99: "<= 100ms", for: 2s}
timeline: {baseline: 2s, recovery: 10s, quiet: 1s}
faults:
  - kill: redis
    for: ${outage}
expect:
  - recovery: "<= 8s"
sabotage:
  - {disable: kill, gives: INVALID}
"""


@pytest.fixture
def mine(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with one scenario of its own and an ordinary test."""
    pytester.makepyfile(test_ordinary="def test_nothing(): pass")
    (pytester.path / "scenarios").mkdir()
    (pytester.path / "scenarios" / "mine.yaml").write_text(SCENARIO)
    return pytester


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *args)


def output(result: pytest.RunResult) -> str:
    return "\n".join([*result.outlines, *result.errlines])


def test_without_the_option_no_yaml_is_collected(mine: pytest.Pytester) -> None:
    result = run(mine)
    result.assert_outcomes(passed=1)
    assert "mine" not in output(result).replace(str(mine.path), "")


def test_a_scenario_takes_the_place_of_ordinary_tests(mine: pytest.Pytester) -> None:
    result = run(mine, "--scenario=mine", "--collect-only", "-q")
    assert "mine.yaml::mine" in output(result)
    assert "test_nothing" not in output(result)


def test_paths_given_beside_a_scenario_are_collected_too(mine: pytest.Pytester) -> None:
    result = run(mine, "--scenario=mine", "test_ordinary.py", "--collect-only", "-q")
    assert "mine.yaml::mine" in output(result)
    assert "test_nothing" in output(result)


def test_the_path_of_a_scenario_file_is_enough(mine: pytest.Pytester) -> None:
    result = run(mine, "scenarios/mine.yaml", "--collect-only", "-q")
    assert "scenarios/mine.yaml::mine" in output(result)


def test_yaml_of_other_plugins_is_left_alone(mine: pytest.Pytester) -> None:
    (mine.path / "other.yaml").write_text("test_name: not ours\n")
    result = run(mine, "other.yaml", "--collect-only")
    assert "scenario" not in output(result)


@pytest.mark.parametrize("selector", ["mi*", "tag:own", "scenarios/mine.yaml", "mine,mine"])
def test_a_scenario_is_found_by_glob_tag_path_and_list(
    mine: pytest.Pytester, selector: str
) -> None:
    result = run(mine, f"--scenario={selector}", "--collect-only", "-q")
    assert output(result).count("::mine") == 1


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_every_scenario_has_an_id_of_its_own_that_pytest_takes_back(
    mine: pytest.Pytester, tmp_path: Path
) -> None:
    for folder in (mine.path / "scenarios", mine.path / "more", tmp_path / "beside" / "more"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mine.yaml").write_text(SCENARIO)
    mine.makeini("[pytest]")  # else a path beside it would be a reason for another root folder
    beside = os.path.relpath(tmp_path / "beside" / "more" / "mine.yaml", mine.path)
    ways = f"mine,scenarios/mine.yaml,./more/mine.yaml,{beside},redis-restart"
    result = run(mine, f"--scenario={ways}", "scenarios/mine.yaml", "--collect-only", "-q")
    wanted = [
        "scenarios/mine.yaml::mine",
        "more/mine.yaml::mine",
        f"{beside}::mine",
        "gameday/redis-restart.yaml::redis-restart",
    ]
    assert ids(result) == wanted
    assert ids(run(mine, *wanted, "--collect-only", "-q")) == wanted


def test_of_a_bundled_file_that_was_given_by_id_only_that_test_is_chosen(
    mine: pytest.Pytester,
) -> None:
    wanted = ["gameday/redis-restart.yaml::redis-restart[outage=2s]"]
    assert ids(run(mine, *wanted, "--gameday-sweep", "--collect-only", "-q")) == wanted
    whole = run(mine, "gameday/redis-restart.yaml", "--gameday-sweep", "--collect-only", "-q")
    assert len(ids(whole)) == 2


def test_entries_that_are_called_the_same_are_told_apart(mine: pytest.Pytester) -> None:
    more = "  - {disable: kill, breaks: recovery}\n"
    (mine.path / "scenarios" / "mine.yaml").write_text(SCENARIO + more)
    result = run(mine, "--scenario=mine", "--gameday-sabotage", "--collect-only", "-q")
    assert [name.partition("::")[2] for name in ids(result)] == ["mine[no-kill]", "mine[no-kill-2]"]


def test_what_failed_is_run_again_by_its_id(mine: pytest.Pytester) -> None:
    (mine.path / "other").mkdir()
    (mine.path / "other" / "mine.yaml").write_text(SCENARIO)
    failed = {"other/mine.yaml::mine": True, "gameday/redis-restart.yaml::redis-restart": True}
    cache = mine.path / ".pytest_cache" / "v" / "cache"
    cache.mkdir(parents=True)
    (cache / "lastfailed").write_text(json.dumps(failed))
    ways = "mine,other/mine.yaml,redis-restart,redis-freeze"
    args = (f"--scenario={ways}", "--lf", "--collect-only", "-q")
    assert ids(mine.runpytest_inprocess(*args)) == list(failed)


def test_globs_and_tags_leave_the_bundled_scenarios_to_those_who_ask(
    mine: pytest.Pytester,
) -> None:
    result = run(mine, "--scenario=*,tag:own", "--collect-only", "-q")
    assert ids(result) == ["scenarios/mine.yaml::mine"]
    result = run(mine, "--scenario=bundled:tag:nightly", "--collect-only", "-q")
    assert len(ids(result)) == 2
    result = run(mine, "--scenario=tag:nightly", "--collect-only", "-q")
    assert "for those that come with gameday write 'bundled:tag:nightly'" in output(result)


@pytest.mark.parametrize(
    "start",
    ["# " + "a licence " * 1000 + "\n", "---\n", "? scenario\n: mine\n", '"scenario": mine\n'],
)
def test_a_scenario_file_is_known_however_its_key_is_written(
    mine: pytest.Pytester, start: str
) -> None:
    text = SCENARIO if start[0] in "#-" else SCENARIO.replace("scenario: mine\n", "")
    (mine.path / "scenarios" / "mine.yaml").write_text(start + text.lstrip())
    result = run(mine, "scenarios/mine.yaml", "--collect-only", "-q")
    assert ids(result) == ["scenarios/mine.yaml::mine"]


def test_a_projects_own_copy_of_a_promise_counts(mine: pytest.Pytester) -> None:
    slas = mine.path / "scenarios" / "slas"
    slas.mkdir()
    text = (bundled("scenarios") / "slas" / "arbees.yaml").read_text()
    (slas / "arbees.yml").write_text(text.replace("< 2min", "< 9s"))
    path = mine.path / "scenarios" / "mine.yaml"
    path.write_text(SCENARIO.replace("expect:", "expect:\n  - sla: arbees/mttr"))
    result = run(mine, "--scenario=mine", "--gameday-plan", "--gameday-runtime=process")
    assert result.ret == pytest.ExitCode.OK, output(result)
    assert "arbees/mttr: recovery < 9s" in output(result)


def test_a_broken_promise_file_hides_no_problem_of_the_scenario(mine: pytest.Pytester) -> None:
    slas = mine.path / "scenarios" / "slas"
    slas.mkdir()
    (slas / "loop.yaml").symlink_to("loop.yaml")
    (mine.path / "scenarios" / "mine.yaml").write_text(SCENARIO.replace("100/s", "100"))
    result = run(mine, "--scenario=mine", "--collect-only")
    assert "loop.yaml:1:1: cannot be read: Too many levels of symbolic links" in output(result)
    assert "100 has no unit" in output(result)
    assert "Traceback" not in output(result)


def test_a_name_and_a_title_do_nothing_to_who_reads_the_plan(mine: pytest.Pytester) -> None:
    text = SCENARIO.replace("scenario: mine", r'scenario: "a\e[31mb::error::c"')
    text = text.replace("A scenario of my own", r'"\e]0;x\a ::error::boo\n##vso[x] \u202eabc"')
    (mine.path / "scenarios" / "a\x1b[31mb::error::c.yaml").write_text(text)
    args = ("--scenario=a*", "--gameday-runtime=process")
    for more in ("--gameday-plan", "--collect-only"):
        result = run(mine, *args, more, "-v")
        assert result.ret == pytest.ExitCode.OK, output(result)
        shown = output(result)
        assert r"\x3a:error::" in shown
        for acting in ("\x1b", "::error::", "##vso[", "\u202e", "\x07"):
            assert acting not in shown, repr(acting)


def test_a_runs_folder_has_a_name_that_every_store_takes(mine: pytest.Pytester) -> None:
    path = mine.path / "scenarios" / "mine.yaml"
    path.write_text(SCENARIO.replace("outage: {default: 1s", 'outage: {default: " 1s"'))
    options = Options(runtime="process", seed=0, settings={})
    experiment = load(path, options)
    wild = {"outage": "../a:b\x1b[31m\n" + "x" * 300}
    experiment = replace(experiment, scenario=replace(experiment.scenario, parameters=wild))
    for _ in range(2):
        folder = session._make_folder(mine.path / "reports", experiment)
        assert folder.parent == mine.path / "reports"
        assert re.fullmatch(r"[\w.,=+@%~-]{1,200}", folder.name)


def test_scenarios_are_chosen_by_keyword_and_marker(mine: pytest.Pytester) -> None:
    by_tag = run(mine, "--scenario=mine,redis-restart", "-k", "own", "--collect-only", "-q")
    assert "::mine" in output(by_tag)
    assert "::redis-restart" not in output(by_tag)
    by_mark = run(mine, "--scenario=mine", "test_ordinary.py", "-m", "gameday", "--collect-only")
    assert "test_nothing" not in output(by_mark)


def test_a_sweep_makes_a_test_for_each_value_when_asked_for(mine: pytest.Pytester) -> None:
    result = run(mine, "--scenario=mine", "--gameday-sweep", "--collect-only", "-q")
    assert "mine[outage=500ms]" in output(result)
    assert "mine[outage=1s]" in output(result)


def test_sabotage_makes_a_test_for_each_entry(mine: pytest.Pytester) -> None:
    result = run(mine, "--scenario=mine", "--gameday-sabotage", "--collect-only", "-q")
    assert "mine[no-kill]" in output(result)


def test_a_plan_shows_every_step_and_starts_nothing(mine: pytest.Pytester) -> None:
    result = run(
        mine, "--scenario=mine", "--gameday-plan", "--gameday-runtime=process", "--gameday-seed=7"
    )
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "mine: A scenario of my own",
            "*seed 7, outage 1s*",
            "*redis | relay, listener*",
            "*2 s *kill redis*",
            "*3 s *undo: kill redis*",
        ]
    )
    assert not (mine.path / "reports").exists()


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--scenario=mien"], "nearest: 'mine'"),
        (["--scenario=tag:owm"], "nearest: 'own'"),
        (["--scenario=mine", "--gameday-set=outage"], "write NAME=VALUE"),
        (["--scenario=mine", "--gameday-set=outrage=1s"], "nearest: 'outage'"),
        (["--scenario=mine", "--gameday-set=outage=1"], "nearest: '1s'"),
        (["--scenario=mine", "--gameday-runtime=dokcer"], "nearest: 'docker'"),
        (["--gameday-set=nonsense"], "write NAME=VALUE"),
        (["--gameday-set==1s"], "write NAME=VALUE"),
        (["--gameday-ports=1"], "from 1024"),
        (["--scenario=mine", "--gameday-sweep", "--gameday-sabotage"], "choose one"),
        (["--gameday-plan"], "none is chosen"),
        (["--scenario=mine", "-k", "nothing", "--gameday-plan"], "none is chosen"),
        (["--scenario=mine", "-n2", "--gameday-plan"], "remove -n"),
        (["--scenario=mine", "--gameday-ports=80"], "from 1024"),
        (["--scenario=mine", "-n2", "--gameday-ports=2000"], "remove one of the two"),
    ],
)
def test_a_wrong_option_is_one_clear_line_and_a_usage_error(
    mine: pytest.Pytester, args: list[str], wanted: str
) -> None:
    result = run(mine, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in output(result).splitlines() if wanted in line]
    assert "Traceback" not in output(result)
    assert line.lstrip().startswith(("ERROR", "pytest", "__main__"))
    assert not (mine.path / "reports").exists()


def test_a_scenario_without_sabotage_is_named_when_sabotage_is_asked_for(
    mine: pytest.Pytester,
) -> None:
    whole, _, _ = SCENARIO.partition("sabotage:")
    (mine.path / "scenarios" / "safe.yaml").write_text(whole.replace("mine", "safe"))
    alone = run(mine, "--scenario=safe", "--gameday-sabotage")
    assert alone.ret == pytest.ExitCode.USAGE_ERROR
    assert "safe has no sabotage entries" in output(alone)
    both = run(mine, "--scenario=safe,mine", "--gameday-sabotage", "--collect-only", "-q")
    assert both.ret == pytest.ExitCode.OK
    assert "mine[no-kill]" in output(both)
    assert "safe has no sabotage entries" in output(both)


def test_all_values_of_a_sweep_that_are_wrong_come_at_once(mine: pytest.Pytester) -> None:
    broken = SCENARIO.replace("[500ms, 1s]", "[1parsec, 500, 1s]")
    (mine.path / "scenarios" / "mine.yaml").write_text(broken)
    for more in ((), ("--gameday-sweep",)):
        result = run(mine, "--scenario=mine", *more)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert "'1parsec' in its sweep" in output(result)
        assert "'500' in its sweep" in output(result)


def test_a_mistake_in_a_call_of_the_fixture_is_told_without_a_way_through_gameday(
    mine: pytest.Pytester,
) -> None:
    mine.makepyfile(
        test_calls="""
        def test_number(gameday): gameday("mine", outage=2)
        def test_text(gameday): gameday("mine", outage="2")
        def test_name(gameday): gameday("mien")
        """
    )
    result = run(mine, "test_calls.py")
    result.assert_outcomes(failed=3)
    assert "outage=2 is not text" in output(result)
    assert "such as outage='2s'" in output(result)
    assert "nearest: '2s' (from ${outage}, set to '2')" in output(result)
    assert "nearest: 'mine'" in output(result)
    assert "items.py" not in output(result)
    assert "plugin.py" not in output(result)


def test_all_problems_of_a_scenario_file_come_at_once(mine: pytest.Pytester) -> None:
    broken = SCENARIO.replace("kill: redis", "kil: redis").replace("100/s", "100")
    (mine.path / "scenarios" / "mine.yaml").write_text(broken)
    result = run(mine, "--scenario=mine")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "mine.yaml:9:" in output(result)
    assert "mine.yaml:13:" in output(result)
    assert "nearest: 'kill'" in output(result)
    assert "Traceback" not in output(result)


def test_a_front_port_in_use_is_an_error_of_one_line(mine: pytest.Pytester) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run(
            mine, "--scenario=mine", "--gameday-runtime=process", f"--gameday-ports={port}"
        )
    result.assert_outcomes(errors=1)
    assert f"cannot give {port}" in output(result)
    assert list((mine.path / "reports").iterdir()) == []


def test_an_engine_that_does_not_answer_is_an_error_of_one_line(
    mine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{mine.path}/no-engine.sock")
    result = run(mine, "--scenario=mine", "--gameday-runtime=docker")
    result.assert_outcomes(errors=1)
    assert "no Docker engine answers" in output(result)
    assert "Traceback" not in output(result)


def test_a_missing_server_is_an_error_of_one_line(
    mine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(mine.path))
    monkeypatch.setattr("gameday.host.carried.find_spec", lambda _: None)
    result = run(mine, "--scenario=mine", "--gameday-runtime=process")
    result.assert_outcomes(errors=1)
    assert "no redis-server or valkey-server on PATH" in output(result)


def test_a_reports_folder_that_cannot_be_written_is_an_error_of_one_line(
    mine: pytest.Pytester,
) -> None:
    (mine.path / "taken").write_text("a file, not a folder")
    result = run(
        mine, "--scenario=mine", "--gameday-runtime=process", "--gameday-reports=taken/runs"
    )
    result.assert_outcomes(errors=1)
    assert "reports folder" in output(result)


def test_nothing_of_ours_but_the_plugin_is_imported_without_a_scenario(
    mine: pytest.Pytester,
) -> None:
    mine.makepyfile(
        test_ordinary="""
        import sys
        def test_only_the_plugin_is_there():
            assert {m for m in sys.modules if m.startswith("gameday")} <= {
                "gameday", "gameday.plugin"}
        """
    )
    mine.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "frozen"), [(("--scenario=redis-restart", "--gameday-plan"), True), ((), False)]
)
def test_only_after_a_scenario_is_what_was_imported_kept_from_a_last_search(
    pytester: pytest.Pytester, arguments: tuple[str, ...], frozen: bool
) -> None:
    pytester.makeconftest(
        """
        import atexit, gc
        atexit.register(lambda: print("frozen", gc.get_freeze_count() > 0, flush=True))
        """
    )
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("--gameday-runtime=process", *arguments)
    assert f"frozen {frozen}" in result.outlines
