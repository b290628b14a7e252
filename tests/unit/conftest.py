"""Unit tests measure nothing: how long an example of hypothesis takes is the host's affair."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "any host", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any host")
