"""A sender's reputation: which share of its delivered mail mailbox providers put into the inbox."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nurture_envs.journey import Journey

SPAM_TRAP = "spam_trap"  # topic of signals that tell of mail to a trap


@dataclass(frozen=True, slots=True)
class ReputationParams:
    """What moves the inbox share; losses are per unit of rate per sent mail, and 0 removes one."""

    bounce_loss: float = 1.0
    trap_loss: float = 4.0
    complaint_loss: float = 20.0
    healing: float = 0.02  # share of the lost inbox regained in a bin without engagement, in [0, 1]
    engagement_healing: float = 0.3  # more of it per human open, click or reply per sent mail
    floor: float = 0.05  # the share never falls below


@dataclass(frozen=True, slots=True)
class MailTotals:
    """What the mail of one sender brought in a bin."""

    sent: Tensor
    bounced: Tensor
    trapped: Tensor
    complained: Tensor
    engaged: Tensor  # human opens, clicks and replies

    @classmethod
    def of(cls, amounts: Tensor, journey: Journey) -> MailTotals:
        """From the channel sums of all contacts of the sender, [c]."""

        def total(*types: str) -> Tensor:
            rows = [
                journey.channel_index(signal.name)
                for signal in journey.signals
                if signal.type in types and not signal.is_machine and signal.topic != SPAM_TRAP
            ]
            return amounts[rows].sum()

        traps = [journey.channel_index(s.name) for s in journey.signals if s.topic == SPAM_TRAP]
        return cls(
            sent=total("sent"),
            bounced=total("hard_bounce"),
            trapped=amounts[traps].sum(),
            complained=total("complaint"),
            engaged=total("open", "click", "reply"),
        )


def next_inbox_share(share: Tensor, totals: MailTotals, params: ReputationParams) -> Tensor:
    """The inbox share after a bin.

        share' = clip(share + heal (1 - share) - share loss,  floor, 1)

    where `loss` weighs bounces, trap hits and complaints per sent mail, and `heal` grows with
    engagement per sent mail. A bin without mail only heals.
    """
    sent = torch.clamp(totals.sent, min=1.0)
    loss = (
        params.bounce_loss * totals.bounced
        + params.trap_loss * totals.trapped
        + params.complaint_loss * totals.complained
    ) / sent
    heal = params.healing + params.engagement_healing * totals.engaged / sent
    moved = share + torch.clamp(heal, max=1.0) * (1.0 - share) - loss * share
    return torch.clamp(moved, params.floor, 1.0)
