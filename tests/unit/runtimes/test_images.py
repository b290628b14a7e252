"""Which image a container was made of is known by its digest."""

import docker
import pytest

from gameday.runtimes.docker.images import bring


class _Image:
    def __init__(self, attrs: dict[str, object]) -> None:
        self.id = "sha256:of-the-image-itself"
        self.attrs = attrs


class _Engine:
    """An engine that has every image."""

    def __init__(self, image: _Image) -> None:
        self._image = image

    @property
    def images(self) -> "_Engine":
        return self

    def get(self, _: str) -> _Image:
        return self._image


@pytest.mark.parametrize(
    ("digests", "told"),
    [
        (["redis@sha256:of-the-registry", "mirror/redis@sha256:other"], "sha256:of-the-registry"),
        ([], "sha256:of-the-image-itself"),
        (None, "sha256:of-the-image-itself"),
    ],
)
def test_an_image_is_told_by_its_digest_or_by_its_id_if_it_was_built_here(
    digests: list[str] | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = docker.DockerClient.__new__(docker.DockerClient)
    monkeypatch.setattr(
        docker.DockerClient, "images", _Engine(_Image({"RepoDigests": digests})), raising=False
    )
    assert bring(engine, "redis:7", lambda: None) == told
