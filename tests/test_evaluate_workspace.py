"""`autodls evaluate` in a workspace: who is judged on what, and what a reader is told."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from command_line import autodls, edit_text, snapshot
from planning_records import make_case
from scipy.special import logit
from tiny_workspace import made_up_scores, tiny_workspace

from autodls.analysis.apparent import Entry
from autodls.analysis.endpoint import endpoint_name
from autodls.analysis.findings import merged
from autodls.analysis.out_of_fold import with_probabilities
from autodls.analysis.scored_study import MEAN, ScoredCase, ScoredCohort, ScoredStudy, cohort_name, follow_up
from autodls.analysis.sequence_patterns import sequence_patterns
from autodls.analysis.study_analysis import _ledger, auc_rows, study_flow
from autodls.analysis.study_metrics import study_metrics, study_tables
from autodls.evaluation.binary import youden_cutoff
from autodls.evaluation.calibration import calibration
from autodls.evaluation.delong import auc, compare_aucs
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.scores_table import Columns, table_from_rows
from autodls.models.recalibration import cross_fitted
from autodls.planning.splits import make_splits
from autodls.records.cells import TableRow
from autodls.records.cohort import Cohort
from autodls.records.dataset import DatasetDescription
from autodls.records.labels import Labels
from autodls.records.model import ModelRecord
from autodls.records.scores import FUSED
from autodls.records.workspace import Workspace, safe_name
from autodls.report.drawn import svg_of
from autodls.report.naming import labelled
from autodls.report.score_results import score_tables, table_results
from autodls.report.study_results import drawn_study, study_results, write_results

SEQUENCES = ("T1WI", "T2WI")


def description(**settings):
    """Target, follow-up and clinical columns; `settings` replaces keys of "autodls"."""
    own = {
        "roi_channel": "T1WI", "site": "site", "cohort": {"column": "cohort", "training": ["train"]},
        "target": {"name": "PD-L1 high", "column": "cps", "positive": ">= 20"},
        "survival": {"time": "months", "event": "event", "unit": "months", "landmark": 6}, "clinical": ["age", "note"],
    }  # fmt: skip
    return DatasetDescription.model_validate(
        {
            "channel_names": dict(zip("01", SEQUENCES, strict=True)),
            "labels": {"background": 0, "tumour": 1},
            "autodls": own | settings,
        }
    )


def make_cases(name, count, chance, labels=None):
    """Cases of one cohort; every second one is positive unless `labels` says otherwise."""
    cases = []
    for number in range(count):
        label = number % 2 == 0 if labels is None else labels[number]
        case = make_case(f"{name[:2]}_{number:03d}", label, site="AB"[number // 2 % 2])
        row = {
            "age": str(40 + number), "note": "", "event": str(number % 3 % 2),
            "months": f"{chance.exponential(8):.2f}",
        }  # fmt: skip
        images = dict.fromkeys(SEQUENCES, "an image")
        cases.append(replace(case, cohort=name, row=row, images=images))
    return tuple(cases)


def scored(cases, chance):
    """A cohort whose scores know something of the label."""
    held = []
    for case in cases:
        odds = {row: chance.normal(1.2 * bool(case.label), 1) for row in (FUSED, *SEQUENCES)}
        held.append(ScoredCase(case, {row: float(1 / (1 + np.exp(-value))) for row, value in odds.items()}))
    return ScoredCohort(tuple(held))


@pytest.fixture
def make_study():
    """Makes a study of 24 training cases and the held-out cohorts given, by name."""

    def make(settings=None, **held_out):
        chance = np.random.default_rng(3)
        training = make_cases("train", 24, chance)
        dataset = Cohort("nowhere", description(**(settings or {})), (*training, *sum(held_out.values(), ())))
        splits = make_splits(training, 2, 0.25, 0)
        by_id = {case.id: case for case in training}
        cohorts = {OUT_OF_FOLD: scored(training, chance)}
        cohorts |= {name: scored(cases, chance) for name, cases in held_out.items()}
        return ScoredStudy(
            dataset=dataset, sequences=SEQUENCES, cohorts=cohorts, cutoff=0.55, cutoff_rule="youden", splits=splits,
            folds=[made_up_scores(fold, by_id, SEQUENCES, chance) for fold in splits.folds],
            volumes_ml={case.id: 5.0 + number for number, case in enumerate(training)},
            rows={case.id: number for number, case in enumerate(dataset.cases, start=2)}, seed=0,
        )  # fmt: skip

    return make


def without(study, name, lacking):
    """The study with the T1WI scores of the first `lacking` cases of a cohort taken out."""
    cases = [
        ScoredCase(one.case, {row: value for row, value in one.scores.items() if row != "T1WI" or number >= lacking})
        for number, one in enumerate(study.cohorts[name].cases)
    ]
    return replace(study, cohorts={**study.cohorts, name: ScoredCohort(tuple(cases))})


def test_probabilities_out_of_fold_are_judged_by_a_recalibration_of_the_other_folds(make_study):
    study = make_study()
    labels, scores = (
        np.array([of(one) for one in study.cohorts[OUT_OF_FOLD].cases])
        for of in (lambda one: one.case.label, lambda one: one.scores[FUSED])
    )
    fold_of = {case: fold.index for fold in study.splits.folds for case in fold.validation}
    fair = cross_fitted(labels, scores, [fold_of[one.case.id] for one in study.cohorts[OUT_OF_FOLD].cases])
    held = study_metrics(study).cohorts[OUT_OF_FOLD].scores[FUSED]
    assert held.brier == pytest.approx(((fair - labels) ** 2).mean())
    assert held.brier != pytest.approx(((scores - labels) ** 2).mean())
    assert held.calibration.cross_fitted and held.calibration.slope == calibration(labels, fair).slope
    drawn = with_probabilities(study_tables(study), study).cohorts[OUT_OF_FOLD].scores[FUSED]
    np.testing.assert_array_equal(drawn, fair)


def as_rows(study):
    """The scores of a study as anybody's table, its labels and follow-up beside them."""
    rows = [
        {"cohort": name, "label": "" if one.case.label is None else str(int(one.case.label)), **one.case.row,
         "patient": one.case.patient, **{row: repr(value) for row, value in one.scores.items()}}
        for name, cohort in study.cohorts.items() for one in cohort.cases
    ]  # fmt: skip
    return [TableRow(row, number) for number, row in enumerate(rows, start=2)]


