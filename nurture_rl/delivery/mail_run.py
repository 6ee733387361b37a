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
from nurture_rl.errors import DeliveryError
from nurture_rl.progress import PROGRESS
from nurture_rl.serving.names import contact_key
from nurture_rl.wording import counted

LATE = "its hour passed before it could leave"
CUT_OFF = "the run was cut off before an answer"
_EVERYBODY = "the receiver refused everybody"
_PACE = 60.0  # seconds of rest that a receiver may ask for as part of the pace
_LONGEST_REST = 1_800.0  # seconds between two tries
# Seconds of rest at least before a receiver at its limit is asked again, whatever it says; doubled
# each time: its clock may be another, or its words may mean nothing.
_LEAST_REST = 1.0
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
    brake: int  # mails in a row that may be refused, or have no answer, before the run stops


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
        self._repeated = set[str]()  # may have gone out, and go again under the same key
        self._refused: list[str] = []  # by this run, since a mail was accepted
        self._in_row = ledger.in_a_row((LATE, CUT_OFF))  # by earlier runs, too

    def carry(
        self, pairs: Sequence[tuple[PlannedSend, Recipient]], waiting: dict[str, WaitingSend]
    ) -> None:
        """Send what is due, until all is settled or only later things are left.

        Args:
            pairs: the decisions with their recipients.
            waiting: those of them that are planned, by id.

        Raises:
            ServerAway: the policy server does not answer: nothing is sent unconfirmed.
            DeliveryError: the receiver refuses this sender, or everybody.
        """
        end = time.time() + self._limits.wait
        unknown = {one.decision_id: one.place for one in self._ledger.attempted("unknown")}
        for plan, recipient in pairs:
            name, at = plan.decision_id, plan.send_at_us / 1e6
            if (one := waiting.get(name)) is not None:
                self._tries[name], at = one.tries, one.next_us / 1e6
            elif self._sender.repeatable and unknown.get(name) == self._sender.place(name):
                self._tries[name] = 0
                self._repeated.add(name)
            else:
                continue
            self._queue.put((plan, recipient), recipient.family, at)
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
        repeated = name in self._repeated
        if now > self._closes(plan):
            if not repeated:
                self._too_late(plan, now)
            return True
        told = confirmed(self._client, [plan])[0]
        if told.status == "early":
            self._queue.put((plan, recipient), recipient.family, now + _EARLY)
            return True
        if not told.may_leave:
            if not repeated:  # else it stays unknown: it may have gone out before
                self._ledger.withdraw(name, told.reason or told.status)
            return True
        mail = self._texts.rendered(plan, recipient)
        place = self._sender.place(name)

        def goes_out() -> None:
            self._ledger.attempt([name], place, _us(time.time()), repeated)

        try:
            answer = self._sender.send(mail, goes_out)
        except SenderAway as error:
            return self._rested(plan, recipient, end, str(error))
        return self._settled(plan, recipient, end, answer)

    def _settled(
        self, plan: PlannedSend, recipient: Recipient, end: float, answer: SendAnswer
    ) -> bool:
        """Note an answer; False: the receiver takes nothing in this run any more."""
        now, name, why = time.time(), plan.decision_id, _said(answer)
        if answer.state == "stopped":
            self._put_back(name, now, why)
            raise DeliveryError(f"{why}; nothing more was sent: mend the settings of sender_*")
        if answer.state == "limited":
            self._put_back(name, now, why)
            return self._rested(plan, recipient, end, why, answer.wait)
        if self._goes_again(name, answer):
            self._ledger.give_up([name], why)
            self._repeated.add(name)
            return self._rested(plan, recipient, end, why)
        self._away = 0
        if answer.state == "later" and (at := self._next_try(plan, now)) is not None:
            self._tries[name] += 1
            self._ledger.postpone(name, _us(at), why)
            self._queue.put((plan, recipient), recipient.family, at)
            return True
        self._settle(name, answer, now)
        return True

    def _goes_again(self, name: str, answer: SendAnswer) -> bool:
        """Whether a mail that may have gone out goes again, for the receiver counts it once."""
        if answer.state == "unknown":
            return self._sender.repeatable
        return answer.state == "later" and name in self._repeated

    def _put_back(self, name: str, now: float, why: str) -> None:
        """A mail that was not taken: it is as before the attempt."""
        if name in self._repeated:
            self._ledger.give_up([name], why)
        else:
            self._ledger.postpone(name, _us(now), why, refused=False)

    def _settle(self, name: str, answer: SendAnswer, now: float) -> None:
        """Note a last answer, and stop where there are too many of the bad kind in a row."""
        if answer.state == "accepted":
            self._ledger.accept([name], "sent" if self._limits.report_sent else None)
            self._unreported += 1
            self._in_row = 0
            self._refused.clear()
            return
        if answer.state == "unknown":
            self._ledger.give_up([name], _said(answer))
        else:
            event: Event = "hard_bounce" if answer.dead_address else "soft_bounce"
            code, status = answer.code, answer.status
            self._ledger.refuse(name, event, _us(now), code, status, _said(answer))
            self._unreported += 1
            self._refused.append(name)
        self._in_row += 1
        if self._in_row >= self._limits.brake:
            self._ledger.take_back(self._refused, _EVERYBODY)
            raise DeliveryError(
                f"the last {counted(self._in_row, 'mail')} were refused or had no answer, the last "
                f"with: {_said(answer)}; {len(self._refused)} of them are planned again, and "
                "nothing more was sent: mend what is wrong, or raise brake_after"
            )

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

    def _rested(
        self,
        plan: PlannedSend,
        recipient: Recipient,
        end: float,
        why: str,
        asked: float | None = None,
    ) -> bool:
        """Wait for the receiver to come back; False: not in this run.

        Args:
            plan: of the mail that it did not take, which is put back.
            recipient: its recipient.
            end: of the run.
            why: it took nothing.
            asked: seconds that it asks to wait; None: it does not say.
        """
        now = time.time()
        self._queue.put((plan, recipient), recipient.family, min(now, end))
        times = 2.0 ** min(self._away, 20)
        rest = min(self._limits.retry * times, _LONGEST_REST)
        if asked is not None:
            rest = max(asked, min(_LEAST_REST * times, _LONGEST_REST))
        self._away += 1
        PROGRESS.info("%s; %s left", why, len(self._queue))
        if now + rest > end and (asked is None or rest > _PACE):
            print(f"the run ends here: {why}; the same command goes on")
            return False
        time.sleep(rest)
        return True

    def _report_now_and_then(self) -> None:
        if self._refused:  # the brake may take them back: an answer says whether they count
            return
        waited = time.monotonic() - self._reported_at
        if self._unreported and (self._unreported >= _REPORT_EACH or waited > _REPORT_SECONDS):
            self.reports.flush()
            self._unreported, self._reported_at = 0, time.monotonic()
            PROGRESS.info("%d mails left", len(self._queue))


