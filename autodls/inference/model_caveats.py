"""Why the scores that a locked model gives now are not to be relied on."""

from autodls.preprocessing.store import FORMAT
from autodls.records.model import ModelRecord


def caveats_of(record: ModelRecord) -> tuple[str, ...]:
    """What the model was locked with, and that the pictures which it is shown now are not those it was trained on."""
    doubt = other_pictures(record)
    return record.cautions if doubt is None else (*record.cautions, doubt)


def other_pictures(record: ModelRecord) -> str | None:
    """That this version cuts other pictures out of the images than the model was trained on; None where it does not.

    A model that does not say was locked before models said so.
    """
    if record.sample_format == FORMAT:
        return None
    locked = f"'{record.sample_format}'" if record.sample_format else "of an older version"
    return (
        f"the model was trained on pictures {locked} and is shown others, '{FORMAT}': its scores are not those that it "
        "was judged by, so train and lock it anew with this version"
    )
