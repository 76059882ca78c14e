"""A network that has not learnt is found, told and drawn; one that has learnt is left in peace."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_study import DESCRIPTION, hashes, tiny_study, use_tiny_resnet

from autodls.cli.console import Terminal
from autodls.errors import TrainingError
from autodls.evaluation.caveats import model_caveats
from autodls.evaluation.score_auc import ScoreAuc
from autodls.jobs.executor import LOCAL
from autodls.preprocessing.store import load_sample, save_sample
from autodls.records.model import ModelRecord
from autodls.records.model_folders import FoldFolder
from autodls.records.scores import FoldRecord
from autodls.records.table import read_table
from autodls.records.training_log import Epoch, Judgement, LoggedStage, log_lines, logged_stages, told_of
from autodls.report.figures.learning_curves import draw_learning_curve, learning_figure
from autodls.stages.train import _draw_curves, _tell_not_learnt
from autodls.training import learnt
from autodls.training.keys import stored_sample_keys
from autodls.training.learnt import LabelCounts, best_guess, guess_loss, judge, unlearnt_auc
from autodls.training.locking import case_flags, lock_model
from autodls.training.loop import FocalMeanLoss
from autodls.training.stage_log import StageLog
from autodls.verify.workspace import verify_kind

TRAIN, INNER = LabelCounts(14, 26), LabelCounts(4, 6)
GOOD, CHANCE = 0.8, 0.3  # inner AUCs


def epochs(train, inner, auc=GOOD, stage="T1WI"):
    """Epochs with these losses; the first is that of a warm-up, the lowest inner loss after it is kept."""
    best, made = np.inf, []
    for number, (one, other) in enumerate(zip(train, inner, strict=True)):
        is_best = number > 0 and other < best
        best = other if is_best else best
        made.append(
            Epoch(stage=stage, epoch=number, learning_rate=0.1, train_loss=one, inner_loss=other, inner_auc=auc,
                  best=is_best, seconds=0.1)
        )  # fmt: skip
    return made


def judged(*losses, auc=GOOD, train=TRAIN, inner=INNER):
    return judge(epochs(*losses, auc=auc), train, inner, 2.0, 0.5)


FALLING = [0.17, 0.15, 0.12]


@pytest.mark.parametrize(
    ("losses", "auc", "fault"),
    [
        ((FALLING, FALLING), GOOD, None),
        (([0.16, 0.14, 2.0, 0.2], [0.17, 0.16, 3.0, 0.2]), GOOD, "diverged"),
        (([2.0, 0.16, 0.12], FALLING), GOOD, None),  # before it has begun
        (([0.17, 0.34, 0.15], FALLING), GOOD, None),  # one bad epoch
        ((FALLING, [0.17, 5.0, 4.0]), GOOD, None),  # in order, and too sure of itself
        ((FALLING, [0.17, 0.18, 0.19]), CHANCE, "no better than a guess"),
        ((FALLING, [0.17, 0.16, 0.19]), CHANCE, None),  # below a guess once
        ((FALLING, [0.17, 0.18, 0.19]), 0.5, None),  # of ten cases: may well have learnt something
        ((FALLING, [0.17, 0.18, 0.19]), None, None),
    ],
)
def test_losses_are_held_against_those_of_a_guess(losses, auc, fault):
    found = judged(*losses, auc=auc)
    assert found.fault == fault and bool(found.why) == (fault is not None)
    assert ";" not in found.why
    assert 0.15 < found.guess_inner_loss < 0.18


def test_what_is_wrong_is_said_in_numbers():
    assert judged([0.16, 0.14, 9.123], FALLING).why == "diverged (training loss 9.12 in epoch 3, a guess has 0.163)"
    assert judged(FALLING, [0.1, 0.3, 0.2], auc=0.25).why == (
        "is no better than a guess (loss of its 10 early-stopping cases 0.2, a guess has 0.17, AUC 0.25)"
    )


@pytest.mark.parametrize("changes", [{"train": LabelCounts(0, 20)}, {"inner": LabelCounts(0, 0)}], ids=str)
def test_where_there_is_no_guess_nothing_is_judged(changes):
    assert judged([9.0] * 3, [9.0] * 3, **changes) is None


def test_an_early_stopping_set_of_one_class_tells_of_divergence_only():
    losses = ([0.17, 0.18, 0.19], [9.0, 9.0, 8.0])
    assert judged(*losses, auc=None, inner=LabelCounts(3, 0)).fault is None
    assert judged([9.0] * 3, losses[1], auc=None, inner=LabelCounts(3, 0)).fault == "diverged"


def test_before_an_epoch_is_kept_nothing_is_judged():
    assert judged([9.0], [9.0]) is None and judged([], []) is None


@pytest.mark.parametrize(("gamma", "alpha"), [(0.0, 0.5), (2.0, 0.5), (2.0, 0.7), (1.0, 0.25)])
def test_a_guess_has_the_lowest_loss_of_all_constants_by_the_loss_that_is_trained_with(gamma, alpha):
    loss, labels = FocalMeanLoss(gamma, alpha), torch.tensor([1] * TRAIN.positives + [0] * TRAIN.negatives)

    def of(probability):
        logit = float(np.log(probability / (1 - probability)))
        return float(loss(torch.tensor([[0.0, logit]]).expand(TRAIN.count, 2), labels))

    best = best_guess(TRAIN, gamma, alpha)
    assert guess_loss(TRAIN, best, gamma, alpha) == pytest.approx(of(best), rel=1e-5)
    assert all(of(best) <= of(other) + 1e-6 for other in np.linspace(0.01, 0.99, 99))


@pytest.mark.parametrize(
    "labels", [LabelCounts(3, 5), LabelCounts(4, 6), LabelCounts(8, 14), LabelCounts(15, 30)], ids=str
)
def test_a_weak_network_is_seldom_taken_for_a_guess(labels):
    """AUC 2/3, binormal: without what the loss asks for, which spares more."""
    chance = np.random.default_rng(0)
    positive = chance.normal(0.6092, 1, (4000, labels.positives, 1))
    negative = chance.normal(0, 1, (4000, 1, labels.negatives))
    auc = (positive > negative).mean(axis=(1, 2))
    assert auc.mean() == pytest.approx(2 / 3, abs=0.01)
    assert (auc <= unlearnt_auc(labels)).mean() < 0.08


# -- the log -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path):
    log = StageLog(tmp_path / "log.jsonl")
    for epoch in (*epochs(FALLING, FALLING), *epochs(FALLING, FALLING, stage="fusion")):
        log.add(epoch)
    return log


def judgement(stage, why=""):
    fault = "diverged" if why else None
    return Judgement(stage=stage, guess_train_loss=0.2, guess_inner_loss=0.2, fault=fault, why=why)


def test_the_mark_stands_after_the_epochs_of_its_stage_and_once(log):
    for _ in range(2):
        log.judge({"T1WI": judgement("T1WI", "diverged"), "fusion": judgement("fusion")})
    lines = list(log_lines(log.path))
    assert [type(line).__name__ for line in lines] == [*["Epoch"] * 3, "Judgement"] * 2
    assert [stage.judgement.why for stage in logged_stages(lines)] == ["diverged", ""]
    assert logged_stages(lines)[0].kept.epoch == 2


def test_a_stage_that_is_fitted_on_loses_its_mark_and_others_keep_theirs(log):
    log.judge({stage: judgement(stage) for stage in ("T1WI", "fusion")})
    log.add(epochs(FALLING, FALLING)[1])
    of_stage = {stage.stage: stage for stage in logged_stages(log_lines(log.path))}
    assert of_stage["T1WI"].judgement is None and len(of_stage["T1WI"].epochs) == 2
    assert of_stage["fusion"].judgement is not None


# -- a fold, its scores, the model -------------------------------------------------------------------------------------


@pytest.fixture
def diverged(tmp_path, monkeypatch):
    """A study of two folds; all networks of the first are taken to have diverged. Locked."""
    use_tiny_resnet(monkeypatch)
    study = tiny_study(tmp_path / "study")
    for fold, threshold in ((0, 0.0), (1, 1e9)):
        monkeypatch.setattr(learnt, "DIVERGED", threshold)
        monkeypatch.setattr(learnt, "unlearnt_auc", lambda _labels: -1.0)
        study.train((fold,))
    return study, lock_model(study.workspace, DESCRIPTION, study.plan, study.splits, study.cases)


def test_a_fold_that_has_not_learnt_is_marked_flagged_and_told(diverged, capsys):
    study, _ = diverged
    first, second = (study.workspace.fold(fold) for fold in (0, 1))
    found = FoldRecord.load(first.record, "").not_learnt
    assert list(found) == [*study.plan.sequences, "fusion"] and all(
        why.startswith("diverged (") for why in found.values()
    )
    assert FoldRecord.load(second.record, "").not_learnt == {}
    marks = [json.loads(line) for line in first.log.read_text().splitlines() if '"fault": "diverged"' in line]
    assert {mark["stage"]: mark["why"] for mark in marks} == found

    rows = read_table(study.workspace.oof_scores)
    assert list(rows[0])[-1] == "flags"
    told = "; ".join(told_of(stage, 0, why) for stage, why in found.items())
    assert {(row["fold"], row["flags"]) for row in rows} == {("0", told), ("1", "")}

    _tell_not_learnt(SimpleNamespace(workspace=study.workspace), [0, 1], Terminal())
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(
        "lower its learning rate" in line and str(first.learning_curve) in line for line in lines
    )


def test_what_a_sample_leaves_out_is_a_flag_of_its_out_of_fold_score(diverged):
    study, _ = diverged
    case = study.splits.folds[1].validation[0]
    path = study.workspace.sample(case)
    save_sample(path, replace(load_sample(path), flags=("tumour left out: axial shows 80%", "odd")))
    found = case_flags(study.workspace, study.plan, study.splits)
    assert found[case] == ("tumour left out: axial shows 80%", "odd")
    assert not any(found[other] for other in study.splits.folds[1].validation[1:])


def test_verify_derives_the_same_flags_again(diverged):
    study, _ = diverged
    link = {link.name: link for link in verify_kind(study.workspace, None)}["folds -> out-of-fold scores, cut-off"]
    assert link.faults == ()


def test_a_log_that_was_lost_takes_no_flag_away(diverged):
    study, record = diverged
    study.workspace.fold(0).log.unlink()
    assert lock_model(study.workspace, DESCRIPTION, study.plan, study.splits, study.cases) == record


def test_a_curve_is_drawn_for_every_fold_that_is_scored_and_again_when_it_is_trained_again(diverged):
    study, _ = diverged
    session, folders = SimpleNamespace(workspace=study.workspace), [study.workspace.fold(fold) for fold in (0, 1)]
    folders[1].scores.rename(folders[1].root / "away")
    _draw_curves(session, [0, 1])
    assert folders[0].learning_curve.is_file() and not folders[1].learning_curve.exists()
    _draw_curves(session, [0, 1], failed=True)
    assert folders[1].learning_curve.is_file()
    before = hashes(folders[0].root, "*.png")
    folders[0].fusion.unlink()
    with pytest.raises(ZeroDivisionError):
        study.train((0,), lambda _fold, _epoch: 1 / 0)
    assert not folders[0].learning_curve.exists()
    study.train((0,))
    _draw_curves(session, [0])
    assert before and hashes(folders[0].root, "*.png").keys() == before.keys()


def test_the_same_log_gives_the_same_picture(log):
    folder = FoldFolder(log.path.parent)
    pictures = []
    for _ in range(2):
        draw_learning_curve(folder, 3)
        pictures.append(folder.learning_curve.read_bytes())
    assert pictures[0] == pictures[1] and pictures[0].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "stages",
    [
        [LoggedStage("T1WI", tuple(epochs([0.2], [0.0])), None)],
        [LoggedStage("T1WI", tuple(epochs([1e-9, 1e5], [1e-9, 1e5])), judgement("T1WI", "diverged"))] * 9,
    ],
    ids=["one epoch", "nine networks"],
)
def test_odd_logs_are_drawn(stages):
    axes = learning_figure({0: stages, 1: stages}).axes
    assert len(axes) == 2 * len(stages)
    assert all(one.get_ylim() == axes[0].get_ylim() for one in axes)


# -- cautions of a locked model ----------------------------------------------------------------------------------------


def auc_row(value, low, high):
    return ScoreAuc(cohort="a", row="dls", n=40, positives=20, value=value, low=low, high=high, reason="none")


SPREAD, ALIKE = np.linspace(0.2, 0.8, 40), np.linspace(0.416, 0.417, 40)


@pytest.mark.parametrize(
    ("auc", "scores", "said"),
    [
        (auc_row(0.8, 0.7, 0.9), SPREAD, ()),
        (auc_row(1.0, None, None), SPREAD, ()),
        (auc_row(0.6, 0.49, 0.7), SPREAD, ("AUC is 0.600 (0.490-0.700): it is not shown to be better than a guess",)),
        (auc_row(0.3, 0.2, 0.4), SPREAD, ("below chance",)),
        (auc_row(0.0, None, None), SPREAD, ("below chance",)),
        (auc_row(0.6, 0.51, 0.7), ALIKE, ("all cases alike: nine in ten of them from 0.416 to 0.417",)),
        (auc_row(0.5, 0.4, 0.6), ALIKE, ("a guess", "alike")),
        (auc_row(0.8, 0.7, 0.9), np.r_[np.full(35, 0.001), np.linspace(0.01, 0.3, 5)], ()),  # a rare class
    ],
)
def test_cautions_of_a_model(auc, scores, said):
    found = model_caveats(auc, scores)
    assert len(found) == len(said) and all(part in text for part, text in zip(said, found, strict=True))
    assert not any(";" in text for text in found)


def test_a_model_is_locked_with_its_cautions_and_its_card_says_them(diverged):
    study, record = diverged
    rows = read_table(study.workspace.oof_scores)
    scores = [float(row["dls"]) for row in rows]
    assert record.cautions and any("guess" in text or "alike" in text or "chance" in text for text in record.cautions)
    assert len(scores) == 16
    card = study.workspace.model.card.read_text()
    assert all(f"**Caution**: {text}.\n" in card for text in record.cautions)
    assert ModelRecord.load(study.workspace.model.record, "").cautions == record.cautions


def test_a_failure_draws_what_there_is(tmp_path, monkeypatch):
    """A loss that is no number ends a fold; its curve is what one wants to see."""
    from autodls.jobs import train as jobs
    from autodls.stages import train as train_stage

    use_tiny_resnet(monkeypatch)
    study = tiny_study(tmp_path)
    session = SimpleNamespace(workspace=study.workspace, training=study.cases)

    def fail(workspace, *_):
        StageLog(workspace.fold(0).log).add(epochs([0.2], [0.2])[0])
        raise TrainingError("loss nan")

    monkeypatch.setattr(jobs, "train_folds", fail)
    keys = stored_sample_keys(study.workspace, study.cases)
    with pytest.raises(TrainingError, match="loss nan"):
        train_stage._train(session, study.plan, study.splits, [0, 1], None, keys, LOCAL, Terminal())
    assert study.workspace.fold(0).learning_curve.is_file()
