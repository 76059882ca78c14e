"""Candidates in a fold: each wall of the nesting, with a test that fails when it is removed."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from autodls.candidates.covariates import covariates_of
from autodls.candidates.curve import CurveTask, fit_subsets
from autodls.candidates.fold import DEEP, FoldTask, choose, compare_fold
from autodls.candidates.learners import RadiomicsLearner, RidgeLearner
from autodls.candidates.nested import Part, fit_choosing, inner_auc
from autodls.candidates.stacking import cross_fitted, fit_stack
from autodls.evaluation.delong import auc

CASES = tuple(f"case_{at:03d}" for at in range(60))
LABELS = np.arange(60) % 2 == 0


def part(rows, labels=LABELS, seed=1):
    return Part(tuple(CASES[r] for r in rows), labels[rows], tuple(CASES[r] for r in rows), seed)


def ridge(values):
    return RidgeLearner({"x": dict(zip(CASES, values.tolist(), strict=True))})


@pytest.fixture(scope="module")
def radiomics():
    """Twelve features of which two tell the classes apart and some are missing or alike."""
    chance = np.random.default_rng(3)
    values = chance.normal(size=(60, 12))
    values[:, 3] += 1.5 * LABELS
    values[:, 7] = values[:, 3] * 2 + 1e-3 * chance.normal(size=60)
    names = ["shape:volume", *(f"T1WI:f{at}" for at in range(11))]
    return {
        case: {name: float(v) for name, v in zip(names, row, strict=True) if chance.random() > 0.05}
        for case, row in zip(CASES, values, strict=True)
    }


def task(radiomics, labels=LABELS, deep=None, **changes):
    chance = np.random.default_rng(4)
    rows = np.arange(60)
    train, stopping, test = rows[:34], rows[34:46], rows[46:]
    known = {CASES[r]: float(1.2 * LABELS[r] + chance.normal()) for r in (*stopping, *test)}
    learners = {"volume": ridge(chance.normal(size=60)), "radiomics": RadiomicsLearner(radiomics)}
    made = FoldTask(
        index=0,
        key="k",
        train=part(train, labels),
        stopping=part(stopping, labels),
        test=tuple(CASES[r] for r in test),
        learners=learners,
        deep=known if deep is None else deep,
        stacks={"integrated": (DEEP, "radiomics")},
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def small_choice():
    """Fewer settings, so that a fold takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autodls.candidates.learners._NET", (0.3,))
        patch.setattr("autodls.candidates.learners._LASSO_SHARES", (0.5,))
        patch.setattr("autodls.candidates.learners._TREES", 10)
        patch.setattr("autodls.candidates.learners._RIDGE", (0.1, 1.0))
        patch.setattr("autodls.candidates.nested.MOST_PARTS", 3)
        yield


@pytest.fixture(scope="module")
def compared(radiomics, small_choice):
    return compare_fold(task(radiomics))


# -- the test cases of a fold ------------------------------------------------------------------------------------------


def test_a_task_has_no_label_of_a_test_case(radiomics):
    """So nothing that is made of it can depend on one; what the stage puts into it is tested in test_compare.py."""
    made = task(radiomics)
    assert not {*made.train.cases, *made.stopping.cases} & {*made.test}
    assert len(made.whole.labels) == len(made.train.cases) + len(made.stopping.cases)


def test_what_is_measured_of_test_cases_changes_their_own_scores_alone(radiomics, compared, small_choice):
    """Neither scale, nor imputation, nor redundancy, nor setting, nor weight, nor choice: only the scores of these."""
    spoiled = {case: one if case not in compared.scores[DEEP] else {"T1WI:f2": 1e6} for case, one in radiomics.items()}
    spoiled[CASES[-1]] = radiomics[CASES[-1]]
    made = task(spoiled)
    after = compare_fold(replace(made, deep={c: v if c in made.stopping.cases else 9.0 for c, v in made.deep.items()}))
    assert (after.inner, after.stopping, after.settings, after.chosen) == (
        compared.inner,
        compared.stopping,
        compared.settings,
        compared.chosen,
    )
    assert after.scores["radiomics"][CASES[-1]] == compared.scores["radiomics"][CASES[-1]]
    assert after.scores["radiomics"] != compared.scores["radiomics"]


