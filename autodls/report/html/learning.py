"""Did every network learn? The losses by epoch, and what they say."""

from collections.abc import Iterator, Mapping

from autodls.records.formatting import NONE, number
from autodls.records.training_log import Fault, LoggedStage
from autodls.report.artefacts import Artefacts, Picture
from autodls.report.figures.learning_curves import learning_svg
from autodls.report.html.page import Section, data_table, figure, joined, paragraph
from autodls.report.naming import sequence_label

_SAYS: Mapping[Fault, str] = {
    "diverged": "diverged: lower their learning rate and train anew",
    "no better than a guess": "are no better than a guess on the cases that stopped them early",
}
_INTRO = (
    "Mean loss by epoch of every network of every fold: of the cases that it is trained on, and of the early-stopping "
    "set that chooses the epoch to keep. A guess looks at no image and gives every case the same score. A network "
    "whose early-stopping loss stays above the guess's has not shown that it learnt; one whose training loss rises far "
    "above it has diverged. The early-stopping set is small: a single curve proves little, all of them together more."
)
_HEADER = (
    "Fold", "Network", "Epochs", "Kept", "Loss, training", "Loss, early stopping", "Loss, a guess",
    "AUC, early stopping", "Fault",
)  # fmt: skip


def learning(study: Artefacts) -> Section | None:
    """The learning curves of all folds and a table of the networks; None where no fold has a log."""
    folds = {fold: stages for fold, stages in study.logs.items() if stages}
    if not folds:
        return None
    alt = "Training and early-stopping loss of each network by epoch, a row of panels for each fold."
    caption = (
        "Learning curves: training solid, early stopping dashed with a dot at the epoch that was kept, a guess dotted; "
        "one logarithmic scale. Numbers: folds/*/log.jsonl."
    )
    body = [
        paragraph(_INTRO),
        figure(Picture(learning_svg(folds), "image/svg+xml"), alt, caption),
        data_table("Networks", _HEADER, [_line(fold, stage) for fold, stages in folds.items() for stage in stages]),
    ]
    return Section("learning", "Did the networks learn?", joined(body))


def learning_warnings(study: Artefacts) -> Iterator[str]:
    """A sentence for each kind of fault, with the networks that have it, and one for each caution of the model."""
    networks = {
        f"{sequence_label(stage.stage)} of fold {fold}": stage
        for fold, stages in study.logs.items()
        for stage in stages
    }
    for fault, says in _SAYS.items():
        if found := [name for name, one in networks.items() if one.judgement and one.judgement.fault == fault]:
            yield f"Of {len(networks)} networks, {len(found)} {says} ({', '.join(found)})."
    if study.model is not None:
        yield from (f"{caution[:1].upper()}{caution[1:]}." for caution in study.model.cautions)


def _line(fold: int, stage: LoggedStage) -> tuple[str, ...]:
    kept, judged = stage.kept, stage.judgement
    losses = (None, None) if kept is None else (kept.train_loss, kept.inner_loss)
    guess = judged.guess_inner_loss if judged is not None else None
    wrong = "not judged" if judged is None else judged.fault or NONE
    return (
        str(fold), sequence_label(stage.stage), str(len(stage.epochs)), NONE if kept is None else str(kept.epoch + 1),
        *(number(loss) for loss in (*losses, guess)), number(None if kept is None else kept.inner_auc, 2), wrong,
    )  # fmt: skip
