"""Folds together: one scale, mean log-odds, and a cut-off that keeps its place."""

import shutil
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score
from tiny_models import SEQUENCES, random_input, tiny_fold, tiny_plan
from tiny_study import DESCRIPTION, tiny_study, use_tiny_resnet

from autodls.errors import ArgumentError, StaleRecordError, TrainingError
from autodls.evaluation.binary import class_medians_cutoff, confusion_at, youden_cutoff
from autodls.inference.model_folder import load_model
from autodls.models.ensemble import score_ensemble
from autodls.models.network import FoldLogits
from autodls.models.recalibration import fit_scale
from autodls.preprocessing.store import FORMAT
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.plan import TrainingPlan
from autodls.records.scale import LogisticScale, sigmoid
from autodls.records.scores import FUSED, FoldScore
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.training.derived import choose_cutoffs, derive, recalibrate
from autodls.training.locking import lock_model, out_of_fold, write_out_of_fold
from autodls.verify.workspace import verify_kind

FOLDS = 5
IDENTITY = LogisticScale(slope=1.0, intercept=0.0)


@dataclass(frozen=True)
class FixedFold:
    """A fold whose logits are known beforehand."""

    fused: np.ndarray
    scales: dict
    encoders = ()
    fusion = SimpleNamespace(position=torch.zeros(1))

    def scale_of(self, row):
        return self.scales[row]

    def fuse(self, _seen, _present, batch_cases):
        assert batch_cases == 1
        return FoldLogits(torch.from_numpy(self.fused), {})


@dataclass(frozen=True)
class Simulated:
    """Folds that score on different scales, with an evidence of the case in common and noise of their own."""

    chance: np.random.Generator
    slopes: np.ndarray
    shifts: np.ndarray
    skewed: bool = False

    @classmethod
    def draw(cls, seed, skewed=False):
        chance = np.random.default_rng(seed)
        return cls(chance, np.exp(chance.normal(0, 0.6, FOLDS)), chance.normal(0, 1.5, FOLDS), skewed)

    def cases(self, count):
        """Labels [case] and raw logits [fold, case]."""
        labels = self.chance.random(count) < 0.4
        evidence = np.where(labels, 0.9, -0.9) + self.chance.normal(0, 0.8, count)
        seen = evidence + self.chance.normal(0, 0.8, (FOLDS, count))
        if self.skewed:  # as networks are: soon sure of positives, ever surer of negatives
            seen = np.where(seen > 0, 1.2 * np.tanh(seen / 1.2), seen)
        return labels, self.slopes[:, None] * seen + self.shifts[:, None]

    def scales(self, inner=60):
        """The scale of each fold, from an inner hold-out of its own."""
        drawn = [self.cases(inner) for _ in range(FOLDS)]
        return [fit_scale(logits[fold], labels) for fold, (labels, logits) in enumerate(drawn)]


def locked_cutoff(simulated, scales, cases=500, rule="youden"):
    """Recalibration and cut-off, and the sensitivity, specificity, labels and scores they have out of fold."""
    labels, logits = simulated.cases(cases)
    fold_of = np.arange(cases) % FOLDS
    pooled = np.array([scales[fold].log_odds(logits[fold, case]) for case, fold in enumerate(fold_of)])
    recalibration = fit_scale(pooled, labels, 10.0)
    dls = recalibration.probability(pooled)
    middle = recalibration.probability(class_medians_cutoff(labels, pooled))
    cutoff = youden_cutoff(labels, dls) if rule == "youden" else middle
    return recalibration, cutoff, rates(labels, dls, cutoff), (labels, dls)


def rates(labels, scores, cutoff):
    found = confusion_at(labels, scores, cutoff)
    return found.tp / (found.tp + found.fn), found.tn / (found.tn + found.fp)


def ensemble(scales, logits, recalibration=IDENTITY):
    folds = [FixedFold(row, {FUSED: scale}) for row, scale in zip(logits, scales, strict=True)]
    return score_ensemble(folds, recalibration, torch.zeros(1), torch.ones(1, dtype=torch.bool))


