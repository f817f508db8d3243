"""What goes away, and what comes back: batches, the archive, the live tier, a journal; and entries that somebody deletes.

What only the part that goes back has is lost, and nobody could keep it: what had come into the live tier and was not drained
yet; what the archive had loaded since, if the journals were trimmed of it (a restore gives back what the archive had then).
"""

from trading_data_tests.worlds.archivers import moved
from trading_data_tests.worlds.parts import STEP_MS, Journal, the
from trading_data_tests.worlds.world import Rules, Steps, World, before


def batch_away(world: World, rules: Rules) -> Steps:
    """A batch file is moved out of the intake."""
    if not any(file.away for file in world.files):
        for at, file in enumerate(world.files):
            yield f"batch {at + 1} away", moved(world, at, file._replace(away=True))


def batch_back(world: World, rules: Rules) -> Steps:
    """A batch file is moved back."""
    for at, file in enumerate(world.files):
        if file.away:
            yield f"batch {at + 1} back", moved(world, at, file._replace(away=False))


def archive_back(world: World, rules: Rules) -> Steps:
    """The archive goes back to an earlier commit."""
    now = world.now + STEP_MS
    for at, archive in enumerate(world.archive_before):
        yield (
            f"archive back {at + 1}",
            world._replace(now=now, archive=archive, archive_before=world.archive_before[at + 1 :]),
        )


def live_back(world: World, rules: Rules) -> Steps:
    """The live tier goes back to an earlier state: a replica that lagged, or a backup."""
    now = world.now + STEP_MS
    for at, live in enumerate(world.live_before):
        yield (
            f"live tier back {at + 1}",
            world._replace(now=now, live=live, live_before=world.live_before[at + 1 :]),
        )


def journal_deleted(world: World, rules: Rules) -> Steps:
    """A journal is deleted; the next entry makes it anew."""
    for at, journal in enumerate(world.live.journals):
        if journal is not None:
            live = world.live.having(
                journals=tuple(None if place == at else journal for place, journal in enumerate(world.live.journals))
            )
            yield (
                f"journal {at + 1} deleted",
                world._replace(now=world.now + STEP_MS, live=live, live_before=before(world, rules)),
            )


def entry_deleted(world: World, rules: Rules) -> Steps:
    """Somebody deletes an entry out of its journal. If it is nowhere else, nobody could keep it."""
    for at, journal in enumerate(world.live.journals):
        for entry in journal.entries if journal else ():
            assert journal is not None
            kept = tuple(one for one in journal.entries if one is not entry)
            after = the(Journal, kept, journal.last, journal.added, journal.past, max(journal.deleted, entry.id))
            live = world.live.having(
                journals=tuple(after if place == at else journal for place, journal in enumerate(world.live.journals))
            )
            yield (
                f"{entry} deleted",
                world._replace(now=world.now + STEP_MS, live=live, live_before=before(world, rules)),
            )
