"""Real servers on one PostgreSQL store, many clients at once, every answer held against the oracle.

Each client has contacts of its own, of whom it knows all that was acknowledged; accounts, an
inventory, salespeople and some contested contacts it shares with the others.
"""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_rl.serving.records import Event, Preferences
from tests.unit.serving.mask_oracle import DAY_US, HOUR_US, may
from tests.unit.serving.mask_people import ANCHOR, QUARTER, event_of
from tools.holding.asking import asked, asked_once, line_to, machine_us, read, written
from tools.holding.beside import expected_status, reported, send_rows, unsubscribe
from tools.holding.common_limits import DOMAINS, FAMILIES, SHARED, Crowd
from tools.holding.person import Person

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORDS = ("consent_given", "complaint", "snoozed", "resubscribe", "consent_withdrawn")
_SENT = (  # of an event
    *("event_id", "contact_id", "type", "topic", "page_category", "stage"),
    *("message_id", "decision_id", "reply_class", "value"),
)
_CONTESTED = 10


class Client:
    """One sender with contacts of its own, one request after the other."""

    def __init__(self, number: int, crowd: Crowd, own: Journey, seed: Sequence[int]) -> None:
        self._number, self._crowd, self._journey = number, crowd, own
        self._rng = random.Random(f"{list(seed)}:{number}")
        self._luck = np.random.default_rng([*seed, number])
        self._actions = ActionCatalog.of(own).actions
        self._now_us, self._born, self._asked = ANCHOR, 0, 0
        self._lines: dict[str, http.client.HTTPConnection] = {}
        self._people: list[Person] = []

    def play(self) -> None:
        """Send and ask until the goal is reached."""
        try:
            while not self._crowd.is_over():
                self._round()
        except Exception as error:
            with self._crowd.door:
                self._crowd.parted.append(f"client {self._number}: {type(error).__name__}: {error}")
            raise
        finally:
            for line in self._lines.values():
                line.close()

    def _round(self) -> None:
        if not self._people or self._rng.random() < 0.06:
            self._renew()
        self._now_us += self._rng.choice((1, 4, 12, 18, 24, 24, 30)) * HOUR_US
        before = self._now_us
        if self._rng.random() < 0.1:  # the clock is set back for a while
            self._now_us -= self._rng.randrange(1, 300) * QUARTER
        self._report()
        self._wish()
        self._decide()
        self._webhook()
        self._leave()
        self._confirm()
        self._contest()
        self._now_us = before

    def _renew(self) -> None:
        """New contacts in a new month, some of accounts that other clients' contacts have too."""
        self._now_us = ANCHOR + self._rng.randrange(0, 3 * 96) * QUARTER
        self._people = []
        for _ in range(self._crowd.each):
            self._born += 1
            account = None
            if self._rng.random() < 0.3:
                account = f"acme-{self._rng.randrange(self._crowd.accounts)}"
            zone = None if self._rng.random() < 0.25 else "UTC"
            name = f"p-{self._number}-{self._born}"
            one = Person(name, account, zone, self._rng.random() < 0.95)
            one.attributes = {"size": float(self._rng.randrange(5))}
            one.domain = self._rng.choice(DOMAINS)
            self._people.append(one)
        self._put(self._people)
        with self._crowd.door:
            self._crowd.people += self._people

    def _put(self, people: Sequence[Person]) -> None:
        rows = [
            {
                "contact_id": one.name,
                "consent": one.consent,
                "attributes": {
                    **one.attributes,
                    **({"email_domain": one.domain} if one.domain else {}),
                },
                **({"account_id": one.account} if one.account else {}),
                **({"time_zone": one.zone} if one.zone else {}),
            }
            for one in people
        ]
        answer = self._ask("PUT", "/v1/contacts", {"contacts": rows})
        self._take_back(people, answer.get("withdrawn", ()))

    def _report(self) -> None:
        """Events, some of them old, in any order, some of them a second time."""
        events: list[tuple[Person, Event]] = []
        for one in self._people:
            if self._rng.random() < 0.5:
                continue
            for _ in range(self._rng.randrange(1, 3)):
                self._asked += 1
                name = f"e-{self._number}-{self._asked}"
                at_us = self._now_us - self._rng.choice((0, 1, 3, 20, 90, 200)) * QUARTER
                if self._rng.random() < 0.04:
                    kind = self._rng.choice(_WORDS)
                    made = Event(name, one.name, at_us, at_us, kind, value=2.0)
                else:
                    made = event_of(self._journey, self._luck, name, at_us)
                event = replace(made, contact_id=one.name, recorded_us=self._now_us)
                if event.type in ("unsubscribe", "hard_bounce") and self._rng.random() < 0.8:
                    continue  # they end an episode
                events.append((one, event))
            due = [p for p in one.sends.values() if p.at_us <= self._now_us]
            if due and self._rng.random() < 0.5:
                plan = self._rng.choice(due)
                name = f"sent-{plan.decision_id}"
                told = Event(
                    name, one.name, plan.at_us, self._now_us, "sent",
                    message_id=plan.message_id, decision_id=plan.decision_id,
                )  # fmt: skip
                events.append((one, told))
        self._rng.shuffle(events)
        again = [pair for pair in events if self._rng.random() < 0.1]
        for some in (events[: len(events) // 2], events[len(events) // 2 :], again):
            if some:
                self._send(some)

    def _send(self, events: Sequence[tuple[Person, Event]]) -> None:
        rows = []
        for _, event in events:
            cells = {name: getattr(event, name) for name in _SENT}
            row = {name: value for name, value in cells.items() if value is not None}
            row |= {"occurred_at": written(event.occurred_us)}
            row |= {"recorded_at": written(event.recorded_us)}
            rows.append(row)
        answer = self._ask("POST", "/v1/events", {"events": rows})
        if answer.get("rejected"):
            raise AssertionError(f"rows were rejected: {answer['rejected'][:2]}")
        for one, event in events:
            one.heard(event)
        self._take_back([one for one, _ in events], answer.get("withdrawn", ()))

    def _wish(self) -> None:
        if self._rng.random() > 0.15:
            return
        one, rng = self._rng.choice(self._people), self._rng
        back = _EPOCH.date() + timedelta(days=self._now_us // DAY_US + rng.randrange(-1, 3))
        topics = sorted({message.topic for message in self._journey.messages})
        wish: dict[str, Any] = {
            "refused_topics": [t for t in topics if rng.random() < 0.2],
            "refused_channels": ["push"] if rng.random() < 0.1 else [],
            "source": "page",
        }
        wish |= {"only_topics": topics[:1]} if rng.random() < 0.1 else {}
        wish |= {"per_week": rng.randrange(1, 4)} if rng.random() < 0.5 else {}
        wish |= {"paused_until": back.isoformat()} if rng.random() < 0.2 else {}
        answer = self._ask("PUT", f"/v1/contacts/{one.name}/preferences", wish)
        until = wish.get("paused_until")
        one.wishes = Preferences(
            frozenset(wish["refused_topics"]),
            frozenset(wish["only_topics"]) if "only_topics" in wish else None,
            frozenset(wish["refused_channels"]),
            wish.get("per_week"),
            0 if until is None else (back - _EPOCH.date()).days * DAY_US + DAY_US // 2,
        )
        self._take_back([one], answer.get("withdrawn", ()))

    def _take_back(
        self,
        people: Sequence[Person],
        rows: Sequence[Mapping[str, Any]],
        now_us: int | None = None,
    ) -> None:
        for row in rows:
            one = next(p for p in people if p.name == row["contact_id"])
            one.taken_back(row["decision_id"], self._now_us if now_us is None else now_us)

    def _decide(self) -> None:
        asks: list[tuple[Person, dict[str, Any]]] = []
        for one in self._people:
            self._asked += 1
            available = self._rng.random() < 0.95
            name = f"d-{self._number}-{self._asked}"
            asks.append((one, {"contact_id": one.name, "request_id": name, "available": available}))
        self._rng.shuffle(asks)
        body = {"contacts": [ask for _, ask in asks], "now": written(self._now_us)}
        expected = [one.over(self._journey, self._now_us) for one, _ in asks]
        storm = self._rng.random() < 0.15
        answers = self._storm(body) if storm else [self._ask("POST", "/v1/decisions", body)]
        for i, (one, ask) in enumerate(asks):
            given = [answer["decisions"][i] for answer in answers]
            made = [row for row in given if row["kind"] == "decision"]
            if len({json.dumps(row, sort_keys=True) for row in made}) > 1:
                self._part(one, f"one request id had two answers: {made}")
            taken = [row for row in given if row.get("code") in ("withdrawn", "expired")]
            if taken and not made:  # what forbids it was acknowledged before the answer left
                name = ask["request_id"]
                made = [self._ask("GET", f"/v1/decisions/{name}", None)["decision"]]
                self._crowd.counts["withdrawn at once"] += 1
            self._judge(one, ask, made[0] if made else given[0], expected[i])
            if taken:
                one.taken_back(str(ask["request_id"]), self._now_us)
        if self._rng.random() < 0.1:
            self._again(asks)

    def _storm(self, body: Mapping[str, Any]) -> list[Any]:
        """The same request four times at once, to all servers."""
        with ThreadPoolExecutor(4) as threads:
            urls = [self._crowd.urls[i % len(self._crowd.urls)] for i in range(4)]
            coming = [
                threads.submit(asked_once, url, "POST", "/v1/decisions", body) for url in urls
            ]
            self._crowd.counts["retries"] += 3 * len(body["contacts"])
            return [one.result() for one in coming]

    def _again(self, asks: Sequence[tuple[Person, Mapping[str, Any]]]) -> None:
        """Ask for the same once more, some time later or earlier."""
        now_us = self._now_us + self._rng.randrange(-8, 80) * QUARTER
        known = {
            str(ask["request_id"]): one for one, ask in asks if self._has(one, ask["request_id"])
        }
        again = [dict(ask) for _, ask in asks if ask["request_id"] in known]
        if not again:
            return
        body = {"contacts": again, "now": written(now_us)}
        answer = self._ask("POST", "/v1/decisions", body)
        for ask, row in zip(again, answer["decisions"], strict=True):
            self._crowd.counts["asked again"] += 1
            if row["kind"] == "decision" and row["decision_id"] != ask["request_id"]:
                self._part(known[ask["request_id"]], f"another decision: {row}")
            if row.get("code") in ("withdrawn", "expired"):
                known[ask["request_id"]].taken_back(ask["request_id"], now_us)

    def _has(self, one: Person, name: Any) -> bool:
        return any(name == made for made, _, _ in one.made)

    def _judge(
        self, one: Person, ask: Mapping[str, Any], row: Mapping[str, Any], over: str | None
    ) -> None:
        counts = self._crowd.counts
        if row["kind"] != "decision":
            counts[f"refused: {row['code']}"] += 1
            if row["code"] != over:
                self._part(one, f"refused as {row}, expected {over}")
            return
        with self._crowd.door:
            counts["decisions"] += 1
            counts["sends"] += row["scheduled_at"] is not None
        if over is not None:
            self._part(one, f"decided {row['action']}, expected {over}")
        at = one.standing(self._journey, self._now_us, bool(ask["available"]), {})
        for action in self._actions:
            names = set(row["blocked"].get(action.id, ()))
            expected, legal = may(self._journey, action, at), not names
            counts["actions"] += 1
            if legal and not expected:
                self._part(one, f"{action.id} is allowed at {self._now_us}: {row}")
            if expected and names and not names <= SHARED:
                self._part(one, f"{action.id} is withheld at {self._now_us} for {names}: {row}")
            if expected and names == {"volume_ramp"}:
                moment = self._now_us if action.slot < 0 else self._now_us // DAY_US * DAY_US
                with self._crowd.door:
                    family = FAMILIES[DOMAINS.index(one.domain)]
                    self._crowd.full.append((family, moment // DAY_US))
            if expected and names == {"account_cap"}:
                counts["blocked by others"] += 1
                slot = action.slot
                day = self._now_us // DAY_US * DAY_US
                moment = self._now_us if slot < 0 else day + slot * HOUR_US
                with self._crowd.door:
                    self._crowd.blocked.append(("account_cap", str(one.account), moment))
            if not legal and row["probabilities"].get(action.id, 0.0) > 0.0:
                self._part(one, f"{action.id} is forbidden and has probability: {row}")
        at_us = None if row["scheduled_at"] is None else read(row["scheduled_at"])
        if row["action"] == "escalate":
            with self._crowd.door:
                self._crowd.calls.append(self._now_us)
        one.header = row["headers"].get("List-Unsubscribe", one.header)
        one.decided(row, self._now_us, at_us)

    def _webhook(self) -> None:
        """Rows of a sender, signed, in any order, and often a second time."""
        self._asked += 1
        name = f"w-{self._number}-{self._asked}"
        found = reported(self._people, self._rng, name, self._now_us)
        if not found or self._rng.random() < 0.5:
            return
        for times in range(1 + (self._rng.random() < 0.3)):
            self._rng.shuffle(found)
            url = self._rng.choice(self._crowd.urls)
            answer = send_rows(url, self._crowd.key, [row for _, _, row in found])
            if answer["rejected"]:
                raise AssertionError(f"rows were rejected: {answer['rejected'][:2]}")
            for one, event, _ in found:
                one.heard(event)
            self._take_back([one for one, _, _ in found], answer["withdrawn"], machine_us())
            self._crowd.counts["webhook rows, again" if times else "webhook rows"] += len(found)

    def _leave(self) -> None:
        """Somebody unsubscribes by the header of a mail."""
        if self._rng.random() > 0.05:
            return
        one = self._rng.choice(self._people)
        if one.header:
            unsubscribe(self._rng.choice(self._crowd.urls), one.header, one)
            self._crowd.counts["one-click"] += 1

    def _confirm(self) -> None:
        """Ask of sends whether they may leave, once more where they may."""
        if self._rng.random() < 0.5:
            return
        now_us = self._now_us + self._rng.randrange(0, 60) * QUARTER
        asked = []
        for one in self._people:
            for name in [n for n in one.sends if n not in one.confirmed]:
                asked.append((one, name, self._expected(one, name, now_us)))
        if not asked:
            return
        body = {"ids": [name for _, name, _ in asked], "now": written(now_us)}
        rows = self._ask("POST", "/v1/decisions/confirm", body)["confirmations"]
        again = self._ask("POST", "/v1/decisions/confirm", body)["confirmations"]
        for (one, name, expected), row, second in zip(asked, rows, again, strict=True):
            self._crowd.counts[f"confirmed: {row['status']}"] += 1
            if row["status"] == "send":
                one.leaves(name, read(row["confirmed_at"]))
            elif row["status"] == "withdrawn":
                one.taken_back(name, now_us, leaving=True)
            shared = set(str(row["reason"]).split(", ")) <= SHARED and expected == "send"
            if row["status"] != expected and not (shared and row["status"] == "withdrawn"):
                self._part(one, f"{name} at {now_us} is {row}, expected {expected}")
            ours = not set(str(second["reason"]).split(", ")) <= SHARED  # a colleague's talk counts
            if second["status"] != row["status"] and ours:
                self._part(one, f"{name} at {now_us} is {row}, then {second}")

    def _expected(self, one: Person, name: str, now_us: int) -> str:
        send = next(
            a for a in self._actions if a.message and a.message.id == one.sends[name].message_id
        )
        return expected_status(self._journey, one, (name, send, one.steps[name]), now_us)

    def _contest(self) -> None:
        """Ask for somebody whom all clients ask for."""
        name = f"contested-{self._rng.randrange(_CONTESTED)}"
        body = {"contacts": [{"contact_id": name, "available": True}], "now": written(self._now_us)}
        (row,) = self._ask("POST", "/v1/decisions", body)["decisions"]
        if row["kind"] == "decision":
            at_us = None if row["scheduled_at"] is None else read(row["scheduled_at"])
            with self._crowd.door:
                self._crowd.counts["contested"] += 1
                self._crowd.contested.append((name, row["action"], row["step"], at_us))
                if row["action"] == "escalate":
                    self._crowd.calls.append(self._now_us)

    def _part(self, one: Person, text: str) -> None:
        with self._crowd.door:
            told = list(one.events.values())
            self._crowd.parted.append(f"{text}\n  {replace(one, events={})}\n  {told}")

    def _ask(self, method: str, path: str, body: Any) -> Any:
        url = self._rng.choice(self._crowd.urls)
        if url not in self._lines:
            self._lines[url] = line_to(url)
        return asked(self._lines[url], method, path, body)


def contested() -> list[dict[str, Any]]:
    """The contacts whom all clients ask for, as rows to put."""
    return [
        {"contact_id": f"contested-{i}", "consent": True, "time_zone": "UTC", "attributes": {}}
        for i in range(_CONTESTED)
    ]
