"""Nothing that we did not write is replaced, and a result folder is of one run: whole or not there."""

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from command_line import autodls, edit_text, snapshot
from tiny_model_folder import small_volume_plan, write_model_folder
from tiny_models import tiny_model, tiny_plan
from tiny_workspace import tiny_workspace

from autodls.errors import ArgumentError, AutoDLSError
from autodls.records.files import write_atomically, write_text
from autodls.records.heatmap_folder import HeatmapFolder
from autodls.records.lock import locked, locked_output
from autodls.records.provenance import record_run
from autodls.records.results_folder import UNFINISHED, ResultsFolder, clear_unfinished, renewed
from autodls.records.workspace import Workspace, safe_name
from autodls.report.html import document as html
from autodls.stages.replan import throw_away


@pytest.fixture(scope="module")
def places(tmp_path_factory, make_dataset):
    """A dataset with an evaluated workspace in it, a model beside it, and a person's folder."""
    root = tmp_path_factory.mktemp("places")
    dataset = make_dataset(root / "data", training=8, held_out=2)
    tiny_workspace(dataset, dataset / "autodls")
    assert autodls("evaluate", "-d", dataset, "--workers", 1).status == 0
    write_model_folder(root / "model", tiny_model(small_volume_plan()))
    write_text(root / "person" / "notes.txt", "mine")
    write_text(root / "person" / "rois" / "case_00.nii.gz", "drawn by hand")
    write_text(root / "table" / "scores.csv", "y,dls\n" + "".join(f"{n % 2},0.{n}{n % 3}\n" for n in range(1, 9)))
    return root


FOLDERS = (
    "data", "data/imagesTr", "data/imagesTr/new", "data/labelsTr", "data/labelsTr/new", "data/autodls",
    "data/autodls/new", "data/autodls/results", "data/autodls/folds/0", "data/autodls/model", "model", "model/new",
    "person", "person/rois", "table",
)  # fmt: skip
FILES = (
    "data/clinical.csv", "data/dataset.json", "data/imagesTr/case_00_0000.nii.gz", "data/labelsTr/case_00.nii.gz",
    "data/autodls/plan.json", "data/autodls/oof_scores.csv", "data/autodls/results/metrics.json", "model/model.json",
    "person/notes.txt", "table/scores.csv",
)  # fmt: skip


COMMANDS = {
    "predict": lambda root: (
        "predict", "-i", root / "data/imagesTr", "--rois", root / "data/labelsTr", "-m", root / "model", "-o",
    ),
    "evaluate": lambda root: (
        "evaluate", "--scores", root / "table/scores.csv", "--label", "y", "--score", "dls", "-o",
    ),
    "report": lambda root: ("report", "-d", root / "data", "-o"),
    "export": lambda root: (
        "export", "-m", root / "model", "-i", root / "data/imagesTr", "--rois", root / "data/labelsTr", "-o",
    ),
    "plan": lambda root: ("plan", "-d", root / "data", "-w"),
    "init": lambda root: (
        "init", root / "data/imagesTr", "--table", root / "data/clinical.csv", "--outcome", "cps",
        "--positive", ">= 20", "--yes", "-o",
    ),
}  # fmt: skip


class TestEveryOutputAgainstEveryInputPlace:
    """Every command that takes a place for results, against every place that something is read from, twice."""

    @pytest.mark.parametrize("more", [(), ("--overwrite",)], ids=["", "--overwrite"])
    @pytest.mark.parametrize("command", COMMANDS)
    def test_is_refused_and_changes_nothing(self, places, command, more):
        words = COMMANDS[command](places)
        own = {"plan": ("data/autodls", "data/autodls/new", "data/autodls/results")}.get(command, ())
        targets = [*(name for name in FOLDERS if name not in own), *FILES]
        if command == "report":
            targets += ["data/imagesTr/new.html", "data/labelsTr/r.html", "model/r.html", "person/page.html"]
            write_text(places / "person" / "page.html", "<html>mine</html>")
        if command == "plan":
            targets = [name for name in targets if "folds" not in name]
        before = snapshot(places)
        for target in targets:
            answer = autodls(*words, places / target, *(more if command not in ("plan", "export") else ()))
            assert answer.status == 2 and answer.complaint, f"{target}: {answer}"
            assert snapshot(places) == before, f"{command} into {target} changed something"


