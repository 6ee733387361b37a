"""A policy server over real HTTP, whose decisions send at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.running_server import RunningServer, running
from tests.unit.delivery.now_sends import PUBLIC, now_bundle, write_templates
from tests.unit.delivery.provider_stand_ins import StandIn, stand_in


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("now") / "bundle"
    now_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def server(
    bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    store = tmp_path_factory.mktemp("store") / "store.db"
    with running(bundle_folder, store, PUBLIC) as found:
        yield found


@pytest.fixture
def folder(bundle_folder: Path, tmp_path: Path) -> Path:
    """With the bundle and the approved texts."""
    (tmp_path / "bundle").symlink_to(bundle_folder)
    write_templates(tmp_path / "templates")
    return tmp_path


@pytest.fixture
def provider(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    """A stand-in of the provider that a test names."""
    with stand_in(request.param) as found:
        yield found
