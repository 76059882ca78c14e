"""The package as a program uses it: light to import, the scores of the command, a study by its methods."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pandas
import pytest
from command_line import autodls as command
from command_line import write_preset
from documents import fences
from tiny_model_folder import write_model_folder
from tiny_workspace import tiny_workspace
from typer.main import get_command

import autodls
from autodls.cli.app import app
from autodls.errors import ArgumentError, DatasetError, ModelFolderError, PlanError
from autodls.inference.prediction import Prediction
from autodls.preprocessing.case import prepare_case
from autodls.study import Study

HEAVY = (
    "torch", "numpy", "pandas", "scipy", "SimpleITK", "monai", "pydantic", "matplotlib", "sklearn", "typer",
)  # fmt: skip


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def scored(tmp_path, make_dataset):
    """A dataset of which a case lacks a sequence and one an ROI, and a locked model."""
    dataset = make_dataset(tmp_path / "dataset", training=3, held_out=0, missing=(("case_01", "T2WI"),))
    (dataset / "labelsTr" / "case_02.nii.gz").unlink()
    write_model_folder(tmp_path / "model")
    return dataset, tmp_path / "model"


class TestImport:
    def test_nothing_heavy_comes_with_it(self):
        assert run_python(f"import sys, autodls; print([name for name in {HEAVY} if name in sys.modules])") == "[]"

    def test_all_that_it_names_is_there(self):
        names = "[getattr(autodls, name) for name in autodls.__all__]"
        assert "Study" in run_python(f"import autodls; print(dir(autodls), len({names}))")

    def test_a_study_needs_no_networks(self):
        held = "'torch' in sys.modules"
        assert run_python(f"import sys, autodls; autodls.Study('a'); autodls.preprocess_case; print({held})") == "False"

    def test_what_is_not_there_is_said_with_what_is(self):
        with pytest.raises(AttributeError, match="no attribute 'predict'; it has Study"):
            _ = autodls.predict

    def test_its_types_are_those_that_it_gives(self):
        """The stub names the places that `__getattr__` imports from."""
        stub = (Path(autodls.__file__).with_suffix(".pyi")).read_text()
        for name, module in autodls._WHERE.items():
            place, _, last = module.rpartition(".")
            line = f"from {place} import {last}" if last == name else f"from {module} import {name}"
            assert line in stub, line


class TestModel:
    def test_scores_are_those_of_the_command(self, scored, tmp_path):
        dataset, folder = scored
        found = autodls.load_model(str(folder), device="cpu").predict(dataset / "imagesTr", rois=dataset / "labelsTr")
        words = ("-i", dataset / "imagesTr", "--rois", dataset / "labelsTr", "-o", tmp_path / "out", "-m", folder)
        command("predict", *words, "--device", "cpu")
        assert found == Prediction.load(tmp_path / "out" / "predict.json", "")

    def test_scores_are_a_table_like_that_of_the_command(self, scored, tmp_path):
        dataset, folder = scored
        table = autodls.load_model(folder, "cpu").predict(dataset / "imagesTr", dataset / "labelsTr").to_frame()
        words = ("-i", dataset / "imagesTr", "--rois", dataset / "labelsTr", "-o", tmp_path / "out", "-m", folder)
        command("predict", *words, "--device", "cpu")
        written = pandas.read_csv(tmp_path / "out" / "scores.csv")
        assert list(table.columns) == list(written.columns)
        numbers = list(written.select_dtypes("number").columns)
        pandas.testing.assert_frame_equal(table[numbers], written[numbers])
        assert table["case"].tolist() == ["case_00", "case_01", "case_02"]
        assert "no ROI file case_02.nii.gz" in table["failed"][2]
        assert np.isnan(table["dls"][2]) and np.isnan(table["T2WI"][1])

    def test_results_are_those_of_the_command(self, scored, tmp_path):
        dataset, folder = scored
        given = (dataset / "imagesTr", dataset / "labelsTr")
        found = autodls.load_model(folder, "cpu").predict(*given, tmp_path / "out", heatmaps=True)
        words = ("-i", given[0], "--rois", given[1], "-o", tmp_path / "typed", "-m", folder, "--heatmaps")
        command("predict", *words, "--device", "cpu")
        made = {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*")}
        assert made == {path.relative_to(tmp_path / "typed") for path in (tmp_path / "typed").rglob("*")}
        for name in ("scores.csv", "predict.json"):
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "typed" / name).read_bytes()
        assert Prediction.load(tmp_path / "out" / "predict.json", "") == found
        with pytest.raises(ArgumentError, match="overwrite"):
            autodls.load_model(folder, "cpu").predict(*given, tmp_path / "out")

    def test_it_is_verified_again_when_asked(self, scored):
        model = autodls.load_model(scored[1], "cpu")
        assert model.verify().fits
        (scored[1] / "plan.json").write_text("{}")
        assert not model.verify().fits

    def test_it_says_what_it_is(self, scored):
        model = autodls.load_model(scored[1], "cpu")
        assert (model.record.folds, model.plan.sequences, model.caveats) == (2, ("CE-T1WI", "T2WI"), ())
        assert "CE-T1WI, T2WI; 2 folds, high at or above" in repr(model)

    def test_progress_is_a_call_and_nothing_is_printed(self, scored, capfd):
        dataset, folder = scored
        (dataset / "imagesTr" / "notes.txt").write_text("")
        watch = mock.MagicMock()
        autodls.load_model(folder, "cpu").predict(dataset / "imagesTr", dataset / "labelsTr", watch=watch)
        watch.progress.assert_called_once_with("scoring", 3)
        unused, failed, count = (call.args[0] for call in watch.note.call_args_list)
        assert unused == f"not used: notes.txt: no image that a case of {dataset / 'imagesTr'} lacks"
        assert failed.startswith("not scored: case case_02: no ROI") and count == "1 of 3 cases not scored"
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("call", "error", "said"),
        [
            (lambda d, _m: autodls.load_model(d / "nowhere"), ModelFolderError, "no such model folder"),
            (lambda _d, m: autodls.load_model(m, "tpu"), ArgumentError, "expected auto, cpu, cuda"),
            (lambda d, m: autodls.load_model(m, "cpu").predict(d / "nowhere", d), DatasetError, "no such folder"),
            (lambda d, m: autodls.load_model(m, "cpu").predict(d / "imagesTr"), ArgumentError, "cannot draw ROIs"),
        ],
    )
    def test_what_cannot_be_is_one_line(self, scored, call, error, said):
        with pytest.raises(error, match=said) as failure:
            call(*scored)
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "text", sorted({fence.text for fence in fences("python")}), ids=lambda text: text.split("\n")[0]
)
def test_the_lines_of_every_page_run_as_they_stand_there(scored, tmp_path, text):
    """In a script of their own, with folders of the names that they use; those that score give the scores."""
    dataset, folder = scored
    place = tmp_path / "place"
    place.mkdir()
    for name, target in {
        "MODEL": folder,
        "IMAGES": dataset / "imagesTr",
        "ROIS": dataset / "labelsTr",
        "DATASET": dataset,
    }.items():
        (place / name).symlink_to(target)
    said = subprocess.run([sys.executable, "-c", text], cwd=place, capture_output=True, text=True, check=True).stdout
    assert said
    if "load_model" in text:
        assert len([line for line in text.splitlines() if line]) == 5
        expected = autodls.load_model(folder, "cpu").predict(dataset / "imagesTr", dataset / "labelsTr").cases
        assert said.splitlines() == [f"{one.case} {one.dls} {one.call} {one.flags}" for one in expected]


class TestOneCase:
    def test_is_the_sample_that_networks_see(self, scored):
        dataset, folder = scored
        images = {
            name: dataset / "imagesTr" / f"case_00_{at:04d}.nii.gz" for at, name in enumerate(("CE-T1WI", "T2WI"))
        }
        roi, plan = dataset / "labelsTr" / "case_00.nii.gz", autodls.load_model(folder, "cpu").plan
        found = autodls.preprocess_case(
            {name: str(path) for name, path in images.items()}, str(roi), folder / "plan.json"
        )
        same = prepare_case("case", images, roi, frozenset({1}), plan.preprocessing)
        assert found.pixels.shape == (2, 3, 72, 72)
        np.testing.assert_array_equal(found.pixels, same.pixels)
        assert found.planes[0].points_mm().shape == (72, 72, 3)
        np.testing.assert_array_equal(autodls.preprocess_case(images, roi, plan).pixels, same.pixels)

    @pytest.mark.parametrize(
        ("changed", "error", "said"),
        [
            ({"plan": 3}, ArgumentError, "plan: int, expected a Plan"),
            ({"plan": "nowhere/plan.json"}, PlanError, "nowhere/plan.json"),
            ({"roi_labels": ()}, ArgumentError, "roi_labels"),
            ({"images": {}}, DatasetError, "case P1: no image of any of the sequences"),
            ({"images": {"FLAIR": "a.nii.gz"}}, DatasetError, "case P1: sequence 'FLAIR' is not in the plan"),
        ],
    )
    def test_what_cannot_be_is_one_line(self, scored, changed, error, said):
        dataset, folder = scored
        whole = {
            "images": {"CE-T1WI": dataset / "imagesTr" / "case_00_0000.nii.gz"},
            "roi": dataset / "labelsTr" / "case_00.nii.gz",
            "plan": folder / "plan.json",
            "case": "P1",
        }
        with pytest.raises(error, match=said):
            autodls.preprocess_case(**{**whole, **changed})


# What each method of a study asks a stage for, by the name of stage and function.
CALLS = {
    "check": lambda study: study.check(workers=2),
    "plan": lambda study: study.plan("paper", memory_gib=4, restart=True),
    "plan.explain_plan": lambda study: study.explain_plan(),
    "preprocess": lambda study: study.preprocess(workers=2),
    "segment": lambda study: study.segment(1, restart=True),
    "train": lambda study: study.train(0, "auto", at_once=2),
    "predict": lambda study: study.predict(
        "images", "out", rois="rois", clinical="new.csv", model="candidate", key="a.pem", heatmaps=True, overwrite=True
    ),
    "predict_dicom": lambda study: study.predict_dicom(
        "images", "out", dicom="back", series=["T1WI=t1"], roi_names=["GTV"], key="a.pem"
    ),
    "import_dicom": lambda study: study.import_dicom("dicom", roi_names=["GTV*"], workers=2),
    "init": lambda study: study.init("scans", "t.csv", "y", yes=True),
    "run": lambda study: study.run("auto", preset="paper", compare=True),
    "compare": lambda study: study.compare(also="wide", lock="volume"),
    "update": lambda study: study.update("model", "new", method="intercept"),
    "export": lambda study: study.export("out", "monai", images="i", rois="r", workers=2),
    "benchmark_sequences": lambda study: study.benchmark_sequences(device="cpu"),
    "benchmark_images": lambda study: study.benchmark_images(5, device="cpu"),
    "benchmark_patients": lambda study: study.benchmark_patients(candidate="deep", repeats=2),
    "evaluate": lambda study: study.evaluate("auto", device="cpu", workers=2),
    "explain": lambda study: study.explain(["a", "b"], "auto"),
    "report": lambda study: study.report("report.html", docx=True, overwrite=True),
    "verify": lambda study: study.verify(workers=2),
    "track": lambda study: study.track("runs", "mlruns", remote=True),
    "sign": lambda study: study.sign("private.pem", "model", str),
    "benchmark_rois": lambda study: study.benchmark_rois(3, workers=2),
    "demo": lambda study: study.demo("demo", 24, permute_labels=True, watch=study.watch),
    "evaluate_scores": lambda study: study.evaluate_scores("a.csv", "dls", "y", watch=study.watch),
}
# Options of commands that are not words of the method of the same name: said of the study, or of how results are shown.
OF_STUDY = {"dataset", "workspace", "name", "as_json", "dry_run", "place"}
ELSEWHERE = {
    "plan": {"explain": "explain_plan", "frozen": "encoder_frozen"},
    "predict": {
        **dict.fromkeys(("dicom", "series", "roi_name"), "predict_dicom"),
    },
    "compare": {"candidate": "lock"},
    "export": {"model": "load_model(MODEL).export"},
    "verify": {"key": "load_model(MODEL).verify"},
    "import": {"roi_name": "roi_names", **dict.fromkeys(("label_id", "target", "positive", "keep"), "labels")},
    "train fold": {"which": "fold"},
    "segment fold": {"which": "fold"},
}
_BENCHMARKS = ("rois", "sequences", "images", "patients")
METHODS = {"import": "import_dicom", **{f"benchmark {what}": f"benchmark_{what}" for what in _BENCHMARKS}}
OF_TABLE = {"scores": "table"}


def commands(group, words=()):
    for name, found in group.commands.items():
        inner = getattr(found, "commands", None)
        yield from commands(found, (*words, name)) if inner else [(" ".join((*words, name)), found)]


class TestStudy:
    @pytest.mark.parametrize("name", CALLS)
    def test_every_stage_takes_what_a_method_gives_it(self, name, tmp_path):
        """One method a stage: the stage's own result, and the study's own dataset, workspace and watch."""
        stage, _, function = name.partition(".")
        module = importlib.import_module(f"autodls.stages.{stage}")
        study = Study(tmp_path, tmp_path / "workspace", mock.MagicMock())
        with mock.patch.object(module, function or stage, autospec=True, return_value="its record") as called:
            found = CALLS[name](study)
        given = inspect.signature(getattr(module, function or stage)).bind(
            *called.call_args.args, **called.call_args.kwargs
        )
        watch = given.arguments.get("watch")
        assert found == "its record"
        assert watch is study.watch or function == "explain_plan"
        assert "dataset" not in given.arguments or given.arguments["dataset"] == tmp_path

    @pytest.mark.parametrize(("name", "found"), list(commands(get_command(app))))
    def test_whatever_a_command_can_do_a_call_can(self, name, found):
        """Each option of each command is a word of the method, or stands above with the call that does it."""
        method = getattr(Study, METHODS.get(name, name.split()[0]))
        words = set(inspect.signature(method).parameters)
        options = {option.name for option in found.params} - OF_STUDY
        if name == "evaluate":
            of_table = set(inspect.signature(Study.evaluate_scores).parameters)
            assert {OF_TABLE.get(option, option) for option in options} <= words | of_table
        elif name == "demo":
            assert {"folder" if option == "output" else option for option in options} <= words
        elif name == "init":
            assert options - words == {"output"}  # the dataset of the study
        else:
            assert {ELSEWHERE.get(name, {}).get(option, option) for option in options} - words <= {
                "explain_plan", "load_model(MODEL).predict", "load_model(MODEL).export", "predict_dicom",
                "load_model(MODEL).verify",
            }  # fmt: skip
        assert not any(option.name == "dry_run" for option in found.params) or hasattr(Study, f"dry_{name.split()[0]}")

    def test_a_plan_comes_with_what_the_fingerprint_warns_of(self, tmp_path, make_dataset):
        """Whoever has no watch must learn of it as well: here a patient with a positive and a negative case."""
        dataset = make_dataset(tmp_path / "dataset", training=12, held_out=0)
        table = dataset / "clinical.csv"
        table.write_text(table.read_text().replace("patient_01", "patient_00"))
        watch = mock.MagicMock()
        planned = Study(dataset, watch=watch).plan(write_preset(tmp_path / "preset.json"), device="cpu")
        warning = "patients with positive and negative cases: 1; folds count them as positive"
        assert warning in planned.warnings and mock.call(f"warning: {warning}") in watch.note.call_args_list
        assert planned.plan == Study(dataset).plan_record

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"executor": "slurm", "slurm": {"tme": 90}}, "--slurm tme=90: 'tme' is no option .* did you mean time"),
            ({"executor": "slurm", "slurm": {"time": "soon"}}, "'soon' is not minutes"),
            ({"slurm": {"time": 90}}, "--slurm: is for --executor slurm, not local"),
        ],
    )
    def test_options_of_sbatch_are_checked_before_anything_is_read(self, tmp_path, given, said):
        with pytest.raises(ArgumentError, match=said):
            Study(tmp_path / "nowhere").train(**given)

    def test_an_experiment_is_a_study_of_its_own(self, tmp_path, make_dataset):
        dataset = make_dataset(tmp_path / "dataset", training=12, held_out=0)
        study = Study(dataset, name="wide")
        with pytest.raises(ArgumentError, match="--name wide: no such experiment"):
            study.train()
        preset = write_preset(tmp_path / "preset.json")
        study.plan(preset, device="cpu")
        assert study.workspace.root == dataset / "autodls" / "experiments" / "wide"
        assert study.plan_record.sequences == ("CE-T1WI", "T2WI")
        assert any("to be trained" in line for line in study.dry_train())
        with pytest.raises(PlanError):
            _ = Study(dataset).plan_record

    def test_it_says_what_is_done(self, tmp_path, make_dataset):
        dataset = make_dataset(tmp_path / "dataset", training=12)
        study = autodls.Study(str(dataset))
        assert repr(study) == f"<Study of {dataset}, workspace {dataset / 'autodls'}: nothing done yet>"
        assert (len(study.cohort.cases), study.workspace.root) == (14, dataset / "autodls")
        tiny_workspace(dataset, dataset / "autodls")
        assert repr(study).endswith(": planned, trained on manual ROIs>")
        assert study.plan_record.sequences == ("CE-T1WI", "T2WI")

    def test_what_is_not_there_yet_is_said_with_what_to_call(self, tmp_path, make_dataset):
        study = Study(make_dataset(tmp_path / "dataset"))
        with pytest.raises(PlanError, match=r"metrics.json.*call evaluate"):
            _ = study.metrics
        with pytest.raises(PlanError, match="autodls plan"):
            _ = study.plan_record
        assert "no such folder" in repr(Study(tmp_path / "nowhere"))
