"""What the archive should hold, what it does, and filling the holes: gap states per subject and day.

Belongs here: `states` (closed, complete, no trade, missing, unrepairable), `fill` (asking a vendor for what is missing and
noting what it said), `picture` (a heat map in text). Does not: keeping the coverage (`archive.coverage`), calendars
(`sessions`), vendors (`vendors`), schedules.
"""
