"""Two processes on one PostgreSQL store, 64 clients at once: no limit is overrun by one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from contextlib import closing
from functools import partial

import pytest

from nurture_rl.serving.storage.store import Store
from tests.postgres import PostgresServer
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.worker import ACCOUNTS, CAP, PIECES, scenes

Made = list[tuple[str, int, bool]]  # contact, bin, and whether it is a send


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline()


@pytest.fixture(scope="module")
def made(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, ...]:
    """The decisions of both processes together, by scene."""
    folder = tmp_path_factory.mktemp("two") / "bundle"
    small_bundle(folder)
    urls = [postgres.fresh_url() for _ in scenes()]
    for url, scene in zip(urls, scenes(), strict=True):
        with closing(Store(url)) as store:
            store.put_contacts(scene.contacts)
    command = [sys.executable, "-m", "tests.unit.serving.worker", str(folder), *urls]
    start = partial(
        subprocess.Popen, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with start() as one, start() as other:
        found = []
        assert [_line(worker) for worker in (one, other)] == ["ready\n"] * 2
        for _ in scenes():
            for worker in (one, other):
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
            told = [json.loads(_line(worker)) for worker in (one, other)]
            found.append([tuple(row) for rows in told for row in rows])
    return tuple(found)


@pytest.mark.slow
def test_two_servers_hand_out_an_offer_as_often_as_there_is(made: tuple[Made, ...]) -> None:
    assert sum(sent for _, _, sent in made[0]) == PIECES


@pytest.mark.slow
def test_two_servers_keep_the_caps_of_accounts(made: tuple[Made, ...]) -> None:
    sends = Counter(name.partition("-")[0] for name, _, sent in made[1] if sent)
    assert sends == {f"a{i}": CAP["max"] for i in range(ACCOUNTS)}


@pytest.mark.slow
def test_two_servers_keep_the_caps_of_people_and_decide_once_a_bin(made: tuple[Made, ...]) -> None:
    bins = [(name, step) for name, step, _ in made[2]]
    assert len(set(bins)) == len(bins)
    sends = sorted((name, step) for name, step, sent in made[2] if sent)
    assert len(sends) >= 2 * CAP["max"]
    for (name, step), (later, further) in zip(sends, sends[CAP["max"] :], strict=False):
        assert name != later or further - step >= CAP["hours"] / 24
