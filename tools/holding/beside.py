"""What happens beside decisions: confirmations, a sender's webhooks and one-click unsubscribes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from nurture_envs.actions import NOW, Action
from nurture_envs.journey import Journey
from nurture_rl.serving.records import Event
from tests.unit.serving.mask_oracle import bin_at, may
from tests.unit.serving.signed_webhooks import PATH, body_of, signed
from tools.holding.asking import machine_us, posted
from tools.holding.person import Person

# Rows of the sender, and what each becomes. The server stamps them by the machine's clock.
_ROWS: Sequence[tuple[dict[str, Any], str]] = (
    ({"event": "delivered"}, "delivered"),
    ({"event": "deferred"}, "deferred"),
    ({"event": "open", "sg_machine_open": True}, "open"),
    ({"event": "bounce", "type": "blocked"}, "soft_bounce"),
    ({"event": "spamreport"}, "complaint"),
    ({"event": "group_unsubscribe"}, "unsubscribe"),
    ({"event": "bounce", "type": "bounce"}, "hard_bounce"),
)
_OFTEN = (30, 10, 20, 12, 1, 1, 1)


def reported(
    people: Sequence[Person], rng: random.Random, name: str, at_us: int
) -> list[tuple[Person, Event, dict[str, Any]]]:
    """Some rows of a sender about mail that was to leave by a moment."""
    found: list[tuple[Person, Event, dict[str, Any]]] = []
    for one in people:
        due = [plan for plan in one.sends.values() if plan.at_us <= at_us]
        if not due or rng.random() < 0.5:
            continue
        plan, number = rng.choice(due), f"{name}-{len(found)}"
        cells, kind = rng.choices(_ROWS, _OFTEN)[0]
        row = {
            **cells, "email": f"{one.name}@example.com", "timestamp": at_us // 1_000_000,
            "sg_event_id": number, "contact_id": one.name, "decision_id": plan.decision_id,
        }  # fmt: skip
        seen_us = at_us // 1_000_000 * 1_000_000
        event = Event(
            f"sendgrid:{number}", one.name, seen_us, machine_us(), kind,
            decision_id=plan.decision_id, is_machine=kind == "open",
        )  # fmt: skip
        found.append((one, event, row))
    return found


def send_rows(url: str, key: EllipticCurvePrivateKey, rows: Sequence[Mapping[str, Any]]) -> Any:
    """The answer to rows that are posted with a signature."""
    body = body_of(rows)
    headers = signed(key, body, machine_us() // 1_000_000)
    return posted(url, PATH, body, {**headers, "content-type": "application/json"})


def unsubscribe(url: str, header: str, one: Person) -> None:
    """Post what the header of a mail offers; fetching the link changes nothing."""
    path = urlsplit(header.strip("<>")).path
    posted(url, path, None, {})
    content = {"content-type": "application/x-www-form-urlencoded"}
    posted(url, path, b"List-Unsubscribe=One-Click", content)
    now_us = machine_us()
    one.heard(Event(f"one-click:{one.name}", one.name, now_us, now_us, "unsubscribe"))


def expected_status(
    journey: Journey, one: Person, decision: tuple[str, Action, int], now_us: int
) -> str:
    """What a first confirmation says at a moment, as far as the contact alone decides it.

    Args:
        journey: whose rules.
        one: the contact.
        decision: its id, its send, and the bin that it was made for.
        now_us: the moment.
    """
    name, action, step = decision
    if name in one.withdrawn:
        return "withdrawn"
    plan = one.sends[name]
    if plan.at_us > now_us:
        return "early"
    if one.went(name):
        return "withdrawn"
    over = one.over(journey, now_us, confirming=True)
    here = bin_at(journey, now_us - one.anchor_us(now_us))
    if over is not None or here != step:
        return "withdrawn"
    at = one.standing(journey, now_us, True, {}, without=name)
    leaving = replace(action, slot=NOW)
    return "send" if may(journey, leaving, at) else "withdrawn"
