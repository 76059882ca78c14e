"""Presets and whole plans: the contract, the paper's settings, golden plans, and mistakes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_records import AUTO, CPU, GPU, fingerprint, plan, sequence

from autodls.errors import PlanError
from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.planning.budget import planned_memory_gib, require_budget
from autodls.planning.decision import Resources
from autodls.planning.fingerprint import extract_fingerprint
from autodls.planning.planner import derive_plan
from autodls.planning.presets import Preset, load_preset, preset_names, presets_folder
from autodls.planning.rules import RULES
from autodls.records import plan as records
from autodls.records.cohort import read_cohort
from autodls.records.fingerprint import Fingerprint
from autodls.records.plan import Plan
from autodls.records.segmentation_plan import MaskPolicy

GOLDEN = presets_folder() / "golden"
CONTRACT = """
{"format": "autodls-plan/1", "dataset": "...", "preset": "auto", "fingerprint_sha256": "...",
 "preprocessing": {"roi_channel": "CE-T1WI", "registration": "none", "spacing_mm": 1.0, "crop_mm": 112.0,
                   "slice_size_px": 256, "input_size_px": 224,
                   "intensity": {"T1WI": {"scheme": "zscore", "clip_percentiles": [0.5, 99.5]}}},
 "network": {"encoder": "resnet101", "encoder_weights": "imagenet", "pca_dims": 128,
             "fusion": {"patch_px": 1, "heads": 8, "layers": 3, "dropout": 0.1}},
 "training": {"folds": 5, "batch_size": 32, "epochs": 60, "patience": 12, "optimizer": "sgd", "learning_rate": 0.01,
              "loss": "focal", "focal_gamma": 2.0, "precision": "bf16", "seed": 0},
 "budget": {"memory_gib": 16.0, "predicted_memory_gib": 9.4},
 "reasons": {"preprocessing.spacing_mm": "..."}}
"""


def leaves(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of everything that is not an object."""
    for name, value in content.items():
        if isinstance(value, dict) and name not in ("intensity", "reasons"):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_plans_keep_the_keys_of_the_contract(tmp_path: Path) -> None:
    seen = fingerprint(267, 86, **{"CE-T1WI": sequence(cases=267), "T1WI": sequence(cases=267)})  # type: ignore[arg-type]
    made = derive_plan(seen, AUTO, GPU)
    made.save(tmp_path / "plan.json")
    written = json.loads((tmp_path / "plan.json").read_text())
    have = dict(leaves(written))
    for name, value in leaves(json.loads(CONTRACT)):
        assert isinstance(have[name], type(value)), name
    for name in ("network.encoder", "training.batch_size", "training.learning_rate", "training.folds"):
        assert have[name] == dict(leaves(json.loads(CONTRACT)))[name]
    assert set(json.loads(CONTRACT)["preprocessing"]["intensity"]["T1WI"]) <= set(
        written["preprocessing"]["intensity"]["T1WI"]
    )
    assert Plan.load(tmp_path / "plan.json", "plan again") == made
    assert made.sequences == ("CE-T1WI", "T1WI")
    assert made.fingerprint_sha256 == seen.sha256()


@pytest.mark.parametrize("preset", ["auto", "paper", "demo"])
@pytest.mark.parametrize("resources", [CPU, GPU])
def test_every_value_has_a_reason(preset: str, resources: Resources) -> None:
    made = derive_plan(fingerprint(), load_preset(preset), resources)
    content = made.model_dump(
        mode="json", include={"preprocessing", "network", "training", "segmentation", "budget"}, exclude_none=True
    )
    assert {name for name, _ in leaves(content)} | {"expectation"} == set(made.reasons)
    assert all(len(reason) > 10 for reason in made.reasons.values())


def test_rules_and_records_name_the_same_fields() -> None:
    of_dataset = {"preprocessing.roi_channel", "preprocessing.lesions"}
    fields = {f"preprocessing.{name}" for name in records.PreprocessingPlan.model_fields} - of_dataset
    fields |= {f"network.{name}" for name in records.NetworkPlan.model_fields} - {"network.fusion"}
    fields |= {f"network.fusion.{name}" for name in records.FusionPlan.model_fields}
    fields |= {f"training.{name}" for name in records.TrainingPlan.model_fields}
    fields |= {f"segmentation.{name}" for name in records.SegmentationPlan.model_fields} - {"segmentation.mask"}
    fields |= {f"segmentation.mask.{name}" for name in MaskPolicy.model_fields}
    assert fields == set(RULES)