class TestOfOtherCommands:
    """What the fuzzer found: places that are no `-o`."""

    WORKSPACE = (
        "train fold 0", "preprocess", "evaluate", "explain", "report", "benchmark rois", "segment fold 0", "run",
    )  # fmt: skip

    @pytest.mark.parametrize("command", WORKSPACE)
    @pytest.mark.parametrize("target", ["model", "person", "data/imagesTr", "round"])
    def test_no_workspace_comes_into_being_where_something_else_lies(self, places, tmp_path, command, target):
        root = shutil.copytree(places, tmp_path / "places")
        (root / "round").symlink_to("round")
        before = snapshot(root)
        answer = autodls(*command.split(), "-d", root / "data", "-w", root / target)
        assert answer.status == 2 and answer.complaint and snapshot(root) == before

    @pytest.mark.parametrize(
        "target", ["data/imagesTr", "data/labelsTr/new", "model", "model/fold_0", "person/notes.txt"]
    )
    def test_the_demo_is_not_written_among_inputs(self, places, target):
        before = snapshot(places)
        answer = autodls("demo", places / target, "--cases", 4)
        assert answer.status == 2 and answer.complaint and snapshot(places) == before

    @pytest.mark.parametrize("command", ["predict", "evaluate", "report", "export", "plan"])
    def test_links_that_lead_in_a_circle(self, places, tmp_path, command):
        for name in ("round", "round.html"):
            (tmp_path / name).symlink_to(name)
        target = tmp_path / ("round.html" if command == "report" else "round")
        answer = autodls(*COMMANDS[command](places), target)
        assert answer.status == 2 and answer.complaint

    @pytest.mark.parametrize("name", ["folds/0/mine.csv", "model/notes/a.txt", "folds/my_link"])
    def test_what_a_person_put_there_is_not_thrown_away(self, places, tmp_path, name):
        workspace = Workspace(shutil.copytree(places / "data" / "autodls", tmp_path / "w"))
        path = workspace.root / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(places) if "link" in name else path.write_text("mine")
        before = snapshot(workspace.root)
        with pytest.raises(ArgumentError, match="AutoDLS did not write it, and --restart would throw it away"):
            throw_away(workspace)
        assert snapshot(workspace.root) == before and os.path.lexists(path)
        path.unlink()
        throw_away(workspace)
        assert not workspace.oof_scores.exists()


def predicting(places, out, case, *more):
    """`predict` of one case; its inputs are linked into a folder of their own."""
    new = out.parent / case
    for folder in ("imagesTr", "labelsTr"):
        (new / folder).mkdir(parents=True, exist_ok=True)
        for path in (places / "data" / folder).glob(f"{case}*"):
            shutil.copy(path, new / folder)
    inputs = ("-i", new / "imagesTr", "--rois", new / "labelsTr", "-m", places / "model")
    return autodls("predict", *inputs, "-o", out, "--workers", 1, *more)


