"""When requests are due, by an own calendar: what the server's is compared with.

Reads lines `milliseconds kind`, where the kind is `access`, `other` or `tell`; writes for each the last millisecond by
Ley 25.326 and by the GDPR. It shares nothing with the server: holidays come of another algorithm for Easter and, for
the years that were decreed, of a list that was copied from the decrees.
"""

import sys
from datetime import date, datetime, timedelta, timezone

DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BUENOS_AIRES = timezone(timedelta(hours=-3))

DECREED = {
    2024: "0101 0212 0213 0324 0329 0402 0501 0525 0617 0620 0709 0817 1012 1118 1208 1225",
    2025: "0101 0303 0304 0324 0402 0418 0501 0525 0616 0620 0709 0817 1010 1124 1208 1225",
    2026: "0101 0216 0217 0324 0402 0403 0501 0525 0615 0620 0709 0817 1012 1123 1208 1225",
}


def easter(year):
    """Gauss, with the exceptions of the Gregorian calendar."""
    a, b, c = year % 19, year % 4, year % 7
    k = year // 100
    p = (13 + 8 * k) // 25
    m = (15 - p + k - k // 4) % 30
    n = (4 + k - k // 4) % 7
    d = (19 * a + m) % 30
    e = (2 * b + 4 * c + 6 * d + n) % 7
    if d == 29 and e == 6:
        return date(year, 4, 19)
    if d == 28 and e == 6 and (11 * m + 11) % 30 < 19:
        return date(year, 4, 18)
    return date(year, 3, 22) + (d + e) * DAY


def holidays(year, known={}):
    if year not in known:
        if year in DECREED:
            days = {date(year, int(day[:2]), int(day[2:])) for day in DECREED[year].split()}
        else:
            days = {date(year, *day) for day in [
                (1, 1), (3, 24), (4, 2), (5, 1), (5, 25), (6, 20), (7, 9), (12, 8), (12, 25)]}
            days |= {easter(year) - n * DAY for n in (2, 47, 48)}
            for month, day in [(6, 17), (8, 17), (10, 12), (11, 20)]:
                moved = date(year, month, day)
                # Tuesday and Wednesday go back to Monday, Thursday and Friday on to it.
                while moved.isoweekday() in (2, 3):
                    moved -= DAY
                while moved.isoweekday() in (4, 5) or (moved.day != day and moved.isoweekday() in (6, 7)):
                    moved += DAY
                days.add(moved)
        known[year] = days
    return known[year]


def business_days(day, count):
    while count:
        day += DAY
        if day.isoweekday() < 6 and day not in holidays(day.year):
            count -= 1
    return day


def month_later(day):
    year, month = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)
    following = date(year + 1, 1, 1) if month == 12 else date(year, month + 1, 1)
    last = (following - DAY).day
    return date(year, month, min(day.day, last))


def end_of(day, zone):
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone) + DAY
    return (midnight - EPOCH) // timedelta(milliseconds=1) - 1


def main():
    out = []
    for line in sys.stdin:
        millis, kind = line.split()
        moment = EPOCH + timedelta(milliseconds=int(millis))
        here = moment.astimezone(BUENOS_AIRES).date()
        argentina = here + 10 * DAY if kind == "access" else business_days(here, 5)
        europe = month_later(moment.date())
        out.append(f"{end_of(argentina, BUENOS_AIRES)} {end_of(europe, timezone.utc)}")
    print("\n".join(out))


main()
