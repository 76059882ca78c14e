"""What is said of candidates: what choosing cost, what the network adds, and that it is said in the report."""

import shutil
from dataclasses import replace
from html import escape

import numpy as np
import pytest
from report_workspace import write_workspace
from scipy.special import expit
from tiny_candidates import candidate, integrated_candidate

from autodls.analysis.candidates import CHOSEN, Compared, comparison
from autodls.candidates.fold import DEEP
from autodls.errors import ArgumentError
from autodls.evaluation.decision_curve import net_benefit, net_benefit_at
from autodls.evaluation.delong import auc, compare_aucs
from autodls.models.recalibration import cross_fitted
from autodls.records.comparison import FoldComparison
from autodls.records.files import sha256_of_file
from autodls.records.locked_candidate import CANDIDATE
from autodls.records.workspace import Workspace
from autodls.report.comparison_files import comparison_files, write_candidate_figures, write_comparison
from autodls.report.figures.candidates import candidates_figure
from autodls.report.html.document import render
from autodls.report.reading import read_study

N, FOLDS = 240, 4
CASES = [f"case_{at:03d}" for at in range(N)]
LABELS = {case: at % 3 == 0 for at, case in enumerate(CASES)}
STACKS = {"integrated_clinical": (DEEP, "clinical"), "integrated": (DEEP, "clinical")}


def given(strengths, chosen=("clinical",) * FOLDS, labels=LABELS, patients=None, seed=0):
    """Folds whose candidates know as much of the label as `strengths` says."""
    chance = np.random.default_rng(seed)
    truth = np.array([labels[case] for case in CASES])
    scores = {name: strength * (2.0 * truth - 1) + chance.normal(size=N) for name, strength in strengths.items()}
    if {DEEP, "clinical"} <= set(scores):
        scores["integrated_clinical"] = scores[DEEP] + scores["clinical"]
    folds = [
        FoldComparison(
            key="",
            fold=index,
            scores={name: {CASES[at]: float(one[at]) for at in range(index, N, FOLDS)} for name, one in scores.items()},
            settings={},
            inner=dict.fromkeys(strengths, 0.6),
            stopping={},
            chosen=chosen[index],
        )
        for index in range(FOLDS)
    ]
    members = patients or {case: case for case in CASES}
    return Compared(
        folds, labels, members, {"integrated_clinical": STACKS["integrated_clinical"]}, {}, {"radiomics": "why not"}, 0
    )


def test_the_nested_auc_is_of_what_each_fold_chose_and_the_cost_is_what_the_best_looking_one_has_more():
    chosen = (DEEP, "clinical", "clinical", DEEP)
    found = comparison(given({"clinical": 0.5, DEEP: 0.6}, chosen))
    folds = given({"clinical": 0.5, DEEP: 0.6}, chosen).folds
    cases = [case for fold in folds for case in fold.scores[DEEP]]
    nested = [fold.scores[fold.chosen][case] for fold in folds for case in fold.scores[DEEP]]
    truth = [LABELS[case] for case in cases]
    best = [fold.scores[found.chosen.name][case] for fold in folds for case in fold.scores[DEEP]]
    assert found.chosen.auc.value == pytest.approx(auc(truth, nested))
    expected = compare_aucs(truth, best, nested, out_of_fold=True)
    assert (found.cost.delta, found.cost.low) == pytest.approx((expected.delta, expected.low))
    assert found.candidates[DEEP].chosen_in == (0, 3) and found.chosen.by_fold == chosen
    assert found.naive.value >= found.chosen.auc.value
    assert {one.a for one in found.differences[-3:]} == {CHOSEN}


def test_a_network_that_adds_is_said_to_and_one_that_does_not_is_nothing_that_the_cohort_can_show():
    (adds,) = comparison(given({"clinical": 0.4, DEEP: 0.9})).adds
    assert adds.adds and adds.sentence.startswith(
        "Beside clinical, the network adds to the score: difference of AUC 0."
    )
    assert adds.likelihood_ratio.p < 0.001 and adds.likelihood_ratio.sign == 1
    assert adds.delta_with.low > 0 and adds.net_benefit_with.value > 0
    (nothing,) = comparison(given({"clinical": 0.8, DEEP: 0.0})).adds
    assert not nothing.adds
    assert "the network adds nothing that this cohort can show" in nothing.sentence
    assert nothing.net_benefit_deep.value < 0


def test_a_network_that_goes_with_the_outcome_and_gains_nothing_is_said_to_do_both():
    """The likelihood ratio alone is no gain, and a sentence that names a small P says what it is not."""
    for seed in range(40):
        (found,) = comparison(given({"clinical": 1.2, DEEP: 0.6}, seed=seed)).adds
        ratio, gain = found.likelihood_ratio, found.delta_with
        if ratio.p < 0.05 and ratio.sign == 1 and gain.low <= 0:
            assert not found.adds and "goes with the outcome" in found.sentence and "but no gain" in found.sentence
            return
    raise AssertionError("no such cohort among forty")


