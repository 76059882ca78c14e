"""Words of sentences that count."""


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "case"), plural(2, "case"), plural(0, "event")
    ('1 case', '2 cases', '0 events')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
