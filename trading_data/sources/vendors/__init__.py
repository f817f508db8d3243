"""Market-data vendors: where bars come from that nobody sent to the live tier. `protocol` says what all of them do.

Belongs here: asking vendors (`alpaca`, `files`), and which one is meant (`choose`). Does not: where the bars go; they go
through the intake like everything else, or through a feed.
"""

from trading_data.sources.vendors.choose import vendor_from_env
from trading_data.sources.vendors.protocol import Vendor

__all__ = ["Vendor", "vendor_from_env"]
