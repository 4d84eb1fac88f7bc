"""Instants: integers, microseconds since the epoch. From datetimes and clocks, and back."""

from libc.stdint cimport int64_t

cpdef int64_t instant_of(object moment) except? -1
cdef int64_t clock_read(object clock) except -1
cdef int64_t clock_monotonic() noexcept nogil
cdef void clock_nap(int64_t nanoseconds) noexcept nogil
