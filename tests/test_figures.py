"""Figures draw what the statistics say, say why they are empty, and are the same bytes every time."""

import csv
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from statsmodels.nonparametric.smoothers_lowess import lowess

from autodls.analysis.cohort_flow import Flow, FlowCohort, flow_of_dataset, flow_of_scores
from autodls.analysis.endpoint import endpoint_name
from autodls.errors import ArgumentError
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.results import Excluded
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.survival import kaplan_meier
from autodls.records.cohort import read_cohort
from autodls.records.dataset import SurvivalColumns
from autodls.records.formatting import plain
from autodls.records.scale import sigmoid
from autodls.records.scores import without_formula, write_csv
from autodls.records.spelled import in_one_line
from autodls.report.drawn import Drawn, Rows, save_figure
from autodls.report.figures.catalogue import study_figures
from autodls.report.figures.cohort_flow import flow_figure
from autodls.report.figures.discrimination import roc_corners, roc_figure
from autodls.report.figures.probability import calibration_figure, decision_figure, plausible_thresholds
from autodls.report.figures.style import in_style
from autodls.report.figures.survival import survival_figure
from autodls.report.figures.text_width import fitted, width_mm, wrapped

HOSTILE = ("=cmd|'/c calc'!A1", "$\\frac{1}$ <b>&amp;", "评分模型" * 10, "_hidden \n \x00 \u202e end")


def cohort(
    n: int, seed: int = 0, scores: tuple[str, ...] = ("dls", "T1WI"), *, events: bool = True, one_class: bool = False
) -> CohortTable:
    """A cohort of `n` with calibrated-looking scores and follow-up."""
    rng = np.random.default_rng(seed)
    labels = np.ones(n, dtype=bool) if one_class else np.arange(n) % 3 == 0
    values = {name: sigmoid(2 * labels - 1 + rng.normal(0, 1, n)) for name in scores}
    seen = rng.random(n) < 0.6 if events else np.zeros(n, dtype=bool)
    return CohortTable(n, values, labels, np.round(rng.exponential(20, n), 1), seen)


def drawn_figures(table: ScoreTable, choices: Choices | None = None) -> dict[str, Drawn]:
    metrics = evaluate_table(table, choices)
    return study_figures(table, metrics, flow_of_scores(metrics), np.random.default_rng(0), unit="months")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


@pytest.fixture(scope="module")
def study() -> ScoreTable:
    return ScoreTable(("dls", "T1WI"), {"train": cohort(60), "external": cohort(45, 1)})


def test_roc_draws_the_auc_of_the_metrics(study: ScoreTable) -> None:
    metrics = evaluate_table(study, Choices(cutoff_from="train"))
    drawn = roc_figure(study, metrics)
    lines = [dict(zip(drawn.rows.header, line, strict=True)) for line in drawn.rows.lines]
    for name, held in metrics.cohorts.items():
        for score, of_score in held.scores.items():
            curve = [line for line in lines if (line["cohort"], line["score"], line["kind"]) == (name, score, "curve")]
            rates = [
                np.array([line[axis] for line in curve], float)
                for axis in ("false_positive_rate", "true_positive_rate")
            ]
            assert np.trapezoid(rates[1], rates[0]) == pytest.approx(of_score.auc.value, abs=1e-12)
            [point] = [
                line for line in lines if (line["cohort"], line["score"], line["kind"]) == (name, score, "cut-off")
            ]
            assert point["true_positive_rate"] == of_score.sensitivity.value
            assert any(f"{score}  {of_score.auc.value:.3f} (" in text for text in texts(drawn.figure))


def test_roc_corners_with_ties_are_one_diagonal_step() -> None:
    assert roc_corners(np.array([True, False]), np.array([0.5, 0.5]))[1:].tolist() == [[0, 1], [0, 1]]


