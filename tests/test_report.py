"""The report escapes every name, says what is missing, and is the same bytes for the same run."""

import base64
import hashlib
import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_line import edit_json
from hypothesis import given, settings
from hypothesis import strategies as st
from report_workspace import HOSTILE, Wish, write_workspace

from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.preprocessing.shown import LEFT_OUT
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.provenance import record_run
from autodls.records.scores import without_formula
from autodls.records.table import read_table
from autodls.records.training_log import told_of
from autodls.records.workspace import Workspace
from autodls.report.artefacts import Artefacts, Picture
from autodls.report.html.document import render, write_report
from autodls.report.html.page import Markup, data_table, el, escaped, joined
from autodls.report.html.reprint import reprinted
from autodls.report.reading import raw, read_study
from autodls.stages.report import report

VOID = {"meta", "link", "img", "input"}
PICTURE = Picture(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml")


class Outline(HTMLParser):
    """What a browser would make of the page: elements, attributes, text outside script and style."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Artefacts, str]:
    """A complete run, and its report."""
    workspace, described = write_workspace(tmp_path_factory.mktemp("run"))
    study = read_study(workspace, described)
    return workspace, study, render(study)


def warnings_of(page: str) -> str:
    return page[page.index('id="warnings"') : page.index('id="cohorts"')]


def glance_of(page: str) -> str:
    return page[page.index('id="glance"') : page.index('id="warnings"')]


@pytest.mark.parametrize("name", ["learning_curve", "images_robustness", "images_degraded", "rois_cases", "candidates"])
def test_the_table_of_a_benchmark_is_not_shown_raw_among_others(name):
    study = Artefacts(tables={name: [{"auc": "0.8680555555555556"}]})
    assert "Other tables" not in render(study) and "0.8680555555555556" not in render(study)
    assert "Other tables" in render(Artefacts(tables={"another": [{"auc": "0.868"}]}))


def test_headline_is_of_unseen_cases_and_never_of_training(run: tuple[Workspace, Artefacts, str]) -> None:
    _, study, page = run
    assert study.metrics is not None
    for name in (OUT_OF_FOLD, "external"):
        assert f"{study.metrics.cohorts[name].scores['dls'].auc.value:.3f}" in glance_of(page)
    trained = study.metrics.model_copy(
        update={"cohorts": {"train": study.metrics.cohorts["external"], **study.metrics.cohorts}}
    )
    assert study.unseen_cohorts == (OUT_OF_FOLD, "external")
    changed = Artefacts(description=study.description, metrics=trained)
    assert changed.unseen_cohorts == (OUT_OF_FOLD, "external")
    assert "held-out cohort train" not in glance_of(render(changed))


def test_page_is_well_formed_alone_and_allows_only_itself(run: tuple[Workspace, Artefacts, str]) -> None:
    outline = Outline(run[2])
    assert outline.open == []
    assert all((image["src"] or "").startswith("data:image/") and image["alt"] for image in outline.named("img"))
    assert [link["href"] for link in outline.named("link")] == ["data:,"]
    assert all((anchor["href"] or "").startswith("#") for anchor in outline.named("a"))
    assert not any(name.startswith("on") or name == "style" for _, found in outline.tags for name in found)
    [policy] = [tag["content"] for tag in outline.named("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("script", "style"):
        [inside] = re.findall(rf"<{tag}>(.*?)</{tag}>", run[2], re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    script = re.findall(r"<script>(.*?)</script>", run[2], re.DOTALL)[0]
    assert len(script.splitlines()) < 150
    assert not re.search(r"fetch|XMLHttp|innerHTML|eval\(|import\(|localStorage", script)


def test_the_same_run_gives_the_same_bytes_and_tells_no_path(
    run: tuple[Workspace, Artefacts, str], tmp_path: Path
) -> None:
    workspace, study, page = run
    first, second = (
        write_report(workspace, study.description, tmp_path / name).read_bytes() for name in ("a.html", "b/c.html")
    )
    assert first == second == page.encode()
    assert str(workspace.root) not in page


def test_every_case_setting_and_hash_is_there(run: tuple[Workspace, Artefacts, str]) -> None:
    _, study, page = run
    text = Outline(page).text
    assert study.plan is not None
    assert study.model is not None
    assert all(case.case in text for case in study.out_of_fold)
    assert len(study.held_out["external"]) == 45
    assert all(reason in text for reason in study.plan.reasons.values())
    assert all(digest in text for digest in (*study.hashes.values(), *study.model.files.values()))
    assert all(f"{name} (training)" in text for name in study.model.versions)
    assert page.count("data-score=") == len(study.out_of_fold)
    assert study.missing == tuple(one for one in study.missing if one.path == "results/tables/auc.csv")


def test_warnings_are_those_of_the_run(run: tuple[Workspace, Artefacts, str]) -> None:
    _, study, page = run
    assert study.metrics is not None
    text = html.unescape(warnings_of(page))
    for warning in study.metrics.warnings:
        *_, clause = warning.removeprefix("cohort ").split(": ")
        assert clause.split(" (")[0].casefold() in text.casefold()
    assert "censored before 6" in text
    assert "Sequence T2 is missing in 4.0%" in text
    assert "Expected before training" in text


def test_an_empty_workspace_names_what_is_missing_and_the_command(tmp_path: Path) -> None:
    page = write_report(Workspace(tmp_path / "none"), None, tmp_path / "report.html").read_text()
    text = Outline(page).text
    for command in ("autodls plan", "autodls train fold all", "autodls evaluate", "autodls explain"):
        assert command in text
    assert "data-explorer" not in page.split("<script>")[0]


@pytest.mark.parametrize("name", ["plan.json", "model/model.json", "results/metrics.json", "oof_scores.csv"])
@pytest.mark.parametrize("content", ["{", "", "\x00\xff", "case,dls\n<b>,oops\n", '{"format": "<script>"}'])
def test_a_damaged_file_is_a_warning(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="latin-1")
    page = render(read_study(Workspace(tmp_path)))
    assert "A file cannot be read" in warnings_of(page)
    assert name in warnings_of(page)
    assert str(tmp_path) not in page
    assert "<script>" not in page.split("<body>")[1].split("<script>")[0]


def test_a_plan_edited_after_training_is_a_warning(tmp_path: Path) -> None:
    workspace, described = write_workspace(tmp_path, Wish(figures=False))
    assert "has changed since" not in render(read_study(workspace, described))
    edit_json(workspace.plan, training__seed=99)
    assert "plan.json has changed since the model was locked" in render(read_study(workspace, described))


def test_a_weights_file_that_the_plan_names_with_its_folder_is_no_edit(tmp_path: Path) -> None:
    """The model's copy of the plan names it without the folder."""
    workspace, described = write_workspace(tmp_path, Wish(figures=False))
    record = ModelRecord.load(workspace.model.record, "")
    for name in ("weights.pth", "/home/somebody/weights.pth"):
        edit_json(workspace.plan, network__encoder_weights=name)
        if "/" not in name:
            locked = Plan.load(workspace.plan, "").sha256()
            record.model_copy(update={"plan_sha256": locked}).sealed().save(workspace.model.record)
        assert "plan.json has changed" not in render(read_study(workspace, described))


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(names=HOSTILE, cohort=HOSTILE[0], column=HOSTILE[1]), "interval of the AUC is wide"),
        (Wish(cases=12, names=HOSTILE, one_class=True, all_missing=True, figures=False), "all 45 cases are negative"),
        (
            Wish(cases=12, held_out=3, names=HOSTILE[:3], cohort=HOSTILE[4], all_missing=True, figures=False),
            "cohort </title>",
        ),
        (
            Wish(cases=3, held_out=3, names=HOSTILE[:3], cohort=HOSTILE[2], one_class=True, figures=False),
            "all 3 cases are negative",
        ),
    ],
)
def test_a_hostile_cohort_gives_a_report_with_warnings(wish: Wish, said: str, tmp_path: Path) -> None:
    page = render(read_study(*write_workspace(tmp_path, wish)))
    outline = Outline(page)
    assert outline.open == []
    assert len(outline.named("script")) == len(outline.named("style")) == len(outline.named("title")) == 1
    assert not any(name.startswith("on") for _, found in outline.tags for name in found)
    assert len(outline.named("svg")) == 1
    assert all((image["src"] or "").startswith("data:") for image in outline.named("img"))
    assert said.lower() in html.unescape(warnings_of(page)).lower()
    assert "\u202e" not in page
    for name in wish.names[:1]:
        assert name in outline.text


