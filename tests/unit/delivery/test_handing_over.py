"""The verb `handoffs`: a line for each open task, in the words of sales or of their CRM."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from nurture_envs.clock import HOUR_US
from nurture_rl.delivery.handing_over import HandoffOptions, hand_over
from nurture_rl.errors import ConfigError, DeliveryError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import load_bundle
from nurture_rl.serving.contacts.viewing import Ask
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import Clock, contact, event, follow, service

TEXT = {"type": "string", "minLength": 1}
KIND = {
    "type": "object",
    "required": ["associationCategory", "associationTypeId"],
    "properties": {
        "associationCategory": {"const": "HUBSPOT_DEFINED"},
        "associationTypeId": {"enum": [192, 204]},
    },
}
# What the documentation of both shows; neither product is here.
HUBSPOT = {
    "type": "object",
    "required": ["properties", "associations"],
    "additionalProperties": False,
    "properties": {
        "properties": {
            "type": "object",
            "required": ["hs_timestamp"],
            "additionalProperties": False,
            "properties": {
                **dict.fromkeys(("hs_task_subject", "hs_task_body", "hubspot_owner_id"), TEXT),
                "hs_timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT.*Z$"},
                "hs_task_status": {"enum": ["NOT_STARTED", "IN_PROGRESS", "COMPLETED"]},
                "hs_task_priority": {"enum": ["LOW", "MEDIUM", "HIGH"]},
                "hs_task_type": {"enum": ["CALL", "EMAIL", "TODO"]},
            },
        },
        "associations": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["to", "types"],
                "properties": {
                    "to": {"type": "object", "required": ["id"], "properties": {"id": TEXT}},
                    "types": {"type": "array", "minItems": 1, "items": KIND},
                },
            },
        },
    },
}
SALESFORCE = {
    "type": "object",
    "required": ["Subject", "Status", "Priority"],
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("WhoId", "WhatId", "OwnerId"), TEXT),
        "Subject": {"type": "string", "maxLength": 255},
        "Description": {"type": "string", "maxLength": 32_000},
        "ActivityDate": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
        "Status": {"enum": ["Not Started", "In Progress", "Completed", "Deferred"]},
        "Priority": {"enum": ["High", "Normal", "Low"]},
    },
}
PRICING = """Subject: Prices

Hello {{first_name|there}},
[[block table]]
a table
[[end]]
[[block calculator]]
a calculator
[[end]]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a bundle, and a store that passed ada and her colleague bob on to sales."""
    bundle = small_bundle(tmp_path / "bundle")
    clock = Clock(int(time.time() * 1e6))
    served = service(bundle, tmp_path / "s.db", clock)
    served.store.put_contacts([contact(n, account_id="ACME") for n in ("ada", "bob")])
    context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
    follow(served, build_policy("always:escalate", context))
    seen = clock.now_us - HOUR_US
    served.append_events([event("page_view", seen, "ada", page_category="pricing")])
    for name in ("ada", "bob"):
        served.decide([Ask(name, f"call-{name}")])
    served.store.close()
    (tmp_path / "crm.csv").write_text("contact_id,crm_id,crm_account_id\nADA,0031,0011\n", "utf-8")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "pricing_guide.txt").write_text(PRICING, "utf-8")
    return tmp_path


def told(folder: Path, **changes: Any) -> list[dict[str, Any]]:
    given = {"bundle": str(folder / "bundle"), "store": str(folder / "s.db")}
    options = HandoffOptions(**{**given, "out": str(folder / "calls.jsonl"), **changes})
    hand_over(options)
    return [json.loads(line) for line in Path(options.out).read_text("utf-8").splitlines()]


def test_a_packet_has_the_openers_approved_words(folder: Path) -> None:
    (one,) = told(folder, templates=str(folder / "templates"))
    assert (one["handoff_id"], one["colleagues"], one["status"]) == ("call-ada", ["bob"], "open")
    assert one["opener_text"].splitlines()[0] == "Hello {{first_name}},"
    assert "[[" not in one["opener_text"]
    assert (folder / "calls.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("form", "schema"), [("hubspot", HUBSPOT), ("salesforce", SALESFORCE)])
def test_a_task_has_the_shape_that_the_crm_documents(
    folder: Path, form: str, schema: dict[str, Any]
) -> None:
    told_by = {"crm_ids": str(folder / "crm.csv"), "templates": str(folder / "templates")}
    (one,) = told(folder, form=form, **told_by)
    Draft202012Validator(schema).validate(one["task"])
    body = one["task"].get("Description") or one["task"]["properties"]["hs_task_body"]
    for words in ("no automatic mail", "Also waiting in this account: bob", "pricing", "a table"):
        assert words in body
    assert "0031" in json.dumps(one["task"])
    assert "0011" in json.dumps(one["task"])


def test_a_contact_without_a_crm_id_stops_before_anything_is_written(folder: Path) -> None:
    (folder / "crm.csv").write_text("contact_id,crm_id\nbob,1\n", "utf-8")
    with pytest.raises(DeliveryError, match="got none of 1: 'ada'"):
        told(folder, form="hubspot", crm_ids=str(folder / "crm.csv"))
    assert not (folder / "calls.jsonl").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": "calls.csv"}, "ends in .jsonl"),
        ({"form": "hubspot"}, "expected crm_ids with form"),
        ({"crm_ids": "crm.csv"}, "expected crm_ids with form"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    assert load_bundle(folder / "bundle").journey.name == "inbound_lead"
    with pytest.raises(ConfigError, match=message):
        told(folder, **changes)