def test_calibration_rows_count_every_case_in_groups_and_in_bins(study: ScoreTable) -> None:
    drawn = calibration_figure(study, evaluate_table(study), np.random.default_rng(0))
    for name, held in study.cohorts.items():
        for kind in ("group", "bin"):
            lines = [line for line in drawn.rows.lines if line[0] == name and line[2] == kind]
            assert held.labels is not None
            assert sum(int(str(line[5])) for line in lines) == held.n
            assert sum(int(str(line[6])) for line in lines) == held.labels.sum()
    metrics = evaluate_table(study)
    slopes = [line[8] for line in drawn.rows.lines if line[2] == "slope"]
    assert slopes == [metrics.cohorts[name].scores["dls"].calibration.slope for name in study.cohorts]


def test_calibration_points_are_not_joined_and_the_curve_is_lowess_within_its_band(study: ScoreTable) -> None:
    drawn = calibration_figure(study, evaluate_table(study), np.random.default_rng(0))
    for axes, (name, held) in zip(drawn.figure.axes[::2], study.cohorts.items(), strict=True):
        groups = [line for line in drawn.rows.lines if line[0] == name and line[2] == "group"]
        (points,) = [line for line in axes.lines if line.get_marker() == "o"]
        assert points.get_linestyle() == "None"
        assert len(points.get_xdata()) == len(groups)
        smooth = [line[7:] for line in drawn.rows.lines if line[0] == name and line[2] == "smooth"]
        x, y, low, high = np.array(smooth, float).T
        expected = lowess(held.labels.astype(float), held.scores["dls"], frac=0.75, it=0, xvals=x)
        np.testing.assert_allclose(y, np.clip(expected, 0, 1))
        known = np.isfinite(low)
        assert known.mean() > 0.5
        assert ((low <= y + 0.02) & (y <= high + 0.02))[known].mean() > 0.9


def test_few_cases_have_no_smooth_curve() -> None:
    labels, scores = np.arange(12) % 2 == 0, np.linspace(0.1, 0.9, 12)
    table = ScoreTable(("dls",), {"few": CohortTable(n=12, scores={"dls": scores}, labels=labels)})
    drawn = calibration_figure(table, evaluate_table(table), np.random.default_rng(0))
    assert not [line for line in drawn.rows.lines if line[2] == "smooth"]
    assert len([line for line in drawn.rows.lines if line[2] == "group"]) == 2


def test_decision_band_holds_the_curve_and_repeats(study: ScoreTable) -> None:
    metrics = evaluate_table(study)
    first, second = (decision_figure(study, metrics, np.random.default_rng(3)) for _ in range(2))
    assert first.rows == second.rows
    net, low, high = (np.array(first.rows.column(name), float) for name in ("net_benefit", "low", "high"))
    drawn = ~np.isnan(low)
    assert ((low <= net) & (net <= high))[drawn].mean() > 0.95
    assert 0.5 < drawn.mean() < 1  # it ends where fewer than ten are called
    apart = np.array(first.rows.column("less_treat_all"), float)
    np.testing.assert_allclose(apart, net - np.array(first.rows.column("treat_all"), float), atol=1e-12)
    assert len(first.rows.lines) == 2 * 99


def test_decision_curve_of_a_score_that_was_not_recalibrated_says_so(study: ScoreTable) -> None:
    metrics, rng = evaluate_table(study), np.random.default_rng(0)
    assert any("not recalibrated" in text for text in texts(decision_figure(study, metrics, rng).figure))
    calibrated = decision_figure(study, metrics, rng, calibrated=True)
    assert not any("not recalibrated" in text for text in texts(calibrated.figure))


def test_survival_rows_are_kaplan_meier_and_numbers_at_risk(study: ScoreTable) -> None:
    metrics = evaluate_table(study, Choices(cutoffs={"dls": 0.5}))
    drawn = survival_figure(study, metrics, "months")
    train = study.cohorts["train"]
    assert train.times is not None
    assert train.events is not None
    high = train.scores["dls"] >= 0.5
    expected = kaplan_meier(train.times[high], train.events[high])
    lines = [line for line in drawn.rows.lines if line[:3] == ("train", "high", "curve")]
    assert [line[4] for line in lines] == expected.survival.tolist()
    at_risk = {line[3]: line[7] for line in drawn.rows.lines if line[:3] == ("train", "high", "at risk")}
    assert at_risk[0] == high.sum()
    assert all(count == (train.times[high] >= float(str(time))).sum() for time, count in at_risk.items())
    [ratio] = [line for line in drawn.rows.lines if line[0] == "train" and str(line[2]).startswith("hazard ratio")]
    survival = metrics.cohorts["train"].survival
    assert survival is not None
    assert ratio[4:7] == (survival.cox.hr, survival.cox.low, survival.cox.high)
    assert any(f"HR {survival.cox.hr:.2f} (" in text for text in texts(drawn.figure))


