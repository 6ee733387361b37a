"""The verb `replies`: what people answered becomes events, for the log or for a policy server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nurture_rl.client import PolicyClient, ServerAway, ServerRefusal
from nurture_rl.delivery.address_book import contacts_by_address
from nurture_rl.delivery.answered_mails import decisions_by_digest
from nurture_rl.delivery.deliver_options import client_of, secret_of
from nurture_rl.delivery.outcome_reports import reported
from nurture_rl.delivery.reply_events import FoundReplies, ReplyReader
from nurture_rl.errors import ConfigError, DeliveryError
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.progress import PROGRESS, shown_progress
from nurture_rl.replies.labelled_replies import KINDS, read_labelled
from nurture_rl.replies.mailboxes import mails_in
from nurture_rl.replies.reply_agreement import Agreement, agreement
from nurture_rl.replies.reply_classes import classifier_of
from nurture_rl.replies.reply_mail import ReplyMail, read_mail
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

LEFT = 3  # exit code: a person has to read something, or an event was not taken
_MOST = 1_000  # events of one request
_SHOWN = 5  # reasons that are printed


@dataclass(frozen=True, slots=True)
class RepliesOptions:
    """Which mails are read, who wrote them, and who is told."""

    # Where the mails lie: maildirs, mbox files, .eml files or folders of them, or
    # imaps://USER@HOST/FOLDER; nothing is changed there.
    mail: tuple[str, ...] = ()
    # Parquet or CSV file with columns contact_id and email, as of `nurture deliver`.
    recipients: str = "recipients.csv"
    # Ledger of `nurture deliver`: a reply names the decision that it answers; null: none.
    ledger: str | None = None
    server: str | None = None  # policy server that is told; null: none
    # File of its API key, the key alone, of scopes events and decisions; null: it asks for none.
    key_file: str | None = None
    out: str | None = None  # file of events for `nurture ingest` to make (.jsonl); null: none
    # File to make of the mails that a person has to read (.jsonl, mode 0600): it has their words.
    unread: str = "runs/replies-to-read.jsonl"
    # Further labelled replies to learn from: CSV files with columns label, subject, text, kind.
    labels: tuple[str, ...] = ()
    # Topics of objections by their kind, such as [price=pricing,trust=security]; a journey's words.
    topics: tuple[str, ...] = ()
    # Days without mail after a reply whose class is not clear, or from the wrong person, >= 0: it
    # may be an opt-out, and somebody has to read it first.
    hold_days: float = 7.0
    days: float = 14.0  # of an IMAP server: mails of the last so many days, > 0
    password_file: str | None = None  # of its user, mode 0600; null: none
    ca_file: str | None = (
        None  # file of certificates (PEM) to trust beside the system's; null: none
    )
    # Labelled replies (CSV) to compare the classes with; nothing else is done then; null: none.
    check: str | None = None


def replies(options: RepliesOptions) -> VerbResult:
    """Read mails, class them and tell who they come from; or compare classes with people's.

    Raises:
        NurtureError: settings, a mailbox or a table cannot be used, or the server does not answer.
        OSError: the disk refuses.
    """
    labels = [Path(path) for path in options.labels]
    if options.check is not None:
        return _checked(labels, Path(options.check))
    client, topics = _client(options), _topics(options.topics)
    whose = contacts_by_address(Path(options.recipients))
    decisions = {} if options.ledger is None else decisions_by_digest(Path(options.ledger))
    reader = ReplyReader(
        classifier_of(labels), whose, decisions, _asking(client), topics, options.hold_days
    )
    with shown_progress("replies"):
        try:
            found = reader.read(_mails(options))
        except (ServerAway, ServerRefusal) as error:
            raise DeliveryError(f"the policy server did not do as asked: {error}") from error
    _write_private(Path(options.unread), found.unread)
    if options.out is not None:
        _write(Path(options.out), found.rows)
    refused = [] if client is None else _reported(client, found.rows)
    return _told(options, found, refused)


def _client(options: RepliesOptions) -> PolicyClient | None:
    if not options.mail:
        raise ConfigError("mail: expected at least one mailbox, got none; give mail=[inbox.mbox]")
    if options.server is None and options.out is None:
        raise ConfigError("expected somebody to tell; give server=URL, or out=FILE of events")
    if options.out is not None and not options.out.endswith(".jsonl"):
        raise ConfigError(f"out: expected a name that ends in .jsonl, got {options.out}")
    if options.out is not None and Path(options.out).resolve() == Path(options.unread).resolve():
        raise ConfigError(f"out: expected another file than unread, got {options.out} for both")
    if not 0.0 < options.days < 36_500.0:
        raise ConfigError(f"days: expected above 0, got {options.days}")
    if not 0.0 <= options.hold_days <= 366.0:
        raise ConfigError(f"hold_days: expected 0 to 366, got {options.hold_days}")
    return None if options.server is None else client_of(options.server, options.key_file)


def _asking(client: PolicyClient | None) -> Callable[[str], str | None]:
    @cache
    def contact_of(decision_id: str) -> str | None:
        if client is None:
            return None
        try:
            return str(client.decision(decision_id)["decision"]["contact_id"])
        except ServerRefusal as error:
            if error.status == 404:
                return None
            raise

    return contact_of


def _topics(said: Sequence[str]) -> dict[str, str]:
    topics = {}
    for one in said:
        kind, sign, topic = one.partition("=")
        if not sign or not topic.strip() or kind.strip() not in KINDS:
            raise ConfigError(
                f"topics: expected KIND=TOPIC with a kind of {', '.join(KINDS)}, got {one!r}"
            )
        topics[kind.strip()] = topic.strip()
    return topics


def _mails(options: RepliesOptions) -> Iterator[ReplyMail]:
    given = options.password_file
    password = None if given is None else secret_of(given, "password_file")
    read = 0
    for place in options.mail:
        for raw in mails_in(place, options.days, password, options.ca_file):
            read += 1
            PROGRESS.info("%s read", counted(read, "mail"))
            yield read_mail(raw)


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    atomic_write_bytes(path, lines.encode("utf-8", "replace"))


def _write_private(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    before = os.umask(0o077)
    try:
        _write(path, rows)
    finally:
        os.umask(before)


def _reported(client: PolicyClient, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tell the policy server; why it took some not."""
    # Opt-outs first: they stop mail.
    ordered = sorted(rows, key=lambda row: row.get("reply_class") != "unsubscribe_request")
    refused: list[str] = []
    stored = repeated = 0
    for start in range(0, len(ordered), _MOST):
        try:
            told = reported(client, ordered[start : start + _MOST])
        except (ServerAway, ServerRefusal) as error:
            raise DeliveryError(
                f"the policy server did not do as asked: {error}; what it took is kept, and the "
                "same command goes on"
            ) from error
        stored, repeated = stored + told.stored, repeated + told.repeated
        refused += [str(row["reason"]) for row in told.rejected]
    print(f"the policy server stored {counted(stored, 'event')}, {repeated} were told before")
    return refused


