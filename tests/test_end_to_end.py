"""The main job on a phantom cohort, as a person does it: check, plan, train, evaluate, then predict somewhere else.

The whole story is told once, with a ResNet-50 of random weights at 32 px, and the tests look at what it left behind.
All through planning and training one image of the held-out cohort cannot be read.
"""

import csv
import io
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import SEQUENCES, Answer, autodls, edit_json, snapshot, write_phantom, write_preset

from autodls.records.files import sha256_of_file

pytestmark = pytest.mark.long

CASES, EXTERNAL = 16, 3
HELD_OUT_IMAGE = "imagesTr/EX0001_0001.nii.gz"


@dataclass(frozen=True)
class Story:
    """Folders, what each command answered, and the workspace after `train fold all`."""

    dataset: Path
    clinic: Path
    answers: dict[str, Answer]
    locked: dict[str, object]

    @property
    def workspace(self):
        return self.dataset / "autodls"

    def run(self, *words):
        return autodls(*words, "-d", self.dataset, "--workers", 1)


def link_tree(source, target):
    """A copy of a folder of large files that takes no room while `source` lives; put it where it goes with `source`."""
    return shutil.copytree(source, target, copy_function=os.link)


def clinic_with_new_cases(folder, dataset):
    """Three external cases as files to predict: the second lacks T2WI."""
    for name in ("in", "rois"):
        (folder / name).mkdir(parents=True)
    for case in ("EX0001", "EX0002", "EX0003"):
        shutil.copyfile(dataset / "labelsTr" / f"{case}.nii.gz", folder / "rois" / f"{case}.nii.gz")
        for channel in (0, 1):
            name = f"{case}_{channel:04d}.nii.gz"
            shutil.copyfile(dataset / "imagesTr" / name, folder / "in" / name)
    (folder / "in" / "EX0002_0000.nii.gz").unlink()


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    root = tmp_path_factory.mktemp("story")
    dataset, clinic = write_phantom(root / "dataset", cases=CASES, external_cases=EXTERNAL), root / "clinic"
    clinic_with_new_cases(clinic, dataset)
    content = (dataset / HELD_OUT_IMAGE).read_bytes()
    (dataset / HELD_OUT_IMAGE).write_bytes(b"not an image")
    told = Story(dataset, clinic, {}, {})
    told.answers["check, unreadable"] = told.run("check")
    told.answers["plan"] = told.run("plan", "--preset", write_preset(root / "preset.json"))
    told.answers["preprocess"] = told.run("preprocess")
    told.answers["fold 0"] = told.run("train", "fold", "0", "--json")
    told.answers["evaluate, untrained"] = autodls("evaluate", "-d", dataset)
    told.answers["fold 1"] = told.run("train", "fold", "1")
    told.answers["fold all"] = told.run("train", "fold", "all")
    told.locked.update(snapshot(told.workspace, skip=("provenance.json",)))  # which later commands write to
    (dataset / HELD_OUT_IMAGE).write_bytes(content)
    told.answers["check"] = told.run("check", "--json")
    told.answers["evaluate"] = autodls("evaluate", "-d", dataset, "--json")
    link_tree(told.workspace / "model", clinic / "model")
    yield told
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def predicted(story):
    """What `predict` answers where the dataset is gone, with one case whose ROI is missing."""
    gone = story.dataset.rename(story.dataset.with_name("gone"))
    shutil.copyfile(story.clinic / "in" / "EX0001_0000.nii.gz", story.clinic / "in" / "EX0009_0000.nii.gz")
    try:
        words = ("-i", story.clinic / "in", "--rois", story.clinic / "rois", "-m", story.clinic / "model")
        return {out: autodls("predict", *words, "-o", story.clinic / out) for out in ("out", "again")}
    finally:
        gone.rename(story.dataset)


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_every_step_answers_with_its_status(story):
    status = {name: answer.status for name, answer in story.answers.items()}
    wrong = {"check, unreadable": 2, "evaluate, untrained": 2}
    assert status == dict.fromkeys(status, 0) | wrong, story.answers


