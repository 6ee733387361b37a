"""The enumerated actions of a journey, with their factor columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nurture_envs.claims import Claim
from nurture_envs.errors import ActionError
from nurture_envs.journey import ALL, Group, Journey, Message, Offer, Reward

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

NOW = -1  # slot of an action that sends at the decision
_NEVER_EXPIRES = np.iinfo(np.int64).max
_MAKES = {"escalate": "escalated", "slow": "slowed"}  # type of the event that an action makes


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done with a contact in a bin."""

    id: str
    routing: str  # send, pause, slow, escalate or exit
    message: Message | None = None
    offer: Offer | None = None  # of the message, where the journey says more of it
    claim: Claim | None = None  # likewise
    slot: int = NOW  # local hour of sending
    bins: int = 0  # length of a pause, or of a slower cadence


@dataclass(frozen=True, slots=True)
class ActionKind:
    """What guardrails can tell of an action; actions of one kind are legal together."""

    routing: str
    slot: int
    groups: tuple[Group, ...]  # of a send, which of those that were asked for it belongs to
    long_pause: bool  # longer than one bin
    approved: bool
    expiry: int | None  # last day it may be taken, days since 1970
    offer: int | None  # position in `ActionCatalog.limited_offers`


@dataclass(frozen=True)
class ActionCatalog:
    """The actions of a journey in their fixed order."""

    actions: tuple[Action, ...]

    @classmethod
    def of(cls, journey: Journey) -> ActionCatalog:
        """Enumerate send x slot, the pauses, then slow, escalate and exit where there are any."""
        options, offers = journey.options, {offer.name: offer for offer in journey.offers}
        claims = {claim.name: claim for claim in journey.claims}
        sends = [
            Action(
                _send_id(message, slot),
                "send",
                message,
                offers.get(message.offer),
                claims.get(message.proof),
                NOW if slot is None else slot,
            )
            for message in journey.messages
            for slot in options.slots
        ]
        pauses = [Action(f"pause:{bins}", "pause", bins=bins) for bins in options.pauses]
        slow = journey.guardrails.slow
        rest = [Action(f"slow:{slow.bins}", "slow", bins=slow.bins)] if slow else []
        rest += [Action("escalate", "escalate")] if options.escalate else []
        rest += [Action("exit", "exit")] if options.exit else []
        return cls((*sends, *pauses, *rest))

    def __len__(self) -> int:
        return len(self.actions)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Stable names, in catalogue order."""
        return tuple(action.id for action in self.actions)

    @cached_property
    def hash(self) -> str:
        """Content hash: equal exactly when ids, order and message factors are equal.

        A channel that all sends share does not count: so it is with catalogues of older releases.
        """
        varies = len(set(self.channels) - {""}) > 1
        rows = [
            [
                *(a.id, a.routing, a.slot, a.bins, *(_factors(a.message) if a.message else ())),
                *([channel] if varies else []),
            ]
            for a, channel in zip(self.actions, self.channels, strict=True)
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]

    def index(self, action_id: str) -> int:
        """Position of an action id.

        Raises:
            ActionError: the catalogue has no such action.
        """
        try:
            return self.ids.index(action_id)
        except ValueError as error:
            known = ", ".join(self.ids[:4])
            raise ActionError(
                f"expected one of this catalogue's {len(self)} actions ({known}, ...), "
                f"got {action_id!r}; use the journey the id was made with"
            ) from error

    def indices(self, action_ids: Sequence[str]) -> IntArray:
        """Positions of action ids, [n].

        Raises:
            ActionError: one of them is unknown.
        """
        return np.array([self.index(action_id) for action_id in action_ids], np.int64)

    def routed(self, routing: str) -> BoolArray:
        """True for actions of that routing, [a]."""
        return np.array([action.routing == routing for action in self.actions])

    @cached_property
    def wait(self) -> int:
        """Position of `pause:1`, the action that is always legal."""
        return self.index("pause:1")

    @cached_property
    def slots(self) -> IntArray:
        """Local hour of sending, NOW where the action sends at once or not at all, [a]."""
        return np.array([action.slot for action in self.actions], np.int64)

    @cached_property
    def pause_bins(self) -> IntArray:
        """Length of each pause, 0 for other actions, [a]."""
        return np.array([a.bins if a.routing == "pause" else 0 for a in self.actions], np.int64)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """The channel of each send, empty for other actions, [a]."""
        return tuple(a.message.channel if a.message else "" for a in self.actions)

    def sends(self, group: Group) -> BoolArray:
        """True for sends of messages of a group, [a]."""
        every = group == ALL
        return np.array(
            [a.message is not None and (every or group in a.message.groups) for a in self.actions]
        )

    @cached_property
    def approved(self) -> BoolArray:
        """False for sends of messages that nobody approved, [a]."""
        return np.array(
            [a.message is None or a.message.approval == "approved" for a in self.actions]
        )

    @cached_property
    def expiry(self) -> IntArray:
        """Last day an action may be taken, days since 1970, [a]."""
        return np.array([_last_day(action) for action in self.actions], np.int64)

    @cached_property
    def limited_offers(self) -> tuple[Offer, ...]:
        """Offers that not everybody may have at any time, [o]."""
        offers = [a.offer for a in self.actions if a.offer is not None and a.offer.limited]
        return tuple(dict.fromkeys(offers))

    def prices(self, reward: Reward) -> FloatArray:
        """What taking each action costs, the offer included, [a], the reward's unit."""
        by_routing = {"send": reward.send_cost, "escalate": reward.escalate_cost}
        return np.array(
            [
                by_routing.get(action.routing, 0.0) + (action.offer.cost if action.offer else 0.0)
                for action in self.actions
            ]
        )

    def kinds(self, asked: Collection[Group]) -> tuple[tuple[ActionKind, ...], tuple[int, ...]]:
        """The distinct kinds of actions, as guardrails see them, and each action's kind, [a].

        Args:
            asked: groups of messages that guardrails tell apart.
        """
        key = tuple(asked)
        if key not in self._kinds:
            self._kinds[key] = self._made_kinds(key)
        return self._kinds[key]

    @cached_property
    def _kinds(self) -> dict[tuple[Group, ...], tuple[tuple[ActionKind, ...], tuple[int, ...]]]:
        return {}

    def _made_kinds(
        self, asked: tuple[Group, ...]
    ) -> tuple[tuple[ActionKind, ...], tuple[int, ...]]:
        offers = self.limited_offers
        kinds = [
            ActionKind(
                action.routing,
                action.slot,
                _among(action, asked),
                action.routing == "pause" and action.bins > 1,
                bool(approved),
                None if expiry == _NEVER_EXPIRES else int(expiry),
                offers.index(action.offer) if action.offer in offers else None,
            )
            for action, approved, expiry in zip(
                self.actions, self.approved, self.expiry, strict=True
            )
        ]
        distinct = list(dict.fromkeys(kinds))
        return tuple(distinct), tuple(distinct.index(kind) for kind in kinds)

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The messages that are sent, in the order of the actions."""
        return tuple(dict.fromkeys(a.message for a in self.actions if a.message is not None))

    @cached_property
    def message_places(self) -> tuple[int, ...]:
        """Position in `messages` of what each action sends, -1 where it sends nothing, [a]."""
        sent = self.messages
        return tuple(-1 if a.message is None else sent.index(a.message) for a in self.actions)

    @cached_property
    def factors(self) -> FloatArray:
        """One 0/1 column per level of each factor that varies, [a, k].

        Of levels that mark the same actions only the first stands. These columns are what lets a
        value model share strength between actions and what a marginalised estimator groups by.
        """
        distinct = list(dict.fromkeys(m for of in self.levels.values() for m in of.values()))
        return np.array(distinct, np.float64).T.reshape(len(self), len(distinct))

    @cached_property
    def levels(self) -> Mapping[str, Mapping[str, tuple[bool, ...]]]:
        """Factor -> level -> which actions it marks, [a]; factors that never vary are left out."""
        described = [_describe(action) for action in self.actions]
        found: dict[str, dict[str, tuple[bool, ...]]] = {}
        for factor in described[0]:
            levels = list(dict.fromkeys(row[factor] for row in described if row[factor]))
            if len(levels) > 1:
                found[factor] = {
                    level: tuple(row[factor] == level for row in described) for level in levels
                }
        return found

    def effects(self, journey: Journey) -> FloatArray:
        """Counts that an action itself adds to the journey's channels in its bin, [a, c]."""
        table = np.zeros((len(self), len(journey.channels)))
        for row, action in enumerate(self.actions):
            for column, signal in enumerate(journey.signals):
                if not signal.by_action:
                    continue
                sends = action.message is not None and signal.type == "sent"
                fits = sends and signal.topic in (None, action.message and action.message.topic)
                if fits or _MAKES.get(action.routing) == signal.type:
                    table[row, column] = 1.0
        return table


