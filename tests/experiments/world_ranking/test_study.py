"""The ranking study: policies by description, equal contacts, resumed work, tables and figure."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from experiments.world_ranking.run import main, studies
from experiments.world_ranking.study import (
    ACTIONS,
    LOGGING,
    RankingStudy,
    contenders,
    plain,
    read_standings,
    standings,
)
from nurture_envs.journey_file import load_journey
from nurture_envs.rollout import play, returns
from nurture_envs.worlds.draws import population_keys
from nurture_rl.errors import ConfigError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.collect import reference_simulation

JOURNEYS = ("inbound_lead", "stalled_opportunity", "trial_onboarding", "re_engagement")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> RankingStudy:
    return studies(["inbound_lead"], 2, tmp_path_factory.mktemp("ranking"))["inbound_lead"]


def test_every_journey_has_a_dozen_policies_that_are_not_each_other(tmp_path: Path) -> None:
    found = studies(None, 1, tmp_path)
    assert tuple(found) == JOURNEYS
    for one in found.values():
        assert len(one.policies) >= 12
        assert {"drip", "rules", "random", "no contact", LOGGING} <= set(one.policies)
        steps = list(play(one.simulation, one.policies["random"], population_keys(3, 300)))
        features = np.concatenate([step.features.numpy() for step in steps])
        mask = np.concatenate([step.mask.numpy() for step in steps])
        chosen = [p.action_probabilities(features, mask) for p in one.policies.values()]
        assert all((a != b).any() for a, b in combinations(chosen, 2))


def test_rules_and_drip_beside_a_description_take_the_place_of_the_journeys_own() -> None:
    simulation = reference_simulation(load_journey("inbound_lead"))
    entry = {"policy": "drip", "drip": {1: "send:welcome@15"}}
    found = contenders(
        {"other": entry, "own": {"policy": "drip"}}, {"kind": "no_contact"}, simulation
    )
    mix = returns(simulation, found["other"], 200, 1).action_mix
    sent = mix[:, simulation.catalog.index("send:welcome@15")]
    assert np.flatnonzero(sent).tolist() == [1]
    context = PolicyContext(simulation.journey, simulation.catalog, simulation.spec)
    np.testing.assert_array_equal(
        returns(simulation, found["own"], 50, 1).action_mix,
        returns(simulation, build_policy("drip", context), 50, 1).action_mix,
    )


def test_a_key_that_means_nothing_is_refused() -> None:
    simulation = reference_simulation(load_journey("inbound_lead"))
    with pytest.raises(ConfigError, match="slow: expected `policy`"):
        contenders({"slow": {"policy": "drip", "rule": []}}, {"kind": "no_contact"}, simulation)


def test_parts_sum_to_the_value_and_errors_are_of_paired_differences(study: RankingStudy) -> None:
    some = {name: study.policies[name] for name in ("drip", "rules", "no contact")}
    found = standings(study.simulation, some, 400, 5)
    np.testing.assert_allclose(found.part.sum(axis=1), found.value, rtol=1e-5)
    values = [returns(study.simulation, policy, 400, 5).value for policy in some.values()]
    gap = values[1] - values[0]
    assert found.value[1] - found.value[0] == pytest.approx(gap.mean())
    assert found.difference_stderr[1, 0] == pytest.approx(gap.std(ddof=1) / 20.0)
    assert found.part[2, found.parts.index(ACTIONS)] == pytest.approx(0.0, abs=1e-5)
    assert not len(found.members)


def test_members_make_up_the_ensemble_and_standings_survive_the_file(study: RankingStudy) -> None:
    believed = study.cell(60, 1, 300).believed
    assert believed.members.shape == (2, len(study.policies))
    low, high = believed.members.min(axis=0), believed.members.max(axis=0)
    assert ((low <= believed.value + 1e-9) & (believed.value <= high + 1e-9)).all()
    again = read_standings(json.loads(json.dumps(plain(believed))))
    for name in believed.__slots__:
        np.testing.assert_array_equal(getattr(again, name), getattr(believed, name), name)


def test_finished_work_is_not_done_again_and_other_work_is(study: RankingStudy) -> None:
    said: list[str] = []
    some = {name: study.policies[name] for name in ("drip", "rules")}
    one = replace(study, say=said.append, policies=some)
    first, again = one.truth(50), one.truth(50)
    assert [line.split()[-1] for line in said] == ["working", "s"]
    np.testing.assert_array_equal(first.value, again.value)
    one.truth(60)
    replace(one, policies={**some, "drip": study.policies["no contact"]}).truth(50)
    assert len(said) == 6  # other contacts and other policies are other work


def test_a_tiny_study_prints_its_tables_draws_its_figure_and_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ["--contacts", "40", "--logs", "2", "--played", "100", "--members", "2"]
    where = ["--out", str(tmp_path), "--figure", str(tmp_path / "ranking.png")]
    tiny = ["--journeys", "inbound_lead", "--truth-contacts", "200", *size, *where]
    main(tiny)
    first = capsys.readouterr()
    assert first.err.count("fitted to") == 2
    assert "| inbound_lead | 40 | 2 |" in first.out
    for policy in ("topic of the form", LOGGING, "exit at once"):
        assert f"| {policy} |" in first.out
    assert (tmp_path / "ranking.png").read_bytes()[:4] == b"\x89PNG"
    main(tiny)
    again = capsys.readouterr()
    assert again.out == first.out
    assert again.err == ""
