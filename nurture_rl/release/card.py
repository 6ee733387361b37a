"""The policy card: what stands behind a bundle, for people and for programs.

What it tells follows Mitchell et al. (2019), Model Cards for Model Reporting: what it is for, what
data it was learned from, how it was judged, what it cannot do, and which harms were looked at. Who
signed is no part of it: signatures cover the card.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a serving host reads cards without what it takes to judge
    from nurture_rl.release.gate import (
        CandidateDifference,
        GateDecision,
        GateEvidence,
        WorldJudgement,
    )

_HEAD = ("| judge | difference | interval | confidence |", "| --- | --- | --- | --- |")


@dataclass(frozen=True, slots=True)
class PolicyCard:
    """What a reader must know before letting a policy decide."""

    title: str
    provenance: str  # what kind of data the policy was learned from
    data_fingerprint: str  # content hash of that data; empty where nothing was learned
    evidence: GateEvidence | None  # None: compared with nothing
    decision: GateDecision | None
    supports: tuple[str, ...]  # what the log can answer
    limits: tuple[str, ...]  # what it cannot, and where the policy should not be used
    first: str = ""  # what must be known before anything else; empty where nothing is
    intended: tuple[str, ...] = ()  # what it is for, and what not
    data: tuple[str, ...] = ()  # how much of it there was, and from when
    harms: tuple[str, ...] = ()  # which were looked at, and how they are held down


def card_data(card: PolicyCard) -> dict[str, Any]:
    """The card as plain data."""
    return asdict(card)


def card_markdown(card: PolicyCard) -> str:
    """The card as a page."""
    lines = [f"# {card.title}", "", *((card.first, "") if card.first else ())]
    lines += [f"Data: {card.provenance}."]
    lines += [f"Data fingerprint: `{card.data_fingerprint}`."] if card.data_fingerprint else []
    lines += [f"- {sentence}" for sentence in card.data]
    lines += _list("Intended use", card.intended)
    lines += ["", "## Evidence", ""]
    lines += _evidence(card.evidence)
    if card.decision is not None:
        passed = "passed" if card.decision.passed else "refused"
        lines += [
            "",
            f"Gate: **{passed}**.",
            *(f"- {one.sentence}" for one in card.decision.causes),
        ]
    lines += _list("What the log supports", card.supports)
    lines += _list("Limits", card.limits)
    lines += _list("Harms", card.harms)
    return "\n".join(lines) + "\n"


def _list(title: str, sentences: tuple[str, ...]) -> list[str]:
    told = [f"- {sentence}" for sentence in sentences] or ["- nothing stated"]
    return ["", f"## {title}", "", *told]


def _evidence(evidence: GateEvidence | None) -> list[str]:
    if evidence is None:
        return ["None: this policy was not compared with anything."]
    return [
        f"{evidence.candidate} less {evidence.reference}, {evidence.unit} per episode:",
        "",
        *_HEAD,
        _row("held-out logs (doubly robust)", evidence.logged),
        _row("simulator", evidence.simulated),
        *_world_rows(evidence.world),
        "",
        *_bar_rows(evidence),
        f"Effective sample size {evidence.effective_sample_size:.1f} among {evidence.contacts} "
        f"held-out contacts; verdict `{evidence.verdict}`. {evidence.verdict_text}".rstrip(),
    ]


def _bar_rows(evidence: GateEvidence) -> list[str]:
    """The candidate against the program that may be enough."""
    bar = evidence.bar
    if bar is None:
        return ["It was held against no program that may be enough.", ""]
    logged = "| held-out logs | the log cannot judge it | | |"
    return [
        f"{evidence.candidate} less {bar.name}, the program that may be enough:",
        "",
        *_HEAD,
        logged if bar.logged is None else _row("held-out logs", bar.logged),
        _row("simulator", bar.simulated),
        _row("worst of its members", bar.worst),
        "",
    ]


def _world_rows(world: WorldJudgement | None) -> list[str]:
    if world is None:
        return []
    rows = [] if world.worst is None else [_row("worst of its members", world.worst)]
    cause = "" if world.cause is None else f" ({world.cause})"
    return [*rows, "", f"The simulator against held-out logs: `{world.trust}`{cause}."]


def _row(judge: str, difference: CandidateDifference) -> str:
    interval = f"[{difference.lower:+.4g}, {difference.upper:+.4g}]"
    return f"| {judge} | {difference.value:+.4g} | {interval} | {100 * difference.level:.4g} % |"
