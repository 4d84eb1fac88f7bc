"""See program.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport floor
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from fgacore.kernel.values cimport (
    SECOND, TIME_FIRST, TIME_LAST, VALUE_BOOL, VALUE_DOUBLE, VALUE_DURATION, VALUE_INT, VALUE_IP, VALUE_LIST, VALUE_MAP, VALUE_NULL, VALUE_STRING,
    VALUE_TIMESTAMP, VALUE_UINT, ip_parse, map_get, network_contains, network_parse, text_order,
)

cdef extern from *:
    bint add_overflows "__builtin_add_overflow"(int64_t a, int64_t b, int64_t* out) nogil
    bint subtract_overflows "__builtin_sub_overflow"(int64_t a, int64_t b, int64_t* out) nogil
    bint multiply_overflows "__builtin_mul_overflow"(int64_t a, int64_t b, int64_t* out) nogil
    bint add_overflows_unsigned "__builtin_add_overflow"(uint64_t a, uint64_t b, uint64_t* out) nogil
    const int64_t DURATION_MAX "INT64_C(315576000000)"   # seconds: cel-cpp's bound
    bint multiply_overflows_unsigned "__builtin_mul_overflow"(uint64_t a, uint64_t b, uint64_t* out) nogil

cdef extern from "<string.h>":
    void* memmem(const void* text, size_t size, const void* part, size_t part_size) nogil

cdef enum:
    OP_CONST = 0
    OP_PARAM
    OP_LOCAL
    OP_LIST
    OP_SELECT
    OP_IF
    OP_INDEX
    OP_ADD                       # from here on operands a and b are evaluated first
    OP_SUBTRACT
    OP_MULTIPLY
    OP_DIVIDE
    OP_MODULO
    OP_NEGATE
    OP_SIZE
    OP_ADDRESS
    OP_TRUTH                     # from here on the result is a truth
    OP_HAS
    OP_AND
    OP_OR
    OP_NOT
    OP_ALL
    OP_EXISTS
    OP_EXISTS_ONE
    OP_EQUAL
    OP_UNEQUAL
    OP_LESS
    OP_LESS_EQUAL
    OP_GREATER
    OP_GREATER_EQUAL
    OP_IN
    OP_CONTAINS
    OP_STARTS
    OP_ENDS
    OP_IN_NETWORK                # of a constant network
    OP_IN_CIDR

cdef enum:
    RUN_BUDGET = 5               # more iterations than there may be: an error that no `||` absorbs. Leaves as RUN_ERROR
    ORDER_NONE = 2               # of a NaN to anything
    BYTES_EACH_WORK = 16

cdef struct BlockC:              # memory of one run
    BlockC* before
    uint64_t bytes

cdef struct MachineC:
    const ValueC** values        # of the parameters
    uint64_t work                # left
    uint64_t bytes               # held in blocks
    BlockC* blocks
    uint32_t iterations          # so far
    uint32_t depth               # loops around
    int failed                   # why operand() gave NULL: RUN_ERROR, _WORK, _MEMORY or _BUDGET
    const ValueC* locals[PROGRAM_DEPTH_MAX]


# Memory of a run.

cdef void* machine_alloc(MachineC* m, uint64_t size) noexcept nogil:
    cdef BlockC* block
    if not charge(m, size):
        return NULL
    if size + m.bytes > PROGRAM_MEMORY_MAX:
        m.failed = RUN_WORK
        return NULL
    block = <BlockC*>malloc(sizeof(BlockC) + size)
    if block == NULL:
        m.failed = RUN_MEMORY
        return NULL
    block.before = m.blocks
    block.bytes = size
    m.blocks = block
    m.bytes += size
    return block + 1


cdef void machine_release(MachineC* m, BlockC* until) noexcept nogil:
    cdef BlockC* block
    while m.blocks != until:
        block = m.blocks
        m.blocks = block.before
        m.bytes -= block.bytes
        free(block)


cdef inline bint charge(MachineC* m, uint64_t bytes) noexcept nogil:
    """Work for bytes that are looked at. 0: too much."""
    bytes //= BYTES_EACH_WORK
    if m.work < bytes:
        m.work = 0
        m.failed = RUN_WORK
        return 0
    m.work -= bytes
    return 1


# Comparing. Order is -1, 0, 1, or ORDER_NONE.

cdef inline int order_double(double a, double b) noexcept nogil:
    return -1 if a < b else 1 if a > b else 0 if a == b else ORDER_NONE


cdef inline bint is_number(const ValueC* v) noexcept nogil:
    return v.tag == VALUE_INT or v.tag == VALUE_UINT or v.tag == VALUE_DOUBLE


cdef inline double as_double(const ValueC* v) noexcept nogil:
    return v.word.real if v.tag == VALUE_DOUBLE else <double>v.word.integer if v.tag == VALUE_INT else <double>v.word.natural


cdef int order_numbers(const ValueC* a, const ValueC* b) noexcept nogil:
    """Across int, uint and double: a double beside an integer is compared as a double."""
    if a.tag == VALUE_DOUBLE or b.tag == VALUE_DOUBLE:
        return order_double(as_double(a), as_double(b))
    if a.tag == VALUE_INT and a.word.integer < 0:
        return -1 if b.tag == VALUE_UINT or a.word.integer < b.word.integer else a.word.integer > b.word.integer
    if b.tag == VALUE_INT and b.word.integer < 0:
        return 1
    return (a.word.natural > b.word.natural) - (a.word.natural < b.word.natural)


cdef inline bint order(MachineC* m, const ValueC* a, const ValueC* b, int* out) noexcept nogil:
    """0: failed, they have no order."""
    if a.tag == VALUE_INT and b.tag == VALUE_INT:
        out[0] = (a.word.integer > b.word.integer) - (a.word.integer < b.word.integer)
        return 1
    if a.tag == b.tag and (a.tag == VALUE_TIMESTAMP or a.tag == VALUE_DURATION):
        out[0] = (a.word.integer > b.word.integer) - (a.word.integer < b.word.integer)
        if out[0] == 0:
            out[0] = (a.low > b.low) - (a.low < b.low)
        return 1
    return order_slow(m, a, b, out)


cdef bint order_slow(MachineC* m, const ValueC* a, const ValueC* b, int* out) noexcept nogil:
    if is_number(a) and is_number(b):
        out[0] = order_numbers(a, b)
        return 1
    if a.tag == VALUE_STRING and b.tag == VALUE_STRING:
        if not charge(m, a.size if a.size < b.size else b.size):
            return 0
        out[0] = text_order(a, b)
        out[0] = (out[0] > 0) - (out[0] < 0)
        return 1
    if a.tag == VALUE_BOOL and b.tag == VALUE_BOOL:
        out[0] = <int>(a.word.integer - b.word.integer)
        return 1
    m.failed = RUN_ERROR
    return 0


cdef int equal(MachineC* m, const ValueC* a, const ValueC* b) noexcept nogil:
    """0, 1, or -1: too much work. Values of different kinds are unequal, but numbers are numbers."""
    cdef uint64_t i
    cdef int found
    if m.work == 0:
        m.failed = RUN_WORK
        return -1
    m.work -= 1
    if a.tag != b.tag:
        return is_number(a) and is_number(b) and order_numbers(a, b) == 0
    if a.tag == VALUE_STRING:
        if a.size != b.size:
            return 0
        if not charge(m, a.size):
            return -1
        return memcmp(a.word.text, b.word.text, a.size) == 0
    if a.tag == VALUE_DOUBLE:
        return a.word.real == b.word.real
    if a.tag == VALUE_LIST or a.tag == VALUE_MAP:            # the keys of a map are sorted, so that equal maps are equal pair by pair
        if a.size != b.size:
            return 0
        for i in range(<uint64_t>a.size << (a.tag == VALUE_MAP)):
            found = equal(m, &a.word.items[i], &b.word.items[i])
            if found != 1:
                return found
        return 1
    return a.tag == VALUE_NULL or (a.word.natural == b.word.natural and a.low == b.low and a.size == b.size)


cdef int contains(MachineC* m, const ValueC* members, const ValueC* v) noexcept nogil:
    """Whether a value is in a list, or a key in a map: 0, 1, or -1: failed."""
    cdef uint32_t i
    cdef int found
    if members.tag == VALUE_LIST:
        for i in range(members.size):
            found = equal(m, v, &members.word.items[i])
            if found:
                return found
        return 0
    if members.tag == VALUE_MAP and (v.tag == VALUE_STRING or v.tag == VALUE_BOOL or is_number(v)):
        return v.tag == VALUE_STRING and map_get(members, v) != NULL
    m.failed = RUN_ERROR
    return -1


# Arithmetic: 0: failed.

cdef inline void set_bool(ValueC* out, bint yes) noexcept nogil:
    out.tag, out.size, out.word.integer, out.low = VALUE_BOOL, 0, yes, 0


cdef inline void set_span(ValueC* out, uint32_t tag, int64_t seconds, int64_t nanos) noexcept nogil:
    """A duration or timestamp of seconds and of nanoseconds within two seconds of 0."""
    while nanos < 0:
        nanos += SECOND
        seconds -= 1
    while nanos >= SECOND:
        nanos -= SECOND
        seconds += 1
    out.tag, out.size, out.word.integer, out.low = tag, 0, seconds, <uint64_t>nanos


cdef int64_t nanos_of(const ValueC* duration) noexcept nogil:
    """A duration as nanoseconds, those out of range as the nearest: as cel-cpp has it, after Go."""
    cdef int64_t nanos
    cdef int64_t seconds = duration.word.integer, low = <int64_t>duration.low
    if seconds < 0 and low:                      # towards 0, so that the smallest duration is no overflow
        seconds += 1
        low -= SECOND
    if multiply_overflows(seconds, SECOND, &nanos) or add_overflows(nanos, low, &nanos):
        return INT64_MIN if duration.word.integer < 0 else INT64_MAX
    return nanos


cdef bint set_nanos(ValueC* out, int64_t nanos) noexcept nogil:
    set_span(out, VALUE_DURATION, nanos // <int64_t>SECOND, nanos % <int64_t>SECOND)
    return 1


cdef bint later(const ValueC* timestamp, const ValueC* duration, ValueC* out) noexcept nogil:
    set_span(out, VALUE_TIMESTAMP, timestamp.word.integer + duration.word.integer, <int64_t>timestamp.low + <int64_t>duration.low)
    return TIME_FIRST <= out.word.integer <= TIME_LAST


cdef bint earlier(const ValueC* timestamp, const ValueC* duration, ValueC* out) noexcept nogil:
    """By the duration negated as nanoseconds."""
    cdef ValueC back
    cdef int64_t nanos
    if subtract_overflows(0, nanos_of(duration), &nanos):
        return 0
    set_nanos(&back, nanos)
    return later(timestamp, &back, out)


cdef bint between(const ValueC* a, const ValueC* b, ValueC* out) noexcept nogil:
    """The duration from b to a. Its whole seconds alone must fit 64 bits of nanoseconds, too: cel-cpp's own rule."""
    cdef int64_t nanos
    if multiply_overflows(a.word.integer - b.word.integer, SECOND, &nanos) or add_overflows(nanos, <int64_t>a.low - <int64_t>b.low, &nanos):
        return 0
    return set_nanos(out, nanos)