class TestAResultFolderIsOfOneRun:
    def test_what_is_there_needs_overwrite_and_none_of_it_stays(self, places, tmp_path):
        out = tmp_path / "out"
        assert predicting(places, out, "case_00", "--heatmaps").status == 0
        first = snapshot(out)
        refused = predicting(places, out, "case_01")
        assert refused.status == 2 and "--overwrite" in refused.complaint and snapshot(out) == first
        assert predicting(places, out, "case_01", "--overwrite").status == 0
        assert set(snapshot(out)) == {"scores.csv", "predict.json", "provenance.json"}
        assert "case_00" not in (out / "scores.csv").read_text() and not (out / "heatmaps").exists()

    @pytest.mark.parametrize(
        ("meddle", "part"),
        [
            (lambda out: edit_text(out / "scores.csv", "0.", "0.1"), "scores.csv, which was changed after"),
            (lambda out: write_text(out / "rois" / "mine.nii.gz", "x"), "mine.nii.gz, which AutoDLS did not write"),
            (lambda out: (out / "provenance.json").unlink(), "which AutoDLS did not write"),
            (lambda out: (out / "linked").symlink_to("/"), "linked, which is a link"),
        ],
    )
    def test_what_is_not_ours_or_was_changed_is_never_replaced(self, places, tmp_path, meddle, part):
        out = tmp_path / "out"
        assert predicting(places, out, "case_00").status == 0
        meddle(out)
        before = snapshot(out)
        answer = predicting(places, out, "case_01", "--overwrite")
        assert answer.status == 2 and part in answer.complaint and snapshot(out) == before

    def test_a_log_of_a_stopped_run_is_known_and_a_namesake_is_not(self, places, tmp_path):
        write_text(tmp_path / "out" / "predict.partial.jsonl", "my notes")
        answer = predicting(places, tmp_path / "out", "case_00", "--overwrite")
        assert answer.status == 2 and "predict.partial.jsonl" in answer.complaint
        (tmp_path / "out" / "predict.partial.jsonl").write_text('{"vers')
        assert predicting(places, tmp_path / "out", "case_00").status == 0

    def test_a_table_is_judged_once(self, places, tmp_path):
        words = ("evaluate", "--scores", places / "table/scores.csv", "--label", "y", "--score", "dls", "-o", tmp_path)
        assert autodls(*words).status == 0
        assert autodls(*words).status == 2
        assert autodls(*words, "--overwrite").status == 0

    def test_in_a_workspace_its_own_results_are_made_again(self, places, tmp_path):
        """As `make demo` does, the second time."""
        data = shutil.copytree(places / "data", tmp_path / "data")
        for command in ("report", "evaluate", "evaluate", "report"):
            assert autodls(command, "-d", data).status == 0

    def test_a_report_is_replaced_if_it_is_one(self, places, tmp_path):
        words, page = ("report", "-d", places / "data", "-o", tmp_path / "r.html"), tmp_path / "r.html"
        assert autodls(*words).status == 0 and html.is_report(page)
        refused = autodls(*words)
        assert refused.status == 2 and "--overwrite" in refused.complaint
        assert autodls(*words, "--overwrite").status == 0
        page.write_text(page.read_text().replace("</main>", "my remark</main>"))
        changed = autodls(*words, "--overwrite")
        assert changed.status == 2 and "changed after" in changed.complaint and "my remark" in page.read_text()


@contextmanager
def disk_full_at(monkeypatch, number):
    """The `number`-th file that is written finds the disk full; yields a count of those that were written."""
    written = []

    def replace(self, target, _replace=Path.replace):
        if self.name.startswith(".tmp-"):
            written.append(target)
            if len(written) == number:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return _replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        yield written


@pytest.mark.long
class TestDiskFullBetweenAnyTwoFiles:
    def test_of_predict(self, places, tmp_path, monkeypatch):
        """The folder holds the results of the first run, all of them, until it holds those of the second."""
        out = tmp_path / "out"
        assert predicting(places, out, "case_00", "--heatmaps").status == 0
        first, number = snapshot(out), 0
        while True:
            number += 1
            with disk_full_at(monkeypatch, number) as written:
                answer = predicting(places, out, "case_01", "--heatmaps", "--overwrite")
            if len(written) < number:
                break
            assert (answer.status == 1 and "No space left" in answer.complaint) or "space left" in answer.err, answer
            left = {n: c for n, c in snapshot(out).items() if not n.startswith((UNFINISHED, "predict.partial"))}
            assert left == first, f"after {number} files"
        assert number > 6 and answer.status == 0 and not (out / UNFINISHED).exists()
        assert not [name for name in snapshot(out) if "case_00" in name or "partial" in name]

    @pytest.mark.parametrize("number", [1, 2, 5, 9, 14])
    def test_of_evaluate(self, places, tmp_path, monkeypatch, number):
        """Scores of a cohort and metrics, tables and figures are each of one run."""
        shutil.copytree(places / "data", tmp_path / "data")
        workspace = Workspace(tmp_path / "data" / "autodls")
        results = workspace.metrics.parent
        first = {name: content for name, content in snapshot(results).items() if "tumour_volume" not in name}
        shutil.rmtree(results / "scores")  # so that all is made anew
        kept = {name: content for name, content in first.items() if not name.startswith("scores/")}
        with disk_full_at(monkeypatch, number) as written:
            answer = autodls("evaluate", "-d", tmp_path / "data", "--workers", 1)
        assert len(written) >= number and answer.status == 1
        found = snapshot(results)
        assert kept.items() <= found.items() and not [name for name in found if UNFINISHED in name]
        scores = {name for name in found if name.startswith("scores/") and "partial" not in name}
        assert scores in (set(), {"scores/external.csv", "scores/external.json"})


class KilledError(BaseException):
    """As SIGKILL: nobody catches it."""


