"""A key a stage: what a plan changes is trained anew, what it does not is kept, and the bytes are those of a run from
scratch.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import BaseModel
from tiny_models import SEQUENCES
from tiny_study import DESCRIPTION, hashes, study_plan, tiny_study, use_tiny_resnet

from autodls.errors import StaleRecordError
from autodls.records.plan import Plan
from autodls.records.scores import FoldRecord
from autodls.records.tensors import load_tensors, save_tensors
from autodls.training.fold import train_fold
from autodls.training.fold_chain import weight_hashes
from autodls.training.keys import (
    FIRST_STAGE,
    STAGES,
    StageKeys,
    changed_settings,
    one_key,
    settings_of,
    stage_keys,
    stored_sample_keys,
)
from autodls.training.locking import lock_model
from autodls.training.standing import made_by, stages_of
from autodls.training.weights import start_sha256
from autodls.verify.workspace import Chain, _fold_faults

OTHER_FUSION = {"fusion_learning_rate": 0.05}
ALL = {*SEQUENCES, "fusion"}
TUNED = {"fine_tuning_epochs": 2, "fine_tuning_learning_rate": 0.05}


@pytest.fixture(autouse=True)
def tiny_resnet(monkeypatch):
    use_tiny_resnet(monkeypatch)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A study that nobody trains."""
    return tiny_study(tmp_path_factory.mktemp("samples") / "study")


def keys_of(study, start=None, **changes):
    of = replace(study, **changes)
    return stage_keys(stored_sample_keys(of.workspace, of.cases), of.cases, of.plan, of.splits, start)


