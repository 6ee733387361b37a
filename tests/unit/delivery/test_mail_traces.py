"""Where mails without an answer are looked for: logs that were rotated, mailboxes in use."""

from __future__ import annotations

import gzip
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.delivery.mail_traces import MailTraces, traces
from nurture_rl.errors import DeliveryError

ID = "ab12@sender.example"


def read_line(queue: str, name: str, at: str = "Nov 29 10:00:00") -> str:
    return f"{at} mx postfix/cleanup[7]: {queue}: message-id=<{name}>\n"


def taken_line(queue: str, at: str = "Nov 29 10:00:01") -> str:
    return f"{at} mx postfix/qmgr[8]: {queue}: from=<n@sender.example>, size=9, nrcpt=1 (active)\n"


def test_a_mail_is_taken_once_it_is_on_disk(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text(read_line("A1", ID) + read_line("B2", "cut@x.example") + taken_line("A1"))
    assert traces([log]).taken == {ID}


@pytest.mark.parametrize("order", [("mail.log.1.gz", "mail.log"), ("mail.log", "mail.log.1.gz")])
def test_a_log_that_was_rotated_in_between_is_read_as_one(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    """Named in the older file, taken in the newer one: it would seem absent, and go twice."""
    with gzip.open(tmp_path / "mail.log.1.gz", "wt") as file:
        file.write(read_line("A1", ID))
    (tmp_path / "mail.log").write_text(taken_line("A1"))
    assert traces([tmp_path / name for name in order]).taken == {ID}


def test_a_name_in_the_queue_that_comes_again_is_another_mail(tmp_path: Path) -> None:
    """The first was cut off before it was on disk; the second names itself by nothing."""
    log = tmp_path / "mail.log"
    log.write_text(read_line("A1", ID) + read_line("A1", "") + taken_line("A1"))
    assert traces([log]).taken == set()


def test_logs_say_nothing_of_what_was_before_them(tmp_path: Path) -> None:
    old, new = tmp_path / "mail.log.1", tmp_path / "mail.log"
    old.write_text(taken_line("C3", "2026-04-05T22:00:00.5+02:00"))
    new.write_text(taken_line("D4", "2026-04-06T22:00:00.5+02:00"))
    begun = datetime(2026, 4, 5, 20, 0, 0, 500_000, UTC)
    assert traces([new, old]).since_us == round(begun.timestamp() * 1e6)
    assert traces([new]).since_us == round((begun + timedelta(days=1)).timestamp() * 1e6)


def test_a_time_without_a_year_is_the_latest_that_is_past(tmp_path: Path) -> None:
    for days in (1, 300):
        log, then = tmp_path / f"{days}.log", datetime.now() - timedelta(days=days)
        log.write_text(taken_line("A1", f"{then:%b} {then.day:>2} {then:%H:%M:%S}"))
        whole = then.replace(microsecond=0).astimezone()
        assert traces([log]).since_us == round(whole.timestamp() * 1e6)


def test_a_mailbox_is_as_complete_as_whoever_gives_it_says(tmp_path: Path) -> None:
    log, box = tmp_path / "mail.log", tmp_path / "archive"
    log.write_text(read_line("A1", ID) + taken_line("A1"))
    (box / "new").mkdir(parents=True)
    (box / "new" / "1").write_text("Message-ID: <other@sender.example>\r\n\r\nx\r\n")
    found = traces([log, box])
    assert found.taken == {ID, "other@sender.example"}
    assert found.since_us == 0


def test_a_mail_that_a_reader_moves_meanwhile_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed in `cur` by one name, and lies there by another when it is read."""
    (tmp_path / "new").mkdir()
    (tmp_path / "cur").mkdir()
    (tmp_path / "cur" / "1:2,").write_text(f"Message-ID: <{ID}>\r\n\r\nx\r\n")
    opened = Path.open

    def moved(path: Path, *args: str, **more: str) -> object:
        if path.name == "1:2," and path.exists():
            path.rename(path.with_name("1:2,S"))
        return opened(path, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", moved)
    assert traces([tmp_path]).taken == {ID}


@pytest.mark.parametrize("text", ["", "no log\n", "Nov 29 10:00:00 mx sshd[1]: hello\n"])
def test_what_is_no_log_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "auth.log"
    path.write_text(text)
    with pytest.raises(DeliveryError, match="expected Postfix's log"):
        traces([path])


KEY = "nurture-" + "0" * 32


@pytest.mark.parametrize(
    ("kinds", "telling"),
    [
        ({"log"}, {"a@b.example"}),
        ({"mailbox"}, {"a@b.example", f"{KEY}@listmonk.host"}),
        ({"export"}, {f"{KEY}@listmonk.host", f"{KEY}@mautic.host"}),
        (set(), set()),
    ],
)
def test_no_place_is_believed_on_what_it_cannot_hold(kinds: set[Any], telling: set[str]) -> None:
    found = MailTraces(frozenset(), 0, frozenset(kinds))
    places = ["a@b.example", f"{KEY}@listmonk.host", f"{KEY}@mautic.host"]
    assert {place for place in places if found.would_tell(place, 1)} == telling


def test_an_hour_that_comes_twice_is_its_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail between both would seem absent from a log that begins after it, and go twice."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    log = tmp_path / "mail.log"
    try:
        log.write_text(taken_line("A1", "Oct 25 02:30:00"))  # the clock goes back at 3 in 2026
        begun = traces([log]).since_us / 1e6
    finally:
        monkeypatch.undo()
        time.tzset()
    assert datetime.fromtimestamp(begun, UTC) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(("said", "went"), [(0, True), ("0", True), (1, False), ("1", False)])
def test_what_a_provider_says_it_failed_to_send_did_not_go(
    tmp_path: Path, said: object, went: bool
) -> None:
    key, other = (f"nurture-{one * 32}@mautic.mail-example" for one in "ab")
    rows = [{"is_failed": said, "tokens": {"x": key}}, {"is_failed": "0", "tokens": [other]}]
    export = tmp_path / "email_stats.json"
    export.write_text(json.dumps({"stats": rows}))
    assert traces([export]).taken == ({key, other} if went else {other})
