"""A process that archives, one step at a time, and can be killed: both ends of the line to it.

It is forked from a server process that has the libraries loaded, so that a new one costs no second; the kill points are
armed step by step, by reading the variable again. Belongs here: orders and answers. Does not: which, when, and the model.
"""

import importlib
import multiprocessing
import os
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from trading_data import kill_points
from trading_data.datasets import DATASETS
from trading_data.errors import TradingDataError
from trading_data.intake.snapshot import snapshot
from trading_data.settings import Settings
from trading_data_tests.rig import EARLIEST, Rig

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


@dataclass(frozen=True)
class Order:
    """A step of `Rig`, its dataset and options; `kill_at` as in `trading_data.kill_points`.

    A snapshot may be told what the archive says of itself by the option `archived`.
    """

    step: str
    dataset: str
    options: dict[str, Any] = field(default_factory=dict)
    kill_at: str = ""


@dataclass(frozen=True)
class Answer:
    """`done`, `refused` (a TradingDataError), `wrong` (anything else) or `killed`; and what was said."""

    outcome: str
    said: str = ""


class Worker:
    """The end that gives orders. What has died is started again with the next order."""

    def __init__(self, settings: Settings) -> None:
        """For the servers and the intake of `settings`."""
        self._settings = settings
        self._begin()

    def _begin(self) -> None:
        self.line, far = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(self._settings, far), daemon=True)
        self.process.start()
        far.close()
        self.order: Order | None = None
        """What it is at, or was when it died."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid or 0

    def begin(self, order: Order) -> None:
        """Give an order; its answer has to be taken before the next."""
        if not self.process.is_alive():
            self.close()
            self._begin()
        self.order = order
        self.line.send(order)

    def answer(self) -> Answer:
        """Wait for the answer; a worker that has died is replaced."""
        try:
            answer: Answer = self.line.recv()
        except (EOFError, ConnectionResetError):
            answer = Answer("killed", self.order.kill_at.partition(":")[0] if self.order else "")
        self.order = None
        if answer.outcome == "killed":
            self.close()
            self._begin()
        return answer

    def kill(self) -> None:
        """SIGKILL; if it had just answered, that is heard all the same."""
        self.process.kill()
        self.process.join()

    def close(self) -> None:
        """SIGKILL, if it still lives."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.line.close()


def _serve(settings: Settings, line: Connection) -> None:
    rig = Rig(settings)
    while True:
        try:
            order = line.recv()
        except EOFError:
            break
        line.send(_carry_out(rig, order))


def _carry_out(rig: Rig, order: Order) -> Answer:
    os.environ[kill_points.VARIABLE] = order.kill_at
    importlib.reload(kill_points)  # into the same module: every `reached` sees it
    dataset = DATASETS[order.dataset]
    try:
        if "archived" in order.options:
            list(snapshot(rig.client, rig.intake, dataset, earliest=EARLIEST, **order.options))
        else:
            getattr(rig, order.step)(dataset, **order.options)
    except TradingDataError as error:
        return Answer("refused", f"{type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - the test judges it
        return Answer("wrong", traceback.format_exc())
    return Answer("done")
