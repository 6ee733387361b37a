"""Verbs for people who must trust a policy: as rules, who signs it, what it does, what changes."""

from __future__ import annotations

from nurture_rl.cli.verb_record import Verb

PAPER_VERBS = (
    Verb(
        name="distil",
        summary="turns a policy into a short list of rules, and tells what is lost by it",
        reads="the decision table, and a policy that it trains or that a bundle holds",
        makes="rules in a file (YAML) that people edit, and how alike they decide (JSON)",
        examples=(
            "nurture distil experiment=small",
            "nurture distil policy=ppo rules=5 out=five_rules",
        ),
        settings="nurture_rl.workflow.distil_config:DistilConfig",
        work="nurture_rl.workflow.distil_verb:distil_rules",
    ),
    Verb(
        name="sign",
        summary="adds another person's signature to a bundle",
        reads="a bundle, and a private Ed25519 key (PEM)",
        makes="one more signature in the bundle; nothing else of it changes",
        examples=(
            "nurture sign bundle=released/bundle key=second.pem",
            "nurture sign bundle=released/may key=second.pem --json",
        ),
        settings="nurture_rl.workflow.sign_verb:SignOptions",
        work="nurture_rl.workflow.sign_verb:sign",
        composed=False,
    ),
    Verb(
        name="papers",
        summary="tells people what a bundle sends to whom, when, and what stops it",
        reads="a bundle, and nothing else",
        makes="a page (HTML) and the same as text, with the bundle's hash on them",
        examples=(
            "nurture papers bundle=released/bundle",
            "nurture papers bundle=released/bundle out=for_legal",
        ),
        settings="nurture_rl.workflow.papers_verb:PapersOptions",
        work="nurture_rl.workflow.papers_verb:papers",
        composed=False,
    ),
    Verb(
        name="lint",
        summary="looks for sensitive attributes, their proxies, and claims that nobody stands for",
        reads="a journey, and a log of its decisions where one is given (Parquet)",
        makes="nothing: it prints what has to be looked at, and proofs by segment",
        examples=(
            "nurture lint journey=inbound_lead",
            "nurture lint journey=inbound_lead log=exported denied=[industry]",
        ),
        settings="nurture_rl.workflow.lint_verb:LintOptions",
        work="nurture_rl.workflow.lint_verb:lint",
        composed=False,
        codes={3: "something has to be looked at"},
    ),
    Verb(
        name="diff",
        summary="tells people what a later journey or bundle does otherwise, and no longer forbids",
        reads="two bundles, or two journeys by file or name",
        makes="nothing: it prints guardrails that forbid less first, then all other differences",
        examples=(
            "nurture diff before=inbound_lead after=inbound_lead",
            "nurture diff before=released/may after=released/bundle --json",
        ),
        settings="nurture_rl.workflow.diff_verb:DiffOptions",
        work="nurture_rl.workflow.diff_verb:diff",
        composed=False,
        codes={3: "a guardrail forbids less, or nobody can tell that it forbids as much"},
    ),
)