def _send_id(message: Message, slot: int | None) -> str:
    return f"send:{message.id}@{'now' if slot is None else f'{slot:02d}'}"


def _among(action: Action, asked: tuple[Group, ...]) -> tuple[Group, ...]:
    own = action.message.groups if action.message else ()
    return tuple(group for group in asked if group in own)


def _last_day(action: Action) -> int:
    """The last day of the message, of its offer and of its claim, days since 1970."""
    epoch = date(1970, 1, 1)
    parts = (action.message, action.offer, action.claim)
    ends = [part.expires for part in parts if part is not None]
    return min([(day - epoch).days for day in ends if day is not None], default=_NEVER_EXPIRES)


def _factors(message: Message) -> tuple[str, ...]:
    return (message.job, message.topic, message.proof, message.offer, message.call_to_action)


def _describe(action: Action) -> dict[str, str]:
    message = action.message
    return {
        "routing": action.routing if action.routing != "pause" else f"pause:{action.bins}",
        "slot": f"{action.slot:02d}" if message is not None and action.slot != NOW else "",
        "message": message.id if message else "",
        "topic": message.topic if message else "",
        "job": message.job if message else "",
        "proof": message.proof if message else "",
        "offer": message.offer if message else "",
        "channel": message.channel if message else "",
        "call_to_action": message.call_to_action if message else "",
    }
