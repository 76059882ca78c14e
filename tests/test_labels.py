"""labels.json: what it may hold, what it refuses in one line, and that every label is shown wherever a name was."""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from autodls.analysis.cohort_flow import Flow, FlowCohort
from autodls.analysis.findings import merged
from autodls.errors import ArgumentError
from autodls.records.labels import Labels
from autodls.report.artefacts import Artefacts, ReportedCase
from autodls.report.drawn import save_for_journal
from autodls.report.figures.cohort_flow import flow_figure
from autodls.report.figures.style import new_figure
from autodls.report.html.cases import scores
from autodls.report.journal import too_tall
from autodls.report.naming import class_label, cohort_label, labelled, score_label, sequence_label
from autodls.stages.evaluate_scores import TableRequest, evaluate_scores
from autodls.stages.journal import FORMATS, Shown

KNOWN = {"scores": ("dls",), "cohorts": ("train", "external"), "sequences": ("T1WI", "T2WI"), "followed": True}
LABELS = {
    "scores": {"dl_score": "Deep-learning score <b>Größe</b> of $three_scans", "reader_2": "Radiologe Müller_2 $x$"},
    "cohorts": {"hosp_a": "Universitätsklinikum Süd: $internal_1$ cases", "hosp_b": "External & held out"},
    "endpoint": "Distant metastasis-free survival $S_t$",
    "classes": {"positive": "PD-L1 CPS ≥ 20", "negative": "PD-L1 CPS < 20"},
    "survival_unit": "Monate",
}
NAMES = (*LABELS["scores"], *LABELS["cohorts"])


def written(folder: Path, content: object) -> Path:
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nope", "not valid JSON"),
        ("[1]", "field 'record'"),
        ({"score": {}}, "field 'score': Extra inputs"),
        ({"cohorts": {"external": 5}}, "field 'cohorts.external': Input should be a valid string, found 5"),
        ({"cohorts": {"external": ""}}, "must be one line of text"),
        ({"cohorts": {"external": "a\nb"}}, "must be one line of text"),
        ({"endpoint": "a\u202eb"}, "field 'endpoint': must be one line of text"),
        ({"survival_unit": " months"}, "must be one line of text"),
        ({"endpoint": "x" * 81}, "has 81 signs, expected at most 80"),
        ({"cohorts": {"a": "X", "b": "X"}}, "cohorts: the label 'X' stands for two names"),
        ({"scores": {"dls": "X"}, "sequences": {"T1WI": "X"}}, "scores: the label 'X' stands for two names"),
        ({"classes": {"positive": "X", "negative": "X"}}, "classes: both are 'X'"),
        ({"classes": {"positive": "Negative"}}, "classes: 'Negative' is the name of the other class"),
        ({"classes": {"negative": "positive"}}, "classes: 'positive' is the name of the other class"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line(tmp_path, content, said):
    with pytest.raises(ArgumentError) as failure:
        Labels.read(written(tmp_path, content))
    assert said in str(failure.value) and "\n" not in str(failure.value)
    assert str(failure.value).endswith("correct the file of --labels")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"cohorts": {"extrenal": "X"}}, "cohorts: no 'extrenal'; there are train, external"),
        ({"scores": {"DLS": "X"}}, "scores: no 'DLS'; there are dls"),
        ({"sequences": {"FLAIR": "X"}}, "sequences: no 'FLAIR'; there are T1WI, T2WI"),
        ({"cohorts": {"train": "external"}}, "cohorts: 'external' is the name of another one"),
        ({"scores": {"dls": "T1WI"}}, "scores: 'T1WI' is the name of another one"),
        ({"sequences": {"T1WI": "dls"}}, "sequences: 'dls' is the name of another one"),
    ],
)
def test_a_label_for_nothing_or_that_is_another_name_is_refused(content, said):
    with pytest.raises(ArgumentError, match=said):
        Labels.model_validate(content).require_known(**KNOWN)


