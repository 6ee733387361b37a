"""Rounds of a live programme wait for outcomes, count all contacts, and move by the gate alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from math import ceil, sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey, shipped_journeys
from nurture_rl.codec import read_record, write_record
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.report.dated_source import DatedPlan, DoneRound, LogProspects, StarSize
from nurture_rl.workflow.rounds.dated_rounds import (
    Cadence,
    coming_rounds,
    days_until_known,
    weeks_of_a_round,
)
from nurture_rl.workflow.rounds.done_rounds import done_round
from nurture_rl.workflow.rounds.log_prospects import otherwise, turned

START = date(2026, 3, 2)
CADENCE = Cadence(weekly=100.0, weeks=4, known_after=18, gate_days=2, serve_days=5)
KNOWN = LogProspects(
    log="1000 contacts",
    level=0.98,
    contacts=1000,
    judging=500,
    exploration=0.3,
    prices=(),
    saving=None,
    star=StarSize("meetings booked", 0.1, 0.02, 1500, 900),
    policy="cql",
    effective=50.0,
    half=8.0,
    star_half=0.04,
    drift=(),
)
PLAN = DatedPlan(
    journey="inbound_lead",
    title="Leads",
    unit="EUR",
    level=0.95,
    max_ratio="4.0",
    start=START.isoformat(),
    weekly=100.0,
    count=3,
    weeks=4,
    weeks_why="asked for by `weeks`",
    horizon_days=14,
    late_days=4,
    programme="the present programme",
    prospects=KNOWN,
    done=(),
    coming=coming_rounds(1, START, (0.3, 0.2, 0.2), CADENCE, KNOWN, 0.5),
)


@pytest.mark.parametrize("name", sorted(shipped_journeys()))
def test_all_outcomes_of_the_last_contact_of_a_round_are_known_before_the_gate(name: str) -> None:
    journey = load_journey(name)
    days, late = days_until_known(journey)
    cadence = replace(CADENCE, known_after=days + late)
    (one,) = coming_rounds(1, START, (None,), cadence, KNOWN, 0.5)
    last = datetime.fromisoformat(one.collect_to) + timedelta(hours=23, minutes=59)
    bins = journey.clock.horizon + max(journey.delays)
    known = last + timedelta(microseconds=int(journey.clock.start_us(bins)))
    assert known <= datetime.fromisoformat(one.known_on)
    assert known > datetime.fromisoformat(one.known_on) - timedelta(days=2)  # and no day is lost
    assert one.known_on <= one.gate_on <= one.serve_on


def test_a_long_journey_is_not_judged_after_four_weeks() -> None:
    long = coming_rounds(1, START, (0.3,), replace(CADENCE, known_after=84), KNOWN, 0.5)[0]
    assert long.collect_to == "2026-03-29"
    assert long.known_on == "2026-06-22"  # twelve weeks and a day later
    assert long.gate_on == "2026-06-24"


def test_contacts_who_come_while_outcomes_are_awaited_count_in_the_next_round() -> None:
    first, second, _ = PLAN.coming
    assert first.contacts == second.contacts == 400
    assert first.judged_by == 1400
    assert second.collect_from == first.serve_on
    days = (date.fromisoformat(second.collect_to) - START).days + 1
    assert second.judged_by == 1000 + round(100 * days / 7)
    assert second.judged_by > 1800  # those in between, too


def test_effective_samples_and_gains_follow_the_contacts_that_judge() -> None:
    first = PLAN.coming[0]
    assert first.effective_own == pytest.approx(50 / 500 * 400 * 0.5)
    assert first.effective_all == pytest.approx(50 / 500 * 1400 * 0.5)
    normal = NormalDist()
    power = 1 + normal.inv_cdf(0.8) / normal.inv_cdf(0.99)
    assert first.gain == pytest.approx(8.0 * power * sqrt(500 / 700))
    assert first.star_gain == pytest.approx(0.04 * power * sqrt(500 / 700))
    assert [one.enough for one in PLAN.coming] == [False, True, True]


def test_a_round_collects_as_long_as_its_own_contacts_need() -> None:
    weeks, why = weeks_of_a_round(KNOWN, weekly=100.0, held_out=0.5, least=100.0)
    assert weeks == ceil(100 / (50 / 500 * 50)) == 20
    assert "effective sample of `cql`" in why
    weeks, why = weeks_of_a_round(KNOWN, weekly=10.0, held_out=0.5, least=100.0)
    assert weeks == 26
    assert "200 weeks" in why
    weeks, why = weeks_of_a_round(replace(KNOWN, effective=None), 100.0, 0.5, 100.0)
    assert weeks == 4
    assert "nobody knows" in why


def test_what_is_not_known_stays_so() -> None:
    silent = replace(KNOWN, effective=None, half=None, star_half=None, judging=0)
    one = coming_rounds(1, START, (None,), CADENCE, silent, 0.5)[0]
    assert (one.effective_own, one.gain, one.star_gain, one.exploration) == (None,) * 4


def answer(folder: Path, verdict: str, exported: str | None) -> Path:
    folder.mkdir()
    causes = [{"sentence": "cql is not shown to earn more.", "checks": [], "reasons": []}]
    told = {"verdict": verdict, "candidate": "cql", "exported": exported, "causes": causes}
    (folder / "gate.json").write_text(json.dumps(told), "utf-8")
    return folder


def test_what_the_gate_let_through_runs_next(tmp_path: Path) -> None:
    gate = answer(tmp_path / "release", "released", "cql")
    done = done_round(PLAN, gate, date(2026, 4, 20), None, 5, 1400)
    assert (done.programme, done.next_programme) == ("the present programme", "cql of round 1")
    assert (done.served, done.reasons, done.early_days) == ("2026-04-25", (), 0)


def test_rules_that_are_enough_run_next_and_a_refusal_moves_nothing(tmp_path: Path) -> None:
    rules = done_round(
        PLAN, answer(tmp_path / "a", "rules_are_enough", "rules"), date(2026, 4, 20), None, 5, 1400
    )
    assert rules.next_programme == "rules"
    stays = done_round(
        PLAN, answer(tmp_path / "b", "refused", None), date(2026, 4, 20), None, 5, 1400
    )
    assert stays.next_programme == "the present programme"
    assert stays.served == "2026-04-21"  # nothing has to be rolled out
    assert stays.reasons == ("cql is not shown to earn more.",)


def test_a_gate_that_was_asked_before_outcomes_were_known_is_told(tmp_path: Path) -> None:
    done = done_round(
        PLAN, answer(tmp_path / "a", "refused", None), date(2026, 4, 7), None, 5, 1400
    )
    assert done.early_days == 10  # known on 2026-04-17


def test_answers_that_are_none_of_the_next_round_are_refused(tmp_path: Path) -> None:
    gate = answer(tmp_path / "release", "released", "cql")
    with pytest.raises(ConfigError, match="collects from 2026-03-02 on, got 2026-02-01"):
        done_round(PLAN, gate, date(2026, 2, 1), None, 5, 1400)
    with pytest.raises(ConfigError, match="served: expected a day from 2026-04-20 on"):
        done_round(PLAN, gate, date(2026, 4, 20), date(2026, 4, 19), 5, 1400)
    done = done_round(PLAN, gate, date(2026, 4, 20), None, 5, 1400)
    later = replace(PLAN, done=(done,), coming=PLAN.coming[1:])
    with pytest.raises(ConfigError, match="in the plan already, as round 1"):
        done_round(later, gate, date(2026, 7, 20), None, 5, 1400)
    with pytest.raises(ConfigError, match="all 3 rounds are done"):
        done_round(replace(PLAN, coming=()), gate, date(2026, 7, 20), None, 5, 1400)
    with pytest.raises(ConfigError, match="asked no gate"):
        done_round(
            PLAN, answer(tmp_path / "as_it", "as_it_is", "drip"), date(2026, 4, 20), None, 5, 1
        )
    bare = '{"candidate": null, "exported": null, "verdict": '
    passed, untold = bare + '"ok", "causes": []}', bare + '"refused", "causes": [{"a": 1}]}'
    for text in ("{", "[1]", '{"verdict": "released"}', passed, untold):
        (gate / "gate.json").write_text(text, "utf-8")
        with pytest.raises(LogError, match=r"expected the gate\.json"):
            done_round(PLAN, gate, date(2026, 4, 20), None, 5, 1400)


def test_a_gate_tells_its_journey_and_its_level(tmp_path: Path) -> None:
    gate = answer(tmp_path / "a", "refused", None) / "gate.json"
    told = json.loads(gate.read_text("utf-8"))
    day = date(2026, 4, 20)

    def asked(**more: object) -> DoneRound:
        gate.write_text(json.dumps(told | more), "utf-8")
        return done_round(PLAN, gate, day, None, 5, 1400)

    with pytest.raises(ConfigError, match="a round of inbound_lead, got"):
        asked(journey="renewal", level=0.98)
    assert asked(journey="inbound_lead", level=0.98).low_level is None
    assert asked(journey="inbound_lead", level=0.97997).low_level is None  # as the plan writes it
    assert asked(journey="inbound_lead", level=0.95).low_level == 0.95


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_record(PLAN, tmp_path / "plan.json")
    assert read_record(tmp_path / "plan.json", DatedPlan) == PLAN


LOGGED = np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [1.0, 0.0, 0.0]])
MASK = np.array([[True, True, True], [True, True, True], [True, False, False]])


def test_exploration_is_what_goes_otherwise_where_there_is_a_choice() -> None:
    assert otherwise(LOGGED, MASK) == pytest.approx((0.3 + 0.6) / 2)
    assert otherwise(LOGGED[2:], MASK[2:]) == 0.0


def test_a_programme_with_less_or_more_exploration_stays_a_distribution_of_its_kind() -> None:
    assert turned(LOGGED, 1.0) == pytest.approx(LOGGED)
    assert turned(LOGGED, 0.0) == pytest.approx(np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0]]))
    assert turned(LOGGED, 0.5)[0] == pytest.approx([0.85, 0.1, 0.05])
    far = turned(LOGGED, 100.0)
    assert far.sum(axis=1) == pytest.approx(1.0)
    assert (far >= 0.0).all()
    assert (far[~MASK] == 0.0).all()
    assert (far[:, 0] >= far.max(axis=1) - 1e-12).all()  # the likeliest stays so