def test_the_paper_s_settings() -> None:
    """Ding et al. 2025, "Image preprocessing", "Model development" and "Feature fusion and DLS construction"."""
    made = derive_plan(fingerprint(267, 86), load_preset("paper"), Resources(16.0, "cuda", bf16=False, cores=8))
    assert made.preprocessing.spacing_mm == 1.0
    assert made.preprocessing.input_size_px == 224
    assert {part.scheme for part in made.preprocessing.intensity.values()} == {"minmax_zscore"}
    assert (made.network.encoder, made.network.encoder_weights) == ("resnet101", "imagenet")
    assert made.network.pca_dims == 128
    assert (made.network.fusion.heads, made.network.fusion.layers) == (8, 3)
    assert (made.network.roi_guided, made.network.fusion.fallback) == (False, "none")
    training = made.training
    assert (training.batch_size, training.learning_rate, training.optimizer) == (32, 0.01, "sgd")
    assert (training.warmup_epochs, training.fusion_learning_rate) == (0, 0.01), "0.01 is the initial learning rate"
    assert (training.loss, training.augmentation) == ("focal", "paper")
    assert made.reasons["training.batch_size"] == "Given by preset paper."
    assert made.reasons["preprocessing.registration"].endswith("The paper registers by hand, in ITK-SNAP.")


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("resources", [CPU, GPU])
def test_every_given_value_stands(preset: str, resources: Resources) -> None:
    seen, given = fingerprint(267, 86), load_preset(preset).values
    made = dict(leaves(derive_plan(seen, load_preset(preset), resources).model_dump(mode="json")))
    intensity = given.pop("preprocessing.intensity", None)
    assert {name: made[name] for name in given} == given
    for scheme in made["preprocessing.intensity"].values() if intensity is not None else ():
        assert {name: value for name, value in scheme.items() if value is not None} == intensity


def test_more_components_than_cases_are_told() -> None:
    paper = load_preset("paper")
    assert "no fewer than the 17 patients" in derive_plan(fingerprint(34, 7), paper, GPU).reasons["network.pca_dims"]
    enough = derive_plan(fingerprint(267, 86), paper, GPU).reasons["network.pca_dims"]
    assert enough == "Given by preset paper."


@pytest.mark.parametrize(
    ("memory_gib", "derived"), [(7.0, "training__batch_size"), (4.0, "preprocessing__input_size_px")]
)
def test_batch_and_size_leave_room_for_fine_tuning(memory_gib: float, derived: str) -> None:
    resources, seen = Resources(memory_gib, "cuda", bf16=False, cores=2), fingerprint(400, 150)
    fixed: dict[str, object] = {"preprocessing__input_size_px": 160} if derived == "training__batch_size" else {}
    plain = plan(seen, resources, **fixed)
    tuned = plan(seen, resources, training__fine_tuning_epochs=5, **fixed)
    section, field = derived.split("__")
    chosen = [getattr(getattr(made, section), field) for made in (plain, tuned)]
    assert chosen[1] < chosen[0]
    assert tuned.budget.predicted_memory_gib <= 0.8 * memory_gib + 0.01


def test_an_edited_plan_is_held_against_its_budget() -> None:
    made = plan(fingerprint(), CPU)
    require_budget(made, 100)
    for name in ("auto", "paper", "demo"):
        for resources in (CPU, GPU):
            derived = derive_plan(fingerprint(), load_preset(name), resources)
            assert planned_memory_gib(derived, 100) <= derived.budget.predicted_memory_gib + 0.01
    large = made.preprocessing.model_copy(update={"input_size_px": 2000, "slice_size_px": 2048})
    with pytest.raises(
        PlanError, match=r"plan.json: a batch of \d+ at 2000 px needs \S+ GiB, budget.memory_gib is 16; "
    ):
        require_budget(made.model_copy(update={"preprocessing": large}), 100)


def test_the_paper_s_settings_do_not_shrink_silently() -> None:
    with pytest.raises(PlanError, match=r"a batch of 32 at 224 px needs 5\.\d+ GiB, the budget is 4 GiB; raise"):
        derive_plan(fingerprint(), load_preset("paper"), Resources(4.0, "cpu", bf16=False, cores=2))


@settings(max_examples=25, deadline=None)
@given(
    cases=st.integers(8, 800),
    share=st.floats(0.05, 0.95),
    resources=st.builds(
        Resources,
        memory_gib=st.floats(6, 80),
        device=st.sampled_from(["cpu", "cuda"]),
        bf16=st.booleans(),
        cores=st.integers(1, 64),
    ),
    names=st.lists(st.sampled_from(["T1", "T2", "CT", "ADC", "DWI"]), min_size=1, max_size=5, unique=True),
)
def test_any_cohort_gets_a_plan_within_its_budget(
    cases: int, share: float, resources: Resources, names: list[str]
) -> None:
    positives = min(cases - 4, max(4, round(cases * share)))
    seen = fingerprint(cases, positives, **{name: sequence(cases=cases) for name in names})  # type: ignore[arg-type]
    made = derive_plan(seen, AUTO, resources)
    assert made.budget.predicted_memory_gib <= 0.8 * resources.memory_gib + 0.01
    assert made.budget.predicted_training_minutes > 0
    assert made.network.pca_dims % made.network.fusion.heads == 0
    assert derive_plan(seen, AUTO, resources) == made


