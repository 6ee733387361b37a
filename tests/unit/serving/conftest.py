"""One small bundle for all serving tests, a store that it decided into, databases of both kinds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.records import Withdrawal
from nurture_rl.serving.storage import locating, reading, store
from nurture_rl.serving.storage.databases import Location
from tests.postgres import PostgresServer
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, service


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Half drip, half random sends and pauses."""
    return small_bundle(tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture(scope="session")
def served(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store: three contacts, two days, one decision withdrawn and one confirmed."""
    path = tmp_path_factory.mktemp("served") / "store.db"
    clock = Clock()
    found = service(bundle, path, clock)
    found.store.put_contacts([contact("Cleo", consent=True)])
    for day in range(2):
        clock.now_us = MIDNIGHT + day * DAY_US
        found.decide([Ask(name, f"{name}-{day}") for name in ("ada", "bob", "Cleo")])
    first, second = (found.store.decisions([name])[name] for name in ("ada-0", "bob-0"))
    found.store.settle([Withdrawal(first, 5, "opted_out", True)], {second.decision_id: 6})
    found.store.settle([Withdrawal(first, 7, "again", False)], {second.decision_id: 8})
    found.store.close()
    return path


@pytest.fixture
def store_file(served: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    return Path(shutil.copy(served, tmp_path / "store.db"))


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
