"""Sends that are due at once: a bundle that mails everybody now, its texts, its recipients."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.delivery.deliver_options import DeliverOptions
from nurture_rl.release.bundle import Bundle, BundleContent, write_bundle
from nurture_rl.release.parity import normal_states
from nurture_rl.serving.upkeep.bulk_table import SENT
from tests.pipeline.running_server import RunningServer
from tests.unit.release.bundles import CREATED, GUARDRAILS, card

BERLIN = ZoneInfo("Europe/Berlin")
PUBLIC = "public_url=https://policy.example"
WELCOME = """Subject: A tour, {{first_name|for you}}

Hello {{first_name|there}},
[[block intro]]
this is the {{message.offer}} on {{message.topic}}.
.
[[end]]
[[block tour]]
Grüße from {{city}}.
[[end]]
Leave: {{unsubscribe_url}}
"""
PAGE = """<p>Hello {{first_name|there}}</p>
[[block intro]]
<p>{{city}}</p>
[[end]]
[[block tour]]
<a href="{{unsubscribe_url}}">leave</a>
[[end]]
"""


def now_journey() -> Journey:
    """A journey whose mails leave at the moment of the decision, at any hour."""
    told = load_journey("inbound_lead").resolved
    guardrails = {k: v for k, v in GUARDRAILS.items() if k != "quiet_hours"}
    changes: dict[str, Any] = {
        "actions": {**told["actions"], "slots": ["now"]},
        "guardrails": {**guardrails, "min_gap_hours": 1},
        "drip": dict.fromkeys(range(14), "send:welcome@now"),
        "rules": [],
        "expert": [],
    }
    return parse_journey({**told, **changes})


def now_bundle(folder: Path) -> Bundle:
    """A bundle that sends everybody the welcome, every day."""
    journey = now_journey()
    catalog, d = ActionCatalog.of(journey), len(FeatureSpec.of(journey).columns)
    rng, shape = np.random.default_rng(5), (64, len(catalog))
    states = normal_states(np.zeros(d), np.ones(d), shape, catalog.wait, rng)
    content = BundleContent(journey, {"kind": "drip"}, None, states, card())
    return write_bundle(folder, content, CREATED)


def write_templates(folder: Path) -> Path:
    """The approved texts of the welcome."""
    folder.mkdir(exist_ok=True)
    (folder / "welcome.txt").write_text(WELCOME, "utf-8")
    (folder / "welcome.html").write_text(PAGE, "utf-8")
    return folder


def write_recipients(path: Path, names: Sequence[str], domain: str = "example.com") -> Path:
    """A recipient per name."""
    rows = [f"{name},{name}@{domain},{name.title()},Köln" for name in names]
    path.write_text("\n".join(["contact_id,email,first_name,city", *rows, ""]), "utf-8")
    return path


def decide(server: RunningServer, names: Sequence[str], prefix: str = "d") -> list[str]:
    """Put contacts and let the server decide for them: ids of decisions to send now."""
    people = [{"contact_id": n, "consent": True, "time_zone": "Europe/Berlin"} for n in names]
    ids = [f"{prefix}-{name}" for name in names]
    for start in range(0, len(names), 1000):
        part = slice(start, start + 1000)
        server.send("PUT", "/v1/contacts", {"contacts": people[part]})
        pairs = zip(names[part], ids[part], strict=True)
        asks = [{"contact_id": name, "request_id": one} for name, one in pairs]
        answer = server.send("POST", "/v1/decisions", {"contacts": asks})
        wrong = [one for one in answer["decisions"] if not one["action"].startswith("send:")]
        assert wrong == [], json.dumps(wrong[:1])
    return ids


def write_ids(path: Path, ids: Sequence[str]) -> Path:
    """A table of decisions to look up."""
    path.write_text("\n".join(["decision_id", *ids, ""]), "utf-8")
    return path


def write_table(path: Path, server: RunningServer, *ids: str) -> Path:
    """The decisions as `nurture decide` writes them."""
    rows = []
    for name in ids:
        told = server.send("GET", f"/v1/decisions/{name}")["decision"]
        row = dict.fromkeys(SENT.names) | {k: v for k, v in told.items() if k in SENT.names}
        send_at = moment(told["scheduled_at"])
        row |= {"message": "welcome", "send_at": send_at}
        row |= {"time_zone": "Europe/Berlin", "decided_at": moment(told["decided_at"])}
        row["send_at_local"] = send_at.astimezone(BERLIN).replace(tzinfo=None)
        row["list_unsubscribe"] = told["headers"]["List-Unsubscribe"]
        rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows, schema=SENT), path)
    return path


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def deliver_options(folder: Path, server: RunningServer, **changes: Any) -> DeliverOptions:
    """Settings by which the files of a folder are delivered.

    Args:
        folder: with bundle, templates, recipients.csv and ids.csv.
        server: that decided.
        changes: of the settings.
    """
    told: dict[str, Any] = {
        "decided": str(folder / "ids.csv"),
        "bundle": str(folder / "bundle"),
        "templates": str(folder / "templates"),
        "recipients": str(folder / "recipients.csv"),
        "ledger": str(folder / "deliveries.db"),
        "server": server.url,
        "sender": "smtp",
        "smtp_host": "127.0.0.1",
        "smtp_security": "none",
        "from_address": "Ada Löwe <news@sender.example>",
        "per_minute": 1e6,
        "family_per_minute": 1e6,
        "retry_seconds": 0.1,
    }
    return DeliverOptions(**{**told, **changes})


def words(options: DeliverOptions) -> list[str]:
    """The settings as the command takes them."""
    told = {one.name: getattr(options, one.name) for one in fields(options)}
    lists = {k: f"[{','.join(v)}]" if isinstance(v, tuple) else v for k, v in told.items()}
    return [f"{k}={lists[k]}" for k, v in told.items() if v not in (None, (), DEFAULTS.get(k))]


DEFAULTS = {one.name: one.default for one in fields(DeliverOptions)}