cdef bint join(MachineC* m, const ValueC* a, const ValueC* b, ValueC* out) noexcept nogil:
    """Two texts or two lists, one after the other."""
    cdef uint64_t width = 1 if a.tag == VALUE_STRING else sizeof(ValueC)
    cdef uint64_t size = <uint64_t>a.size + b.size
    cdef uint8_t* joined = <uint8_t*>machine_alloc(m, size * width)
    if joined == NULL:
        return 0
    memcpy(joined, a.word.text, a.size * width)
    memcpy(joined + a.size * width, b.word.text, b.size * width)
    out.tag, out.size, out.word.text, out.low = a.tag, <uint32_t>size, joined, 0
    return 1


cdef bint arithmetic(MachineC* m, uint32_t op, const ValueC* a, const ValueC* b, ValueC* out) noexcept nogil:
    """By the kinds of the operands; what no overload takes, and what overflows, has failed."""
    cdef uint32_t tag = a.tag
    cdef int64_t x = a.word.integer, y = b.word.integer, z = 0
    cdef uint64_t natural = 0
    m.failed = RUN_ERROR
    if tag != b.tag:
        if op == OP_ADD and tag == VALUE_DURATION and b.tag == VALUE_TIMESTAMP:
            return later(b, a, out)
        if tag != VALUE_TIMESTAMP or b.tag != VALUE_DURATION or (op != OP_ADD and op != OP_SUBTRACT):
            return 0
        return later(a, b, out) if op == OP_ADD else earlier(a, b, out)
    out.tag, out.size, out.low = tag, 0, 0
    if tag == VALUE_INT:
        if op == OP_ADD and add_overflows(x, y, &z) or op == OP_SUBTRACT and subtract_overflows(x, y, &z):
            return 0
        if op == OP_MULTIPLY and multiply_overflows(x, y, &z):
            return 0
        if op == OP_DIVIDE or op == OP_MODULO:
            if y == 0 or (y == -1 and x == INT64_MIN):
                return 0
            z = x // y if op == OP_DIVIDE else x % y
        out.word.integer = z
        return 1
    if tag == VALUE_DOUBLE:
        if op == OP_ADD:
            out.word.real = a.word.real + b.word.real
        elif op == OP_SUBTRACT:
            out.word.real = a.word.real - b.word.real
        elif op == OP_MULTIPLY:
            out.word.real = a.word.real * b.word.real
        elif op == OP_DIVIDE:
            out.word.real = a.word.real / b.word.real
        else:
            return 0
        return 1
    if tag == VALUE_UINT:
        if op == OP_ADD and add_overflows_unsigned(a.word.natural, b.word.natural, &natural):
            return 0
        if op == OP_MULTIPLY and multiply_overflows_unsigned(a.word.natural, b.word.natural, &natural):
            return 0
        if op == OP_SUBTRACT:
            if a.word.natural < b.word.natural:
                return 0
            natural = a.word.natural - b.word.natural
        if op == OP_DIVIDE or op == OP_MODULO:
            if b.word.natural == 0:
                return 0
            natural = a.word.natural // b.word.natural if op == OP_DIVIDE else a.word.natural % b.word.natural
        out.word.natural = natural
        return 1
    if op == OP_ADD and (tag == VALUE_STRING or tag == VALUE_LIST):
        return join(m, a, b, out)
    if op != OP_ADD and op != OP_SUBTRACT:
        return 0
    if tag == VALUE_DURATION:
        x = nanos_of(a)
        y = nanos_of(b)
        if add_overflows(x, y, &z) if op == OP_ADD else subtract_overflows(x, y, &z):
            return 0
        return set_nanos(out, z)
    return tag == VALUE_TIMESTAMP and op == OP_SUBTRACT and between(a, b, out)


