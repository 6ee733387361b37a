"""What a sender of single mails is, by SMTP or by a provider's HTTP interface."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from nurture_rl.delivery.rendering import RenderedMail

_ADDRESS = re.compile(r"<?[^\s<>]+@[^\s<>]+>?")
_LONGEST = 200  # characters of an answer that are kept


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """What became of one attempt."""

    # accepted: the receiver has it. later: it refused this mail for now. limited: it takes nothing
    # for a while, and did not take this. refused: this mail for good. stopped: it refuses this
    # sender, and did not take the mail. unknown: it may have the mail, and gave no answer.
    state: Literal["accepted", "later", "limited", "refused", "stopped", "unknown"]
    text: str = ""  # why, without addresses
    code: int | None = None  # of SMTP or HTTP
    status: str | None = None  # enhanced, such as 5.1.1
    dead_address: bool = False  # refused: the address is none, rather than this mail unwelcome
    wait: float | None = None  # limited: seconds that the receiver asks for; None: it does not say


class SenderAway(Exception):
    """The receiver cannot be reached or takes nothing now; this mail did not go out."""


class MailSender(Protocol):
    """Carries one mail at a time. It keeps no record: the ledger does."""

    @property
    def repeatable(self) -> bool:
        """Whether a mail that is sent again under the same `place` is carried out once."""
        ...

    def place(self, decision_id: str) -> str:
        """By what a decision's mail is found again at the receiver: the same in every attempt."""
        ...

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
        ...

    def close(self) -> None:
        """Hang up."""


def without_addresses(text: str) -> str:
    """A receiver's words on one line without addresses, for they are not kept."""
    return _ADDRESS.sub("<address>", " ".join(text.split()))[:_LONGEST]
