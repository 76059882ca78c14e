"""How many patients more: subsets of training parts alone, what is said of the curve, and that it goes on."""

import json

import numpy as np
import pytest
from command_line import autodls, snapshot
from report_workspace import write_workspace
from tiny_workspace import made_up_scores, tiny_workspace

from autodls.analysis.patients import Agreement, patients_benchmark
from autodls.analysis.patients_results import PatientsBenchmark
from autodls.errors import ArgumentError
from autodls.evaluation import learning_curve
from autodls.evaluation.learning_curve import (
    CurvePoint,
    FoldRows,
    LearningCurve,
    curve_of,
    draw_subsets,
)
from autodls.planning.fingerprint import inputs_sha256
from autodls.planning.segmentation_time import in_words
from autodls.records.cohort import read_cohort
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.plan import Plan
from autodls.records.splits import Splits, SubsetSplits
from autodls.records.training_log import Epoch
from autodls.report.html.document import render
from autodls.report.patients_files import write_patients
from autodls.report.reading import read_study
from autodls.stages import benchmark_patients as stage
from autodls.stages import curve_networks
from autodls.stages.benchmark_patients import benchmark_patients
from autodls.training.fold_chain import weight_hashes, write_scores
from autodls.verify.results import verify_results
from autodls.watch import Silent

TRAINING = 24
SIZES = (20, 32, 48, 64, 80)


class Notes(Silent):
    """A watch that keeps the lines that it is told."""

    def __init__(self):
        self.notes = []

    def note(self, line):
        self.notes.append(line)


# -- subsets -----------------------------------------------------------------------------------------------------------


