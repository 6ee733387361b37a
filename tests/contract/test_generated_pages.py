"""Pages that are made from the code say what the code says now, and leave nothing out."""

from __future__ import annotations

from math import isfinite

import gymnasium
import numpy as np
import pytest

from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.features import Column, described_columns
from nurture_envs.worlds.mail_world import MailWorld
from nurture_rl.cli.configs import CONFIGS
from nurture_rl.ope.named_estimators import ESTIMATORS, SLOW_ESTIMATORS
from nurture_rl.policies.build import build_policy, known_kinds
from tests.contract.test_environments import IDS, legal, vector_env
from tests.unit.policies.planted_journeys import INBOUND, context_of
from tools.make_docs import DOCS, FOLDERS, pages
from tools.pages import environments, policies
from tools.pages.docstrings import listed, told

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).is_file(), "run `make docs`"
    assert (DOCS / name).read_text("utf-8") == PAGES[name], "run `make docs`"


def test_no_page_is_left_of_what_is_gone() -> None:
    found = {str(page.relative_to(DOCS)) for f in FOLDERS for page in (DOCS / f).glob("*.md")}
    assert found == {name for name in PAGES if "/" in name}


def test_every_registered_environment_has_its_page() -> None:
    registered = [name for name in gymnasium.registry if name.startswith("nurture_envs/")]
    assert registered
    assert {f"environments/{environments.file_of(name)}" for name in registered} <= set(PAGES)


def test_every_policy_of_the_config_group_has_its_page() -> None:
    names = [path.stem for path in (CONFIGS / "policy").glob("*.yaml")]
    assert "ppo" in names
    assert {f"policies/{name}.md" for name in names} <= set(PAGES)


def test_every_estimator_that_can_be_asked_has_its_page() -> None:
    names = [*ESTIMATORS, *SLOW_ESTIMATORS]
    assert {f"estimators/{name}.md" for name in names} <= set(PAGES)


def test_every_kind_of_a_description_is_told() -> None:
    assert {*policies.KINDS, "model"} == set(known_kinds())


@pytest.mark.parametrize("kind", policies.EXAMPLES)
def test_a_described_policy_of_the_pages_can_be_built(kind: str) -> None:
    spec = policies.example(kind)
    assert spec["kind"] == kind
    assert build_policy(spec, context_of(INBOUND))


@pytest.mark.parametrize("env_id", IDS)
def test_what_is_seen_stays_within_the_ranges_that_the_page_says(env_id: str) -> None:
    env, rng = vector_env(env_id, 60), np.random.default_rng(0)
    columns = _columns(env)
    low = np.array([column.low for column in columns], np.float32)
    high = np.array([column.high for column in columns], np.float32)
    seen, info = env.reset(seed=3)
    for _ in range(env.simulation.spec.clock.horizon):
        assert (low <= seen).all()
        assert (seen <= high).all()
        seen, _, _, _, info = env.step(legal(info["action_mask"], rng))
    assert [column.name for column in columns] == list(env.feature_names)


@pytest.mark.parametrize("env_id", IDS)
def test_every_attribute_that_is_a_number_has_a_unit_and_a_range(env_id: str) -> None:
    columns = _columns(vector_env(env_id, 1))
    numbers = [column for column in columns if column.meaning.startswith("the attribute")]
    assert numbers
    for column in numbers:
        assert column.unit != "as in the log"
        assert isfinite(column.low)
        assert isfinite(column.high)


def _columns(env: ContactVectorEnv) -> tuple[Column, ...]:
    world = env.simulation.world
    assert isinstance(world, MailWorld)
    return described_columns(env.simulation.spec, world.scales)


def test_a_docstring_is_taken_apart() -> None:
    def thing() -> None:
        """Do it
        all.

            a = b

        Because.

        Args:
            x: the first,
                in two lines.
            y: the other.

        Source: Nobody (2026).
        """

    found = told(thing)
    assert found.summary == "Do it all."
    assert found.body == "```\na = b\n```\n\nBecause."
    assert listed(found.sections["Args"]) == "- `x`: the first, in two lines.\n- `y`: the other."
    assert found.sections["Source"] == "Nobody (2026)."


def test_what_has_no_docstring_is_refused() -> None:
    with pytest.raises(ValueError, match="write one"):
        told(lambda: None)
