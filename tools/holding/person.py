"""What a client knows of one contact from what it sent and was answered, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from nurture_envs.journey import Journey
from nurture_rl.serving.records import Contact, ContactView, Episode, Event, Planned, Preferences
from tests.unit.serving.mask_oracle import DAY_US, NO, NO_REPLIES, Standing, over, standing_of
from tools.holding.columns import asked_columns

_SOON = ("soft_bounce", "sent")  # count whatever their time stamps say
_BACK = ("consent_given", "resubscribe")
# Events that name a decision and say that its mail went.
_PROVE = frozenset(
    {"sent", "delivered", "open", "click", "reply", "hard_bounce", "soft_bounce", "complaint"}
    | {"unsubscribe"}
)


@dataclass(slots=True)
class Person:
    """One contact; events are in the order in which they were acknowledged."""

    name: str
    account: str | None
    zone: str | None
    consent: bool = True
    events: dict[str, Event] = field(default_factory=dict)  # by id, once each
    sends: dict[str, Planned] = field(default_factory=dict)  # by decision id
    made: list[tuple[str, int, str]] = field(default_factory=list)  # every send: id, hour, message
    withdrawn: set[str] = field(default_factory=set)  # sends
    freed: set[str] = field(default_factory=set)  # of these, those that cannot have left
    episode: Episode | None = None
    wishes: Preferences = field(default_factory=Preferences)
    attributes: Mapping[str, float] = field(default_factory=dict)
    domain: str = ""
    header: str = ""  # by which they may unsubscribe
    confirmed: set[str] = field(default_factory=set)  # sends that were told to leave
    steps: dict[str, int] = field(default_factory=dict)  # of sends, by decision id

    def heard(self, event: Event) -> None:
        """An event was acknowledged; a second time it changes nothing."""
        self.events.setdefault(event.event_id, event)

    def decided(self, answer: Mapping[str, Any], now_us: int, at_us: int | None) -> None:
        """A decision was answered for the first time."""
        action, name = str(answer["action"]), str(answer["decision_id"])
        episode = self._episode(str(answer["journey"]), now_us)
        step, until = int(answer["step"]), episode.paused_until
        routing, _, rest = action.partition(":")
        if routing == "pause":
            until = max(until, step + int(rest)) if int(rest) > 1 else until
        self.episode = replace(
            episode, last_step=step, paused_until=until, exited=routing == "exit"
        )
        if at_us is not None:
            message = rest.rpartition("@")[0]
            self.sends[name], self.steps[name] = Planned(name, at_us, message), step
            self.made.append((name, at_us, message))
        elif routing in ("slow", "escalate"):
            kind = "slowed" if routing == "slow" else "escalated"
            self.heard(Event(f"{name}.{kind}", self.name, now_us, now_us, kind))

    def leaves(self, decision_id: str, now_us: int) -> None:
        """A send was told to leave: from then on it counts at that moment, not at its hour."""
        self.confirmed.add(decision_id)
        self.sends[decision_id] = replace(self.sends[decision_id], at_us=now_us)
        self.made = [
            (name, now_us if name == decision_id else at_us, message)
            for name, at_us, message in self.made
        ]

    def taken_back(self, decision_id: str, now_us: int, leaving: bool = False) -> None:
        """A send was taken back at a moment; the first word counts.

        Before its hour it is none. Nor is it where it was asked whether it may leave: it did not.
        """
        if decision_id in self.withdrawn:
            return
        self.withdrawn.add(decision_id)
        plan = self.sends.get(decision_id)
        if plan is None or decision_id in self.confirmed or self.went(decision_id):
            return
        if leaving or plan.at_us > now_us:
            del self.sends[decision_id]
            self.freed.add(decision_id)

    def went(self, decision_id: str) -> bool:
        """Whether an event says that the mail of a decision was sent."""
        return any(e.decision_id == decision_id and e.type in _PROVE for e in self.events.values())

    def view(
        self, journey: Journey, now_us: int, available: bool | None, without: str | None = None
    ) -> ContactView:
        """The contact as it is known at a moment, without the plan of one send."""
        lifted, standing = self._lifted(), []
        for event in self.events.values():
            known = max(event.occurred_us, event.recorded_us) <= now_us
            if event.event_id not in lifted and (known or _counts(event)):
                standing.append(event)
        contact = Contact(
            self.name, self.account, self.zone, 1.0 if self.zone else 0.0, self.consent, {}
        )
        return ContactView(
            "", contact, tuple(standing), self._episode(journey.name, now_us),
            tuple(p for p in self.sends.values() if p.decision_id != without),
            available=available, preferences=self.wishes,
        )  # fmt: skip

    def over(self, journey: Journey, now_us: int, confirming: bool = False) -> str | None:
        """Why there is nothing to decide; also words that were taken back end an episode.

        Whoever confirms asks of a bin that was decided.
        """
        everything = [
            event
            for event in self.events.values()
            if max(event.occurred_us, event.recorded_us) <= now_us or _counts(event)
        ]
        view = replace(self.view(journey, now_us, None), events=tuple(everything))
        if confirming:
            view = replace(view, episode=replace(view.episode, last_step=None))
        return over(journey, view, now_us)

    def standing(
        self,
        journey: Journey,
        now_us: int,
        available: bool | None,
        left: Mapping[str, int],
        without: str | None = None,
    ) -> Standing:
        """Where they stand, as the oracle reads it, without the plan of one send."""
        view = self.view(journey, now_us, available, without)
        told = tuple(self.events.values())
        held = asked_columns(journey, told, self.attributes, view.episode.anchor_us, now_us)
        return standing_of(journey, view, now_us, held, left)

    def anchor_us(self, now_us: int) -> int:
        """Where their episode began."""
        return self._episode("", now_us).anchor_us

    def _episode(self, journey: str, now_us: int) -> Episode:
        if self.episode is not None:
            return self.episode
        anchor_us = now_us // DAY_US * DAY_US
        day = date(1970, 1, 1) + timedelta(days=anchor_us // DAY_US)
        return Episode(f"{journey}:{self.name}:{day}", anchor_us)

    def _lifted(self) -> set[str]:
        """Ids of words against mail that later consent took back."""
        lifted: set[str] = set()
        before: list[Event] = []
        for event in self.events.values():
            if event.type in _BACK:
                lifted |= {
                    word.event_id
                    for word in before
                    if event.occurred_us > min(word.occurred_us, word.recorded_us)
                }
            elif event.type in (*NO, "snoozed") or event.reply_class in NO_REPLIES:
                before.append(event)
        return lifted


def _counts(event: Event) -> bool:
    """Whether an event counts from its acknowledgement on, whatever its time stamps say."""
    against = event.type in NO or event.reply_class in NO_REPLIES
    own_call = event.type == "escalated" and event.event_id.endswith(".escalated")
    away = event.reply_class == "out_of_office"
    return against or away or own_call or event.type in ("hard_bounce", "snoozed", *_SOON)