def test_where_nothing_is_followed_neither_end_point_nor_unit_can_be_called_anything():
    for content in ({"endpoint": "Survival"}, {"survival_unit": "days"}):
        Labels.model_validate(content).require_known(**KNOWN)
        with pytest.raises(ArgumentError, match=f"{next(iter(content))}: nothing is known of follow-up"):
            Labels.model_validate(content).require_known(**{**KNOWN, "followed": False})
    with pytest.raises(ArgumentError, match="sequences: no 'T1WI'; there are none here"):
        Labels(sequences={"T1WI": "X"}).require_known(**{**KNOWN, "sequences": ()})


def test_without_labels_every_name_is_its_own_and_labels_end_with_their_block():
    with labelled(Labels(cohorts={"a": "A"}, sequences={"T1": "T1-weighted"}, scores={"dls": "DLS"})):
        with labelled(None):
            assert (cohort_label("a"), score_label("T1"), score_label("dls")) == ("A", "T1-weighted", "DLS")
        assert (
            sequence_label("T2") == "T2" and class_label(True) == "positive" and class_label(False, "not X") == "not X"
        )
    assert cohort_label("a") == "a" and score_label("T1") == "T1"


def test_the_sentence_on_a_score_that_outdoes_the_model_has_labels_too():
    text = "cohort a: T1 alone reaches an AUC of 0.993, dls 0.970, P = 0.323"
    called = ({"a": "Site A"}.get, {"T1": "T1-weighted", "dls": "DLS", "T": "no"}.get)
    [found] = merged([text], ["a"], ["dls", "T1"], called)
    assert found.text == "Cohort Site A: T1-weighted alone reaches an AUC of 0.993, DLS 0.970, P = 0.323."


def test_a_cohort_that_is_called_as_a_fold_is_lends_it_no_label():
    cases = [ReportedCase("a", "1", True, 0.5, {"fold": "1"}), ReportedCase("b", "1", True, 0.5)]
    study = Artefacts(out_of_fold=(cases[0],), held_out={"1": (cases[1],)})
    with labelled(Labels(cohorts={"1": "Centre three"})):
        body = str(scores(study).body)
    assert body.count('<td class="num">1</td>') == 1 and body.count("<td>Centre three</td>") == 1


