"""Apparent against validated performance and the shortcut baselines keep seen and unseen cases apart."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from autodls.analysis.apparent import performance_ledger
from autodls.analysis.shortcuts import (
    Covariates,
    added_value,
    covariates_of,
    shortcut,
    shortcut_scores,
    volume_covariate,
)
from autodls.errors import ArgumentError
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.delong import auc
from autodls.evaluation.shared_folds import MEANING
from autodls.records.scores import FoldScore
from autodls.records.splits import Fold, Splits
from autodls.report.tables.ledger import ledger_table
from autodls.report.tables.shortcuts import shortcut_table

N, FOLDS = 60, 3
CASES = tuple(f"case_{at:02d}" for at in range(N))
LABELS = {case: at % 2 == 0 for at, case in enumerate(CASES)}


def make_splits() -> Splits:
    """Three folds; both classes in every part."""
    folds = []
    for index in range(FOLDS):
        validation = CASES[index * 20 : (index + 1) * 20]
        others = [case for case in CASES if case not in validation]
        folds.append(Fold(index=index, train=tuple(others[8:]), inner=tuple(others[:8]), validation=validation))
    return Splits(seed=0, inner_holdout=0.25, cohort_sha256="0" * 64, folds=tuple(folds))


def fold_scores(strength: dict[str, float], sequences: tuple[str, ...] = ("T1WI",)) -> list[list[FoldScore]]:
    """Scores whose classes lie `strength` apart by part."""
    rng = np.random.default_rng(0)
    tables = []
    for fold in make_splits().folds:
        parts = {"train": fold.train, "inner": fold.inner, "validation": fold.validation}
        tables.append(
            [
                FoldScore(
                    case=case,
                    part=part,  # type: ignore[arg-type]
                    label=LABELS[case],
                    logits={"dls": 0.0},
                    log_odds={row: float(rng.normal(strength[part] * LABELS[case])) for row in ("dls", *sequences)},
                )
                for part, cases in parts.items()
                for case in cases
            ]
        )
    return tables


def held_out(n: int = 30) -> CohortTable:
    labels = np.arange(n) % 3 == 0
    return CohortTable(n, {"dls": np.random.default_rng(1).normal(labels, 1)}, labels)


def covariates(seed: int = 0) -> Covariates:
    rng = np.random.default_rng(seed)
    age = {case: float(60 + 5 * LABELS[case] + rng.normal(0, 6)) for case in CASES if case != "case_03"}
    return {"age": age, "sex": {case: "mf"[int(rng.integers(2))] for case in CASES}}


def test_the_ledger_tells_seen_from_unseen() -> None:
    folds = fold_scores({"train": 6.0, "inner": 2.0, "validation": 1.0})
    row = performance_ledger(folds, {"external": held_out()}, {}, 0)[0]
    aucs = [entry.auc.value for entry in (row.apparent, row.inner, row.out_of_fold)]
    assert aucs == sorted(aucs, key=lambda value: -(value or 0))
    by_fold = [
        auc(*zip(*[(s.label, s.log_odds["dls"]) for s in fold if s.part == "validation"], strict=True))
        for fold in folds
    ]
    assert row.by_fold.auc.value == pytest.approx(np.mean([value or 0 for value in by_fold]))
    assert row.optimism == pytest.approx((aucs[0] or 0) - (row.by_fold.auc.value or 0))
    expected = [
        auc(*zip(*[(s.label, s.log_odds["dls"]) for s in fold if s.part == "train"], strict=True)) for fold in folds
    ]
    assert row.apparent.auc.value == pytest.approx(np.mean([value or 0 for value in expected]))
    pooled = [(s.label, s.log_odds["dls"]) for fold in folds for s in fold if s.part == "validation"]
    assert row.out_of_fold.auc.value == auc(*zip(*pooled, strict=True))
    assert (row.out_of_fold.n, row.inner.folds) == (N, FOLDS)


def test_patients_are_drawn_as_a_whole() -> None:
    folds = fold_scores({"train": 1.0, "inner": 1.0, "validation": 1.0}, ())
    pairs = {case: f"patient_{at // 3}" for at, case in enumerate(CASES)}
    alone, together = (performance_ledger(folds, {}, patients, 0)[0] for patients in ({}, pairs))
    assert alone.out_of_fold.auc.value == together.out_of_fold.auc.value
    intervals = (alone.out_of_fold.interval, together.out_of_fold.interval)
    assert intervals == ("delong-logit-cv", "bootstrap-patients-cv")
    assert alone.out_of_fold.auc != together.out_of_fold.auc


def test_the_ledger_prints_a_line_a_score_and_says_what_is_missing() -> None:
    folds = fold_scores({"train": 3.0, "inner": 1.0, "validation": 1.0})
    cohorts = {"external": held_out(), "ici": CohortTable(5, {"dls": np.arange(5.0)}, None)}
    table = ledger_table(performance_ledger(folds, cohorts, {}, 0))
    assert table.printed.header == (
        "Score",
        "Apparent",
        "Early-stopping set",
        "Out-of-fold, by fold",
        "Out-of-fold",
        "external",
        "ici",
        "Optimism",
    )
    assert [line[0] for line in table.printed.lines] == ["dls", "T1WI"]
    assert table.printed.lines[0][6] == "\N{EN DASH}"
    assert "dls, ici: no case of the cohort has a label" in table.printed.notes
    assert "T1WI, external: no case of the cohort has this score" in table.printed.notes
    assert table.rows.column("where")[:7] == [
        "resubstituted",
        "inner",
        "out-of-fold by fold",
        "out-of-fold",
        "held-out",
        "held-out",
        "resubstituted",
    ]
    assert table.rows.column("interval")[3:6] == ["delong-logit-cv", "delong-logit", "delong-logit"]
    assert MEANING in table.printed.notes


def test_what_pooling_loses_is_no_optimism() -> None:
    """Folds that rank alike on scales of their own: the pooled AUC falls, the mean of the folds does not."""
    folds = fold_scores({"train": 2.0, "inner": 2.0, "validation": 2.0}, ())
    apart = [
        [
            score.model_copy(
                update={"log_odds": {"dls": score.log_odds["dls"] + (8 * at if score.part == "validation" else 0)}}
            )
            for score in fold
        ]
        for at, fold in enumerate(folds)
    ]
    plain, shifted = (performance_ledger(one, {}, {}, 0)[0] for one in (folds, apart))
    assert (shifted.out_of_fold.auc.value or 1) < (plain.out_of_fold.auc.value or 0) - 0.1
    assert shifted.optimism == pytest.approx(plain.optimism)


def test_folds_with_one_class_are_left_out_of_the_mean_and_counted() -> None:
    folds = fold_scores({"train": 3.0, "inner": 1.0, "validation": 1.0}, ())
    folds[0] = [score for score in folds[0] if score.part != "inner" or score.label]
    inner = performance_ledger(folds, {}, {}, 0)[0].inner
    assert (inner.folds, inner.auc.reason) == (2, "1 of 3 folds hold one class only")


def test_a_missing_sequence_leaves_out_its_cases_alone() -> None:
    folds = fold_scores({"train": 3.0, "inner": 1.0, "validation": 1.0})
    gone = folds[0][-1]
    folds[0][-1] = gone.model_copy(update={"log_odds": {"dls": gone.log_odds["dls"]}})
    rows = performance_ledger(folds, {}, {}, 0)
    assert [row.out_of_fold.n for row in rows] == [N, N - 1]


@pytest.mark.parametrize("poison", [1e6, None])
def test_scaler_and_imputer_never_see_validation_cases(poison: float | None) -> None:
    """A value, or a gap, in one validation case must not move the scores of the others of its fold."""
    clean = covariates()
    age = {case: value for case, value in clean["age"].items() if case != "case_00"}
    if poison is not None:
        age["case_00"] = poison
    before, after = (shortcut_scores(make_splits(), LABELS, table) for table in (clean, {**clean, "age": age}))
    assert before["case_00"] != after["case_00"]
    same_fold = [case for case in make_splits().folds[0].validation if case != "case_00"]
    assert [before[case] for case in same_fold] == [after[case] for case in same_fold]
    assert before["case_30"] != after["case_30"]  # which did train on it


def test_labels_of_validation_cases_do_not_matter_to_their_scores() -> None:
    flipped = LABELS | {"case_00": not LABELS["case_00"]}
    before, after = (shortcut_scores(make_splits(), labels, covariates()) for labels in (LABELS, flipped))
    assert [before[case] for case in CASES[:20]] == [after[case] for case in CASES[:20]]


def test_scores_are_those_of_a_regression_scaled_within_the_fold() -> None:
    age = {case: 50.0 + at + 9 * LABELS[case] for at, case in enumerate(CASES)}
    scores = shortcut_scores(make_splits(), LABELS, {"age": age})
    fold = make_splits().folds[1]
    seen = [*fold.train, *fold.inner]
    values = np.array([age[case] for case in seen])
    model = LogisticRegression().fit(
        ((values - values.mean()) / values.std())[:, None], [LABELS[case] for case in seen]
    )
    unseen = (np.array([age[case] for case in fold.validation]) - values.mean()) / values.std()
    assert [scores[case] for case in fold.validation] == pytest.approx(
        model.decision_function(unseen[:, None]), abs=1e-6
    )


def test_a_level_unknown_to_the_fold_and_an_empty_column_are_scored() -> None:
    table: Covariates = {"site": {case: "new" if case == "case_00" else "A" for case in CASES}, "empty": {}}
    scores = shortcut_scores(make_splits(), LABELS, table)
    assert np.isfinite(list(scores.values())).all()


def test_gain_is_seen_where_there_is_one_and_not_where_there_is_none() -> None:
    rng = np.random.default_rng(5)
    strong = {case: 1.2 * LABELS[case] + rng.normal() for case in CASES}
    noise = {case: rng.normal() for case in CASES}
    gained, idle = (shortcut("clinical variables", make_splits(), LABELS, covariates(), dls) for dls in (strong, noise))
    assert gained.added.p is not None
    assert gained.added.p < 0.001
    assert gained.delta.delta is not None
    assert gained.delta.delta > 0.05
    assert idle.added.p is not None
    assert idle.added.p > 0.05
    table = shortcut_table([gained, idle])
    assert table.printed.lines[0][-1] == "<0.001 (+)"
    assert table.rows.column("columns")[0] == "age + sex"
    assert table.rows.column("delta")[0] == gained.delta.delta


def test_likelihood_ratio_of_a_2_by_2_table_is_its_g_statistic() -> None:
    labels = np.array([1] * 30 + [0] * 10 + [1] * 15 + [0] * 25, dtype=bool)
    score = np.repeat([1.0, 0.0], 40)
    counts = np.array([[30, 10], [15, 25]])
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    statistic = 2 * (counts * np.log(counts / expected)).sum()
    cases = [str(at) for at in range(80)]
    found = added_value(labels, score, {"constant": dict.fromkeys(cases, "x")}, cases)
    assert found.chi2 == pytest.approx(statistic, abs=1e-8)
    assert found.p == pytest.approx(norm.sf(np.sqrt(statistic / 2)))


def cross_validated(features: np.ndarray, labels: np.ndarray, rng: np.random.Generator, folds: int = 5) -> np.ndarray:
    """Out-of-fold scores (n,) of a ridge regression in stratified folds, as a learner's on small data."""
    member, scores = np.empty(len(labels), dtype=int), np.empty(len(labels))
    for of_class in (labels, ~labels):
        member[of_class] = rng.permutation(np.arange(of_class.sum()) % folds)
    for fold in range(folds):
        seen, target = features[member != fold], np.where(labels, 1.0, -1.0)[member != fold]
        inside = seen.T @ seen + 30 * np.eye(features.shape[1])
        weights = np.linalg.solve(inside, seen.T @ (target - target.mean()))
        scores[member == fold] = target.mean() + (features[member == fold] - seen.mean(0)) @ weights
    return 4 * scores


