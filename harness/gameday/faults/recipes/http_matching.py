"""Which requests on an edge a fault hits, and the harmless ones by which that is seen."""

import functools
import math
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

from gameday.api.http_rules import HttpProbe
from gameday.model.invalid_parameter import require

__all__ = ["Matching", "Method", "body_within_bounds"]

Method = Literal["any", "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"]
"""Not DELETE: a service obeys it without waiting for a body, so no probe of it is harmless."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_PATH = re.compile(r"[/*][!-~]{0,199}")
_WILD = re.compile(r"\[!?\]?[^\]]*\]|[*?]")
"""What stands for other letters in a shell's pattern."""
_IN_PATHS = string.digits + string.ascii_letters + "-._~!$&'()*+,;=:@/"
_LEAST_SHARE, _MOST_SHARE = 0.1, 0.9
_DEVIATIONS = 3.5
_WHOLE_SAMPLES = 9
_WHOLE_SAMPLES_AFTER = 3
_CHANCE_TO_MISS = 1e-4
_LONGEST_BODY = 64_000
_ELSEWHERE = "/gameday/elsewhere"


def body_within_bounds(body: str) -> None:
    """Raise ValueError for a body that no rule should carry."""
    size = len(body.encode())
    require(("body", size <= _LONGEST_BODY, f"at most {_LONGEST_BODY} bytes; these are {size}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Requests by method and path, and the share of them that is hit."""

    method: Method
    path: str
    share: float

    def __post_init__(self) -> None:
        pattern = (
            "a pattern that begins with / or *, without spaces, of at most 200 characters, "
            "and that some path fits"
        )
        share = "10% to 90%, or 100%: others cannot be told from none or all by a short proof"
        told = self.share == 1 or _LEAST_SHARE <= self.share <= _MOST_SHARE
        require(
            ("path", bool(_PATH.fullmatch(self.path)) and any(self._paths_that_fit()), pattern),
            ("share", told, share),
        )

    @property
    def waits_for_body(self) -> bool:
        """Whether only requests with a body fit, and only to one path, which is the service's."""
        one_path = not any(mark in self.path for mark in "*?[")
        return one_path and self.method in ("POST", "PUT", "PATCH")

    @property
    def whole(self) -> bool:
        """Whether every request that fits is hit."""
        return self.share == 1

    @property
    def samples(self) -> int:
        """How many requests show the share: its bounds are half of the rarer outcome apart.

        With q the smaller one of the share and its rest, n = 4 * 3.5² * (1 - q) / q.
        """
        if self.whole:
            return _WHOLE_SAMPLES
        rarer = min(self.share, 1 - self.share)
        return math.ceil(4 * _DEVIATIONS**2 * (1 - rarer) / rarer - 1e-9)

    @property
    def bounds(self) -> tuple[int, int]:
        """The fewest and the most of these requests that may be hit.

        n * share ± 3.5 * sqrt(n * share * (1 - share)): the binomial's deviation. A proxy that
        keeps to the share is outside once in two thousand times.
        """
        mean = self.samples * self.share
        slack = _DEVIATIONS * math.sqrt(mean * (1 - self.share))
        return math.ceil(mean - slack - 1e-9), math.floor(mean + slack + 1e-9)

    @property
    def samples_after(self) -> int:
        """How many requests would miss a fault that is still in once in ten thousand times."""
        if self.whole:
            return _WHOLE_SAMPLES_AFTER
        return math.ceil(math.log(_CHANCE_TO_MISS) / math.log(1 - self.share))

    def fits(self, method: str, path: str) -> bool:
        """Tell whether a request is one of those, as the proxy decides it."""
        return self.method in ("any", method) and fnmatchcase(path, self.path)

    def probe(self, known: str) -> HttpProbe:
        """Return a harmless request that fits; `known` is a path of which GET is answered."""
        method = "GET" if self.method == "any" else self.method
        path = known if fnmatchcase(known, self.path) else next(self._paths_that_fit())
        return HttpProbe(method=method, path=path, finished=method in _SAFE)

    def controls(self, probe: HttpProbe, known: str) -> tuple[HttpProbe, ...]:
        """Return harmless requests that fit but for the method, and but for the path."""
        found = [
            HttpProbe(method=method, path=probe.path)
            for method in _SAFE
            if not self.fits(method, probe.path)
        ][:1]
        for path in (known, _ELSEWHERE):
            if not self.fits(probe.method, path):
                return (*found, replace(probe, path=path))
        return tuple(found)

    def _paths_that_fit(self) -> Iterator[str]:
        """Yield some that the service hardly has: those are the most harmless."""
        for some in ("gameday", ""):
            path = _WILD.sub(functools.partial(_instead, some), self.path)
            for full in (path, f"/{path}"):
                if full.startswith("/") and fnmatchcase(full, self.path):
                    yield full


def _instead(some: str, wild: re.Match[str]) -> str:
    """Return letters that fit a piece of a pattern; `some` are those for an asterisk."""
    if wild[0] == "*":
        return some
    return next((one for one in _IN_PATHS if fnmatchcase(one, wild[0])), "")
