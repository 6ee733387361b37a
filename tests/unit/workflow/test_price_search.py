"""The search for prices on learners whose every answer is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.appraisal.price_findings import PriceFindings, Tried, Used, UseLimit
from nurture_rl.report.prices_page import answers, prices_markdown, prices_page
from nurture_rl.workflow import price_search
from nurture_rl.workflow.price_search import PriceSearch, found_prices
from nurture_rl.workflow.prices_verb import export_line
from tests.unit.workflow.test_priced_policies import MAILS, task

INBOUND = load_journey("inbound_lead")
NOBODY = Tried("no_contact", {}, Used(0.0, 0.0, (0.0,), (0.0,), 0.0, 0.0), "no_contact-0")


@dataclass(frozen=True, eq=False)
class Known(PriceSearch):
    """A learner that mails who gains more than a mail costs: gains are even from 0 to 2."""

    def tried(self, prices: Mapping[str, float]) -> Tried:
        price = prices.get("send", 0.0)
        return Tried("p", dict(prices), self.at(price), f"p={price}")

    def at(self, price: float) -> Used:
        price = min(price, 2.0)
        sends = 1.0 - price / 2.0
        mean = (price + 2.0) / 2.0
        upper = sends + 0.01
        return Used(sends * mean, 0.0, (sends,), (upper,), sends, sends)

    def played(self, folder: Path, others: bool = False) -> Used:
        return self.at(float(str(folder).rpartition("=")[2]))


@dataclass(frozen=True, eq=False)
class NeverSeen(Known):
    """What the frontier is drawn over never happens."""

    def at(self, price: float) -> Used:
        return replace(super().at(price), mixed=0.0)


def search(
    limits: tuple[UseLimit, ...], monkeypatch: pytest.MonkeyPatch, kind: type[Known] = Known
) -> Known:
    monkeypatch.setattr(price_search, "members_of", lambda world, journey: [1, 2])
    asked: Any = SimpleNamespace(
        run=SimpleNamespace(
            simulation=SimpleNamespace(contacts=100, seeds=[1]),
            release=SimpleNamespace(level=0.95),
        )
    )
    workshop: Any = SimpleNamespace(root=Path())
    learned = replace(task({}), journey=INBOUND)
    return kind(workshop, learned, None, Path(), asked, limits, "send")


def findings(monkeypatch: pytest.MonkeyPatch, most: float) -> PriceFindings:
    one = search((UseLimit("send", MAILS, most),), monkeypatch)
    return found_prices(one, [NOBODY], [0.5, 1.0], 12, 1e-4)


def test_the_price_is_that_of_the_last_mail_within_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = findings(monkeypatch, 0.4)
    assert found.prices[0] == pytest.approx(1.2, rel=0.05)  # who gains 1.2 is the last of 40 %
    assert found.best == pytest.approx(0.4 * 1.6, rel=0.01)
    assert found.most >= 0.4 * 1.6 - 1e-9


def test_one_policy_is_taken_that_keeps_to_the_limit_by_its_upper_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = findings(monkeypatch, 0.4)
    assert found.chosen is not None
    taken = found.tried[found.chosen]
    assert taken.name == "p"
    assert 0.3 < taken.used.use[0] <= 0.39
    assert found.is_kept


def test_a_wide_limit_has_no_price_and_the_free_policy_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = findings(monkeypatch, 1.5)
    assert found.prices == (0.0,)
    assert found.chosen is not None
    assert found.tried[found.chosen].prices == {}
    told = dict(answers(found, "Nothing."))
    assert told["What do the limits cost?"].startswith("Nothing: on average")


def test_a_limit_that_no_price_reaches_leaves_no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(monkeypatch, 0.005)
    assert found.chosen is None
    assert not found.is_kept
    assert "None that was learned" in dict(answers(found, ""))["Which policy keeps to them?"]


def test_the_frontier_rises_and_its_prices_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    line = findings(monkeypatch, 0.4).frontier
    assert (np.diff([one.value for one in line]) > 0).all()
    assert (np.diff([one.price for one in line]) <= 1e-9).all()
    assert line[0].budget == 0.0
    assert line[-1].value == pytest.approx(1.0)


def test_the_page_says_the_price_the_policy_and_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = findings(monkeypatch, 0.4)
    page = prices_page(found, "a log", "withheld: few contacts.", "nurture export policy=p")
    assert page == prices_page(found, "a log", "withheld: few contacts.", "nurture export policy=p")
    text = prices_markdown(found, "a log", "withheld: few contacts.", "nurture export policy=p")
    for where in (page, text):
        assert "one more event per contact would gain 1.2" in where
        assert "withheld: few contacts." in where
        assert "nurture export policy=p" in where
    assert "<svg" in page


def test_of_what_never_happens_no_price_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = (UseLimit("send", MAILS, 1.5),)
    found = found_prices(search(wide, monkeypatch, NeverSeen), [NOBODY], [0.5, 1.0], 12, 1e-4)
    assert [one.prices for one in found.tried] == [{}, {}]


def test_a_limit_of_nothing_has_a_price_and_no_policy_is_sought_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = findings(monkeypatch, 0.0)
    assert found.prices[0] == pytest.approx(2.0, rel=0.01)  # what the first mail brings
    assert found.chosen is None
    assert max(one.prices.get("send", 0.0) for one in found.tried) < 2.0
    told = dict(answers(found, ""))["Which policy keeps to them?"]
    assert told.startswith("None can be shown to: of send nothing is allowed")


def test_the_gate_is_asked_for_the_very_prices_that_were_played(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = findings(monkeypatch, 0.4)
    assert found.chosen is not None
    prices = {"send": 1 / 3, "unsubscribed": 1e-7 / 3}
    exact = replace(found, tried=(replace(found.tried[0], prices=prices),), chosen=0)
    pipeline: Any = SimpleNamespace(
        settings=SimpleNamespace(run=SimpleNamespace(policy=SimpleNamespace(name="p")))
    )
    line = export_line(pipeline, exact)
    assert line is not None
    told = [word.removeprefix("+policy.prices.").split("=") for word in line.split()[-2:]]
    assert {name: float(price) for name, price in told} == prices
