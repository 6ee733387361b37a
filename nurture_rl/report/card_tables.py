"""A bundle's policy card, as its JSON has it, for a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nurture_rl.report.numbers import percent, shown
from nurture_rl.report.tables import Table

_NOTHING = ("nothing stated",)
_Card = Mapping[str, Any]


def card_lists(card: _Card) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Its sentences under their titles; cards of older bundles lack some."""
    data = [f"from: {card.get('provenance', '')}", *card.get("data", ())]
    data += [f"fingerprint {card['data_fingerprint']}"] if card.get("data_fingerprint") else []
    return (
        ("Intended use", tuple(card.get("intended", ())) or _NOTHING),
        ("Data", tuple(data)),
        ("Evaluation", tuple(_evaluation(card))),
        ("What the log supports", tuple(card.get("supports", ())) or _NOTHING),
        ("Limits", tuple(card.get("limits", ())) or _NOTHING),
        ("Harms", tuple(card.get("harms", ())) or _NOTHING),
    )


def _evaluation(card: _Card) -> Iterator[str]:
    evidence, decision = card.get("evidence"), card.get("decision")
    if evidence is None:
        yield "none: this policy was not compared with anything"
    else:
        yield (
            f"verdict `{evidence['verdict']}`, from {evidence['contacts']} held-out contacts, as "
            f"many as {evidence['effective_sample_size']:.1f} of its own (effective sample size)"
        )
    if decision is not None:
        yield "the gate passed it" if decision["passed"] else "the gate refused it"
        yield from (str(cause["sentence"]) for cause in decision.get("causes", ()))


def card_tables(card: _Card) -> tuple[Table, ...]:
    """The evidence: what the policy earns beyond others, by each judge."""
    evidence = card.get("evidence")
    if evidence is None:
        return ()
    worst = (evidence.get("world") or {}).get("worst")
    bar = evidence.get("bar")
    tables = [_compared(evidence, evidence["reference"], {**evidence, "worst": worst})]
    tables += [] if bar is None else [_compared(evidence, bar["name"], bar)]
    return tuple(tables)


def _compared(evidence: _Card, other: str, judged: _Card) -> Table:
    """The policy less another; a judge that said nothing has no row."""
    judges = {
        "held-out logs": judged.get("logged"),
        "simulator": judged.get("simulated"),
        "worst of its members": judged.get("worst"),
    }
    rows = tuple(_row(name, one) for name, one in judges.items() if one is not None)
    caption = f"{evidence['candidate']} less {other}, {evidence['unit']} per episode"
    return Table(caption, ("Judge", "Difference", "From", "To", "Confidence"), rows)


def _row(name: str, one: _Card) -> tuple[str, ...]:
    ends = (shown(one[key], signed=True) for key in ("value", "lower", "upper"))
    return (name, *ends, percent(one["level"]))
