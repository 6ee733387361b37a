"""A log of sends without decisions goes through: made decisions, estimated, marked, bounded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.cli.verb_record import DONE, REFUSED
from nurture_rl.decisions import load_decisions
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.ope.estimated_propensities import ProgrammeLog, estimated_propensities
from nurture_rl.ope.estimators import snips
from nurture_rl.ope.log import as_single_decisions
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.held_out import evaluation_view
from tests.pipeline.in_process import TINY, Ended, nurture
from tests.shared_data import shared_data

LEAD = load_journey("inbound_lead")
SENDS = [
    *("data=folder", "data.journey=inbound_lead", "data.decisions=from_sends"),
    "data.entry=form_submitted",
]


def world_log(folder: Path, logging: str, contacts: int) -> Path:
    """A reference world's raw tables, and beside them the same without decisions."""
    simulation = Simulation(reference_world(LEAD), compiled=False)
    policy = build_policy(logging, PolicyContext(LEAD, simulation.catalog, simulation.spec))
    write_reference_log(folder / "whole", simulation, policy, contacts, 1, lambda _: None)
    (folder / "sends").mkdir()
    for name in ("events", "contacts"):
        (folder / "sends" / f"{name}.parquet").write_bytes(
            (folder / "whole" / f"{name}.parquet").read_bytes()
        )
    return folder / "sends"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a log of sends lies, and the runs on it."""
    made = tmp_path_factory.mktemp("from_sends")
    world_log(made, "random", 500)
    return made


def did(folder: Path, verb: str, *words: str) -> Ended:
    return nurture(verb, *SENDS, f"data.path={folder / 'sends'}", f"runs={folder / 'runs'}", *words)


@pytest.fixture(scope="module")
def ingested(folder: Path) -> Path:
    ended = did(folder, "ingest")
    assert ended.code == DONE, ended.stderr
    assert "the decisions are reconstructed from sends" in ended.stdout
    (stage,) = folder.glob("runs/stages/ingest-*")
    return stage


def test_tables_and_counts_say_that_propensities_are_estimated(ingested: Path) -> None:
    table = pq.read_table(ingested / "decision_table.parquet")
    decisions = pq.read_table(ingested / "tables" / "decisions.parquet")
    for one in (table, decisions):
        assert set(one["propensity_source"].to_pylist()) == {"estimated"}
        assert one["propensity"].null_count == 0
    summary = json.loads((ingested / "tables" / "summary.json").read_text("utf-8"))
    counts = {one["table"]: one for one in summary["tables"]}["decisions"]
    quarantine = pq.read_table(ingested / "tables" / "quarantine.parquet")
    gone = quarantine.filter(pc.equal(quarantine["table"], "decisions"))
    assert counts["kept"] == len(decisions) == len(table)
    assert counts["read"] == counts["kept"] + counts["quarantined"]
    assert counts["quarantined"] == len(gone)
    assert summary["missing_propensity"] == 0
    notes = json.loads((ingested / "notes.json").read_text("utf-8"))["limits"]
    assert any("propensities are estimated by a model" in note for note in notes)
    assert any("never tried" in note and "escalate" in note for note in notes)
    told = json.loads((ingested / "propensities.json").read_text("utf-8"))
    assert told["propensity_source"] == "estimated"
    assert 0.0 < told["calibration_error"] < 0.02


def test_every_reader_gets_the_mark(ingested: Path) -> None:
    decisions = load_decisions(ingested, LEAD, 0.5)
    assert decisions.estimated is not None
    assert decisions.estimated.all()
    assert evaluation_view(decisions, LEAD).estimated


def test_a_checked_table_that_is_read_again_keeps_the_mark(ingested: Path, tmp_path: Path) -> None:
    again = tmp_path / "log"
    again.mkdir()
    for name in ("events", "contacts", "decisions"):
        table = pq.read_table(ingested / "tables" / f"{name}.parquet")
        pq.write_table(table, again / f"{name}.parquet")
    words = [f"data.path={again}", f"runs={tmp_path / 'runs'}", "data.journey=inbound_lead"]
    ended = nurture("ingest", "data=folder", *words)
    assert ended.code == DONE, ended.stderr
    (stage,) = tmp_path.glob("runs/stages/ingest-*")
    assert load_decisions(stage, LEAD, 0.5).estimated is not None
    # Two stories of what was decided are one too many.
    ended = nurture("ingest", *SENDS, *words)
    assert ended.code == REFUSED
    assert "makes decisions of sends where a log has none" in ended.stderr


def test_estimates_are_near_the_chances_that_the_world_drew_with(
    ingested: Path, folder: Path
) -> None:
    catalog = ActionCatalog.of(LEAD)
    true = pq.read_table(folder / "whole" / "decisions.parquet")
    mine = pq.read_table(ingested / "decision_table.parquet")
    keys = ["contact_id", "decided_at"]
    sends = catalog.routed("send")

    def chances(table: pa.Table) -> dict[tuple[object, ...], float]:
        rows = zip(*(table[name].to_pylist() for name in keys), strict=True)
        table_of = np.array(table["probabilities"].to_pylist(), np.float64)
        return dict(zip(rows, table_of[:, sends].sum(axis=1).tolist(), strict=True))

    of_world, of_model = chances(true), chances(mine)
    both = [key for key in of_model if key in of_world]
    chance = np.array([of_model[key] for key in both])
    drawn = np.array([of_world[key] for key in both])
    # Pauses of several days are not to be seen in events: there the world drew nothing, so that
    # the two agree in what they come to, not in each row.
    assert len(both) > 5000
    assert chance.mean() == pytest.approx(drawn.mean(), abs=0.03)
    assert chance[drawn > 0.0].mean() > 2.0 * chance[drawn == 0.0].mean()


def test_values_by_estimates_are_those_by_the_true_propensities(folder: Path) -> None:
    """The world's own decisions, their propensities dropped and estimated anew."""
    ended = nurture(
        *("ingest", "data=folder", "data.journey=inbound_lead"),
        *(f"data.path={folder / 'whole'}", f"runs={folder / 'whole_runs'}"),
    )
    assert ended.code == DONE, ended.stderr
    (stage,) = folder.glob("whole_runs/stages/ingest-*")
    true = load_decisions(stage, LEAD, 0.5)
    assert true.estimated is None
    seen = ProgrammeLog(true.features, true.mask, true.action, true.step, true.cluster)
    found = estimated_propensities(seen)
    free = true.mask.sum(axis=1) > 1
    apart = 0.5 * np.abs(found.probabilities - true.probabilities).sum(axis=1)[free]
    assert apart.mean() < 0.16
    assert found.error < 0.01
    sends = ActionCatalog.of(LEAD).routed("send")
    tilted = true.probabilities * np.where(sends, 2.0, 1.0)
    rows = np.arange(len(true.action))
    taken = (tilted / tilted.sum(axis=1, keepdims=True))[rows, true.action]
    log = as_single_decisions(evaluation_view(true, LEAD))
    by_truth = snips(log, taken)
    estimated = replace(
        log, propensity=found.probabilities[rows, true.action], logged_probabilities=None
    )
    by_model = snips(estimated, taken)
    assert abs(by_model.value - by_truth.value) < 2.0 * by_truth.stderr


