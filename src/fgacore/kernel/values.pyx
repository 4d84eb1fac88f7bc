"""See values.pxd."""

from libc.math cimport floor, isfinite
from libc.stdint cimport INT64_MAX, INT64_MIN, UINT64_MAX, int32_t
from libc.string cimport memcpy

cdef extern from "Python.h":
    double PyOS_string_to_double(const char* text, char** end, void* overflow)
    void PyErr_Clear()

cdef extern from *:
    """
    static const double FGA_POWERS[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
                                        1e19, 1e20, 1e21, 1e22};  /* those that a double holds exactly */
    """
    const double* POWERS "FGA_POWERS"
    const uint64_t EXACT_MAX "(UINT64_C(1) << 53)"       # integers up to here are doubles

cdef enum:
    POWER_MAX = 22
    EXPONENT_MAX = 100000                # beyond any number that is neither 0 nor infinite
    NO_GAP = 9

cdef double TWO_63 = 9223372036854775808.0
cdef double TWO_64 = 18446744073709551616.0


# Maps.

cdef const ValueC* map_get(const ValueC* map, const ValueC* key) noexcept nogil:
    """The value of a STRING key; NULL where there is none."""
    cdef uint32_t low = 0, high = map.size, middle
    cdef int order
    while low < high:
        middle = (low + high) >> 1
        order = text_order(&map.word.items[2 * middle], key)
        if order == 0:
            return &map.word.items[2 * middle + 1]
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return NULL


# Msgpack.

cdef inline uint64_t big_endian(const uint8_t* at, uint32_t width) noexcept nogil:
    cdef uint64_t found = 0
    cdef uint32_t i
    for i in range(width):
        found = found << 8 | at[i]
    return found


cdef bint item_read(ScanC* scan, ValueC* out) noexcept nogil:
    """The next item: a scalar as a value, a list or map as its tag and size, its members being the items that follow. 0: damaged.

    Every size is held against the bytes that are left, of which each member takes at least one.
    """
    cdef uint64_t left = scan.end - scan.at, size
    cdef uint32_t width
    cdef uint8_t code
    if left == 0:
        return 0
    code = scan.at[0]
    scan.at += 1
    left -= 1
    out.size = 0
    out.low = 0
    out.word.natural = 0
    if code < 0x80 or code >= 0xe0:
        out.tag = VALUE_INT
        out.word.integer = code if code < 0x80 else <int64_t>code - 256
        return 1
    if code < 0x90:
        out.tag, size = VALUE_MAP, code & 0x0f
    elif code < 0xa0:
        out.tag, size = VALUE_LIST, code & 0x0f
    elif code < 0xc0:
        out.tag, size = VALUE_STRING, code & 0x1f
    elif code == 0xc0:
        out.tag = VALUE_NULL
        return 1
    elif code == 0xc2 or code == 0xc3:
        out.tag, out.word.integer = VALUE_BOOL, code & 1
        return 1
    elif code == 0xcb or 0xcc <= code <= 0xd3:
        width = 8 if code == 0xcb else 1 << (code & 3)
        if left < width:
            return 0
        out.word.natural = big_endian(scan.at, width)
        scan.at += width
        if code == 0xcb:
            out.tag = VALUE_DOUBLE
        elif code >= 0xd0:
            out.tag = VALUE_INT
            out.word.integer = <int64_t>(out.word.natural << (64 - 8 * width)) >> (64 - 8 * width)
        else:
            out.tag = VALUE_UINT if out.word.natural > <uint64_t>INT64_MAX else VALUE_INT
        return 1
    elif 0xd9 <= code <= 0xdb or 0xdc <= code <= 0xdf:
        width = 1 << (code - 0xd9) if code <= 0xdb else 2 << (code & 1)
        if left < width:
            return 0
        size = big_endian(scan.at, width)
        scan.at += width
        left -= width
        out.tag = VALUE_STRING if code <= 0xdb else VALUE_LIST if code <= 0xdd else VALUE_MAP
    else:
        return 0
    if (2 * size if out.tag == VALUE_MAP else size) > left:
        return 0
    out.size = <uint32_t>size
    if out.tag == VALUE_STRING:
        out.word.text = scan.at
        scan.at += size
    return 1


