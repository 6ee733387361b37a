"""Every sender keeps one contract: what it signs counts once, all else changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from nurture_envs.clock import HOUR_US
from nurture_rl.logs.reported.report_format import UntranslatedRow
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.records import Decision
from nurture_rl.serving.senders.known_senders import KNOWN_SENDERS, senders_of
from tests.unit.reported_rows import ADDRESS, CASES, documented, opt_out
from tests.unit.serving.contacts import Clock, follow, service
from tests.unit.serving.posting import MORNING, NOW
from tests.unit.serving.sender_keys import SENDERS, Posted, Sender

_NUMBERS = count(1000)


class Door:
    """A server that takes the webhooks of one sender, and the sender before it."""

    def __init__(self, bundle: Bundle, sender: Sender, folder: Path) -> None:
        sender.key_file(folder / "keys")
        self.sender, self.clock = sender, Clock(MORNING)
        self.adapter = senders_of(folder / "keys")[sender.name]
        self.service = service(bundle, folder / "store.db", self.clock)
        context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
        sends = [name for name in bundle.catalog.ids if name.startswith("send:")]
        follow(self.service, build_policy(f"always:{sends[-1]}", context))
        app = create_app(self.service, senders={sender.name: self.adapter})
        self.client: TestClient[Any] = TestClient(app, raise_server_exceptions=False)

    def send(self, posted: Posted, **headers: str) -> Any:
        """The answer to a request."""
        path = f"/v1/webhooks/{self.sender.name}"
        return self.client.post(path, content=posted.body, headers={**posted.headers, **headers})

    def signed(self, *rows: Any, at: int = NOW, other: bool = False) -> Posted:
        """A request of the sender."""
        return self.sender.post(rows, at, other)

    def take(self, rows: Sequence[Any]) -> list[Any]:
        """The answers to rows, in one request where the sender does so."""
        groups = [rows] if self.sender.many else [[row] for row in rows]
        answers = [self.send(self.signed(*group)) for group in groups]
        assert [one.status_code for one in answers] == [200] * len(answers), answers[0].text
        return [one.json() for one in answers]

    def kept(self) -> tuple[int, int]:
        """How many events and refused rows are stored."""
        tables = ("events", "quarantine")
        return tuple(  # type: ignore[return-value]
            sum(len(block) for block in self.service.store.scan(name)) for name in tables
        )


@pytest.fixture(
    scope="module", params=SENDERS, ids=[f"{one.name}-{i}" for i, one in enumerate(SENDERS)]
)
def door(
    request: pytest.FixtureRequest, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    made = Door(bundle, request.param, tmp_path_factory.mktemp("door"))
    yield made
    made.service.store.close()


def test_no_sender_is_without_a_table_and_keys() -> None:
    assert {one.name for one in SENDERS} == set(CASES) == KNOWN_SENDERS


def test_each_documented_row_has_our_word_and_its_flag(door: Door) -> None:
    name = door.sender.name
    before = Counter((one.type, one.is_machine) for one in events_of(door))
    rows = documented(name, NOW - 1000, next(_NUMBERS) * 1000)
    answers = door.take([row for row, _ in rows])
    assert [one for answer in answers for one in answer["rejected"]] == []
    expected = Counter((kind.rstrip("*"), "*" in kind) for _, types in rows for kind in types)
    after = Counter((one.type, one.is_machine) for one in events_of(door))
    assert after - before == expected
    assert ADDRESS not in "".join(one.properties for one in events_of(door))
    assert "b=c" not in "".join(one.properties for one in events_of(door))


def events_of(door: Door) -> Sequence[Any]:
    return door.service.store.events(["ada"]).get("ada", ())


def test_what_comes_again_or_in_another_order_counts_once(door: Door) -> None:
    rows = [row for row, _ in documented(door.sender.name, NOW - 500, next(_NUMBERS) * 1000)]
    door.take(rows)
    stored = door.kept()
    for answer in (*door.take(rows), *door.take(rows[::-1])):
        assert (answer["stored"], answer["rejected"]) == (0, [])
    assert door.kept() == stored


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_what_is_forged_stores_nothing(door: Door, place: float) -> None:
    good = door.signed(opt_out(door.sender.name, next(_NUMBERS), NOW))
    at = int(place * len(good.body))
    before = door.kept()
    forged = [
        Posted(good.body, {}) if good.headers and door.sender.sign else Posted(b"{}", {}),
        door.signed(opt_out(door.sender.name, next(_NUMBERS), NOW), other=True),
        *(Posted(good.body, changed) for changed in changed_headers(good.headers)),
    ]
    if door.sender.signs_body:
        body = good.body[:at] + bytes([good.body[at] ^ 1]) + good.body[at + 1 :]
        forged += [Posted(body, good.headers), Posted(good.body[:at], good.headers)]
    for one in forged:
        answer = door.send(one)
        assert answer.status_code == 401, answer.text
    assert door.kept() == before


def changed_headers(headers: dict[str, str]) -> Iterator[dict[str, str]]:
    """One sign of each header that proves who posts is another."""
    for name, value in headers.items():
        if name != "content-type":
            changed = "B" if value[12:13] != "B" else "C"
            at = min(12, len(value) - 1)
            yield {**headers, name: value[:at] + changed + value[at + 1 :]}


def test_a_signature_is_taken_as_long_as_the_sender_may_try_again(door: Door) -> None:
    row = opt_out(door.sender.name, next(_NUMBERS), NOW)
    old = 3600 * ((door.sender.hours or 1000) + 1)
    before = door.kept()
    answer = door.send(door.signed(row, at=NOW - old))
    assert answer.status_code == (200 if door.sender.hours is None else 401)
    if door.sender.hours is not None:
        assert door.kept() == before
        assert door.send(door.signed(row, at=NOW + 3600)).status_code == 401
        assert door.send(door.signed(row, at=NOW - old + 3900)).json()["stored"] == 1


@pytest.mark.parametrize("body", [b"", b"{", b"7", b"null", b"\xff\xfe{}", b"[" * 50_000])
def test_what_is_no_report_is_one_clear_error(door: Door, body: bytes) -> None:
    before = door.kept()
    headers = {} if door.sender.sign is None else door.sender.sign(body, NOW)
    answer = door.send(Posted(body, headers))
    assert answer.status_code == (401 if door.sender.sign is None else 400), answer.text
    assert answer.json()["detail"]
    assert door.kept() == before


def test_a_sender_that_reports_nothing_is_heard(door: Door) -> None:
    if door.sender.many:
        answer = door.send(door.signed())
        assert (answer.status_code, answer.json()["stored"]) == (200, 0)


def test_the_content_type_does_not_matter_where_the_signature_does(door: Door) -> None:
    if door.sender.name == "cloudevents":  # there it says how the events come
        return
    posted = door.signed(opt_out(door.sender.name, next(_NUMBERS), NOW))
    answer = door.send(posted, **{"content-type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, answer.json()["stored"]) == (200, 1)


def test_what_nobody_knows_is_refused_and_kept_with_its_reason(door: Door) -> None:
    build, cases = CASES[door.sender.name]
    names = ("event", "trigger", "RecordType", "eventType", "notificationType", "metric", "type")
    cells = dict(cases[-1].cells)
    if door.sender.name == "hubspot":
        cells["subscriptionType"] = "something_new"
    for name in names:
        if name in cells or (door.sender.name == "segment" and name == "type"):
            cells[name] = "something_new"
    _, refused = door.kept()
    (answer,) = door.take([build(next(_NUMBERS), NOW, cells)])
    assert answer["stored"] == 0
    assert [one["may_forbid_mail"] for one in answer["rejected"]] == [True]
    assert "something_new" in answer["rejected"][0]["reason"]
    assert door.kept()[1] == refused + 1


def test_rows_without_end_are_refused_before_any_is_taken(door: Door) -> None:
    if door.sender.many:
        before = door.kept()
        rows = [opt_out(door.sender.name, 0, NOW)] * 10_001
        assert door.send(door.signed(*rows)).status_code in (400, 413)
        assert door.kept() == before


@pytest.mark.parametrize("sender", SENDERS, ids=lambda one: one.name)
def test_an_opt_out_withdraws_the_planned_send_at_once(
    sender: Sender, bundle: Bundle, tmp_path: Path
) -> None:
    door = Door(bundle, sender, tmp_path)
    (made,) = door.service.decide([Ask("ada", "d-1")])
    assert isinstance(made, Decision)
    assert made.action.startswith("send:")
    (answer,) = door.take([opt_out(sender.name, 1, NOW)])
    assert [one["decision_id"] for one in answer["withdrawn"]] == ["d-1"]
    door.clock.now_us += 24 * HOUR_US
    (after,) = door.service.decide([Ask("ada", "d-2")])
    assert not str(getattr(after, "action", "")).startswith("send:")
    door.service.store.close()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_whatever_a_row_holds_it_is_read_or_refused(door: Door, data: Any) -> None:
    rows = documented(door.sender.name, NOW)
    row, _ = data.draw(st.sampled_from(rows))
    row = dict(row)
    for _ in range(data.draw(st.integers(1, 3))):
        row[data.draw(st.sampled_from([*row, "type", "x"]))] = data.draw(_JSON)
    with suppress(UntranslatedRow):
        for one in door.adapter.events(row):
            assert isinstance(one.cells["type"], str)
