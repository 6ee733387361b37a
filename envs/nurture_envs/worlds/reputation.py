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

    bounce_loss: float = 1.0  # per bounced mail
    trap_loss: float = 4.0  # per mail to a spam trap
    complaint_loss: float = 20.0  # per complaint
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
    def of(cls, totals: Tensor, sums: Tensor) -> MailTotals:
        """From the channel sums of all contacts of the sender, [c], and `mail_sums`."""
        return cls(*(sums @ totals).unbind())


def mail_sums(journey: Journey, device: torch.device | str = "cpu") -> Tensor:
    """Which channels each field of `MailTotals` adds up, [fields, c]: 1 where it does."""
    sums = torch.zeros((5, len(journey.channels)), device=device)
    kinds = (("sent",), ("hard_bounce",), (), ("complaint",), ("open", "click", "reply"))
    for signal in journey.signals:
        channel = journey.channel_index(signal.name)
        if signal.topic == SPAM_TRAP:
            sums[2, channel] = 1.0
        elif not signal.is_machine:
            for row, types in enumerate(kinds):
                sums[row, channel] = float(signal.type in types)
    return sums


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
