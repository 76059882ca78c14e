"""`track`: event files as TensorBoard reads them, an MLflow store as MLflow reads it, and nothing elsewhere."""

import json
import os
import shutil
import socket
import time

import pytest
from command_line import autodls
from tiny_workspace import tiny_workspace

from autodls import Study
from autodls.errors import ArgumentError
from autodls.records.plan import Plan
from autodls.records.training_log import Epoch
from autodls.stages.track import track
from autodls.tracking.curves import aucs_of, curves_of, parameters_of
from autodls.tracking.event_files import EVENTS
from autodls.tracking.mlflow_store import is_elsewhere

EPOCHS = 3


def lines(stage, count, first=0):
    """Log lines whose losses are told apart."""
    return [
        Epoch(
            stage=stage,
            epoch=number,
            learning_rate=0.5**number,
            train_loss=1 / (number + 1),
            inner_loss=2 / (number + 1),
            inner_auc=None if number == 0 else 0.5 + 0.1 * number,
            best=True,
            seconds=1.5,
        )
        for number in range(first, count)
    ]


def write_log(workspace, fold, stages):
    path = workspace.fold(fold).log
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one.model_dump()) + "\n" for stage in stages for one in lines(*stage)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_dataset):
    """A dataset with a workspace whose folds have logs."""
    root = tmp_path_factory.mktemp("tracked")
    data = make_dataset(root / "data", training=8, held_out=4)
    workspace = tiny_workspace(data, data / "autodls")
    for fold in range(Plan.load(workspace.plan, "").training.folds):
        write_log(workspace, fold, [("CE-T1WI", EPOCHS), ("T2WI", EPOCHS)])
    assert autodls("evaluate", "-d", data).status == 0
    return data, workspace


@pytest.fixture
def study(trained, tmp_path):
    data = shutil.copytree(trained[0], tmp_path / "study")
    return data, type(trained[1])(data / "autodls")


# -- TensorBoard -------------------------------------------------------------------------------------------------------


