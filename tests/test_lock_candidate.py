"""`compare --lock`: whatever won, in a folder that is whole by itself, which scores new cases as its record says."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import autodls, edit_text
from tiny_comparison import TRAINING, command, compared_study, make_telling, new_cases, use_quick_candidates

import autodls as package
from autodls import Study
from autodls.candidates import radiomics
from autodls.candidates.nested import fit_choosing
from autodls.errors import ArgumentError
from autodls.evaluation.binary import class_medians_cutoff, youden_cutoff
from autodls.models.recalibration import WEAK_PRIOR_SD, fit_scale
from autodls.planning.fingerprint import extract_fingerprint
from autodls.records.cohort import read_cohort
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.locked_candidate import CANDIDATE, CARD, DEEP, NETWORKS, LockedCandidate, log_odds_of
from autodls.records.plan import Plan
from autodls.records.workspace import Workspace
from autodls.stages import compare as stage
from autodls.stages import lock_candidate as locking
from autodls.stages.compare import compare
from autodls.stages.compare_sources import part_of
from autodls.stages.predict_candidate import MEASURED

pytestmark = pytest.mark.long

ALL = ["volume", "clinical", "radiomics", "integrated_clinical", "integrated_radiomics", "integrated"]
HELD_OUT = [f"case_{TRAINING}", f"case_{TRAINING + 1}"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    use_quick_candidates(monkeypatch)


@pytest.fixture(scope="module")
def compared(tmp_path_factory, make_dataset):
    """A study that tells the classes apart, compared once; `telling` is a copy of it."""
    root = tmp_path_factory.mktemp("compared")
    dataset = make_dataset(root / "dataset", training=TRAINING, held_out=2)
    place = compared_study(dataset, root / "work")
    make_telling(dataset, place)
    with pytest.MonkeyPatch.context() as patch:
        use_quick_candidates(patch)
        compare(dataset, place.root)
    return root


@pytest.fixture
def telling(compared, tmp_path):
    shutil.copytree(compared, tmp_path, dirs_exist_ok=True)
    return tmp_path / "dataset", Workspace(tmp_path / "work")


def lock(dataset, place, name):
    compare(dataset, place.root, lock=name)
    return LockedCandidate.load_hashed(place.candidate / CANDIDATE, "")[0]


def rows_of(out):
    with (out / "scores.csv").open(newline="") as handle:
        return {row["case"]: row for row in csv.DictReader(handle)}


def table_of(record, dataset):
    return ("--clinical", dataset / "clinical.csv") if record.clinical_columns else ()


# -- every candidate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_locked_candidate_scores_new_cases_as_its_record_says_and_verify_checks_it(telling, tmp_path, name):
    dataset, place = telling
    given = new_cases(dataset, tmp_path)
    answer = command(dataset, place, "--lock", "--candidate", name)
    assert answer.status == 0, answer.err
    record = LockedCandidate.load(place.candidate / CANDIDATE, "")
    shown = json.loads(place.comparison.read_text())["candidates"][name]["auc"]
    assert record.candidate == name and record.out_of_fold_auc == {key: shown[key] for key in ("value", "low", "high")}
    moved = tmp_path / "delivered"
    shutil.move(place.candidate, moved)
    shutil.rmtree(place.root)
    words = (*given, *table_of(record, dataset), "-m", moved, "--workers", 1)
    assert autodls("verify", moved).status == 0
    answer = autodls("predict", *words, "-o", tmp_path / "out")
    assert answer.status == 0, answer.err
    rows, told = rows_of(tmp_path / "out"), json.loads((tmp_path / "out" / "predict.json").read_text())
    assert set(rows) == set(HELD_OUT) and told["model_sha256"] == sha256_of_file(moved / CANDIDATE)
    for case in told["cases"]:
        parts = case.get("parts", {})
        assert set(parts) == (set(record.features) if record.parts else set())
        if parts:
            assert case["dls"] == pytest.approx(float(record.recalibration.probability([record.log_odds(parts)])[0]))
        assert case["call"] == ("high" if case["dls"] >= record.cutoff else "low")
        assert case["spread"] is None and f"the locked candidate '{name}'" in case["flags"][-1]
        assert ("clinical" in told["inputs"][case["case"]]) == bool(record.clinical_columns)


@pytest.mark.parametrize("name", ["volume", "radiomics"])
def test_a_case_unlike_the_training_cases_is_flagged_without_networks_too(telling, tmp_path, name):
    """Images times 1000 where they are measured, and an ROI of the whole image."""
    dataset, place = telling
    record = lock(dataset, place, name)
    made_up = Fingerprint.load(place.fingerprint, "")
    assert made_up.inputs_sha256 and record.fingerprint == made_up.travelling()
    real = extract_fingerprint(read_cohort(dataset)).travelling()
    record.model_copy(update={"fingerprint": real}).sealed().save(place.candidate / CANDIDATE)
    images, rois = (Path(word) for word in new_cases(dataset, tmp_path)[1::2])
    for path in images.glob(f"{HELD_OUT[0]}_*"):
        sitk.WriteImage(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32) * 1000, str(path))
    drawn = rois / f"{HELD_OUT[0]}.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(drawn)) * 0 + 1, str(drawn))
    odd, plain = package.load_model(place.candidate).predict(images, rois).cases
    told = "; ".join(odd.flags)
    assert "the ROI is unlike those of the training cases" in told
    assert ("is unlike the training images: median intensity" in told) == (name == "radiomics")
    assert not any("the ROI is unlike" in flag or "median intensity" in flag for flag in plain.flags)


def test_an_integrated_candidate_is_its_parts(telling, tmp_path):
    """Each part gives what it would give when it is locked by itself, and the networks what their model gives."""
    dataset, place = telling
    images, rois = new_cases(dataset, tmp_path)[1::2]
    table = dataset / "clinical.csv"
    whole = lock(dataset, place, "integrated")
    shutil.copytree(place.candidate, tmp_path / "whole")
    found = package.load_model(tmp_path / "whole").predict(images, rois, clinical=table)
    for part in whole.parts:
        single = lock(dataset, place, part.candidate)
        alone = package.load_model(place.candidate).predict(images, rois, clinical=table if part.columns else None)
        for one, case in zip(alone.cases, found.cases, strict=True):
            assert case.parts[part.candidate] == pytest.approx(np.log(one.dls_raw / (1 - one.dls_raw)))
        assert single.features == part.features and single.coefficients == part.coefficients
    networks = package.load_model(place.model.root).predict(images, rois)
    for one, case in zip(networks.cases, found.cases, strict=True):
        assert case.parts[DEEP] == pytest.approx(np.log(one.dls / (1 - one.dls)))
        assert case.sequences == one.sequences


@pytest.mark.parametrize("name", ["volume", "clinical", "radiomics"])
def test_the_record_is_the_model_of_the_whole_training_cohort(telling, name):
    """To the last digits, for numbers, levels and missing cells, whatever scikit-learn made of them."""
    dataset, place = telling
    record = lock(dataset, place, name)
    session = stage.Session.open(dataset, place.root)
    learners, _ = stage.learners_of(session, session.plan(), 1, stage.SILENT, {})
    first = session.splits(session.plan()).folds[0]
    whole = part_of(session, session.plan(), first, sorted((*first.train, *first.inner, *first.validation)))
    chosen = fit_choosing(learners[name], whole)
    assert record.setting == chosen.setting
    held = {case.id: case for case in session.training}
    for case, expected in zip(whole.cases, chosen.model.log_odds(whole.cases), strict=True):
        if name == "clinical":
            values = {}
            for column in record.columns:
                values |= column.read(held[case].row[column.name])[0]
        elif name == "radiomics":
            values = learners[name].features[case]
        else:
            values = {"log volume": learners[name].covariates["log volume"][case]}
        assert record.log_odds(values) == pytest.approx(expected, abs=1e-9)


def test_a_forest_is_stored_tree_by_tree(telling, monkeypatch):
    monkeypatch.setattr("autodls.candidates.learners._nets", dict)  # so that the forest is all there is
    dataset, place = telling
    record = lock(dataset, place, "radiomics")
    assert record.setting == "forest" and len(record.trees) == 5 and record.coefficients == ()
    session = stage.Session.open(dataset, place.root)
    learners, _ = stage.learners_of(session, session.plan(), 1, stage.SILENT, {})
    first = session.splits(session.plan()).folds[0]
    whole = part_of(session, session.plan(), first, sorted((*first.train, *first.inner, *first.validation)))
    expected = fit_choosing(learners["radiomics"], whole).model.log_odds(whole.cases)
    found = [record.log_odds(learners["radiomics"].features[case]) for case in whole.cases]
    assert found == pytest.approx(expected.tolist(), abs=1e-12) and np.ptp(expected) > 0


# -- walls -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["volume", "clinical", "integrated"])
def test_held_out_cases_have_no_part_in_what_is_locked(telling, edit_table, name):
    dataset, place = telling
    lock(dataset, place, name)
    before = {path.name: path.read_bytes() for path in place.candidate.iterdir() if path.is_file()}
    edit_table(dataset, HELD_OUT[0], cps="77", stage="T9", marker="1000")
    (dataset / "labelsTr" / f"{HELD_OUT[0]}.nii.gz").write_bytes(b"unreadable")
    lock(dataset, place, name)
    assert {path.name: path.read_bytes() for path in place.candidate.iterdir() if path.is_file()} == before


def test_weights_come_from_out_of_fold_scores_and_never_from_apparent_ones(telling, monkeypatch):
    dataset, place = telling
    given, work = [], locking.fit_integrated
    monkeypatch.setattr(locking, "fit_integrated", lambda *words: given.append(words) or work(*words))
    record = lock(dataset, place, "integrated")
    (parts, scores, labels, folds), cases = given[0], sorted(case.id for case in read_cohort(dataset).training)
    test_fold = {c: f["index"] for f in json.loads(place.splits.read_text())["folds"] for c in f["validation"]}
    assert list(folds) == [test_fold[case] for case in cases] and len(labels) == TRAINING
    for at, part in enumerate(parts):
        if part == DEEP:
            with place.oof_scores.open(newline="") as handle:
                held = {row["case"]: float(row["dls"]) for row in csv.DictReader(handle)}
            assert 1 / (1 + np.exp(-scores[:, at])) == pytest.approx([held[case] for case in cases])
        else:
            folds_of = {index: json.loads(place.fold_comparison(index).read_text()) for index in set(folds)}
            held = {c: v for one in folds_of.values() for c, v in one["scores"][part].items()}
            assert scores[:, at] == pytest.approx([held[case] for case in cases])
    assert record.features == parts


@pytest.mark.parametrize("name", ["clinical", "integrated_clinical"])
def test_recalibration_and_cutoff_come_from_scores_by_what_did_not_learn_the_case(telling, monkeypatch, name):
    """Of a simple candidate from its folds, of an integrated one from weights of the other folds' cases."""
    dataset, place = telling
    crossed, work = [], locking.fit_integrated
    monkeypatch.setattr(locking, "fit_integrated", lambda *words: crossed.append(work(*words)) or crossed[0])
    record, splits = lock(dataset, place, name), json.loads(place.splits.read_text())["folds"]
    training = sorted(read_cohort(dataset).training, key=lambda case: case.id)
    labels = np.array([bool(case.label) for case in training])
    scores = {}
    for fold in splits:
        scores |= json.loads(place.fold_comparison(fold["index"]).read_text())["scores"][name]
    odds = crossed[0].cross_fitted if crossed else np.array([scores[case.id] for case in training])
    assert bool(crossed) == (name != "clinical")
    scale = fit_scale(odds, labels, WEAK_PRIOR_SD)
    assert (record.recalibration.slope, record.recalibration.intercept) == pytest.approx((scale.slope, scale.intercept))
    cutoffs = {
        "youden": youden_cutoff(labels, scale.probability(odds)),
        "class_medians": float(scale.probability(np.array([class_medians_cutoff(labels, odds)]))[0]),
    }
    assert record.cutoff == pytest.approx(cutoffs[Plan.load(place.plan, "").training.cutoff])


