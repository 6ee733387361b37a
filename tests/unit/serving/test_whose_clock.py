"""Nobody serves made-up times to people by accident."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from nurture_rl.cli.main import main
from nurture_rl.serving.listening import Listener
from nurture_rl.serving.store import Store
from nurture_rl.serving.store_errors import StoreError
from nurture_rl.serving.whose_clock import keep_to_clock
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.test_api_keys import key_file


@pytest.mark.usefixtures("either_database")
def test_a_store_that_lived_by_the_clock_is_for_no_rehearsal(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "rehearsal.db")) as store:
        keep_to_clock(store, simulated=True)
        keep_to_clock(store, simulated=True)
    with closing(Store(tmp_path / "people.db")) as store:
        keep_to_clock(store, simulated=False)
        with pytest.raises(StoreError, match="lived by this machine's clock"):
            keep_to_clock(store, simulated=True)
        keep_to_clock(store, simulated=False)


def started(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """How a server ends that nobody comes to, and what it says of itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = main(["serve", f"port={port}", *words])
    return code, capsys.readouterr().err


def test_a_rehearsal_says_so_and_is_kept_from_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def over_at_once(self: Listener) -> None:
        """Nobody comes."""

    monkeypatch.setattr(Listener, "serve", over_at_once)
    monkeypatch.setattr("nurture_rl.serving.server._quieten_garbage_collection", lambda: None)
    small_bundle(tmp_path / "bundle")
    bundle, simulated = f"bundle={tmp_path / 'bundle'}", "simulated_clock=true"
    rehearsal, people = f"store={tmp_path / 'r.db'}", f"store={tmp_path / 'p.db'}"
    code, said = started(capsys, bundle, rehearsal, simulated)
    assert code == 0
    assert "serve: simulated_clock lets requests say what time it is" in said
    code, said = started(capsys, bundle, people)
    assert (code, "simulated_clock" in said) == (0, False)
    code, said = started(capsys, bundle, people, simulated)
    assert code == 2
    assert said.startswith("serve: expected a store for rehearsals")
    keys = key_file(tmp_path / "keys", f"decisions {'k' * 40}")
    code, said = started(capsys, bundle, rehearsal, simulated, "host=0.0.0.0", f"keys={keys}")
    assert code == 2
    assert said.startswith("serve: a server on 0.0.0.0 can be reached from other machines")
