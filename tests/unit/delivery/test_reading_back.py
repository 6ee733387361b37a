"""What listmonk knows stops the next mail, counts once, and loses nobody's no."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.delivery import reading_back
from nurture_rl.delivery.providers import listmonk_results
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


def made_of(folder: Path, count: int) -> list[str]:
    """Contacts of a table, by number, and their addresses."""
    names = [f"lead{number}" for number in range(count)]
    table = ["contact_id,email", *(f"{n}.{folder.name},{address(folder, n)}" for n in names)]
    (folder / "recipients.csv").write_text("\n".join(table), "utf-8")
    return [address(folder, name) for name in names]


def test_rows_of_one_moment_that_pages_pass_over_are_read_all_the_same(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    """As after an import: the database behind the list is free in the order of equal rows."""
    planned(folder, server, "ada")
    for email in made_of(folder, 120):
        listmonk.subscriber(email, "blocklisted")
    listmonk.is_unsteady = True
    result = collect(options(folder, server, listmonk))
    assert (result.code, result.made["stored"]) == (0, 120)


def test_who_is_passed_over_while_others_are_deleted_is_heard_at_once(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    planned(folder, server, "ada")
    for number, email in enumerate(made_of(folder, 120)):
        listmonk.subscriber(email, "enabled", {1: "unsubscribed" if number == 50 else "confirmed"})
    listmonk.deletes = 1
    result = collect(options(folder, server, listmonk))
    assert (result.code, result.made["stored"]) == (0, 1)


def test_a_list_that_never_ends_is_told_and_one_that_is_cut_short_too(
    folder: Path, server: RunningServer, listmonk: Listmonk, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(folder, server, "ada")
    listmonk.is_endless = True
    with pytest.raises(DeliveryError, match=r"expected an end, got 11[0-9][0-9] rows"):
        collect(options(folder, server, listmonk))
    listmonk.is_endless = False
    listmonk.subscriber(address(folder, "ada"), "blocklisted")
    cut = {"data": {"results": [], "total": 9}}
    monkeypatch.setattr(listmonk_results, "object_of", lambda reply: cut)
    result = collect(options(folder, server, listmonk))
    assert (result.code, result.made["unread"]) == (3, 2)


def test_who_was_not_read_this_time_keeps_the_moment_of_an_opt_out(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    """Also where another listmonk is read by the same file: it would count once more each time."""
    planned(folder, server, "ada")
    row = listmonk.subscriber(address(folder, "ada"), lists={1: "unsubscribed"})
    asked = options(folder, server, listmonk)
    collect(asked)
    kept = Path(asked.seen).read_text("utf-8")
    listmonk.subscribers.clear()
    collect(asked)
    assert Path(asked.seen).read_text("utf-8") == kept
    listmonk.subscribers.append(row)
    assert (collect(asked).made["stored"], words(server, folder, "ada")) == (
        0,
        ["objected by listmonk"],
    )


@pytest.mark.parametrize("at", [None, "0001-01-01T00:00:00Z", "yesterday", 5, "9999-12-31"])
def test_words_of_a_moment_that_nobody_can_read_count_once(
    folder: Path, server: RunningServer, listmonk: Listmonk, at: object
) -> None:
    planned(folder, server, "ada", "bob", "cy")
    listmonk.subscriber(address(folder, "ada"), "blocklisted")["updated_at"] = at
    listmonk.bounce(address(folder, "bob"), created_at=at)
    listmonk.bounce(address(folder, "cy"), "complaint", created_at=at)
    asked = options(folder, server, listmonk)
    found = [collect(asked) for _ in range(2)]
    assert [(one.code, one.made["stored"]) for one in found] == [(0, 3), (0, 0)]
    assert words(server, folder, "ada") == ["objected by listmonk"]


def test_moments_are_the_same_in_whatever_zone_they_are_told() -> None:
    row = {"id": 1, "email": "ada@example.com", "type": "hard"}
    moments = [
        bounce_event({**row, "created_at": at})
        for at in ("2026-03-29T03:30:00+02:00", "2026-03-29T01:30:00Z", "2026-03-29 01:30:00")
    ]
    assert {one.cells["occurred_at"] for one in moments if one} == {"2026-03-29T01:30:00Z"}


def test_a_contact_who_comes_to_an_address_later_is_told_of_and_others_not_again(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    planned(folder, server, "bob", "ada")
    table, own = folder / "recipients.csv", address(folder, "bob")
    table.write_text(f"contact_id,email\nbob.{folder.name},{own}\n", "utf-8")
    listmonk.bounce(own, "complaint")
    asked = options(folder, server, listmonk)
    assert collect(asked).made["stored"] == 1
    with table.open("a", encoding="utf-8") as more:
        more.write(f"ada.{folder.name},{own}\n")
    again = collect(asked)
    assert (again.code, again.made["stored"], again.made["repeated"]) == (0, 1, 1)


def test_bounces_that_are_younger_than_the_clock_are_taken(
    folder: Path, server: RunningServer, listmonk: Listmonk
) -> None:
    (name,) = planned(folder, server, "ada")
    ahead = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    listmonk.bounce(address(folder, "ada"), created_at=ahead)
    assert collect(options(folder, server, listmonk)).code == 0
    assert status(server, name) == "withdrawn"