def test_recalibration_is_fitted_to_scores_whose_weights_do_not_know_the_case():
    """The label of a case moves the weights, and not its own cross-fitted score."""
    chance = np.random.default_rng(0)
    labels, folds = np.arange(30) % 2 == 0, np.arange(30) % 3
    scores = chance.normal(size=(30, 2)) + labels[:, None]
    from autodls.candidates.locking import fit_integrated

    first = fit_integrated(("a", "b"), scores, labels, folds)
    flipped = np.where(folds == 1, ~labels, labels)
    other = fit_integrated(("a", "b"), scores, flipped, folds)
    assert first.cross_fitted[folds == 1].tolist() == other.cross_fitted[folds == 1].tolist()
    assert first.terms.coefficients != other.terms.coefficients
    assert first.cross_fitted[folds == 0].tolist() != other.cross_fitted[folds == 0].tolist()


# -- what predict is given ---------------------------------------------------------------------------------------------


@pytest.fixture
def clinical(telling, tmp_path):
    """A locked clinical candidate, the words of `predict`, and a table of new cases."""
    dataset, place = telling
    lock(dataset, place, "clinical")
    table = tmp_path / "new.csv"
    table.write_text(f"case,age,stage,marker\n{HELD_OUT[0]},61,T3,4.5\n{HELD_OUT[1]},62,T1,2\n")
    return table, (*new_cases(dataset, tmp_path)[:2], "-m", place.candidate, "--workers", 1)


