"""`autodls compare` in a workspace: what it reads and writes, what it may know, and that it goes on."""

import copy
import csv
import json
import shutil
from unittest import mock

import numpy as np
import pytest
from command_line import snapshot
from tiny_comparison import TRAINING, command, compared_study, use_quick_candidates

from autodls.analysis.comparison_results import Comparison
from autodls.candidates import radiomics
from autodls.candidates.fold import DEEP
from autodls.errors import ArgumentError, AutoDLSError
from autodls.evaluation.delong import auc_with_ci
from autodls.jobs import compare as jobs
from autodls.jobs.dispatch import Ended, dispatch
from autodls.jobs.executor import LOCAL, Executor
from autodls.records.cohort import read_cohort
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, FoldRecord, load_fold_scores
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.stages import compare as stage
from autodls.stages import run
from autodls.stages.compare import compare, compared_with
from autodls.stages.run_standing import RunSettings, stands
from autodls.training.fold_chain import weight_hashes, write_scores
from autodls.training.locking import lock_model
from autodls.verify.results import verify_results


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    use_quick_candidates(monkeypatch)


@pytest.fixture
def study(tmp_path, make_dataset):
    """A dataset with clinical columns, and its workspace with a locked model of made-up scores."""
    dataset = make_dataset(tmp_path / "dataset", training=TRAINING, held_out=2)
    place = compared_study(dataset, tmp_path / "work")
    return dataset, place


def test_compare_writes_every_candidate_the_nested_choice_and_what_it_cost(study):
    dataset, place = study
    found = compare(dataset, place.root).comparison
    assert Comparison.load(place.comparison, "") == found
    simple = ["volume", "clinical", "radiomics"]
    assert list(found.candidates) == [*simple, "deep", "integrated_clinical", "integrated_radiomics", "integrated"]
    content = json.loads(place.comparison.read_text())
    assert {"value", "low", "high"} <= set(content["candidates"]["deep"]["auc"])
    assert {"folds", "chosen_in"} <= set(content["candidates"]["deep"])
    assert {"name", "auc"} <= set(content["chosen"])
    folds = len(found.chosen.by_fold)
    assert sorted(fold for one in found.candidates.values() for fold in one.chosen_in) == list(range(folds))
    assert found.cost.delta == pytest.approx(found.naive.value - found.chosen.auc.value)
    assert found.naive.value == max(one.auc.value for one in found.candidates.values())
    assert [one.over for one in found.adds] == ["clinical", "radiomics"]
    pairs = [one for one in found.differences if one.a != "chosen"]
    assert len(pairs) == 7 * 6 / 2 and len(found.differences) == len(pairs) + 7
    assert all((place.figures / f"candidates.{ending}").is_file() for ending in ("png", "svg", "csv"))
    assert place.table("candidates").is_file() and place.table("candidates_network").is_file()


def test_the_networks_have_the_auc_that_evaluate_gives_them(study):
    dataset, place = study
    found = compare(dataset, place.root).comparison.candidates["deep"].auc
    with place.oof_scores.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    labels, scores = [row["label"] == "1" for row in rows], [float(row["dls"]) for row in rows]
    expected = auc_with_ci(labels, scores, out_of_fold=True)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


# -- walls -------------------------------------------------------------------------------------------------------------


def tasks(monkeypatch, dataset, place, **settings):
    """What every fold is told."""
    told = []
    work = jobs.compare_on
    with monkeypatch.context() as patch:
        patch.setattr(
            jobs, "compare_on", lambda who, tasks, *more, **also: told.extend(tasks) or work(who, tasks, *more, **also)
        )
        compare(dataset, place.root, **settings)
    return told


def test_a_fold_is_told_scores_of_its_own_networks_alone_and_of_no_case_that_they_learned(study, monkeypatch):
    dataset, place = study
    for task in tasks(monkeypatch, dataset, place):
        with place.fold(task.index).scores.open(newline="") as handle:
            own = {row["case"]: row for row in csv.DictReader(handle)}
        assert set(task.deep) == {*task.stopping.cases, *task.test}
        assert all(value == float(own[case][f"logit:{FUSED}"]) for case, value in task.deep.items())
        assert not {*task.test} & {*task.whole.cases}


