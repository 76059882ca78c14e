"""`autodls benchmark rois`: who drew, who scored, what is compared with what, and what a reader is told."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from command_line import autodls, edit_json, write_phantom, write_preset
from made_up_masks import DOUBT, shifted, write_masks
from tiny_study import use_tiny_resnet

from autodls.analysis.rois_effect import cohort_effect, cohort_robustness, evenly_ranked
from autodls.analysis.rois_records import CohortAgreement, CrossedCase, RoiBenchmark
from autodls.errors import DatasetError, StaleRecordError
from autodls.evaluation.agreement_records import CELLS, KINDS, STEPS_MM
from autodls.evaluation.agreement_summary import summarise_agreement
from autodls.evaluation.delong import auc
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.imaging.volumes import Volume, read_labels, write_volume
from autodls.inference import rescoring
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import load_model
from autodls.inference.rescoring import PairedCase, ScoreCache, crossed_scores, prepare, sample_key
from autodls.inference.robustness import perturbed_scores
from autodls.inference.scoring import score_sample
from autodls.records.cohort import read_cohort
from autodls.records.labels import Labels
from autodls.records.segmenter import SegmenterRecord
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.report.figures.rois import roi_figures, score_figure
from autodls.report.html.document import render
from autodls.report.naming import labelled
from autodls.report.reading import read_study
from autodls.report.tables.rois_effect import effect_table, roi_tables
from autodls.segmentation.masks import Mask
from autodls.segmentation.segmenter import SegmentedVolume, Segmenter
from autodls.stages.session import Session

pytestmark = pytest.mark.long

TRAINING, EXTERNAL = 12, 4
UNREADABLE, FAINT = "EX0004", "EX0003"
NOT_FOUND = "PH0002"


class MadeUpSegmenter:
    """Draws the manual ROI two voxels aside, while the out-of-fold masks are one voxel aside."""

    def __init__(self, dataset):
        self.rois = {case.id: case.roi for case in read_cohort(dataset).cases}

    def segment(self, case, images):
        if case == UNREADABLE:
            raise DatasetError(f"case {case}: no image of CE-T1WI, on whose grid the ROI is drawn")
        roi = shifted(read_labels(self.rois[case]), 2)
        doubt = ("lower-threshold", 1, ("faint",)) if case == FAINT else ("threshold", 1, ())
        return SegmentedVolume(Mask(roi.array, 0.9, 0.1, *doubt), roi.geometry)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Dataset, workspace, and what the benchmark answered at every stage."""
    root = tmp_path_factory.mktemp("benchmark")
    dataset = write_phantom(root / "dataset", cases=TRAINING, external_cases=EXTERNAL)
    workspace = Workspace(dataset / "autodls")
    common = ("-d", dataset, "--workers", 1)
    asked = ("benchmark", "rois", *common, "--robustness-cases", 2)
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny_resnet(monkeypatch)
        loads = []
        monkeypatch.setattr(Segmenter, "load", lambda folder, *_: loads.append(folder) or MadeUpSegmenter(dataset))
        autodls("plan", *common, "--preset", write_preset(root / "preset.json"))
        answers = {"too early": autodls(*asked)}
        write_masks(dataset, workspace, doubtful={NOT_FOUND})
        answers["masks only"] = autodls(*asked, "--json")
        for rois in ("manual", "auto"):
            autodls("train", "fold", "all", "--rois", rois, *common)
        answers["whole"] = autodls(*asked)
        of_auto = (*common[:2], "--rois", "auto")
        answers["evaluate"] = autodls("evaluate", *of_auto)
        answers["explain"] = autodls("explain", *of_auto, "--cases", f"{NOT_FOUND},{FAINT},PH0001")
        monkeypatch.setattr(Segmenter, "load", None)
        monkeypatch.setattr(rescoring, "score_sample", None)
        before = workspace.roi_benchmark.read_bytes()
        answers["again"] = autodls(*asked)
        assert workspace.roi_benchmark.read_bytes() == before
    yield dataset, workspace, answers, loads
    shutil.rmtree(root)


@pytest.fixture
def benchmark(study):
    return RoiBenchmark.load(study[1].roi_benchmark, "")


@pytest.fixture
def models(study):
    return {kind: load_model(study[1].of(kind).model.root, torch.device("cpu")) for kind in ("manual", "auto")}


