"""Hours of the day at which something may begin, such as "22:00-06:00" in Europe/Berlin. Pure."""

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

PATTERN = "^([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])$"  # in JSON Schema too
_HOURS = re.compile(PATTERN[1:-1])
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")


def parse(hours: str) -> tuple[time, time]:
    """The beginning and the end of "HH:MM-HH:MM"; the end may be on the next day.

    Raises:
        ValueError: it is written otherwise, or both are the same; the message goes on after a name.
    """
    found = _HOURS.fullmatch(hours)
    if found is None:
        raise ValueError('must be hours such as "22:00-06:00"')
    begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if begin == end:
        raise ValueError("must end at another time than they begin; leave them out for the whole day")
    return begin, end


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name.

    Raises:
        ValueError: there is none of that name; the message goes on after a name.
    """
    try:
        if not _ZONE.fullmatch(name):
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError("must be a time zone such as Europe/Berlin or UTC") from None


def open_at(hours: str | None, time_zone: str, moment: datetime) -> bool:
    """Whether `moment` (with a time zone of its own) lies within the hours; without hours it always does.

    Raises:
        ValueError: as `parse` and `zone`.
    """
    if hours is None:
        return True
    begin, end = parse(hours)
    local = moment.astimezone(zone(time_zone)).time()
    return begin <= local < end if begin < end else local >= begin or local < end


def next_opening(hours: str | None, time_zone: str, moment: datetime) -> datetime:
    """`moment` itself within the hours, else when they begin next.

    Raises:
        ValueError: as `parse` and `zone`.
    """
    if hours is None or open_at(hours, time_zone, moment):
        return moment
    begin, local = parse(hours)[0], moment.astimezone(zone(time_zone))
    day = local.date() if local.time() < begin else local.date() + timedelta(days=1)
    return datetime.combine(day, begin, tzinfo=local.tzinfo)
