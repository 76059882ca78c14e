"""The one door to MLflow: a run of a workspace in a folder on this machine, or on a server that was asked for."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from math import isclose
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
_Known = dict[str, dict[int, list[float]]]  # by name and epoch: what MLflow holds
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
            name, known = _run_of(client, experiment, run, plan_sha256, parameters, curves)
            fresh = [*_new_points(known, curves), *_new_aucs(client, name, aucs)]
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


def _run_of(
    client: Any,
    experiment: str,
    run: str,
    plan_sha256: str,
    parameters: Mapping[str, str],
    curves: Sequence[Curve],
) -> tuple[str, _Known]:
    """The id of the run of this plan whose points are of these curves, and these points; it is made where none is.

    Networks that were trained anew to other values are another run: one curve is never of two trainings.
    """
    from mlflow.entities import Param

    found = client.get_experiment_by_name(experiment)
    place = found.experiment_id if found is not None else client.create_experiment(experiment)
    wanted = f"tags.`{_TAG}` = '{plan_sha256}' and attributes.run_name = '{run}'"
    for one in client.search_runs([place], wanted):
        known = _points_of(client, one.info.run_id, curves)
        if _fits(known, curves):
            return str(one.info.run_id), known
    made = client.create_run(place, run_name=run, tags={_TAG: plan_sha256}).info.run_id
    client.log_batch(made, params=[Param(name, value) for name, value in parameters.items()])
    client.set_terminated(made)
    return str(made), {}


def _keys(curve: Curve) -> Iterator[tuple[str, str]]:
    """The names of a curve's values, and what MLflow calls them."""
    for name in dict.fromkeys(name for point in curve.points for name in point.values):
        yield name, f"{curve.name}/{name}"


def _points_of(client: Any, run: str, curves: Sequence[Curve]) -> _Known:
    known: _Known = {}
    for _, key in (named for curve in curves for named in _keys(curve)):
        of_key = known.setdefault(key, {})
        for one in client.get_metric_history(run, key):
            of_key.setdefault(one.step, []).append(one.value)
    return known


def _fits(known: _Known, curves: Sequence[Curve]) -> bool:
    """Whether every point of `known` that a curve has too is the same there."""
    for curve in curves:
        for name, key in _keys(curve):
            for point in curve.points:
                there = known[key].get(point.epoch)
                if there and name in point.values and not any(isclose(point.values[name], one) for one in there):
                    return False
    return True


def _new_points(known: _Known, curves: Sequence[Curve]) -> Iterator[Any]:
    from mlflow.entities import Metric

    for curve in curves:
        for name, key in _keys(curve):
            for point in curve.points:
                if name in point.values and point.epoch not in known.get(key, {}):
                    yield Metric(key, point.values[name], round(point.seconds * 1000), point.epoch)


def _new_aucs(client: Any, run: str, aucs: Mapping[str, float]) -> Iterator[Any]:
    """An AUC that was judged anew stands after the one before."""
    from mlflow.entities import Metric

    for name, value in aucs.items():
        there = client.get_metric_history(run, name)
        if not there or there[-1].value != value:
            yield Metric(name, value, 0, len(there))
