"""What listmonk knows stops the next mail, counts once, and loses nobody's no."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.delivery import reading_back
from nurture_rl.delivery.providers.listmonk_results import bounce_event, opt_outs
from nurture_rl.delivery.reading_back import CollectOptions, collect
from nurture_rl.errors import ConfigError, DeliveryError
from tests.pipeline.running_server import RunningServer
from tests.unit.delivery.listmonk_stand_in import KEY, Listmonk, listmonk_stand_in
from tests.unit.delivery.test_deliver_by_smtp import planned


@pytest.fixture
def listmonk() -> Iterator[Listmonk]:
    with listmonk_stand_in() as found:
        yield found


def options(
    folder: Path, server: RunningServer, listmonk: Listmonk, **changes: Any
) -> CollectOptions:
    key = folder / "listmonk.key"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    told = {"recipients": str(folder / "recipients.csv"), "server": server.url}
    told["seen"] = str(folder / "seen.json")
    told |= {"sender": "listmonk", "sender_url": listmonk.url, "sender_key_file": str(key)}
    return CollectOptions(**{**told, **changes})


def status(server: RunningServer, decision_id: str) -> str:
    """What a sender hears who asks whether the mail is to go."""
    return str(server.send("POST", f"/v1/decisions/{decision_id}/confirm")["status"])


def address(folder: Path, name: str) -> str:
    return f"{name}.{folder.name}@example.com".lower()


def preferences(server: RunningServer, folder: Path, name: str) -> dict[str, Any]:
    told: dict[str, Any] = server.send("GET", f"/v1/contacts/{name}.{folder.name}/preferences")
    return told


def words(server: RunningServer, folder: Path, name: str) -> list[str]:
    """The consent ledger of a contact: each word with who told it."""
    return [
        f"{one['word']} by {one['source']}"
        for one in preferences(server, folder, name)["ledger"]
        if one["source"] == "listmonk"
    ]


def test_a_no_in_listmonk_stops_the_next_mail_and_stands_in_the_ledger(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    ids = planned(folder, server, "ada", "bob", "cy", "dee", "eve", "fay")
    listmonk.subscriber(address(folder, "ada"), "blocklisted", {1: "unsubscribed"})
    listmonk.subscriber(
        address(folder, "bob").upper(), "enabled", {1: "confirmed", 2: "unsubscribed"}
    )
    listmonk.subscriber(address(folder, "cy"), "enabled", {1: "unconfirmed"})
    listmonk.bounce(address(folder, "dee"))
    listmonk.bounce(address(folder, "eve"), "complaint")
    listmonk.bounce(address(folder, "fay"), "soft")
    listmonk.bounce("stranger@example.com")
    result = collect(options(folder, server, listmonk))
    assert result.code == 0
    assert result.made["events"] == {
        "unsubscribe": 2,
        "hard_bounce": 1,
        "complaint": 1,
        "soft_bounce": 1,
    }
    assert (result.made["stored"], result.made["strangers"]) == (5, 1)
    told = [status(server, name) for name in ids]
    assert told == [*["withdrawn"] * 2, "send", *["withdrawn"] * 2, "send"]
    assert words(server, folder, "ada") == ["objected by listmonk"]
    assert words(server, folder, "bob") == ["objected by listmonk"]
    assert words(server, folder, "cy") == []
    again = collect(options(folder, server, listmonk))
    assert (again.made["stored"], again.made["repeated"]) == (0, 5)
    assert words(server, folder, "bob") == ["objected by listmonk"]


def test_an_opt_out_without_a_moment_is_of_today_and_not_of_when_the_list_was_made(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    """As of 2020 it would seem older than a consent that came since."""
    (name,) = planned(folder, server, "ada")
    listmonk.subscriber(address(folder, "ada"), "enabled", {1: "unsubscribed"})
    collect(options(folder, server, listmonk))
    assert status(server, name) == "withdrawn"
    ledger = preferences(server, folder, "ada")["ledger"]
    (word,) = [one for one in ledger if one["source"] == "listmonk"]
    assert datetime.now(UTC) - datetime.fromisoformat(word["at"]) < timedelta(minutes=5)


def test_who_came_back_and_leaves_a_second_time_is_heard_a_second_time(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    planned(folder, server, "ada")
    (entry,) = listmonk.subscriber(address(folder, "ada"), lists={1: "unsubscribed"})["lists"]
    asked = options(folder, server, listmonk)
    assert [collect(asked).made["stored"] for _ in range(2)] == [1, 0]
    entry["subscription_status"] = "confirmed"
    assert collect(asked).made["events"] == {}
    entry["subscription_status"] = "unsubscribed"
    assert [collect(asked).made["stored"] for _ in range(2)] == [1, 0]
    Path(asked.seen).write_text("[1]")
    with pytest.raises(DeliveryError, match=r"seen\.json: expected what `nurture collect` wrote"):
        collect(asked)


def test_who_leaves_again_is_heard_again(listmonk: Listmonk) -> None:
    row = listmonk.subscriber("ada@example.com", "blocklisted")
    (first,) = opt_outs(row, ())
    (later,) = opt_outs({**row, "updated_at": "2026-01-01T00:00:00Z"}, ())
    assert first is not None
    assert later is not None
    assert first.cells["event_id"] != later.cells["event_id"]
    row = listmonk.subscriber("bob@example.com", "enabled", {1: "unsubscribed"})
    entry = {**row["lists"][0], "subscription_updated_at": "2026-01-01T00:00:00Z"}
    found = [next(iter(opt_outs({**row, "lists": [e]}, ()))) for e in (row["lists"][0], entry)]
    assert len({one.cells["event_id"] for one in found if one is not None}) == 2
    assert [one.cells.get("occurred_at") for one in found if one is not None] == [
        None,
        "2026-01-01T00:00:00Z",
    ]


def test_what_is_new_or_broken_is_taken_for_the_worse_or_told(listmonk: Listmonk) -> None:
    listmonk.bounce("ada@example.com", "explosive")
    found = bounce_event(listmonk.bounces[0])
    assert found is not None
    assert found.cells["type"] == "hard_bounce"
    assert "some" not in str(found.cells)  # what a receiver said may hold an address
    (stopped,) = opt_outs(listmonk.subscriber("bob@example.com", "on hold"), ())
    assert stopped is not None
    assert stopped.cells["type"] == "unsubscribe"
    for broken in (None, 3, {}, {"email": ""}, {"email": 5, "id": 1}):
        assert bounce_event(broken) is None
        assert list(opt_outs(broken, ())) == [None]


def test_rows_beyond_a_page_are_read_and_unreadable_ones_are_told(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    names = [f"lead{number}" for number in range(120)]
    planned(folder, server, *names[:1])
    table = ["contact_id,email", *(f"{n}.{folder.name},{address(folder, n)}" for n in names)]
    (folder / "recipients.csv").write_text("\n".join(table), "utf-8")
    for number, name in enumerate(names):
        listmonk.bounce(address(folder, name), "soft", created_at=f"2026-01-01T00:{number:03}Z")
    listmonk.bounce("", "soft")
    for bounce in listmonk.bounces[:120]:
        bounce["created_at"] = "2026-01-01T00:00:00Z"
    result = collect(options(folder, server, listmonk))
    assert (result.code, result.made["stored"], result.made["unread"]) == (3, 120, 1)
    assert sum("bounces" in path for path in listmonk.asked) == 3


def test_only_the_lists_that_are_named_count_and_a_block_always_does(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    planned(folder, server, "ada", "bob")
    listmonk.subscriber(address(folder, "ada"), "enabled", {1: "confirmed", 2: "unsubscribed"})
    listmonk.subscriber(address(folder, "bob"), "blocklisted", {2: "unsubscribed"})
    result = collect(options(folder, server, listmonk, lists=(1,)))
    assert result.made["events"] == {"unsubscribe": 1}
    assert words(server, folder, "ada") == []


def test_each_contact_of_an_address_is_told_of(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    ids = planned(folder, server, "ada", "eda")
    table = folder / "recipients.csv"
    table.write_text(
        table.read_text("utf-8").replace(f"eda.{folder.name}@", f"ADA.{folder.name}@"), "utf-8"
    )
    listmonk.subscriber(address(folder, "ada"), "blocklisted")
    assert collect(options(folder, server, listmonk)).made["stored"] == 2
    assert [status(server, name) for name in ids] == ["withdrawn"] * 2


def test_a_listmonk_that_is_away_for_a_moment_is_asked_again(
    folder: Path, server: RunningServer, listmonk: Listmonk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_back, "_RESTS", (0.01, 0.01))
    (name,) = planned(folder, server, "ada")
    listmonk.bounce(address(folder, "ada"))
    listmonk.faults = [500, 429, 503]
    with pytest.raises(DeliveryError, match=r"does not answer /api/subscribers.*goes on"):
        collect(options(folder, server, listmonk))
    listmonk.faults = [500, 429]
    assert collect(options(folder, server, listmonk)).code == 0
    assert status(server, name) == "withdrawn"
    listmonk.faults = [403]
    with pytest.raises(DeliveryError, match=r"403 not now; mend the settings of sender_\*"):
        collect(options(folder, server, listmonk))


def test_answers_that_are_not_listmonks_end_the_run(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    planned(folder, server, "ada")
    for number in range(60):
        listmonk.bounce(f"lead{number}@example.com")
    listmonk.overlooks_pages = True
    with pytest.raises(DeliveryError, match=r"/api/bounces, page 2: expected listmonk's results"):
        collect(options(folder, server, listmonk))
    wrong = f"{listmonk.url}/elsewhere?x=1"
    with pytest.raises(ConfigError, match="no \\? in it"):
        collect(options(folder, server, listmonk, sender_url=wrong))


def test_bounces_that_are_younger_than_the_clock_are_taken(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    (name,) = planned(folder, server, "ada")
    ahead = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    listmonk.bounce(address(folder, "ada"), created_at=ahead)
    assert collect(options(folder, server, listmonk)).code == 0
    assert status(server, name) == "withdrawn"
