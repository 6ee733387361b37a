"""The verb `deliver`: what the policy decided goes to people, each decision at most once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nurture_rl.client import PolicyClient, ServerAway, ServerRefusal
from nurture_rl.delivery.deliver_options import (
    FILES,
    MAIL_ALONE,
    DeliverOptions,
    client_of,
    rates_of,
    require_ranges,
    smtp_of,
)
from nurture_rl.delivery.delivery_ledger import Attempt, DeliveryLedger
from nurture_rl.delivery.mail_bytes import decision_digest, mail_bytes
from nurture_rl.delivery.mail_run import CUT_OFF, MailRun, RunLimits, confirmed, settle_late
from nurture_rl.delivery.outcome_reports import OutcomeReports
from nurture_rl.delivery.planned_sends import PlannedSend, read_decided, require_known
from nurture_rl.delivery.providers.http_sender import HttpSender
from nurture_rl.delivery.providers.known_providers import http_sender_of
from nurture_rl.delivery.recipients import Recipient, read_recipients, text_table
from nurture_rl.delivery.recommendation_file import (
    HandOver,
    appeared,
    cloud_events,
    file_content,
    is_file,
    rows_of,
)
from nurture_rl.delivery.rendering import MailTexts, RenderedMail, addressed, one_mail_each
from nurture_rl.delivery.smtp_sender import SmtpSender
from nurture_rl.errors import DeliveryError
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.progress import shown_progress
from nurture_rl.release.bundle import load_bundle
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

LEFT, UNANSWERED = 3, 4  # exit codes: something is left for later; a mail without an answer
_NO_ADDRESS = "the recipients have no address of the contact"
_SHARED = "another contact gets mail at the same address"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Everything that was read and checked before anything goes out."""

    pairs: list[tuple[PlannedSend, Recipient]]
    without: list[PlannedSend]  # contacts without an address
    shared: list[PlannedSend]  # to an address that another contact gets mail at
    empty: int  # decisions that send nothing
    unknown: int  # decisions that the policy server does not know
    texts: MailTexts

    @property
    def plans(self) -> list[PlannedSend]:
        return [*(plan for plan, _ in self.pairs), *self.without, *self.shared]

    def mails(self, ids: Sequence[str]) -> list[RenderedMail]:
        wanted = set(ids)
        return [self.texts.rendered(*one) for one in self.pairs if one[0].decision_id in wanted]


def deliver(options: DeliverOptions) -> VerbResult:
    """Deliver a table's sends, or write what would be sent.

    Raises:
        NurtureError: settings, table, texts, recipients or ledger cannot be used, a server refuses,
            or the policy server does not answer; what was done until then stands in the ledger.
        OSError: the disk refuses.
    """
    require_ranges(options)
    rates = rates_of(options)
    client = client_of(options.server, options.key_file)
    sender = _sender_of(options)
    with shown_progress("deliver"), told_as_refusals():
        ready = _prepare(options, client)
        if isinstance(sender, HttpSender):
            for message in sorted({plan.message for plan in ready.plans}):
                sender.provider.require_message(message)
        if options.dry_run:
            return _preview(options, ready, sender)
        limits = RunLimits(
            60.0 * options.wait_minutes,
            60.0 * options.window_minutes,
            options.retry_seconds,
            rates,
            options.report_sent and options.sender != "cloudevents_http",  # who takes it sends
            options.brake_after,
        )
        with closing(DeliveryLedger(Path(options.ledger))) as ledger:
            settle_cut_off(ledger)
            _take_up(ledger, client, ready, limits.window)
            if sender is None:
                reports = _hand_over(ledger, client, ready, options)
            else:
                run = MailRun(ledger, client, sender, ready.texts, limits)
                try:
                    run.carry(ready.pairs, ledger.waiting([p.decision_id for p in ready.plans]))
                except DeliveryError:  # whom the receiver took before is told all the same
                    with suppress(ServerAway, ServerRefusal):
                        run.reports.flush()
                    raise
                reports = run.reports
            reports.flush()
            return _told(ledger, ready, reports)


