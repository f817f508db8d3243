"""Gap states, filling, the schedule."""
