"""Intervals and verdicts hold what they say: coverage by simulation with fixed seeds, and what is not printed."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import chi2, norm

from autodls.analysis.findings import merged
from autodls.cli.show_scores import show_aucs
from autodls.evaluation.binary import scaled_brier, wilson, youden_cutoff
from autodls.evaluation.bootstrap import bootstrap_auc_interval, resample_counts
from autodls.evaluation.calibration import calibration, is_poorly_calibrated, why_not_shown_calibrated
from autodls.evaluation.caveats import OF_SINGLE_FOLDS, caveats
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.comparisons import overall_test
from autodls.evaluation.decision_curve import THRESHOLDS, net_benefit, net_benefit_band
from autodls.evaluation.intervals import printed_rate, printed_rates
from autodls.evaluation.metrics import Choices, cohort_metrics, evaluate_table
from autodls.evaluation.overall import aucs_differ
from autodls.evaluation.own_cutoff import RATES, rates_at_own_cutoff
from autodls.evaluation.results import Cutoff
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.score_aucs import row_auc
from autodls.evaluation.scores_table import ScoreTable
from autodls.report.tables.study import performance_table


def two_normals(rng, positives, negatives, auc=0.75):
    """Labels, and log-odds of which the exact probabilities are the logistic function."""
    apart, labels = np.sqrt(2) * norm.ppf(auc), np.arange(positives + negatives) < positives
    values = rng.normal(size=len(labels)) + apart * labels
    return labels, apart * values - apart**2 / 2 + np.log(positives / negatives)


def test_rates_at_a_cutoff_chosen_on_these_cases_have_limits_that_know_of_the_choice():
    """72 cases, AUC 0.75: Wilson's limits of the sensitivity hold that of new cases in 88 %."""
    rng, apart, held = np.random.default_rng(4), np.sqrt(2) * norm.ppf(0.75), {"wilson": [], "own": []}
    labels = np.arange(72) < 22
    for _ in range(100):
        scores = rng.normal(size=72) + apart * labels
        cutoff = youden_cutoff(labels, scores)
        plain = printed_rates(labels, scores, cutoff)
        truth = {"sensitivity": norm.sf(cutoff - apart), "specificity": norm.cdf(cutoff)}
        for name, rates in (("wilson", plain), ("own", rates_at_own_cutoff(plain, labels, scores))):
            held[name].append([rates[one].low <= value <= rates[one].high for one, value in truth.items()])
    assert np.mean(held["wilson"], axis=0)[0] < 0.92
    assert (np.mean(held["own"], axis=0) >= 0.93).all()


def test_only_a_youden_cutoff_of_these_very_scores_changes_the_limits():
    labels, log_odds = two_normals(np.random.default_rng(1), 30, 50)
    table = ScoreTable(("dls",), {name: CohortTable(80, {"dls": log_odds}, labels) for name in ("a", "b")})
    own, borrowed, given = (
        evaluate_table(table, choices).cohorts["b"].scores["dls"]
        for choices in (Choices(), Choices(cutoff_from="a"), Choices({"dls": 0.0}))
    )
    assert (own.cutoff.own, borrowed.cutoff.own, given.cutoff.own) == (True, False, False)
    for name in RATES:
        rates = [getattr(one, name) for one in (own, borrowed, given)]
        assert [rate.method for rate in rates] == ["wilson-own-cutoff", "wilson", "wilson"]
        assert rates[0].value == rates[1].value
        assert rates[0].low < rates[1].low
    notes = performance_table(evaluate_table(table)).printed.notes
    assert sum("the cut-off was chosen on these scores" in note for note in notes) == 2


def test_limits_at_the_own_cutoff_do_not_depend_on_the_order_of_rows_and_follow_patients():
    rng = np.random.default_rng(2)
    labels, scores = two_normals(rng, 20, 30)
    order = rng.permutation(50)
    found = []
    for rows in (np.arange(50), order, np.repeat(np.arange(50), 3)):
        names = [f"p{at:02d}" for at in rows] if len(rows) > 50 else None
        plain = printed_rates(labels[rows], scores[rows], youden_cutoff(labels, scores), names)
        found.append(rates_at_own_cutoff(plain, labels[rows], scores[rows], names)["sensitivity"])
    assert found[0] == found[1]
    assert (found[2].low, found[2].high) == pytest.approx((found[0].low, found[0].high), abs=0.06)


