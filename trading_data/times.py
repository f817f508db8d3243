"""Time: aware and UTC everywhere. A day is a UTC day, a partition and a chunk.

Belongs here: parsing, day arithmetic and the Redis entry-id clock. Does not: schedules and calendars.
"""

from datetime import UTC, date, datetime, timedelta

from trading_data.errors import BadInput

DAY = timedelta(days=1)


def now() -> datetime:
    """The present moment, aware, UTC."""
    return datetime.now(UTC)


def utc(value: datetime | str, what: str = "time") -> datetime:
    """`value` as an aware UTC datetime.

    Takes an aware datetime, an ISO 8601 text with a zone, or a bare day (`2026-01-31`, its midnight UTC).

    Raises:
        BadInput: there is no zone, or it is no time at all.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            if len(text) == 10:
                return day_start(date.fromisoformat(text))
            value = datetime.fromisoformat(text)
        except ValueError:
            raise BadInput(f"{what} must be ISO 8601 with a zone, such as 2026-01-31T14:30:00Z, not {text!r}") from None
    if value.tzinfo is None:
        raise BadInput(f"{what} {value.isoformat()} has no time zone: write {value.isoformat()}Z for UTC")
    return value.astimezone(UTC)


def day_start(day: date) -> datetime:
    """Midnight UTC at which `day` begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def floor(moment: datetime, width: timedelta) -> datetime:
    """The start of the bucket of `width` that holds `moment`; buckets are aligned to midnight UTC."""
    midnight = day_start(moment.date())
    return midnight + (moment - midnight) // width * width


def ceil(moment: datetime, width: timedelta) -> datetime:
    """The end of the last bucket of `width` that begins before `moment`."""
    lower = floor(moment, width)
    return lower if lower == moment else lower + width
