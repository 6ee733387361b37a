"""The verb `collect`: what a provider that reports to nobody knows goes to the policy server."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import msgspec

from nurture_rl.client import PolicyClient, ServerAway, ServerRefusal
from nurture_rl.delivery.address_book import contacts_by_address
from nurture_rl.delivery.deliver_options import client_of
from nurture_rl.delivery.outcome_reports import reported
from nurture_rl.delivery.planned_sends import utc_text
from nurture_rl.delivery.providers.http_line import HttpLine, HttpReply, NoReply, http_server
from nurture_rl.delivery.providers.http_sender import meaning_of
from nurture_rl.delivery.providers.known_providers import credentials_of
from nurture_rl.delivery.providers.listmonk_results import (
    FoundEvent,
    bounce_event,
    event_of,
    opt_outs,
    pages,
    person_of,
)
from nurture_rl.delivery.sender_protocol import SenderAway
from nurture_rl.errors import ConfigError, DeliveryError
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.progress import shown_progress
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

LEFT = 3  # exit code: something could not be read or was not taken
_MOST = 1_000  # events of one request
_RESTS = (1.0, 2.0, 4.0, 8.0)  # seconds between tries of one question
_LONGEST = 60.0  # seconds that a provider may ask to wait
_SHOWN = 5  # reasons that are printed


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """Who is asked, and whom it is about."""

    sender: Literal["listmonk"]  # the provider that is asked
    sender_url: str  # its address, such as https://lists.example; http:// for this machine alone
    sender_key_file: str  # file of its key, mode 0600: NAME:TOKEN
    # Parquet or CSV file with columns contact_id and email, as of `nurture deliver`.
    recipients: str = "recipients.csv"
    # Ids of lists whose opt-outs count, as in [1,4]; empty: those of every list do.
    lists: tuple[int, ...] = ()
    # File that keeps when each word was first read that listmonk gives no moment for; made if
    # absent. Without it they count once more.
    seen: str = "runs/listmonk.json"
    server: str = "http://127.0.0.1:8321"  # policy server that is told
    # File of its API key, the key alone, of scope events; null: it asks for none.
    key_file: str | None = None
    # File of certificates (PEM) to trust beside the system's; null: none.
    sender_ca_file: str | None = None
    sender_timeout: float = 60.0  # seconds to wait for an answer of the provider, > 0


def collect(options: CollectOptions) -> VerbResult:
    """Read all that a provider knows and report it; what was reported before counts once.

    Raises:
        NurtureError: settings or the table cannot be used, or somebody does not answer; what was
            reported until then is kept, and the same command reports the rest.
    """
    if not 0.0 < options.sender_timeout < float("inf"):
        raise ConfigError(f"sender_timeout: expected above 0, got {options.sender_timeout}")
    client = client_of(options.server, options.key_file)
    server = http_server(options.sender_url, options.sender_ca_file, options.sender_timeout)
    if server.query:
        raise ConfigError("sender_url: expected no ? in it")
    asked = _Asked(HttpLine(server), credentials_of(options.sender, options.sender_key_file))
    whose = contacts_by_address(Path(options.recipients))
    reports = _Reports(client, whose)
    try:
        with shown_progress("collect"):
            first_read = _FirstRead(Path(options.seen))
            leaving, read = list[FoundEvent | None](), set[str]()
            for row in pages("/api/subscribers", asked.get):
                leaving += opt_outs(row, options.lists)
                read.add(person_of(row) or "")
            first_read.forget(read - {""}, leaving)
            # Opt-outs first: they stop mail, bounces mostly stop what would not arrive.
            bounced = map(bounce_event, pages("/api/bounces", asked.get))
            for some in _batches(chain(leaving, bounced)):
                reports.report(first_read.dated(some))
    except (ServerAway, ServerRefusal) as error:
        raise DeliveryError(
            f"the policy server did not do as asked: {error}; what it took is kept, and the same "
            "command goes on"
        ) from error
    finally:
        asked.line.close()
    return reports.result(options.sender)


class _FirstRead:
    """When each word was first read that listmonk gives no moment for.

    On disk before any is reported: the same event of another moment would be another one.
    """

    def __init__(self, path: Path) -> None:
        """Read what is known.

        Raises:
            DeliveryError: the file is none of ours.
        """
        self._path = path
        try:
            told = json.loads(path.read_text("utf-8")) if path.exists() else {}
            self._known = msgspec.convert(told, dict[str, tuple[str, str]])
        except (OSError, ValueError, RecursionError, msgspec.ValidationError) as error:
            raise DeliveryError(
                f"{path}: expected what `nurture collect` wrote, got: {error}; give another path "
                "as `seen`"
            ) from error

    def dated(self, found: Sequence[FoundEvent | None]) -> list[FoundEvent | None]:
        """Events, each with its moment.

        Raises:
            OSError: the disk refuses.
        """
        now = utc_text(int(time.time() * 1e6))
        new = {
            str(one.cells["event_id"]): (now, one.person)
            for one in found
            if one and not one.is_dated
        }
        self._keep({**new, **self._known})
        return [
            one if one is None or one.is_dated else one.at(self._known[one.cells["event_id"]][0])
            for one in found
        ]

    def forget(self, read: Collection[str], found: Sequence[FoundEvent | None]) -> None:
        """Forget the words of people who say them no more: the next time they are new.

        Args:
            read: who was read; of others nothing is known, and nothing forgotten.
            found: all that they say now.
        """
        said = {str(one.cells["event_id"]) for one in found if one}
        known = self._known.items()
        self._keep({n: one for n, one in known if n in said or one[1] not in read})

    def _keep(self, known: dict[str, tuple[str, str]]) -> None:
        if known == self._known and self._path.exists():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(self._path, json.dumps(known, sort_keys=True).encode())
        self._known = known


def _batches(events: Iterable[FoundEvent | None]) -> Iterator[list[FoundEvent | None]]:
    some: list[FoundEvent | None] = []
    for one in events:
        some.append(one)
        if len(some) == _MOST:
            yield some
            some = []
    if some:
        yield some


@dataclass(frozen=True, slots=True)
class _Asked:
    """A provider that is asked, again where it does not answer: a question changes nothing."""

    line: HttpLine
    credentials: Mapping[str, str]

    def get(self, path: str) -> HttpReply:
        """The 2xx answer.

        Raises:
            DeliveryError: there is none.
        """
        headers = {"accept": "application/json", **self.credentials}
        why = ""
        for rest in (*_RESTS, None):
            try:
                reply = self.line.ask("GET", path, headers)
            except (NoReply, SenderAway) as error:
                why, wait = str(error), 0.0
            else:
                meaning = meaning_of(reply, self.line.server)
                if meaning is None:
                    return reply
                if meaning.state in ("stopped", "refused"):
                    raise DeliveryError(f"{path}: {meaning.text}; mend the settings of sender_*")
                why, wait = f"{reply.status} {meaning.text}", meaning.wait or 0.0
            if rest is None or wait > _LONGEST:
                break
            time.sleep(max(rest, wait))
        raise DeliveryError(
            f"{self.line.server.host} does not answer {path}: {why}; what was reported is kept, "
            "and the same command goes on"
        )


class _Reports:
    """Tells the policy server, and counts."""

    def __init__(self, client: PolicyClient, whose: Mapping[str, Sequence[str]]) -> None:
        self._client, self._whose = client, whose
        self._types: Counter[str] = Counter()
        self._stored = self._repeated = self._strangers = self._unread = 0
        self._refused: list[str] = []

    def report(self, found: Sequence[FoundEvent | None]) -> None:
        """Report some events."""
        rows: list[dict[str, Any]] = []
        for one in found:
            if one is None:
                self._unread += 1
                continue
            names = self._whose.get(one.address, ())
            self._strangers += not names
            rows += [event_of(one, name) for name in names]
        for start in range(0, len(rows), _MOST):
            part = rows[start : start + _MOST]
            told = reported(self._client, part)
            self._stored += told.stored
            self._repeated += told.repeated
            self._types.update(row["type"] for row in part)
            self._refused += [str(row["reason"]) for row in told.rejected]

    def result(self, sender: str) -> VerbResult:
        """Say what was read, and end with 3 where something is missing."""
        said = ", ".join(f"{n} {kind}" for kind, n in sorted(self._types.items())) or "nothing"
        print(f"{sender} knows of {said}: {self._stored} stored, {self._repeated} told before")
        if self._strangers:
            print(
                f"{counted(self._strangers, 'word')} of {sender} left out, about addresses that "
                "`recipients` does not have"
            )
        if self._unread:
            print(
                f"{counted(self._unread, 'row')} of {sender} could not be read: no address, or the "
                "list changed while it was read; the same command reads it again"
            )
        for why in self._refused[:_SHOWN]:
            print(f"the policy server did not take an event: {why}")
        made = {
            "events": dict(self._types),
            "stored": self._stored,
            "repeated": self._repeated,
            "strangers": self._strangers,
            "unread": self._unread,
            "refused": len(self._refused),
        }
        return VerbResult(made, LEFT if self._unread or self._refused else 0)
