"""Several lesions of a patient: told apart, each a sample, one score a lesion and their mean for the patient."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_records import AUTO, CPU, fingerprint, spread
from safetensors.torch import load_file
from scipy import ndimage
from small_volumes import anatomy, ball, grid_around
from tiny_model_folder import small_volume_plan
from tiny_models import tiny_model, tiny_plan
from tiny_study import make_sample, study_plan, tiny_study, use_tiny_resnet
from tiny_workspace import tiny_workspace

from autodls.errors import ArgumentError, DatasetError, StaleRecordError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.lesions import LesionPlace, tell_lesions
from autodls.imaging.volumes import read_roi, write_volume
from autodls.inference.inputs import list_inputs
from autodls.inference.predict import predict_cases
from autodls.inference.prediction import LESION_COLUMNS, Prediction, lesions_of, write_prediction
from autodls.inference.rois import RoiSource
from autodls.jobs.fold_job import SentInputs
from autodls.models.fold_files import load_fold
from autodls.models.lesions import mean_by_case
from autodls.phantom.cohort import PhantomSettings, _anatomy
from autodls.phantom.generative import PLAIN_EXPRESSION, ExpressionModel, draw_patient
from autodls.planning.planner import derive_plan
from autodls.planning.tumour import LEAST_LESION_MM3
from autodls.preprocessing.case import prepare_case
from autodls.preprocessing.store import load_sample, load_summary, save_sample
from autodls.records.cohort import read_description
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint, LesionFingerprint
from autodls.records.plan import Plan
from autodls.records.preprocessing_plan import LesionPlan, PreprocessingPlan
from autodls.records.scores import FUSED, read_fold_scores
from autodls.stages import segment as segment_stage
from autodls.stages.session import Session
from autodls.training.bags import bags_of
from autodls.training.card import model_card
from autodls.training.data import centre_crop

BY_PARTS = LesionPlan(told_by="components", least_mm3=20.0, most=4)
BY_LABELS = LesionPlan(told_by="labels", least_mm3=20.0, most=4)
GRID = grid_around((0.0, 0.0, 0.0), (48, 48, 16), (1.0, 1.0, 3.0))
FIRST, SECOND = ((-12.0, -8.0, 0.0), (7.0, 6.0, 9.0)), ((13.0, 12.0, 3.0), (5.0, 5.0, 7.0))


def blobs(*places, values=None):
    """Ellipsoids on `GRID`, each of its value, by default all 1."""
    array = np.zeros(GRID.size_xyz[::-1], dtype=np.uint8)
    for value, place in zip(values or [1] * len(places), places, strict=True):
        array[ball(GRID, *place).array] = value
    return Volume(array, GRID)


def with_lesions(plan, lesions=BY_PARTS):
    return plan.model_copy(update={"preprocessing": plan.preprocessing.model_copy(update={"lesions": lesions})})


# -- telling them apart ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0, 30))
def test_lesions_are_the_parts_of_scipy_and_lose_no_voxel(seed, least_mm3):
    array = np.random.default_rng(seed).random((4, 9, 8)) < 0.2
    array[2, 4, 4] = True
    grid = Geometry((8, 9, 4), (1.0, 1.5, 2.0))
    found = tell_lesions(Volume(array, grid), "components", least_mm3)
    labels, count = ndimage.label(array, structure=np.ones((3, 3, 3)))
    volumes = np.sort(3.0 * np.bincount(labels.ravel())[1:])[::-1]
    kept = max(1, int((volumes >= least_mm3).sum()))
    assert (len(found.places), found.merged) == (kept, count - kept)
    assert ((found.numbers > 0) == array).all()
    assert sum(place.volume_ml for place in found.places) == pytest.approx(3.0 * array.sum() / 1000)
    for place in found.places:
        mask = found.mask(place.number)
        assert place.volume_ml >= volumes[place.number - 1] / 1000 - 1e-12
        np.testing.assert_allclose(place.centre_mm, np.argwhere(mask.array).mean(axis=0)[::-1] * grid.spacing_mm)


def test_a_part_that_is_too_small_goes_to_the_nearest_in_mm_not_in_voxels():
    """One voxel up is 9 mm, four to the side are 4 mm."""
    array = np.zeros((3, 1, 12), dtype=bool)
    array[0, 0, 4:8], array[2, 0, 8:12] = True, True  # 4 voxels each, of which the first is 1
    array[2, 0, 5] = True
    found = tell_lesions(Volume(array, Geometry((12, 1, 3), (1.0, 1.0, 9.0))), "components", 20.0)
    assert found.merged == 1 and found.numbers[2, 0, 5] == found.numbers[2, 0, 8] == 2


def test_labels_tell_lesions_that_touch_and_join_parts_of_one_value():
    array = np.array([[[3, 3, 7, 7, 7, 0, 3, 3]]], dtype=np.int32)
    found = tell_lesions(Volume(array, Geometry((8, 1, 1), (1.0, 1.0, 1.0))), "labels", 1.0)
    assert found.numbers.tolist() == [[[1, 1, 2, 2, 2, 0, 1, 1]]]
    assert [place.volume_ml for place in found.places] == [0.004, 0.003]


# -- a sample a lesion -------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """Images and an ROI of two lesions, by sequence and path."""
    images = {name: tmp_path / f"{name}.nii.gz" for name in ("T2WI", "CE-T1WI")}
    for number, path in enumerate(images.values()):
        write_volume(path, anatomy(GRID, contrast=1.0 - 0.5 * number))
    write_volume(tmp_path / "roi.nii.gz", blobs(FIRST, SECOND))
    return images, tmp_path / "roi.nii.gz"


def prepare(files, lesions=BY_PARTS, roi=None, labels=(1,)):
    images, drawn = files
    if roi is not None:
        write_volume(drawn, roi)
    plan = tiny_plan(("T2WI", "CE-T1WI"), 32, 40, crop_mm=24.0, lesions=lesions).preprocessing
    return prepare_case("A1", images, drawn, frozenset(labels), plan)


def test_each_lesion_has_the_sample_that_it_had_alone(files):
    both = prepare(files)
    for lesion, place in zip(both.lesions, (FIRST, SECOND), strict=True):
        alone = prepare(files, None, blobs(place))
        np.testing.assert_array_equal(lesion.pixels, alone.pixels)
        np.testing.assert_array_equal(lesion.roi, alone.roi)
        assert (lesion.planes, lesion.shown) == (alone.planes, alone.shown)
        np.testing.assert_allclose(lesion.lesion.centre_mm, place[0], atol=0.6)
    assert [lesion.lesion.number for lesion in both.lesions] == [1, 2] and both.flags == ()


def test_without_lesions_the_roi_is_one_tumour_as_ever(files, tmp_path):
    whole = prepare(files, None)
    assert whole.others == () and whole.lesion is None and whole.shown.parts == 2
    save_sample(tmp_path / "whole.safetensors", whole)
    assert b'"lesion' not in (tmp_path / "whole.safetensors").read_bytes()
    one = prepare(files, BY_PARTS, blobs(FIRST))
    np.testing.assert_array_equal(one.pixels, prepare(files, None).pixels)
    assert len(one.lesions) == 1 and one.lesion.number == 1


def test_labels_are_lesions_of_their_own(files):
    """The larger value is the larger lesion here, and number 1."""
    sample = prepare(files, BY_LABELS, blobs(SECOND, FIRST, values=(1, 2)), labels=(1, 2, 3))
    by_parts = prepare(files, BY_PARTS, blobs(FIRST, SECOND))
    for one, other in zip(sample.lesions, by_parts.lesions, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert one.lesion == other.lesion


def test_what_is_too_small_is_flagged(files):
    speck = ((0.5, 0.5, 1.5), (1.2, 1.2, 1.2))
    sample = prepare(files, BY_PARTS, blobs(FIRST, SECOND, speck))
    assert len(sample.lesions) == 2
    assert sample.flags[0] == (
        "1 part of the ROI is smaller than 20 mm3, no lesion by itself, and taken to the nearest lesion"
    )
    (flag,) = (flag for flag in prepare(files, BY_PARTS, blobs(speck)).flags if "no part" in flag)
    assert flag == "no part of the ROI has 20 mm3: it is taken as one lesion of 15 mm3"


def test_a_lesion_that_no_sequence_shows_is_named_and_left_out(files):
    images, _ = files
    for path in images.values():
        low = grid_around((-12.0, -8.0, 0.0), (20, 20, 16), (1.0, 1.0, 3.0))
        write_volume(path, anatomy(low))
    del images["CE-T1WI"]
    sample = prepare(files)
    assert [lesion.lesion.number for lesion in sample.lesions] == [1]
    assert "lesion 2: T2WI does not show the tumour and is taken as missing" in sample.flags
    assert "lesion 2: no sequence shows it, and it is not scored" in sample.flags


@pytest.mark.parametrize(
    ("lesions", "told"),
    [
        (BY_PARTS.model_copy(update={"most": 1}), "2 lesions of 20 mm3 or more, expected at most 1"),
        (BY_LABELS, "by the labels of the ROI, and this one has [1] alone"),
    ],
)
def test_more_lesions_than_the_plan_takes_and_labels_that_are_not_there_are_refused(files, lesions, told):
    with pytest.raises(DatasetError) as raised:
        prepare(files, lesions)
    assert told in str(raised.value) and "A1" in str(raised.value) and "\n" not in str(raised.value)


def test_a_stored_sample_keeps_every_lesion(files, tmp_path):
    path, sample = tmp_path / "A1.safetensors", prepare(files)
    save_sample(path, replace(sample, flags=("look",)))
    found = load_sample(path)
    assert (found.key, found.flags) == (sample.key, ("look",)) == load_summary(path)
    for one, other in zip(found.lesions, sample.lesions, strict=True):
        for name in ("pixels", "present", "roi"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert (one.planes, one.shown, one.lesion) == (other.planes, other.shown, other.lesion)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1  # in the pixels or the ROI of the last lesion
    path.write_bytes(content)
    with pytest.raises(StaleRecordError, match="not those that were written"):
        load_sample(path)


# -- training ----------------------------------------------------------------------------------------------------------


def test_the_mean_over_lesions_leaves_out_what_is_not_known():
    values = torch.tensor([[1.0, 2.0], [3.0, torch.nan], [torch.nan, 5.0]])
    found = mean_by_case(values, torch.tensor([0, 0, 1]), 2)
    torch.testing.assert_close(found, torch.tensor([[2.0, 2.0], [torch.nan, 5.0]]), equal_nan=True)
    assert mean_by_case(values, None, 3) is values


def test_every_case_is_drawn_once_an_epoch_by_any_of_its_lesions():
    case_of = torch.tensor([0, 1, 2, 1, 1, 1])  # the second case has four lesions
    bags = bags_of(torch.tensor([2, 1]), case_of)
    assert (bags.rows.tolist(), bags.case_of.tolist()) == ([2, 1, 3, 4, 5], [0, 1, 1, 1, 1])
    drawn = np.array([bags.rows[bags.draw(seed)].tolist() for seed in range(400)])
    assert (drawn[:, 0] == 2).all()
    rows, counts = np.unique(drawn[:, 1], return_counts=True)
    assert rows.tolist() == [1, 3, 4, 5] and (abs(counts - 100) < 45).all()  # five standard deviations


def test_a_sequence_is_taken_of_the_lesions_that_have_it():
    case_of = torch.tensor([0, 1, 2, 1])
    has = torch.tensor([True, False, False, True])
    bags = bags_of(torch.tensor([0, 1, 2]), case_of, has)
    assert (bags.case_rows.tolist(), bags.rows.tolist(), len(bags)) == ([0, 1], [0, 3], 2)
    assert bags_of(torch.tensor([0, 2]), None, has).rows.tolist() == [0]


def study_with_lesions(root, copies=0, others=0):
    """The tiny study; `case_01` has its lesion in `copies` more, and every second case `others` of their own."""
    study = tiny_study(root, with_lesions(study_plan(epochs=1, fusion_epochs=1)))
    for number, case in enumerate(study.cases):
        sample = load_sample(study.workspace.sample(case.id))
        more = [sample] * copies if number == 1 else []
        if number % 2:
            chance = np.random.default_rng((9, number))
            more += [make_sample(case.id, case.label, chance) for _ in range(others)]
        save_sample(study.workspace.sample(case.id), with_places(sample, more))
    return study


def with_places(sample, others):
    first, *more = (
        replace(one, lesion=LesionPlace(number, 1.0 / number, (0.0, 0.0, 0.0)), others=(), key=sample.key)
        for number, one in enumerate((sample, *others), start=1)
    )
    return replace(first, others=tuple(more))


@pytest.fixture
def tiny_resnet(monkeypatch):
    use_tiny_resnet(monkeypatch)


@pytest.mark.usefixtures("tiny_resnet")
def test_a_patient_with_equal_lesions_weighs_as_one_who_has_one(tmp_path):
    """Neither encoder nor PCA tells the difference, as a case is shown once; the fusion draws views of each sample."""
    one, several = study_with_lesions(tmp_path / "a"), study_with_lesions(tmp_path / "b", copies=7)
    assert "case_01" in one.splits.folds[0].train and len(several.data().labels) == len(one.data().labels) + 7
    for study in (one, several):
        study.train(folds=(0,))
    for name in (*one.plan.sequences, "fusion"):
        first, second = (load_file(study.workspace.fold(0).sequence(name)) for study in (one, several))
        for tensor in (tensor for tensor in first if not tensor.startswith("fusion.")):
            torch.testing.assert_close(second[tensor], first[tensor], rtol=0, atol=2e-5, msg=f"{name} {tensor}")


@pytest.mark.usefixtures("tiny_resnet")
def test_a_case_has_the_mean_of_its_lesions_out_of_fold_and_no_part_of_a_fold_shares_one(tmp_path):
    study = study_with_lesions(tmp_path, others=2)
    data, fold = study.data(), study.splits.folds[0]
    study.train(folds=(0,))
    parts = {part: set(data.bags(getattr(fold, part)).rows.tolist()) for part in ("train", "inner", "validation")}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == len(data.labels) == 16 + 2 * 8
    model = load_fold(study.workspace.fold(0), study.plan, torch.device("cpu"))
    logits = model.logits(centre_crop(data.pixels, 32), data.present)
    for score in read_fold_scores(study.workspace.fold(0).scores, study.plan.sequences):
        rows = data.bags([score.case]).rows
        assert len(rows) == (3 if int(score.case[-2:]) % 2 else 1)
        expected = model.scales[FUSED].log_odds(logits.fused[rows].double().mean().numpy())
        assert score.log_odds[FUSED] == pytest.approx(float(expected), abs=1e-5)
        for name, values in logits.by_sequence.items():
            known = values[rows][~values[rows].isnan()]
            assert (name in score.logits) == bool(len(known))
            assert not len(known) or score.logits[name] == pytest.approx(float(known.mean()), abs=1e-5)


@pytest.mark.usefixtures("tiny_resnet")
@pytest.mark.parametrize("training", [{"fine_tuning_epochs": 1}, {}])
def test_lesions_travel_to_other_machines_and_through_fine_tuning(tmp_path, training):
    study = study_with_lesions(tmp_path, others=1)
    plan = study.plan.model_copy(update={"training": study.plan.training.model_copy(update=training)})
    study = replace(study, plan=plan)
    if training:
        study.train(folds=(0,))
        assert study.workspace.fold(0).fine_tuned.fusion.is_file() and study.workspace.fold(0).scores.is_file()
        return
    run = study.run(0)
    received = SentInputs.of(run).received().data
    assert torch.equal(received.case_of, run.data.case_of) and torch.equal(received.pixels, run.data.pixels)


# -- scoring -----------------------------------------------------------------------------------------------------------


def logit(share):
    return np.log(share) - np.log1p(-np.asarray(share))


@pytest.fixture
def scored(tmp_path, make_dataset):
    """Three cases, of which the second has two lesions, scored as one tumour and by lesion."""
    folder = make_dataset(tmp_path / "study", training=3, held_out=0)
    path = folder / "labelsTr" / "case_01.nii.gz"
    roi = read_roi(path, frozenset({1}))
    x = np.argwhere(roi.array)[:, 2].min()
    apart = roi.array.copy()
    apart[:, :, x + 2] = False
    write_volume(path, Volume(apart.astype(np.uint8), roi.geometry))
    plan = small_volume_plan()
    found = {}
    for name, lesions in (("one", None), ("lesions", BY_PARTS.model_copy(update={"least_mm3": 1.0}))):
        model = tiny_model(with_lesions(plan, lesions))
        inputs = list_inputs(folder / "imagesTr", folder / "labelsTr", model.record)
        found[name] = predict_cases(model, inputs, RoiSource(model.record), lambda _case: None)
    return found


def test_the_log_odds_of_a_patient_are_the_mean_of_those_of_the_lesions(scored):
    by_lesion = {case.case: case for case in scored["lesions"].cases}
    assert [len(case.lesions) for case in by_lesion.values()] == [1, 2, 1]
    for case in by_lesion.values():
        assert logit(case.dls) == pytest.approx(np.mean([logit(lesion.dls) for lesion in case.lesions]), abs=1e-9)
        assert [lesion.lesion for lesion in case.lesions] == list(range(1, len(case.lesions) + 1))
    for one in scored["one"].cases:
        if one.case != "case_01":  # bit for bit
            assert one == by_lesion[one.case].model_copy(update={"lesions": ()})


def test_lesions_stand_in_a_table_beside_the_scores_and_nothing_does_where_there_are_none(scored, tmp_path):
    for name, prediction in scored.items():
        write_prediction(tmp_path / name, prediction, ("T1WI", "CE-T1WI"))
    assert not lesions_of(tmp_path / "one").exists() and "lesions" not in (tmp_path / "one/predict.json").read_text()
    with lesions_of(tmp_path / "lesions").open() as handle:
        rows = list(csv.reader(handle))
    assert rows[0] == list(LESION_COLUMNS) and [row[:2] for row in rows[1:]] == [
        ["case_00", "1"], ["case_01", "1"], ["case_01", "2"], ["case_02", "1"]
    ]  # fmt: skip
    again = Prediction.load(tmp_path / "lesions/predict.json", "")
    assert again == scored["lesions"] and float(rows[3][-1]) == again.cases[1].lesions[1].dls


# -- what dataset.json and the plan say --------------------------------------------------------------------------------


def found_lesions(**changes):
    return LesionFingerprint(**{"told_by": "components", "total": 150, "per_case": spread(1.0), **changes})


def test_a_plan_takes_lesions_from_the_fingerprint_and_without_them_is_what_it_was():
    without = fingerprint()
    told = without.model_copy(update={"lesions": found_lesions(per_case=spread(31.0))})
    plans = [derive_plan(one, AUTO, CPU) for one in (without, told)]
    assert plans[0].preprocessing.lesions is None and b'"lesions"' not in plans[0].to_bytes()
    assert plans[1].preprocessing.lesions == LesionPlan(told_by="components", least_mm3=LEAST_LESION_MM3, most=31)
    assert "150 lesions in 100 cases" in plans[1].reasons["preprocessing.lesions"]
    assert plans[1].segmentation.mask.components == "all"
    assert Plan.model_validate_json(plans[1].to_bytes()) == plans[1] and plans[1].by_hand == ()
    assert plans[1].budget.predicted_memory_gib >= plans[0].budget.predicted_memory_gib


def test_records_that_know_no_lesions_keep_their_bytes():
    content = tiny_plan().preprocessing.model_dump()
    assert "lesions" not in content and PreprocessingPlan.model_validate(content).lesions is None
    assert "lesions" not in fingerprint().model_dump()


def describe(folder, labels, **settings):
    folder.mkdir(exist_ok=True)
    content = {"channel_names": {"0": "T2WI"}, "labels": labels}
    target = {"name": "high", "column": "cps", "positive": ">= 20"}
    (folder / "dataset.json").write_text(json.dumps({**content, "autodls": {"target": target, **settings}}))
    return folder


def test_dataset_json_says_how_lesions_are_told_apart(tmp_path):
    several = {"background": 0, "lesion 1": 1, "lesion 2": 2}
    assert read_description(describe(tmp_path, several, lesions="labels")).autodls.lesions == "labels"
    found = read_description(describe(tmp_path, {"background": 0, "tumour": 1}))
    assert found.autodls.lesions is None and b"lesions" not in found.to_bytes()
    with pytest.raises(DatasetError, match=r'autodls.lesions is "labels".* the tumour has \[1\] alone'):
        read_description(describe(tmp_path, {"background": 0, "tumour": 1}, lesions="labels"))
    with pytest.raises(DatasetError, match="lesions"):
        read_description(describe(tmp_path, several, lesions="parts"))


# -- phantoms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shows", ["same", "plain"])
def test_second_tumours_lie_apart_and_show_what_they_are_to(shows):
    made = PhantomSettings(cases=60, second_share=0.5, second_shows=shows, seed=3)
    model, alone = ExpressionModel.of(made), PhantomSettings(cases=60, seed=3)
    patients = [draw_patient(model, case) for case in made.case_ids]
    firsts = [draw_patient(ExpressionModel.of(alone), case) for case in made.case_ids]
    several = [patient for patient in patients if patient.second_signs is not None]
    assert 20 < len(several) < 40
    seen = []
    for patient, first in zip(patients, firsts, strict=True):
        assert (patient.expression, patient.cps, patient.clinical) == (first.expression, first.cps, first.clinical)
        signs = [patient.signs, patient.second_signs]
        assert first.signs in signs
        if patient.second_signs is not None:
            other = signs[1 - signs.index(first.signs)]
            seen.append(other["CE-T1WI"] - (patient.expression if shows == "same" else PLAIN_EXPRESSION))
    assert abs(np.mean(seen)) < 4 * model.noises["CE-T1WI"] / len(seen) ** 0.5
    swapped = [patient.signs != first.signs for patient, first in zip(patients, firsts, strict=True)]
    assert (0.2 < sum(swapped) / len(several) < 0.8) == (shows == "plain")
    for patient in several[:12]:
        one, two = _anatomy(patient, made).tumours
        assert np.linalg.norm(np.subtract(one.centre_mm, two.centre_mm)) > one.reach_mm + two.reach_mm


def test_phantoms_of_one_tumour_are_written_as_ever():
    assert not {"second_share", "second_shows"} & set(PhantomSettings(cases=3).model_dump())
    assert PhantomSettings(cases=3, second_share=0.2).model_dump()["second_shows"] == "same"


# -- what is told ------------------------------------------------------------------------------------------------------


def test_a_plan_that_tells_lesions_apart_otherwise_than_dataset_json_is_stale(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "study", training=12, held_out=0)
    workspace = tiny_workspace(folder, tmp_path / "workspace", plan=small_volume_plan())
    plan = Plan.load(workspace.plan, "").model_copy(
        update={"fingerprint_sha256": sha256_of_file(workspace.fingerprint)}
    )
    plan.save(workspace.plan)
    session = Session.open(folder, workspace.root)
    assert session.plan().preprocessing.lesions is None
    with_lesions(plan).save(workspace.plan)
    with pytest.raises(StaleRecordError, match=r"told apart by components, dataset.json says None; run 'autodls plan'"):
        session.plan()


def test_no_network_is_trained_to_draw_rois_that_cannot_be_told_apart(tmp_path, make_dataset, monkeypatch):
    folder = make_dataset(tmp_path / "study", training=12, held_out=0)
    said = json.loads((folder / "dataset.json").read_text())
    said["labels"], said["autodls"]["lesions"] = {"background": 0, "lesion 1": 1, "lesion 2": 2}, "labels"
    (folder / "dataset.json").write_text(json.dumps(said))
    workspace = tiny_workspace(folder, tmp_path / "workspace", plan=with_lesions(small_volume_plan(), BY_LABELS))
    known = Fingerprint.load(workspace.fingerprint, "").model_copy(update={"roi_labels": (1, 2)})
    known.save(workspace.fingerprint)
    made_from = {"fingerprint_sha256": sha256_of_file(workspace.fingerprint)}
    Plan.load(workspace.plan, "").model_copy(update=made_from).save(workspace.plan)
    monkeypatch.setattr(segment_stage, "require_nnunet", lambda: None)
    with pytest.raises(ArgumentError, match="by the labels of the ROI, and automatic ROIs have one"):
        segment_stage.segment(folder, workspace.root)


@pytest.mark.parametrize(
    ("lesions", "told"), [(None, None), (BY_PARTS, "connected parts of the ROI, from 20 mm3"), (BY_LABELS, "values of")]
)
def test_the_model_card_says_how_lesions_are_scored(lesions, told):
    plan = with_lesions(tiny_plan(), lesions)
    card = model_card(tiny_model(plan).record, plan, [])
    assert ("**Lesions**" in card) == (told is not None) and (told or "") in card
