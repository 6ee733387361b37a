"""A server with several bundles, and what tests ask of its policies over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient

from nurture_rl.release.bundle import Bundle, write_bundle
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.storage.store import Store
from tests.unit.release.bundles import COMPOSITION, CREATED, content
from tests.unit.serving.contacts import MIDNIGHT, ZONE, contact

Client = TestClient[Litestar]
WHY = {"why": "a test"}


class RunningClock:
    """A clock that runs on from the Monday of the tests."""

    def __init__(self) -> None:
        self._began = time.monotonic_ns()

    def __call__(self) -> int:
        return MIDNIGHT + (time.monotonic_ns() - self._began) // 1000


def bundles_in(folder: Path) -> dict[str, Bundle]:
    """Three bundles of one journey, by the names of their folders."""
    made = {
        "first": COMPOSITION,
        "second": {**COMPOSITION, "share": 0.25},
        "third": {"kind": "always", "action": "pause:1"},
    }
    return {
        name: write_bundle(folder / name, content(spec), CREATED) for name, spec in made.items()
    }


def served(
    folder: Path,
    bundle: Bundle,
    store: Store,
    clock: Callable[[], int],
    trust: Path | None = None,
) -> Service:
    """A service that may load further bundles of a folder."""
    settings = ServerSettings(ZONE, False, clock, seed=11)
    return Service(bundle, store, settings, BundleFolder(folder, trust))


def people(store: Store, *names: str, **changes: Any) -> None:
    """Put contacts."""
    store.put_contacts([replace(contact(name), **changes) for name in names])


def tell(client: Client, path: str, status: int = 200, **body: Any) -> Any:
    """Ask for a change, or to be refused."""
    answer = client.post(f"/v1/{path}", json={**WHY, **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def decision(client: Client, name: str, **ask: Any) -> Any:
    """Decide for one contact."""
    answer = client.post("/v1/decisions", json={"contacts": [{"contact_id": name, **ask}]})
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["decisions"]
    return found


def until(met: Callable[[], bool]) -> None:
    """Wait for something that is about to happen on another thread."""
    for _ in range(2_000):
        if met():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen within 10 seconds")
