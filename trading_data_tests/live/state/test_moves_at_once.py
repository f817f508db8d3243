"""Moves of several callers at once, on keys that move to another node, and cut short: one outcome, and no fill is lost."""

import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest

from trading_data import LiveStore
from trading_data.errors import LiveTierError, LiveTierFull, Refused
from trading_data.live.writes import is_cluster
from trading_data.settings import Settings
from trading_data_tests.live.servers import Cluster
from trading_data_tests.live.state.examples import Tier, journalled, position, sold
from trading_data_tests.rig import fill


def at_once(callers: int, move: Callable[[int], object]) -> list[object]:
    """What the move of each caller returned or raised, all begun at the same moment; a caller is its number."""
    barrier = threading.Barrier(callers)
    outcomes: list[object] = [None] * callers

    def run(at: int) -> None:
        barrier.wait()
        try:
            outcomes[at] = move(at)
        except (Refused, LiveTierError) as error:
            outcomes[at] = error

    threads = [threading.Thread(target=run, args=(at,)) for at in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.parametrize("attempt", range(5))
def test_of_callers_at_once_exactly_one_wins(either: Tier, attempt: int) -> None:
    """Each with another fill or position; on one server the fills of the others are not taken."""
    store = either.store
    alone = not is_cluster(either.client)
    store.rank_candidates({"AAPL": 1.0})
    candidates = at_once(4, lambda at: store.monitor_candidate(position("AAPL", str(at))))
    assert [type(outcome) for outcome in candidates if outcome is not None] == [Refused] * 3
    (monitored,) = store.monitored_positions().values()
    assert candidates[int(monitored.quantity)] is None
    assert store.candidates() == {}

    opened = at_once(4, lambda at: store.open_position(position(), fill(f"o{at}", f"e{at}")))
    (kept,) = store.active_positions().values()
    assert [outcome for outcome in opened if not isinstance(outcome, Refused)] == [kept]
    if alone:
        assert journalled(either) == [kept.last_fill.partition("/")[2]]

    closed = at_once(4, lambda at: store.close_position("AAPL", sold(f"s{at}")))
    assert [outcome for outcome in closed if not isinstance(outcome, Refused)] == [kept]
    assert store.active_positions() == {}
    assert len(journalled(either)) == (2 if alone else len(set(journalled(either))))


@pytest.mark.parametrize("attempt", range(3))
def test_reductions_at_once_are_all_counted(either: Tier, attempt: int) -> None:
    store = either.store
    store.open_position(position(), fill("o1", "e1"))
    outcomes = at_once(5, lambda at: store.reduce_position("AAPL", sold(f"s{at}", "2")))
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert outcomes.count(None) == 1
    assert store.active_positions() == {}
    assert sorted(journalled(either)) == ["e1", "s0", "s1", "s2", "s3", "s4"]


def test_a_busy_ranking_does_not_keep_a_candidate_from_being_taken(tier: Tier, servers: Settings) -> None:
    """The ranking changes all the time; only its losing this candidate matters."""
    other = LiveStore.from_url(servers.require_redis_url())
    stop, ranked = threading.Event(), threading.Event()

    def rank() -> None:
        score = 0.0
        while not stop.is_set():
            score += 1.0
            other.rank_candidates({"MSFT": score})
            ranked.set()

    thread = threading.Thread(target=rank)
    thread.start()
    try:
        for at in range(50):
            assert ranked.wait(10)
            tier.store.rank_candidates({f"S{at}": 1.0})
            tier.store.monitor_candidate(position(f"S{at}"))
    finally:
        stop.set()
        thread.join()
        other.close()
    assert list(tier.store.candidates()) == ["MSFT"]


def test_in_a_cluster_a_move_cut_short_is_completed_by_the_same_call(cluster: Tier) -> None:
    """Cut after each of its steps in turn."""
    store = cluster.store
    store.rank_candidates({"AAPL": 1.0})
    store.set_monitored_positions(position())
    store.monitor_candidate(position())
    assert store.candidates() == {}

    store.record_trades([fill("o1", "e1")])
    opened = store.open_position(position(), fill("o1", "e1"))
    assert store.monitored_positions() == {}

    store.set_monitored_positions(position())
    assert store.open_position(position(), fill("o1", "e1")) == opened
    assert store.monitored_positions() == {}
    assert set(journalled(cluster)) == {"e1"}

    store.record_trades([sold("e2", "4")])
    left = store.reduce_position("AAPL", sold("e2", "4"))
    assert left is not None
    assert left.quantity == 6
    with pytest.raises(Refused, match="fill o2/e2 is already part of the position in 'AAPL'"):
        store.reduce_position("AAPL", sold("e2", "4"))
    store.record_trades([sold("e3", "6")])
    store.close_position("AAPL", sold("e3", "6"))
    assert set(journalled(cluster)) == {"e1", "e2", "e3"}
    assert store.active_positions() == {}


def home_of(three: Cluster, cluster: Tier, name: str) -> int:
    """Which node has a key, as the client knows it."""
    return [node.port for node in three.nodes].index(cluster.client.get_node_from_key(name).port)


def give(three: Cluster, slot: int, at: int) -> None:
    """Give a slot without keys to a node."""
    nodes: list[Any] = [node.client for node in three.nodes]
    name = nodes[at].execute_command("CLUSTER MYID")
    for node in nodes:
        node.execute_command("CLUSTER SETSLOT", slot, "NODE", name)


def test_in_a_cluster_a_node_that_is_full_leaves_the_fill_in_the_journal(three: Cluster, cluster: Tier) -> None:
    """A symbol whose open position is with another node than the journal, and that node is full."""
    store, port = cluster.store, cluster.client.get_node_from_key("journal:trade").port
    symbol = next(
        name
        for name in map(str, range(99))
        if cluster.client.get_node_from_key(f"positions:active:{name}").port != port
    )
    full = three.nodes[home_of(three, cluster, f"positions:active:{symbol}")].client
    full.config_set("maxmemory", 1)
    try:
        with pytest.raises(LiveTierFull, match=r"already done, and kept: journal:trade; repeat the call"):
            store.open_position(position(symbol), fill(symbol=symbol))
    finally:
        full.config_set("maxmemory", 0)
    assert journalled(cluster) == ["e1"]
    opened = store.open_position(position(symbol), fill(symbol=symbol))
    assert store.active_positions() == {symbol: opened}


def test_a_key_that_moved_to_another_node_is_found_there(three: Cluster, cluster: Tier) -> None:
    store = cluster.store
    store.set_watchlist("A")
    name = "positions:active:AAPL"
    slot = cluster.client.keyslot(name)
    before = home_of(three, cluster, name)
    try:
        give(three, slot, (before + 1) % 3)
        opened = store.open_position(position(), fill())
        store.set_active_positions([opened])
        assert store.active_positions() == {"AAPL": opened}
        assert three.nodes[(before + 1) % 3].client.exists(name)
    finally:
        cluster.client.delete(name)
        give(three, slot, before)


class Cutter:
    """Stands between client and server, and cuts the line after a transaction was sent, before its answer comes."""

    def __init__(self, host: str, port: int) -> None:
        self._server, self._door = (host, port), socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self.cutting = False
        self.executed = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), socket.create_connection(self._server) as server, suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)
                answer = server.recv(1 << 16)
                if self.cutting and b"EXEC" in data:
                    while b"QUEUED" in answer and not answer.rstrip().split(b"+QUEUED\r\n")[-1].startswith(b"*"):
                        answer += server.recv(1 << 16)
                    self.cutting = False
                    return
                client.sendall(answer)

    def close(self) -> None:
        self._door.close()


def test_a_connection_lost_in_the_moment_is_not_taken_for_a_refusal(tier: Tier) -> None:
    """redis-py reports it as a key that changed; the move was done, and another attempt would be refused."""
    options = tier.client.get_connection_kwargs()
    cutter = Cutter(options["host"], options["port"])
    store = LiveStore.from_url(f"redis://127.0.0.1:{cutter.port}/{options['db']}")
    cutter.cutting = True
    with pytest.raises(LiveTierError, match=r"connection was lost while writing journal:trade, positions:active:AAPL"):
        store.open_position(position(), fill())
    assert list(store.active_positions()) == ["AAPL"]
    with pytest.raises(Refused, match="already has an open position, opened by this very fill"):
        store.open_position(position(), fill())
    assert journalled(tier) == ["e1"]
    store.close()
    cutter.close()
