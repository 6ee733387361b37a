"""One small bundle for all serving tests, and a store that it decided into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.records import Withdrawal
from nurture_rl.serving.viewing import Ask
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
