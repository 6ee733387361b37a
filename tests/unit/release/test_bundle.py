"""A bundle loads when every byte is as written and the policy still answers alike, not else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.journey_file import parse_journey
from nurture_rl.errors import BundleError
from nurture_rl.release import manifest as names
from nurture_rl.release.bundle import load_bundle, write_bundle
from nurture_rl.release.pyfunc import _load_pyfunc
from tests.unit.release.bundles import CREATED, content, small_bundle

TRUSTED = {"kind": "trust_region", "max_ratio": 4.0, "explore": 0.05, "anchor": "random"}
FILES = ("manifest.json", "journey.json", "policy.json", "parity.json", "card.json", "card.md")


def _reseal(folder: Path, **changes: Any) -> None:
    """Write the manifest anew, as somebody would who edits a bundle knowingly."""
    sealed = names.decode_manifest((folder / names.MANIFEST).read_bytes())
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != names.MANIFEST}
    hashes = {name: names.sha256(data) for name, data in files.items()}
    sealed = replace(sealed, files=hashes, policy_id=names.policy_id(files))
    (folder / names.MANIFEST).write_bytes(names.encode_manifest(replace(sealed, **changes)))


@pytest.mark.slow
def test_a_loaded_bundle_decides_like_the_written_one(tmp_path: Path) -> None:
    written = small_bundle(tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle")
    states = content().states
    expected = written.policy.action_probabilities(states.features, states.mask)
    found = loaded.policy.action_probabilities(states.features, states.mask)
    assert np.array_equal(found, expected)
    assert sorted(p.name for p in (tmp_path / "bundle").iterdir()) == sorted(FILES)
    assert loaded.journey.name == "inbound_lead"
    assert loaded.card["title"] == "A test policy"


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "expert"},
        {
            "kind": "rules",
            "rules": [{"when": {"company_size": ">= 2.5"}, "do": "send:pricing_guide@15"}],
            "otherwise": "pause:3",
        },
    ],
)
def test_programs_of_rules_are_exported_without_a_model(tmp_path: Path, spec: Any) -> None:
    composed = {**TRUSTED, "policy": spec}
    written = write_bundle(tmp_path / "bundle", content(composed), CREATED)
    loaded = load_bundle(tmp_path / "bundle")
    states = content().states
    found = loaded.policy.action_probabilities(states.features, states.mask)
    expected = written.policy.action_probabilities(states.features, states.mask)
    assert np.array_equal(found, expected)
    assert loaded.policy.spec()["policy"] == spec
    assert "model.onnx" not in {path.name for path in (tmp_path / "bundle").iterdir()}


@pytest.mark.slow
def test_the_policy_id_follows_from_what_decides_and_from_nothing_else(tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "a", content(), CREATED)
    later = write_bundle(tmp_path / "b", content(), CREATED.replace(year=2028))
    other = write_bundle(tmp_path / "c", content({"kind": "drip"}), CREATED)
    assert first.policy_id == later.policy_id != other.policy_id


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused_and_the_file_named(tmp_path: Path, name: str) -> None:
    small_bundle(tmp_path / "bundle")
    path = tmp_path / "bundle" / name
    data = path.read_bytes()
    for position in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(BundleError, match=name):
            load_bundle(tmp_path / "bundle")
    path.write_bytes(data)
    load_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    small_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(tmp_path / "bundle")


def test_an_unknown_file_is_refused(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "extra.pkl").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.pkl: the manifest does not know"):
        load_bundle(tmp_path / "bundle")


def test_a_policy_that_answers_otherwise_than_at_export_is_refused(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    path = tmp_path / "bundle" / "parity.json"
    data = json.loads(path.read_bytes())
    row = max(range(64), key=lambda i: sum(data["mask"][i]))
    first, second = [i for i, p in enumerate(data["probabilities"][row]) if p > 1e-3][:2]
    data["probabilities"][row][first] += 2e-5
    data["probabilities"][row][second] -= 2e-5
    path.write_bytes(names.encode_json(data))
    _reseal(tmp_path / "bundle")
    with pytest.raises(BundleError, match=r"parity\.json: .* differ by 2e-05"):
        load_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"catalog": "0" * 16}, "action catalogue"),
        ({"features": "0" * 16}, "feature spec"),
        ({"schema_version": 99}, "schema version 1, got 99"),
        ({"policy_id": "0" * 16}, "policy_id"),
    ],
)
def test_a_bundle_made_for_something_else_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    small_bundle(tmp_path / "bundle")
    _reseal(tmp_path / "bundle", **changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(tmp_path / "bundle")


def test_a_composition_and_its_model_come_together(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx: the composition names model 'core'"):
        write_bundle(tmp_path / "a", content({"kind": "model", "name": "core"}), CREATED)
    with pytest.raises(BundleError, match="names no model"):
        write_bundle(tmp_path / "b", content(model=b"not asked for"), CREATED)
    with pytest.raises(BundleError, match="expected an ONNX graph"):
        write_bundle(tmp_path / "c", content({"kind": "model", "name": "core"}, b"junk"), CREATED)
    assert list(tmp_path.iterdir()) == []


def test_no_bundle_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"expected a bundle, a folder with a manifest\.json"):
        load_bundle(tmp_path)


def test_the_mlflow_hook_gives_probabilities_by_action_id(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "bundle")
    model = _load_pyfunc(str(tmp_path / "bundle"))
    columns = {name: np.zeros(2) for name in bundle.feature_spec.columns}
    table = model.predict({**columns, "legal:send:welcome@09": np.array([True, False])})
    assert set(table) == set(bundle.catalog.ids)
    # Day 0 of the drip is this send: half of the mixture, plus a share of the random half.
    assert table["send:welcome@09"][0] > 0.5
    assert table["send:welcome@09"][1] == 0.0
    assert sum(table.values()) == pytest.approx([1.0, 1.0])


def test_content_that_nobody_exports_is_refused_under_any_seal(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    reward = json.loads((tmp_path / "bundle" / "journey.json").read_text())["reward"]
    strange: list[tuple[str, Callable[[Any], Any]]] = [
        ("journey.json", lambda _: 7),
        ("journey.json", lambda data: {**data, "reward": dict.fromkeys(reward, 10**400)}),
        ("policy.json", lambda _: []),
        ("parity.json", lambda data: {**data, "probabilities": {"a": 1}}),
        ("parity.json", lambda data: {**data, "probabilities": 10**400}),
        ("parity.json", lambda data: {**data, "features": 10**400}),
        ("parity.json", lambda data: {**data, "mask": None}),
        ("parity.json", lambda _: 3),
    ]
    for name, change in strange:
        path = tmp_path / "bundle" / name
        before = path.read_text()
        path.write_text(json.dumps(change(json.loads(before))))
        _reseal(tmp_path / "bundle")
        with pytest.raises(BundleError, match=name):
            load_bundle(tmp_path / "bundle")
        path.write_text(before)


def test_a_manifest_that_nobody_writes_is_refused(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    path = tmp_path / "bundle" / names.MANIFEST
    content = json.loads(path.read_text())
    for value in (float("nan"), float("inf"), "\ud800"):
        path.write_text(json.dumps({**content, "created_at": value}))
        with pytest.raises(BundleError, match="does not match its digest"):
            load_bundle(tmp_path / "bundle")


def test_a_bundle_with_a_claim_that_is_out_of_date_is_not_written(tmp_path: Path) -> None:
    claim = {"says": "x", "source": "y", "approver": "legal", "expires": "2027-02-28"}
    plain = {**content().journey.resolved, "claims": {"certificate": claim}}
    late = replace(content(), journey=parse_journey(plain))
    with pytest.raises(BundleError, match=r"claims\.certificate: its last day was 2027-02-28"):
        write_bundle(tmp_path / "b", late, CREATED)
    assert not (tmp_path / "b").exists()
    claim["expires"] = "2027-03-01"
    good = replace(content(), journey=parse_journey(plain))
    assert write_bundle(tmp_path / "b", good, CREATED).journey.claims == good.journey.claims
