"""What a person types and is told: help, usage, new cases, other people's tables."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
from command_line import autodls, edit_json, edit_text
from tiny_model_folder import write_model_folder

from autodls import __version__
from autodls.cli.app import app
from autodls.records.lock import locked_output

COMMANDS = ("check", "plan", "preprocess", "train", "predict", "evaluate", "demo")
HEAVY = (
    "lifelines", "matplotlib", "monai", "numpy", "pandas", "pydantic", "pydicom", "scipy", "SimpleITK", "sklearn",
    "torch",
)  # fmt: skip


class TestHelp:
    def test_imports_nothing_heavy(self):
        program = (
            "import sys; sys.argv = ['autodls', '--help']\n"
            "from autodls.cli.app import main\n"
            "try: main()\n"
            "except SystemExit: print('MODULES', *sorted(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        modules = {name.partition(".")[0] for name in done.stdout.partition("MODULES")[2].split()}
        assert "typer" in modules and modules.isdisjoint(HEAVY)

    @pytest.mark.parametrize("asked", [None, "2"])
    def test_a_process_of_ours_starts_no_threads_that_it_has_no_use_for(self, asked):
        program = (
            "import sys; sys.argv = ['autodls', '--help']\n"
            "from autodls.cli.app import main\n"
            "try: main()\n"
            "except SystemExit: import threadpoolctl, numpy; info = threadpoolctl.threadpool_info()\n"
            "print('FOUND', info[0]['internal_api'], info[0]['num_threads'])"
        )
        environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
        environment |= {"OPENBLAS_NUM_THREADS": asked} if asked else {}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        )
        api, threads = done.stdout.partition("FOUND")[2].split()
        if api != "openblas":
            pytest.skip(f"NumPy comes with {api} here")
        assert int(threads) == min(int(asked or 1), os.cpu_count())

    def test_answers_at_once(self):
        """The aim is 0.3 s; a loaded machine is given more."""
        took = []
        for _ in range(3):
            start = time.monotonic()
            subprocess.run([sys.executable, "-m", "autodls", "--help"], capture_output=True, check=True)
            took.append(time.monotonic() - start)
        assert min(took) < 1.0

    def test_lists_every_command(self):
        answer = autodls("--help")
        assert answer.status == 0 and answer.err == ""
        assert all(re.search(rf"^\s+{name}\s", answer.out, re.MULTILINE) for name in COMMANDS)

    @pytest.mark.parametrize(
        "words",
        [
            *((command.name or command.callback.__name__,) for command in app.registered_commands),
            ("train",),
            ("train", "fold"),
        ],
        ids=" ".join,
    )
    def test_of_every_command(self, words):
        answer = autodls(*words, "--help")
        assert answer.status == 0 and answer.err == "" and "--help" in answer.out

    def test_every_command_on_a_dataset_takes_a_workspace(self):
        taken = {c.callback.__name__: inspect.signature(c.callback).parameters for c in app.registered_commands}
        assert {name for name, options in taken.items() if "workspace" not in options} == {
            "verify", "demo", "import_", "update", "export", "init", "sign"
        }  # fmt: skip

    def test_says_what_all_means(self):
        answer = autodls("train", "fold", "--help")
        assert "here it means all folds" in " ".join(answer.out.split())

    def test_version(self):
        assert autodls("--version").out == f"autodls {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        "",
        "nonsense",
        "train",
        "train fold",
        "train 0",
        "train fold -1",
        "train fold all --rois mine",
        "check --workers 0",
        "check --workers many",
        "check extra",
        "plan --memory-gib much",
        "plan --device tpu",
        "plan --no-such-option",
        "predict",
        "predict -i in",
        "predict -o out",
        "evaluate --landmark soon",
        "demo --cases few",
    ],
)
def test_usage_errors_leave_by_2(words):
    answer = autodls(*words.split())
    assert answer.status == 2 and "Traceback" not in answer.err


@pytest.mark.parametrize("words", ["train all", "train 0", "segment all"])
def test_who_forgets_fold_is_told(words):
    group, which = words.split()
    answer = autodls(group, which)
    assert answer.status == 2 and f"Did you mean 'autodls {group} fold {which}'?" in answer.err


@pytest.fixture
def model(tmp_path):
    write_model_folder(tmp_path / "model")
    return tmp_path / "model"


def remove(model, name):
    (model / name).unlink()


def flip_a_byte(model, name):
    content = bytearray((model / name).read_bytes())
    content[-1] ^= 1
    (model / name).write_bytes(bytes(content))


def link(model, name):
    shutil.move(model / name, model.parent / "elsewhere")
    (model / name).symlink_to(model.parent / "elsewhere")


MODEL_MISTAKES = {
    "missing": (shutil.rmtree, "no such model folder"),
    "no record": (lambda m: remove(m, "model.json"), "model.json: no such file"),
    "cut-off edited": (lambda m: edit_json(m / "model.json", cutoff=0.01), "altered since the model was locked"),
    "record broken": (lambda m: edit_text(m / "model.json", "{", ""), "not valid JSON"),
    "another version": (lambda m: edit_json(m / "model.json", format="autodls-model/2"), "format"),
    "weights altered": (lambda m: flip_a_byte(m, "fold_1/T2WI.safetensors"), "T2WI.safetensors: altered"),
    "weights missing": (lambda m: remove(m, "fold_0/fusion.safetensors"), "fusion.safetensors: missing"),
    "weights a link": (lambda m: link(m, "fold_0/T2WI.safetensors"), "not a plain file"),
    "fold missing": (lambda m: shutil.rmtree(m / "fold_1"), "fold_1"),
    "plan edited": (lambda m: edit_json(m / "plan.json", preprocessing__crop_mm=99.0), "plan.json: altered"),
    "plan missing": (lambda m: remove(m, "plan.json"), "plan.json: no such file"),
}


class TestPredict:
    def predict(self, study, model, **changes):
        options = {"-i": study / "imagesTr", "-o": study / "out", "--rois": study / "labelsTr", "-m": model}
        chosen = {name: value for name, value in (options | changes).items() if value is not None}
        return autodls("predict", *[word for pair in chosen.items() for word in pair])

    @pytest.fixture
    def few(self, tmp_path, make_dataset):
        return make_dataset(tmp_path / "few", training=2, held_out=0)

    @pytest.mark.parametrize(("damage", "part"), MODEL_MISTAKES.values(), ids=MODEL_MISTAKES)
    def test_with_a_model_that_cannot_be_used(self, few, model, damage, part):
        damage(model)
        answer = self.predict(few, model)
        assert answer.status == 2 and part in answer.complaint and not (few / "out").exists()

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"--rois": None}, "--rois is missing"),
            ({"--rois": "nowhere"}, "nowhere: no such folder"),
            ({"-i": "nowhere"}, "nowhere: no such folder"),
            ({"-i": __file__}, "no such folder"),
            ({"-o": __file__}, "is a file; give a folder"),
            ({"-o": f"{__file__}/out"}, "is a file, not a folder; give a folder"),
            ({"-o": "imagesTr"}, "the images or ROIs are read from there"),
            ({"-o": "labelsTr/../labelsTr"}, "the images or ROIs are read from there"),
            ({"-o": "../model"}, "lies in a locked model"),
            ({"-o": "../model/fold_0"}, "lies in a locked model"),
            ({"-o": "autodls"}, "is the workspace of a study"),
            ({"-o": "../other"}, "is the workspace of a study"),
            ({"-m": None}, "no such model folder"),
            ({"-m": __file__}, "no such model folder"),
        ],
    )
    def test_with_wrong_options(self, few, model, changes, part, monkeypatch):
        for workspace in (few / "autodls", few.parent / "other"):
            workspace.mkdir()
            shutil.copyfile(model / "plan.json", workspace / "plan.json")
        before = sorted(few.parent.rglob("*"))
        monkeypatch.chdir(few)
        answer = self.predict(few, model, **changes)
        assert answer.status == 2 and part in answer.complaint
        assert sorted(few.parent.rglob("*")) == before

    def test_without_images_of_the_model(self, few, model):
        answer = self.predict(few, model, **{"-i": few / "labelsTr"})
        assert answer.status == 2 and "no file named CASE_0000.nii.gz" in answer.complaint

    def test_a_table_and_where_it_lies(self, few, model):
        answer = self.predict(few, model)
        assert answer.status == 0 and "case_00" in answer.out and str(few / "out" / "scores.csv") in answer.out

    def test_json_is_the_file(self, few, model):
        answer = self.predict(few, model, **{"--json": None})
        options = ("-i", few / "imagesTr", "-o", few / "json", "--rois", few / "labelsTr", "-m", model, "--json")
        answer = autodls("predict", *options)
        assert json.loads(answer.out) == json.loads((few / "json" / "predict.json").read_text())

    def test_a_bad_case_shows_in_the_status(self, few, model):
        (few / "labelsTr" / "case_01.nii.gz").unlink()
        answer = self.predict(few, model)
        assert answer.status == 1 and "1 case scored, 1 not scored" in answer.out
        assert [line for line in answer.err.splitlines() if line.startswith("not scored: case case_01: no ROI file")]

    def test_every_file_that_is_not_read_is_named(self, few, model):
        for name in ("notes.txt", "case_07_0000.nii", "case_00_0002.nii.gz"):
            (few / "imagesTr" / name).write_bytes(b"")
        answer = self.predict(few, model)
        told = [line.split(":")[1].strip() for line in answer.err.splitlines() if line.startswith("not used: ")]
        assert answer.status == 1 and told == ["case_00_0002.nii.gz", "case_07_0000.nii", "notes.txt"]
        flags = [row["flags"] for row in json.loads((few / "out" / "predict.json").read_text())["cases"]]
        assert "not used" in "".join(flags[0]) and "not used" not in "".join(flags[1])


class TestEvaluateAnyTable:
    @pytest.fixture
    def scores(self, tmp_path):
        path = tmp_path / "scores.csv"
        rows = [f"{index % 2},{0.1 + 0.08 * (index % 11):.2f},{index + 1},{index % 3 == 0:d},a" for index in range(24)]
        path.write_text("\n".join(["y,dls,months,event,site", *rows]) + "\n")
        return path

    def test_json_alone_on_stdout(self, scores):
        answer = autodls("evaluate", "--scores", scores, "--label", "y", "--score", "dls", "--json")
        assert answer.status == 0 and json.loads(answer.out)["cohorts"]["all"]["n"] == 24

    def test_writes_metrics(self, scores, tmp_path):
        words = ("--label", "y", "--score", "dls", "--time", "months", "--event", "event", "--landmark", 6)
        answer = autodls("evaluate", "--scores", scores, *words, "-o", tmp_path / "out")
        written = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert answer.status == 0 and written["cohorts"]["all"]["landmark"]["time"] == 6
        assert "dls" in answer.out and "metrics.json" in answer.out

    def test_waits_for_no_other_process(self, scores, tmp_path):
        words = ("evaluate", "--scores", scores, "--label", "y", "--score", "dls", "-o", tmp_path / "out")
        with locked_output(tmp_path / "out"):
            answer = autodls(*words)
            assert answer.status == 1 and "another autodls process is writing this folder" in answer.complaint
        (tmp_path / "out").write_text("a file")
        assert autodls(*words).status == 2

    @pytest.mark.parametrize(
        ("words", "part"),
        [
            ("--label y -o out", "--score is missing"),
            ("--score dls -o out", "--label is missing"),
            ("--label y --score dls", "-o is missing"),
            ("--label y --score DLS -o out", "no column 'DLS'"),
            ("--label z --score dls -o out", "no column 'z'"),
            ("--label y --score dls --cohort c -o out", "no column 'c'"),
            ("--label y --score dls --score dls -o out", "named twice"),
            ("--label dls --score y -o out", "is not 0 or 1"),
            ("--label y --score site -o out", "is not a finite number"),
            ("--label y --score dls --cutoff dls -o out", "--cutoff dls: expected COL=VALUE"),
            ("--label y --score dls --cutoff dls=high -o out", "not a finite number"),
            ("--label y --score dls --cutoff-from nobody -o out", "nobody"),
            ("--label y --score dls --time months -o out", "--time"),
            ("--label y --score dls -o scores.csv/out", "scores.csv is a file"),
            ("--label y --score dls --landmark -3 --time months --event event -o out", "landmark"),
        ],
    )
    def test_mistakes(self, scores, words, part, monkeypatch):
        monkeypatch.chdir(scores.parent)
        answer = autodls("evaluate", "--scores", scores, *words.split())
        assert answer.status == 2 and part in answer.complaint
        assert not (scores.parent / "out").exists()

    @pytest.mark.parametrize("words", ["--label y --score dls -o out", "--landmark 0", "--cutoff dls=1", "-o out"])
    def test_options_of_a_table_without_one(self, tmp_path, words, monkeypatch):
        monkeypatch.chdir(tmp_path)
        complaint = autodls("evaluate", *words.split()).complaint
        assert words.split()[-2] in complaint and "name it with --scores FILE" in complaint

    @pytest.mark.parametrize("content", [None, "", "y,dls\n", "y,dls\n1\n"], ids=["none", "empty", "header", "ragged"])
    def test_tables_that_are_none(self, tmp_path, content):
        path = tmp_path / "scores.csv"
        if content is not None:
            path.write_text(content)
        answer = autodls("evaluate", "--scores", path, "--label", "y", "--score", "dls", "--json")
        assert answer.status == 2 and "scores.csv" in answer.complaint and answer.out == ""


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--cases", "-5"), "cases"),
        (("--cases", "100000"), "cases"),
        (("--difficulty", "7"), "difficulty"),
    ],
)
def test_a_demo_that_cannot_be(tmp_path, words, part):
    answer = autodls("demo", tmp_path / "demo", *words)
    assert answer.status == 2 and part in answer.complaint and not (tmp_path / "demo").exists()


def test_a_demo_overwrites_nothing(tmp_path):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.txt").write_text("")
    answer = autodls("demo", tmp_path)
    assert answer.status == 2 and "nothing is overwritten" in answer.complaint
