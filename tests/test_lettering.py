"""A name that no font has is drawn as a stand-in which the reader is told of, never as boxes."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from autodls.analysis.cohort_flow import flow_of_scores
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics import evaluate_table
from autodls.evaluation.scores_table import ScoreTable
from autodls.report.artefacts import Artefacts, Picture
from autodls.report.drawn import save_figure
from autodls.report.figures.catalogue import figure_names, study_figures
from autodls.report.figures.lettering import UNKNOWN, drawn_name, is_drawable, standing_in, told_of
from autodls.report.figures.style import fonts
from autodls.report.html.results import drawn

CHINESE = "\u5916\u90e8\u9a8c\u8bc1"
WITHOUT_CHINESE = pytest.mark.skipif(is_drawable(CHINESE), reason=f"{fonts()} have Chinese signs")


def table(*names: str) -> ScoreTable:
    rng, labels = np.random.default_rng(0), np.arange(30) % 3 == 0
    held = CohortTable(30, {"dls": rng.random(30)}, labels, rng.exponential(20, 30), rng.random(30) < 0.6)
    return ScoreTable(("dls",), dict.fromkeys(names, held))


@WITHOUT_CHINESE
def test_a_cohort_that_no_font_can_write_has_a_stand_in_in_every_figure(tmp_path: Path) -> None:
    scores = table("train", CHINESE)
    metrics = evaluate_table(scores)
    flow = flow_of_scores(metrics)
    shown, told = figure_names(metrics, flow, [("target", f"PD-L1 {CHINESE}")])
    assert shown == {CHINESE: "cohort 2"}
    assert told_of(told) == {CHINESE: "cohort 2", f"PD-L1 {CHINESE}": f"PD-L1 {UNKNOWN}"}
    with warnings.catch_warnings(), standing_in(shown):
        warnings.simplefilter("error")
        for name, figure in study_figures(scores, metrics, flow, np.random.default_rng(0)).items():
            texts = [text.get_text() for text in figure.figure.findobj(Text)]
            assert any(text.endswith("cohort 2") for text in texts), name
            assert CHINESE not in "".join(texts)
            assert CHINESE in figure.rows.column("cohort"), "the numbers keep the name"
            save_figure(tmp_path, name, figure)


@WITHOUT_CHINESE
def test_the_caption_says_whose_stand_in_it_is() -> None:
    metrics = evaluate_table(table("train", CHINESE))
    told = metrics.model_copy(update={"warnings": tuple(figure_names(metrics, flow_of_scores(metrics))[1])})
    picture = Picture(b"<svg/>", "image/svg+xml")
    assert f"&#x27;cohort 2&#x27; is {CHINESE}." in drawn(Artefacts(metrics=told, figures={"roc": picture}), "roc")


def test_names_that_can_be_drawn_are_left_as_they_are() -> None:
    metrics = evaluate_table(table("train", "Gro\u00dfe Klinik \u2265 2"))
    assert figure_names(metrics, flow_of_scores(metrics)) == ({}, [])
    assert drawn_name("Gro\u00dfe Klinik \u2265 2") == "Gro\u00dfe Klinik \u2265 2"
