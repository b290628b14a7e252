"""A service gets the same variables in every runtime, and programs are where the target is."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from gameday.api.environment import Endpoint
from gameday.engine.planning import vocabulary
from gameday.errors import EnvironmentRefused
from gameday.loading import load_target
from gameday.model.scenario import ServiceSpec
from gameday.registry import KINDS
from gameday.resources import bundled
from gameday.runtimes import program
from gameday.runtimes.program import app_image, is_program
from gameday.runtimes.variables import Need, process_variables, variables_of
from gameday.testing.logins import armed

DB = armed(
    ServiceSpec(
        name="order-db",
        kind="postgres",
        env={"POSTGRES_USER": "ann", "POSTGRES_PASSWORD": "s$c", "POSTGRES_DB": "shop"},
    )
)
CACHE = armed(ServiceSpec(name="cache", kind="redis"))
API = ServiceSpec(name="api", kind="app", program="apps.relay")
URL = "postgresql://${ORDER_DB_USER}:${ORDER_DB_PASSWORD}@${ORDER_DB_HOST}:${ORDER_DB_PORT}/${ORDER_DB_DATABASE}"


def needs() -> list[Need]:
    at = [Endpoint(host="db", port=1), Endpoint(host="cache", port=2), Endpoint(host="a", port=3)]
    return [Need(spec=spec, at=one) for spec, one in zip((DB, CACHE, API), at, strict=True)]


def shop(env: dict[str, str], *, pass_env: tuple[str, ...] = ()) -> dict[str, str]:
    names = ("order-db", "cache", "api")
    spec = ServiceSpec(
        name="shop", kind="app", program="shop", needs=names, env=env, pass_env=pass_env
    )
    return variables_of(spec, needs(), host="0.0.0.0", port=8000, home="/data")


def test_a_service_is_told_where_each_need_is_and_who_it_is_to_be() -> None:
    assert shop({}) == {
        "HOST": "0.0.0.0",
        "PORT": "8000",
        "DATA_DIR": "/data",
        "PYTHONUNBUFFERED": "1",
        "ORDER_DB_HOST": "db",
        "ORDER_DB_PORT": "1",
        "ORDER_DB_USER": "ann",
        "ORDER_DB_PASSWORD": "s$c",
        "ORDER_DB_DATABASE": "shop",
        "CACHE_HOST": "cache",
        "CACHE_PORT": "2",
        "CACHE_USER": CACHE.logins.service.user,
        "CACHE_PASSWORD": CACHE.logins.service.password,
        "API_HOST": "a",
        "API_PORT": "3",
    }


def test_what_it_is_told_is_put_into_the_targets_own_variables() -> None:
    told = shop({"URL": URL, "AT": "${HOST}:${PORT}", "RAW": "$${PORT}"})
    assert told["URL"] == "postgresql://ann:s$c@db:1/shop"
    assert told["AT"] == "0.0.0.0:8000"
    assert told["RAW"] == "${PORT}"


def test_every_name_that_loading_allows_is_known_when_the_target_runs() -> None:
    words = vocabulary()
    for need in needs():
        assert set(need.told) == set(words.told[need.spec.kind])
    own = KINDS["app"].environment(API, host="h", port=1, home="/")
    assert set(words.own["app"]) <= set(own)


def test_only_what_is_asked_for_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t")
    monkeypatch.setenv("SIGNALS_RECONNECT", "off")
    monkeypatch.delenv("UNSET", raising=False)
    told = shop({}, pass_env=("TOKEN", "UNSET"))
    assert told["TOKEN"] == "t"
    assert "UNSET" not in told
    assert "SIGNALS_RECONNECT" not in told


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with programs in three places, one of them named like a bundled package."""
    (tmp_path / "pyproject.toml").touch()
    for name, text in {
        "chaos/targets/shop/target.yaml": "target: shop\ntitle: A shop\nservices:\n"
        "  api: {kind: app, program: api}\n  back: {kind: app, program: shop.back}\n"
        "  relay: {kind: app, program: apps.relay}\n",
        "chaos/targets/shop/api.py": "import helper",
        "chaos/targets/shop/helper.py": "",
        "shop/__init__.py": "raise SystemExit('imported')",
        "shop/back.py": "",
        "shop/data.txt": "",
        "apps/__init__.py": "",
        ".venv/pyvenv.cfg": "",
        "env/pyvenv.cfg": "",
        "env/__init__.py": "",
        "notes/readme.txt": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def services(project: Path) -> dict[str, ServiceSpec]:
    target = load_target(project / "chaos/targets/shop/target.yaml", vocabulary())
    return {spec.name: spec for spec in target.services}


def test_programs_are_beside_the_target_and_in_the_root_of_the_project(project: Path) -> None:
    found = services(project)
    target = project / "chaos" / "targets" / "shop"
    assert found["api"].places == (target, target.parent, project / "chaos", project)
    for spec in found.values():
        variables = process_variables(spec, [], port=1, home=project, run="0badcafe")
        done = subprocess.run(
            [
                sys.executable,
                "-P",
                "-c",
                f"import importlib.util as u; u.find_spec('{spec.program}')",
            ],
            env=variables,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ("imported" in done.stderr) == (spec.name == "back")
        assert "Error" not in done.stderr


def test_packages_may_be_in_the_src_of_the_project(project: Path) -> None:
    (project / "src").mkdir()
    (project / "shop").rename(project / "src" / "shop")
    spec = services(project)["back"]
    assert spec.places[-1] == project / "src"
    assert KINDS["app"].image(spec).startswith("gameday-programs:")


def test_the_callers_pythonpath_is_no_place_of_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    spec = ServiceSpec(name="api", kind="app", program="far")
    assert not is_program(spec), "the process that it becomes would not find it"
    asked = ServiceSpec(name="api", kind="app", program="far", pass_env=("PYTHONPATH",))
    assert is_program(asked)
    variables = process_variables(asked, [], port=1, home=tmp_path, run="0badcafe")
    assert variables["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)


def test_a_container_has_the_targets_programs_and_no_environment_of_python(project: Path) -> None:
    found = services(project)
    image = KINDS["app"].image(found["api"])
    assert image.startswith("gameday-programs:")
    assert KINDS["app"].image(found["relay"]) == app_image()
    with tarfile.open(fileobj=program.program_context(found["back"])) as archive:
        names = set(archive.getnames())
        made = archive.extractfile("Dockerfile")
        assert made is not None
        assert made.read().decode().splitlines()[0] == f"FROM {app_image()}"
    assert names == {
        "Dockerfile",
        "0/api.py",
        "0/helper.py",
        "0/target.yaml",
        "1/shop/api.py",
        "1/shop/helper.py",
        "1/shop/target.yaml",
        "3/apps/__init__.py",
        "3/shop/__init__.py",
        "3/shop/back.py",
        "3/shop/data.txt",
    }
    assert program.container_path(found["back"]).split(":")[0] == "/programs/3"
    (project / "chaos/targets/shop/helper.py").write_text("changed = True")
    assert KINDS["app"].image(found["api"]) != image


def test_what_the_target_requires_is_installed_in_its_image(project: Path) -> None:
    (project / "chaos/targets/shop/requirements.txt").write_text("flask\n")
    context = program.program_context(services(project)["api"])
    assert b"pip install --no-cache-dir -r /requirements.txt" in context.read()


def test_code_without_bounds_is_refused_with_its_cure(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_MOST_BYTES", 10)
    with pytest.raises(EnvironmentRefused, match="name an image that has it by `image:`"):
        KINDS["app"].image(services(project)["api"])


def test_a_bundled_target_has_its_programs_from_its_own_folder_alone() -> None:
    target = load_target(bundled("targets") / "signals" / "target.yaml", vocabulary())
    folder = bundled("targets").resolve()
    for spec in target.services:
        assert spec.places == (folder / "signals", folder)
        if spec.program:
            assert KINDS["app"].image(spec) == app_image()


def test_the_context_is_the_same_for_the_same_files(project: Path) -> None:
    spec = services(project)["api"]
    one, other = (program.program_context(spec) for _ in range(2))
    assert isinstance(one, io.BytesIO)
    assert one.getvalue() == other.getvalue()
