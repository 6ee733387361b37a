"""Mail to a receiver while it and the deliverer are killed in between."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, Protocol

from nurture_rl.delivery.deliver_options import DeliverOptions, ReconcileOptions
from nurture_rl.delivery.mail_bytes import mail_from, message_id
from nurture_rl.delivery.reconciling import reconcile
from tests.mail_server import Postfix
from tests.unit.delivery.now_sends import words

Victim = Literal["deliverer", "mail server"]
_WAIT = 600.0  # seconds in which the next mail has to go


class Receiver(Protocol):
    """Who takes mail, and may be gone for a moment."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What the ledger says, and what came in."""

    states: Mapping[str, int]
    lost: list[str]  # decisions that are neither in a mailbox nor unknown nor still planned
    doubled: list[str]  # decisions of which the server took two mails
    wrong: list[str]  # decisions that came in though the ledger says that they did not


def deliver_with_kills(
    options: DeliverOptions, post: Receiver, victims: Sequence[Victim], luck: random.Random
) -> float:
    """Run the command until it is done, and kill in between; seconds that it took."""
    ledger, every = Path(options.ledger), _rows_of(Path(options.recipients))
    each = max(1, every // (len(victims) + 1))
    began, process = time.monotonic(), _started(options)
    try:
        for number, victim in enumerate(victims, 1):
            _await(ledger, each * number, process)
            time.sleep(luck.uniform(0.0, 0.05))
            if victim == "mail server":
                post.kill()
                time.sleep(luck.uniform(0.0, 0.3))
                post.start()
            else:
                process.kill()
                process.wait()
                process = _started(options)
        while process.wait(timeout=600) == 3:  # what is left for later
            process = _started(options)
        if process.returncode not in (0, 4):
            raise RuntimeError(f"the run ended with {process.returncode}")
        return time.monotonic() - began
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def looked_at(options: DeliverOptions, post: Postfix) -> Found:
    """Hold the ledger against the mailboxes."""
    post.settle()
    author = mail_from(str(options.from_address), None, None)
    queued = defaultdict[str, set[str]](set)
    for mail in post.mails():
        queued[mail["Message-ID"].strip("<>")].add(queue_id(mail))
    with closing(sqlite3.connect(options.ledger)) as file:
        states = dict(file.execute("SELECT decision_id, state FROM deliveries"))
    places = {name: message_id(name, author) for name in states}
    here = {name for name, place in places.items() if place in queued}
    return Found(
        Counter(states.values()),
        [n for n, state in states.items() if state == "accepted" and n not in here],
        [name for name, place in places.items() if len(queued[place]) > 1],
        [n for n in here if states[n] not in ("accepted", "unknown")],
    )


def reconciled(options: DeliverOptions, post: Postfix) -> None:
    """Settle what is unknown by what came in, and let the rest go."""
    told = ReconcileOptions(
        (str(post.maildir),), options.ledger, options.server, complete=True, settled_minutes=0.0
    )
    reconcile(told)
    run_again(options)


def run_again(options: DeliverOptions) -> None:
    """The same command once more."""
    with _running(options) as process:
        process.wait(timeout=120)


def queue_id(mail: EmailMessage) -> str:
    """The name under which Postfix took a mail in: two of one mail mean that it went twice."""
    return str(mail["Received"]).partition(" id ")[2].split()[0].strip(";")


def _started(options: DeliverOptions) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "nurture_rl.cli", "deliver", *words(options)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


@contextmanager
def _running(options: DeliverOptions) -> Iterator[subprocess.Popen[bytes]]:
    process = _started(options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _await(ledger: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many decisions are beyond `planned`."""
    end = time.monotonic() + _WAIT
    while _done(ledger) < count:
        if process.poll() is not None:
            raise RuntimeError(f"the run ended early, with {process.returncode}")
        if time.monotonic() > end:
            raise RuntimeError(f"{_done(ledger)} of {count} mails within {_WAIT:.0f} s")
        time.sleep(0.01)


def _done(ledger: Path) -> int:
    if not ledger.exists():
        return 0
    asked = "SELECT count(*) FROM deliveries WHERE state NOT IN ('planned', 'attempted')"
    try:
        with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True, timeout=5)) as file:
            return int(file.execute(asked).fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0


def _rows_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines()) - 1
