"""The log of an evaluation that is a journey's: its held-out contacts and the run's policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nurture_rl.decisions import load_decisions
from nurture_rl.errors import ConfigError
from nurture_rl.interchange.logged_rows import RefusedRow
from nurture_rl.wording import counted
from nurture_rl.workflow.bar import bar_of
from nurture_rl.workflow.journey_log import field_on, held_out
from nurture_rl.workflow.journey_targets import journey_targets
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.ope_config import OpeConfig
from nurture_rl.workflow.ope_log import OpenedLog
from nurture_rl.workflow.refusals import refusals, refused_facts

if TYPE_CHECKING:
    from nurture_rl.workflow.pipeline import Pipeline


def opened_journey(pipeline: Pipeline, run: OpeConfig) -> OpenedLog:
    """The held-out contacts of a journey's log and the pipeline's policies.

    Raises:
        NurtureError: no held-out contact's outcome is known yet, or a propensity is missing.
    """
    journey, release = pipeline.journey, run.release
    held = held_out(load_decisions(pipeline.ingested, journey, run.data.held_out), journey)
    policies = {name: load_policy(folder, journey) for name, folder in pipeline.policies.items()}
    described = journey_targets(run.targets, journey)
    if twice := sorted(set(described) & set(policies)):
        raise ConfigError(f"targets.{twice[0]}: the run has a policy of that name; give another")
    reference = run.ask.reference or release.reference
    learned = [name for name in policies if run.policies[name].learner != "none"]
    field = field_on(held, policies, learned, reference)
    bar = bar_of(run.ask.rules or release.rules, dict.fromkeys(policies | described))
    tables = pipeline.ingested / "tables"
    refused = refused_facts(tables)
    said = json.loads((pipeline.ingested / "decisions.json").read_text("utf-8"))["notes"]
    asked = [*field.candidates, *described, *([run.ask.candidate] if run.ask.candidate else [])]
    return OpenedLog(
        log=held.log,
        policies=policies | described,
        reference=reference,
        rules=bar.name,
        candidates=tuple(
            name for name in dict.fromkeys(asked) if name not in (reference, bar.name)
        ),
        beside=held.beside,
        facts={
            "source": f"{run.data.name}: {journey.title}",
            **refused,
            "kept": held.log.n_rows,
            "notes": [
                f"{counted(held.left_out, 'decision belongs', 'decisions belong')} to contacts "
                "that policies were trained on, or to outcomes that are not known yet",
                *(f"{name} is no candidate: {why}" for name, why in field.left_out.items()),
                *refused["notes"],
                *said,
            ],
            "fingerprint": pipeline.ingested.name,
            "provenance": journey.provenance,
            "journey": journey.name,
            "estimand": journey.estimand,
        },
        refused=tuple(RefusedRow(row.file, row.line, row.reason) for row in refusals(tables)),
    )