def test_a_table_of_the_study_s_own_scores_gives_its_tables_and_figures(make_study):
    """By the same cut-offs: all that needs no more than scores, labels and follow-up is the same to the last digit."""
    study = make_study(external=make_cases("external", 20, np.random.default_rng(5)))
    held = study_tables(study).cohorts[OUT_OF_FOLD]
    study = replace(study, cutoff=youden_cutoff(held.labels, held.scores[FUSED]))
    metrics = study_metrics(study)
    roles = {"time": "months", "event": "event", "cohort": "cohort", "patient": "patient"}
    table = table_from_rows(as_rows(study), Columns(study.scores, "label", **roles), "own.csv")
    judged = evaluate_table(table, Choices(cutoff_from=OUT_OF_FOLD, landmark=6.0, out_of_fold=(OUT_OF_FOLD,)))
    labels = Labels(scores={FUSED: "DLS"}, classes={"positive": "PD-L1 high"}, survival_unit="months",
                    endpoint=endpoint_name(study.survival))  # fmt: skip
    with labelled(labels):
        found, (figures, _) = table_results(table, judged), drawn_study(study, metrics, study_flow(study))
    own = score_tables(metrics, auc_rows(study, metrics))
    assert list(found.tables) == list(own) and list(found.figures) == list(figures)
    for name in ("comparisons", "landmark", "survival"):
        assert found.tables[name].rows == own[name].rows, name
    assert list(found.tables["auc"].rows.lines) == [line for line in own["auc"].rows.lines if line[1] != MEAN]
    unseen = [[line for line in one["performance"].rows.lines if line[0] == "external" and line[1] != MEAN] for one in
              (found.tables, own)]  # fmt: skip
    assert unseen[0] == unseen[1] and len(unseen[0]) == 3
    for name in ("roc", "kaplan_meier"):
        assert found.figures[name].rows == figures[name].rows, name
        assert svg_of(found.figures[name].figure) == svg_of(figures[name].figure), name
    for name in ("calibration", "decision_curve"):  # out of fold, a study is recalibrated on the other folds
        external, theirs = ([line for line in one[name].rows.lines if line[0] == "external"] for one in
                            (found.figures, figures))  # fmt: skip
        assert external == theirs and external, name


