"""The verb `propose_rules`: changes of the rules that a log speaks for, for a person to accept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.appraisal.rule_proposals import ProposalReport, RuleProposal, propose_rules
from nurture_rl.codec import write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import ConfigError
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Spec
from nurture_rl.policies.program import DRIP, Drip, Rules, described_rule
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted, plural
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.policy_files import RULES, require_unedited, rules_text, with_files
from nurture_rl.workflow.propose_config import ProposeConfig

RECORD = "proposals.json"


@dataclass(frozen=True, slots=True)
class ProposedRules:
    """`proposals.json`: what was tested, and the rules with what is proposed in front."""

    journey: str
    report: ProposalReport
    rules: Spec
    file: str  # SHA-256 of `rules.yaml` as it was written


def proposed_rules(config: DictConfig) -> VerbResult:
    """The verb `propose_rules`.

    Raises:
        NurtureError: bad settings or data, or rules in `out` that somebody edited.
    """
    checked = settings(config)
    run = checked.run
    if not isinstance(run, ProposeConfig):
        raise ConfigError(f"expected a configuration made from propose_rules_schema, got {run!r}")
    if run.tested < 1:
        raise ConfigError(f"tested: expected 1 change or more, got {run.tested}")
    out = Path(run.out)
    require_unedited(out, RECORD, "propose_rules")
    say = partial(Console(highlight=False, soft_wrap=True).print, markup=False)
    with threadpool_limits(run.threads):
        pipeline = Pipeline(checked, say)
        present = present_rules(run.rules, pipeline.journey)
        decisions = load_decisions(pipeline.ingested, pipeline.journey, run.data.held_out)
        asked = replace(checked.evaluation, level=run.release.level)
        rng = np.random.default_rng(run.seeds.evaluation)
        report = propose_rules(decisions, pipeline.journey, present, run.tested, asked, rng)
    spec = with_proposals(present, report)
    text = proposals_file(pipeline.journey, present, report, out)
    record = ProposedRules(
        pipeline.journey.name, report, spec, hashlib.sha256(text.encode()).hexdigest()
    )
    with atomic_folder(out) as partial_folder:
        (partial_folder / RULES).write_text(text, "utf-8")
        write_record(record, partial_folder / RECORD)
    for line in told_proposals(report):
        say(line)
    made: dict[str, Any] = {"rules": out / RULES, "record": out / RECORD}
    return VerbResult(made | {"proposed": len(report.proposed), "tested": len(report.tested)})


def present_rules(asked: Any, journey: Journey) -> Rules:
    """The rules that run now.

    Args:
        asked: a description of rules or of the drip, or a path of a file with one.
        journey: names features and actions.

    Raises:
        ConfigError: another kind of policy.
    """
    catalog, features = ActionCatalog.of(journey), FeatureSpec.of(journey)
    policy = build_policy(with_files(asked), PolicyContext(journey, catalog, features))
    if isinstance(policy, Drip):
        return Rules.written((), DRIP, journey, catalog, features)
    if not isinstance(policy, Rules):
        raise ConfigError(
            f"rules: expected rules, expert, drip or a file of rules, got {asked!r}; only a list "
            "of rules can be changed by rules"
        )
    return policy


def with_proposals(present: Rules, report: ProposalReport) -> Spec:
    """The present rules with what is proposed in front, as a description of kind `rules`."""
    new = [{"when": {one.column: one.asked}, "do": one.action} for one in report.proposed]
    rules = [*new, *(described_rule(one) for one in present.rules)]
    return {"kind": "rules", "rules": rules, "otherwise": present.otherwise}


def proposals_file(journey: Journey, present: Rules, report: ProposalReport, out: Path) -> str:
    """The text of the file that a person edits.

    Args:
        journey: whose rules they are.
        present: the rules that run.
        report: what was tested.
        out: folder of the file.
    """
    spec = with_proposals(present, report)
    return rules_text(spec, _heading(journey, report, out), _about(present, report))


def told_proposals(report: ProposalReport) -> list[str]:
    """What was found, as lines."""
    looked, n = counted(report.looked_at, "change"), len(report.tested)
    tested = f"{n} of them {plural(n, 'was', 'were')}"
    head = (
        f"{looked} after {counted(len(report.conditions), 'outcome')} of the CRM were looked at on "
        f"training contacts; {tested} tested on the held-out ones. Gains "
        f"are {report.unit} a decision to the end of its episode; all intervals hold together at "
        f"{report.level:.4g}."
    )
    if not report.proposed:
        head += " Nothing is proposed: the log shows no gain of any of them."
    return [head, *(_in_a_line(one) for one in report.tested)]


def _in_a_line(one: RuleProposal) -> str:
    word = "proposed" if one.shown else "not proposed"
    why = f" ({one.why})" if one.why else ""
    return f"  {word}: if {one.column} {one.asked}: {one.action}{_gain(one)}{why}"


def _gain(one: RuleProposal) -> str:
    if one.gain is None:
        return ""
    return f", {one.gain:+.3g} [{one.lower:+.3g}, {one.upper:+.3g}]"


def _heading(journey: Journey, report: ProposalReport, out: Path) -> list[str]:
    n = len(report.proposed)
    return [
        f"Rules of the journey {journey.name!r}, with {counted(n, 'proposed rule')} in front.",
        "The first rule that fits, and whose action is allowed, decides. Each proposal was tested",
        "alone, one decision at a time. Take out what you do not accept; then ask what a log says",
        f"of the rest: nurture ope +targets.accepted.spec={out / RULES} ask.candidate=accepted",
    ]


def _about(present: Rules, report: ProposalReport) -> list[str]:
    """What is known of each rule, as comments."""
    new = [
        f"PROPOSED: {_gain(one).removeprefix(', ')} {report.unit} a decision, where the rules "
        f"mostly do {one.instead}; {counted(one.decisions, 'held-out decision')} of "
        f"{one.contacts} {plural(one.contacts, 'contact')} would be changed"
        for one in report.proposed
    ]
    return [*new, *(["as it is"] * (len(present.rules) + 1))]
