"""What a journey's actions send, as tensors, and how the mail of a bin meets its contacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US, Clock
from nurture_envs.errors import WorldError
from nurture_envs.journey import Journey
from nurture_envs.worlds.effects import Mailing, MailParams
from nurture_envs.worlds.world import View
from nurture_envs.worlds.zones import by_weekday, table_day, zone_gap, zone_gaps

_MOST_MESSAGES, _MOST_BINS = 8, 254  # what the record of showings can hold


@dataclass(frozen=True, slots=True)
class MailActions:
    """What each action of a journey sends, [a], and what its days bring, per day of the tables."""

    clock: Clock
    sends: Tensor  # [a] bool
    escalates: Tensor  # [a] f32: 1 where a salesperson calls
    message: Tensor  # [a] i64: position of the message, 0 where nothing is sent
    topic: Tensor  # [a] i64: position among the world's topics, -1 where it has none
    slot: Tensor  # [a] f32: local hour of sending
    at_once: Tensor  # [a] bool: sends at the decision instead
    asks: Tensor  # [a] bool: asks for a meeting
    weekdays: Tensor  # [days] f32: log-odds
    gaps: Tensor  # [zones, days] f32: see `zone_gaps`

    @classmethod
    def of(
        cls,
        journey: Journey,
        topics: tuple[str, ...],
        params: MailParams,
        device: torch.device | str,
    ) -> MailActions:
        """Compile the actions of a journey.

        Raises:
            WorldError: more messages or bins than a contact remembers.
        """
        if len(journey.messages) > _MOST_MESSAGES or journey.clock.horizon > _MOST_BINS:
            raise WorldError(
                f"a reference world remembers {_MOST_MESSAGES} messages over {_MOST_BINS} bins, "
                f"journey {journey.name!r} has {len(journey.messages)} over "
                f"{journey.clock.horizon}; shorten it"
            )
        catalog, messages = ActionCatalog.of(journey), list(journey.messages)
        about = [action.message for action in catalog.actions]

        def tensor(values: Any, dtype: torch.dtype) -> Tensor:
            return torch.as_tensor(values, dtype=dtype, device=device)

        return cls(
            clock=journey.clock,
            sends=tensor(catalog.routed("send"), torch.bool),
            escalates=tensor(catalog.routed("escalate"), torch.float32),
            message=tensor([messages.index(m) if m else 0 for m in about], torch.int64),
            topic=tensor(
                [topics.index(m.topic) if m and m.topic in topics else -1 for m in about],
                torch.int64,
            ),
            slot=tensor(np.where(catalog.slots == NOW, 0, catalog.slots), torch.float32),
            at_once=tensor(catalog.slots == NOW, torch.bool),
            asks=tensor([bool(m and m.job == "book_meeting") for m in about], torch.bool),
            weekdays=by_weekday(params.weekdays, device),
            gaps=zone_gaps().to(device),
        )

    def meet(self, view: View) -> Mailing:
        """The mail of a bin; reads the latents `interest` and `zone`."""
        action, local_us = view.action, self._local_us(view)
        day, topic = table_day(local_us), self.topic.index_select(0, action)
        gap = zone_gap(view.latent["zone"], day, self.gaps)
        return Mailing(
            sent=self.sends.index_select(0, action),
            message=self.message.index_select(0, action),
            topic=topic,
            match=topic == view.latent["interest"],
            hour=self._hour(action, local_us) + gap,
            weekday=self.weekdays.index_select(0, day),
            bins=view.bins,
            days=self.clock.period_hours / 24.0 / len(self.clock.slots_hours),
            inbox_share=view.around.inbox_share,
        )

    def _local_us(self, view: View) -> Tensor:
        """Start of the bin on the clock the sender works with, [n] i64."""
        clock = self.clock
        if len(clock.slots_hours) == 1:  # spares the division of bins into periods
            period, slot = clock.period_hours * HOUR_US, clock.slots_hours[0] * HOUR_US
            return view.anchor_us + (view.bins * round(period) + round(slot))
        start: Tensor = view.anchor_us + clock.start_us(view.bins)
        return start

    def _hour(self, action: Tensor, local_us: Tensor) -> Tensor:
        """Hour of sending on the clock the sender works with, [n] f32."""
        if self.clock.horizon == self.clock.periods and self.clock.period_hours % 24.0 == 0.0:
            now: Tensor | float = self.clock.slots_hours[0] % 24.0
        else:
            now = (local_us % DAY_US).to(torch.float32) / HOUR_US
        slot = self.slot.index_select(0, action)
        return torch.where(self.at_once.index_select(0, action), now, slot)
