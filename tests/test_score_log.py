"""Finished scores as they come, and volumes read by several processes: the same bytes, whoever dies on the way."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import killed_lives
import pytest
from command_line import autodls, snapshot
from planning_records import blank_fingerprint
from tiny_model_folder import SEQUENCES, small_volume_plan, write_model_folder
from tiny_models import tiny_model

from autodls.analysis import tumour_volumes
from autodls.errors import AutoDLSError
from autodls.inference import predict as predict_module
from autodls.inference import prepare
from autodls.inference.heldout import score_held_out, write_held_out
from autodls.inference.inputs import Beforehand, list_inputs
from autodls.inference.predict import predict_cases
from autodls.inference.prepare import explained_samples
from autodls.inference.rois import RoiSource, UsedRoi
from autodls.inference.score_log import ScoreLog
from autodls.parallel import no_advance
from autodls.records.cohort import read_cohort
from autodls.records.files import sha256_of_file
from autodls.records.roi_labels import AUTOMATIC_LABELS
from autodls.records.workspace import finished_rows

CASES = 5


@pytest.fixture(scope="module")
def model():
    return replace(tiny_model(small_volume_plan()), fingerprint=blank_fingerprint(*SEQUENCES))


@pytest.fixture
def study(tmp_path, make_dataset):
    """Five cases; the second lacks T2WI, and the fourth its ROI."""
    folder = make_dataset(tmp_path / "study", training=CASES, held_out=0, missing=(("case_01", "T2WI"),))
    (folder / "labelsTr" / "case_03.nii.gz").unlink()
    return folder


@pytest.fixture
def scored(monkeypatch):
    """The ids of the cases that networks score, in turn."""
    names, score = [], predict_module.score_samples

    def watched(model, samples):
        names.extend(sample.case for sample in samples)
        return score(model, samples)

    monkeypatch.setattr(predict_module, "score_samples", watched)
    return names


def inputs_of(model, study):
    return list_inputs(study / "imagesTr", study / "labelsTr", model.record)


def run(model, study, log=None, workers=1, rois=None):
    return predict_cases(model, inputs_of(model, study), rois or RoiSource(model.record), no_advance, workers, log)


class TestWorkers:
    @pytest.fixture(autouse=True)
    def _even_for_few_cases(self, monkeypatch):
        monkeypatch.setattr(prepare, "_FEW_CASES", 1)
        monkeypatch.setattr(prepare, "BLOCK_CASES", 2)

    def test_give_the_same_bytes_and_report_the_same_failures(self, model, study):
        one, two = (run(model, study, workers=workers) for workers in (1, 2))
        assert one.to_bytes() == two.to_bytes()
        assert [failure.case for failure in two.failed] == ["case_03"]

    def test_read_with_rois_that_this_process_draws(self, model, study, tmp_path):
        drawn = []

        def draw(case):
            drawn.append(case.id)
            return UsedRoi(study / "labelsTr" / f"{case.id}.nii.gz", AUTOMATIC_LABELS, "auto", ("drawn here",))

        found = run(model, study, workers=2, rois=RoiSource(model.record, draw, lambda case: tmp_path / case))
        assert drawn == [f"case_{number:02d}" for number in range(CASES)]
        assert all("drawn here" in score.flags for score in found.cases)
        assert [score.dls for score in found.cases] == [score.dls for score in run(model, study).cases]

    def test_give_the_samples_to_explain_in_the_order_of_cases(self, model, study):
        cases = inputs_of(model, study)
        one, two = (
            list(explained_samples(cases, frozenset((1,)), model.plan.preprocessing, workers)) for workers in (1, 2)
        )
        assert [getattr(sample, "case", None) for sample in two] == ["case_00", "case_01", "case_02", None, "case_04"]
        assert two[3] == one[3] == "case case_03: no ROI, so there are no planes to explain; draw it"
        assert [sample.key for sample in two if not isinstance(sample, str)] == [
            sample.key for sample in one if not isinstance(sample, str)
        ]

    def test_measure_the_same_tumour_volumes_once(self, study, tmp_path, monkeypatch):
        monkeypatch.setattr(tumour_volumes, "_FEW_CASES", 1)
        cases = [case for case in read_cohort(study).cases if case.roi is not None]
        found = [
            tumour_volumes.tumour_volumes(cases, frozenset((1,)), tmp_path / f"{workers}.csv", workers=workers)
            for workers in (1, 2)
        ]
        assert found[0] == found[1] and len(found[0]) == CASES - 1
        assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
        monkeypatch.setattr(tumour_volumes, "read_roi", lambda *_: pytest.fail("an ROI was measured again"))
        assert tumour_volumes.tumour_volumes(cases, frozenset((1,)), tmp_path / "1.csv") == found[0]

    def test_one_that_is_killed_is_one_line(self, model, study, monkeypatch):
        monkeypatch.setattr(prepare, "_prepare", killed_lives.die)
        with pytest.raises(AutoDLSError, match=r"^one of 2 worker processes was killed.*run with fewer workers$"):
            run(model, study, workers=2)


def test_for_few_cases_no_process_is_started(model, study, monkeypatch):
    monkeypatch.setattr("autodls.parallel.worker_processes", lambda _workers: pytest.fail("a process was started"))
    assert len(run(model, study, workers=8).cases) == CASES - 1


CHANGES = {
    "an image": lambda folder: shutil.copyfile(
        folder / "imagesTr" / "case_04_0000.nii.gz", folder / "imagesTr" / "case_00_0000.nii.gz"
    ),
    "an image more": lambda folder: shutil.copyfile(
        folder / "imagesTr" / "case_00_0000.nii.gz", folder / "imagesTr" / "case_01_0001.nii.gz"
    ),
    "an image less": lambda folder: (folder / "imagesTr" / "case_02_0001.nii.gz").unlink(),
    "an ROI": lambda folder: shutil.copyfile(
        folder / "labelsTr" / "case_04.nii.gz", folder / "labelsTr" / "case_00.nii.gz"
    ),
    "a file that is not read": lambda folder: (folder / "imagesTr" / "case_00_0007.nii.gz").write_bytes(b""),
}  # fmt: skip


class TestLog:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "out" / "predict.partial.jsonl"

    def continued(self, model, study, path, scored):
        """Cases that a second run scores anew; its prediction is that of an uninterrupted one."""
        del scored[:]
        found = run(model, study, ScoreLog(path, model))
        anew = list(scored)
        assert found == run(model, study)
        return anew

    def test_what_is_finished_is_not_scored_again(self, model, study, path, scored):
        run(model, study, ScoreLog(path, model))
        lines = path.read_bytes().splitlines(keepends=True)
        assert [json.loads(line)["score"]["case"] for line in lines] == ["case_00", "case_01", "case_02", "case_04"]
        path.write_bytes(b"".join(lines[:2]))
        assert self.continued(model, study, path, scored) == ["case_02", "case_04"]

    def test_a_line_that_was_cut_short_is_dropped(self, model, study, path, scored):
        run(model, study, ScoreLog(path, model))
        path.write_bytes(path.read_bytes()[:-20])
        assert self.continued(model, study, path, scored) == ["case_04"]
        assert self.continued(model, study, path, scored) == []

    @pytest.mark.parametrize("content", [b"", b"\xff\n", b"{}\n[]\n" + b"[" * 100_000 + b"\n", b'{"score": 1}'])
    def test_of_what_is_no_log_nothing_is_kept(self, model, study, path, scored, content):
        path.parent.mkdir()
        path.write_bytes(content)
        assert len(self.continued(model, study, path, scored)) == CASES - 1
        assert len(path.read_bytes().splitlines()) == CASES - 1

    def test_a_link_is_not_written_through(self, model, study, path, tmp_path):
        path.parent.mkdir()
        path.symlink_to(tmp_path / "victim")
        run(model, study, ScoreLog(path, model))
        assert not path.is_symlink() and not (tmp_path / "victim").exists()

    @pytest.mark.parametrize("change", CHANGES)
    def test_a_case_of_other_files_is_scored_anew(self, model, study, path, scored, change):
        run(model, study, ScoreLog(path, model))
        CHANGES[change](study)
        assert len(self.continued(model, study, path, scored)) == 1

    def test_a_case_of_which_other_things_are_told_is_scored_anew(self, model, study, path, scored):
        run(model, study, ScoreLog(path, model))
        del scored[:]
        cases = Beforehand(told={"case_01": ("CE-T1WI was compressed with loss (9:1)",)}).of(inputs_of(model, study))
        found = predict_cases(model, cases, RoiSource(model.record), no_advance, 1, ScoreLog(path, model))
        assert scored == ["case_01"]
        assert [one.case for one in found.cases if "CE-T1WI was compressed with loss (9:1)" in one.flags] == scored
        assert self.continued(model, study, path, scored) == ["case_01"]

    def test_an_roi_that_was_missing_is_looked_for_again(self, model, study, path, scored):
        run(model, study, ScoreLog(path, model))
        shutil.copyfile(study / "labelsTr" / "case_02.nii.gz", study / "labelsTr" / "case_03.nii.gz")
        assert self.continued(model, study, path, scored) == ["case_03"]

    @pytest.mark.parametrize("other", [{"sha256": "0" * 64}, {"computed_in": "cuda bfloat16"}])
    def test_scores_of_another_model_or_device_are_taken_out(self, model, study, path, scored, monkeypatch, other):
        run(model, study, ScoreLog(path, model))
        if "sha256" in other:
            model = replace(model, **other)
        else:
            monkeypatch.setattr(type(model), "computed_in", other["computed_in"])
        assert len(self.continued(model, study, path, scored)) == CASES - 1

    def test_an_automatic_roi_must_still_be_the_one_that_was_drawn(self, model, study, path, scored, tmp_path):
        def place(case):
            return tmp_path / f"{case}.nii.gz"

        def draw(case):
            shutil.copyfile(study / "labelsTr" / f"{case.id}.nii.gz", place(case.id))
            return UsedRoi(place(case.id), AUTOMATIC_LABELS, "auto", (), None, sha256_of_file(place(case.id)))

        shutil.copyfile(study / "labelsTr" / "case_02.nii.gz", study / "labelsTr" / "case_03.nii.gz")
        source = RoiSource(model.record, draw, place)
        first = run(model, study, ScoreLog(path, model), rois=source)
        shutil.copyfile(place("case_00"), place("case_01"))
        place("case_02").unlink()
        del scored[:]
        assert run(model, study, ScoreLog(path, model), rois=source) == first
        assert scored == ["case_01", "case_02"]
        del scored[:]
        run(model, study, ScoreLog(path, model))
        assert len(scored) == CASES, "automatic and manual ROIs are not the same, byte for byte or not"


KILLED = """
import os, signal, sys
from autodls.inference import predict, prepare
from autodls.cli.app import main

