"""Who is trained on and who is scored: grouped by patient, stratified by class and site.

Made once from the table alone, and checked against it on every read.
"""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence

from autodls.errors import PlanError, StaleRecordError
from autodls.records.case import Case, cohort_sha256
from autodls.records.plan import TrainingPlan
from autodls.records.splits import Fold, Splits
from autodls.seeding import stream_seed

CaseGroup = tuple[Case, ...]

_REPAIR = "run 'autodls plan' again"


def make_splits(cases: Sequence[Case], folds: int, inner_share: float, seed: int) -> Splits:
    """Divide labelled training cases into `folds` folds.

    Every case is validated by one fold. Of the others, about `inner_share` (to the nearest 1/n) become the inner
    hold-out. All cases of a patient are on one side; training part and inner hold-out hold both classes, where it can
    be of every sequence. Depends on the cases and `seed`, not on their order. Raises PlanError where a class has fewer
    patients than that takes.
    """
    ordered = tuple(sorted(cases, key=lambda case: case.id))
    _require_patients(ordered, folds)
    made = []
    for index, validation in enumerate(_divide(ordered, folds, stream_seed(seed, "splits"))):
        train, inner = _hold_out(_without(ordered, validation), index, inner_share, stream_seed(seed, "splits", index))
        made.append(Fold(index=index, train=_ids(train), inner=_ids(inner), validation=_ids(validation)))
    return Splits(seed=seed, inner_holdout=inner_share, cohort_sha256=cohort_sha256(ordered), folds=tuple(made))


def require_same_draw(splits: Splits, training: TrainingPlan) -> None:
    """Raise PlanError where a plan asks for another seed or inner hold-out than `splits` were drawn with.

    Splits are written once, so that runs can be compared; other ones are a decision that a person makes.
    """
    for name in ("seed", "inner_holdout"):
        drawn, asked = getattr(splits, name), getattr(training, name)
        if drawn != asked:
            raise PlanError(
                f"splits.json: drawn with training.{name} {drawn}, the plan has {asked}; put {drawn} back, or delete "
                f"splits.json and run 'autodls plan' for new splits ('autodls plan --restart' where folds are trained)"
            )


def require_both_classes(splits: Splits, cases: Sequence[Case], sequences: Sequence[str]) -> None:
    """Raise PlanError where in a fold one of `sequences` cannot be learnt, or not be stopped."""
    for fault in _one_sided(splits, cases, sequences):
        raise PlanError(
            f"{fault}; leave a sequence that few cases have out of channel_names in dataset.json, give fewer "
            f"training.folds or another training.seed in a preset, or add cases"
        )


def verify_splits(
    splits: Splits, cases: Sequence[Case], folds: int | None = None, sequences: Sequence[str] = ()
) -> None:
    """Check that `splits` fit the table as it is now.

    Raises StaleRecordError where cases, labels, patients or sites have changed, where a patient is on both sides of a
    fold, where there are not `folds` folds, or where a part of a fold lacks a class, among all of its cases or among
    those that have one of `sequences`.
    """
    known = {case.id: case.patient for case in cases}
    split = {case for fold in splits.folds for case in fold.validation}
    if differing := sorted(split ^ set(known)):
        where = "splits.json but not in the training cohort" if differing[0] in split else "the training cohort only"
        raise StaleRecordError(
            f"splits.json: {len(differing)} cases differ from the table, e.g. {differing[0]} is in {where}; {_REPAIR}"
        )
    if splits.cohort_sha256 != cohort_sha256(cases):
        raise StaleRecordError(
            f"splits.json: label, patient or site of some of its {len(known)} cases have changed since; {_REPAIR}"
        )
    if folds is not None and folds != len(splits.folds):
        raise StaleRecordError(f"splits.json: {len(splits.folds)} folds, but the plan has {folds}; {_REPAIR}")
    for fold in splits.folds:
        _require_apart(fold, known)
    for fault in _one_sided(splits, cases, sequences):
        raise StaleRecordError(f"splits.json: {fault}; {_REPAIR}")


