"""What people say after they were erased and before they come back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.serving.contacts.mail_permission import permission_of
from nurture_rl.serving.storage.databases import Location
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.erasing import erase_contacts
from tests.unit.serving.contacts import MIDNIGHT, contact, event

LATE = MIDNIGHT + 100_000 * DAY_US  # after any clock of a test's machine


@pytest.mark.parametrize("told", ["apart", "together", "the other way round"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_no_after_the_erasure_outlasts_the_consent_before_it(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, told: str
) -> None:
    """They wrote that they want mail, then that they want none, before a list put them again."""
    location: Location = tmp_path / "store.db"
    if database == "postgresql":
        location = request.getfixturevalue("postgres").fresh_url()
    with closing(Store(location)) as store:
        store.put_contacts([contact("cleo")])
    assert erase_contacts(location, ["cleo"], "asked for") == {"contacts": 1}
    yes = event("consent_given", LATE, "cleo")
    no = event("unsubscribe", LATE + 10, "Cleo")
    with closing(Store(location)) as store:
        for batch in {"apart": [[yes], [no]], "together": [[yes, no]]}.get(told, [[no], [yes]]):
            store.append_events(batch)
        store.put_contacts([contact("cleo")])
        assert permission_of(store.events(["cleo"])["cleo"]).opted_out
        store.append_events([event("consent_given", LATE + 20, "cleo")])
        assert not permission_of(store.events(["cleo"])["cleo"]).opted_out


def test_a_word_of_the_erased_is_kept_as_a_moment_alone(store_file: Path) -> None:
    erase_contacts(store_file, ["cleo"], "asked for")
    with closing(Store(store_file)) as store:
        assert store.append_events([event("complaint", LATE, "cleo", reply_class="stop")]) == 0
        assert store.events(["cleo"]) == {}
        assert store.erased(["cleo"])["cleo"][1] == LATE
        assert store.append_events([event("complaint", LATE - 5, "cleo")]) == 0
        assert store.erased(["cleo"])["cleo"][1] == LATE
    assert b"cleo" not in store_file.read_bytes().lower()
