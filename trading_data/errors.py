"""Every error this package raises on purpose. Each message says what was wrong and what to do next.

    TradingDataError
    ├── SettingError          an environment variable or option has a value of the wrong form
    ├── ServerError           a server cannot be reached, or is not what it has to be
    │   ├── LiveTierError     … Redis or Valkey
    │   │   ├── LiveTierFull      it refused a write because its memory limit is reached
    │   │   └── WrongContent      a key holds another type than its own, or a value that cannot be read
    │   └── ArchiveTierError  … TimescaleDB
    ├── VendorError           a market-data vendor answered something that cannot be understood
    │   ├── VendorUnavailable     it did not answer, or not in time, however often it was asked: ask again later
    │   └── VendorRefused         it will not: a bad key, no right to these data, a symbol that it does not know
    ├── SchemaError           the database's schema is not the one this release needs
    │   └── WrongEncoding         the database does not store text as UTF-8
    ├── IntakeError           a file in the intake is damaged or cannot be written
    ├── BadInput              what the caller handed over cannot be taken; nothing of it was
    │   └── BadTime               … for it holds a time that is none
    └── Refused               a destructive step whose safety could not be proven

Belongs here: the classes and one sentence each. Does not: where they are raised.
"""

from collections.abc import Sequence


class TradingDataError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line and exits with 1."""


class SettingError(TradingDataError):
    """An environment variable or option has a value of the wrong form; the message names it and the form."""


class ServerError(TradingDataError):
    """A server cannot be reached, died, or is not what it has to be.

    `command` is what to run where the server answered, and refused; empty where nothing answered.
    """

    command = ""


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


class WrongContent(LiveTierError):
    """A key of the live tier holds another type than its own, or a value with a field missing or malformed.

    `key` is the key's name. Some other program wrote it: correct that, and set the value again or delete the key.
    """

    def __init__(self, key: str, message: str) -> None:
        """Say which key, what is wrong with it and what to do."""
        super().__init__(message)
        self.key = key


class ArchiveTierError(ServerError):
    """TimescaleDB cannot be reached or answered with an error."""


class VendorError(TradingDataError):
    """A market-data vendor answered something that cannot be understood; asking again would not help."""


class VendorUnavailable(VendorError):
    """A vendor did not answer, or not in time, however often it was asked: nothing is wrong here, ask again later."""


class VendorRefused(VendorError):
    """A vendor will not give what was asked for, however often it is asked: the message says what to correct.

    `symbols` are those that it does not know; empty where the refusal is not about symbols. Ask for the others alone.
    """

    def __init__(self, message: str, symbols: Sequence[str] = ()) -> None:
        """Say why, and for which symbols."""
        super().__init__(message)
        self.symbols = tuple(symbols)


class SchemaError(TradingDataError):
    """The database's schema is missing, older, newer, or was changed after it was applied."""


class WrongEncoding(SchemaError):
    """The database does not store text as UTF-8, and no setting can change that: the archive needs another database.

    `command` makes one.
    """

    def __init__(self, message: str, command: str) -> None:
        """Say what is wrong, and the command that makes a right database."""
        super().__init__(message)
        self.command = command


class IntakeError(TradingDataError):
    """A file in the intake is damaged, or the intake cannot be written."""


class BadInput(TradingDataError):
    """The caller's data cannot be taken; none of it was."""


class BadTime(BadInput):
    """A value that is no moment. `kind` groups: missing field, epoch, not a time, no zone, too fine, out of range."""

    def __init__(self, kind: str, message: str) -> None:
        """Say what is wrong and how to write it."""
        super().__init__(message)
        self.kind = kind


class BackupError(TradingDataError):
    """A backup could not be taken or kept, or did not come back as it was; the message says what to do."""


class Refused(TradingDataError):
    """A destructive step was asked for whose safety could not be proven; nothing was done."""
