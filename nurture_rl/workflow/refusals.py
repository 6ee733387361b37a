"""What of a journey's log was set aside: written to its quarantine, counted, and limited."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_rl.features.usable import HARMLESS, KnownBad
from nurture_rl.logs.checks import UNKNOWN_TYPE
from nurture_rl.logs.fingerprint import fingerprint
from nurture_rl.logs.kept_private import BY_RULES
from nurture_rl.logs.mapped.translating import LEFT_OUT
from nurture_rl.logs.quarantine import BROKEN, causes_first, sift
from nurture_rl.logs.schema import FILE_COLUMN, LINE_COLUMN, QUARANTINE, TableKind
from nurture_rl.wording import plural

# What takes nothing away from the rest: second copies, what came after an end, strangers' words.
_TAKES_NOTHING = (*HARMLESS, "redelivered", UNKNOWN_TYPE, "shared keys only", LEFT_OUT)
_SAME = ("episode_id", "step", "action")  # of two rows of one decision id


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """One row that was set aside."""

    table: str
    file: str
    line: int  # 1-based
    reason: str  # "<kind of problem>: <detail>"


def known_bad(tables: Path, decisions: pa.Table, max_refused: float) -> KnownBad:
    """What the rows' own checks speak against: episodes with a refused row, contacts without one.

    Episodes with a decision that has no propensity are among them while they are few: a log that
    hardly ever says its propensities is kept for what it is good for without.

    Args:
        tables: the checked tables and their quarantine.
        decisions: the checked decisions.
        max_refused: largest share of decisions that may be set aside, in [0, 1].
    """
    people = pq.read_table(tables / "identity.parquet").to_pylist()
    contact_of = {row["key"]: row["contact_id"] for row in people if row["contact_id"]}
    named = pq.read_table(tables / "places.parquet").filter(pc.field("table") == "contacts")
    present = set(named["id"].to_pylist())
    kept = decisions.select(["decision_id", *_SAME]).to_pylist()
    twin_of = {row["decision_id"]: row for row in kept}
    episodes, contacts = _without_propensity(decisions, max_refused), dict[str, str]()
    unplaced = 0
    for row in _quarantined(tables):
        raw = _row(row["raw"])
        whose = _contact(raw, contact_of)
        where = f"{row['file']}, line {row['line']} ({row['reason']})"
        if row["table"] == TableKind.CONTACTS and whose is not None and whose not in present:
            contacts[whose] = f"bad contact: {whose!r} is known from nowhere but {where}"
        if row["table"] != TableKind.DECISIONS or _is_copy(row["reason"], raw, twin_of):
            continue
        if raw.get("episode_id"):
            told = f"{BROKEN}: a decision of {raw['episode_id']!r} is refused in {where}"
            episodes.setdefault(str(raw["episode_id"]), told)
        elif whose is not None:
            told = f"{BROKEN}: a decision of contact {whose!r} is refused in {where}"
            contacts.setdefault(whose, told)
        else:
            unplaced += 1
    return KnownBad(episodes, contacts, unplaced)


def _is_copy(reason: str, raw: Mapping[str, Any], twin_of: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a refused decision says what a kept one of its id says, so that nothing is lost."""
    if reason.startswith("redelivered"):
        return True
    if not reason.startswith("duplicate decision_id"):
        return False
    twin = twin_of.get(str(raw.get("decision_id")))
    return twin is not None and all(raw.get(name) == twin[name] for name in _SAME)


def settle(tables: Path, reasons: Mapping[str, str]) -> None:
    """Move decisions into the quarantine: tables, counts and fingerprint then say what is left.

    Args:
        tables: the checked tables, their quarantine and summary.
        reasons: why, by decision id.
    """
    if not reasons:
        return
    decisions = pq.read_table(tables / "decisions.parquet")
    ids = decisions["decision_id"].to_pylist()
    against = pa.array([reasons.get(name) for name in ids], pa.string())
    kept, refused = sift(_placed(tables, decisions), TableKind.DECISIONS, against)
    kept = kept.drop_columns([FILE_COLUMN, LINE_COLUMN]).cast(decisions.schema)
    quarantine = pa.concat_tables([pq.read_table(tables / "quarantine.parquet"), refused])
    order = [(name, "ascending") for name in ("table", "file", "line", "reason")]
    pq.write_table(kept, tables / "decisions.parquet", compression="zstd")
    pq.write_table(quarantine.sort_by(order), tables / "quarantine.parquet")
    path = tables / "summary.json"
    summary = json.loads(path.read_text("utf-8"))
    for table in summary["tables"]:
        if table["table"] == TableKind.DECISIONS:
            counts = Counter(table["reasons"])
            counts.update(reason.split(":")[0] for reason in reasons.values())
            table["kept"] -= len(reasons)
            table["quarantined"] += len(reasons)
            table["reasons"] = dict(sorted(counts.items()))
    summary["missing_propensity"] = kept["propensity"].null_count
    whole = {kind.value: pq.read_table(tables / f"{kind}.parquet") for kind in TableKind}
    summary["fingerprint"] = fingerprint(whole)
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", "utf-8")