def confirmed(client: PolicyClient, plans: Sequence[PlannedSend]) -> list[SendConfirmation]:
    """Ask whether decisions are to be carried out now; none that the server does not know is.

    Raises:
        DeliveryError: a decision is of another contact or message than its row says: what was
            confirmed is not what would go.
    """
    found: list[SendConfirmation] = []
    for start in range(0, len(plans), _CONFIRMED):
        some = [plan.decision_id for plan in plans[start : start + _CONFIRMED]]
        try:
            found += client.confirm(some)
        except ServerRefusal as error:
            if error.status != 404:
                raise
            found += [
                SendConfirmation(n, "unknown", _UNKNOWN, None, None, None, None) for n in some
            ]
    for plan, told in zip(plans, found, strict=True):
        if told.may_leave:
            _require_same(plan, told)
    return found


def _require_same(plan: PlannedSend, told: SendConfirmation) -> None:
    message = (told.action or "").removeprefix("send:").rpartition("@")[0]
    is_same = contact_key(told.contact_id or "") == contact_key(plan.contact_id)
    is_same = is_same and message == plan.message and told.journey in (None, plan.journey)
    if is_same:
        return
    raise DeliveryError(
        f"decision {plan.decision_id}: expected a row of contact {told.contact_id!r} with message "
        f"{message} of journey {told.journey}, as the policy server has it, got "
        f"{plan.contact_id!r} with {plan.message} of {plan.journey}; "
        "nothing more was sent: give the table as it was decided"
    )


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
