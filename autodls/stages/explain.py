"""`explain`: where in the images the evidence lies, for the clearest cases of every cohort or for those named."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from autodls.analysis.scored_study import cohort_name
from autodls.errors import ArgumentError, StaleRecordError
from autodls.evaluation.randomisation import PASSED, WeightsVerdict, weights_verdict
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.inference.explain import ALL, MapShare, RandomisedMap, write_randomisation, write_shares
from autodls.inference.heldout_rois import automatic_rois_before
from autodls.inference.heldout_scores import known_scores
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel, load_model
from autodls.inference.prediction import CaseScore
from autodls.models.device import memory_of, resolve_device
from autodls.preprocessing.store import Sample, load_summary
from autodls.records.automatic_roi import AutomaticRoi
from autodls.records.case import Case
from autodls.records.files import write_text
from autodls.records.heatmap_folder import HeatmapFolder
from autodls.records.lock import locked
from autodls.records.model_folders import RoiKind
from autodls.records.results_folder import renewed
from autodls.records.scores import FUSED, write_csv
from autodls.records.segmentation import doubts
from autodls.records.table import read_table
from autodls.seeding import generator
from autodls.stages.heatmaps import ExplainedCase, check_weights, samples_of, write_maps
from autodls.stages.provenance import files_below, note_run
from autodls.stages.session import Session, planned_workspace, trained_rois
from autodls.watch import SILENT, Watch

CASES = 4  # of the highest, of the lowest, and of each held-out cohort
_FEW_CELLS = 4  # a side of the feature map below this locates next to nothing

_MADE = (".png", ".nii.gz", ".csv")  # what an earlier run may have made, of cases that are not explained now


@dataclass(frozen=True)
class Explained:
    """What `explain` found: cases in their order, `shares` of every map in the tumour, and maps of shuffled weights.

    `folder` is where they lie. `unexplained` says of each case that could not be explained why. `verdict` is that of
    the weight-randomisation check, None where no case has a map; `warnings` say what else a reader must know.
    """

    folder: HeatmapFolder
    cases: tuple[ExplainedCase, ...]
    shares: tuple[MapShare, ...]
    checked: tuple[RandomisedMap, ...]
    unexplained: Mapping[str, str]
    verdict: WeightsVerdict | None
    warnings: tuple[str, ...]

    @property
    def share_rows(self) -> list[list[str]]:
        """Of each case, its score and the share of the fused score's map in the tumour, mean of the planes, as text."""
        return [self._share_row(case) for case in self.cases]

    def _share_row(self, case: ExplainedCase) -> list[str]:
        of_case = [row for row in self.shares if (row.case, row.score, row.sequence) == (case.files.id, FUSED, ALL)]
        parts = [[getattr(row, name) for row in of_case] for name in ("tumour", "rim", "outside", "tumour_area")]
        known = [[value for value in part if value is not None] for part in parts]
        score = "" if case.dls is None else f"{case.dls:.3f}"
        return [case.files.id, case.cohort, case.by, score, *(f"{fmean(part):.0%}" if part else "-" for part in known)]

    @property
    def summary(self) -> dict[str, object]:
        """What explain.json says: the cases, and the verdict of the weight-randomisation check."""
        correlations = fused_correlations(self.checked)
        return {
            "cases": [case.files.id for case in self.cases],
            "mean_rank_correlation_with_shuffled_weights": fmean(correlations) if correlations else None,
            "weight_randomisation": None
            if self.verdict is None
            else {**self.verdict.model_dump(), "text": self.verdict.text},
        }


