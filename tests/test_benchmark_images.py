"""`autodls benchmark images`: who scores worse images, what of them is kept, and what a reader is told."""

import json
import re
import shutil
import tempfile
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import autodls
from tiny_model_folder import small_volume_plan
from tiny_models import tiny_model
from tiny_workspace import tiny_workspace

from autodls import Study
from autodls.analysis.images_effect import cohort_images, degraded_kinds
from autodls.analysis.images_records import ImageBenchmark
from autodls.errors import DatasetError, StaleRecordError
from autodls.evaluation.delong import compare_aucs
from autodls.evaluation.score_agreement import icc, log_odds
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.imaging.degradation import SCALES
from autodls.imaging.volumes import read_roi, read_volume
from autodls.inference import image_robustness
from autodls.inference.image_robustness import DegradedScore, KeyedCase, degraded_scores
from autodls.inference.inputs import InputCase
from autodls.inference.rescoring import PairedCase, ScoreCache, prepare, sample_key
from autodls.inference.scoring import score_sample
from autodls.parallel import no_advance
from autodls.records.cohort import read_cohort
from autodls.records.labels import Labels
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.report.artefacts import Artefacts
from autodls.report.figures.images import images_figure
from autodls.report.html.document import render
from autodls.report.naming import labelled
from autodls.report.paper.blocks import Paragraph, To
from autodls.report.paper.paper import paper_of
from autodls.report.reading import read_study
from autodls.report.tables.images import degraded_cases_table, images_table
from autodls.stages import benchmark_images as stage
from autodls.stages.benchmark_images import benchmark_images

pytest.importorskip("torchio")

LEVELS = sum(len(scale.levels) for scale in SCALES.values())
FEW = {"noise": SCALES["noise"]}
SAMPLES = 1 + len(SCALES["noise"].levels)


