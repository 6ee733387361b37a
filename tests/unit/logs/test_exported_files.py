"""Files as senders, CRMs and page streams export them: the webhooks' own words, counted whole."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import LogError
from nurture_rl.logs.mapped.mapping_file import load_mapping
from nurture_rl.logs.reported.known_formats import FORMATS
from tests.unit.logs.mapped_files import ingested, reasons, written
from tests.unit.reported_rows import ADDRESS, CASES, documented, iso, segment

AT = 1_803_855_600.0


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(folder: Path, name: str, text: str | bytes, format: str, more: str = "") -> Any:
    folder.mkdir(exist_ok=True)
    written(folder, name, text, f"format: {format}\n{more}")
    return ingested(folder)


def types(rows: Sequence[dict[str, Any]]) -> list[str]:
    told = sorted(rows, key=lambda row: row["occurred_at"])
    return [row["type"] + "*" * row["is_machine"] for row in told]


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_a_senders_rows_says_what_its_webhook_says(name: str, tmp_path: Path) -> None:
    rows = documented(name, AT)
    found = read(tmp_path / "log", "rows.jsonl", lines(*(row for row, _ in rows)), name)
    assert Counter(types(found["events"])) == Counter(kind for _, said in rows for kind in said)
    assert found["quarantine"] == []
    assert {row["contact_id"] for row in found["events"]} == {"ada"}
    assert ADDRESS not in str([row["properties"] for row in found["events"]])


ENVELOPES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "mailgun": lambda row: {"signature": {"token": "x"}, "event-data": row},
    "ses": lambda row: {"Type": "Notification", "Message": json.dumps(row)},
    "segment": lambda row: {"batch": [row]},
    "sendgrid": lambda row: [row],
    "mautic": lambda row: {row["trigger"]: [row]},
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_whole_bodies_and_bare_rows_are_the_same_events_once(name: str, tmp_path: Path) -> None:
    rows = [row for row, _ in documented(name, AT)]
    bodies = [ENVELOPES[name](row) for row in rows]
    alone = read(tmp_path / "alone", "rows.jsonl", lines(*rows), name)
    text = gzip.compress(lines(*bodies, *reversed(rows)).encode())
    both = read(tmp_path / "both", "rows.jsonl.gz", text, name)
    ids = [sorted(row["event_id"] for row in one["events"]) for one in (alone, both)]
    assert ids[0] == ids[1]
    again = [row["reason"].partition(":")[0] for row in both["quarantine"]]
    assert again == ["redelivered"] * len(ids[0])


def test_what_is_not_understood_is_set_aside_with_line_and_reason_and_counts_add_up(
    tmp_path: Path,
) -> None:
    good, _ = documented("mailgun", AT)[0]
    rows = [
        json.dumps(good),
        "{broken",
        "[1]",
        json.dumps({**good, "event": "stored"}),
        json.dumps({**good, "event": "something_new"}),
        json.dumps({**good, "id": "2", "timestamp": "yesterday"}),
        "",
        json.dumps({**good, "id": "3", "recipient": None, "user-variables": {}}),
        json.dumps({"event-data": 7}),
        b"\xff\xfe{}".decode("latin-1"),
    ]
    text = "\n".join(rows).encode("latin-1")
    found = read(tmp_path / "log", "rows.jsonl", text, "mailgun")
    assert types(found["events"]) == ["sent"]
    assert reasons(found["quarantine"]) == [
        (2, "malformed"),
        (3, "not understood"),
        (4, "left out by the mapping"),
        (5, "not understood"),
        (6, "wrong type"),
        (8, "missing contact"),
        (9, "not understood"),
        (10, "malformed"),
    ]
    assert len(found["events"]) + len(found["quarantine"]) == sum(1 for row in rows if row)


def test_who_somebody_is_joins_visits_before_and_an_account_is_no_person(tmp_path: Path) -> None:
    def call(number: int, person: str | None, browser: str, **cells: Any) -> dict[str, Any]:
        row = segment(number, AT + number, cells)
        return {**row, "userId": person, "anonymousId": browser, "context": {}}

    rows = [
        call(1, None, "b-1", type="page", name="Pricing"),
        call(2, "ada", "b-1", type="identify", traits={"email": ADDRESS, "name": "Ada"}),
        call(3, "ada", "b-1", type="group", groupId="acme"),
        call(4, "bob", "b-2", type="group", groupId="acme"),
        call(5, "bob", "b-2", event="Signed Up"),
        call(6, "ada@work", "b-3", type="alias", previousId="ada"),
        call(7, "ada@work", "b-3", event="Trial Started"),
        call(8, None, "b-9", type="identify", context={}),
    ]
    found = read(tmp_path / "log", "calls.jsonl", lines(*rows), "segment")
    whose = {row["properties"]: row["contact_id"] for row in found["events"]}
    by_event = {json.loads(text).get("event"): name for text, name in whose.items()}
    assert by_event["Pricing"] == by_event["Trial Started"] != by_event["Signed Up"]
    accounts = {row["contact_id"]: row["account_id"] for row in found["contacts"]}
    assert accounts[by_event["Pricing"]] == accounts["bob"] == "acme"
    assert "Ada" not in str(found["contacts"])


def test_a_mapping_gives_own_words_to_what_a_row_calls_its_event(tmp_path: Path) -> None:
    rows = [segment(i, AT + i, {"event": name}) for i, name in enumerate(["Demo", "Noise", "X"])]
    more = "types: {demo: meeting_booked, Noise: ''}\n"
    found = read(tmp_path / "log", "calls.jsonl", lines(*rows), "segment", more)
    assert types(found["events"]) == ["meeting_booked", "activity"]
    assert reasons(found["quarantine"]) == [(2, "left out by the mapping")]


def test_hubspots_email_events_keep_id_and_moment_as_their_key(tmp_path: Path) -> None:
    def row(i: int, kind: str, **cells: Any) -> dict[str, Any]:
        own = {"id": "a1", "created": int(AT * 1000) + i, "recipient": ADDRESS, "type": kind}
        return {**own, "sentBy": {"id": "s1", "created": int(AT * 1000)}, **cells}

    rows = [
        (row(0, "SENT"), ("sent",)),
        (row(1, "DELIVERED"), ("delivered",)),
        (row(2, "OPEN", filteredEvent=True), ("open*",)),
        (row(60_000, "CLICK", url="https://example.com/a?b=c"), ("click",)),  # a minute later
        (row(4, "BOUNCE", category="MAILBOX_FULL"), ("soft_bounce",)),
        (row(5, "BOUNCE", category="UNKNOWN_USER"), ("hard_bounce",)),
        (row(6, "DROPPED", dropReason="PREVIOUS_SPAM"), ("dropped", "unsubscribe")),
        (row(7, "STATUSCHANGE", portalSubscriptionStatus="SUBSCRIBED"), ("resubscribe",)),
        (
            row(8, "STATUSCHANGE", subscriptions=[{"id": 1, "status": "UNSUBSCRIBED"}]),
            ("unsubscribe",),
        ),
        (row(9, "SPAMREPORT"), ("complaint",)),
    ]
    text = lines(*(one for one, _ in rows), row(10, "PROCESSED"), row(11, "STATUSCHANGE"))
    found = read(tmp_path / "log", "events.jsonl", text, "hubspot_email")
    assert Counter(types(found["events"])) == Counter(kind for _, said in rows for kind in said)
    assert reasons(found["quarantine"]) == [
        (11, "left out by the mapping"),
        (12, "not understood"),
    ]


def test_a_lifecycle_moves_forward_alone_and_each_stage_counts_once(tmp_path: Path) -> None:
    csv = (
        "hs_object_id,email,property,value,timestamp\n"
        f"7,{ADDRESS},lifecyclestage,lead,{int(AT * 1000)}\n"
        f"7,{ADDRESS},lifecyclestage,salesqualifiedlead,{int(AT * 1000) + 3000}\n"
        f"7,{ADDRESS},lifecyclestage,marketingqualifiedlead,{int(AT * 1000) + 1000}\n"
        f"7,{ADDRESS},lifecyclestage,lead,{int(AT * 1000) + 5000}\n"
        f"7,{ADDRESS},lifecyclestage,salesqualifiedlead,{int(AT * 1000) + 6000}\n"
        f"7,{ADDRESS},firstname,Ada,{int(AT * 1000)}\n"
        f",,lifecyclestage,lead,{int(AT * 1000)}\n"
    )
    more = "stages: {marketingqualifiedlead: mql, salesqualifiedlead: sql}\n"
    found = read(tmp_path / "log", "history.csv", csv, "hubspot_lifecycle", more)
    told = sorted(found["events"], key=lambda row: row["occurred_at"])
    assert [row["stage"] for row in told] == ["lead", "mql", "sql"]
    assert reasons(found["quarantine"]) == [
        (line, "left out by the mapping") for line in (5, 6, 7, 8)
    ]


def test_stamps_of_a_contact_are_its_stages(tmp_path: Path) -> None:
    row = {
        "hs_object_id": "7",
        "hs_lifecyclestage_lead_date": iso(AT),
        "hs_lifecyclestage_customer_date": iso(AT + 60),
        "hs_lifecyclestage_opportunity_date": "",
    }
    found = read(tmp_path / "log", "contacts.jsonl", lines(row), "hubspot_lifecycle")
    told = sorted(found["events"], key=lambda row: row["occurred_at"])
    assert [row["stage"] for row in told] == ["lead", "customer"]


def test_salesforce_histories_are_one_timeline_of_stages(tmp_path: Path) -> None:
    opportunity = (
        "OpportunityId,ContactId,StageName,Amount,CreatedDate\n"
        "0061x00000AbCdEAAV,0031x00000XyZaBAAV,Prospecting,1000,2027-03-01T09:00:00.000+0000\n"
        "0061x00000AbCdEAAV,0031x00000XyZaBAAV,Prospecting,2000,2027-03-02T09:00:00.000+0000\n"
        "0061x00000AbCdE,0031x00000XyZaB,Closed Won,2000,2027-03-03T09:00:00.000+0000\n"
    )
    lead = (
        "LeadId,ConvertedContactId,Field,OldValue,NewValue,CreatedDate\n"
        "00Q1x00000LeadAEAV,0031x00000XyZaBAAV,Status,Open,Working,2027-02-01T09:00:00.000+0100\n"
        "00Q1x00000LeadAEAV,0031x00000XyZaBAAV,Owner,a,b,2027-02-02T09:00:00.000+0000\n"
        "00Q1x00000LeadAEAV,0031x00000XyZaBAAV,leadConverted,,,2027-02-03T09:00:00.000+0000\n"
        ",,Status,Open,Working,2027-02-01T09:00:00.000+0000\n"
    )
    folder = tmp_path / "log"
    folder.mkdir()
    mapped = "format: salesforce\nstages: {Closed Won: customer, Prospecting: opportunity}\n"
    written(folder, "opportunities.csv", opportunity, mapped)
    written(folder, "leads.csv", lead, mapped)
    found = ingested(folder)
    told = sorted(found["events"], key=lambda row: row["occurred_at"])
    stages = [row["stage"] for row in told]
    assert stages == ["Working", "converted", "opportunity", "customer"]
    assert [row["value"] for row in told] == [None, None, 1000.0, 2000.0]
    assert told[0]["occurred_at"].hour == 8
    assert len({row["contact_id"] for row in told}) == 1
    assert len(found["quarantine"]) == 3


def test_two_people_of_an_opportunity_stay_two(tmp_path: Path) -> None:
    rows = [
        {
            "OpportunityId": "0061x00000AbCdE",
            "ContactId": f"0031x00000XyZa{name}",
            "StageName": "Prospecting",
            "CreatedDate": "2027-03-01T09:00:00.000+0000",
        }
        for name in "Bb"  # only their capitals differ
    ]
    found = read(tmp_path / "log", "rows.jsonl", lines(*rows), "salesforce")
    assert len({row["contact_id"] for row in found["events"]}) == 2


def test_listmonks_tables_name_one_person_by_number_uuid_and_address(tmp_path: Path) -> None:
    folder, at = tmp_path / "log", "2027-03-01 09:00:00.25+00"
    folder.mkdir()
    attributes = '"{""contact_id"": ""ada""}"'
    tables = {
        "subscribers": "id,uuid,email,name,attribs,status,created_at,updated_at\n"
        f"7,u-7,{ADDRESS},Ada,{attributes},enabled,{at},{at}\n"
        f"8,u-8,bob@example.com,Bob,{{}},blocklisted,{at},{at}\n",
        "campaign_views": f"id,campaign_id,subscriber_id,created_at\n1,3,7,{at}\n2,3,,{at}\n",
        "link_clicks": f"id,campaign_id,link_id,subscriber_id,created_at\n1,3,5,7,{at}\n",
        "subscriber_lists": "subscriber_id,list_id,status,created_at,updated_at\n"
        f"7,1,unsubscribed,{at},2027-03-04 09:00:00+00\n8,1,confirmed,{at},{at}\n"
        f"7,2,gone,{at},{at}\n",
    }
    for name, text in tables.items():
        written(folder, f"{name}.csv", text, "format: listmonk\n")
    bounces = [
        {
            "id": i,
            "type": kind,
            "created_at": "2027-03-02T23:54:22.851858Z",
            "email": ADDRESS,
            "subscriber_uuid": "u-7",
            "subscriber_id": 7,
            "campaign": {"id": 3, "name": "Test"},
        }
        for i, kind in enumerate(("soft", "hard", "complaint", "odd"))
    ]
    pages = [{"data": {"results": bounces[:2], "total": 4}}, {"data": {"results": bounces[2:]}}]
    written(folder, "bounces.jsonl", lines(*pages), "format: listmonk\n")
    found = ingested(folder)
    kinds = ["open", "click", "soft_bounce", "hard_bounce", "complaint", "unsubscribe"]
    assert Counter(types(found["events"])) == Counter(kinds)
    assert {row["contact_id"] for row in found["events"]} == {"ada"}
    assert {row["message_id"] for row in found["events"]} == {"3", None}
    assert found["events"][-1]["occurred_at"].day == 4
    assert ADDRESS not in str([row["properties"] for row in found["events"]])
    assert {row["consent"] for row in found["contacts"]} == {False}
    assert Counter(row["reason"].partition(":")[0] for row in found["quarantine"]) == {
        "left out by the mapping": 2,
        "not understood": 2,
    }


@pytest.mark.parametrize(
    ("state", "lists", "consent"),
    [
        ("enabled", ["unsubscribed", "confirmed"], True),
        ("enabled", ["unsubscribed"], False),
        ("enabled", ["unconfirmed"], False),
        ("blocklisted", ["confirmed"], False),
    ],
)
def test_a_subscriber_of_listmonk_has_agreed_by_a_confirmed_list_alone(
    tmp_path: Path, state: str, lists: list[str], consent: bool
) -> None:
    subscribed = [{"id": i, "subscription_status": one} for i, one in enumerate(lists)]
    row = {"id": 7, "uuid": "u", "email": ADDRESS, "status": state, "lists": subscribed}
    view = {"campaign_id": 3, "subscriber_id": 7, "created_at": iso(AT)}
    found = read(tmp_path / "log", "rows.jsonl", lines(row, view), "listmonk")
    assert [one["consent"] for one in found["contacts"]] == [consent]


def test_page_streams_have_browsers_as_keys_and_robots_as_machines(tmp_path: Path) -> None:
    ga4 = [
        {
            "event_timestamp": str(int(AT * 1e6)),
            "event_name": name,
            "user_pseudo_id": "g.1",
            "event_params": [
                {"key": "page_location", "value": {"string_value": "https://example.com/a?b=c"}},
                {"key": "value", "value": {"double_value": 25.5}},
            ],
        }
        for name in ("page_view", "purchase", "session_start", "video_start")
    ]
    snowplow = [
        {
            "event_id": f"e-{i}",
            "event_name": name,
            "domain_userid": "d-1",
            "user_id": "ada",
            "collector_tstamp": "2027-02-28 23:00:01.250",
            "page_urlpath": "/pricing",
            "contexts_com_iab_snowplow_spiders_and_robots_1": [{"spiderOrRobot": i == 1}],
        }
        for i, name in enumerate(["page_view", "page_view", "page_ping", "submit_form"])
    ]
    folder = tmp_path / "log"
    folder.mkdir()
    written(folder, "ga.jsonl", lines(*ga4), "format: ga4\n")
    written(folder, "sp.jsonl", lines(*snowplow), "format: snowplow\n")
    found = ingested(folder)
    told = Counter(types(found["events"]))
    assert told == Counter(
        ["page_view", "purchase", "activity", "page_view", "page_view*", "form_submitted"]
    )
    assert {row["value"] for row in found["events"]} == {None, 25.5}
    assert len({row["contact_id"] for row in found["events"]}) == 2
    assert [row["reason"].partition(":")[0] for row in found["quarantine"]] == [
        "left out by the mapping"
    ] * 2


def test_parquet_has_times_and_amounts_of_its_own_types(tmp_path: Path) -> None:
    at = datetime(2027, 3, 1, 9)
    row = {"event_id": "e-1", "event_name": "transaction", "domain_userid": "d-1"}
    columns = {**row, "collector_tstamp": at, "tr_total": Decimal("25.50")}
    folder = tmp_path / "log"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist([columns]), folder / "rows.parquet")
    (folder / "rows.map.yaml").write_text("file: rows.parquet\nformat: snowplow\n")
    (found,) = ingested(folder)["events"]
    assert (found["occurred_at"], found["value"]) == (at.replace(tzinfo=UTC), 25.5)


def test_a_file_that_was_cut_off_is_refused_as_a_whole(tmp_path: Path) -> None:
    row, _ = documented("sendgrid", AT)[0]
    whole = gzip.compress(lines(*[row] * 100).encode())
    with pytest.raises(LogError, match="a whole, readable file"):
        read(tmp_path / "log", "rows.jsonl.gz", whole[:-20], "sendgrid")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format: sendgird", "sendgrid"),
        ("format: sendgrid\ntables: {}", "tables"),
        ("format: sendgrid\ntimes: iso", "times"),
    ],
)
def test_a_mapping_of_a_format_says_nothing_that_the_format_says(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "rows.map.yaml"
    path.write_text(f"file: rows.jsonl\n{text}\n")
    with pytest.raises(LogError, match=message):
        load_mapping(path)


def test_every_format_has_its_rows_here() -> None:
    here = {"hubspot_email", "hubspot_lifecycle", "listmonk", "salesforce", "ga4", "snowplow"}
    here |= {"hubspot_crm"}  # test_closed_deals
    assert set(FORMATS) == {*CASES, *here}
