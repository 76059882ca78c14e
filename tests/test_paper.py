"""The draft of a paper: numbers of the metrics in its sentences, marks for the author, a sound Word file."""

import html
import io
import json
import re
import shutil
import sys
import time
import zipfile
from dataclasses import replace
from itertools import pairwise
from unittest import mock

import pytest
from command_line import autodls, edit_json
from report_workspace import HOSTILE, Wish, write_workspace
from test_candidates_report import DEEP, comparison, given
from tiny_candidates import candidate

docx = pytest.importorskip("docx", reason="python-docx is not installed: pip install 'autodls[docx]'")

from docx.enum.text import WD_COLOR_INDEX  # noqa: E402
from docx.oxml.ns import qn  # noqa: E402

from autodls.errors import ArgumentError  # noqa: E402
from autodls.evaluation.metrics_record import Metrics  # noqa: E402
from autodls.evaluation.score_auc import OUT_OF_FOLD  # noqa: E402
from autodls.records.provenance import Provenance  # noqa: E402
from autodls.records.workspace import Workspace  # noqa: E402
from autodls.report import sentences  # noqa: E402
from autodls.report.artefacts import Artefacts  # noqa: E402
from autodls.report.drawn import Printed, png_of  # noqa: E402
from autodls.report.figures.style import new_figure  # noqa: E402
from autodls.report.html.document import render  # noqa: E402
from autodls.report.paper import word  # noqa: E402
from autodls.report.paper.blocks import Cite, Gap, Heading, Paragraph  # noqa: E402
from autodls.report.paper.methods import _SOURCES  # noqa: E402
from autodls.report.paper.paper import paper_of  # noqa: E402
from autodls.report.paper.references import REFERENCES, reference  # noqa: E402
from autodls.report.paper.word_file import is_paper, sealed, write_paper  # noqa: E402
from autodls.report.reading import drawn_as_png, read_study  # noqa: E402
from autodls.stages.report import report  # noqa: E402
from autodls.study import Study  # noqa: E402
from autodls.verify.results import verify_results  # noqa: E402

