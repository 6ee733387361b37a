"""Verbs for whoever plans what comes of a programme."""

from __future__ import annotations

from nurture_rl.cli.verb_record import Verb

PLANNING_VERBS = (
    Verb(
        name="rounds",
        summary="runs a programme in rounds: log, learn, ask the gate, serve, and log again",
        reads="a world whose truth is known, or a log to fit one to (`data=...`)",
        makes="a report (HTML, Markdown, JSON): value, gate and cost of exploration by round",
        examples=(
            "nurture rounds experiment=small rounds.count=2 rounds.contacts=500",
            "nurture rounds data=null_lead rounds.exploration=[0.35,0.2]",
        ),
        settings="nurture_rl.workflow.rounds.rounds_config:RoundsConfig",
        work="nurture_rl.workflow.rounds.rounds_verb:rounds",
    ),
    Verb(
        name="plan_rounds",
        summary="writes a dated plan of rounds for a live programme, and renews it after each",
        reads="a log (`data=...`), the plan that is there, and a round's `gate.json`",
        makes="days, cost of exploration and what each gate can judge (HTML, Markdown, JSON)",
        examples=(
            "nurture plan_rounds policy=cost_sensitive start=2027-03-01 weekly=400",
            "nurture plan_rounds data=folder data.path=exported gate=runs/stages/release-2 "
            "decided=2027-06-14",
        ),
        settings="nurture_rl.workflow.rounds.plan_config:RoundPlanConfig",
        work="nurture_rl.workflow.rounds.plan_verb:plan_rounds",
    ),
    Verb(
        name="propose_rules",
        summary="proposes changes of the rules after won, lost, meetings and stages, by a log",
        reads="a log (`data=...`) and the rules that run (`rules=...`)",
        makes="a file of rules to edit and accept, and every tested change with its interval",
        examples=(
            "nurture propose_rules experiment=small",
            "nurture propose_rules data=folder data.path=exported rules=expert",
        ),
        settings="nurture_rl.workflow.propose_config:ProposeConfig",
        work="nurture_rl.workflow.propose_verb:proposed_rules",
    ),
    Verb(
        name="prices",
        summary="tells what limits on mails and harms cost, and learns a policy that keeps to them",
        reads="the decision table and the fitted world, which it makes where they are missing",
        makes="prices of the limits, the frontier of value by mails, a page (HTML, Markdown, JSON)",
        examples=(
            "nurture prices experiment=small policy=fqi +at_most.send=1.2",
            "nurture prices policy=cql +at_most.send=1.5 +at_most.unsubscribed=0.003",
        ),
        settings="nurture_rl.workflow.prices_config:PricesConfig",
        work="nurture_rl.workflow.verb_runs:prices",
    ),
)