cdef bint negate(MachineC* m, const ValueC* a, ValueC* out) noexcept nogil:
    out[0] = a[0]
    m.failed = RUN_ERROR
    if a.tag == VALUE_DOUBLE:
        out.word.real = -a.word.real
        return 1
    if a.tag != VALUE_INT or a.word.integer == INT64_MIN:
        return 0
    out.word.integer = -a.word.integer
    return 1


cdef bint size_of(MachineC* m, const ValueC* a, ValueC* out) noexcept nogil:
    """Of a text the characters, of a list the members, of a map the entries."""
    cdef uint32_t i
    cdef int64_t count = a.size
    m.failed = RUN_ERROR
    if a.tag == VALUE_STRING:
        if not charge(m, a.size):
            return 0
        for i in range(a.size):
            count -= a.word.text[i] & 0xc0 == 0x80               # bytes that continue a character
    elif a.tag != VALUE_LIST and a.tag != VALUE_MAP:
        return 0
    out.tag, out.size, out.word.integer, out.low = VALUE_INT, 0, count, 0
    return 1


cdef const ValueC* element(MachineC* m, const ValueC* members, const ValueC* at) noexcept nogil:
    """A member of a list by any integral number, or an entry of a map by its key; NULL: failed."""
    cdef const ValueC* found = NULL
    m.failed = RUN_ERROR
    if members.tag == VALUE_MAP:
        return map_get(members, at) if at.tag == VALUE_STRING else NULL
    if members.tag != VALUE_LIST or not is_number(at):
        return NULL
    if at.tag == VALUE_DOUBLE:
        if not (0 <= at.word.real < members.size) or floor(at.word.real) != at.word.real:
            return NULL
        return &members.word.items[<uint32_t>at.word.real]
    if at.word.natural < members.size:                             # a negative int is a large natural
        found = &members.word.items[at.word.natural]
    return found


