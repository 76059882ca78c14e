"""Signs that no form of the report may hold: XML does not know them, or they change what a reader sees."""

import re

# Control signs, lone surrogates, marks that turn the direction of the text after them, and tags that are not seen.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)


def shown(text: str) -> str:
    """`text` with a mark in the place of each such sign.

    >>> shown("a\\x00b\\u202e") == "a\\ufffdb\\ufffd"
    True
    """
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
