"""All findings of an ingested log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from nurture_envs.journey import Journey
from nurture_rl.appraisal.health.decisions_health import decisions_health, skew
from nurture_rl.appraisal.health.events_health import events_health
from nurture_rl.appraisal.health.finding import LOOK, STOP, LogFinding, share
from nurture_rl.appraisal.health.mail_visits import lost_visits
from nurture_rl.appraisal.health.people_health import people_health
from nurture_rl.appraisal.health.scores_health import scores_health
from nurture_rl.appraisal.health.source_reach import apart, source_reach
from nurture_rl.appraisal.health.stages_health import stages_health
from nurture_rl.predictions.score_file import ScoreFile

_SET_ASIDE, _TWICE, _ADDED = 0.01, 0.05, 0.1
_AGAIN = "redelivered"


def diagnosis(
    events: pa.Table,
    contacts: pa.Table,
    decisions: pa.Table,
    table: pa.Table | None,
    summary: Mapping[str, Any],
    about: Mapping[str, Any],
    journey: Journey,
    merges: pa.Table | None = None,
    scores: ScoreFile | None = None,
) -> tuple[LogFinding, ...]:
    """Everything that is wrong, what forbids learning first.

    Args:
        events: checked, at least one.
        contacts: checked.
        decisions: checked; may be none.
        table: the decision table, where there are decisions.
        summary: `summary.json` of the ingestion.
        about: `decisions.json` of the ingestion.
        journey: of the log.
        merges: which contacts became one; None: nothing is said of them.
        scores: what a score file declares; None: no score file.
    """
    found = list(_intake(summary))
    found += () if merges is None else people_health(merges, len(contacts))
    found += events_health(events, contacts, journey)
    found += lost_visits(events)
    found += apart(source_reach(events, decisions, journey))
    found += stages_health(events, journey) if journey.stages else ()
    found += scores_health(contacts, journey, scores or ScoreFile({}))
    if table is None:
        found.append(
            LogFinding(
                "no decisions",
                STOP,
                "the log has events and no decisions",
                "let the policy server decide, or give a decisions table with propensities; the "
                "verb "
                "`pipeline` shows what the log tells without them",
            )
        )
    else:
        found += decisions_health(events, contacts, decisions, table, journey)
        found += skew(about)
    return tuple(_sorted(found))


def _sorted(found: Sequence[LogFinding]) -> list[LogFinding]:
    return sorted(found, key=lambda one: (one.severity != STOP, one.kind, one.says))


def _intake(summary: Mapping[str, Any]) -> Iterator[LogFinding]:
    for table in summary["tables"]:
        again = table["reasons"].get(_AGAIN, 0)
        aside = table["quarantined"] - again
        if aside > _SET_ASIDE * table["read"]:
            reasons = {name: rows for name, rows in table["reasons"].items() if name != _AGAIN}
            worst = max(reasons, key=lambda name: (reasons[name], name))
            yield LogFinding(
                "rows set aside",
                LOOK,
                f"{share(aside, table['read'])} {table['table']}, most for {worst}",
                "look at the quarantine: it has file, line and reason of each",
            )
        if again > _TWICE * table["read"]:
            yield LogFinding(
                "rows that came twice",
                LOOK,
                f"{share(again, table['read'])} {table['table']} are the same row once more",
                "nothing is lost; look why the export repeats itself",
            )
    if summary["contacts_added"] > _ADDED * summary["contacts"]:
        yield LogFinding(
            "unknown contacts",
            LOOK,
            f"{share(summary['contacts_added'], summary['contacts'])} contacts are named by "
            "events alone",
            "join the tables by a key that both have; without a row of its own a contact has no "
            "consent",
        )
    if summary["shared_keys"]:
        yield LogFinding(
            "shared keys",
            LOOK,
            f"{summary['shared_keys']:,} keys belong to many contacts and name nobody",
            "look for devices of offices and kiosks, or for a column that is no key",
        )
