"""What an app is told by its environment, read once and known to be right."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from resilience.policy import BadSetting, ReconnectPolicy
from resilience.reconnecting_pubsub import Address, Subscription

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where an app listens, where it keeps its data, and how it reaches Redis."""

    host: str
    port: int
    data_dir: Path
    redis: Address
    policy: ReconnectPolicy
    subscription: Subscription

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the variables of an app; raises BadSetting with the first that is wrong."""
        data_dir = Path(env.get("DATA_DIR", "."))
        if not data_dir.is_dir():
            raise BadSetting(f"DATA_DIR is {str(data_dir)!r}, which is not a folder")
        return cls(
            host=env.get("HOST", "127.0.0.1"),
            port=_port(env, "PORT", "8000"),
            data_dir=data_dir,
            redis=Address(
                env.get("REDIS_HOST", "127.0.0.1"),
                _port(env, "REDIS_PORT", "6379"),
                user=env.get("REDIS_USER"),
                password=env.get("REDIS_PASSWORD"),
            ),
            policy=ReconnectPolicy.from_env(env),
            subscription=Subscription(
                reconnect=_switch(env, "SIGNALS_RECONNECT"),
                replay=_switch(env, "SIGNALS_REPLAY"),
                push=_switch(env, "SIGNALS_PUSH"),
            ),
        )


def _port(env: Mapping[str, str], name: str, default: str) -> int:
    text = env.get(name, default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise BadSetting(f"{name} is {text!r}; wanted a port from 1 to 65535")
    return int(text)


def _switch(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "on")
    if text not in ("on", "off"):
        raise BadSetting(f"{name} is {text!r}; wanted 'on' or 'off'")
    return text == "on"
