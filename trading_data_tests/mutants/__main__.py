"""Break the load path in each named place, one at a time, and see that the tests which guard it fail: `scripts/mutants`.

Belongs here: the command and its table. Does not: the list (`mutant`), and breaking (`workbench`).
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from trading_data_tests.mutants.mutant import ROOT, Mutant, Rotten, chosen, read_list
from trading_data_tests.mutants.workbench import Outcome, Workbench

_SECONDS_UNBROKEN = 900
_JOBS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 if every mutant was killed."""
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which mutants; all of them if none is named")
    parser.add_argument("--list", action="store_true", help="show the mutants and run nothing")
    parser.add_argument("--jobs", type=int, default=_JOBS, help="how many at once, each with servers of its own")
    parser.add_argument("--verbose", action="store_true", help="show what pytest said of mutants that were killed, too")
    given = parser.parse_args(arguments)
    every = read_list()
    unknown = sorted(set(given.names) - {one.name for one in every})
    if unknown:
        parser.error(f"there is no mutant {', '.join(unknown)}: see --list")
    mutants = chosen(every, given.names)
    if given.list:
        for one in mutants:
            print(f"{one.name}\n    {one.file}: {one.why}")
        return 0
    rotten = list(_rotten(mutants))
    for said in rotten:
        print(said)
    return 1 if rotten else _run(mutants, given.jobs, verbose=given.verbose)


def _rotten(mutants: Sequence[Mutant]) -> Iterator[str]:
    for one in mutants:
        try:
            one.applied((ROOT / one.file).read_text(encoding="utf-8"))
        except (Rotten, OSError) as error:
            yield f"{one.name}: {error}"


def _run(mutants: Sequence[Mutant], jobs: int, *, verbose: bool) -> int:
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are stopped then, too
    with _workbenches(min(jobs, len(mutants))) as benches, _pool(len(benches)) as pool:
        free: SimpleQueue[Workbench] = SimpleQueue()
        for bench in benches:
            free.put(bench)

        def at_a_bench(work: Callable[[Workbench], Outcome]) -> Outcome:
            bench = free.get()
            try:
                return work(bench)
            finally:
                free.put(bench)

        parts = _in_parts(mutants, len(benches))
        unbroken = [partial(Workbench.run, nodes=part, seconds=_SECONDS_UNBROKEN) for part in parts]
        for outcome in pool.map(at_a_bench, unbroken):
            if outcome.state != "survived":
                print(f"the tests do not pass with nothing broken: {outcome.by}\n{outcome.said}")
                return 1
        print(f"{sum(map(len, parts))} tests pass with nothing broken, {time.monotonic() - began:.0f} s", flush=True)
        width = max(len(one.name) for one in mutants)
        under_way = {pool.submit(at_a_bench, partial(Workbench.try_mutant, mutant=one)): one for one in mutants}
        killed = 0
        for done in as_completed(under_way):
            outcome, one = done.result(), under_way[done]
            killed += outcome.state == "killed"
            print(f"{outcome.state:8}  {outcome.seconds:5.1f} s  {one.name:{width}}  {outcome.by}", flush=True)
            if verbose or outcome.state != "killed":
                print(f"    {one.why}\n{outcome.said}", flush=True)
    print(f"{len(mutants)} mutants, {killed} killed, {len(mutants) - killed} not; {time.monotonic() - began:.0f} s")
    return 0 if killed == len(mutants) else 1


@contextmanager
def _pool(number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads; where something ends early, what has not begun does not begin any more."""
    with ThreadPoolExecutor(number) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _in_parts(mutants: Sequence[Mutant], number: int) -> list[list[str]]:
    """The tests of all mutants, each once, in as many parts."""
    nodes = sorted({node for one in mutants for node in one.nodes})
    return [part for part in (nodes[at::number] for at in range(number)) if part]


@contextmanager
def _workbenches(number: int) -> Iterator[list[Workbench]]:
    folder = Path(tempfile.gettempdir()) / f"trading_data_mutants_{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        first = Workbench(folder / "0", ROOT)
        benches = [first, *(Workbench(folder / str(at), first.checkout) for at in range(1, number))]
        with ExitStack() as stack:
            for bench in benches:
                stack.callback(bench.close)
                bench.open()
            yield benches
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
