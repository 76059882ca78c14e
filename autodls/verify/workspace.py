"""The chain of a workspace: dataset, fingerprint, plan, splits, samples, folds, scores, model, results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import StaleRecordError
from autodls.inference.prediction import Prediction
from autodls.models.fold_files import folded_sha256, load_encoder
from autodls.planning.fingerprint import inputs_sha256
from autodls.planning.splits import require_same_draw
from autodls.preprocessing.case import case_key
from autodls.preprocessing.store import is_note_sealed, load_sample
from autodls.records.case import Case, cohort_sha256
from autodls.records.cohort import table_path
from autodls.records.files import sha256_of_bytes, sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.scores import FoldRecord, load_fold_scores
from autodls.records.segmentation import load_masks
from autodls.records.splits import Fold, Splits
from autodls.records.tensors import read_note
from autodls.records.workspace import Workspace
from autodls.training.derived import derive
from autodls.training.fold_chain import altered_encoders, altered_weights, weight_hashes
from autodls.training.keys import short_key, stage_keys, stored_sample_keys
from autodls.training.locking import case_flags, out_of_fold, out_of_fold_csv
from autodls.training.standing import made_by, stages_of
from autodls.training.weights import start_sha256
from autodls.verify.chain import Link, examine, verify_model
from autodls.verify.results import verify_results
from autodls.verify.signature import signature_link

_PLAN = "run 'autodls plan'"
_TRAIN = "run 'autodls train fold all'"
_ANEW = "run 'autodls train fold all --restart'"
_EVALUATE = "run 'autodls evaluate'"
_PREPROCESS = "run 'autodls preprocess'"


@dataclass(frozen=True)
class Source:
    """The dataset as it lies there now: training cases with the ROIs that are trained on, and with those drawn."""

    training: tuple[Case, ...]
    drawn: tuple[Case, ...]
    held_out: dict[str, tuple[Case, ...]]
    roi_labels: frozenset[int]
    drawn_labels: frozenset[int]
    folder: Path

    @property
    def files(self) -> dict[str, Path]:
        """Description and table, by name."""
        return {path.name: path for path in (self.folder / "dataset.json", table_path(self.folder))}


@dataclass(frozen=True)
class Chain:
    """The records of a workspace that all else hangs on."""

    workspace: Workspace
    plan: Plan
    splits: Splits
    source: Source | None

    @property
    def cases(self) -> tuple[str, ...]:
        """Every training case."""
        return tuple(sorted(case for fold in self.splits.folds for case in fold.validation))


def verify_plans(workspace: Workspace, source: Source | None, workers: int) -> list[Link]:
    """Dataset, fingerprint, plan and splits, which both kinds of ROI share."""
    links = [
        examine("fingerprint -> plan", lambda: _plan_faults(workspace)),
        examine("fingerprint, plan -> splits", lambda: _splits_faults(workspace)),
    ]
    if source is None:
        return links
    return [examine("dataset -> fingerprint", lambda: _dataset_faults(workspace, source, workers)), *links]


def verify_kind(workspace: Workspace, source: Source | None) -> list[Link]:
    """What hangs on the plan for one kind of ROI, as far as it is there; raises InputError without plan or splits."""
    chain = Chain(workspace, Plan.load(workspace.plan, _PLAN), Splits.load(workspace.splits, _PLAN), source)
    links = []
    if workspace.sample("x").parent.is_dir():
        samples = examine("plan, images -> samples", lambda: _sample_faults(chain))
        links += [samples, *([] if samples.faults else _unsealed_samples(chain))]
    if workspace.rois == "auto" or workspace.segmented.exists():
        links.append(examine("plan, splits -> automatic ROIs", lambda: _mask_faults(chain)))
    if workspace.model.record.exists() or workspace.fold(0).root.parent.is_dir():
        links.append(examine("samples -> folds", lambda: _fold_faults(chain)))
    if workspace.model.record.exists():
        links.append(examine("folds -> out-of-fold scores, cut-off", lambda: _score_faults(chain)))
        links.append(examine("folds -> model", lambda: _weight_faults(chain)))
        links += [*verify_model(workspace.model), signature_link(workspace.model.root, None)]
        links.append(examine("model -> scores of held-out cohorts", lambda: _held_out_faults(chain)))
    links += verify_results(workspace, None if source is None else source.files)
    if any(workspace.fold(fold.index).log.exists() for fold in chain.splits.folds):
        links.append(Link("folds/*/log.jsonl: logs hold seconds, so no hash of them is kept", checked=False))
    return links


def _plan_faults(workspace: Workspace) -> Iterator[str]:
    plan = Plan.load(workspace.plan, _PLAN)
    found, used = sha256_of_file(workspace.fingerprint), plan.fingerprint_sha256
    if found != used:
        yield f"{workspace.plan}: made from fingerprint {used[:8]}, which is now {found[:8]}; {_PLAN}"


def _splits_faults(workspace: Workspace) -> Iterator[str]:
    plan, splits = Plan.load(workspace.plan, _PLAN), Splits.load(workspace.splits, _PLAN)
    fingerprint = Fingerprint.load(workspace.fingerprint, _PLAN)
    if len(splits.folds) != plan.training.folds:
        yield f"{workspace.splits}: {len(splits.folds)} folds, the plan has {plan.training.folds}; {_PLAN}"
    require_same_draw(splits, plan.training)
    if splits.cohort_sha256 != fingerprint.cohort_sha256:
        yield f"{workspace.splits}: of another cohort than fingerprint.json; {_PLAN}"


def _dataset_faults(workspace: Workspace, source: Source, workers: int) -> Iterator[str]:
    fingerprint = Fingerprint.load(workspace.fingerprint, _PLAN)
    if cohort_sha256(source.drawn) != fingerprint.cohort_sha256:
        yield f"clinical.csv: training cases, patients, sites or labels are not those that were planned for; {_PLAN}"
    if tuple(sorted(source.drawn_labels)) != fingerprint.roi_labels:
        yield f"dataset.json: tumour values {sorted(source.drawn_labels)}, were {list(fingerprint.roi_labels)}; {_PLAN}"
    if inputs_sha256(source.drawn, workers) != fingerprint.inputs_sha256:
        yield f"imagesTr, labelsTr: a training image or ROI is not the one that was planned for; {_PLAN}"


def _sample_faults(chain: Chain) -> Iterator[str]:
    known = {case.id: case for case in chain.source.training} if chain.source else {}
    for name in chain.cases:
        path = chain.workspace.sample(name)
        try:
            sample = load_sample(path)
        except StaleRecordError as failure:
            yield str(failure)
            continue
        case = known.get(name)
        if sample.case != name:
            yield f"{path}: is the sample of case {sample.case}; delete it and {_PREPROCESS}"
        elif case is not None and case.roi is not None and sample.key != _key(chain, case, case.roi):
            yield f"{path}: made from other images, ROI or settings; {_PREPROCESS}, then train anew"


def _unsealed_samples(chain: Chain) -> Iterator[Link]:
    found = sum(not is_note_sealed(chain.workspace.sample(name)) for name in chain.cases)
    if found:
        yield Link(f"planes and flags of {found} samples: of a version that kept a hash of pixels alone", checked=False)


def _key(chain: Chain, case: Case, roi: Path) -> str:
    labels = chain.source.roi_labels if chain.source else frozenset[int]()
    return case_key(case.images, roi, labels, chain.plan.preprocessing)


def _mask_faults(chain: Chain) -> Iterator[str]:
    load_masks(chain.workspace, chain.plan, chain.splits)
    return iter(())


def _fold_faults(chain: Chain) -> Iterator[str]:
    start = start_sha256(chain.plan.network.encoder_weights)
    cases = _labelled(chain)
    keys = stage_keys(stored_sample_keys(chain.workspace, cases), cases, chain.plan, chain.splits, start)
    for fold in chain.splits.folds:
        folder = chain.workspace.fold(fold.index)
        if not folder.root.is_dir():
            yield f"{folder.root}: fold {fold.index} is not trained; run 'autodls train fold {fold.index}'"
            continue
        for stage in stages_of(chain.plan):
            path = made_by(folder, stage)
            if not keys[fold.index].fits(stage, found := read_note(path).get("key")):
                repair = _ANEW if stage in chain.plan.sequences else _TRAIN
                yield f"{path}: trained by another plan, split or sample ({short_key(found)}); {repair}"
        yield from (f"{fault}; {_ANEW}" for fault in _altered(chain.plan, folder))
        yield from _part_faults(chain, fold)


def _altered(plan: Plan, folder: FoldFolder) -> Iterator[str]:
    """What is wrong inside a fold's folder: encoders -> fusion -> scores."""
    weights = weight_hashes(folder, plan)
    for fused in (folder, folder.fine_tuned) if plan.training.fine_tuning_epochs else (folder,):
        yield from altered_encoders(folder, fused, plan, weights)
    yield from altered_weights(folder, FoldRecord.load(folder.record, _TRAIN, StaleRecordError), weights)


