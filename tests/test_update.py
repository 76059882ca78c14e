"""A locked model updated at a second site: what is fitted, on what it is judged, and what becomes of the model."""

import json
import shutil
from unittest import mock

import numpy as np
import pytest
import statsmodels.api as sm
from command_line import autodls
from scipy.special import expit, logit
from scipy.stats import chi2, norm
from tiny_model_folder import write_model_folder

from autodls import Study, load_model
from autodls.analysis import updating
from autodls.analysis.update_figures import FirstModel, Site, update_of
from autodls.analysis.updated_model import doubts
from autodls.analysis.updating import Choice, choose_method, cross_fit, fit_update, has_enough_for_slope, log_odds_of
from autodls.errors import ArgumentError, DatasetError
from autodls.planning.fingerprint import inputs_sha256
from autodls.planning.splits import make_splits
from autodls.records.cohort import read_cohort
from autodls.records.files import sha256_of_file
from autodls.records.locked_candidate import CANDIDATE
from autodls.records.model import ModelRecord
from autodls.records.model_folders import PROVENANCE
from autodls.records.plan import Plan
from autodls.stages.update import update
from autodls.stages.verify import verify

OF_THE_UPDATE = {"model.json", "MODEL_CARD.md", PROVENANCE}


def site(count=400, *, prevalence=0.5, slope=1.0, expected=0.5, seed=0):
    """Labels, and log-odds of a model that expects the share `expected` and has this calibration slope."""
    chance = np.random.default_rng(seed)
    labels = chance.random(count) < prevalence
    signs = 1.5 * chance.normal(np.where(labels, 0.75, -0.75))
    return labels, signs / slope + logit(expected)


def folds_of(labels, folds=5):
    """Every class dealt out in turn."""
    found = np.empty(len(labels), dtype=int)
    for members in (labels, ~labels):
        found[members] = np.arange(members.sum()) % folds
    return found


# -- what is fitted ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cohort", "method"),
    [
        ({}, "none"),
        ({"prevalence": 0.7}, "intercept"),
        ({"slope": 0.5}, "intercept+slope"),
        ({"prevalence": 0.7, "count": 20}, "none"),
    ],
)
def test_the_closed_test_updates_as_much_as_the_cases_show(cohort, method):
    labels, log_odds = site(**cohort)
    assert choose_method(labels, log_odds, slope=has_enough_for_slope(labels)).method == method


@pytest.mark.parametrize("cohort", [{}, {"prevalence": 0.6}, {"slope": 0.7, "seed": 3}])
def test_its_p_values_are_those_of_likelihood_ratios_by_statsmodels(cohort):
    labels, log_odds = site(120, **cohort)
    ones, target = np.ones(len(labels)), labels.astype(float)
    shifted = sm.GLM(target, ones, family=sm.families.Binomial(), offset=log_odds).fit().llf
    mapped = sm.GLM(target, sm.add_constant(log_odds), family=sm.families.Binomial()).fit().llf
    as_it_is = -np.logaddexp(0, np.where(labels, -log_odds, log_odds)).sum()
    found = choose_method(labels, log_odds, slope=True)
    assert found.p_any == pytest.approx(chi2.sf(2 * (mapped - as_it_is), 2), rel=0.02)
    assert found.p_slope == pytest.approx(chi2.sf(2 * (mapped - shifted), 1), rel=0.02)


def test_a_slope_is_tried_from_twenty_of_the_rarer_class_on():
    assert not has_enough_for_slope(np.arange(200) < 19)
    assert has_enough_for_slope(np.arange(200) < 20)
    labels, log_odds = site(60, slope=0.3)
    assert choose_method(labels, log_odds, slope=False).method != "intercept+slope"


def test_after_an_intercept_as_many_are_expected_as_there_are():
    labels, log_odds = site(prevalence=0.7)
    fitted = fit_update(labels, log_odds, "intercept", 0.4)
    assert fitted.scale.slope == 1
    assert fitted.scale.probability(log_odds).sum() == pytest.approx(labels.sum())