def _one_sided(splits: Splits, cases: Sequence[Case], sequences: Sequence[str]) -> Iterator[str]:
    """Parts of folds without a positive or a negative case, at all and among those that have a sequence.

    A validation part may lack a class only where so few patients have nothing but the other that it cannot be helped.
    """
    case_of = {case.id: case for case in cases}
    mixed = {case.patient for case in cases if case.label} & {case.patient for case in cases if not case.label}
    pure = Counter(label for _, label in {(case.patient, case.label) for case in cases if case.patient not in mixed})
    strict = min(pure[True], pure[False]) >= len(splits.folds)
    for fold in splits.folds:
        parts = {"train": fold.train, "inner": fold.inner} | ({"validation": fold.validation} if strict else {})
        for part, members in parts.items():
            inside = [case_of[case] for case in members]
            if not _has_both(inside):
                yield f"fold {fold.index}: the {len(inside)} cases of part '{part}' are of one class"
            for sequence in sequences if part != "validation" else ():
                having = [case for case in inside if sequence in case.images]
                if not _has_both(having):
                    classes = "of one class" if having else "none at all"
                    lacking = [case.id for case in inside if sequence not in case.images]
                    yield (
                        f"fold {fold.index}: the {len(having)} cases of part '{part}' with {sequence} are {classes} "
                        f"(cases without it: {', '.join(lacking[:3]) or 'none'}{', ...' * (len(lacking) > 3)})"
                    )


def _require_apart(fold: Fold, patient_of: dict[str, str]) -> None:
    side_of: dict[str, str] = {}
    sides = {"train": fold.train, "inner": fold.inner, "validation": fold.validation}
    for side, case in ((side, case) for side, members in sides.items() for case in members):
        first = side_of.setdefault(patient_of[case], side)
        if first != side:
            raise StaleRecordError(
                f"splits.json: fold {fold.index}: patient '{patient_of[case]}' is in {first} and in {side} "
                f"(case {case}); {_REPAIR}"
            )


def _require_patients(cases: CaseGroup, folds: int) -> None:
    for label, name in ((True, "positive"), (False, "negative")):
        patients = {case.patient for case in cases if case.label is label}
        if len(patients) < folds:
            raise PlanError(
                f"training cohort: {len(patients)} patients have a {name} case, fewer than {folds} folds; give fewer "
                f"training.folds in a preset, or add patients"
            )


def _hold_out(cases: CaseGroup, fold: int, share: float, seed: int) -> tuple[CaseGroup, CaseGroup]:
    """Training part and inner hold-out with both classes in each, where it can be of every sequence.

    The share grows where that is the only way.
    """
    drawn = [inner for count in range(max(2, round(1 / share)), 1, -1) for inner in _divide(cases, count, seed)]
    sides = [(_without(cases, inner), inner) for inner in drawn]
    able = [(train, inner) for train, inner in sides if _has_both(train) and _has_both(inner)]
    names = sorted({name for case in cases for name in case.images})
    for train, inner in able:
        if all(_has_both([case for case in side if name in case.images]) for name in names for side in (train, inner)):
            return train, inner
    if able:
        return able[0]
    raise PlanError(
        f"fold {fold}: its {len(cases)} training cases cannot be divided by patient so that training part and inner "
        f"hold-out hold both classes; give fewer training.folds in a preset, or add patients"
    )


def _divide(cases: CaseGroup, count: int, seed: int) -> list[CaseGroup]:
    """`count` parts with the same number of patients, and of each class and site, to within one.

    scikit-learn deals the patients out in the order in which their strata first appear, so strata that stand side by
    side (the sites of one class) are balanced together as well. No parts where every stratum has fewer patients.
    """
    by_patient: dict[str, list[Case]] = {}
    for case in cases:
        by_patient.setdefault(case.patient, []).append(case)
    strata = _strata(by_patient, count)
    patients = sorted(by_patient, key=lambda patient: (strata[patient], patient))
    labels = [strata[patient] for patient in patients]
    if max(Counter(labels).values()) < count:
        return []
    # Only new splits need scikit-learn, which takes longer to import than a case to prepare.
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(count, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # A stratum with fewer patients than parts is what `_hold_out` looks out for.
        warnings.filterwarnings("ignore", message="The least populated class")
        drawn = list(splitter.split(labels, labels))
    return [tuple(case for row in rows for case in by_patient[patients[row]]) for _, rows in drawn]


def _strata(by_patient: dict[str, list[Case]], count: int) -> dict[str, str]:
    """Class and site of each patient; class alone where fewer than `count` patients share both.

    A patient with cases of both classes counts as positive.
    """
    label = {patient: str(any(case.label for case in cases)) for patient, cases in by_patient.items()}
    both = {patient: f"{label[patient]} {cases[0].site}" for patient, cases in by_patient.items()}
    patients_of = Counter(both.values())
    return {patient: both[patient] if patients_of[both[patient]] >= count else label[patient] for patient in by_patient}


def _without(cases: CaseGroup, part: CaseGroup) -> CaseGroup:
    left_out = {case.id for case in part}
    return tuple(case for case in cases if case.id not in left_out)


def _has_both(part: Sequence[Case]) -> bool:
    return {case.label for case in part} == {True, False}


def _ids(part: CaseGroup) -> tuple[str, ...]:
    return tuple(sorted(case.id for case in part))
