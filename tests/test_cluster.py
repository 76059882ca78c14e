"""Jobs on a real Ray cluster of two nodes on this machine, which share no folder with it: `make test-cluster`.

And by submitit, on this machine in the place of SLURM's.
"""

import os
import signal
import threading
import time

import pytest
import torch
from test_stages_scoring import Listener
from tiny_study import hashes, study_plan, tiny_study
from tiny_workspace import tiny_workspace

from autodls.errors import ArgumentError, AutoDLSError
from autodls.jobs.executor import Executor
from autodls.jobs.segment import train_networks_on
from autodls.jobs.train import train_on
from autodls.segmentation.run import throw_away
from autodls.segmentation.stage import prepare_cohort
from autodls.stages.evaluate import evaluate

pytestmark = pytest.mark.cluster
ALL = ("*.safetensors", "*.csv", "fold.json")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autodls[ray]'")
    from two_nodes import two_nodes

    with two_nodes(tmp_path_factory.mktemp("r")) as nodes:
        yield nodes


def study_of(root, epochs=2):
    """Real, if small, networks: what a node runs nobody can exchange from here."""
    plan = study_plan(epochs=epochs, patience=epochs, fusion_epochs=2, kept_epoch="last")
    return tiny_study(
        root, plan.model_copy(update={"network": plan.network.model_copy(update={"encoder": "resnet18"})})
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What this machine makes, by the number of epochs."""
    made = {}

    def of(epochs):
        if epochs not in made:
            study = study_of(tmp_path_factory.mktemp("here"), epochs)
            torch.set_num_threads(1)
            train(Executor(), study, [])
            made[epochs] = hashes(study.workspace.root / "folds", *ALL)
        return made[epochs]

    return of


def train(executor, study, told, report=lambda _fold, _epoch: None):
    places = (study.workspace, study.cases, study.plan, study.splits, (0, 1))
    train_on(executor, *places, report, note=told.append)


def folds_of(study):
    return hashes(study.workspace.root / "folds", *ALL)


def when_at_work(nodes, do):
    """Call `do` with the first worker that is at a job, as soon as there is one."""

    def look():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if workers := nodes.workers():
                do(workers)
                return
            time.sleep(0.1)

    thread = threading.Thread(target=look)
    thread.start()
    return thread


def test_two_nodes_make_the_bytes_of_this_machine(tmp_path, cluster, expected):
    study, told, seen = study_of(tmp_path / "study"), [], []
    train(Executor("ray", cluster.address), study, told, lambda fold, epoch: seen.append((fold, epoch.stage)))
    assert folds_of(study) == expected(2) and told == []
    assert {(fold, stage) for fold in (0, 1) for stage in ("T1WI", "CE-T1WI")} <= set(seen)


def test_a_worker_that_is_killed_is_told_and_its_job_done_again(tmp_path, cluster, expected):
    study, told, killed = study_of(tmp_path / "study", epochs=12), [], []

    def report(_fold, _epoch):
        if not killed and (workers := cluster.workers()):
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    train(Executor("ray", cluster.address), study, told, report)
    assert len(told) == 1 and "was lost: its worker was killed; it is done again" in told[0]
    assert folds_of(study) == expected(12)


@pytest.fixture
def segmented(segmented_study, tmp_path):
    """A study whose nnU-Net is prepared and not trained, and the weights that this machine makes."""
    study = segmented_study.copy(tmp_path / "workspace")
    weights = study.weights()
    throw_away(study.run(), [0, 1])
    prepare_cohort(study.run(), lambda _case: None)
    return study, weights


def segment_on(executor, study):
    told, seen = [], []
    train_networks_on(executor, study.run(), (0, 1), seen.append, note=told.append)
    return told, {epoch.fold for epoch in seen}


def test_nnunet_on_two_nodes_makes_the_bytes_of_this_machine(segmented, cluster):
    study, expected = segmented
    assert segment_on(Executor("ray", cluster.address), study) == ([], {0, 1})
    assert study.weights() == expected


@pytest.fixture
def held_out(tmp_path, make_dataset):
    """Held-out cases that are not scored, and their scores by this machine, where the second has no ROI."""
    data = make_dataset(tmp_path / "data", training=8, held_out=12)
    (data / "labelsTr" / "case_09.nii.gz").unlink()
    here, there = (tiny_workspace(data, tmp_path / name) for name in ("here", "there"))
    evaluate_on(Executor(), data, here)
    return data, there, scores_of(here)


def evaluate_on(executor, data, place):
    listener = Listener()
    evaluate(data, place.root, executor=executor, watch=listener)
    return listener


def scores_of(place):
    return [path.read_bytes() for path in (place.heldout_scores("external"), place.metrics)]


def test_held_out_cases_on_two_nodes_get_the_scores_of_this_machine(held_out, cluster):
    data, place, expected = held_out
    told = evaluate_on(Executor("ray", cluster.address), data, place)
    assert scores_of(place) == expected
    assert told.steps["held-out cases by ray"][1] == 12 and not any("was lost" in line for line in told.notes)


def test_nobody_answers(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autodls[ray]'")
    with pytest.raises(ArgumentError, match=r"--address 127.0.0.1:9: no Ray cluster answers there"):
        train(Executor("ray", "127.0.0.1:9"), study_of(tmp_path / "study"), [])


def test_a_machine_that_is_lost_is_told_and_the_other_goes_on(tmp_path, cluster, expected):
    study, told = study_of(tmp_path / "study", epochs=12), []
    from two_nodes import children

    def lose(workers):
        deadline = time.monotonic() + 60
        while not set(cluster.workers()) & set(children(cluster.second.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
        cluster.lose(cluster.second)

    killer = when_at_work(cluster, lose)
    train(Executor("ray", cluster.address), study, told)
    killer.join()
    assert told and all("it is done again" in line for line in told)
    assert folds_of(study) == expected(12)


def test_a_cluster_that_is_gone_ends_in_one_line_and_nothing_is_lost(tmp_path, cluster, expected):
    """The last of the tests of this cluster: afterwards there is none."""
    study = study_of(tmp_path / "study", epochs=12)
    stages = []

    def report(_fold, epoch):
        if epoch.stage not in stages:
            stages.append(epoch.stage)
        if epoch.stage == "fusion":
            cluster.lose(cluster.head)

    with pytest.raises(AutoDLSError, match=r"^--executor ray: .*run the same command again, or with --executor local"):
        train(Executor("ray", cluster.address), study, [], report)
    kept = {path: path.stat().st_mtime_ns for path in (study.workspace.root / "folds").rglob("*WI.safetensors")}
    assert kept
    train(Executor(), study, [])
    assert folds_of(study) == expected(12)
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())


class TestSubmitit:
    @pytest.fixture(autouse=True)
    def library(self):
        pytest.importorskip("submitit", reason="submitit is not installed: pip install 'autodls[slurm]'")

    def test_arrays_make_the_bytes_of_this_machine(self, tmp_path, expected):
        study, told, seen = study_of(tmp_path / "study"), [], []
        executor = Executor("slurm", cluster="local")
        train(executor, study, told, lambda fold, epoch: seen.append((fold, epoch.stage)))
        assert folds_of(study) == expected(2) and told == []
        assert not study.workspace.jobs.exists()

    def test_folds_of_nnunet(self, segmented):
        study, expected = segmented
        assert segment_on(Executor("slurm", cluster="local"), study)[0] == []
        assert study.weights() == expected and not study.workspace.jobs.exists()

    def test_held_out_cases(self, held_out):
        data, place, expected = held_out
        evaluate_on(Executor("slurm", cluster="local"), data, place)
        assert scores_of(place) == expected and not place.jobs.exists()

    def test_what_sbatch_is_given(self, tmp_path, monkeypatch):
        from autodls.jobs.slurm_pool import new_executor

        (tmp_path / "srun").touch(mode=0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        study = study_of(tmp_path / "study")
        options = {"partition": "gpu", "time": "90"}
        made = new_executor(study.workspace.jobs, "cuda", options, "slurm")._executor
        made.update_parameters(array_parallelism=4)
        script = made._make_submission_file_text("python work", "1")
        for line in ("--partition=gpu", "--time=90", "--gpus-per-node=1", "--cpus-per-task=1", "--job-name=autodls"):
            assert f"#SBATCH {line}" in script
        from submitit.slurm.slurm import SlurmExecutor

        from autodls.jobs import slurm_options

        assert slurm_options._FORMS.keys() <= SlurmExecutor._valid_parameters()
        with pytest.raises(ArgumentError, match=r"--slurm: .*colour"):
            new_executor(study.workspace.jobs, "cuda", {"colour": "blue"}, "slurm")