@pytest.fixture(scope="module")
def dataset(make_dataset, tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"), training=4, held_out=2)


@pytest.fixture
def few_kinds(monkeypatch):
    """One kind, for speed; workers are told what to do and need not know."""
    monkeypatch.setattr(image_robustness, "KINDS", (None, *FEW))
    for kind in [kind for kind in SCALES if kind not in FEW]:
        monkeypatch.delitem(SCALES, kind)


@pytest.fixture
def model():
    return tiny_model(small_volume_plan())


def keyed(model, dataset):
    """Two training cases, one of each fold, and a held-out one."""
    cases = read_cohort(dataset).cases
    found = []
    for case, fold in ((cases[0], 0), (cases[1], 1), (cases[4], None)):
        files = InputCase(case.id, case.images, case.roi)
        found.append(KeyedCase(PairedCase(case, {"manual": files}, fold), sample_key(model, files)))
    return found


def scores_of(model, cases, book, **settings):
    return list(degraded_scores(model, cases, 0, book, settings.pop("advance", no_advance), **settings))


# -- scores ------------------------------------------------------------------------------------------------------------


def test_every_case_is_scored_by_its_own_fold_and_first_as_it_is(model, dataset, tmp_path, monkeypatch, few_kinds):
    """The wall: no other network is asked, whatever the block."""
    cases, judges, known = keyed(model, dataset), [], [id(fold) for fold in model.folds]
    score = image_robustness.score_samples

    def watched(judge, samples):
        judges.append((tuple(known.index(id(fold)) for fold in judge.folds), {sample.case for sample in samples}))
        return score(judge, samples)

    monkeypatch.setattr(image_robustness, "score_samples", watched)
    found = scores_of(model, cases, ScoreCache(tmp_path / "book.json"))
    expected = {case.paired.case.id: case.paired.fold for case in cases}
    for folds, names in judges:
        assert all(folds == ((0, 1) if expected[name] is None else (expected[name],)) for name in names)
    assert set().union(*(names for _, names in judges)) == set(expected)
    assert [(one.case, one.kind, one.level) for one in found] == [
        (case, kind, level)
        for case in expected
        for kind in (None, *FEW)
        for level in ((0.0,) if kind is None else SCALES[kind].levels)
    ]
    for case, one in zip(cases, [one for one in found if one.kind is None], strict=True):
        sample = prepare(model, case.paired.rois["manual"], case.key)
        assert one.dls == pytest.approx(
            float(score_sample(image_robustness.judge(model, case.paired.fold), sample).dls[0])
        )
    assert len({one.dls for one in found}) == len(found) == 3 * SAMPLES


def test_an_image_of_level_nothing_is_the_very_sample(model, dataset, tmp_path):
    """What goes through a file comes out of it to the last bit, so a change of the score is of the artefact."""
    case = keyed(model, dataset)[1]
    files = case.paired.rois["manual"]
    plan = model.plan.preprocessing
    task = image_robustness._Task(files, files.roi_labels(model.record), plan, 0, "noise", (0.0,), str(tmp_path))
    through = image_robustness._samples(task)[0.0]
    as_it_is = prepare(model, files, case.key)
    np.testing.assert_allclose(through.pixels, as_it_is.pixels, atol=2e-4)  # places are float32 in a header
    assert through.pixels.dtype == as_it_is.pixels.dtype and through.flags == as_it_is.flags


def reads_one_intensity(_judge, samples):
    """A model whose score is the first number of a sample."""
    rest = {"dls_raw": np.zeros(1), "spread": np.zeros(1), "by_sequence": {}}
    return [SimpleNamespace(dls=sample.pixels.ravel()[:1], **rest) for sample in samples]


@pytest.mark.parametrize("kind", ["noise", "blur", "bias", "ghosting"])
def test_a_model_that_reads_one_intensity_answers_by_the_level(model, dataset, tmp_path, monkeypatch, kind):
    """What reaches the model is the degraded image: one voxel of it, in the middle of the tumour."""
    case = keyed(model, dataset)[0]
    files = case.paired.rois["manual"]
    middle = tuple(np.argwhere(read_roi(files.roi, frozenset({1})).array).mean(axis=0).round().astype(int))
    whole = prepare(model, files, "k")

    def voxel(_case, images, *_):
        value = read_volume(images["CE-T1WI"]).array[middle]
        return replace(whole, pixels=np.full_like(whole.pixels, value))

    monkeypatch.setattr(image_robustness, "KINDS", (None, kind))
    monkeypatch.setattr(image_robustness, "prepare_case", voxel)
    monkeypatch.setattr(image_robustness, "score_samples", reads_one_intensity)
    monkeypatch.setattr(image_robustness, "require_finite", lambda *_: None)
    found = scores_of(model, [case], ScoreCache(tmp_path / "book.json"))
    moved = [abs(one.dls - found[0].dls) for one in found]
    assert moved == sorted(moved) and moved[0] == 0 < moved[-1] and len(moved) == SAMPLES


def test_a_case_that_cannot_be_read_has_reasons_and_stops_nobody(model, dataset, tmp_path, few_kinds):
    copied = shutil.copytree(dataset, tmp_path / "data")
    image = copied / "imagesTr" / "case_00_0001.nii.gz"
    image.write_bytes(image.read_bytes()[:200])
    cases = keyed(model, copied)
    found = scores_of(model, cases, ScoreCache(tmp_path / "book.json"))
    broken = [one for one in found if one.case == "case_00"]
    assert len(broken) == SAMPLES and all(one.dls is None and one.reason for one in broken)
    assert not any(str(tmp_path / "tmp") in str(one.reason) or "/0001.nii" in str(one.reason) for one in broken)
    assert all(one.dls is not None for one in found if one.case != "case_00")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_killed_run_goes_on_and_workers_change_nothing(model, dataset, tmp_path, monkeypatch, few_kinds, workers):
    cases, calls, images = keyed(model, dataset), [], tmp_path / "images"
    images.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(images))
    straight = ScoreCache(tmp_path / "straight.json")
    expected = scores_of(model, cases, straight)
    straight.close()

    def killed(name):
        calls.append(name)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scores_of(model, cases, ScoreCache(tmp_path / "torn.json"), advance=killed)
    kept = json.loads((tmp_path / "torn.json").read_text())["dls"]
    assert 0 < len(kept) < len(expected) and not list(images.iterdir()), "no patient's image is left behind"
    again = ScoreCache(tmp_path / "torn.json")
    made = []
    score = image_robustness.score_samples
    monkeypatch.setattr(image_robustness, "score_samples", lambda *asked: made.extend(asked[1]) or score(*asked))
    assert scores_of(model, cases, again, workers=workers) == expected
    again.close()
    assert len(made) == len(expected) - len(kept)
    assert (tmp_path / "torn.json").read_bytes() == (tmp_path / "straight.json").read_bytes()
    monkeypatch.setattr(image_robustness, "_sample", None)  # nothing is made a second time
    assert scores_of(model, cases, ScoreCache(tmp_path / "torn.json")) == expected