def test_with_networks_that_know_nothing_it_is_rarely_said_that_they_add():
    said = [comparison(given({"clinical": 0.5, DEEP: 0.0}, seed=seed)).adds[0].adds for seed in range(40)]
    assert np.mean(said) <= 0.05


def test_net_benefit_is_of_probabilities_that_were_recalibrated_on_the_other_folds():
    """In the sentence, in the decision curves: by its own cases a score would be calibrated by construction."""
    one = given({"clinical": 0.3, DEEP: 0.5})
    folds = [fold.model_copy(update={"early": {"integrated_clinical": {}}}) for fold in one.folds]
    one = replace(one, folds=folds)
    cases = [case for fold in one.folds for case in fold.scores[DEEP]]
    truth, held_by = (
        np.array([LABELS[case] for case in cases]),
        [fold.fold for fold in folds for _ in fold.scores[DEEP]],
    )
    found = comparison(one)
    (adds,) = found.adds
    assert {*adds.net_benefit} == {*found.decision.net_benefit} == {DEEP, "clinical", "integrated_clinical"}
    for name in adds.net_benefit:
        odds = np.array([value for fold in folds for value in fold.scores[name].values()])
        chances = cross_fitted(truth, expit(odds), held_by)
        said = net_benefit_at(truth, chances, adds.threshold, np.ones((1, N)))[0]
        assert adds.net_benefit[name] == pytest.approx(said), name
        curve = tuple(point.model for point in net_benefit(truth, chances))
        assert found.decision.net_benefit[name] == pytest.approx(curve), name


def test_to_be_better_than_a_candidate_that_is_worse_than_chance_is_a_gain_over_chance():
    (adds,) = comparison(given({"clinical": -0.4, DEEP: 0.5})).adds
    assert adds.delta_deep.b == "0.5" and "difference of AUC to chance" in adds.sentence
    assert adds.delta_deep.delta < 0.35


def test_with_several_cases_of_a_patient_there_is_no_likelihood_ratio_and_intervals_are_over_patients():
    patients = {case: f"p{at // 2}" for at, case in enumerate(CASES)}
    found = comparison(given({"clinical": 0.4, DEEP: 0.9}, patients=patients))
    assert found.clustered
    assert found.adds[0].likelihood_ratio.p is None and "several cases" in found.adds[0].likelihood_ratio.reason
    assert not found.adds[0].adds, "without the test it is not said"
    assert "it cannot be tested here whether the network adds" in found.adds[0].sentence, "nor is the contrary"
    assert found.candidates[DEEP].auc.method == "bootstrap-patients-cv"


def stretched(one, index, slope, intercept):
    """The same folds, but that fold `index` scores the integrated candidate on another scale."""

    def moved(scores):
        odds = scores["integrated_clinical"]
        return {**scores, "integrated_clinical": {case: slope * value + intercept for case, value in odds.items()}}

    folds = [
        fold.model_copy(update={"scores": moved(fold.scores), "early": moved(fold.early)})
        if fold.fold == index
        else fold
        for fold in one.folds
    ]
    return replace(one, folds=folds)


def test_folds_are_on_one_scale_before_scores_that_networks_are_part_of_are_pooled():
    """A fold's weights and intercept, from few cases, are no reason to rank its cases before those of another."""
    plain = given({"clinical": 0.5, DEEP: 0.9}, ("integrated_clinical",) * FOLDS)
    early = [
        {name: dict(list(scores.items())[:20]) for name, scores in plain.folds[index - 1].scores.items()}
        for index in range(FOLDS)
    ]
    folds = [fold.model_copy(update={"early": seen}) for fold, seen in zip(plain.folds, early, strict=True)]
    plain = replace(plain, folds=folds)
    expected, found = comparison(plain), comparison(stretched(plain, 2, 6.0, 3.0))
    assert found.candidates["integrated_clinical"].auc == expected.candidates["integrated_clinical"].auc
    assert found.chosen.auc == expected.chosen.auc and found.differences == expected.differences


def test_folds_that_compare_other_candidates_are_refused():
    one = given({"clinical": 0.5, DEEP: 0.5})
    other = given({"clinical": 0.5}).folds
    with pytest.raises(ArgumentError, match="fold 3 compares"):
        comparison(Compared([*one.folds[:3], other[3]], LABELS, one.patients, one.stacks, {}, {}, 0))


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    place, description = write_workspace(tmp_path_factory.mktemp("report") / "w")
    before = render(read_study(place, description))
    made = {"splits.json": sha256_of_file(place.splits), "oof_scores.csv": sha256_of_file(place.oof_scores)}
    found = comparison(given({"clinical": 0.4, DEEP: 0.9})).model_copy(update={"made_from": made})
    write_comparison(place, comparison_files(found))
    return place, description, before, found


