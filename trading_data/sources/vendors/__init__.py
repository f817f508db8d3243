"""Market-data vendors: a source of past bars beside the live tier. `protocol` has what all vendors share.

Belongs here: requests to vendors (`alpaca`, `files`), and the choice of one (`choose`). Does not: loading; bars pass
through the intake or a feed.
"""

from trading_data.sources.vendors.choose import vendor_from_env
from trading_data.sources.vendors.protocol import Vendor

__all__ = ["Vendor", "vendor_from_env"]
