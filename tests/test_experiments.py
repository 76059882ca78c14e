"""Named experiments: side by side in one workspace, with what they have in common made once."""

import json
import shutil

import pytest
from command_line import PRESET, autodls, edit_json, snapshot, write_phantom
from tiny_study import hashes, use_tiny_resnet

from autodls.errors import ArgumentError
from autodls.records.lock import locked
from autodls.records.training_log import log_lines
from autodls.records.workspace import Workspace
from autodls.stages.experiments import experiment_place

pytestmark = pytest.mark.long

LOCK = {".lock"}


@pytest.fixture(scope="module")
def networks():
    with pytest.MonkeyPatch.context() as patch:
        use_tiny_resnet(patch)
        yield


def preset(folder, **given):
    path = folder.parent / f"{'-'.join(given) or 'plain'}.json"
    path.write_text(json.dumps({**PRESET, "given": {**PRESET["given"], **given}}))
    return path


def run(folder, *words):
    answer = autodls(*words, "-d", folder, "--workers", 1)
    assert answer.status == 0, answer.err
    return answer


def planned(folder, name, **given):
    return run(folder, "plan", "--preset", preset(folder, **given), *(("--name", name) if name else ()))


@pytest.fixture(scope="module")
def study(tmp_path_factory, networks):
    """The workspace with a trained model, and an experiment with another fusion, trained after it."""
    folder = write_phantom(tmp_path_factory.mktemp("experiments") / "study", cases=16, external_cases=2)
    planned(folder, None)
    run(folder, "train", "fold", "all")
    before = snapshot(folder / "autodls")
    planned(folder, "wide", **{"training.fusion_epochs": 3})
    told = run(folder, "train", "fold", "all", "--name", "wide")
    return folder, before, told


@pytest.fixture
def workspace(study):
    return Workspace(study[0] / "autodls")


def test_an_experiment_changes_nothing_of_the_workspace_it_lies_in(study, workspace):
    now = {name: content for name, content in snapshot(workspace.root).items() if not name.startswith("experiments/")}
    assert now == study[1]


def test_what_is_the_same_is_one_file_with_two_names(study, workspace):
    wide = workspace.experiment("wide")
    samples = sorted(path.name for path in wide.sample("x").parent.iterdir())
    assert len(samples) == 16
    pairs = [(workspace.sample("x").with_name(name), wide.sample("x").with_name(name)) for name in samples]
    pairs += [(workspace.fold(k).sequence(s), wide.fold(k).sequence(s)) for k in (0, 1) for s in ("T2WI", "CE-T1WI")]
    assert all(one.samefile(two) for one, two in pairs)
    assert workspace.splits.read_bytes() == wide.splits.read_bytes()
    assert workspace.fingerprint.read_bytes() == wide.fingerprint.read_bytes()
    assert not workspace.fold(0).fusion.samefile(wide.fold(0).fusion)


def test_encoders_that_were_taken_over_are_told_and_keep_their_log(study, workspace):
    assert "fold 1: T2WI of" in study[2].err and "not trained again" in study[2].err
    logs = [workspace.fold(0).log, workspace.experiment("wide").fold(0).log]
    first, second = ([line for line in log_lines(path) if line.stage != "fusion"] for path in logs)
    assert first == second and len(first) == 4


def test_the_bytes_are_those_of_a_workspace_of_its_own(study, workspace, tmp_path, networks):
    alone = tmp_path / "alone"
    for words in (("plan", "--preset", preset(study[0], **{"training.fusion_epochs": 3})), ("train", "fold", "all")):
        run(study[0], *words, "-w", alone)
    wide = workspace.experiment("wide").root
    patterns = ("folds/**/*.safetensors", "folds/**/fold.json", "*.csv", "model/**/*.*", "plan.json")
    assert hashes(wide, *patterns) == hashes(alone, *patterns)


def test_each_is_verified_evaluated_and_reported_by_its_name(study, workspace):
    folder = study[0]
    for name in (None, "wide"):
        chosen = ("--name", name) if name else ()
        assert autodls("verify", workspace.root, "-d", folder, *chosen).status == 0
    before = snapshot(workspace.root, skip=LOCK)
    run(folder, "evaluate", "--name", "wide", "--rois", "manual")
    assert autodls("report", "-d", folder, "--name", "wide").status == 0
    after = snapshot(workspace.root, skip=LOCK)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed and all(name.startswith("experiments/wide/") for name in changed)
    wide = workspace.experiment("wide")
    assert wide.metrics.is_file() and wide.report.is_file() and not workspace.metrics.exists()
    commands = json.loads(wide.provenance.read_text())["commands"]
    assert {"plan", "train", "evaluate", "report"} <= commands.keys()
    assert autodls("verify", workspace.root, "-d", folder, "--name", "wide").status == 0


def test_a_model_is_predicted_by_its_name(study, workspace, tmp_path):
    folder = study[0]
    given = ("-i", folder / "imagesTr", "--rois", folder / "labelsTr", "-d", folder, "--name", "wide")
    answer = autodls("predict", *given, "-o", tmp_path / "out", "--dry-run")
    assert answer.status == 0 and str(workspace.experiment("wide").model.root) in answer.out