@pytest.mark.parametrize("rule", ["youden", "class_medians"])
def test_the_cutoff_goes_by_the_rule_of_the_model_on_the_new_scale(rule):
    labels, log_odds = site(prevalence=0.7, slope=0.5)
    fitted = fit_update(labels, log_odds, "intercept+slope", 0.4)
    same = fit_update(labels, log_odds, "none", 0.4)
    called = fitted.scale.probability(log_odds) >= fitted.cutoffs[rule]
    assert called[labels].mean() > 0.7 and (~called)[~labels].mean() > 0.7
    assert same.cutoffs == {"youden": 0.4, "class_medians": 0.4} and same.scale.slope == 1


# -- walls: no case has a say in the score that judges the update on it ------------------------------------------------


@pytest.mark.parametrize("asked", [None, "intercept", "intercept+slope"])
@pytest.mark.parametrize("rule", ["youden", "class_medians"])
def test_labels_of_a_fold_change_neither_scores_nor_calls_of_that_fold(rule, asked):
    labels, log_odds = site(80, prevalence=0.6, slope=0.5)
    folds = folds_of(labels)
    held, others = folds == 2, labels.copy()
    others[held] = ~labels[held]
    before, after = (cross_fit(one, log_odds, folds, rule, 0.4, asked) for one in (labels, others))
    assert np.array_equal(before.probabilities[held], after.probabilities[held])
    assert np.array_equal(before.called[held], after.called[held])
    assert before.methods[2] == after.methods[2]
    if asked:
        assert not np.array_equal(before.probabilities[~held], after.probabilities[~held]), "they do have a say there"


def test_figures_of_the_updated_model_are_those_of_the_folds_not_of_the_fit():
    """Forty cases whose labels know nothing of the score: Youden's cut-off finds something, and the folds show what."""
    seeming, told = [], []
    for seed in range(40):
        labels, _ = site(40, seed=seed)
        log_odds = np.random.default_rng((1, seed)).normal(0, 1, 40)
        given = Site("site", labels, expit(log_odds), folds_of(labels).tolist())
        fitted, what = update_of(given, FirstModel("", 0.5, "youden", 0), "intercept")
        called = fitted.scale.probability(log_odds) >= fitted.cutoffs["youden"]
        seeming.append(called[labels].mean() + (~called)[~labels].mean() - 1)
        told.append(what.after.sensitivity.value + what.after.specificity.value - 1)
    assert np.mean(seeming) > 0.15
    assert abs(np.mean(told)) < 0.08


def test_no_update_leaves_the_first_models_figures():
    labels, log_odds = site(prevalence=0.5)
    _, told = update_of(Site("x", labels, expit(log_odds), folds_of(labels).tolist()), FirstModel("", 0.4, "youden", 0))
    assert told.method == "none" and told.before == told.after and told.cutoff == told.cutoff_before == 0.4
    assert told.brier_gain.value == 0


def test_limits_of_the_brier_gain_are_of_twice_the_variance_that_the_cases_show():
    """As of all scores out of fold: a case teaches the folds that score the others. Plain limits held in 84 to 93 %."""
    labels, log_odds = site(400, prevalence=0.7, slope=0.5)
    given = Site("x", labels, expit(log_odds), folds_of(labels).tolist())
    told = update_of(given, FirstModel("", 0.4, "youden", 0))[1]
    after = cross_fit(labels, log_odds, given.folds, "youden", 0.4).probabilities
    gains = (expit(log_odds) - labels) ** 2 - (after - labels) ** 2
    assert told.brier_gain.value == pytest.approx(gains.mean())
    error = (told.brier_gain.high - told.brier_gain.low) / (2 * norm.ppf(0.975))
    assert error == pytest.approx(np.sqrt(2 * gains.var() / len(gains)), rel=0.06)