def test_a_score_without_information_adds_value_no_more_often_than_it_says() -> None:
    """72 cases, 60 features of noise: of 120 empty studies the share with P < 0.05."""
    rng, found = np.random.default_rng(7), []
    labels, cases = np.arange(72) < 22, [f"c{at:02d}" for at in range(72)]
    for _ in range(120):
        score = cross_validated(rng.normal(size=(72, 60)), labels, rng)
        volume = {"volume": dict(zip(cases, rng.normal(size=72).tolist(), strict=True))}
        found.append(added_value(labels, score, volume, cases))
    roots = np.array([(one.sign or 0) * np.sqrt(one.chi2 or 0) for one in found])
    assert np.mean(np.abs(roots) > 1.96) > 0.1  # the plain test
    assert roots.std() == pytest.approx(np.sqrt(2), abs=0.2)
    assert 0.01 <= np.mean([one.p < 0.05 for one in found if one.p is not None]) <= 0.09


def test_a_score_the_wrong_way_round_adds_nothing() -> None:
    labels, rng = np.array(list(LABELS.values())), np.random.default_rng(19)
    right = rng.normal(size=N) + labels
    volume = {"volume": dict(zip(CASES, rng.normal(size=N).tolist(), strict=True))}
    added, wrong = (added_value(labels, score, volume, CASES) for score in (right, -right))
    assert added.chi2 == pytest.approx(wrong.chi2)
    assert added.p is not None and added.p < 0.01
    assert (added.sign, wrong.sign, wrong.p) == (1, -1, pytest.approx(1 - added.p))