def test_a_figure_is_the_same_bytes_twice_and_of_journal_width(study: ScoreTable, tmp_path: Path) -> None:
    saved = [save_figure(tmp_path / str(at), "roc", roc_figure(study, evaluate_table(study))) for at in range(2)]
    assert [path.read_bytes() for path in saved[0]] == [path.read_bytes() for path in saved[1]]
    png, svg, table = saved[0]
    assert Image.open(png).size[0] == pytest.approx(170 / 25.4 * 200, abs=1)
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert b"<dc:date>" not in svg.read_bytes()
    assert table.read_text().startswith("cohort,score,kind,")
    assert sorted(path.name for path in png.parent.iterdir()) == ["roc.csv", "roc.png", "roc.svg"]


@pytest.mark.parametrize("name", ["../roc", "Roc", "", "a b"])
def test_a_figure_takes_only_a_plain_file_name(study: ScoreTable, tmp_path: Path, name: str) -> None:
    with pytest.raises(ArgumentError, match="is no name"):
        save_figure(tmp_path, name, roc_figure(study, evaluate_table(study)))


@pytest.mark.parametrize("names", [("dls", "T1WI"), ("W" * 40, "深" * 40)])
@pytest.mark.parametrize("count", [1, 3])
def test_no_text_is_smaller_than_seven_points_or_leaves_the_figure(names: tuple[str, ...], count: int) -> None:
    table = ScoreTable(names, {"M" * 50 + str(at): cohort(30, at, names) for at in range(count)})
    for drawn in drawn_figures(table).values():
        with in_style():
            drawn.figure.draw_without_rendering()
        width, height = drawn.figure.bbox.size
        for text in drawn.figure.findobj(Text):
            if text.get_text() and text.get_visible():
                assert float(text.get_fontsize()) >= 7
                box = text.get_window_extent()
                assert box.x0 > -1, text
                assert box.y0 > -1, text
                assert box.x1 < width + 1, text
                assert box.y1 < height + 1, text


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (cohort(9, one_class=True), "all 9 cases are positive"),
        (
            CohortTable(9, cohort(9).scores, None, cohort(9).times, cohort(9).events),
            "no case of the cohort has a label",
        ),
    ],
)
def test_a_panel_without_classes_says_why(held: CohortTable, reason: str) -> None:
    table = ScoreTable(("dls", "T1WI"), {"train": cohort(30), "odd": held})
    metrics = evaluate_table(table)
    drawn = (
        roc_figure(table, metrics),
        calibration_figure(table, metrics, np.random.default_rng(0)),
        decision_figure(table, metrics, np.random.default_rng(0)),
    )
    for one in drawn:
        assert one.empty == (("odd", reason),)
        assert any(" ".join(text.split()) == reason for text in texts(one.figure))
        assert "odd" not in one.rows.column("cohort")


def test_a_score_that_is_no_probability_has_no_calibration_and_no_decision_curve() -> None:
    held = cohort(30)
    table = ScoreTable(("dls",), {"all": CohortTable(30, {"dls": held.scores["dls"] * 9}, held.labels)})
    metrics = evaluate_table(table)
    for drawn in (
        calibration_figure(table, metrics, np.random.default_rng(0)),
        decision_figure(table, metrics, np.random.default_rng(0)),
    ):
        assert "outside 0..1" in drawn.empty[0][1]
        assert not drawn.rows.lines


def test_hostile_names_three_patients_and_no_events_are_drawn(tmp_path: Path) -> None:
    cohorts = {HOSTILE[0]: cohort(3, 1, HOSTILE), HOSTILE[3]: cohort(30, 2, HOSTILE, events=False)}
    for name, drawn in drawn_figures(ScoreTable(HOSTILE, cohorts)).items():
        png, svg, table = save_figure(tmp_path, name, drawn)
        assert Image.open(png).size[0] > 500
        ElementTree.parse(svg)
        assert not re.search(r"(^|,)\"?[=@]", table.read_text(), re.MULTILINE)
        if name == "kaplan_meier":
            assert any("no events were seen" in text for text in texts(drawn.figure))


