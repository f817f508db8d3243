"""What every market-data vendor does: `Vendor`.

Belongs here: the protocol. Does not: vendors (`alpaca`, `files`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

import pyarrow as pa


class Vendor(Protocol):
    """Somebody who can be asked for minute bars of the past. Making one opens no connection and no file; close it at last.

    Attributes:
        name: what stands in the column `source` of its bars, and in messages.
    """

    @property
    def name(self) -> str:
        """As above."""

    def bars(self, symbols: Sequence[str], start: datetime, end: datetime) -> Iterator[pa.Table]:
        """The minute bars of `symbols` that begin in the half-open range [start, end), page by page.

        Args:
            symbols: as the vendor writes them; a symbol without bars in the range is not an error.
            start: aware.
            end: aware.

        Yields:
            Tables with exactly `codec.schema(PRICE)` and at least one row, of bounded size: nobody holds the whole range
            in memory. In any order, but the bars of one symbol in the order of time as far as one request goes; the
            same bar may come twice. The values are the vendor's own, unadjusted: whether they are good is for
            `codec.check` to say. A bar whose minute has not ended is not among them where the vendor makes its bars
            live.

        Raises:
            VendorUnavailable: it did not answer, or only with errors that pass, as often as it was asked. What was
                yielded until then is good; asking for the whole range again later does no harm.
            VendorRefused: it will not answer: a bad key, no right to the data, symbols that it does not know (`symbols`
                of the error), a file that is not there or has bad rows.
            VendorError: it answered something that is not bars.
            BadInput: `start` or `end` has no zone.
        """

    def close(self) -> None:
        """Close the connections, if any were opened. `contextlib.closing` does it at the end of a block."""