def simulate(seed, scaled=True, rule="youden", cases=500, skewed=False):
    """(Sensitivity, specificity) of new cases at one locked cut-off: mean of single folds, and ensemble."""
    simulated = Simulated.draw(seed, skewed)
    scales = simulated.scales() if scaled else [IDENTITY] * FOLDS
    recalibration, cutoff, _, _ = locked_cutoff(simulated, scales, cases, rule)
    labels, logits = simulated.cases(4000)
    single = [
        rates(labels, recalibration.probability(s.log_odds(row)), cutoff) for s, row in zip(scales, logits, strict=True)
    ]
    return np.mean(single, axis=0), np.array(rates(labels, ensemble(scales, logits, recalibration).dls, cutoff))


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("rule", ["youden", "class_medians"])
def test_locked_cut_off_keeps_sensitivity_and_specificity_when_the_ensemble_takes_over(rule, skewed):
    """Trap (b) of docs/method.md, section 4: averaging narrows the spread of the scores the cut-off came from."""
    pairs = [simulate(seed, rule=rule, skewed=skewed) for seed in range(15)]
    single, together = (np.array(part) for part in zip(*pairs, strict=True))
    gain = (together - single).mean(axis=0)
    error = (together - single).std(axis=0, ddof=1) / np.sqrt(15)
    assert (gain > -2 * error).all()
    assert gain.sum() > 0.03, "averaging folds whose noise is their own makes better calls"


@pytest.mark.parametrize("skewed", [False, True])
def test_in_a_small_cohort_half_way_between_the_medians_is_steadier_than_youden_and_no_worse(skewed):
    """Youden's point is the extreme of a noisy curve; `benchmarks/cutoff.py` has larger cohorts and more trials."""
    calls = {
        rule: np.array([simulate(seed, rule=rule, cases=72, skewed=skewed)[1] for seed in range(30)])
        for rule in ("youden", "class_medians")
    }
    assert (calls["class_medians"].std(axis=0) < 0.75 * calls["youden"].std(axis=0)).all()
    assert calls["class_medians"].sum(axis=1).mean() > calls["youden"].sum(axis=1).mean()


def test_without_a_common_scale_the_calls_are_worse():
    scaled, unscaled = (np.mean([sum(simulate(seed, scaled)[0]) for seed in range(15)]) for scaled in (True, False))
    assert scaled > unscaled + 0.05


def test_pooled_out_of_fold_auc_is_that_of_single_folds_once_they_share_a_scale():
    pooled, alone, unscaled = [], [], []
    for seed in range(10):
        simulated = Simulated.draw(seed)
        labels, dls = locked_cutoff(simulated, simulated.scales())[3]
        pooled.append(roc_auc_score(labels, dls))
        unscaled.append(roc_auc_score(*locked_cutoff(simulated, [IDENTITY] * FOLDS)[3]))
        new_labels, logits = simulated.cases(2000)
        alone.append(roc_auc_score(new_labels, logits[0]))
    assert np.mean(pooled) == pytest.approx(np.mean(alone), abs=0.03)
    assert np.mean(unscaled) < np.mean(pooled) - 0.03


def test_recalibrated_out_of_fold_scores_have_the_prevalence_as_their_mean():
    simulated = Simulated.draw(1)
    labels, dls = locked_cutoff(simulated, simulated.scales(), cases=3000)[3]
    assert dls.mean() == pytest.approx(labels.mean(), abs=0.002)


def test_score_is_the_recalibrated_mean_of_scaled_log_odds():
    logits = np.array([[1.0, -2.0], [3.0, 0.5]])
    scales = [LogisticScale(slope=2.0, intercept=-1.0), LogisticScale(slope=0.5, intercept=0.2)]
    recalibration = LogisticScale(slope=1.5, intercept=0.3)
    found = ensemble(scales, logits, recalibration)
    odds = np.array([[1.0, -5.0], [1.7, 0.45]])
    np.testing.assert_allclose(found.dls, sigmoid(1.5 * odds.mean(axis=0) + 0.3))
    np.testing.assert_allclose(found.spread, sigmoid(1.5 * odds + 0.3).std(axis=0))
    np.testing.assert_allclose(found.dls_raw, sigmoid(logits).mean(axis=0))


def test_folds_that_agree_have_no_spread_and_their_own_score():
    found = ensemble([IDENTITY] * 3, np.tile([-1.0, 0.0, 2.0], (3, 1)))
    np.testing.assert_allclose(found.spread, 0, atol=1e-12)
    np.testing.assert_allclose(found.dls, sigmoid(np.array([-1.0, 0.0, 2.0])))


def test_missing_sequence_has_no_score_of_its_own_and_no_say():
    plan = tiny_plan()
    folds = [tiny_fold(plan, seed) for seed in (0, 1)]
    pixels, present = random_input(plan, cases=3)
    present[1, 0] = False
    found = score_ensemble(folds, IDENTITY, pixels, present)
    assert np.isnan(found.by_sequence[SEQUENCES[0]]).tolist() == [False, True, False]
    assert np.isfinite(found.dls).all()
    pixels[1, 0] = 5.0
    np.testing.assert_array_equal(score_ensemble(folds, IDENTITY, pixels, present).dls, found.dls)