@pytest.fixture
def read_back():
    """Every scalar of an event file, by tag: step, seconds, value, as TensorBoard itself reads them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def read(folder):
        found = accumulator.EventAccumulator(str(folder))
        found.Reload()
        tags = found.Tags()["scalars"]
        return {tag: [(one.step, one.wall_time, one.value) for one in found.Scalars(tag)] for tag in tags}

    return read


def test_curves_are_read_back_as_they_were_logged(study, tmp_path, read_back):
    data, _ = study
    answer = autodls("track", "-d", data, "--tensorboard", tmp_path / "runs")
    assert answer.status == 0, answer.err
    assert "tracked 12 epochs of 4 networks" in answer.out
    found = read_back(tmp_path / "runs" / "manual" / "fold_1" / "T2WI")
    assert set(found) == {"loss/train", "loss/inner", "learning_rate", "auc/inner"}
    assert [step for step, _, _ in found["loss/train"]] == [0, 1, 2]
    assert [seconds for _, seconds, _ in found["loss/train"]] == [1.5, 3.0, 4.5]
    assert [value for _, _, value in found["loss/inner"]] == pytest.approx([2, 1, 2 / 3])
    assert [(step, value) for step, _, value in found["auc/inner"]] == [
        (1, pytest.approx(0.6)),
        (2, pytest.approx(0.7)),
    ]


def test_the_same_log_gives_the_same_bytes_which_name_no_machine(study, tmp_path):
    data, _ = study
    for name in ("a", "b"):
        track(data, None, tensorboard=tmp_path / name)
    files = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in files_of(tmp_path / name)} for name in "ab"
    ]
    assert files[0] == files[1] and len(files[0]) == 4
    here = socket.gethostname().encode()
    assert not [path for path, content in files[0].items() if here in content or here in bytes(path)]


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_new_is_added_and_what_was_cut_short_made_good(study, tmp_path, read_back):
    """As a TensorBoard that looks on needs it: the file stays the same one, and grows."""
    data, workspace = study
    write_log(workspace, 0, [("CE-T1WI", 1)])
    track(data, None, tensorboard=tmp_path)
    path = tmp_path / "manual" / "fold_0" / "CE-T1WI" / EVENTS
    first, inode = path.read_bytes(), path.stat().st_ino
    write_log(workspace, 0, [("CE-T1WI", 2)])
    track(data, None, tensorboard=tmp_path)
    grown = path.read_bytes()
    assert grown.startswith(first) and len(grown) > len(first) and path.stat().st_ino == inode
    path.write_bytes(grown[:-7])  # killed while it was added
    (stale := path.with_name(f".tmp-0123abcd-{EVENTS}")).write_bytes(first)  # and another, while it was written anew
    track(data, None, tensorboard=tmp_path)
    assert path.read_bytes() == grown and not stale.exists()
    changed = path.stat().st_mtime_ns
    track(data, None, tensorboard=tmp_path)
    assert path.stat().st_mtime_ns == changed
    write_log(workspace, 0, [("CE-T1WI", 1)])  # thrown away, and begun anew
    track(data, None, tensorboard=tmp_path)
    assert path.read_bytes() == first and len(read_back(path.parent)["loss/train"]) == 1


@pytest.mark.parametrize("make", ["text", "link", "folder"])
def test_a_file_of_somebody_else_stays(study, tmp_path, make):
    data, _ = study
    path = tmp_path / "runs" / "manual" / "fold_0" / "CE-T1WI" / EVENTS
    path.parent.mkdir(parents=True)
    if make == "text":
        path.write_text("mine, and longer than the head of a file of events would ever be, by far, and further")
    elif make == "link":
        (tmp_path / "mine").write_text("mine")
        path.symlink_to(tmp_path / "mine")
    else:
        path.mkdir()
    before = {one: one.read_bytes() for one in files_of(tmp_path / "runs")}
    answer = autodls("track", "-d", data, "--tensorboard", tmp_path / "runs")
    assert answer.status == 2 and str(path) in answer.complaint
    assert {one: one.read_bytes() for one in before} == before


def test_follows_until_every_fold_is_trained(study, tmp_path, monkeypatch):
    data, workspace = study
    kept = workspace.fold(1).scores.read_bytes()
    workspace.fold(1).scores.unlink()
    write_log(workspace, 1, [("CE-T1WI", 1)])
    naps = []

    def goes_on(_seconds):
        naps.append(1)
        write_log(workspace, 1, [("CE-T1WI", 1 + len(naps))])
        if len(naps) == 3:
            workspace.fold(1).scores.write_bytes(kept)

    monkeypatch.setattr(time, "sleep", goes_on)
    assert not track(data, None, tensorboard=tmp_path / "once").done and not naps
    answer = autodls("track", "-d", data, "--tensorboard", tmp_path / "runs", "--follow")
    assert answer.status == 0 and len(naps) == 3 and "tracked 10 epochs of 3 networks\n" in answer.out


# -- MLflow ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(monkeypatch):
    """MLflow's own reader of a folder."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    return lambda folder: MlflowClient(tracking_uri=str(folder))


def only_run(client, dataset):
    place = client.get_experiment_by_name(dataset)
    (run,) = client.search_runs([place.experiment_id])
    return run


def test_a_run_holds_curves_settings_and_aucs_and_is_brought_up_to_date(study, tmp_path, client):
    data, workspace = study
    plan, store = Plan.load(workspace.plan, ""), tmp_path / "mlruns"
    write_log(workspace, 0, [("CE-T1WI", 1)])
    for epochs in (1, EPOCHS, EPOCHS):
        write_log(workspace, 0, [("CE-T1WI", epochs)])
        answer = autodls("track", "-d", data, "--mlflow", store)
        assert answer.status == 0, answer.err
    reader = client(store)
    run = only_run(reader, plan.dataset)
    assert run.info.run_name == "manual ROIs" and run.data.tags["autodls.plan"] == plan.sha256()
    assert run.data.params == parameters_of(plan)
    assert run.data.params["training.batch_size"] == str(plan.training.batch_size)
    found = reader.get_metric_history(run.info.run_id, "fold_0/CE-T1WI/loss/inner")
    assert [(one.step, one.timestamp) for one in found] == [(0, 1500), (1, 3000), (2, 4500)]
    assert [one.value for one in found] == pytest.approx([2, 1, 2 / 3])
    judged = {name: value for name, value in run.data.metrics.items() if name.startswith("auc/")}
    assert judged == aucs_of(workspace)
    shown = json.loads(workspace.metrics.read_text())["cohorts"]["external"]["scores"]["dls"]["auc"]["value"]
    assert judged["auc/external/dls"] == shown


