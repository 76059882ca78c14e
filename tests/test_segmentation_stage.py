"""Training on our splits and drawing out of fold: walls, resumption, what is done is not done again."""

import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from killed_lives import files_end_at

from autodls.errors import AutoDLSError, PlanError, StaleRecordError, TrainingError
from autodls.imaging.volumes import read_geometry, read_labels
from autodls.records.files import sha256_of_file
from autodls.records.segmentation import SegmentedCohort, load_masks, masks_key, training_key
from autodls.segmentation.environment import nnunet
from autodls.segmentation.out_of_fold import draw_masks
from autodls.segmentation.run import is_trained, throw_away
from autodls.segmentation.stage import predicted_minutes, prepare_cohort, train_networks

pytestmark = pytest.mark.long


class KilledError(Exception):
    """Stands for Ctrl-C or a power cut."""


def ignore(_anything):
    """Show no progress."""


def stop_after(epoch):
    def report(done):
        if done.epoch == epoch:
            raise KilledError

    return report


@pytest.fixture
def study(segmented_study, tmp_path):
    return segmented_study.copy(tmp_path / "workspace")


def forget(study, index):
    """Take away what fold `index` has learned and drawn."""
    throw_away(study.run(), [index])
    assert not is_trained(study.run(), index)


# -- walls -------------------------------------------------------------------------------------------------------------


def test_held_out_cases_are_in_no_folder_of_nnunet(segmented_study):
    folder = segmented_study.workspace.segmentation.root
    assert not [path for path in folder.rglob("*") if "EX00" in path.name]
    listed = json.loads((folder / "raw" / "Dataset001_autodls" / "dataset.json").read_text())["dataset"]
    assert sorted(listed) == sorted(case.id for case in segmented_study.session.training)


@pytest.mark.parametrize("index", [0, 1])
def test_nnunet_trains_on_our_splits(segmented_study, index):
    run, fold = segmented_study.run(), segmented_study.splits.folds[index]
    with nnunet(run.workspace.segmentation, augmenters=0):
        from autodls.segmentation.trainer import fold_trainer

        trainer = fold_trainer(run, index, ignore)
        training, validation = trainer.do_split()
        opened = [cases.identifiers for cases in trainer.get_tr_and_val_datasets()]
    assert set(training) == {*fold.train, *fold.inner} and set(validation) == set(fold.validation)
    assert [set(cases) for cases in opened] == [set(training)] * 2, "the second set stands for the validation cases"


def test_splits_file_of_nnunet_follows_our_splits(study):
    """Nothing of ours reads it, but somebody who opens the folder with nnU-Net's own commands does."""
    path = study.workspace.segmentation.preprocessed / "Dataset001_autodls" / "splits_final.json"
    for reverse in (False, True):
        run = study.run()
        if reverse:
            for index in (0, 1):
                forget(study, index)
            turned = [fold.model_copy(update={"index": 1 - fold.index}) for fold in run.splits.folds[::-1]]
            run = replace(run, splits=run.splits.model_copy(update={"folds": tuple(turned)}))
            prepare_cohort(run, ignore)
        expected = [
            {"train": sorted({*fold.train, *fold.inner}), "val": sorted(fold.validation)} for fold in run.splits.folds
        ]
        assert json.loads(path.read_text()) == expected


@pytest.mark.parametrize("part", ["validation", "train"])
def test_a_fold_opens_the_cases_it_trains_on_and_none_that_it_draws(study, part):
    """The prepared files of one part are taken away: the validation part is not missed, any other is."""
    forget(study, 0)
    prepared = study.workspace.segmentation.prepared
    for case in getattr(study.splits.folds[0], part):
        shutil.rmtree(prepared / case)
    if part == "validation":
        train_networks(study.run(), [0], ignore)
        assert is_trained(study.run(), 0)
    else:
        with pytest.raises(FileNotFoundError):
            train_networks(study.run(), [0], ignore)


