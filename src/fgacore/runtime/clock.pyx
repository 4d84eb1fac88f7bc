"""See clock.pxd."""

import math
from datetime import datetime, timedelta, timezone

from fgacore.errors import RequestError, StoreError

cdef extern from "<time.h>" nogil:
    """
    #ifdef CLOCK_MONOTONIC_COARSE
    #define FGA_MONOTONIC CLOCK_MONOTONIC_COARSE     /* some 5 ns to read, some milliseconds late */
    #else
    #define FGA_MONOTONIC CLOCK_MONOTONIC
    #endif
    """
    cdef enum:
        CLOCK_REALTIME
        FGA_MONOTONIC
    cdef struct timespec:
        int64_t tv_sec
        int64_t tv_nsec
    int clock_gettime(int clock, timespec* read)
    int nanosleep(const timespec* duration, timespec* left)

cdef object EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
cdef object MICROSECOND = timedelta(microseconds=1)


cpdef int64_t instant_of(object moment) except? -1:
    """The instant of a datetime with an offset; for any other value a RequestError `invalid_expiry`."""
    if not isinstance(moment, datetime):
        raise RequestError("expires_at is a datetime", code="invalid_expiry")
    try:
        if moment.utcoffset() is not None:
            return (moment.astimezone(timezone.utc) - EPOCH) // MICROSECOND    # what no datetime in UTC can say is refused: it could not be read back
    except Exception as error:   # an offset is code of the caller's
        raise RequestError("expires_at names no instant", code="invalid_expiry") from error
    raise RequestError("expires_at is a datetime with an offset: without one it names no instant", code="invalid_expiry")


def moment_of(int64_t instant):
    """The datetime of an instant, in UTC."""
    return EPOCH + instant * MICROSECOND


cdef int64_t clock_read(object clock) except -1:
    """What a clock gives: an aware datetime, or seconds since the epoch; None is the machine's. What is no time is an error: nothing lives longer for it."""
    cdef timespec read
    if clock is None:
        clock_gettime(CLOCK_REALTIME, &read)
        return read.tv_sec * 1000000 + read.tv_nsec // 1000
    try:
        found = clock()
        if isinstance(found, (int, float)) and not isinstance(found, bool):
            if not math.isfinite(found):
                raise ValueError("not finite")
            found = round(found * 1_000_000)
        else:
            found = instant_of(found)
        if not 0 <= found < 1 << 62:
            raise ValueError("out of range")
    except Exception as error:
        raise StoreError("the clock gives no time: neither an aware datetime nor seconds since the epoch", code="clock_failed") from error
    return found


cdef int64_t clock_monotonic() noexcept nogil:
    """Nanoseconds by a clock that nobody sets, to within some milliseconds."""
    cdef timespec read
    clock_gettime(FGA_MONOTONIC, &read)
    return read.tv_sec * 1000000000 + read.tv_nsec


cdef void clock_nap(int64_t nanoseconds) noexcept nogil:
    """Sleep, less than a second; a signal ends it."""
    cdef timespec duration
    duration.tv_sec = 0
    duration.tv_nsec = nanoseconds
    nanosleep(&duration, NULL)
