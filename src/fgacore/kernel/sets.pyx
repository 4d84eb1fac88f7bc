"""The readers of large sets: roaring bitmaps in portable form, in place, and chunked sets.

The portable format is the RoaringFormatSpec's: a cookie (12346 without run containers; 12347 with, the container count and a bit for each container),
for each container key and cardinality - 1 in 16 bits, the offsets of the containers (always without runs, from four containers on with them),
then the containers. pyroaring writes it; tests hold this reader to pyroaring and to arbitrary bytes.
"""

from libc.string cimport memcpy

cdef enum:
    COOKIE_PLAIN = 12346
    COOKIE_RUNS = 12347
    OFFSETS_FROM = 4             # a bitmap with runs has an offset header from this many containers on


cdef inline uint16_t read16(const uint8_t* p) noexcept nogil:
    return <uint16_t>(p[0] | (<uint32_t>p[1] << 8))


cdef inline uint32_t read32(const uint8_t* p) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, p, 4)         # little-endian, as the format is; setup.py refuses big-endian machines
    return value


cdef struct HeaderC:             # where the parts of a portable bitmap lie; all offsets checked against the size
    uint32_t count               # containers
    uint32_t keys                # byte offset of the (key, cardinality - 1) pairs
    uint32_t runs                # byte offset of the bits that mark run containers, 0: none
    uint32_t offsets             # byte offset of the offset header, 0: none
    uint32_t first               # byte offset of the first container


cdef inline bint header_read(const uint8_t* data, uint32_t size, HeaderC* h) noexcept nogil:
    cdef uint32_t cookie
    cdef uint64_t end
    if size < 8:
        return 0
    cookie = read32(data)
    if cookie == COOKIE_PLAIN:
        h.count = read32(data + 4)
        if h.count > 65536:
            return 0
        h.keys = 8
        h.runs = 0
        end = 8 + 4 * <uint64_t>h.count
        h.offsets = <uint32_t>end
        end += 4 * <uint64_t>h.count
    elif (cookie & 0xFFFF) == COOKIE_RUNS:
        h.count = (cookie >> 16) + 1
        h.runs = 4
        h.keys = 4 + ((h.count + 7) >> 3)
        end = h.keys + 4 * <uint64_t>h.count
        h.offsets = 0
        if h.count >= OFFSETS_FROM:
            h.offsets = <uint32_t>end
            end += 4 * <uint64_t>h.count
    else:
        return 0
    h.first = <uint32_t>end
    return end <= size


cdef inline bint header_is_runs(const uint8_t* data, const HeaderC* h, uint32_t i) noexcept nogil:
    return h.runs != 0 and (data[h.runs + (i >> 3)] >> (i & 7)) & 1


cdef bint container_at(const uint8_t* data, uint32_t size, const HeaderC* h, uint32_t i, uint64_t at, ContainerC* out, uint64_t* end) noexcept nogil:
    """The i-th container, which begins at byte `at`; its end into end. 0 where the bytes do not hold it."""
    cdef uint32_t cardinality = <uint32_t>read16(data + h.keys + 4 * i + 2) + 1
    out.key = read16(data + h.keys + 4 * i)
    if header_is_runs(data, h, i):
        if at + 2 > size:
            return 0
        out.kind = CONTAINER_RUNS
        out.count = read16(data + at)
        out.data = data + at + 2
        end[0] = at + 2 + 4 * <uint64_t>out.count
    elif cardinality <= ARRAY_MAX:
        out.kind = CONTAINER_ARRAY
        out.count = cardinality
        out.data = data + at
        end[0] = at + 2 * <uint64_t>cardinality
    else:
        out.kind = CONTAINER_BITMAP
        out.count = cardinality
        out.data = data + at
        end[0] = at + BITMAP_BYTES
    return end[0] <= size


cdef bint roaring_container(const uint8_t* data, uint32_t size, const HeaderC* h, uint32_t i, ContainerC* out) noexcept nogil:
    cdef uint64_t at = h.first, end
    cdef uint32_t j
    if h.offsets:
        return container_at(data, size, h, i, read32(data + h.offsets + 4 * i), out, &end)
    for j in range(i):           # at most two before it: there are offsets from four containers on
        if not container_at(data, size, h, j, at, out, &end):
            return 0
        at = end
    return container_at(data, size, h, i, at, out, &end)


