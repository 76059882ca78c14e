"""Scoring, judging, explaining, reporting and verifying from Python: a record comes back, and nothing is printed."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
from command_line import autodls, snapshot, write_preset
from made_up_masks import drawing, write_masks
from tiny_model_folder import small_volume_plan, write_model_folder
from tiny_models import tiny_model
from tiny_workspace import tiny_workspace

from autodls.analysis.rois_records import RoiBenchmark
from autodls.errors import ArgumentError, StaleRecordError
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.score_aucs import metric_rows
from autodls.inference.prediction import Prediction
from autodls.records.files import write_text
from autodls.records.model_folders import PROVENANCE
from autodls.records.provenance import Provenance
from autodls.records.scores import FUSED
from autodls.records.workspace import Workspace
from autodls.stages.benchmark_rois import benchmark_rois
from autodls.stages.evaluate import evaluate
from autodls.stages.evaluate_scores import TableRequest, evaluate_scores
from autodls.stages.explain import explain
from autodls.stages.journal import Shown
from autodls.stages.predict import predict
from autodls.stages.provenance import precision_of_all
from autodls.stages.report import report
from autodls.stages.verify import verify
from autodls.watch import SILENT

NO_ROI = "case_10"
FIGURES_OF_LABELS = ("cohort_flow", "roc", "calibration", "decision_curve")


class Listener:
    """A watch that keeps what it is told: lines, and how many steps of each title were done, of how many."""

    command = ("python", "cell", "7")

    def __init__(self):
        self.notes, self.steps = [], {}

    def note(self, line):
        self.notes.append(line)

    @contextmanager
    def progress(self, title, total):
        self.steps[title] = (0, total)

        def advance(_word):
            self.steps[title] = (self.steps[title][0] + 1, total)

        yield advance


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture(autouse=True)
def nothing_is_printed(capfd):
    """Neither by Python nor by a library beneath it."""
    capfd.readouterr()
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def study(tmp_path_factory, make_dataset):
    """Dataset and evaluated workspace: eight training cases, three of cohort "external", the last without ROI."""
    root = tmp_path_factory.mktemp("stages")
    dataset = make_dataset(root / "data", training=8, held_out=3)
    (dataset / "labelsTr" / f"{NO_ROI}.nii.gz").unlink()
    workspace, listener = tiny_workspace(dataset, dataset / "autodls"), Listener()
    return dataset, workspace, evaluate(dataset, watch=listener), listener


@pytest.fixture
def no_pictures(monkeypatch):
    """Pictures of heat maps take most of the time."""
    monkeypatch.setattr("autodls.stages.heatmaps.write_overlay", lambda path, _overlay: write_text(path, "a picture"))


@pytest.fixture(scope="module")
def few(tmp_path_factory, make_dataset):
    """Two cases, and a model for them."""
    root = tmp_path_factory.mktemp("few")
    make_dataset(root / "data", training=2, held_out=0)
    write_model_folder(root / "model")
    return root


def told(path, name):
    """The command that provenance beside `path` has for `name`."""
    return Provenance.beside(path).commands[name].command


def precision(path, name):
    """In what networks were computed, by the same."""
    return Provenance.beside(path).commands[name].conditions.precision


def predicted(few, output=None, **more):
    given = {"model": few / "model", "rois": few / "data" / "labelsTr", **more}
    return predict(few / "data" / "imagesTr", output, **given)


class TestPredict:
    def test_without_output_nothing_is_written_and_the_scores_are_the_same(self, few, tmp_path, listener, monkeypatch):
        before = snapshot(few)
        with monkeypatch.context() as patched:
            patched.setattr("tempfile.tempdir", str(tmp_path / "none"))  # no folder: a file there would fail
            found = predicted(few)
        assert isinstance(found, Prediction) and len(found.cases) == 2 and snapshot(few) == before
        assert not list(tmp_path.iterdir())
        assert predicted(few, tmp_path / "out", watch=listener) == found
        assert Prediction.load(tmp_path / "out" / "predict.json", "") == found
        assert listener.steps == {"scoring": (2, 2)} and not listener.notes

    def test_its_provenance_has_the_words_of_who_asked(self, few, tmp_path, listener):
        predicted(few, tmp_path / "out", watch=listener)
        assert told(tmp_path / "out" / PROVENANCE, "predict") == listener.command
        predicted(few, tmp_path / "silent")
        assert told(tmp_path / "silent" / PROVENANCE, "predict") == SILENT.command

    def test_rois_that_are_drawn_stay_nowhere_without_output(self, few, tmp_path, monkeypatch, no_pictures):
        model = tiny_model(small_volume_plan())
        auto = replace(model, record=model.record.model_copy(update={"rois": "auto"}))
        write_model_folder(tmp_path / "model", auto)
        (tmp_path / "passing").mkdir()
        places = []

        def automatic_rois(locked, _root, _device, place):
            places.append(place("case_00").parent)
            return drawing(locked, few / "data", places[-1])[1]

        monkeypatch.setattr("autodls.inference.rois.automatic_rois", automatic_rois)
        out, given = tmp_path / "out", {"model": tmp_path / "model", "rois": None}
        with monkeypatch.context() as patched:
            patched.setattr("tempfile.tempdir", str(tmp_path / "passing"))
            found = predicted(few, **given)
        assert places[0].parent == tmp_path / "passing" and not places[0].exists()
        assert [case.rois for case in found.cases] == ["auto"] * 2
        assert predicted(few, out, **given, heatmaps=True) == found
        assert {path.name for path in (out / "rois").iterdir()} == {"case_00.nii.gz", "case_01.nii.gz"}
        assert (out / "heatmaps" / "case_01_dls.png").is_file() and not list((tmp_path / "passing").iterdir())

    def test_heat_maps_need_a_place(self, few):
        with pytest.raises(ArgumentError, match="heat maps are files"):
            predicted(few, heatmaps=True)

    def test_what_is_not_read_or_scored_is_told_and_stands_in_the_record(self, few, tmp_path, listener):
        shutil.copytree(few / "data", tmp_path / "data")
        (tmp_path / "data" / "labelsTr" / "case_01.nii.gz").unlink()
        (tmp_path / "data" / "imagesTr" / "notes.txt").write_text("of nobody")
        images, rois = tmp_path / "data" / "imagesTr", tmp_path / "data" / "labelsTr"
        found = predict(images, model=few / "model", rois=rois, watch=listener)
        assert [failure.case for failure in found.failed] == ["case_01"]
        first, reason, count = listener.notes
        assert first.startswith("not used: notes.txt") and reason == f"not scored: {found.failed[0].reason}"
        assert count == "1 of 2 cases not scored"  # there is no scores.csv to look into


class TestEvaluate:
    def test_metrics_rows_tables_and_who_is_not_scored_come_back(self, study):
        _, workspace, found, listener = study
        assert found.workspace == workspace and found.metrics == Metrics.load(workspace.metrics, "")
        assert {(row.cohort, row.row) for row in found.rows if row.row == FUSED} == {
            (OUT_OF_FOLD, FUSED), ("external", FUSED),
        }  # fmt: skip
        assert found.unscored.keys() == {NO_ROI} and found.unscored[NO_ROI].startswith("no ROI")
        assert {"auc", "folds", "performance"} <= found.tables.keys()
        assert told(workspace.provenance, "evaluate") == listener.command

    def test_what_scores_were_computed_in_is_kept_with_them(self, study):
        """A run that keeps every score computes nothing: what is known of them stays."""
        dataset, workspace, *_ = study
        assert precision(workspace.provenance, "evaluate") == "cpu float32"
        evaluate(dataset, workspace.root)
        assert precision(workspace.provenance, "evaluate") == "cpu float32"
        model = workspace.model.record
        assert precision_of_all(workspace, "evaluate", model, "cuda float32") == "cpu float32; cuda float32"
        assert precision_of_all(workspace, "evaluate", workspace.plan, "cuda float32") == "cuda float32"

    def test_warnings_are_told_and_stand_in_the_record(self, study):
        *_, found, listener = study
        assert found.warnings and [f"warning: {text}" for text in found.warnings] == listener.notes[1:-2]
        assert listener.notes[-2] == f"not scored: case {NO_ROI}: {found.unscored[NO_ROI]}"
        assert listener.notes[-1].startswith("1 of 3 held-out cases not scored")
        assert listener.steps == {"held-out cases": (3, 3), "tumour volumes": (8, 8)}


class TestEvaluateScores:
    @pytest.fixture
    def request_(self, tmp_path):
        path = tmp_path / "table.csv"
        path.write_text("y,dls\n" + "".join(f"{n % 2},0.{n}{n % 3}\n" for n in range(1, 9)))
        return TableRequest(path, ("dls",), label="y")

    def test_without_output_nothing_is_written(self, request_, tmp_path, listener):
        found = evaluate_scores(request_, watch=listener)
        assert list(tmp_path.iterdir()) == [request_.table]
        assert [(row.row, row.n) for row in metric_rows(found)] == [("dls", 8)]
        assert found.warnings and listener.notes == [f"warning: {text}" for text in found.warnings]

    def test_with_output_the_same_is_written_with_the_words_of_who_asked(self, request_, tmp_path, listener):
        out = tmp_path / "out"
        found = evaluate_scores(replace(request_, output=out), watch=listener)
        assert found == evaluate_scores(request_) == Metrics.load(out / "metrics.json", "")
        assert told(out / PROVENANCE, "evaluate") == listener.command
        made = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        figures = {f"figures/{name}.{end}" for name in FIGURES_OF_LABELS for end in ("csv", "png", "svg")}
        tables = {f"tables/{name}.csv" for name in ("auc", "performance", "comparisons")}
        assert made == {"metrics.json", "report.html", PROVENANCE} | tables | figures
        assert set(Provenance.beside(out / PROVENANCE).commands["evaluate"].files) == made - {PROVENANCE}

    @pytest.mark.parametrize(("lack", "named"), [({"scores": ()}, "--score "), ({"label": None}, "--label ")])
    def test_what_is_not_named_is_asked_for(self, request_, lack, named):
        with pytest.raises(ArgumentError, match=f"{named}is missing"):
            evaluate_scores(replace(request_, **lack))


def test_explain_gives_cases_shares_and_the_verdict(study, listener, no_pictures):
    dataset, workspace, *_ = study
    found = explain(dataset, workspace.root, f"case_00,{NO_ROI}", watch=listener)
    assert [case.files.id for case in found.cases] == ["case_00"] and found.unexplained.keys() == {NO_ROI}
    assert {share.case for share in found.shares} == {"case_00"}
    assert found.verdict is not None and found.verdict.cases == 1
    assert json.loads(found.folder.summary.read_text()) == found.summary
    assert listener.notes == [f"not explained: {found.unexplained[NO_ROI]}"] + [f"warning: {w}" for w in found.warnings]
    assert listener.steps == {"heat maps": (2, 2), "maps of shuffled weights": (1, 1)}
    assert told(workspace.provenance, "explain") == listener.command
    assert precision(workspace.provenance, "explain") == "cpu float32"


def test_report_gives_the_page(study, tmp_path, listener):
    dataset, workspace, *_ = study
    assert report(dataset, workspace.root, watch=listener) == workspace.report
    assert workspace.report.is_file() and told(workspace.provenance, "report") == listener.command
    other = tmp_path / "r.html"
    assert report(dataset, workspace.root, other) == other and other.is_file()
    with pytest.raises(ArgumentError, match="is a report already"):
        report(dataset, workspace.root, other)
    assert report(dataset, workspace.root, other, overwrite=True) == other


class TestJournalFigures:
    @pytest.fixture
    def copied(self, study, tmp_path):
        """Dataset and workspace that a test may change, and labels for them."""
        shutil.copytree(study[0], tmp_path / "data")
        sequences = {name: f"Sequence ${name}$" for name in ("CE-T1WI", "T2WI")}
        labels = {"scores": {FUSED: "Deep score"}, "cohorts": {OUT_OF_FOLD: "Cross-validated"}, "sequences": sequences}
        write_text(tmp_path / "labels.json", json.dumps(labels))
        return tmp_path / "data", Workspace(tmp_path / "data" / "autodls"), tmp_path / "labels.json"

    def test_they_lie_beside_the_report_are_noted_and_never_written_over_an_edit(self, copied, listener):
        dataset, workspace, labels = copied
        shown = Shown(("svg",), labels)
        report(dataset, shown=shown, watch=listener)
        made = {path.name: path.read_bytes() for path in workspace.report_figures.iterdir()}
        assert {"roc.svg", "cohort_flow.svg", "calibration.svg", "provenance.json"} <= set(made)
        assert b"Deep score (95% CI)" in made["decision_curve.svg"]
        assert told(workspace.provenance, "report --figures") == listener.command
        assert not [fault for fault in verify(workspace.root, dataset).faults if "report" in fault]
        report(dataset, shown=shown, watch=listener)
        assert made == {path.name: path.read_bytes() for path in workspace.report_figures.iterdir()}
        page = workspace.report.read_text()
        assert "Cross-validated" in page and "Deep score" in page and "Sequence $T2WI$" in page
        (workspace.report_figures / "roc.svg").write_text("edited")
        assert any("roc.svg: SHA-256 is" in fault for fault in verify(workspace.root).faults)
        with pytest.raises(ArgumentError, match=r"holds roc.svg, which was changed after AutoDLS wrote it"):
            report(dataset, shown=shown)
        assert (workspace.report_figures / "roc.svg").read_text() == "edited"

    def test_the_page_is_the_same_bytes_with_figures_and_without(self, copied, tmp_path):
        dataset, *_ = copied
        plain, drawn = (report(dataset, output=tmp_path / f"{name}.html") for name in ("plain", "again"))
        assert plain.read_bytes() == drawn.read_bytes()
        other = report(dataset, output=tmp_path / "paper.html", shown=Shown(("svg",)))
        assert other.read_bytes() == plain.read_bytes()
        assert (tmp_path / "paper_figures" / "roc.svg").is_file()
        with pytest.raises(ArgumentError, match="paper_figures: holds the results of an earlier run"):
            other.unlink()
            report(dataset, output=tmp_path / "paper.html", shown=Shown(("svg",)))

    def test_an_evaluation_of_other_labels_is_not_drawn(self, copied):
        dataset, workspace, labels = copied
        table = dataset / "clinical.csv"
        table.write_text(table.read_text() + "\n")
        before = snapshot(workspace.root)
        with pytest.raises(StaleRecordError, match="so no figure can be drawn of it; run 'autodls evaluate'"):
            report(dataset, shown=Shown(("pdf",)))
        with pytest.raises(StaleRecordError):
            report(dataset, shown=Shown((), labels))
        assert snapshot(workspace.root) == before

    def test_a_label_of_no_name_is_refused_with_the_names_that_are_there(self, copied):
        dataset, workspace, labels = copied
        write_text(labels, '{"cohorts": {"externl": "B"}}')
        before = snapshot(workspace.root)
        with pytest.raises(
            ArgumentError, match=r"cohorts: no 'externl'; there are train \(out of fold\), external, train"
        ):
            report(dataset, shown=Shown((), labels))
        assert snapshot(workspace.root) == before


def test_verify_gives_links_faults_and_what_is_not_checked(few, tmp_path, listener):
    whole = verify(few / "model", watch=listener)
    assert whole.fits and not whole.faults and whole.unchecked and not listener.notes
    assert set(whole.unchecked) < {link.name for link in whole.links}
    shutil.copytree(few / "model", tmp_path / "model")
    (tmp_path / "model" / "fold_0" / "fusion.safetensors").write_bytes(b"another")
    found = verify(tmp_path / "model", watch=listener)
    assert not found.fits and listener.notes == [f"does not fit: {fault}" for fault in found.faults]
    with pytest.raises(ArgumentError, match=r"no model.json, plan.json or export.json"):
        verify(tmp_path)


def test_the_benchmark_of_rois_gives_its_record_and_says_what_it_lacks(make_dataset, tmp_path, listener, capfd):
    dataset = make_dataset(tmp_path / "data", training=8, held_out=0)
    workspace = Workspace(dataset / "autodls")
    plan = autodls("plan", "-d", dataset, "--workers", 1, "--preset", write_preset(tmp_path / "preset.json"))
    assert plan.status == 0, plan.err
    write_masks(dataset, workspace)
    capfd.readouterr()
    found = benchmark_rois(dataset, watch=listener)
    assert found.workspace == workspace and found.benchmark == RoiBenchmark.load(workspace.roi_benchmark, "")
    assert found.benchmark.reasons.keys() == {"effect", "robustness"} and not found.warnings
    assert listener.notes == [f"no {part}: {why}" for part, why in found.benchmark.reasons.items()]
    assert len(found.benchmark.agreement[OUT_OF_FOLD].cases) == 8 and listener.steps == {"agreement": (8, 8)}
    assert told(workspace.provenance, "benchmark rois") == ("python", "cell", "7")