def fields(record: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of the settings of a record; what is named by the user, such as sequences, is one setting."""
    for name, field in record.model_fields.items():
        kind = field.annotation
        inner = isinstance(kind, type) and issubclass(kind, BaseModel)
        yield from fields(kind, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]


# -- which setting concerns what ---------------------------------------------------------------------------------------


def test_every_setting_of_a_plan_is_given_to_the_stages_that_it_concerns():
    """Who adds a setting says which stages it matters to; until then it is taken to matter to all."""
    assert set(fields(Plan)) == set(FIRST_STAGE)
    assert set(FIRST_STAGE.values()) == set(STAGES)


def test_a_setting_that_nobody_has_placed_concerns_everything(samples, monkeypatch):
    plan = study_plan(cutoff="youden")
    monkeypatch.setattr(
        "autodls.training.keys.FIRST_STAGE", {name: at for name, at in FIRST_STAGE.items() if name != "training.cutoff"}
    )
    assert list(changed_settings(samples.plan, plan)) == ["encoder"]
    assert changed_stages(keys_of(samples), keys_of(samples, plan=plan)) == ALL


def test_the_settings_of_the_stages_are_those_of_the_plan_each_once(samples):
    found = [name for stage in STAGES for name in settings_of(samples.plan, stage)]
    assert len(found) == len(set(found)) and set(found) <= set(FIRST_STAGE)
    assert set(settings_of(samples.plan, "encoder")) == {name for name, at in FIRST_STAGE.items() if at == "encoder"}


def changed_stages(before, after):
    return {
        stage for one, two in zip(before, after, strict=True) for stage in two.of if one.of.get(stage) != two.of[stage]
    }


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"cutoff": "youden"}, set()),
        (OTHER_FUSION, {"fusion"}),
        ({"sequence_dropout": 0.4}, {"fusion"}),
        (TUNED, {"fine-tuning"}),
        ({"seed": 1}, ALL),
        ({"batch_size": 3}, ALL),
    ],
)
def test_a_setting_changes_the_keys_of_its_stage_and_of_what_follows(samples, training, expected):
    assert changed_stages(keys_of(samples), keys_of(samples, plan=study_plan(**training))) == expected


def test_fine_tuning_follows_from_the_fusion(samples):
    before, after = (keys_of(samples, plan=study_plan(**TUNED, **more)) for more in ({}, OTHER_FUSION))
    assert changed_stages(before, after) == {"fusion", "fine-tuning"}


def test_keys_depend_on_splits_samples_labels_fold_and_sequence(tmp_path):
    study = tiny_study(tmp_path / "study")
    relabelled = (replace(study.cases[0], label=False), *study.cases[1:])
    found = [
        keys_of(study),
        keys_of(study, cases=relabelled),
        keys_of(study, splits=study.splits.model_copy(update={"seed": 9})),
    ]
    study.workspace.sample("case_00").unlink()
    found.append(keys_of(study))
    keys = [key for run in found for fold in run for key in fold.of.values()]
    assert len(set(keys)) == len(keys) == 4 * 2 * 3


def test_the_bytes_to_start_from_count_and_not_where_they_lie(samples, tmp_path):
    def keys(name, content):
        file = tmp_path / name
        file.write_bytes(content)
        network = samples.plan.network.model_copy(update={"encoder_weights": str(file)})
        return keys_of(samples, start_sha256(str(file)), plan=samples.plan.model_copy(update={"network": network}))

    one, moved, other = keys("a.pth", b"one"), keys("b.pth", b"one"), keys("a.pth", b"two")
    assert changed_stages(one, moved) == set() and changed_stages(one, other) == ALL


# -- what is trained ---------------------------------------------------------------------------------------------------


def planned(study, **training):
    plan = study_plan(**training)
    plan.save(study.workspace.plan)
    return replace(study, plan=plan)


def trained_stages(study):
    found = []
    study.train(report=lambda fold, epoch: found.append((fold, epoch.stage)))
    lock_model(study.workspace, DESCRIPTION, study.plan, study.splits, study.cases)
    return set(found)


def of_both(*stages):
    return {(fold, stage) for fold in (0, 1) for stage in stages}


def made(study):
    """All that training made, but logs, which hold seconds."""
    root = study.workspace.root
    return hashes(root, "folds/**/*.safetensors", "folds/**/fold.json", "*.csv", "model/**/*.*")


def logged(study):
    path = study.workspace.fold(0).log
    return [(line.split('"stage":')[1].split(",")[0], '"epoch"' in line) for line in path.read_text().splitlines()]


@pytest.mark.long
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"cutoff": "youden"}, ()),
        ({}, OTHER_FUSION, ("fusion",)),
        ({}, TUNED, ("fine-tuning",)),
        (TUNED, {}, ()),
        (TUNED, {**TUNED, "fine_tuning_learning_rate": 0.01}, ("fine-tuning",)),
        (TUNED, {**TUNED, **OTHER_FUSION, "fusion_epochs": 2}, ("fusion", "fine-tuning")),
    ],
)
def test_what_is_not_changed_is_not_trained_and_the_bytes_are_those_from_scratch(tmp_path, before, after, expected):
    study = planned(tiny_study(tmp_path / "study"), **before)
    assert trained_stages(study) == of_both(*stages_of(study.plan))
    study = planned(study, **after)
    assert trained_stages(study) == of_both(*expected)
    scratch = planned(tiny_study(tmp_path / "scratch"), **after)
    trained_stages(scratch)
    assert made(study) == made(scratch) and len(made(study)) > 12
    assert logged(study) == logged(scratch)
    assert list(_fold_faults(Chain(study.workspace, study.plan, study.splits, None))) == []


def test_a_fine_tuning_that_gained_nothing_is_still_done_by_its_own_settings(tmp_path):
    """It leaves the two stages in its place; another rate may gain."""
    study = planned(tiny_study(tmp_path / "study"), fine_tuning_epochs=1, fine_tuning_learning_rate=1e-30)
    trained_stages(study)
    assert trained_stages(study) == set()
    assert trained_stages(planned(study, **TUNED)) == of_both("fine-tuning")


def test_encoders_that_the_plan_has_changed_are_not_trained_over(tmp_path):
    study = tiny_study(tmp_path / "study")
    study.train()
    before = made(study)
    with pytest.raises(StaleRecordError, match=r"T1WI.safetensors: trained by another plan.*--restart"):
        planned(study, learning_rate=0.5).train()
    assert made(study) == before


def test_verify_names_the_stages_that_another_plan_has(tmp_path):
    study = tiny_study(tmp_path / "study")
    study.train()
    changed = planned(study, **OTHER_FUSION)
    faults = list(_fold_faults(Chain(changed.workspace, changed.plan, changed.splits, None)))
    assert len(faults) == 2 and all("fusion.safetensors: trained by another plan" in fault for fault in faults)
    assert all(fault.endswith("run 'autodls train fold all'") for fault in faults), "no encoder is thrown away"


# -- folds of versions with one key ------------------------------------------------------------------------------------


def as_older_version(study):
    """Give all weights of fold 0 the one key that plan, splits, samples and start had together."""
    folder, key = study.workspace.fold(0), keys_of(study)[0].before
    for stage in (*SEQUENCES, "fusion"):
        tensors, note = load_tensors(folder.sequence(stage), "")
        if stage == "fusion":
            note["encoders"] = {name: weight_hashes(folder, study.plan)[f"{name}.safetensors"] for name in SEQUENCES}
        save_tensors(folder.sequence(stage), tensors, {**note, "key": key})
    record = FoldRecord.load(folder.record, "")
    record.model_copy(update={"key": key, "weights": weight_hashes(folder, study.plan)}).save(folder.record)


def test_a_fold_of_an_older_version_stands_where_nothing_has_changed(tmp_path):
    study = tiny_study(tmp_path / "study")
    study.train()
    as_older_version(study)
    before = made(study)
    study.train(report=lambda *_: pytest.fail("nothing is to be trained"))
    assert made(study) == before
    assert list(_fold_faults(Chain(study.workspace, study.plan, study.splits, None))) == []


def test_of_an_older_version_nobody_can_tell_what_has_changed(tmp_path):
    study = tiny_study(tmp_path / "study")
    study.train()
    as_older_version(study)
    with pytest.raises(StaleRecordError, match=r"by an older version of AutoDLS, which cannot tell .*--restart"):
        planned(study, cutoff="youden").train((0,))


def test_an_encoder_that_was_altered_is_refused_also_where_the_fusion_is_to_be_made_anew(tmp_path):
    study = tiny_study(tmp_path / "study")
    study.train()
    path = study.workspace.fold(0).sequence("T1WI")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StaleRecordError, match=r"T1WI.safetensors: SHA-256 is .*--restart"):
        planned(study, **OTHER_FUSION).train((0,))


def test_one_key_for_all_is_for_who_does_not_continue(samples):
    keys = one_key(samples.plan, "key")
    assert isinstance(keys, StageKeys) and keys.scores == "key" and not keys.fits("fusion", None)
    run = samples.run(0, "one")
    train_fold(run, lambda _epoch: None)
    assert made_by(run.folder, "fusion").exists()
