"""Files of a read, as the verb `lift` writes them, of a programme written by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from nurture_envs.journey_file import load_journey
from nurture_rl.lift.decision_journal import ReadEvidence
from nurture_rl.lift.next_experiment import next_experiment
from nurture_rl.report.lift_page import ToldLift
from nurture_rl.workflow.lift_log import read_arms
from nurture_rl.workflow.lift_verb import journal_entry, write_told
from tests.unit.lift.small_programme import END, contact, decision, event, log, plan

JOURNEY = load_journey("inbound_lead")


def written_read(
    folder: Path,
    journey: str = "inbound_lead",
    end: datetime = END,
    among: str = "everybody",
    n: int = 400,
    **changed: object,
) -> ToldLift:
    """A read of an experiment in which half of the policy's contacts book, and a tenth of others.

    Args:
        folder: is made, with the read's files.
        journey: its name in the report.
        end: the log is complete up to here.
        among: whom the read says it is of.
        n: contacts, two thirds of the plan.
        changed: of the plan.
    """
    rng = np.random.default_rng(5)
    contacts = [contact(f"c{k}") for k in range(n)]
    decisions = [decision(f"c{k}", "usual" if k % 2 else "policy", k / n) for k in range(n)]
    events = [
        event(f"c{k}", "meeting_booked", 3.0)
        for k in range(n)
        if rng.random() < (0.1 if k % 2 else 0.5)
    ]
    said = plan(**{"velocity": None, "units": n * 3 // 2, "hash": "ab12" * 4, **changed})
    report, details = read_arms(log(contacts, decisions, events, end), said, JOURNEY)
    report = replace(report, journey=journey)
    evidence = ReadEvidence(said.hash, "f" * 64, report.as_of_us, among, {"nurture-rl": "1"})
    entry = journal_entry(report, evidence, "", None, folder.parent / "none")
    told = ToldLift(report, [], details, entry, next_experiment(report))
    folder.mkdir(parents=True)
    write_told(told, folder)
    return told