@pytest.mark.parametrize("chosen", ["none", "intercept"])
@pytest.mark.parametrize("of_folds", [("intercept", "none", "intercept", "intercept+slope", "intercept"), ()])
def test_folds_that_choose_another_update_are_told(chosen, of_folds):
    labels, log_odds = site(400, prevalence=0.7)
    given = Site("x", labels, expit(log_odds), folds_of(labels).tolist())
    told = update_of(given, FirstModel("", 0.4, "youden", 0), "intercept")[1]
    told = told.model_copy(update={"method": chosen, "fold_methods": of_folds or (chosen,) * 5})
    said = [one for one in doubts(told) if "chose another update" in one]
    assert len(said) == (bool(of_folds) and chosen != "none")
    expected = "2 of 5 folds chose another update (none, intercept+slope) than all cases do (intercept)"
    assert all(expected in one for one in said)


def test_an_update_that_is_needed_mends_calibration_where_it_did_not_fit():
    labels, log_odds = site(400, prevalence=0.7, slope=0.5)
    told = update_of(Site("x", labels, expit(log_odds), folds_of(labels).tolist()), FirstModel("", 0.4, "youden", 0))[1]
    assert told.before.slope.high < 1 and told.after.slope.low < 1 < told.after.slope.high
    assert (
        told.before.intercept_large.low > 0.2 and told.after.intercept_large.low < 0 < told.after.intercept_large.high
    )
    assert told.brier_gain.low > 0


def test_scores_of_0_and_1_have_log_odds():
    assert np.isfinite(log_odds_of(np.array([0.0, 1.0, 0.5]))).all()


# -- the new model -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def places(tmp_path_factory, make_dataset):
    """A locked model, and a dataset of another site: 24 cases to fit to, odd ones positive, 2 that are held out."""
    root = tmp_path_factory.mktemp("update")
    write_model_folder(root / "model")
    dataset = make_dataset(root / "data", training=24, held_out=2, seed=5)
    inverted(dataset)  # the tiny model scores them so
    return root, dataset


def inverted(dataset):
    """Positives become negatives and the reverse."""
    table = dataset / "clinical.csv"
    swapped = table.read_text().replace(",30,", ",x,").replace(",5,", ",30,").replace(",x,", ",5,")
    table.write_text(swapped)


@pytest.fixture
def copied(places, tmp_path):
    """The same, to be changed."""
    root, data = places
    shutil.copytree(data, tmp_path / "data")
    return root / "model", tmp_path / "data", tmp_path / "new"


def contents(folder):
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in folder.rglob("*") if path.is_file()}


def updated(model, dataset, output, method="intercept"):
    return update(dataset, output, model=model, method=method)


def test_the_new_model_is_whole_and_names_the_old_one_which_stays(copied):
    model, dataset, output = copied
    before = contents(model)
    found = updated(model, dataset, output)
    record = ModelRecord.load(output / "model.json", "")
    assert contents(model) == before
    assert verify(output).fits
    assert any(before["model.json"][:12] in link for link in verify(output).unchecked)
    assert record.updated == found.update and found.folder == output
    assert record.updated.model_sha256 == before["model.json"]
    assert {name: sha for name, sha in contents(output).items() if name not in OF_THE_UPDATE} == {
        name: sha for name, sha in before.items() if name not in OF_THE_UPDATE
    }
    card = (output / "MODEL_CARD.md").read_text()
    assert "each of which fitted it and chose the cut-off" in card
    assert "updated at a second site" in card and before["model.json"] in card and "24 cases of `tiny`" in card


def test_of_a_signed_model_the_new_one_is_unsigned_and_that_is_said(copied, tmp_path):
    model, dataset, output = copied
    signed, said = shutil.copytree(model, tmp_path / "signed"), []
    (signed / "signature.json").write_text("whatever it says")
    watch = mock.MagicMock(command=("autodls", "update"), note=said.append)
    update(dataset, output, model=signed, method="intercept", watch=watch)
    assert not (output / "signature.json").exists() and verify(output).fits
    assert [line for line in said if "the updated model is a new one, which nobody has signed" in line]


