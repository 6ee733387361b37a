"""A tracked run keeps what it is told, in few writes, and says how it ended."""

from __future__ import annotations

import math
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_rl.errors import ConfigError
from nurture_rl.release.bundle import load_bundle
from nurture_rl.tracking.mlflow_store import ATTEMPTS, open_store, patiently, tracking_uri
from nurture_rl.tracking.run import Run, tracked_run
from nurture_rl.tracking.values import PARAM_LENGTH, clean_name, cut, flat_params
from tests.unit.release.bundles import content, small_bundle


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tracking_uri(None, tmp_path_factory.mktemp("tracking"))


def recorded(run: Run) -> Any:
    return open_store(run.uri).get_run(run.id)


def count_batches(run: Run, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches written from now on."""
    sizes: list[int] = []
    write = run.client.log_batch

    def counted(run_id: str, metrics: Any = (), params: Any = ()) -> None:
        sizes.append(len(metrics))
        write(run_id, metrics=metrics, params=params)

    monkeypatch.setattr(run.client, "log_batch", counted)
    return sizes


@pytest.mark.slow
def test_a_run_keeps_params_tags_data_and_files(store: str, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("seen", encoding="utf-8")
    settings = {"seed": 0, "policy": {"kind": "drip", "weights": {"send@9": 0.5}}, "none": {}}
    with tracked_run(store, "keeps", "first", settings, {"source": "reference"}) as run:
        run.artifact(tmp_path / "note.txt", "notes")
        run.text("<p>hello</p>", "report.html")
        run.dataset("log", "ab" * 32, 1200, "reference world")
        run.metrics(0, {"value/drip": 1.5, "lost": math.nan})
    kept = recorded(run)
    assert kept.info.status == "FINISHED"
    assert kept.data.params == {
        "seed": "0",
        "policy.kind": "drip",
        "policy.weights.send_9": "0.5",
        "none": "{}",
    }
    assert kept.data.tags["source"] == "reference"
    assert kept.data.tags["data.log.fingerprint"] == "ab" * 32
    assert kept.data.metrics["value/drip"] == 1.5
    assert math.isnan(kept.data.metrics["lost"])
    assert kept.inputs.dataset_inputs[0].dataset.profile == '{"num_rows": 1200}'
    folder = Path(kept.info.artifact_uri.removeprefix("file://"))
    assert (folder / "notes" / "note.txt").read_text(encoding="utf-8") == "seen"
    assert (folder / "report.html").read_text(encoding="utf-8") == "<p>hello</p>"
    assert folder.is_relative_to(Path(store.removeprefix("sqlite:///")).parent)


def test_metrics_are_written_once_in_a_hundred_steps(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracked_run(store, "batches", "steps", {}, {}) as run:
        sizes = count_batches(run, monkeypatch)
        for step in range(250):
            run.metrics(step, {"loss": float(step), "entropy": 1.0})
        assert sizes == [200, 200]
    assert sizes == [200, 200, 100]
    history = open_store(store).get_metric_history(run.id, "loss")
    assert sorted((entry.step, entry.value) for entry in history) == [
        (step, float(step)) for step in range(250)
    ]


def test_no_batch_holds_more_than_a_thousand_metrics(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracked_run(store, "batches", "many", {}, {}) as run:
        sizes = count_batches(run, monkeypatch)
        run.metrics(0, {f"m{i}": 0.0 for i in range(700)})
        assert sizes == []
        run.metrics(1, {f"m{i}": 0.0 for i in range(1600)})
        assert sizes == [1000, 1000, 300]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("lost"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_an_interrupted_run_says_how_it_ended_and_keeps_its_metrics(
    store: str, error: BaseException, status: str
) -> None:
    runs: list[Run] = []

    def interrupted() -> None:
        with tracked_run(store, "endings", "stopped", {}, {}) as run:
            runs.append(run)
            run.metrics(3, {"loss": 0.25})
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert recorded(runs[0]).info.status == status
    assert recorded(runs[0]).data.metrics == {"loss": 0.25}


def test_a_run_knows_the_run_it_is_part_of(store: str) -> None:
    with (
        tracked_run(store, "parents", "sweep", {}, {}) as sweep,
        tracked_run(store, "parents", "job", {}, {}, parent_run_id=sweep.id) as job,
    ):
        pass
    assert recorded(job).data.tags["mlflow.parentRunId"] == sweep.id
    assert recorded(job).info.experiment_id == recorded(sweep).info.experiment_id


@pytest.fixture
def default_store(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own functions read from the store while the test runs."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", store)


@pytest.mark.slow
@pytest.mark.usefixtures("default_store")
def test_the_model_in_mlflow_answers_like_the_bundle(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_bundle(tmp_path / "bundle")
    with tracked_run(store, "models", "release", {}, {}) as run:
        uri = run.bundle(tmp_path / "bundle", "policy", register_as="inbound lead")
        search, looks = run.client.search_registered_models, iter(range(9))
        # Another run registers the name between the look and the entry.
        first_none = lambda query: search(query) if next(looks) else []  # noqa: E731
        monkeypatch.setattr(run.client, "search_registered_models", first_none)
        run.bundle(tmp_path / "bundle", "policy", register_as="inbound lead")
    import mlflow.pyfunc

    bundle, states = load_bundle(tmp_path / "bundle"), content().states
    columns = {
        name: states.features[:, i] for i, name in enumerate(bundle.feature_spec.columns)
    } | {f"legal:{name}": states.mask[:, i] for i, name in enumerate(bundle.catalog.ids)}
    expected = bundle.policy.action_probabilities(states.features, states.mask)
    for address in (uri, "models:/inbound lead/2"):
        model = mlflow.pyfunc.load_model(address)
        answer = model.predict(columns)
        found = np.stack([answer[name] for name in bundle.catalog.ids], axis=1)
        assert np.array_equal(found, expected)
    assert len(recorded(run).outputs.model_outputs) == 2
    folder = open_store(store).get_logged_model(uri.removeprefix("models:/")).artifact_location
    names = [path.name for path in Path(folder.removeprefix("file://")).rglob("*")]
    assert not [name for name in names if name.endswith((".pkl", ".pickle"))]


CHILD = """
import sys, warnings
warnings.simplefilter("error")
from nurture_rl.tracking.run import tracked_run
uri, job = sys.argv[1:]
for number in range(3):
    with tracked_run(uri, "sweep", f"{job}-{number}", {"job": job}, {}) as run:
        for step in range(120):
            run.metrics(step, {"a": 1.0, "b": 2.0})
"""


@pytest.mark.slow
def test_processes_that_start_together_share_a_new_store_without_warnings(tmp_path: Path) -> None:
    uri = tracking_uri(None, tmp_path)
    jobs = [
        subprocess.Popen([sys.executable, "-c", CHILD, uri, job], stderr=subprocess.PIPE, text=True)
        for job in ("x", "y")
    ]
    printed = [job.communicate()[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], printed
    assert printed == ["", ""]
    client = open_store(uri)
    experiment = patiently(lambda: client.get_experiment_by_name("sweep"))
    assert experiment is not None
    runs = patiently(lambda: client.search_runs([experiment.experiment_id]))
    assert sorted(run.info.run_name for run in runs) == [f"{j}-{n}" for j in "xy" for n in range(3)]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_held_file_is_waited_for_and_other_errors_are_not() -> None:
    waits: list[float] = []
    calls: list[str] = []

    def fails(message: str, times: int) -> str:
        calls.append(message)
        if len(calls) <= times:
            raise RuntimeError(message)
        return "written"

    held = "(sqlite3.OperationalError) database is locked"
    assert patiently(lambda: fails(held, 2), waits.append) == "written"
    assert waits == [0.05, 0.1]
    calls.clear()
    first = "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.name, datasets.digest"
    assert patiently(lambda: fails(first, 1), waits.append) == "written"  # by another run
    calls.clear()
    with pytest.raises(RuntimeError, match="locked"):
        patiently(lambda: fails(held, 99), waits.append)
    assert len(calls) == ATTEMPTS
    calls.clear()
    with pytest.raises(RuntimeError, match="no such table"):
        patiently(lambda: fails("no such table", 99), waits.append)
    assert len(calls) == 1


def test_a_relative_store_is_taken_from_the_given_folder_and_servers_are_left(
    tmp_path: Path,
) -> None:
    root = tmp_path.resolve()
    assert tracking_uri(None, tmp_path) == f"sqlite:///{root}/mlflow.db"
    assert tracking_uri("sqlite:///runs/a.db", tmp_path) == f"sqlite:///{root}/runs/a.db"
    assert tracking_uri("sqlite:////srv/a.db", tmp_path) == "sqlite:////srv/a.db"
    assert tracking_uri("http://host:5000", tmp_path) == "http://host:5000"


def test_values_and_names_fit_the_limits_and_say_what_was_cut() -> None:
    flat = flat_params({"a": {"b": {"c": [1, 2]}}, "long": "x" * 7000, "null": None})
    assert flat["a.b.c"] == "[1, 2]"
    assert flat["null"] == "None"
    assert len(flat["long"]) == PARAM_LENGTH
    assert flat["long"].endswith(" … cut")
    assert cut("short", 5) == "short"
    assert clean_name("send:welcome@09/<b>") == "send:welcome_09/_b_"
    assert len(clean_name("n" * 300)) == 250


def foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as file:
        for statement in statements:
            file.execute(statement)
        file.commit()


def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    foreign(tmp_path / "shop.db", "CREATE TABLE orders (id)")
    (tmp_path / "note.db").write_text("hello " * 100)
    (tmp_path / "folder.db").mkdir()
    before = (tmp_path / "shop.db").read_bytes()
    for name, what in [
        ("shop.db", r"the SQLite database of something else \(tables orders\)"),
        ("note.db", "a file that is no SQLite database"),
        ("folder.db", "a folder"),
    ]:
        with pytest.raises(ConfigError, match=f"tracking_uri: .*{name}, got {what}"):
            open_store(f"sqlite:///{tmp_path / name}")
    assert (tmp_path / "shop.db").read_bytes() == before


def test_a_store_of_another_schema_is_one_line_that_says_what_to_do(
    store: str, tmp_path: Path
) -> None:
    open_store(store)
    path = tmp_path / "old.db"
    shutil.copy(store.removeprefix("sqlite:///"), path)
    foreign(path, "UPDATE alembic_version SET version_num = 'deadbeef'")
    with pytest.raises(ConfigError, match=r"found version deadbeef.*mlflow db upgrade") as refusal:
        open_store(f"sqlite:///{path}")
    assert "\n" not in str(refusal.value)


HALF = """
import os, signal, sys
from alembic.runtime.migration import HeadMaintainer
from nurture_rl.tracking import mlflow_store

mlflow_store.lay_out = lambda path: False  # as for a version whose tables are not known
steps = iter(range(int(sys.argv[2])))
update = HeadMaintainer.update_to_step

def killed_after(self, step):
    if next(steps, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self, step)

HeadMaintainer.update_to_step = killed_after
mlflow_store.open_store(sys.argv[1])
"""


def half_made(folder: Path, steps: int) -> str:
    """A store whose maker was killed after so many versions of its schema."""
    uri = tracking_uri(None, folder)
    done = subprocess.run([sys.executable, "-c", HALF, uri, str(steps)], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return uri


@pytest.mark.slow
def test_a_store_whose_maker_was_killed_is_made_anew(tmp_path: Path) -> None:
    uri = half_made(tmp_path, 7)
    half = (tmp_path / "mlflow.db").read_bytes()
    with tracked_run(uri, "after a kill", "first", {}, {}) as run:
        run.metrics(0, {"loss": 1.0})
    assert recorded(run).info.status == "FINISHED"
    assert (tmp_path / "mlflow.db.half_made").read_bytes() == half  # nothing is thrown away
    before = (tmp_path / "mlflow.db").stat().st_ino
    open_store(uri)
    assert (tmp_path / "mlflow.db").stat().st_ino == before


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 7])
def test_a_half_made_store_that_nobody_marked_is_told_as_one(tmp_path: Path, steps: int) -> None:
    uri = half_made(tmp_path, steps)
    (tmp_path / "mlflow.db.unfinished").unlink()
    with pytest.raises(ConfigError, match=r"mlflow\.db, got one that .* half made.*; move it away"):
        open_store(uri)
