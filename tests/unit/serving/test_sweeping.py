"""Sends that nobody confirmed are taken back, also those decided while it is looked for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.reading import NOT_CONFIRMED
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, service

MORNING = MIDNIGHT + 7 * HOUR_US
LATER = MIDNIGHT + 3 * DAY_US
NAMES = [f"c{i}" for i in range(8)]


@pytest.fixture
def strict(bundle: Bundle) -> Bundle:
    """Its sends must be confirmed."""
    guardrails = replace(bundle.journey.guardrails, confirm=True)
    return replace(bundle, journey=replace(bundle.journey, guardrails=guardrails))


def sends_of(found: Service) -> list[str]:
    """Decide in the morning; the ids of the sends."""
    answers = found.decide([Ask(name, f"r-{name}") for name in NAMES], MORNING)
    made = [one for one in answers if isinstance(one, Decision)]
    return [one.decision_id for one in made if one.confirm_by_us is not None]


@pytest.mark.usefixtures("either_database")
def test_a_send_whose_hour_passes_while_another_request_looks_for_such_is_taken_back(
    strict: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = service(strict, tmp_path / "s.db", Clock())
    found.store.put_contacts([contact(name) for name in NAMES])
    due, real = list[str](), Store.unconfirmed

    def looked(self: Store, after_us: int, until_us: int) -> list[Decision]:
        late = real(self, after_us, until_us)
        if until_us == LATER and not due:
            due.extend(sends_of(found))  # of which this look does not know
        return late

    monkeypatch.setattr(Store, "unconfirmed", looked)
    found.confirm(["nothing"], LATER)
    found.confirm(["nothing"], LATER + 1)
    assert due
    fates = found.store.fates(due)
    assert {name: fate.reason for name, fate in fates.items()} == dict.fromkeys(due, NOT_CONFIRMED)
    found.store.close()


def test_a_look_that_fails_is_made_again(
    strict: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = service(strict, tmp_path / "s.db", Clock())
    found.store.put_contacts([contact(name) for name in NAMES])
    due = sends_of(found)
    assert due

    def away(self: Store, after_us: int, until_us: int) -> list[Decision]:
        raise StoreUnavailable("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(Store, "unconfirmed", away)
        with pytest.raises(StoreUnavailable):
            found.confirm(["nothing"], LATER)
    found.confirm(["nothing"], LATER)
    assert found.store.fates(due).keys() == set(due)
    found.store.close()