def pair_of(study, case, fold=None):
    """A training case with both of its ROIs."""
    dataset, workspace, *_ = study
    found = {one.id: one for one in read_cohort(dataset).cases}[case]
    rois = {
        kind: InputCase(case, found.images, roi, kind)
        for kind, roi in (("manual", found.roi), ("auto", workspace.auto_roi(case)))
    }
    return PairedCase(found, rois, fold)


# -- the command -------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_said_with_the_command_that_makes_it(study):
    answers = study[2]
    assert answers["too early"].status == 2
    assert "run 'autodls segment fold all'" in answers["too early"].complaint
    only = json.loads(answers["masks only"].out)
    assert (only["effect"], only["robustness"]) == (None, None)
    assert "no model trained on manual ROIs; run 'autodls train fold all'" in only["reasons"]["effect"]
    assert "run 'autodls train fold all --rois auto'" in only["reasons"]["effect"]
    assert only["agreement"][OUT_OF_FOLD]["summary"]["all"]["cases"] == TRAINING
    assert "no effect: there is no model" in answers["masks only"].err


def test_the_whole_benchmark_says_what_it_found(study, benchmark):
    answer = study[2]["whole"]
    assert answer.status == 0, answer.err
    assert set(benchmark.effect) == set(benchmark.agreement) == set(benchmark.robustness) == {OUT_OF_FOLD, "external"}
    for cohort, held in benchmark.effect.items():
        assert f"{cohort}: {held.sentence}" in answer.out.replace("\n", " ")
    assert "another cohort" in answer.out
    assert benchmark.margin == Session.open(study[0], None).plan().segmentation.noninferiority_margin_auc
    assert benchmark.reasons == {}
    noted = json.loads(study[1].provenance.read_text())["commands"]["benchmark rois"]
    assert noted["conditions"]["precision"].startswith(("cpu ", "cuda "))


def test_a_second_run_reads_no_network_and_writes_the_same_bytes(study):
    assert study[2]["again"].status == 0, study[2]["again"].err
    assert study[2]["again"].out == study[2]["whole"].out


def test_a_negative_number_of_cases_is_refused(study):
    answer = autodls("benchmark", "rois", "-d", study[0], "--robustness-cases", -1)
    assert answer.status == 2 and "--robustness-cases -1" in answer.complaint


def test_every_none_of_the_record_needs_a_reason(benchmark):
    with pytest.raises(ValueError, match="null is"):
        RoiBenchmark.model_validate({**benchmark.model_dump(), "effect": None})


# -- walls -------------------------------------------------------------------------------------------------------------


def test_training_cases_are_scored_by_the_fold_that_did_not_see_them(study, benchmark, models):
    """All four cells of all cases; the other fold would have scored otherwise."""
    session = Session.open(study[0], None)
    fold_of = {case: fold.index for fold in session.splits(session.plan()).folds for case in fold.validation}
    for held in benchmark.effect[OUT_OF_FOLD].cases:
        assert held.fold == fold_of[held.case]
        pair = pair_of(study, held.case)
        for cell in CELLS:
            trained, tested = cell.split("/")
            model, files = models[trained], pair.rois[tested]
            sample = prepare(model, files, sample_key(model, files))
            scores = [float(score_sample(replace(model, folds=[fold]), sample).dls[0]) for fold in model.folds]
            assert held.scores[cell] == pytest.approx(scores[held.fold], abs=1e-7)
            assert abs(scores[0] - scores[1]) > 1e-6, "so that the line above can fail"


def test_held_out_cases_are_drawn_and_scored_by_the_ensemble(study, benchmark, models):
    dataset, workspace, _, loads = study
    assert loads == [workspace.ensemble_segmenter], "loaded once, for all stages"
    assert SegmenterRecord.load(workspace.ensemble_segmenter.record, "").folds == 2
    assert {workspace.ensemble_segmenter.fold(index).is_file() for index in (0, 1)} == {True}
    cases = {case.id: case for case in read_cohort(dataset).cases}
    held = benchmark.effect["external"].cases[0]
    assert held.fold is None
    roi = workspace.of("auto").heldout_roi(held.case)
    files = InputCase(held.case, cases[held.case].images, roi, "auto")
    sample = prepare(models["manual"], files, "key")
    assert held.scores["manual/auto"] == pytest.approx(float(score_sample(models["manual"], sample).dls[0]), abs=1e-6)
    expected = shifted(read_labels(cases[held.case].roi), 2).array
    assert np.array_equal(read_labels(roi).array > 0, expected)