cdef bint item_skip(ScanC* scan, uint32_t depth, uint64_t* count) noexcept nogil:
    """Past the next item and all in it, adding their number to count. 0: damaged, or nested deeper than depth."""
    cdef ValueC item
    cdef uint64_t i
    if not item_read(scan, &item):
        return 0
    count[0] += 1
    if item.tag != VALUE_LIST and item.tag != VALUE_MAP:
        return 1
    if depth == 0:
        return 0
    for i in range(<uint64_t>item.size << (item.tag == VALUE_MAP)):
        if not item_skip(scan, depth - 1, count):
            return 0
    return 1


cdef int value_read(ScanC* scan, TypeC type, ValueC* out, ValueC** room, const ValueC* room_end, uint32_t depth) noexcept nogil:
    """The next item as a value of a type. Members are laid out from room[0] on, which moves past them. A fault leaves scan anywhere."""
    cdef TypeC member
    cdef ValueC* items
    cdef uint64_t count, i
    cdef int fault
    if not item_read(scan, out):
        return FAULT_DAMAGED
    if out.tag != VALUE_LIST and out.tag != VALUE_MAP:
        return value_coerce(out, type.type)
    if type.type != TYPE_ANY and type.type != (TYPE_LIST if out.tag == VALUE_LIST else TYPE_MAP):
        return FAULT_TYPE
    if depth == 0:
        return FAULT_DEPTH
    count = <uint64_t>out.size << (out.tag == VALUE_MAP)
    if count > <uint64_t>(room_end - room[0]):
        return FAULT_DAMAGED
    member.type = TYPE_ANY if type.type == TYPE_ANY else type.member
    member.member = TYPE_ANY
    items = room[0]
    room[0] += count
    out.word.items = items
    for i in range(count):
        if out.tag == VALUE_MAP and i & 1 == 0:
            if not item_read(scan, &items[i]):
                return FAULT_DAMAGED
            if items[i].tag != VALUE_STRING or (i and text_order(&items[i - 2], &items[i]) >= 0):
                return FAULT_KEY
        else:
            fault = value_read(scan, member, &items[i], room, room_end, depth - 1)
            if fault:
                return fault
    return FAULT_NONE


# Coercions.

cdef int value_coerce(ValueC* value, uint32_t type) noexcept nogil:
    """A scalar of msgpack as a value of a type, in place."""
    cdef int64_t nanos
    if type == TYPE_ANY:
        return FAULT_NONE
    if type == TYPE_STRING:
        return FAULT_NONE if value.tag == VALUE_STRING else FAULT_TYPE
    if type == TYPE_BOOL:
        return FAULT_NONE if value.tag == VALUE_BOOL else FAULT_TYPE
    if type == TYPE_INT or type == TYPE_UINT:
        return coerce_integer(value, type)
    if type == TYPE_DOUBLE:
        return coerce_double(value)
    if value.tag != VALUE_STRING:
        return FAULT_TYPE
    if type == TYPE_DURATION:
        if not duration_parse(value.word.text, value.size, &nanos):
            return FAULT_TYPE
        duration_set(value, nanos)
        return FAULT_NONE
    if type == TYPE_TIMESTAMP:
        return timestamp_parse(value.word.text, value.size, value)
    if type == TYPE_IP:
        return ip_parse(value.word.text, value.size, value)
    return FAULT_TYPE


cdef inline void duration_set(ValueC* value, int64_t nanos) noexcept nogil:
    cdef int64_t rest = nanos % <int64_t>SECOND
    value.tag = VALUE_DURATION
    value.size = 0
    value.word.integer = nanos // <int64_t>SECOND - (rest < 0)
    value.low = <uint64_t>(rest + <int64_t>SECOND if rest < 0 else rest)


cdef int coerce_integer(ValueC* value, uint32_t type) noexcept nogil:
    cdef bint negative = 0
    cdef uint64_t natural = 0
    cdef double real
    cdef int fault
    if value.tag == VALUE_INT:
        negative = value.word.integer < 0
        natural = 0 - value.word.natural if negative else value.word.natural
    elif value.tag == VALUE_UINT:
        natural = value.word.natural
    elif value.tag == VALUE_DOUBLE:
        real = value.word.real
        if not isfinite(real):
            return FAULT_FINITE
        if floor(real) != real:
            return FAULT_TYPE
        negative = real < 0
        if negative:
            real = -real
        if real >= TWO_64:
            return FAULT_RANGE
        natural = <uint64_t>real
    elif value.tag == VALUE_STRING:
        fault = integer_parse(value.word.text, value.size, &negative, &natural)
        if fault:
            return fault
    else:
        return FAULT_TYPE
    if type == TYPE_UINT:
        if negative and natural:
            return FAULT_RANGE
        value.tag = VALUE_UINT
        value.word.natural = natural
    else:
        if natural > <uint64_t>INT64_MAX + negative:
            return FAULT_RANGE
        value.tag = VALUE_INT
        value.word.natural = 0 - natural if negative else natural
    value.size = 0
    return FAULT_NONE


