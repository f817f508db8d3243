"""The protocol of a market-data vendor: `Vendor`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

import pyarrow as pa


class Vendor(Protocol):
    """A source of past minute bars. The constructor opens no connection and no file; call `close` at the end.

    Attributes:
        name: its name in the column `source` of its bars, and in messages.
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
            Tables with exactly `codec.schema(PRICE)` and at least one row, of bounded size, so that the
            range need not fit into memory. Within one request the bars of a symbol are in the order of time; the same bar may
            come twice. The values are the vendor's own, unadjusted and unchecked (`codec.check` judges them). A vendor of
            live bars leaves out bars whose minute has not ended.

        Raises:
            VendorUnavailable: all retries failed with no answer or a passing error. Tables yielded before are good; a later
                request for the whole range does no harm.
            VendorRefused: it refused: a bad key, no right to the data, unknown symbols (`symbols` of the error), a file that
                is missing or has bad rows.
            VendorError: the answer is not bars.
            BadInput: `start` or `end` has no zone.
        """

    def close(self) -> None:
        """Close the connections, if any were opened. `contextlib.closing` does it at the end of a block."""
