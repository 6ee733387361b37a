"""What contacts prefer holds from its answer on, and every change of it is in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US
from nurture_rl.errors import NurtureError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Preferences
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from nurture_rl.serving.unsubscribing import UnsubscribeLinks, checked_url
from tests.unit.serving.contacts import ZONE, event
from tests.unit.serving.test_no_mail_after_no import Server

BOTH = pytest.mark.usefixtures("either_database")
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def server(bundle: Bundle, tmp_path: Path) -> Server:
    """Seven in the morning, before the slot at nine."""
    return Server(bundle, tmp_path / "store.db")


def prefer(server: Server, name: str = "ada", **wish: Any) -> Any:
    return server.client.put(f"/v1/contacts/{name}/preferences", json=wish)


def link(server: Server, name: str = "ada") -> str:
    return f"/u/{server.service.links.token(name)}"


def ledger(server: Server, name: str = "ada") -> list[tuple[str, str | None, str]]:
    """Word, topic and source of every line."""
    told = server.client.get(f"/v1/contacts/{name}/preferences").json()
    return [(line["word"], line["topic"], line["source"]) for line in told["ledger"]]


def topic_of(server: Server) -> str:
    """The topic of what this server sends."""
    return server.service.bundle.catalog.messages[0].topic


def topics_of(server: Server) -> list[str]:
    """The topics of all that this server sends."""
    return sorted({message.topic for message in server.service.bundle.catalog.messages})


def blocked(server: Server, name: str = "ada") -> set[str]:
    (row,) = server.client.post("/v1/decisions", json={"contacts": [{"contact_id": name}]}).json()[
        "decisions"
    ]
    sends = (why for action, why in row["blocked"].items() if action.startswith("send"))
    return {reason for reasons in sends for reason in reasons}


@BOTH
def test_a_refused_topic_takes_its_planned_mail_back(server: Server) -> None:
    assert server.sends("ada", request_id="a")
    others = prefer(server, refused_topics=["nothing of ours"]).json()
    assert others["withdrawn"] == []
    answer = prefer(server, refused_topics=[topic_of(server)], source="crm", proof="form 7")
    assert answer.json()["withdrawn"][0]["reason"] == "not_wanted"
    assert server.ask("ada", request_id="a") == "withdrawn"
    assert ledger(server)[-2:] == [
        ("allowed", "nothing of ours", "crm"),
        ("refused", topic_of(server), "crm"),
    ]


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"only_topics": ["another"]}, "not_wanted"),
        ({"refused_channels": ["email"]}, "not_wanted"),
        ({"per_week": 1}, "wanted_less"),
        ({"paused_until": "2027-03-03"}, "paused"),
    ],
)
def test_what_is_preferred_is_asked_before_mail(
    server: Server, wish: dict[str, Any], reason: str
) -> None:
    sent = event("sent", server.clock.now_us - 6 * DAY_US)
    server.service.append_events([sent])
    assert prefer(server, **wish).status_code == 200
    assert reason in blocked(server)
    assert server.sends("bob")


def test_names_are_taken_in_any_spelling(server: Server) -> None:
    topic = topic_of(server)
    wishes: Any = ({"refused_topics": [f" {topic.upper()}"]}, {"refused_channels": ["E\u200bmail"]})
    for wish in wishes:
        assert prefer(server, **wish).status_code == 200
        assert "not_wanted" in blocked(server)
        page = server.client.get(link(server)).text
        assert page.count(" checked") < page.count("checkbox")
        ticked = {"preferences": "1", "topic": topics_of(server), "channel": "email"}
        assert server.client.post(link(server), data=ticked).status_code == 200
        server.clock.now_us += DAY_US
        assert "not_wanted" not in blocked(server)
        server.clock.now_us += DAY_US
    only = Preferences(only_topics=frozenset({topic.title()}))
    assert not only.refuse(topic, "email")
    assert only.refuse("another", "email")


def test_a_wish_passes_with_its_time_and_by_another_wish(server: Server) -> None:
    server.service.append_events([event("sent", server.clock.now_us - 6 * DAY_US)])
    prefer(server, per_week=1, paused_until="2027-03-01")  # noon UTC, its slot at nine is before
    assert {"paused"} <= blocked(server)
    server.clock.now_us += DAY_US + DAY_US // 8
    assert not blocked(server) & {"paused", "wanted_less"}
    prefer(server, refused_channels=["email"])
    server.clock.now_us += DAY_US
    assert blocked(server) >= {"not_wanted"}
    prefer(server)
    server.clock.now_us += DAY_US
    assert "not_wanted" not in blocked(server)


@BOTH
def test_looking_at_a_link_changes_nothing_and_one_click_unsubscribes(server: Server) -> None:
    assert server.sends("ada", request_id="a")
    page = server.client.get(link(server))
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert "One-Click" in page.text
    assert server.sends("ada", request_id="a")
    done = server.client.post(link(server), data=ONE_CLICK, follow_redirects=False)
    assert done.status_code == 200
    assert "set-cookie" not in done.headers
    assert server.ask("ada", request_id="a") == "withdrawn"
    (found,) = server.service.store.events(["ada"])["ada"]
    assert (found.type, found.source) == ("unsubscribe", "one_click")
    assert ledger(server)[-1] == ("objected", None, "one_click")
    assert not server.sends("ada")
    assert server.sends("bob")


def test_one_click_may_come_as_multipart(server: Server) -> None:
    form = {name: (None, value) for name, value in ONE_CLICK.items()}
    assert server.client.post(link(server), files=form).status_code == 200
    assert not server.sends("ada")


@pytest.mark.parametrize(
    "body",
    [
        "List-Unsubscribe=One-Click&List-Unsubscribe=One-Click",
        "list-unsubscribe=one-click",
        "preferences=1&List-Unsubscribe=+One-Click",
    ],
)
def test_no_spelling_of_one_click_is_lost(server: Server, body: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert server.client.post(link(server), content=body, headers=form).status_code == 200
    assert not server.sends("ada")


def test_what_is_no_link_or_no_form_changes_nothing(server: Server) -> None:
    name, _, signed = link(server).removeprefix("/u/").partition(".")
    other = link(server, "bob").removeprefix("/u/").partition(".")[2]
    strange = UnsubscribeLinks(b"of another store", None).token("ada")
    for token in (f"{name}.{other}", name, f".{signed}", "é.ü", strange, "a" * 3000, f"{name}."):
        for answer in (
            server.client.get(f"/u/{token}"),
            server.client.post(f"/u/{token}", data=ONE_CLICK),
        ):
            assert answer.status_code == 404
    for body in ({}, {"List-Unsubscribe": "Perhaps"}, {"preferences": "no"}):
        assert server.client.post(link(server), data=body).status_code == 400
    wrong = {"preferences": "1", "per_week": "<b>"}
    answer = server.client.post(link(server), data=wrong)
    assert (answer.status_code, "<b>" in answer.text) == (400, False)
    assert server.sends("ada")
    assert ledger(server) == []


def test_a_link_with_any_sign_changed_or_added_is_none() -> None:
    links = UnsubscribeLinks(b"secret", None)
    token = links.token("ada")
    assert links.contact_of(token) == "ada"
    changed = {token[:i] + sign + token[j:] for i in range(len(token)) for j in (i, i + 1)
               for sign in "AaZz09_-=!. "} | {token[:-1], f"{token}=", token.upper()}  # fmt: skip
    assert [one for one in changed - {token} if links.contact_of(one) is not None] == []
    longest = "\ufdfa" * 200  # one sign that is written out as eighteen
    assert links.contact_of(links.token(longest)) == contact_key(longest)


@pytest.mark.parametrize("most", ["00000000123", "1" + "0" * 5000, "5" * 30, "1.5", "-1", "\u0661"])
def test_a_number_of_mails_that_nobody_means_changes_nothing(server: Server, most: str) -> None:
    answer = server.client.post(link(server), data={"preferences": "1", "per_week": most})
    assert answer.status_code == 400
    assert ledger(server) == []


def test_a_link_takes_no_long_body(server: Server) -> None:
    answer = server.client.post(link(server), content=b"x" * 17_000)
    assert answer.status_code == 413
    assert server.client.post(link(server), data=ONE_CLICK).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_fills_the_server_by_a_link(server: Server, method: str) -> None:
    large = b"a=" + b"b" * 100_000
    link = f"/u/{server.service.links.token('ada')}"
    assert server.client.request(method, link, content=large).status_code == 413


def test_the_form_keeps_what_is_ticked(server: Server) -> None:
    topics = sorted({one.topic for one in server.service.bundle.catalog.messages})
    assert all(
        f'value="{topic}" checked' in server.client.get(link(server)).text for topic in topics
    )
    form = {"preferences": "1", "topic": topics[1:], "channel": "email", "per_week": "2"}
    assert server.client.post(link(server), data=form).status_code == 200
    assert server.service.preferring.of("ada") == Preferences(frozenset(topics[:1]), per_week=2)
    assert f'value="{topics[0]}" checked' not in server.client.get(link(server)).text
    assert ("refused", topics[0], "unsubscribe_page") in ledger(server)


@pytest.mark.parametrize(
    ("name", "wish", "status"),
    [
        ("zoe", {}, 404),
        ("ada", {"per_week": 0}, 400),
        ("ada", {"per_week": 51}, 400),
        ("ada", {"paused_until": "2300-01-01"}, 400),
        ("ada", {"refused_topics": "all"}, 400),
        ("ada", {"topics": []}, 400),
    ],
)
def test_preferences_that_cannot_be_meant_are_refused(
    server: Server, name: str, wish: dict[str, Any], status: int
) -> None:
    assert prefer(server, name, **wish).status_code == status
    assert server.service.preferring.of(name) == Preferences()


@BOTH
def test_consent_that_changes_enters_the_ledger_once(server: Server) -> None:
    for consent in (True, False, False, True):
        server.put(contact_id="ada", consent=consent)
    server.say("consent_withdrawn", source="crm")
    lines = [("withdrawn", None, "contacts"), ("given", None, "contacts")]
    assert ledger(server) == [*lines, ("withdrawn", None, "crm")]


@BOTH
def test_preferences_ledger_and_links_outlive_a_restart(bundle: Bundle, tmp_path: Path) -> None:
    server = Server(bundle, tmp_path / "store.db")
    prefer(server, refused_topics=["b", "a"], only_topics=["c"], per_week=3)
    before = (server.service.preferring.of("ADA"), link(server), ledger(server))
    assert before[0] == Preferences(frozenset({"a", "b"}), frozenset({"c"}), per_week=3)
    server.service.store.close()
    store = Store(tmp_path / "store.db")
    again = Service(bundle, store, ServerSettings(ZONE, False, server.clock))
    server.service, server.client = again, TestClient(create_app(again))
    assert (again.preferring.of("ada"), link(server), ledger(server)) == before
    store.close()


def test_a_store_that_refuses_keeps_no_half_of_a_wish(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(server.service.store._database, "write", refuse)
    assert prefer(server, per_week=1).status_code == 503
    monkeypatch.undo()
    assert (server.service.preferring.of("ada"), ledger(server)) == (Preferences(), [])


def test_answers_to_sends_carry_the_headers_of_their_contact(
    bundle: Bundle, tmp_path: Path
) -> None:
    server = Server(bundle, tmp_path / "store.db")
    settings = ServerSettings(ZONE, False, server.clock, public_url="https://mail.example/x")
    served = Service(server.service.bundle, server.service.store, settings)
    client = TestClient(create_app(served))
    body = {"contacts": [{"contact_id": "ada", "request_id": "a"}]}
    (row,) = client.post("/v1/decisions", json=body).json()["decisions"]
    assert row["headers"] == {
        "List-Unsubscribe": f"<https://mail.example/x{link(server)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert client.get("/v1/decisions/a").json()["decision"]["headers"] == row["headers"]
    assert server.client.get("/v1/decisions/a").json()["decision"]["headers"] == {}


@BOTH
def test_text_that_a_database_cannot_keep_is_kept_without_it(server: Server) -> None:
    odd: dict[str, Any] = {"source": "a\0b", "proof": "\0", "refused_topics": ["a\0b"]}
    assert prefer(server, **odd).status_code == 200
    assert ledger(server) == [("refused", "ab", "ab")]


def test_who_asks_hears_what_is_preferred_and_why(server: Server) -> None:
    prefer(server, refused_topics=["a"], paused_until="2027-05-01", source="crm", proof="form 7")
    told = server.client.get("/v1/contacts/ADA/preferences").json()
    assert (told["preferences"]["refused_topics"], told["consent"]) == (["a"], True)
    assert told["preferences"]["paused_until"] == "2027-05-01"
    refused, paused = told["ledger"]
    assert refused == {
        "at": "2027-03-01T06:00:00Z", "source": "crm", "purpose": "marketing", "word": "refused",
        "topic": "a", "channel": None, "proof": "form 7",
    }  # fmt: skip
    assert paused["word"] == "paused"
    assert server.client.get("/v1/contacts/zoe/preferences").status_code == 404


@pytest.mark.parametrize(
    "url", ["http://mail.example", "mail.example", "https://", "https://a/?b", "https://a\r\nX: y"]
)
def test_a_public_url_must_be_one_that_rfc_8058_takes(url: str) -> None:
    with pytest.raises(NurtureError, match="expected public_url as https://HOST"):
        checked_url(url)
    assert checked_url("https://mail.example/") == "https://mail.example"


@BOTH
def test_whoever_looks_hears_what_forbids_mail_and_not_only_what_was_put(server: Server) -> None:
    def told() -> Any:
        return server.client.get("/v1/contacts/ada/preferences").json()

    def said(kind: str, **cells: Any) -> Any:
        assert server.say(kind, **cells).status_code == 200
        server.clock.now_us += 1
        return told()["no_mail"]

    assert (told()["consent"], told()["no_mail"]) == (True, [])
    prefer(server, paused_until="2030-01-01")
    assert told()["no_mail"] == ["paused"]
    prefer(server)
    assert said("unsubscribe") == ["opted_out"]
    assert told()["consent"]
    assert said("resubscribe") == []
    assert said("reply", reply_class="out_of_office", value=3) == ["paused"]
    server.clock.now_us += 4 * DAY_US
    assert told()["no_mail"] == []
    said("consent_withdrawn")
    assert said("hard_bounce") == ["no_consent", "hard_bounce"]
    for _ in range(40):  # so many are folded into a state
        found = said("page_view")
    assert found == ["no_consent", "hard_bounce"]
