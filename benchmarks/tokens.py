"""Covariates and radiomics beside the images: as tokens of the fusion transformer, or as a stack of finished scores?

    python benchmarks/tokens.py -d DATASET -w WORKSPACE [-d DATASET -w WORKSPACE ...]

Each workspace has been trained, and compared (`autodls compare`), so that radiomic features and stacks lie there. On
the encoders of every fold a transformer is fitted anew, as training does it, once as it is, and once with one more
token for the clinical columns and one for sixteen principal components of the radiomic features, each hidden as often
as a sequence is. Covariates are prepared by the fold's train part; epoch and scale come from its early-stopping set.
All are judged out of fold, beside the stack that `compare` calls integrated.
"""

import json
import tempfile
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from autodls.candidates.covariates import covariates_of, frame, preparation
from autodls.candidates.learners import RadiomicsLearner
from autodls.evaluation.delong import auc_with_ci
from autodls.models.fusion import FusionTransformer, attention_kernel
from autodls.models.network import FoldModel, class_logit, new_fusion
from autodls.models.recalibration import fit_scale
from autodls.records.comparison import FoldComparison, RadiomicFeatures
from autodls.records.splits import Fold
from autodls.seeding import stream_seed
from autodls.stages.session import Session
from autodls.training.data import FoldRun, centre_crop, load_training_data
from autodls.training.fusion_stage import FusionInputs, FusionTask, fusion_inputs, fusion_settings
from autodls.training.keys import stage_keys
from autodls.training.loop import fit

COMPONENTS = 16
FARTHEST = 3.0  # standard deviations
Floats = NDArray[np.float64]


class WithTokens(FusionTransformer):
    """The transformer of `plain` with a token more for each of `widths` numbers, which a case may lack."""

    def __init__(self, plain: FusionTransformer, widths: tuple[int, ...]) -> None:
        nn.Module.__init__(self)
        width = plain.position.shape[1]
        self.patch_px, self.missing, self.position = plain.patch_px, plain.missing, plain.position
        self.encoder, self.decoder = plain.encoder, plain.decoder
        self.widths = widths
        layers = [nn.Linear(numbers, width) for numbers in widths]
        self.more = nn.ModuleList(layers)
        self.lacking = nn.Parameter(torch.zeros(len(widths), width))
        for layer in layers:
            nn.init.trunc_normal_(layer.weight, std=0.02, generator=torch.Generator().manual_seed(0))
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Tensor, present: Tensor, *tokens: Tensor) -> Tensor:
        """Logits [case, class]; `tokens` are numbers [case, all widths] and whether they are known [case, token]."""
        numbers, known = tokens
        with attention_kernel(maps.device):
            maps = torch.where(present[:, :, None, None, None], maps, self.missing[:, :, None, None])
            patches = functional.pixel_unshuffle(self._whole_patches(maps.flatten(1, 2)), self.patch_px)
            parts = torch.split(numbers, list(self.widths), dim=1)
            more = torch.stack([layer(part) for layer, part in zip(self.more, parts, strict=True)], dim=1)
            more = torch.where(known[:, :, None], more, self.lacking)
            hidden = self.encoder(torch.cat([patches.flatten(2).transpose(1, 2) + self.position, more], dim=1))
            logits: Tensor = self.decoder(hidden.mean(dim=1))
            return logits


@dataclass
class TokenTask(FusionTask):
    """Fit the transformer with tokens: `numbers` and `inner_numbers` are [case, all widths]."""

    model: WithTokens
    numbers: Tensor
    inner_numbers: Tensor

    def batches(self, seed):
        """The batches of the plain task, with numbers, each token of which is hidden as often as a sequence is."""
        chance = torch.Generator().manual_seed(stream_seed(seed, "tokens"))
        known = torch.rand(len(self.labels), len(self.model.widths), generator=chance)
        known = known >= self.plan.training.sequence_dropout
        rows = torch.arange(len(self.labels))
        whole, self.labels = self.labels, rows
        try:
            drawn = list(super().batches(seed))
        finally:
            self.labels = whole
        for (maps, present), picked in drawn:
            yield (maps, present, self.numbers[picked], known[picked]), whole[picked]

    def inner_logits(self) -> Tensor:
        """Logits of the inner hold-out, with all tokens."""
        known = torch.ones(len(self.inner_labels), len(self.model.widths), dtype=torch.bool)
        return self.model(self.inner_maps, self.inner_present, self.inner_numbers, known)


