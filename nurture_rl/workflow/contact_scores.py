"""Scores of who is in a journey: chances, their parts, intent, flags, topics, fatigue, what-if."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.guardrails import COMPARISONS
from nurture_envs.journey import Condition
from nurture_rl.errors import ConfigError
from nurture_rl.features.bins import bin_log
from nurture_rl.logs.schema import EVENTS
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.predictions.contact_behaviour import (
    MailedDecisions,
    MailHistory,
    ToldMailing,
    affinities,
    fatigues,
    mail_outcomes,
    mailed_decisions,
    segments_of,
)
from nurture_rl.predictions.landmarks import Landmarks, landmarks_of, late_days
from nurture_rl.predictions.predicted_outcomes import PredictedOutcome
from nurture_rl.predictions.predicting import Predicted, column
from nurture_rl.predictions.score_bindings import Decide, ScoreBinding, score_bindings
from nurture_rl.predictions.score_file import ScoreFile
from nurture_rl.predictions.score_parts import group_parts
from nurture_rl.report.told_predictions import ToldWhatIf
from nurture_rl.workflow.known_log import KnownLog

FloatArray = NDArray[np.float64]
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True, eq=False)
class ContactScores:
    """Scores of the contacts in the journey, [n], and what stands beside them."""

    columns: dict[str, FloatArray]  # NaN where a contact has no such score
    parts: dict[str, FloatArray]  # of `parts_of`, by group
    parts_of: str | None  # the chance that is told in parts
    mailing: ToldMailing
    bindings: tuple[ScoreBinding, ...]


def flag_outcomes(file: ScoreFile) -> tuple[PredictedOutcome, ...]:
    """Flags that a signal raises, as outcomes whose chance can be predicted."""
    return tuple(
        PredictedOutcome(one.name, f"raises the flag {one.name}", one.signals, once=True)
        for one in file.flags
        if one.signals
    )


def contact_scores(
    log: KnownLog, marks: Landmarks, found: Predicted, file: ScoreFile
) -> ContactScores:
    """Every score of who is in the journey at the log's moment.

    Args:
        log: as it stood.
        marks: its decisions; outcomes of `found`, then `mail_outcomes`.
        found: models of the outcomes.
        file: groups, intent, flags.
    """
    now = marks_of_now(log, found)
    columns = own_scores(log, now, found, file)
    mail = _mailing(log, marks)
    codes = pc.index_in(log.now.table["contact_id"], value_set=log.binned.contacts.ids)
    who = np.asarray(codes.combine_chunks(), np.int64)
    topics, told, topics_by = affinities(mail, log.as_of_us, who)
    fatigue, weekly, fatigue_by = fatigues(mail, log.as_of_us, who)
    columns |= topics | fatigue
    parts_of, parts = _parts(log, now, found, file)
    return ContactScores(
        columns=columns,
        parts=parts,
        parts_of=parts_of,
        mailing=ToldMailing(told, topics_by, weekly, fatigue_by),
        bindings=score_bindings(columns, log.journey, file, log.now.features, _rules(log)),
    )


def marks_of_now(log: KnownLog, found: Predicted) -> Landmarks:
    """The contacts in the journey as landmarks of the moment."""
    table = log.now.table
    binned = bin_log(log.events, log.contacts, table, log.wide, log.zone)
    cluster = np.asarray(table["cluster"].to_pylist(), object)
    return landmarks_of(binned, log.now.features, cluster, log.wide, found.outcomes, True)[0]


def own_scores(
    log: KnownLog, now: Landmarks, found: Predicted, file: ScoreFile
) -> dict[str, FloatArray]:
    """Chances, intent and flags, which a contact's own features and events alone decide; [n]."""
    places = {one.name: place for place, one in enumerate(found.outcomes)}
    columns: dict[str, FloatArray] = {}
    for one in found.told:
        if one.told:
            chance = found.chance(one.outcome, now.features, now.age, one.horizon)
            done = now.had[:, places[one.outcome]] & found.outcome(one.outcome).once
            columns[column(one.outcome, one.horizon)] = np.where(done, np.nan, chance)
    spec = FeatureSpec.of(log.journey)
    if file.intent:
        weighed = [weight * now.features[:, spec.column(n)] for n, weight in file.intent.items()]
        columns["intent"] = np.sum(weighed, axis=0).astype(np.float64)
    for flag in file.flags:
        raised = np.zeros(len(now.features), bool)
        if flag.signals:
            raised |= now.had[:, places[flag.name]]
        if flag.when:
            raised |= np.all([_holds(one, now.features, spec) for one in flag.when], axis=0)
        columns[flag.name] = raised.astype(np.float64)
    return columns


def _holds(one: Condition, features: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.bool_]:
    return np.asarray(
        COMPARISONS[one.operator](features[:, spec.column(one.column)], one.threshold)
    )


