"""The streaming engine of the verb `ope`: a large Parquet log through bounded memory."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from nurture_rl.appraisal.estimation import EvaluationConfig
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.streamed import appraise_sums, prepare
from nurture_rl.ope.checks.findings import Finding, LogChecks, Severity
from nurture_rl.ope.streaming.batch_sums import contacts_counted
from nurture_rl.ope.streaming.policy_sums import arrays_of
from nurture_rl.progress import PROGRESS
from nurture_rl.workflow.ope_config import OpeConfig
from nurture_rl.workflow.ope_journeys import Journeys, appraised_journeys, opened_journeys
from nurture_rl.workflow.ope_log import OpenedLog, of_admission
from nurture_rl.workflow.ope_pass import (
    KEPT_REFUSALS,
    LOOKED_AT,
    Passed,
    of_sample,
    one_pass,
    read_facts,
)
from nurture_rl.workflow.ope_sample import BUCKETS, Sampled, sampled_log

_SURE = 0.99  # chance that so many copies as are named would have shown


def opened_stream(run: OpeConfig) -> tuple[OpenedLog, Sampled | Journeys]:
    """Look at the table and read its sample; what is asked by contact is brought together first.

    Raises:
        NurtureError: what the door of frames refuses.
    """
    if run.data.columns.episode is not None or run.stream.errors == "contacts":
        journeys = opened_journeys(run)
        return of_admission(journeys.admission, journeys.policies, run), journeys
    sampled = sampled_log(run)
    return of_admission(sampled.admission, sampled.policies, run), sampled


def appraised_stream(
    opened: OpenedLog, sampled: Sampled | Journeys, run: OpeConfig, config: EvaluationConfig
) -> tuple[OpenedLog, Appraisal]:
    """Sum the table up and judge it: the log with what is said of it, and the appraisal.

    Raises:
        NurtureError: what `appraise` refuses, or more rows that cannot be used than are allowed.
    """
    if isinstance(sampled, Journeys):
        return appraised_journeys(opened, sampled, run, config)
    rng = np.random.default_rng(run.seeds.evaluation)
    beside = replace(opened.beside, values=tuple(run.data.values))
    log, reference = sampled.admission.log, opened.reference
    prepared = prepare(log, sampled.policies, reference, rng, config, beside)
    PROGRESS.info("summing every decision up")
    passed = of_sample(sampled, prepared) if sampled.whole else one_pass(sampled, prepared, run)
    contacts = round(contacts_counted(passed.sums.contacts))
    if sampled.whole:
        contacts = int(np.unique(sampled.contacts).size)
    PROGRESS.info("judging the policies")
    copies = _copies(passed)
    if copies is not None:
        checks = LogChecks((*prepared.checks.findings, copies), prepared.checks.exploration)
        prepared = replace(prepared, checks=checks)
    appraisal = appraise_sums(
        prepared, passed.sums, contacts, reference, rng, config, beside, run.ask.candidate
    )
    facts = dict(opened.facts) | _facts(opened, sampled, passed)
    return replace(opened, facts=facts, refused=passed.refused), appraisal


def _facts(opened: OpenedLog, sampled: Sampled, passed: Passed) -> dict[str, Any]:
    """What the report says of the log and of how it was read."""
    digest = hashlib.sha256()
    for name, values in sorted(arrays_of(passed.sums).items()):
        digest.update(name.encode() + values.tobytes())
    facts = read_facts(passed.sums.n_rows, passed.read, passed.kinds, passed.refused)
    return facts | {
        "notes": [_engine(sampled, passed), *opened.facts["notes"]],
        "fingerprint": digest.hexdigest(),
    }


def _engine(sampled: Sampled, passed: Passed) -> str:
    """How the log was read, in words."""
    door, kept = sampled.door, passed.sums.n_rows
    sample = sampled.admission.log.n_rows
    copies = "no decision id was named, by which copies of a row could be told"
    if sampled.whole:
        copies = "copies of a decision id are told row by row" if door.columns.decision else copies
    elif door.columns.decision is not None:
        copies = f"copies of a decision are looked for in 1 of {LOOKED_AT} ids"
    listed = ""
    if sum(passed.kinds.values()) > KEPT_REFUSALS:
        listed = f"; quarantine.csv lists the first {KEPT_REFUSALS:,} rows that were set aside"
    return (
        f"engine: streaming, {passed.read:,} rows in {passed.batches:,} batches; values and "
        f"overlap are sums over {kept:,} decisions, errors by {BUCKETS:,} groups of contacts, the "
        f"reward model and checks of single decisions from {sample:,} of them; {copies}; contacts "
        f"{'are counted' if sampled.whole else 'are counted within about 2 %'}{listed}"
    )


def _copies(passed: Passed) -> Finding | None:
    """Whether decision ids come twice, from those looked at; None where none was."""
    looked = passed.looked_at.size
    if looked == 0:
        return None
    copies = looked - int(np.unique(passed.looked_at).size)
    least = int(np.ceil(np.log(1.0 - _SURE) / np.log(1.0 - 1.0 / LOOKED_AT)))
    numbers = {"copies": float(copies), "looked_at": float(looked)}
    if not copies:
        return Finding(
            "decision-copies",
            Severity.OK,
            numbers,
            f"no decision id comes twice among the {looked:,} looked at (1 in {LOOKED_AT} ids); "
            f"{least} copies in the log would have shown with {_SURE:.0%} chance",
        )
    return Finding(
        "decision-copies",
        Severity.REFUSE,
        numbers,
        f"{copies:,} of the {looked:,} decision ids looked at (1 in {LOOKED_AT}) come twice: about "
        f"{copies * LOOKED_AT:,} decisions of the log are counted twice",
        "keep one row of each decision; the engine in memory (stream.engine=memory) sets copies "
        "aside by itself",
    )