def test_covariates_of_cases_that_are_not_learned_move_no_median_no_scale_and_no_coefficient():
    """Nor does a level that stands among them alone."""
    learned = part(np.arange(40))
    known = {"x": dict(zip(CASES[:55], np.arange(55.0), strict=True)), "sex": {c: "mf"[int(c[-1]) % 2] for c in CASES}}
    spoiled = {name: {c: v if c in (*learned.cases, CASES[50]) else 1e6 for c, v in known["x"].items()} if name == "x"
               else {c: v if c in (*learned.cases, CASES[50]) else "other" for c, v in known["sex"].items()}
               for name in known}  # fmt: skip
    cases = (*learned.cases, CASES[50], CASES[58])
    first, after = (fit_choosing(RidgeLearner(one), learned).model.log_odds(cases) for one in (known, spoiled))
    assert first[:-1].tolist() == after[:-1].tolist() and np.isfinite(after).all()
    assert first[-1] != after[-1], "so that this test is one that can fail"


def test_a_point_of_a_learning_curve_knows_its_subset_alone():
    """Labels and values of the rest of the training part change nothing of it, and all of the whole."""
    values, rows = np.random.default_rng(0).normal(size=60) + LABELS, np.arange(40)
    subsets = (CASES[:20], CASES[:40])

    def scores(labels, values):
        given = CurveTask("k", 0, 0, ridge(values), part(rows, labels), subsets, CASES[40:])
        return fit_subsets(given).scores

    outside = (np.arange(60) >= 20) & (np.arange(60) < 40)
    first, other = scores(LABELS, values), scores(np.where(outside, ~LABELS, LABELS), np.where(outside, 99.0, values))
    assert first[0] == other[0] and first[1] != other[1]


def test_the_training_part_does_have_a_say(radiomics, compared, small_choice):
    """So that the test above is one that can fail."""
    spoiled = {case: one if case not in CASES[:20] else {"T1WI:f2": 1e6} for case, one in radiomics.items()}
    after = compare_fold(task(spoiled))
    assert after.scores["radiomics"] != compared.scores["radiomics"]


# -- the networks ------------------------------------------------------------------------------------------------------


def test_apparent_scores_of_networks_are_not_looked_at(radiomics, compared, small_choice):
    made = task(radiomics)
    with_apparent = {**made.deep, **dict.fromkeys(made.train.cases, 99.0)}
    assert compare_fold(replace(made, deep=with_apparent)) == compared


def test_candidates_are_judged_beside_the_networks_without_having_learned_the_early_stopping_set(
    radiomics, small_choice
):
    """Labels of the early-stopping set decide how good a candidate is there, and teach it nothing before that."""
    flipped = np.where((np.arange(60) >= 34) & (np.arange(60) < 46), ~LABELS, LABELS)
    one, other = compare_fold(task(radiomics)), compare_fold(task(radiomics, flipped))
    assert other.stopping["radiomics"] == pytest.approx(1 - one.stopping["radiomics"])
    assert other.stopping["volume"] == pytest.approx(1 - one.stopping["volume"])


def test_an_integrated_score_is_judged_on_patients_whom_its_weights_do_not_know():
    """With the weights' own cases in, a score of noise would look good."""
    chance = np.random.default_rng(0)
    own, crossed = [], []
    for _ in range(40):
        labels = np.arange(12) % 2 == 0
        parts = 3 * chance.normal(size=(12, 6))
        patients = [f"p{at}" for at in range(12)]
        own.append(auc(labels, fit_stack(parts, labels).log_odds(parts)))
        crossed.append(auc(labels, cross_fitted(parts, labels, patients)))
    assert np.mean(own) > 0.6
    assert np.mean(crossed) < np.mean(own) - 0.1


