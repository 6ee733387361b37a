"""CloudEvents 1.0 whose data is an event in our columns.

Source: CloudEvents specification 1.0: required attributes; source and id together name an event.
"""

from __future__ import annotations

from nurture_rl.logs.reported.report_format import (
    ReportedEvent,
    ReportFormat,
    Row,
    UntranslatedRow,
)
from nurture_rl.logs.reported.reported_cells import argument, given, made_id, text_of

_REQUIRED = ("id", "source", "specversion", "type")
_VERSION = "1.0"


def _events(row: Row) -> list[ReportedEvent]:
    """What an event says: its data is a row of `POST /v1/events`, and lacks may be its attributes.

    The type is the data's, or what stands behind the last point of the event's own. Source and id
    of the event name it, whatever the data says.
    """
    missing = [name for name in _REQUIRED if not text_of(row.get(name))]
    if missing:
        raise UntranslatedRow(f"expected the attributes {', '.join(_REQUIRED)}; lacks {missing[0]}")
    if row["specversion"] != _VERSION:
        text = f"expected specversion {_VERSION}, got {row['specversion'][:20]!r}"
        raise UntranslatedRow(text)
    if not isinstance(row.get("data"), dict):
        raise UntranslatedRow("expected an object of cells - at `$.data`")
    data = given(row["data"])
    email = text_of(data.pop("email", None))
    own = {name: cell for name, cell in data.items() if name != "contact_id"}
    cells: Row = {
        "contact_id": argument("contact_id", data) or text_of(row.get("subject")),
        "occurred_at": row.get("time"),
        "type": row["type"].rpartition(".")[2],
        "is_machine": False,
        "properties": {},
        **own,
        "event_id": made_id("cloudevents", (row["source"], row["id"])),
        "source": "cloudevents",
    }
    if isinstance(cells["properties"], dict):
        cells["properties"] = {**cells["properties"], "from": row["source"][:200]}
    return [ReportedEvent(given(cells), email)]


CLOUDEVENTS = ReportFormat("cloudevents", _events, names_mails=False)
