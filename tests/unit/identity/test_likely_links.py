"""Records without shared keys: people are found again, twins are told apart, bytes are the same."""

from __future__ import annotations

import csv
import gzip
import io
import random
import sys
import time
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from experiments.identity_error.planted_people import planted_people
from nurture_rl.errors import ConfigError, FitError
from nurture_rl.identity.agreement_levels import Differences
from nurture_rl.identity.compared_blocks import crowded_rules, default_blocking
from nurture_rl.identity.compared_values import comparable
from nurture_rl.identity.kept_apart import Apart, accepted_links
from nurture_rl.identity.likely_links import (
    LikelyLink,
    LinkSettings,
    likely_links,
)
from nurture_rl.identity.resolution_scores import PairwiseScores, pairwise_scores
from tests.shared_data import shared_data

KINDS = {
    "first": "name",
    "last": "name",
    "email": "email",
    "phone": "phone",
    "company": "company",
    "postcode": "postcode",
}
SETTINGS = LinkSettings(KINDS, default_blocking(KINDS), 0.5)
PLANTED = planted_people(150, seed=3)


def records_of(rows: Sequence[dict[str, str]], kinds: dict[str, str]) -> pa.Table:
    columns = {
        name: pa.array([comparable(row[name], kind) for row in rows], pa.string())
        for name, kind in kinds.items()
    }
    names = [f"r{i:05d}" for i in range(len(rows))]
    return pa.table({"contact": names, "known_at": np.zeros(len(rows), np.int64), **columns})


def scored(links: Sequence[LikelyLink], truth: Sequence[str], threshold: float) -> PairwiseScores:
    kept = [link for link in links if link.probability >= threshold]
    ends = [
        [int(name[1:]) for name in side]
        for side in zip(*((one.left, one.right) for one in kept), strict=True)
    ]
    graph = coo_array((np.ones(len(kept)), tuple(ends)), shape=(len(truth), len(truth)))
    _, found = connected_components(graph, directed=False)
    return pairwise_scores(found.astype(str), truth)


@pytest.fixture(scope="module")
def planted_links() -> list[LikelyLink]:
    return likely_links(records_of(PLANTED.rows, KINDS), SETTINGS)


def first_names_apart() -> Apart:
    """Nobody has two first names."""
    said = [comparable(row["first"], "name") for row in PLANTED.rows]
    values = {
        f"r{i:05d}": {"first": frozenset({name})} for i, name in enumerate(said) if name is not None
    }
    return Apart((), values, Differences(KINDS))


@pytest.mark.slow
def test_planted_people_are_found_again(planted_links: list[LikelyLink]) -> None:
    taken, _ = accepted_links(planted_links, first_names_apart())
    scores = scored(taken, PLANTED.person, 0.99)
    assert scores.precision > 0.99
    assert scores.recall > 0.95


@pytest.mark.slow
def test_twins_are_one_person_unless_first_names_must_not_differ(
    planted_links: list[LikelyLink],
) -> None:
    twins = [link for link in planted_links if "first: different" in link.levels]
    assert len(twins) >= 5
    taken, refused = accepted_links(planted_links, first_names_apart())
    assert {one.reason.column for one in refused} == {"first"}
    assert not [link for link in taken if link in twins]


@pytest.mark.slow
def test_the_order_of_the_records_changes_nothing(planted_links: list[LikelyLink]) -> None:
    order = list(range(len(PLANTED.rows)))
    random.Random(1).shuffle(order)
    shuffled = records_of(PLANTED.rows, KINDS).take(pa.array(order))
    assert likely_links(shuffled, SETTINGS) == planted_links


@pytest.mark.slow
def test_sites_of_public_lists_are_found_again() -> None:
    path = shared_data("identity_early_childhood") / "records_with_true_ids.csv.gz"
    with gzip.open(path) as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")))
    kinds = {"Site name": "company", "Address": "address", "Zip": "postcode", "Phone": "phone"}
    settings = LinkSettings(kinds, default_blocking(kinds), 0.5)
    links = likely_links(records_of(rows, kinds), settings)
    truth = [row["True Id"] for row in rows]
    strict, loose = scored(links, truth, 0.99), scored(links, truth, 0.9)
    assert strict.precision > 0.9
    assert strict.recall > 0.8
    assert loose.recall > 0.9
    assert loose.precision > 0.84


def test_without_splink_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "splink", None)
    with pytest.raises(ConfigError, match=r'pip install "nurture-rl\[identity\]"'):
        likely_links(records_of(PLANTED.rows, KINDS), SETTINGS)


def test_a_handful_of_records_teaches_nothing() -> None:
    with pytest.raises(
        FitError, match=r"at least 20 records .* got 7; name pairs under `the_same`"
    ):
        likely_links(records_of(PLANTED.rows[:7], KINDS), SETTINGS)


def test_addresses_and_telephones_block_alone_and_other_columns_in_twos() -> None:
    kinds = {"mail": "email", "name": "name", "zip": "postcode", "firm": "company"}
    told = [
        [f"{part.column}:{part.signs}" if part.signs else part.column for part in rule]
        for rule in default_blocking(kinds)
    ]
    assert told == [["mail"], ["name:4", "zip"], ["name:4", "firm:4"], ["zip", "firm:4"]]


@pytest.mark.parametrize(
    ("kind", "text", "meant"),
    [
        ("email", " Ada+news@Example.COM ", "ada@example.com"),
        ("email", "not given", None),
        ("name", "Zoë  O'Brien-Łuk", "zoe obrien łuk"),
        ("phone", "+49 (0)89 / 123 45-67", "490891234567"),
        ("phone", "0049 89 1234567", "49891234567"),
        ("phone", "110", None),
        ("company", "Müller & Söhne GmbH & Co. KG", "muller sohne"),
        ("company", "AG", "ag"),
        ("address", "12 North Hauptstraße", "12 n hauptstrasse"),
        ("address", "5 Elm Street", "5 elm st"),
        ("postcode", "sw1a 1aa", "SW1A1AA"),
        ("exact", "  ", None),
    ],
)
def test_values_are_compared_without_ornament(kind: str, text: str, meant: str | None) -> None:
    assert comparable(text, kind) == meant


@pytest.mark.slow
def test_a_telephone_of_ten_thousand_rows_is_not_compared_and_others_are_found() -> None:
    """A switchboard's number: each with each would be 5 * 10^7 pairs."""
    rows = [
        {
            **row,
            "email": f"a{i}@x{i}.com",
            "phone": "089 1234567",
            "first": f"f{i}",
            "last": f"l{i}",
        }
        for i, row in enumerate(PLANTED.rows * (10_000 // len(PLANTED.rows) + 1))
    ]
    given = records_of([*PLANTED.rows, *rows], KINDS)
    began = time.process_time()
    links = likely_links(given, SETTINGS)
    assert time.process_time() - began < 60
    assert crowded_rules(given, SETTINGS.blocking)[0] == f"phone ({len(rows):,} rows)"
    own = [one for one in links if max(one.left, one.right) < f"r{len(PLANTED.rows):05d}"]
    assert scored(own, PLANTED.person, 0.99).recall > 0.8
