"""The verb `distil`: a policy as a short list of rules, with what is lost by it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.appraisal.appraise import appraise
from nurture_rl.appraisal.fidelity import Fidelity, Share
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.codec import write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import BundleError
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.ope.intervals import Interval
from nurture_rl.policies.distilled_rules import RuleListSize
from nurture_rl.policies.policy import Policy, Spec
from nurture_rl.release.bundle import load_bundle
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted
from nurture_rl.workflow.distil_config import DistilConfig, distil_settings
from nurture_rl.workflow.distilling import Distilled, distil
from nurture_rl.workflow.journey_log import HeldOut, held_out
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.learned_from_log import training_log
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.policy_files import RULES, require_unedited, rules_text
from nurture_rl.workflow.training import Training

RECORD = "distilled.json"
ALONE, HELD = "rules", "rules_held"
_SEEN = 5  # actions that are told one by one


@dataclass(frozen=True, slots=True)
class RulesWorth:
    """What the held-out log says of one policy."""

    policy: str
    carried: bool  # whether the log carries it
    value: float | None  # per episode, the journey's unit
    lower: float | None
    upper: float | None
    less: float | None  # its value less that of the policy that rules were made of
    less_lower: float | None
    less_upper: float | None
    says: str  # why there is no number; empty where there is


@dataclass(frozen=True, slots=True)
class DistilRecord:
    """`distilled.json`: where the rules came from, and what is lost by them."""

    journey: str
    policy: str
    rules: Spec
    held: Mapping[str, Any]  # the rules held as the policy is
    fidelity: Fidelity
    unit: str
    level: float
    worth: tuple[RulesWorth, ...]  # the policy first
    file: str  # SHA-256 of `rules.yaml` as it was written


def distil_rules(config: DictConfig) -> VerbResult:
    """The verb `distil`.

    Raises:
        NurtureError: bad settings or data, another journey's bundle, or rules in `out` that
            somebody edited.
    """
    checked, run = distil_settings(config)
    out = Path(run.out)
    require_unedited(out, RECORD, "distil")
    torch.set_num_threads(run.threads)
    say = partial(Console(highlight=False, soft_wrap=True).print, markup=False)
    with threadpool_limits(run.threads):
        pipeline = Pipeline(checked, say)
        name, policy = _policy(pipeline, run)
        decisions = load_decisions(pipeline.ingested, pipeline.journey, run.data.held_out)
        held = held_out(decisions, pipeline.journey)
        size = RuleListSize(run.rules, run.conditions, run.least)
        log = training_log(_task(pipeline, run))
        rng = np.random.default_rng(run.seeds.learner)
        made = distil(policy, pipeline.journey, log, held.log, size, rng)
        judged = _judged(name, policy, made, held, pipeline)
    text = rules_text(made.spec, _heading(name, pipeline.journey, made.fidelity), _about(made))
    record = DistilRecord(
        journey=pipeline.journey.name,
        policy=name,
        rules=made.spec,
        held=made.held_spec,
        fidelity=made.fidelity,
        unit=judged.evaluation.unit,
        level=judged.evaluation.level,
        worth=tuple(_worth(judged, one) for one in (name, ALONE, HELD)),
        file=hashlib.sha256(text.encode()).hexdigest(),
    )
    with atomic_folder(out) as partial_folder:
        (partial_folder / RULES).write_text(text, "utf-8")
        write_record(record, partial_folder / RECORD)
    for line in in_words(record):
        say(line)
    say(f"rules: {out / RULES}")
    return VerbResult(
        {
            "rules": out / RULES,
            "record": out / RECORD,
            "number": len(made.spec["rules"]),
            "fidelity": made.fidelity.alike.value,
        }
    )


def _policy(pipeline: Pipeline, run: DistilConfig) -> tuple[str, Policy]:
    """The policy that becomes rules, and what it is called."""
    if run.bundle is None:
        assert run.policy is not None
        return run.policy.name, load_policy(pipeline.policies[run.policy.name], pipeline.journey)
    bundle, journey = load_bundle(Path(run.bundle)), pipeline.journey
    for what, got, wanted in (
        ("actions", bundle.catalog.hash, ActionCatalog.of(journey).hash),
        ("features", bundle.feature_spec.hash, FeatureSpec.of(journey).hash),
    ):
        if got != wanted:
            raise BundleError(
                f"{run.bundle}: expected a bundle with the {what} of journey {journey.name!r}, got "
                f"one of {bundle.journey.name!r} with others; give the log it was made for (data=)"
            )
    return f"bundle {bundle.policy_id}", bundle.policy


def _task(pipeline: Pipeline, run: DistilConfig) -> Training:
    assert run.policy is not None
    return Training(
        policy=run.policy,
        journey=pipeline.journey,
        ingested=pipeline.ingested,
        world=None,
        held_out=run.data.held_out,
        seed=run.seeds.learner,
        say=pipeline.say,
    )


def _judged(
    name: str, policy: Policy, made: Distilled, held: HeldOut, pipeline: Pipeline
) -> Appraisal:
    """The policy and its rules by the held-out contacts, each less the policy."""
    run = pipeline.settings.run
    candidates = (ALONE, HELD)
    config = replace(
        pipeline.settings.evaluation, level=run.release.level, candidates=candidates, rules=None
    )
    rng = np.random.default_rng(run.seeds.evaluation)
    asked = {name: policy, ALONE: made.rules, HELD: made.held}
    return appraise(held.log, asked, name, rng, config, held.beside)


def _worth(judged: Appraisal, name: str) -> RulesWorth:
    found = judged.evaluation.policies[name]
    carried = judged.believed(name)
    estimated = found.estimates.get(found.basis or "")
    if not carried or estimated is None:
        why = found.overlap.reason or "; ".join(one.sentence for one in judged.refusals(name))
        return RulesWorth(name, False, None, None, None, None, None, None, why)
    own, less = estimated.interval, found.difference
    between: Interval | None = None if less is None else less.interval
    both = between is not None and judged.believed(judged.evaluation.reference)
    return RulesWorth(
        policy=name,
        carried=True,
        value=estimated.estimate.value,
        lower=own.lower,
        upper=own.upper,
        less=less.value if both and less is not None else None,
        less_lower=between.lower if both and between is not None else None,
        less_upper=between.upper if both and between is not None else None,
        says="",
    )


def in_words(record: DistilRecord) -> list[str]:
    """What was made and what is lost by it, as lines."""
    lines = [f"“{record.policy}” as {counted(len(record.rules['rules']), 'rule')}:"]
    for place, rule in enumerate(record.rules["rules"], 1):
        lines.append(f"  {place}. {_rule(rule)}")
    lines.append(f"  otherwise {record.rules['otherwise']}")
    told = record.fidelity
    lines.append(
        f"It decides as the policy alone would in {_share(told.alike)} of "
        f"{counted(told.decisions, 'held-out decision')} with a choice "
        f"({counted(told.contacts, 'contact')}), and in {_share(told.at_stake)} of what is at "
        "stake in them."
    )
    for one in told.actions[:_SEEN]:
        often = f"; else most often {one.instead}" if one.instead else ""
        lines.append(f"  {one.action}: {one.alike} of {one.taken} alike{often}")
    lines.append(
        f"By the held-out log, {record.unit} per episode, {100.0 * record.level:.4g} % intervals:"
    )
    names = {ALONE: "the rules alone", HELD: "the rules, held as the policy is"}
    for worth in record.worth:
        who = names.get(worth.policy, worth.policy)
        if not worth.carried:
            lines.append(f"  {who}: the log does not carry it ({worth.says})")
            continue
        value = f"{worth.value:.2f} [{worth.lower:.2f}, {worth.upper:.2f}]"
        less = (
            ""
            if worth.less is None
            else f", {worth.less:+.2f} [{worth.less_lower:+.2f}, {worth.less_upper:+.2f}] to the "
            "policy"
        )
        lines.append(f"  {who}: {value}{less}")
    return lines


def _rule(rule: Mapping[str, Any]) -> str:
    when = " and ".join(f"{column} {asked}" for column, asked in rule["when"].items())
    return f"if {when}: {rule['do']}" if when else f"always: {rule['do']}"


def _share(share: Share) -> str:
    return f"{share.value:.1%} [{share.lower:.1%}, {share.upper:.1%}]"


def _heading(name: str, journey: Journey, told: Fidelity) -> list[str]:
    return [
        f"Rules made of the policy {name!r} of the journey {journey.name!r}.",
        f"They decide as it would in {told.alike.value:.1%} of {told.decisions} held-out decisions "
        "with a choice.",
        "The first rule that fits, and whose action is allowed, decides. Edit them as you like;",
        "then ask what a log says of them: nurture ope +targets.edited.spec=THIS_FILE "
        "ask.candidate=edited",
    ]


def _about(made: Distilled) -> list[str]:
    """How much each rule decides, as comments."""
    return [
        f"takes {taken} of {made.fidelity.decisions} decisions, {alike} as the policy"
        for taken, alike in made.takes
    ]