def kill_after(patch, steps):
    """Let `steps` results be removed or renamed into their places, and no more."""
    done = []

    def strike(do):
        def step(self, *rest, **named):
            if UNFINISHED in str(rest[:1] or self) or ".tmp-" in self.name:
                return do(self, *rest, **named)
            if len(done) == steps:
                raise KilledError
            done.append(self)
            return do(self, *rest, **named)

        return step

    for name in ("unlink", "replace"):
        patch.setattr(Path, name, strike(getattr(Path, name)))


class TestKilledWhileResultsAreExchanged:
    @pytest.fixture
    def out(self, tmp_path):
        folder = ResultsFolder(tmp_path / "out", "scores.csv", overwrite=True)
        self.make(folder, "old", ("scores.csv", "predict.json", "maps/a", "maps/b"))
        return folder

    @staticmethod
    def make(folder, text, names):
        for name in names:
            write_text(folder.unfinished / name, f"{text} {name}")
        files = [folder.unfinished / name for name in names]
        record_run(folder.unfinished / "provenance.json", "predict", ["autodls", "predict"], None, [], files)
        folder.publish([*files, folder.unfinished / "provenance.json"])

    @pytest.mark.parametrize("step", range(1, 9))
    def test_old_or_new_and_never_both(self, out, monkeypatch, step):
        """Five files are removed, and then four are renamed into their places; `step` of these are done."""
        before = snapshot(out.root)
        with monkeypatch.context() as patch, pytest.raises(KilledError):
            kill_after(patch, step)
            self.make(out, "new", ("scores.csv", "maps/b", "maps/c"))
        left = {name: content for name, content in snapshot(out.root).items() if not name.startswith(UNFINISHED)}
        words = {content.split()[0] for name, content in left.items() if name != "provenance.json"}
        assert len(words) <= 1 and left != before
        again = ResultsFolder(out.root, "scores.csv")
        again.require_free()
        clear_unfinished(again)
        self.make(again, "new", ("scores.csv", "maps/b", "maps/c"))
        assert set(snapshot(out.root)) == {"scores.csv", "maps/b", "maps/c", "provenance.json"}

    def test_the_same_command_goes_on(self, out):
        (out.root / "scores.csv").unlink()
        out.unfinished.mkdir()
        self.make(ResultsFolder(out.root, "scores.csv"), "new", ("scores.csv",))
        assert set(snapshot(out.root)) == {"scores.csv", "provenance.json"}

    def test_a_set_in_a_workspace_is_exchanged_as_one(self, tmp_path):
        for name in ("metrics.json", "tables/a.csv", "tables/b.csv"):
            write_text(tmp_path / name, "old")
        with pytest.raises(OSError), renewed(tmp_path, "metrics.json", [tmp_path / "metrics.json"]) as stage:
            write_text(stage / "tables/a.csv", "new")
            raise OSError(errno.ENOSPC, "full")
        assert set(snapshot(tmp_path).values()) == {b"old"}
        with renewed(tmp_path, "metrics.json", [tmp_path / "metrics.json", tmp_path / "tables/b.csv"]) as stage:
            write_text(stage / "tables/a.csv", "new")
            write_text(stage / "metrics.json", "new")
        assert snapshot(tmp_path) == {"metrics.json": b"new", "tables/a.csv": b"new"}

    def test_no_empty_folder_stays_of_an_old_set(self, tmp_path):
        names = ("candidate.json", "model/model.json", "model/nnunet/fold_0/weights")
        for name in names:
            write_text(tmp_path / name, "old")
        with renewed(tmp_path, "candidate.json", [tmp_path / name for name in names]) as stage:
            write_text(stage / "candidate.json", "new")
        assert [path.name for path in tmp_path.rglob("*")] == ["candidate.json"]

    @pytest.mark.parametrize("step", range(8))
    def test_nothing_of_an_old_set_in_a_workspace_stays_beside_the_new(self, tmp_path, monkeypatch, step):
        """Not even what its caller does not name: three files are removed, and three are renamed into their places."""
        names = ("metrics.json", "a.json", "b.csv")
        for name in names:
            write_text(tmp_path / name, "old")
        made = renewed(tmp_path, "metrics.json", [tmp_path / "b.csv"])
        with monkeypatch.context() as patch, suppress(KilledError), made as stage:
            for name in names:
                write_text(stage / name, "new")
            kill_after(patch, step)
        left = {name: content for name, content in snapshot(tmp_path).items() if not name.startswith(UNFINISHED)}
        assert len(set(left.values())) <= 1
        assert ("metrics.json" in left) == (len(left) == 3)