def test_a_mask_that_the_ensemble_did_not_draw_is_drawn_anew(study, tmp_path, monkeypatch):
    dataset, workspace, *_ = study
    copy = tmp_path / "workspace"
    shutil.copytree(workspace.root, copy)
    monkeypatch.setattr(Segmenter, "load", lambda *_: MadeUpSegmenter(dataset))
    roi = Workspace(copy).of("auto").heldout_roi("EX0001")
    drawn = roi.read_bytes()
    shutil.copyfile(read_cohort(dataset).held_out["external"][0].roi, roi)
    assert roi.read_bytes() != drawn
    answer = autodls("benchmark", "rois", "--workers", 1, "-d", dataset, "-w", copy, "--robustness-cases", 0)
    assert answer.status == 0, answer.err
    assert roi.read_bytes() == drawn
    assert "no robustness: no case was asked for" in answer.err


def test_masks_of_another_fold_stop_the_benchmark(study, tmp_path):
    dataset, workspace, *_ = study
    copy = Workspace(tmp_path / "workspace")
    shutil.copytree(workspace.root, copy.root)
    record = json.loads(copy.segmented.read_text())
    record["cases"][0]["fold"] = 1 - record["cases"][0]["fold"]
    copy.segmented.write_text(json.dumps(record))
    answer = autodls("benchmark", "rois", "--workers", 1, "-d", dataset, "-w", copy.root)
    assert answer.status == 2 and "not the ROI that fold" in answer.complaint


def test_a_model_of_another_plan_has_no_effect_and_says_so(study, tmp_path):
    dataset, workspace, *_ = study
    copy = Workspace(tmp_path / "workspace")
    shutil.copytree(workspace.root, copy.root)
    with copy.of("auto").oof_scores.open("a") as handle:
        handle.write("\n")
    answer = autodls(
        "benchmark", "rois", "--workers", 1, "-d", dataset, "-w", copy.root, "--json", "--robustness-cases", 0
    )
    found = json.loads(answer.out)
    assert found["effect"] is None and set(found["models"]) == {"manual"}
    assert "was locked from other out-of-fold scores" in found["reasons"]["effect"]
    assert not (copy.tables / "rois_effect.csv").exists(), "tables of the earlier run are gone"


def test_another_margin_needs_no_training_but_is_said(study, tmp_path):
    dataset, workspace, *_ = study
    copy = Workspace(tmp_path / "workspace")
    shutil.copytree(workspace.root, copy.root)
    edit_json(copy.plan, segmentation__noninferiority_margin_auc=0.2)
    answer = autodls(
        "benchmark", "rois", "--workers", 1, "-d", dataset, "-w", copy.root, "--json", "--robustness-cases", 0
    )
    assert json.loads(answer.out)["margin"] == 0.2 and json.loads(answer.out)["effect"] is not None
    assert "the margin is 0.2, but was 0.05 when the model trained on manual ROIs was locked" in answer.err
    edit_json(copy.plan, training__epochs=9)
    answer = autodls(
        "benchmark", "rois", "--workers", 1, "-d", dataset, "-w", copy.root, "--json", "--robustness-cases", 0
    )
    assert "was locked from other plan" in answer.err


def test_samples_of_other_rois_than_those_at_hand_are_refused(study, models, tmp_path):
    pair = pair_of(study, "PH0001", fold=0)
    moved = tmp_path / "moved.nii.gz"
    write_volume(
        moved, Volume(shifted(read_labels(pair.rois["manual"].roi), 1).array, read_labels(pair.case.roi).geometry)
    )
    pair = replace(pair, rois={**pair.rois, "manual": replace(pair.rois["manual"], roi=moved)})
    with pytest.raises(StaleRecordError, match="case PH0001: its images, its ROI or the plan have changed"):
        crossed_scores(models, pair, {}, lambda kind, case: study[1].of(kind).sample(case), ScoreCache(tmp_path / "a"))


# -- agreement, effect, robustness -------------------------------------------------------------------------------------


