"""One run of mails, one after the other: confirm, note, send, note, report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from nurture_rl.client import PolicyClient, SendConfirmation, ServerRefusal
from nurture_rl.delivery.delivery_ledger import DeliveryLedger, Event, WaitingSend
from nurture_rl.delivery.outcome_reports import OutcomeReports
from nurture_rl.delivery.pacing import PacedQueue, Rates
from nurture_rl.delivery.planned_sends import PlannedSend
from nurture_rl.delivery.recipients import Recipient
from nurture_rl.delivery.rendering import MailTexts
from nurture_rl.delivery.sender_protocol import MailSender, SendAnswer, SenderAway
from nurture_rl.progress import PROGRESS

LATE = "its hour passed before it could leave"
_LONGEST_REST = 1_800.0  # seconds between two tries
_REPORT_EACH, _REPORT_SECONDS = 200, 10.0  # mails, and seconds, after which results are reported
_CONFIRMED = 1_000  # decisions that are confirmed by one request
_UNKNOWN = "the policy server does not know it"
_LOOK = 1.0  # seconds of sleep at a time
_EARLY = 5.0  # seconds until a decision is confirmed again whose hour the server's clock lacks


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How long a run may take, and how fast it may be."""

    wait: float  # seconds for hours to come and refusals to pass
    window: float  # seconds after its hour in which a mail may leave
    retry: float  # seconds until a first retry
    rates: Rates
    report_sent: bool


class MailRun:
    """Carries a ledger's planned decisions through one sender."""

    def __init__(
        self,
        ledger: DeliveryLedger,
        client: PolicyClient,
        sender: MailSender,
        texts: MailTexts,
        limits: RunLimits,
    ) -> None:
        self._ledger, self._client, self._sender = ledger, client, sender
        self._texts, self._limits = texts, limits
        self._queue: PacedQueue[tuple[PlannedSend, Recipient]] = PacedQueue(limits.rates)
        self.reports = OutcomeReports(ledger, client)
        self._unreported, self._reported_at = 0, time.monotonic()
        self._away = 0  # failures to reach the receiver in a row
        self._tries: dict[str, int] = {}  # temporary refusals by decision

    def carry(
        self, pairs: Sequence[tuple[PlannedSend, Recipient]], waiting: dict[str, WaitingSend]
    ) -> None:
        """Send what is due, until all is settled or only later things are left.

        Args:
            pairs: the decisions with their recipients.
            waiting: those of them that are planned, by id.

        Raises:
            ServerAway: the policy server does not answer: nothing is sent unconfirmed.
            DeliveryError: the receiver refuses this sender.
        """
        end = time.time() + self._limits.wait
        for plan, recipient in pairs:
            if (one := waiting.get(plan.decision_id)) is not None:
                self._tries[plan.decision_id] = one.tries
                self._queue.put((plan, recipient), recipient.family, one.next_us / 1e6)
        try:
            while (due := self._queue.next_due()) is not None and due <= end:
                item, at = self._queue.take(time.time())
                if item is not None:
                    if not self._one(*item, end):
                        return
                else:
                    time.sleep(min(_LOOK, max(0.0, at - time.time())))
                self._report_now_and_then()
        finally:
            self._sender.close()

    def _one(self, plan: PlannedSend, recipient: Recipient, end: float) -> bool:
        """Settle one decision or put it back; False: the receiver is away for longer."""
        now, name = time.time(), plan.decision_id
        if now > self._closes(plan):
            self._too_late(plan, now)
            return True
        told = confirmed(self._client, [name])[0]
        if told.status == "early":
            self._queue.put((plan, recipient), recipient.family, now + _EARLY)
            return True
        if not told.may_leave:
            self._ledger.withdraw(name, told.reason or told.status)
            return True
        mail = self._texts.rendered(plan, recipient)
        place = self._sender.place(mail)

        def goes_out() -> None:
            self._ledger.attempt([name], place, _us(time.time()))

        try:
            answer = self._sender.send(mail, goes_out)
        except SenderAway as error:
            return self._rested(plan, recipient, end, error)
        self._away = 0
        self._settle(plan, recipient, answer)
        return True

    def _settle(self, plan: PlannedSend, recipient: Recipient, answer: SendAnswer) -> None:
        now, name = time.time(), plan.decision_id
        if answer.state == "accepted":
            self._ledger.accept([name], "sent" if self._limits.report_sent else None)
        elif answer.state == "unknown":
            self._ledger.give_up([name], answer.text)
            return
        elif answer.state == "later" and (at := self._next_try(plan, now)) is not None:
            self._tries[name] += 1
            self._ledger.postpone(name, _us(at), _said(answer))
            self._queue.put((plan, recipient), recipient.family, at)
            return
        else:
            event: Event = "hard_bounce" if answer.dead_address else "soft_bounce"
            why = _said(answer)
            self._ledger.refuse(name, event, _us(now), answer.code, answer.status, why)
        self._unreported += 1

    def _next_try(self, plan: PlannedSend, now: float) -> float | None:
        """When to try again; None: the mail's window is over by then."""
        rest = self._limits.retry * 2.0 ** min(self._tries[plan.decision_id], 20)
        at = now + min(rest, _LONGEST_REST)
        return at if at <= self._closes(plan) else None

    def _closes(self, plan: PlannedSend) -> float:
        return plan.send_at_us / 1e6 + self._limits.window

    def _too_late(self, plan: PlannedSend, now: float) -> None:
        settle_late(self._ledger, plan.decision_id, self._tries[plan.decision_id], _us(now))
        self._unreported += 1

    def _rested(self, plan: PlannedSend, recipient: Recipient, end: float, why: SenderAway) -> bool:
        """Wait for the receiver to come back; False: not in this run."""
        now = time.time()
        self._queue.put((plan, recipient), recipient.family, now)
        rest = min(self._limits.retry * 2.0 ** min(self._away, 20), _LONGEST_REST)
        self._away += 1
        PROGRESS.info("%s; %s left", why, len(self._queue))
        if now + rest > end:
            print(f"the run ends here: {why}; the same command goes on")
            return False
        time.sleep(rest)
        return True

    def _report_now_and_then(self) -> None:
        waited = time.monotonic() - self._reported_at
        if self._unreported and (self._unreported >= _REPORT_EACH or waited > _REPORT_SECONDS):
            self.reports.flush()
            self._unreported, self._reported_at = 0, time.monotonic()
            PROGRESS.info("%d mails left", len(self._queue))


def confirmed(client: PolicyClient, ids: Sequence[str]) -> list[SendConfirmation]:
    """Ask whether decisions are to be carried out now; none that the server does not know is."""
    found: list[SendConfirmation] = []
    for start in range(0, len(ids), _CONFIRMED):
        some = ids[start : start + _CONFIRMED]
        try:
            found += client.confirm(some)
        except ServerRefusal as error:
            if error.status != 404:
                raise
            found += [
                SendConfirmation(n, "unknown", _UNKNOWN, None, None, None, None) for n in some
            ]
    return found


def settle_late(ledger: DeliveryLedger, decision_id: str, tries: int, now_us: int) -> None:
    """Note that a mail's window is over: a soft bounce where the receiver refused it before."""
    if tries:
        ledger.refuse(decision_id, "soft_bounce", now_us, None, None, LATE)
    else:
        ledger.withdraw(decision_id, LATE)


def _said(answer: SendAnswer) -> str:
    return f"{answer.code} {answer.text}" if answer.code is not None else answer.text


def _us(seconds: float) -> int:
    return int(seconds * 1e6)
