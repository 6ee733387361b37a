"""One tracked run: parameters, metrics in batches, data, files and the bundle as a model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_rl.tracking.mlflow_store import experiment_id, open_store, patiently, tracking_uri
from nurture_rl.tracking.values import TAG_LENGTH, batches, clean_name, cut, flat_params

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

STEPS_PER_BATCH = 100
METRICS_PER_BATCH = 1000  # MLflow's limit
PARAMS_PER_BATCH = 100  # MLflow's limit
DIGEST_LENGTH = 36  # MLflow's limit for a data set's digest
BUNDLE_LOADER = "nurture_rl.release.pyfunc"
_MODEL_PACKAGES = ("nurture-rl", "numpy", "onnxruntime")  # what loading a bundle needs


class Run:
    """A run being recorded; made by `tracked_run`."""

    def __init__(self, client: MlflowClient, uri: str, experiment: str, run_id: str) -> None:
        self.client = client
        self.uri = uri  # of the store
        self.experiment = experiment  # id, not name
        self.id = run_id
        self._buffer: list[Metric] = []
        self._steps: set[int] = set()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record numbers at a step; they are written in batches."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._steps.add(step)
        self._buffer += [
            Metric(clean_name(name), float(value), now, step) for name, value in values.items()
        ]
        if len(self._steps) >= STEPS_PER_BATCH or len(self._buffer) >= METRICS_PER_BATCH:
            self.flush()

    def flush(self) -> None:
        """Write the metrics that wait; `tracked_run` does so when its block ends."""
        waiting, self._buffer, self._steps = self._buffer, [], set()
        for batch in batches(waiting, METRICS_PER_BATCH):
            patiently(partial(self.client.log_batch, self.id, metrics=batch))

    def params(self, params: Mapping[str, object]) -> None:
        """Record parameters; nested mappings become dotted names, long values are cut."""
        from mlflow.entities import Param

        entries = [Param(name, value) for name, value in flat_params(params).items()]
        for batch in batches(entries, PARAMS_PER_BATCH):
            patiently(partial(self.client.log_batch, self.id, params=batch))

    def tag(self, name: str, value: str) -> None:
        """Record a tag; a later value replaces it."""
        text = cut(value, TAG_LENGTH)
        patiently(lambda: self.client.set_tag(self.id, clean_name(name), text))

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file, or of all that a folder holds, under `folder`."""
        log = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        patiently(lambda: log(self.id, str(path), folder))

    def text(self, text: str, name: str) -> None:
        """Keep a text as the artifact `name`, a relative path."""
        patiently(lambda: self.client.log_text(self.id, text, name))

    def dataset(self, name: str, fingerprint: str, rows: int, source: str) -> None:
        """Record which data the run read.

        Args:
            name: what the data is called.
            fingerprint: SHA-256 of the data; whole in a tag, shortened in MLflow's digest.
            rows: how many there were.
            source: where they came from, for people.
        """
        from mlflow.entities import Dataset, DatasetInput

        self.tag(f"data.{name}.fingerprint", fingerprint)
        entry = Dataset(
            name=name,
            digest=fingerprint[:DIGEST_LENGTH],
            source_type="local",
            source=source,
            profile=f'{{"num_rows": {rows}}}',
        )
        patiently(lambda: self.client.log_inputs(self.id, [DatasetInput(entry, tags=[])]))

    def bundle(
        self,
        bundle_dir: Path,
        name: str,
        register_as: str | None = None,
        loader: str = BUNDLE_LOADER,
    ) -> str:
        """Keep a bundle as an MLflow model; nothing in it is pickled.

        Args:
            bundle_dir: the bundle's folder, copied as it is.
            name: name of the model within the experiment.
            register_as: also a new version of this registered model.
            loader: module whose `_load_pyfunc` reads the folder.

        Returns:
            The model's URI, for `mlflow.pyfunc.load_model`.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        model = patiently(
            lambda: self.client.create_logged_model(
                self.experiment, name, source_run_id=self.id, model_type="policy"
            )
        )
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            patiently(lambda: _save_model(folder, bundle_dir, loader, model.model_id))
            patiently(lambda: self.client.log_model_artifacts(model.model_id, str(folder)))
        ready = LoggedModelStatus.READY
        patiently(lambda: self.client.finalize_logged_model(model.model_id, ready))
        output = LoggedModelOutput(model.model_id, step=0)
        patiently(lambda: self.client.log_outputs(self.id, [output]))
        if register_as is not None:
            self._register(register_as, model.model_uri, model.model_id)
        return str(model.model_uri)

    def _register(self, name: str, uri: str, model_id: str) -> None:
        from mlflow.exceptions import MlflowException

        def known() -> bool:
            found = self.client.search_registered_models(f"name = '{name}'")
            return len(found) > 0

        if not patiently(known):
            try:
                patiently(lambda: self.client.create_registered_model(name))
            except MlflowException:
                if not patiently(known):  # another run may have been first
                    raise
        patiently(
            lambda: self.client.create_model_version(
                name, source=uri, run_id=self.id, model_id=model_id
            )
        )


@contextmanager
def tracked_run(
    uri: str | None,
    experiment: str,
    name: str,
    params: Mapping[str, object],
    tags: Mapping[str, str],
    parent_run_id: str | None = None,
) -> Iterator[Run]:
    """Record what happens in the block as one run.

    The run ends as FINISHED, as KILLED after an interrupt from the keyboard, and as FAILED after
    any other error; metrics that wait are written in each case.

    Args:
        uri: the store, see `tracking_uri`; None for `mlflow.db` in the current folder.
        experiment: its name; made when there is none.
        name: of the run.
        params: settings; nested mappings become dotted names.
        tags: short texts to search by.
        parent_run_id: the run that this one is part of.
    """
    address = tracking_uri(uri, Path.cwd())
    client = open_store(address)
    owner = experiment_id(client, address, experiment)
    parent = {} if parent_run_id is None else {"mlflow.parentRunId": parent_run_id}
    texts = {clean_name(key): cut(value, TAG_LENGTH) for key, value in tags.items()} | parent
    created = patiently(lambda: client.create_run(owner, tags=texts, run_name=name))
    run = Run(client, address, owner, created.info.run_id)
    status = "FAILED"
    try:
        run.params(params)
        yield run
        run.flush()
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        try:
            run.flush()
        finally:
            patiently(lambda: client.set_terminated(run.id, status))


def _save_model(folder: Path, bundle_dir: Path, loader: str, model_id: str) -> None:
    """Write MLflow's model folder; its requirements are given, so that nothing is guessed."""
    import mlflow.pyfunc
    from mlflow.models import Model

    mlflow.pyfunc.save_model(
        path=str(folder),
        loader_module=loader,
        data_path=str(bundle_dir),
        mlflow_model=Model(model_id=model_id),
        pip_requirements=[f"{package}=={version(package)}" for package in _MODEL_PACKAGES],
    )
