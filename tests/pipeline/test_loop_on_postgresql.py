"""The loop closes without a hand in between: two servers of one PostgreSQL store and their own log.

What they served trains a policy, which passes the gate, is loaded while they run, tried on a share
of the people, taken back by itself when it harms them, and promoted when it does not.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.release.bundle import Bundle, BundleContent, load_bundle, write_bundle
from nurture_rl.release.card import PolicyCard
from nurture_rl.release.parity import normal_states
from tests.pipeline.in_process import nurture
from tests.pipeline.running_server import RunningServer, running
from tests.pipeline.two_mails import NONE, RIGHT, WRONG
from tests.postgres import PostgresServer

_JOURNEY = """
extends: hillstrom
journey: two_mails
signals: {unsubscribed: {type: unsubscribe}}
guardrails: {opt_out: [unsubscribed]}
limits: {opt-outs: {of: [unsubscribed], at_most: 0.2}}
"""
_THEN = "2026-01-05T00:00:00Z"  # when people of the log were decided for: their two weeks are over
_LEARNING = [
    "experiment=small",
    "world.members=4",
    "world.training={epochs: 6, batch: 256, learning_rate: 0.01, prior_precision: 1.0}",
    *(f"~policies.{name}" for name in ("no_contact", "random", "expert", "tuned_rules", "ppo")),
]
_PATIENCE = 100.0  # seconds; servers look at the harms of a canary once a minute


@dataclass
class Shop:
    """People who visit after the right mail, and two servers that do not know which it is."""

    servers: Sequence[RunningServer]
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))
    met: int = 0

    def decided(self, people: int, now: str | None = None) -> Iterator[dict[str, Any]]:
        """Put new people, ask both servers about them in turn, and report what they do."""
        names = [f"customer-{self.met + i:05d}" for i in range(people)]
        self.met += people
        recency = dict(zip(names, self.rng.integers(1, 13, people).tolist(), strict=True))
        for number, start in enumerate(range(0, people, 500)):
            server, part = self.servers[number % 2], names[start : start + 500]
            contacts = [
                {"contact_id": name, "time_zone": "UTC", "consent": True}
                | {"attributes": {"recency": recency[name], "mens": 1, "womens": 0}}
                for name in part
            ]
            server.send("PUT", "/v1/contacts", {"contacts": contacts})
            asked: dict[str, Any] = {"contacts": [{"contact_id": name} for name in part]}
            asked |= {} if now is None else {"now": now}
            answers = server.send("POST", "/v1/decisions", asked)["decisions"]
            other = self.servers[1 - number % 2]
            self._report(other, answers, recency)
            yield from ({**one, "recency": recency[one["contact_id"]]} for one in answers)

    def _report(
        self, server: RunningServer, answers: list[dict[str, Any]], recency: dict[str, int]
    ) -> None:
        happened = []
        for one in answers:
            mail = one["action"].removeprefix("send:").removesuffix("@now")
            sent, about = one["scheduled_at"] is not None, one["decision_id"]
            right = mail == ("womens_email" if recency[one["contact_id"]] > 6 else "mens_email")
            visits = self.rng.random() < (NONE if not sent else RIGHT if right else WRONG)
            known = {"contact_id": one["contact_id"], "occurred_at": one["decided_at"]}
            if sent:
                topic = mail.removesuffix("_email")
                named = {"type": "sent", "decision_id": about, "message_id": mail, "topic": topic}
                happened.append({**known, **named, "event_id": f"{about}-sent"})
            if visits:
                happened.append({**known, "type": "visit", "event_id": f"{about}-visit"})
        if happened:
            assert server.send("POST", "/v1/events", {"events": happened})["rejected"] == []

    def unsubscribed(self, decisions: list[dict[str, Any]]) -> None:
        """Report that these people want no more mail."""
        now = datetime.now(UTC).isoformat()
        events = [
            {"event_id": f"no-{one['decision_id']}", "contact_id": one["contact_id"]}
            | {"type": "unsubscribe", "occurred_at": now}
            for one in decisions
        ]
        answer = self.servers[1].send("POST", "/v1/events", {"events": events})
        assert answer["rejected"] == []


def begun(folder: Path, journey: Journey) -> Bundle:
    """The policy that a sender begins with: a third of the people each mail, a third none."""
    catalog, columns = ActionCatalog.of(journey), FeatureSpec.of(journey).columns
    around = np.zeros(len(columns)), np.ones(len(columns)), (64, len(catalog)), catalog.wait
    states = normal_states(*around, np.random.default_rng(5))
    spec = {"kind": "random", "weights": {"send": 2.0, "pause": 1.0}}
    card = PolicyCard("test", "synthetic", "", None, None, (), ())
    return write_bundle(folder, BundleContent(journey, spec, None, states, card), datetime.now(UTC))


def typed(*words: str) -> None:
    done = nurture(*words)
    assert done.code == 0, done.stdout[-2000:] + done.stderr[-4000:]


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not met():
        assert time.monotonic() < end, f"it did not happen within {_PATIENCE:g} s"
        time.sleep(0.2)


def roles_at(server: RunningServer) -> dict[str, str]:
    """Policy ids by role."""
    found = server.send("GET", "/v1/policies")["policies"]
    return {one["role"]: one["policy_id"] for one in found}


def read_as(folder: Path, log: Path) -> list[str]:
    """Settings by which an exported log is read."""
    journey = [f"data.journey={folder / 'two_mails.yaml'}", f"runs={folder / 'runs'}"]
    over = ["data.complete_until=2026-03-01T00:00:00Z"]
    return ["data=folder", f"data.path={log}", *journey, *over]


def trained(url: str, folder: Path) -> Path:
    """The bundle that the gate lets pass on the log of the servers."""
    log = folder / "log"
    typed("export_log", f"store={url}", f"out={log}")
    typed("pipeline", *read_as(folder, log), *_LEARNING)
    (released,) = (folder / "runs" / "stages").glob("release-*/bundle")
    return released


def assert_whole(url: str, folder: Path, people: int) -> None:
    """What the servers left is one log, true and complete, that the next turn can learn from."""
    log = folder / "again"
    typed("export_log", f"store={url}", f"out={log}")
    typed("verify", f"log={log}")
    typed("replay", f"bundle={folder / 'bundles' / 'learned'}", f"log={log}")
    rows = pq.read_table(log / "decisions.parquet")
    assert rows.num_rows == people
    assert pc.count_distinct(rows["contact_id"]).as_py() == people  # each was decided for once
    typed("ingest", *read_as(folder, log))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_was_served_is_learned_released_tried_and_taken_back_or_promoted(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url, all_bundles = postgres.fresh_url(), tmp_path / "bundles"
    (tmp_path / "two_mails.yaml").write_text(_JOURNEY, "utf-8")
    journey = load_journey(str(tmp_path / "two_mails.yaml"))
    all_bundles.mkdir()
    first = begun(all_bundles / "first", journey)
    options = ["simulated_clock=true", f"bundles={all_bundles}"]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(running(all_bundles / "first", url, *options)) for _ in range(2)
        ]
        shop = Shop(servers)
        served = list(shop.decided(4000, _THEN))
        assert {one["policy_id"] for one in served} == {first.policy_id}

        # Its log trains a policy, and both judges let it pass.
        learned = trained(url, tmp_path)
        shutil.copytree(learned, all_bundles / "learned")
        name = load_bundle(learned).policy_id

        # The running servers try it on half of the people, whom it harms; they take it back.
        folder = {"folder": "learned", "why": "it passed"}
        servers[0].send("POST", "/v1/policies", folder)
        canary, half = f"/v1/policies/{name}/canary", {"share": 0.5, "why": "a try"}
        servers[0].send("POST", canary, half)
        until(lambda: roles_at(servers[1]).get("canary") == name)
        tried = list(shop.decided(1000))
        by_it = [one for one in tried if one["policy_id"] == name]
        assert {one["arm"] for one in by_it} == {f"canary:{name}"}
        assert 400 < len(by_it) < 600
        shop.unsubscribed(by_it)
        until(lambda: "canary" not in roles_at(servers[0]))
        until(lambda: "canary" not in roles_at(servers[1]))
        change = servers[1].send("GET", "/v1/policies/log")["changes"][-1]
        assert (change["who"], change["action"]) == ("server", "rollback")
        assert change["why"].startswith("opt-outs: at least ")
        assert {one["policy_id"] for one in shop.decided(1000)} == {first.policy_id}

        # A second try harms nobody; promoted at one server, it decides for everybody at both.
        servers[1].send("POST", canary, half)
        until(lambda: roles_at(servers[0]).get("canary") == name)
        tried = list(shop.decided(1000))
        assert {one["policy_id"] for one in tried} == {first.policy_id, name}
        promote = f"/v1/policies/{name}/promote"
        servers[0].send("POST", promote, {"why": "no harm"})
        until(lambda: roles_at(servers[1])["champion"] == name)
        after = list(shop.decided(1000))
        assert {one["policy_id"] for one in after} == {name}
        assert right_mails(after) > 0.7 > 0.4 > right_mails(served)

    assert_whole(url, tmp_path, shop.met)


def right_mails(decisions: list[dict[str, Any]]) -> float:
    """Share of the people who get the mail that works for them."""
    wanted = {True: "send:womens_email@now", False: "send:mens_email@now"}
    return float(np.mean([one["action"] == wanted[one["recency"] > 6] for one in decisions]))
