"""A value that a person set is not explained by the reason of another one."""

import json

import pytest
from planning_records import CPU, fingerprint

from autodls.planning.planner import derive_plan
from autodls.planning.presets import load_preset
from autodls.records.plan import Plan
from autodls.records.reasons import BY_HAND

PLAN = derive_plan(fingerprint(), load_preset("paper"), CPU, encoder_weights="/home/smith/anna.pth")


def edited(**values):
    """The plan as it is read after a person has written `values`, by dotted name with "__" for the dot."""
    content = json.loads(PLAN.to_bytes())
    for name, value in values.items():
        *path, field = name.split("__")
        record = content
        for part in path:
            record = record[part]
        record[field] = value
    return Plan.parse(content, "plan.json", "")


def test_what_the_planner_wrote_is_not_set_by_hand():
    assert edited().by_hand == () and edited() == PLAN
    assert edited().told_reasons == PLAN.reasons
    foretold = {"expectation", "budget.predicted_memory_gib", "budget.predicted_training_minutes"}
    assert set(PLAN.derived) == set(PLAN.reasons) - foretold


@pytest.mark.parametrize(
    ("name", "value", "had"),
    [
        ("training.learning_rate", 0.05, "0.01"),
        ("training.epochs", 3, "40"),
        ("network.encoder", "resnet18", "resnet101"),
        ("segmentation.mask.components", [1, 2], "largest"),
        ("preprocessing.intensity", {name: {"scheme": "zscore", "clip_percentiles": [1, 99]} for name in ("CE", "T2")},
         '"scheme": "minmax_zscore"'),
    ],
)  # fmt: skip
def test_a_value_set_by_hand_is_said_to_be(name, value, had):
    found = edited(**{name.replace(".", "__"): value})
    assert found.by_hand == (name,)
    told = found.told_reasons
    assert told[name].startswith(f"{BY_HAND}; the planner had ") and had in told[name]
    assert PLAN.reasons[name] not in told[name]
    assert {**told, name: ""} == {**PLAN.reasons, name: ""}


def test_the_same_number_in_another_spelling_is_the_same():
    assert edited(preprocessing__spacing_mm=1, training__weight_decay=1.0e-4).by_hand == ()


def test_a_plan_that_travels_keeps_what_was_set_by_hand_and_names_no_folder():
    travelling = edited(training__epochs=3).without_paths()
    assert travelling.by_hand == ("training.epochs",)
    assert b"smith" not in travelling.to_bytes() and b"anna.pth" in travelling.to_bytes()


def test_a_plan_of_an_older_version_keeps_its_hash():
    content = {name: value for name, value in json.loads(PLAN.to_bytes()).items() if name != "derived"}
    older = Plan.parse(content, "plan.json", "")
    assert json.loads(older.to_bytes()) == content and older.by_hand == ()