def main() -> None:
    """Out-of-fold AUC of every way, for each workspace."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("-d", "--dataset", type=Path, action="append", required=True)
    parser.add_argument("-w", "--workspace", type=Path, action="append", required=True)
    asked = parser.parse_args()
    for dataset, workspace in zip(asked.dataset, asked.workspace, strict=True):
        print(workspace.name, json.dumps(judged(Session.open(dataset, workspace))), flush=True)


def judged(session: Session) -> dict[str, str]:
    """AUC with its 95 % interval by way."""
    plan, place = session.plan(), session.workspace
    splits = session.splits(plan)
    data = load_training_data(session.training, place.sample, torch.device("cpu"), roi_guided=plan.network.roi_guided)
    keys = stage_keys({case.id: "" for case in session.training}, session.training, plan, splits, None)
    scores: dict[str, dict[str, float]] = {"transformer": {}, "transformer with tokens": {}}
    for fold in splits.folds:
        numbers, widths = _numbers(session, fold)
        run = FoldRun(data, fold, plan, place.fold(fold.index), keys[fold.index])
        given = fusion_inputs(run, fusion_settings(plan, fold).seed)
        scores["transformer"] |= _by_transformer(given, run)
        given.task.model = new_fusion(plan, given.task.maps.shape[3])
        given.task.model.start_from_random(torch.Generator().manual_seed(fold.index))
        scores["transformer with tokens"] |= _by_tokens(given, run, numbers, widths)
        kept = FoldComparison.load(place.fold_comparison(fold.index), "run 'autodls compare'")
        for name in ("deep", "radiomics", "integrated"):
            scores.setdefault(name, {}).update(kept.scores[name])
    truth = {case.id: bool(case.label) for case in session.training}
    patients = {case.id: case.patient for case in session.training}
    found = {}
    for name, values in scores.items():
        one = auc_with_ci(
            np.array([truth[case] for case in values]),
            np.array(list(values.values())),
            patients=[patients[case] for case in values],
            out_of_fold=True,
        )
        found[name] = f"{one.value:.3f} ({one.low:.3f}-{one.high:.3f})"
    return found


def _numbers(session: Session, fold: Fold) -> tuple[Mapping[str, Floats], tuple[int, int]]:
    """Clinical columns, then components of the radiomic features, of every case; prepared by the train part."""
    rows, settings = {case.id: case.row for case in session.training}, session.cohort.description.autodls
    columns = covariates_of(rows, settings.clinical, settings.missing)
    cases, train = list(rows), list(fold.train)
    clinical = preparation(columns).fit(frame(columns, train)).transform(frame(columns, cases))
    features = {
        case: RadiomicFeatures.load(session.workspace.radiomics(case), "run 'autodls compare'").features
        for case in cases
    }
    table = RadiomicsLearner(features).table
    held = table.columns[table.loc[train].notna().any()]
    way = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        FunctionTransformer(np.clip, kw_args={"a_min": -FARTHEST, "a_max": FARTHEST}),
        PCA(COMPONENTS, random_state=0),
        StandardScaler(),
    )
    way.fit(table.loc[train, held].to_numpy())
    components = way.transform(table.loc[cases, held].to_numpy())
    together = np.hstack([np.asarray(clinical, dtype=np.float64), components])
    return dict(zip(cases, together, strict=True)), (np.shape(clinical)[1], COMPONENTS)


def _by_transformer(given: FusionInputs, run: FoldRun) -> dict[str, float]:
    _fit(given.task, run)
    maps, present = _test_maps(given, run)
    with torch.inference_mode():
        logits = given.task.model(maps, present)
    return _on_scale(given.task, logits, run.fold)


def _by_tokens(
    given: FusionInputs, run: FoldRun, numbers: Mapping[str, Floats], widths: tuple[int, int]
) -> dict[str, float]:
    def of(cases):
        return torch.from_numpy(np.array([numbers[case] for case in cases])).float()

    plain = given.task
    task = TokenTask(
        **{**vars(plain), "model": WithTokens(plain.model, widths)},
        numbers=of(run.fold.train),
        inner_numbers=of(run.fold.inner),
    )
    _fit(task, run)
    maps, present = _test_maps(given, run)
    known = torch.ones(len(maps), len(widths), dtype=torch.bool)
    with torch.inference_mode():
        logits = task.model(maps, present, of(run.fold.validation), known)
    return _on_scale(task, logits, run.fold)


def _fit(task: FusionTask, run: FoldRun) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fit(task, fusion_settings(run.plan, run.fold), "benchmark", Path(folder) / "resume", lambda _epoch: None)


def _test_maps(given: FusionInputs, run: FoldRun) -> tuple[Tensor, Tensor]:
    rows = run.data.rows(run.fold.validation)
    pixels = centre_crop(run.data.pixels[rows], run.plan.preprocessing.input_size_px)
    model = FoldModel(given.encoders, given.projections, given.task.model, {})
    seen = [model.encode_planes(name, pixels[:, at], 16).maps for at, name in enumerate(run.plan.sequences)]
    return torch.stack(seen, dim=1), run.data.present[rows]


def _on_scale(task: FusionTask, logits: Tensor, fold: Fold) -> dict[str, float]:
    """Log-odds of the test cases, on the scale of the early-stopping set."""
    with torch.inference_mode():
        inner = class_logit(task.inner_logits()).double().numpy()
    scale = fit_scale(inner, (task.inner_labels == 1).numpy())
    odds = scale.log_odds(class_logit(logits).double().numpy())
    return dict(zip(fold.validation, odds.tolist(), strict=True))


if __name__ == "__main__":
    main()