@pytest.mark.parametrize("formats", [("png",), ("pdf", "eps")])
def test_a_format_that_is_not_there_is_refused(formats):
    with pytest.raises(ArgumentError, match=f"--figures {formats[-1]}: no such format; there are pdf, svg, tiff"):
        Shown(formats)
    assert Shown(("tiff", "pdf", "tiff")).formats == ("pdf", "tiff") and not Shown()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A table evaluated twice: plain, and with labels and figures for a journal."""
    root = tmp_path_factory.mktemp("labelled")
    rows = [
        f"{'hosp_a' if at < 40 else 'hosp_b'},{at % 2},{(0.3 + 0.4 * (at % 2) + at % 7 / 20):.3f},{at % 5 / 4},"
        f"{at % 11 + 1},{at % 3 % 2}"
        for at in range(70)
    ]
    table = root / "table.csv"
    table.write_text("site,y,dl_score,reader_2,time,event\n" + "\n".join(rows) + "\n")
    columns = {"label": "y", "cohort": "site", "time": "time", "event": "event"}
    asked = {"scores": tuple(LABELS["scores"]), "cutoffs": ("dl_score=0.5", "reader_2=0.6"), **columns}
    evaluate_scores(TableRequest(table, output=root / "plain", **asked))
    labels = written(root, LABELS)
    evaluate_scores(TableRequest(table, output=root / "shown", labels=labels, figures=("pdf", "svg"), **asked))
    return root


def page(folder: Path) -> str:
    """The words of the page, without pictures and without the table that ties labels to names."""
    text = re.sub(r'src="data:[^"]*"', "", (folder / "report.html").read_text(encoding="utf-8"))
    return unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<table[^>]*><caption>Labels:.*?</table>", "", text)))


def texts(folder: Path) -> str:
    return unescape("\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("report_figures/*.svg"))))


def test_labels_stand_on_the_page_and_in_the_figures_and_the_names_nowhere(results):
    words, drawn = page(results / "shown"), texts(results / "shown")
    shown = [*LABELS["scores"].values(), *LABELS["cohorts"].values(), LABELS["classes"]["positive"]]
    for label in shown:
        assert label in words or label == shown[-1]
        assert all(part in drawn for part in label.split()), label
    assert LABELS["endpoint"] in drawn and "Time (Monate)" in drawn and LABELS["classes"]["negative"] in drawn
    for name in NAMES:
        assert not re.search(rf"\b{name}\b", words), name
        assert not re.search(rf"\b{name}\b", drawn), name
    raw = (results / "shown" / "report.html").read_text(encoding="utf-8")
    assert "Labels: metrics.json and CSV files keep the names" in raw and "<b>Größe</b>" not in raw


def test_files_for_programs_are_the_same_with_labels_and_without(results):
    for kind in ("tables/*.csv", "figures/*.csv", "metrics.json"):
        for path in sorted((results / "plain").glob(kind)):
            assert path.read_bytes() == (results / "shown" / path.relative_to(results / "plain")).read_bytes(), path
    assert "hosp_a" in page(results / "plain") and "Labels: metrics.json" not in page(results / "plain")


def test_a_journal_gets_text_as_text_and_fonts_embedded(results):
    folder = results / "shown" / "report_figures"
    names = ("calibration", "cohort_flow", "decision_curve", "kaplan_meier", "roc")
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{name}.{end}" for name in names for end in ("pdf", "svg")
    ]
    for path in sorted(folder.glob("*.svg")):
        svg = path.read_text(encoding="utf-8")
        assert "<text" in svg and "'DejaVu Sans', 'Verdana', 'Arial', sans-serif" in svg and "dc:date" not in svg
        assert re.search(r'width="481\.8\d+pt"', svg), "two panels: 170 mm"
    for path in sorted(folder.glob("*.pdf")):
        pdf = path.read_bytes()
        assert b"/FontFile2" in pdf and b"/Type3" not in pdf and b"CreationDate" not in pdf
        assert re.search(rb"/MediaBox \[ 0 0 481\.8\d* ", pdf)


@pytest.mark.parametrize(("cohorts", "width_mm"), [(1, 85), (3, 170)])
def test_a_figure_is_of_a_column_or_two_of_600_dpi_without_alpha_and_the_same_bytes_twice(tmp_path, cohorts, width_mm):
    flow = Flow(6 * cohorts, {}, tuple(FlowCohort(f"site $a_{at}$", 2, 4) for at in range(cohorts)))
    made = [save_for_journal(tmp_path / str(at), "flow", flow_figure(flow).figure, FORMATS) for at in range(2)]
    assert [path.read_bytes() for path in made[0]] == [path.read_bytes() for path in made[1]]
    with Image.open(tmp_path / "0" / "flow.tiff") as picture:
        assert picture.mode == "RGB" and picture.info["compression"] == "tiff_lzw"
        assert [float(side) for side in picture.info["dpi"]] == [600, 600]
        assert picture.size[0] == pytest.approx(width_mm / 25.4 * 600, abs=1)
    assert "site $a_0$" in (tmp_path / "0" / "flow.svg").read_text()


def test_what_is_too_large_for_pixels_or_for_a_page_is_said(tmp_path):
    figure = new_figure(85, 2800)
    with pytest.raises(ArgumentError, match="a figure of 2800 mm cannot be made of 600 dpi; ask for pdf or svg"):
        save_for_journal(tmp_path, "tall", figure, ("tiff",))
    assert not list(tmp_path.iterdir())
    assert too_tall({"tall": figure, "low": new_figure(85, 240)}) == [
        "figure tall is 2800 mm high, more than the 240 mm of a page"
    ]


def test_a_label_of_a_name_that_the_table_has_not_stops_before_anything_is_written(results, tmp_path):
    request = TableRequest(
        results / "table.csv", ("dl_score",), label="y", output=tmp_path / "out", labels=written(tmp_path, LABELS)
    )
    with pytest.raises(ArgumentError, match="--labels: scores: no 'reader_2'; there are dl_score"):
        evaluate_scores(request)
    assert not (tmp_path / "out").exists()