def test_study_figures_leave_out_what_has_no_data() -> None:
    held = cohort(20)
    unlabelled = ScoreTable(("dls", "T1WI"), {"all": CohortTable(20, held.scores, None, held.times, held.events)})
    assert set(drawn_figures(unlabelled, Choices(cutoffs={"dls": 0.5}))) == {"cohort_flow", "kaplan_meier"}
    unfollowed = ScoreTable(("dls", "T1WI"), {"all": CohortTable(20, held.scores, held.labels)})
    assert "kaplan_meier" not in drawn_figures(unfollowed)


def test_flow_must_add_up() -> None:
    with pytest.raises(ArgumentError, match="10 cases less 2 excluded are not the 7"):
        Flow(10, {"no image": 2}, (FlowCohort("all", 3, 4),))


def test_flow_of_scores_counts_rows_by_reason() -> None:
    held = cohort(9)
    excluded = (Excluded(row=3, reason="missing dls"), Excluded(row=7, reason="missing dls"))
    table = ScoreTable(("dls", "T1WI"), {"all": CohortTable(9, held.scores, held.labels, excluded=excluded)})
    flow = flow_of_scores(evaluate_table(table), without_cohort=1)
    assert flow == Flow(12, {"missing dls": 2, "no cohort named": 1}, (FlowCohort("all", 3, 6),))
    assert ("cohort", "all", "positive", 3) in flow_figure(flow).rows.lines
    assert "Excluded: 3" in texts(flow_figure(flow).figure)


