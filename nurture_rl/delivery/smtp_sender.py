"""Mail by SMTP: one connection, one mail at a time, every answer of the server told apart."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from nurture_rl.delivery.mail_bytes import MailFrom, mail_bytes, message_id
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.delivery.sender_protocol import SendAnswer, SenderAway, without_addresses
from nurture_rl.errors import ConfigError, DeliveryError

Security = Literal["starttls", "tls", "none"]

_STATUS = re.compile(r"^([245]\.\d{1,3}\.\d{1,3})\b")
# The enhanced codes of an address that is none, or is switched off (RFC 3463), and plain codes that
# say so where there is no enhanced one.
_DEAD = re.compile(r"5\.(1\.[12346]|1\.10|2\.1|4\.4)$")
_DEAD_CODES = (550, 551, 553)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in."""

    host: str
    port: int
    security: Security
    user: str | None
    password: str | None = field(repr=False)
    ca_file: str | None  # of certificates that are trusted beside the system's; None: none
    timeout: float  # seconds without an answer


class SmtpSender:
    """Hands mails to one server."""

    repeatable = False  # a server takes a mail as often as it comes

    def __init__(self, server: SmtpServer, sender: MailFrom) -> None:
        """Connect to nobody yet.

        Raises:
            ConfigError: a password would go in the clear.
        """
        if server.user is not None and server.security == "none":
            raise ConfigError(
                "smtp_security: expected starttls or tls with smtp_user, got none: the password "
                "would go over the line for all to read"
            )
        self._server, self.author = server, sender
        self._line: smtplib.SMTP | None = None

    def place(self, decision_id: str) -> str:
        """The Message-ID of its mail."""
        return message_id(decision_id, self.author)

    def send(self, mail: RenderedMail, goes_out: Callable[[], None]) -> SendAnswer:
        """Try to deliver a mail once; see `MailSender`."""
        content = _stuffed(mail_bytes(mail, self.author, time.time()))
        line = self._connected()
        try:
            early = self._offered(line, mail.recipient.address)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self._drop()
            raise SenderAway(f"{self._name}: {without_addresses(str(error))}") from error
        if early is not None:
            return early
        try:
            goes_out()
        except BaseException:
            self._drop()  # the server waits for a mail that does not come
            raise
        try:
            line.send(content)
            code, text = line.getreply()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self._drop()
            return SendAnswer(
                "unknown", f"no answer after the mail: {without_addresses(str(error))}"
            )
        if not 200 <= code < 600 or 300 <= code < 400:
            self._drop()
            return SendAnswer("unknown", f"an answer that is none: {code}")
        if code == 421:
            self._drop()
        return _answer(code, text, at_recipient=False)

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            with suppress(OSError, smtplib.SMTPException):
                self._line.quit()
        self._drop()

    def _offered(self, line: smtplib.SMTP, address: str) -> SendAnswer | None:
        """Name sender and recipient; None: the server waits for the mail.

        Raises:
            SenderAway: it takes nothing now.
            DeliveryError: it refuses this sender.
        """
        code, text = line.mail(self.author.envelope)
        if code // 100 != 2:
            self._drop()
            said = f"{self._name} answered MAIL FROM:<{self.author.envelope}> with {code} "
            said += without_addresses(text.decode("utf-8", "replace"))
            if code // 100 == 5:
                raise DeliveryError(f"{said}; nothing more was sent: mend the settings")
            raise SenderAway(said)
        code, text = line.rcpt(address)
        if code // 100 == 2:
            code, text = line.docmd("DATA")
            if code == 354:
                return None
            answer = _answer(code, text, at_recipient=False)
        else:
            answer = _answer(code, text, at_recipient=True)
        if code == 421 or code // 100 not in (4, 5):
            self._drop()
            raise SenderAway(f"{self._name} answered {code} {answer.text}")
        if line.rset()[0] // 100 != 2:
            self._drop()
        return answer

    def _connected(self) -> smtplib.SMTP:
        """The line of the mail before, if it still holds, or a new one."""
        if self._line is not None:
            try:
                if self._line.noop()[0] == 250:
                    return self._line
            except (OSError, smtplib.SMTPException, ValueError):
                pass
            self._drop()
        try:
            self._line = self._opened()
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise self._not_opened(error) from error
        return self._line

    def _opened(self) -> smtplib.SMTP:
        server = self._server
        trusted = ssl.create_default_context()
        if server.ca_file is not None:
            trusted.load_verify_locations(server.ca_file)
        if server.security == "tls":
            line: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=server.timeout, context=trusted
            )
        else:
            line = smtplib.SMTP(server.host, server.port, timeout=server.timeout)
        try:
            line.ehlo_or_helo_if_needed()
            if server.security == "starttls":
                line.starttls(context=trusted)
                line.ehlo()
            if server.user is not None:
                line.login(server.user, server.password or "")
        except BaseException:
            line.close()
            raise
        return line

    def _not_opened(self, error: Exception) -> Exception:
        """What a failed connection means: our settings are wrong, or the server is away."""
        said = f"{self._name}: {without_addresses(str(error))}"
        ours = (ssl.SSLCertVerificationError, smtplib.SMTPNotSupportedError)
        refused = isinstance(error, smtplib.SMTPResponseException) and error.smtp_code // 100 == 5
        if isinstance(error, ours) or refused:
            return DeliveryError(f"{said}; nothing was sent: mend the settings of smtp_*")
        return SenderAway(said)

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    @property
    def _name(self) -> str:
        return f"{self._server.host}:{self._server.port}"


def _answer(code: int, said: bytes, at_recipient: bool) -> SendAnswer:
    """What a reply means for the mail that it answers."""
    text = said.decode("utf-8", "replace")
    found = _STATUS.match(text)
    status = found[1] if found else None
    plain = without_addresses(text)
    if code // 100 == 2:
        return SendAnswer("accepted", plain, code, status)
    if code // 100 == 4:
        return SendAnswer("later", plain, code, status)
    plainly_dead = at_recipient and code in _DEAD_CODES
    dead = is_dead(status) if status is not None else plainly_dead
    return SendAnswer("refused", plain, code, status, dead)


def is_dead(status: str) -> bool:
    """Whether an enhanced code says that an address is none, or is switched off."""
    return _DEAD.match(status) is not None


def _stuffed(content: bytes) -> bytes:
    """The content as DATA takes it: a dot before each line that begins with one, and the end."""
    whole = content if content.endswith(b"\r\n") else content + b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", whole) + b".\r\n"
