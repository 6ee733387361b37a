"""Events that are worked out of others, where the journey has a signal that reads them."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from nurture_envs.derived_rules import ChangePoints, DerivedRule, PathEvents, counted_signals
from nurture_envs.journey import Journey
from nurture_rl.errors import LogError
from nurture_rl.logs.change_signals import change_events
from nurture_rl.logs.click_signals import FIRST_CLICK, LINK_CLICKED, SOURCE, click_events
from nurture_rl.logs.path_signals import path_events
from nurture_rl.logs.privacy_rules import PrivacyRules
from nurture_rl.logs.repeated_signals import repeated_events
from nurture_rl.wording import counted

_OF_CLICKS = frozenset({FIRST_CLICK, LINK_CLICKED})


def derived_types(journey: Journey | None) -> frozenset[str]:
    """The types of event that a journey's signals read and that are worked out of others."""
    if journey is None:
        return frozenset()
    named = {one.type for one in journey.signals}
    return (_OF_CLICKS & named) | {rule.type for rule in journey.derived}


class DerivedEvents:
    """Adds what is worked out to the events of some contacts after the others, and counts it."""

    def __init__(self, journey: Journey | None, rules: PrivacyRules | None) -> None:
        """Begin.

        Args:
            journey: whose signals are worked out; None: nothing is.
            rules: what may be written; None: all.

        Raises:
            LogError: the rules ask for consent to what is worked out, of which no row says any.
        """
        types = derived_types(journey)
        self.types = types if rules is None or rules.events is None else types & rules.events
        if rules is not None and (asked := sorted(self.types & rules.purposes.keys())):
            raise LogError(
                f"privacy.yaml: purposes: {asked[0]} is worked out of other events, and no row "
                "says who agreed to it; name the events that it is made of, or leave it out of "
                "`events`"
            )
        self._journey = journey
        self._added: Counter[str] = Counter(dict.fromkeys(self.types, 0))
        self._unknown = 0  # clicks of no mail that was sent

    def with_derived(self, events: pa.Table) -> pa.Table:
        """The events and what is worked out of them, by contact, time and id.

        What the log has of a type by itself stays, and nothing of it is worked out for its contact.

        Args:
            events: rows of the events table, all of each contact.
        """
        new = self.new(events)
        if not len(new):
            return events
        order = [(name, "ascending") for name in ("contact_id", "occurred_at", "event_id")]
        return pa.concat_tables([events, new.cast(events.schema)]).sort_by(order)

    @property
    def reads(self) -> frozenset[str]:
        """The types of event of which something may be worked out."""
        read = {"sent", "delivered", "click"} if self.types & _OF_CLICKS else set()
        if self._journey is not None:
            type_of = {one.name: one.type for one in self._journey.signals}
            for rule in self._journey.derived:
                read |= {type_of[name] for name in counted_signals(rule)}
        return frozenset(read)

    def notes(self) -> list[str]:
        """What was added so far, in a sentence; empty where nothing is asked for."""
        if not self.types:
            return []
        kinds = ", ".join(f"{rows} {kind}" for kind, rows in sorted(self._added.items()))
        note = f"worked out of other events: {kinds}"
        if self._unknown:
            clicks = counted(self._unknown, "click of a person", "clicks of people")
            note += f"; {clicks} had no part in it, as they name no mail that was sent before them"
        return [note]

    def new(self, events: pa.Table) -> pa.Table:
        """What is worked out of events and not among them, as rows of the events table."""
        parts = [events.slice(0, 0)]
        if self.types & _OF_CLICKS:
            clicks, unknown = click_events(events)
            self._unknown += unknown
            parts.append(clicks.cast(events.schema))
        if self._journey is not None:
            for rule in self._journey.derived:
                if rule.type in self.types:
                    made = _worked_out(events, rule, self._journey)
                    parts.append(made.cast(events.schema))
        new = pa.concat_tables(parts)
        asked = pa.array(sorted(self.types), pa.string())
        new = new.filter(pc.is_in(new["type"], asked))
        own = events.filter(pc.is_in(events["type"], asked))
        told = own.filter(pc.not_equal(own["source"], SOURCE))
        theirs = pc.is_in(_who(new), _who(told))
        again = pc.is_in(new["event_id"], own["event_id"].combine_chunks())
        new = new.filter(pc.invert(pc.or_(theirs, again)))
        for kind, rows in zip(*_counts(new), strict=True):
            self._added[kind] += rows
        return new


def _worked_out(events: pa.Table, rule: DerivedRule, journey: Journey) -> pa.Table:
    if isinstance(rule, ChangePoints):
        return change_events(events, rule, journey)
    if isinstance(rule, PathEvents):
        return path_events(events, rule, journey)
    return repeated_events(events, rule, journey)


def _who(events: pa.Table) -> pa.Array:
    whole = pc.binary_join_element_wise(events["contact_id"], events["type"], "\x1f")
    return whole.combine_chunks()


def _counts(events: pa.Table) -> tuple[list[str], list[int]]:
    found = events["type"].value_counts()
    return found.field("values").to_pylist(), found.field("counts").to_pylist()