def test_agreement_is_that_of_the_masks(study, benchmark):
    for cohort, by in ((OUT_OF_FOLD, "the fold that did not see the case"), ("external", "the ensemble of all folds")):
        assert benchmark.agreement[cohort].drawn_by == by
    dice = {case.case: case.dice for held in benchmark.agreement.values() for case in held.cases}
    for case, voxels in (("PH0003", 1), ("EX0002", 2)):
        roi = read_labels(pair_of(study, case).case.roi)
        moved = shifted(roi, voxels).array
        overlap = (moved & (roi.array > 0)).sum()
        assert dice[case] == pytest.approx(2 * overlap / (moved.sum() + (roi.array > 0).sum()))
    assert benchmark.agreement["external"].left_out == {
        UNREADABLE: "no image of CE-T1WI, on whose grid the ROI is drawn"
    }
    assert benchmark.agreement[OUT_OF_FOLD].sources == {"threshold": TRAINING - 1, "whole-field": 1}


def test_effect_is_paired_and_its_diagonal_is_the_out_of_fold_score(study, benchmark):
    held = benchmark.effect[OUT_OF_FOLD]
    for kind in ("manual", "auto"):
        expected = {row["case"]: float(row["dls"]) for row in read_table(study[1].of(kind).oof_scores)}
        assert {case.case: case.scores[f"{kind}/{kind}"] for case in held.cases} == expected
    labels = [case.label for case in held.cases]
    for cell in CELLS:
        assert held.auc[cell].value == pytest.approx(auc(labels, [case.scores[cell] for case in held.cases]))
    for cell, found in held.against_manual.items():
        assert found.delta.delong.delta == pytest.approx(held.auc[cell].value - held.auc["manual/manual"].value)
        assert found.delta.margin == benchmark.margin
        assert found.scores.calls.cases == held.n
    assert benchmark.effect["external"].left_out.keys() == {UNREADABLE}


def test_calls_are_made_at_the_cut_off_of_the_model_that_scores(study, benchmark, models):
    held = benchmark.effect[OUT_OF_FOLD]
    calls = {
        cell: [case.scores[cell] >= models[cell.split("/")[0]].record.cutoff for case in held.cases] for cell in CELLS
    }
    for cell, found in held.against_manual.items():
        changed = sum(first != second for first, second in zip(calls["manual/manual"], calls[cell], strict=True))
        assert found.scores.calls.to_high + found.scores.calls.to_low == changed


def test_robustness_changes_the_manual_roi_and_nothing_else(study, benchmark, models):
    held = benchmark.robustness[OUT_OF_FOLD]
    assert len(held.cases) == 2 and len(held.scores) == 2 * len(KINDS) * len(STEPS_MM)
    first = next(case for case in benchmark.effect[OUT_OF_FOLD].cases if case.case == held.cases[0])
    for score in held.scores:
        if score.case == first.case:
            assert score.unperturbed_dls == pytest.approx(first.scores["manual/manual"], abs=1e-6)
    shifts = [score for score in held.scores if score.kind == "shifted" and score.nominal_mm == 10]
    assert all(score.dls is None or 5 < score.moved_mm < 15 for score in shifts)
    for change in held.changes:
        assert change.cases + change.lost == 2
        assert (change.mean_absolute_change is None) == (change.cases == 0)


def test_an_roi_that_vanishes_has_no_score_and_a_reason(study, models, tmp_path):
    pair = pair_of(study, "PH0002", fold=1)
    book = ScoreCache(tmp_path / "scores.json")
    rows = list(perturbed_scores(models["manual"], pair, (0.0, 0.0, 1.0), book))
    lost = [row for row in rows if row.dls is None]
    assert {row.kind for row in lost} == {"eroded"}
    assert all("leaves nothing" in row.reason for row in lost)
    book.close()
    again = ScoreCache(tmp_path / "scores.json")
    assert again.known == book.used
    assert list(perturbed_scores(models["manual"], pair, (0.0, 0.0, 1.0), again)) == rows


