"""A short hunt for mail after a word against it, and servers that break the promise: all caught.

The long hunt: `python tools/fuzz_server.py --operations 1000000`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tools.fuzzing.hunt import Breach, Judge, play, smallest
from tools.fuzzing.servers import (
    Forgetful,
    InProcess,
    Literal,
    Quiet,
    Stubborn,
    known_luck,
    write_bundles,
)
from tools.fuzzing.steps import Step, Story

Make = Callable[[Sequence[Path], Path], InProcess]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two releases of a journey and another journey."""
    return write_bundles(tmp_path_factory.mktemp("bundles"))


def hunt(
    server: InProcess, seed: int, operations: int, mail_only: bool = False
) -> tuple[Breach | None, list[Step], Judge]:
    judge = Judge(mail_only=mail_only)
    with known_luck(seed):
        breach, played = play(server, Story(seed).steps(), judge, operations)
    server.close()
    return breach, played, judge


@pytest.mark.slow
def test_no_answer_says_send_after_an_acknowledged_word_against_mail(
    bundles: list[Path], tmp_path: Path
) -> None:
    breach, played, judge = hunt(InProcess(bundles, tmp_path / "store.db"), 7, 2000)
    assert breach is None
    counts = judge.counts
    assert counts["sends"] >= 0.1 * counts["other answers"]
    assert counts["answers where mail is forbidden"] > 200
    assert counts["restarts"] >= 1
    assert min(counts["confirmations: send"], counts["confirmations: withdrawn"]) > 0
    confirm = "/v1/decisions/confirm"
    paths = {"", "/v1/contacts", "/v1/decisions", confirm, "/v1/events"}
    assert {step.path for step in played} == paths


@pytest.mark.slow
@pytest.mark.parametrize("broken", [Forgetful, Stubborn, Literal])
def test_a_server_that_breaks_the_promise_is_caught_and_the_story_made_short(
    bundles: list[Path], tmp_path: Path, broken: Make
) -> None:
    breach, played, _ = hunt(broken(bundles, tmp_path / "store.db"), 0, 12_000, mail_only=True)
    assert breach is not None
    assert "send:" in breach.text
    stores = iter(range(10_000))

    def fresh() -> InProcess:
        return broken(bundles, tmp_path / f"again-{next(stores)}.db")

    with known_luck(0):
        story = smallest(played, breach, fresh, mail_only=True)
    assert len(story) <= 6
    assert breach.person in {person for step in story for person in step.people}


def test_a_server_that_drops_opt_outs_in_silence_is_caught(
    bundles: list[Path], tmp_path: Path
) -> None:
    breach, _, _ = hunt(Quiet(bundles, tmp_path / "store.db"), 0, 4000)
    assert breach is not None
    assert "stop refused in silence (200)" in breach.text


@pytest.mark.slow
def test_one_seed_tells_one_story(bundles: list[Path], tmp_path: Path) -> None:
    first, _, once = hunt(InProcess(bundles, tmp_path / "once.db"), 3, 300)
    second, _, twice = hunt(InProcess(bundles, tmp_path / "twice.db"), 3, 300)
    assert (first, once.counts) == (second, twice.counts)