# -- figures -----------------------------------------------------------------------------------------------------------


def made_up(levels_move=0.5, count=40, lost=()):
    """Cases with scores that move by `levels_move` in log-odds at each level of noise, and by nothing else."""
    chance, pairs, scores = np.random.default_rng(5), [], []
    for number in range(count):
        case = SimpleNamespace(id=f"c{number}", patient=f"p{number}", label=number % 2 == 0)
        odds = float(chance.normal(1.0 if case.label else -1.0, 1.0))
        pairs.append(PairedCase(case, {}, number % 2))
        scores.append(DegradedScore(case.id, None, 0.0, 1 / (1 + np.exp(-odds))))
        for kind, scale in SCALES.items():
            for place, level in enumerate(scale.levels):
                by = (place + 1) * levels_move * float(chance.normal(1, 0.2)) if kind == "noise" else 0.0
                gone = (case.id, kind, level) in lost
                dls = None if gone else 1 / (1 + np.exp(-odds - by))
                scores.append(DegradedScore(case.id, kind, level, dls, "no signal" if gone else None))
    return pairs, scores


def judged(*made, left_out=(), out_of_fold=True):
    return cohort_images(*made, dict(left_out), 0.5, "them", out_of_fold=out_of_fold)


def recorded(**cohorts):
    return ImageBenchmark(
        version="1", torchio="1", model="m", seed=0, cutoff=0.5, kinds=degraded_kinds(), cohorts=cohorts
    )


def test_figures_are_those_of_the_field_on_the_same_cases():
    pairs, scores = made_up()
    found = judged(pairs, scores)
    one = next(one for one in found.changes if (one.kind, one.level) == ("noise", 10.0))
    before = np.array([score.dls for score in scores if score.kind is None])
    after = np.array([score.dls for score in scores if (score.kind, score.level) == ("noise", 10.0)])
    labels = np.array([pair.case.label for pair in pairs])
    change = log_odds(after) - log_odds(before)
    assert one.log_odds.bias.value == pytest.approx(change.mean()) == pytest.approx(1.5, abs=0.2)
    assert one.log_odds.upper_limit.value == pytest.approx(change.mean() + 1.959964 * change.std(ddof=1))
    assert one.icc == icc(np.stack([log_odds(before), log_odds(after)], axis=1))
    assert (one.calls.to_high, one.calls.to_low) == (int(((before < 0.5) & (after >= 0.5)).sum()), 0)
    test = compare_aucs(labels, after, before, out_of_fold=True)
    assert (one.delta.value, one.delta.low, one.delta.high) == (test.delta, test.low, test.high)
    assert one.auc.method == "delong-logit-cv" and judged(pairs, scores, out_of_fold=False).auc.method == "delong-logit"


def test_what_is_not_touched_does_not_move():
    for one in judged(*made_up()).changes:
        if one.kind != "noise":
            assert (one.log_odds.bias.value, one.log_odds.lower_limit.value) == (0, 0)
            assert (one.calls.to_high, one.calls.to_low, one.delta.value, one.icc.value) == (0, 0, 0, 1)


def test_lost_cases_are_counted_and_in_no_mean_and_those_without_a_score_are_left_out():
    gone = {("c0", "blur", 4.0), ("c1", "blur", 4.0)}
    pairs, scores = made_up(lost=gone)
    scores = [DegradedScore(one.case, one.kind, one.level, None, "torn") if one.case == "c2" else one for one in scores]
    found = judged(pairs, scores, left_out={"c99": "no manual ROI"})
    assert found.left_out == {"c2": "torn", "c99": "no manual ROI"} and found.n == 39
    one = next(one for one in found.changes if (one.kind, one.level) == ("blur", 4.0))
    assert (one.cases, one.lost, one.lost_because, one.calls.cases) == (37, 2, "no signal", 37)
    table = images_table(recorded(train=found))
    assert any("2 lost, one as: no signal" in note for note in table.printed.notes)


