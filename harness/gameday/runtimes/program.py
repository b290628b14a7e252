"""Where the program of a service is found, for a process of this host and for a container."""

import functools
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from gameday.errors import EnvironmentRefused
from gameday.host.variables import for_services
from gameday.model.scenario import ServiceSpec
from gameday.resources import bundled

__all__ = [
    "app_image",
    "container_path",
    "is_bundled",
    "is_program",
    "process_path",
    "program_context",
    "program_image",
]

_IMAGE_PARTS = ("images/apps/Dockerfile", "requirements.txt", "apps/*.py", "resilience/*.py")
_VARIABLE = "PYTHONPATH"
_REQUIREMENTS = "requirements.txt"
_MOST_BYTES = 32_000_000
_FIND_LIMIT_S = 20

# Finders are asked for the first part of the name only, for which nothing is imported.
_FIND = """
import sys
from importlib.machinery import PathFinder
first, *rest = sys.argv[1].split(".")
found = (finder.find_spec(first, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
spec = next((one for one in found if one is not None), None)
for part in [*rest, "__main__"]:
    places = spec.submodule_search_locations if spec else None
    if part == "__main__" and spec and not places:
        break
    spec = PathFinder.find_spec(part, list(places)) if places else None
sys.exit(spec is None)
"""


def is_program(spec: ServiceSpec) -> bool:
    """Tell whether Python finds the module that a service runs. Nothing is imported.

    It looks where the target's programs are, then in the bundled ones, then in what is installed.
    """
    name = str(spec.program)
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    return _place(spec) is not None or _is_installed(name)


def is_bundled(spec: ServiceSpec) -> bool:
    """Tell whether the program is one that comes with gameday."""
    return _place(spec) == bundled("targets").resolve()


def process_path(spec: ServiceSpec) -> str:
    """Return the PYTHONPATH of a service on this host: first of all where its program is."""
    place = _place(spec)
    first = [] if place is None else [place]
    return os.pathsep.join(str(each) for each in dict.fromkeys([*first, *_places(spec)]))


def app_image() -> str:
    """Return the tag of the image of the bundled services: it changes with any of their files."""
    folder = bundled("targets")
    digest = hashlib.sha256()
    for pattern in _IMAGE_PARTS:
        for path in sorted(folder.glob(pattern)):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return f"gameday-apps:{digest.hexdigest()[:16]}"


def program_image(spec: ServiceSpec) -> str | None:
    """Return the tag of the image with a target's own programs: it changes with any of its files.

    None where the bundled image has the program, or no folder of the target has it.
    """
    if is_bundled(spec) or _place(spec) not in spec.places:
        return None
    digest = hashlib.sha256(_dockerfile(spec))
    for name, content in _files(spec):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return f"gameday-programs:{digest.hexdigest()[:16]}"


def program_context(spec: ServiceSpec) -> io.BytesIO:
    """Return what the engine builds that image from; the one of the bundled services is below."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in (("Dockerfile", _dockerfile(spec)), *_files(spec)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    archive.seek(0)
    return archive


def container_path(spec: ServiceSpec) -> str:
    """Return the PYTHONPATH of a service in such an image."""
    place = _place(spec)
    order = sorted(range(len(spec.places)), key=lambda number: spec.places[number] != place)
    theirs = spec.env.get(_VARIABLE, "")
    return ":".join([*(f"/programs/{number}" for number in order), "/app", *filter(None, [theirs])])


def _places(spec: ServiceSpec) -> list[Path]:
    """Return the folders that are looked in, in this order."""
    passed = os.environ.get(_VARIABLE, "") if _VARIABLE in spec.pass_env else ""
    theirs = spec.env.get(_VARIABLE, passed).split(os.pathsep)
    own = [Path(one) for one in theirs if one]
    return [*spec.places, bundled("targets").resolve(), *own]


def _place(spec: ServiceSpec) -> Path | None:
    """Return the first folder that has the program; another one may have part of its name."""
    return next((place for place in _places(spec) if _has(place, str(spec.program))), None)


def _has(place: Path, name: str) -> bool:
    places: Sequence[str] | None = [str(place)]
    for part in name.split("."):
        spec = PathFinder.find_spec(part, places) if part.isidentifier() and places else None
        if spec is None:
            return False
        places = spec.submodule_search_locations
    return not places or PathFinder.find_spec("__main__", list(places)) is not None


@functools.cache
def _is_installed(name: str) -> bool:
    """Ask a Python as a service has it, whose path is not that of this process."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _FIND, name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            env=for_services(),
            timeout=_FIND_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _dockerfile(spec: ServiceSpec) -> bytes:
    lines = [f"FROM {app_image()}"]
    if (spec.places[0] / _REQUIREMENTS).is_file():
        lines.append(f"COPY 0/{_REQUIREMENTS} /{_REQUIREMENTS}")
        lines.append(f"RUN pip install --no-cache-dir -r /{_REQUIREMENTS}")
    lines += ["COPY . /programs", "WORKDIR /data", ""]
    return "\n".join(lines).encode()


def _files(spec: ServiceSpec) -> Iterator[tuple[str, bytes]]:
    """Yield what a container gets: all beside target.yaml, and the Python of the other folders."""
    size = 0
    for number, place in enumerate(spec.places):
        try:
            for path in _below(place) if number == 0 else _python_of(place, spec):
                content = path.read_bytes()
                size += len(content)
                if size > _MOST_BYTES:
                    raise EnvironmentRefused(
                        f"{spec.name}: its code, in {place} and beside it, is larger than "
                        f"{_MOST_BYTES // 1_000_000} MB; name an image that has it by `image:`"
                    )
                yield f"{number}/{path.relative_to(place).as_posix()}", content
        except OSError as error:
            raise EnvironmentRefused(
                f"{spec.name}: its code cannot be read: {error.filename}: {error.strerror}"
            ) from error


def _python_of(place: Path, spec: ServiceSpec) -> Iterator[Path]:
    """Yield the modules and packages at the top of a folder, and what the program's name says."""
    first = str(spec.program).partition(".")[0]
    for path in sorted(place.iterdir()):
        if path.is_file() and path.suffix == ".py":
            yield path
        elif path.is_dir() and ((path / "__init__.py").is_file() or path.name == first):
            yield from _below(path)


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder in order, without what is hidden or made by tools."""
    if (folder / "pyvenv.cfg").exists():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in ("__pycache__", "node_modules"):
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _below(path)