def test_destroyed_validation_cases_change_no_byte_of_the_weights(study):
    before = study.weights()
    forget(study, 1)
    for case in study.splits.folds[1].validation:
        for path in (study.workspace.segmentation.prepared / case).iterdir():
            path.write_bytes(b"unreadable")
    train_networks(study.run(), [1], ignore)
    assert study.weights() == before


def test_each_case_is_drawn_by_the_network_that_did_not_see_it(segmented_study):
    weights = segmented_study.weights()
    record = load_masks(segmented_study.workspace, segmented_study.plan, segmented_study.splits)
    assert sorted(record.by_case) == sorted(case.id for case in segmented_study.session.training)
    for row in record.cases:
        fold = segmented_study.splits.folds[row.fold]
        assert row.case in fold.validation and row.case not in {*fold.train, *fold.inner}
        assert row.weights_sha256 == weights[row.fold]
        assert row.mask_sha256 == sha256_of_file(segmented_study.workspace.auto_roi(row.case))


def redraw(study, index):
    """The rows of the cases that fold `index` draws, after their masks were taken away."""
    for case in study.splits.folds[index].validation:
        study.workspace.auto_roi(case).unlink()
    known = draw_masks(study.run(), [index], ignore).by_case
    return {case: known[case] for case in study.splits.folds[index].validation}


@pytest.mark.parametrize("index", [0, 1])
def test_no_other_network_is_opened_while_a_fold_draws(study, index):
    """The other fold has learned from these cases: its weights are made unreadable, and the masks stay the same."""
    before = SegmentedCohort.load(study.workspace.segmented, "").by_case
    study.workspace.segmentation.segmenter.fold(1 - index).write_bytes(b"unreadable")
    drawn = redraw(study, index)
    assert drawn and drawn == {case: before[case] for case in drawn}


def test_the_network_of_another_fold_draws_another_mask(study):
    """So that the test above is one that can fail; and what the other network drew is refused."""
    before = SegmentedCohort.load(study.workspace.segmented, "").by_case
    weights = study.workspace.segmentation.segmenter
    own = weights.fold(0).read_bytes()
    shutil.copyfile(weights.fold(1), weights.fold(0))
    drawn = redraw(study, 0)
    assert all(row.confidence != before[case].confidence for case, row in drawn.items())
    weights.fold(0).write_bytes(own)
    with pytest.raises(StaleRecordError, match="not the ROI that fold 0 drew"):
        load_masks(study.workspace, study.plan, study.splits)


@pytest.mark.parametrize("index", [2, -1, 99])
def test_fold_that_is_not_in_the_splits_is_refused(study, index):
    with (
        nnunet(study.workspace.segmentation, augmenters=0),
        pytest.raises(PlanError, match=rf"fold {index}: splits.json has folds 0 to 1"),
    ):
        from autodls.segmentation.trainer import train_fold

        train_fold(study.run(), index, ignore)


# -- masks -------------------------------------------------------------------------------------------------------------


def test_masks_lie_on_the_grid_of_the_roi_channel_and_hold_0_and_1(segmented_study):
    for case in segmented_study.session.training:
        path = segmented_study.workspace.auto_roi(case.id)
        assert read_geometry(path).same_grid(read_geometry(case.images["CE-T1WI"]))
        assert set(np.unique(read_labels(path).array)) == {0, 1}


def test_volume_and_confidence_are_those_of_the_mask(segmented_study):
    record = SegmentedCohort.load(segmented_study.workspace.segmented, "")
    for row in record.cases:
        mask = read_labels(segmented_study.workspace.auto_roi(row.case))
        assert row.volume_mm3 == pytest.approx(mask.array.sum() * np.prod(mask.geometry.spacing_mm))
        assert 0 <= row.confidence <= 1 and row.disagreement is None


def test_another_policy_draws_anew_and_trains_nothing(study):
    before = study.weights()
    policy = study.plan.segmentation.mask.model_copy(update={"components": "all"})
    run = study.run(mask=policy)
    drawn = []
    record = draw_masks(run, [0, 1], drawn.append)
    assert record.key == masks_key(run.plan, run.splits) != masks_key(study.plan, study.splits)
    assert sorted(drawn) == sorted(case.id for case in run.cases)
    assert study.weights() == before
    with pytest.raises(StaleRecordError, match=r"another plan, split or cohort .*autodls segment fold all"):
        load_masks(study.workspace, study.plan, study.splits)


