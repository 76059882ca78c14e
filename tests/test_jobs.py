"""A stage of a fold as a job: alone in a folder of its own it makes the bytes that it makes among the others."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from command_line import autodls
from safetensors.torch import save_file
from tiny_study import hashes, study_plan, tiny_study, use_tiny_resnet
from tiny_workspace import tiny_workspace

from autodls.errors import ArgumentError, AutoDLSError, TrainingError
from autodls.inference import predict
from autodls.inference.inputs import InputCase
from autodls.inference.score_log import finished_scores
from autodls.jobs import executor as executors
from autodls.jobs import score as score_jobs
from autodls.jobs import segment as segment_jobs
from autodls.jobs.dispatch import MOST_LOSSES, Ended, dispatch
from autodls.jobs.executor import Executor, executor_of, require_executor
from autodls.jobs.fold_job import FoldInputs, FoldWork, start_weights
from autodls.jobs.score import HeldOut
from autodls.jobs.train import train_on
from autodls.models.encoder import SequenceEncoder
from autodls.records.segmentation import epochs_of
from autodls.records.training_log import log_lines, logged_stages
from autodls.records.workspace import Workspace, finished_rows
from autodls.segmentation.run import throw_away
from autodls.segmentation.stage import prepare_cohort
from autodls.stages.scoring_away import require_given_rois
from autodls.stages.session import Session
from autodls.training.cohort import training_cohort
from autodls.training.fold import open_fold

pytestmark = pytest.mark.long

SHORT = {"epochs": 1, "fusion_epochs": 1}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    use_tiny_resnet(monkeypatch)


class Machines:
    """A pool that does a job when it is asked for it, in any order, in a folder that nobody else has."""

    def __init__(self, root, inputs, lose=()):
        self.root, self.inputs, self.lose = root, inputs, list(lose)
        self.waiting, self.done, self._epochs, self.chance = [], [], [], random.Random(3)

    def submit(self, jobs):
        self.waiting += jobs

    def ended(self):
        job = self.waiting.pop(self.chance.randrange(len(self.waiting)))
        what = getattr(job, "stage", job.name)
        self.done.append((what, job.index))
        if what in self.lose:
            self.lose.remove(what)
            return [Ended(job, lost="its machine is gone")]
        folder = self.root / str(len(self.done))
        return [Ended(job, job.do(self.inputs, folder, lambda epoch: self._epochs.append((job.index, epoch))))]

    def epochs(self):
        taken, self._epochs = self._epochs, []
        return taken


def by_jobs(study, tmp_path, told=None, **settings):
    """Train `study` by jobs; the machines that did it."""
    cohort = training_cohort(study.workspace, study.cases, study.plan, study.splits)
    data = cohort.load(torch.device("cpu"))
    runs = [cohort.run(index, data) for index in (0, 1)]
    machines = Machines(tmp_path / "machines", FoldInputs(data, start_weights(runs[0])), **settings)
    seen, note = [], ([] if told is None else told).append
    folds = [FoldWork.of(run) for run in runs]
    dispatch(folds, machines, lambda fold, epoch: seen.append((fold, epoch.stage)), note)
    return machines, seen


def weights_file(path):
    torch.manual_seed(1)
    net = SequenceEncoder("resnet50", dropout=0.0, batch_norm_momentum=0.1).net
    save_file({name: value.contiguous() for name, value in net.state_dict().items() if "fc." not in name}, path)
    return str(path)


@pytest.mark.parametrize("kind", ["two stages", "fine-tuned", "from a file"])
def test_jobs_make_the_bytes_of_training_here(tmp_path, kind):
    plan = study_plan(**SHORT, **({"fine_tuning_epochs": 1} if kind == "fine-tuned" else {}))
    if kind == "from a file":
        network = plan.network.model_copy(update={"encoder_weights": weights_file(tmp_path / "start.safetensors")})
        plan = plan.model_copy(update={"network": network})
    here, away = (tiny_study(tmp_path / name, plan) for name in ("here", "away"))
    here.train()
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    machines, seen = by_jobs(away, tmp_path)
    folds = [study.workspace.root / "folds" for study in (here, away)]
    patterns = ("*.safetensors", "*.csv", "fold.json")
    assert hashes(folds[1], *patterns) == hashes(folds[0], *patterns) != {}
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(machines.root in path.parents or folds[1] in path.parents for path in new)
    stages = 4 if kind == "fine-tuned" else 3
    assert len(machines.done) == 2 * (stages + 1) and len(seen) == 2 * stages
    for index in (0, 1):
        logs = [logged_stages(log_lines(study.workspace.fold(index).log)) for study in (here, away)]
        found = [[(one.stage, len(one.epochs), one.judgement) for one in log] for log in logs]
        assert found[0] == found[1]


def test_what_is_lost_is_told_and_done_again(tmp_path):
    here, away = (tiny_study(tmp_path / name, study_plan(**SHORT)) for name in ("here", "away"))
    here.train()
    told = []
    machines, _ = by_jobs(away, tmp_path, told, lose=("T1WI", "fusion", "scores"))
    assert len(told) == 3 and "fusion of fold" in "".join(told) and "its machine is gone; it is done again" in told[0]
    assert len(machines.done) == 8 + 3
    assert hashes(away.workspace.root) == hashes(here.workspace.root)


def test_what_is_lost_again_and_again_ends_in_one_line_and_what_is_done_is_kept(tmp_path):
    study = tiny_study(tmp_path / "study", study_plan(**SHORT))
    with pytest.raises(AutoDLSError, match=rf"T1WI of fold \d: lost {MOST_LOSSES} times.*what is done is kept"):
        by_jobs(study, tmp_path, lose=["T1WI"] * 2 * MOST_LOSSES)
    kept = hashes(study.workspace.root / "folds")
    machines, _ = by_jobs(study, tmp_path / "again")
    assert len(machines.done) == 8 - len(kept)
    assert by_jobs(study, tmp_path / "once more")[0].done == []


def test_training_here_continues_what_jobs_began(tmp_path):
    here, away = (tiny_study(tmp_path / name, study_plan(**SHORT)) for name in ("here", "away"))
    here.train()
    with pytest.raises(AutoDLSError, match="fusion of fold"):
        by_jobs(away, tmp_path, lose=["fusion"] * 2 * MOST_LOSSES)
    away.train()
    assert hashes(away.workspace.root) == hashes(here.workspace.root)


def test_a_job_that_fails_says_so(tmp_path):
    study = tiny_study(tmp_path / "study", study_plan(**SHORT, learning_rate=1e30, batch_size=2))
    with pytest.raises(TrainingError, match="is not finite"):
        by_jobs(study, tmp_path)


def test_a_fold_that_is_done_has_no_job_and_one_whose_scores_are_gone_has_one(tmp_path):
    study = tiny_study(tmp_path / "study", study_plan(**SHORT))
    study.train()
    run = training_cohort(study.workspace, study.cases, study.plan, study.splits).run(0, study.data())
    assert open_fold(run) == ()
    study.workspace.fold(0).scores.unlink()
    assert open_fold(run) == ("scores",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("local", "127.0.0.1:1", ()), "--address: is for --executor ray, not local"),
        (("ray", None, ("partition=gpu",)), "--slurm: is for --executor slurm, not ray"),
        (("slurm", None, ("partition",)), "--slurm partition: expected OPTION=VALUE"),
        (("slurm", None, ("partitoin=gpu",)), "'partitoin' is no option .* did you mean partition"),
        (("slurm", None, ("colour=blue",)), "'colour' is no option .* there are account, array_parallelism"),
        (("slurm", None, ("nodes=2",)), "'nodes' is no option that a job may be given"),
        (("slurm", None, ("time=soon",)), "--slurm time=soon: 'soon' is not minutes, or HOURS"),
        (("slurm", None, ("time=0",)), "'0' is not minutes"),
        (("slurm", None, ("mem=lots",)), "'lots' is not memory such as 32G"),
        (("slurm", None, ("cpus_per_task=four",)), "'four' is not a whole number above 0"),
        (("slurm", None, ("array-parallelism=-1",)), "'-1' is not a whole number above 0"),
        (("slurm", None, ("gpus_per_node=a100:",)), "'a100:' is not a number of GPUs"),
        (("slurm", None, ("qos=a\nb",)), "is not a text"),
        (("slurm", None, ("qos=low", "qos=high")), "qos is low already; give one of the two"),
    ],
)
def test_options_of_another_executor(words, said):
    with pytest.raises(ArgumentError, match=said):
        executor_of(*words)


def test_options_of_sbatch_are_passed_on_as_they_were_given():
    given = {"time": "1-12", "mem_per_gpu": "40G", "gpus_per_node": "a100:1", "array_parallelism": "4", "gres": "x:1"}
    assert executor_of("slurm", None, [f"{name}={value}" for name, value in given.items()]).slurm == given
    assert executor_of("slurm", None, ["time=90", "--mem-per-cpu=512"]).slurm == {"time": "90", "mem_per_cpu": "512"}


def test_what_an_executor_needs_is_told(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(executors, "find_spec", lambda _name: None)
    with pytest.raises(ArgumentError, match=r"pip install 'autodls\[ray\]'"):
        require_executor(Executor("ray"))
    monkeypatch.setattr(executors, "find_spec", lambda name: name)
    with pytest.raises(ArgumentError, match="no cluster is named; give --address HOST:PORT"):
        require_executor(Executor("ray"))
    with pytest.raises(ArgumentError, match="no sbatch on this machine"):
        require_executor(Executor("slurm"))


def test_the_default_is_this_machine(tmp_path):
    study = tiny_study(tmp_path / "study", study_plan(**SHORT))
    seen = []
    places = (study.workspace, study.cases, study.plan, study.splits, (1,))
    train_on(Executor(), *places, lambda *epoch: seen.append(epoch), note=seen.append)
    assert len(seen) == 3 and study.workspace.fold(1).scores.is_file() and not study.workspace.fold(0).root.exists()


class TestFoldsOfNnunet:
    """In the default suite beside a pool that does a job in a folder of its own; on a cluster: `test_cluster.py`."""

    @pytest.fixture
    def study(self, segmented_study, tmp_path):
        return segmented_study.copy(tmp_path / "workspace")

    @staticmethod
    def by_jobs(study, root, *, sent, told=None, **settings):
        works, inputs = segment_jobs._begin(study.run(), (0, 1), sent=sent)
        machines, seen = Machines(root, inputs.received(), **settings), []
        note = ([] if told is None else told).append
        dispatch(works, machines, lambda fold, epoch: seen.append((fold, epoch.epoch)), note)
        return machines, seen

    @pytest.mark.parametrize("sent", [True, False], ids=["sent", "in the workspace"])
    def test_they_make_the_bytes_of_training_here(self, study, tmp_path, sent):
        before, logs = study.weights(), log_without_seconds(study)
        throw_away(study.run(), [0, 1])
        prepare_cohort(study.run(), lambda _case: None)
        machines, seen = self.by_jobs(study, tmp_path / "machines", sent=sent)
        assert study.weights() == before and log_without_seconds(study) == logs
        assert sorted(seen) == [(fold, epoch) for fold in (0, 1) for epoch in range(len(logs[0]))]
        for number, (_, index) in enumerate(machines.done, 1):
            prepared = Workspace(machines.root / str(number)).segmentation.prepared
            fold = study.splits.folds[index]
            assert {path.name for path in prepared.iterdir()} == {*fold.train, *fold.inner}
        assert self.by_jobs(study, tmp_path / "again", sent=sent)[0].done == []

    def test_what_is_lost_is_told_and_done_again(self, study, tmp_path):
        before, told = study.weights(), []
        throw_away(study.run(), [0])
        self.by_jobs(study, tmp_path / "machines", sent=True, told=told, lose=("nnU-Net of fold 0",))
        assert study.weights() == before
        assert told == ["warning: nnU-Net of fold 0 was lost: its machine is gone; it is done again"]


class TestScores:
    """Held-out cases by a pool, and what `evaluate` makes of them."""

    @pytest.fixture
    def held_out(self, tmp_path, make_dataset):
        data = make_dataset(tmp_path / "data", training=8, held_out=10)
        place = tiny_workspace(data, tmp_path / "work")
        cases = Session.open(data, place.root).cohort.held_out["external"]
        inputs = tuple(InputCase(case.id, case.images, case.roi) for case in cases)
        finished = finished_rows(place.heldout_record("external"))
        return data, place, HeldOut(place.model.root, inputs, finished, place.jobs, torch.device("cpu"))

    @staticmethod
    def by_jobs(held_out, root, *, sent, told=None, **settings):
        works, inputs = score_jobs._begin(held_out, sent=sent)
        machines, seen = Machines(root, inputs.received(), **settings), []
        note = ([] if told is None else told).append
        dispatch(works, machines, lambda _job, case: seen.append(case), note)
        return machines, seen

    @pytest.mark.parametrize("sent", [True, False], ids=["sent", "in the workspace"])
    def test_they_are_those_of_this_machine(self, held_out, tmp_path, sent, monkeypatch):
        data, place, asked = held_out
        words = ("evaluate", "-d", data, "-w", place.root, "--workers", 1)
        assert autodls(*words).status == 0
        scores = {path: path.read_bytes() for path in (place.heldout_scores("external"), place.metrics)}
        place.heldout_record("external").unlink()
        machines, seen = self.by_jobs(asked, tmp_path / "machines", sent=sent)
        assert sorted(seen) == sorted(case.id for case in asked.cases) and len(machines.done) == 2
        monkeypatch.setattr("autodls.inference.predict.score_samples", None)  # no network is asked again
        assert autodls(*words).status == 0
        assert {path: path.read_bytes() for path in scores} == scores

    def test_a_job_holds_its_own_cases_and_what_is_finished_is_not_sent(self, held_out, tmp_path, monkeypatch):
        _, _, asked = held_out
        monkeypatch.setattr(score_jobs, "CASES_A_JOB", 4)
        monkeypatch.setattr(score_jobs, "JOBS_AHEAD", 1)
        self.by_jobs(asked, tmp_path / "machines", sent=True)
        held = [{path.name for path in (tmp_path / "machines" / str(n)).glob("case_*")} for n in (1, 2, 3)]
        ids = [case.id for case in asked.cases]
        assert held == [set(ids[:4]), set(ids[4:8]), set(ids[8:])]
        assert self.by_jobs(asked, tmp_path / "again", sent=True)[0].done == []

    def test_what_is_lost_is_told_and_a_case_that_cannot_be_read_stops_no_other(self, held_out, tmp_path):
        _, _, asked = held_out
        asked.cases[0].roi.write_bytes(b"no image")
        told = []
        lost = f"scores of {asked.cases[0].id} to {asked.cases[7].id}"
        self.by_jobs(asked, tmp_path / "machines", sent=True, told=told, lose=(lost,))
        assert told == [f"warning: {lost} was lost: its machine is gone; it is done again"]
        assert len(asked.finished.read_text().splitlines()) == len(asked.cases) - 1

    def test_a_file_that_cannot_be_read_stops_no_other(self, held_out, tmp_path, monkeypatch):
        _, _, asked = held_out
        image, read = next(iter(asked.cases[0].images.values())), np.fromfile

        def refuse(path, *kind):
            if path == image:
                raise PermissionError(path)
            return read(path, *kind)

        monkeypatch.setattr(np, "fromfile", refuse)
        self.by_jobs(asked, tmp_path / "machines", sent=True)
        finished = [line.score.case for line in finished_scores(asked.finished)]
        assert sorted(finished) == [case.id for case in asked.cases[1:]]

    @pytest.mark.parametrize("other", ["type of number", "model", "version"])
    def test_what_another_model_version_or_type_of_number_scored_is_refused(
        self, held_out, tmp_path, other, monkeypatch
    ):
        _, _, asked = held_out
        works, inputs = score_jobs._begin(asked, sent=True)
        changes = {
            "type of number": ("autodls.inference.model_folder.computed_in", lambda _plan, _device: "cpu bfloat16"),
            "version": ("autodls.inference.score_log.__version__", "0.0.1"),
        }
        machines = Machines(tmp_path / "machines", inputs.received())
        with monkeypatch.context() as there:
            if other == "model":
                load = score_jobs.load_model
                there.setattr(score_jobs, "load_model", lambda *a, **k: replace(load(*a, **k), sha256="0" * 64))
            else:
                there.setattr(*changes[other])
            machines.submit(works[0].ready()[:1])
            (ended,) = machines.ended()
        with pytest.raises(AutoDLSError, match=r"case case_\d\d: scored by .* on a machine of the cluster, expected"):
            works[0].keep(ended.job, ended.files)
        assert not asked.finished.exists()

    def test_a_job_that_was_stopped_continues_in_its_folder(self, held_out, tmp_path, monkeypatch):
        _, _, asked = held_out
        monkeypatch.setattr("autodls.inference.prepare.BLOCK_CASES", 2)
        (work,), inputs = score_jobs._begin(asked, sent=False)
        job, folder = work.ready()[0], tmp_path / "job"

        def stop(case):
            if case == job.cases[3].id:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            job.do(inputs.received(), folder, stop)
        done = job.epochs(folder)
        assert done == [case.id for case in job.cases[:4]] and job.made(folder) == {}
        asked_again = []
        networks = predict.score_samples
        monkeypatch.setattr(
            predict,
            "score_samples",
            lambda model, samples: asked_again.extend(one.case for one in samples) or networks(model, samples),
        )
        work.keep(job, job.do(inputs.received(), folder, lambda _case: None))
        assert asked_again == [case.id for case in job.cases[4:]]
        assert [line.score.case for line in finished_scores(asked.finished)] == [case.id for case in job.cases]

    def test_a_table_is_evaluated_here(self, tmp_path):
        answer = autodls("evaluate", "--scores", tmp_path / "t.csv", "--executor", "slurm")
        assert answer.status == 2 and "--executor slurm: is for the held-out cases of a dataset" in answer.complaint

    def test_rois_that_have_to_be_drawn_are_not_for_a_cluster(self, tmp_path):
        place = Workspace(tmp_path).of("auto")
        require_given_rois(place, Executor())
        with pytest.raises(ArgumentError, match="--executor ray: ROIs of held-out cases are drawn on this machine"):
            require_given_rois(place, Executor("ray"))


def log_without_seconds(study):
    logs = [epochs_of(study.workspace.segmentation.epochs(index)) for index in (0, 1)]
    return [[epoch.model_copy(update={"seconds": 0.0}) for epoch in log] for log in logs]