cdef inline uint16_t array_get(const ContainerC* c, uint32_t i) noexcept nogil:
    return read16(c.data + 2 * i)


cdef bint container_contains(const ContainerC* c, uint16_t low) noexcept nogil:
    cdef uint32_t first = 0, count = c.count, half, start
    if c.kind == CONTAINER_BITMAP:
        return (c.data[low >> 3] >> (low & 7)) & 1
    if c.kind == CONTAINER_ARRAY:
        while count > 1:
            half = count >> 1
            if array_get(c, first + half - 1) < low:
                first += half
            count -= half
        return count == 1 and array_get(c, first) == low
    while count > 0:             # the last run that starts at or before low
        half = count >> 1
        if array_get(c, 2 * (first + half)) <= low:
            first += half + 1
            count -= half + 1
        else:
            count = half
    if first == 0:
        return 0
    start = array_get(c, 2 * (first - 1))
    return low - start <= array_get(c, 2 * (first - 1) + 1)


cdef uint32_t set_container_count(const SetC* s) noexcept nogil:
    cdef HeaderC h
    if s.form == CHUNKED:
        return s.size
    if s.form == ROARING and header_read(<const uint8_t*>s.data, s.size, &h):
        return h.count
    return 0


cdef bint set_container(const SetC* s, uint32_t i, ContainerC* out) noexcept nogil:
    cdef HeaderC h
    if s.form == CHUNKED:
        out[0] = (<const ChunkC*>s.data)[i].container
        return 1
    if not header_read(<const uint8_t*>s.data, s.size, &h) or i >= h.count:
        return 0
    return roaring_container(<const uint8_t*>s.data, s.size, &h, i, out)


cdef bint large_contains(const SetC* s, uint32_t value) noexcept nogil:
    cdef HeaderC h
    cdef ContainerC c
    cdef const uint8_t* data = <const uint8_t*>s.data
    cdef const ChunkC* chunks = <const ChunkC*>s.data
    cdef uint32_t first = 0, count, half
    cdef uint16_t key = <uint16_t>(value >> 16)
    if s.form == CHUNKED:
        count = s.size
        while count > 1:
            half = count >> 1
            if chunks[first + half - 1].container.key < key:
                first += half
            count -= half
        return count == 1 and chunks[first].container.key == key and container_contains(&chunks[first].container, <uint16_t>value)
    if not header_read(data, s.size, &h):
        return 0
    count = h.count
    while count > 1:
        half = count >> 1
        if read16(data + h.keys + 4 * (first + half - 1)) < key:
            first += half
        count -= half
    if count == 0 or read16(data + h.keys + 4 * first) != key:
        return 0
    return roaring_container(data, s.size, &h, first, &c) and container_contains(&c, <uint16_t>value)


cdef bint large_next(IterC* it, uint32_t* value) noexcept nogil:
    cdef ContainerC* c = &it.container
    cdef uint32_t word
    while True:
        if it.chunk:             # a container is open
            if c.kind == CONTAINER_ARRAY:
                if it.at < c.count:
                    value[0] = (<uint32_t>c.key << 16) | array_get(c, it.at)
                    it.at += 1
                    return 1
            elif c.kind == CONTAINER_BITMAP:
                while it.at < 65536:
                    word = c.data[it.at >> 3] >> (it.at & 7)
                    if word == 0:
                        it.at = (it.at | 7) + 1
                        continue
                    while not word & 1:
                        word >>= 1
                        it.at += 1
                    value[0] = (<uint32_t>c.key << 16) | it.at
                    it.at += 1
                    return 1
            else:
                while it.at < c.count:
                    word = <uint32_t>array_get(c, 2 * it.at) + it.within
                    if it.within <= array_get(c, 2 * it.at + 1) and word < 65536:
                        value[0] = (<uint32_t>c.key << 16) | word
                        it.within += 1
                        return 1
                    it.at += 1
                    it.within = 0
        if it.chunk >= set_container_count(&it.set) or not set_container(&it.set, it.chunk, c):
            return 0
        it.chunk += 1
        it.at = 0
        it.within = 0


