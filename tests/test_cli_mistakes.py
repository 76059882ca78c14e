"""One clear line and exit status 2 for every mistake in a dataset, a plan or a workspace; nothing is written then."""

import fcntl
import json
import os
import re
import shutil
from urllib.error import URLError

import pytest
import SimpleITK as sitk
import torch
from command_line import PRESET, autodls, edit_json, edit_text, write_phantom, write_preset

from autodls.cli.console import exit_status_of
from autodls.stages import check as check_stage
from autodls.stages import plan as plan_stage

COHORTS = ("train", "external")
LISTED = "about the table or the names of files: 'autodls check' lists them"


@pytest.mark.parametrize(
    ("words", "choice"),
    [
        (("run", "--rois", "drawn"), "'drawn' is not one of 'manual', 'auto'"),
        (("train", "fold", "0", "--executor", "cloud"), "'cloud' is not one of 'local', 'ray', 'slurm'"),
        (("plan", "--encoder", "vgg"), "'vgg' is not one of 'resnet152'"),
    ],
)
def test_a_wrong_choice_is_told_without_the_words_of_a_library(words, choice):
    answer = autodls(*words)
    assert answer.status == 2 and f"'{words[-2]}': {choice}" in answer.err and "Value error" not in answer.err


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Twelve phantoms with their plan; tests get a copy."""
    folder = write_phantom(tmp_path_factory.mktemp("phantom") / "study", cases=12, external_cases=2)
    write_preset(folder / "preset.json")
    answer = planned_by(folder)
    assert answer.status == 0, answer.err
    return folder


@pytest.fixture
def study(phantom, tmp_path):
    """A dataset that was never planned."""
    return shutil.copytree(phantom, tmp_path / "study", ignore=shutil.ignore_patterns("autodls"))


@pytest.fixture
def planned(phantom, tmp_path):
    """A dataset with its plan."""
    return shutil.copytree(phantom, tmp_path / "study")


def planned_by(folder, *more):
    return autodls("plan", "-d", folder, "--preset", folder / "preset.json", "--workers", 1, *more)


def trained_by(folder, which="0", *more):
    return autodls("train", "fold", which, "-d", folder, "--workers", 1, *more)


def description(**changes):
    return lambda folder: edit_json(folder / "dataset.json", **changes)


def table(old, new):
    return lambda folder: edit_text(folder / "clinical.csv", old, new)


def keep_rows(count):
    def keep(folder):
        path = folder / "clinical.csv"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[: count + 1]))

    return keep


def without(name):
    return lambda folder: (folder / name).unlink()


def blank_roi(name):
    def blank(folder):
        roi = sitk.ReadImage(str(folder / name))
        sitk.WriteImage(roi * 0, str(folder / name))

    return blank


def cut_short(name):
    def cut(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return cut


def cps_of_second_case(text):
    def change(folder):
        path = folder / "clinical.csv"
        changed = re.sub(r"(\nPH0002.*,)\d+(,[\d.]+,\d\n)", rf"\g<1>{text}\2", path.read_text())
        assert changed != path.read_text()
        path.write_text(changed)

    return change


def same_name_twice(folder):
    edit_text(folder / "clinical.csv", "\nPH0002,", "\nPH0001,")


IMAGE, ROI = "imagesTr/PH0003_0001.nii.gz", "labelsTr/PH0003.nii.gz"
DATASET_MISTAKES = {
    "no dataset.json": (without("dataset.json"), "dataset.json: no such file"),
    "broken JSON": (lambda f: edit_text(f / "dataset.json", "{", "{,"), "not valid JSON"),
    "not an object": (lambda f: (f / "dataset.json").write_text("[]"), "dataset.json"),
    "no key autodls": (description(autodls=None), "autodls"),
    "unknown key": (description(autodls__tarrget={}), "tarrget"),
    "unknown roi_channel": (description(autodls__roi_channel="CE"), "roi_channel 'CE' is not one of"),
    "bad rule": (description(autodls__target__positive="about 20"), "about 20"),
    "repair of a rule": (description(autodls__target__positive="about 20"), "'about 20'; correct it in this file"),
    "rule without a number": (description(autodls__target__positive=">= high"), ">= high"),
    "no target": (description(autodls__target=None), "target"),
    "channels with a gap": (description(channel_names={"0": "T2WI", "2": "CE-T1WI"}), "without gaps"),
    "channel named as a column": (description(channel_names={"0": "label", "1": "CE-T1WI"}), "'label'"),
    "unknown ending": (description(file_ending=".dcm"), ".dcm"),
    "no tumour label": (description(labels={"background": 0}), "labels"),
    "target column missing": (description(autodls__target__column="CPS"), "no column CPS"),
    "clinical column missing": (description(autodls__clinical=["age", "weight"]), "no column weight"),
    "landmark before the start": (description(autodls__survival__landmark=-6), "autodls.survival.landmark"),
    "background that is not 0": (description(labels={"background": 1, "tumour": 2}), "background must be 0, got 1"),
    "clinical variable twice": (description(autodls__clinical=["age", "age"]), "'age' stands there twice"),
    "target as a clinical variable": (description(autodls__clinical=["age", "cps"]), "clinical holds 'cps'"),
    "follow-up as a clinical variable": (description(autodls__clinical=["pfs_event"]), "clinical holds 'pfs_event'"),
    "cohort not found": (description(autodls__cohort__training=["training"]), "'training'"),
    "one of the cohorts not found": (
        description(autodls__cohort__training=["train", "externel"]), "did you mean 'external'?",
    ),
    "one class": (description(autodls__target__positive=">= 0"), "every training case is positive"),
    "no table": (without("clinical.csv"), "clinical.csv: no such file"),
    "empty table": (lambda f: (f / "clinical.csv").write_text(""), "the table is empty"),
    "header alone": (keep_rows(0), "no rows"),
    "sequence of few cases": (
        lambda f: [path.unlink() for path in (f / "imagesTr").glob("PH*_0000*") if path.name > "PH0003"],
        "with T2WI are",
    ),
    "too few cases": (keep_rows(5), "of the rarer class"),
    "not UTF-8": (lambda f: (f / "clinical.csv").write_bytes(b"case\n\xff\n"), "not UTF-8"),
    "cell missing": (table("PH0002,patient_PH0002,", "PH0002,"), "row 3 has"),
    "same id twice": (same_name_twice, "rows of the table have this id"),
    "unsafe id": (table("\nPH0001,", "\n../PH0001,"), "../PH0001"),
    "patient on both sides": (table("patient_EX0001", "patient_PH0001"), "patient_PH0001"),
    "label no number": (cps_of_second_case("twenty"), "twenty"),
    "no images": (lambda f: shutil.rmtree(f / "imagesTr"), "imagesTr: cannot be listed"),
    "case without images": (
        lambda f: [path.unlink() for path in (f / "imagesTr").glob("PH0003_*")],
        "PH0003",
    ),
    "image of another patient": (
        lambda f: shutil.copyfile(f / "imagesTr/PH0002_0000.nii.gz", f / "imagesTr/PH0005_0000.nii.gz"),
        "case PH0005",
    ),
    "no ROI": (without(ROI), "PH0003"),
    "empty ROI": (blank_roi(ROI), "PH0003"),
    "image cut short": (cut_short(IMAGE), "PH0003_0001.nii.gz"),
    "ROI on another grid": (lambda f: shutil.copyfile(f / "labelsTr/PH0004.nii.gz", f / ROI), "PH0003"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "part"), DATASET_MISTAKES.values(), ids=DATASET_MISTAKES)
def test_a_dataset_with_a_mistake_is_not_planned(study, damage, part):
    damage(study)
    answer = planned_by(study)
    assert answer.status == 2 and part in answer.complaint
    assert not (study / "autodls" / "plan.json").exists()
    checked = autodls("check", "-d", study, "--workers", 1)
    told = " ".join((checked.out + checked.err).split())
    assert "Traceback" not in told
    assert checked.status == 2 or part in ("of the rarer class", "with T2WI are")  # sound as data, if little


@pytest.mark.parametrize("name", ["nowhere", "dataset.json"])
@pytest.mark.parametrize("command", ["check", "plan", "preprocess", "train fold all", "evaluate"])
def test_no_such_dataset(study, name, command):
    answer = autodls(*command.split(), "-d", study / name)
    assert answer.status == 2 and "dataset.json" in answer.complaint


def test_plan_says_how_many_warnings_check_lists(study, edit_table):
    """Of rows that are trained on: what stands in a held-out row is no matter of plan."""
    lines = (study / "clinical.csv").read_text().splitlines()
    training, held_out = (next(line for line in lines if f",{cohort}," in line).split(",")[0] for cohort in COHORTS)
    assert LISTED not in planned_by(study).err
    edit_table(study, held_out, age="999", pfs_event="")
    assert LISTED not in planned_by(study).err
    edit_table(study, training, age="999", pfs_event="")
    assert f"2 warnings {LISTED}" in planned_by(study).err
    told = json.loads(autodls("check", "-d", study, "--json").out)["problems"]
    assert sum(problem["severity"] == "warning" and problem["case"] != held_out for problem in told) == 2


def test_plan_refuses_what_check_refuses(study):
    """A copied sequence, as real cohorts fill gaps."""
    shutil.copyfile(study / IMAGE, study / "imagesTr/PH0003_0000.nii.gz")
    line = "case PH0003: CE-T1WI is a copy of T2WI, voxel by voxel; remove the copy: a missing sequence is allowed"
    answer = planned_by(study)
    assert answer.status == 2 and line in answer.complaint
    assert autodls("check", "-d", study, "--workers", 1).status == 2


def bad_preset(content):
    def write(folder):
        (folder / "preset.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return ()

    return write


def given(**values):
    return {"name": "mine", "given": {name.replace("__", "."): value for name, value in values.items()}}


def garbage_weights(folder):
    (folder / "my.pth").write_bytes(b"no weights")
    return ("--encoder-weights", folder / "my.pth")


PLAN_MISTAKES = {
    "preset misspelt": (lambda f: ("--preset", "papper"), "did you mean 'paper'?"),
    "preset is a folder": (lambda f: ("--preset", f), "neither one of"),
    "preset broken": (bad_preset("{"), "not valid JSON"),
    "preset of unknown field": (bad_preset(given(training__epoch=3)), "did you mean 'training.epochs'?"),
    "preset of wrong type": (bad_preset(given(training__epochs="three")), "training.epochs"),
    "preset of impossible value": (bad_preset(given(training__folds=1)), "training.folds"),
    "preset that does not fit": (
        bad_preset(given(network__pca_dims=3, network__encoder_weights="random", preprocessing__input_size_px=32)),
        "pca_dims",
    ),
    "preset of a small network with ImageNet's weights": (
        bad_preset(given(network__encoder="resnet8", preprocessing__input_size_px=32)),
        "resnet8 has no ImageNet weights",
    ),
    "preset of an ROI for ImageNet's weights": (
        bad_preset(given(network__roi_guided=True, network__encoder="resnet50", preprocessing__input_size_px=32)),
        "roi_guided with encoder_weights imagenet",
    ),
    "more folds than cases": (bad_preset(given(training__folds=9)), "9 folds"),
    "memory negative": (lambda f: ("--memory-gib", "-2"), "--memory-gib -2"),
    "memory zero": (lambda f: ("--memory-gib", "0"), "--memory-gib 0"),
    "memory no number": (lambda f: ("--memory-gib", "nan"), "--memory-gib nan"),
    "memory infinite": (lambda f: ("--memory-gib", "inf"), "--memory-gib inf"),
    "memory tiny": (lambda f: ("--memory-gib", "0.1"), "0.1 GiB"),
    "memory next to none": (lambda f: ("--memory-gib", "0.04"), "the budget is 0.04 GiB"),
    "no weights file": (lambda f: ("--encoder-weights", "my.pth"), "encoder weights 'my.pth'"),
    "weights file of garbage": (garbage_weights, "my.pth: "),
    "workspace is a file": (lambda f: ("-w", f / "dataset.json"), "is a file"),
}


@pytest.mark.parametrize(("prepare", "part"), PLAN_MISTAKES.values(), ids=PLAN_MISTAKES)
def test_a_plan_that_cannot_be_made(study, prepare, part):
    answer = planned_by(study, *prepare(study))
    assert answer.status == 2 and part in answer.complaint
    assert not (study / "autodls" / "plan.json").exists()


def test_no_gpu(study, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    answer = planned_by(study, "--device", "cuda")
    assert answer.status == 2 and "--device cuda: PyTorch sees no CUDA device" in answer.complaint


def plan(**changes):
    return lambda folder: edit_json(folder / "autodls" / "plan.json", **changes)


def splits(old, new):
    return lambda folder: edit_text(folder / "autodls" / "splits.json", old, new)


def one_case_in_two_parts(folder):
    content = json.loads((folder / "autodls" / "splits.json").read_text())
    content["folds"][0]["train"].append(content["folds"][0]["validation"][0])
    (folder / "autodls" / "splits.json").write_text(json.dumps(content))


def replaced(target, source):
    return lambda folder: shutil.copyfile(folder / source, folder / target)


def dead_link(name):
    def link(folder):
        (folder / name).unlink()
        (folder / name).symlink_to("nowhere")

    return link


def added_case(folder):
    path = folder / "clinical.csv"
    path.write_text(path.read_text() + "PH0099,p99,train,A,50,F,T1,N0,30,12.0,1\n")
    for name in ("imagesTr/PH0001_0000", "imagesTr/PH0001_0001", "labelsTr/PH0001"):
        shutil.copyfile(folder / f"{name}.nii.gz", folder / f"{name.replace('PH0001', 'PH0099')}.nii.gz")


def removed_case(folder):
    path = folder / "clinical.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "PH0002" not in line))


PLAN_FIRST = "run 'autodls plan'"
TRAINING_MISTAKES = {
    "no plan": (lambda f: shutil.rmtree(f / "autodls"), PLAN_FIRST),
    "plan removed": (without("autodls/plan.json"), PLAN_FIRST),
    "fingerprint removed": (without("autodls/fingerprint.json"), PLAN_FIRST),
    "splits removed": (without("autodls/splits.json"), PLAN_FIRST),
    "plan broken": (lambda f: edit_text(f / "autodls/plan.json", "{", "{{"), "not valid JSON"),
    "plan with unknown key": (plan(training__epoch=3), "training.epoch"),
    "repair of a plan": (plan(training__epoch=3), "(yours is kept as plan.previous.json)"),
    "repair of splits": (one_case_in_two_parts, "move it away, then run 'autodls plan'"),
    "plan lacks a key": (plan(training__epochs=None), "training.epochs"),
    "plan of wrong type": (plan(training__epochs="many"), "training.epochs"),
    "plan of unknown encoder": (plan(network__encoder="resnet35"), "network.encoder"),
    "plan without epochs": (plan(training__epochs=0), "training.epochs"),
    "plan with batches of one": (plan(training__batch_size=1), "training.batch_size"),
    "plan with negative rate": (plan(training__learning_rate=-0.1), "training.learning_rate"),
    "plan with a rate that is none": (plan(training__learning_rate=float("nan")), "NaN is not a number in JSON"),
    "plan with input beyond slice": (plan(preprocessing__input_size_px=500), "input_size_px 500"),
    "plan with odd dims": (plan(network__pca_dims=5), "pca_dims 5"),
    "plan with other folds": (plan(training__folds=4), "the plan has 4"),
    "plan beyond its budget": (
        plan(preprocessing__input_size_px=1024, preprocessing__slice_size_px=1024),
        "budget.memory_gib is",
    ),
    "plan with too fine a grid": (plan(preprocessing__spacing_mm=0.001), "samples a side, expected at most 2048"),
    "plan without a scheme": (plan(preprocessing__intensity={}), "roi_channel"),
    "plan for a GPU": (plan(budget__device="cuda"), "autodls plan --device cpu"),
    "plan with lost weights": (
        plan(network__encoder="resnet50", network__encoder_weights="lost.pth", network__roi_guided=False),
        "encoder weights lost.pth: no such file",
    ),
    "fingerprint edited": (lambda f: edit_text(f / "autodls/fingerprint.json", "phantom", "phantam"), PLAN_FIRST),
    "plan with another seed": (plan(training__seed=7), "training.seed 0, the plan has 7; put 0 back, or delete splits"),
    "plan with another inner share": (
        plan(training__inner_holdout=0.4),
        "training.inner_holdout 0.25, the plan has 0.4",
    ),
    "splits edited": (one_case_in_two_parts, "fold 0"),
    "splits of another seed": (splits('"cohort_sha256": "', '"cohort_sha256": "0'), PLAN_FIRST),
    "label changed": (cps_of_second_case("33"), PLAN_FIRST),
    "case added": (added_case, "PH0099"),
    "case removed": (removed_case, "PH0002"),
    "image changed": (replaced("imagesTr/PH0001_0000.nii.gz", "imagesTr/PH0002_0000.nii.gz"), PLAN_FIRST),
    "image removed": (without("imagesTr/PH0001_0000.nii.gz"), PLAN_FIRST),
    "image added": (replaced("labelsTr/PH0001_0000.nii.gz", "labelsTr/PH0001.nii.gz"), PLAN_FIRST),
    "ROI changed": (replaced("labelsTr/PH0001.nii.gz", "labelsTr/PH0002.nii.gz"), PLAN_FIRST),
    "image that cannot be read": (dead_link("imagesTr/PH0001_0000.nii.gz"), "PH0001_0000.nii.gz: cannot be read"),
    "ROI removed": (without("labelsTr/PH0001.nii.gz"), PLAN_FIRST),
    "sequence renamed": (description(channel_names={"0": "FLAIR", "1": "CE-T1WI"}), PLAN_FIRST),
    "ROI channel changed": (description(autodls__roi_channel="T2WI"), PLAN_FIRST),
}


@pytest.mark.parametrize(("change", "part"), TRAINING_MISTAKES.values(), ids=TRAINING_MISTAKES)
def test_training_that_cannot_begin(planned, change, part, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    change(planned)
    answer = trained_by(planned)
    assert answer.status == 2 and part in answer.complaint
    assert not list((planned / "autodls").glob("folds/*/*.safetensors"))


@pytest.mark.parametrize(
    "words",
    [("train", "fold", "all"), ("train", "fold", "all", "--rois", "auto"), ("preprocess",), ("segment", "fold", "all"),
     ("evaluate",), ("evaluate", "--rois", "auto"), ("explain",), ("benchmark", "rois")],
    ids=" ".join,
)  # fmt: skip
def test_a_mistyped_workspace_is_not_made(study, tmp_path, words):
    if words[0] == "segment":
        pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")
    answer = autodls(*words, "-d", study, "-w", tmp_path / "mistyped")
    assert answer.status == 2 and f"run 'autodls plan -w {tmp_path / 'mistyped'}'" in answer.complaint
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("2",), "fold '2': expected 'all' or a number from 0 to 1"),
        (("x",), "fold 'x'"),
        (("1.0",), "fold '1.0'"),
        (("²",), "fold '²'"),
        (("ALL",), "fold 'ALL'"),
        (("all", "--rois", "auto"), "autodls segment fold all"),
    ],
)
def test_a_fold_that_is_none(planned, words, part):
    answer = trained_by(planned, *words)
    assert answer.status == 2 and part in answer.complaint


def test_imagenet_without_network_names_the_ways(planned, monkeypatch):
    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    imagenet = {"network__encoder": "resnet50", "network__encoder_weights": "imagenet", "network__roi_guided": False}
    edit_json(planned / "autodls" / "plan.json", **imagenet)
    complaint = trained_by(planned).complaint
    assert all(way in complaint for way in ("--encoder-weights FILE", "connect to the internet", "random"))


def test_a_plan_that_fits_again_after_planning(planned):
    cps_of_second_case("33")(planned)
    assert trained_by(planned).status == 2
    answer = planned_by(planned)
    assert answer.status == 0 and "new splits" in answer.err
    assert autodls("preprocess", "-d", planned, "--workers", 1).status == 0


@pytest.mark.parametrize("content", ["{", "[]", "", '{"seed": 0}'])
def test_broken_splits_are_made_anew_by_planning(planned, content):
    path = planned / "autodls" / "splits.json"
    before = path.read_bytes()
    path.write_text(content)
    assert PLAN_FIRST in trained_by(planned).complaint
    answer = planned_by(planned)
    assert answer.status == 0 and "new splits" in answer.err
    assert path.read_bytes() == before


def test_planning_with_another_seed_says_how_to_renew_the_splits(planned):
    edit_json(planned / "preset.json", given={**PRESET["given"], "training.seed": 3})
    answer = planned_by(planned)
    assert answer.status == 2 and "delete splits.json and run 'autodls plan'" in answer.complaint
    (planned / "autodls" / "splits.json").unlink()
    assert planned_by(planned).status == 0
    assert json.loads((planned / "autodls" / "splits.json").read_text())["seed"] == 3


def test_an_edited_plan_is_kept_beside(planned):
    edit_json(planned / "autodls" / "plan.json", training__epochs=3)
    edited = (planned / "autodls" / "plan.json").read_bytes()
    assert planned_by(planned).status == 0
    assert (planned / "autodls" / "plan.previous.json").read_bytes() == edited


def test_a_workspace_in_use(planned):
    with (planned / "autodls" / ".lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for answer in (planned_by(planned), trained_by(planned), autodls("preprocess", "-d", planned)):
            assert answer.status == 1 and "another autodls process" in answer.complaint
    assert planned_by(planned).status == 0


def test_a_workspace_that_cannot_be_made(study):
    for below in ("below", "far/below"):
        answer = planned_by(study, "-w", study / "dataset.json" / below)
        assert answer.status == 2 and "dataset.json is a file, not a folder" in answer.complaint


def test_a_report_that_cannot_be_written(planned):
    for output, part in ((planned, "is a folder"), (planned / "dataset.json" / "x.html", "dataset.json: is a file")):
        answer = autodls("report", "-d", planned, "-o", output)
        assert answer.status == 2 and part in answer.complaint


@pytest.mark.parametrize(
    "name", ["plan.json", "splits.json", "fingerprint.json", "folds", "folds/1", "preprocessed", "model", "auto"]
)
def test_a_file_in_the_place_of_a_folder_and_the_reverse(planned, name):
    place = planned / "autodls" / name
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.mkdir() if place.suffix else place.write_text("")
    for answer in (planned_by(planned), trained_by(planned, "all"), autodls("preprocess", "-d", planned)):
        assert answer.status == 2 and f"{name}: is a f" in answer.complaint and "move it away" in answer.complaint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_workspace_that_may_not_be_written(study):
    (study / "autodls").mkdir(mode=0o500)
    answer = planned_by(study)
    assert answer.status == 2 and "Permission denied" in answer.complaint and "-w" in answer.complaint


def test_a_read_only_file_system(study, monkeypatch):
    def read_only(path, *_, **__):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", read_only)
    answer = planned_by(study)
    assert answer.status == 2 and "Read-only file system" in answer.complaint and "with -w" in answer.complaint


def test_evaluate_before_train(planned):
    answer = autodls("evaluate", "-d", planned)
    assert answer.status == 2 and "autodls train fold all" in answer.complaint


class TestStopping:
    def test_ctrl_c_leaves_a_word(self, monkeypatch, study):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(check_stage, "check_dataset", interrupted)
        answer = autodls("check", "-d", study, "--workers", 1)
        assert answer.status == 130
        assert answer.err.splitlines()[-1].startswith("autodls: stopped; run the same command again")
        assert "Traceback" not in answer.err

    @pytest.mark.parametrize("read", [False, True])
    def test_a_pipe_that_nobody_reads_is_no_news_and_another_is(self, monkeypatch, capsys, read):
        """That of a process that worked for us breaks as well when it dies."""
        reader, writer = os.pipe()
        if not read:
            os.close(reader)

        def broken():
            raise BrokenPipeError(32, "Broken pipe")

        with os.fdopen(writer, "w") as stdout, monkeypatch.context() as patch:
            patch.setattr("sys.stdout", stdout)
            assert exit_status_of(broken) == 1
        assert capsys.readouterr().err.count("a process that worked for this one has ended") == read

    def test_too_large_a_plane_is_one_line(self, planned):
        edit_json(planned / "autodls" / "plan.json", preprocessing__slice_size_px=10_000_000)
        answer = autodls("preprocess", "-d", planned, "--workers", 1)
        assert answer.status == 2 and "preprocessing.slice_size_px" in answer.complaint

    def test_a_full_disk_is_one_line(self, monkeypatch, study):
        def full(*_):
            raise OSError(28, "No space left on device", str(study / "autodls" / "plan.json"))

        monkeypatch.setattr(plan_stage.Plan, "save", full)
        answer = planned_by(study)
        assert answer.status == 1 and "plan.json: No space left on device" in answer.complaint


def test_real_gliomas_are_checked_and_planned(shared_data, tmp_path):
    """34 patients, four with FLAIR alone; the folder of data is not written to."""
    folder = shared_data / "lgg_ht"
    before = sorted(path.name for path in folder.iterdir())
    checked = autodls("check", "-d", folder, "--workers", 2, "--json")
    report = json.loads(checked.out)
    assert checked.status == 0 and report["cohorts"]["train"]["cases"] == 34
    assert report["cohorts"]["train"]["missing"]["T1WI"] == 4
    answer = autodls("plan", "-d", folder, "-w", tmp_path / "w", "--workers", 2, "--json")
    assert answer.status == 0 and json.loads(answer.out)["preprocessing"]["registration"] in ("none", "geometry")
    assert sorted(path.name for path in folder.iterdir()) == before


def test_real_sarcomas_are_checked_and_planned(sts8_dataset):
    """Eight patients, MR and PET on grids of their own: enough for two folds."""
    assert autodls("check", "-d", sts8_dataset, "--workers", 2).status == 0
    assert autodls("plan", "-d", sts8_dataset, "--workers", 2).status == 0
    answer = autodls("plan", "-d", sts8_dataset, "--explain")
    assert answer.status == 0 and "why" in answer.out
    assert json.loads((sts8_dataset / "autodls" / "plan.json").read_text())["training"]["folds"] == 2


def test_ctrl_c_while_the_command_line_is_put_together(monkeypatch):
    from autodls.cli import app

    def interrupted(_app):
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "with_manners", interrupted)
    answer = autodls("--version")
    assert answer.status == 130 and "run the same command again" in answer.err
