"""Keys to contacts: who is one person, since when we know, and which keys say nothing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.identity.resolve import (
    FROM_THE_START,
    Identities,
    KeyedRecords,
    MergedContact,
    assign_contacts,
    resolve_identities,
)


def records(*rows: tuple[list[str], int]) -> KeyedRecords:
    """Records of (keys, microsecond at which they became known)."""
    lengths = [len(keys) for keys, _ in rows]
    return KeyedRecords(
        record=np.repeat(np.arange(len(rows)), lengths),
        key=pa.array([key for keys, _ in rows for key in keys], pa.string()),
        known_at=np.array([known for _, known in rows], dtype=np.int64),
    )


def contact_of(identities: Identities) -> dict[str, str | None]:
    pairs = zip(identities.key.to_pylist(), identities.contact_id.to_pylist(), strict=True)
    return dict(pairs)


def linked_at(identities: Identities) -> dict[str, int]:
    pairs = zip(identities.key.to_pylist(), identities.linked_at.tolist(), strict=True)
    return dict(pairs)


def test_keys_linked_through_a_third_key_are_one_contact() -> None:
    found = contact_of(
        resolve_identities(
            records((["cookie:1", "email:a"], 10), (["email:a", "crm:7"], 20), (["cookie:2"], 5))
        )
    )
    assert found["cookie:1"] == found["email:a"] == found["crm:7"]
    assert found["cookie:2"] != found["cookie:1"]


def test_an_explicit_contact_id_names_its_component() -> None:
    found = contact_of(resolve_identities(records((["id:anna", "cookie:1"], 1))))
    assert found == {"id:anna": "anna", "cookie:1": "anna"}


def test_several_explicit_ids_become_the_smallest_and_the_merge_is_listed() -> None:
    identities = resolve_identities(
        records((["id:zoe", "email:a"], 1), (["id:bea", "email:a"], 2), (["id:mia", "email:a"], 3))
    )
    assert set(contact_of(identities).values()) == {"bea"}
    assert identities.merged == (MergedContact("bea", ("mia", "zoe")),)


def test_a_key_is_known_from_the_time_its_chain_of_links_is_complete() -> None:
    # cookie:9 meets cookie:1 at 40, cookie:1 meets the address at 30, the address meets anna at 70.
    identities = resolve_identities(
        records(
            (["cookie:1"], 5),
            (["cookie:1", "email:a"], 30),
            (["cookie:9", "cookie:1"], 40),
            (["email:a", "id:anna"], 70),
        )
    )
    assert linked_at(identities) == {
        "id:anna": FROM_THE_START,
        "email:a": 70,
        "cookie:1": 70,
        "cookie:9": 70,
    }


def test_the_earliest_of_two_chains_counts_even_if_it_is_longer() -> None:
    # Straight: 90. Through the phone: max(20, 50) = 50.
    identities = resolve_identities(
        records(
            (["cookie:1", "id:anna"], 90),
            (["cookie:1", "phone:3"], 20),
            (["phone:3", "id:anna"], 50),
        )
    )
    assert linked_at(identities)["cookie:1"] == 50
    assert linked_at(identities)["phone:3"] == 50


def test_the_earliest_sighting_of_a_pair_is_the_time_of_its_link() -> None:
    identities = resolve_identities(
        records((["cookie:1", "id:anna"], 90), (["cookie:1", "id:anna"], 8))
    )
    assert linked_at(identities)["cookie:1"] == 8


def test_a_link_of_a_contact_row_was_always_known() -> None:
    identities = resolve_identities(
        records((["email:a", "id:anna"], FROM_THE_START), (["email:a", "cookie:1"], 4))
    )
    assert linked_at(identities)["email:a"] == FROM_THE_START
    assert linked_at(identities)["cookie:1"] == 4


def test_the_bottleneck_agrees_with_trying_every_path() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        rows = [
            ([f"k:{a}", f"k:{b}"], int(time))
            for a, b, time in zip(
                rng.integers(0, 9, 14), rng.integers(0, 9, 14), rng.integers(1, 60, 14), strict=True
            )
        ]
        identities = resolve_identities(records(*rows))
        reached = np.full((9, 9), 10**6)
        np.fill_diagonal(reached, -1)
        for (left, right), time in rows:
            a, b = int(left[2:]), int(right[2:])
            if a != b:
                reached[a, b] = reached[b, a] = min(reached[a, b], time)
        for middle in range(9):  # Floyd and Warshall, with max in the place of +
            through = np.maximum(reached[:, [middle]], reached[[middle], :])
            reached = np.minimum(reached, through)
        for key, time in linked_at(identities).items():
            own = int(key[2:])
            # With no explicit id the root is the smallest key that can be reached.
            root = int(np.flatnonzero(reached[own] < 10**6)[0])
            assert time == (FROM_THE_START if own == root else reached[own, root])


def test_a_key_shared_by_too_many_links_nobody() -> None:
    kiosk = [(["cookie:kiosk", f"email:{n}"], n) for n in range(4)]
    identities = resolve_identities(records(*kiosk), max_degree=3)
    found = contact_of(identities)
    assert found.pop("cookie:kiosk") is None
    assert len(set(found.values())) == 4
    # Negative control: one neighbour fewer than the limit forbids, and all are one contact.
    assert len(set(contact_of(resolve_identities(records(*kiosk), max_degree=4)).values())) == 1


def test_an_explicit_id_with_many_keys_is_still_a_contact() -> None:
    rows = [(["id:anna", f"cookie:{n}"], n) for n in range(9)]
    assert set(contact_of(resolve_identities(records(*rows), max_degree=3)).values()) == {"anna"}


def test_a_record_with_only_shared_keys_has_no_contact_and_others_keep_theirs() -> None:
    given = records(
        *((["cookie:kiosk", f"email:{n}"], n) for n in range(4)),
        (["cookie:kiosk"], 9),
    )
    assigned = assign_contacts(given, resolve_identities(given, max_degree=3))
    named = assigned.contact_id.to_pylist()
    assert named[4] is None
    assert len(set(named[:4])) == 4
    assert None not in named[:4]


def test_an_event_before_the_link_is_assigned_with_the_time_of_the_link() -> None:
    given = records((["cookie:1"], 5), (["cookie:1", "id:anna"], 30), (["id:anna"], 7))
    assigned = assign_contacts(given, resolve_identities(given))
    assert assigned.contact_id.to_pylist() == ["anna", "anna", "anna"]
    assert np.maximum(assigned.linked_at, given.known_at).tolist() == [30, 30, 7]


def test_the_order_of_records_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    rows = [([f"cookie:{rng.integers(9)}", f"email:{rng.integers(9)}"], int(t)) for t in range(12)]
    forward = resolve_identities(records(*rows))
    backward = resolve_identities(records(*[(keys[::-1], t) for keys, t in rows[::-1]]))
    assert contact_of(forward) == contact_of(backward)
    assert linked_at(forward) == linked_at(backward)


def test_no_records_give_no_identities() -> None:
    identities = resolve_identities(records())
    assert len(identities.key) == 0
    assert identities.merged == ()


def test_keys_without_records_are_refused() -> None:
    with pytest.raises(ShapeError, match="one record per key occurrence"):
        KeyedRecords(np.zeros(2, dtype=np.int64), pa.array(["a:1"]), np.zeros(1, dtype=np.int64))