@pytest.mark.parametrize("damage", ["altered", "deleted"])
def test_a_mask_that_no_longer_fits_is_refused_and_drawn_again(study, damage):
    case = study.splits.folds[0].validation[0]
    path, before = study.workspace.auto_roi(case), study.workspace.segmented.read_bytes()
    path.write_bytes(b"altered") if damage == "altered" else path.unlink()
    with pytest.raises(StaleRecordError, match="autodls segment fold all"):
        load_masks(study.workspace, study.plan, study.splits)
    draw_masks(study.run(), [0, 1], ignore)
    load_masks(study.workspace, study.plan, study.splits)
    assert study.workspace.segmented.read_bytes() == before


def test_masks_that_fit_are_not_drawn_again(study):
    before = {path: path.stat().st_mtime_ns for path in (study.root / "rois").iterdir()}
    assert len(before) == 12
    draw_masks(study.run(), [0, 1], ignore)
    assert {path: path.stat().st_mtime_ns for path in (study.root / "rois").iterdir()} == before


def test_fold_that_is_not_trained_draws_nothing(study):
    forget(study, 0)
    with pytest.raises(AutoDLSError, match="segmentation fold 0 is not trained"):
        draw_masks(study.run(), [0], ignore)


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("killed_after", [0, 1])
def test_killed_training_goes_on_to_the_same_bytes(study, killed_after):
    before = study.weights()
    forget(study, 0)
    with pytest.raises(KilledError):
        train_networks(study.run(), [0], stop_after(killed_after))
    seen = []
    train_networks(study.run(), [0], lambda epoch: seen.append(epoch.epoch))
    assert seen == list(range(killed_after + 1, 3))
    assert study.weights() == before
    log = study.workspace.segmentation.epochs(0).read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [0, 1, 2]


def test_a_full_disk_is_told_as_such_and_training_goes_on_to_the_same_bytes(study):
    """NumPy and torch, which write for nnU-Net, say neither of their own: torch raises RuntimeError, a traceback."""
    before, folder = study.weights(), study.workspace.segmentation
    forget(study, 0)
    with files_end_at(100_000), pytest.raises(OSError, match="File too large"):
        train_networks(study.run(), [0], ignore)
    assert not list(folder.root.rglob("*.pth"))
    train_networks(study.run(), [0], ignore)
    assert study.weights() == before
    case = study.splits.folds[0].validation[0]
    arrays = {path: path.read_bytes() for path in (folder.prepared / case).iterdir()}
    shutil.rmtree(folder.prepared / case)
    with files_end_at(1000), pytest.raises(OSError, match="File too large"):
        prepare_cohort(study.run(), ignore)
    assert not list(folder.prepared.rglob(".tmp-*"))
    prepare_cohort(study.run(), ignore)
    assert {path: path.read_bytes() for path in (folder.prepared / case).iterdir()} == arrays


def test_global_generators_are_left_as_they_were(study):
    forget(study, 0)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    expected = np.random.random(), torch.rand(1).item()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    train_networks(study.run(), [0], ignore)
    assert (np.random.random(), torch.rand(1).item()) == expected  # noqa: NPY002


def test_weights_of_another_schedule_are_refused(study):
    with pytest.raises(StaleRecordError, match=r"trained by another plan.*--restart"):
        train_networks(study.run(epochs=4), [0], ignore)
    before = study.weights()
    with pytest.raises(StaleRecordError, match="--restart"):
        prepare_cohort(study.run(planner="default"), ignore)
    assert study.weights() == before, "preparing for another planner must not lose weights"


def test_checkpoint_of_another_key_is_not_continued(study):
    forget(study, 0)
    with pytest.raises(KilledError):
        train_networks(study.run(), [0], stop_after(1))
    seen = []
    train_networks(study.run(epochs=2), [0], lambda epoch: seen.append(epoch.epoch))
    assert seen == [0, 1]