def test_doubts_about_rois_stand_in_every_output(study, benchmark):
    dataset, workspace, answers, _ = study
    auto = workspace.of("auto")
    expected = (f"1 of {TRAINING} automatic ROIs is doubtful: 1 the whole field, as no tumour was found",
                "1 of 3 automatic ROIs is doubtful: 1 found at the lower threshold only")  # fmt: skip
    for sentence in expected:
        assert f": {sentence}" in answers["evaluate"].err
        assert sentence in answers["whole"].out, "the tables of the benchmark say how many are fall-backs"
    assert "warning: 2 of 3 automatic ROIs are doubtful" in answers["explain"].err
    flags = {row["case"]: row["flags"] for row in read_table(auto.heatmaps.cases)}
    assert flags == {NOT_FOUND: DOUBT, FAINT: "faint", "PH0001": ""}
    held_out = {row["case"]: (row["rois"], row["flags"]) for row in read_table(auto.heldout_scores("external"))}
    assert held_out[FAINT][0] == "auto" and "faint" in held_out[FAINT][1] and "faint" not in held_out["EX0001"][1]
    rows = {row["case"]: row for row in read_table(workspace.table("rois_cases"))}
    assert [rows[NOT_FOUND][name] for name in ("source", "confidence", "flags")] == ["whole-field", "0.9", DOUBT]
    assert (rows[FAINT]["source"], rows[FAINT]["disagreement"]) == ("lower-threshold", "0.1")
    page = render(read_study(auto, read_cohort(dataset).description))
    assert "Flagged scores" in page and page.count(DOUBT) == 1
    assert all(sentence in page for sentence in expected), "in what to know first"


def test_the_effect_without_fall_backs_stands_beside(study, benchmark):
    held = benchmark.effect[OUT_OF_FOLD]
    sure = [case for case in held.cases if case.case != NOT_FOUND]
    assert held.without_fall_backs.n == TRAINING - 1
    for cell in CELLS:
        expected = auc([case.label for case in sure], [case.scores[cell] for case in sure])
        assert held.without_fall_backs.auc[cell].value == pytest.approx(expected)
    assert "without the 1 cases whose" not in study[2]["whole"].out
    assert "without the 1 case whose automatic ROI is a fall-back" in study[2]["whole"].out
    row = read_table(study[1].table("rois_effect"))[0]
    assert int(row["n_without_fall_backs"]) == TRAINING - 1


# -- tables, figures, report -------------------------------------------------------------------------------------------


def test_tables_and_figures_hold_every_number(study, benchmark):
    workspace = study[1]
    tables = roi_tables(benchmark)
    assert {path.stem for path in workspace.tables.glob("rois_*.csv")} == set(tables)
    rows = read_table(workspace.table("rois_effect"))
    assert [(row["trained_on"], row["tested_on"]) for row in rows[:4]] == [tuple(cell.split("/")) for cell in CELLS]
    assert {row["delta_by"] for row in rows if row["delta"]} == {"delong"}
    assert float(rows[3]["delta"]) == benchmark.effect[OUT_OF_FOLD].against_manual["auto/auto"].delta.delong.delta
    names = {path.name for path in workspace.figures.glob("rois_*")}
    assert names == {
        f"{name}.{ending}"
        for name in ("rois_dice", "rois_scores", "rois_robustness")
        for ending in ("png", "svg", "csv")
    }
    drawn = read_table(workspace.figures / "rois_scores.csv")
    assert sum(row["kind"] == "case" for row in drawn) == sum(held.n for held in benchmark.effect.values())


def test_the_report_has_a_chapter_where_the_benchmark_was_run(study, benchmark):
    dataset, workspace, *_ = study
    description = read_cohort(dataset).description
    for kind in ("manual", "auto"):
        page = render(read_study(workspace.of(kind), description))
        assert 'id="rois"' in page and benchmark.effect[OUT_OF_FOLD].sentence in page.replace("&#x27;", "'")
        assert page.count("results/figures/rois_") == 3
        assert "is not the one of the benchmark" not in page
        assert "Other tables" not in page or "rois_" not in page.split("Other tables")[1].split("<h2")[0]
    study_now = read_study(workspace, description)
    assert 'id="rois"' not in render(replace(study_now, roi_benchmark=None))
    other = benchmark.model_copy(update={"models": {"manual": "0" * 64}})
    assert "is not the one of the benchmark" in render(replace(study_now, roi_benchmark=other))
    lacking = {"effect": None, "robustness": None, "reasons": dict.fromkeys(("effect", "robustness"), "no model")}
    page = render(replace(study_now, roi_benchmark=benchmark.model_copy(update=lacking)))
    assert page.count("Not there yet: no model") == 2
    with labelled(Labels(cohorts={OUT_OF_FOLD: "Klinik A", "external": "Klinik B"})):
        page = render(replace(study_now, roi_benchmark=benchmark))
    chapter = re.sub(r'src="data:[^"]*"', "", page.split('id="rois-title"')[1].split("<h2")[0])
    assert "Klinik A" in chapter and OUT_OF_FOLD not in chapter and "external" not in chapter


