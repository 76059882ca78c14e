"""A dataset as a folder and a table may be meant: every setting with the reason, and whether it was guessed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autodls.errors import ArgumentError, DatasetError
from autodls.intake import columns
from autodls.intake.channels import channel_names, in_order, sequence_of
from autodls.intake.columns import NO_COLUMN, Proposed, require_column
from autodls.intake.scan import Roles, Scan, main_roi, same_grids
from autodls.records.base import some_of
from autodls.records.case_id import case_id_fault, look_alikes
from autodls.records.dataset import DatasetDescription
from autodls.records.listing import IMAGES, LABELS

CHANNEL = "channel "  # before the role, in the key of a choice


@dataclass(frozen=True)
class Choice:
    """A setting of the dataset: what is asked, the value, why, and whether a person should confirm it."""

    key: str
    question: str
    value: str
    why: str
    guessed: bool

    @property
    def told(self) -> str:
        """The choice in words."""
        return f"{self.question}: {self.value} ({self.why})"


@dataclass(frozen=True)
class Proposal:
    """A dataset to be: dataset.json, the file of each place in it, the ids of its cases, and all choices."""

    content: Mapping[str, object]
    files: Mapping[str, Path]
    case_column: str
    cases: frozenset[str]
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]

    @property
    def guesses(self) -> tuple[Choice, ...]:
        """Those that a person should confirm."""
        return tuple(choice for choice in self.choices if choice.guessed)


@dataclass
class _Choosing:
    """Answers that were given, and what was chosen so far."""

    answers: Mapping[str, str]
    made: list[Choice] = field(default_factory=list)

    def choose(self, key: str, question: str, proposed: Proposed) -> str:
        given = self.answers.get(key)
        value = proposed.value if given is None else given.strip()
        why = proposed.why if given is None else "given"
        self.made.append(Choice(key, question, value, why, proposed.guessed and given is None))
        return value


def propose(scan: Scan, answers: Mapping[str, str]) -> Proposal:
    """The dataset that `scan` may be, with the `answers` that were given, by the key of their choice.

    Raises DatasetError for what only a person can say, in one line that names the option, and where files and table do
    not go together.
    """
    choosing = _Choosing(answers)
    case = _case(scan, choosing)
    roles = scan.roles(case)
    settings = _columns(scan, choosing, case)
    names = _channels(scan, choosing, roles)
    drawn = main_roi(roles.rois)
    roi_channel = _roi_channel(choosing, names, roles, drawn)
    labels, tumor = _labels(scan, choosing, drawn)
    settings = {**settings, "tumor": tumor} if tumor else settings
    order = in_order(names.values()) if not scan.nnunet else list(names.values())
    content = {
        "name": scan.folder.resolve().name[:100] or "dataset",
        "channel_names": {str(at): name for at, name in enumerate(order)},
        "labels": labels,
        "numTraining": len(roles.cases),
        "file_ending": scan.ending,
        "autodls": {"roi_channel": roi_channel, "case": case, **settings},
    }
    where = f"{scan.folder} and {scan.table}"
    DatasetDescription.parse(content, where, "answer otherwise", DatasetError)
    files = _files(roles, names, order, drawn, roi_channel, scan.ending)
    return Proposal(content, files, case, roles.cases, tuple(choosing.made), tuple(_notes(scan, case, roles)))


def _case(scan: Scan, choosing: _Choosing) -> str:
    if (given := choosing.answers.get("case")) is not None:
        require_column(scan.rows, given, "--case", str(scan.table))
        proposed = Proposed(given, "given")
    else:
        named = scan.case_columns()
        if not named:
            raise scan.no_case_column()
        also = f"; so could {some_of(named[1:])}" if named[1:] else ""
        proposed = Proposed(named[0], f"it stands in the names of the files{also}", guessed=bool(also))
    case = choosing.choose("case", "column of case ids", proposed)
    if not scan.files(case)[0]:
        raise scan.no_case_column()
    for row in scan.rows:
        if fault := case_id_fault(row[case]):
            raise DatasetError(f"{scan.table}: row {row.number}: the id '{row[case]}' in column '{case}' {fault}; use "
                               "letters, digits, '_', '.' and '-'")  # fmt: skip
    return case


def _columns(scan: Scan, choosing: _Choosing, case: str) -> dict[str, object]:
    rows, table, given = scan.rows, str(scan.table), choosing.answers
    for key in ("outcome", "cohort", "patient", "site"):
        if (name := given.get(key)) not in (None, "", NO_COLUMN):
            require_column(rows, name, f"--{key}", table)
    if not given.get("outcome"):
        raise ArgumentError(f"--outcome: needed; the columns of {table} are {some_of(rows[0], 30)}")
    outcome = choosing.choose("outcome", "column of the outcome", Proposed(given["outcome"], "given"))
    rule = given.get("positive")
    proposed = columns.positive_of([row[outcome] for row in rows], outcome, table) if rule is None else Proposed("", "")
    rule = choosing.choose("positive", "which are positive", proposed)
    positive: object = rule if rule[:1] in ("<", ">", "=", "!") else [part.strip() for part in rule.split(",")]
    found: dict[str, object] = {"target": {"name": outcome, "column": outcome, "positive": positive}}
    taken = [case, outcome]
    cohort = choosing.choose("cohort", "column that says which cases are held out", columns.cohort_of(rows))
    if cohort not in ("", NO_COLUMN):
        asked = given.get("training")
        word = Proposed("", "") if asked is not None else columns.training_of(rows, cohort, table)
        training = choosing.choose("training", f"what {cohort} says of cases to train on", word)
        found["cohort"] = {"column": cohort, "training": [part.strip() for part in training.split(",")]}
        taken.append(cohort)
    for key, proposed in (("patient", columns.patient_of(rows, case)), ("site", columns.site_of(rows, taken))):
        name = choosing.choose(key, f"column of the {key}", proposed)
        if name not in ("", NO_COLUMN):
            found[key] = name
            taken.append(name)
    clinical = choosing.choose("clinical", "clinical variables", columns.clinical_of(rows, taken))
    found["clinical"] = [] if clinical in ("", NO_COLUMN) else [part.strip() for part in clinical.split(",")]
    for name in clinical.split(",") if found["clinical"] else ():
        require_column(rows, name.strip(), "--clinical", table)
    return found


def _channels(scan: Scan, choosing: _Choosing, roles: Roles) -> dict[str, str]:
    """The channel of each image role; nnU-Net's own names stand where it has some."""
    known = scan.nnunet.get("channel_names")
    said = {f"{index:0>4}": name for index, name in known.items()} if isinstance(known, dict) else {}
    given = {role: str(said[role[-4:]]) for role in roles.images if role[-4:] in said}
    names = {}
    for role, (name, guessed) in channel_names(list(roles.images), given).items():
        count = f"{len(roles.images[role])} of {len(roles.cases)} cases have it"
        key, shown = f"{CHANNEL}{role}", role or "the image"
        names[role] = choosing.choose(key, f"channel of '{shown}'", Proposed(name, count, guessed))
    if unknown := [key for key in choosing.answers if key.startswith(CHANNEL) and key[len(CHANNEL) :] not in names]:
        raise ArgumentError(
            f"--channel: no images are called '{unknown[0][len(CHANNEL) :]}'; they are {some_of(list(names), 20)}"
        )
    return names