def test_score_of_a_case_does_not_depend_on_the_others():
    plan = tiny_plan()
    folds = [tiny_fold(plan, seed) for seed in (0, 1)]
    pixels, present = random_input(plan, cases=18)  # more than one batch
    together = score_ensemble(folds, IDENTITY, pixels, present)
    alone = score_ensemble(folds, IDENTITY, pixels[17:], present[17:])
    np.testing.assert_array_equal(together.dls[17:], alone.dls)


# -- locking -----------------------------------------------------------------------------------------------------------


def test_the_mean_has_a_recalibration_of_its_own_and_single_folds_theirs():
    plan = tiny_plan()
    folds, (pixels, present) = [tiny_fold(plan, seed) for seed in range(3)], random_input(plan, 4)
    single, of_mean = LogisticScale(slope=0.7, intercept=0.4), LogisticScale(slope=1.9, intercept=-0.8)
    raw, before, after = (
        score_ensemble(folds, *scales, pixels, present, *more)
        for scales, more in (((IDENTITY,), ()), ((single,), ()), ((single,), (of_mean,)))
    )
    np.testing.assert_allclose(before.dls, single.probability(logit(raw.dls)))
    np.testing.assert_allclose(after.dls, of_mean.probability(logit(raw.dls)))
    np.testing.assert_array_equal(after.spread, before.spread)
    np.testing.assert_array_equal(after.dls_raw, before.dls_raw)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A trained study, locked; tests only read it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny_resnet(monkeypatch)
        study = tiny_study(tmp_path_factory.mktemp("study"))
        study.train()
        return study, lock(study)


def lock(study):
    return lock_model(study.workspace, DESCRIPTION, study.plan, study.splits, study.cases)