def test_the_interval_that_decided_is_the_one_in_the_table(benchmark):
    """Two cases a patient: the bootstrap over patients decides."""
    chance = np.random.default_rng(0)
    cases = [
        CrossedCase(case=f"c{at}", patient=f"p{at // 2}", label=at // 2 % 2 == 0, fold=None,
                    scores={cell: float(chance.uniform()) for cell in CELLS})
        for at in range(60)
    ]  # fmt: skip
    effect = cohort_effect(cases, {}, {"manual": 0.5, "auto": 0.5}, 0.05, chance)
    found = effect.against_manual["auto/auto"].delta
    table = effect_table({"a": effect})
    row = dict(zip(table.rows.header, table.rows.lines[3], strict=True))
    assert (row["delta_low"], row["delta_high"]) == (found.bootstrap.low, found.bootstrap.high)
    assert row["delta_low"] != row["delta_delong_low"] == found.delong.low
    assert row["delta_by"] == "bootstrap" and any("a bootstrap over patients" in note for note in table.printed.notes)
    assert f"{found.bootstrap.low:+.3f}" in effect.sentence


def test_scores_that_hardly_differ_are_not_drawn_as_one_point(benchmark):
    cases = [
        CrossedCase(case=f"c{at}", patient=f"c{at}", label=at % 2 == 0, fold=None,
                    scores=dict.fromkeys(CELLS, 0.5 + at / 1e4) | {"auto/auto": 0.5 + at % 3 / 1e3})
        for at in range(20)
    ]  # fmt: skip
    effect = cohort_effect(cases, {}, {"manual": 0.5, "auto": 0.5}, 0.05, np.random.default_rng(0))
    (axes,) = (axes for axes in score_figure({"a": effect}).figure.axes if axes.has_data())
    assert np.ptp(axes.get_xlim()) < 0.01 and np.ptp(axes.get_ylim()) < 0.01


@pytest.mark.parametrize("labels", [[], [True, True], [True, False] * 20])
def test_small_cohorts_have_reasons_instead_of_numbers(benchmark, labels):
    cases = [
        CrossedCase(case=f"c{at}", patient=f"c{at}", label=label, fold=None, scores=dict.fromkeys(CELLS, at / 50))
        for at, label in enumerate(labels)
    ]
    cutoffs = {"manual": 0.5, "auto": 0.5}
    effect = cohort_effect(cases, {"x": "no label"}, cutoffs, 0.05, np.random.default_rng(0))
    enough = len(labels) > 2
    assert effect.against_manual["auto/auto"].delta.verdict == "not answerable"
    assert f"Not answerable with {len(labels)} cases" in effect.sentence
    assert ("not shown to be better than chance" in effect.sentence) == enough, "scores that say nothing of the label"
    robustness = cohort_robustness([], {"x": "no manual ROI"}, 0.5, {})
    nothing = CohortAgreement(
        drawn_by="the ensemble", summary=summarise_agreement([], np.random.default_rng(0)), cases=(), drawn={},
        left_out={"x": "no manual ROI"},
    )  # fmt: skip
    small = {"agreement": {"a": nothing}, "effect": {"a": effect}, "robustness": {"a": robustness}}
    changed = benchmark.model_copy(update=small)
    assert dict(roi_figures(changed)["rois_dice"].empty) == {"a": "no case has both ROIs"}
    assert len(roi_figures(changed)["rois_scores"].empty) == (0 if enough else 1)
    assert roi_tables(changed)["rois_published"].rows.lines[0][-1] == "no case is compared"


def test_cases_for_robustness_lie_at_even_ranks_of_volume():
    sizes = {f"c{at}": float(at) for at in range(11)}
    assert evenly_ranked(sizes, 3) == ["c0", "c10", "c5"]
    assert evenly_ranked(sizes, 99) == sorted(sizes)
    assert evenly_ranked({}, 3) == []