prepare.BLOCK_CASES = 2
score, blocks = predict.score_samples, []

def dying(model, samples):
    blocks.append(samples)
    if len(blocks) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(model, samples)

predict.score_samples = dying
main()
"""


def test_a_killed_predict_continues_to_the_same_bytes(tmp_path, make_dataset, model, scored):
    study = make_dataset(tmp_path / "study", training=6, held_out=0)
    write_model_folder(tmp_path / "model", model)
    words = ("predict", "-i", study / "imagesTr", "--rois", study / "labelsTr", "-m", tmp_path / "model", "-o")
    assert autodls(*words, tmp_path / "whole").status == 0
    command = [sys.executable, "-c", KILLED, *map(str, words), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predict.partial.jsonl"]
    del scored[:]
    assert autodls(*words, tmp_path / "out").status == 0
    assert scored == ["case_04", "case_05"]
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")


def test_held_out_cases_that_a_stopped_run_finished_are_not_scored_again(
    tmp_path, make_dataset, model, scored, monkeypatch
):
    cases = read_cohort(make_dataset(tmp_path / "study", training=2, held_out=3)).held_out["external"]
    monkeypatch.setattr(prepare, "BLOCK_CASES", 1)

    def score(record, advance=no_advance):
        return score_held_out(model.record, lambda: (model, RoiSource(model.record)), cases, record, advance)

    def stop_at(case):
        if case == "case_03":
            raise KeyboardInterrupt

    record = tmp_path / "scores" / "external.json"
    with pytest.raises(KeyboardInterrupt):
        score(record, stop_at)
    del scored[:]
    found = score(record)
    assert scored == ["case_04"] and found == score(tmp_path / "whole.json")
    assert finished_rows(record).exists()
    write_held_out(record.with_suffix(".csv"), record, found, model.plan.sequences)
    assert {path.name for path in record.parent.iterdir()} == {"external.csv", "external.json"}
