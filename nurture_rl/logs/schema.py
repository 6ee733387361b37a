"""The three tables of a contact log: columns, words, and the looser raw form of each."""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa

UTC_TIME = pa.timestamp("us", tz="UTC")
WALL_TIME = pa.timestamp("us")  # local wall clock: carries no zone on purpose

EVENT_TYPES = frozenset(
    {
        "sent",
        "delivered",
        "deferred",
        "hard_bounce",
        "soft_bounce",
        "dropped",
        "open",
        "click",
        "complaint",
        "unsubscribe",
        "resubscribe",
        "reply",
        "page_view",
        "form_submitted",
        "product_used",
        "snoozed",
        "meeting_booked",
        "meeting_held",
        "meeting_no_show",
        "sales_activity",
        "escalated",
        "slowed",
        "opportunity_opened",
        "opportunity_closed",
        "stage_changed",
        "purchase",
        "offer_completed",
        "visit",
        "activity",
        "consent_given",
        "consent_withdrawn",
    }
)

REPLY_CLASSES = frozenset(
    {"positive", "objection", "question", "out_of_office", "unsubscribe_request", "negative"}
    | {"wrong_person"}
)

# Lies beside exported decisions and vouches for them; it is no table of a log.
CHAIN_FILE = "chain.parquet"
# Tables of an export that say more of its decisions; no table of a log.
BESIDE = tuple(
    f"{name}.{form}" for name in ("shadows", "episodes", "ghosts") for form in ("parquet", "csv")
)


def plan_file(experiment: str) -> str:
    """Name of the file, beside exported decisions, of the plan by which contacts were dealt.

    Args:
        experiment: content hash of the experiment, as decisions name it.
    """
    return f"plan-{experiment}.yaml"


def is_plan_file(name: str) -> bool:
    """Whether a file of an export is the plan of an experiment."""
    return name.startswith("plan-") and name.endswith(".yaml")


class TableKind(StrEnum):
    """The tables of a log; the value is the stem of its file names."""

    EVENTS = "events"
    CONTACTS = "contacts"
    DECISIONS = "decisions"


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


EVENTS = pa.schema(
    [
        _required("event_id", pa.string()),
        _required("contact_id", pa.string()),
        _required("occurred_at", UTC_TIME),
        _required("recorded_at", UTC_TIME),
        _required("type", pa.string()),
        _required("source", pa.string()),
        pa.field("message_id", pa.string()),
        pa.field("decision_id", pa.string()),
        pa.field("topic", pa.string()),
        pa.field("page_category", pa.string()),
        pa.field("reply_class", pa.string()),
        pa.field("stage", pa.string()),
        pa.field("value", pa.float64()),
        _required("is_machine", pa.bool_()),
        _required("properties", pa.string()),  # JSON object
    ]
)

CONTACTS = pa.schema(
    [
        _required("contact_id", pa.string()),
        pa.field("account_id", pa.string()),
        pa.field("time_zone", pa.string()),  # IANA name
        _required("zone_confidence", pa.float64()),  # in [0, 1]
        _required("consent", pa.bool_()),
        _required("attributes", pa.string()),  # JSON object
    ]
)

DECISIONS = pa.schema(
    [
        _required("decision_id", pa.string()),
        _required("contact_id", pa.string()),
        _required("journey", pa.string()),
        _required("episode_id", pa.string()),
        _required("anchor", WALL_TIME),
        _required("step", pa.int32()),
        _required("decided_at", UTC_TIME),
        _required("action", pa.string()),
        pa.field("propensity", pa.float64()),  # null when the log does not say; never 1 instead
        _required("probabilities", pa.list_(pa.float64())),
        _required("mask", pa.list_(pa.bool_())),
        _required("policy_id", pa.string()),
        _required("arm", pa.string()),
        _required("deferred", pa.bool_()),
        pa.field("features", pa.list_(pa.float32())),
        _required("catalog", pa.string()),  # hash of the action catalogue
    ]
)

# What decisions may say of their episode besides; a checked table has these only where a log does.
OF_EPISODE = pa.schema(
    [
        pa.field("ended_at", UTC_TIME),  # by what no signal tells of; what follows is not its own
        pa.field("paused_at", UTC_TIME),  # since when a person has paused the contact
    ]
)

# Likewise, of a server's experiment.
OF_EXPERIMENT = pa.schema(
    [
        pa.field("experiment", pa.string()),  # content hash of the one that dealt the contact
    ]
)

# Likewise, of where propensities come from; without it they are the logging policy's own word.
OF_PROPENSITY = pa.schema(
    [
        pa.field("propensity_source", pa.string()),  # `estimated`: a model's; null: logged
    ]
)

IDENTITY = pa.schema(
    [
        _required("key", pa.string()),  # "kind:value"; an explicit contact id is "id:<contact_id>"
        pa.field("contact_id", pa.string()),  # null for a shared key, which names nobody
        pa.field("linked_at", UTC_TIME),  # null: known from the start
        _required("shared", pa.bool_()),
    ]
)

QUARANTINE = pa.schema(
    [
        _required("file", pa.string()),
        _required("line", pa.int64()),  # 1-based; the row number in a Parquet file
        _required("table", pa.string()),
        _required("reason", pa.string()),  # "<kind of problem>: <detail>"
        _required(
            "raw", pa.string()
        ),  # JSON text of the row, or of the unreadable line as a string
    ]
)

TABLES: dict[TableKind, pa.Schema] = {
    TableKind.EVENTS: EVENTS,
    TableKind.CONTACTS: CONTACTS,
    TableKind.DECISIONS: DECISIONS,
}

FILE_COLUMN = "_file"
LINE_COLUMN = "_line"


def raw_schema(kind: TableKind) -> pa.Schema:
    """The columns of a checked raw row: the table's own, all nullable, then `keys`, file and line.

    Decisions have those of `OF_EPISODE`, `OF_EXPERIMENT` and `OF_PROPENSITY` too.

    `contact_id` may be null where `keys` (list of "kind:value" strings) names the contact instead.
    """
    fields = [field.with_nullable(True) for field in TABLES[kind]]
    fields += [*OF_EPISODE, *OF_EXPERIMENT, *OF_PROPENSITY] if kind is TableKind.DECISIONS else []
    return pa.schema(
        [
            *fields,
            pa.field("keys", pa.list_(pa.string())),
            pa.field(FILE_COLUMN, pa.string()),
            pa.field(LINE_COLUMN, pa.int64()),
        ]
    )
