"""What a sender of single mails is: SMTP is one; a provider's HTTP interface would be another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from nurture_rl.delivery.rendering import RenderedMail


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """What became of one attempt."""

    # accepted: the receiver has it. later: it refused for now. refused: for good. unknown: it may
    # have the mail, and gave no answer.
    state: Literal["accepted", "later", "refused", "unknown"]
    text: str = ""  # why, without addresses
    code: int | None = None  # of SMTP
    status: str | None = None  # enhanced, such as 5.1.1
    dead_address: bool = False  # refused: the address is none, rather than this mail unwelcome


class SenderAway(Exception):
    """The receiver cannot be reached or takes nothing now; this mail did not go out."""


class MailSender(Protocol):
    """Carries one mail at a time. It keeps no record: the ledger does."""

    def place(self, mail: RenderedMail) -> str:
        """By what a mail is found again at the receiver: the same in every attempt."""

    def send(self, mail: RenderedMail, goes_out: Callable[[], None]) -> SendAnswer:
        """Try to deliver a mail once.

        Args:
            mail: what and to whom.
            goes_out: called before the first byte after which the receiver may have the mail; it
                may raise, and then nothing goes out.

        Raises:
            SenderAway: the receiver takes nothing now.
            DeliveryError: it refuses this sender altogether.
        """

    def close(self) -> None:
        """Hang up."""
