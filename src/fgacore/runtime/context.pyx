"""See context.pxd."""

import datetime
import ipaddress
from collections.abc import Mapping
from operator import itemgetter

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.datetime cimport (
    PyDateTime_Check, PyDelta_Check, import_datetime, timedelta_days, timedelta_microseconds, timedelta_seconds,
)
from cpython.dict cimport PyDict_GetItemWithError, PyDict_Items, PyDict_Next
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.list cimport PyList_AsTuple, PyList_Check
from cpython.long cimport PyLong_AsUnsignedLongLong, PyLong_Check
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport PyObject
from cpython.tuple cimport PyTuple_Check, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport isfinite
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy, memset

from fgacore.errors import InternalError, LimitError, RequestError, quote
from fgacore.limits import CONDITION_WORK_MAX, CONTEXT_BYTES_MAX, CONTEXT_DEPTH_MAX, REQUEST_CONTEXT_BYTES_MAX

from fgacore.kernel.names cimport fga_hash
from fgacore.kernel.program cimport RUN_ERROR, RUN_MEMORY, RUN_WORK, Program, program_run
from fgacore.kernel.values cimport (
    FAULT_CODE, FAULT_DAMAGED, FAULT_DEPTH, FAULT_FINITE, FAULT_KEY, FAULT_NONE, FAULT_NUL, FAULT_RANGE, FAULT_SIZE, FAULT_TYPE, FAULT_UNICODE,
    FAULT_ZONE, SECOND, TIME_FIRST, TIME_LAST, TYPE_ANY, TYPE_BOOL, TYPE_DOUBLE, TYPE_DURATION, TYPE_INT, TYPE_IP, TYPE_LIST, TYPE_MAP,
    TYPE_STRING, TYPE_TIMESTAMP, TYPE_UINT, VALUE_BAD, VALUE_BOOL, VALUE_DOUBLE, VALUE_DURATION, VALUE_INT, VALUE_IP, VALUE_LIST, VALUE_MAP,
    VALUE_MISSING, VALUE_NULL, VALUE_STRING, VALUE_TIMESTAMP, VALUE_UINT, ScanC, context_equal, item_read, item_skip, value_read,
)
from fgacore.runtime.text cimport fga_ascii

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* length) except NULL
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1

import_datetime()

cdef uint32_t depth_max = CONTEXT_DEPTH_MAX
cdef uint64_t stored_max = CONTEXT_BYTES_MAX
cdef uint64_t request_max = REQUEST_CONTEXT_BYTES_MAX
cdef object utc = datetime.timezone.utc
cdef object epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
cdef tuple addresses = (ipaddress.IPv4Address, ipaddress.IPv6Address)
cdef object by_key = itemgetter(0)

cdef dict TYPES = {
    "any": TYPE_ANY, "bool": TYPE_BOOL, "string": TYPE_STRING, "int": TYPE_INT, "uint": TYPE_UINT, "double": TYPE_DOUBLE,
    "duration": TYPE_DURATION, "timestamp": TYPE_TIMESTAMP, "ipaddress": TYPE_IP, "list": TYPE_LIST, "map": TYPE_MAP,
}
cdef tuple TYPE_NAMES = tuple(TYPES)         # in the order of TYPE_*
cdef tuple STATES = ("missing", "bad", "null", "bool", "int", "uint", "double", "string", "duration", "timestamp", "ipaddress", "list", "map")

cdef enum:
    PACK_FIRST = 512                         # bytes that need no allocation
    FOUND_FIRST = 16

cdef struct PackC:                           # msgpack being written
    uint8_t* start
    uint64_t size
    uint64_t capacity
    uint64_t size_max
    uint64_t count                           # values and keys written, since it was last set to 0
    uint32_t kinds                           # bit TYPE_*: datetimes, timedeltas, addresses turned to text; integers beyond 64 bits to double
    uint8_t first[PACK_FIRST]

