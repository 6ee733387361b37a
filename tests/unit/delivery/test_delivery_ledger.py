"""The ledger knows what may have gone out, lets nothing out twice, and forgets people."""

from __future__ import annotations

import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nurture_rl.delivery.delivering import told_as_refusals
from nurture_rl.delivery.delivery_ledger import DeliveryLedger
from nurture_rl.delivery.planned_sends import PlannedSend
from nurture_rl.errors import DeliveryError

TOPICS = {"d1": "product", "d2": "product"}
SENDS = [PlannedSend(name, f"secret-{name}", "j", "m", 1000, None, None, None) for name in TOPICS]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[DeliveryLedger]:
    with closing(DeliveryLedger(tmp_path / "l.db")) as found:
        found.plan(SENDS, TOPICS)
        yield found


def test_what_was_attempted_is_attempted_by_nobody_else(ledger: DeliveryLedger) -> None:
    ledger.attempt(["d1"], "place", 5)
    with pytest.raises(DeliveryError, match="d1: expected it planned"):
        ledger.attempt(["d1"], "place", 6)
    ledger.plan(SENDS, TOPICS)  # the table is read again
    assert set(ledger.waiting(TOPICS)) == {"d2"}


def test_of_several_all_are_attempted_or_none(ledger: DeliveryLedger) -> None:
    ledger.attempt(["d1"], "place", 5)
    with pytest.raises(DeliveryError):
        ledger.attempt(["d2", "d1"], "file", 6)
    assert set(ledger.waiting(TOPICS)) == {"d2"}


@pytest.mark.parametrize("end", ["accept", "refuse", "withdraw"])
def test_what_is_settled_stays_so(ledger: DeliveryLedger, end: str) -> None:
    if end == "accept":
        ledger.attempt(["d1"], "place", 5)
        ledger.accept(["d1"], "sent")
    elif end == "refuse":
        ledger.refuse("d1", "hard_bounce", 5, 550, "5.1.1", "no")
    else:
        ledger.withdraw("d1", "opted_out")
    with pytest.raises(DeliveryError, match="another state"):
        ledger.attempt(["d1"], "place", 6)
    with pytest.raises(DeliveryError, match="another state"):
        ledger.accept(["d1"], "sent")
    with pytest.raises(DeliveryError, match="another state"):
        ledger.postpone("d1", 7, "later")
    with pytest.raises(DeliveryError, match="another state"):
        ledger.withdraw("d1", "opted_out")
    with pytest.raises(DeliveryError, match="another state"):
        ledger.give_up(["d1"], "cut")


def test_an_attempt_is_on_disk_when_it_is_noted(ledger: DeliveryLedger) -> None:
    ledger.attempt(["d1"], "place", 5)
    with closing(sqlite3.connect(f"file:{ledger.path}?mode=ro", uri=True)) as other:
        asked = "SELECT state, place, at_us FROM deliveries WHERE decision_id = 'd1'"
        assert other.execute(asked).fetchone() == ("attempted", "place", 5)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._file.execute("PRAGMA synchronous").fetchone() == (2,)


def test_one_process_has_it_at_a_time_and_no_stranger_reads_it(ledger: DeliveryLedger) -> None:
    with pytest.raises(DeliveryError, match="another process does"):
        DeliveryLedger(ledger.path)
    for file in ledger.path.parent.glob("l.db*"):
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_whom_there_is_nothing_to_tell_of_is_forgotten(
    ledger: DeliveryLedger, tmp_path: Path
) -> None:
    ledger.attempt(["d1"], "place", 5)
    ledger.accept(["d1"], "sent")
    (told,) = ledger.unreported(10)
    assert (told.contact_id, told.event, told.at_us) == ("secret-d1", "sent", 5)
    ledger.report(["d1"])
    ledger.withdraw("d2", "opted_out")
    assert ledger.unreported(10) == []
    ledger.close()
    assert b"secret-d" not in (tmp_path / "l.db").read_bytes()


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(DeliveryError, match="got another database; nothing was written"):
        DeliveryLedger(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == before
    with pytest.raises(DeliveryError, match="got none"):
        DeliveryLedger(tmp_path / "none.db", must_exist=True)


def test_a_full_disk_changes_nothing_and_is_told(
    ledger: DeliveryLedger,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        log = ledger.path.with_name(f"{ledger.path.name}-wal")
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
        with pytest.raises(DeliveryError, match="make room"), told_as_refusals():
            ledger.attempt([SENDS[0].decision_id], "here", 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert ledger.counts() == {"planned": len(SENDS)}
    ledger.attempt([SENDS[0].decision_id], "here", 1)