def explain(
    dataset: Path,
    workspace: Path | None = None,
    cases: str | None = None,
    rois: RoiKind | None = None,
    *,
    device: str = "auto",
    workers: int = 1,
    watch: Watch = SILENT,
) -> Explained:
    """Explain cases into results/heatmaps, in the place of those before: each by folds that were not trained on it.

    `cases` are ids with commas between, or a number of highest and lowest scores (4 unless given); see `choose_cases`.

    Raises ArgumentError for a case that is not there, StaleRecordError where one has changed since it was trained on,
    ModelFolderError where there is no model, or one that was altered.
    """
    where = resolve_device(device)
    place = planned_workspace(dataset, workspace)
    with locked(place):
        session = Session.open(dataset, place.root, trained_rois(place, rois))
        folder = session.workspace.heatmaps
        model = load_model(session.workspace.model.root, where)
        chosen = choose_cases(session, model, cases)
        earlier = [path for ending in _MADE for path in folder.root.glob(f"*{ending}")]
        with renewed(folder.root, folder.cases.name, earlier) as stage:
            with memory_of(where):
                found = _explain(session, model, chosen, HeatmapFolder(stage), workers, watch)
            _write(HeatmapFolder(stage), found)
        seed, made = model.plan.training.seed, files_below(folder.root)
        note_run(watch.command, session.workspace, "explain", seed, explained_from(session), made, model.computed_in)
    for sentence in found.warnings:
        watch.note(f"warning: {sentence}")
    return found


def explained_from(session: Session) -> list[Path]:
    """What the cases are chosen and explained by: the model, and every score that is known."""
    place = session.workspace
    held_out = [place.heldout_record(name) for name in session.cohort.held_out]
    return [place.model.record, place.oof_scores, *held_out]


def _explain(
    session: Session,
    model: LockedModel,
    chosen: Sequence[ExplainedCase],
    stage: HeatmapFolder,
    workers: int,
    watch: Watch,
) -> Explained:
    """Write into `stage` the maps of all cases that can be read, then ask whether they depend on the weights."""
    samples: list[tuple[ExplainedCase, Sample]] = []
    rows: list[MapShare] = []
    unexplained: dict[str, str] = {}
    files = [case.files for case in chosen]
    with watch.progress("heat maps", len(chosen)) as advance, closing(samples_of(model, files, workers)) as found:
        for case, sample in zip(chosen, found, strict=True):
            if isinstance(sample, str):
                unexplained[case.files.id] = sample
                watch.note(f"not explained: {sample}")
            else:
                _require_trained_on(session, case, sample)
                samples.append((case, sample))
                rows += write_maps(stage, model, case, sample)
            advance(case.files.id)
    chance = generator(model.plan.training.seed, "explain", "weights")
    with watch.progress("maps of shuffled weights", len(samples)) as advance:
        checked = tuple(check_weights(model, samples, chance, advance))
    verdict = weights_verdict(fused_correlations(checked))
    doubt = doubts(case.automatic_roi for case, _ in samples if case.automatic_roi is not None)
    return Explained(
        folder=session.workspace.heatmaps,
        cases=tuple(case for case, _ in samples),
        shares=tuple(rows),
        checked=checked,
        unexplained=unexplained,
        verdict=verdict,
        warnings=(*model.caveats, *_caveats(verdict, model.plan.map_px, doubt)),
    )


def choose_cases(session: Session, model: LockedModel, asked: str | None) -> list[ExplainedCase]:
    """The cases to explain: ids with commas between, or a number N of highest and lowest scores (4 unless asked).

    By number: the N highest and the N lowest out-of-fold scores, and of each held-out cohort up to N, half of them from
    either end where its scores are known. Raises ArgumentError for an id that the dataset does not have.
    """
    training, held_out = _training(session), _held_out(session, model)
    everything = {case.files.id: case for cohort in (training, *held_out) for case in cohort}
    if asked is not None and not (asked.isdecimal() and asked not in everything):
        return [_named(name.strip(), everything) for name in asked.split(",")]
    count = CASES if asked is None else int(asked)
    if count < 1:
        raise ArgumentError(f"--cases {asked}: expected a number above 0, or case ids with commas between")
    return [
        case for cohort, n in ((training, 2 * count), *((one, count) for one in held_out)) for case in _ends(cohort, n)
    ]


def _training(session: Session) -> list[ExplainedCase]:
    lines = {line["case"]: line for line in read_table(session.workspace.oof_scores)}
    drawn: Mapping[str, AutomaticRoi] = session.masks.by_case if session.masks else {}
    return [
        ExplainedCase(
            _files(session, case),
            OUT_OF_FOLD,
            int(lines[case.id]["fold"]),
            case.label,
            float(lines[case.id][FUSED]),
            drawn.get(case.id),
        )
        for case in session.training
        if case.id in lines
    ]


