"""Errors that a person can act on.

Every message is one line: what, where, found, expected, how to repair it. The command line prints it and leaves with
`exit_status`: 2 when the input or the arguments are wrong, 1 when the run failed.
"""


class AutoDLSError(Exception):
    """A run that failed for a reason that we can name."""

    exit_status = 1


class InputError(AutoDLSError):
    """The input or the arguments are wrong; nothing was changed."""

    exit_status = 2


class ArgumentError(InputError):
    """A command-line argument or a function argument is out of its range."""


class DatasetError(InputError):
    """The dataset folder, its table or one of its images is not as the format asks."""


class PlanError(InputError):
    """A plan, a preset or a splits file that cannot be used."""


class StaleRecordError(InputError):
    """A derived record no longer fits what it was derived from; the message names the command to run."""


class WeightsError(InputError):
    """Encoder weights that cannot be had or do not fit the network."""


class ModelFolderError(InputError):
    """A model folder that is incomplete, altered, or from another version."""


class TrainingError(AutoDLSError):
    """Training that cannot go on, such as a loss that is no longer finite."""