def test_a_clinical_candidate_needs_no_roi_and_its_table_may_be_a_workbook(clinical, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    table, words = clinical
    book = openpyxl.Workbook()
    for row in csv.reader(table.open(newline="")):
        book.active.append([float(cell) if cell.replace(".", "").isdecimal() else cell for cell in row])
    book.save(tmp_path / "new.xlsx")
    found = []
    for name in ("new.csv", "new.xlsx"):
        answer = autodls("predict", *words, "--clinical", tmp_path / name, "-o", tmp_path / f"out-{name}")
        assert answer.status == 0, answer.err
        found.append([row["dls"] for row in rows_of(tmp_path / f"out-{name}").values()])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("61,T3", "61,T4", "stage is 'T4', which no training case has; its levels are T1, T3"),
        ("61,T3", "old,T3", "age is 'old', expected a number"),
        (HELD_OUT[0], "somebody", "no row of this case in new.csv"),
    ],
)
def test_a_row_that_cannot_be_scored_is_one_case_that_is_not(clinical, tmp_path, old, new, said):
    table, words = clinical
    edit_text(table, old, new)
    answer = autodls("predict", *words, "--clinical", table, "-o", tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert answer.status == 1 and said in rows[HELD_OUT[0]]["failed"] and rows[HELD_OUT[1]]["dls"]
    assert ("not used: 1 rows of new.csv" in answer.err) == (new == "somebody")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("T3,4.5", "T3,", "marker is missing: taken at the median of the training cohort"),
        ("T3,4.5", "NA,4.5", "stage is missing: taken as no level, as no training case lacked it"),
        ("61,T3", "161,T3", "age lies outside 50 to 73, the range of the training cohort"),
    ],
)
def test_what_a_row_lacks_is_a_flag(clinical, tmp_path, old, new, said):
    table, words = clinical
    edit_text(table, old, new)
    answer = autodls("predict", *words, "--clinical", table, "-o", tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert answer.status == 0 and said in rows[HELD_OUT[0]]["flags"]
    assert said not in rows[HELD_OUT[1]]["flags"] or "age" in said  # 62 is inside, and so is all else


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "needs clinical columns; give a table with columns case, age, stage, marker with --clinical"),
        ("case,age\na,1\n", "no column 'stage'; the candidate needs case, age, stage, marker"),
        ("case,age,stage,marker\na,1,T1,1\na,2,T1,1\n", "row 3: case 'a' stands twice"),
        ("", "the table is empty"),
    ],
)
def test_a_table_that_does_not_serve_is_one_line(clinical, tmp_path, content, said):
    table, words = clinical
    given = () if content is None else ("--clinical", table)
    table.write_text(content or "")
    for dry in ((), ("--dry-run",)):
        answer = autodls("predict", *words, *given, "-o", tmp_path / "out", *dry)
        assert answer.status == 2 and said in answer.complaint and not (tmp_path / "out").exists()


