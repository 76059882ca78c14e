"""`run`: every stage that is not done yet, to the report; what stands is kept, what no longer fits is done again."""

import json
import shutil
from unittest import mock

import pytest
from command_line import PRESET, autodls, edit_json, write_phantom
from tiny_run import QUICK, TinyRun, with_tiny_networks
from tiny_study import hashes

from autodls import Study
from autodls.cli.stage_view import StageView
from autodls.errors import AutoDLSError, DatasetError, StaleRecordError
from autodls.records.workspace import Workspace
from autodls.stages import run as stage
from autodls.stages.run import RunStage
from autodls.stages.run_standing import stands

STAGES = ["check", "plan", "preprocess", "train", "evaluate", "explain", "report"]
AFTER_TRAINING = STAGES[4:]


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    with_tiny_networks(monkeypatch)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A study by one command: its folders, what the command said, and what it would have said before."""
    root = tmp_path_factory.mktemp("run")
    write_phantom(root / "dataset", cases=10, external_cases=2)
    (root / "preset.json").write_text(json.dumps({**PRESET, "given": {**PRESET["given"], **QUICK}}))
    made = TinyRun(root)
    words = ("run", *made.place(), "--preset", root / "preset.json", "--device", "cpu", "--workers", 1)
    with pytest.MonkeyPatch.context() as patch:
        with_tiny_networks(patch)
        patch.setattr("autodls.stages.explain.CASES", 1)
        made.run("dry", *words, "--dry-run")
        made.answers["nothing was there"] = sorted(path.name for path in root.iterdir())
        made.run("run", *words, "--json")
    return made


@pytest.fixture
def study(begun, tmp_path):
    """A copy of it, to be changed."""
    for name in ("dataset", "workspace"):
        shutil.copytree(begun.root / name, tmp_path / name)
    return Study(tmp_path / "dataset", tmp_path / "workspace")


def done_now(study, **asked):
    """The stages that a run does not keep, and that all others stand."""
    found = study.run(**asked)
    assert {one.standing for one in found.stages} <= {"done", "kept"} and found.report.is_file()
    assert list(found.results) == [one.name for one in found.stages if one.standing == "done"]
    return list(found.results)


def lacking_of(study):
    """The stages that do not stand, check aside."""
    settings = study._run_settings("manual", None, "cpu", False, 1)
    return [name for name in settings.stages if name != "check" and not stands(name, settings)]


def set_in_plan(path, **training):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "training": {**content["training"], **training}}))


def sound(**counts):
    """What `check` says of a dataset that nothing is wrong with."""
    return mock.MagicMock(errors=(), warnings=(), **counts)


@pytest.mark.long
class TestFromTheBeginning:
    def test_it_does_all_stages_in_their_order_to_the_report(self, begun):
        answer = begun.answers["run"]
        assert answer.status == 0, answer.err
        found = json.loads(answer.out)
        assert [(one["stage"], one["standing"]) for one in found["stages"]] == [(name, "done") for name in STAGES]
        assert found["report"] == str(begun.workspace / "results" / "report.html")
        assert all(line in answer.err.splitlines() for name in STAGES for line in [f"{name} ..."])

    def test_what_it_makes_fits_and_says_by_which_command(self, begun):
        assert Study(begun.dataset, begun.workspace).verify().faults == ()
        noted = json.loads((begun.workspace / "provenance.json").read_text())["commands"]
        assert noted.keys() == set(STAGES) - {"check"}
        assert all(made["command"][:2] == ["autodls", "run"] for made in noted.values())
        assert str(begun.root) not in (begun.workspace / "provenance.json").read_text()

    def test_a_dry_run_lists_the_stages_with_the_time_of_training_and_writes_nothing(self, begun):
        lines = begun.answers["dry"].out.splitlines()
        assert [line.partition(":")[0] for line in lines[: len(STAGES)]] == STAGES
        assert all("to do" in line for line in lines[: len(STAGES)])
        assert "about 1 minute by the plan's estimate" in lines[3]
        assert lines[-1] == "nothing was written (--dry-run)"
        assert begun.answers["nothing was there"] == ["dataset", "preset.json"]


class TestOnceMore:
    def test_what_stands_is_kept_to_the_byte(self, study):
        before = hashes(study.workspace.root)
        assert done_now(study) == ["check"]
        assert hashes(study.workspace.root) == before
        kept = [line for line in study.dry_run() if line.endswith(": kept")]
        assert [line.partition(":")[0] for line in kept] == STAGES[1:]

    @pytest.mark.parametrize(
        ("change", "lacking"),
        [
            (lambda place: place.report.unlink(), ["report"]),
            (lambda place: place.heatmaps.summary.unlink(), ["explain", "report"]),
            (lambda place: place.metrics.write_text("{}"), ["evaluate", "report"]),
            (lambda place: place.table("auc").unlink(), ["evaluate"]),
            (lambda place: place.sample("PH0001").unlink(), ["preprocess", "train"]),
            (lambda place: place.fold(1).fusion.unlink(), ["train"]),
            (lambda place: place.provenance.unlink(), STAGES[3:]),
            (lambda place: edit_json(place.provenance, record_sha256="0" * 64), STAGES[3:]),
            (lambda place: shutil.rmtree(place.model.root), STAGES[3:]),
            (lambda place: shutil.rmtree(place.report.parent), AFTER_TRAINING),
            (lambda place: place.heldout_record("external").unlink(), ["evaluate", "explain"]),
            (lambda place: set_in_plan(place.plan, cutoff="youden"), ["train", "report"]),
        ],
        ids=[
            "report", "maps", "metrics", "table", "sample", "weights", "provenance", "altered", "model", "results",
            "scores", "plan",
        ],
    )  # fmt: skip
    def test_what_is_gone_or_other_does_not_stand(self, study, change, lacking):
        change(study.workspace)
        assert lacking_of(study) == lacking

    @pytest.mark.parametrize("column", ["cps", "age"])
    def test_another_cell_of_a_held_out_case_is_judged_anew(self, study, column):
        table = study.dataset / "clinical.csv"
        lines = table.read_text().splitlines()
        at, cells = lines[0].split(",").index(column), lines[-1].split(",")
        cells[at] = str(100 - int(cells[at] or 1))
        table.write_text("\n".join([*lines[:-1], ",".join(cells)]) + "\n")
        assert lacking_of(study) == ["evaluate"]

    def test_another_image_of_a_held_out_case_is_scored_anew(self, study):
        """No hash of it stands in what the evaluation notes: it is in the record of its scores."""
        images = study.dataset / "imagesTr"
        shutil.copyfile(images / "EX0001_0000.nii.gz", images / "EX0002_0000.nii.gz")
        assert lacking_of(study) == ["evaluate"]

    def test_results_of_another_version_are_made_anew(self, study):
        with mock.patch("autodls.stages.provenance.__version__", "9.9"):
            assert lacking_of(study) == STAGES[3:]

    def test_a_comparison_that_is_asked_for_once_belongs_to_the_study(self, study):
        made = mock.MagicMock()
        with mock.patch.object(stage, "compare", made):
            assert "compare" in study.run(compare=True).results
            assert done_now(study) == ["check"]
            study.workspace.comparison.write_text("{}")
            assert "compare" in study._run_settings("manual", None, "cpu", False, 1).stages
            assert lacking_of(study) == ["compare", "report"]
        made.assert_called_once()

    def test_a_changed_training_image_is_refused_by_one_line_that_names_the_command(self, study):
        for name in ("PH0001_0000.nii.gz", "PH0002_0000.nii.gz"):
            shutil.copyfile(study.dataset / "imagesTr" / "PH0003_0000.nii.gz", study.dataset / "imagesTr" / name)
        checked = mock.patch.object(stage, "check", return_value=sound())
        with checked, pytest.raises(StaleRecordError, match=r"have changed.*'autodls plan'"):
            stage.run(study._run_settings("manual", None, "cpu", False, 1))


class TestStopped:
    def test_a_stage_that_fails_ends_it_with_its_own_line(self, study):
        study.workspace.heatmaps.summary.unlink()
        words = ("run", "-d", study.dataset, "-w", study.workspace.root, "--workers", 1)
        with mock.patch.object(stage, "explain", side_effect=AutoDLSError("no memory left; use a smaller plan")):
            answer = autodls(*words)
        assert answer.status == 1 and answer.complaint == "autodls: error: no memory left; use a smaller plan"
        assert "evaluate: kept" in answer.err and "report ..." not in answer.err
        assert lacking_of(study) == ["explain", "report"]

    @pytest.mark.slow
    def test_the_next_run_goes_on_to_the_same_results(self, study):
        before = hashes(study.workspace.root)
        shutil.rmtree(study.workspace.report.parent)
        with (
            mock.patch.object(stage, "explain", side_effect=AutoDLSError("no memory left")),
            pytest.raises(AutoDLSError),
        ):
            study.run()
        assert done_now(study) == ["check", "explain", "report"]
        assert hashes(study.workspace.root).keys() == before.keys() and study.verify().faults == ()

    def test_a_dataset_with_errors_is_not_begun_with(self, study, tmp_path):
        image = study.dataset / "imagesTr" / "EX0001_0000.nii.gz"
        image.write_bytes(b"no image")
        place = tmp_path / "new"
        answer = autodls("run", "-d", study.dataset, "-w", place, "--workers", 1)
        assert answer.status == 2 and "case EX0001" in answer.complaint and "'autodls check' lists" in answer.complaint
        assert not place.exists()
        with pytest.raises(DatasetError, match="EX0001"):
            study.run()

    @pytest.mark.parametrize("words", [("--dry-run",), ()])
    def test_another_preset_than_that_of_the_plan_is_refused(self, study, words):
        with mock.patch.object(stage, "check", return_value=sound()):
            answer = autodls("run", "-d", study.dataset, "-w", study.workspace.root, "--preset", "paper", *words)
        assert answer.status == 2 and "is of preset 'test', not 'paper'" in answer.complaint

    def test_a_folder_of_somebody_else_is_no_workspace(self, study, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "notes.txt").write_text("mine")
        answer = autodls("run", "-d", study.dataset, "-w", tmp_path / "mine")
        assert answer.status == 2 and "holds notes.txt" in answer.complaint
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_with_automatic_rois_nnunet_takes_the_place_of_the_samples(tmp_path, make_dataset):
    dataset = make_dataset(tmp_path / "dataset", training=12, held_out=0)
    (tmp_path / "preset.json").write_text(json.dumps(PRESET))
    lines = Study(dataset).dry_run("auto", preset=tmp_path / "preset.json", device="cpu")
    assert [line.partition(":")[0] for line in lines[:4]] == ["check", "plan", "segment", "train"]
    assert "minutes" in lines[2] and not Workspace(dataset / "autodls").root.exists()


def test_an_experiment_is_run_beside_the_workspace(study, begun):
    place = ("-d", study.dataset, "-w", study.workspace.root, "--name", "again")
    answer = autodls("run", *place, "--preset", begun.root / "preset.json", "--device", "cpu", "--dry-run")
    assert f"{study.workspace.root}/experiments/again/results/report.html" in answer.out


class TestView:
    def test_a_line_a_stage_with_where_it_stands(self, capsys):
        with StageView() as view:
            for name in STAGES:
                view.told(RunStage(name))
            view.told(RunStage("check", "doing"))
            with view.progress("checking cases", 3) as advance:
                advance("PH0001")
            view.told(RunStage("check", "done", 2.4))
            view.told(RunStage("plan", "kept"))
        said = capsys.readouterr()
        assert said.out == "" and "check: done in 2 s" in said.err and "plan: kept" in said.err
        marks = {name: mark for mark in ("[x] check", "[=] plan", "[ ] report") for name in [mark[4:]]}
        assert all(mark in said.err for mark in marks.values())