cdef struct FoundC:                          # a key of a request that is a parameter
    uint32_t slot                            # the first of this name
    uint32_t kinds
    uint64_t at                              # of its value, in what is packed
    uint64_t size
    int fault


# From objects to msgpack. A fault is returned, no error: -1 is only for what is not the caller's (no memory, an interrupt).

cdef void pack_begin(PackC* p, uint64_t size_max) noexcept:
    p.start = p.first
    p.size = 0
    p.capacity = PACK_FIRST
    p.size_max = size_max
    p.count = 0
    p.kinds = 0


cdef void pack_end(PackC* p) noexcept:
    if p.start != p.first:
        free(p.start)


cdef int pack_grow(PackC* p, uint64_t more) except -1:
    cdef uint64_t capacity = 2 * p.capacity + more
    cdef uint8_t* start = <uint8_t*>realloc(NULL if p.start == p.first else p.start, capacity)
    if start == NULL:
        raise MemoryError()
    if p.start == p.first:
        memcpy(start, p.first, p.size)
    p.start = start
    p.capacity = capacity
    return 0


cdef inline int pack_room(PackC* p, uint64_t more) except -1:
    """FAULT_SIZE where the bytes do not fit in what the context may have."""
    if more > p.size_max or p.size + more > p.size_max:
        return FAULT_SIZE
    if p.size + more > p.capacity:
        pack_grow(p, more)
    return FAULT_NONE


cdef inline int pack_number(PackC* p, uint8_t code, uint64_t number, uint32_t width) except -1:
    cdef uint8_t* at
    cdef uint32_t i
    if pack_room(p, 1 + width):
        return FAULT_SIZE
    at = p.start + p.size
    at[0] = code
    for i in range(width):
        at[1 + i] = <uint8_t>(number >> (8 * (width - 1 - i)))
    p.size += 1 + width
    return FAULT_NONE


cdef inline uint32_t width_of(uint64_t number) noexcept:
    """0 to 3, for 1, 2, 4 and 8 bytes."""
    return 0 if number < 1 << 8 else 1 if number < 1 << 16 else 2 if number >> 32 == 0 else 3


cdef int pack_head(PackC* p, uint8_t fixed, uint64_t fixed_max, uint8_t code, uint64_t size) except -1:
    """The head of a text, list or map. code: of that with one byte of size, which lists and maps do not have."""
    cdef uint32_t width
    if size <= fixed_max:
        return pack_number(p, fixed | <uint8_t>size, 0, 0)
    width = width_of(size)
    if code != 0xd9 and width == 0:
        width = 1
    return pack_number(p, code + width, size, 1 << width)


cdef int pack_text(PackC* p, object text) except -1:
    cdef Py_ssize_t size
    cdef const char* start = fga_ascii(<PyObject*>text, &size)
    if start == NULL:
        try:
            start = PyUnicode_AsUTF8AndSize(text, &size)
        except UnicodeEncodeError:
            return FAULT_UNICODE
    if <uint64_t>size > p.size_max:
        return FAULT_SIZE
    if memchr(start, 0, size) != NULL:
        return FAULT_NUL
    if pack_head(p, 0xa0, 31, 0xd9, size) or pack_room(p, size):
        return FAULT_SIZE
    memcpy(p.start + p.size, start, size)
    p.size += size
    return FAULT_NONE


cdef int pack_double(PackC* p, double value) except -1:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    return pack_number(p, 0xcb, bits, 8) if isfinite(value) else FAULT_FINITE


cdef int pack_integer(PackC* p, object value) except -1:
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef uint64_t natural = <uint64_t>number
    cdef uint32_t width
    if overflow:
        try:
            natural = PyLong_AsUnsignedLongLong(value)
        except OverflowError:                # beyond 64 bits it is what readers of JSON make of it for a double
            p.kinds |= 1 << TYPE_DOUBLE
            try:
                return pack_double(p, float(value))
            except OverflowError:
                return FAULT_RANGE
    elif -32 <= number < 128:
        return pack_number(p, <uint8_t>number, 0, 0)
    elif number < 0:
        width = width_of(2 * <uint64_t>(-1 - number))
        return pack_number(p, 0xd0 + width, natural, 1 << width)
    width = width_of(natural)
    return pack_number(p, 0xcc + width, natural, 1 << width)


