"""Plans that are tried on a GPU: real steps on the CPU, and made-up cards."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from planning_records import AUTO, GPU, fingerprint, plan

from autodls.cli.console import Terminal
from autodls.errors import PlanError
from autodls.planning.decision import Card, Resources, Step, StepCost
from autodls.planning.duration import Schedule, measured_training_minutes
from autodls.planning.memory import PROCESS_GIB, TrainingLoad, memory_parts_gib
from autodls.planning.planner import derive_plan
from autodls.planning.presets import load_preset
from autodls.planning.request import PlanRequest
from autodls.records.plan import Plan
from autodls.records.workspace import Workspace
from autodls.stages import plan as plan_stage
from autodls.stages.plan import resources_of
from autodls.training import probe
from autodls.training.probe import probe_step

TINY = Step("resnet50", 32, 2, "fp32")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(probe, "WARM_UP_STEPS", 1)
    monkeypatch.setattr(probe, "TIMED_STEPS", 2)


def card(cost_of=lambda step: StepCost(0.02, 2.0, 2.25), memory_gib=16.0):
    return Resources(memory_gib, "cuda", bf16=True, cores=8, card=Card("Made-up 1", cost_of))


def holding(most_cases, tried):
    """A card that holds no more cases at once, and notes what was tried."""

    def cost_of(step):
        tried.append(step)
        return StepCost(0.02, 2.0, 2.25) if step.batch_size <= most_cases else None

    return card(cost_of)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_is_timed_on_the_device_that_is_there_and_leaves_chance_alone(precision):
    before = torch.get_rng_state()
    cost = probe_step(replace(TINY, precision=precision), CPU)
    assert cost is not None and cost.seconds > 0
    assert (cost.allocated_gib, cost.reserved_gib) == (0, 0), "of a CPU nothing is counted"
    assert torch.equal(torch.get_rng_state(), before)


def test_the_steps_are_those_of_training(monkeypatch):
    taken = []

    def take_step(_encoder, optimizer, _loss, inputs, labels, *, bf16):
        taken.append((optimizer.defaults["nesterov"], inputs[0].shape, len(labels), bf16))

    monkeypatch.setattr(probe, "take_step", take_step)
    probe_step(TINY, CPU)
    assert taken == [(True, (2, 3, 32, 32), 2, False)] * 3


@pytest.mark.parametrize(
    "failure",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling")],
)
def test_a_step_that_does_not_fit_is_an_answer(failure, monkeypatch):
    monkeypatch.setattr(probe, "take_step", partial(raising, failure))
    assert probe_step(TINY, CPU) is None


def test_another_failure_of_a_step_is_none(monkeypatch):
    monkeypatch.setattr(probe, "take_step", partial(raising, RuntimeError("unspecified launch failure")))
    with pytest.raises(RuntimeError, match="launch failure"):
        probe_step(TINY, CPU)


def raising(failure, *_arguments, **_options):
    raise failure


def test_arithmetic_is_within_15_percent_of_what_a_gpu_allocated():
    """ResNet-101, batch 32 x 224 px, bfloat16, H200: 2.59 GiB allocated, without the CUDA context."""
    parts = memory_parts_gib(TrainingLoad("resnet101", 224, 32, "bf16", "cuda"))
    assert parts.pop("context") == PROCESS_GIB["cuda"]["context"]
    assert sum(parts.values()) == pytest.approx(2.59, rel=0.15)


def test_measured_minutes_by_hand():
    """Two folds of 20 cases: 15 to learn from are 2 batches of 8, 5 to stop by one, 20 to be scored three."""
    steps = 10 * (2 + 1 / 3) + 4 * 2 / 3 + 2 / 3 + 3 / 3
    assert measured_training_minutes(0.6, 8, Schedule(10, 2, 0.25), [40]) == pytest.approx(2 * steps * 0.6 / 60)


def test_a_plan_says_what_was_measured_and_where():
    made = plan(fingerprint(), card())
    assert made.budget.measured_on == "Made-up 1"
    assert made.budget.predicted_memory_gib == pytest.approx(2.0 + 0.5 + 0.15, abs=0.01), "step, context and cohort"
    assert made.budget.memory_gib == 16
    for name in ("predicted_memory_gib", "predicted_training_minutes"):
        assert "measured on Made-up 1" in made.reasons[f"budget.{name}"]
    assert "20 ms a step of 20 cases" in made.reasons["budget.predicted_training_minutes"]
    schedule = Schedule(60, 5, 0.2)
    minutes = measured_training_minutes(0.02, 20, schedule, [100, 100])
    assert made.budget.predicted_training_minutes == pytest.approx(minutes, abs=0.06)
    assert plan(fingerprint(), GPU).budget.measured_on is None


def test_all_but_the_budget_is_planned_as_without_a_card():
    tried, arithmetic = plan(fingerprint(), card()), plan(fingerprint(), GPU)
    assert tried.model_copy(update={"budget": arithmetic.budget, "reasons": {}}) == arithmetic.model_copy(
        update={"reasons": {}}
    )


def test_a_batch_that_does_not_fit_the_card_is_made_smaller():
    tried = []
    made = plan(fingerprint(400, 150), holding(16, tried), preprocessing__input_size_px=224)
    assert [step.batch_size for step in tried] == sorted((step.batch_size for step in tried), reverse=True)
    assert made.training.batch_size == tried[-1].batch_size <= 16 < tried[-2].batch_size
    assert f"none for a batch of {tried[0].batch_size} at 224 px" in made.reasons["budget.memory_gib"]
    assert made.budget.predicted_memory_gib <= made.budget.memory_gib < 16


def test_what_is_reserved_counts_against_the_budget():
    seen = fingerprint(400, 150)
    fits = plan(seen, card(lambda step: StepCost(0.02, 3.0, 3.1), 4.0), preprocessing__input_size_px=128)
    assert fits.budget.memory_gib == 4
    with pytest.raises(PlanError, match=r"Made-up 1: a batch of \d+ at 128 px does not fit its free memory"):
        plan(seen, card(lambda step: StepCost(0.02, 3.0, 3.6), 4.0), preprocessing__input_size_px=128)


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_a_card_on_which_nothing_fits_is_one_line(preset):
    with pytest.raises(PlanError, match=r"Made-up 1: a batch of \d+ at \d+ px does not fit .* or take --device cpu"):
        derive_plan(fingerprint(267, 86), load_preset(preset), holding(0, []))


def test_a_step_has_no_more_cases_than_a_fold_learns_from():
    tried = []
    derive_plan(fingerprint(34, 12), load_preset("paper"), holding(32, tried))
    assert [step.batch_size for step in tried] == [17]


def test_a_real_step_of_the_cpu_can_stand_for_a_card():
    made = derive_plan(fingerprint(12, 6), AUTO, card(lambda _step: probe_step(TINY, CPU)))
    assert made.budget.measured_on == "Made-up 1" and made.budget.predicted_training_minutes > 0


def test_the_card_that_is_here_is_tried_and_named(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Card 2")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _index: SimpleNamespace(total_memory=2**34))
    monkeypatch.setattr(probe, "probe_step", lambda step, device: (step, device.type))
    found = resources_of(PlanRequest(), Terminal())
    assert (found.device, found.bf16, found.memory_gib, found.card.name) == ("cuda", True, 12.8, "Card 2")
    assert found.card.cost_of(TINY) == (TINY, "cuda")
    assert "Card 2: trying steps of resnet50 on 2 cases of 32 px" in capsys.readouterr().err
    assert resources_of(PlanRequest(device="cpu")).card is None


@pytest.mark.parametrize(("change", "kept"), [({}, True), ({"training__epochs": 7}, False)])
def test_a_plan_that_is_made_again_is_kept_where_only_the_measurement_differs(tmp_path, change, kept):
    first = plan(fingerprint(), card())
    again = plan(fingerprint(), card(lambda step: StepCost(0.07, 2.5, 2.6)), **change)
    assert first != again
    workspace = Workspace(tmp_path)
    first.save(workspace.plan)
    assert plan_stage._as_measured_before(workspace, again) == (first if kept else again)
    assert Plan.load(workspace.plan, "") == first
