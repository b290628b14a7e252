"""What tests and extensions may use is listed in one place, and costs nothing to import."""

import ast
import subprocess
import sys
from pathlib import Path

import gameday

ROOT = Path(__file__).parents[2]
PUBLIC = """
BulkDialect Checkpoint Codec Conflicts Dialect DurationNs Edge Endpoint Environment
EnvironmentRefused Event Example ExtensionError Fault Finding FindingKind GamedayError Hits
Injection InternalError InvalidParameter Lacking Lasting Listener LoadClient Mechanism NotHealed
NotReadyError Observation Options Outcome Pipelined Probe Proof Reply Requirements Result Scalar
Scenario ScenarioError Service ServiceKind ServiceSpec StreamPlan Target Technology Unit Verdict
Window Workload require run
"""


def test_the_public_names_are_these() -> None:
    assert sorted(gameday.__all__) == PUBLIC.split()


def test_every_public_name_is_there_and_a_type_checker_knows_it() -> None:
    typed = {
        alias.asname
        for node in ast.walk(ast.parse(Path(gameday.__file__).read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert typed == set(gameday.__all__)
    for name in gameday.__all__:
        found = getattr(gameday, name)
        told = getattr(found, "__doc__", None)
        assert told or not isinstance(found, type), f"{name} is not documented"


def test_to_import_gameday_imports_nothing_else_of_it() -> None:
    code = "import sys, gameday; print(*(n for n in sys.modules if n.startswith('gameday')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gameday"]


def test_an_extension_needs_nothing_but_the_public_names() -> None:
    folder = ROOT / "tests" / "packaging" / "memcached" / "gameday_memcached"
    used = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "gameday":
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not str(node.module).startswith("gameday."), f"{path}: {node.module}"
    assert {"Technology", "ServiceKind", "Fault"} - used == {"Fault"}
    assert used <= set(gameday.__all__)