def _held_out(session: Session, model: LockedModel) -> list[list[ExplainedCase]]:
    cohorts = []
    drawn = automatic_rois_before(session.workspace.heldout_rois) if session.masks else {}
    for name, cases in session.cohort.held_out.items():
        known = known_scores(model.record, session.workspace.heldout_record(name))
        scores = {case: result for case, (result, _) in known.items() if isinstance(result, CaseScore)}
        cohorts.append(
            [
                ExplainedCase(
                    _files(session, case),
                    cohort_name(name),
                    None,
                    case.label,
                    scores[case.id].dls if case.id in scores else None,
                    drawn.get(case.id),
                )
                for case in cases
            ]
        )
    return cohorts


def _files(session: Session, case: Case) -> InputCase:
    return InputCase(case.id, case.images, case.roi, session.workspace.rois)


def _named(name: str, cases: Mapping[str, ExplainedCase]) -> ExplainedCase:
    if name not in cases:
        near = difflib.get_close_matches(name, cases, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {len(cases)}, such as {', '.join(list(cases)[:3])}"
        raise ArgumentError(f"--cases: no case '{name}' that can be explained; {hint}")
    return cases[name]


def _ends(cases: Sequence[ExplainedCase], count: int) -> list[ExplainedCase]:
    """Up to `count` cases: the highest and the lowest scores, in this order; the first where there are no scores.

    No fold gives a second case at one end before each has given one: a fold that scores more boldly than the others
    would give all.
    """
    ranked = sorted(cases, key=lambda case: -case.dls if case.dls is not None else 2.0)
    if len(ranked) <= count or any(case.dls is None for case in ranked):
        return ranked[:count]
    low = count // 2
    highest = _in_turn(ranked)[: count - low]
    lowest = _in_turn([case for case in reversed(ranked) if case not in highest])[:low]
    return sorted([*highest, *lowest], key=ranked.index)


def _in_turn(ranked: Sequence[ExplainedCase]) -> list[ExplainedCase]:
    """The first case of every fold, the second of every fold, and so on; within a turn by rank."""
    turn = {id(case): sum(other.fold == case.fold for other in ranked[:at]) for at, case in enumerate(ranked)}
    return sorted(ranked, key=lambda case: turn[id(case)])


def _require_trained_on(session: Session, case: ExplainedCase, sample: Sample) -> None:
    """Raise StaleRecordError where the sample of a training case is not the one that was trained on."""
    stored = load_summary(session.workspace.sample(case.files.id))
    if case.fold is not None and stored is not None and stored[0] != sample.key:
        raise StaleRecordError(
            f"case {case.files.id}: its images, its ROI or the plan have changed since it was trained on; "
            "run 'autodls plan', then 'autodls train fold all --restart'"
        )


def _write(folder: HeatmapFolder, found: Explained) -> None:
    """The tables."""
    header = ["case", "cohort", "explained_by", "label", "dls", "flags"]
    lines = [
        [
            case.files.id,
            case.cohort,
            case.by,
            None if case.label is None else int(case.label),
            case.dls,
            "; ".join(case.automatic_roi.flags) if case.automatic_roi is not None else "",
        ]
        for case in found.cases
    ]
    write_csv(folder.cases, header, lines)
    write_shares(folder.shares, found.shares)
    write_randomisation(folder.randomisation, found.checked)
    write_text(folder.summary, json.dumps(found.summary, indent=1) + "\n")


def fused_correlations(checked: Sequence[RandomisedMap]) -> list[float]:
    """The rank correlation of each case's map of the fused score with that of shuffled weights, where it has one."""
    return [row.spearman for row in checked if row.sequence == ALL and row.spearman is not None]


def _caveats(verdict: WeightsVerdict | None, cells: int, doubt: str | None = None) -> Iterator[str]:
    if doubt is not None:
        yield f"{doubt}; see 'flags' in the table of cases: the maps are laid over these ROIs"
    if cells < _FEW_CELLS:
        yield f"the feature map has only {cells} x {cells} cells at the plan's input size, so heat maps are very coarse"
    if verdict is not None and verdict.verdict != PASSED:
        yield verdict.text