def test_predict_gives_the_mapped_score_and_calls_by_the_new_cutoff(copied):
    model, dataset, output = copied
    what = updated(model, dataset, output).update
    first, second = (
        load_model(folder, "cpu").predict(dataset / "imagesTr", dataset / "labelsTr") for folder in (model, output)
    )
    old = np.array([score.dls for score in first.cases])
    new = np.array([score.dls for score in second.cases])
    assert logit(new) == pytest.approx(what.slope * logit(old) + what.intercept)
    assert {score.cutoff for score in second.cases} == {what.cutoff}
    assert [score.sequences for score in second.cases] == [score.sequences for score in first.cases]


def test_labels_of_the_second_site_change_nothing_but_the_update(copied, edit_table, tmp_path):
    model, dataset, output = copied
    updated(model, dataset, output)
    for number in range(0, 12, 2):
        edit_table(dataset, f"case_{number:02d}", cps="30")
        edit_table(dataset, f"case_{number + 1:02d}", cps="5")
    updated(model, dataset, tmp_path / "other")
    one, other = contents(output), contents(tmp_path / "other")
    assert {name for name in one if one[name] != other[name]} == OF_THE_UPDATE


def test_held_out_cohorts_of_the_second_site_are_not_looked_at(copied, edit_table, tmp_path):
    model, dataset, output = copied
    updated(model, dataset, output)
    edit_table(dataset, "case_24", cps="30")
    (dataset / "imagesTr" / "case_25_0000.nii.gz").write_bytes(b"no image")
    updated(model, dataset, tmp_path / "other")
    assert contents(output) == contents(tmp_path / "other")


def test_where_no_update_is_needed_nothing_is_written(copied, monkeypatch):
    from autodls.analysis import update_figures

    model, dataset, output = copied
    for module in (update_figures, updating):
        monkeypatch.setattr(module, "choose_method", lambda *_, **__: Choice("none", 0.5, None))
    found = update(dataset, output, model=model)
    assert found.folder is None and found.update.method == "none" and not output.exists()
    answer = autodls("update", "-m", model, "-d", dataset, "-o", output)
    assert answer.status == 0 and "no update needed" in answer.out and not output.exists()


def test_from_the_command_line_and_from_python_it_is_the_same(copied, tmp_path):
    model, dataset, output = copied
    answer = autodls("update", "-m", model, "-d", dataset, "-o", output, "--method", "intercept", "--json")
    assert answer.status == 0, answer.err
    told = json.loads(answer.out)
    assert told["model_sha256"] == sha256_of_file(model / "model.json")
    shown = autodls("update", "-m", model, "-d", dataset, "--method", "intercept")
    assert "calibration slope (1)" in shown.out and "nothing written" in shown.out
    by_study = Study(dataset).update(model, tmp_path / "study", method="intercept")
    by_model = load_model(model, "cpu").update(dataset, tmp_path / "by_model", method="intercept")
    assert by_study.update == by_model.update == ModelRecord.load(output / "model.json", "").updated
    assert not list(tmp_path.rglob("*.partial.jsonl"))


def test_an_updated_model_can_be_updated_again(copied, tmp_path):
    model, dataset, output = copied
    updated(model, dataset, output)
    updated(output, dataset, tmp_path / "again")
    record = ModelRecord.load(tmp_path / "again" / "model.json", "")
    assert record.updated.model_sha256 == sha256_of_file(output / "model.json")
    assert record.updated.intercept == pytest.approx(0, abs=1e-6)


