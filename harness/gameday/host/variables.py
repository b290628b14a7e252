"""Which of the caller's environment variables gameday's processes get."""

import os
from collections.abc import Mapping

__all__ = ["for_containers", "for_own", "for_services"]

_TO_SERVICES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "LANG",
    "LANGUAGE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
"""And all that begin with LC_; docs/reference/services.md lists the same."""
_TO_CONTAINERS = ("TZ",)
"""The rest of the list is about this host's files: an image has its own."""

_PYTHON_IS_FOUND_BY = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONUSERBASE",
    "PYTHONNOUSERSITE",
    "PYTHONPLATLIBDIR",
    "PYTHONPYCACHEPREFIX",
    "PYTHONDONTWRITEBYTECODE",
)


def for_services() -> dict[str, str]:
    """Return what every service on this host gets: where it runs, and nothing of how."""
    return {
        "PATH": os.defpath,
        **{
            name: value
            for name, value in os.environ.items()
            if name in _TO_SERVICES or name.startswith("LC_")
        },
    }


def for_containers() -> dict[str, str]:
    """Return what every service in a container gets."""
    return {name: os.environ[name] for name in _TO_CONTAINERS if name in os.environ}


def for_own(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what gameday's own processes get: all but what changes how Python runs.

    PYTHONWARNINGS=error would end them, PYTHONASYNCIODEBUG slow them down.
    """
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("PYTHON") or name in _PYTHON_IS_FOUND_BY
    }
