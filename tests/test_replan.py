"""Only `plan` writes a plan; it keeps what it replaces, and replaces nothing that folds are trained by."""

import json
import shutil

import pytest
from command_line import PRESET, autodls, edit_json, write_phantom, write_preset

from autodls.records.tensors import save_tensors


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Twelve phantoms with their plan; tests get a copy."""
    folder = write_phantom(tmp_path_factory.mktemp("phantom") / "study", cases=12, external_cases=0)
    write_preset(folder / "preset.json")
    assert planned_by(folder).status == 0
    return folder


@pytest.fixture
def planned(phantom, tmp_path):
    return shutil.copytree(phantom, tmp_path / "study")


def planned_by(folder, *more):
    return autodls("plan", "-d", folder, "--preset", folder / "preset.json", "--workers", 1, *more)


def explained(folder, *more):
    return autodls("plan", "-d", folder, "--explain", *more)


def files(folder):
    """Every file of the workspace but the lock, with its bytes."""
    root = folder / "autodls"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def prefer(folder, **values):
    edit_json(folder / "preset.json", given={**PRESET["given"], **values})


def trained(folder, name="folds/1/T2WI.safetensors"):
    path = folder / "autodls" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def test_explain_shows_the_plan_that_is_there_and_writes_nothing(planned):
    edit_json(planned / "autodls" / "plan.json", training__learning_rate=0.125)
    prefer(planned, **{"training.epochs": 33})
    (planned / "autodls" / ".lock").unlink(missing_ok=True)
    before = files(planned)
    answer = explained(planned, "--preset", planned / "preset.json")
    assert answer.status == 0 and files(planned) == before
    shown = " ".join(answer.out.split())
    assert "training.learning_rate 0.125 Set by hand; the planner had" in shown and " 33 " not in shown
    assert "shows the plan that is there" in answer.err
    told = json.loads(explained(planned, "--json").out)
    assert told["reasons"]["training.learning_rate"].startswith("Set by hand")
    assert told["training"]["learning_rate"] == 0.125


def test_every_value_is_explained(planned):
    shown = explained(planned).out
    plan = json.loads((planned / "autodls" / "plan.json").read_text())
    assert all(f"training.{name}" in shown for name in plan["training"])


def test_explain_without_a_plan_is_one_line(planned):
    shutil.rmtree(planned / "autodls")
    answer = explained(planned)
    assert answer.status == 2 and "plan.json: no such file; run 'autodls plan'" in answer.complaint
    assert not (planned / "autodls").exists()


def test_all_that_is_replaced_is_kept(planned):
    root, plans, splits = planned / "autodls", [], []
    for seed in (3, 4, 5):
        plans.append((root / "plan.json").read_bytes())
        splits.append((root / "splits.json").read_bytes())
        prefer(planned, **{"training.seed": seed})
        assert planned_by(planned).status == 2, "new splits are a decision"
        assert (root / "plan.json").read_bytes() == plans[-1]
        assert planned_by(planned, "--restart").status == 0
    newest_first = ("", ".3", ".2")
    for kind, written in (("plan", plans), ("splits", splits)):
        assert [(root / f"{kind}.previous{number}.json").read_bytes() for number in newest_first] == written[::-1]
    before = files(planned)
    assert planned_by(planned).status == 0
    assert files(planned).keys() == before.keys(), "what is written again the same replaces nothing"


@pytest.mark.parametrize(
    "name",
    [
        "folds/1/T2WI.safetensors",
        "folds/0/resume-fusion.safetensors",
        "auto/folds/0/fusion.safetensors",
        "segmentation/segmenter/fold_1.safetensors",
        "segmentation/folds/0/log.jsonl",
    ],
)
def test_a_plan_that_folds_are_trained_by_is_not_replaced(planned, name):
    trained(planned, name)
    prefer(planned, **{"training.epochs": 33})
    before = files(planned)
    answer = planned_by(planned)
    assert answer.status == 2 and files(planned) == before
    fold = "1" if "1" in name else "0"
    assert f"{fold} trained by the plan.json that would be replaced" in answer.complaint
    assert "training.epochs" in answer.complaint and "would be 33" in answer.complaint
    assert "'autodls plan --restart'" in answer.complaint


def test_an_edited_plan_that_folds_are_trained_by_is_not_replaced(planned):
    trained(planned)
    edit_json(planned / "autodls" / "plan.json", training__epochs=33)
    answer = planned_by(planned)
    assert answer.status == 2 and "training.epochs 33, would be" in answer.complaint


def test_the_same_plan_may_be_made_again(planned):
    path = trained(planned)
    before = {name: content for name, content in files(planned).items() if name != "provenance.json"}
    assert planned_by(planned).status == 0 and path.exists()
    assert {name: files(planned)[name] for name in before} == before


def test_restart_begins_anew(planned):
    gone = [trained(planned), trained(planned, "auto/folds/0/fusion.safetensors"), trained(planned, "oof_scores.csv"),
            trained(planned, "model/model.json")]  # fmt: skip
    kept = trained(planned, "segmentation/segmenter/fold_1.safetensors")
    old = (planned / "autodls" / "plan.json").read_bytes()
    prefer(planned, **{"training.epochs": 33})
    answer = planned_by(planned, "--restart")
    assert answer.status == 0 and not any(path.exists() for path in gone) and kept.exists()
    assert "what nnU-Net has trained is kept" in answer.err
    assert json.loads((planned / "autodls" / "plan.json").read_text())["training"]["epochs"] == 33
    assert (planned / "autodls" / "plan.previous.json").read_bytes() == old


def really_trained(folder, key):
    """Weights with a key, as training leaves them."""
    path = folder / "autodls" / "folds" / "1" / "T2WI.safetensors"
    save_tensors(path, {}, {"key": key})
    return path


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"training.fusion_epochs": 9}, "training.fusion_epochs 2, now 9: trained encoders are kept; 'autodls train"),
        ({"training.cutoff": "youden"}, "makes the cut-off of the model anew"),
    ],
)
def test_a_plan_that_keeps_every_encoder_may_be_replaced(planned, settings, told):
    path = really_trained(planned, "encoder:" + "0" * 64)
    old = (planned / "autodls" / "plan.json").read_bytes()
    prefer(planned, **settings)
    answer = planned_by(planned)
    assert answer.status == 0 and told in answer.err and path.exists()
    assert (planned / "autodls" / "plan.previous.json").read_bytes() == old


def test_of_folds_with_one_key_for_all_stages_nothing_could_be_kept(planned):
    really_trained(planned, "0" * 64)
    prefer(planned, **{"training.fusion_epochs": 9})
    answer = planned_by(planned)
    assert answer.status == 2 and "'autodls plan --restart'" in answer.complaint