def _labelled(chain: Chain) -> list[Case]:
    """Cases with the labels that were trained on: those of the table, else those in the scores of a fold."""
    if chain.source is not None:
        return list(chain.source.training)
    folder = chain.workspace.fold(0)
    scores = load_fold_scores(folder, chain.plan.sequences) if folder.scores.exists() else []
    return [Case(score.case, score.case, None, "", score.label, {}, None) for score in scores]


def _part_faults(chain: Chain, fold: Fold) -> Iterator[str]:
    path = chain.workspace.fold(fold.index).scores
    scores = load_fold_scores(chain.workspace.fold(fold.index), chain.plan.sequences)
    parts = {score.case: score.part for score in scores}
    expected = {case: part for part in ("train", "inner", "validation") for case in getattr(fold, part)}
    if parts != expected:
        odd = min(case for case in parts.keys() | expected.keys() if parts.get(case) != expected.get(case))
        yield f"{path}: case {odd} is {parts.get(odd, 'absent')}, in splits.json {expected.get(odd, 'absent')}; {_ANEW}"


def _score_faults(chain: Chain) -> Iterator[str]:
    """The pooled scores, their recalibration and the cut-offs, derived again."""
    workspace, record = chain.workspace, ModelRecord.load(chain.workspace.model.record, _TRAIN)
    derived = derive(workspace, chain.plan, chain.splits, _labelled(chain), common_scale=bool(record.fold_scales))
    if not record.fold_scales:
        derived = derived.as_locked_before(record.recalibration)
    flags = case_flags(workspace, chain.plan, chain.splits)
    scores = out_of_fold(derived.pooled, derived.recalibration)
    again = out_of_fold_csv(scores, chain.plan, workspace.rois, flags)  # in memory: nothing is left where it is killed
    found = sha256_of_file(workspace.oof_scores)
    if found != sha256_of_bytes(again.encode()):
        yield f"{workspace.oof_scores}: not what the scores of the folds give; {_TRAIN}"
    if found != record.oof_scores_sha256:
        yield f"{workspace.model.record}: locked from other out-of-fold scores; {_TRAIN}"
    if record.splits_sha256 != chain.splits.sha256():
        yield f"{workspace.model.record}: locked from other splits; {_TRAIN}"
    if any(getattr(record, name) != value for name, value in derived.locked(chain.plan).items()):
        yield f"{workspace.model.record}: cut-off or recalibration are not what the scores of the folds give; {_TRAIN}"