def test_labels_of_test_cases_change_nothing_that_a_fold_says(study, edit_table):
    """The labels of one fold are exchanged, and its comparison is the same to the last bit."""
    dataset, place = study
    cohort = read_cohort(dataset)
    compare(dataset, place.root)
    fold = json.loads(place.splits.read_text())["folds"][0]
    before = place.fold_comparison(0).read_bytes(), place.fold_comparison(1).read_bytes()
    session = stage.Session.open(dataset, place.root)
    plan, splits = session.plan(), session.splits(session.plan())
    left_out = {}
    learners, sources = stage.learners_of(session, plan, 1, stage.SILENT, left_out)
    networks = {DEEP: stage.main_networks(session.workspace, splits, left_out)}
    for case in fold["validation"]:
        label = next(one.label for one in cohort.training if one.id == case)
        edit_table(dataset, case, cps="5" if label else "30")
    other = stage.Session.open(dataset, place.root)
    assert {one.id for one in other.training if one.label != {c.id: c.label for c in cohort.training}[one.id]} == {
        *fold["validation"]
    }
    stacks = stage.stacks_of(learners)
    for index in (0, 1):
        task = stage._task(other, plan, splits.folds[index], learners, sources, networks, stacks)
        place.fold_comparison(index).unlink()
        jobs.compare_on(LOCAL, [task], place.fold_comparison, place.jobs, print, workers=1, note=print)
    assert place.fold_comparison(0).read_bytes() == before[0]
    assert place.fold_comparison(1).read_bytes() != before[1], "so that this test is one that can fail"


def test_held_out_cases_are_never_read(study, edit_table):
    dataset, place = study
    compare(dataset, place.root)
    before = {path.name: path.read_bytes() for path in (place.comparison, *place.comparison.parent.glob("t*/c*.csv"))}
    for number in (TRAINING, TRAINING + 1):
        edit_table(dataset, f"case_{number:02d}", cps="77", age="?")
        for path in (*(dataset / "imagesTr").glob(f"case_{number}*"), *(dataset / "labelsTr").glob(f"case_{number}*")):
            path.write_bytes(b"unreadable")
    compare(dataset, place.root)
    assert {
        path.name: path.read_bytes() for path in (place.comparison, *place.comparison.parent.glob("t*/c*.csv"))
    } == before


# -- what is kept, and what is left out --------------------------------------------------------------------------------


def test_a_killed_comparison_goes_on_where_it_was(study, monkeypatch):
    dataset, place = study
    first = compare(dataset, place.root).comparison
    place.fold_comparison(1).unlink()
    altered = place.fold_comparison(0)
    altered.write_text(altered.read_text().replace('"chosen": "', '"chosen": "x'))
    done = []
    work = jobs.compare_fold
    monkeypatch.setattr(jobs, "compare_fold", lambda task: done.append(task.index) or work(task))
    assert compare(dataset, place.root).comparison == first
    assert done == [0, 1], "what was altered is not believed"
    compare(dataset, place.root)
    assert done == [0, 1]


def test_what_a_study_does_not_allow_is_left_out_with_the_reason(tmp_path, make_dataset, monkeypatch):
    dataset = make_dataset(tmp_path / "dataset", training=TRAINING)
    description = json.loads((dataset / "dataset.json").read_text())
    description["autodls"]["clinical"] = []
    (dataset / "dataset.json").write_text(json.dumps(description))
    place = compared_study(dataset, tmp_path / "work")
    place.model.record.unlink()
    monkeypatch.undo()
    monkeypatch.setattr(radiomics, "find_spec", lambda _name: None)
    found = compare(dataset, place.root).comparison
    assert list(found.candidates) == ["volume"] and found.adds == () and found.not_nested == ""
    assert "no locked model; run 'autodls train fold all'" in found.left_out["deep"]
    assert "pip install 'autodls[radiomics]'" in found.left_out["radiomics"]
    assert "autodls.clinical" in found.left_out["clinical"]


def test_changed_images_are_one_line(study):
    dataset, place = study
    path = next((dataset / "imagesTr").glob("case_00*"))
    path.write_bytes(path.read_bytes() + b"\0")
    answer = command(dataset, place)
    assert answer.status == 2
    assert "have changed since the plan was made; run 'autodls plan" in answer.complaint


def test_the_command_shows_it_and_verify_finds_it_whole(study):
    dataset, place = study
    answer = command(dataset, place)
    assert answer.status == 0, answer.err
    said = ("whatever each fold chose", "What choosing cost", "Beside clinical, the network")
    assert [words for words in said if words not in answer.out] == []
    faults = [fault for link in verify_results(Workspace(place.root), None) for fault in link.faults]
    assert not [fault for fault in faults if "compare" in fault or "candidates" in fault]
    place.table("candidates").write_text("candidate\nmade up\n")
    faults = [fault for link in verify_results(Workspace(place.root), None) for fault in link.faults]
    assert any("candidates.csv" in fault and "autodls compare" in fault for fault in faults)
    answer = command(dataset, place, "--json")
    assert answer.status == 0
    assert Comparison.model_validate(json.loads(answer.out)) == Comparison.load(place.comparison, "")