def test_nobody_left_is_said_and_drawn():
    pairs, scores = made_up(count=4)
    gone = [DegradedScore(one.case, one.kind, one.level, None, "torn") for one in scores]
    found = recorded(train=judged(pairs, gone))
    assert found.cohorts["train"].n == 0 and "could be scored" in found.sentence("noise")
    assert len(images_figure(found).empty) == len(SCALES)
    assert len(images_table(found).rows.lines) == LEVELS


@pytest.mark.parametrize(
    ("changed", "of", "said"),
    [(0, 72, "no call of 72 changes"), (4, 80, "1 call in 20 (4 of 80) changes"), (50, 72, "50 of 72 calls change")],
)
def test_a_plain_sentence_a_kind(changed, of, said):
    found = recorded(train=judged(*made_up()))
    calls = {"cases": of, "to_high": changed, "to_low": 0, "share": {}}
    record = json.loads(found.to_bytes())
    for one in record["cohorts"]["train"]["changes"]:
        one["calls"] = calls
    sentence = ImageBenchmark.model_validate(record).sentence("noise")
    assert sentence.startswith(f"Noise, train: {said} at 2%, ") and sentence.endswith(" at 20%.")


def test_tables_and_figure_hold_every_level():
    found = recorded(**{OUT_OF_FOLD: judged(*made_up()), "external": judged(*made_up(count=12), out_of_fold=False)})
    table, drawn = images_table(found), images_figure(found)
    assert len(table.rows.lines) == len(table.printed.lines) == len(drawn.rows.lines) == 2 * LEVELS
    assert not drawn.empty and len(drawn.figure.axes) == 2 * len(SCALES)
    assert len(degraded_cases_table(found).rows.lines) == LEVELS * 52
    assert len(found.sentences) == len(SCALES)
    assert ImageBenchmark.model_validate(json.loads(found.to_bytes())) == found


def test_a_reader_of_the_paper_is_told_too_and_cohorts_are_called_by_their_labels():
    found = recorded(external=judged(*made_up(), out_of_fold=False))
    with labelled(Labels(cohorts={"external": "Klinik B"})):
        paper, page = (
            paper_of(Artefacts(image_benchmark=found), {"images_robustness": b""}),
            render(Artefacts(image_benchmark=found)),
        )
    told = str(paper.text)
    assert "Worse images" in told and found.sentence("noise", {"external": "Klinik B"}.get) in told
    assert To("Table", "images_robustness") in [part for one in paper.text if isinstance(one, Paragraph)
                                                for part in one.parts]  # fmt: skip
    assert [one.key for one in paper.figures] == ["images_robustness"]
    [table] = paper.tables
    assert {line[0] for line in table.printed.lines} == {"Klinik B"} and "external" not in str(table.printed.notes)
    assert page[page.index('id="images"') :].count("Klinik B") > LEVELS
    assert "external" not in page[page.index('id="images-title"') : page.index('id="plan"')]


def test_the_label_of_a_cohort_does_not_rename_a_kind_of_artefact():
    found = recorded(noise=judged(*made_up(), out_of_fold=False))
    with labelled(Labels(cohorts={"noise": "Klinik B"})):
        titles = [axes.get_title(loc="left") for axes in images_figure(found).figure.axes]
    assert any(title.endswith("noise") for title in titles) and not any("Klinik B" in title for title in titles)


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def study(make_dataset, tmp_path):
    """A dataset, of which one held-out case cannot be read, and a locked model whose fold scores are made up."""
    dataset = make_dataset(tmp_path / "data", training=8, held_out=3)
    (dataset / "labelsTr" / "case_10.nii.gz").unlink()
    return dataset, tiny_workspace(dataset, dataset / "autodls")


def test_a_model_that_no_longer_gives_its_out_of_fold_scores_is_refused(study, few_kinds):
    with pytest.raises(StaleRecordError, match="when the model was locked"):
        benchmark_images(study[0], most_cases=1)


def test_folds_that_are_not_those_of_the_model_are_refused(study, monkeypatch, few_kinds):
    load = stage.Session.splits

    def others(session, plan):
        splits = load(session, plan)
        return splits.model_copy(update={"folds": tuple(reversed(splits.folds))})

    monkeypatch.setattr(stage.Session, "splits", others)
    with pytest.raises(StaleRecordError, match="scored by networks that saw it"):
        benchmark_images(study[0])