def test_no_step_leaves_a_traceback_or_results_on_the_wrong_stream(story):
    for answer in story.answers.values():
        assert "Traceback" not in answer.out + answer.err and "━" not in answer.out


class TestWallToHeldOutCases:
    def test_an_unreadable_held_out_image_is_found_by_check_alone(self, story):
        assert "EX0001" in story.answers["check, unreadable"].out
        for step in ("plan", "preprocess", "fold 0", "fold 1", "fold all"):
            assert "EX000" not in story.answers[step].out + story.answers[step].err

    def test_no_held_out_case_is_in_the_workspace(self, story):
        named = [name for name, content in story.locked.items() if "EX000" in name or b"EX000" in bytes_of(content)]
        assert named == []

    def test_held_out_labels_change_no_byte(self, story):
        table = story.dataset / "clinical.csv"
        before = table.read_text()
        lines = [line.replace(",C,", ",D,") if line.startswith("EX") else line for line in before.splitlines()]
        header = lines[0].split(",")
        for number, line in enumerate(lines):
            if line.startswith("EX"):
                cells = dict(zip(header, line.split(","), strict=True))
                cells |= {"cps": str(100 - int(cells["cps"])), "pfs_months": "1.0"}
                lines[number] = ",".join(cells.values())
        table.write_text("\n".join(lines) + "\n")
        try:
            preset = story.dataset.parent / "preset.json"
            assert story.run("plan", "--preset", preset).status == 0
            assert story.run("train", "fold", "all").status == 0
        finally:
            table.write_text(before)
        after = snapshot(story.workspace)
        assert {name: after[name] for name in story.locked} == story.locked


def bytes_of(content):
    return content if isinstance(content, bytes) else b""


class TestCheckAndPlan:
    def test_check_counts(self, story):
        report = json.loads(story.answers["check"].out)
        assert report["cohorts"]["train"]["cases"] == CASES and report["cohorts"]["external"]["cases"] == EXTERNAL
        assert report["problems"] == []

    def test_plan_shows_what_it_chose_and_what_it_can_show(self, story):
        shown = " ".join(story.answers["plan"].out.split())
        for part in (
            "preprocessing.spacing_mm",
            "training.folds 2",
            "What this cohort can show",
            "autodls train fold all",
        ):
            assert part in shown

    @pytest.mark.parametrize("view", ["--explain", "--json"])
    def test_planned_again_it_is_the_same(self, story, view):
        answer = story.run("plan", "--preset", story.dataset.parent / "preset.json", view)
        written = (story.workspace / "plan.json").read_bytes()
        assert answer.status == 0 and written == story.locked["plan.json"]
        assert "plan.previous.json" not in [path.name for path in story.workspace.iterdir()]
        if view == "--json":
            assert answer.out.encode() == written
        else:
            reasons = json.loads(written)["reasons"]
            assert all(name in answer.out for name in reasons if name != "expectation")

    def test_every_value_of_the_plan_has_its_reason(self, story):
        plan = json.loads(story.locked["plan.json"])
        named = {f"training.{name}" for name in plan["training"]} | {"budget.predicted_memory_gib", "budget.device"}
        assert named <= set(plan["reasons"])