def test_a_table_for_what_takes_none_is_one_line(clinical, tmp_path, telling):
    dataset, place = telling
    table, words = clinical
    for root in (place.model.root, place.candidate):
        lock(dataset, place, "volume")
        answer = autodls("predict", *words[:2], "--rois", tmp_path / "rois", "-m", root, "--clinical", table,
                         "-o", tmp_path / "out")  # fmt: skip
        assert answer.status == 2 and "--clinical" in answer.complaint, root


# -- in a program, and what is refused ---------------------------------------------------------------------------------


def test_a_program_loads_it_as_it_loads_a_model(telling, tmp_path):
    dataset, place = telling
    images, rois = new_cases(dataset, tmp_path)[1::2]
    study = Study(dataset, place.root)
    found = study.compare(lock="integrated_clinical")
    model = package.load_model(found.locked.parent)
    assert model.candidate.candidate == "integrated_clinical" and model.record.folds and "Candidate" in repr(model)
    one = model.predict(images, rois, clinical=dataset / "clinical.csv")
    other = study.predict(images, rois=rois, model=found.locked.parent, clinical=dataset / "clinical.csv")
    assert one == other and len(one.cases) == 2 and model.verify().fits
    with pytest.raises(ArgumentError, match="not updated"):
        model.update(dataset)
    study.compare(lock="volume")
    simple = package.load_model(place.candidate)
    assert len(simple.predict(images, rois).cases) == 2 and simple.caveats == ()
    with pytest.raises(ArgumentError, match="without networks; see `candidate`"):
        _ = simple.plan


