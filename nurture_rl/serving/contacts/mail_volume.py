"""How many mails a day may go to a family of recipient domains: warm-up, growth and slow-down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from nurture_envs.clock import DAY_US
from nurture_envs.crowd_limits import VolumeRamp
from nurture_rl.serving.contacts.mail_counts import HARMS, Families, MailCounts
from nurture_rl.serving.records import AuditEntry
from nurture_rl.serving.storage.store import Store

_AUDIT = "mail_volume"
USUAL, SLOWED, STOPPED = "usual", "slowed", "stopped"


class MailVolume:
    """Counts mails by family and UTC day. Whoever calls holds one lock."""

    def __init__(
        self, ramp: VolumeRamp, store: Store, families: Families, counts: MailCounts
    ) -> None:
        """Begin with what the store counts.

        Args:
            ramp: the limits.
            store: where the audit goes.
            families: the family of each of some contacts.
            counts: of the mail so far; they change with what is counted here.
        """
        self._ramp, self._store, self._families = ramp, store, families
        self._sends, self._harms = counts.sends, counts.harms
        self._states = {e.subject: e.state for e in store.audit(_AUDIT)}

    def count(self, family: str, at_us: int, times: int) -> None:
        """Count a mail that leaves at a moment, or take it back with `times` -1."""
        self._sends[family][at_us // DAY_US] += times

    def went_wrong(self, told: Sequence[tuple[str, str, int]]) -> None:
        """Count complaints and hard bounces among events: contact, type and moment of each."""
        harms = [row for row in told if row[1] in HARMS]
        of = self._families([contact for contact, _, _ in harms]) if harms else {}
        for contact, kind, at_us in harms:
            if contact in of:
                self._harms[of[contact], kind][at_us // DAY_US] += 1

    def look(self, families: Collection[str], now_us: int) -> None:
        """Slow families down, stop them or let them recover; each change enters the audit."""
        for family in sorted(families) if self._ramp.slow_down is not None else ():
            state, why = self._judged(family, now_us // DAY_US)
            if state != self._states.get(family, USUAL):
                self._store.note(AuditEntry(now_us, _AUDIT, family, state, why))
                self._states[family] = state

    def full_days(self, family: str, now_us: int) -> frozenset[int]:
        """Days on which no more mail goes to a family: today's and tomorrow's."""
        return frozenset(day for day in _days(now_us) if self._left(family, day) <= 0)

    def is_scarce(self, families: Sequence[str], now_us: int) -> bool:
        """Whether the room of a family may run out with one mail for each of these."""
        return any(
            0 < self._left(family, day) < asking
            for family, asking in Counter(families).items()
            for day in _days(now_us)
        )

    def _left(self, family: str, day: int) -> int:
        return self.room(family, day) - self._sends[family][day]

    def room(self, family: str, day: int) -> int:
        """How many mails may go to a family on a day in all."""
        usual = self._usual(family, day)
        kept = self._ramp.carry_over
        if kept and self._sends[family][day - 1]:
            unused = self._usual(family, day - 1) - self._sends[family][day - 1]
            usual += int(kept * max(0, unused))
        slow, state = self._ramp.slow_down, self._states.get(family, USUAL)
        if slow is None or state == USUAL:
            return usual
        # Less than the fullest day of late, however much room warm-up and growth would leave.
        fullest = max(self._sends[family][day - back] for back in range(1, slow.days + 1))
        return int(min(usual, fullest) * slow.factor) if state == SLOWED else 0

    def _usual(self, family: str, day: int) -> int:
        """The room of a day by warm-up and growth alone."""
        ramp, sends = self._ramp, self._sends[family]
        mailed = sorted((d for d, mails in sends.items() if d < day and mails > 0), reverse=True)
        steps, later = 0, day
        for one in mailed:
            if later - one > ramp.idle_days:
                break
            steps, later = steps + 1, one
        if steps < len(ramp.warm_up):
            return ramp.warm_up[steps]
        if ramp.growth is None:
            return 1 << 60
        mean = sum(sends[day - back] for back in range(1, ramp.trailing_days + 1))
        return max(ramp.warm_up[-1], int(ramp.growth * mean / ramp.trailing_days))

    def _judged(self, family: str, today: int) -> tuple[str, str]:
        """The state of a family by what went wrong, and why."""
        slow = self._ramp.slow_down
        if slow is None:
            return USUAL, ""
        days = range(today - slow.days + 1, today + 1)
        mails = sum(self._sends[family][day] for day in days)
        if mails < slow.minimum:
            return USUAL, f"{mails} mails in {slow.days} days say nothing yet"
        state, told = USUAL, []
        for kind, (slowed, stopped) in zip(HARMS, (slow.complaints, slow.bounces), strict=True):
            count = sum(self._harms[family, kind][day] for day in days)
            share = count / mails
            told.append(f"{count} {kind} of {mails} mails in {slow.days} days")
            if share >= stopped:
                state = STOPPED
            elif share >= slowed and state == USUAL:
                state = SLOWED
        return state, "; ".join(told)


def _days(now_us: int) -> tuple[int, int]:
    """The UTC days on which a mail decided now may leave, on the contact's day of today."""
    return now_us // DAY_US, now_us // DAY_US + 1
