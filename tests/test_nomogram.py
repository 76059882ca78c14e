"""The nomogram: whoever reads points off its axes and adds them up gets the probability of the model."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_candidates import AGE, CLINICAL, STAGE, candidate, clinical_candidate, integrated_candidate

from autodls.analysis.nomogram import has_nomogram, nomogram_of
from autodls.errors import ArgumentError
from autodls.records.locked_candidate import DEEP, effect_of, log_odds_of
from autodls.report.figures.nomogram import axis_ticks, coefficients_figure, nomogram_figure


def of_model(record, age, stage, parts=None):
    """The probability that `predict` would give."""
    values = AGE.read(f"{age!r}")[0] | STAGE.read(stage)[0]
    if record.parts:
        values = {**parts, "clinical": log_odds_of(record.parts[0], values)}
    return float(record.recalibration.probability([record.log_odds(values)])[0])


@given(st.floats(30, 85), st.sampled_from(STAGE.levels), st.floats(-3, 3), st.floats(-2, 1.5))
def test_the_sum_of_points_is_the_probability_of_the_model(age, stage, deep, radiomics):
    for record in (clinical_candidate(), integrated_candidate()):
        found = nomogram_of(record)
        values = {"DLS of the networks": deep, "age": age, "stage": stage, "radiomics score": radiomics}
        total = sum(axis.points(values[axis.name]) for axis in found.axes)
        parts = {DEEP: deep, "radiomics": radiomics}
        assert found.probability(total) == pytest.approx(of_model(record, age, stage, parts), abs=1e-9)


def read_off(rows, axis, value):
    """The points, or the probability, of a value by its neighbours among the ticks of the figure."""
    ticks = sorted((one[2], one[3]) for one in rows.lines if one[0] == axis)
    return float(np.interp(value, *zip(*ticks, strict=True)))


@pytest.mark.parametrize(("age", "stage"), list(itertools.product((30, 47, 66, 85), STAGE.levels)))
def test_a_reader_of_the_figure_gets_the_probability(age, stage):
    record = clinical_candidate()
    rows = nomogram_figure(record).rows
    (points,) = [one[3] for one in rows.lines if one[:2] == ("stage", stage)]
    total = read_off(rows, "age", age) + points
    scale = sorted((one[3], np.log(one[2] / (1 - one[2]))) for one in rows.lines if one[0] == "Probability of high")
    odds = float(np.interp(total, *zip(*scale, strict=True), left=np.nan, right=np.nan))
    if np.isfinite(odds):  # beyond the last tick there is nothing to read
        assert 1 / (1 + np.exp(-odds)) == pytest.approx(of_model(record, age, stage), abs=1e-6)
    else:
        assert not scale[0][0] <= total <= scale[-1][0]


@pytest.mark.parametrize("record", [clinical_candidate(), integrated_candidate()], ids=["clinical", "integrated"])
def test_points_are_from_0_to_100_and_one_axis_has_all_of_them(record):
    found = nomogram_of(record)
    widths = []
    for axis in found.axes:
        points = [*axis.levels.values()] or [axis.points_low, axis.points_high]
        assert min(points) == pytest.approx(0) and max(points) <= 100 + 1e-9
        widths.append(max(points))
        assert all(-1e-9 <= tick[2] <= 100 + 1e-9 for tick in axis_ticks(axis))
    assert max(widths) == pytest.approx(100) and found.most == pytest.approx(sum(widths))
    names = ["DLS of the networks"] * bool(record.parts) + ["age", "stage"] + ["radiomics score"] * bool(record.parts)
    assert [axis.name for axis in found.axes] == names
    assert found.points_at(found.probability(37.0)) == pytest.approx(37.0)


@pytest.mark.parametrize(("low", "high"), [(-8.0, 2.0), (-0.3, 0.4), (-4.6, 4.6)])
def test_the_score_of_a_part_can_be_read_over_its_whole_range(low, high):
    """From within 5 points of one end to within 5 of the other, by three ticks at least."""
    record = integrated_candidate(lowest=(low, -2.0, -2.0), highest=(high, 2.0, 1.5))
    axis = nomogram_of(record).axes[0]
    points = [tick[2] for tick in axis_ticks(axis)]
    assert points == sorted(points) and len(points) >= 3
    assert points[0] - axis.points_low <= 5 and axis.points_high - points[-1] <= 5


def test_what_has_no_effect_has_no_axis_and_changes_nothing():
    record = clinical_candidate(coefficients=(0.0, -0.2, -0.5, 0.1, 0.7))
    found = nomogram_of(record)
    assert [axis.name for axis in found.axes] == ["stage"]
    assert found.probability(found.axes[0].points("T3")) == pytest.approx(of_model(record, 44, "T3"))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (candidate(), "it is not made of clinical columns or parts"),
        (clinical_candidate(coefficients=(0.0,) * 5), "all of its coefficients are 0"),
    ],
)
def test_what_has_no_nomogram_says_so(record, said):
    with pytest.raises(ArgumentError, match=said):
        nomogram_of(record)
    assert has_nomogram(record) == (record.candidate == "clinical")


def test_names_that_are_long_and_levels_that_are_close_are_drawn():
    """Labels that would touch each other go to the other side of the line or away: none lies on another."""
    levels = tuple(f"stage number {at}" for at in range(9))
    column = STAGE.model_copy(update={"levels": levels, "name": "a name that is far too long for the margin " * 3})
    record = clinical_candidate(
        columns=(column,), features=column.features, middle=(0.0,) * 9, spread=(1.0,) * 9,
        coefficients=(*(0.01 * at for at in range(8)), 1.0),
    )  # fmt: skip
    figure = nomogram_figure(record).figure
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    assert min(box.x0 for box in boxes) >= 0 and max(box.x1 for box in boxes) <= figure.bbox.x1


def test_an_axis_that_is_too_short_to_be_read_has_its_points_in_words():
    record = clinical_candidate(coefficients=(0.01, 0.0, 0.0, 0.01, 3.0))
    shown = [text.get_text() for text in nomogram_figure(record).figure.axes[0].texts]
    assert "30: 0.0, 85: 1.7 points" in shown and "85" not in shown
    assert {"T1", "T2", "T3"} <= {*shown}


def test_coefficients_are_per_spread_and_the_largest_come_first():
    rows = coefficients_figure(integrated_candidate()).rows.lines
    assert rows[:3] == (
        ("parts of integrated", DEEP, 0.9), ("parts of integrated", "clinical", 0.3),
        ("parts of integrated", "radiomics", -0.2),
    )  # fmt: skip
    assert [row[1:] for row in rows if row[0] == "clinical"] == sorted(
        zip(CLINICAL["features"], CLINICAL["coefficients"], strict=True), key=lambda one: -abs(one[1])
    )


def test_of_a_forest_the_effect_is_half_the_change_over_two_spreads():
    """One tree: 0.2 at or below the middle, else 0.6; log-odds are cut where one vote of two would be the last."""
    record = candidate("radiomics", library="made up 1", trees=("0<=0.0 0.2 0.6",), coefficients=(), farthest=3.0)
    low, high = np.log(0.25 / 0.75), np.log(0.6 / 0.4)
    assert effect_of(record, record.features[0]) == pytest.approx((high - low) / 2)
    assert coefficients_figure(record).rows.lines == (
        ("radiomics", record.features[0], pytest.approx((high - low) / 2)),
    )