cdef int coerce_double(ValueC* value) noexcept nogil:
    cdef double real
    cdef int fault
    if value.tag == VALUE_DOUBLE:
        return FAULT_NONE if isfinite(value.word.real) else FAULT_FINITE
    if value.tag == VALUE_INT:
        real = <double>value.word.integer
    elif value.tag == VALUE_UINT:
        real = <double>value.word.natural
    elif value.tag == VALUE_STRING:
        fault = double_parse(value.word.text, value.size, &real)
        if fault:
            return fault
    else:
        return FAULT_TYPE
    value.tag = VALUE_DOUBLE
    value.size = 0
    value.word.real = real
    return FAULT_NONE


# Numbers as text: [+-] digits [. digits] [e [+-] digits], as Go's big.ParseFloat has them in base 10.

cdef struct NumberC:
    bint negative
    bint overflow                # more digits than natural holds
    uint64_t natural             # the digits up to the last that is not 0
    int64_t exponent             # of ten


cdef bint number_parse(const uint8_t* text, uint32_t size, NumberC* out) noexcept nogil:
    cdef uint32_t at = 0, digits = 0
    cdef int64_t exponent = 0, fraction = 0, zeros = 0
    cdef bint point = 0, down
    cdef uint8_t digit
    if size > NUMBER_BYTES_MAX:
        return 0
    out.negative = size > 0 and text[0] == c'-'
    out.overflow = 0
    out.natural = 0
    if size and (text[0] == c'-' or text[0] == c'+'):
        at = 1
    while at < size:
        if text[at] == c'.' and not point:
            point = 1
        elif c'0' <= text[at] <= c'9':
            digit = text[at] - c'0'
            digits += 1
            fraction += point
            if digit == 0:
                zeros += out.natural != 0
            else:
                while zeros >= 0 and not out.overflow:
                    out.overflow = out.natural > UINT64_MAX // 10
                    out.natural *= 10
                    zeros -= 1
                zeros = 0
                out.overflow = out.overflow or out.natural > UINT64_MAX - digit
                out.natural += digit
        else:
            break
        at += 1
    if digits == 0:
        return 0
    if at < size:
        if text[at] != c'e' and text[at] != c'E':
            return 0
        at += 1
        down = at < size and text[at] == c'-'
        if at < size and (text[at] == c'-' or text[at] == c'+'):
            at += 1
        if at == size:
            return 0
        while at < size:
            if not c'0' <= text[at] <= c'9':
                return 0
            if exponent < EXPONENT_MAX:
                exponent = 10 * exponent + text[at] - c'0'
            at += 1
        if down:
            exponent = -exponent
    out.exponent = exponent - fraction + zeros
    return 1


cdef int integer_parse(const uint8_t* text, uint32_t size, bint* negative, uint64_t* out) noexcept nogil:
    """An integral number, however it is written: `10`, `10.0`, `1e1`."""
    cdef NumberC number
    if not number_parse(text, size, &number):
        return FAULT_TYPE
    negative[0] = number.negative
    out[0] = number.natural
    if number.natural == 0 and not number.overflow:
        return FAULT_NONE
    if number.exponent < 0:
        return FAULT_TYPE
    if number.overflow:
        return FAULT_RANGE
    while number.exponent:
        if out[0] > UINT64_MAX // 10:
            return FAULT_RANGE
        out[0] *= 10
        number.exponent -= 1
    return FAULT_NONE