def _roi_channel(
    choosing: _Choosing, names: Mapping[str, str], roles: Roles, drawn: Mapping[str, Mapping[str, Path]]
) -> str:
    """The channel that the ROI was drawn on: one that its name tells, else one whose grid it has."""
    if not drawn:
        raise DatasetError(
            "no file is named as an ROI (by a word such as roi, mask, seg, label, tumor) beside "
            f"{some_of(list(roles.images))}; every training case needs an outline of its tumor"
        )
    spelled = {names[role]: files for at, files in drawn.items() if at and (role := _role_of(at, roles)) is not None}
    if lost := [at for at in drawn if at and _role_of(at, roles) is None]:
        raise DatasetError(f"ROIs named '{lost[0]}': no image has this name beside {some_of(list(roles.images))}")
    if "" not in drawn:
        most = max(in_order(spelled), key=lambda name: len(spelled[name]))
        also = len(spelled) > 1
        return choosing.choose("roi_channel", "channel of the ROI", Proposed(most, "its name says so", guessed=also))
    counts = same_grids(drawn[""], roles.images)
    best = max(counts.values(), default=0)
    fitting = [names[role] for role in roles.images if best and counts[role] == best]
    if not fitting:
        fitting = list(names.values())
    proposed = "CE-T1WI" if "CE-T1WI" in fitting else in_order(fitting)[-1]
    why = f"the ROI has its grid, as that of {some_of(fitting)}" if len(fitting) > 1 else "the ROI has its grid alone"
    why = why if best else "the ROI has the grid of no image"
    return choosing.choose("roi_channel", "channel of the ROI", Proposed(proposed, why, len(fitting) > 1 or not best))


