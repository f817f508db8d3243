"""The files of states: `{intake}/state/{day}/{moment}Z-{sha256}.json`, one folder per UTC day. The moment is the time at which
the state was complete, by the live tier's clock, so that names alone show the newest state before any time.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from trading_data.errors import IntakeError
from trading_data.intake.state.document import StateSnapshot, Value, decode, encode
from trading_data.intake.state.take import take_state
from trading_data.intake.store import Intake
from trading_data.live.connection import Client

_FOLDER = "state"
_MOMENT = "%Y-%m-%dT%H-%M-%S.%fZ"
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z)-([0-9a-f]{64})\.json")


@dataclass(frozen=True, order=True)
class StateFile:
    """A state in the intake: the time at which it was complete (aware UTC), the hash of its bytes, and its path."""

    ended: datetime
    content_hash: str
    path: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


def put_state(intake: Intake, state: StateSnapshot) -> StateFile:
    """Write a state durably.

    Raises:
        IntakeError: it could not be written; no part of it remains.
    """
    data = encode(state)
    digest = hashlib.sha256(data).hexdigest()
    name = f"{_FOLDER}/{state.ended:%Y-%m-%d}/{state.ended.strftime(_MOMENT)}-{digest}.json"
    return StateFile(state.ended, digest, intake.write(name, data, "a state", "the next run takes the state anew"))


def state_files(intake: Intake) -> list[StateFile]:
    """All states in the intake, oldest first."""
    return [*_newest_first(intake, None)][::-1]


def read_state(intake: Intake, file: StateFile) -> StateSnapshot | None:
    """The state in a file; None if it has been deleted meanwhile.

    Raises:
        IntakeError: its content does not match its hash, or another release wrote it.
    """
    data = intake.fetch(file.path, file.content_hash, "Put the file back from a backup, or delete it")
    return None if data is None else decode(data, file.path)


def newest_state(
    intake: Intake, at: datetime | None = None, damaged: Callable[[IntakeError], None] | None = None
) -> StateSnapshot | None:
    """The newest state that was complete before `at` (None: the newest of all); None if there is none.

    Args:
        intake: holds the states.
        at: aware; a state that was complete at exactly this time does not count as earlier.
        damaged: called with the error of each newer file that cannot be read, before the next older file is tried.
            Without it such a file raises, so that an older state is never returned silently.

    Raises:
        IntakeError: a file cannot be read, and `damaged` is not given.
    """
    for file in _newest_first(intake, at):
        try:
            state = read_state(intake, file)
        except IntakeError as error:
            if damaged is None:
                raise
            damaged(error)
            continue
        if state is not None:
            return state
    return None


def _newest_first(intake: Intake, before: datetime | None) -> Iterator[StateFile]:
    """Newest first; a day's folder is listed only when the iteration reaches it."""
    upto = None if before is None else before.astimezone(UTC)
    days = {path.rpartition("/")[2] for path in intake.paths(_FOLDER)}
    for day in sorted(filter(_DAY.fullmatch, days), reverse=True):
        if upto is None or day <= f"{upto:%Y-%m-%d}":
            files = (_parsed(path) for path in intake.paths(f"{_FOLDER}/{day}"))
            yield from sorted((file for file in files if file and (upto is None or file.ended < upto)), reverse=True)


def _parsed(path: str) -> StateFile | None:
    match = _NAME.fullmatch(path.rpartition("/")[2])
    if match is None:
        return None
    try:
        ended = datetime.strptime(match[1], _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return StateFile(ended, match[2], path)


def state_changed(client: Client, intake: Intake) -> bool:
    """Whether the live tier's state differs from the newest document; remaining lifetimes are not compared.

    Raises:
        LiveTierError: the live tier is unavailable.
        IntakeError: the intake cannot be listed.
    """
    kept, present = newest_state(intake), take_state(client)
    return _content(present) != ({} if kept is None else _content(kept))


def _content(state: StateSnapshot) -> dict[tuple[str, str], Value]:
    return {(kind.name, key.key): key.value for kind in state.kinds for key in kind.keys}
