"""Every error this package raises on purpose. Each message has the fault and the next step.

    TradingDataError
    ├── SettingError          an environment variable or option has a value of the wrong form
    ├── ServerError           a server cannot be reached, or is of the wrong kind
    │   ├── LiveTierError     … Redis or Valkey
    │   │   ├── LiveTierFull      it refused a write because its memory limit is reached
    │   │   └── WrongContent      a key holds another type than its own, or a value that cannot be read
    │   └── ArchiveTierError  … TimescaleDB
    ├── VendorError           a market-data vendor sent an answer that cannot be understood
    │   ├── VendorUnavailable     no answer in time after all retries: try again later
    │   └── VendorRefused         it refused: a bad key, no right to these data, an unknown symbol
    ├── SchemaError           the database's schema is not the one this release needs
    │   └── WrongEncoding         the database does not store text as UTF-8
    ├── IntakeError           a file in the intake is damaged or cannot be written
    ├── BadInput              the caller's data cannot be accepted; none of it was
    │   └── BadTime               … because a value is not a moment
    ├── BackupError           a backup failed, or a restored one differs
    └── Refused               a step whose safety could not be proven; nothing was done

Belongs here: the classes and one sentence each. Does not: where they are raised.
"""

from collections.abc import Sequence


class TradingDataError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line and exits with 1."""


class SettingError(TradingDataError):
    """An environment variable or option has a value of the wrong form; the message names it and the form."""


class ServerError(TradingDataError):
    """A server cannot be reached, died, or is of the wrong kind.

    `command` is the command to run next if the server answered and refused; empty if it did not answer.
    """

    command = ""


class LiveTierError(ServerError):
    """Redis or Valkey cannot be reached or answered with an error."""


class LiveTierFull(LiveTierError):
    """The live tier reached its memory limit and refused a write: archive, or raise the limit, then retry.

    `refused` has the positions of the refused records in the caller's list.
    """

    def __init__(self, message: str, refused: Sequence[int] = ()) -> None:
        """`refused` as above; empty if it is not known which."""
        super().__init__(message)
        self.refused = tuple(refused)


class WrongContent(LiveTierError):
    """A key of the live tier holds another type than its own, or a value with a missing or malformed field.

    `key` is the key's name. Another program wrote it: correct that program, then set the value again or delete the key.
    """

    def __init__(self, key: str, message: str) -> None:
        """`key` as above."""
        super().__init__(message)
        self.key = key


class ArchiveTierError(ServerError):
    """TimescaleDB cannot be reached or answered with an error."""


class VendorError(TradingDataError):
    """A market-data vendor sent an answer that cannot be understood; a retry would not help."""


class VendorUnavailable(VendorError):
    """A vendor did not answer in time after all retries. Nothing is wrong here; try again later."""


class VendorRefused(VendorError):
    """A vendor refused a request for good; the message has what to correct.

    `symbols` are the symbols it does not know, to leave out of the next request; empty if the refusal is not about symbols.
    """

    def __init__(self, message: str, symbols: Sequence[str] = ()) -> None:
        """`symbols` as above."""
        super().__init__(message)
        self.symbols = tuple(symbols)


class SchemaError(TradingDataError):
    """The database's schema is missing, older or newer than this release, or was changed after it was applied."""


class WrongEncoding(SchemaError):
    """The database does not store text as UTF-8, which no setting can change: the archive needs another database.

    `command` creates one.
    """

    def __init__(self, message: str, command: str) -> None:
        """`command` as above."""
        super().__init__(message)
        self.command = command


class IntakeError(TradingDataError):
    """A file in the intake is damaged or in a wrong place, or the intake cannot be written.

    `command` is the command that puts a file into its place; empty if it is in its place.
    """

    def __init__(self, message: str, command: str = "") -> None:
        """`command` as above."""
        super().__init__(message)
        self.command = command


class BadInput(TradingDataError):
    """The caller's data cannot be accepted; none of it was."""


class BadTime(BadInput):
    """A value that is not a moment. `kind` is one of: missing field, epoch, not a time, no zone, too fine, out of range."""

    def __init__(self, kind: str, message: str) -> None:
        """`kind` as above."""
        super().__init__(message)
        self.kind = kind


class BackupError(TradingDataError):
    """A backup could not be made or kept, or differs after it was restored; the message has the next step."""


class Refused(TradingDataError):
    """A step whose safety could not be proven was requested; nothing was done."""
