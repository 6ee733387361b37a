"""Bad settings fail before any work starts, and name the key."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from nurture_rl.bandits.linear_thompson import LinearThompsonConfig
from nurture_rl.errors import ConfigError
from nurture_rl.rl.ppo import PPOConfig
from nurture_rl.workflow.config import Settings, record, settings
from nurture_rl.workflow.interchange import run_interchange
from nurture_rl.workflow.settings_schema import register_schemas

CONFIGS = Path(__file__).parents[3] / "configs"
SEEDS = ("log", "world", "learner", "evaluation")
ROOTS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "base")


@pytest.fixture(autouse=True)
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


def composed(*overrides: str, root: str = "pipeline") -> Settings:
    return settings(compose(root, overrides=list(overrides)))


@cache
def whole(root: str) -> DictConfig:
    return compose(root)


def changed(*given: str, root: str = "pipeline") -> Settings:
    """As `composed`, of values alone: Hydra takes ten times as long to compose."""
    merged = OmegaConf.merge(whole(root), OmegaConf.from_dotlist(list(given)))
    assert isinstance(merged, DictConfig)
    return settings(merged)


@pytest.mark.slow
@pytest.mark.parametrize("root", ROOTS)
def test_every_root_composes_into_checked_settings(root: str) -> None:
    assert composed(root=root).run.seed == 0


@pytest.mark.parametrize("data", ["hillstrom", "heartsteps", "starbucks_offers"])
def test_every_source_composes(data: str) -> None:
    assert composed(f"data={data}").run.data.name == data


@pytest.mark.parametrize("group", ["data", "experiment", "policy"])
def test_a_pattern_over_a_group_meets_its_files_alone(group: str) -> None:
    files = {path.stem for path in (CONFIGS / group).glob("*.yaml")}
    assert set(GlobalHydra.instance().config_loader().get_group_options(group)) == files


def test_settings_reach_another_process_as_they_are() -> None:
    given = composed("world.members=3", "gap.margins.rate=0.5")
    assert pickle.loads(pickle.dumps(given)) == given


def test_how_many_work_is_in_no_record() -> None:
    assert changed("workers=3").plain == changed("workers=1").plain
    assert changed("checkpoint_every=3").plain == changed("checkpoint_every=1").plain


@pytest.mark.slow
def test_an_experiment_overrides_what_stands_below_it() -> None:
    assert composed("experiment=small").run.data.contacts < composed().run.data.contacts


def test_a_sweep_names_one_policy_beside_what_it_is_compared_with() -> None:
    found = composed("policy=linear_thompson", root="train")
    assert list(found.run.policies) == [found.run.release.reference, "linear_thompson"]


@pytest.mark.slow
def test_seed_zero_is_a_seed_and_a_missing_one_is_refused() -> None:
    assert composed("seed=0").run.seed == 0
    with pytest.raises(ConfigError, match="seed"):
        composed("seed=???")


@pytest.mark.slow
def test_one_seed_sets_all_and_each_can_be_set_apart() -> None:
    assert asdict(composed("seed=3").run.seeds) == dict.fromkeys(SEEDS, 3)
    found = composed("seed=3", "seeds.learner=0").run
    assert asdict(found.seeds) == {**dict.fromkeys(SEEDS, 3), "learner": 0}
    assert found.seed == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_below_zero_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"seeds\.{name}: expected a whole number from 0"):
        changed(f"seeds.{name}=-1")


@pytest.mark.slow
@pytest.mark.parametrize("root", ROOTS)
def test_no_verb_takes_a_seed_below_zero(root: str) -> None:
    with pytest.raises(ConfigError, match="seed: expected a whole number from 0"):
        changed("seed=-1", root=root)
    with pytest.raises(ConfigError, match=r"simulation\.seeds: expected a whole number from 0"):
        changed("simulation.seeds=[1,-2]", root=root)


@dataclass(frozen=True)
class Taken:
    """Settings of several kinds."""

    names: tuple[str, ...] = ()
    day: str | None = None
    share: float = 0.0
    quick: bool = False


def test_settings_are_of_their_kind() -> None:
    made = record(Taken, {"names": ["a", 1], "day": None, "share": 1, "quick": True}, "x")
    assert made == Taken(("a", "1"), None, 1.0, True)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"names": "large"}, r"x\.names: expected a list such as \[large\], got 'large'"),
        ({"names": None}, r"x\.names: expected a list, got null"),
        ({"names": [None]}, r"x\.names: expected str, got null"),
        ({"day": ["monday"]}, r"x\.day: expected str, got \['monday'\]"),
        ({"share": None}, r"x\.share: expected float, got null"),
        ({"share": [1.0]}, r"x\.share: expected float, got \[1\.0\]"),
        ({"quick": "yes"}, r"x\.quick: expected bool, got 'yes'"),
    ],
)
def test_a_setting_of_another_kind_is_told(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        record(Taken, values, "x")


def test_a_misspelt_setting_of_a_learner_is_named_with_what_was_meant() -> None:
    with pytest.raises(
        ConfigError, match=r"policies.ppo.fit.iteration: no such setting.*iterations"
    ):
        composed("+policies.ppo.fit.iteration=3")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("policies.linear_thompson.fit.floor=-1", "floor of LinearThompson must be at least 0"),
        ("policies.ppo.fit.minibatches=0", "minibatches of PPO must be at least 1"),
        ("policies.ppo.fit.hidden=[]", "hidden of PPO must be one layer or more"),
    ],
)
def test_a_value_that_a_learner_refuses_is_told_with_its_key(given: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^{given.rpartition('.')[0]}: {words}"):
        changed(given)


def test_a_value_of_the_wrong_kind_is_named() -> None:
    with pytest.raises(ConfigCompositionException, match=r"world.training.epochs=many"):
        composed("world.training.epochs=many")


def test_a_misspelt_key_of_the_schema_does_not_compose() -> None:
    with pytest.raises(ConfigCompositionException, match="contact"):
        composed("data.contact=3")


@pytest.mark.slow
def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.source: expected one of .* got 'referense'"):
        changed("data.source=referense")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("data.contacts=0", "10 contacts or more, such as 2000, got 0"),
        ("data.held_out=1.0", "a share above 0 and below 1, such as 0.5, got 1.0"),
        ("data.max_refused=2", "a share from 0 to 1, such as 0.1, got 2.0"),
        ("simulation.seeds=[]", r"a seed or more: \[0,1\], got \[\]"),
        ("simulation.contacts=0", "2 or more, got 0"),
        ("threads=0", "1 or more, got 0"),
        ("workers=0", "1 or more, got 0"),
        ("release.level=7", "a confidence level above 0 and below 1, such as 0.95, got 7.0"),
        ("release.margin=-1", "a gain of 0 or more, in the log's unit, got -1.0"),
        ("release.reference=nobody", "one of .*drip, .*logged, got 'nobody'"),
        ("release.rules=ppo", "null, or a policy that learns nothing: expert, .*, got 'ppo'"),
        ("data.trust.max_ratio=0.2", "auto, or a finite ratio of 1 or more, got 0.2"),
        ("data.trust.max_ratio=long", "auto, or a finite ratio of 1 or more, got 'long'"),
        ("data.trust.ratios=[]", r"finite ratios of 1 or more, such as \[2,4,8\], got \[\]"),
        ("data.trust.ratios=[2,0.5]", r"finite ratios of 1 or more, .*, got \[2.0, 0.5\]"),
        ("data.trust.explore=1.5", "a share from 0 to 1, got 1.5"),
        ("ppo.iterations=0", "1 or more, got 0"),
        ("tuned.plays=0", "1 or more, got 0"),
    ],
)
def test_a_number_nothing_can_be_done_with_is_told_with_its_range(
    setting: str, expected: str
) -> None:
    name = re.escape(setting.partition("=")[0])
    with pytest.raises(ConfigError, match=f"^{name}: expected {expected}$"):
        changed(setting)


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        "data.default_zone=Mars/Base",
        "policies.ppo.pessimism=-1.0",
        "policies.drip.pessimism=0.5",
        "release.world=blindly",
        "release.key=no.such.key.pem",
    ],
)
def test_what_nothing_can_be_done_with_is_refused_before_any_work(setting: str) -> None:
    name = setting.partition("=")[0].split(".")[0]
    with pytest.raises(ConfigError, match=name):
        changed(setting)


@pytest.mark.parametrize(
    ("setting", "last", "beyond"),
    [
        ("data.held_out", (0.001, 0.999), (0.0, 1.0)),
        ("data.max_refused", (0.0, 1.0), (-0.001, 1.001)),
        ("data.contacts", (10,), (9,)),
        ("data.trust.max_ratio", (1.0,), (0.999,)),
        ("data.trust.explore", (0.0, 1.0), (-0.001, 1.001)),
        ("simulation.contacts", (2,), (1,)),
        ("simulation.truth_contacts", (2,), (1,)),
        ("release.level", (0.001, 0.999), (0.0, 1.0)),
        ("release.margin", (0.0, 1e9), (-0.001, "inf")),
        ("threads", (1,), (0,)),
        ("workers", (1, "null"), (0,)),
        ("ppo.iterations", (1,), (0,)),
        ("ppo.n_contacts", (1,), (0,)),
        ("tuned.plays", (1,), (0,)),
        ("tuned.contacts", (2,), (0,)),
    ],
)
def test_a_range_ends_where_work_can_no_longer_be_done(
    setting: str, last: tuple[float, ...], beyond: tuple[float | str, ...]
) -> None:
    for value in last:
        changed(f"{setting}={value}")
    for wrong in beyond:
        with pytest.raises(ConfigError, match=setting.split(".")[0]):
            changed(f"{setting}={wrong}")


def test_a_ratio_is_left_to_the_log_by_policies_that_learn_alone() -> None:
    run = composed("policy=cql", "data.trust.max_ratio=auto", root="train").run
    assert run.policies["cql"].spec["max_ratio"] == "auto"
    with pytest.raises(ConfigError, match=r"policies.drip.spec: expected a number for max_ratio"):
        composed("++policies.drip.spec.max_ratio=auto")


def test_a_folders_log_needs_no_number_of_contacts() -> None:
    asked = composed("data=folder", "data.journey=hillstrom", "data.path=log", "data.contacts=0")
    assert (asked.run.data.source, asked.run.data.contacts) == ("folder", 0)


@pytest.mark.slow
def test_the_bar_is_none_or_a_policy_that_learns_nothing() -> None:
    for bar in ("null", "expert", "rules", "drip"):
        assert changed(f"release.rules={bar}").run.release.rules == (None if bar == "null" else bar)
    for bar in ("nobody", "ppo", "linear_thompson"):
        with pytest.raises(ConfigError, match=r"release\.rules"):
            changed(f"release.rules={bar}")
    # A verb without policies releases nothing.
    assert composed("release.rules=nobody", root="ingest").run.policies == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("episodes=reference", "~policy"), "policy: name one that plays"),
        (("episodes=dreamt",), "episodes: expected one of log, learned, reference, got 'dreamt'"),
        (("format=csv",), "format: expected one of minari, d3rlpy, got 'csv'"),
        (("contacts=mine",), "contacts: expected one of training, held_out, all, got 'mine'"),
    ],
)
def test_what_cannot_be_written_for_others_is_refused(given: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run_interchange(compose("interchange", overrides=list(given)))


@pytest.mark.slow
def test_a_world_is_weighted_where_it_is_asked_for() -> None:
    assert composed().world.weighting == "none"
    assert composed("data.weighting=propensity").world.weighting == "propensity"
    assert composed("world.weighting=propensity").world.weighting == "propensity"


@pytest.mark.slow
def test_limits_of_the_reality_gap_are_settings_by_their_names() -> None:
    assert composed("gap.limits.star_events=7").gap.limits.star_events == 7
    with pytest.raises(ConfigError, match=r"gap.limits.star_event: no such setting.*star_events"):
        composed("+gap.limits.star_event=7")


def test_learners_get_their_own_records() -> None:
    found = composed().learners
    assert isinstance(found["ppo"], PPOConfig)
    assert isinstance(found["linear_thompson"], LinearThompsonConfig)
    assert found["drip"] is None


def test_whole_numbers_stand_for_floats_and_lists_for_tuples() -> None:
    made = record(PPOConfig, {"learning_rate": 1, "hidden": [8, 8]}, "fit")
    assert made.learning_rate == 1.0
    assert made.hidden == (8, 8)


def test_settings_and_their_record_hold_what_a_policy_file_says(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("kind: always\naction: exit\n", "utf-8")
    checked = changed(f"policies.drip.spec={path}")
    told = {"kind": "always", "action": "exit"}
    assert checked.run.policies["drip"].spec == told
    assert checked.plain["policies"]["drip"]["spec"] == told