EMPTY = Artefacts()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A complete run, what was read of it, and its Word file."""
    place, described = write_workspace(tmp_path_factory.mktemp("paper") / "w", Wish(cases=30, held_out=24))
    study = read_study(place, described)
    return place, study, write_paper(place, described, place.root.parent / "paper.docx")


@pytest.fixture
def workspace(run, tmp_path):
    """A copy of the run with a dataset.json."""
    shutil.copytree(run[0].root, tmp_path / "w")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset.json").write_text(run[1].description.model_dump_json(by_alias=True))
    return Workspace(tmp_path / "w"), tmp_path / "data"


@pytest.fixture(scope="module")
def document(run):
    return docx.Document(run[2])


def words(document):
    """All text, cells of tables and cached fields too."""
    return "".join(node.text or "" for node in document.element.body.iter(qn("w:t")))


def whole(study):
    return study


def nothing(_study):
    return EMPTY


def without_survival(study):
    cohorts = {
        name: cohort.model_copy(update={"survival": None, "landmark": None})
        for name, cohort in study.metrics.cohorts.items()
    }
    return replace(study, metrics=study.metrics.model_copy(update={"cohorts": cohorts}))


def without_held_out(study):
    own = {OUT_OF_FOLD: study.metrics.cohorts[OUT_OF_FOLD]}
    return replace(study, metrics=study.metrics.model_copy(update={"cohorts": own}), held_out={})


def gaps_of(paper):
    held = [one.parts for one in paper.text if isinstance(one, Paragraph)]
    return [part.text for parts in held for part in parts if isinstance(part, Gap)]


def bytes_of(study, pictures=None):
    return sealed(word.word_bytes(paper_of(study, pictures or {})))


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_a_sentence_has_the_numbers_of_the_metrics_and_stands_in_the_page_too(run, document):
    place, study, _ = run
    raw = json.loads(place.metrics.read_text())
    text, page = words(document), html.unescape(render(study))
    for name, where in {OUT_OF_FOLD: "training cohort, out of fold", "external": "held-out cohort external"}.items():
        held = raw["cohorts"][name]["scores"]["dls"]
        auc, n, positives = held["auc"], held["n"], held["positives"]
        told = (
            f"In the {where} ({n} cases, {positives} positive), the AUC of dls was {auc['value']:.3f} (95% CI "
            f"{auc['low']:.3f}–{auc['high']:.3f})."
        )
        sensitivity, counts = held["sensitivity"], held["confusion"]
        rate = (
            f"a sensitivity of {sensitivity['value']:.3f} (95% CI {sensitivity['low']:.3f}–{sensitivity['high']:.3f}), "
            f"{counts['tp']} of {counts['tp'] + counts['fn']}"
        )
        slope = f"the calibration slope was {held['calibration']['slope']:.2f} (95% CI"
        hazard = f"high over low, was {raw['cohorts'][name]['survival']['cox']['hr']:.2f} (95% CI"
        cutoff = f"at the cut-off of {held['cutoff']['value']:.3f} ("
        assert all(one in text and one in page for one in (told, rate, slope, hazard, cutoff))


def test_every_sentence_of_the_results_stands_in_both(run, document):
    _, study, _ = run
    text, page = words(document), html.unescape(render(study))
    shared = (sentences.discrimination, sentences.classification, sentences.calibration, sentences.survival)
    told = [one for tell in (*shared, sentences.landmark) for one in tell(study)]
    assert len(told) > 10 and all(one in text and one in page for one in told)
    assert all(one in text for tell in (sentences.comparisons, sentences.shortcuts) for one in tell(study))


def test_what_cannot_be_had_is_said_with_its_reason(run):
    metrics = run[1].metrics
    cohort = metrics.cohorts["external"]
    held = cohort.scores["dls"]
    auc = held.auc.model_copy(update={"value": None, "low": None, "high": None, "reason": "one class only"})
    slope = held.calibration.model_copy(update={"slope": None, "reason": "separated"})
    cox = cohort.survival.cox.model_copy(update={"hr": None, "p": None, "reason": "one group"})
    lacking = cohort.model_copy(
        update={
            "scores": {"dls": held.model_copy(update={"auc": auc, "calibration": slope, "confusion": None})},
            "survival": cohort.survival.model_copy(update={"cox": cox, "cox_per_sd": None}),
            "landmark": cohort.landmark.model_copy(update={"reason": "nobody was followed"}),
        }
    )
    study = Artefacts(metrics=metrics.model_copy(update={"cohorts": {"a": lacking}}))
    assert sentences.discrimination(study) == [
        "In the held-out cohort a (24 cases, 8 positive), the AUC of dls is not known: one class only."
    ]
    assert sentences.classification(study) == []
    [calibrated] = sentences.calibration(study)
    assert "the calibration slope is not known: separated; the Brier score" in calibrated
    assert sentences.survival(study)[-1].startswith("The hazard ratio, high over low, is not known: one group.")
    assert sentences.landmark(study) == [
        "In the held-out cohort a, beyond 6, nothing can be said: nobody was followed."
    ]


def test_a_median_that_is_not_reached_is_said_so(run):
    cohort = run[1].metrics.cohorts["external"]
    low = cohort.survival.groups["low"].model_copy(update={"median": None, "median_low": 3.25, "median_high": None})
    groups = {"low": low}
    cohort = cohort.model_copy(update={"survival": cohort.survival.model_copy(update={"groups": groups})})
    study = replace(run[1], metrics=run[1].metrics.model_copy(update={"cohorts": {"external": cohort}}))
    assert (
        f"{low.events} of {low.n} patients below the cut-off had an event, median not reached (95% CI 3.2–NR)."
        in (sentences.survival(study)[0])
    )


def test_an_auc_stands_beside_the_number_of_the_cases_that_it_is_of(run):
    cohort = run[1].metrics.cohorts["external"]
    held = cohort.scores["dls"].model_copy(update={"n": 19, "positives": 5})
    cohort = cohort.model_copy(update={"scores": {"dls": held}, "patients": 20})
    study = replace(run[1], metrics=run[1].metrics.model_copy(update={"cohorts": {"external": cohort}}))
    [told] = sentences.discrimination(study)
    assert told.startswith("In the held-out cohort external (19 of 24 cases, 5 positive), the AUC of dls was ")
    assert "; n = 19, 5 positive" in render(study)


def told_of(study, **changes):
    """The study with the first score of its held-out cohort, its only one, changed."""
    cohort = study.metrics.cohorts["external"]
    held = cohort.scores["dls"].model_copy(update=changes)
    cohort = cohort.model_copy(update={"scores": {"dls": held}})
    return replace(study, metrics=study.metrics.model_copy(update={"cohorts": {"external": cohort}}))


def test_limits_that_do_not_hold_their_own_share_are_explained(run):
    held = run[1].metrics.cohorts["external"].scores["dls"]
    own = held.cutoff.model_copy(update={"own": True})
    rate = held.sensitivity.model_copy(update={"method": "wilson-own-cutoff"})
    end = "That cut-off was chosen on these very scores"
    [told] = sentences.classification(told_of(run[1], cutoff=own, sensitivity=rate))
    assert told.endswith(f"{end}; the limits are of shares less what choosing has gained.")
    [told] = sentences.classification(told_of(run[1], cutoff=own))
    assert told.endswith(f"{end}.")


@pytest.mark.parametrize(("auc", "below", "over"), [("0.490", ", below chance", " over chance"), ("0.530", "", "")])
def test_the_gain_over_a_baseline_below_chance_is_said_to_be_over_chance(run, auc, below, over):
    line = {"baseline": "clinical", "columns": "age", "auc": auc, "low": "0.3", "high": "0.7", "delta": "0.396",
            "delta_low": "0.290", "delta_high": "0.502", "delta_p": "0.001", "lr_p": "0.001", "lr_sign": "1",
            "reason": ""}  # fmt: skip
    assert sentences.shortcuts(replace(run[1], tables={"shortcuts": [line]})) == [
        f"Logistic regression on age (clinical) had an out-of-fold AUC of {auc} (95% CI 0.300–0.700){below}; the gain "
        f"of the score{over} was 0.396 (95% CI 0.290–0.502)."
    ]


def test_a_hazard_ratio_without_groups_names_its_cohort(run):
    cohort = run[1].metrics.cohorts["external"]
    cohort = cohort.model_copy(update={"survival": cohort.survival.model_copy(update={"groups": {}})})
    study = replace(run[1], metrics=run[1].metrics.model_copy(update={"cohorts": {"external": cohort}}))
    assert sentences.survival(study)[0].startswith("In the held-out cohort external, the hazard ratio, high over low")


@pytest.mark.parametrize(("width_mm", "shown_mm"), [(85, 85), (170, 160)])
def test_a_figure_of_one_column_is_not_blown_up_to_the_width_of_the_page(width_mm, shown_mm):
    png = png_of(new_figure(width_mm, 60))
    made = docx.Document(io.BytesIO(bytes_of(EMPTY, {"learning_curve": png})))
    [shape] = made.inline_shapes
    assert shape.width.mm == pytest.approx(shown_mm, abs=0.3)
    assert shape.height / shape.width == pytest.approx(60 / width_mm, abs=0.01)


def test_what_candidates_come_to_is_said(run):
    found = comparison(given({"clinical": 0.4, DEEP: 0.9}))
    text = words(docx.Document(io.BytesIO(bytes_of(replace(run[1], comparison=found)))))
    assert found.adds[0].sentence in text and "What choosing cost:" in text and found.nested in text
    assert "What the network adds" in text and "What the network adds" not in words(docx.Document(run[2]))


@pytest.mark.parametrize("change", [False, True])
def test_what_was_made_before_its_sources_changed_is_a_gap(run, change):
    study = run[1]
    sha256 = "0" * 64 if change else study.hashes["oof_scores.csv"]
    found = comparison(given({"clinical": 0.4, DEEP: 0.9})).model_copy(update={"made_from": {"oof_scores.csv": sha256}})
    record = candidate().model_copy(update={"splits_sha256": "0" * 64 if change else study.hashes["splits.json"]})
    paper = paper_of(replace(study, comparison=found, candidate=record), {})
    gaps = [text for text in gaps_of(paper) if text.startswith("[RUN: made before")]
    expected = [
        "oof_scores.csv changed: run 'autodls compare' again",
        "splits.json changed: run 'autodls compare --lock'",
    ]
    assert len(gaps) == (2 if change else 0)
    assert all(one in gap for one, gap in zip(expected, gaps, strict=False))
    text = words(docx.Document(io.BytesIO(sealed(word.word_bytes(paper)))))
    assert f"Locked: {sentences.locked_candidate(record)}" in text
    assert sentences.locked_candidate(record) in html.unescape(
        render(replace(study, comparison=found, candidate=record))
    )


# -- gaps and headings -------------------------------------------------------------------------------------------------


def test_every_gap_is_highlighted_and_nothing_else(document):
    tables = [made for table in document.tables for made in table._cells]
    held = [*document.paragraphs, *(made for cell in tables for made in cell.paragraphs)]
    runs = [run for made in held for run in made.runs]
    marked = [run.text for run in runs if run.font.highlight_color == WD_COLOR_INDEX.YELLOW]
    assert len(marked) > 30 and all(re.fullmatch(r"\[AUTHOR: .+\]", text, re.DOTALL) for text in marked)
    assert not [run.text for run in runs if "[AUTHOR" in run.text and run.font.highlight_color is None]
    assert document.paragraphs[0].style.name == "Title" and marked[0] == "[AUTHOR: title]"
    for what in ("ethics approval", "inclusion and exclusion", "scanners", "blinded", "funding", "example heat maps"):
        assert any(what in text for text in marked), what


@pytest.mark.parametrize("change", [whole, without_survival, without_held_out, nothing])
def test_no_heading_stands_alone(run, change):
    paper = paper_of(change(run[1]), drawn_as_png(run[0]))
    blocks = [*paper.text, *paper.appendix, Heading("end")]
    for one, after in pairwise(blocks):
        assert not isinstance(one, Heading) or isinstance(after, Paragraph) or after.level > one.level, one
    assert all(one.parts for one in blocks if isinstance(one, Paragraph))
    titles = {one.text for one in blocks if isinstance(one, Heading)}
    has_follow_up = change in (whole, without_held_out)
    assert {"Methods", "Results", "Discussion"} <= titles
    assert ("Survival" in titles, "Durable benefit" in titles) == (has_follow_up, has_follow_up)
    assert ("Discrimination" in titles) == ("Limitations that the run shows" in titles) == (change is not nothing)


def test_a_study_of_nothing_names_the_commands_that_are_to_be_run():
    paper = paper_of(EMPTY, {})
    gaps = gaps_of(paper)
    assert "[RUN: results/metrics.json is not there yet; 'autodls evaluate' makes it]" in gaps
    assert any("plan.json" in gap and "'autodls plan'" in gap for gap in gaps)
    assert not paper.tables and not paper.figures
    assert is_sound(bytes_of(EMPTY))


def test_a_study_without_a_held_out_cohort_speaks_of_none(run):
    text = words(docx.Document(io.BytesIO(bytes_of(without_held_out(run[1])))))
    assert "In the held-out cohort" not in text and "training cohort, out of fold" in text


# -- the file ----------------------------------------------------------------------------------------------------------


def is_sound(content):
    """Opened anew: fields point to marks that are there, numbers are counted up, pictures have a text."""
    made = docx.Document(io.BytesIO(content))
    body = made.element.body
    marks = [one.get(qn("w:name")) for one in body.iter(qn("w:bookmarkStart"))]
    fields = [one.get(qn("w:instr")).split() for one in body.iter(qn("w:fldSimple"))]
    assert len(set(marks)) == len(marks)
    assert {words[1] for words in fields if words[0] == "REF"} <= set(marks)
    for kind in ("Table", "Figure"):
        captions = [one.text for one in made.paragraphs if one.style.name == "Caption" and one.text.startswith(kind)]
        count = len([words for words in fields if words[:2] == ["SEQ", kind]])
        assert len(captions) == count
    assert all(one.get("descr") and one.get("title") for one in body.iter(qn("wp:docPr")))
    for table in made.tables:
        rows = table._tbl.tr_lst
        assert rows[0].trPr.find(qn("w:tblHeader")) is not None
        assert all(row.trPr.find(qn("w:tblHeader")) is None for row in rows[1:])
        assert table._tbl.tblPr.find(qn("w:tblCaption")).get(qn("w:val")).startswith("Table ")
    return True


def test_it_has_real_styles_captions_repeated_heads_and_texts_for_pictures(run, document):
    assert is_sound(run[2].read_bytes())
    assert len(document.inline_shapes) == len(drawn_as_png(run[0])) >= 4
    names = {made.style.name for made in document.paragraphs}
    assert {
        "Title",
        "Heading 1",
        "Heading 2",
        "Caption",
        "Body Text",
        "List Bullet",
        "Reference",
        "Table Note",
    } <= names
    heads = [table.rows[0].cells[0].text for table in document.tables]
    assert heads[:2] == ["Variable", "Cohort"], "Table 1 is the baseline, Table 2 the performance"
    assert all(table.style.name == "Paper Table" for table in document.tables)


def test_it_names_its_language_and_nobody_and_no_time(run, document):
    about = document.core_properties
    assert (about.language, about.author, about.last_modified_by, about.comments) == ("en-US", "", "", "")
    with zipfile.ZipFile(run[2]) as archive:
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert not {"docProps/app.xml", "docProps/thumbnail.jpeg"} & parts.keys()
    assert (
        b"dcterms:created" not in parts["docProps/core.xml"] and b"dcterms:modified" not in parts["docProps/core.xml"]
    )
    assert not [name for name, content in parts.items() if str(run[0].root.parent).encode() in content]
    assert b'<w:lang w:val="en-US"' in parts["word/styles.xml"]


def test_the_same_run_gives_the_same_bytes_at_another_time(run, tmp_path):
    place, study, first = run
    with mock.patch("time.time", return_value=time.time() + 1e7):
        again = write_paper(place, study.description, tmp_path / "again.docx")
    assert again.read_bytes() == first.read_bytes()
    assert sorted(tmp_path.iterdir()) == [again]


@pytest.mark.parametrize(
    "wish",
    [
        Wish(cases=24, held_out=12, names=HOSTILE, cohort=HOSTILE[0], column=HOSTILE[1], figures=False),
        Wish(cases=12, held_out=9, names=("a\x00\x1b\ufffe\ud800<b>", *HOSTILE[-1:]), cohort="<b>\x0c", figures=False),
        Wish(cases=12, held_out=3, one_class=True, all_missing=True, figures=False),
    ],
)
def test_hostile_names_are_text(wish, tmp_path):
    place, described = write_workspace(tmp_path, replace(wish, names=tuple(clean(name) for name in wish.names)))
    settings = described.autodls
    target = settings.target.model_copy(update={"name": wish.names[-1] if wish.names else "x"})
    described = described.model_copy(
        update={
            "name": wish.names[0] if wish.names else "x",
            "autodls": settings.model_copy(update={"target": target}),
        }
    )
    content = write_paper(place, described, tmp_path / "p.docx").read_bytes()
    assert is_sound(content)
    text = words(docx.Document(io.BytesIO(content)))
    assert "\u202e" not in text and "\x1b" not in text
    assert clean(wish.cohort) in text.replace("\N{REPLACEMENT CHARACTER}", "")


def clean(name):
    """As it can be written to a CSV file and to JSON."""
    return re.sub("[\x00-\x1f\ufffe\ud800]", "", name)


def test_a_table_of_one_column_and_of_cells_without_end_is_laid_out(run):
    wide = Printed("x" * 500, ("h",), (("y" * 5000,), ("",)), ("\x00note",))
    study = replace(run[1], tables={})
    paper = paper_of(study, {})
    paper = replace(paper, text=(), tables=(replace(paper.tables[0], printed=wide),))
    assert is_sound(word.word_bytes(paper))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_picture_is_left_out(workspace, content):
    place, _ = workspace
    (place.figures / "roc.png").write_bytes(content)
    found = drawn_as_png(place)
    assert "roc" not in found and "calibration" in found


# -- references --------------------------------------------------------------------------------------------------------


def test_references_are_those_that_are_cited_in_their_order(run, document):
    listed = [made.text for made in document.paragraphs if made.style.name == "Reference"]
    assert [text.split(".\t")[0] for text in listed] == [str(at) for at in range(1, len(listed) + 1)]
    body = " ".join(made.text for made in document.paragraphs if made.style.name == "Body Text")
    cited = [int(one) for held in re.findall(r"\[([\d, ]+)\]", body) for one in held.split(", ")]
    assert list(dict.fromkeys(cited)) == list(range(1, len(listed) + 1))
    assert "Ding C" in listed[0] and any("DeLong ER" in text for text in listed) and "Kaplan EL" in " ".join(listed)


def test_only_methods_that_were_used_are_cited(run):
    text = " ".join(reference(key) for key in paper_of(without_survival(run[1]), {}).references)
    assert "Kaplan" not in text and "Cox DR. Regression models" not in text and "Brier" in text
    assert paper_of(EMPTY, {}).references == ("claim", "tripod_ai")
    assert all(key in REFERENCES for find in _SOURCES.values() for key in find(run[1]))


@pytest.mark.parametrize("key", REFERENCES)
def test_a_reference_names_a_year_and_is_cited_somewhere(key):
    assert key[-4:] in REFERENCES[key] and key[:-4] in re.sub(r"[^a-z]", "", REFERENCES[key].lower())


def test_a_citation_is_printed_by_its_number(run):
    paper = paper_of(run[1], {})
    keys = [
        part.keys for one in paper.text if isinstance(one, Paragraph) for part in one.parts if isinstance(part, Cite)
    ]
    assert keys[0] == paper.references[: len(keys[0])]


# -- the command -------------------------------------------------------------------------------------------------------


def test_it_lies_beside_the_report_and_verify_knows_it(workspace):
    place, data = workspace
    assert report(data, place.root, docx=True) == place.report and is_paper(place.paper)
    noted = Provenance.load(place.provenance, "").commands
    assert list(noted["report --docx"].files) == ["results/report.docx"]
    assert list(noted["report"].files) == ["results/report.html"]
    report(data, place.root)
    assert "report --docx" in Provenance.load(place.provenance, "").commands, "that of the paper stays"
    assert not [fault for link in verify_results(place, None) for fault in link.faults if "report.docx" in fault]
    place.paper.write_bytes(place.paper.read_bytes() + b" ")
    [fault] = [fault for link in verify_results(place, None) for fault in link.faults if "report.docx" in fault]
    assert fault.endswith("run 'autodls report --docx'")


def test_of_other_metrics_it_is_no_longer_that_of_the_run(workspace):
    place, data = workspace
    report(data, place.root, docx=True)
    Metrics.load(place.metrics, "").model_copy(update={"warnings": ("another",)}).save(place.metrics)
    faults = [fault for link in verify_results(place, None) for fault in link.faults]
    assert any(fault.startswith("report --docx: made from results/metrics.json") for fault in faults)


def test_a_paper_that_nobody_noted_is_a_fault(workspace):
    place, data = workspace
    report(data, place.root)
    place.paper.write_bytes(b"PK")
    assert any(
        "report.docx: no command has noted" in one for link in verify_results(place, None) for one in link.faults
    )


def by_word(path):
    """Somebody writes in it."""
    made = docx.Document(path)
    made.add_paragraph("My words.")
    made.save(path)


def by_zip(path):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["docProps/core.xml"] = parts["docProps/core.xml"].replace(b"phantom", b"mine")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "change",
    [
        by_word,
        by_zip,
        lambda path: path.write_text("mine"),
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("elsewhere.docx")),
    ],
)
def test_words_of_an_author_are_never_replaced(workspace, change):
    place, data = workspace
    report(data, place.root, docx=True)
    change(place.paper)
    before = None if not place.paper.is_file() else place.paper.read_bytes()
    page = place.report.stat().st_mtime_ns
    with pytest.raises(ArgumentError, match=r"report\.docx is there.*move it away") as failure:
        report(data, place.root, docx=True, overwrite=True)
    assert "\n" not in str(failure.value)
    assert before is None or place.paper.read_bytes() == before
    assert place.report.stat().st_mtime_ns == page, "nothing is written then"


def test_one_that_was_written_by_another_zip_library_is_still_ours(run, tmp_path):
    """What is sealed are the parts, not how they are packed."""
    copy = tmp_path / "copy.docx"
    with zipfile.ZipFile(run[2]) as archive, zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name))
    assert is_paper(copy) and is_paper(run[2])


def test_elsewhere_it_has_the_name_of_the_page(workspace, tmp_path):
    place, data = workspace
    words = ("report", "-d", data, "-w", place.root, "-o", tmp_path / "page.html", "--docx")
    answer = autodls(*words)
    assert answer.status == 0, answer.err
    assert answer.out.splitlines()[-2:] == [f"report: {tmp_path / 'page.html'}", f"paper: {tmp_path / 'page.docx'}"]
    assert is_paper(tmp_path / "page.docx") and not place.paper.exists()
    by_python = Study(data, place.root).report(tmp_path / "other.html", docx=True).with_suffix(".docx")
    assert by_python.read_bytes() == (tmp_path / "page.docx").read_bytes()


def test_without_the_package_it_is_one_line_and_nothing_is_written(workspace, monkeypatch):
    place, data = workspace
    monkeypatch.setattr(word, "find_spec", lambda _name: None)
    answer = autodls("report", "-d", data, "-w", place.root, "--docx")
    assert answer.status == 2 and "pip install -c constraints.txt '.[docx]'" in answer.complaint
    assert not place.report.exists() and not place.paper.exists()


def test_the_package_is_not_loaded_for_a_report_alone(workspace):
    place, data = workspace
    with mock.patch.dict(sys.modules, {"docx": None}):
        assert report(data, place.root) == place.report


def test_a_fault_of_a_record_is_a_limitation_of_the_paper(workspace):
    place, data = workspace
    edit_json(place.plan, training__seed=99)
    report(data, place.root, docx=True)
    assert "plan.json has changed since the model was locked" in words(docx.Document(place.paper))