def rows_of_folds(n=60, folds=3, patients_of=2):
    """Labels, patients of two rows each, and folds that learn from two parts."""
    names = np.array([f"p{row // patients_of}" for row in range(n)])
    labels = (np.arange(n) // patients_of) % 2 == 0
    fold_of = (np.arange(n) // patients_of) % folds
    given = []
    for fold in range(folds):
        rest = np.flatnonzero(fold_of != fold)
        inner = np.isin(names[rest], np.unique(names[rest])[::4])
        given.append(FoldRows((rest[~inner], rest[inner]), np.flatnonzero(fold_of == fold)))
    return labels, names, given


@pytest.fixture
def few(monkeypatch):
    """Cohorts of a dozen patients a class are enough."""
    monkeypatch.setattr(learning_curve, "LEAST_OF_CLASS", 10)


def test_subsets_lie_in_the_training_part_of_their_fold_and_in_each_other(few):
    labels, names, folds = rows_of_folds()
    shares = (0.25, 0.5, 1.0)
    drawn = draw_subsets(labels, list(names), np.random.default_rng(0), 2, folds, shares)
    assert [(one.repeat, one.fold, one.share) for one in drawn[:4]] == [
        (0, 0, 0.25),
        (0, 0, 0.5),
        (0, 0, 1.0),
        (0, 1, 0.25),
    ]
    for one in drawn:
        given = folds[one.fold]
        learnable = {row for part in given.parts for row in part.tolist()}
        assert {*one.fitted.tolist()} <= learnable and not {*names[one.fitted]} & {*names[given.scored]}
        assert len(np.unique(labels[one.fitted])) == 2
        for part in given.parts:
            kept = [row for row in part.tolist() if row in one.fitted]
            assert len(kept) == pytest.approx(one.share * len(part), abs=4), "each part is thinned by itself"
            of_patient = {name: np.isin(part[names[part] == name], kept) for name in names[part]}
            assert all(found.all() or not found.any() for found in of_patient.values())
        if one.share == 1:
            assert {*one.fitted.tolist()} == learnable
    small, large = drawn[0], drawn[1]
    assert {*small.fitted.tolist()} < {*large.fitted.tolist()}
    other = next(one for one in drawn if one.repeat == 1)
    assert {*other.fitted.tolist()} != {*small.fitted.tolist()}, "another repeat draws others"


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_curve_has_the_mean_auc_and_the_size_of_each_share(few, repeats):
    labels, names, folds = rows_of_folds()
    shares = (0.5, 1.0)
    drawn = draw_subsets(labels, list(names), np.random.default_rng(0), repeats, folds, shares)
    chance = np.random.default_rng(1)
    scores = [one.share * 2.0 * labels[one.scored] + chance.normal(size=len(one.scored)) for one in drawn]
    found = curve_of(labels, list(names), drawn, scores)
    for at, point in enumerate(found.points):
        mine = [(one, values) for one, values in zip(drawn, scores, strict=True) if one.share == shares[at]]
        aucs = [learning_curve.auc(labels[one.scored], values) for one, values in mine]
        assert point.auc == pytest.approx(np.mean(aucs))
        assert point.n == round(np.mean([len(one.fitted) for one, _ in mine]))
        assert np.isfinite(point.scatter) and point.scatter >= learning_curve._LEAST_SCATTER
    assert 0 < found.error < 0.3


def test_the_order_of_cases_with_equal_scores_does_not_matter(few):
    """Of a score of two levels, as one clinical column gives: cases of one class first, or the other."""
    labels, names, folds = rows_of_folds()
    errors = []
    for first in (1, -1):
        ordered = [FoldRows(one.parts, one.scored[np.argsort(first * labels[one.scored])]) for one in folds]
        drawn = draw_subsets(labels, list(names), np.random.default_rng(0), 2, ordered, (0.5, 1.0))
        scores = [(labels[one.scored] & (one.scored % 3 > 0)) * 1.0 for one in drawn]
        errors.append(curve_of(labels, list(names), drawn, scores).error)
    assert errors[0] == pytest.approx(errors[1])


# -- what is said ------------------------------------------------------------------------------------------------------


def told(a=0.9, b=0.8, *, agreement=None, n=100, half_width=0.05, patients=None, error=0.02):
    points = tuple(CurvePoint(size, a - b * size**-0.5, 0.005) for size in SIZES)
    labels = np.arange(n) % 2 == 0
    names = patients or [str(row) for row in range(n)]
    return patients_benchmark(
        "radiomics", LearningCurve(points, error), labels, names,
        repeats=5, agreement=agreement, half_width=half_width, seed=0,
    )  # fmt: skip


def test_the_sentence_gives_what_there_is_what_twice_and_four_times_may_bring_and_promises_nothing():
    found = told()
    assert [one.factor for one in found.expected] == [1, 2, 4] and [one.n for one in found.expected] == [80, 160, 320]
    assert found.expected[1].auc.low < 0.9 - 0.8 * 160**-0.5 < found.expected[1].auc.high
    assert f"mean AUC of {found.points[-1].auc:.3f}" in found.sentence
    high = told(0.99, 0.0, error=0.05, agreement=Agreement(0.99, "x"))
    assert f"mean AUC of 0.990 ({high.expected[0].auc.low:.3f}" in high.sentence, "with the band there, capped as it is"
    assert f"twice as many of the same population it may have {found.expected[1].auc.value:.3f}" in found.sentence
    assert "no promise" in found.sentence and "will" not in found.sentence
    assert found.precision.cases == learning_cases(found) and f"takes {found.precision.cases} new" in found.sentence
    assert told(half_width=0.1).precision.cases < found.precision.cases


def learning_cases(found):
    from autodls.stats import cases_for_auc

    return cases_for_auc(found.points[-1].auc, found.positives / found.n, found.precision.half_width)


def test_label_noise_caps_the_bands_and_its_source_is_named():
    free, capped = (
        told(0.95, 0.4, error=0.04),
        told(0.95, 0.4, error=0.04, agreement=Agreement(0.85, "Reader study 2020")),
    )
    assert max(one.auc.high for one in free.expected) > capped.ceiling.auc
    assert all(one.auc.high <= capped.ceiling.auc for one in capped.expected) and not capped.ceiling.passed
    assert any("Reader study 2020" in note and "bands end there" in note for note in capped.notes)


def test_an_agreement_that_the_score_has_passed_caps_nothing_and_is_said_to_be_of_other_labels():
    found = told(0.95, 0.2, agreement=Agreement(0.5, "x"))
    assert found.ceiling.passed and found.expected[0].auc.high > found.ceiling.auc
    assert any("not that of these labels" in note for note in found.notes)


def test_what_is_no_better_than_chance_is_said_to_be_that():
    found = told(0.45, 0.0)
    assert found.precision is None and "no better than chance" in found.sentence and "twice" not in found.sentence


def test_several_cases_of_a_patient_are_told():
    found = told(patients=[str(row // 2) for row in range(100)])
    assert found.patients == 50 and any("several cases" in note for note in found.notes)


def test_the_report_has_a_chapter_and_says_when_it_is_stale(tmp_path):
    place, description = write_workspace(tmp_path)
    assert "How many patients more" not in render(read_study(place, description))
    found = told().model_copy(update={"made_from": {"splits.json": sha256_of_file(place.splits)}})
    write_patients(place, found)
    text = render(read_study(place, description))
    assert ("How many patients more" in text and found.sentence in text and "<svg" in text) or "data:image" in text
    assert "Measured before" not in text
    place.splits.write_text(place.splits.read_text() + "\n")
    assert "Measured before splits.json changed" in render(read_study(place, description))


# -- a candidate without networks --------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path, make_dataset, monkeypatch, few):
    """A dataset with its workspace and a locked model of made-up scores; few settings."""
    monkeypatch.setattr("autodls.candidates.learners._RIDGE", (0.1, 1.0))
    monkeypatch.setattr("autodls.candidates.nested.MOST_PARTS", 2)
    dataset = make_dataset(tmp_path / "dataset", training=TRAINING, held_out=2)
    place = tiny_workspace(dataset, tmp_path / "work")
    cohort, seen = read_cohort(dataset), Fingerprint.load(place.fingerprint, "")
    found = inputs_sha256(cohort.training, 1, lambda _case: None)
    labels = tuple(sorted(cohort.description.roi_labels))
    seen.model_copy(update={"inputs_sha256": found, "roi_labels": labels}).save(place.fingerprint)
    made = {"fingerprint_sha256": sha256_of_file(place.fingerprint)}
    Plan.load(place.plan, "").model_copy(update=made).save(place.plan)
    return dataset, place


def command(dataset, place, *words):
    return autodls("benchmark", "patients", "-d", dataset, "-w", place.root, "--workers", 1, *words)


def test_subsets_hold_training_cases_alone_and_no_label_of_a_test_case_has_a_part(study, monkeypatch, edit_table):
    """The wall: labels of one fold's test cases are exchanged, and its fits are the same to the last bit."""
    dataset, place = study
    seen = []
    work = stage._kept_or_fitted
    monkeypatch.setattr(stage, "_kept_or_fitted", lambda job: seen.append(job[0]) or work(job))
    benchmark_patients(dataset, place.root, candidate="clinical", repeats=1)
    folds = Splits.load(place.splits, "").folds
    for task in seen:
        fold = folds[task.fold]
        assert task.test == fold.validation and {*task.part.cases} == {*fold.train, *fold.inner}
        assert all({*subset} <= {*task.part.cases} for subset in task.subsets)
        assert {*task.subsets[-1]} == {*task.part.cases}
    before = [place.curve_run("clinical", 0, at).read_bytes() for at in range(len(folds))]
    assert {case.id for case in read_cohort(dataset).training} == {
        *folds[0].train,
        *folds[0].inner,
        *folds[0].validation,
    }
    session = stage.Session.open(dataset, place.root)
    plan, splits = session.plan(), session.splits(session.plan())
    subsets, _ = stage._Measured(session, plan, splits, "clinical", 1).measure(1, stage.LOCAL, stage.SILENT)
    for case in read_cohort(dataset).training:
        if case.id in folds[0].validation:
            edit_table(dataset, case.id, cps="5" if case.label else "30")
    other = stage._Measured(stage.Session.open(dataset, place.root), plan, splits, "clinical", 1)
    for task in other._tasks(subsets, 1, stage.SILENT):
        path = place.curve_run("clinical", 0, task.fold)
        path.unlink()
        work((task, path))
    after = [place.curve_run("clinical", 0, at).read_bytes() for at in range(len(folds))]
    assert after[0] == before[0]
    assert after[1] != before[1], "so that this test is one that can fail"


def test_what_is_fitted_is_kept_and_what_was_altered_is_not_believed(study, monkeypatch):
    dataset, place = study
    first = benchmark_patients(dataset, place.root, candidate="volume", repeats=2).benchmark
    assert PatientsBenchmark.load(place.learning_curve, "") == first and first.repeats == 2
    place.curve_run("volume", 1, 0).unlink()
    altered = place.curve_run("volume", 0, 1)
    altered.write_text(altered.read_text().replace('"repeat": 0', '"repeat": 1'))
    from autodls.candidates import curve

    done = []
    work = curve.fit_subsets
    monkeypatch.setattr(curve, "fit_subsets", lambda task: done.append((task.repeat, task.fold)) or work(task))
    assert benchmark_patients(dataset, place.root, candidate="volume", repeats=2).benchmark == first
    assert sorted(done) == [(0, 1), (1, 0)]


def test_the_command_shows_it_and_verify_finds_it_whole(study):
    dataset, place = study
    given = ("--candidate", "volume", "--repeats", 1, "--label-agreement", 0.9, "--label-source", "a reader study")
    answer = command(dataset, place, *given)
    assert answer.status == 0, answer.err
    assert "AUC of volume" in answer.out and "a reader study" in answer.out and "mean AUC of" in answer.out
    assert all((place.figures / f"learning_curve.{ending}").is_file() for ending in ("png", "svg", "csv"))
    faults = [fault for link in verify_results(place, None) for fault in link.faults]
    assert not [fault for fault in faults if "learning_curve" in fault]
    before = snapshot(place.root / "results")
    again = command(dataset, place, *given, "--json")
    assert PatientsBenchmark.model_validate(json.loads(again.out)) == PatientsBenchmark.load(place.learning_curve, "")
    assert snapshot(place.root / "results") == before
    place.table("learning_curve").write_text("what\n")
    faults = [fault for link in verify_results(place, None) for fault in link.faults]
    assert any("learning_curve.csv" in fault and "autodls benchmark patients" in fault for fault in faults)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--candidate", "integrated"), "expected volume, clinical, radiomics, deep"),
        (("--label-agreement", "0.7"), "give both"),
        (("--label-source", "x"), "give both"),
        (("--label-agreement", "1.2", "--label-source", "x"), "expected a kappa above 0 and up to 1"),
        (("--half-width", "0.5"), "expected a number above 0 and below 0.5"),
        (("--executor", "slurm", "--address", "x:1"), "is for --executor ray"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_one_line(study, words, said):
    dataset, place = study
    answer = command(dataset, place, *words)
    assert answer.status == 2 and said in answer.complaint
    assert not place.learning_curve.exists()


def test_a_cluster_is_asked_for_networks_alone(study, monkeypatch):
    dataset, place = study
    monkeypatch.setattr(stage, "require_executor", lambda _who: None)
    with pytest.raises(ArgumentError, match="--executor ray: candidate volume is fitted here"):
        benchmark_patients(dataset, place.root, candidate="volume", executor=stage.Executor("ray"))


def test_too_few_patients_are_one_line(study, monkeypatch):
    dataset, place = study
    monkeypatch.setattr(learning_curve, "LEAST_OF_CLASS", 20)
    answer = command(dataset, place, "--candidate", "volume")
    assert answer.status == 2 and "12 positive patients, expected 20" in answer.complaint


@pytest.mark.parametrize(("chosen", "measured"), [("volume", "volume"), ("integrated", "deep"), (None, "deep")])
def test_what_compare_chose_is_measured_where_it_can_be(study, monkeypatch, chosen, measured):
    _, place = study
    if chosen is not None:
        from autodls.analysis import comparison_results

        class Found:
            chosen = type("Chosen", (), {"name": ""})

        Found.chosen.name = chosen
        place.comparison.parent.mkdir(parents=True, exist_ok=True)
        place.comparison.write_text("{}")
        monkeypatch.setattr(comparison_results.Comparison, "load", lambda *_: Found)
    listener = Notes()
    assert stage._chosen(place, None, listener) == measured
    assert bool(listener.notes) == (chosen == "integrated")


# -- networks ----------------------------------------------------------------------------------------------------------


class Trainer:
    """Stands in for training: scores that are the better, the more cases a fold learned from."""

    def __init__(self, place):
        self.place, self.trained = place, []

    def __call__(self, _who, workspace, cases, plan, splits, folds, report, _at_once, keys, *, note):
        by_id = {case.id: case for case in cases}
        assert all(workspace.sample(case).is_file() for case in by_id) and keys == {"all": "the same"}
        for index in folds:
            fold, folder = splits.folds[index], workspace.fold(index)
            if folder.scores.exists():
                continue
            self.trained.append((workspace.root.name.partition("-")[0], index))
            scores = made_up_scores(fold, by_id, plan.sequences, np.random.default_rng((len(fold.train), index)))
            write_scores(folder, scores, plan, "key", weight_hashes(folder, plan))
            report(index, Epoch(stage="T2WI", epoch=0, learning_rate=1, train_loss=1, inner_loss=1, inner_auc=None,
                                best=True, seconds=1))  # fmt: skip


@pytest.fixture
def trainer(study, monkeypatch):
    dataset, place = study
    for case in read_cohort(dataset).training:
        place.sample(case.id).parent.mkdir(parents=True, exist_ok=True)
        place.sample(case.id).write_bytes(b"sample")
    found = Trainer(place)
    monkeypatch.setattr("autodls.jobs.train.train_on", found)
    monkeypatch.setattr(curve_networks, "preprocess_training", lambda *_: {"all": "the same"})
    return found


def test_networks_are_trained_on_subsets_in_folders_of_their_own_and_whole_folds_are_not_trained_again(study, trainer):
    dataset, place = study
    before = snapshot(place.fold(0).root.parent)
    listener = Notes()
    found = benchmark_patients(dataset, place.root, candidate="deep", watch=listener).benchmark
    assert sorted({run for run, _ in trainer.trained}) == ["0_0.25", "0_0.5", "0_0.75"]
    assert found.repeats == 1 and len(found.points) == 4 and found.candidate == "deep"
    assert snapshot(place.fold(0).root.parent) == before
    (forecast,) = [line for line in listener.notes if "networks are trained" in line]
    planned = Plan.load(place.plan, "").budget.predicted_training_minutes
    assert "1.5 times what training took" in forecast and f"about {in_words(1.5 * planned / 60)};" in forecast
    done = list(trainer.trained)
    assert benchmark_patients(dataset, place.root, candidate="deep").benchmark == found
    assert trainer.trained == done, "what is trained is kept"
    edited = Plan.load(place.plan, "")
    edited.model_copy(update={"training": edited.training.model_copy(update={"cutoff": "youden"})}).save(place.plan)
    benchmark_patients(dataset, place.root, candidate="deep")
    assert len(trainer.trained) == 2 * len(done), "networks of another plan are not taken for these"
    assert len(list(place.on_subset("x").root.parent.iterdir())) == 3, "nor left behind"


def test_folds_of_networks_are_thinned_in_training_and_early_stopping_and_validate_what_they_did(study, trainer):
    dataset, place = study
    session = stage.Session.open(dataset, place.root)
    splits = session.splits(session.plan())
    subsets, _ = stage._Measured(session, session.plan(), splits, "deep", 1).measure(1, stage.LOCAL, stage.SILENT)
    ids = [case.id for case in session.training]
    quarter = curve_networks.thinned(splits, [one for one in subsets if one.share == 0.25], ids)
    whole = curve_networks.thinned(splits, [one for one in subsets if one.share == 1], ids)
    assert [fold.model_dump() for fold in whole.folds] == [fold.model_dump() for fold in splits.folds]
    for small, fold in zip(quarter.folds, splits.folds, strict=True):
        assert {*small.train} < {*fold.train} and {*small.inner} <= {*fold.inner}
        assert small.inner and small.validation == fold.validation


def test_a_subset_that_learns_from_what_no_fold_validates_is_refused(study):
    _, place = study
    splits = Splits.load(place.splits, "")
    strange = splits.folds[0].model_copy(update={"train": (*splits.folds[0].train, "nobody")})
    with pytest.raises(ValueError, match="learns from nobody"):
        SubsetSplits(**{**splits.model_dump(), "folds": (strange, *splits.folds[1:])})


def test_scores_of_another_model_are_refused(study, trainer):
    dataset, place = study
    place.oof_scores.write_text(place.oof_scores.read_text() + "\n")
    answer = command(dataset, place, "--candidate", "deep")
    assert answer.status == 2 and "not the scores that the model was locked from" in answer.complaint
    assert trainer.trained == []


def test_the_agreement_of_readers_is_a_kappa_with_its_source():
    assert stage._agreement(None, None) is None
    assert stage._agreement(0.7, " Smith 2020 ") == Agreement(0.7, "Smith 2020")
    with pytest.raises(ArgumentError, match="give both"):
        stage._agreement(0.7, "  ")