cdef int pack_value(PackC* p, object value, uint32_t depth) except -1:
    """depth: how many lists and maps may be nested in each other."""
    p.count += 1
    if isinstance(value, str):
        return pack_text(p, value)
    if value is None:
        return pack_number(p, 0xc0, 0, 0)
    if value is True or value is False:
        return pack_number(p, 0xc3 if value is True else 0xc2, 0, 0)
    if PyLong_Check(value):
        return pack_integer(p, value)
    if PyFloat_Check(value):
        return pack_double(p, PyFloat_AS_DOUBLE(value))
    if type(value) is dict:
        return pack_map(p, <dict>value, depth)
    if PyTuple_Check(value):
        return pack_list(p, <tuple>value, depth)
    if PyList_Check(value):
        return pack_list(p, PyList_AsTuple(value), depth)
    if PyDateTime_Check(value):
        p.kinds |= 1 << TYPE_TIMESTAMP
        return pack_moment(p, value)
    if PyDelta_Check(value):
        p.kinds |= 1 << TYPE_DURATION
        return pack_span(p, value)
    try:
        if isinstance(value, addresses):
            p.kinds |= 1 << TYPE_IP
            value = str(value)
        else:
            value = mapping_copy(value)
    except Exception:
        return FAULT_CODE
    if isinstance(value, str):
        return pack_text(p, value)
    return FAULT_TYPE if value is None else FAULT_SIZE if value is False else pack_map(p, value, depth)


cdef object mapping_copy(object mapping):
    """A dict with what a mapping has; None: it is none; False: it has too many entries to be read. What its own code raises is raised.

    Of a dict of the caller's own class the entries are taken as they lie there.
    """
    cdef uint64_t left = request_max
    if isinstance(mapping, dict):
        return dict(PyDict_Items(mapping))
    if not isinstance(mapping, Mapping):
        return None
    entries = {}
    for key in mapping:
        if left == 0:
            return False
        left -= 1
        entries[key] = mapping[key]
    return entries


cdef int pack_list(PackC* p, tuple members, uint32_t depth) except -1:
    cdef Py_ssize_t i
    cdef int fault
    if depth == 0:
        return FAULT_DEPTH
    if pack_head(p, 0x90, 15, 0xdb, len(members)) or pack_room(p, len(members)):
        return FAULT_SIZE
    for i in range(PyTuple_GET_SIZE(members)):
        fault = pack_value(p, <object>PyTuple_GET_ITEM(members, i), depth - 1)
        if fault:
            return fault
    return FAULT_NONE


cdef list entries_of(dict entries):
    """(key, value) of a map, keys exact texts in the order of their UTF-8, which is that of their characters; None: a key is no text."""
    cdef list items = PyDict_Items(entries)
    cdef Py_ssize_t i
    for i in range(len(items)):
        key, value = items[i]
        if type(key) is not str:
            if not isinstance(key, str):
                return None
            items[i] = (str.__str__(key), value)
    if len(items) > 1:
        items.sort(key=by_key)
    return items


cdef int pack_map(PackC* p, dict entries, uint32_t depth) except -1:
    cdef object last = None
    cdef list items
    cdef int fault
    if depth == 0:
        return FAULT_DEPTH
    if pack_room(p, 2 * <uint64_t>len(entries)):     # before anything of that size is made
        return FAULT_SIZE
    items = entries_of(entries)
    if items is None:
        return FAULT_KEY
    if pack_head(p, 0x80, 15, 0xdd, len(items)):
        return FAULT_SIZE
    for key, value in items:
        if key == last:                      # two keys of the caller's own classes, alike as texts
            return FAULT_KEY
        last = key
        p.count += 1
        fault = pack_text(p, key) or pack_value(p, value, depth - 1)
        if fault:
            return fault
    return FAULT_NONE