def test_the_plain_mean_of_the_sequences_is_judged_beside_the_fusion_and_compared_with_nothing(make_study):
    study = without(make_study(external=make_cases("external", 20, np.random.default_rng(5))), "external", 6)
    results = study_results(study)
    for name, cohort in study.cohorts.items():
        odds = [np.mean([logit(one.scores[row]) for row in SEQUENCES if row in one.scores]) for one in cohort.cases]
        expected = auc([one.case.label for one in cohort.cases], odds)
        held = results.metrics.cohorts[name]
        assert held.scores[MEAN].auc.value == expected
        assert [row.value for row in results.auc if (row.cohort, row.row) == (name, MEAN)] == [expected]
        assert not [pair for pair in held.comparisons if MEAN in (pair.a, pair.b)]
    assert [row.row for row in results.auc][:4] == [FUSED, *SEQUENCES, MEAN]
    assert not [text for text in results.metrics.warnings if MEAN in text]
    assert MEAN not in results.figures["roc"].rows.column("score")


def test_one_sequence_has_no_mean(make_study):
    study = replace(make_study(), sequences=("T1WI",))
    assert MEAN not in study_metrics(study).cohorts[OUT_OF_FOLD].scores


@pytest.mark.parametrize(("scores", "mean"), [((0.0, 1.0), 0.5), ((1.0, 0.5), 1.0), ((0.2, 0.8), 0.5)])
def test_a_score_without_log_odds_has_a_mean(scores, mean):
    held = ScoredCase(make_case("a", True), dict(zip(SEQUENCES, scores, strict=True)))
    assert held.with_mean(SEQUENCES)[MEAN] == pytest.approx(mean, abs=1e-6)


def external(count=20, seed=5, **settings):
    return make_cases("external", count, np.random.default_rng(seed), **settings)


def test_each_score_is_judged_on_all_cases_that_have_it(make_study):
    whole = make_study(external=external())
    study = without(whole, "external", 6)
    before, after = (study_metrics(one).cohorts["external"] for one in (whole, study))
    assert after.n == 20
    assert after.scores[FUSED] == before.scores[FUSED]
    assert after.scores["T2WI"] == before.scores["T2WI"]
    members = study.cohorts["external"].cases[6:]
    labels = [one.case.label for one in members]
    t1wi, dls, t2wi = ([one.scores[row] for one in members] for row in ("T1WI", FUSED, "T2WI"))
    assert after.scores["T1WI"].auc.value == auc(labels, t1wi)
    assert sum(after.scores["T1WI"].confusion.model_dump().values()) == 14
    pairs = {(pair.a, pair.b): pair for pair in after.comparisons}
    assert pairs[FUSED, "T1WI"].delta == compare_aucs(labels, dls, t1wi).delta
    assert pairs["T1WI", "T2WI"].delta == compare_aucs(labels, t1wi, t2wi).delta
    assert pairs[FUSED, "T2WI"].p == {(p.a, p.b): p for p in before.comparisons}[FUSED, "T2WI"].p
    assert [pair.p is None for pair in after.comparisons] == ["T1WI" in (pair.a, pair.b) for pair in after.comparisons]
    assert pairs[FUSED, "T2WI"].p_holm == pairs[FUSED, "T2WI"].p  # of one test that is left: of 14 cases there is none
    assert "cohort external: T1WI: judged on the 14 of 20 cases that have it" in "".join(study_metrics(study).warnings)
    entries = next(row for row in _ledger(study, study_metrics(study)) if row.score == "T1WI").held_out
    assert isinstance(entries["external"], Entry)
    assert (entries["external"].n, entries["external"].auc.value) == (14, auc(labels, t1wi))


@pytest.mark.parametrize(("lacking", "told"), [(20, True), (19, False)])
def test_a_sequence_that_no_case_of_a_cohort_has_is_told(make_study, lacking, told):
    """The score of that cohort is another one than that of the training cases."""
    warnings = study_metrics(without(make_study(external=external()), "external", lacking)).warnings
    assert ("cohort external: no case has T1WI: dls rests on T2WI alone there" in warnings) is told
    names = {"T1WI": "T1", "T2WI": "T2", "dls": "DLS", "external": "Köln"}
    found = merged(warnings, ["external"], ["dls", "T1WI", "T2WI"], (names.__getitem__, names.__getitem__))
    assert ("Cohort Köln: no case has T1: DLS rests on T2 alone there." in {one.text for one in found}) is told