def test_the_networks_are_locked_already_and_the_command_says_how_to_use_them(telling):
    dataset, place = telling
    answer = command(dataset, place, "--lock", "--candidate", DEEP)
    assert answer.status == 0 and "the networks are locked already" in answer.err
    assert f"-m{place.model.root}-iIMAGES--roisROIS" in "".join(answer.out.split())
    assert not (place.candidate / CANDIDATE).exists()


def test_a_name_that_no_candidate_has_is_one_line_before_any_work(telling):
    dataset, place = telling
    answer = command(dataset, place, "--lock", "--candidate", "forest")
    assert answer.status == 2 and "is no candidate; name one of volume, clinical, radiomics" in answer.complaint
    assert "compared" not in answer.err


def test_what_was_left_out_is_refused_with_the_reason(telling):
    dataset, place = telling
    place.model.record.unlink()
    answer = command(dataset, place, "--lock", "--candidate", "integrated")
    assert answer.status == 2 and "it was not compared; those compared are volume" in answer.complaint
    answer = command(dataset, place, "--lock", "--candidate", DEEP)
    assert answer.status == 2 and "there is no locked model" in answer.complaint


def test_what_knows_nothing_is_not_locked(telling, edit_table):
    """Volumes that are exchanged between the classes of the folds: an AUC below one half out of fold."""
    dataset, place = telling
    found = compare(dataset, place.root).comparison
    worse = found.candidates["volume"].auc.model_copy(update={"value": 0.45})
    candidates = {**found.candidates, "volume": found.candidates["volume"].model_copy(update={"auc": worse})}
    given = locking.Locking(None, None, "", {}, None, (), found.model_copy(update={"candidates": candidates}), {})
    with pytest.raises(ArgumentError, match=r"out-of-fold AUC of 0\.45, no better than chance: nothing is locked"):
        locking.lock_candidate("volume", given)


