"""Two servers of one store while everybody asks everything: roles, contacts, decisions, figures.

For longer than the test takes: `python -m tests.pipeline.stormed_servers SECONDS`.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.pipeline.running_server import running
from tests.postgres import PostgresServer, require_programs
from tests.unit.release.bundles import GUARDRAILS
from tests.unit.serving.trials import LEARNED, trial_bundle

PEOPLE = 300
_FIRST, _LATER = "inbound_lead", "later"
_LOOKS = (
    *("policies", "policies/log", "journeys", "journeys/log", "console", "console/decisions"),
    *("console/decisions?journey=later&days=7", "console/mail", "console/reach"),
    *("console/health", "console/health?journey=later", "console/lift", "handoffs"),
    *("handoffs?status=answered", "handoffs?status=returned"),
)
_EVENTS = ("open", "click", "unsubscribe", "meeting_booked", "sales_activity", "consent_given")
_REPLIES = ("question", "objection", "positive")
_RAILS = {
    **GUARDRAILS,
    "seller_capacity": {"per_day": 50},
    "account": {"conversation": True},
    "served": {"handoffs": {"replies": {"replied_question": {"hours": 48}}, "rest_hours": 1}},
}


@dataclass(slots=True)
class Storm:
    """What was asked, and what no server may ever answer."""

    urls: Sequence[str]
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)  # by path and status
    wrong: list[str] = field(default_factory=list)  # answers of 500 and above
    over: threading.Event = field(default_factory=threading.Event)
    policies: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    decisions: deque[str] = field(default_factory=lambda: deque(["none"], maxlen=200))
    _door: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, chance: random.Random, method: str, path: str, body: Any = None) -> Any:
        """Ask one of the servers; the decoded answer, or None."""
        data = None if body is None else json.dumps(body).encode()
        url = f"{chance.choice(self.urls)}{path}"
        request = urllib.request.Request(url, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        with self._door:
            self.answers[f"{method} {path.split('?')[0].split('/c')[0]}", status] += 1
            if status >= 500:
                self.wrong.append(f"{method} {path}: {status} {content[:500]!r}")
        return json.loads(content) if status == 200 and content[:1] in (b"{", b"[") else None

    def loads(self, chance: random.Random) -> None:
        """Load bundles, some of which are there."""
        folder = chance.choice(["first0", "first1", "later0", "later1", "nothing"])
        journey = _LATER if folder.startswith("later") else _FIRST
        body = {"why": "storm", "folder": folder, "journey": journey}
        told = self.ask(chance, "POST", "/v1/policies", body)
        self.policies.extend(row["policy_id"] for row in (told or {"policies": []})["policies"])

    def roles(self, chance: random.Random) -> None:
        """Give and take roles, switch, and end experiments."""
        name = chance.choice([*self.policies, "unheard"])
        role = chance.choice(["promote", "canary", "rollback", "shadow"])
        share = {"share": 0.3} if role == "canary" else {}
        self.ask(chance, "POST", f"/v1/policies/{name}/{role}", {"why": "storm", **share})
        to = chance.choice(["learned", "learned", "rules", "pause"])
        journey = {"journey": chance.choice([_FIRST, _LATER])} if chance.random() < 0.5 else {}
        self.ask(chance, "POST", "/v1/switch", {"why": "storm", "to": to, **journey})
        if chance.random() < 0.1:
            self.ask(chance, "POST", "/v1/experiment/end", {"why": "storm", **journey})
            path = f"/v1/journeys/{chance.choice([_FIRST, _LATER])}/resume"
            self.ask(chance, "POST", path, {"why": "storm"})

    def looks(self, chance: random.Random) -> None:
        """Ask every path that shows something."""
        name, decision = _name(chance), quote(chance.choice(list(self.decisions)))
        paths = [f"/v1/{path}" for path in _LOOKS]
        paths += ["/healthz", "/metrics", "/schema", "/console", "/console/console.js"]
        paths += [f"/v1/timelines/{name}", f"/v1/contacts/{name}/preferences"]
        paths += [f"/v1/journeys/{one}/contacts/{name}" for one in (_FIRST, _LATER)]
        paths += [f"/v1/decisions/{decision}{more}" for more in ("", "/explain", "/why")]
        for path in chance.sample(paths, len(paths)):
            told = self.ask(chance, "GET", path)
            if path.startswith("/v1/handoffs") and told and told["handoffs"]:
                one = chance.choice(told["handoffs"])["handoff_id"]
                self.ask(chance, "GET", f"/v1/handoffs/{quote(one)}")

    def decides(self, chance: random.Random) -> None:
        """Decide, and confirm what was decided."""
        asks = [{"contact_id": name} for name in {_name(chance) for _ in range(5)}]
        told = self.ask(chance, "POST", "/v1/decisions", {"contacts": asks})
        ids = [row["decision_id"] for row in told["decisions"] if row["kind"] == "decision"]
        self.decisions.extend(ids)
        if ids:
            self.ask(chance, "POST", "/v1/decisions/confirm", {"ids": ids})

    def happens(self, chance: random.Random) -> None:
        """Report events, put contacts, and move them between journeys."""
        name, kind = _name(chance), chance.choice([*_EVENTS, "reply"])
        at = datetime.now(UTC) - timedelta(hours=chance.random())
        event = {"event_id": f"e{chance.getrandbits(60)}", "contact_id": name, "type": kind}
        event |= {"occurred_at": at.isoformat()}
        event |= {"reply_class": chance.choice(_REPLIES)} if kind == "reply" else {}
        self.ask(chance, "POST", "/v1/events", {"events": [event]})
        zone = chance.choice(["Europe/Berlin", "America/New_York", None])
        put = {"contact_id": name, "consent": True, "time_zone": zone}
        put |= {"account_id": f"a{chance.randrange(40)}"}
        self.ask(chance, "PUT", "/v1/contacts", {"contacts": [put]})
        path = f"/v1/journeys/{chance.choice([_FIRST, _LATER])}/contacts/{name}"
        path += chance.choice(["", "/exit", "/pause", "/resume"])
        self.ask(chance, "POST", path, {"why": "storm"})

    def run(self, seconds: float) -> None:
        """Let everybody ask for so long."""
        works = [self.loads, self.roles, self.roles, self.looks, self.looks, self.decides]
        works += [self.decides, self.happens]

        def keep_on(work: Callable[[random.Random], None], seed: int) -> None:
            chance = random.Random(seed)
            try:
                while not self.over.is_set():
                    work(chance)
            except Exception as error:  # a server that gave no answer at all, or one of no use
                self.wrong.append(f"{work.__name__}: {error!r}")

        threads = [
            threading.Thread(target=keep_on, args=(work, seed)) for seed, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        self.over.wait(seconds)
        self.over.set()
        for thread in threads:
            thread.join()


def _bundles(folder: Path) -> None:
    """Of two journeys, one with an experiment; two more policies of each."""
    later = {"guardrails": _RAILS, "journey": _LATER}
    trial_bundle(folder / "served", guardrails=_RAILS)
    trial_bundle(folder / "beside", None, **later)
    for number in range(2):
        spec = {**LEARNED, "share": 0.3 + 0.1 * number}
        trial_bundle(folder / "all" / f"first{number}", spec=spec, guardrails=_RAILS)
        trial_bundle(folder / "all" / f"later{number}", None, spec, **later)


def _name(chance: random.Random) -> str:
    return f"c{chance.randrange(PEOPLE)}"


def stormed(database: PostgresServer, folder: Path, seconds: float) -> tuple[Storm, str]:
    """Storm two servers of one store.

    Args:
        database: where the store is.
        folder: for bundles and logs; empty.
        seconds: how long.

    Returns:
        What was asked and answered, and what both servers wrote on standard error.
    """
    _bundles(folder)
    url = database.fresh_url()
    options = [f"journeys=[{folder / 'beside'}]", f"bundles={folder / 'all'}"]
    options.append(f"lift_reports={folder}")
    log = folder / "log"
    with log.open("w") as stderr, ExitStack() as stack:
        servers = [
            stack.enter_context(running(folder / "served", url, *options, stderr=stderr))
            for _ in range(2)
        ]
        storm = Storm([one.url for one in servers])
        people = [
            {"contact_id": f"c{i}", "consent": True, "account_id": f"a{i % 40}"}
            for i in range(PEOPLE)
        ]
        servers[0].send("PUT", "/v1/contacts", {"contacts": people})
        storm.run(seconds)
    return storm, log.read_text("utf-8")


if __name__ == "__main__":
    server = PostgresServer(require_programs())
    server.start()
    try:
        with tempfile.TemporaryDirectory() as own:
            told, written = stormed(server, Path(own), float(sys.argv[1]))
    finally:
        server.stop()
    for (asked, status), times in sorted(told.answers.items()):
        print(f"{times:6d} {status} {asked}")
    print("\n".join(told.wrong) or "no answer of 500 or above")
    print(f"{written.count('Traceback')} tracebacks")