# Evaluation.

cdef inline const ValueC* operand(MachineC* m, const NodeC* node, ValueC* room) noexcept nogil:
    """The value of a node, in room or where it lies; NULL: m.failed says why."""
    if node.op == OP_PARAM:
        return m.values[node.index]
    if node.op == OP_CONST:
        return &node.value
    return evaluate(m, node, room)


cdef const ValueC* evaluate(MachineC* m, const NodeC* node, ValueC* room) noexcept nogil:
    cdef ValueC first, second
    cdef const ValueC* a
    cdef const ValueC* b = NULL
    cdef uint32_t op = node.op
    cdef int yes
    cdef bint fine = 0
    if op > OP_TRUTH:
        yes = truth(m, node)
        if yes > RUN_TRUE:
            m.failed = yes
            return NULL
        set_bool(room, yes)
        return room
    if m.work == 0:
        m.failed = RUN_WORK
        return NULL
    m.work -= 1
    if op == OP_LOCAL:
        return m.locals[node.index]
    if op == OP_IF:
        yes = truth(m, node.a)
        if yes > RUN_TRUE:
            m.failed = yes
            return NULL
        return operand(m, node.b if yes else node.c, room)
    if op == OP_LIST:
        return list_of(m, node, room)
    a = operand(m, node.a, &first)
    if a == NULL:
        return NULL
    if op == OP_SELECT:
        m.failed = RUN_ERROR
        return map_get(a, &node.value) if a.tag == VALUE_MAP else NULL
    if op == OP_NEGATE:
        fine = negate(m, a, room)
    elif op == OP_SIZE:
        fine = size_of(m, a, room)
    elif op == OP_ADDRESS:
        m.failed = RUN_ERROR
        fine = a.tag == VALUE_STRING and ip_parse(a.word.text, a.size, room) == 0
    else:
        b = operand(m, node.b, &second)
        if b == NULL:
            return NULL
        if op == OP_INDEX:
            return element(m, a, b)
        fine = arithmetic(m, op, a, b, room)
    return room if fine else NULL