cdef int pack_moment(PackC* p, object moment) except -1:
    """RFC 3339 in UTC."""
    try:
        if datetime.datetime.utcoffset(moment) is None:
            return FAULT_ZONE
        text = datetime.datetime.isoformat(datetime.datetime.astimezone(moment, utc))
    except OverflowError:
        return FAULT_RANGE
    except Exception:
        return FAULT_CODE
    return pack_text(p, text.replace("+00:00", "Z"))


cdef int pack_span(PackC* p, object span) except -1:
    """As Go writes a duration: `1h0m0.5s`."""
    cdef int64_t days = timedelta_days(span), micros
    cdef str text
    if not -106752 <= days <= 106751:        # about 292 years, the range of 64 bits of nanoseconds
        return FAULT_RANGE
    micros = (86400 * days + timedelta_seconds(span)) * 1000000 + timedelta_microseconds(span)
    if not -(INT64_MAX // 1000) <= micros <= INT64_MAX // 1000:
        return FAULT_RANGE
    text = "-" if micros < 0 else ""
    micros = -micros if micros < 0 else micros
    text += f"{micros // 3600000000}h{micros // 60000000 % 60}m{micros // 1000000 % 60}"
    if micros % 1000000:
        text += f".{micros % 1000000:06d}".rstrip("0")
    return pack_text(p, text + "s")


# Messages.

cdef str type_name(TypeC type):
    if type.type == TYPE_LIST or type.type == TYPE_MAP:
        return f"{TYPE_NAMES[type.type]}<{TYPE_NAMES[type.member]}>"
    return TYPE_NAMES[type.type]


cdef str fault_text(int fault, object key, TypeC type):
    reason = {
        FAULT_TYPE: f"is not of type `{type_name(type)}`",
        FAULT_RANGE: f"is out of the range of `{type_name(type)}`",
        FAULT_FINITE: "has a number that is not finite",
        FAULT_NUL: "has a NUL character",
        FAULT_UNICODE: "is not valid Unicode",
        FAULT_DEPTH: f"is nested deeper than {CONTEXT_DEPTH_MAX}",
        FAULT_KEY: "has a map whose keys are not distinct texts",
        FAULT_ZONE: "has a time without an offset, or an address with a zone",
        FAULT_CODE: "could not be read: its own code failed",
    }.get(fault, "is not readable")
    return f"{quote(key)} of the context {reason}"


cdef object too_large(uint64_t size_max):
    return LimitError(f"the context is larger than {size_max} bytes")


cdef object damaged():
    return InternalError("a stored context is damaged")


# Contexts.

cdef class Parameters:
    """`parameters`: (name, type, member) of each, `member` being None but for `list` and `map`. ValueError: a type that is not known."""

    def __cinit__(self, object parameters, object signature=0):
        cdef list names = []
        cdef dict latest = {}
        cdef uint32_t i
        parameters = list(parameters)
        self.signature = signature
        self.first = {}
        self.types = <TypeC*>PyMem_Malloc((len(parameters) + 1) * sizeof(TypeC))
        self.following = <uint32_t*>PyMem_Malloc((len(parameters) + 1) * sizeof(uint32_t))
        if self.types == NULL or self.following == NULL:
            raise MemoryError()
        for i, (name, kind, member) in enumerate(parameters):
            holds = kind == "list" or kind == "map"
            if not isinstance(name, str) or kind not in TYPES or holds == (member is None) or member in ("list", "map") or (
                    holds and member not in TYPES):
                raise ValueError(f"a parameter cannot be of type {quote(kind)} of {quote(member)}")
            self.types[i].type = TYPES[kind]
            self.types[i].member = TYPES[member] if holds else TYPE_ANY
            self.following[i] = <uint32_t>len(parameters)
            if name in latest:
                self.following[<uint32_t>latest[name]] = i
                self.repeated = 1
            else:
                self.first[name] = i
            latest[name] = i
            names.append(name)
        self.names = tuple(names)
        self.count = <uint32_t>len(names)

    def __dealloc__(self):
        PyMem_Free(self.types)
        PyMem_Free(self.following)


cdef inline bint holds_more(TypeC type) noexcept:
    return type.type == TYPE_ANY or type.type == TYPE_LIST or type.type == TYPE_MAP


cdef inline int kinds_fault(TypeC type, uint32_t kinds) noexcept:
    """Whether the datetimes, timedeltas and addresses that were given stand where their types are declared, or `any`; integers beyond 64 bits
    only where doubles are."""
    cdef uint32_t base = type.member if type.type == TYPE_LIST or type.type == TYPE_MAP else type.type
    if base != TYPE_DOUBLE and kinds & (1 << TYPE_DOUBLE):
        return FAULT_RANGE
    return FAULT_NONE if base == TYPE_ANY or kinds & ~(<uint32_t>1 << base) == 0 else FAULT_TYPE


cdef ContextC* context_alloc(Parameters p, uint64_t room, uint64_t raw_size) except NULL:
    """Every value MISSING; room: for so many more values. raw points where the bytes go."""
    cdef uint64_t bytes = sizeof(ContextC) + (p.count + room) * sizeof(ValueC) + raw_size
    cdef ContextC* c = <ContextC*>malloc(bytes)
    if c == NULL:
        raise MemoryError()
    memset(c, 0, sizeof(ContextC) + p.count * sizeof(ValueC))
    c.signature = p.signature
    c.count = p.count
    c.bytes = bytes
    c.raw = <uint8_t*>c + bytes - raw_size
    return c


cdef inline int slot_read(Parameters p, ContextC* c, uint32_t slot, const uint8_t* at, uint64_t size, ValueC** room) noexcept:
    """Reads one value; a fault makes it BAD."""
    cdef ScanC scan
    cdef int fault
    scan.at = at
    scan.end = at + size
    fault = value_read(&scan, p.types[slot], &c.values[slot], room, <const ValueC*>c.raw, depth_max)
    if fault:
        c.values[slot].tag = VALUE_BAD
    return fault


cdef dict dict_of(object context):
    if type(context) is dict:
        return <dict>context
    try:
        entries = mapping_copy(context)
    except Exception:
        raise RequestError("the context could not be read: its own code failed", code="invalid_context") from None
    if entries is None:
        raise RequestError("the context is not a mapping", code="invalid_context")
    if entries is False:
        raise too_large(request_max)
    return entries


cdef ContextC* context_build(Parameters p, const uint8_t* raw, uint32_t raw_size, bint strict) except NULL:
    """From msgpack. strict: a fault is the caller's error, else it makes the value BAD."""
    cdef ScanC scan, value
    cdef ValueC head, key
    cdef ValueC* room
    cdef ContextC* c
    cdef PyObject* found
    cdef uint64_t count = 0, more
    cdef uint64_t[4] seed = [0x9E3779B97F4A7C15ULL, 0xBF58476D1CE4E5B9ULL, 0x94D049BB133111EBULL, 0xD6E8FEB86659FD93ULL]
    cdef uint32_t i, slot
    cdef int fault
    scan.at = raw
    scan.end = raw + raw_size
    if not item_read(&scan, &head) or head.tag != VALUE_MAP:
        raise damaged()
    for i in range(head.size):
        more = 0
        if not item_read(&scan, &key) or key.tag != VALUE_STRING or not item_skip(&scan, depth_max, &more):
            raise damaged()
        count += more - 1
    if scan.at != scan.end:
        raise damaged()
    c = context_alloc(p, count * p.count if p.repeated else count, raw_size)
    try:
        memcpy(<void*>c.raw, raw, raw_size)
        c.raw_size = raw_size
        c.hash = fga_hash(seed, <const char*>raw, raw_size)
        room = &c.values[p.count]
        scan.at = c.raw
        scan.end = c.raw + raw_size
        item_read(&scan, &head)
        for i in range(head.size):
            item_read(&scan, &key)
            value = scan
            item_skip(&scan, depth_max, &more)
            name = PyUnicode_DecodeUTF8(<const char*>key.word.text, key.size, NULL)
            found = PyDict_GetItemWithError(p.first, name)
            if found == NULL:
                continue
            slot = <uint32_t><object>found
            while slot < p.count:
                fault = slot_read(p, c, slot, value.at, scan.at - value.at, &room)
                if fault and strict:
                    raise RequestError(fault_text(fault, name, p.types[slot]), code="invalid_context")
                slot = p.following[slot]
    except UnicodeDecodeError:
        free(c)
        raise damaged() from None
    except:
        free(c)
        raise
    return c


cdef ContextC* context_stored(Parameters p, object context) except NULL:
    """The context of a tuple; None is the empty one. Every key must be a parameter, every value of its type."""
    cdef PackC pack
    cdef list items = entries_of(dict_of(context)) if context is not None else []
    cdef uint32_t slot
    cdef int fault
    if items is None:
        raise RequestError("the context has a key that is not a text", code="invalid_context")
    pack_begin(&pack, stored_max)
    try:
        pack_head(&pack, 0x80, 15, 0xdd, len(items))
        last = None
        for key, value in items:
            slot = p.first.get(key, p.count)
            if slot == p.count or key == last:
                raise RequestError(f"{quote(key)} of the context is {'no parameter' if key != last else 'there twice'}", code="invalid_context")
            last = key
            pack.kinds = 0
            fault = pack_text(&pack, key) or pack_value(&pack, value, depth_max)
            if fault == FAULT_SIZE:
                raise too_large(stored_max)
            fault = fault or kinds_fault(p.types[slot], pack.kinds)
            if fault:
                raise RequestError(fault_text(fault, key, p.types[slot]), code="invalid_context")
        return context_build(p, pack.start, <uint32_t>pack.size, 1)
    finally:
        pack_end(&pack)


cdef ContextC* context_reread(Parameters p, const uint8_t* raw, uint32_t raw_size) except NULL:
    """A stored context for other parameters: a key that is none of them is passed over, a value of the wrong type becomes BAD."""
    return context_build(p, raw, raw_size, 0)


cdef ContextC* context_request(Parameters p, object context) except NULL:
    """The context of a request: a key that is no parameter is passed over, a value of the wrong type becomes BAD. raw stays empty."""
    cdef PackC pack
    cdef FoundC first[FOUND_FIRST]
    cdef FoundC* found = first
    cdef FoundC* f
    cdef ContextC* c
    cdef PyObject* key
    cdef PyObject* value
    cdef PyObject* slots
    cdef ValueC* room
    cdef Py_ssize_t place = 0
    cdef uint64_t more = 0
    cdef uint32_t count = 0, capacity = FOUND_FIRST, slot, i
    cdef dict entries = dict_of(context) if context is not None else {}
    pack_begin(&pack, request_max)
    try:
        if len(p.first) > FOUND_FIRST:
            capacity = <uint32_t>len(p.first)
            found = <FoundC*>PyMem_Malloc(capacity * sizeof(FoundC))
            if found == NULL:
                raise MemoryError()
        while PyDict_Next(entries, &place, &key, &value):
            name = <object>key
            given = <object>value                          # held: reading it may run the caller's code
            if type(name) is not str:
                if not isinstance(name, str):
                    raise RequestError("the context has a key that is not a text", code="invalid_context")
                name = str.__str__(name)
            slots = PyDict_GetItemWithError(p.first, name)
            if slots == NULL:
                continue
            if count == capacity:
                raise RequestError(f"{quote(name)} of the context is there twice", code="invalid_context")
            f = &found[count]
            count += 1
            f.slot = <uint32_t><object>slots
            f.at = pack.size
            pack.count = 0
            pack.kinds = 0
            f.fault = pack_value(&pack, given, depth_max)
            if f.fault == FAULT_SIZE:
                raise too_large(request_max)
            if f.fault:
                pack.size = f.at
            f.size = pack.size - f.at
            f.kinds = pack.kinds
            slot = f.slot
            while slot < p.count and pack.count > 1:
                if holds_more(p.types[slot]):
                    more += pack.count - 1
                slot = p.following[slot]
        c = context_alloc(p, more, pack.size)
        memcpy(<void*>c.raw, pack.start, pack.size)
        room = &c.values[p.count]
        for i in range(count):
            f = &found[i]
            slot = f.slot
            while slot < p.count:
                if f.fault or kinds_fault(p.types[slot], f.kinds):
                    c.values[slot].tag = VALUE_BAD
                else:
                    slot_read(p, c, slot, c.raw + f.at, f.size, &room)
                slot = p.following[slot]
        return c
    finally:
        pack_end(&pack)
        if found != first:
            PyMem_Free(found)


cdef str context_fault(Parameters p, uint32_t slot, object context):
    """Why a value was BAD: a message that names its key."""
    cdef PackC pack
    cdef ContextC* c
    cdef ScanC scan
    cdef ValueC* room
    cdef int fault = FAULT_TYPE
    entries = dict_of(context)
    if p.names[slot] not in entries:
        return fault_text(FAULT_DAMAGED, p.names[slot], p.types[slot])
    pack_begin(&pack, request_max)
    try:
        fault = pack_value(&pack, entries[p.names[slot]], depth_max)
        fault = fault or kinds_fault(p.types[slot], pack.kinds)
        if fault == FAULT_NONE:
            c = context_alloc(p, pack.count, 0)
            room = &c.values[p.count]
            fault = slot_read(p, c, slot, pack.start, pack.size, &room)
            free(c)
    finally:
        pack_end(&pack)
    return fault_text(fault, p.names[slot], p.types[slot])


# Back to objects.

cdef object unpack_item(ScanC* scan, uint32_t depth):
    cdef ValueC item
    cdef uint32_t i
    if not item_read(scan, &item):
        raise damaged()
    if item.tag != VALUE_LIST and item.tag != VALUE_MAP:
        return value_object(&item)
    if depth == 0:
        raise damaged()
    if item.tag == VALUE_LIST:
        return [unpack_item(scan, depth - 1) for i in range(item.size)]
    entries = {}
    for i in range(item.size):
        key = unpack_item(scan, 0)
        if type(key) is not str:
            raise damaged()
        entries[key] = unpack_item(scan, depth - 1)
    return entries


cdef dict context_unpack(const uint8_t* raw, uint32_t raw_size):
    """A stored context as it was given: JSON's kinds; times, durations and addresses as texts. InternalError: damaged."""
    cdef ScanC scan
    scan.at = raw
    scan.end = raw + raw_size
    try:
        found = unpack_item(&scan, depth_max + 1)
    except UnicodeDecodeError:
        raise damaged() from None
    if type(found) is not dict or scan.at != scan.end:
        raise damaged()
    return found


cdef object micros_of(const ValueC* value):
    if value.low % 1000:
        raise RequestError("a time or duration has parts below a microsecond, which this condition cannot take", code="invalid_context")
    return datetime.timedelta(seconds=value.word.integer, microseconds=<int64_t>(value.low // 1000))


cdef object value_object(const ValueC* value):
    """A value as Python has it: timedelta, aware datetime, the canonical text of an address, list, dict.

    RequestError `invalid_context`: what timedelta and datetime cannot hold, and datetimes on the first or last day of all, which the CEL
    library refuses.
    """
    cdef uint32_t i
    if value.tag == VALUE_BOOL:
        return value.word.integer != 0
    if value.tag == VALUE_INT:
        return value.word.integer
    if value.tag == VALUE_UINT:
        return value.word.natural
    if value.tag == VALUE_DOUBLE:
        return value.word.real
    if value.tag == VALUE_STRING:
        return PyUnicode_DecodeUTF8(<const char*>value.word.text, value.size, NULL)
    if value.tag == VALUE_DURATION:
        return micros_of(value)
    if value.tag == VALUE_TIMESTAMP:
        if not TIME_FIRST + 86400 <= value.word.integer <= TIME_LAST - 86400:
            raise RequestError("a time is on the first or last day there is, which this condition cannot take", code="invalid_context")
        return epoch + micros_of(value)
    if value.tag == VALUE_IP:
        if value.size == 4:
            return str(ipaddress.IPv4Address(value.low))
        return str(ipaddress.IPv6Address((<object>value.word.natural << 64) | value.low))
    if value.tag == VALUE_LIST:
        return [value_object(&value.word.items[i]) for i in range(value.size)]
    if value.tag == VALUE_MAP:
        return {value_object(&value.word.items[2 * i]): value_object(&value.word.items[2 * i + 1]) for i in range(value.size)}
    return None


# For Python.

cdef class Context:
    """A context read for parameters. `kind` is "stored" or "request"; or "reread", and then `context` is the bytes of a stored one."""

    def __cinit__(self, Parameters parameters not None, object context, str kind="request"):
        self.parameters = parameters
        if kind == "request":
            self.c = context_request(parameters, context)
        elif kind == "stored":
            self.c = context_stored(parameters, context)
        elif kind == "reread":
            self.c = context_reread(parameters, <const uint8_t*><char*><bytes>context, <uint32_t>len(context))
        else:
            raise ValueError(f"a context cannot be {quote(kind)}")

    def __dealloc__(self):
        free(self.c)

    def states(self):
        """For each parameter: "missing", "bad", or the kind of its value."""
        return [STATES[self.c.values[i].tag] for i in range(self.c.count)]

    def values(self):
        """For each parameter its value, None where it is missing or bad."""
        return [value_object(&self.c.values[i]) for i in range(self.c.count)]

    def raw(self):
        """The msgpack of a stored context; empty of a request."""
        return PyBytes_FromStringAndSize(<const char*>self.c.raw, self.c.raw_size)

    def __hash__(self):
        return <Py_ssize_t>(self.c.hash >> 2)

    def __eq__(self, object other):
        return isinstance(other, Context) and context_equal(self.c, (<Context>other).c)


def fault(Parameters parameters not None, uint32_t slot, object context):
    """Why the value for a parameter is bad."""
    if slot >= parameters.count:
        raise ValueError("there is no such parameter")
    return context_fault(parameters, slot, context)


def unpack(bytes raw not None):
    """The context whose msgpack is `raw`. InternalError: it is damaged."""
    return context_unpack(<const uint8_t*><char*>raw, <uint32_t>len(raw))


def evaluate(Program program not None, Parameters parameters not None, object context, uint64_t work=CONDITION_WORK_MAX):
    """Whether a condition holds on the values of a request's context.

    RequestError: a value is missing (`context_missing`), bad (`invalid_context`), or the expression fails (`condition_failed`).
    LimitError: more work than there may be.
    """
    cdef ContextC* c
    cdef const ValueC** values
    cdef uint32_t i
    cdef int found
    if program.c.parameter_count > parameters.count:
        raise ValueError("the program has more parameters")
    c = context_request(parameters, context)
    values = <const ValueC**>malloc((c.count + 1) * sizeof(ValueC*))
    try:
        if values == NULL:
            raise MemoryError()
        for i in range(c.count):
            if c.values[i].tag == VALUE_MISSING:
                raise RequestError(f"{quote(parameters.names[i])} is not in the context", code="context_missing")
            if c.values[i].tag == VALUE_BAD:
                raise RequestError(context_fault(parameters, i, context), code="invalid_context")
            values[i] = &c.values[i]
        with nogil:
            found = program_run(&program.c, values, &work)
    finally:
        free(values)
        free(c)
    if found == RUN_MEMORY:
        raise MemoryError()
    if found == RUN_WORK:
        raise LimitError("the condition takes more work than one call may")
    if found == RUN_ERROR:
        raise RequestError("the condition's expression failed", code="condition_failed")
    return found == 1
