"""Which bundle is served, with whose contacts, and where nothing is said of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nurture_rl.errors import GateRefusal
from nurture_rl.serving.http.server import ServeOptions
from nurture_rl.workflow import served
from nurture_rl.workflow.stages import RECORD


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, ServeOptions]]:
    """What is handed to the server in place of serving it."""
    found: list[tuple[Path, ServeOptions]] = []
    monkeypatch.setattr(
        served, "serve_bundle", lambda bundle, options: found.append((bundle, options))
    )
    return found


def release(runs: Path, name: str, zone: str, age: float, bundle: bool = True) -> Path:
    """A release as a run leaves it, with the log it learned from."""
    stages = runs / "stages"
    for stage, inputs in (
        (f"ingest-{name}", {"zone": zone}),
        (f"release-{name}", {"ingest": f"ingest-{name}"}),
    ):
        (stages / stage).mkdir(parents=True)
        (stages / stage / RECORD).write_text(json.dumps({"inputs": inputs}), "utf-8")
    folder = stages / f"release-{name}" / "bundle"
    if bundle:
        folder.mkdir()
        os.utime(folder, (age, age))
    return folder


def test_the_newest_bundle_is_served_with_the_log_it_learned_from(
    tmp_path: Path, asked: list[tuple[Path, ServeOptions]]
) -> None:
    newest = release(tmp_path, "b", "Asia/Tokyo", 2000.0)
    release(tmp_path, "a", "Europe/Paris", 1000.0)
    release(tmp_path, "c", "Europe/Rome", 1000.0)
    release(tmp_path, "refused", "Europe/Oslo", 3000.0, bundle=False)
    made = served.serve(ServeOptions(runs=str(tmp_path))).made
    ((bundle, options),) = asked
    assert bundle == newest
    assert options.logs == str(tmp_path / "stages" / "ingest-b" / "tables")
    assert options.default_zone == "Asia/Tokyo"
    assert made == {"bundle": str(newest), "store": str(tmp_path / "store.db")}


def test_what_is_named_is_not_taken_from_the_newest_run(
    tmp_path: Path, asked: list[tuple[Path, ServeOptions]]
) -> None:
    release(tmp_path, "a", "Europe/Paris", 1000.0)
    named = ServeOptions(runs=str(tmp_path), store="s.db", logs="mine", default_zone="UTC")
    served.serve(named)
    ((_, options),) = asked
    assert (options.store, options.logs, options.default_zone) == ("s.db", "mine", "UTC")


def test_a_bundle_that_is_named_brings_no_log_and_no_zone(
    tmp_path: Path, asked: list[tuple[Path, ServeOptions]]
) -> None:
    release(tmp_path, "a", "Asia/Tokyo", 1000.0)
    served.serve(ServeOptions(bundle="other", runs=str(tmp_path)))
    ((bundle, options),) = asked
    assert bundle == Path("other")
    assert (options.logs, options.default_zone) == (None, "Europe/Berlin")
    assert options.store == str(tmp_path / "store.db")


def test_without_any_bundle_nothing_is_served(
    tmp_path: Path, asked: list[tuple[Path, ServeOptions]]
) -> None:
    release(tmp_path, "refused", "UTC", 1000.0, bundle=False)
    with pytest.raises(GateRefusal, match=r"no bundle under .*name one by bundle=FOLDER"):
        served.serve(ServeOptions(runs=str(tmp_path)))
    assert asked == []
