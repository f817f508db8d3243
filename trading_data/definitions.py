"""The code location that `workspace.yaml` names. Loading it opens no connection and starts nothing."""

from trading_data.orchestration.build import build_defs

defs = build_defs()