def test_the_score_is_shown_by_the_sequences_that_were_there(make_study):
    study = without(make_study(external=external(60)), "external", 28)
    metrics = study_metrics(study)
    everything, lacking = metrics.cohorts["external"].patterns
    assert (everything.sequences, everything.n) == (SEQUENCES, 32)
    assert (lacking.sequences, lacking.n) == (tuple(name for name in SEQUENCES if name != "T1WI"), 28)
    for found, members in (
        (lacking, study.cohorts["external"].cases[:28]),
        (everything, study.cohorts["external"].cases[28:]),
    ):
        labels, dls = [one.case.label for one in members], [one.scores[FUSED] for one in members]
        assert (found.positives, found.value) == (sum(labels), auc(labels, dls))
        assert found.low < found.value < found.high and found.reason is None
    assert metrics.cohorts[OUT_OF_FOLD].patterns == ()
    assert [line[:4] for line in study_results(study).tables["sequences"].rows.lines] == [
        ("external", " ".join(one.sequences), one.n, one.positives) for one in (everything, lacking)
    ]


def test_groups_by_sequence_that_are_too_small_say_so(make_study):
    study = without(make_study(external=external(60)), "external", 6)
    few = study_metrics(study).cohorts["external"].patterns[1]
    assert few.n == 6 and few.value is None and "an AUC takes 10 of each class" in few.reason
    whole = study_results(make_study(external=external()))
    assert "sequences" not in whole.tables
    out = study_metrics(without(make_study(), OUT_OF_FOLD, 12)).cohorts[OUT_OF_FOLD].patterns
    assert [one.n for one in out] == [12, 12] and all(one.reason for one in out)


def test_out_of_fold_groups_have_the_interval_of_out_of_fold_scores(make_study):
    study = make_study()
    lacking = without(
        replace(study, cohorts={OUT_OF_FOLD: make_study(external=external(60)).cohorts["external"]}), OUT_OF_FOLD, 28
    )
    found = sequence_patterns(lacking, lacking.cohorts[OUT_OF_FOLD], out_of_fold=True)
    assert [one.method for one in found] == ["delong-logit-cv"] * 2


def test_follow_up_and_label_are_judged_each_on_those_who_have_it(make_study):
    cases = list(external())
    cases[0] = replace(cases[0], row=cases[0].row | {"event": ""})
    cases[1] = replace(cases[1], label=None)
    cases[2] = replace(cases[2], row=cases[2].row | {"event": "dead"})
    cases[3] = replace(cases[3], row=cases[3].row | {"months": "-1"})
    metrics = study_metrics(make_study(external=tuple(cases)))
    found = metrics.cohorts["external"]
    assert (found.n, found.positives) == (19, 10)
    assert sum(group.n for group in found.survival.groups.values()) == 17
    assert [(one.row, one.reason) for one in found.excluded] == [(27, "case ex_001: no label")]
    told = [warning for warning in metrics.warnings if "follow-up that can be read" in warning]
    assert [warning.partition("read: ")[2] for warning in told] == [
        "column 'event' holds 'dead', not 0 or 1", "column 'months' holds '-1', not a time",
    ]  # fmt: skip
    assert follow_up(cases[0], description().autodls.survival) == ""


def test_cutoffs_come_from_the_out_of_fold_scores_and_say_so(make_study):
    metrics = study_metrics(make_study(external=external()))
    for cohort in metrics.cohorts.values():
        assert cohort.scores[FUSED].cutoff.value == 0.55
        assert {score.cutoff.source for score in cohort.scores.values()} == {f"youden:{OUT_OF_FOLD}"}
    optimistic = [warning for warning in metrics.warnings if "optimistic" in warning]
    assert len(optimistic) == 3
    assert all(warning.startswith(f"cohort {OUT_OF_FOLD}") for warning in optimistic)


def test_the_cut_off_of_every_score_is_chosen_by_the_rule_of_the_locked_one(make_study):
    study = replace(make_study(external=external()), cutoff_rule="class_medians")
    metrics = study_metrics(study)
    cases = study.cohorts[OUT_OF_FOLD].cases
    for name in SEQUENCES:
        odds = [
            np.array([logit(one.scores[name]) for one in cases if one.case.label is side]) for side in (True, False)
        ]
        found = metrics.cohorts["external"].scores[name].cutoff
        assert logit(found.value) == pytest.approx((np.median(odds[0]) + np.median(odds[1])) / 2)
    sources = {held.cutoff.source for cohort in metrics.cohorts.values() for held in cohort.scores.values()}
    assert sources == {f"class_medians:{OUT_OF_FOLD}"}
    table = study_results(study).tables["performance"]
    assert set(table.rows.column("rule")) == {"class_medians"}
    line = dict(zip(table.printed.header, table.printed.lines[0], strict=True))
    assert (line["Cut-off"], line["Rule"]) == ("0.550", f"between class medians, {OUT_OF_FOLD}")