def _role_of(channel: str, roles: Roles) -> str | None:
    """The image role that the name of an ROI means."""
    same = [role for role in roles.images if role.lower().replace("/", "_") == channel.lower()]
    meant = [role for role in roles.images if sequence_of(channel) and sequence_of(role) == sequence_of(channel)]
    return next(iter([*same, *(meant if len(meant) == 1 else [])]), None)


def _labels(
    scan: Scan, choosing: _Choosing, drawn: Mapping[str, Mapping[str, Path]]
) -> tuple[dict[str, object], list[str]]:
    """What the values of the ROIs mean, and which names are tumour, none where the names say it themselves.

    Those of nnU-Net's file, else all values are tumour unless a person says which.
    """
    if isinstance(known := scan.nnunet.get("labels"), dict):
        return known, []
    values = scan.drawn_values([path for files in drawn.values() for path in files.values()])
    if len(values) > 10:
        raise DatasetError(
            f"ROIs below {scan.folder} hold {len(values)} values; an ROI holds 0, and a number of its tumor"
        )
    if len(values) < 2 and "tumor" not in choosing.answers:
        return {"background": 0, "tumor": values[0] if values else 1}, []
    shown = ",".join(map(str, values))
    said = choosing.choose("tumor", "values of the ROI that are tumor", Proposed(shown, "all that are drawn", True))
    words, spelled = [word.strip() for word in said.split(",")], list(map(str, values))
    if unknown := [word for word in words if word not in spelled]:
        raise ArgumentError(f"--tumor {said}: no ROI holds the value '{unknown[0]}'; they hold {some_of(spelled)}")
    names = {value: f"tumor_{value}" if str(value) in words else f"other_{value}" for value in values}
    tumor = [name for value, name in names.items() if str(value) in words]
    return {"background": 0, **{name: value for value, name in names.items()}}, tumor if len(tumor) < len(names) else []


def _files(
    roles: Roles,
    names: Mapping[str, str],
    order: list[str],
    drawn: Mapping[str, Mapping[str, Path]],
    roi_channel: str,
    ending: str,
) -> dict[str, Path]:
    """The file of each place of the dataset; raises ArgumentError for a channel that is none."""
    if roi_channel not in order:
        raise ArgumentError(f"--roi-channel {roi_channel}: no such channel; they are {some_of(order, 20)}")
    at = {name: f"{index:04d}" for index, name in enumerate(order)}
    files = {
        f"{IMAGES}/{case}_{at[names[role]]}{ending}": path
        for role, paths in roles.images.items()
        for case, path in paths.items()
    }
    for channel, paths in drawn.items():
        role = _role_of(channel, roles) if channel else None
        own = role is None or names[role] == roi_channel
        for case, path in paths.items():
            if case in roles.cases:
                files[f"{LABELS}/{case}{'' if own else f'_{at[names[role or str()]]}'}{ending}"] = path
    return files


def _notes(scan: Scan, case: str, roles: Roles) -> list[str]:
    """Rows and files that are left out."""
    notes = list(scan.rows.notes)
    bare = [row[case] for row in scan.rows if row[case] not in roles.cases]
    for group in look_alikes(row[case] for row in scan.rows):
        if lost := [name for name in bare if name in group]:
            bare = [name for name in bare if name not in group]
            alike = some_of(group, 5)
            notes.append(f"{len(lost)} rows are left out, as their ids look alike, and no file is called so: {alike}")
    if bare:
        notes.append(f"{len(bare)} of {len(scan.rows)} rows have no image and are left out: {some_of(bare, 5)}")
    if roles.others:
        names = some_of([str(path.relative_to(scan.folder)) for path in roles.others], 3)
        notes.append(f"{len(roles.others)} files belong to no row and are left out: {names}")
    drawn = {one for files in roles.rois.values() for one in files}
    if lacking := sorted(roles.cases - drawn):
        notes.append(f"{len(lacking)} of {len(roles.cases)} cases have no ROI: {some_of(lacking, 5)}")
    return notes