def test_networks_are_drawn_and_named_where_they_have_not_learnt(run: tuple[Workspace, Artefacts, str]) -> None:
    _, study, page = run
    chapter = page[page.index('id="learning"') : page.index('id="performance"')]
    assert chapter.count('<img src="data:image/svg+xml') == 1
    assert chapter.count('<th scope="row">') == 9
    assert "Of 9 networks, 1 diverged: lower their learning rate and train anew (T2 of fold 2)." in warnings_of(page)
    assert chapter.count("<td>not judged</td>") == 3 and chapter.count("<td>diverged</td>") == 1
    assert 'id="learning"' not in render(replace(study, logs={}))


def test_what_holds_of_a_whole_fold_or_of_the_model_hides_no_flag_of_a_case(
    run: tuple[Workspace, Artefacts, str],
) -> None:
    study = run[1]
    assert study.model is not None and study.logs[2][1].judgement is not None
    caution = "the model scores all cases alike"
    of_fold = told_of("T2", 2, study.logs[2][1].judgement.why)
    unseen = f"{LEFT_OUT}: axial shows 80% of its area in the plane"
    flags = (f"{unseen}; {of_fold}", of_fold, f"odd ROI; {of_fold}", caution)
    cases = tuple(
        replace(case, cells={**case.cells, "flags": flag})
        for case, flag in zip(study.out_of_fold[:4], flags, strict=True)
    )
    model = study.model.model_copy(update={"cautions": (caution,)})
    page = render(replace(study, out_of_fold=cases, held_out={}, model=model))
    assert "Flagged: 2 of 4 scores." in page and "<td>odd ROI</td>" in page
    assert "In 1 of 4 cases the pictures leave tumour out" in page and f"<td>{unseen}</td>" in page
    assert "The model scores all cases alike." in warnings_of(page)


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text())
def test_whatever_a_user_writes_stays_text(first: str, second: str) -> None:
    page = el("p", first, el("b", second), title=second, data_x=first)
    page.encode()
    outline = Outline(page)
    assert [tag for tag, _ in outline.tags] == ["p", "b"]
    assert list(outline.tags[0][1]) == ["title", "data-x"]
    plain = "".join(sign for sign in first + second if sign.isprintable() and sign not in "\u200e\u200f")
    kept = "".join(sign for sign in outline.text if sign.isprintable() and sign != "\ufffd")
    assert kept == plain.replace("\ufffd", "")