cdef int double_parse(const uint8_t* text, uint32_t size, double* out) noexcept nogil:
    """The nearest double. Few digits and a small exponent need one rounding; the rest is CPython's correctly rounded reading."""
    cdef NumberC number
    cdef char copy[NUMBER_BYTES_MAX + 1]
    if not number_parse(text, size, &number):
        return FAULT_TYPE
    if not number.overflow and number.natural <= EXACT_MAX and -POWER_MAX <= number.exponent <= POWER_MAX:
        out[0] = <double>number.natural
        if number.exponent < 0:
            out[0] /= POWERS[-number.exponent]
        else:
            out[0] *= POWERS[number.exponent]
        if number.negative:
            out[0] = -out[0]
        return FAULT_NONE
    memcpy(copy, text, size)
    copy[size] = 0
    with gil:
        out[0] = PyOS_string_to_double(copy, NULL, NULL)
        PyErr_Clear()
    return FAULT_NONE if isfinite(out[0]) else FAULT_RANGE


# Go's time.ParseDuration.

cdef inline uint32_t unit_read(const uint8_t* text, uint32_t size, uint64_t* unit) noexcept nogil:
    """The bytes of the unit that a text begins with, and its nanoseconds; 0: none. Micro is `u`, U+00B5 or U+03BC."""
    cdef uint32_t length = 0
    while length < size and text[length] != c'.' and not c'0' <= text[length] <= c'9':
        length += 1
    if length == 1 and text[0] == c'h':
        unit[0] = 3600 * <uint64_t>SECOND
    elif length == 1 and text[0] == c'm':
        unit[0] = 60 * <uint64_t>SECOND
    elif length == 1 and text[0] == c's':
        unit[0] = SECOND
    elif length == 2 and text[1] == c's' and text[0] == c'm':
        unit[0] = 1000000
    elif length == 2 and text[1] == c's' and text[0] == c'u':
        unit[0] = 1000
    elif length == 2 and text[1] == c's' and text[0] == c'n':
        unit[0] = 1
    elif length == 3 and text[2] == c's' and ((text[0] == 0xc2 and text[1] == 0xb5) or (text[0] == 0xce and text[1] == 0xbc)):
        unit[0] = 1000
    else:
        return 0
    return length


