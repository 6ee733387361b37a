"""Page streams in our words: events of Google Analytics 4, and enriched ones of Snowplow.

Source: Google Analytics 4, BigQuery export schema, and Measurement protocol; Snowplow's canonical
    event model.
"""

from __future__ import annotations

import re
from typing import Any

from nurture_rl.logs.device_rules import device_of
from nurture_rl.logs.reported.report_format import (
    ReportedEvent,
    ReportFormat,
    Row,
    UntranslatedRow,
)
from nurture_rl.logs.reported.reported_cells import (
    argument,
    given,
    inside,
    link,
    made_id,
    moment,
    own_id,
    plain_word,
    text_of,
    told,
)

_GA4 = {
    "page_view": "page_view",
    "screen_view": "page_view",
    "form_submit": "form_submitted",
    "generate_lead": "form_submitted",
    "purchase": "purchase",
}
# What a browser does by itself.
_GA4_OWN = ("session_start", "first_visit", "user_engagement", "scroll", "form_start")
_SNOWPLOW = {"page_view": "page_view", "submit_form": "form_submitted", "transaction": "purchase"}
_SNOWPLOW_OWN = ("page_ping", "transaction_item", "focus_form", "change_form")
_ROBOTS = "contexts_com_iab_snowplow_spiders_and_robots_1"
_ZONED = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$")


def _ga4_unwrap(body: Row) -> list[Any]:
    """A row of the export, or the events of a request of the Measurement protocol."""
    if not isinstance(events := body.get("events"), list):
        return [body]
    shared = {name: cell for name, cell in body.items() if name != "events"}
    return [{**shared, **one} if isinstance(one, dict) else one for one in events]


def _ga4_events(row: Row) -> list[ReportedEvent]:
    """What an event says. It has no id of its own: one is made of all that it says."""
    name = text_of(row.get("event_name")) or text_of(row.get("name"))
    if name is None:
        raise UntranslatedRow("expected the name of an event - at `$.event_name`", False)
    if name in _GA4_OWN:
        raise UntranslatedRow(f"{name!r} is what a browser does by itself", False)
    params = _params(row)
    browser = argument("user_pseudo_id", row) or argument("client_id", row)
    at = row.get("event_timestamp", row.get("timestamp_micros"))
    kind = _GA4.get(name, "activity")
    told_params = sorted((str(key), str(cell)) for key, cell in params.items())
    cells = given(
        {
            "event_id": made_id("ga4", (browser, row.get("user_id"), at, name, told_params)),
            "contact_id": argument("user_id", row),
            "occurred_at": moment(at, 1_000_000),
            "type": kind,
            "source": "ga4",
            "page_category": text_of(params.get("content_group")) if kind == "page_view" else None,
            "value": params.get("value") if kind == "purchase" else None,
            "is_machine": False,
            "properties": told(
                {
                    "event": name,
                    "url": link(params.get("page_location")),
                    "device": device_of(inside(row, "device").get("category")),
                    "campaign": params.get("campaign"),
                }
            ),
        }
    )
    keys = () if browser is None else (f"ga4:{browser}",)
    return [ReportedEvent(cells, None, keys)]


def _params(row: Row) -> Row:
    """The parameters: an object, or the list of the export with each value under its type."""
    found = row.get("event_params", row.get("params"))
    if isinstance(found, dict):
        return found
    params: Row = {}
    for one in found if isinstance(found, list) else []:
        if isinstance(one, dict) and isinstance(one.get("key"), str):
            values = inside(one, "value").values()
            params[one["key"]] = next((cell for cell in values if cell is not None), None)
    return params


def _snowplow_events(row: Row) -> list[ReportedEvent]:
    """What an enriched event says, with the flag of robots where that enrichment was on."""
    name = plain_word(row.get("event_name") or row.get("event"))
    if not name:
        raise UntranslatedRow("expected the name of an event - at `$.event_name`", False)
    if name in _SNOWPLOW_OWN:
        raise UntranslatedRow(f"{name!r} is what a browser does by itself", False)
    browser, kind = argument("domain_userid", row), _SNOWPLOW.get(name, "activity")
    page = "".join(str(row.get(part) or "") for part in ("page_urlhost", "page_urlpath"))
    cells = given(
        {
            "event_id": own_id("snowplow", row.get("event_id")),
            "contact_id": argument("user_id", row),
            "occurred_at": _utc(row.get("derived_tstamp") or row.get("collector_tstamp")),
            "type": kind,
            "source": "snowplow",
            "value": argument("tr_total", row) if kind == "purchase" else None,
            "is_machine": _is_robot(row),
            "properties": told(
                {
                    "event": row.get("se_action") if name in ("event", "struct") else name,
                    "category": row.get("se_category"),
                    "label": row.get("se_label"),
                    "url": link(row.get("page_url")) or page or None,
                    "device": device_of(row.get("dvce_type"), row.get("useragent")),
                    "campaign": row.get("mkt_campaign"),
                    "medium": row.get("mkt_medium"),
                }
            ),
        }
    )
    keys = () if browser is None else (f"snowplow:{browser}",)
    return [ReportedEvent(cells, None, keys)]


def _utc(cell: Any) -> Any:
    """A moment as Snowplow writes it: in UTC, without saying so."""
    return f"{cell}Z" if isinstance(cell, str) and cell and not _ZONED.search(cell) else cell


def _is_robot(row: Row) -> bool:
    contexts = row.get(_ROBOTS)
    rows = contexts if isinstance(contexts, list) else []
    return any(isinstance(one, dict) and one.get("spiderOrRobot") is True for one in rows)


GA4 = ReportFormat("ga4", _ga4_events, _ga4_unwrap)
SNOWPLOW = ReportFormat("snowplow", _snowplow_events)
