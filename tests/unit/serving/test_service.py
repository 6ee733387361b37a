"""Asking twice, asking at once and asking after a send: one decision per bin, never two mails."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.errors import NurtureError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import decide
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Answer, Decision, Event, Refusal
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, event, service, view

pytestmark = pytest.mark.usefixtures("either_database")


@pytest.fixture
def clock() -> Clock:
    """Midnight of a Monday in Berlin."""
    return Clock()


@pytest.fixture
def served(bundle: Bundle, tmp_path: Path, clock: Clock) -> Service:
    """A service that knows ada and bob."""
    return service(bundle, tmp_path / "store.db", clock)


def _sending(bundle: Bundle) -> Bundle:
    """The same bundle with a policy that sends whenever it may."""
    context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
    return replace(bundle, policy=build_policy("always:send:welcome@09", context))


def _decision(answer: Answer) -> Decision:
    assert isinstance(answer, Decision), answer
    return answer


def _code(answer: Answer) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.code


def test_the_service_decides_what_the_library_decides(served: Service, bundle: Bundle) -> None:
    click = event("click", MIDNIGHT - DAY_US, topic="pricing")
    served.store.append_events([click])
    (answer,) = served.decide([Ask("ada", "r-1")])
    found = _decision(answer)
    expected = view(click, decision_id="r-1")
    expected = replace(expected, episode=replace(expected.episode, episode_id=found.episode_id))
    assert [found] == decide(bundle, [expected], MIDNIGHT, served.seed, ZONE)
    assert found.episode_id == "inbound_lead:ada:2027-03-01"


def test_the_same_request_id_gives_the_stored_decision(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
    waiting = replace(bundle, policy=build_policy("always:pause:1", context))
    served = service(waiting, tmp_path / "store.db", clock)
    first = served.decide([Ask("ada", "r-1"), Ask("bob", "r-2")])
    clock.now_us += DAY_US
    assert served.decide([Ask("bob", "r-2"), Ask("ada", "r-1")]) == first[::-1]
    assert _decision(served.decide([Ask("ada", "r-3")])[0]).step == 1


def test_a_second_question_in_one_bin_gets_no_second_decision(served: Service) -> None:
    served.decide([Ask("ada", "r-1")])
    assert _code(served.decide([Ask("ada", "r-2")])[0]) == "already_decided"
    assert _code(served.decide([Ask("ada")])[0]) == "already_decided"


def test_within_one_request_a_contact_is_decided_once(served: Service) -> None:
    answers = served.decide(
        [Ask("ada", "r-1"), Ask("bob", "r-1"), Ask("ada", "r-1"), Ask("ada"), Ask("zoe")]
    )
    assert answers[2] == answers[0]
    codes = [_code(answers[i]) for i in (1, 3, 4)]
    assert codes == ["request_id_taken", "already_decided", "unknown_contact"]
    assert _code(served.decide([Ask("bob", "r-1")])[0]) == "request_id_taken"


def test_a_send_that_nobody_reported_yet_blocks_the_next(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    served = service(_sending(bundle), tmp_path / "store.db", clock)
    assert _decision(served.decide([Ask("ada")])[0]).action == "send:welcome@09"
    clock.now_us += DAY_US
    second = _decision(served.decide([Ask("ada")])[0])
    assert second.action == "pause:1"
    assert second.reasons[bundle.catalog.index("send:welcome@09")] == 32  # minimum gap of 40 h
    clock.now_us += DAY_US
    third = _decision(served.decide([Ask("ada")])[0])
    assert third.action == "send:welcome@09"
    clock.now_us += 2 * DAY_US
    fourth = _decision(served.decide([Ask("ada")])[0])
    assert fourth.reasons[bundle.catalog.index("send:welcome@09")] == 16  # two within 168 h


def test_a_long_pause_leaves_only_the_short_one(
    bundle: Bundle, tmp_path: Path, clock: Clock
) -> None:
    context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
    pausing = replace(bundle, policy=build_policy("always:pause:3", context))
    served = service(pausing, tmp_path / "store.db", clock)
    legal = []
    for _ in range(4):
        legal.append(sum(_decision(served.decide([Ask("ada")])[0]).mask))
        clock.now_us += DAY_US
    assert legal[1:3] == [1, 1]
    assert legal[3] > 1


def test_an_exit_ends_the_episode(bundle: Bundle, tmp_path: Path, clock: Clock) -> None:
    context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
    leaving = replace(bundle, policy=build_policy("always:exit", context))
    served = service(leaving, tmp_path / "store.db", clock)
    assert _decision(served.decide([Ask("ada")])[0]).action == "exit"
    clock.now_us += DAY_US
    assert _code(served.decide([Ask("ada")])[0]) == "episode_over"


def test_many_threads_asking_for_one_contact_get_one_decision(served: Service) -> None:
    found: list[Answer] = []
    ready = threading.Barrier(12)

    def ask() -> None:
        ready.wait()
        found.extend(served.decide([Ask("ada")]))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(answer, Decision) for answer in found) == 1
    assert {_code(a) for a in found if isinstance(a, Refusal)} == {"already_decided"}


def test_an_opt_out_does_not_hide_behind_an_event_that_comes_at_once(
    served: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, asked, other_done = served.store.events_of_ids, threading.Event(), threading.Event()

    def slow(ids: Sequence[str]) -> dict[str, Event]:
        found = read(ids)
        if not asked.is_set():
            asked.set()
            other_done.wait(0.2)  # time for the other event to come in between
        return found

    monkeypatch.setattr(served.store, "events_of_ids", slow)
    word = event("unsubscribe", MIDNIGHT, "ada", event_id="e")
    speaker = threading.Thread(target=served.append_events, args=([word],))
    speaker.start()
    asked.wait()
    served.append_events([event("open", MIDNIGHT, "bob", event_id="e")])
    other_done.set()
    speaker.join()
    assert [found.type for found in served.store.events(["ada"])["ada"]] == ["unsubscribe"]


def test_hours_of_an_unknown_zone_lie_around_the_default_zone() -> None:
    for slack in ((1, 6), (-6, -1)):
        with pytest.raises(NurtureError, match="unknown_zone_slack"):
            ServerSettings(ZONE, False, Clock(), unknown_zone_slack=slack)