class TestWorkspace:
    def test_holds_what_is_promised_and_nothing_half_done(self, story):
        weights = {f"{stage}.safetensors" for stage in (*SEQUENCES, "fusion")}
        expected = {"fingerprint.json", "plan.json", "splits.json", "oof_scores.csv", ".lock"}
        expected |= {f"preprocessed/PH{number:04d}.safetensors" for number in range(1, CASES + 1)}
        for fold in (0, 1):
            expected |= {
                f"folds/{fold}/{name}"
                for name in weights | {"log.jsonl", "scores.csv", "fold.json", "learning_curve.png"}
            }
            expected |= {f"model/fold_{fold}/{name}" for name in weights}
        expected |= {f"model/{name}.json" for name in ("model", "plan", "fingerprint")}
        assert expected <= set(story.locked)
        locks = {".lock-shared", "folds/.lock-0", "folds/.lock-1"}
        assert set(story.locked) - expected - locks <= {"model/MODEL_CARD.md"}

    def test_out_of_fold_scores(self, story):
        rows = rows_of(story.workspace / "oof_scores.csv")
        splits = json.loads(story.locked["splits.json"])
        assert list(rows[0]) == ["case", "fold", "label", "dls", "dls_raw", *SEQUENCES, "present", "rois"]
        assert [row["case"] for row in rows] == [f"PH{number:04d}" for number in range(1, CASES + 1)]
        for row in rows:
            assert row["case"] in splits["folds"][int(row["fold"])]["validation"]
            assert 0 < float(row["dls"]) < 1 and row["rois"] == "manual" and row["present"] == " ".join(SEQUENCES)

    def test_the_log_is_one_json_object_an_epoch(self, story):
        lines = [json.loads(line) for line in (story.workspace / "folds/0/log.jsonl").read_text().splitlines()]
        lines = [line for line in lines if "epoch" in line]
        assert [line["stage"] for line in lines] == [*SEQUENCES, "fusion", "fusion"]

    def test_one_fold_alone_answers_in_json(self, story):
        assert json.loads(story.answers["fold 0"].out)["fold"] == 0
        assert "train fold all" in story.answers["fold 1"].out

    def test_the_record_of_the_model(self, story):
        record = json.loads(story.locked["model/model.json"])
        assert record["folds"] == 2 and record["training_cases"] == CASES and 0 < record["cutoff"] < 1
        assert record["oof_scores_sha256"] == sha256_of_file(story.workspace / "oof_scores.csv")
        assert f"cut-off {record['cutoff']:.3f}" in " ".join(story.answers["fold all"].out.split())

    def test_run_again_nothing_is_done_again(self, story):
        start = time.monotonic()
        before = {path: path.stat().st_mtime_ns for path in story.workspace.glob("folds/*/*")}
        before |= {path: path.stat().st_mtime_ns for path in story.workspace.glob("preprocessed/*")}
        assert story.run("train", "fold", "all").status == 0
        assert {path: path.stat().st_mtime_ns for path in before} == before
        after = snapshot(story.workspace)
        assert {name: after[name] for name in story.locked} == story.locked
        assert time.monotonic() - start < 30


class TestEvaluate:
    def test_json_alone_on_stdout(self, story):
        rows = json.loads(story.answers["evaluate"].out)
        assert {row["row"] for row in rows} == {"dls", *SEQUENCES, "mean of sequences"}
        assert len({row["cohort"] for row in rows}) >= 2
        assert {row["n"] for row in rows} == {CASES, EXTERNAL}

    def test_metrics_of_all_cohorts(self, story):
        metrics = json.loads((story.workspace / "results" / "metrics.json").read_text())
        assert sorted(cohort["n"] for cohort in metrics["cohorts"].values()) == [EXTERNAL, CASES]
        record = json.loads(story.locked["model/model.json"])
        for cohort in metrics["cohorts"].values():
            assert cohort["scores"]["dls"]["cutoff"]["value"] == record["cutoff"]

    def test_leaves_the_model_alone(self, story):
        after = snapshot(story.workspace)
        assert {name: after[name] for name in story.locked if name.startswith("model/")} == {
            name: content for name, content in story.locked.items() if name.startswith("model/")
        }

    @pytest.mark.parametrize(
        ("name", "change", "part"),
        [
            ("autodls/model/model.json", lambda path: edit_json(path, cutoff=0.123), "altered since"),
            (
                "autodls/oof_scores.csv",
                lambda path: path.write_text(path.read_text().replace("0.", "0.1", 1)),
                "not the scores",
            ),
            ("autodls/oof_scores.csv", lambda path: path.unlink(), "oof_scores.csv"),
            ("clinical.csv", lambda path: path.write_text(path.read_text().replace("\nPH0001,", "\nPH0077,")), "PH00"),
        ],
        ids=["cut-off edited", "scores edited", "scores removed", "case renamed"],
    )
    def test_refuses_what_was_not_locked(self, story, tmp_path, name, change, part):
        changed = link_tree(story.dataset, story.dataset.parent / tmp_path.name)
        for path in (changed / name, changed / "clinical.csv"):  # a link would change the story itself
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(content)
        change(changed / name)
        answer = autodls("evaluate", "-d", changed)
        assert answer.status == 2 and part in answer.complaint


