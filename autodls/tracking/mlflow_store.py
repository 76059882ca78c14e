"""The one door to MLflow: a run of a workspace in a folder on this machine, or on a server that was asked for."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autodls.errors import ArgumentError, AutoDLSError
from autodls.tracking.curves import Curve

_TAG = "autodls.plan"
_ASKED = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would tell its makers of each use
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # its new versions want a database else
}
_MOST_AT_ONCE = 500  # of a batch; MLflow takes 1000


def require_mlflow() -> None:
    """Raise ArgumentError where the package of the extra is not installed."""
    if find_spec("mlflow") is None:
        raise ArgumentError("--mlflow: the Python package mlflow is not installed; pip install 'autodls[mlflow]'")


def is_elsewhere(store: str) -> bool:
    """Whether `store` is more than a path: what has a scheme may be on another machine.

    >>> is_elsewhere("runs"), is_elsewhere("http://host:5000"), is_elsewhere("databricks")
    (False, True, True)
    """
    return (
        "://" in store or store.partition(":")[0] in ("databricks", "databricks-uc", "uc") or store.startswith("file:")
    )


def track_run(
    store: str,
    experiment: str,
    run: str,
    plan_sha256: str,
    parameters: Mapping[str, str],
    curves: Sequence[Curve],
    aucs: Mapping[str, float],
) -> int:
    """Bring the run of a plan up to its curves and AUCs; the number of values that are new.

    Raises AutoDLSError where MLflow refuses.
    """
    with _as_asked():
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        try:
            client = MlflowClient(tracking_uri=store if is_elsewhere(store) else str(Path(store).resolve()))
            name = _run_of(client, experiment, run, plan_sha256, parameters)
            fresh = [*_new_points(client, name, curves), *_new_aucs(client, name, aucs)]
            for at in range(0, len(fresh), _MOST_AT_ONCE):
                client.log_batch(name, metrics=fresh[at : at + _MOST_AT_ONCE])
        except MlflowException as failure:
            raise AutoDLSError(f"--mlflow {store}: {str(failure).splitlines()[0][:300]}") from None
    return len(fresh)


@contextmanager
def _as_asked() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ASKED}
    os.environ.update(_ASKED)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _run_of(client: Any, experiment: str, run: str, plan_sha256: str, parameters: Mapping[str, str]) -> str:
    """The id of the run of this plan, which is made where there is none."""
    from mlflow.entities import Param

    known = client.get_experiment_by_name(experiment)
    place = known.experiment_id if known is not None else client.create_experiment(experiment)
    if found := client.search_runs([place], f"tags.`{_TAG}` = '{plan_sha256}' and attributes.run_name = '{run}'"):
        return str(found[0].info.run_id)
    made = client.create_run(place, run_name=run, tags={_TAG: plan_sha256}).info.run_id
    client.log_batch(made, params=[Param(name, value) for name, value in parameters.items()])
    client.set_terminated(made)
    return str(made)


def _new_points(client: Any, run: str, curves: Sequence[Curve]) -> Iterator[Any]:
    from mlflow.entities import Metric

    for curve in curves:
        names = list(dict.fromkeys(name for point in curve.points for name in point.values))
        for name in names:
            key = f"{curve.name}/{name}"
            there = {one.step for one in client.get_metric_history(run, key)}
            for point in curve.points:
                if name in point.values and point.epoch not in there:
                    yield Metric(key, point.values[name], round(point.seconds * 1000), point.epoch)


def _new_aucs(client: Any, run: str, aucs: Mapping[str, float]) -> Iterator[Any]:
    """An AUC that was judged anew stands after the one before."""
    from mlflow.entities import Metric

    for name, value in aucs.items():
        there = client.get_metric_history(run, name)
        if not there or there[-1].value != value:
            yield Metric(name, value, 0, len(there))
