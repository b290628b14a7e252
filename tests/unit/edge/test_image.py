"""The image of gameday's own proxy: what is in it is enough, and its tag follows it."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from gameday.edge import image as made


def test_the_files_of_the_image_start_without_anything_that_is_installed(tmp_path: Path) -> None:
    with tarfile.open(fileobj=made.proxy_context()) as tar:
        for member in tar.getmembers():  # extractall's filter is younger than Python 3.11
            tar.extract(member, tmp_path, filter="data")
    # -S leaves site-packages out, as the image has none.
    command = [sys.executable, "-S", "-m", "gameday.proxy", "--port", "0"]
    ran = subprocess.run(
        command, cwd=tmp_path, env={}, input=b"", capture_output=True, timeout=20, check=False
    )
    assert ran.stdout.startswith(b'{"port": '), ran.stderr
    imports = "import gameday.proxy.rule_calls, gameday.proxy.conversation.stages"
    subprocess.run([*command[:2], "-c", imports], cwd=tmp_path, env={}, timeout=20, check=True)


def test_the_tag_changes_with_a_file_and_not_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "__init__.py").write_text('"""One."""')
    (tmp_path / "proxy" / "a.py").write_text("1")
    monkeypatch.setattr(made, "_PACKAGE", tmp_path)
    first = made.proxy_image()
    assert made.proxy_image() == first
    (tmp_path / "proxy" / "a.py").write_text("2")
    assert made.proxy_image() != first