cdef const ValueC* list_of(MachineC* m, const NodeC* node, ValueC* room) noexcept nogil:
    cdef ValueC* items = <ValueC*>machine_alloc(m, node.index * sizeof(ValueC))
    cdef const NodeC* member = node.a
    cdef const ValueC* found
    cdef uint32_t i
    if items == NULL:
        return NULL
    for i in range(node.index):
        found = operand(m, member, &items[i])
        if found == NULL:
            return NULL
        items[i] = found[0]
        member = member.next
    room.tag, room.size, room.word.items, room.low = VALUE_LIST, node.index, items, 0
    return room


cdef int loop(MachineC* m, const NodeC* node) noexcept nogil:
    """`all` and `exists` absorb errors as `&&` and `||` do; in `exists_one` an error stays. An iteration counts when its member is fetched,
    that which is fetched in vain too.
    """
    cdef ValueC room
    cdef const ValueC* members = operand(m, node.a, &room)
    cdef BlockC* blocks = m.blocks
    cdef uint32_t step, i, count = 0
    cdef int yes, result = RUN_TRUE if node.op == OP_ALL else RUN_FALSE, last = RUN_FALSE if node.op == OP_ALL else RUN_TRUE
    if members == NULL:
        return m.failed
    if members.tag != VALUE_LIST and members.tag != VALUE_MAP:
        return RUN_ERROR
    step = 1 + (members.tag == VALUE_MAP)
    for i in range(members.size):
        m.iterations += 1
        if m.iterations >= PROGRAM_ITERATIONS_MAX:
            return RUN_BUDGET
        if node.op != OP_EXISTS_ONE and result == last:
            return last
        m.locals[m.depth] = &members.word.items[i * step]
        m.depth += 1
        yes = truth(m, node.b)
        m.depth -= 1
        if yes > RUN_ERROR:
            return yes
        if m.blocks != blocks:
            machine_release(m, blocks)
        if node.op != OP_EXISTS_ONE:
            if yes == last or yes == RUN_ERROR:
                result = yes
        elif yes == RUN_ERROR:
            result = RUN_ERROR
        else:
            count += yes
    if node.op == OP_EXISTS_ONE and result != RUN_ERROR:
        return count == 1
    return result


cdef int both(MachineC* m, const NodeC* node) noexcept nogil:
    """`a && b` and `a || b`: the value that decides wins over an error on the other side."""
    cdef int decides = RUN_FALSE if node.op == OP_AND else RUN_TRUE, a = truth(m, node.a), b
    if a == decides or a > RUN_ERROR:
        return a
    b = truth(m, node.b)
    return b if b == decides or b > RUN_ERROR or a != RUN_ERROR else a


cdef int truth(MachineC* m, const NodeC* node) noexcept nogil:
    """RUN_FALSE, RUN_TRUE, or why it failed. What is no bool has failed."""
    cdef ValueC first, second
    cdef const ValueC* a
    cdef const ValueC* b
    cdef uint32_t op = node.op
    cdef int found = 0
    if m.work == 0:
        return RUN_WORK
    m.work -= 1
    if op == OP_AND or op == OP_OR:
        return both(m, node)
    if op == OP_NOT:
        found = truth(m, node.a)
        return found if found > RUN_TRUE else 1 - found
    if OP_ALL <= op <= OP_EXISTS_ONE:
        return loop(m, node)
    if op < OP_TRUTH:
        a = operand(m, node, &first)
        if a == NULL:
            return m.failed
        return <int>a.word.integer if a.tag == VALUE_BOOL else RUN_ERROR
    a = operand(m, node.a, &first)
    if a == NULL:
        return m.failed
    if op == OP_IN_NETWORK:
        return network_contains(node.network, a) if a.tag == VALUE_IP and node.network != NULL else RUN_ERROR
    if op == OP_HAS:
        return map_get(a, &node.value) != NULL if a.tag == VALUE_MAP else RUN_ERROR
    b = operand(m, node.b, &second)
    if b == NULL:
        return m.failed
    if op == OP_EQUAL or op == OP_UNEQUAL:
        found = equal(m, a, b)
        return m.failed if found < 0 else found ^ (op == OP_UNEQUAL)
    if op <= OP_GREATER_EQUAL:
        if not order(m, a, b, &found):
            return m.failed
        if op == OP_LESS:
            return found == -1
        if op == OP_GREATER:
            return found == 1
        return found == 0 or found == (-1 if op == OP_LESS_EQUAL else 1)
    if op == OP_IN:
        found = contains(m, b, a)
        return m.failed if found < 0 else found
    return texts(m, op, a, b)


