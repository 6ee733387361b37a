"""Complaints from one family of mailboxes slow it down while it is small, and nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import parse_journey
from nurture_rl.release.bundle import BundleContent, write_bundle
from nurture_rl.release.parity import normal_states
from tests.pipeline.running_server import RunningServer, running
from tests.unit.delivery.now_sends import now_journey
from tests.unit.release.bundles import CREATED, card

BURST, AT_MOST, STEP = 4, 200, 20
GOOGLE = [f"g{number:03}" for number in range(320)]
FIRM = [f"f{number:03}" for number in range(320)]


def bundle_with(folder: Path, *, slow_down: bool) -> Path:
    """A bundle that mails everybody at once, under the shipped slow-down or none."""
    own = now_journey().resolved
    volume: dict[str, Any] = {"volume": {"slow_down": {}}} if slow_down else {}
    journey = parse_journey({**own, "guardrails": {**own["guardrails"], **volume}})
    catalog, d = ActionCatalog.of(journey), len(FeatureSpec.of(journey).columns)
    rng = np.random.default_rng(5)
    states = normal_states(np.zeros(d), np.ones(d), (16, len(catalog)), catalog.wait, rng)
    write_bundle(folder, BundleContent(journey, {"kind": "drip"}, None, states, card()), CREATED)
    return folder


def mailed(server: RunningServer, names: Sequence[str]) -> list[str]:
    """Decide for contacts, and carry out what is to be sent now: to whom mail went."""
    asks = [{"contact_id": name, "request_id": f"d-{name}"} for name in names]
    answer = server.send("POST", "/v1/decisions", {"contacts": asks})["decisions"]
    ids = [one["decision_id"] for one in answer if one["action"].startswith("send:")]
    told = server.send("POST", "/v1/decisions/confirm", {"ids": ids}) if ids else {}
    went = [one for one in told.get("confirmations", []) if one["status"] == "send"]
    return [one["contact_id"] for one in went]


def played(server: RunningServer) -> tuple[int, int]:
    """Mails to either family, of which the first of one complain in a burst."""
    for domain, names in (("gmail.com", GOOGLE), ("firm.example", FIRM)):
        people = [
            {"contact_id": n, "consent": True, "attributes": {"email_domain": domain}}
            for n in names
        ]
        server.send("PUT", "/v1/contacts", {"contacts": people})
    google = firm = 0
    for start in range(0, len(GOOGLE), STEP):
        part = slice(start, start + STEP)
        google += len(mailed(server, GOOGLE[part]))
        firm += len(mailed(server, FIRM[part]))
        if start == 3 * STEP:
            at = datetime.now(UTC).isoformat()
            burst = [
                {"event_id": f"c-{n}", "contact_id": n, "type": "complaint", "occurred_at": at}
                for n in GOOGLE[:BURST]
            ]
            server.send("POST", "/v1/events", {"events": burst})
    return google, firm


def test_a_burst_of_complaints_slows_one_family_within_200_mails_and_no_other(
    tmp_path: Path,
) -> None:
    bundle = bundle_with(tmp_path / "slowing", slow_down=True)
    with running(bundle, tmp_path / "slowing.db") as server:
        google, firm = played(server)
        assert google <= AT_MOST
        assert firm == len(FIRM)
        figures = server.send("GET", "/v1/console/mail?days=7")
        (line,) = figures["audit"]
        assert (line["family"], line["state"]) == ("google", "stopped")
        assert line["why"].startswith(f"{BURST} complaint of {google} mails in 7 days")
        rows = {row["family"]: row for row in figures["families"]}
        assert sum(rows["google"]["complaints"]["counts"]) == BURST
        fresh = {"contact_id": "new", "consent": True, "attributes": {"email_domain": "gmail.com"}}
        server.send("PUT", "/v1/contacts", {"contacts": [fresh]})
        asked = {"contacts": [{"contact_id": "new", "request_id": "last"}]}
        (last,) = server.send("POST", "/v1/decisions", asked)["decisions"]
        assert not last["action"].startswith("send:")
        assert "volume_ramp" in str(last)
    bundle = bundle_with(tmp_path / "free", slow_down=False)
    with running(bundle, tmp_path / "free.db") as server:  # without the guardrail nothing stops it
        assert played(server) == (len(GOOGLE), len(FIRM))
