"""Mail by a provider's HTTP interface: one request a mail, every answer told apart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from nurture_rl.delivery.providers.http_line import HttpLine, HttpReply, HttpServer, NoReply
from nurture_rl.delivery.providers.provider_protocol import (
    NotSendable,
    Provider,
    delivery_key,
    words_of,
)
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.delivery.sender_protocol import SendAnswer, SenderAway, without_addresses
from nurture_rl.errors import DeliveryError

_LONGEST_WAIT = 86_400.0  # seconds; whoever asks for more is asked again after a day


class _Answered(Exception):
    """A question before the mail was answered so that the mail cannot go now."""

    def __init__(self, answer: SendAnswer) -> None:
        super().__init__(answer.text)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class HttpSender:
    """Hands mails to one provider."""

    provider: Provider
    line: HttpLine
    credentials: Mapping[str, str] = field(repr=False)  # headers of every request

    @property
    def repeatable(self) -> bool:
        """See `MailSender`."""
        return self.provider.repeatable

    def place(self, decision_id: str) -> str:
        """The key of its delivery."""
        return delivery_key(decision_id, self.provider.name, self.line.server.host)

    def send(self, mail: RenderedMail, goes_out: Callable[[], None]) -> SendAnswer:
        """Try to deliver a mail once; see `MailSender`."""
        place = self.place(mail.plan.decision_id)
        try:
            made = self.provider.request(mail, place, self._look)
        except NotSendable as error:
            return SendAnswer("refused", str(error))
        except _Answered as error:
            return error.answer
        try:
            reply = self.line.ask(
                made.method,
                made.path,
                {**made.headers, **self.credentials},
                made.content,
                goes_out,
            )
        except NoReply as error:
            return SendAnswer("unknown", f"no answer after the request: {_told(error)}")
        return meaning_of(reply, self.line.server) or self.provider.answer(reply)

    def shown(self, mail: RenderedMail) -> str:
        """The request of a mail as one line of JSON, without credentials; nobody is asked."""
        place = self.place(mail.plan.decision_id)
        made = self.provider.request(mail, place, None)
        server = self.line.server
        query = f"?{server.query}" if server.query else ""
        told = {
            "method": made.method,
            "url": f"{server.origin}{server.base}{made.path}{query}",
            "headers": dict(made.headers),
            "body": json.loads(made.content),
        }
        return json.dumps(told, ensure_ascii=False)

    def close(self) -> None:
        """Hang up."""
        self.line.close()

    def _look(self, path: str) -> HttpReply:
        """Ask before a mail; an answer that is none leaves the mail where it is."""
        try:
            reply = self.line.ask("GET", path, {"accept": "application/json", **self.credentials})
        except NoReply as error:
            raise SenderAway(f"{self.line.server.host}: {_told(error)}") from error
        meaning = meaning_of(reply, self.line.server)
        if meaning is None:
            return reply
        if meaning.state == "stopped":
            raise DeliveryError(f"{meaning.text}; nothing was sent: mend the settings of sender_*")
        if meaning.state in ("unknown", "later"):
            raise SenderAway(f"{self.line.server.host} answered {reply.status} {meaning.text}")
        raise _Answered(meaning)


def meaning_of(reply: HttpReply, server: HttpServer) -> SendAnswer | None:
    """What an answer means whoever gives it; None: 2xx, which the provider reads."""
    status, text = reply.status, words_of(reply)
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        text = f"{server.host} points to another address, and nobody follows: give that as it is"
        return SendAnswer("stopped", text, status)
    if status in (401, 402, 403, 407, 410):
        return SendAnswer("stopped", f"{server.host} refuses this sender: {status} {text}", status)
    if status == 429:
        return SendAnswer("limited", text, status, wait=_wait(reply.headers, time.time()))
    if status in (408, 425):  # the request was not taken up
        return SendAnswer("later", text, status)
    if 400 <= status < 500:
        return SendAnswer("refused", text, status)
    return SendAnswer("unknown", f"the provider failed: {text}", status)


def _wait(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a provider asks to wait; None: it does not say."""
    after, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if after.isascii() and after.isdigit():
        wait = float(after)
    elif after:
        try:
            at = parsedate_to_datetime(after)
            wait = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    elif reset.isascii() and reset.isdigit():  # the moment, seconds since 1970 UTC
        wait = float(reset) - now
    else:
        return None
    return min(max(wait, 0.0), _LONGEST_WAIT)


def _told(error: Exception) -> str:
    return without_addresses(str(error))