cdef int texts(MachineC* m, uint32_t op, const ValueC* a, const ValueC* b) noexcept nogil:
    """The operators whose right side is a text."""
    cdef NetworkC network
    if b.tag != VALUE_STRING or a.tag != (VALUE_IP if op == OP_IN_CIDR else VALUE_STRING):
        return RUN_ERROR
    if op == OP_IN_CIDR:
        return network_contains(&network, a) if network_parse(b.word.text, b.size, &network) else RUN_ERROR
    if b.size > a.size:
        return RUN_FALSE
    if op == OP_CONTAINS:
        return memmem(a.word.text, a.size, b.word.text, b.size) != NULL if charge(m, <uint64_t>a.size + b.size) else RUN_WORK
    if not charge(m, b.size):
        return RUN_WORK
    return memcmp(a.word.text + (a.size - b.size if op == OP_ENDS else 0), b.word.text, b.size) == 0


cdef int program_run(const ProgramC* program, const ValueC** values, uint64_t* work) noexcept nogil:
    """One evaluation. values: one for each parameter, none MISSING or BAD. work counts down: one for each node, and one for 16 bytes of text.

    RUN_FALSE, RUN_TRUE, RUN_ERROR (the expression failed), RUN_WORK or RUN_MEMORY.
    """
    cdef MachineC m
    cdef int result
    m.values = values
    m.work = work[0]
    m.bytes = 0
    m.blocks = NULL
    m.iterations = 0
    m.depth = 0
    result = truth(&m, program.nodes)
    work[0] = m.work
    if m.blocks != NULL:
        machine_release(&m, NULL)
    return RUN_ERROR if result == RUN_BUDGET else result


# From code to nodes.

cdef dict CALLS = {              # cel-cpp's overload ids, and those of our shim: the operator and its number of operands
    "equals": (OP_EQUAL, 2),
    "not_equals": (OP_UNEQUAL, 2),
    "in_list": (OP_IN, 2),
    "in_map": (OP_IN, 2),
    "index_list": (OP_INDEX, 2),
    "index_map": (OP_INDEX, 2),
    "contains_string": (OP_CONTAINS, 2),
    "starts_with_string": (OP_STARTS, 2),
    "ends_with_string": (OP_ENDS, 2),
    "size_string": (OP_SIZE, 1),
    "size_list": (OP_SIZE, 1),
    "size_map": (OP_SIZE, 1),
    "string_size": (OP_SIZE, 1),
    "list_size": (OP_SIZE, 1),
    "map_size": (OP_SIZE, 1),
    "negate_int64": (OP_NEGATE, 1),
    "negate_double": (OP_NEGATE, 1),
    "add_int64": (OP_ADD, 2),
    "add_uint64": (OP_ADD, 2),
    "add_double": (OP_ADD, 2),
    "add_string": (OP_ADD, 2),
    "add_list": (OP_ADD, 2),
    "add_timestamp_duration": (OP_ADD, 2),
    "add_duration_timestamp": (OP_ADD, 2),
    "add_duration_duration": (OP_ADD, 2),
    "subtract_int64": (OP_SUBTRACT, 2),
    "subtract_uint64": (OP_SUBTRACT, 2),
    "subtract_double": (OP_SUBTRACT, 2),
    "subtract_timestamp_timestamp": (OP_SUBTRACT, 2),
    "subtract_timestamp_duration": (OP_SUBTRACT, 2),
    "subtract_duration_duration": (OP_SUBTRACT, 2),
    "multiply_int64": (OP_MULTIPLY, 2),
    "multiply_uint64": (OP_MULTIPLY, 2),
    "multiply_double": (OP_MULTIPLY, 2),
    "divide_int64": (OP_DIVIDE, 2),
    "divide_uint64": (OP_DIVIDE, 2),
    "divide_double": (OP_DIVIDE, 2),
    "modulo_int64": (OP_MODULO, 2),
    "modulo_uint64": (OP_MODULO, 2),
    "string_to_ip": (OP_ADDRESS, 1),
    "ip_in_cidr": (OP_IN_CIDR, 2),
}
for _name, _op in (("less", OP_LESS), ("less_equals", OP_LESS_EQUAL), ("greater", OP_GREATER), ("greater_equals", OP_GREATER_EQUAL)):
    for _kind in ("bool", "int64", "uint64", "double", "string", "duration", "timestamp"):
        CALLS[f"{_name}_{_kind}"] = (_op, 2)