def test_a_stopped_run_goes_on_with_the_scores_that_it_has(copied, monkeypatch):
    from autodls.analysis import updated_model
    from autodls.inference import predict

    model, dataset, output = copied
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(updated_model, "updated_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        updated(model, dataset, output)
    assert [path.name for path in output.iterdir() if path.is_file()] == ["model.partial.jsonl"]
    scored = []
    monkeypatch.setattr(predict, "score_samples", lambda *_: scored.append(1))
    updated(model, dataset, output)
    assert not scored and verify(output).fits and not (output / "model.partial.jsonl").exists()


def test_a_case_that_cannot_be_scored_is_named_and_left_out(copied):
    model, dataset, output = copied
    (dataset / "labelsTr" / "case_03.nii.gz").write_bytes(b"no image")
    answer = autodls("update", "-m", model, "-d", dataset, "-o", output, "--method", "intercept")
    assert answer.status == 1 and "not scored: case case_03" in answer.err
    assert ModelRecord.load(output / "model.json", "").updated.cases == 23


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_too_few_of_a_class_are_refused_before_anything_is_scored(copied, edit_table):
    model, dataset, output = copied
    for number in (1, 3, 5):
        edit_table(dataset, f"case_{number:02d}", cps="5")
    with pytest.raises(DatasetError, match=r"9 of the 24 .* are positive, and an update takes 10 of each class"):
        updated(model, dataset, output)
    assert not output.exists()


def test_a_score_that_is_below_chance_there_is_refused(copied):
    model, dataset, output = copied
    inverted(dataset)
    with pytest.raises(DatasetError, match=r"the model's AUC there is 0\.000, below chance: are the labels"):
        updated(model, dataset, output)
    assert not (output / "model.json").exists()


def test_a_slope_on_few_cases_is_refused(copied):
    with pytest.raises(DatasetError, match=r"takes 20 of each class .* ask for the intercept alone"):
        updated(*copied, method="intercept+slope")


def test_several_cases_of_a_patient_are_refused(copied, edit_table):
    model, dataset, output = copied
    edit_table(dataset, "case_02", patient_id="patient_00")
    with pytest.raises(DatasetError, match=r"24 labelled cases .* are of 23 patients"):
        updated(model, dataset, output)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"target": {"name": "PD-L1 high", "column": "cps", "positive": ">= 25"}}, "autodls.target"),
        ({"roi_channel": "T2WI"}, "autodls.roi_channel"),
    ],
)
def test_another_question_is_refused(copied, change, named):
    model, dataset, output = copied
    content = json.loads((dataset / "dataset.json").read_text())
    content["autodls"] |= change
    (dataset / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=rf"{named} is .* the model has"):
        updated(model, dataset, output)


def test_the_cohort_that_it_was_trained_on_is_refused(tmp_path, make_dataset):
    from tiny_workspace import tiny_workspace

    dataset = make_dataset(tmp_path / "home", training=20, held_out=0)
    workspace = tiny_workspace(dataset, dataset / "autodls")
    with pytest.raises(DatasetError, match="trained on this very cohort"):
        updated(workspace.model.root, dataset, tmp_path / "new")


def test_the_cohort_that_it_was_trained_on_is_known_again_wherever_its_workspace_lies(tmp_path, make_dataset):
    """As the demo has it: the workspace beside the dataset, and of the study only the model folder is at hand."""
    from tiny_workspace import tiny_workspace

    dataset = make_dataset(tmp_path / "home", training=24, held_out=0)
    model = tiny_workspace(dataset, tmp_path / "elsewhere").model
    training, cases = Plan.load(model.plan, "").training, read_cohort(dataset).training
    splits = make_splits(cases, training.folds, training.inner_holdout, training.seed)
    splits = splits.model_copy(update={"inputs_sha256": inputs_sha256(cases)})
    record = ModelRecord.load(model.record, "").model_copy(update={"splits_sha256": splits.sha256()})
    record.sealed().save(model.record)
    with pytest.raises(DatasetError, match="trained on this very cohort"):
        updated(model.root, dataset, tmp_path / "new")


def test_a_locked_candidate_is_not_updated_and_that_is_said(copied, tmp_path):
    (tmp_path / "candidate").mkdir()
    (tmp_path / "candidate" / CANDIDATE).write_text("{}")
    answer = autodls("update", "-m", tmp_path / "candidate", "-d", copied[1])
    assert answer.status == 2 and "a locked candidate cannot be updated" in answer.complaint


def test_a_folder_with_results_is_not_written_over(copied):
    model, dataset, output = copied
    updated(model, dataset, output)
    for taken in (output, model):
        with pytest.raises(ArgumentError, match=r"holds the results|are read from there|locked model"):
            updated(model, dataset, taken)
