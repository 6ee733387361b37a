"""The verb `reconcile`: whether mails without an answer went out, by what the receiver has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nurture_rl.delivery.deliver_options import FORMATS, ReconcileOptions, client_of
from nurture_rl.delivery.delivering import result_of, settle_cut_off, told_as_refusals
from nurture_rl.delivery.delivery_ledger import Attempt, DeliveryLedger
from nurture_rl.delivery.mail_traces import MailTraces, traces
from nurture_rl.delivery.outcome_reports import OutcomeReports
from nurture_rl.delivery.recommendation_file import decisions_in, is_file
from nurture_rl.errors import ConfigError
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

_NEVER = "it never reached its receiver"


def reconcile(options: ReconcileOptions) -> VerbResult:
    """Settle unknown deliveries by where they are found again, and report those that went.

    Raises:
        NurtureError: the ledger or a place cannot be used, or the policy server does not answer.
    """
    if not options.found_in:
        raise ConfigError("found_in: expected at least one log, maildir or mbox, got none")
    if not options.settled_minutes >= 0.0:
        raise ConfigError(f"settled_minutes: expected 0 or more, got {options.settled_minutes}")
    client = client_of(options.server, options.key_file)
    with told_as_refusals(), closing(DeliveryLedger(Path(options.ledger), True)) as ledger:
        # Looked at before the places are read: what is attempted later must not seem absent.
        before_us = int((time.time() - 60.0 * options.settled_minutes) * 1e6)
        settle_cut_off(ledger)
        unknown = ledger.attempted("unknown")
        found = _Places.of([Path(path) for path in options.found_in])
        mails = [one for one in unknown if one.place in found.mails.taken]
        files = [one for one in unknown if is_file(one.place) and one.decision_id in found.rows]
        went = {one.decision_id for one in (*mails, *files)}
        absent = [
            one
            for one in unknown
            if one.decision_id not in went
            and options.complete
            and one.at_us <= before_us
            and found.would_tell(one)
        ]
        ledger.accept([one.decision_id for one in mails], "sent" if options.report_sent else None)
        ledger.accept([one.decision_id for one in files], None)
        for one in absent:
            ledger.postpone(one.decision_id, one.at_us, _NEVER, refused=False)
        print(
            f"of {counted(len(unknown), 'mail')} without an answer {len(went)} went out, "
            f"{len(absent)} never reached it, "
            f"{len(unknown) - len(went) - len(absent)} stay unknown"
        )
        reports = OutcomeReports(ledger, client)
        reports.flush()
        return result_of(ledger, reports, 0)


@dataclass(frozen=True, slots=True)
class _Places:
    """What is found where somebody looked."""

    mails: MailTraces
    rows: frozenset[str]  # decisions of files that were handed over
    has_files: bool  # files that were handed over are among them

    @classmethod
    def of(cls, paths: Sequence[Path]) -> _Places:
        files = [path for path in paths if path.suffix in FORMATS]
        rest = [path for path in paths if path.suffix not in FORMATS]
        rows = frozenset[str]().union(*map(decisions_in, files))
        return cls(traces(rest), rows, bool(files))

    def would_tell(self, one: Attempt) -> bool:
        """Whether the places, where they are complete, would hold what went out."""
        if is_file(one.place):
            return self.has_files
        return self.mails.would_tell(one.place, one.at_us)