def _sender_of(options: DeliverOptions) -> SmtpSender | HttpSender | None:
    """Who sends single mails; None: a file is made."""
    if options.sender in FILES:
        return None
    return SmtpSender(*smtp_of(options)) if options.sender == "smtp" else http_sender_of(options)


@contextmanager
def told_as_refusals() -> Iterator[None]:
    """Tell a policy server that is away or refuses, and a ledger that fails, with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise DeliveryError(
            f"the ledger cannot be read or written: {error}; nothing more was sent: make room or "
            "mend its disk, and give the same command again"
        ) from error
    except (ServerAway, ServerRefusal) as error:
        raise DeliveryError(
            f"the policy server did not do as asked: {error}; the ledger has what was done, and "
            "the same command goes on"
        ) from error


def result_of(ledger: DeliveryLedger, reports: OutcomeReports, left: int) -> VerbResult:
    """Say how a ledger stands, and with which code a verb ends."""
    counts = ledger.counts()
    said = ", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing"
    print(f"the ledger {ledger.path}: {said}")
    if unknown := counts.get("unknown", 0):
        print(
            f"{counted(unknown, 'mail')} may have gone out or not: nothing sends them again; "
            "nurture reconcile looks for them at the receiver"
        )
    for name, why in list(reports.refused.items())[:5]:
        print(f"the policy server did not take what became of {name}: {why}")
    made = {"ledger": str(ledger.path), "states": counts, "unreported": len(reports.refused)}
    code = UNANSWERED if unknown else LEFT if left or reports.refused else 0
    return VerbResult({**made, "left": left}, code)


def _prepare(options: DeliverOptions, client: PolicyClient) -> _Prepared:
    """Read and check everything; a mail that could not be made stops the run here."""
    bundles = [load_bundle(Path(one)) for one in (options.bundle, *options.journeys)]
    decided = read_decided(Path(options.decided), client)
    source = Path(options.recipients)
    columns = text_table(source).column_names
    texts = MailTexts(Path(options.templates), [one.journey for one in bundles])
    for plan in decided.sends:
        template = texts.template(plan.journey, plan.message)
        template.require_fields(columns, source)
        if options.sender in MAIL_ALONE and template.message.channel != "email":
            raise DeliveryError(
                f"expected messages of the channel email for sender={options.sender}, got "
                f"{plan.message}, which is {template.message.channel}; take it out of the table"
            )
        if options.sender in MAIL_ALONE and plan.list_unsubscribe is None:
            raise DeliveryError(
                f"decision {plan.decision_id}: expected a link of one-click unsubscribe, got none; "
                "run the server, and `nurture decide`, with public_url=https://HOST"
            )
    found = read_recipients(source, [plan.contact_id for plan in decided.sends])
    pairs, without = addressed(decided.sends, found)
    if without and not options.skip_without_address:
        names = ", ".join(repr(plan.contact_id) for plan in without[:5])
        raise DeliveryError(
            f"{source}: expected a row of every contact, got none of {len(without)}: {names}; add "
            "them, or leave them out by skip_without_address=true"
        )
    for plan, recipient in pairs:
        texts.rendered(plan, recipient)
    pairs, shared = one_mail_each(pairs)
    return _Prepared(pairs, without, shared, decided.without, decided.unknown, texts)


def _preview(
    options: DeliverOptions, ready: _Prepared, sender: SmtpSender | HttpSender | None
) -> VerbResult:
    """Write what would be sent, and nothing else."""
    mails, out = ready.mails([plan.decision_id for plan in ready.plans]), Path(str(options.out))
    if sender is None:
        HandOver(out).show(_content(options)(mails))
    elif isinstance(sender, HttpSender):
        shown = [sender.shown(mail) for mail in mails]
        HandOver(out).show("".join(f"{line}\n" for line in shown).encode())
    else:
        with atomic_folder(out) as folder:
            folder.chmod(0o700)
            for mail in mails:
                path = folder / f"{decision_digest(mail.plan.decision_id)}.eml"
                path.write_bytes(mail_bytes(mail, sender.author, time.time()))
    _tell_left_out(ready)
    print(f"dry run: {counted(len(mails), 'mail')} written to {out}; nothing was sent")
    return VerbResult({"out": str(out), "mails": len(mails)})


def settle_cut_off(ledger: DeliveryLedger) -> None:
    """Settle what a run left that was killed: a file tells itself, a mail does not."""
    places: dict[str, list[Attempt]] = {}
    for one in ledger.attempted():
        places.setdefault(one.place, []).append(one)
    for place, attempts in places.items():
        ids = [one.decision_id for one in attempts]
        state = appeared(place) if is_file(place) else "unknown"
        if state == "accepted":
            ledger.accept(ids, None)
        elif state == "planned":
            for one in attempts:
                ledger.postpone(one.decision_id, one.at_us, CUT_OFF, refused=False)
        else:
            ledger.give_up(ids, CUT_OFF)


def _take_up(ledger: DeliveryLedger, client: PolicyClient, ready: _Prepared, window: float) -> None:
    """Note what is planned, and what cannot leave any more."""
    topics = {
        plan.decision_id: ready.texts.template(plan.journey, plan.message).message.topic
        for plan in ready.plans
    }
    ledger.plan(ready.plans, topics)
    require_known(client, list(ledger.waiting([plan.decision_id for plan in ready.plans])))
    for plans, why in ((ready.without, _NO_ADDRESS), (ready.shared, _SHARED)):
        for name in ledger.waiting([plan.decision_id for plan in plans]):
            ledger.withdraw(name, why)
    now = time.time()
    for name, tries in ledger.late(int((now - window) * 1e6)):
        settle_late(ledger, name, tries, int(now * 1e6))


def _hand_over(
    ledger: DeliveryLedger, client: PolicyClient, ready: _Prepared, options: DeliverOptions
) -> OutcomeReports:
    """Write the file of everything that may leave now. Nothing is reported: who sends reports."""
    now_us = int(time.time() * 1e6)
    waiting = ledger.waiting([plan.decision_id for plan in ready.plans])
    due = [p for p in ready.plans if p.decision_id in waiting and p.send_at_us <= now_us]
    leaving = []
    for one in confirmed(client, due):
        if one.may_leave:
            leaving.append(one.decision_id)
        elif one.status != "early":
            ledger.withdraw(one.decision_id, one.reason or one.status)
    out = Path(str(options.out)).absolute()
    content = _content(options)(ready.mails(leaving))
    HandOver(out).write(content, lambda: ledger.attempt(leaving, str(out), now_us))
    ledger.accept(leaving, None)
    print(f"{counted(len(leaving), 'row')} written to {options.out}")
    return OutcomeReports(ledger, client)


def _content(options: DeliverOptions) -> Callable[[Sequence[RenderedMail]], bytes]:
    suffix = Path(str(options.out)).suffix
    if options.sender == "cloudevents":
        return lambda mails: cloud_events(rows_of(mails))
    return lambda mails: file_content(rows_of(mails), suffix)


def _told(ledger: DeliveryLedger, ready: _Prepared, reports: OutcomeReports) -> VerbResult:
    left = len(ledger.waiting([plan.decision_id for plan in ready.plans]))
    print(
        f"{counted(len(ready.plans), 'send')} in the table, {ready.empty} of its rows send "
        f"nothing; {left} left for later"
    )
    _tell_left_out(ready)
    return result_of(ledger, reports, left)


def _tell_left_out(ready: _Prepared) -> None:
    if ready.unknown:
        print(
            f"{counted(ready.unknown, 'decision')} left out that the policy server does not know, "
            "such as of people who were erased since"
        )
    if ready.shared:
        print(f"{counted(len(ready.shared), 'send')} left out: {_SHARED}; unify these contacts")
