"""What follows from a record is worked out once for it, and never for another one."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace

from nurture_envs.once import once


@dataclass(frozen=True)
class Pair:
    first: int
    second: int


worked: list[Pair] = []


@once
def total(pair: Pair) -> int:
    worked.append(pair)
    return pair.first + pair.second


@once
def difference(pair: Pair) -> int:
    return pair.first - pair.second


def test_a_record_is_worked_for_once() -> None:
    pair = Pair(2, 3)
    before = len(worked)
    assert [total(pair), total(pair), total(pair)] == [5, 5, 5]
    assert len(worked) == before + 1


def test_two_functions_of_a_record_have_answers_of_their_own() -> None:
    pair = Pair(2, 3)
    assert (total(pair), difference(pair), total(pair)) == (5, -1, 5)


def test_a_record_made_from_another_begins_without_answers() -> None:
    pair = Pair(2, 3)
    assert total(pair) == 5
    assert total(replace(pair, second=10)) == 12


def test_a_record_with_answers_equals_one_without_and_can_be_pickled() -> None:
    pair = Pair(2, 3)
    total(pair)
    assert pair == Pair(2, 3)
    assert total(pickle.loads(pickle.dumps(pair))) == 5