def refusals(tables: Path) -> list[QuarantinedRow]:
    """Everything that was set aside, by table, file and line."""
    return [
        QuarantinedRow(row["table"], row["file"], row["line"], row["reason"])
        for row in _quarantined(tables)
    ]


def too_many(tables: Path, max_refused: float) -> str | None:
    """What to say of a log of which more than a share is unusable, None where it is not.

    Second copies of rows, what came after an episode's end and events whose type means nothing to
    the journey take nothing away from the rest, and do not count. What rules of privacy left out
    was asked for: the share is one of the other rows.

    Args:
        tables: the checked tables, their quarantine and summary.
        max_refused: largest share of any table's rows that may be set aside, in [0, 1].
    """
    refused = refusals(tables)
    summary = json.loads((tables / "summary.json").read_text("utf-8"))
    for table in summary["tables"]:
        mine = [row for row in refused if row.table == table["table"]]
        bad = [row for row in mine if not row.reason.startswith(BY_RULES)]
        counted = [row for row in bad if not row.reason.startswith(_TAKES_NOTHING)]
        asked = table["read"] - (len(mine) - len(bad))
        if len(counted) > max_refused * asked:
            return (
                f"{len(counted)} of {asked} {table['table']} cannot be used, more than "
                f"{max_refused:.0%}: {told(counted)}; mend the log, or allow more by "
                "data.max_refused"
            )
    return None


def told(refused: Sequence[QuarantinedRow], kinds: int = 3) -> str:
    """The kinds of problem, causes first, each with its count and first example."""
    counts = Counter(row.reason.split(":")[0] for row in refused)
    first = {row.reason.split(":")[0]: row for row in reversed(refused)}
    return "; ".join(
        f"{rows} with {kind} (first {first[kind].file}, line {first[kind].line}: "
        f"{first[kind].reason.split(':', 1)[-1].strip()})"
        for kind, rows in causes_first(counts)[:kinds]
    )


def refused_facts(tables: Path) -> dict[str, Any]:
    """What an evaluation's report says of the decisions that were set aside, and of other rows."""
    refused = refusals(tables)
    summary = json.loads((tables / "summary.json").read_text("utf-8"))
    counts = {table["table"]: table for table in summary["tables"]}
    decisions = [row for row in refused if row.table == TableKind.DECISIONS]
    kinds = Counter(row.reason.split(":")[0] for row in decisions)
    first = {row.reason.split(":")[0]: row for row in reversed(decisions)}
    others = [
        f"{table['quarantined']} of {table['read']} {name} "
        f"{plural(table['quarantined'], 'was', 'were')} set aside: "
        + told([row for row in refused if row.table == name])
        for name, table in counts.items()
        if name != TableKind.DECISIONS and table["quarantined"]
    ]
    return {
        "read": counts[TableKind.DECISIONS]["read"],
        "refused": len(decisions),
        "reasons": [
            {"kind": kind, "rows": rows, "line": first[kind].line, "example": first[kind].reason}
            for kind, rows in causes_first(kinds)
        ],
        "notes": others,
    }


def _without_propensity(decisions: pa.Table, max_refused: float) -> dict[str, str]:
    lacking = decisions.filter(pc.is_null(decisions["propensity"]))
    reasons = {
        row["episode_id"]: f"missing propensity: decision {row['decision_id']!r} of episode "
        f"{row['episode_id']!r} has none, and 1 is no stand-in for it"
        for row in lacking.select(["episode_id", "decision_id"]).to_pylist()
    }
    broken = pc.is_in(decisions["episode_id"], value_set=pa.array(list(reasons), pa.string()))
    few = (pc.sum(broken).as_py() or 0) <= max_refused * len(decisions)
    return reasons if few else {}


def _quarantined(tables: Path) -> Iterator[dict[str, Any]]:
    table = pq.read_table(tables / "quarantine.parquet", schema=QUARANTINE)
    yield from table.to_pylist()


def _row(text: str) -> dict[str, Any]:
    """The refused row as far as it can be read: an unreadable line may still be an object."""
    try:
        value = json.loads(text)
        value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _contact(raw: Mapping[str, Any], contact_of: Mapping[str, str]) -> str | None:
    """The contact a refused row is of."""
    given = raw.get("contact_id")
    if given:
        return contact_of.get(f"id:{given}", str(given))
    keys = raw.get("keys")
    keys = keys if isinstance(keys, list) else []
    return next((contact_of[key] for key in keys if key in contact_of), None)


def _placed(tables: Path, decisions: pa.Table) -> pa.Table:
    """The decisions with the file and line each came from."""
    known = pq.read_table(tables / "places.parquet").filter(pc.field("table") == "decisions")
    row = pc.index_in(decisions["decision_id"].combine_chunks(), value_set=_flat(known["id"]))
    placed = decisions.append_column(FILE_COLUMN, pc.take(_flat(known["file"]), row))
    return placed.append_column(LINE_COLUMN, pc.take(_flat(known["line"]), row))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
