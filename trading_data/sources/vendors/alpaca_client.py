"""alpaca-py's client with time-outs, page by page, and with the headers of its answers for the rate limit.

The only module that imports alpaca-py, which is an extra and takes a second to load: import it where it is needed.

Belongs here: HTTP. Does not: retries and the content of answers (`alpaca`).
"""

import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from requests.adapters import HTTPAdapter

from trading_data.sources.vendors.alpaca_account import AlpacaAccount

with warnings.catch_warnings():
    # A warning of alpaca-py's own stream, which is not used here.
    warnings.filterwarnings("ignore", r"websockets\.legacy is deprecated", DeprecationWarning)
    from alpaca.common.enums import BaseURL
    from alpaca.data.enums import Adjustment, DataFeed
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.data.requests import StockBarsRequest
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

STREAM = BaseURL.MARKET_DATA_STREAM.value
"""Base URL of Alpaca's own stream."""


class _Adapter(HTTPAdapter):
    """Sends with a default time-out, and keeps the headers of the last answer."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        super().__init__()
        self._timeout = timeout
        self.headers: Mapping[str, str] = {}

    def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
        if options.get("timeout") is None:
            options["timeout"] = self._timeout
        response = super().send(request, *arguments, **options)
        self.headers = response.headers
        return response


class Client(StockHistoricalDataClient):
    """Requests one page without retries: those of alpaca-py ignore the headers about the rate limit."""

    def __init__(self, account: AlpacaAccount, timeout: tuple[float, float]) -> None:
        """`timeout` in seconds: to connect, and between two pieces of an answer."""
        super().__init__(account.key, account.secret, raw_data=True, url_override=account.url)
        self._retry = 0
        self._adapter, self._feed = _Adapter(timeout), DataFeed(account.feed)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, self._adapter)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the last answer, good or bad; upper and lower case are equal."""
        return self._adapter.headers

    def page(self, symbols: Sequence[str], start: datetime, end: datetime, rows: int, token: str | None) -> Any:
        """The answer to one request for minute bars from `start` to `end`, both included, unadjusted, as JSON has it.

        Raises:
            alpaca.common.exceptions.APIError: an HTTP error.
            requests.RequestException: no answer, or half of one.
        """
        request = StockBarsRequest(
            symbol_or_symbols=list(symbols),
            timeframe=TimeFrame(1, TimeFrameUnit.Minute),
            start=start,
            end=end,
            limit=rows,
            adjustment=Adjustment.RAW,
            feed=self._feed,
        )
        return self.get("/stocks/bars", request.to_request_fields() | ({"page_token": token} if token else {}))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