def test_the_gain_over_a_baseline_below_one_half_is_taken_over_one_half() -> None:
    """The site tells nothing, and so its pooled out-of-fold AUC lies below 0.5."""
    rng = np.random.default_rng(5)
    site: Covariates = {"site": {case: "ab"[int(rng.random() < 0.4)] for case in CASES}}
    dls = {case: 1.2 * LABELS[case] + rng.normal() for case in CASES}
    found = shortcut("site", make_splits(), LABELS, site, dls)
    measured = auc(list(LABELS.values()), list(dls.values()))
    assert found.auc.value is not None and found.auc.value < 0.5
    assert (found.delta_over, found.delta.delta) == ("0.5", pytest.approx((measured or 0) - 0.5))
    told = shortcut("clinical", make_splits(), LABELS, covariates(), dls)
    assert told.auc.value is not None and told.auc.value > 0.5
    assert (told.delta_over, told.delta.delta) == ("baseline", pytest.approx((measured or 0) - told.auc.value))
    assert shortcut_table([found, told]).rows.column("delta_over") == ["0.5", "baseline"]


def test_added_value_says_why_there_is_none() -> None:
    labels = np.array(list(LABELS.values()))
    flat = {"site": dict.fromkeys(CASES, "A")}
    assert "fully separated" in str(added_value(labels, labels * 2.0, flat, CASES).reason)
    assert "nothing is added" in str(added_value(labels, np.ones(N), flat, CASES).reason)
    assert "all 60 cases are positive" in str(added_value(np.ones(N, dtype=bool), np.arange(60.0), flat, CASES).reason)


