"""Mail by providers over HTTP while runs are killed and lines break: nothing twice, nothing lost.

The providers are stand-ins, written from the documented interfaces.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from nurture_rl.delivery.deliver_options import ReconcileOptions
from nurture_rl.delivery.reconciling import reconcile
from tests.pipeline.killed_deliveries import Victim, deliver_with_kills, run_again
from tests.pipeline.running_server import RunningServer, running
from tests.unit.delivery.now_sends import (
    PUBLIC,
    decide,
    deliver_options,
    now_bundle,
    write_ids,
    write_recipients,
    write_templates,
)
from tests.unit.delivery.provider_stand_ins import (
    DROP_AFTER,
    DROP_BEFORE,
    StandIn,
    settings,
    stand_in,
)

VICTIMS: list[Victim] = ["deliverer", "mail server", "deliverer", "mail server", "deliverer"]
REPEATABLE = ("dittofeed", "cloudevents_http")


@dataclass(slots=True)
class Breaking:
    """Breaks the line of the next request, before it is taken or after."""

    provider: StandIn
    luck: random.Random

    def kill(self) -> None:
        self.provider.faults.append(self.luck.choice([DROP_BEFORE, DROP_AFTER]))

    def start(self) -> None:
        """The next line holds."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    now_bundle(tmp_path / "bundle")
    write_templates(tmp_path / "templates")
    with running(tmp_path / "bundle", tmp_path / "store.db", PUBLIC) as found:
        yield found


def states(folder: Path) -> dict[str, tuple[str, str]]:
    """State and place by decision."""
    with closing(sqlite3.connect(folder / "deliveries.db")) as file:
        asked = "SELECT decision_id, state, place FROM deliveries"
        return {name: (state, place) for name, state, place in file.execute(asked)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["listmonk", "dittofeed", "cloudevents_http"])
def test_kills_and_broken_lines_send_nothing_twice_and_lose_nothing(
    tmp_path: Path, server: RunningServer, name: str
) -> None:
    names = [f"lead{number}" for number in range(60)]
    write_recipients(tmp_path / "recipients.csv", names)
    ids = decide(server, names)
    write_ids(tmp_path / "ids.csv", ids)
    luck = random.Random(11)
    with stand_in(name) as provider:
        told = {**settings(tmp_path, provider), "wait_minutes": 5, "retry_seconds": 0.2}
        options = deliver_options(tmp_path, server, per_minute=3000.0, **told)
        deliver_with_kills(options, Breaking(provider, luck), VICTIMS, luck)
        assert max(provider.decisions().values()) == 1
        found = states(tmp_path)
        went = {one for one, (state, _) in found.items() if state == "accepted"}
        unknown = {one for one, (state, _) in found.items() if state == "unknown"}
        assert went <= set(provider.decisions()) <= went | unknown
        assert (went | unknown, len(unknown) <= len(VICTIMS)) == (set(ids), True)
        if name in REPEATABLE:
            assert unknown == set()
        else:  # what the provider tells that it sent settles them
            export = tmp_path / "sent.json"
            export.write_text(json.dumps([str(body["headers"]) for body in provider.taken]))
            sent = ReconcileOptions((str(export),), options.ledger, options.server, None, True, 0.0)
            reconcile(sent)
            run_again(options)
        assert provider.decisions() == Counter(ids)
    assert {state for state, _ in states(tmp_path).values()} == {"accepted"}
