"""Defects planted into healthy logs: each is named, and none is invented."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nurture_envs.journey import Feature, Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.appraisal.health.diagnosis import diagnosis
from nurture_rl.cli.verb_record import DONE
from tests.pipeline.in_process import nurture

_DAY = 86_400_000_000


@dataclass(frozen=True)
class Log:
    """All that a diagnosis looks at."""

    journey: Journey
    events: pa.Table
    contacts: pa.Table
    decisions: pa.Table
    table: pa.Table | None
    summary: dict[str, Any]
    about: dict[str, Any]

    def kinds(self) -> set[str]:
        """What is found."""
        found = diagnosis(
            *(self.events, self.contacts, self.decisions, self.table),
            *(self.summary, self.about, self.journey),
        )
        return {one.kind for one in found}


def healthy(name: str, runs: Path) -> Log:
    """The log of a reference world, as the verb `doctor` reads it."""
    words = [f"data={name}", "experiment=small", "data.contacts=2500", f"runs={runs}"]
    ended = nurture("doctor", *words)
    assert ended.code == DONE, ended.stdout + ended.stderr
    assert "findings: 0" in ended.stdout, ended.stdout
    (folder,) = runs.glob("stages/ingest-*")
    tables = folder / "tables"
    events, contacts, decisions = (
        pq.read_table(tables / f"{kind}.parquet") for kind in ("events", "contacts", "decisions")
    )
    return Log(
        load_journey(name if name != "reference" else "inbound_lead"),
        *(events, contacts, decisions),
        pq.read_table(folder / "decision_table.parquet"),
        json.loads((tables / "summary.json").read_text("utf-8")),
        json.loads((folder / "decisions.json").read_text("utf-8")),
    )


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return healthy("reference", tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("name", ["stalled_opportunity", "re_engagement"])
def test_nothing_is_invented_in_a_healthy_log(name: str, tmp_path: Path) -> None:
    assert healthy(name, tmp_path).kinds() == set()


def column(table: pa.Table, name: str, values: Any) -> pa.Table:
    kind = table.schema.field(name).type
    place = table.schema.get_field_index(name)
    made = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind)
    return table.set_column(place, table.schema.field(name), made.cast(kind))


def moments(table: pa.Table, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(pc.cast(table[name], pa.int64())).copy()


def is_type(log: Log, *types: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(pc.is_in(log.events["type"], pa.array(types)))


def moved(log: Log, rows: Any, by: int) -> Log:
    """Events of some rows at another time, recorded then."""
    at = moments(log.events, "occurred_at")
    at[rows] += by
    late = np.maximum(moments(log.events, "recorded_at"), at)
    events = column(log.events, "occurred_at", pa.array(at))
    return replace(log, events=column(events, "recorded_at", pa.array(late)))


def without(log: Log, *types: str) -> Log:
    return replace(log, events=log.events.filter(pa.array(~is_type(log, *types))))


def no_web(log: Log) -> Log:
    return without(log, "page_view", "form_submitted")


def another_word(log: Log) -> Log:
    pages = pc.replace_substring(log.events["page_category"], "pricing", "prices")
    return replace(log, events=column(log.events, "page_category", pages))


def nobody_agreed(log: Log) -> Log:
    return replace(log, contacts=column(log.contacts, "consent", [False] * len(log.contacts)))


def nowhere(log: Log) -> Log:
    zones = pa.nulls(len(log.contacts), pa.string())
    return replace(log, contacts=column(log.contacts, "time_zone", zones))


def unmarked_machines(log: Log) -> Log:
    """Clicks of programs that nobody marked: right after each tenth mail."""
    mails = log.events.filter(pc.equal(log.events["type"], "delivered"))[::10]
    n = len(mails)
    clicks = column(mails, "type", ["click"] * n)
    clicks = column(clicks, "topic", ["pricing"] * n)
    clicks = column(clicks, "event_id", [f"bot-{i}" for i in range(n)])
    for name in ("occurred_at", "recorded_at"):
        clicks = column(clicks, name, pa.array(moments(clicks, name) + 1_000_000))
    return replace(log, events=pa.concat_tables([log.events, clicks]))


def known_late(log: Log) -> Log:
    rows = is_type(log, "click")
    at = moments(log.events, "recorded_at") + np.where(rows, 10 * _DAY, 0)
    return replace(log, events=column(log.events, "recorded_at", pa.array(at)))


def known_at_once(log: Log) -> Log:
    return replace(log, events=column(log.events, "recorded_at", log.events["occurred_at"]))


def a_lost_week(log: Log) -> Log:
    at = moments(log.events, "occurred_at")
    begin = int(np.median(at)) // _DAY * _DAY
    lost = (at >= begin) & (at < begin + 5 * _DAY)
    return replace(log, events=log.events.filter(pa.array(~lost)))


def a_kiosk(log: Log) -> Log:
    rows = is_type(log, "page_view").nonzero()[0][:1500]
    names = np.array(log.events["contact_id"].to_pylist(), object)
    names[rows] = names[rows[0]]
    return replace(log, events=column(log.events, "contact_id", list(names)))


def skipped_stages(log: Log) -> Log:
    mql = is_type(log, "stage_changed") & np.asarray(
        pc.equal(log.events["stage"], "mql").fill_null(False)
    )
    lost = mql & (np.arange(mql.size) % 3 == 0)
    return replace(log, events=log.events.filter(pa.array(~lost)))


def stages_in_wrong_order(log: Log) -> Log:
    sql = is_type(log, "stage_changed") & np.asarray(
        pc.equal(log.events["stage"], "sql").fill_null(False)
    )
    return moved(log, sql & (np.arange(sql.size) % 4 == 0), -30 * _DAY)


def strange_stages(log: Log) -> Log:
    words = pc.if_else(pc.equal(log.events["stage"], "sql"), "Discovery", log.events["stage"])
    return replace(log, events=column(log.events, "stage", words))


def a_crm_that_ended(log: Log) -> Log:
    at = moments(log.events, "occurred_at")
    gone = is_type(log, "stage_changed") & (at > np.median(at))
    return replace(log, events=log.events.filter(pa.array(~gone)))


def unknown_chances(log: Log) -> Log:
    chances = log.decisions["propensity"].to_pylist()
    chances = [None if i % 20 == 0 else one for i, one in enumerate(chances)]
    return replace(log, decisions=column(log.decisions, "propensity", chances))


def no_chance(log: Log) -> Log:
    return replace(log, decisions=column(log.decisions, "propensity", [1.0] * len(log.decisions)))


def one_action_never(log: Log) -> Log:
    lists = [[0.0, *row[1:]] for row in log.decisions["probabilities"].to_pylist()]
    return replace(log, decisions=column(log.decisions, "probabilities", lists))


def lost_sends(log: Log) -> Log:
    rows = is_type(log, "sent") & (np.arange(len(log.events)) % 3 == 0)
    return replace(log, events=log.events.filter(pa.array(~rows)))


def others_mail(log: Log) -> Log:
    mails = log.events.filter(pc.equal(log.events["type"], "sent"))[::4]
    mails = column(mails, "event_id", [f"other-{i}" for i in range(len(mails))])
    for name in ("occurred_at", "recorded_at"):
        mails = column(mails, name, pa.array(moments(mails, name) + 100 * _DAY))
    return replace(log, events=pa.concat_tables([log.events, mails]))


def mail_after_no(log: Log) -> Log:
    no = log.events.filter(pc.equal(log.events["type"], "unsubscribe"))[:1]
    mail = column(column(no, "type", ["sent"]), "event_id", ["late"])
    for name in ("occurred_at", "recorded_at"):
        mail = column(mail, name, pa.array(moments(mail, name) + _DAY // 2))
    return replace(log, events=pa.concat_tables([log.events, mail]))


def wrong_zones(log: Log) -> Log:
    zones = ["Pacific/Auckland"] * len(log.contacts)
    return replace(log, contacts=column(log.contacts, "time_zone", zones))


def unfinished(log: Log) -> Log:
    assert log.table is not None
    return replace(log, table=column(log.table, "complete", [False] * len(log.table)))


def no_success(log: Log) -> Log:
    assert log.table is not None
    place = log.journey.channel_index("meeting_booked")
    rows = [[*row[:place], 0.0, *row[place + 1 :]] for row in log.table["outcomes"].to_pylist()]
    return replace(log, table=column(log.table, "outcomes", rows))


def undecided(log: Log) -> Log:
    return replace(log, decisions=log.decisions[:0], table=None)


def other_features(log: Log) -> Log:
    return replace(log, about=log.about | {"logged_features_equal": 0.9})


def counted(log: Log, **changes: Any) -> Log:
    first, *rest = log.summary["tables"]
    return replace(log, summary=log.summary | {"tables": [first | changes, *rest]})


def much_set_aside(log: Log) -> Log:
    return counted(log, read=1000, quarantined=20, reasons={"wrong time": 20})


def twice(log: Log) -> Log:
    return counted(log, read=1000, quarantined=100, reasons={"redelivered": 100})


def strangers(log: Log) -> Log:
    return replace(log, summary=log.summary | {"contacts_added": log.summary["contacts"] // 2})


def shared(log: Log) -> Log:
    return replace(log, summary=log.summary | {"shared_keys": 3})


def unjoined_browsers(log: Log) -> Log:
    """Clicks and pages have addresses of one site, and no page is of who clicked."""
    web = is_type(log, "page_view", "form_submitted", "click")
    at_home = '{"url": "https://example.com/"}'
    told = [at_home if w else "{}" for w in web]
    names = np.array(log.events["contact_id"].to_pylist(), object)
    pages = is_type(log, "page_view")
    names[pages] = np.char.add("cookie-", names[pages].astype(str))
    events = column(column(log.events, "properties", told), "contact_id", list(names))
    return replace(log, events=events)


def a_score_that_nothing_reads(log: Log) -> Log:
    return replace(
        log, contacts=column(log.contacts, "attributes", with_attribute(log, "convert_14d"))
    )


def a_score_that_nobody_has(log: Log) -> Log:
    score = Feature("likely", "attribute", attribute="churn_30d")
    return replace(log, journey=replace(log.journey, features=(*log.journey.features, score)))


def with_attribute(log: Log, name: str) -> list[str]:
    known = (json.loads(text) for text in log.contacts["attributes"].to_pylist())
    return [json.dumps(one | {name: 0.1}) for one in known]


_PLANTED: dict[str, tuple[Callable[[Log], Log], set[str]]] = {
    "missing source": (no_web, set()),
    "silent signal": (another_word, set()),
    "no consent": (nobody_agreed, set()),
    "no time zones": (nowhere, set()),
    "clicks of programs": (unmarked_machines, set()),
    "late records": (known_late, set()),
    "no recording times": (known_at_once, set()),
    "hole": (a_lost_week, {"sends without events", "stage skipped"}),
    "crowded contact": (a_kiosk, set()),
    "stage skipped": (skipped_stages, set()),
    "stage backward": (stages_in_wrong_order, {"late records"}),
    "orphan stage": (strange_stages, {"silent signal", "late records"}),
    "stale stage": (a_crm_that_ended, set()),
    "no propensities": (unknown_chances, set()),
    "no exploration": (no_chance, set()),
    "untried action": (one_action_never, set()),
    "sends without events": (lost_sends, set()),
    "sends nobody decided": (others_mail, {"sends after a no", "stale stage", "hole"}),
    "sends after a no": (mail_after_no, set()),
    "sends in quiet hours": (wrong_zones, set()),
    "unfinished episodes": (unfinished, set()),
    "too few successes": (no_success, set()),
    "no decisions": (undecided, set()),
    "features differ": (other_features, set()),
    "rows set aside": (much_set_aside, set()),
    "rows that came twice": (twice, set()),
    "unknown contacts": (strangers, set()),
    "shared keys": (shared, set()),
    "unbound scores": (a_score_that_nothing_reads, set()),
    "scores that no contact has": (a_score_that_nobody_has, set()),
    "clicks without visits": (unjoined_browsers, {"source apart"}),
}


@pytest.mark.parametrize("kind", _PLANTED)
def test_a_planted_defect_is_named_and_nothing_that_does_not_follow_from_it(
    log: Log, kind: str
) -> None:
    plant, follows = _PLANTED[kind]
    found = plant(log).kinds()
    assert kind in found
    assert found <= {kind} | follows