def test_other_splits_are_refused(study):
    answer = autodls(
        "plan", "-d", study[0], "--name", "three", "--preset", preset(study[0], **{"training.folds": 3}), "--workers", 1
    )
    assert answer.status == 2 and "scores could not be compared case by case" in answer.complaint
    assert "three" not in [place.root.name for place in Workspace(study[0] / "autodls").experiments]


def test_the_first_plan_may_be_an_experiment(study, tmp_path):
    root = tmp_path / "w"
    for name in ("a", "b"):
        run(study[0], "plan", "--preset", preset(study[0]), "--name", name, "-w", root)
    found = Workspace(root)
    assert not found.plan.exists() and [place.root.name for place in found.experiments] == ["a", "b"]
    assert len({place.splits.read_bytes() for place in (found, *found.experiments)}) == 1
    assert found.experiment("a").base == found and set(found.experiment("a").beside) == {found, found.experiment("b")}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../x", "holds '/'"),
        ("", "is empty"),
        ("nul", "device name"),
        ("Wide", "looks like 'wide'"),
        ("none", "no such"),
    ],
)
def test_a_name_that_is_none_is_one_line(study, name, told):
    answer = autodls("train", "fold", "all", "-d", study[0], "--name", name)
    assert answer.status == 2 and "--name" in answer.complaint and told in answer.complaint


class TestHints:
    """What a message tells a person to run is for the experiment, and the workspace, that the command was for."""

    def test_of_a_result_and_of_news(self, study, tmp_path):
        root = tmp_path / "my place"
        given = ("--name", "one", "-w", root)
        place = f"--name one -w '{root}'"
        plan = run(study[0], "plan", "--preset", preset(study[0]), *given)
        assert f"Next: autodls train fold all {place}\n" in plan.out
        assert f"autodls plan {place} --explain gives the reason" in plan.out
        assert f"Next: autodls train fold all {place}\n" in run(study[0], "preprocess", *given).out
        assert "Next: autodls train fold all\n" in run(study[0], "preprocess").out, "forgotten afterwards"

    def test_of_a_mistake(self, study, tmp_path):
        root = tmp_path / "w"
        run(study[0], "plan", "--preset", preset(study[0]), "--name", "one", "-w", root)
        early = autodls("evaluate", "-d", study[0], "-w", root, "--name", "one")
        assert early.status == 2 and f"run 'autodls train fold all -w {root} --name one'" in early.complaint
        unknown = autodls("evaluate", "-d", study[0], "-w", root, "--name", "two")
        assert f"run 'autodls plan -w {root} --name two'" in unknown.complaint
        assert "run 'autodls plan'" in autodls("train", "fold", "all", "-d", write_phantom(tmp_path / "n")).complaint

    @pytest.mark.parametrize("words", [("segment", "fold", "all"), ("benchmark", "rois")], ids=" ".join)
    def test_whatever_works_in_a_workspace_takes_the_name(self, study, words):
        answer = autodls(*words, "-d", study[0], "--name", "none", "--workers", 1)
        assert answer.status == 2 and "--name none: no such experiment" in answer.complaint


def test_an_experiment_in_an_experiment_is_refused(workspace, study):
    with pytest.raises(ArgumentError, match="is an experiment itself"):
        experiment_place(workspace.experiment("wide").root, "deeper", new=True)


def test_a_folder_that_happens_to_be_called_so_is_no_experiment(tmp_path):
    place = Workspace(tmp_path / "experiments" / "mine")
    assert place.base == place and place.beside == () and place.segmented == place.root / "segmentation" / "masks.json"


def test_what_another_process_writes_in_an_experiment_is_left_alone(tmp_path):
    """To hold a workspace is to tidy up in it, but an experiment has a lock of its own."""
    place = Workspace(tmp_path).experiment("one")
    half = place.root / ".tmp-01234567-plan.json"
    half.parent.mkdir(parents=True)
    half.write_text("{")
    with locked(Workspace(tmp_path)):
        assert half.exists()
    with locked(place):
        assert not half.exists()


def test_an_encoder_that_its_fusion_does_not_know_is_not_taken_over(study, workspace, tmp_path, networks):
    folder = shutil.copytree(study[0], tmp_path / "study")
    place = Workspace(folder / "autodls")
    shutil.rmtree(place.experiment("wide").root)
    path = place.fold(0).sequence("T2WI")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    path.write_bytes(content)
    planned(folder, "other", **{"training.fusion_epochs": 3})
    told = run(folder, "train", "fold", "0", "--name", "other").err
    assert "fold 0: CE-T1WI of" in told and "T2WI of" not in told
    made = place.experiment("other").fold(0).sequence("T2WI")
    assert made.read_bytes() == workspace.fold(0).sequence("T2WI").read_bytes() != bytes(content)


def test_a_changed_plan_of_one_leaves_the_other(study, workspace, tmp_path, networks):
    folder = shutil.copytree(study[0], tmp_path / "study")
    place = Workspace(folder / "autodls")
    before = snapshot(place.experiment("wide").root)
    edit_json(place.plan, training__cutoff="youden")
    run(folder, "train", "fold", "all")
    assert snapshot(place.experiment("wide").root) == before
    assert autodls("verify", place.root, "--name", "wide").status == 0
