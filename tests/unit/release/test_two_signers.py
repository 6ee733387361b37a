"""Where two people must sign, one of them alone releases nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.journey_file import parse_journey
from nurture_rl.errors import BundleError, ConfigError, JourneyError
from nurture_rl.papers.trigger_paper import trigger_paper
from nurture_rl.release.bundle import load_bundle, load_served, write_bundle
from nurture_rl.release.signing import SIGNATURE, fingerprint
from nurture_rl.workflow.sign_verb import SignOptions, sign
from tests.unit.release.bundles import CREATED, content, journey
from tests.unit.release.signed import key_pair


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of ada, bob and eve; `both.pub` holds those of the first two."""
    folder = tmp_path_factory.mktemp("people")
    for name in ("ada", "bob", "eve"):
        key_pair(folder, name)
    texts = [(folder / f"{name}.pub").read_bytes() for name in ("ada", "bob")]
    (folder / "both.pub").write_bytes(b"".join(texts))
    (folder / "twice.pub").write_bytes(texts[0] * 2)
    return folder


def bundle(folder: Path, key: Path, signers: int = 1) -> Path:
    """Signed once, of a journey that so many people must sign."""
    own = parse_journey({**journey().resolved, "signers": signers})
    write_bundle(folder, replace(content(), journey=own), CREATED, key)
    return folder


def sign_too(folder: Path, key: Path) -> Any:
    return sign(SignOptions(bundle=str(folder), key=str(key))).made


@pytest.mark.parametrize("by", ["journey", "server"])
def test_one_signature_of_two_is_refused_and_the_second_persons_lets_it_pass(
    by: str, people: Path, tmp_path: Path
) -> None:
    folder = bundle(tmp_path / "b", people / "ada.pem", 2 if by == "journey" else 1)
    asked = 1 if by == "journey" else 2
    with pytest.raises(
        BundleError, match=r"expected signatures by 2 of the keys .*got 1; let some"
    ):
        load_served(folder, people / "both.pub", asked)
    made = sign_too(folder, people / "bob.pem")
    assert made["signatures"] == 2
    assert made["signed_by"] == fingerprint(people / "bob.pem")
    assert load_served(folder, people / "both.pub", asked).signatures == 2


def test_who_signs_twice_is_one_person(people: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", people / "ada.pem", 2)
    with pytest.raises(ConfigError, match=r"has signed .* already; somebody else has to sign it"):
        sign_too(folder, people / "ada.pem")
    path = folder / SIGNATURE
    path.write_bytes(path.read_bytes() * 2)  # as somebody would who edits it knowingly
    with pytest.raises(BundleError, match=r"by 2 of the keys .*got 1"):
        load_served(folder, people / "both.pub")


def test_a_signature_by_somebody_unknown_does_not_count(people: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", people / "ada.pem", 2)
    sign_too(folder, people / "eve.pem")
    with pytest.raises(BundleError, match=r"by 2 of the keys .*got 1"):
        load_served(folder, people / "both.pub")
    sign_too(folder, people / "bob.pem")
    assert load_served(folder, people / "both.pub").signatures == 3


def test_a_key_that_stands_twice_in_a_file_is_one(people: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", people / "ada.pem", 2)
    with pytest.raises(ConfigError, match=r"expected 2 different public keys .*got 1"):
        load_served(folder, people / "twice.pub")


def test_any_of_several_known_people_may_be_the_one(people: Path, tmp_path: Path) -> None:
    for name in ("ada", "bob"):
        folder = bundle(tmp_path / name, people / f"{name}.pem")
        assert load_served(folder, people / "both.pub").signatures == 1
    folder = bundle(tmp_path / "eve", people / "eve.pem")
    with pytest.raises(BundleError, match="did not sign this manifest"):
        load_served(folder, people / "both.pub")


def test_a_server_without_keys_serves_no_bundle_that_two_must_sign(
    people: Path, tmp_path: Path
) -> None:
    folder = bundle(tmp_path / "b", people / "ada.pem", 2)
    sign_too(folder, people / "bob.pem")
    with pytest.raises(BundleError, match=r"2 people must sign .*give trust=FILE"):
        load_served(folder, None)
    with pytest.raises(BundleError, match="2 people must sign"):
        load_served(bundle(tmp_path / "c", people / "ada.pem"), None, 2)
    assert load_bundle(folder).signatures == 2, "to look at it nobody has to be trusted"


def test_a_journey_whose_sign_off_was_taken_out_is_refused_where_the_server_asks(
    people: Path, tmp_path: Path
) -> None:
    folder = bundle(tmp_path / "b", people / "eve.pem", 1)  # eve left `signers` out, and signed
    with pytest.raises(BundleError, match="did not sign this manifest"):
        load_served(folder, people / "both.pub", 2)


def test_a_changed_bundle_gets_no_second_signature(people: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", people / "ada.pem", 2)
    card = folder / "card.md"
    card.write_bytes(card.read_bytes() + b"\n")
    with pytest.raises(BundleError, match=r"card\.md"):
        sign_too(folder, people / "bob.pem")


def test_a_file_of_signatures_that_was_cut_takes_no_further_one(
    people: Path, tmp_path: Path
) -> None:
    folder = bundle(tmp_path / "b", people / "ada.pem", 2)
    (folder / SIGNATURE).write_bytes((folder / SIGNATURE).read_bytes()[:-1])
    with pytest.raises(ConfigError, match="expected signatures of 64 bytes each, got 63 bytes"):
        sign_too(folder, people / "bob.pem")


def test_a_number_of_people_that_is_none_is_refused(people: Path, tmp_path: Path) -> None:
    with pytest.raises(JourneyError, match=r"signers: expected a whole number >= 1"):
        parse_journey({**journey().resolved, "signers": 0})


def test_the_papers_say_who_signed_and_how_many_must(people: Path, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", people / "ada.pem", 2)
    plain = dict(trigger_paper(load_bundle(folder), folder).seal)["Signed"]
    assert plain == (
        "1 signature, by keys that were not asked about; 2 people must sign, says the journey"
    )
    sign_too(folder, people / "bob.pem")
    told = trigger_paper(load_bundle(folder), folder, people / "both.pub")
    names = ", ".join(fingerprint(people / f"{name}.pem") for name in ("ada", "bob"))
    assert dict(told.seal)["Signed"] == (
        f"2 signatures, by the known keys {names}; 2 people must sign, says the journey"
    )