def test_one_case_without_a_sequence_takes_no_curve_away(make_study):
    study = without(make_study(external=external()), "external", 1)
    drawn = study_results(study).figures["roc"].rows
    counts = {
        (cohort, score): n
        for cohort, score, n in zip(*(drawn.column(name) for name in ("cohort", "score", "n")), strict=True)
    }
    assert counts["external", "T1WI"] == 19
    assert counts["external", FUSED] == counts["external", "T2WI"] == 20
    found = study_metrics(study).cohorts["external"]
    assert [(one.reason, one.left_out_of, one.score) for one in found.excluded] == [
        ("case ex_000: no T1WI", "score", "T1WI")
    ]


def test_patients_with_several_cases_are_the_unit_of_everything_that_is_printed(make_study, tmp_path):
    """Two cases a patient, in the training cohort and outside: metrics, tables, figures and ledger say the same."""
    whole = make_study(external=external())

    def shared(case):
        number = int(case.id[-3:])
        row = {**case.row, "months": f"{5 + number // 2}", "event": str(number // 2 % 2)}
        return replace(case, patient=f"{case.id[:2]} {number // 2}", row=row)

    cases = tuple(shared(case) for case in whole.dataset.cases)
    by_id = {case.id: case for case in cases}
    cohorts = {
        name: ScoredCohort(tuple(replace(one, case=by_id[one.case.id]) for one in cohort.cases))
        for name, cohort in whole.cohorts.items()
    }
    results = study_results(replace(whole, dataset=replace(whole.dataset, cases=cases), cohorts=cohorts))
    for name, (n, patients) in {OUT_OF_FOLD: (24, 12), "external": (20, 10)}.items():
        held = results.metrics.cohorts[name]
        assert (held.n, held.patients) == (n, patients)
        of_folds = "-cv" if name == OUT_OF_FOLD else ""
        assert {one.auc.method for one in held.scores.values()} == {f"bootstrap-patients{of_folds}"}
        assert {pair.method for pair in held.comparisons} == {f"delong-obuchowski{of_folds}"}
        assert sum(group.n for group in held.survival.groups.values()) == patients
        assert f"cohort {name}: the {n} cases are of {patients} patients" in "".join(results.metrics.warnings)
        of_auc = [row for row in results.auc if (row.cohort, row.row) == (name, FUSED)]
        drawn = results.figures["roc"].rows
        low = {
            line_low
            for cohort, score, line_low in zip(
                *(drawn.column(column) for column in ("cohort", "score", "auc_low")), strict=True
            )
            if (cohort, score) == (name, FUSED)
        }
        assert [row.low for row in of_auc] == [*low] == [held.scores[FUSED].auc.low]
    printed = results.tables["performance"].printed
    assert any("bootstrap over patients" in note for note in printed.notes)
    kaplan_meier = results.figures["kaplan_meier"].rows
    at_zero = [
        n
        for cohort, kind, time, n in zip(
            *(kaplan_meier.column(one) for one in ("cohort", "kind", "time", "n")), strict=True
        )
        if (cohort, kind, time) == ("external", "at risk", 0)
    ]
    assert sum(at_zero) == 10
    ledger = results.tables["ledger"].rows
    assert "bootstrap-patients-cv" in ledger.column("interval")
    assert "delong-logit" not in ledger.column("interval")
    shortcuts = results.tables["shortcuts"].rows
    assert set(shortcuts.column("lr_p")) == {None}
    assert all("several cases" in reason for reason in shortcuts.column("reason"))


@pytest.mark.parametrize(
    ("name", "shown"), [("a", "a"), (OUT_OF_FOLD, f"{OUT_OF_FOLD} (held out)"), ("", "no cohort named")]
)
def test_a_held_out_cohort_is_never_named_as_the_training_cases(name, shown):
    assert cohort_name(name) == shown
    assert cohort_name(cohort_name(name)) != OUT_OF_FOLD


@pytest.mark.parametrize("name", ["../x", "a/b", "con", "", "é<b>", "x" * 300, ".hidden", "=cmd()", "a.csv"])
def test_files_of_cohorts_stay_in_their_folder(tmp_path, name):
    path = Workspace(tmp_path).heldout_scores(name)
    assert path.parent == tmp_path / "results" / "scores"
    assert path.name.isascii()
    assert len(path.name) < 80
    assert safe_name(name) != safe_name(name + "!")
    assert Workspace(tmp_path).heldout_record(name).name == path.name.replace(".csv", ".json")


def test_a_hostile_study_gives_warnings_and_every_file(make_study, tmp_path):
    lost = "<script>alert(1)</script>"
    study = make_study(
        **{
            "one class": external(8, labels=[True] * 8),
            "no label": external(6, labels=[None] * 6),
            "=three": external(3),
            lost: (),
        }
    )
    unscored = {"ex_009": 'ROI has "no" <b>voxel</b>'}
    study = replace(study, cohorts={**study.cohorts, lost: ScoredCohort((), unscored)})
    results = study_results(study)
    workspace = Workspace(tmp_path)
    write_results(workspace, results)
    found = json.loads(workspace.metrics.read_text())
    assert found["cohorts"]["one class"]["scores"][FUSED]["auc"]["value"] is None
    assert found["cohorts"]["no label"]["positives"] is None
    assert found["cohorts"]["no label"]["survival"] is not None
    assert found["cohorts"][lost]["n"] == 0
    assert f"cohort {lost}: case ex_009 is not scored: {unscored['ex_009']}" in found["warnings"]
    names = {path.name for path in (*workspace.tables.iterdir(), *workspace.figures.iterdir())}
    tables = ("auc", "performance", "comparisons", "baseline", "survival", "landmark", "ledger", "shortcuts", "folds")
    tables += ("baseline_by_outcome",)
    figures = ("cohort_flow", "roc", "calibration", "decision_curve", "kaplan_meier")
    assert names == {f"{name}.csv" for name in (*tables, *figures)} | {
        f"{name}.{ending}" for name in figures for ending in ("png", "svg")
    }
    with workspace.table("baseline_by_outcome").open() as handle:
        compared = {(row["cohort"], row["outcome"]) for row in csv.DictReader(handle)}
    assert {cohort for cohort, _ in compared}.isdisjoint({"one class", "no label", lost}), "there is nobody to compare"
    assert {outcome for cohort, outcome in compared if cohort == "train"} == {"negative", "positive"}
    with workspace.table("shortcuts").open() as handle:
        shortcuts = {row["baseline"]: row for row in csv.DictReader(handle)}
    assert list(shortcuts) == ["tumour volume", "clinical variables", "site"]
    assert shortcuts["clinical variables"]["columns"] == "age"  # "note" is empty in every case
    assert float(shortcuts["site"]["delta_p"]) <= 1


def test_without_follow_up_variables_volumes_or_sites(make_study, tmp_path):
    study = make_study({"survival": None, "clinical": [], "site": None}, external=external(8))
    cohorts = {
        name: ScoredCohort(tuple(replace(one, case=replace(one.case, site=None)) for one in cohort.cases))
        for name, cohort in study.cohorts.items()
    }
    training = tuple(replace(case, site=None) for case in study.dataset.cases)
    study = replace(study, cohorts=cohorts, dataset=replace(study.dataset, cases=training), volumes_ml={})
    workspace = Workspace(tmp_path)
    workspace.tables.mkdir(parents=True)
    old = workspace.table("survival")
    old.write_text("from an earlier run\n")
    results = study_results(study)
    assert set(results.figures) == {"cohort_flow", "roc", "calibration", "decision_curve"}
    assert results.tables["shortcuts"].rows.lines == ()
    write_results(workspace, replace(results, figures={}))
    assert not old.exists()
    empty = study_results(replace(study, volumes_ml=dict.fromkeys(study.rows, 0.0)))
    assert "shortcut baseline 'tumour volume' is left out" in empty.metrics.warnings[-1]


@pytest.fixture
def workspace(make_dataset, tmp_path):
    """A dataset of twelve training cases and four of a cohort with an odd name, one of them without ROI."""
    dataset = make_dataset(tmp_path / "data", training=12, held_out=4, missing=(("case_13", "T2WI"),))
    table = dataset / "clinical.csv"
    table.write_text(table.read_text().replace("external", f"{OUT_OF_FOLD} & <b>"))
    (dataset / "labelsTr" / "case_15.nii.gz").unlink()
    return dataset, tiny_workspace(dataset, tmp_path / "work")


def test_the_report_shows_the_score_by_missing_sequences(workspace):
    dataset, place = workspace
    for command in ("evaluate", "report"):
        answer = autodls(command, "-d", dataset, "-w", place.root)
    assert answer.status == 0, answer.err
    page = place.report.read_text()
    assert "By missing sequences" in page and "Sequences that were there" in page
    held = json.loads(place.metrics.read_text())["cohorts"][f"{OUT_OF_FOLD} & <b> (held out)"]
    assert [(one["sequences"], one["n"]) for one in held["patterns"]] == [(["CE-T1WI", "T2WI"], 2), (["CE-T1WI"], 1)]


def test_a_second_run_reads_no_network_and_writes_the_same_bytes(workspace, monkeypatch):
    dataset, place = workspace
    words = ("evaluate", "-d", dataset, "-w", place.root)
    first = autodls(*words, "--json")
    assert first.status == 1, first.err  # of case_15
    rows = {(row["cohort"], row["row"]): row for row in json.loads(first.out)}
    name = f"{OUT_OF_FOLD} & <b> (held out)"
    assert (rows[name, FUSED]["n"], rows[name, "T2WI"]["n"], rows[OUT_OF_FOLD, FUSED]["n"]) == (3, 2, 12)
    assert "case case_15 is not scored: no ROI" in first.err
    assert first.err.splitlines()[-1].endswith(
        "1 of 4 held-out cases not scored; column 'failed' of their scores says why"
    )
    [table] = (place.root / "results" / "scores").glob("*.csv")
    with table.open() as handle:
        held = {row["case"]: row for row in csv.DictReader(handle)}
    assert [held[case]["label"] for case in held] == ["1", "0", "1", "0"]
    assert held["case_15"]["failed"].startswith("no ROI") and held["case_15"]["dls"] == ""
    with (place.figures / "cohort_flow.csv").open() as handle:
        flow = [(row["what"], row["n"]) for row in csv.DictReader(handle) if row["box"] == "excluded"]
    assert flow == [("not scored (column 'failed' of the scores says why)", "1")]
    before = snapshot(place.root / "results")
    assert any(file.startswith("scores/train_out_of_fold_b-") for file in before)

    def refuse(*_, **__):
        raise AssertionError("the networks were read")

    monkeypatch.setattr("autodls.inference.model_folder.load_model", refuse)
    assert autodls(*words).status == 1
    assert snapshot(place.root / "results") == before
    shutil.copyfile(dataset / "imagesTr" / "case_12_0000.nii.gz", dataset / "imagesTr" / "case_14_0000.nii.gz")
    with pytest.raises(AssertionError, match="networks were read"):
        autodls(*words)


def test_a_model_of_other_pictures_says_so_once_and_beside_every_held_out_score(workspace):
    dataset, place = workspace
    record = ModelRecord.load(place.model.record, "")
    record.model_copy(update={"sample_format": None}).sealed().save(place.model.record)
    told = autodls("evaluate", "-d", dataset, "-w", place.root).err
    assert told.count("the model was trained on pictures of an older version") == 1
    assert any("lock it anew" in line for line in json.loads(place.metrics.read_text())["warnings"])
    [table] = (place.root / "results" / "scores").glob("*.csv")
    with table.open() as handle:
        assert all("of an older version" in row["flags"] for row in csv.DictReader(handle) if row["dls"])


def test_scores_that_the_model_was_not_locked_from_are_refused(workspace):
    dataset, place = workspace
    edit_text(place.oof_scores, "0.", "0.0")
    answer = autodls("evaluate", "-d", dataset, "-w", place.root)
    assert answer.status == 2
    assert "not the scores that the model was locked from" in answer.complaint
    assert answer.complaint.endswith(f"run 'autodls train fold all -w {place.root}'")


@pytest.mark.parametrize(("missing", "command"), [("plan", "autodls plan"), ("model", "autodls train fold all")])
def test_without_a_plan_or_a_model_the_command_to_run_is_named(workspace, missing, command):
    dataset, place = workspace
    (place.plan if missing == "plan" else place.model.record).unlink()
    answer = autodls("evaluate", "-d", dataset, "-w", place.root)
    assert answer.status == 2
    assert f"run '{command} -w {place.root}'" in answer.complaint