cdef bint duration_parse(const uint8_t* text, uint32_t size, int64_t* nanos) noexcept nogil:
    """`1h30m`, `1.5s`, `-2ms`, `0`. 0: malformed or out of range."""
    cdef uint64_t total = 0, whole, fraction, unit = 0, limit = (<uint64_t>1) << 63
    cdef uint32_t at = 0, length, digits
    cdef bint negative = size > 0 and text[0] == c'-', full
    cdef double scale
    if size and (text[0] == c'-' or text[0] == c'+'):
        at = 1
    if size - at == 1 and text[at] == c'0':
        nanos[0] = 0
        return 1
    if at == size:
        return 0
    while at < size:
        whole = fraction = 0
        digits = 0
        scale = 1
        full = 0
        while at < size and c'0' <= text[at] <= c'9':
            if whole > limit // 10:
                return 0
            whole = 10 * whole + text[at] - c'0'
            if whole > limit:
                return 0
            digits += 1
            at += 1
        if at < size and text[at] == c'.':
            at += 1
            while at < size and c'0' <= text[at] <= c'9':
                digits += 1
                if not full and (fraction > <uint64_t>INT64_MAX // 10 or 10 * fraction + text[at] - c'0' > limit):
                    full = 1                             # further digits are below a nanosecond
                if not full:
                    fraction = 10 * fraction + text[at] - c'0'
                    scale *= 10
                at += 1
        if digits == 0:
            return 0
        length = unit_read(text + at, size - at, &unit)
        if length == 0 or whole > limit // unit:
            return 0
        at += length
        whole *= unit
        if fraction:
            whole += <uint64_t>(<double>fraction * (<double>unit / scale))
            if whole > limit:
                return 0
        total += whole
        if total > limit:
            return 0
    if negative:
        nanos[0] = <int64_t>(0 - total)
        return 1
    if total == limit:
        return 0
    nanos[0] = <int64_t>total
    return 1


# Go's time.Parse(time.RFC3339): an hour may have one digit, a fraction may begin with a comma and is cut to nine digits.

cdef inline int32_t two_digits(const uint8_t* text) noexcept nogil:
    if c'0' <= text[0] <= c'9' and c'0' <= text[1] <= c'9':
        return 10 * (text[0] - c'0') + text[1] - c'0'
    return -1


cdef inline int64_t days_since_1970(int32_t year, int32_t month, int32_t day) noexcept nogil:
    """Of the Gregorian calendar, years from 0 on: in eras of 400 years that begin in March, so that the leap day is the last of its year."""
    cdef int64_t y = year - (month <= 2) + 400, era = y // 400, of_era = y - era * 400
    cdef int64_t of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return (era - 1) * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


cdef int timestamp_parse(const uint8_t* text, uint32_t size, ValueC* out) noexcept nogil:
    cdef int32_t year, month, day, hour, minute, second, offset_hour, offset_minute, last
    cdef uint32_t at = 13, digits = 0
    cdef uint64_t nanos = 0
    cdef int64_t seconds
    if size < 19 or text[4] != c'-' or text[7] != c'-' or text[10] != c'T':
        return FAULT_TYPE
    year = two_digits(text)
    last = two_digits(text + 2)
    month = two_digits(text + 5)
    day = two_digits(text + 8)
    hour = two_digits(text + 11)
    if hour < 0 and c'0' <= text[11] <= c'9' and text[12] == c':':
        hour = text[11] - c'0'
        at = 12
    if year < 0 or last < 0 or month < 1 or month > 12 or day < 1 or not 0 <= hour <= 23 or size - at < 7:
        return FAULT_TYPE
    year = 100 * year + last
    last = 30 + ((month + (month > 7)) & 1) if month != 2 else 28 + (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    minute = two_digits(text + at + 1)
    second = two_digits(text + at + 4)
    if day > last or text[at] != c':' or text[at + 3] != c':' or not 0 <= minute <= 59 or not 0 <= second <= 59:
        return FAULT_TYPE
    at += 6
    if size - at >= 2 and (text[at] == c'.' or text[at] == c',') and c'0' <= text[at + 1] <= c'9':
        at += 1
        while at < size and c'0' <= text[at] <= c'9':
            if digits < 9:
                nanos = 10 * nanos + text[at] - c'0'
                digits += 1
            at += 1
        while digits < 9:
            nanos *= 10
            digits += 1
    seconds = 86400 * days_since_1970(year, month, day) + 3600 * hour + 60 * minute + second
    if size - at == 1 and text[at] == c'Z':
        pass
    elif size - at == 6 and (text[at] == c'+' or text[at] == c'-') and text[at + 3] == c':':
        offset_hour = two_digits(text + at + 1)
        offset_minute = two_digits(text + at + 4)
        if not 0 <= offset_hour <= 24 or not 0 <= offset_minute <= 60:
            return FAULT_TYPE
        offset_hour = 3600 * offset_hour + 60 * offset_minute
        seconds += offset_hour if text[at] == c'-' else -offset_hour
    else:
        return FAULT_TYPE
    if not TIME_FIRST <= seconds <= TIME_LAST:
        return FAULT_RANGE
    out.tag = VALUE_TIMESTAMP
    out.size = 0
    out.word.integer = seconds
    out.low = nanos
    return FAULT_NONE


# Go's netip.ParseAddr and netip.ParsePrefix.

cdef bint ipv4_parse(const uint8_t* text, uint32_t size, uint64_t* out) noexcept nogil:
    """Four decimal numbers without leading zeros."""
    cdef uint32_t at = 0, part, start, value
    out[0] = 0
    for part in range(4):
        if part:
            if at == size or text[at] != c'.':
                return 0
            at += 1
        start = at
        value = 0
        while at < size and at < start + 3 and c'0' <= text[at] <= c'9':
            value = 10 * value + text[at] - c'0'
            at += 1
        if at == start or value > 255 or (text[start] == c'0' and at > start + 1):
            return 0
        out[0] = out[0] << 8 | value
    return at == size


cdef inline int32_t hex_digit(uint8_t c) noexcept nogil:
    if c'0' <= c <= c'9':
        return c - c'0'
    if c'a' <= c | 0x20 <= c'f':
        return (c | 0x20) - c'a' + 10
    return -1


cdef bint ipv6_parse(const uint8_t* text, uint32_t size, uint64_t* high, uint64_t* low) noexcept nogil:
    """Fields of up to four hexadecimal digits; one `::` for at least one field of zeros; an IPv4 address in place of the last two."""
    cdef uint32_t fields[8]
    cdef uint32_t count = 0, gap = NO_GAP, at = 0, start, i, value
    cdef uint64_t last
    cdef uint64_t words[2]
    if size >= 2 and text[0] == c':' and text[1] == c':':
        gap = 0
        at = 2
    while at < size and count < 8:
        start = at
        value = 0
        while at < size and hex_digit(text[at]) >= 0:
            if at - start > 3:
                return 0
            value = value << 4 | <uint32_t>hex_digit(text[at])
            at += 1
        if at == start:
            return 0
        if at < size and text[at] == c'.':
            if count > 6 or (gap == NO_GAP and count != 6) or not ipv4_parse(text + start, size - start, &last):
                return 0
            fields[count] = <uint32_t>(last >> 16)
            fields[count + 1] = <uint32_t>last & 0xffff
            count += 2
            at = size
            break
        fields[count] = value
        count += 1
        if at == size:
            break
        if text[at] != c':' or at + 1 == size:
            return 0
        at += 1
        if text[at] == c':':
            if gap != NO_GAP:
                return 0
            gap = count
            at += 1
    if at != size or (gap == NO_GAP) != (count == 8):
        return 0
    words[0] = words[1] = 0
    for i in range(count):
        start = i if i < gap else 8 - count + i
        words[start >> 2] |= <uint64_t>fields[i] << (48 - 16 * (start & 3))
    high[0] = words[0]
    low[0] = words[1]
    return 1


cdef int address_parse(const uint8_t* text, uint32_t size, ValueC* out) noexcept nogil:
    """An address as it is written."""
    cdef uint64_t high = 0, low
    cdef uint32_t i, family = 0
    if size > 64:
        return FAULT_TYPE
    for i in range(size):
        if text[i] == c'%':
            return FAULT_ZONE if family == 6 else FAULT_TYPE
        if family == 0 and (text[i] == c'.' or text[i] == c':'):
            family = 4 if text[i] == c'.' else 6
    if family == 0 or not (ipv4_parse(text, size, &low) if family == 4 else ipv6_parse(text, size, &high, &low)):
        return FAULT_TYPE
    out.tag = VALUE_IP
    out.size = family
    out.word.natural = high
    out.low = low
    return FAULT_NONE


cdef inline bint is_mapped(const ValueC* ip) noexcept nogil:
    return ip.size == 6 and ip.word.natural == 0 and ip.low >> 32 == 0xffff


cdef int ip_parse(const uint8_t* text, uint32_t size, ValueC* out) noexcept nogil:
    cdef int fault = address_parse(text, size, out)
    if fault == FAULT_NONE and is_mapped(out):
        out.size = 4
        out.low = <uint32_t>out.low
    return fault


cdef bint network_parse(const uint8_t* text, uint32_t size, NetworkC* out) noexcept nogil:
    """`10.0.0.0/8`; host bits may be set and do not count. A network within the mapped addresses is the IPv4 network it is."""
    cdef uint32_t slash = size, bits = 0, i
    for i in range(size if size < 96 else 0):
        if text[i] == c'/':
            slash = i
    if slash == size or not 2 <= size - slash <= 4 or address_parse(text, slash, &out.address):
        return 0
    if size - slash > 2 and text[slash + 1] == c'0':
        return 0
    for i in range(slash + 1, size):
        if not c'0' <= text[i] <= c'9':
            return 0
        bits = 10 * bits + text[i] - c'0'
    if bits > <uint32_t>(32 if out.address.size == 4 else 128):
        return 0
    if is_mapped(&out.address) and bits >= 96:
        out.address.size = 4
        out.address.low = <uint32_t>out.address.low
        bits -= 96
    out.bits = bits
    if out.address.size == 4:
        out.address.low = out.address.low >> (32 - bits) << (32 - bits)
    elif bits <= 64:
        out.address.word.natural = out.address.word.natural >> (64 - bits) << (64 - bits) if bits else 0
        out.address.low = 0
    else:
        out.address.low = out.address.low >> (128 - bits) << (128 - bits)
    return 1


cdef bint network_contains(const NetworkC* network, const ValueC* ip) noexcept nogil:
    """Whether an address is in a network of its own family."""
    cdef uint64_t high = ip.word.natural ^ network.address.word.natural, low = ip.low ^ network.address.low
    if ip.size != network.address.size:
        return 0
    if ip.size == 4:
        return low >> (32 - network.bits) == 0
    if network.bits <= 64:
        return network.bits == 0 or high >> (64 - network.bits) == 0
    return high == 0 and low >> (128 - network.bits) == 0
