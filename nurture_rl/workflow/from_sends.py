"""A log without decisions: its sends become decisions, with estimated propensities, in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.guardrails import Reason
from nurture_envs.guardrails.reasons import reason_names
from nurture_envs.journey import Journey
from nurture_rl.features.past_masks import past_reasons
from nurture_rl.features.past_programme import past_decisions, told_sends, with_topics
from nurture_rl.logs.changed_columns import with_column
from nurture_rl.logs.fingerprint import fingerprint
from nurture_rl.logs.places import PLACES
from nurture_rl.logs.quarantine import BROKEN
from nurture_rl.logs.schema import TableKind
from nurture_rl.ope.action_chances import BoolArray, IntArray
from nurture_rl.ope.estimated_propensities import (
    EstimatedPropensities,
    ProgrammeLog,
    estimated_propensities,
)
from nurture_rl.wording import counted
from nurture_rl.workflow.raw_folder import write_json

DECISIONS_ARE = LOGGED, FROM_SENDS = "logged", "from_sends"  # what `data.decisions` may be
PROPENSITIES = "propensities.json"  # in the folder of such a log: how they were estimated
RARE = 0.01  # share of the sends up to which a broken rule is an exception, and set aside
# What no programme may have ignored by intent; else a rule that many sends break was none of it.
_ALWAYS = Reason.NO_CONSENT | Reason.OPTED_OUT | Reason.HARD_BOUNCE
_TOLD = 3  # actions or bins named in a sentence


@dataclass(frozen=True, slots=True, eq=False)
class Reconstructed:
    """The decisions of the past programme, and the events with the topics of its messages."""

    events: pa.Table
    decisions: pa.Table
    told: tuple[str, ...]  # what became of the sends, in sentences


@dataclass(frozen=True, slots=True, eq=False)
class Allowed:
    """A decision table with masks, and which decisions have to go."""

    table: pa.Table  # without the decisions that have to go
    against: Mapping[str, str]  # reasons by decision id, whole episodes
    notes: tuple[str, ...]


def reconstruct(
    tables: Path, journey: Journey, entry: str | None, as_of_us: int | None, default_zone: str
) -> Reconstructed:
    """Write the decisions of the past programme beside the checked tables that lack them.

    Events that name a message get its topic where they have none. Summary and places count the
    decisions as if a file `sends` had held them.

    Raises:
        LogError: nobody entered, or no send is a decision.
    """
    events = with_topics(pq.read_table(tables / "events.parquet"), journey)
    contacts = pq.read_table(tables / "contacts.parquet")
    past = past_decisions(
        events, contacts, journey, entry=entry, as_of_us=as_of_us, default_zone=default_zone
    )
    pq.write_table(events, tables / "events.parquet", compression="zstd")
    where = pa.table(
        {
            "table": [TableKind.DECISIONS.value] * len(past.decisions),
            "id": past.decisions["decision_id"],
            "file": ["sends"] * len(past.decisions),
            "line": pa.array(range(1, len(past.decisions) + 1), pa.int64()),
        },
        schema=PLACES,
    )
    known = pq.read_table(tables / "places.parquet")
    pq.write_table(pa.concat_tables([known, where]), tables / "places.parquet")
    _keep(tables, past.decisions)
    path = tables / "summary.json"
    summary = json.loads(path.read_text("utf-8"))
    for table in summary["tables"]:
        if table["table"] == TableKind.DECISIONS:
            table |= {"files": ["sends"], "read": len(past.decisions), "kept": len(past.decisions)}
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", "utf-8")
    told = (*told_sends(past), *_other_acts(events, journey))
    return Reconstructed(events, past.decisions, told)


def allow(tables: Path, table: pa.Table, journey: Journey, default_zone: str) -> Allowed:
    """Put what the guardrails would have allowed into a table of reconstructed decisions.

    Where the programme broke a rule of the journey's guardrails in more than `RARE` of its sends,
    the rule was none of the programme's and narrows nothing; the sends that break any other are to
    be set aside, with their episodes.

    Args:
        tables: the checked tables.
        table: the decision table of reconstructed decisions.
        journey: whose guardrails and catalogue.
        default_zone: where contacts of unknown zone live.
    """
    catalog = ActionCatalog.of(journey)
    events, contacts = (
        pq.read_table(tables / f"{name}.parquet") for name in ("events", "contacts")
    )
    action = catalog.indices(table["action"].to_pylist())
    forbidden = past_reasons(events, contacts, table, journey, default_zone)
    broken, loosened = _broken(forbidden, action, catalog.routed("send")[action])
    against, kept = _set_aside(table, broken)
    mask = (forbidden & ~loosened.bits) == 0
    mask[np.arange(len(action)), action] = True
    table = _with_columns(table.filter(pa.array(kept)), mask=mask[kept])
    return Allowed(table, against, loosened.told)


def estimate(out: Path, table: pa.Table, journey: Journey) -> tuple[pa.Table, tuple[str, ...]]:
    """Put estimated propensities into a decision table and the checked decisions, and say how.

    Args:
        out: the folder of the stage: its tables get the propensities too, and it gets
            `PROPENSITIES`, which holds what was found.
        table: of `allow`.
        journey: whose catalogue.

    Raises:
        FitError: no decision had a choice, or there are too few contacts.
    """
    catalog = ActionCatalog.of(journey)
    seen = _seen(table, catalog)
    found = estimated_propensities(seen)
    told = tuple(_told(found, catalog, len(table)))
    write_json(
        out / PROPENSITIES,
        {
            "propensity_source": "estimated",
            "fixed": [asdict(one) | {"action": catalog.ids[one.action]} for one in found.fixed],
            "untried": [catalog.ids[one] for one in found.untried],
            "power": found.power,
            "calibration_error": found.error,
            "certain": found.certain,
            "notes": list(told),
        },
    )
    chance = found.probabilities[np.arange(len(table)), seen.action]
    table = _with_columns(table, propensity=chance, probabilities=found.probabilities)
    tables = out / "tables"
    decisions = pq.read_table(tables / "decisions.parquet")
    row = pc.index_in(_flat(decisions["decision_id"]), value_set=_flat(table["decision_id"]))
    for name in ("propensity", "probabilities", "mask"):
        decisions = with_column(decisions, name, pc.take(_flat(table[name]), row))
    _keep(tables, decisions)
    return table, told


def _set_aside(table: pa.Table, broken: NDArray[np.int32]) -> tuple[dict[str, str], BoolArray]:
    """Why decisions of episodes with a forbidden send go, by id; and which rows stay, [n]."""
    ids, episode = table["decision_id"].to_pylist(), _text(table["episode_id"])
    causes: dict[str, str] = {}
    against: dict[str, str] = {}
    for row in np.flatnonzero(broken):
        rules = ", ".join(reason_names(int(broken[row])))
        against[ids[row]] = (
            f"forbidden send: decision {ids[row]!r} sent against {rules}{_hint(int(broken[row]))}"
        )
        causes.setdefault(str(episode[row]), ids[row])
    gone = np.isin(episode, list(causes)) if causes else np.zeros(len(ids), bool)
    for row in np.flatnonzero(gone):
        cause = causes[str(episode[row])]
        against.setdefault(
            ids[row], f"{BROKEN}: decision {ids[row]!r} belongs to one with the forbidden {cause!r}"
        )
    return against, ~gone


@dataclass(frozen=True, slots=True)
class _Loosened:
    """Rules that the past programme did not keep."""

    bits: int
    told: tuple[str, ...]


def _broken(
    forbidden: NDArray[np.int32], action: IntArray, sends: BoolArray
) -> tuple[NDArray[np.int32], _Loosened]:
    """What each send breaks, [n]; and the rules that narrow nothing, for too many break them."""
    taken = np.where(sends, forbidden[np.arange(len(action)), action], 0)
    counts = Counter({one: int(((taken & one) != 0).sum()) for one in Reason})
    total = max(int(sends.sum()), 1)
    loose = [one for one, count in counts.items() if count > RARE * total and not one & _ALWAYS]
    bits = sum(int(one) for one in loose)
    told = tuple(
        f"{counts[one]} of {total} sends break the guardrail {reason_names(int(one))[0]}: the past "
        "programme did not keep it, so it narrows nothing that could have been done"
        for one in loose
    )
    return taken & ~bits, _Loosened(bits, told)


def _hint(bits: int) -> str:
    if bits & Reason.NO_CONSENT:
        return "; map the column that says who agreed, as consent of contacts"
    return ""


def _seen(table: pa.Table, catalog: ActionCatalog) -> ProgrammeLog:
    features, mask = (
        np.asarray(_flat(table[name]).flatten().to_numpy(zero_copy_only=False)).reshape(
            len(table), -1
        )
        for name in ("features", "mask")
    )
    return ProgrammeLog(
        features=features.astype(np.float32),
        mask=mask.astype(np.bool_),
        action=catalog.indices(table["action"].to_pylist()),
        step=np.asarray(table["step"], np.int64),
        cluster=np.unique(_text(table["cluster"]), return_inverse=True)[1].astype(np.int64),
        wait=catalog.wait,
    )


def _told(found: EstimatedPropensities, catalog: ActionCatalog, rows: int) -> list[str]:
    """What to know of the propensities, in sentences."""
    told = [
        f"propensities are estimated by a model of what the past programme did in "
        f"{counted(rows, 'decision')}; on contacts that it never saw its chances are off by "
        f"{found.error:.2%} on average. What the programme knew beside the features is not in them"
    ]
    if found.fixed:
        named = [
            f"bin {one.step} ({catalog.ids[one.action]}, {one.share:.1%})"
            for one in found.fixed[:_TOLD]
        ]
        more = f" and {len(found.fixed) - _TOLD} more" if len(found.fixed) > _TOLD else ""
        told.append(
            f"the programme was fixed in {', '.join(named)}{more}: nearly everybody got the same, "
            "so the log says nothing of other actions there; only an experiment would"
        )
    if found.untried:
        names = ", ".join(catalog.ids[one] for one in found.untried)
        told.append(
            f"never tried, so nothing is said of policies that would: {names}; give them a share "
            "of the sends, or of a random arm"
        )
    return told


def _other_acts(events: pa.Table, journey: Journey) -> list[str]:
    """Which other acts of the programme are no decisions."""
    others = Counter(
        signal.type for signal in journey.signals if signal.by_action and signal.type != "sent"
    )
    counts = {kind: pc.sum(pc.equal(events["type"], kind)).as_py() or 0 for kind in others}
    return [
        f"{counted(count, 'event')} of type {kind} are acts of the programme that no reconstructed "
        "decision makes: they stand as what happened"
        for kind, count in counts.items()
        if count
    ]


def _with_columns(table: pa.Table, **values: NDArray[np.generic]) -> pa.Table:
    """A table with columns replaced, [n] or [n, a] each."""
    for name, value in values.items():
        column = pa.array(value.ravel())
        if value.ndim == 2:
            ends = pa.array(np.arange(len(value) + 1) * value.shape[1], pa.int32())
            column = pa.ListArray.from_arrays(ends, column)
        table = with_column(table, name, column)
    return table


def _keep(tables: Path, decisions: pa.Table) -> None:
    """Write decisions, and what the summary counts of them."""
    pq.write_table(decisions, tables / "decisions.parquet", compression="zstd")
    path = tables / "summary.json"
    summary = json.loads(path.read_text("utf-8"))
    whole = {kind.value: pq.read_table(tables / f"{kind}.parquet") for kind in TableKind}
    summary["fingerprint"] = fingerprint(whole)
    summary["missing_propensity"] = decisions["propensity"].null_count
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _text(column: pa.ChunkedArray) -> NDArray[np.str_]:
    return np.asarray(column.to_pylist(), object).astype(str)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
