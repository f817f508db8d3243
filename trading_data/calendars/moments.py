"""Times as whole microseconds since 1970 UTC, which arithmetic on sessions is done in, and back.

Belongs here: what is taken for an array of times, and its types. Does not: what the times are compared with.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from trading_data.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

Micros = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Times: TypeAlias = "np.ndarray[Any, Any] | pd.Series | pd.DatetimeIndex | Any"
"""`Any` stands for pyarrow's arrays, whose library has no types."""

MICROSECOND = timedelta(microseconds=1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FACTORS = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
_MISSING = "a time is missing (null or NaT): leave it out, for it is neither inside a session nor outside"


def micros_of(times: Times) -> Micros:
    """Any array of times as microseconds since 1970; what is finer is rounded down.

    Raises:
        BadInput: they are of another type, without a zone (numpy's have none, and are UTC), or one is missing.
    """
    import pandas as pd

    if isinstance(times, pa.Array | pa.ChunkedArray):
        if not pa.types.is_timestamp(times.type) or times.type.tz is None:
            raise BadInput(f"times must be timestamps with a zone, such as timestamp[us, tz=UTC], not {times.type}")
        if times.null_count:
            raise BadInput(_MISSING)
        multiple, per = _FACTORS[times.type.unit]
        micros: Micros = np.asarray(times.cast(pa.int64()))
        return micros * multiple // per
    if isinstance(times, pd.Series | pd.DatetimeIndex):
        if not isinstance(times.dtype, pd.DatetimeTZDtype):
            raise BadInput(f"times must be datetime64 with a zone, such as datetime64[us, UTC], not {times.dtype}")
        times = pd.DatetimeIndex(times).tz_convert(UTC).tz_localize(None).to_numpy()
    if not isinstance(times, np.ndarray) or times.dtype.kind != "M":
        raise BadInput(f"times must be an array of timestamps, not {getattr(times, 'dtype', type(times).__name__)}")
    if np.isnat(times).any():
        raise BadInput(_MISSING)
    return times.astype("datetime64[us]").astype(np.int64)


def index_of(micros: Micros) -> "pd.DatetimeIndex":
    """Microseconds as datetime64[us, UTC]."""
    import pandas as pd

    return pd.DatetimeIndex(micros.astype("datetime64[us]")).tz_localize(UTC)


def dates_of(micros: Micros) -> "pd.Series":
    """The UTC days of microseconds, as `datetime.date`."""
    import pandas as pd

    return pd.Series(micros.astype("datetime64[us]").astype("datetime64[D]").tolist(), dtype=object)


def of_moment(moment: datetime) -> int:
    """An aware moment as microseconds."""
    return (moment - _EPOCH) // MICROSECOND


def moment_of(micros: int) -> datetime:
    """Microseconds as an aware moment, UTC."""
    return _EPOCH + micros * MICROSECOND


def said(micros: int) -> str:
    """Microseconds as an error message has them."""
    return f"{moment_of(micros):%Y-%m-%dT%H:%M:%SZ}"