cdef uint32_t container_members(const ContainerC* c, uint16_t* out) noexcept nogil:
    """The low 16 bits of every member, rising, into out (room for 65,536); how many."""
    cdef uint32_t n = 0, i, j, word
    if c.kind == CONTAINER_ARRAY:
        for i in range(c.count):
            out[i] = array_get(c, i)
        return c.count
    if c.kind == CONTAINER_BITMAP:
        for i in range(BITMAP_BYTES):
            word = c.data[i]
            while word:
                j = 0
                while not (word >> j) & 1:
                    j += 1
                out[n] = <uint16_t>(8 * i + j)
                n += 1
                word &= word - 1
        return n
    for i in range(c.count):
        word = array_get(c, 2 * i)
        for j in range(<uint32_t>array_get(c, 2 * i + 1) + 1):
            if word + j > 65535 or n == 65536:
                break
            out[n] = <uint16_t>(word + j)
            n += 1
    return n


cdef uint32_t container_cardinality(const ContainerC* c) noexcept nogil:
    cdef uint32_t n = 0, i
    if c.kind != CONTAINER_RUNS:
        return c.count
    for i in range(c.count):
        n += <uint32_t>array_get(c, 2 * i + 1) + 1
    return n


cdef void set_decode(const SetC* s, uint32_t* out) noexcept nogil:
    """Every member of a set, rising, into out, which has room for s.count of them; never more are written."""
    cdef IterC it
    cdef uint32_t n = 0, value
    if s.form == RUN:
        if s.count:
            memcpy(out, s.data, 4 * <size_t>s.count)
        return
    iter_start(&it, s)
    while n < s.count and large_next(&it, &value):
        out[n] = value
        n += 1
    while n < s.count:           # damaged bytes hold fewer members than they claim: fill with what equals nothing
        out[n] = NONE
        n += 1


cdef bint roaring_measure(const uint8_t* data, uint32_t size, uint64_t* count) noexcept nogil:
    """Whether the bytes are a well-formed portable bitmap: containers in their places, keys and members strictly rising, cardinalities true. Members into count."""
    cdef HeaderC h
    cdef ContainerC c
    cdef uint32_t i, j, n, key, last_key = 0, value, last
    cdef uint64_t at, end
    count[0] = 0
    if not header_read(data, size, &h):
        return 0
    at = h.first
    for i in range(h.count):
        # One after the other, where the offsets say so too.
        if (h.offsets and read32(data + h.offsets + 4 * i) != at) or not container_at(data, size, &h, i, at, &c, &end):
            return 0
        at = end
        key = c.key
        if i and key <= last_key:
            return 0
        last_key = key
        n = 0
        if c.kind == CONTAINER_ARRAY:
            last = 0
            for j in range(c.count):
                value = array_get(&c, j)
                if j and value <= last:
                    return 0
                last = value
            n = c.count
        elif c.kind == CONTAINER_BITMAP:
            for j in range(BITMAP_BYTES):
                value = c.data[j]
                while value:
                    value &= value - 1
                    n += 1
            if n != c.count:
                return 0
        else:
            last = 0
            for j in range(c.count):
                value = array_get(&c, 2 * j)
                if j and value <= last:
                    return 0
                last = value + array_get(&c, 2 * j + 1)
                if last > 65535:
                    return 0
                n += <uint32_t>array_get(&c, 2 * j + 1) + 1
            if n != <uint32_t>read16(data + h.keys + 4 * i + 2) + 1:
                return 0
        count[0] += n
    return 1


cdef class RoaringReader:
    """A portable serialized roaring bitmap, read in place as the kernel reads it: for tests, fuzzing and verification.

    Safe on any bytes: what the bytes do not hold reads as absent. `valid` tells whether they are well-formed.
    """

    cdef bytes _data
    cdef SetC _set
    cdef readonly bint valid

    def __init__(self, bytes data not None):
        cdef uint64_t count = 0
        if len(data) > 0x7FFFFFFF:
            raise ValueError("a bitmap of at most 2 GiB")
        self._data = data
        self._set.data = <const uint8_t*>data
        self._set.size = <uint32_t>len(data)
        self._set.form = ROARING
        self.valid = roaring_measure(<const uint8_t*>data, self._set.size, &count)
        self._set.count = <uint32_t>min(count, 0xFFFFFFFFU)

    def __len__(self):
        return self._set.count

    def __contains__(self, uint32_t value):
        return large_contains(&self._set, value)

    def __iter__(self):
        cdef IterC it
        cdef uint32_t value = 0
        cdef list out = []
        iter_start(&it, &self._set)
        while large_next(&it, &value):
            out.append(value)
        return iter(out)