def test_networks_that_were_trained_anew_are_another_run(study, tmp_path, client):
    """By the same plan: no curve has epochs of two trainings, and each goes on where its own points lie."""
    data, workspace = study
    plan, store, path = Plan.load(workspace.plan, ""), tmp_path / "mlruns", workspace.fold(0).log
    write_log(workspace, 0, [("CE-T1WI", 2)])
    track(data, None, mlflow=str(store))
    first = path.read_text()
    for count in (1, EPOCHS):
        write_log(workspace, 0, [("CE-T1WI", count)])
        path.write_text(path.read_text().replace('"inner_loss": 2.0', '"inner_loss": 7.0'))
        track(data, None, mlflow=str(store))
    path.write_text(first)
    track(data, None, mlflow=str(store))
    reader = client(store)
    runs = reader.search_runs([reader.get_experiment_by_name(plan.dataset).experiment_id])
    found = [reader.get_metric_history(one.info.run_id, "fold_0/CE-T1WI/loss/inner") for one in runs]
    values = [[one.value for one in sorted(points, key=lambda one: one.step)] for points in found]
    assert sorted(values) == [[2, 1], [7, 1, pytest.approx(2 / 3)]]


@pytest.mark.parametrize("odd", [{"epoch": 10**30}, {"epoch": -1}, {"seconds": 1e308}, {"seconds": -1.0}])
def test_a_line_that_no_training_writes_is_none(study, tmp_path, client, odd):
    """As any damaged line: times and epochs are counted, and have to fit into the formats of others."""
    data, workspace = study
    path = workspace.fold(0).log
    write_log(workspace, 0, [("CE-T1WI", 1)])
    whole = path.read_text()
    path.write_text(whole + json.dumps({**json.loads(whole), "epoch": 1, **odd}) + "\n" + '{"stage": "CE-T1WI", "ep')
    answer = autodls("track", "-d", data, "--tensorboard", tmp_path / "runs", "--mlflow", tmp_path / "mlruns")
    assert answer.status == 0, answer.err
    assert len(curves_of(workspace, 1)[0].points) == 1


def test_an_auc_that_was_judged_anew_stands_after_the_one_before(study, tmp_path, client, monkeypatch):
    data, workspace = study
    store = tmp_path / "mlruns"
    for value in (0.7, 0.7, 0.8):
        monkeypatch.setattr("autodls.stages.track.aucs_of", lambda _place, value=value: {"auc/external/dls": value})
        track(data, None, mlflow=str(store))
    reader = client(store)
    run = only_run(reader, Plan.load(workspace.plan, "").dataset)
    assert [one.value for one in reader.get_metric_history(run.info.run_id, "auc/external/dls")] == [0.7, 0.8]


def test_no_setting_holds_a_folder_of_this_machine(trained):
    plan = Plan.load(trained[1].plan, "")
    network = plan.network.model_copy(update={"encoder_weights": "/home/somebody/weights.pth"})
    found = parameters_of(plan.model_copy(update={"network": network}))
    assert found["network.encoder_weights"] == "weights.pth"
    assert not [text for text in found.values() if "/" in text and "somebody" in text]
    assert not [name for name in found if name.startswith(("reasons", "derived", "budget"))]


def test_nothing_is_sent_and_the_environment_stays(study, tmp_path, client, monkeypatch):
    data, _ = study
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    before = dict(os.environ)

    def refuse(*_words, **_named):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    track(data, None, tensorboard=tmp_path / "runs", mlflow=str(tmp_path / "mlruns"))
    assert dict(os.environ) == before


# -- what is refused ---------------------------------------------------------------------------------------------------


ELSEWHERE = ["http://host:5000", "https://host", "databricks", "databricks://profile", "postgresql://u:p@h/d", "uc:x"]


