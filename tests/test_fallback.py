"""The fused score of a fold: the transformer's where it is shown to be better than the mean of the sequences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from guided_networks import guided_plan
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from tiny_models import SEQUENCES, random_input, tiny_fold, tiny_plan
from tiny_study import DESCRIPTION, study_plan, tiny_study, use_tiny_resnet

from autodls.inference.model_folder import load_model
from autodls.models.fold_files import load_fold, load_fusion, save_fusion
from autodls.models.network import FoldLogits, FoldModel
from autodls.models.recalibration import fit_scale
from autodls.records.model_folders import FoldFolder
from autodls.records.scale import LogisticScale
from autodls.records.scores import FUSED, read_fold_scores
from autodls.training.fine_tuning_stage import fine_tuning_settings
from autodls.training.fusion_stage import fusion_settings
from autodls.training.locking import lock_model
from autodls.training.settings import fit_settings
from autodls.training.settling import is_shown_better, log_losses, settled

CPU = torch.device("cpu")


# -- what is shown to be better ----------------------------------------------------------------------------------------


@given(pairs=st.lists(st.tuples(st.floats(0, 10, width=16), st.floats(0, 10, width=16)), max_size=12))
def test_of_two_scores_one_at_most_is_shown_better_and_it_has_the_lower_mean(pairs):
    one, other = np.array(pairs).reshape(-1, 2).T
    if is_shown_better(one, other):
        assert one.mean() < other.mean()
        assert not is_shown_better(other, one)


@pytest.mark.parametrize(
    ("gains", "expected"),
    [([], False), ([5.0], False), ([0.0] * 9, False), ([0.1] * 9, True), ([1.0, -1.0] * 5, False),
     ([1.0, 0.0] * 2, False), ([1.0, 0.0] * 3, True)],
)  # fmt: skip
def test_better_by_more_than_two_standard_errors(gains, expected):
    """Of four and six gains of 1 and 0 by turns, the standard errors are 0.29 and 0.22."""
    other = np.full(len(gains), 2.0)
    assert is_shown_better(other - np.array(gains), other) is expected


def test_log_losses_are_those_of_scikit_learn_and_do_not_overflow():
    log_odds, labels = np.array([-3.0, 0.2, 1.5, -0.4]), np.array([False, True, True, True])
    expected = log_loss(labels, 1 / (1 + np.exp(-log_odds)))
    assert log_losses(log_odds, labels).mean() == pytest.approx(expected)
    assert log_losses(np.array([-1e4, 1e4]), np.array([True, True])).tolist() == [1e4, 0.0]


# -- what is chosen ----------------------------------------------------------------------------------------------------


def logits_of(fused, own, seed=0, cases=60):
    """Logits that tell the classes apart by `fused` and `own` standard deviations, one sequence missing at times."""
    chance, labels = np.random.default_rng(seed), np.arange(cases) % 2
    rows = [chance.normal(apart * (labels - 0.5), 1) for apart in (fused, own, own)]
    rows[1][3], rows[2][8] = np.nan, np.nan
    together, *by_sequence = (torch.from_numpy(row) for row in rows)
    return FoldLogits(together, dict(zip(SEQUENCES, by_sequence, strict=True))), torch.from_numpy(labels)


@pytest.mark.parametrize(
    ("fused", "own", "fallback", "expected"),
    [
        (0.0, 3.0, "mean", "mean"),
        (2.0, 2.0, "mean", "mean"),
        (6.0, 0.5, "mean", "transformer"),
        (0.0, 3.0, "none", "transformer"),
    ],
)
def test_a_transformer_that_is_not_shown_better_gives_way_to_the_mean(fused, own, fallback, expected, monkeypatch):
    logits, labels = logits_of(fused, own)
    monkeypatch.setattr(FoldModel, "logits", lambda *_: logits)
    plan = guided_plan("resnet50", roi_guided=False, fallback=fallback)
    model = settled(tiny_fold(plan), None, None, labels, plan)
    assert model.fused_by == expected
    of_sequences = {name: fit_scale(one[~one.isnan()].numpy(), (labels == 1)[~one.isnan()].numpy())
                    for name, one in logits.by_sequence.items()}  # fmt: skip
    assert {name: model.scales[name] for name in SEQUENCES} == of_sequences
    rows = [of_sequences[name].log_odds(logits.by_sequence[name].numpy()) for name in SEQUENCES]
    score = logits.fused.numpy() if expected == "transformer" else np.nanmean(rows, axis=0)
    own = fit_scale(score, labels.numpy() == 1)
    assert model.scales[FUSED] == (own if expected == "transformer" else LogisticScale(slope=1.0, intercept=0.0))


def mean_fold(plan, **changes):
    """A fold with a scale of its own for every row, which is fused by the mean."""
    slopes = {FUSED: 3.0, **{name: 0.5 + index for index, name in enumerate(plan.sequences)}}
    scales = {row: LogisticScale(slope=slope, intercept=slope - 1) for row, slope in slopes.items()}
    return replace(tiny_fold(plan), scales=scales, fused_by="mean", **changes)


def test_the_mean_is_over_the_log_odds_of_the_sequences_that_are_there():
    plan = tiny_plan()
    pixels, present = random_input(plan, cases=3)
    present[1, 0] = present[2, 1] = False
    fold = mean_fold(plan)
    logits = fold.logits(pixels, present)
    rows = [fold.scales[name].log_odds(logits.by_sequence[name].double().numpy()) for name in plan.sequences]
    np.testing.assert_allclose(logits.fused, np.nanmean(rows, axis=0), rtol=1e-5)
    assert logits.fused[1] == pytest.approx(rows[1][1], rel=1e-5)
    pixels[1, 0] = 50.0
    torch.testing.assert_close(fold.logits(pixels, present).fused, logits.fused)


# -- what is kept ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fused_by", ["mean", "transformer"])
def test_it_is_saved_with_the_fold(tmp_path, fused_by):
    plan, folder = tiny_plan(), FoldFolder(tmp_path)
    save_fusion(folder, replace(mean_fold(plan), fused_by=fused_by), {})
    loaded = load_fusion(folder, plan, CPU)
    assert loaded.fused_by == fused_by
    assert loaded.scales == mean_fold(plan).scales


@pytest.mark.parametrize(("encoder", "roi_guided"), [("resnet50", False), ("resnet8", True)])
def test_a_transformer_that_learns_nothing_is_not_locked(tmp_path, monkeypatch, encoder, roi_guided):
    use_tiny_resnet(monkeypatch)
    plan = study_plan(fusion_learning_rate=1e-12)
    fusion = plan.network.fusion.model_copy(update={"fallback": "mean"})
    network = {"encoder": encoder, "roi_guided": roi_guided, "fusion": fusion}
    plan = plan.model_copy(update={"network": plan.network.model_copy(update=network)})
    study = tiny_study(tmp_path / "study", plan)
    study.train()
    lock_model(study.workspace, DESCRIPTION, study.plan, study.splits, study.cases)
    locked = load_model(study.workspace.model.root, CPU)
    assert [fold.fused_by for fold in locked.folds] == ["mean", "mean"]
    scales = load_fold(study.workspace.fold(0), plan, CPU).scales
    for score in read_fold_scores(study.workspace.fold(0).scores, plan.sequences):
        own = [score.log_odds[name] for name in plan.sequences if name in score.log_odds]
        assert score.log_odds[FUSED] == pytest.approx(float(scales[FUSED].log_odds(np.array(np.mean(own)))), abs=1e-4)


def test_the_epoch_of_fusion_and_fine_tuning_is_chosen_where_that_of_encoders_is_not(tmp_path):
    plan = study_plan(kept_epoch="last", fine_tuning_epochs=2)
    fold = tiny_study(tmp_path, plan).splits.folds[0]
    kept = [make(plan, fold).kept_epoch for make in (fusion_settings, fine_tuning_settings)]
    assert (fit_settings(plan, "T1WI", 0).kept_epoch, *kept) == ("last", "best", "best")


def test_the_fusion_is_fitted_by_sgd_whatever_fits_the_encoders(tmp_path):
    plan = study_plan(optimizer="adamw", weight_decay=0.05)
    settings = fusion_settings(plan, tiny_study(tmp_path, plan).splits.folds[0])
    assert (settings.optimizer, settings.weight_decay, settings.learning_rate) == ("sgd", 1e-4, 0.03)