@pytest.mark.parametrize(("patients", "share"), [(20, 0.8), (20, 0.95), (40, 0.95), (12, 0.85)])
def test_rates_of_several_rows_a_patient_cover(patients, share):
    """Three rows a patient at a correlation of 0.7; percentile limits cover 85 to 89 %, or end at 1."""
    rng, held = np.random.default_rng(3), []
    member = np.repeat(np.arange(patients), 3)
    names, among = [f"p{at:02d}" for at in member], np.ones(len(member), dtype=bool)
    for _ in range(300):
        common, own = rng.normal(size=patients)[member], rng.normal(size=len(member))
        right = np.sqrt(0.7) * common + np.sqrt(0.3) * own < norm.ppf(share)
        found = printed_rate(right, among, names)
        held.append(found.low <= share <= found.high)
        assert (
            found.high - found.low
            >= wilson(int(right.sum()), len(right)).high - wilson(int(right.sum()), len(right)).low - 1e-9
        )
    assert np.mean(held) >= 0.93


def test_a_rate_near_one_has_wilsons_limits_of_as_many_patients():
    """19 of 20, three rows each that say the same: Wilson 0.76 to 0.99, percentiles 0.83 to 1."""
    right, names = np.repeat(np.arange(20) > 0, 3), [f"p{at:02d}" for at in np.repeat(np.arange(20), 3)]
    found, alone = printed_rate(right, np.ones(60, dtype=bool), names), wilson(19, 20)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
    assert found.effective == pytest.approx(20)


@pytest.mark.parametrize(("positives", "negatives"), [(7, 17), (22, 50), (7, 65)])
def test_exact_probabilities_are_seldom_called_poorly_calibrated(positives, negatives):
    """A slope outside 0.5 to 2 alone stands in 26, 6 and 18 % of them."""
    rng, called, outside = np.random.default_rng(21), [], []
    for _ in range(200):
        labels, log_odds = two_normals(rng, positives, negatives)
        found = calibration(labels, expit(log_odds))
        called.append(is_poorly_calibrated(found))
        outside.append(found.slope is not None and not 0.5 <= found.slope <= 2)
    assert np.mean(called) <= 0.07
    if positives == 7:
        assert np.mean(outside) > 0.12
    labels, log_odds = two_normals(rng, 60, 140)
    assert is_poorly_calibrated(calibration(labels, expit(4 * log_odds)))


def test_the_interval_of_the_slope_is_that_of_the_information_and_follows_patients():
    """With two probabilities the regression is a 2 x 2 table: variance 1/a + 1/b + 1/c + 1/d over the span squared."""
    labels = np.repeat([1, 0, 1, 0], [12, 8, 5, 15])
    probabilities = np.repeat([0.7, 0.3], 20)
    span = logit(0.7) - logit(0.3)
    slope = np.log(12 * 15 / (8 * 5)) / span
    half = 1.959964 * np.sqrt(1 / 12 + 1 / 8 + 1 / 5 + 1 / 15) / span
    found = calibration(labels, probabilities)
    assert (found.slope, found.slope_low, found.slope_high) == pytest.approx(
        (slope, slope - half, slope + half), abs=1e-6
    )
    rows = np.repeat(np.arange(40), 3)
    copied = calibration(labels[rows], probabilities[rows], [str(at) for at in rows])
    as_rows = calibration(labels[rows], probabilities[rows])
    assert copied.slope_high - copied.slope_low == pytest.approx(2 * half, rel=0.05)
    assert as_rows.slope_high - as_rows.slope_low == pytest.approx(2 * half / np.sqrt(3), rel=1e-6)