def _weight_faults(chain: Chain) -> Iterator[str]:
    """The model's encoders, folded again from those of the folds."""
    model = chain.workspace.model
    if Plan.load(model.plan, _TRAIN) != chain.plan.without_paths():
        yield f"{model.plan}: is not the plan of the workspace; {_TRAIN}"
    if Fingerprint.load(model.fingerprint, _TRAIN) != Fingerprint.load(chain.workspace.fingerprint, _PLAN).travelling():
        yield f"{model.fingerprint}: is not the fingerprint of the workspace; {_TRAIN}"
    files = ModelRecord.load(model.record, _TRAIN).files
    for fold in chain.splits.folds:
        trained = chain.workspace.fold(fold.index).trained(chain.plan.training.fine_tuning_epochs)
        for stage in (*chain.plan.sequences, "fusion"):
            name = model.fold(fold.index).sequence(stage).relative_to(model.root).as_posix()
            fused = stage == "fusion"
            made = sha256_of_file(trained.fusion) if fused else folded_sha256(load_encoder(trained, stage))
            if made != files.get(name):
                yield f"{model.root / name}: is not made from {trained.sequence(stage)}; {_TRAIN}"


def _held_out_faults(chain: Chain) -> Iterator[str]:
    workspace = chain.workspace
    model = ModelRecord.load(workspace.model.record, _TRAIN).sha256()
    cohorts = chain.source.held_out if chain.source else {}
    known = {workspace.heldout_record(name): cases for name, cases in cohorts.items()}
    for path in sorted(workspace.heldout_scores("x").parent.glob("*.json")):
        prediction = Prediction.load(path, _EVALUATE)
        if prediction.model_sha256 != model:
            yield f"{path}: scored by another model ({prediction.model_sha256[:12]}, now {model[:12]}); {_EVALUATE}"
        yield from _input_faults(path, prediction, known.get(path, ()))


def _input_faults(path: Path, prediction: Prediction, cases: Sequence[Case]) -> Iterator[str]:
    for case in cases:
        files = {**case.images, **({"roi": case.roi} if case.roi else {})}
        for name, hashed in prediction.inputs.get(case.id, {}).items():
            if hashed and (name not in files or sha256_of_file(files[name]) != hashed):
                yield f"{path}: case {case.id} was scored from another {name} than lies there now; {_EVALUATE}"