def test_flow_of_a_dataset_leaves_out_training_cases_without_label(make_dataset, edit_table, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = make_dataset(tmp_path, training=4, held_out=3)
    edit_table(folder, "case_00", cps="")
    edit_table(folder, "case_04", cps="")
    edit_table(folder, "case_05", cps="", pfs_event="")
    flow = flow_of_dataset(read_cohort(folder))
    assert flow.excluded == {"no label": 1, "neither label nor follow-up": 1}
    assert flow.cohorts == (FlowCohort("train", 1, 2), FlowCohort("external", 1, 0, 1))


def test_flow_says_of_how_many_patients_cases_are(make_dataset, edit_table, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = make_dataset(tmp_path, training=4, held_out=2)
    edit_table(folder, "case_02", patient_id="patient_00")
    flow = flow_of_dataset(read_cohort(folder))
    assert flow.cohorts == (FlowCohort("train", 2, 2, patients=3), FlowCohort("external", 1, 1))
    drawn = flow_figure(flow)
    assert {"n = 4, of 3 patients", "n = 2"} <= set(texts(drawn.figure))
    assert [line for line in drawn.rows.lines if "patients" in line] == [("cohort", "train", "patients", 3)]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_flow_is_drawn_for_any_number_of_cohorts(count: int) -> None:
    flow = Flow(5 * count + 1, {"x" * 300: 1}, tuple(FlowCohort(f"{at} " + "w" * 90, 2, 3) for at in range(count)))
    figure = flow_figure(flow, "positive " * 9).figure
    width, height = figure.bbox.size
    for text in figure.findobj(Text):
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= width or not text.get_text()
        assert 0 <= box.y0 < box.y1 <= height or not text.get_text()


@pytest.mark.parametrize("text", ["=1+1", "+A1", "-A1", "@SUM(A1)", "\tx", "\r=1", " =1", "\uff1d1", "--", "-", "1=1"])
def test_formulas_of_users_are_disarmed(tmp_path: Path, text: str) -> None:
    write_csv(tmp_path / "t.csv", [text, "n"], [[text, -1.5]])
    with (tmp_path / "t.csv").open(newline="") as handle:
        header, line = csv.reader(handle)
    assert header[0] == line[0] == (text if text == "1=1" else "'" + in_one_line(text))
    assert line[1] == "-1.5"


@pytest.mark.parametrize("text", ["-1.5", "+3", "-1e-5", "-.5", "T1WI", "a-b", ""])
def test_numbers_and_names_stay_as_they_are(text: str) -> None:
    assert without_formula(text) == text


def test_names_are_one_printable_line() -> None:
    assert plain("a\x00b\u202e\n c") == "a b c"
    assert plain("\n") == "(no name)"


@pytest.mark.parametrize("name", ["W" * 60, "i" * 200, "Ж" * 40, "a b " * 30])
def test_names_are_shortened_and_broken_to_their_place(name: str) -> None:
    assert width_mm(fitted(name, 20.0)) <= 20.0
    assert "…" in fitted(name, 20.0)
    lines = wrapped(name, 20.0)
    assert max(width_mm(line) for line in lines) <= 20.0
    assert "".join("".join(lines).split()) == "".join(name.split())


def test_rows_refuse_a_line_of_another_length() -> None:
    with pytest.raises(ArgumentError, match="line 0 has 1 cells for 2 columns"):
        Rows(("a", "b"), ((1,),))


def test_all_panels_of_the_decision_curve_share_plausible_axes(study: ScoreTable) -> None:
    metrics = evaluate_table(study)
    drawn = decision_figure(study, metrics, np.random.default_rng(0))
    axes = drawn.figure.axes
    limits = plausible_thresholds([cohort.prevalence or 0 for cohort in metrics.cohorts.values()])
    assert limits == (0.15, 0.7)  # a third is positive: half and twice of it, outwards to 0.05
    assert {one.get_xlim() for one in axes} == {limits}
    assert len({one.get_ylim() for one in axes}) == 1
    assert {float(str(value)) for value in drawn.rows.column("threshold")} >= {0.01, 0.99}, "the numbers are all there"


@pytest.mark.parametrize(
    ("prevalences", "limits"), [([0.06], (0.01, 0.15)), ([0.4, 0.9], (0.2, 0.8)), ([0.0, 1.0], (0.05, 0.8))]
)
def test_plausible_thresholds_lie_around_the_prevalence(prevalences: list[float], limits: tuple[float, float]) -> None:
    assert plausible_thresholds(prevalences) == limits


def test_survival_has_one_step_of_time_medians_and_follow_up_with_units() -> None:
    held = CohortTable(
        8,
        {"dls": np.repeat([0.2, 0.8], 4)},
        None,
        np.array([10.0, 20.0, 30.0, 40.0, 5.0, 6.0, 7.0, 8.0]),
        np.array([True, True, False, False, True, True, True, True]),
    )
    short = CohortTable(8, held.scores, None, (held.times if held.times is not None else np.zeros(8)) / 2, held.events)
    table = ScoreTable(("dls",), {"train": held, "external": short})
    drawn = survival_figure(
        table, evaluate_table(table, Choices(cutoffs={"dls": 0.5})), "months", "Overall survival", "DLS"
    )
    times = {
        name: {line[3] for line in drawn.rows.lines if line[0] == name and line[2] == "at risk"}
        for name in table.cohorts
    }
    assert times == {"train": {0.0, 12.0, 24.0, 36.0}, "external": {0.0, 12.0}}
    shown = texts(drawn.figure)
    assert "median follow-up 35.0 months" in shown  # reversed: one half from 30 on, nobody from 40 on; the middle
    assert "DLS high: 4 events of 4\nmedian 6.5 months (95% CI 5.0\u2013NR)" in shown
    assert "Overall survival" in shown


@pytest.mark.parametrize(
    ("time", "event", "name", "expected"),
    [
        ("pfs_months", "pfs_event", None, "Progression-free survival"),
        ("OS_time", "OS", None, "Overall survival"),
        ("days", "death", None, "Overall survival"),
        ("time", "event", None, "Survival"),
        ("relapse_days", "relapse", None, "Free of relapse"),
        ("time", "event", "Locoregional control", "Locoregional control"),
    ],
)
def test_the_end_point_has_its_own_name(time: str, event: str, name: str | None, expected: str) -> None:
    assert endpoint_name(SurvivalColumns(time=time, event=event, unit="days", name=name)) == expected