def test_markup_is_not_escaped_twice_and_text_always() -> None:
    assert joined([el("i", "<"), "<"], " & ") == "<i>&lt;</i> &amp; &lt;"
    assert escaped(Markup("<b>")) == "<b>"
    assert el("input", disabled=True, id=None, data_a=False, for_="x") == '<input disabled for="x">'
    assert escaped("a\x00\x1b\ud800b") == "a\ufffd\ufffd\ufffdb"


def test_rows_of_a_table_are_named_and_numbers_not_broken() -> None:
    table = data_table("T", ("a", "b"), [("x", "0.5 (0.4\u20130.6)"), ("y", "some words 3")])
    assert '<th scope="row">x</th><td class="num">' in table
    assert "<td>some words 3</td>" in table


def test_reprinted_tables_say_what_was_printed(run: tuple[Workspace, Artefacts, str]) -> None:
    workspace, study, _ = run
    ledger = reprinted("ledger", study.tables["ledger"])
    rows = {line["where"]: line for line in read_table(workspace.table("ledger")) if line["score"] == "dls"}
    dls = dict(zip(ledger.header, ledger.lines[0], strict=True))
    assert dls["Apparent"].startswith(f"{float(rows['resubstituted']['auc']):.3f} (")
    assert dls["external"].startswith(f"{float(rows['held-out']['auc']):.3f} (")
    optimism = float(rows["resubstituted"]["auc"]) - float(rows["out-of-fold by fold"]["auc"])
    assert dls["Optimism"] == f"{optimism:.3f}"
    baseline = reprinted("baseline", study.tables["baseline"])
    assert baseline.header[1:3] == ("train (n = 60)", "external (n = 45)")
    assert [line[0] for line in baseline.lines] == ["age", "sex", "  f", "  m"]
    assert baseline.lines[2][1:3] == ("30 (50.0%)", "22 (48.9%)")
    assert "\u00b1" in baseline.lines[0][1]
    [clinical] = reprinted("shortcuts", study.tables["shortcuts"]).lines
    assert clinical[:2] == ("clinical", "age + sex")
    assert clinical[-1].endswith(("(+)", "(\N{MINUS SIGN})"))


