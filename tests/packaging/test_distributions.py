"""What a release carries, and what it leaves out."""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

_APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
_REGISTRY = re.compile(
    rb"https?://[^/\s]*(?:pypi|pythonhosted|npm|goproxy|proxy\.golang|registry|mirror)",
    re.IGNORECASE,
)
_HOME = re.compile(rb"(?<![\w.])/(?:root|home/[a-z][\w-]*|Users/[A-Za-z][\w-]*)/")

_NOT_SOURCE = shutil.ignore_patterns("__pycache__")
_STRAY = (
    "harness/gameday/__pycache__/plugin.cpython-311.pyc",
    "scenarios/slas/__pycache__/slas.cpython-311.pyc",
    "targets/leftover.pyc",
    "reports/a-run/result.json",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distributions:
    """What a release consists of, and what it was made from."""

    source: Path
    stray: tuple[str, ...]
    sdist: Path
    wheel: Path

    def in_sdist(self) -> dict[str, bytes]:
        """Every file of the source distribution, below its one top folder."""
        with tarfile.open(self.sdist) as archive:
            files = ((member, archive.extractfile(member)) for member in archive.getmembers())
            return {m.name.split("/", 1)[1]: file.read() for m, file in files if file is not None}

    def in_wheel(self) -> dict[str, bytes]:
        """Every file of the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="session")
def distributions(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """A release of a copy of the source, which also holds files that nobody should ship."""
    source = tmp_path_factory.mktemp("source")
    _copy_source(root, source)
    for stray in _STRAY:
        (source / stray).parent.mkdir(parents=True, exist_ok=True)
        (source / stray).write_text("stray")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", f"--outdir={out}", "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return Distributions(source=source, stray=_STRAY, sdist=sdist, wheel=wheel)


def test_the_source_root_is_not_a_package(root: Path) -> None:
    assert not (root / "harness" / "__init__.py").exists()
    assert [p.name for p in (root / "harness").iterdir() if p.is_dir()] == ["gameday"]


def test_the_wheel_has_one_top_level_name(distributions: Distributions) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_wheel_contents", "--toplevel=gameday", distributions.wheel],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_carries_the_package_and_its_data_and_nothing_else(
    distributions: Distributions,
) -> None:
    source = distributions.source
    wanted = set()
    for folder, place in (
        ("harness/gameday", "gameday"),
        ("scenarios", "gameday/_bundled/scenarios"),
        ("targets", "gameday/_bundled/targets"),
    ):
        for path in (source / folder).rglob("*"):
            if path.is_file() and str(path.relative_to(source)) not in distributions.stray:
                wanted.add(f"{place}/{path.relative_to(source / folder)}")
    carried = {name for name in distributions.in_wheel() if ".dist-info/" not in name}
    assert carried == wanted


def test_ignored_files_do_not_reach_the_source_distribution(distributions: Distributions) -> None:
    assert distributions.in_sdist().keys() & set(distributions.stray) == set()


def test_the_source_distribution_carries_what_runs_its_own_tests(
    distributions: Distributions,
) -> None:
    wanted = {"conftest.py", "tox.ini", "hatch_build.py", "LICENSE", ".gitignore", ".ci/run"}
    assert wanted <= distributions.in_sdist().keys()


def test_the_license_is_apache_2_and_comes_with_the_wheel(distributions: Distributions) -> None:
    files = distributions.in_wheel()
    (name,) = [name for name in files if name.endswith(".dist-info/licenses/LICENSE")]
    assert hashlib.sha256(files[name]).hexdigest() == _APACHE_2_SHA256
    (metadata,) = [text for name, text in files.items() if name.endswith(".dist-info/METADATA")]
    assert b"\nLicense-Expression: Apache-2.0\n" in metadata


def test_the_source_names_no_registry_host(distributions: Distributions) -> None:
    assert _matches(distributions, _REGISTRY) == []


def test_the_source_names_no_path_of_the_machine_it_was_made_on(
    distributions: Distributions, root: Path
) -> None:
    assert _matches(distributions, _HOME) == []
    if len(root.parts) > 2:  # /src and the like may stand in any text
        assert _matches(distributions, re.compile(re.escape(bytes(root)) + rb"\b")) == []


def test_an_editable_install_is_a_path_to_the_checkout_and_finds_its_data_there(
    distributions: Distributions, tmp_path: Path, outside_environ: dict[str, str]
) -> None:
    source = distributions.source
    build = "import sys, hatchling.build; hatchling.build.build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=source, check=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = [name for name in archive.namelist() if ".dist-info/" not in name]
        on_path = archive.read(entry).decode().strip()
    assert (Path(entry).suffix, on_path) == (".pth", str(source / "harness"))

    where = "from gameday.resources import bundled; print(bundled('scenarios'), bundled('targets'))"
    found = subprocess.run(
        [sys.executable, "-c", where],
        env=outside_environ | {"PYTHONPATH": on_path},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert found.stdout.split() == [str(source / "scenarios"), str(source / "targets")]


def _copy_source(root: Path, destination: Path) -> None:
    hidden_source = {".ci", ".gitignore"}
    for path in root.iterdir():
        if path.name == "reports" or (path.name[0] == "." and path.name not in hidden_source):
            continue
        if path.is_dir():
            shutil.copytree(path, destination / path.name, ignore=_NOT_SOURCE)
        else:
            shutil.copy(path, destination)


def _matches(distributions: Distributions, pattern: re.Pattern[bytes]) -> list[str]:
    return [
        f"{name}: {match.group().decode()}"
        for name, text in distributions.in_sdist().items()
        for match in pattern.finditer(text)
    ]