def _told(options: RepliesOptions, found: FoundReplies, refused: Sequence[str]) -> VerbResult:
    said = ", ".join(f"{n} {label}" for label, n in sorted(found.labels.items())) or "none"
    print(f"mails: {said}")
    if found.repeated:
        print(f"{counted(found.repeated, 'mail')} lay in two places and counted once")
    if found.unread:
        print(f"{counted(len(found.unread), 'mail')} to be read by a person: {options.unread}")
    for why in refused[:_SHOWN]:
        print(f"the policy server did not take an event: {why}")
    made = {
        "mails": dict(found.labels),
        "events": len(found.rows),
        "unread": len(found.unread),
        "refused": len(refused),
    }
    return VerbResult(made, LEFT if found.unread or refused else 0)


def _checked(labels: Sequence[Path], path: Path) -> VerbResult:
    """Compare the classes of labelled replies that the classifier has not learned from."""
    labelled = read_labelled(path)
    if not labelled:
        raise ConfigError(f"check: expected labelled replies in {path}, got none")
    given = classifier_of(labels).classes([(one.subject, one.text) for one in labelled])
    found = agreement([one.label for one in labelled], [one.label for one in given])
    print(agreement_in_words(found))
    recalls = {one.label: one.recall for one in found.labels}
    return VerbResult({"replies": found.replies, "kappa": found.kappa, "recall": recalls})


def agreement_in_words(found: Agreement) -> str:
    """A table of classes with recall and precision, and Cohen's kappa."""
    lines = [
        f"{counted(found.replies, 'labelled reply', 'labelled replies')}: the same class in "
        f"{found.same:.1%}, kappa {found.kappa:.2f}",
        f"{'class':<20} {'people':>6} {'given':>6} {'recall':>7} {'95 % interval':>16} "
        f"{'precision':>9}",
    ]
    for one in found.labels:
        low, high = one.recall_interval
        recall = "-" if one.recall is None else f"{one.recall:.1%}"
        precision = "-" if one.precision is None else f"{one.precision:.1%}"
        between = "-" if one.recall is None else f"{low:.1%} to {high:.1%}"
        lines.append(
            f"{one.label:<20} {one.true:>6} {one.given:>6} {recall:>7} {between:>16} {precision:>9}"
        )
    return "\n".join(lines)
