"""What recorded decisions are still worth: one way to ask, for retries, confirmations and stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.recheck import Check, Objection, Recorded, objections
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import (
    Confirmation,
    ContactView,
    Decision,
    Event,
    Fate,
    Planned,
    Withdrawal,
)
from nurture_rl.serving.storage.reading import NOT_CONFIRMED, StoreReader, proves

Views = Callable[[Sequence[Ask], int], list[ContactView]]
_PAUSED = Objection("withdrawn", "the switch stands at pause")


class RecordedDecisions:
    """Asks recorded decisions again. Whoever calls holds the locks of their contacts."""

    def __init__(
        self,
        bundle: Bundle,
        store: StoreReader,
        default_zone: str,
        paused: Callable[[], bool] = lambda: False,
        is_own: Callable[[Decision], bool] = lambda decision: True,
    ) -> None:
        """Arguments as of `views_of`.

        Further ones:
            paused: says whether nobody is mailed now.
            is_own: whether a decision is one of the bundle's journey; others are left alone.
        """
        self._bundle, self._store, self._zone = bundle, store, default_zone
        self._paused, self._is_own = paused, is_own

    def objections(
        self,
        decisions: Sequence[Decision],
        views: Sequence[ContactView],
        now_us: int,
        check: Check,
    ) -> tuple[list[Objection | None], list[Withdrawal]]:
        """What stands against recorded decisions.

        Args:
            decisions: the decisions, [n].
            views: the contact of each, as known now.
            now_us: the moment, microseconds since 1970 UTC.
            check: how to look at those that were not confirmed.

        Returns:
            An objection or None per decision, and what is withdrawn by it, each decision once.
        """
        ids = [decision.decision_id for decision in decisions]
        fates, went = self._store.fates(ids), self._store.proofs(ids)
        recorded = [
            Recorded(
                decision,
                without(view, decision.decision_id),
                now_us,
                Check.CONFIRMED if _fate(fates, decision).confirmed_us is not None else check,
                went.get(decision.decision_id),
            )
            for decision, view in zip(decisions, views, strict=True)
        ]
        found = objections(self._bundle, recorded, self._zone)
        if self._paused():
            found = [
                objection if decision.scheduled_us is None else objection or _PAUSED
                for decision, objection in zip(decisions, found, strict=True)
            ]
        new: dict[str, Withdrawal] = {}
        for i, (one, objection) in enumerate(zip(recorded, found, strict=True)):
            decision, fate = one.decision, _fate(fates, one.decision)
            if fate.reason is not None:  # it stays withdrawn: the export says so
                found[i] = Objection("withdrawn", fate.reason)
            elif objection is not None:
                freed = one.went is None and _is_free(decision, now_us, one.check)
                new[decision.decision_id] = Withdrawal(decision, now_us, objection.why, freed)
        return found, list(new.values())

    def confirmations(
        self, decisions: Sequence[Decision], views: Sequence[ContactView], now_us: int
    ) -> tuple[list[Confirmation], list[Withdrawal], dict[str, int]]:
        """Whether recorded decisions are to be carried out now.

        Args:
            decisions: the decisions, [n].
            views: the contact of each, as known now.
            now_us: the moment, microseconds since 1970 UTC.

        Returns:
            An answer per decision, what is withdrawn by it, and what is confirmed for the first
            time, with the moment.
        """
        fates = self._store.fates([decision.decision_id for decision in decisions])
        due = [
            i
            for i, decision in enumerate(decisions)
            if decision.scheduled_us is not None and decision.scheduled_us <= now_us
        ]
        found, withdrawals = self.objections(
            [decisions[i] for i in due], [views[i] for i in due], now_us, Check.LEAVES_NOW
        )
        against = dict(zip(due, found, strict=True))
        answers: list[Confirmation] = []
        confirmed: dict[str, int] = {}
        for i, decision in enumerate(decisions):
            fate, objection = _fate(fates, decision), against.get(i)
            if decision.scheduled_us is None:
                text = f"the decision was {decision.action}: there is nothing to send"
                answers.append(Confirmation(decision, "no_send", text))
            elif why := fate.reason or (objection.why if objection else None):
                answers.append(Confirmation(decision, "withdrawn", why, fate.confirmed_us))
            elif i not in against:
                text = "its hour has not come: ask again at `scheduled_at`"
                answers.append(Confirmation(decision, "early", text))
            else:
                at_us = now_us if fate.confirmed_us is None else fate.confirmed_us
                answers.append(Confirmation(decision, "send", None, at_us))
                if fate.confirmed_us is None:
                    confirmed[decision.decision_id] = now_us
        return answers, withdrawals, confirmed

    def lapsed(self, decisions: Sequence[Decision], now_us: int) -> list[Withdrawal]:
        """Those of some sends that were never confirmed and went all the same by no event.

        Args:
            decisions: sends that had to be confirmed by now.
            now_us: the moment, microseconds since 1970 UTC.
        """
        ids = [decision.decision_id for decision in decisions]
        settled = self._store.fates(ids).keys() | self._store.proofs(ids).keys()
        return [
            Withdrawal(decision, now_us, NOT_CONFIRMED, freed=True)
            for decision in decisions
            if decision.decision_id not in settled
        ]

    def refused(
        self,
        names: Sequence[str],
        views: Views,
        now_us: int,
        change: Callable[[ContactView], ContactView],
    ) -> list[Withdrawal]:
        """Planned sends to contacts who refuse them from now on.

        Args:
            names: the contacts.
            views: what the store knows of contacts, perhaps of before.
            now_us: the moment, microseconds since 1970 UTC.
            change: what is known of them from now on.
        """
        planned = self._store.awaiting(names, now_us) if names else []
        planned = [decision for decision in planned if self._is_own(decision)]
        known = views([Ask(d.contact_id) for d in planned], now_us) if planned else []
        recorded = [
            Recorded(
                decision,
                change(view),
                now_us,
                Check.STOPPED,
            )
            for decision, view in zip(planned, known, strict=True)
        ]
        return self._taken_back(recorded)

    def named(self, events: Sequence[Event]) -> list[Decision]:
        """The decisions that events name."""
        ids = {event.decision_id for event in events if event.decision_id is not None}
        return list(self._store.decisions(list(ids)).values()) if ids else []

    def proven(self, events: Sequence[Event]) -> list[Decision]:
        """Decisions that were free again, and went by what new events say."""
        ids = {event.decision_id for event in events if event.decision_id is not None}
        freed = self._store.freed(list(ids)) if ids else []
        return [decision for decision in freed if any(proves(e, decision) for e in events)]

    def stopped(
        self, events: Sequence[Event], views: Views, new: Sequence[Event]
    ) -> list[Withdrawal]:
        """Planned sends that events take back at once.

        Args:
            events: new ones that may forbid mail.
            views: what the store knows of contacts, without the events.
            new: all new ones, which may prove that a mail went.
        """
        told: dict[str, list[Event]] = {}
        for event in events:
            if event.type != "sent":
                told.setdefault(contact_key(event.contact_id), []).append(event)
        moments = {name: max(e.recorded_us for e in said) for name, said in told.items()}
        planned = self._store.awaiting(list(told), min(moments.values())) if told else []
        planned = [d for d in planned if self._is_own(d) and _is_open(d, moments[d.contact_id])]
        if not planned:
            return []
        recorded = []
        for now_us in sorted({moments[d.contact_id] for d in planned}):
            some = [d for d in planned if moments[d.contact_id] == now_us]
            known = views([Ask(d.contact_id) for d in some], now_us)
            recorded += [
                Recorded(
                    decision,
                    replace(view, events=(*view.events, *told[decision.contact_id])),
                    now_us,
                    Check.STOPPED,
                )
                for decision, view in zip(some, known, strict=True)
            ]
        return self._taken_back(recorded, new)

    def _taken_back(
        self, recorded: Sequence[Recorded], new: Sequence[Event] = ()
    ) -> list[Withdrawal]:
        planned = [one.decision for one in recorded]
        went = set(self._store.proofs([d.decision_id for d in planned])) if planned else set()
        went |= {d.decision_id for d in planned if any(proves(event, d) for event in new)}
        found = objections(self._bundle, recorded, self._zone)
        return [
            Withdrawal(
                one.decision, one.now_us, objection.why, one.decision.decision_id not in went
            )
            for one, objection in zip(recorded, found, strict=True)
            if objection is not None
        ]


def without(view: ContactView, decision_id: str) -> ContactView:
    """A contact as known without one decision's own reservation."""

    def others(planned: Sequence[Planned]) -> tuple[Planned, ...]:
        return tuple(one for one in planned if one.decision_id != decision_id)

    return replace(view, sends=others(view.sends), calls=others(view.calls))


def without_consent(view: ContactView) -> ContactView:
    """A contact whose consent is gone."""
    return replace(view, contact=replace(view.contact, consent=False))


def withdrawn_text(decision: Decision, why: str) -> str:
    """What is said of a recorded decision that may not be carried out any more."""
    return (
        f"decision {decision.decision_id!r} was {decision.action} and must not be carried out any "
        f"more: {why}; send nothing, and ask anew without this request_id"
    )


def _fate(fates: Mapping[str, Fate], decision: Decision) -> Fate:
    return fates.get(decision.decision_id, Fate())


def _is_open(decision: Decision, now_us: int) -> bool:
    """Whether a send that was not confirmed cannot have left by itself."""
    return max(decision.scheduled_us or 0, decision.confirm_by_us or 0) > now_us


def _is_free(decision: Decision, now_us: int, check: Check) -> bool:
    """Whether the mail of a decision that is withdrawn now cannot have left."""
    if decision.scheduled_us is None or check is Check.CONFIRMED:
        return False
    must_be_confirmed = decision.confirm_by_us is not None
    return check is Check.LEAVES_NOW or must_be_confirmed or now_us < decision.scheduled_us