def test_scans_of_one_patient_are_no_strangers_to_each_other():
    """Labels of a patient are exchanged: of both scans the cross-fitted scores are as they were."""
    chance, labels = np.random.default_rng(0), np.repeat(np.arange(10) % 2 == 0, 2)
    parts, patients = chance.normal(size=(20, 2)), [f"p{at // 2}" for at in range(20)]
    first, other = (cross_fitted(parts, y, patients) for y in (labels, np.where(np.arange(20) < 2, ~labels, labels)))
    assert first[:2].tolist() == other[:2].tolist() and first[2:].tolist() != other[2:].tolist()


def test_a_fold_judges_integrated_scores_in_that_way(radiomics, compared, small_choice, monkeypatch):
    monkeypatch.setattr(
        "autodls.candidates.fold.cross_fitted", lambda parts, labels, patients: np.where(labels, 1.0, 0.0)
    )
    assert compared.stopping["integrated"] < 1
    assert compare_fold(task(radiomics)).stopping["integrated"] == 1


def test_rows_of_one_patient_are_never_on_both_sides():
    labels = np.repeat(np.arange(6) % 2 == 0, 10)
    patients = tuple(f"p{at // 10}" for at in range(60))
    made = Part(CASES, labels, patients, 0)
    divisions = list(made.divisions)
    assert divisions
    for learned, judged in divisions:
        assert not {patients[r] for r in learned} & {patients[r] for r in judged}


# -- what is chosen, and what choosing makes of chance -----------------------------------------------------------------


@dataclass(frozen=True)
class Direction:
    """A quick learner: the line between the classes' means, of columns that know nothing."""

    values: np.ndarray
    settings = ("line",)

    def fit(self, settings, cases, labels, seed):
        rows = [CASES.index(case) for case in cases]
        learned = self.values[rows]
        line = learned[labels].mean(axis=0) - learned[~labels].mean(axis=0)
        middle = (learned[labels].mean(axis=0) + learned[~labels].mean(axis=0)) / 2
        return dict.fromkeys(settings, Scored(self.values, line, middle))


@dataclass(frozen=True)
class Scored:
    values: np.ndarray
    line: np.ndarray
    middle: np.ndarray

    def log_odds(self, cases):
        return (self.values[[CASES.index(case) for case in cases]] - self.middle) @ self.line


def by_fold(chance, labels):
    """Three folds of ten candidates, and of networks, none of which knows anything."""
    learners = {f"c{at}": Direction(chance.normal(size=(60, 3))) for at in range(10)}
    rows = chance.permutation(60)
    found = []
    for fold in range(3):
        test = rows[fold::3]
        rest = np.setdiff1d(rows, test)
        stopping, train = rest[:12], rest[12:]
        deep = dict(zip([CASES[r] for r in (*stopping, *test)], chance.normal(size=32).tolist(), strict=True))
        names = tuple(CASES[r] for r in test)
        stacks = {"integrated": (DEEP, "c0", "c1")}
        found.append(
            compare_fold(FoldTask(fold, "", part(train, labels), part(stopping, labels), names, learners, deep, stacks))
        )
    return found


def within_folds(found, labels, name_of):
    """Mean of the folds' AUCs."""
    truth = dict(zip(CASES, labels.tolist(), strict=True))
    values = [fold.scores[name_of(fold)] for fold in found]
    return float(np.mean([auc([truth[c] for c in one], list(one.values())) for one in values]))


@pytest.mark.long
def test_with_shuffled_labels_whatever_was_chosen_knows_nothing_and_the_naive_choice_seems_to():
    chance = np.random.default_rng(11)
    nested, naive = [], []
    for _ in range(25):
        labels = chance.permutation(LABELS)
        found = by_fold(chance, labels)
        nested.append(within_folds(found, labels, lambda fold: fold.chosen))
        naive.append(max(within_folds(found, labels, lambda _fold, n=name: n) for name in found[0].scores))
    error = np.std(nested) / np.sqrt(len(nested))
    assert abs(np.mean(nested) - 0.5) < 2.6 * error
    assert np.mean(nested) == pytest.approx(0.5, abs=0.04)
    assert np.mean(naive) > 0.58