class TestTwoWriters:
    def test_a_lock_that_was_removed_lets_nobody_in(self, tmp_path):
        workspace = Workspace(tmp_path / "w")
        with locked(workspace):
            workspace.lock.unlink()
            with pytest.raises(AutoDLSError, match="another autodls process"):
                locked(workspace).__enter__()

    @pytest.mark.parametrize("hold", [lambda root: locked(Workspace(root)), locked_output], ids=["-w", "-o"])
    def test_a_folder_that_was_exchanged_is_not_written(self, tmp_path, hold):
        folder = tmp_path / "w"
        with pytest.raises(AutoDLSError, match="was removed or exchanged"), hold(folder):
            write_text(folder / "a", "")
            folder.rename(tmp_path / "away")
            folder.mkdir()
            write_text(folder / "b", "")
        assert not (folder / "b").exists()

    def test_nothing_is_renamed_into_a_folder_that_was_exchanged_meanwhile(self, tmp_path):
        folder = tmp_path / "w"

        def exchange(beside):
            beside.write_text("x")
            shutil.copytree(folder, tmp_path / "copy")
            shutil.rmtree(folder)
            (tmp_path / "copy").rename(folder)

        with pytest.raises(AutoDLSError, match="was removed or exchanged"), locked(Workspace(folder)):
            write_atomically(folder / "plan.json", exchange)
        assert not (folder / "plan.json").exists()

    def test_results_wait_for_nobody(self, places, tmp_path):
        (tmp_path / "out").mkdir()
        handle = os.open(tmp_path / "out", os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert predicting(places, tmp_path / "out", "case_00").status == 1
        os.close(handle)


class TestNames:
    def test_heat_maps_of_two_cases_have_two_names(self, places, tmp_path):
        """P1 with post_T1, and P1_post with T1."""
        folder, scores = HeatmapFolder(tmp_path), ("dls", "T1", "post_T1", "post-T1", "post+T1", "_")
        names = [folder.map(case, score) for case in ("P1", "P1_post", "P1_post_post") for score in scores]
        assert len(set(names)) == len(names)
        assert folder.map("P1", "CE-T1WI").name == "P1_CE-T1WI.nii.gz"

    def test_no_cohort_has_the_name_that_another_is_given(self):
        hashed = safe_name("a/b: <c>")
        assert safe_name(hashed) != hashed and safe_name("external") == "external"


def test_scores_of_a_cohort_that_is_no_more_are_removed(places, tmp_path):
    dataset = shutil.copytree(places / "data", tmp_path / "data")
    table, scores = dataset / "clinical.csv", dataset / "autodls" / "results" / "scores"
    write_text(scores / "mine.json", "{}")
    table.write_text(table.read_text().replace("external", "elsewhere"))
    assert autodls("evaluate", "-d", dataset, "--workers", 1).status == 0
    assert {path.name for path in scores.iterdir()} == {"elsewhere.csv", "elsewhere.json", "mine.json"}


def test_sequences_with_an_underscore_are_explained(places, tmp_path, make_dataset):
    """The maps of P1 are its own, whoever lies beside it."""
    names = ("T1", "post_T1")
    data = make_dataset(tmp_path / "d", training=2, held_out=0, sequences=names)
    plan = tiny_plan(names, 64, 72, roi_channel="T1", crop_mm=30.0, registration="geometry")
    write_model_folder(tmp_path / "m", tiny_model(plan))
    for folder in ("imagesTr", "labelsTr"):
        for path in sorted((data / folder).iterdir()):
            path.rename(path.with_name(path.name.replace("case_00", "P1").replace("case_01", "P1_post")))
    words = ("predict", "-i", data / "imagesTr", "--rois", data / "labelsTr", "-m", tmp_path / "m", "--heatmaps")
    assert autodls(*words, "-o", tmp_path / "out", "--workers", 1).status == 0
    maps = sorted(path.name for path in (tmp_path / "out" / "heatmaps").glob("*.nii.gz"))
    assert maps == [
        "P1_T1.nii.gz", "P1_dls.nii.gz", "P1_post=T1.nii.gz", "P1_post_T1.nii.gz", "P1_post_dls.nii.gz",
        "P1_post_post=T1.nii.gz",
    ]  # fmt: skip
