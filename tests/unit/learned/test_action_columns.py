from __future__ import annotations

import numpy as np
import torch

from nurture_envs.actions import ActionCatalog
from nurture_envs.worlds.embedding import ActionColumns, describe, likeness
from tests.unit.simulator.lamp_shop import lamp_shop
from tests.unit.simulator.mail_shop import mail_shop

CATALOG = ActionCatalog.of(mail_shop())
COLUMNS = ActionColumns.of(CATALOG)


def column(name: str) -> list[float]:
    table = COLUMNS.of_catalog(CATALOG)
    return [float(x) for x in table[:, COLUMNS.names.index(name)]]


def test_levels_mark_the_messages_that_have_them() -> None:
    topics = [a.message.topic if a.message else "" for a in CATALOG.actions]
    assert column("topic=lamps") == [float(topic == "lamps") for topic in topics]
    assert column("routing=send") == [float(topic != "") for topic in topics]


def test_an_hour_is_two_waves_a_day_and_nothing_where_nothing_is_sent() -> None:
    at = {action.slot: row for row, action in enumerate(CATALOG.actions) if action.message}
    assert column("hour=sin1")[at[6]] == 1.0  # a quarter of the day
    assert abs(column("hour=cos2")[at[6]] + 1.0) < 1e-6  # half of the half day
    assert column("hour=cos1")[CATALOG.wait] == 0.0


def test_midnight_is_next_to_the_hour_before_it() -> None:
    action = CATALOG.actions[0]
    late, midnight, noon = (
        COLUMNS.encode([describe(action, hour)])[0] for hour in (23.9, 0.0, 12.0)
    )
    assert float((late - midnight).norm()) < 0.1
    assert float((noon - midnight).norm()) > 1.9


def test_a_message_of_its_own_has_a_narrower_prior_than_its_factors() -> None:
    assert max(column("message=lamps_a")) == np.float32(0.3)
    assert max(column("topic=lamps")) == 1.0


def test_what_all_sends_share_is_said_once() -> None:
    assert ActionColumns.of(ActionCatalog.of(lamp_shop())).names == (
        "routing=send",
        "message=hello",
        "routing=pause",
        "pause=1",
        "routing=escalate",
        "routing=exit",
    )


def test_a_message_without_a_column_has_its_factors_only() -> None:
    new = ActionCatalog.of(mail_shop(new="lamps"))
    old_row = COLUMNS.of_catalog(CATALOG)[CATALOG.index("send:lamps_a@06")]
    new_row = COLUMNS.of_catalog(new)[new.index("send:new@06")]
    own = COLUMNS.names.index("message=lamps_a")
    assert float(new_row[own]) == 0.0
    old_row[own] = 0.0
    assert torch.equal(new_row, old_row)


def test_the_most_similar_action_shares_routing_then_most_columns() -> None:
    new = ActionCatalog.of(mail_shop(new="lamps"))
    action = new.actions[new.index("send:new@06")]
    closest = max(CATALOG.actions, key=lambda other: likeness(action, other))
    assert closest.id in ("send:lamps_a@06", "send:lamps_b@06")