def test_all_together_is_taken_but_for_a_clear_lead_and_the_simplest_among_equals():
    simple, inner = ("volume", "radiomics"), {"volume": 0.6, "radiomics": 0.6}
    assert choose({"volume": None, "radiomics": None}, {}, simple, None) == "volume"
    assert choose(inner, {}, simple, None) == "volume"
    assert (
        choose({"volume": 0.5, "radiomics": 0.6}, dict.fromkeys((*simple, DEEP, "both")), simple, "both") == "radiomics"
    )
    for lead, taken in ((0.09, "both"), (0.11, DEEP)):
        found = {"volume": 0.5, "radiomics": 0.5, DEEP: 0.7 + lead, "both": 0.7}
        assert choose(inner, found, simple, "both") == taken
    found = {"volume": 0.9, "radiomics": 0.99, DEEP: 0.7, "both": 0.7}
    assert choose(inner, found, simple, "both") == "volume", (
        "of the simple ones, the one that the training part prefers"
    )


def test_a_learner_finds_what_there_is_and_nothing_where_there_is_nothing(radiomics, small_choice):
    whole = part(np.arange(60))
    assert inner_auc(RadiomicsLearner(radiomics), whole) > 0.7
    chosen = fit_choosing(RadiomicsLearner(radiomics), whole)
    assert auc(LABELS, chosen.model.log_odds(CASES)) > 0.8


def test_the_auc_within_a_training_part_is_of_cases_that_were_not_learned():
    """Twenty columns of noise would have 0.9 on the cases that they were fitted to."""
    chance = np.random.default_rng(2)
    learners = [Direction(chance.normal(size=(60, 20))) for _ in range(12)]
    found = [inner_auc(learner, part(np.arange(60))) for learner in learners]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_settings_are_chosen_anew_for_each_division_of_an_inner_auc(monkeypatch):
    """A setting that was chosen on the whole part has seen the labels by which it is then judged."""
    from autodls.candidates import nested

    seen, work = [], nested.fit_choosing
    monkeypatch.setattr(nested, "fit_choosing", lambda learner, given: seen.append(given) or work(learner, given))
    whole = part(np.arange(60))
    inner_auc(ridge(np.arange(60.0)), whole)
    divided = [tuple(whole.cases[row] for row in learned) for learned, _ in whole.divisions]
    assert [one.cases for one in seen] == divided and len(divided) > 1


def test_of_redundant_features_the_first_stays_and_one_that_is_missing_everywhere_goes(radiomics, small_choice):
    from autodls.candidates.learners import Selected

    table = RadiomicsLearner({case: {**one} for case, one in radiomics.items()}).table
    table["empty"], table["constant"] = np.nan, 1.0
    kept = Selected.fitted(table, CASES[:40]).columns
    assert "T1WI:f2" in kept and "T1WI:f6" not in kept
    assert not {"empty", "constant"} & {*kept}
    values = Selected.fitted(table, CASES[:40]).of(CASES)
    assert np.isfinite(values).all() and np.abs(values).max() <= 3.0


def test_a_missing_clinical_value_and_a_level_that_the_fold_does_not_know_are_scored():
    rows = {case: {"age": "" if at % 7 == 0 else str(40 + at), "sex": "mf"[at % 2]} for at, case in enumerate(CASES)}
    rows[CASES[-1]]["sex"] = "other"
    learner = RidgeLearner(covariates_of(rows, ["age", "sex"]))
    found = fit_choosing(learner, part(np.arange(50))).model.log_odds(CASES[50:])
    assert np.isfinite(found).all()


def test_stack_without_cases_is_the_mean_and_moves_as_far_as_they_say():
    chance = np.random.default_rng(1)
    labels = np.arange(400) % 2 == 0
    good, bad = 2.0 * (2 * labels - 1) + 2 * chance.normal(size=400), chance.normal(size=400)
    few = fit_stack(np.column_stack([good, bad])[:6], labels[:6])
    many = fit_stack(np.column_stack([good, bad]), labels)
    assert few.weights[1] == pytest.approx(0.5, abs=0.2)
    assert many.weights[0] > 0.7 and abs(many.weights[1]) < 0.3


def test_the_same_task_gives_the_same_comparison(radiomics, compared, small_choice):
    assert compare_fold(task(radiomics)) == compared