def test_locking_again_leaves_weights_nowhere_else_and_none_of_an_earlier_plan(study, tmp_path, monkeypatch):
    """Not in the system's folder for temporary files either, where a kill would leave them."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no such folder"))
    root = study[0].workspace.model.root
    for name in ("fold_9/T1WI.safetensors", "fold_0/T9WI.safetensors"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("of a plan of ten folds")
    assert lock(study[0]) == study[1]
    assert {path.relative_to(root).as_posix() for path in root.glob("fold_*/*")} == set(study[1].files)


def test_a_signature_stays_with_the_same_model_and_goes_with_another(study):
    signature = study[0].workspace.model.signature
    signature.write_text("of the model that lies there")
    lock(study[0])
    assert signature.exists()
    lock(replace(study[0], plan=study[0].plan.model_copy(update={"dataset": "other"})))
    assert not signature.exists()
    assert lock(study[0]) == study[1]


def test_out_of_fold_table_has_the_columns_of_the_design_and_a_row_a_case(study):
    rows = read_table(study[0].workspace.oof_scores)
    assert list(rows[0]) == ["case", "fold", "label", "dls", "dls_raw", *SEQUENCES, "present", "rois"]
    assert [row["case"] for row in rows] == sorted(case.id for case in study[0].cases)
    by_case = {row["case"]: row for row in rows}
    assert by_case["case_03"]["T1WI"] == ""
    assert by_case["case_03"]["present"] == "CE-T1WI"
    assert all(0 <= float(row["dls"]) <= 1 for row in rows)


def test_cut_off_is_that_of_the_plan_and_youden_stands_beside_it(study):
    rows = read_table(study[0].workspace.oof_scores)
    labels, dls = (np.array([float(row[name]) for row in rows]) for name in ("label", "dls"))
    middle = (np.median(logit(dls[labels == 1])) + np.median(logit(dls[labels == 0]))) / 2
    assert study[0].plan.training.cutoff == "class_medians"
    assert study[1].cutoff == pytest.approx(expit(middle))
    assert study[1].youden_cutoff == youden_cutoff(labels, dls)
    assert study[1].youden_cutoff in dls


def test_every_rule_of_a_plan_gives_a_cut_off():
    pooled = [(0, fold_score(i, x, label=x > 0.3)) for i, x in enumerate(np.linspace(-2, 2, 50))]
    cutoffs = choose_cutoffs(pooled, LogisticScale(slope=2.0, intercept=1.0))
    assert set(cutoffs) == set(get_args(TrainingPlan.model_fields["cutoff"].annotation))
    with pytest.raises(TrainingError, match="one class only"):
        choose_cutoffs([(0, fold_score(i, i, label=True)) for i in range(4)], IDENTITY)


def test_record_holds_the_hash_of_every_file(study):
    workspace, record = study[0].workspace, study[1]
    assert record.sample_format == FORMAT
    assert len(record.files) == 2 * (len(SEQUENCES) + 1)
    for name, expected in record.files.items():
        assert sha256_of_file(workspace.model.root / name) == expected
    assert record.plan_sha256 == study[0].plan.sha256() == sha256_of_file(workspace.model.plan)
    assert record.oof_scores_sha256 == sha256_of_file(workspace.oof_scores)
    assert record.splits_sha256 == study[0].splits.sha256()
    assert (record.training_cases, record.training_positives) == (16, 8)


def test_model_folder_holds_no_hash_by_which_labels_could_be_tried_out(study):
    """Whoever has ids, patients and sites could hash every guess of the labels, and see which one it is."""
    workspace = study[0].workspace
    kept = Fingerprint.load(workspace.fingerprint, "")
    assert kept.cohort_sha256 and kept.inputs_sha256
    travelled = "".join(path.read_text() for path in workspace.model.root.rglob("*.json"))
    assert kept.cohort_sha256 not in travelled and kept.inputs_sha256 not in travelled
    assert Fingerprint.load(workspace.model.fingerprint, "") == kept.travelling()


def test_locked_model_loads_and_scores_in_the_order_of_the_out_of_fold_fit(study):
    model = load_model(study[0].workspace.model.root, torch.device("cpu"))
    data = study[0].data()
    scores = model.score(data.pixels[..., 4:36, 4:36], data.present)
    assert scores.dls.shape == (16,)
    assert np.isfinite(scores.dls).all()


def test_locking_twice_gives_the_same_bytes(study):
    assert lock(study[0]).to_bytes() == study[1].to_bytes()


def test_locking_before_all_folds_are_trained_names_the_command(tmp_path, monkeypatch):
    use_tiny_resnet(monkeypatch)
    study = tiny_study(tmp_path)
    study.train((0,))
    with pytest.raises(ArgumentError, match="run 'autodls train fold 1'"):
        lock(study)


def test_locking_with_scores_of_other_splits_is_refused(study):
    whole, _ = study
    first, second = whole.splits.folds
    turned = (replace_fold(first, second), replace_fold(second, first))
    with pytest.raises(ArgumentError, match="validation cases"):
        lock(replace(whole, splits=whole.splits.model_copy(update={"folds": turned})))


def fold_score(number, log_odds, label):
    odds = {FUSED: log_odds, "T1WI": 0}
    return FoldScore(case=str(number), part="validation", label=bool(label), logits={FUSED: 0.0}, log_odds=odds)


def replace_fold(fold, other):
    return fold.model_copy(update={"train": other.train, "inner": other.inner, "validation": other.validation})


def test_damaged_score_table_is_refused(tmp_path, study):
    whole, _ = study
    path = whole.workspace.fold(0).scores
    content = path.read_bytes()
    try:
        path.write_bytes(content.replace(b"validation", b"something", 1))
        with pytest.raises(StaleRecordError, match=r"scores.csv: altered .*'autodls train fold all'"):
            lock(whole)
    finally:
        path.write_bytes(content)


def test_scores_with_another_label_than_the_table_are_refused(study):
    whole, _ = study
    cases = (replace(whole.cases[0], label=not whole.cases[0].label), *whole.cases[1:])
    with pytest.raises(
        StaleRecordError, match=r"case case_00 is labelled True, in the table False; run 'autodls train"
    ):
        lock(replace(whole, cases=cases))


def test_recalibration_is_of_the_fused_row():
    scores = [fold_score(i, x, label=i % 2 == 0) for i, x in enumerate(np.linspace(-2, 2, 50))]
    labels = np.array([score.label for score in scores])
    expected = fit_scale(np.linspace(-2, 2, 50), labels, 10.0)
    assert recalibrate([(0, score) for score in scores]) == expected


def test_a_workspace_that_an_older_version_locked_is_whole(study, tmp_path):
    """Every fold on its own scale, one recalibration, fitted by numerical gradients."""
    whole, record = study
    workspace = Workspace(shutil.copytree(whole.workspace.root, tmp_path / "old"))
    old = derive(workspace, whole.plan, whole.splits, whole.cases, common_scale=False)
    almost = old.recalibration.model_copy(update={"slope": old.recalibration.slope * 1.00001})
    old = old.as_locked_before(almost)
    assert old.recalibration == almost
    write_out_of_fold(
        workspace.oof_scores,
        out_of_fold(old.pooled, almost),
        whole.plan,
        "manual",
        {case.id: () for case in whole.cases},
    )
    locked = {**old.locked(whole.plan), "oof_scores_sha256": sha256_of_file(workspace.oof_scores)}
    record.model_copy(update=locked).sealed().save(workspace.model.record)
    assert "fold_scales" not in workspace.model.record.read_text()
    (link,) = [link for link in verify_kind(workspace, None) if link.name.startswith("folds -> out-of-fold")]
    assert link.faults == ()
    other = LogisticScale(slope=almost.slope * 1.1, intercept=almost.intercept)
    assert old.as_locked_before(other) == old