def test_tables_of_earlier_versions_are_reprinted_with_what_they_meant(run: tuple[Workspace, Artefacts, str]) -> None:
    tables = run[1].tables
    before = [line for line in tables["ledger"] if line["where"] != "out-of-fold by fold"]
    ledger = reprinted("ledger", before)
    dls, pooled = dict(zip(ledger.header, ledger.lines[0], strict=True)), {line["where"]: line for line in before[:4]}
    optimism = float(pooled["resubstituted"]["auc"]) - float(pooled["out-of-fold"]["auc"])
    assert (dls["Out-of-fold, by fold"], dls["Optimism"]) == ("\N{EN DASH}", f"{optimism:.3f}")
    unsigned = [{name: cell for name, cell in line.items() if name != "lr_sign"} for line in tables["shortcuts"]]
    shown = reprinted("shortcuts", unsigned)
    assert "(" not in shown.lines[0][-1]
    assert "of either sign" in shown.notes[0]


def test_a_table_of_another_form_is_shown_as_it_is() -> None:
    shown = reprinted("ledger", [{"odd": "1", "columns": "<b>"}])
    assert (shown.header, shown.lines) == (("odd", "columns"), (("1", "<b>"),))
    assert "&lt;b&gt;" in render(Artefacts(tables={"mine": [{"odd": "<b>"}]}))


def test_heat_maps_come_with_their_checks() -> None:
    share = {"case": "c", "score": "dls", "sequence": "all", "plane": "axial", "tumour": "0.5", "rim": "0.25",
             "outside": "0.25", "tumour_area": "0.125"}  # fmt: skip
    correlations = (("all", "-0.6"), ("all", "0.8"), ("all", ""), ("all", "<b>"), ("CE", "0.1"))
    check = [{"case": "c", "sequence": sequence, "spearman": text} for sequence, text in correlations]
    tables = {"shares": [share, share | {"score": "CE"}], "randomisation": check}
    page = render(
        Artefacts(
            heatmaps={f"c{at:02d}_{of}": PICTURE for at in range(15) for of in ("sequences", "dls")},
            heatmap_tables=tables,
        )
    )
    assert page.count('<img src="data:image/svg+xml') == 12
    assert page.count("<figcaption>c") == page.count("_dls: evidence") == 12
    assert "18 more pictures" in page
    assert "Weight randomisation not passed: with shuffled weights the maps hardly change" in page
    assert "mean absolute rank correlation 0.70, 2 of 2 at 0.5 or more" in warnings_of(page)
    assert "name no threshold" in page
    assert page.count("<td>axial</td>") == 1


@pytest.mark.parametrize("text", ["=1+1", "-1.5", "T1WI", "@x", "'quoted'", ""])
def test_cells_are_read_as_they_were_before_they_were_disarmed(text: str) -> None:
    assert raw(without_formula(text)) == text


def test_results_of_a_table_that_has_changed_since_are_said_to_be_so(tmp_path, make_dataset, edit_table):
    dataset = make_dataset(tmp_path / "dataset", training=2, held_out=0)
    place, _ = write_workspace(dataset / "autodls")
    commands = ("evaluate", "compare", "benchmark patients")
    for command in commands:
        record_run(place.provenance, command, ["autodls", command], None, [dataset / "clinical.csv"], [])
    (place.root / ".lock").touch()
    assert "clinical.csv changed after" not in html.unescape(report(dataset).read_text())
    edit_table(dataset, "case_00", age="71")
    told = html.unescape(report(dataset).read_text())
    for command in commands:
        assert f"clinical.csv changed after 'autodls {command}' was run" in told