def test_scores_of_another_model_are_refused(study):
    dataset, place = study
    record = FoldRecord.load(place.fold(0).record, "")
    path = place.fold(0).scores
    path.write_text(path.read_text() + "\n")
    before = snapshot(place.root / "results") if (place.root / "results").exists() else {}
    answer = command(dataset, place)
    assert answer.status == 2
    assert "altered since it was written" in answer.complaint and record.scores_sha256[:12] in answer.complaint
    assert np.all([name.endswith("tumour_volume.csv") for name in set(snapshot(place.root / "results")) - set(before)])


# -- experiments as candidates -----------------------------------------------------------------------------------------


def experiment(dataset, place, name, gain=1.0, splits=None):
    """An experiment beside the plan: the same model, whose networks' scores are multiplied by `gain`, locked anew."""
    other = place.experiment(name)
    other.root.mkdir(parents=True)
    for path in (place.plan, place.splits, place.fingerprint):
        shutil.copy(path, other.root)
    shutil.copytree(place.fold(0).root.parent, other.fold(0).root.parent)
    plan, made = Plan.load(place.plan, ""), splits or Splits.load(place.splits, "")
    for fold in made.folds:
        scores = load_fold_scores(place.fold(fold.index), plan.sequences)
        changed = [one.model_copy(update={"logits": {k: gain * v for k, v in one.logits.items()}}) for one in scores]
        changed = [one.model_copy(update={"log_odds": one.logits}) for one in changed]
        write_scores(other.fold(fold.index), changed, plan, "key", weight_hashes(other.fold(fold.index), plan))
    made.save(other.splits)
    cohort = read_cohort(dataset)
    lock_model(other, cohort.description, plan, made, cohort.training)
    return other


def test_an_experiment_is_a_candidate_by_its_own_scores_and_judged_like_the_networks(study, monkeypatch):
    dataset, place = study
    alone = compare(dataset, place.root).comparison
    other = experiment(dataset, place, "worse", gain=-1.0)
    told = tasks(monkeypatch, dataset, place, also=("worse",))
    found = Comparison.load(place.comparison, "")
    assert list(found.candidates)[3:5] == ["deep", "worse"] and found.experiments == ("worse",)
    assert {
        name: one for name, one in found.candidates.items() if name in alone.candidates
    }.keys() == alone.candidates.keys()
    assert found.candidates["deep"].auc == alone.candidates["deep"].auc
    assert found.candidates["worse"].auc.value < 0.5 < found.candidates["deep"].auc.value
    assert all(one.stopping_auc is not None for one in found.candidates["worse"].folds)
    pairs = [one for one in found.differences if one.a != "chosen"]
    assert len(pairs) == 8 * 7 / 2 and all(one.p_holm is not None for one in pairs if one.p is not None)
    assert set(found.made_from) >= {"oof_scores.csv", "experiments/worse/oof_scores.csv"}
    for task in told:
        own = {one.case: one.logits[FUSED] for one in load_fold_scores(other.fold(task.index), ("T2WI", "CE-T1WI"))}
        assert task.also == {"worse": {case: own[case] for case in (*task.stopping.cases, *task.test)}}
        assert not {*task.also["worse"]} & {*task.train.cases}


def test_every_experiment_is_asked_for_by_one_word_and_one_that_cannot_be_is_left_out_with_the_reason(study):
    dataset, place = study
    experiment(dataset, place, "other")
    experiment(dataset, place, "volume")
    bare = place.experiment("bare")
    bare.root.mkdir(parents=True)
    shutil.copy(place.plan, bare.root)
    found = compare(dataset, place.root, also=("all",)).comparison
    assert found.experiments == ("other",)
    assert "no locked model" in found.left_out["bare"] and "train fold all --name bare" in found.left_out["bare"]
    assert "called so already" in found.left_out["volume"]


def test_a_comparison_without_experiments_is_kept_by_the_same_key_as_before(study, monkeypatch):
    dataset, place = study

    def keys(**settings):
        told = []
        monkeypatch.setattr(jobs, "compare_on", lambda _who, tasks, *_more, **_also: told.extend(tasks) or [])
        with pytest.raises(ArgumentError, match="no candidate can be compared"):
            compare(dataset, place.root, **settings)
        return [task.key for task in told]

    first = keys()
    experiment(dataset, place, "other")
    assert keys() == first
    assert all(one != before for one, before in zip(keys(also=("other",)), first, strict=True))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nobody", "--also nobody: no such experiment"),
        ("integrated_x", "a candidate is called so already"),
        ("bare", "there is no locked model"),
        ("moved", "locked from other splits"),
        ("edited", "not the scores that the model was locked from"),
    ],
)
def test_an_experiment_that_cannot_be_compared_is_one_line(study, name, told):
    dataset, place = study
    if name == "bare":
        place.experiment(name).root.mkdir(parents=True)
        shutil.copy(place.plan, place.experiment(name).root)
    elif name != "nobody":
        splits = Splits.load(place.splits, "")
        splits = splits.model_copy(update={"inputs_sha256": "f" * 64}) if name == "moved" else splits
        other = experiment(dataset, place, name, splits=splits)
        if name == "edited":
            other.oof_scores.write_text(other.oof_scores.read_text() + "\n")
    answer = command(dataset, place, "--also", name)
    assert answer.status == 2 and told in answer.complaint and f"--also {name}" in answer.complaint
    assert not place.comparison.exists()