class Payload:
    """A pickle that writes a file when it is opened unrestricted."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return eval, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("write", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))])
def test_hostile_checkpoint_is_refused_and_not_executed(study, tmp_path, write):
    from autodls.segmentation.trainer import CHECKPOINT

    forget(study, 0)
    path = study.workspace.segmentation.fold(0) / CHECKPOINT
    path.parent.mkdir(parents=True)
    write({"network_weights": Payload(tmp_path / "executed")}, path)
    with pytest.raises(TrainingError, match=rf"{CHECKPOINT}: refused.*--restart"):
        train_networks(study.run(), [0], ignore)
    assert not (tmp_path / "executed").exists()


def test_time_is_predicted_for_what_is_left(study):
    assert predicted_minutes(study.run(), [0, 1]) == 0
    forget(study, 1)
    assert 0 < predicted_minutes(study.run(), [0, 1]) < 10


def test_epochs_of_a_checkpoint_count_as_done(study, monkeypatch):
    from autodls.segmentation import trainer

    forget(study, 0)
    with pytest.raises(KilledError):
        train_networks(study.run(), [0], stop_after(1))
    monkeypatch.setattr(trainer, "seconds_per_iteration", lambda _run, _index: 60.0)
    assert trainer.epochs_done(study.run(), 0) == 2
    assert predicted_minutes(study.run(), [0, 1]) == 2, "one epoch of two batches is left"
    assert predicted_minutes(study.run(epochs=4), [0]) == 4 * 2, "another schedule begins anew"


def prepared_bytes(study):
    root = study.workspace.segmentation.root
    places = [root / "segmenter" / "plans.json", *(root / "preprocessed" / "cases").rglob("*.npy")]
    return {str(path.relative_to(root)): path.read_bytes() for path in places}


@pytest.mark.parametrize("change", ["array", "plans", "of other files"])
def test_prepared_files_that_are_not_those_of_their_inputs_and_plans_are_made_anew(study, change):
    """All are there in each case, as they were when only that was asked."""
    before, folder = prepared_bytes(study), study.workspace.segmentation
    first = folder.prepared / study.session.training[0].id
    if change == "array":
        np.save(first / "image.npy", np.zeros_like(np.load(first / "image.npy")))
    if change == "plans":
        plans = folder.segmenter.plans
        plans.write_text(plans.read_text().replace('"ZScoreNormalization"', '"NoNormalization"'))
        assert plans.read_bytes() != before["segmenter/plans.json"]
    if change == "of other files":
        other = folder.prepared / study.session.training[1].id
        shutil.copytree(other, first, dirs_exist_ok=True)
    prepare_cohort(study.run(), ignore)
    assert prepared_bytes(study) == before


def test_prepared_files_that_fit_are_not_made_again(study):
    folder = study.workspace.segmentation
    made = [*folder.root.rglob("*.npy"), folder.segmenter.plans]
    before = [path.stat().st_mtime_ns for path in made]
    prepare_cohort(study.run(), ignore)
    assert [path.stat().st_mtime_ns for path in made] == before


def test_plans_that_nnunet_no_longer_makes_are_refused_where_folds_are_trained(study):
    folder = study.workspace.segmentation
    key = json.loads(folder.key.read_text())
    key["plans"]["plans.json"] = "0" * 64
    folder.key.write_text(json.dumps(key))
    with pytest.raises(StaleRecordError, match=r"plans\.json: nnU-Net makes another one now .*--restart"):
        prepare_cohort(study.run(), ignore)
    for fold in study.splits.folds:
        forget(study, fold.index)
    prepare_cohort(study.run(), ignore)


def test_keys_differ_by_what_they_stand_for(segmented_study):
    plan, splits = segmented_study.plan, segmented_study.splits
    longer = segmented_study.run(epochs=4).plan
    margin = segmented_study.run(noninferiority_margin_auc=0.1).plan
    assert training_key(longer, splits) != training_key(plan, splits)
    assert masks_key(margin, splits) == masks_key(plan, splits)
    assert training_key(plan, splits.model_copy(update={"seed": 9})) != training_key(plan, splits)