def test_covariates_are_numbers_where_all_cells_are_and_levels_else() -> None:
    rows = {f"c{at}": {"age": str(50 + at), "stage": str(at % 4), "t": "T1" if at else "NA"} for at in range(9)}
    found = covariates_of(rows, ["age", "stage", "t"])
    assert found["age"]["c1"] == 51.0
    assert found["stage"]["c1"] == "1"
    assert "c0" not in found["t"]


@pytest.mark.parametrize("volume", [0.0, -1.0])
def test_a_volume_must_be_above_zero(volume: float) -> None:
    assert volume_covariate({"a": 1.0}) == {"log volume": {"a": 0.0}}
    with pytest.raises(ArgumentError, match=f"case b: tumour volume {volume:g} ml"):
        volume_covariate({"a": 1.0, "b": volume})


def test_shortcuts_refuse_what_they_cannot_regress() -> None:
    with pytest.raises(ArgumentError, match="no covariates"):
        shortcut_scores(make_splits(), LABELS, {})
    with pytest.raises(ArgumentError, match=r"case case_\d+ of fold 0 has no label"):
        shortcut_scores(make_splits(), {}, covariates())
    with pytest.raises(ArgumentError, match="of one class"):
        shortcut_scores(make_splits(), dict.fromkeys(CASES, True), covariates())
    with pytest.raises(ArgumentError, match="case case_00 has no out-of-fold score"):
        shortcut("site", make_splits(), LABELS, covariates(), {})