def test_every_report_says_what_the_network_adds_or_that_it_is_not_known(reported):
    place, description, before, found = reported
    assert "is not known. Run <code>autodls compare</code>" in before
    after = render(read_study(place, description))
    assert escape(found.adds[0].sentence) in after
    assert f"What choosing cost: {found.chosen.name} looks best out of fold" in after
    assert 'id="candidates"' in after and "radiomics is left out: why not." in after
    assert after.count("results/figures/candidates.csv") == 1
    assert "Other tables" not in after
    assert "again." not in after.split('id="candidates"')[1].split("</section>")[0]


def test_a_comparison_of_other_scores_is_said_to_be_stale(reported):
    place, description, _, found = reported
    write_comparison(place, comparison_files(found.model_copy(update={"made_from": {"oof_scores.csv": "0" * 64}})))
    after = render(read_study(place, description))
    assert "Compared before oof_scores.csv changed: run <code>autodls compare</code> again." in after


def test_the_forest_plot_holds_every_number_that_it_draws():
    found = comparison(given({"clinical": 0.4, DEEP: 0.9}))
    rows = comparison_files(found).figures["candidates"].rows
    pooled = {line[0]: line[3] for line in rows.lines if line[1] == "pooled"}
    assert pooled == {name: one.auc.value for name, one in found.candidates.items()} | {
        "nested choice": found.chosen.auc.value
    }
    assert len(rows.lines) == len(pooled) + FOLDS * len(found.candidates)


@pytest.mark.parametrize("count", [1, 16])
def test_in_the_forest_plot_nothing_lies_beyond_its_edges(count):
    found = comparison(given({"clinical": 0.4, DEEP: 0.9}))
    one = next(iter(found.candidates.values()))
    names = [f"the_network_of_an_experiment_{at}_with_radiomics" for at in range(count)]
    figure = candidates_figure(found.model_copy(update={"candidates": dict.fromkeys(names, one)})).figure
    figure.draw_without_rendering()
    [axes] = figure.axes
    inside = axes.get_tightbbox()
    assert inside.x0 >= 0 and inside.y0 >= 0 and inside.x1 <= figure.bbox.x1 and inside.y1 <= figure.bbox.y1
    assert len({tick.get_text() for tick in axes.get_yticklabels()}) == count + 1


def test_decision_curves_are_of_the_integrated_candidate_and_its_parts():
    """At every threshold of the record, by the definition: true positives less weighted false ones, a case."""
    held = given({"clinical": 0.4, DEEP: 0.9})
    found = comparison(held).decision
    assert list(found.net_benefit) == ["integrated_clinical", DEEP, "clinical"] and len(found.thresholds) == 99
    share, at = np.mean([*LABELS.values()]), found.thresholds.index(0.3)
    assert found.treat_all[at] == pytest.approx(share - (1 - share) * 0.3 / 0.7)
    assert found.net_benefit[DEEP][at] > found.net_benefit["clinical"][at] > found.treat_all[at]
    rows = comparison_files(comparison(held)).figures["candidates_decision"].rows.lines
    assert len(rows) == 3 * 99 and (DEEP, 0.3, found.net_benefit[DEEP][at], found.treat_all[at]) in rows
    assert comparison(given({"clinical": 0.4})).decision is None


@pytest.mark.parametrize(("record", "nomogram"), [(integrated_candidate(), True), (candidate(), False)])
def test_a_locked_candidate_is_shown_with_what_it_is_made_of(reported, tmp_path, record, nomogram):
    shutil.copytree(reported[0].root, tmp_path / "w")
    place, description = Workspace(tmp_path / "w"), reported[1]
    for ending in ("svg", "png", "csv"):
        (place.figures / f"candidate_nomogram.{ending}").write_text("of an earlier one")
    made = write_candidate_figures(place, record)
    assert {path.stem for path in made} == {"candidate_coefficients", *(["candidate_nomogram"] if nomogram else [])}
    record.save(place.candidate / CANDIDATE)
    chapter = render(read_study(place, description)).split('id="candidates"')[1].split("</section>")[0]
    assert "Locked before splits.json changed" in chapter  # the record is of no study
    assert f"&#x27;{record.candidate}&#x27;" in chapter and "out-of-fold AUC 0.700 (0.600–0.800)" in chapter
    assert ("Nomogram of the locked candidate." in chapter) == nomogram and "Decision curves" in chapter
    assert ("--clinical" in chapter) == nomogram and "the largest effects" in chapter
    splits = sha256_of_file(place.splits)
    record.model_copy(update={"splits_sha256": splits}).sealed().save(place.candidate / CANDIDATE)
    assert "Locked before splits.json changed" not in render(read_study(place, description))