def test_a_locked_candidate_needs_rois_and_its_own_version_of_the_library(telling, tmp_path, monkeypatch):
    dataset, place = telling
    images, *rois = new_cases(dataset, tmp_path)[1:]
    lock(dataset, place, "integrated_radiomics")
    answer = autodls("predict", "-i", images, "-o", tmp_path / "out", "-m", place.candidate)
    assert answer.status == 2 and "draws no ROIs; give the folder of ROIs with --rois" in answer.complaint
    answer = autodls("predict", "-i", images, *rois, "-o", tmp_path / "out", "-m", place.candidate, "--heatmaps")
    assert answer.status == 2 and f"those of its networks: -m {place.candidate / NETWORKS}" in answer.complaint
    monkeypatch.setattr(radiomics, "library", lambda: "made up 2")
    answer = autodls("predict", "-i", images, *rois, "-o", tmp_path / "out", "-m", place.candidate)
    assert answer.status == 2 and "locked with features of made up 1, here is made up 2" in answer.complaint


# -- the folder --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: edit_text(root / CANDIDATE, '"training_cases": ', '"training_cases": 1'), "altered since the"),
        (lambda root: edit_text(root / CARD, "Question", "Answer"), "MODEL_CARD.md: SHA-256 is"),
        (lambda root: (root / "notes.txt").write_text(""), "not a file of a locked candidate"),
        (lambda root: (root / NETWORKS / "notes.txt").write_text(""), "not a file that the model's record names"),
        (lambda root: (root / NETWORKS / "model.json").unlink(), "model.json: missing"),
        (lambda root: (root / NETWORKS / "fold_0" / "fusion.safetensors").unlink(), "fusion.safetensors: missing"),
    ],
)
def test_verify_finds_what_was_changed(telling, damage, said):
    dataset, place = telling
    lock(dataset, place, "integrated")
    assert autodls("verify", place.candidate).status == 0
    damage(place.candidate)
    answer = autodls("verify", place.candidate)
    assert answer.status == 2 and said in answer.err


def test_networks_of_another_candidate_are_refused(telling, tmp_path):
    dataset, place = telling
    lock(dataset, place, "integrated_clinical")
    edit_text(place.candidate / NETWORKS / "model.json", '"dataset": "tiny"', '"dataset": "other"')
    with pytest.raises(package.errors.ModelFolderError, match="not the networks that the candidate was locked with"):
        package.load_model(place.candidate)


def test_another_candidate_takes_the_whole_folder(telling):
    dataset, place = telling
    lock(dataset, place, "integrated")
    assert (place.candidate / NETWORKS / "model.json").is_file()
    lock(dataset, place, "volume")
    assert sorted(path.name for path in place.candidate.rglob("*") if path.is_file()) == [CARD, CANDIDATE]
    assert autodls("verify", place.candidate).status == 0
    assert str(place.candidate) not in autodls("verify", place.root).err
    (place.candidate / "notes.txt").write_text("")
    assert f"{place.candidate}/notes.txt: not a file of a locked candidate" in autodls("verify", place.root).err


def test_nothing_is_written_into_it_and_it_is_no_part_of_a_model(telling, tmp_path):
    dataset, place = telling
    given = new_cases(dataset, tmp_path)
    lock(dataset, place, "volume")
    inside = autodls("predict", *given, "-o", place.candidate / "out", "-m", place.candidate)
    assert inside.status == 2 and "lies in a locked model" in inside.complaint
    shutil.copy(place.candidate / CANDIDATE, place.model.root)
    stray = autodls("predict", *given, "-o", tmp_path / "other", "-m", place.model.root)
    assert stray.status == 2 and "not a file that the model's record names" in stray.complaint