del _name, _kind, _op
OVERLOADS = frozenset(CALLS)

cdef dict FORMS = {              # the operator and its number of operands
    "and": (OP_AND, 2),
    "or": (OP_OR, 2),
    "not": (OP_NOT, 1),
    "if": (OP_IF, 3),
}
cdef dict LOOPS = {"all": OP_ALL, "exists": OP_EXISTS, "exists_one": OP_EXISTS_ONE}


cdef object natural(object value, object below):
    if type(value) is not int or not 0 <= value < below:
        raise ValueError("a number in the code is out of range")
    return value


cdef int code_measure(Program program, object code, int depth) except -1:
    """Counts the nodes."""
    if type(code) is not tuple or depth == 0:
        raise ValueError("the code is malformed or nested too deep")
    program.c.count += 1
    if program.c.count > PROGRAM_NODES_MAX:
        raise ValueError("the code is too long")
    if code and code[0] != "const":
        for part in <tuple>code:
            if type(part) is tuple:
                code_measure(program, part, depth - 1)
    return 0


cdef const NodeC* node_build(Program program, tuple code, uint32_t loops) except NULL:
    """The next node and all below it; loops: how many are around it."""
    cdef NodeC* node = &program.c.nodes[program.c.count]
    cdef object form = code[0] if code else None
    cdef tuple operands = code[1:]
    program.c.count += 1
    if type(form) is not str:
        raise ValueError("the code is malformed")
    if form == "const":
        value_constant(program, node, operands)
    elif form == "param":
        node.op, node.index = OP_PARAM, natural(code_number(program, operands), program.c.parameter_count)
    elif form == "local":
        node.op, node.index = OP_LOCAL, natural(code_number(program, operands), loops)
    elif form == "list":
        node_list(program, node, operands, loops)
    elif form == "select" or form == "has":
        if len(operands) != 2:
            raise ValueError(f"`{form}` has an operand and a key")
        node.op = OP_SELECT if form == "select" else OP_HAS
        value_text(program, &node.value, operands[1])
        node.a = code_build(program, operands[0], loops)
    elif form in LOOPS:
        if len(operands) != 2:
            raise ValueError(f"`{form}` has a range and a body")
        node.op = LOOPS[form]
        node.a = code_build(program, operands[0], loops)
        node.b = code_build(program, operands[1], loops + 1)
    elif form in FORMS:
        node_operator(program, node, FORMS[form], operands, loops)
    elif form == "call" and operands and type(operands[0]) is str and operands[0] in CALLS:
        node_operator(program, node, CALLS[operands[0]], operands[1:], loops)
        node_prepare(program, node)
    else:
        raise ValueError("an operator in the code is not known")
    return node


cdef object code_number(Program program, tuple operands):
    if len(operands) != 1:
        raise ValueError("a variable in the code has not one number")
    return operands[0]


cdef const NodeC* code_build(Program program, object code, uint32_t loops) except NULL:
    if type(code) is not tuple:
        raise ValueError("an operand in the code is malformed")
    return node_build(program, code, loops)


cdef int node_operator(Program program, NodeC* node, tuple op, tuple operands, uint32_t loops) except -1:
    node.op = op[0]
    if len(operands) != op[1]:
        raise ValueError("an operator in the code has a wrong number of operands")
    node.a = code_build(program, operands[0], loops)
    if op[1] > 1:
        node.b = code_build(program, operands[1], loops)
    if op[1] > 2:
        node.c = code_build(program, operands[2], loops)
    return 0


cdef int node_list(Program program, NodeC* node, tuple members, uint32_t loops) except -1:
    """A list of constants is a constant."""
    cdef NodeC* member
    cdef NodeC* last = NULL
    cdef ValueC* items
    cdef bint constant = 1
    cdef uint32_t i
    node.op = OP_LIST
    node.index = <uint32_t>len(members)
    for code in members:
        member = <NodeC*>code_build(program, code, loops)
        constant = constant and member.op == OP_CONST
        if last == NULL:
            node.a = member
        else:
            last.next = member
        last = member
    if constant:
        items = <ValueC*>program_keep(program, node.index * sizeof(ValueC))
        member = <NodeC*>node.a
        for i in range(node.index):
            items[i] = member.value
            member = <NodeC*>member.next
        node.op = OP_CONST
        node.value.tag, node.value.size, node.value.word.items = VALUE_LIST, node.index, items
    return 0


