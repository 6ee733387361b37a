"""What the console shows is what the store says, counted another way."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from scipy.special import pdtrc

from nurture_envs.clock import DAY_US
from nurture_envs.guardrails import Reason
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.recipient_domains import family_of
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import AuditEntry
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.watching import decision_days as of_days
from nurture_rl.serving.watching.decision_days import DecisionDays, decision_days
from nurture_rl.serving.watching.mail_days import harm_days, mail_days, most_by_chance
from nurture_rl.serving.watching.reach import reach
from nurture_rl.serving.watching.timeline import timeline
from tests.unit.serving.busy_store import NOW, bundle_of, busy_store, journeys, service_at

Client = TestClient[Litestar]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Bundle]]:
    """A store in which much has happened, and its bundles."""
    folder = tmp_path_factory.mktemp("watched")
    bundles = [bundle_of(folder / own.name, own) for own in journeys()]
    busy_store(folder / "store.db", bundles)
    return folder / "store.db", bundles


@pytest.fixture
def client(made: tuple[Path, list[Bundle]]) -> Iterator[Client]:
    """A server of that store, without keys."""
    path, bundles = made
    with closing(Store(path)) as store:
        app = create_app(service_at(bundles, store, NOW))
        yield TestClient(app, raise_server_exceptions=False)


def counted_days(path: Path, journey: str, days: int) -> dict[str, Any]:
    """The same figures from the decisions one by one."""
    first = NOW // DAY_US - days + 1
    with closing(StoreReader(path)) as store:
        told = [d for d in store.decisions_after(journey, 0) if d.decided_us >= first * DAY_US]
    actions: dict[str, Counter[int]] = defaultdict(Counter)
    forbade: dict[str, Counter[int]] = defaultdict(Counter)
    for one in told:
        day = one.decided_us // DAY_US - first
        actions[one.action.partition(":")[0]][day] += 1
        for reason in Reason:
            forbade[str(reason.name).lower()][day] += any(bits & reason for bits in one.reasons)
    return {
        "actions": {name: [by[i] for i in range(days)] for name, by in actions.items()},
        "guardrails": {
            n: [by[i] for i in range(days)] for n, by in forbade.items() if any(by.values())
        },
        "messages": Counter(d.action[5:].rpartition("@")[0] for d in told if d.scheduled_us),
        "arms": {
            arm: len({d.contact_id for d in told if d.arm == arm}) for arm in {d.arm for d in told}
        },
        "smallest": min(d.propensity for d in told),
        "decisions": len(told),
    }


@pytest.mark.parametrize("days", [1, 7, 28])
@pytest.mark.parametrize("which", [0, 1])
def test_decisions_are_counted_as_they_were_made(
    made: tuple[Path, list[Bundle]], which: int, days: int
) -> None:
    path, bundles = made
    journey = bundles[which].journey
    if days == 1:  # the day of the decisions was yesterday
        with closing(StoreReader(path)) as store:
            assert decision_days(store, journey, NOW, days).decisions == 0
        return
    expected = counted_days(path, journey.name, days)
    with closing(StoreReader(path)) as store:
        found = decision_days(store, journey, NOW, days)
    assert found.decisions == expected["decisions"] > 10
    assert found.left_out == 0
    assert found.actions == expected["actions"]
    assert {row.name: list(row.decisions) for row in found.guardrails} == expected["guardrails"]
    assert found.messages == expected["messages"]
    assert {row.arm: row.contacts for row in found.arms} == expected["arms"]
    assert found.smallest_propensity == expected["smallest"]
    assert found.days[-1] == "2026-04-11"
    assert len(found.days) == days


def test_rare_actions_and_decisions_of_others_are_counted(
    made: tuple[Path, list[Bundle]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, bundles = made
    own = Path(shutil.copy(path, tmp_path / "store.db"))
    with closing(sqlite3.connect(own)) as file:
        cells = [p for (p,) in file.execute("SELECT propensity FROM decisions WHERE journey='toy'")]
        said = "UPDATE decisions SET note = 'the policy failed: x' WHERE journey = 'toy'"
        failed = file.execute(f"{said} AND rowid % 5 = 0").rowcount
        file.commit()
    middle = sorted(cells)[len(cells) // 2]
    monkeypatch.setattr(of_days, "FLOOR", middle)
    found = _days(own, bundles[0])
    assert found.below_floor == sum(p < middle for p in cells) > 0
    assert sum(found.by_others) == failed > 0


def test_who_reached_the_goal_is_counted_from_the_events(
    made: tuple[Path, list[Bundle]], tmp_path: Path
) -> None:
    path, bundles = Path(shutil.copy(made[0], tmp_path / "store.db")), made[1]
    journey = bundles[0].journey
    goals = [dict(s.filters()) for s in journey.signals if s.name in journey.north_star.of]
    with closing(sqlite3.connect(path)) as file:  # a third of all events are what counts
        cells = ", ".join(f"{name} = ?" for name in goals[0])
        said = f"UPDATE events SET {cells} WHERE rowid % 3 = 0"
        file.execute(said, list(goals[0].values()))
        file.commit()
    first: dict[tuple[str, str], int] = {}
    with closing(StoreReader(path)) as store:
        for one in store.decisions_after(journey.name, 0):
            first.setdefault((one.arm, one.contact_id), one.decided_us)
        told = store.events([name for _, name in first])
    hit = Counter(
        arm
        for (arm, name), at_us in first.items()
        if any(
            event.occurred_us >= at_us
            and any(all(getattr(event, k) == v for k, v in goal.items()) for goal in goals)
            for event in told.get(name, ())
        )
    )
    rows = {row.arm: (row.began, row.reached) for row in _days(path, bundles[0]).arms}
    began = Counter(arm for arm, _ in first)
    assert rows == {arm: (n, hit[arm]) for arm, n in began.items()}
    assert sum(hit.values()) > 0


def test_what_is_left_out_is_said(
    made: tuple[Path, list[Bundle]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, bundles = made
    whole = _days(path, bundles[0])
    monkeypatch.setattr(of_days, "_MOST", 10)
    found = _days(path, bundles[0])
    assert (found.decisions, found.left_out) == (10, whole.decisions - 10)
    assert sum(map(sum, found.actions.values())) == 10


def _days(path: Path, bundle: Bundle) -> DecisionDays:
    with closing(StoreReader(path)) as store:
        return decision_days(store, bundle.journey, NOW, 7)


def test_mail_is_counted_by_family(made: tuple[Path, list[Bundle]]) -> None:
    path, _ = made
    with closing(StoreReader(path)) as store:
        found = mail_days(store, {"firm.example": "ours"}, NOW, 28)
        first = (NOW // DAY_US - 27) * DAY_US
        who = store.contacts([name for block in store.names() for name in block])
        family = {
            name: family_of(one.attributes, {"firm.example": "ours"}) for name, one in who.items()
        }
        sends = Counter(family.get(name, "unknown") for name, _ in store.sends_since(first))
        harms = Counter(
            (family[name], kind)
            for name, kind, _ in store.events_since(("complaint", "hard_bounce"), first)
            if name in family
        )
    rows = {row.family: row for row in found.families}
    assert {"ours", "google", "unknown"} <= set(rows)
    assert {name: sum(row.mails) for name, row in rows.items() if any(row.mails)} == sends
    for kind, of in (("complaint", "complaints"), ("hard_bounce", "bounces")):
        counts = {name: sum(getattr(row, of).counts) for name, row in rows.items()}
        assert {name: n for name, n in counts.items() if n} == {
            name: n for (name, one), n in harms.items() if one == kind
        }
    kinds = dict.fromkeys(("ours", "google", "united_internet"), "consumer")
    assert {row.family: row.kind for row in found.families} == kinds | {"unknown": "unknown"}
    google = rows["google"].complaints
    assert google.rate == sum(google.counts) / sum(rows["google"].mails)


def test_a_burst_is_a_signal_and_a_single_complaint_is_none() -> None:
    counts = [8 if day == 20 else int(day % 9 == 0) for day in range(28)]
    found = harm_days(counts, [1_000] * 28, range(20_000, 20_028))
    assert found.signals == ["2024-10-24"]
    assert found.rate == sum(counts) / 28_000
    # With a tenth of the mail on that day the same is expected ten times less.
    assert harm_days(counts, [100] * 28, range(20_000, 20_028)).most == found.most
    some = harm_days([1, 0], [10, 990], range(20_000, 20_002))
    assert (list(some.most), some.signals) == ([1, 5], [])


def test_complaints_without_mail_have_no_rate_and_are_a_signal() -> None:
    found = harm_days([0, 2], [0, 0], range(20_000, 20_002))
    assert (found.rate, found.signals) == (None, ["2024-10-05"])


def test_slowed_families_are_told_the_latest_first(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store.db")) as store:
        store.note(AuditEntry(NOW - DAY_US, "mail_volume", "google", "slowed", "9 complaints"))
        store.note(AuditEntry(NOW, "mail_volume", "google", "usual", "1 complaint"))
        store.note(AuditEntry(NOW, "other", "x", "y", "z"))
        found = mail_days(store, {}, NOW, 28)
    told = [(datetime.fromisoformat(one.at), one.state, one.why) for one in found.audit]
    latest = datetime.fromtimestamp(NOW / 1e6, UTC)
    assert told == [
        (latest, "usual", "1 complaint"),
        (latest - timedelta(days=1), "slowed", "9 complaints"),
    ]


@pytest.mark.parametrize("mean", [0.001, 0.02, 0.4, 1.0, 7.5, 60.0, 480.0])
def test_the_control_limit_is_the_tail_of_a_poisson_count(mean: float) -> None:
    most = most_by_chance(mean)
    assert pdtrc(most, mean) <= 0.00135
    assert most == 0 or pdtrc(most - 1, mean) > 0.00135


def test_no_mail_has_no_limit_and_much_mail_has_the_normal_one() -> None:
    assert most_by_chance(0.0) == 0
    assert most_by_chance(10_000.0) == 10_300


def test_who_may_be_reached_is_what_the_guardrails_say(made: tuple[Path, list[Bundle]]) -> None:
    path, _ = made
    with closing(Store(path)) as store:
        found = reach(store, NOW)
        assert found.looked_at == found.contacts == 280
        free = 0
        for block in store.names():
            for name in block:
                told = timeline(store, name, NOW)
                assert told is not None
                free += told.reachable
    assert found.reachable == free < 280
    assert "there is no consent to mail" in found.against


def test_a_story_has_everything_in_its_order(made: tuple[Path, list[Bundle]]) -> None:
    path, bundles = made
    with closing(Store(path)) as store:
        decision = next(store.decisions_after(bundles[0].journey.name, 0))
        name = decision.contact_id
        found = timeline(store, name.upper(), NOW)  # in any spelling
        assert found is not None
        own = [d for d in store.decisions_after("toy", 0) if d.contact_id == name]
        events = store.events([name]).get(contact_key(name), ())
        assert len(found.entries) >= len(own) + len(list(events))
        assert [e.decision_id for e in found.entries if e.kind == "decision"] == [
            d.decision_id for d in reversed(own)
        ]
        moments = [entry.at for entry in found.entries]
        assert moments == sorted(moments, reverse=True)
        assert timeline(store, "nobody", NOW) is None
        assert timeline(store, "gone", NOW) is None  # erased


def test_the_server_tells_it_all(client: Client) -> None:
    about = client.get("/v1/console").json()
    assert about["journeys"] == ["toy", "low"]
    assert not about["needs_key"]
    assert client.get("/v1/console/decisions?days=7&journey=low").json()["journey"] == "low"
    assert client.get("/v1/console/mail").json()["complaint_lines"] == [0.001, 0.003]
    assert client.get("/v1/console/reach").json()["contacts"] == 280
    health = client.get("/v1/console/health").json()
    assert health["missing"] == ""
    assert "wrong propensity" in {row["name"] for row in health["figures"]}
    assert client.get("/v1/timelines/lead-001").json()["contact_id"] == "lead-001"


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/v1/console/decisions?days=8", 400, "expected days of 7, 28, 90, got '8'"),
        ("/v1/console/mail?days=x", 400, "got 'x'"),
        ("/v1/console/decisions?journey=other", 404, "other"),
        ("/v1/timelines/nobody", 404, "no contact has the id 'nobody'"),
        ("/v1/timelines/%00", 400, "expected an id"),
        ("/console/nothing.js", 404, "the console is at /console"),
        ("/console/../app.py", 404, ""),
    ],
)
def test_what_there_is_not_is_said(client: Client, path: str, status: int, says: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert says in answer.json()["detail"]


def test_figures_are_kept_for_a_while_and_stories_are_not(
    made: tuple[Path, list[Bundle]], tmp_path: Path
) -> None:
    own = Path(shutil.copy(made[0], tmp_path / "store.db"))
    with closing(Store(own)) as store:
        app = create_app(service_at(made[1], store, NOW))
        client: Client = TestClient(app, raise_server_exceptions=False)
        before = client.get("/v1/console/reach").content
        client.put("/v1/contacts", json={"contacts": [{"contact_id": "new", "consent": True}]})
        assert client.get("/v1/console/reach").content == before
        assert client.get("/v1/timelines/new").json()["reachable"]
        again: Client = TestClient(create_app(service_at(made[1], store, NOW)))
        assert again.get("/v1/console/reach").json()["contacts"] == 281


def test_what_is_told_of_people_lies_in_no_cache(client: Client) -> None:
    for path in ("/v1/timelines/lead-001", "/v1/console", "/v1/console/decisions"):
        assert client.get(path).headers["cache-control"] == "no-store"


def test_pages_let_nothing_else_in(client: Client) -> None:
    for path in ("/console", "/console/console.css", "/console/console.js", "/console/charts.js"):
        answer = client.get(path)
        assert answer.status_code == 200
        rules = answer.headers["content-security-policy"]
        assert "default-src 'none'" in rules
        assert "frame-ancestors 'none'" in rules
        assert "unsafe" not in rules
        assert answer.headers["content-type"].count("charset") == 1
        assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    page = client.get("/console").text
    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page
    assert "innerHTML" not in client.get("/console/console.js").text
