"""Why the learned part wanted it: parts that sum to its score, and which guardrail stood before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec
from nurture_rl.learned.choice_rules import Boltzmann, Greedy, Rule
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.release.bundle import write_bundle
from nurture_rl.release.onnx_export import export_onnx
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.explain_wire import Explanation
from nurture_rl.serving.http.explaining import explained, recorded
from tests.unit.release.bundles import CREATED, content, journey
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, service

JOURNEY = journey()
CATALOG, SPEC = ActionCatalog.of(JOURNEY), FeatureSpec.of(JOURNEY)
D, A = len(SPEC.columns), len(CATALOG)
MAIL = "send:welcome@09"
CORE = {"kind": "model", "name": "core"}
HELD = {"kind": "trust_region", "policy": CORE, "anchor": "random", "max_ratio": 3.0}


def linear() -> ScoredModule:
    """The mail is worth 10 and 2 per point of the company's size, a call 3, one step's wait 0.5."""
    maps = np.zeros((1, A, D + 1))
    maps[0, CATALOG.index(MAIL), 0] = 10.0
    maps[0, CATALOG.index(MAIL), 1 + SPEC.column("company_size")] = 2.0
    maps[0, CATALOG.index("escalate"), 0] = 3.0
    maps[0, CATALOG.wait, 0] = 0.5
    return ScoredModule((np.zeros(D), np.ones(D)), [], maps, Greedy())


def network(rule: Rule) -> ScoredModule:
    """Eight units over all features."""
    generator = torch.Generator().manual_seed(0)
    layer = torch.randn(8, D, generator=generator) / 4.0, torch.randn(8, generator=generator)
    maps = torch.randn(1, A, 9, generator=generator, dtype=torch.float64)
    return ScoredModule((np.zeros(D), np.ones(D)), [layer], maps, rule)


def served(folder: Path, module: ScoredModule, spec: dict[str, Any]) -> Service:
    core = ScoredPolicy(CATALOG.hash, SPEC.columns, module, {})
    export_onnx(core, folder / "core.onnx", CATALOG, np.random.default_rng(0))
    model = (folder / "core.onnx").read_bytes()
    bundle = write_bundle(folder / "bundle", content(spec, model), CREATED)
    return service(bundle, folder / "store.db", Clock(MIDNIGHT + 7 * HOUR_US))


def day(of: Service, number: int) -> Explanation:
    """What is decided on a day for a contact of whom the company's size, 5, is known."""
    of.settings.clock.now_us = MIDNIGHT + 7 * HOUR_US + number * DAY_US  # type: ignore[attr-defined]
    of.decide([Ask("ada", f"r-{number}")])
    found = recorded(of.store, f"r-{number}", ZONE, of.seed)
    assert found is not None
    return explained(found, of.policies.bundles.values(), of.catalogs)


@pytest.fixture(scope="module")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Explanation, Explanation]]:
    """Two days under linear scores: the mail goes, and a day later it may not."""
    of = served(tmp_path_factory.mktemp("greedy"), linear(), CORE)
    yield day(of, 0), day(of, 1)
    of.store.close()


def test_the_score_is_that_of_an_unknown_contact_and_what_is_known(
    greedy: tuple[Explanation, Explanation],
) -> None:
    first = greedy[0]
    assert first.action == MAIL
    card = first.reasons
    assert card is not None
    # 10 + 2 x 5 for her, 10 + 2 x 4 where nobody said the size; nothing else moves the score.
    assert (card.score, card.reference_score, card.is_linear) == (20.0, 18.0, True)
    moved = {one.feature: one.to_score for one in card.contributions if one.to_score != 0.0}
    assert moved == {"company_size": 2.0}
    assert card.residual == 0.0
    assert (card.next_best, card.margin) == ("escalate", 17.0)
    assert (card.favourite, card.favourite_forbidden_by) == (MAIL, [])
    text = "\n".join(first.text)
    assert f"gave {MAIL} the score 20: 18 for a contact of whom nothing is known, and +2" in text
    assert "+2: company_size 5 in place of 4" in text
    assert "Next best: escalate; its score is 17 lower." in text


def test_a_favourite_that_a_guardrail_forbids_is_told_with_the_guardrail(
    greedy: tuple[Explanation, Explanation],
) -> None:
    second = greedy[1]
    assert second.action == "escalate"
    card = second.reasons
    assert card is not None
    assert (card.score, card.next_best, card.margin) == (3.0, "pause:1", 2.5)
    assert (card.favourite, card.favourite_score) == (MAIL, 20.0)
    assert card.favourite_forbidden_by == ["minimum_gap"]
    assert any(
        line.startswith(
            f"Without guardrails its favourite was {MAIL} (score 20), forbidden because"
        )
        for line in second.text
    )


def test_parts_of_a_network_sum_to_its_score_and_are_the_same_each_time(tmp_path: Path) -> None:
    of = served(tmp_path, network(Boltzmann(1.0)), HELD)
    for number in range(3):
        told = day(of, number)
        card = told.reasons
        assert card is not None
        assert not card.is_linear
        parts = sum(one.to_score for one in card.contributions)
        assert card.score == pytest.approx(card.reference_score + parts, abs=1e-9)
        assert abs(card.residual) < 1e-12
        best = max(one.to_score for one in card.contributions)
        assert best > 0.0
        # The trust region moved its chances where it says so.
        moved = any("held near what is usual it was" in line for line in told.text)
        assert moved is (card.chance_alone != told.propensity)
        assert moved or number > 0
        found = recorded(of.store, f"r-{number}", ZONE, of.seed)
        assert found is not None
        assert explained(found, of.policies.bundles.values(), of.catalogs) == told
    of.store.close()


def test_of_rules_the_one_that_decided_is_told(tmp_path: Path) -> None:
    rules = {
        "kind": "rules",
        "rules": [
            {"when": {"company_size": ">= 5"}, "do": MAIL},
            {"when": {"company_size": ">= 1"}, "do": "escalate"},
        ],
        "otherwise": "pause:1",
    }
    bundle = write_bundle(tmp_path / "bundle", content(rules), CREATED)
    of = service(bundle, tmp_path / "store.db", Clock(MIDNIGHT + 7 * HOUR_US))
    first, second = day(of, 0), day(of, 1)
    of.store.close()
    assert first.reasons is None
    assert first.rule is not None
    assert (first.rule.place, first.rule.when) == (1, {"company_size": ">= 5"})
    assert (first.rule.values, first.rule.passed_over) == ({"company_size": 5.0}, [])
    assert second.rule is not None
    assert (second.rule.place, second.rule.passed_over) == (2, [1])
    text = "\n".join(second.text)
    assert "Why: rule 2, escalate if company_size >= 1 (it was 5)." in text
    assert "Before it, rule 1 fitted, whose action was forbidden." in text