cdef int node_prepare(Program program, NodeC* node) except -1:
    """Addresses and networks that are constant are read once. What is malformed fails when it is evaluated."""
    cdef NetworkC* network
    if node.op == OP_ADDRESS and node.a.op == OP_CONST and node.a.value.tag == VALUE_STRING:
        if ip_parse(node.a.value.word.text, node.a.value.size, &node.value) == 0:
            node.op = OP_CONST
    elif node.op == OP_IN_CIDR and node.b.op == OP_CONST and node.b.value.tag == VALUE_STRING:
        network = <NetworkC*>program_keep(program, sizeof(NetworkC))
        node.op = OP_IN_NETWORK
        node.network = network if network_parse(node.b.value.word.text, node.b.value.size, network) else NULL
    return 0


cdef void* program_keep(Program program, Py_ssize_t size) except NULL:
    """Memory that lives as long as the program."""
    cdef bytes block = b"\0" * (size + 1)
    program.blocks.append(block)
    return PyBytes_AS_STRING(block)


cdef int value_text(Program program, ValueC* out, object value) except -1:
    if type(value) is not str:
        raise ValueError("a text in the code is not one")
    try:
        block = value.encode()
    except UnicodeEncodeError:
        raise ValueError("a text in the code is not valid Unicode") from None
    if len(block) > 1 << 30:
        raise ValueError("a text in the code is too long")
    program.blocks.append(block)
    out.tag, out.size, out.word.text = VALUE_STRING, <uint32_t>PyBytes_GET_SIZE(block), <const uint8_t*>PyBytes_AS_STRING(block)
    return 0


cdef int value_constant(Program program, NodeC* node, tuple operands) except -1:
    cdef ValueC* out = &node.value
    node.op = OP_CONST
    if len(operands) != 2:
        raise ValueError("a constant in the code has not a type and a value")
    kind, value = operands
    if kind == "null" and value is None:
        out.tag = VALUE_NULL
    elif kind == "bool" and type(value) is bool:
        out.tag, out.word.integer = VALUE_BOOL, value is True
    elif kind == "int" and type(value) is int and INT64_MIN <= value <= INT64_MAX:
        out.tag, out.word.integer = VALUE_INT, value
    elif kind == "uint":
        out.tag, out.word.natural = VALUE_UINT, natural(value, 1 << 64)
    elif kind == "double" and type(value) is float:
        out.tag, out.word.real = VALUE_DOUBLE, value
    elif kind == "string":
        value_text(program, out, value)
    elif (kind == "duration" or kind == "timestamp") and type(value) is tuple and len(value) == 2 and type(value[0]) is int:
        if kind == "duration" and not -DURATION_MAX <= value[0] <= DURATION_MAX or kind == "timestamp" and not TIME_FIRST <= value[0] <= TIME_LAST:
            raise ValueError(f"a {kind} in the code is out of range")
        out.tag, out.word.integer, out.low = VALUE_DURATION if kind == "duration" else VALUE_TIMESTAMP, value[0], natural(value[1], SECOND)
    else:
        raise ValueError("a constant in the code is malformed")
    return 0


cdef class Program:
    """A condition's expression over `parameter_count` parameters.

    `code` is nested tuples:

        ("const", "bool" | "int" | "uint" | "double" | "string" | "null", value)    ("const", "duration" | "timestamp", (seconds, nanoseconds))
        ("param", i)    ("local", i): the variable of the i-th loop around it, the outermost being 0
        ("list", code...)    ("select", code, key)    ("has", code, key)
        ("and", a, b)    ("or", a, b)    ("not", a)    ("if", condition, a, b)
        ("all" | "exists" | "exists_one", range, body): over a list, or over the keys of a map
        ("call", overload id, code...): of the standard library of CEL, `string_to_ip` or `ip_in_cidr`

    ValueError: anything else; nested deeper than 64; more than 4,096 nodes.
    """

    def __cinit__(self, object code, object parameter_count):
        self.blocks = []
        self.c.parameter_count = natural(parameter_count, 1 << 16)
        code_measure(self, code, PROGRAM_DEPTH_MAX)
        self.c.nodes = <NodeC*>calloc(self.c.count, sizeof(NodeC))
        if self.c.nodes == NULL:
            raise MemoryError()
        self.c.count = 0
        node_build(self, code, 0)

    def __dealloc__(self):
        free(self.c.nodes)
