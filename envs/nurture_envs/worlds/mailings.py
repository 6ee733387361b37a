"""What a journey's actions send, as tensors, and how the mail of a bin meets its contacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US, Clock, weekday_of
from nurture_envs.errors import WorldError
from nurture_envs.journey import Journey
from nurture_envs.worlds.effects import Mailing
from nurture_envs.worlds.world import View
from nurture_envs.worlds.zones import true_hour

_MOST_MESSAGES, _MOST_BINS = 8, 254  # what the record of showings can hold


@dataclass(frozen=True, slots=True)
class MailActions:
    """What each action of a journey sends; each [a]."""

    clock: Clock
    sends: Tensor  # bool
    escalates: Tensor  # f32: 1 where a salesperson calls
    message: Tensor  # i64: position of the message, 0 where nothing is sent
    topic: Tensor  # i64: position among the world's topics, -1 where it has none
    slot: Tensor  # f32: local hour, NOW where it is the decision's
    asks: Tensor  # bool: asks for a meeting

    @classmethod
    def of(
        cls, journey: Journey, topics: tuple[str, ...], device: torch.device | str
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
            slot=tensor(catalog.slots, torch.float32),
            asks=tensor([bool(m and m.job == "book_meeting") for m in about], torch.bool),
        )

    def meet(self, view: View) -> Mailing:
        """The mail of a bin; reads the latents `interest` and `zone`."""
        action, local_us = view.action, view.anchor_us + self.clock.start_us(view.bins)
        slot, topic = self.slot[action], self.topic[action]
        now = (local_us % DAY_US).to(torch.float32) / HOUR_US
        hour = torch.where(slot == NOW, now, slot)
        return Mailing(
            sent=self.sends[action],
            message=self.message[action],
            topic=topic,
            match=topic == view.latent["interest"],
            hour=true_hour(hour, view.latent["zone"], local_us),
            weekday=weekday_of(local_us),
            bins=view.bins,
            days=self.clock.period_hours / 24.0 / len(self.clock.slots_hours),
            inbox_share=view.around.inbox_share,
        )
