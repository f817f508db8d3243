"""The state of the live tier (every key whose declaration in `live.keys` says so) as dated documents in the intake.

Belongs here: `document` (what a document says), `take` (reading the live tier), `files` (where documents lie), `tables`
(a state as rows to be shown). Does not: changing the live tier.
"""
