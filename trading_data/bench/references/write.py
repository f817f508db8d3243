"""What a producer is measured against: XADD, HSET, EXPIRE and PUBLISH of each bar, packed before, on a raw socket."""

import json
from collections.abc import Mapping, Sequence

from trading_data.bench.references.wire import packed

_LIFETIME = 86_400


def commands(bars: Sequence[Mapping[str, str]]) -> bytes:
    """The packed commands of these bars, which are texts by column."""
    parts = []
    for bar in bars:
        fields = [part for name, value in bar.items() if name != "symbol" for part in (name, value)]
        latest = f"stocks:price:{bar['symbol']}"
        parts += [
            packed("XADD", f"journal:price:{bar['symbol']}", "*", *fields),
            packed("HSET", latest, *fields),
            packed("EXPIRE", latest, _LIFETIME),
            packed("PUBLISH", latest, json.dumps(bar)),
        ]
    return b"".join(parts)