def test_the_command_writes_a_chapter_and_a_study_without_it_has_none(study, monkeypatch, few_kinds):
    dataset, workspace = study
    assert autodls("report", "-d", dataset).status == 0
    assert "worse images" not in workspace.report.read_text()
    monkeypatch.setattr(stage, "_ROUND_OFF", 1.0)  # as fold scores are made up
    answer = autodls("benchmark", "images", "-d", dataset, "--workers", 1)
    assert answer.status == 0, answer.err
    found = ImageBenchmark.load(workspace.image_benchmark, "")
    assert set(found.cohorts) == {OUT_OF_FOLD, "external"} and set(found.kinds) == set(FEW)
    assert "case_10" in found.cohorts["external"].left_out
    fold_of = {case.case: case.fold for case in found.cohorts[OUT_OF_FOLD].cases}
    splits = stage.Session.open(dataset, workspace.root, "manual").splits(small_volume_plan())
    assert fold_of == {case: fold.index for fold in splits.folds for case in fold.validation}
    assert not any(
        case in fold.train or case in fold.inner for case, at in fold_of.items() for fold in [splits.folds[at]]
    )
    assert {case.fold for case in found.cohorts["external"].cases} == {None}
    said = re.sub(r"\s+", " ", answer.out)
    assert all(re.sub(r"\s+", " ", sentence) in said for sentence in found.sentences)
    assert autodls("report", "-d", dataset).status == 0
    page = workspace.report.read_text()
    assert "Robustness to worse images" in page and "results/tables/images_robustness.csv" in page
    assert len(read_table(workspace.table("images_robustness"))) == 2 * len(SCALES["noise"].levels)
    answer = autodls("verify", workspace.root)
    assert "images_robustness" not in answer.out + answer.err
    before = {path: path.read_bytes() for path in workspace.report.parent.rglob("*images*")}
    monkeypatch.setattr(image_robustness, "_sample", None)
    again = Study(dataset).benchmark_images()
    assert {path: path.read_bytes() for path in before} == before and again.benchmark == found
    other = found.model_copy(update={"model": "another"})
    other.save(workspace.image_benchmark)
    assert "Of another model than the one of this report" in render(read_study(Workspace(workspace.root)))
    workspace.table("images_robustness").write_text("what\n")
    answer = autodls("verify", workspace.root)
    assert "images_robustness.csv" in answer.out + answer.err and "autodls benchmark images" in answer.out + answer.err


def test_few_cases_are_taken_at_even_ranks_of_volume(study, monkeypatch, few_kinds):
    monkeypatch.setattr(stage, "_ROUND_OFF", 1.0)
    found = benchmark_images(study[0], most_cases=2).benchmark
    assert {name: cohort.n for name, cohort in found.cohorts.items()} == {OUT_OF_FOLD: 2, "external": 2}


def test_without_a_model_or_the_extra_it_is_one_line(make_dataset, tmp_path, monkeypatch):
    dataset = make_dataset(tmp_path / "data", training=8, held_out=0)
    answer = autodls("benchmark", "images", "-d", dataset)
    assert answer.status == 2 and "run 'autodls plan'" in answer.complaint
    monkeypatch.setattr("autodls.imaging.degradation.find_spec", lambda _: None)
    answer = autodls("benchmark", "images", "-d", dataset)
    assert answer.status == 2 and "[stress]" in answer.complaint


def test_an_artefact_that_cannot_be_scored_says_why_without_a_path(model, dataset, tmp_path, monkeypatch, few_kinds):
    def refused(case_id, images, *_):
        if "0000.nii" in str(next(iter(images.values()))) and next(iter(images.values())).suffix == ".nii":
            raise DatasetError(f"case {case_id}: {images['CE-T1WI']}: has no signal where the tumour lies")
        return prepare(model, keyed(model, dataset)[0].paired.rois["manual"], "k")

    monkeypatch.setattr(image_robustness, "prepare_case", refused)
    found = scores_of(model, keyed(model, dataset)[:1], ScoreCache(tmp_path / "book.json"))
    assert found[0].dls is not None
    assert {one.reason for one in found[1:]} == {"0000.nii: has no signal where the tumour lies"}