def mailed_by(log: KnownLog) -> MailedDecisions:
    """What each decision of a log mailed."""
    decided = log.decided
    return mailed_decisions(
        decided["action"].to_pylist(),
        decided["probabilities"].to_pylist(),
        np.asarray(decided["propensity"].to_numpy(), np.float64),
        log.journey,
    )


def _mailing(log: KnownLog, marks: Landmarks) -> MailHistory:
    mailed, journey = mailed_by(log), log.journey
    people = len(log.binned.contacts.ids)
    segment, names = segments_of(log.features, marks.contact, people, journey)
    late = late_days(log.wide, mail_outcomes(log.wide)[0])
    return MailHistory(marks, mailed, segment, names, late)


def _parts(
    log: KnownLog, now: Landmarks, found: Predicted, file: ScoreFile
) -> tuple[str | None, dict[str, FloatArray]]:
    """The first outcome's chance within its longest told horizon, by group of features."""
    told = [one for one in found.told if one.told]
    if not told or not len(now.features):
        return None, {}
    one = [same for same in told if same.outcome == told[0].outcome][-1]
    model, absent = found.models[one.outcome], found.outcome(one.outcome).absent

    def chance(z: FloatArray) -> FloatArray:
        came = model.chance_of(z, now.age, one.horizon)
        return 1.0 - came if absent else came

    names = FeatureSpec.of(log.journey).columns
    parts = group_parts(chance, model.standard(now.features), names, file.groups)
    name = column(one.outcome, one.horizon)
    return name, {f"{name}.{group}": part for group, part in parts.items()}


def _rules(log: KnownLog) -> Decide:
    catalog, spec = ActionCatalog.of(log.journey), FeatureSpec.of(log.journey)
    policy = build_policy("rules", PolicyContext(log.journey, catalog, spec))

    def decide(features: NDArray[np.float32]) -> NDArray[np.int64]:
        legal = np.ones((len(features), len(catalog)), bool)
        return np.asarray(policy.action_probabilities(features, legal).argmax(axis=1))

    return decide


def what_if(
    log: KnownLog, found: Predicted, file: ScoreFile, contact: str, added: Mapping[str, int]
) -> ToldWhatIf:
    """Scores of a contact, and what they would be after more events in the bin before.

    Args:
        log: as it stood.
        found: models of the outcomes.
        file: intent and flags.
        contact: who, in the journey at the moment.
        added: events by signal.

    Raises:
        ConfigError: the contact is not in the journey then, or there is no such signal.
    """
    place = pc.index(log.now.table["contact_id"], contact).as_py()
    if place < 0:
        raise ConfigError(
            f"contact: expected one that is in the journey at that moment, got {contact!r}; "
            "`scores.parquet` lists them"
        )
    scores = partial(_scores_at, found=found, file=file, contact=contact)
    begins = int(marks_of_now(log, found).begins_us[place])
    more = _imagined(log, contact, added, begins - _HOUR_US)
    after = log.with_events(pa.concat_tables([log.events.select(EVENTS.names), more]))
    return ToldWhatIf(contact, dict(added), scores(log), scores(after))


def _scores_at(log: KnownLog, found: Predicted, file: ScoreFile, contact: str) -> dict[str, float]:
    place = pc.index(log.now.table["contact_id"], contact).as_py()
    if place < 0:  # what was imagined ends the episode
        return {}
    columns = own_scores(log, marks_of_now(log, found), found, file)
    return {name: float(values[place]) for name, values in columns.items()}


def _imagined(log: KnownLog, contact: str, added: Mapping[str, int], at_us: int) -> pa.Table:
    known = {one.name: one for one in log.journey.signals}
    rows: list[dict[str, Any]] = []
    for name, events in added.items():
        if name not in known or events < 1:
            raise ConfigError(
                f"what_if: expected signals of the journey, each with 1 or more events, got "
                f"{name}: {events}; known are {', '.join(known)}"
            )
        blank = {
            "source": "what_if",
            "is_machine": False,
            "properties": "{}",
            "contact_id": contact,
        }
        moment = {"occurred_at": at_us, "recorded_at": at_us}
        for number in range(events):
            own = {"event_id": f"what-if-{name}-{number}"}
            rows.append(blank | moment | known[name].filters() | own)
    return pa.Table.from_pylist(rows, schema=EVENTS)


def scores_table(log: KnownLog, scores: ContactScores) -> pa.Table:
    """A row per contact in the journey; null where it has no such score."""
    table = log.now.table.select(["contact_id", "cluster", "episode_id", "step"])
    moment = pa.array(np.full(len(table), log.as_of_us), pa.int64())
    table = table.append_column("as_of", moment.cast(pa.timestamp("us", tz="UTC")))
    for name, values in (scores.columns | scores.parts).items():
        table = table.append_column(name, pa.array(values, mask=~np.isfinite(values)))
    return table
