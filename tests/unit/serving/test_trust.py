"""A server that trusts a key serves what its owner signed, from the start and later."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from litestar.testing import TestClient

from nurture_rl.cli.main import main
from nurture_rl.errors import BundleError
from nurture_rl.release.bundle import write_bundle
from nurture_rl.release.signing import SIGNATURE
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.listening import Listener
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.storage.store import Store
from tests.unit.release.bundles import CREATED, content
from tests.unit.release.signed import key_pair
from tests.unit.serving.contacts import Clock
from tests.unit.serving.lives import served, tell


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers stop as soon as they are ready."""

    async def over_at_once(self: Listener) -> None:
        """Nobody comes."""

    monkeypatch.setattr(Listener, "serve", over_at_once)
    monkeypatch.setattr("nurture_rl.serving.http.server._quieten_garbage_collection", lambda: None)


@pytest.mark.usefixtures("started")
def test_a_start_asks_for_the_signature_and_says_where_nobody_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = key_pair(tmp_path)
    folder = tmp_path / "bundle"
    policy_id = write_bundle(folder, content({"kind": "drip"}), CREATED, private).policy_id
    words = ["serve", f"bundle={folder}", f"store={tmp_path / 's.db'}", f"port={_free()}"]

    def said(*more: str) -> tuple[int, str]:
        code = main([*words, *more])
        return code, capsys.readouterr().err

    assert said(f"trust={public}") == (0, "")
    code, text = said()
    assert code == 0
    assert text.count("\n") == 1
    assert f"bundle {policy_id} has a signature that nobody checks; give trust=FILE" in text
    (folder / SIGNATURE).unlink()
    assert f"bundle {policy_id} is not signed" in said()[1]
    code, text = said(f"trust={public}")
    assert (code, text.count("\n")) == (2, 1)
    assert "expected a bundle signed by the key of" in text


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_what_is_loaded_later_must_be_signed_too(tmp_path: Path) -> None:
    private, public = key_pair(tmp_path)
    first = write_bundle(tmp_path / "all" / "first", content(), CREATED, private)
    for name, key in (("plain", None), ("signed", private)):
        write_bundle(tmp_path / "all" / name, content({"kind": "drip"}), CREATED, key)
    store = Store(tmp_path / "s.db")
    service = served(tmp_path / "all", first, store, Clock(), public)
    with TestClient(create_app(service)) as client:
        assert "signature" in tell(client, "policies", 400, folder="plain")["detail"]
        (_, signed) = tell(client, "policies", folder="signed")["policies"]
        tell(client, f"policies/{signed['policy_id']}/shadow")
    public.unlink()
    again = served(tmp_path / "all", first, store, Clock(), public)
    assert again.policies.lineup.roles.shadow is None  # nobody can say who signed it
    assert "expected a public Ed25519 key" in again.policies.changes[-1].why
    store.close()


@pytest.mark.usefixtures("started")
def test_a_start_that_two_people_must_allow_needs_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (ada, known), (bob, other) = (key_pair(tmp_path, name) for name in ("ada", "bob"))
    (tmp_path / "both.pub").write_bytes(known.read_bytes() + other.read_bytes())
    folder = tmp_path / "bundle"
    write_bundle(folder, content({"kind": "drip"}), CREATED, ada)
    words = ["serve", f"bundle={folder}", f"store={tmp_path / 's.db'}", f"port={_free()}"]
    words += [f"trust={tmp_path / 'both.pub'}", "signers=2"]
    assert main(words) == 2
    assert "expected signatures by 2 of the keys" in capsys.readouterr().err
    assert main(["sign", f"bundle={folder}", f"key={bob}"]) == 0
    assert main(words) == 0
    assert main([*words[:-1], "signers=0"]) == 2
    assert "expected 1 or more people" in capsys.readouterr().err


def test_what_is_loaded_later_needs_both_too(tmp_path: Path) -> None:
    (ada, known), (bob, other) = (key_pair(tmp_path, name) for name in ("ada", "bob"))
    (tmp_path / "both.pub").write_bytes(known.read_bytes() + other.read_bytes())
    first = write_bundle(tmp_path / "all" / "first", content(), CREATED, ada)
    write_bundle(tmp_path / "all" / "next", content({"kind": "drip"}), CREATED, ada)
    folder = BundleFolder(tmp_path / "all", tmp_path / "both.pub", 2)
    with pytest.raises(BundleError, match="expected signatures by 2 of the keys"):
        folder.load("next", first)
    assert main(["sign", f"bundle={tmp_path / 'all' / 'next'}", f"key={bob}"]) == 0
    assert folder.load("next", first).signatures == 2
