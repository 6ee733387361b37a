"""The seeds study: one record a seed, resumed; and what several of them show together."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from experiments.demo_seeds.study import (
    Paired,
    SeedPolicy,
    SeedRecord,
    read_record,
    recorded,
    settings_hash,
)
from experiments.demo_seeds.tables import (
    gate_sentence,
    gate_table,
    policy_table,
    release_of,
    report,
)
from nurture_rl.errors import ConfigError
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.settings_schema import register_schemas

CONFIGS = Path(__file__).parents[3] / "configs"
STUDY = Path(__file__).parents[3] / "experiments" / "demo_seeds"


@cache
def usual() -> str:
    """The hash of the settings as they are."""
    return settings_hash(given())


def given(*overrides: str) -> Settings:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("pipeline", overrides=list(overrides)))


BAR = 50.0


def played(truth: float, difference: float, verdict: str = "better") -> SeedPolicy:
    """A policy whose value is known to 2 EUR and whose differences to 1 EUR; the bar earns 50."""
    low, high = difference - 1.0, difference + 1.0
    over = None if truth == BAR else Paired(truth - BAR, truth - BAR - 1.0, truth - BAR + 1.0)
    value = (truth, truth - 2.0, truth + 2.0)
    return SeedPolicy(*value, difference, low, high, over, truth - 4.0, verdict)


def record(seed: int = 0, passed: bool = True, candidate: str | None = "ppo") -> SeedRecord:
    return SeedRecord(
        seed=seed,
        unit="EUR",
        reference="drip",
        learned=("ppo",),
        policies={
            "drip": played(36.0, 0.0, "cannot_tell_yet"),
            "expert": played(BAR, 14.0, "cannot_tell_yet"),
            "ppo": played(52.0, 16.0),
        },
        gate={"candidate": candidate, "passed": passed, "reasons": [], "bar": {"name": "expert"}},
        trust="trust_for_ranking",
        settings=usual(),
    )


def test_a_seed_is_run_once_and_read_back_as_it_was(tmp_path: Path) -> None:
    made: list[int] = []
    said: list[str] = []

    def make(checked: Settings, say: Any) -> SeedRecord:
        made.append(checked.run.seed)
        return record(checked.run.seed)

    first = recorded(tmp_path / "out", given("seed=4"), said.append, make)
    again = recorded(tmp_path / "out", given("seed=4", "runs=elsewhere"), said.append, make)
    assert made == [4]
    assert first == again == record(4)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["seed-4.json"]
    assert said[-1].startswith("seed 4: recorded before")


def test_a_seed_that_breaks_off_leaves_no_record(tmp_path: Path) -> None:
    def broken(checked: Settings, say: Any) -> SeedRecord:
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="no"):
        recorded(tmp_path, given(), lambda line: None, broken)
    assert list(tmp_path.iterdir()) == []


def test_a_record_of_other_settings_or_of_nothing_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path, given(), lambda line: None, lambda checked, say: record())
    with pytest.raises(ConfigError, match=r"seed-0\.json is of other settings"):
        recorded(tmp_path, given("release.margin=1.0"), lambda line: None, lambda *_: record())
    (tmp_path / "seed-0.json").write_text("{}", "utf-8")
    with pytest.raises(ConfigError, match="expected the record of one seed, got KeyError"):
        recorded(tmp_path, given(), lambda line: None, lambda *_: record())


def against(**policies: SeedPolicy) -> SeedRecord:
    return replace(record(), policies={**record().policies, **policies})


@pytest.mark.parametrize(
    ("found", "better", "worse", "right"),
    [
        (record(), True, False, True),
        (record(passed=False), True, False, False),
        (against(ppo=played(49.1, 13.1)), True, False, True),  # up to 0.1 more than the expert
        (against(ppo=played(48.9, 12.9)), True, True, False),  # 0.1 less at best
        (against(ppo=played(36.9, 0.9)), False, True, False),
        (record(candidate=None, passed=False), None, None, False),
    ],
)
def test_a_release_is_right_where_the_truth_says_better_and_no_worse_than_the_bar(
    found: SeedRecord, better: bool | None, worse: bool | None, right: bool
) -> None:
    release = release_of(found)
    assert (release.better, release.worse, release.right) == (better, worse, right)
    assert release.bar == "expert"


def with_bar(name: str | None, **policies: SeedPolicy) -> SeedRecord:
    found = against(**policies)
    return replace(found, gate={**found.gate, "bar": {"name": name, "reason": "why"}})


def test_a_release_is_held_against_the_bar_that_its_own_gate_took() -> None:
    below = replace(played(52.0, 16.0), over_bar=Paired(-38.0, -39.0, -37.0))
    release = release_of(with_bar("rules", rules=played(90.0, 54.0), ppo=below))
    assert (release.bar, release.worse, release.right) == ("rules", True, False)
    assert release_of(with_bar("expert", rules=played(90.0, 54.0))).right
    alone = release_of(with_bar(None, ppo=replace(played(52.0, 16.0), over_bar=None)))
    assert (alone.bar, alone.worse, alone.right) == (None, None, True)


def test_seeds_with_bars_of_their_own_say_how_often_each_was_the_bar() -> None:
    other = with_bar("rules", rules=played(40.0, 4.0))
    page = report([record(), replace(other, seed=1), replace(with_bar(None), seed=2)])
    assert "worse than its run's bar (`expert` in 1 seed, `rules` in 1 seed)." in page
    assert "truly worse than `expert`." in report([record(), record(1)])
    assert "truly worse than" not in report([with_bar(None)])


def test_a_record_whose_bar_was_not_played_is_refused(tmp_path: Path) -> None:
    for broken in (with_bar("rules"), replace(record(), gate={"candidate": "ppo"})):
        (tmp_path / "seed-0.json").write_text(json.dumps(asdict(broken)), "utf-8")
        with pytest.raises(ConfigError, match="expected the record of one seed, got KeyError"):
            recorded(tmp_path, given(), lambda line: None, lambda *_: record())


def test_the_tables_give_mean_and_range_over_seeds_and_count_verdicts() -> None:
    other = against(ppo=played(45.0, 9.0, "cannot_tell_yet"))
    lines = policy_table([record(), replace(other, seed=1)]).splitlines()
    assert lines[-1] == (
        "| `ppo` | 48.5 (45.0 to 52.0) | +12.5 (+9.0 to +16.0) | 44.5 (41.0 to 48.0) | "
        "better 1, cannot tell yet 1 |"
    )
    assert lines[2] == ("| `drip` | 36.0 (36.0 to 36.0) |  | 32.0 (32.0 to 32.0) | the reference |")
    page = report([record(), replace(other, seed=1), record(2, passed=False)])
    assert "The gate passed in 2 of 3 seeds, rightly in 1:" in page
    gate = gate_table([record(), replace(other, seed=1), record(2, False, None)]).splitlines()
    assert gate[2].endswith("| `ppo` | passed, rightly | 52.0 | better | no worse than `expert` |")
    assert gate[3].endswith("| `ppo` | passed, wrongly | 45.0 | better | worse than `expert` |")
    assert gate[4] == "| 2 | trust for ranking | none | refused |  |  |  |"


def test_a_plain_program_that_was_enough_is_told_apart_from_a_refusal() -> None:
    gate = {**record().gate, "passed": False, "verdict": "rules_are_enough"}
    wrong = replace(record(), gate=gate)  # ppo earns 2 EUR more, and at least 1
    right = replace(against(ppo=played(50.9, 14.9)), gate=gate)  # or 0.1 less
    assert "refused, wrongly: `expert` is enough" in gate_table([wrong])
    assert "refused, rightly: `expert` is enough" in gate_table([right])
    page = report([wrong, right, record(1, passed=False)])
    assert "in 0 of 3 seeds" in page
    assert "In 2 more it found a plain program enough, rightly in 1:" in page
    released = {**gate, "passed": True, "verdict": "released"}
    assert "plain program" not in report([replace(record(), gate=released)])


def test_how_often_the_program_is_bundled_is_told_beside_how_often_it_was_enough() -> None:
    gate = {**record().gate, "passed": False, "verdict": "rules_are_enough"}
    bundled = replace(record(), gate={**gate, "exported": "expert"})
    stay = replace(record(1), gate={**gate, "exported": None})
    refused = record(2, passed=False)
    unfit = replace(record(3, passed=False), trust="do_not_trust")
    told = gate_sentence([bundled, bundled, stay, refused, unfit])
    assert told.endswith(
        " In 2 of these 3 the bundle holds `expert`; in 1 the learned world does not show the "
        "program above `drip` either, and the advice is to stay with `drip`. In the other 2 "
        "nothing is released, in 1 of them since the learned world was found unfit to judge."
    )
    assert gate_sentence([bundled, unfit]).endswith(
        " In 1 of these 1 the bundle holds `expert`. In the other 1 the learned world was found "
        "unfit to judge, and nothing is released."
    )
    assert gate_sentence([refused]).endswith(" In all 1 nothing is released.")
    assert "the bundle holds" not in gate_sentence([record(), refused])
    rows = gate_table([bundled, stay]).splitlines()
    assert "`expert` is enough, and bundled |" in rows[2]
    assert "`expert` is enough |" in rows[3]


def test_the_readme_and_the_recorded_page_say_what_the_records_print() -> None:
    found = [read_record(STUDY / "records" / f"seed-{seed}.json") for seed in range(10)]
    page = (STUDY / "README.md").read_text("utf-8")
    readme = (STUDY.parents[1] / "README.md").read_text("utf-8")
    for told in (policy_table(found), gate_sentence(found)):
        assert told in page
        assert told in readme
    assert gate_table(found) in page
    assert {one.settings for one in found} == {usual()}  # so that the command resumes them


def test_the_page_of_the_null_world_says_what_its_records_print() -> None:
    found = [read_record(STUDY / "null_records" / f"seed-{seed}.json") for seed in range(4)]
    page = (STUDY.parents[1] / "docs" / "worlds.md").read_text("utf-8")
    assert policy_table(found) in page
    assert gate_sentence(found) in page
    assert {one.settings for one in found} == {settings_hash(given("data=null_lead"))}


def test_a_policy_that_some_seeds_lack_says_in_how_many_it_was() -> None:
    few = {name: one for name, one in record().policies.items() if name != "expert"}
    assert "`expert` (in 1 of 2)" in policy_table([record(), replace(record(1), policies=few)])
    assert asdict(record())["gate"]["candidate"] == "ppo"