def test_given_values_stand_and_others_follow_them() -> None:
    made = plan(
        fingerprint(),
        preprocessing__input_size_px=96,
        training__batch_size=8,
        training__epochs=20,
        preprocessing__intensity={"scheme": "window", "window_hu": [-100, 300]},
    )
    assert made.preprocessing.slice_size_px == 110
    assert made.training.learning_rate == pytest.approx(0.0025)
    assert made.training.patience == 5
    assert [part.window_hu for part in made.preprocessing.intensity.values()] == [(-100.0, 300.0)] * 2
    assert made.reasons["training.epochs"] == "Given by preset mine."


def test_derive_is_the_same_as_left_out() -> None:
    assert plan(fingerprint(), training__epochs="derive").training == plan(fingerprint()).training


def test_weights_of_the_command_line_stand_over_the_preset() -> None:
    made = derive_plan(fingerprint(), load_preset("paper"), CPU, encoder_weights="random")
    assert made.network.encoder_weights == "random"
    assert made.reasons["network.encoder_weights"] == "Given on the command line."
    assert made.training.batch_norm_momentum == 0.3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"training.epoch": 3}, "no field 'training.epoch' can be given; did you mean 'training.epochs'?"),
        ({"preprocessing.roi_channel": "T1"}, "no field 'preprocessing.roi_channel' can be given"),
        ({"zzz": 3}, "no field 'zzz' can be given"),
        ({"training.epochs": "many"}, "'training.epochs'"),
        ({"training.epochs": "30"}, "'training.epochs'"),
        ({"training.epochs": True}, "'training.epochs'"),
        ({"training.epochs": 0}, "'training.epochs'"),
        ({"training.learning_rate": -1}, "'training.learning_rate'"),
        ({"preprocessing.spacing_mm": float("nan")}, "NaN is not a number in JSON"),
        ({"network.encoder": "resnet35"}, "'network.encoder'"),
        ({"segmentation.mask.components": "biggest"}, "'segmentation.mask.components'"),
        ({"segmentation.mask": {}}, "no field 'segmentation.mask' can be given"),
        ({"segmentation.planner": "resenc"}, "'segmentation.planner'"),
        ({"preprocessing.intensity": {"scheme": "zscore"}}, "needs its bounds"),
        ({"preprocessing.intensity": {"scheme": "zscore", "clip_percentiles": [1, 101]}}, "within 0 to 100"),
    ],
)
def test_a_wrong_preset_is_named_in_one_line(tmp_path: Path, given: dict[str, object], message: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"name": "mine", "given": given}))
    with pytest.raises(PlanError) as failure:
        load_preset(str(path))
    assert message in str(failure.value)
    assert str(path) in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preprocessing__slice_size_px": 100, "preprocessing__input_size_px": 128}, "exceeds slice_size_px 100"),
        ({"network__encoder": "resnet8"}, "resnet8 has no ImageNet weights; give encoder_weights random, or a larger"),
        ({"network__roi_guided": True}, "roi_guided with encoder_weights imagenet: .*; set one to false, or the other"),
        (
            {"network__roi_guided": True, "network__encoder_weights": "own.pth"},
            "roi_guided with encoder_weights own.pth: weights that were trained elsewhere have no input for an ROI",
        ),
        ({"network__pca_dims": 7}, "pca_dims 7 x 2 sequences is no multiple of fusion.heads 8"),
        ({"preprocessing__crop_mm": 1, "preprocessing__spacing_mm": 2}, "crop_mm 1 is less than one sample"),
        ({"preprocessing__spacing_mm": 0.001}, "at spacing_mm 0.001 is a plane of .* samples a side, expected at most"),
        ({"training__folds": 50}, "40 training patients of the rarer class, but 50 folds need at least 50"),
    ],
)
def test_given_values_that_do_not_go_together(given: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan(fingerprint(), CPU, **given)


def test_a_given_number_of_folds_does_not_make_a_cohort_larger() -> None:
    with pytest.raises(PlanError, match="3 training patients of the rarer class, but 2 folds need at least 4"):
        plan(fingerprint(50, 3), training__folds=2)


def test_presets_are_found_by_name_or_file(tmp_path: Path) -> None:
    assert preset_names() == ["auto", "demo", "paper"]
    assert load_preset("auto").given == {}
    (tmp_path / "own.json").write_text('{"name": "own", "given": {"training.seed": 7}}')
    assert load_preset(str(tmp_path / "own.json")).values == {"training.seed": 7}
    with pytest.raises(PlanError, match=r"'papr': neither one of .* nor a file; did you mean 'paper'\?"):
        load_preset("papr")
    with pytest.raises(PlanError, match="not valid JSON"):
        (tmp_path / "own.json").write_text("{")
        load_preset(str(tmp_path / "own.json"))


def test_unknown_entries_of_a_preset_are_refused() -> None:
    with pytest.raises(PlanError, match="field 'gives'"):
        Preset.parse({"name": "x", "given": {}, "gives": {}}, "x.json", "correct the preset")
    with pytest.raises(PlanError, match=r"did you mean 'training\.folds'"):
        Preset.parse({"name": "x", "given": {}, "notes": {"training.fold": "why"}}, "x.json", "correct the preset")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.plan.json")), ids=lambda path: path.name)
def test_golden_plans_are_derived_again(path: Path) -> None:
    """A reviewed plan changes only with a reviewed change of a rule."""
    golden = Plan.load(path, "restore it")
    dataset = path.name.partition(".")[0].partition("-")[0]
    seen = Fingerprint.load(path.with_name(f"{dataset}.fingerprint.json"), "restore it")
    bf16 = golden.training.precision == "bf16"
    resources = Resources(golden.budget.memory_gib, golden.budget.device, bf16, cores=2)
    made = derive_plan(seen, load_preset(golden.preset), resources)
    assert json.loads(made.to_bytes()) == json.loads(golden.to_bytes())


def test_the_golden_plans_are_of_three_datasets_three_presets_and_both_devices() -> None:
    plans = [Plan.load(path, "restore it") for path in GOLDEN.glob("*.plan.json")]
    assert len({golden.dataset for golden in plans}) == 3
    assert {golden.preset for golden in plans} == {"auto", "demo", "paper"}
    assert {(golden.budget.device, golden.training.precision) for golden in plans} == {
        ("cpu", "fp32"),
        ("cuda", "bf16"),
    }


def test_a_fingerprint_of_an_older_version_is_read_and_keeps_its_hash() -> None:
    """What is now `foreground_percentiles` was `head_percentiles`; a plan names the SHA-256 of the file."""
    now = (GOLDEN / "lgg_ht.fingerprint.json").read_bytes()
    older = now.replace(b'"foreground_percentiles"', b'"head_percentiles"')
    assert older != now
    found, expected = (Fingerprint.parse(json.loads(text), "f.json", "restore it") for text in (older, now))
    assert found.sequences["FLAIR"].foreground_percentiles == expected.sequences["FLAIR"].foreground_percentiles
    assert (found.to_bytes(), expected.to_bytes()) == (older, now)
    assert found.model_copy(update={"cohort_sha256": ""}).to_bytes().count(b"head_percentiles") == len(found.sequences)


def require_golden(name: str, dataset: Path) -> dict[str, Any]:
    """The golden fingerprint `name` is that of the images in `dataset`; what was extracted."""
    golden = json.loads((GOLDEN / f"{name}.fingerprint.json").read_text())
    seen: dict[str, Any] = json.loads(extract_fingerprint(read_cohort(dataset), workers=2).to_bytes())
    assert dict(numbers(seen)) == pytest.approx(dict(numbers(golden)), rel=1e-6)
    assert seen["cohort_sha256"] == golden["cohort_sha256"]
    return {name: seen[name] == golden[name] for name in ("inputs_sha256",)}


def test_the_golden_fingerprint_is_that_of_the_gliomas(shared_data: Path) -> None:
    assert require_golden("lgg_ht", shared_data / "lgg_ht") == {"inputs_sha256": True}


def test_the_golden_fingerprint_is_that_of_the_sarcomas(sts8_dataset: Path) -> None:
    assert require_golden("sts8", sts8_dataset) == {"inputs_sha256": True}


def test_the_golden_fingerprint_is_that_of_the_phantom(tmp_path: Path) -> None:
    write_cohort(tmp_path / "phantom", PhantomSettings(cases=24))
    require_golden("phantom", tmp_path / "phantom")  # compressed by whatever zlib there is, so bytes may differ


def numbers(content: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of nested objects and lists."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from numbers(value, f"{name}/{key}")
    elif isinstance(content, list):
        for position, value in enumerate(content):
            yield from numbers(value, f"{name}/{position}")
    elif isinstance(content, int | float):
        yield name, float(content)