class TestPredictElsewhere:
    def test_one_bad_case_shows_in_the_status(self, predicted):
        answer = predicted["out"]
        assert answer.status == 1 and "3 cases scored, 1 not scored" in answer.out
        assert "not scored: case EX0009: no ROI file EX0009.nii.gz" in answer.err

    def test_a_model_that_has_learnt_nothing_says_so_whoever_asks_it(self, story, predicted):
        """One epoch on a handful of phantoms."""
        cautions = json.loads(story.locked["model/model.json"])["cautions"]
        assert cautions[0].endswith("not shown to be better than a guess")
        for caution in cautions:
            for name, answer in {"train": story.answers["fold all"], **predicted}.items():
                assert f"warning: {caution}" in answer.err, name

    def test_scores_csv(self, story, predicted):
        *rows, failed = rows_of(story.clinic / "out" / "scores.csv")
        columns = ["case", "dls", "call", "cutoff", "spread", *SEQUENCES, "present", "rois", "flags", "failed"]
        assert list(rows[0])[: len(columns)] == columns
        assert {name for name, cell in failed.items() if cell} == {"case", "failed"}
        assert failed["case"] == "EX0009" and failed["failed"].startswith("no ROI file EX0009.nii.gz in the folder")
        record = json.loads(story.locked["model/model.json"])
        for row in rows:
            assert float(row["cutoff"]) == record["cutoff"] and row["rois"] == "manual"
            assert row["call"] == ("high" if float(row["dls"]) >= record["cutoff"] else "low")
        own, of_model = ((), ("scored without T2WI",), ()), record["cautions"]
        assert [row["flags"] for row in rows] == ["; ".join((*flags, *of_model)) for flags in own]
        assert rows[1]["present"] == "CE-T1WI" and rows[1]["T2WI"] == ""

    def test_predict_json(self, story, predicted):
        written = json.loads((story.clinic / "out" / "predict.json").read_text())
        assert written["model_sha256"] == sha256_of_file(story.workspace / "model" / "model.json")
        roi = sha256_of_file(story.clinic / "rois" / "EX0001.nii.gz")
        assert written["inputs"]["EX0001"]["roi"] == roi and written["failed"][0]["case"] == "EX0009"

    def test_twice_gives_the_same_bytes(self, story, predicted):
        assert predicted["again"].status == 1
        assert snapshot(story.clinic / "out") == snapshot(story.clinic / "again")

    def test_as_evaluate_scored_them(self, story, predicted):
        """The same images, the same model: the same scores, whichever command made them."""
        tables = list((story.workspace / "results" / "scores").glob("*.csv"))
        held_out = {row["case"]: row["dls"] for path in tables for row in rows_of(path)}
        for row in rows_of(story.clinic / "out" / "scores.csv")[:3]:
            assert (held_out[row["case"]] == row["dls"]) == ("scored without" not in row["flags"])


@pytest.mark.slow
def test_restart_trains_anew_to_the_same_bytes(story, tmp_path):
    workspace = link_tree(story.workspace, story.dataset.parent / tmp_path.name)
    before = {path.name: sha256_of_file(path) for path in (workspace / "folds" / "0").glob("*.safetensors")}
    for path in (workspace / "folds" / "0").iterdir():
        os.utime(path, ns=(0, 0))
    answer = story.run("train", "fold", "0", "--restart", "-w", workspace)
    assert answer.status == 0 and not (workspace / "model").exists()
    after = {path.name: sha256_of_file(path) for path in (workspace / "folds" / "0").glob("*.safetensors")}
    assert after == before
    assert all(path.stat().st_mtime_ns > 0 for path in (workspace / "folds" / "0").iterdir())
