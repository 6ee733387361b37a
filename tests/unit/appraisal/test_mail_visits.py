"""Page views belong to the mail that brought them, and to no other."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from nurture_rl.appraisal.health.mail_visits import MailVisits, lost_visits, mail_visits
from tests.unit.features.small_log import at, events_table

NOON = at("2026-05-04 12:00")
SITE = "https://www.example.com"


def row(kind: str, minutes: float, who: str = "ada", **cells: Any) -> dict[str, Any]:
    when = NOON + timedelta(minutes=minutes)
    url = cells.pop("url", None)
    properties = {} if url is None else {"properties": json.dumps({"url": f"{SITE}{url}"})}
    return {"contact_id": who, "occurred_at": when, "type": kind, **properties, **cells}


def mail(minutes: float, message: str = "hello", who: str = "ada") -> dict[str, Any]:
    return row("sent", minutes, who, message_id=message)


def click(minutes: float, message: str = "hello", who: str = "ada", **cells: Any) -> dict[str, Any]:
    return row("click", minutes, who, message_id=message, **cells)


def page(minutes: float, category: str = "product", **cells: Any) -> dict[str, Any]:
    return row("page_view", minutes, page_category=category, **cells)


def visits(*rows: dict[str, Any]) -> dict[str, MailVisits]:
    return {one.message: one for one in mail_visits(events_table(list(rows)))}


def test_pages_after_a_click_belong_to_its_message_while_the_visit_lasts() -> None:
    found = visits(
        *(
            mail(-60),
            page(-5),
            click(0),
            page(0, url="/a"),
            page(29, "pricing", url="/pricing?x=1"),
        ),
        *(page(58, url="/a"), row("form_submitted", 59), page(90), page(200)),
    )
    assert found["hello"] == MailVisits(
        "hello", mails=1, clicks=1, visits=1, pages=4, different=3, high_intent=2, named=0
    )


def test_the_last_click_has_the_pages_and_other_people_have_their_own() -> None:
    found = visits(
        *(mail(-60), mail(-50, "offer"), click(0), page(1), click(2, "offer"), page(3), page(4)),
        *(click(2, who="bob"), row("page_view", 3, "eve", page_category="product")),
    )
    assert [(one.message, one.clicks, one.visits, one.pages) for one in found.values()] == [
        ("hello", 2, 1, 1),
        ("offer", 1, 1, 2),
    ]


def test_clicks_of_machines_bring_nobody_and_two_clicks_are_two_visits() -> None:
    found = visits(mail(-60), click(0, is_machine=True), page(1))
    assert (found["hello"].clicks, found["hello"].pages) == (0, 0)
    found = visits(mail(-60), click(0), page(1), click(9), page(10), page(11))
    assert (found["hello"].visits, found["hello"].pages, found["hello"].different) == (2, 3, 2)


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        ({"message_id": "hello"}, 1),
        ({"url": "/a?utm_source=mail&utm_content=hello"}, 1),
        ({"url": "/a?utm_campaign=hello&x=%20"}, 1),
        ({"url": "/a?utm_campaign=summer"}, 0),
        ({"message_id": "never_sent"}, 0),
        ({"url": "/a"}, 0),
    ],
)
def test_a_page_that_names_a_message_belongs_to_it_without_a_click(
    cells: dict[str, Any], named: int
) -> None:
    found = visits(mail(-60), page(500, **cells))
    assert (found["hello"].pages, found["hello"].named, found["hello"].visits) == (named, named, 0)
    assert visits(mail(600), page(500, **cells))["hello"].pages == 0


def test_what_a_page_names_itself_goes_before_the_click() -> None:
    found = visits(
        *(mail(-60), mail(-50, "offer"), click(0), page(1, message_id="offer")),
        page(2, message_id="hello"),
    )
    assert (found["hello"].pages, found["hello"].named) == (1, 0)
    assert (found["offer"].pages, found["offer"].named) == (1, 1)


def lost(followed: int, of: int, **page_cells: Any) -> list[str]:
    rows = [mail(-60, who=f"p{n}") for n in range(of)]
    rows += [click(n, who=f"p{n}", url="/a") for n in range(of)]
    rows += [
        row("page_view", n + 1, f"p{n}" if n < followed else f"cookie-{n}", **page_cells)
        for n in range(of)
    ]
    return [one.says for one in lost_visits(events_table(rows))]


def test_clicks_on_the_own_site_that_no_page_follows_are_a_finding() -> None:
    (said,) = lost(10, 60, url="/b")
    assert said.startswith("50 of 60 (83.3 %) clicks of people on links to the site")
    assert lost(40, 60, url="/b") == []
    assert lost(0, 40, url="/b") == []
    assert lost(0, 60) == []


def test_a_log_without_web_or_mail_has_no_visits() -> None:
    assert visits(page(0)) == {}
    assert visits(mail(0))["hello"].pages == 0
