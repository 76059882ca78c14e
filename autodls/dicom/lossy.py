"""Whether pixels were ever compressed with loss, and how much: what is made of them has to say so (C.7.6.1.1.5)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autodls.dicom.reading import code, numbers, text

if TYPE_CHECKING:
    from pydicom import Dataset

_WITH_LOSS = {  # transfer syntaxes that always lose
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
}
_MAY_LOSE = {  # and those that may: the header must say
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
_FLAG, _RATIO, _METHOD = "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"
_LOST = "01"


def loss_of(dataset: "Dataset") -> str:
    """What a person should know of the pixels: "compressed with loss (10:1)"; "" where the header names no loss."""
    flag, _ = _flag_and_method(dataset)
    if flag != _LOST:
        return ""
    ratios = [f"{ratio:.4g}:1" for ratio in numbers(dataset, _RATIO) if ratio >= 1]
    return f"compressed with loss ({', then '.join(ratios) or 'how much is not known'})"


def keep_loss(made: "Dataset", source: "Dataset") -> None:
    """Say in the header `made` of pixels what that of `source` says of their loss."""
    flag, method = _flag_and_method(source)
    if not flag:
        return
    setattr(made, _FLAG, flag)
    if flag == _LOST:
        for word, value in ((_RATIO, [f"{ratio:.6g}" for ratio in numbers(source, _RATIO)]), (_METHOD, method)):
            if value:
                setattr(made, word, value)


def say_loss(made: "Dataset", sources: "Sequence[Dataset]") -> None:
    """Say in `made`, which is an image, whether one of `sources` that it was made from was compressed with loss.

    Of several, the one that lost most is named.
    """
    lost = [source for source in sources if code(source, _FLAG) == _LOST]
    for word in (_RATIO, _METHOD):
        if word in made:
            delattr(made, word)
    setattr(made, _FLAG, _LOST if lost else "00")
    if lost:
        keep_loss(made, max(lost, key=lambda source: max(numbers(source, _RATIO), default=0.0)))


def _flag_and_method(dataset: "Dataset") -> tuple[str, str]:
    """01 for loss, 00 for none, "" where nothing says; and the method, with a backslash between several."""
    meta = getattr(dataset, "file_meta", None)
    syntax = text(meta, "TransferSyntaxUID") if meta is not None else ""
    flag, method = code(dataset, _FLAG), text(dataset, _METHOD)
    if syntax in _WITH_LOSS or (syntax in _MAY_LOSE and not flag):
        return _LOST, method or {**_WITH_LOSS, **_MAY_LOSE}[syntax]
    return flag if flag in ("00", _LOST) else "", method