def test_a_bootstrap_gives_no_point_for_an_interval():
    rng = np.random.default_rng(0)
    labels = np.arange(30) < 12
    perfect = bootstrap_auc_interval(labels, labels + np.arange(30) / 100, None, rng)
    assert (perfect.value, perfect.low) == (1.0, None)
    assert "every resample has an AUC of 1 too" in perfect.reason
    few = bootstrap_auc_interval(np.arange(30) < 9, rng.normal(size=30), None, rng)
    assert few.low is None
    assert "9 positive patients, fewer than the 10" in few.reason
    good = bootstrap_auc_interval(labels, labels + rng.normal(size=30), None, rng)
    assert good.low < good.value < good.high


def test_a_net_benefit_band_ends_where_few_are_called_and_covers_before():
    """72 exact probabilities, AUC 0.75: at a threshold of 0.8 the band covered 48 %, and was mostly a point."""
    rng, held, apart = np.random.default_rng(5), [], np.sqrt(2) * norm.ppf(0.75)
    odds = THRESHOLDS / (1 - THRESHOLDS)
    above = (np.log(odds) - np.log(22 / 50) + apart**2 / 2) / apart
    truth = 22 / 72 * norm.sf(above - apart) - 50 / 72 * norm.sf(above) * odds
    less_all = truth - (22 / 72 - 50 / 72 * odds)
    for _ in range(150):
        labels, log_odds = two_normals(rng, 22, 50)
        values = expit(log_odds)
        band = net_benefit_band(labels, values, resample_counts(72, rng, 400))
        called = (values[:, None] >= THRESHOLDS).sum(axis=0)
        missed = (values[labels][:, None] < THRESHOLDS).sum(axis=0)
        np.testing.assert_array_equal(np.isnan(band.low), called < 10)
        np.testing.assert_array_equal(np.isnan(band.less_all_low), (72 - called < 10) | (missed < 5))
        model = np.array([point.model - point.all for point in net_benefit(labels, values)])
        np.testing.assert_allclose(band.less_all, model, atol=1e-12)
        inside = [
            (band.low <= truth) & (truth <= band.high),
            (band.less_all_low <= less_all) & (less_all <= band.less_all_high),
        ]
        held.append(
            [
                np.where(np.isnan(low), np.nan, one)
                for low, one in zip((band.low, band.less_all_low), inside, strict=True)
            ]
        )
    cover = np.nanmean(np.array(held, dtype=float)[:, :, [19, 29, 39]], axis=0)  # at 0.2, 0.3 and 0.4
    assert (cover >= 0.88).all()


def test_net_benefit_of_scores_not_shown_calibrated_is_told():
    labels, log_odds = two_normals(np.random.default_rng(6), 300, 600)
    scores = {"right": expit(log_odds), "sharp": expit(4 * log_odds), "raw": log_odds}
    cohorts = evaluate_table(ScoreTable(tuple(scores), {"all": CohortTable(900, scores, labels)})).cohorts
    held = cohorts["all"].scores
    assert held["right"].net_benefit_caution is None
    assert "the score is not calibrated (slope 0.2" in held["sharp"].net_benefit_caution
    assert (held["raw"].net_benefit, held["raw"].net_benefit_caution) == (None, None)
    assert [text for text in caveats(cohorts) if "net benefit misleads" in text] == [
        f"cohort all: sharp: net benefit misleads, as {held['sharp'].net_benefit_caution}"
    ]
    (told,) = [one.text for one in merged(caveats(cohorts), ["all"], list(scores)) if "misleads" in one.text]
    assert told.startswith("Net benefit misleads, as the score is not calibrated: all: sharp (slope 0.2"), (
        "with its numbers"
    )
    small = calibration(labels[285:320], expit(log_odds[285:320]))
    assert "not shown to be calibrated" in why_not_shown_calibrated(small)


