"""A real SMTP server on a socket that answers as a test tells it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(slots=True)
class Scripted:
    """What the server says, and what it got."""

    port: int = 0
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)  # recipient and mail
    sessions: set[int] = field(default_factory=set)
    rcpt: Callable[[str], str | None] = lambda address: None  # None: it is welcome
    data: list[str] = field(default_factory=list)  # answers to mails; CUT hangs up after taking it
    mail: str | None = None  # answer to MAIL FROM; None: welcome

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.sessions.add(id(session))
        envelope.mail_from = address
        return self.mail or "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if said := self.rcpt(address):
            return said
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        said = self.data.pop(0) if self.data else "250 2.0.0 OK"
        if said == CUT or said.startswith("250"):
            assert isinstance(envelope.content, bytes)
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.taken.append((envelope.rcpt_tos[0], mail))
        if said == CUT:
            assert server.transport is not None
            server.transport.close()
        return said


CUT = "cut"


@contextmanager
def scripted(**told: Any) -> Iterator[Scripted]:
    """One that runs until the block ends.

    Args:
        told: of aiosmtpd's server, such as its TLS.
    """
    found = Scripted()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found.port = int(probe.getsockname()[1])
    controller = Controller(found, hostname="127.0.0.1", port=found.port, **told)
    controller.start()
    try:
        yield found
    finally:
        controller.stop()
