"""Deals that were won or lost, and meetings: why and how, in words that signals can name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.logs.reported.crm_words import REASONS, close_reason
from tests.unit.logs.mapped_files import ingested, written

SALESFORCE = (
    "OpportunityId,ContactId,Field,OldValue,NewValue,CreatedDate\n"
    "0061x00000AbCdE,0031x00000XyZaB,StageName,Prospecting,Closed Lost,2027-03-02T09:00:00Z\n"
    "0061x00000AbCdE,0031x00000XyZaB,Loss_Reason__c,,Went with a competitor,2027-03-02T09:00:01Z\n"
    "0061x00000AbCdE,0031x00000XyZaB,Loss_Reason__c,Went with a competitor,,2027-03-03T09:00:00Z\n"
    "0061x00000AbCdF,0031x00000XyZaB,Closed_Won_Reason__c,,Price,2027-03-04T09:00:00Z\n"
)


def closed(found: Any) -> list[tuple[Any, ...]]:
    told = sorted(found["events"], key=lambda row: row["occurred_at"])
    return [
        (row["type"], row["stage"], row["topic"], row["occurred_at"].strftime("%m-%d"))
        for row in told
    ]


def read(folder: Path, name: str, text: str, format: str, more: str = "") -> Any:
    folder.mkdir(exist_ok=True)
    written(folder, name, text, f"format: {format}\n{more}")
    return ingested(folder)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Too expensive", "price"),
        ("Zu teuer", "price"),
        ("Lost to a Competitor!", "competitor"),
        ("No budget this year", "no_budget"),
        ("Bad timing - ask again in Q3", "timing"),
        ("Missing feature: SSO", "missing_feature"),
        ("Not a good fit", "no_fit"),
        ("No response", "no_answer"),
        ("no_decision", "no_decision"),
        ("Status quo", "no_decision"),
        ("Negative sentiment", "other"),
        ("Sunspots", "other"),
        ("  ", None),
        (None, None),
    ],
)
def test_free_text_becomes_a_word_of_the_closed_vocabulary(text: Any, word: str | None) -> None:
    assert close_reason(text) == word


def test_every_word_stands_for_itself() -> None:
    assert [close_reason(word) for word in REASONS] == list(REASONS)
    assert [close_reason(word.replace("_", " ").title()) for word in REASONS] == list(REASONS)


def test_salesforce_tells_why_an_opportunity_ended(tmp_path: Path) -> None:
    more = "stages: {Closed Lost: lost}\n"
    found = read(tmp_path / "log", "history.csv", SALESFORCE, "salesforce", more)
    assert closed(found) == [
        ("stage_changed", "lost", None, "03-02"),
        ("opportunity_closed", "lost", "competitor", "03-02"),
        ("opportunity_closed", "won", "price", "03-04"),
    ]
    assert json.loads(found["events"][-1]["properties"])["reason"] in (
        "Went with a competitor",
        "Price",
    )
    assert len(found["quarantine"]) == 1  # a reason that was taken away


HUBSPOT: list[dict[str, Any]] = [
    {
        "hs_object_id": "1",
        "dealstage": "closedlost",
        "closedate": "2027-03-05T10:00:00Z",
        "closed_lost_reason": "Budget was cut",
        "amount": "1200.50",
        "Associated Contact IDs": "7; 8",
    },
    {
        "Record ID": "2",
        "Deal Stage": "Closed Won",
        "Close Date": "2027-03-06T10:00:00Z",
        "Closed Won Reason": "Great support",
        "Email": "ada@example.com",
    },
    {"Record ID": "3", "Deal Stage": "Contract Sent", "Associated Contact IDs": "7"},
    {"Record ID": "4", "Deal Stage": "Closed Won", "Close Date": "2027-03-06T10:00:00Z"},
    {
        "id": "5",
        "properties": {
            "hs_meeting_outcome": "NO_SHOW",
            "hs_meeting_start_time": "2027-03-07T10:00:00Z",
        },
        "contactId": 7,
    },
    {
        "id": "6",
        "properties": {
            "hs_meeting_outcome": "COMPLETED",
            "hs_meeting_start_time": "2027-03-08T10:00:00Z",
        },
        "contactId": 7,
    },
    {
        "id": "7",
        "properties": {"hs_meeting_outcome": "SCHEDULED", "hs_createdate": 1804500000000},
        "contactId": 7,
    },
    {"id": "8", "properties": {"hs_meeting_outcome": "CANCELED"}, "contactId": 7},
]


def test_hubspots_deals_and_meetings_are_counted_whole(tmp_path: Path) -> None:
    text = "".join(json.dumps(row) + "\n" for row in HUBSPOT)
    found = read(tmp_path / "log", "crm.jsonl", text, "hubspot_crm")
    assert closed(found) == [
        ("opportunity_closed", "lost", "no_budget", "03-05"),
        ("opportunity_closed", "lost", "no_budget", "03-05"),
        ("opportunity_closed", "won", "trust", "03-06"),
        ("meeting_no_show", None, None, "03-07"),
        ("meeting_booked", None, None, "03-08"),
        ("meeting_held", None, None, "03-08"),
    ]
    people = {row["contact_id"] for row in found["events"]}
    assert len(people) == 3  # 7, 8 and ada
    assert [row["value"] for row in found["events"] if row["topic"] == "no_budget"] == [1200.5] * 2
    assert len(found["quarantine"]) == 3  # open, nobody, cancelled
    again = read(tmp_path / "twice", "crm.jsonl", text + text, "hubspot_crm")
    assert closed(again) == closed(found)


@pytest.mark.parametrize("people", [7, 7.0, "7", "7.0", " 7 ; 7.0", [7, "7.0", True]])
def test_an_id_names_the_same_person_however_a_file_writes_it(tmp_path: Path, people: Any) -> None:
    row = {**HUBSPOT[0], "Associated Contact IDs": people}
    told = read(tmp_path / "log", "deals.jsonl", json.dumps(row) + "\n", "hubspot_crm")
    plain = {**row, "Associated Contact IDs": "7"}
    same = read(tmp_path / "plain", "deals.jsonl", json.dumps(plain) + "\n", "hubspot_crm")
    assert [one["event_id"] for one in told["events"]] == [
        one["event_id"] for one in same["events"]
    ]
    assert len(told["events"]) == 1
    assert not told["quarantine"]


@pytest.mark.parametrize("amount", ["nan", "inf", "-Infinity", "1_200", "1.200,50", "1,200"])
def test_an_amount_that_is_no_number_is_refused(tmp_path: Path, amount: str) -> None:
    rows = [{**HUBSPOT[0], "amount": amount}, {**HUBSPOT[0], "hs_object_id": "9"}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    told = read(tmp_path / "log", "deals.jsonl", text, "hubspot_crm")
    assert {one["value"] for one in told["events"]} == {1200.5}
    assert {one["line"] for one in told["quarantine"]} == {1}