def test_episodes_for_other_programs_are_refused_for_they_cannot_say_so(folder: Path) -> None:
    ended = did(folder, "interchange", "format=d3rlpy", "episodes=log", f"out={folder / 'out'}")
    assert ended.code == REFUSED
    assert "episodes of other programs cannot say so" in ended.stderr
    assert not (folder / "out").exists()


def test_the_verb_ope_says_it_first_and_ends_undecided(folder: Path) -> None:
    ended = did(folder, "ope", *TINY[4:], "release.rules=null", "~policies.expert")
    assert ended.code == 4, ended.stderr
    first = ended.stdout[ended.stdout.index("CANNOT TELL YET") :].splitlines()
    assert first[1].startswith("  Propensities are estimated: nobody logged")


def test_a_fixed_drip_is_refused_with_the_plan_that_would_tell(tmp_path: Path) -> None:
    world_log(tmp_path, "drip", 150)
    ended = did(tmp_path, "ope")
    told = ended.stdout + ended.stderr
    assert ended.code in (REFUSED, 4)
    assert "exploration over the legal actions" in told or "leave a share of the sends" in told
    (stage,) = tmp_path.glob("runs/stages/ingest-*")
    found = json.loads((stage / "propensities.json").read_text("utf-8"))
    assert found["certain"] > 0.9


