"""See batch.pxd."""

from libc.stdlib cimport malloc
from libc.string cimport memcmp, memcpy, memset

from cpython.list cimport PyList_New

from fgacore.errors import FgaError, LimitError, RequestError
from fgacore.kernel.check cimport SWEEP, ask, sweep
from fgacore.kernel.conditions cimport FAILED_NOT
from fgacore.kernel.names cimport FIND_MANY, names_find_many
from fgacore.kernel.plan cimport NO_NODE, NO_TYPE, node_find
from fgacore.kernel.sets cimport NONE
from fgacore.kernel.view cimport ERROR_RAISED
from fgacore.limits import BATCH_ITEMS_MAX
from fgacore.runtime.text cimport fga_ascii, text_of

cdef extern from *:
    """
    /* Fill a new list with bools. True and False are counted once, not once an item: all threads of a process share their counts. */
    static inline void fga_bools(PyObject *list, const uint8_t *answers, Py_ssize_t count) {
        Py_ssize_t i, yes = 0;
        for (i = 0; i < count; i++) {
            yes += answers[i] != 0;
            PyList_SET_ITEM(list, i, answers[i] ? Py_True : Py_False);
        }
    #if PY_VERSION_HEX < 0x030C0000 && !defined(Py_REF_DEBUG)
        Py_SET_REFCNT(Py_True, Py_REFCNT(Py_True) + yes);
        Py_SET_REFCNT(Py_False, Py_REFCNT(Py_False) + count - yes);
    #else
        for (i = 0; i < count; i++) Py_INCREF(PyList_GET_ITEM(list, i));
    #endif
    }
    """
    void fga_bools(object items, const uint8_t* answers, Py_ssize_t count)

cdef Py_ssize_t batch_max = BATCH_ITEMS_MAX
cdef enum:
    BATCH_ITEM_BYTES = 48        # of the arrays of a batch, an item


cdef list batch_items(object items, str what):
    """A batch as a list of our own, bounded: no other thread can take an item away meanwhile. A text is not a list of its letters."""
    cdef list out
    cdef Py_ssize_t n = 0
    if type(items) is list or type(items) is tuple:
        if len(items) > batch_max:
            raise LimitError(f"a batch of more than {batch_max} items (BATCH_ITEMS_MAX)")
        return list(items)
    if isinstance(items, (str, bytes)) or not hasattr(items, "__iter__"):
        raise RequestError(f"`{what}` is not a list")
    out = []
    for item in items:
        n += 1
        if n > batch_max:
            raise LimitError(f"a batch of more than {batch_max} items (BATCH_ITEMS_MAX)")
        out.append(item)
    return out


cdef int batch_open(BatchC* batch, Py_ssize_t count) except -1:
    """Room for a batch, in one allocation that begins at `texts`."""
    cdef char* at = <char*>malloc(<size_t>(count + 1) * BATCH_ITEM_BYTES)
    if at == NULL:
        raise MemoryError()
    batch.count = count
    batch.failed = -1
    batch.texts = <const char**>at
    batch.subjects = <PyObject**>(at + 8 * count)
    batch.askers = <const NameC**>(at + 16 * count)
    batch.lengths = <uint32_t*>(at + 24 * count)
    batch.ids = batch.lengths + count
    batch.nodes = batch.ids + count
    batch.symbols = <int32_t*>(batch.nodes + count)
    batch.answers = <uint8_t*>(batch.symbols + count)
    memset(batch.answers, 0, count)
    return 0


cdef int batch_over(BatchC* batch, Overlay overlay) except -1:
    """The batch is asked over contextual tuples: a name that was interned since may be one that only the call knew."""
    batch.limits = overlay.limits
    batch.limit_count = overlay.limit_count
    return 0


cdef void forget_later(const BatchC* batch, const NameC** entries, uint32_t count) noexcept nogil:
    """Take names that were interned after the contextual tuples were read for unknown: they are looked up there first."""
    cdef uint32_t i
    for i in range(count):
        if entries[i] != NULL and (entries[i].type >= batch.limit_count or entries[i].id >= batch.limits[entries[i].type]):
            entries[i] = NULL


cdef int batch_text(BatchC* batch, Py_ssize_t i, object item) except -1:
    """Take the text of the object of item i. It stays where it is as long as the batch's list holds the item."""
    cdef Py_ssize_t length = 0
    try:
        batch.texts[i] = text_of(item, &length, "object")
    except FgaError as error:
        error.index = i
        raise
    batch.lengths[i] = <uint32_t>length if length < NAME_BYTES else NAME_BYTES
    return 0


cdef list batch_list(const BatchC* batch):
    """The answers as a list of bool."""
    cdef list out = PyList_New(batch.count)
    fga_bools(out, batch.answers, batch.count)
    return out


cdef list batch_allowed(const BatchC* batch, list items):
    """The items whose answer is yes."""
    cdef list out = []
    cdef Py_ssize_t i
    for i in range(batch.count):
        if batch.answers[i]:
            out.append(items[i])
    return out


cdef uint32_t answer_group(CheckerC* checker, uint32_t node, const uint32_t* ids, uint32_t count, uint8_t* answers) noexcept nogil:
    """Answer up to SWEEP questions about one node. `count`, or the number of the question that failed: each may use the whole bound on its own."""
    cdef uint64_t bound = checker.run.visited_max
    cdef uint32_t i
    checker.run.visited_max = checker.run.visited + bound
    sweep(checker, node, ids, count, answers)
    if checker.run.error == ERROR_RAISED:
        checker.run.visited_max = bound
        return 0
    if checker.run.error:        # together they passed the bound of one, or one hangs on a condition that failed: one by one, then
        checker.run.error = 0
        for i in range(count):
            checker.run.visited_max = checker.run.visited + bound
            checker.conditions.fault.kind = FAILED_NOT
            answers[i] = ask(checker, node, ids[i])
            if checker.run.error:
                checker.run.visited_max = bound
                return i
    checker.run.visited_max = bound
    return count