def test_a_record_of_before_is_read_and_its_seal_fits(telling):
    """What is new in a record is left out where there is none of it: a candidate of the volume is as it was."""
    dataset, place = telling
    record = lock(dataset, place, "volume")
    older = record.model_copy(update={"card_sha256": None, "lowest": (), "highest": ()}).sealed()
    content = json.loads(older.to_bytes())
    assert not {"columns", "trees", "lowest", "highest", "missing", "parts", "networks_sha256", "card_sha256"} & {
        *content
    }
    assert list(content)[8:19] == [
        "preprocessing", "library", "setting", "features", "middle", "spread", "coefficients", "intercept", "farthest",
        "recalibration", "cutoff",
    ]  # fmt: skip
    older.save(place.candidate / CANDIDATE)
    (place.candidate / CARD).unlink()
    assert autodls("verify", place.candidate).status == 0


@pytest.mark.parametrize("name", ["clinical", "integrated", "radiomics"])
def test_the_card_says_what_it_needs_what_it_is_made_of_and_who_chose_it(telling, name):
    dataset, place = telling
    record = lock(dataset, place, name)
    card = " ".join((place.candidate / CARD).read_text().split())
    auc = f"{record.out_of_fold_auc['value']:.3f}"
    expected = {
        "clinical": ["columns case, age, stage, marker", "age: 50 to 73", "stage: T1, T3", "| stage: T3 |"],
        "integrated": [
            "tumour ROI on the grid of CE-T1WI",
            "--clinical",
            "| deep |",
            "out-of-fold scores",
            "judged for the choice",
        ],
        "radiomics": ["the package made up 1", "SD"],
    }
    said = [*expected[name], auc, f"candidate `{name}`", "not a medical device"]
    assert [words for words in said if words.lower() not in card.lower()] == []


# -- a run that is killed ----------------------------------------------------------------------------------------------


def test_a_killed_run_finds_its_networks_scores_and_its_features_again(telling, tmp_path, monkeypatch):
    """The features of the second case are not measured the first time: a full disk, say."""
    from autodls.candidates import radiomic_cases
    from autodls.inference import predict as scoring

    dataset, place = telling
    images, rois = new_cases(dataset, tmp_path)[1::2]
    lock(dataset, place, "integrated")
    model, out = package.load_model(place.candidate), tmp_path / "out"
    given = {"images": images, "rois": rois, "clinical": dataset / "clinical.csv"}
    expected = model.predict(**given)
    work, done = radiomic_cases._measured, []

    def stops(task):
        if done:
            raise KeyboardInterrupt
        done.append(task.case)
        return work(task)

    monkeypatch.setattr(radiomic_cases, "_measured", stops)
    with pytest.raises(KeyboardInterrupt):
        model.predict(**given, output=out)
    assert [path.stem for path in (out / "autodls-unfinished" / MEASURED).iterdir()] == done == HELD_OUT[:1]
    again = []
    monkeypatch.setattr(radiomic_cases, "_measured", lambda task: again.append(task.case) or work(task))
    monkeypatch.setattr(scoring, "score_samples", lambda *_: pytest.fail("a network was computed again"))
    assert model.predict(**given, output=out).cases == expected.cases and again == HELD_OUT[1:]
    assert sorted(path.name for path in out.iterdir()) == ["predict.json", "provenance.json", "scores.csv"]


def test_log_odds_of_a_part_are_those_of_its_numbers():
    """By hand: 0.5 + 2 * (3 - 1) / 4, cut at half a spread."""
    from types import SimpleNamespace

    one = SimpleNamespace(features=("x",), middle=(1.0,), spread=(4.0,), coefficients=(2.0,), intercept=0.5,
                          farthest=None, trees=())  # fmt: skip
    assert log_odds_of(one, {"x": 3.0}) == pytest.approx(1.5)
    assert log_odds_of(one, {}) == pytest.approx(0.5)
    one.farthest = 0.25
    assert log_odds_of(one, {"x": 3.0}) == pytest.approx(1.0)
