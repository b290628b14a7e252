"""The environment of local processes marks whatever it starts."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from gameday.api.environment import EnvironmentConfig
from gameday.cleanup import labels as marks
from gameday.cleanup.labels import RUN_VARIABLE
from gameday.engine.planning import vocabulary
from gameday.loading import load_target
from gameday.resources import bundled
from gameday.runtimes.process.environment import ProcessEnvironment
from gameday.runtimes.process.service import ProcessService

_RUN = "0badcafe"


def test_what_prepares_a_service_inherits_the_marks_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())
    alone = replace(stores, services=tuple(s for s in stores.services if s.name == "redis"))
    inherited = []

    def start(service: ProcessService) -> None:
        inherited.append(os.environ.get(RUN_VARIABLE))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(marks, "_TEMPORARY", (str(tmp_path),))
    control = SimpleNamespace(version=lambda: "1", create=lambda *_, **__: "127.0.0.1:1")
    monkeypatch.setattr(
        ProcessEnvironment, "_start_proxy", lambda _: SimpleNamespace(control=control)
    )
    monkeypatch.setattr(ProcessService, "start", start)
    monkeypatch.setattr(ProcessService, "wait_until_ready", lambda *_: "ready")
    monkeypatch.setattr(ProcessService, "refuse_without_clock", lambda _: None)
    given = EnvironmentConfig(run=_RUN, target=alone, logs=tmp_path, seed=1, proxy="own")
    environment = ProcessEnvironment(given)
    environment.start(lambda *_: None, lambda: None)
    assert environment._logs is not None
    environment._logs.stop()
    assert inherited == [_RUN]
    assert RUN_VARIABLE not in os.environ