cdef void answer_texts(
        CheckerC* checker, const NamesC* names, const uint64_t* node_slots, uint64_t node_mask, int symbol, BatchC* batch,
        const char* own, uint32_t own_length) noexcept nogil:
    """Find and answer the objects of a batch that one subject asks about, in groups. Names that are in no table are listed at the start of `ids`,
    and so is `own`: the object of an asking userset that had no name when it was looked up; NULL for others."""
    cdef const NameC* entries[FIND_MANY]
    cdef uint32_t ids[FIND_MANY]
    cdef uint32_t places[FIND_MANY]
    cdef uint8_t answers[FIND_MANY]
    cdef uint32_t node, last, type, n, i, here, failed
    cdef Py_ssize_t at = 0, k
    cdef const NameC* entry
    while at < batch.count:
        here = <uint32_t>min(<Py_ssize_t>FIND_MANY, batch.count - at)
        names_find_many(names, batch.texts + at, batch.lengths + at, here, entries)
        if batch.limits != NULL:
            forget_later(batch, entries, here)
        n = 0
        type = NO_TYPE
        node = NO_NODE
        last = NO_NODE
        for i in range(here + 1):
            if i < here:
                entry = entries[i]
                if entry != NULL and symbol >= 0 and entry.type != type:
                    type = entry.type
                    node = node_find(node_slots, node_mask, type, <uint32_t>symbol)
                if entry == NULL or symbol < 0 or node == NO_NODE or (
                        own != NULL and batch.lengths[at + i] == own_length and memcmp(batch.texts[at + i], own, own_length) == 0):
                    batch.ids[batch.missing] = <uint32_t>(at + i)    # never beyond at + i: read before written
                    batch.missing += 1
                    continue
            if n and (i == here or node != last):
                failed = answer_group(checker, last, ids, n, answers)
                if failed < n:
                    batch.failed = at + places[failed]
                    return
                for k in range(n):
                    batch.answers[at + places[k]] = answers[k]
                n = 0
            if i < here:
                last = node
                ids[n] = entry.id
                places[n] = i
                n += 1
        at += here


cdef void find_targets(const NamesC* names, const uint64_t* node_slots, uint64_t node_mask, BatchC* batch) noexcept nogil:
    """The nodes and ids that the questions of a batch are about; NO_NODE where a name is in no table, or its type lacks the relation."""
    cdef const NameC* entries[FIND_MANY]
    cdef const char* texts[FIND_MANY]
    cdef uint32_t lengths[FIND_MANY]
    cdef uint32_t here, i, n
    cdef Py_ssize_t at = 0, length = 0
    cdef PyObject* last = NULL
    while at < batch.count:
        here = <uint32_t>min(<Py_ssize_t>FIND_MANY, batch.count - at)
        n = 0
        for i in range(here):        # the subjects that differ from the one before
            if batch.subjects[at + i] != last:
                last = batch.subjects[at + i]
                texts[n] = fga_ascii(last, &length) if last != NULL else NULL
                if texts[n] == NULL or length >= NAME_BYTES:
                    texts[n] = b""
                    length = 0
                lengths[n] = <uint32_t>length
                n += 1
        names_find_many(names, texts, lengths, n, entries)
        if batch.limits != NULL:
            forget_later(batch, entries, n)
        n = 0
        for i in range(here):
            if batch.subjects[at + i] != (batch.subjects[at + i - 1] if at + i else NULL):
                batch.askers[at + i] = entries[n]
                n += 1
        names_find_many(names, batch.texts + at, batch.lengths + at, here, entries)
        if batch.limits != NULL:
            forget_later(batch, entries, here)
        for i in range(here):
            batch.nodes[at + i] = NO_NODE
            batch.ids[at + i] = NONE
            if entries[i] != NULL and batch.symbols[at + i] >= 0:
                batch.nodes[at + i] = node_find(node_slots, node_mask, entries[i].type, <uint32_t>batch.symbols[at + i])
                batch.ids[at + i] = entries[i].id
        at += here


cdef Py_ssize_t answer_run(CheckerC* checker, BatchC* batch, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    """Answer questions from first on, in groups that ask for the same node; where it ends: at `end`, or after the question that failed."""
    cdef Py_ssize_t i = first, n
    cdef uint32_t failed
    while i < end:
        if batch.nodes[i] == NO_NODE:
            i += 1
            continue
        n = 1
        while n < SWEEP and i + n < end and batch.nodes[i + n] == batch.nodes[i]:
            n += 1
        failed = answer_group(checker, batch.nodes[i], batch.ids + i, <uint32_t>n, batch.answers + i)
        if failed < n:
            return i + failed + 1
        i += n
    return end


cdef Py_ssize_t answer_ids(CheckerC* checker, uint32_t node, const char* ids, Py_ssize_t count, uint8_t* answers) noexcept nogil:
    """Answer for `count` ids of four bytes each; the number of the one that failed, or -1. Each is read once: the array is the caller's."""
    cdef uint32_t group[SWEEP]
    cdef Py_ssize_t i = 0, n
    cdef uint32_t failed
    while i < count:
        n = min(<Py_ssize_t>SWEEP, count - i)
        memcpy(group, ids + 4 * i, 4 * n)
        failed = answer_group(checker, node, group, <uint32_t>n, answers + i)
        if failed < n:
            return i + failed
        i += n
    return -1