def test_the_scaled_brier_score_is_over_that_of_the_prevalence():
    labels = np.array([1, 0, 0, 0])
    assert scaled_brier(labels, np.full(4, 0.25)).value == pytest.approx(0)
    assert scaled_brier(labels, labels).value == 1
    assert scaled_brier(labels, [0.5, 0.5, 0.5, 0.5]).value == pytest.approx(1 - 0.25 / 0.1875)
    assert scaled_brier([1, 1], [0.5, 0.5]).value is None


@pytest.mark.parametrize(
    ("positives", "scores", "told"), [(7, 3, "7 positive"), (20, 3, None), (20, 5, "fewer than the 28"), (28, 5, None)]
)
def test_the_test_of_all_aucs_needs_cases(positives, scores, told):
    rng, n = np.random.default_rng(7), positives + 60
    names = [f"s{at}" for at in range(scores)]
    held = CohortTable(n, {name: rng.normal(size=n) for name in names}, np.arange(n) < positives)
    found = overall_test(held, names)
    assert (found.p is None) == (told is not None)
    assert told is None or told in found.reason


def test_equal_aucs_are_seldom_said_to_differ():
    """Four scores without any correlation, 22 of 72 positive: the chi-square errs in 8 %."""
    rng, found = np.random.default_rng(31), []
    labels = np.arange(72) < 22
    for _ in range(500):
        test = aucs_differ(labels, list(rng.normal(size=(4, 72)) + 0.95 * labels))
        found.append((test.p < 0.05, chi2.sf(test.chi2, test.df) < 0.05))
    corrected, plain = np.mean(found, axis=0)
    assert corrected <= 0.06 < plain


@pytest.mark.parametrize(("rule", "optimistic"), [("youden", True), ("class_medians", False)])
def test_rates_out_of_fold_are_said_to_be_of_single_folds(rule, optimistic):
    labels, log_odds = two_normals(np.random.default_rng(8), 30, 60)
    cutoff = {"dls": Cutoff(value=0.3, source=f"{rule}:{OUT_OF_FOLD}", own=True)}
    held = cohort_metrics(CohortTable(90, {"dls": expit(log_odds)}, labels), cutoff)
    told = caveats({OUT_OF_FOLD: held})
    assert f"cohort {OUT_OF_FOLD}: {OF_SINGLE_FOLDS}" in told
    assert any("optimistic" in text for text in told) == optimistic
    assert held.scores["dls"].sensitivity.method == ("wilson-own-cutoff" if optimistic else "wilson")
    assert not any("single-fold" in text for text in caveats({"external": held}))


PRINTED = {
    # out of fold, cases a patient: how the interval was made
    (False, 1): "DeLong, logit",
    (True, 1): "DeLong, logit, variance doubled",
    (False, 2): "bootstrap over patients",
    (True, 2): "bootstrap over patients, variance doubled",
}


def row_of(out_of_fold, a_patient, name="dls"):
    labels, log_odds = two_normals(np.random.default_rng(3), 40, 40)
    patients = [str(at // a_patient) for at in range(80)]
    return row_auc("c", name, labels.tolist(), log_odds.tolist(), patients, out_of_fold=out_of_fold)


@pytest.mark.parametrize("which", PRINTED)
def test_train_and_evaluate_print_how_their_intervals_were_made(capsys, which):
    show_aucs("AUC", [row_of(*which)])
    assert f"AUC (95% CI, {PRINTED[which]})" in " ".join(capsys.readouterr().out.split())


def test_intervals_of_several_methods_are_told_apart_row_by_row(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    rows = [row_of(*which, name=f"s{at}") for at, which in enumerate(PRINTED)]
    none = row_auc("c", "none", [True, True], [0.1, 0.2])
    show_aucs("AUC", [*rows, none])
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("c ")}
    assert [lines[f"s{at}"].rstrip().split("  ")[-1].strip() for at in range(4)] == list(PRINTED.values())
    assert "DeLong" not in lines["none"]


def test_a_row_without_an_interval_names_no_method(capsys):
    show_aucs("AUC", [row_auc("c", "dls", [True, True], [0.1, 0.2])])
    assert "DeLong" not in capsys.readouterr().out
