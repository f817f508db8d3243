"""Every error this package raises on purpose. Each message says what was wrong and what to do next.

    TradingDataError
    ├── SettingError          an environment variable or option has a value of the wrong form
    ├── ServerError           a server cannot be reached, or is not what it has to be
    │   ├── LiveTierError     … Redis or Valkey
    │   │   └── LiveTierFull      it refused a write because its memory limit is reached
    │   └── ArchiveTierError  … TimescaleDB
    ├── SchemaError           the database's schema is not the one this release needs
    ├── IntakeError           a file in the intake is damaged or cannot be written
    ├── BadInput              what the caller handed over cannot be taken; nothing of it was
    └── Refused               a destructive step whose safety could not be proven

Belongs here: the classes and one sentence each. Does not: where they are raised.
"""

from collections.abc import Sequence


class TradingDataError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line and exits with 1."""


class SettingError(TradingDataError):
    """An environment variable or option has a value of the wrong form; the message names it and the form."""


class ServerError(TradingDataError):
    """A server cannot be reached, died, or is not what it has to be."""


class LiveTierError(ServerError):
    """Redis or Valkey cannot be reached or answered with an error."""


class LiveTierFull(LiveTierError):
    """The live tier's memory limit is reached, so it refused a write: archive, or raise the limit, then retry.

    `refused` has the positions, in what the caller handed over, of the records that were not taken.
    """

    def __init__(self, message: str, refused: Sequence[int] = ()) -> None:
        """Say why, and which records were not taken."""
        super().__init__(message)
        self.refused = tuple(refused)


class ArchiveTierError(ServerError):
    """TimescaleDB cannot be reached or answered with an error."""


class SchemaError(TradingDataError):
    """The database's schema is missing, older, newer, or was changed after it was applied."""


class IntakeError(TradingDataError):
    """A file in the intake is damaged, or the intake cannot be written."""


class BadInput(TradingDataError):
    """The caller's data cannot be taken; none of it was."""


class Refused(TradingDataError):
    """A destructive step was asked for whose safety could not be proven; nothing was done."""
