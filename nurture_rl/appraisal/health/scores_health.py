"""Scores that change no decision: nothing reads them, or nobody has what is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import pyarrow as pa

from nurture_envs.journey import Journey
from nurture_rl.appraisal.health.finding import LOOK, LogFinding, share
from nurture_rl.predictions.predicted_outcomes import predicted_outcomes, with_losses
from nurture_rl.predictions.score_bindings import own_columns, score_readers
from nurture_rl.predictions.score_file import ScoreFile

_INTENT, _OF_MAIL = "intent", ("fatigue", "tolerance")


def scores_health(contacts: pa.Table, journey: Journey, file: ScoreFile) -> Iterator[LogFinding]:
    """Findings: scores that nothing reads, and scores that are read and that no contact has.

    A score is one that the score file declares, or an attribute of contacts or a feature of the
    journey that is called as the verb `predict` calls a score, such as `convert_14d`.

    Args:
        contacts: checked.
        journey: its features, rules and offers.
        file: the score file; the journey's own where none was given.
    """
    had = _had(contacts)
    declared = [*([_INTENT] if file.intent else []), *(one.name for one in file.flags)]
    called = _score_names(journey, declared)
    kept = sorted(name for name in had if called.fullmatch(name))
    unread = [
        name for name in dict.fromkeys([*declared, *kept]) if not score_readers(name, journey, file)
    ]
    if unread:
        yield LogFinding(
            "unbound scores",
            LOOK,
            f"nothing reads {_listed(unread, had, len(contacts))}, so they change no decision",
            "make each a feature of the journey (kind: attribute) that a rule, an offer or a "
            "learned policy reads, say under `reads` or `do` of the score file which action it "
            "decides about, or stop making it",
        )
    read = [one.attribute or one.name for one in journey.features if one.kind == "attribute"]
    empty = [
        name
        for name in read
        if called.fullmatch(name) and own_columns(name, journey) and not had[name]
    ]
    if empty:
        yield LogFinding(
            "scores that no contact has",
            LOOK,
            f"the journey reads {', '.join(empty)} and no contact has it, so that it is the same "
            "for everybody and changes no decision",
            "write scores.parquet of the verb `predict` into the contacts' attributes before each "
            "batch of decisions",
        )


def _had(contacts: pa.Table) -> Counter[str]:
    """How many contacts have each attribute."""
    found: Counter[str] = Counter()
    decoder = msgspec.json.Decoder(dict[str, object])
    for text in contacts["attributes"].to_pylist():
        if text and text != "{}":
            found.update(decoder.decode(text).keys())
    return found


def _score_names(journey: Journey, declared: Sequence[str]) -> re.Pattern[str]:
    outcomes = [one.name for one in predicted_outcomes(with_losses(journey))]
    topics = dict.fromkeys(one.topic for one in journey.messages)
    chances = "|".join(re.escape(name) for name in (*outcomes, *declared))
    plain = (_INTENT, *_OF_MAIL, *declared, *(f"affinity_{topic}" for topic in topics))
    return re.compile(rf"(?:{chances})_\d+(?:\.\d+)?d|{'|'.join(re.escape(one) for one in plain)}")


def _listed(names: Sequence[str], had: Counter[str], contacts: int) -> str:
    return ", ".join(
        f"{name} of {share(had[name], contacts)} contacts" if had[name] else name for name in names
    )
