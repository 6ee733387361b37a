"""One small bundle for all serving tests, and databases of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import pytest

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving import locating, reading, store
from nurture_rl.serving.databases import Location
from tests.postgres import PostgresServer
from tests.unit.release.bundles import small_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Half drip, half random sends and pauses."""
    return small_bundle(tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Stores lie in SQLite files at their paths, or each in a schema of a PostgreSQL database."""
    if request.param == "sqlite":
        yield
        return
    with in_postgres(request.getfixturevalue("postgres"), monkeypatch):
        yield


@contextmanager
def in_postgres(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Open a schema of its own for every path, and close what the block leaves open."""
    urls: dict[Location, str] = {}
    with ExitStack() as stack:

        def opened(real: Callable[..., Any], location: Location, *rest: Any) -> Any:
            if location not in urls and not locating.is_url(location):
                urls[location] = server.fresh_url()
            return stack.enter_context(closing(real(urls.get(location, location), *rest)))

        for module, name in ((store, "open_for_writing"), (reading, "open_for_reading")):
            monkeypatch.setattr(module, name, partial(opened, getattr(locating, name)))
        yield