@pytest.mark.parametrize("store", [*ELSEWHERE, "sqlite:///a.db", "file:///tmp/x", "s3://bucket"])
def test_what_may_be_another_machine_is_refused_unless_asked_for(study, store, monkeypatch):
    data, _ = study
    assert is_elsewhere(store)
    monkeypatch.setattr("autodls.stages.track.track_run", lambda *_words: pytest.fail("sent"))
    answer = autodls("track", "-d", data, "--mlflow", store)
    assert answer.status == 2 and "add --remote if that is meant" in answer.complaint
    if ":" in store:
        answer = autodls("track", "-d", data, "--tensorboard", store)
        assert answer.status == 2 and "is no folder on this machine" in answer.complaint


def test_a_server_that_was_asked_for_is_given_it(study, monkeypatch):
    sent = []
    monkeypatch.setattr("autodls.stages.track.require_mlflow", lambda: None)
    monkeypatch.setattr("autodls.stages.track.track_run", lambda *words: sent.append(words))
    Study(study[0]).track(mlflow="http://host:5000", remote=True)
    ((store, *_),) = sent
    assert store == "http://host:5000"


@pytest.mark.parametrize("option", ["--tensorboard", "--mlflow"])
@pytest.mark.parametrize("place", ["imagesTr", "autodls", "autodls/model", "clinical.csv"])
def test_a_place_that_holds_something_is_refused(study, option, place):
    data, _ = study
    before = {path: path.stat().st_mtime_ns for path in files_of(data)}
    answer = autodls("track", "-d", data, option, data / place)
    assert answer.status == 2 and f"{option} {data / place}" in answer.complaint
    assert {path: path.stat().st_mtime_ns for path in files_of(data)} == before


def test_neither_is_asked_for(study):
    answer = autodls("track", "-d", study[0])
    assert answer.status == 2 and "give --tensorboard DIR, --mlflow DIR, or both" in answer.complaint


@pytest.mark.parametrize(("option", "extra"), [("tensorboard", "tracking"), ("mlflow", "mlflow")])
def test_a_missing_extra_is_named(study, tmp_path, monkeypatch, option, extra):
    for module in ("event_files", "mlflow_store"):
        monkeypatch.setattr(f"autodls.tracking.{module}.find_spec", lambda _name: None)
    answer = autodls("track", "-d", study[0], f"--{option}", tmp_path / "runs")
    assert answer.status == 2 and f"pip install 'autodls[{extra}]'" in answer.complaint
    assert not (tmp_path / "runs").exists()


def test_what_mlflow_refuses_is_one_line(study, tmp_path, client, monkeypatch):
    exceptions = pytest.importorskip("mlflow.exceptions")

    def refuse(*_words, **_named):
        raise exceptions.MlflowException("no such thing\nand much more")

    monkeypatch.setattr("mlflow.tracking.MlflowClient.create_run", refuse)
    answer = autodls("track", "-d", study[0], "--mlflow", tmp_path / "mlruns")
    assert answer.status == 1 and answer.complaint.endswith(f"--mlflow {tmp_path / 'mlruns'}: no such thing")


def test_a_workspace_that_is_named_is_enough(study, tmp_path, monkeypatch):
    data, workspace = study
    workspace.root.rename(tmp_path / "workspace")
    shutil.rmtree(data)
    monkeypatch.chdir(tmp_path)
    answer = autodls("track", "-w", "workspace", "--tensorboard", "runs")
    assert answer.status == 0 and "tracked 12 epochs of 4 networks" in answer.out, answer.err


def test_without_a_plan_it_says_what_to_run(tmp_path, make_dataset):
    data = make_dataset(tmp_path / "data", training=4, held_out=0)
    answer = autodls("track", "-d", data, "--tensorboard", tmp_path / "runs")
    assert answer.status == 2 and "run 'autodls plan'" in answer.complaint


def test_a_workspace_that_has_not_begun_has_no_curves(study, tmp_path):
    data, workspace = study
    shutil.rmtree(workspace.fold(0).root.parent)
    assert curves_of(workspace, 2) == ()
    found = track(data, None, tensorboard=tmp_path / "runs")
    assert (found.curves, found.done) == (0, False) and not (tmp_path / "runs").exists()
    with pytest.raises(ArgumentError):
        Study(data).track()
