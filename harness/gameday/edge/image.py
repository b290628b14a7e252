"""The image of gameday's own proxy: Python, and the files of this installation."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["TOXIPROXY_IMAGE", "proxy_context", "proxy_image"]

TOXIPROXY_IMAGE = "ghcr.io/shopify/toxiproxy:2.12.0"

_PACKAGE = Path(__file__).parents[1]
# The proxy imports nothing but itself and the standard library.
_PARTS = ("__init__.py", "proxy/**/*.py")

_DOCKERFILE = b"""\
FROM python:3.11-slim-bookworm
ENV PYTHONPATH=/gameday PYTHONDONTWRITEBYTECODE=1
COPY gameday /gameday/gameday
USER nobody
ENTRYPOINT ["python", "-P", "-m", "gameday.proxy"]
"""


def proxy_image() -> str:
    """Return the tag of the image: it changes with any of the files."""
    digest = hashlib.sha256(_DOCKERFILE)
    for name, content in _files():
        digest.update(name.encode() + b"\0" + content)
    return f"gameday-proxy:{digest.hexdigest()[:16]}"


def proxy_context() -> io.BytesIO:
    """Return what the engine builds it from, which may be on another host."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in (("Dockerfile", _DOCKERFILE), *_files()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    archive.seek(0)
    return archive


def _files() -> Iterator[tuple[str, bytes]]:
    for pattern in _PARTS:
        for path in sorted(_PACKAGE.glob(pattern)):
            yield f"gameday/{path.relative_to(_PACKAGE).as_posix()}", path.read_bytes()