def test_an_experiment_is_set_beside_another_and_not_beside_itself_or_nothing(study):
    dataset, place = study
    experiment(dataset, place, "one")
    experiment(dataset, place, "two")
    answer = command(dataset, place, "--name", "one", "--also", "two")
    assert answer.status == 0, answer.err
    assert Comparison.load(place.experiment("one").comparison, "").experiments == ("two",)
    itself = command(dataset, place, "--name", "one", "--also", "one")
    assert itself.status == 2 and "is compared already, as candidate 'deep'" in itself.complaint
    place.model.record.unlink()
    nothing = command(dataset, place, "--also", "one")
    assert nothing.status == 2 and "no locked model" in nothing.complaint and "--name" in nothing.complaint


def test_run_keeps_a_comparison_with_experiments_and_makes_it_anew_with_them(study):
    """It stands as it is; where networks have changed, the same experiments are asked, those that are there."""
    dataset, place = study
    other, settings = experiment(dataset, place, "wide"), RunSettings(dataset, place.root)
    compare(dataset, place.root, also=("wide",))
    assert stands("compare", settings)
    other.oof_scores.write_text(other.oof_scores.read_text().replace("\n", "\r\n"))
    assert not stands("compare", settings)
    assert compared_with(place) == ("wide",)
    with mock.patch("autodls.stages.run.compare") as made:
        run._compare(settings, stage.SILENT)
    assert made.call_args.kwargs["also"] == ("wide",)
    shutil.rmtree(other.root)
    assert compared_with(place) == () and not stands("compare", settings)


def test_an_experiment_is_locked_already(study):
    dataset, place = study
    experiment(dataset, place, "wide")
    answer = command(dataset, place, "--lock", "--candidate", "wide")
    assert answer.status == 2 and "--candidate wide: is no candidate" in answer.complaint
    assert not place.comparison.exists(), "before minutes of work"
    found = compare(dataset, place.root, also=("wide",), lock="wide")
    assert found.locked == place.experiment("wide").model.record and not place.candidate.exists()
    assert found.how_to_predict == f"autodls predict -m {found.locked.parent} -i IMAGES --rois ROIS -o OUT"


# -- folds as jobs -----------------------------------------------------------------------------------------------------


class Machine:
    """A pool of one that does the last job first, in a folder of its own, and hands on `spoiled` bytes of it."""

    def __init__(self, root, inputs, spoil=()):
        self.root, self.inputs, self.spoil, self.waiting = root, inputs, spoil, []

    def submit(self, given):
        self.waiting += copy.deepcopy(given)

    def ended(self):
        job = self.waiting.pop()
        files = job.do(self.inputs.received(), self.root / job.place, lambda _word: None)
        assert files == job.made(self.root / job.place) and job.epochs(self.root / job.place)
        return [Ended(job, {} if job.index in self.spoil else files)]

    def epochs(self):
        return []


@pytest.mark.long
@pytest.mark.parametrize("spoil", [(), (0,)])
def test_jobs_make_the_bytes_of_this_machine(study, monkeypatch, tmp_path, spoil):
    dataset, place = study
    told = tasks(monkeypatch, dataset, place)
    here = [place.fold_comparison(task.index).read_bytes() for task in told]

    def away(_executor, undone, report, note):
        work, inputs = undone.begin(sent=True)
        dispatch(work, Machine(tmp_path / "jobs", inputs, spoil), report, note)

    monkeypatch.setattr(jobs, "do_on", away)
    monkeypatch.setattr(stage, "require_executor", lambda _who: None)
    for task in told:
        place.fold_comparison(task.index).unlink()
    if spoil:
        with pytest.raises(AutoDLSError, match="comparison of fold 0: did not come back whole"):
            compare(dataset, place.root, executor=Executor("ray"))
        assert not place.fold_comparison(0).exists() and place.fold_comparison(1).read_bytes() == here[1]
        return
    compare(dataset, place.root, executor=Executor("ray"))
    assert [place.fold_comparison(task.index).read_bytes() for task in told] == here
    monkeypatch.setattr(jobs, "do_on", None)
    compare(dataset, place.root, executor=Executor("ray"))