def test_mail_to_people_who_never_agreed_is_refused_with_what_to_map(tmp_path: Path) -> None:
    sends = world_log(tmp_path, "random", 60)
    contacts = pq.read_table(sends / "contacts.parquet")
    nobody = pa.array([False] * len(contacts))
    at = contacts.schema.get_field_index("consent")
    pq.write_table(contacts.set_column(at, "consent", nobody), sends / "contacts.parquet")
    ended = did(tmp_path, "ingest")
    assert ended.code == REFUSED
    assert "forbidden send" in ended.stderr
    assert "map the column that says who agreed" in ended.stderr


COUPONS = """
journey: coupons
title: Households that get coupons by mail
provenance: "REAL: a retailer's published campaigns; nothing was randomised"
clock: {period_hours: 168, slots_hours: [0], periods: 40}
signals:
  mailed: {type: sent, by_action: true}
  redeemed: {type: purchase}
messages:
  tailored: {job: activate, topic: coupons, approval: approved, expires: 2028-12-31}
  broad: {job: activate, topic: coupons, approval: approved, expires: 2028-12-31}
  themed: {job: activate, topic: coupons, approval: approved, expires: 2028-12-31}
actions: {slots: [9], pauses: [1]}
features:
  week: {kind: calendar, part: bin}
  mailed_8: {kind: count, of: [mailed], window: 8}
  since_mail: {kind: recency, of: [mailed], window: 20}
  redeemed_8: {kind: count, of: [redeemed], window: 8}
reward: {unit: EUR, weights: {redeemed: 1.0}, send_cost: 0.1}
kpis:
  north_star: {name: redemptions, of: [redeemed]}
  supporting:
    - {name: mails, of: [mailed]}
    - {name: mails again, of: [mailed]}
"""
MAPPED = """
file: FILE
times: iso
tables:
  events:
    contact_id: household_id
    occurred_at: at
    TYPE
  contacts:
    contact_id: household_id
    consent: {is: yes}
    time_zone: {is: UTC}
"""


def test_coupon_campaigns_of_a_real_retailer_become_decisions(tmp_path: Path) -> None:
    source = shared_data("complete_journey")
    log = tmp_path / "log"
    log.mkdir()
    (tmp_path / "coupons.yaml").write_text(COUPONS, "utf-8")
    campaigns, about = (
        pq.read_table(source / f"{name}.parquet") for name in ("campaigns", "campaign_descriptions")
    )
    sends = campaigns.join(about, "campaign_id").select(
        ["household_id", "campaign_id", "campaign_type", "start_date"]
    )
    pq.write_table(
        sends.rename_columns(["household_id", "id", "kind", "at"]), log / "sends.parquet"
    )
    redeemed = pq.read_table(source / "coupon_redemptions.parquet")
    redeemed = redeemed.rename_columns(["household_id", "coupon", "id", "at"])
    pq.write_table(redeemed, log / "redeemed.parquet")
    kinds = "{Type A: tailored, Type B: broad, Type C: themed}"
    for name, said in (
        ("sends", f"type: {{is: sent}}\n    message_id: {{column: kind, values: {kinds}}}"),
        ("redeemed", "type: {is: purchase}"),
    ):
        text = MAPPED.replace("FILE", f"{name}.parquet").replace("TYPE", said)
        (log / f"{name}.map.yaml").write_text(text, "utf-8")
    words = [f"data.path={log}", f"data.journey={tmp_path / 'coupons.yaml'}"]
    words += [f"runs={tmp_path / 'runs'}", "data.decisions=from_sends"]
    ended = nurture("ingest", "data=folder", *words)
    assert ended.code == DONE, ended.stderr
    (stage,) = tmp_path.glob("runs/stages/ingest-*")
    table = pq.read_table(stage / "decision_table.parquet")
    assert len(table) > 20_000
    mails = pc.sum(pc.starts_with(table["action"], "send:")).as_py()
    notes = json.loads((stage / "notes.json").read_text("utf-8"))["limits"]
    assert any(f"{mails} of 6589 sends are decisions" in note for note in notes)
    told = json.loads((stage / "propensities.json").read_text("utf-8"))
    assert told["calibration_error"] < 0.02
