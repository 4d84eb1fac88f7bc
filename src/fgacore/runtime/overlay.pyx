"""See overlay.pxd."""

from libc.stdint cimport int64_t, uint16_t
from libc.stdlib cimport free, malloc

from fgacore.errors import LimitError, RequestError
from fgacore.kernel.grants cimport NEVER
from fgacore.kernel.names cimport FIND_MANY, names_count
from fgacore.kernel.plan cimport NO_TABLE
from fgacore.kernel.tables cimport Edit
from fgacore.kernel.values cimport ContextC, context_equal
from fgacore.limits import CONTEXTUAL_TUPLES_MAX
from fgacore.runtime.resolve cimport HOW_SKIP, ChangeC, ExtraC, new_name_find, shown, stored_with
from fgacore.tuples import Tuple

cdef Py_ssize_t tuples_max = CONTEXTUAL_TUPLES_MAX

cdef enum:
    FEW = 32                     # tuples that are compared with each other


cdef class Overlay:
    """Contextual tuples."""

    def __dealloc__(self):
        free(self.limits)

    cdef uint32_t find(self, const char* text, uint32_t length) noexcept:
        """The id of a name that only the call knows, or NONE."""
        return new_name_find(&self.resolver.names.c, &self.resolver.fresh, text, length)


cdef object fault_of(list items, Py_ssize_t i, str why):
    return RequestError(f"contextual tuple {i}: {why}", code="invalid_contextual_tuple")


cdef list contextual_list(object items):
    """The contextual tuples as a list of our own, bounded."""
    cdef list out = []
    if isinstance(items, (str, bytes, Tuple)) or not hasattr(items, "__iter__"):
        raise RequestError("`contextual_tuples` is not a list of tuples", code="invalid_contextual_tuple")
    for item in items:
        if len(out) == tuples_max:
            raise LimitError(f"more than {tuples_max} contextual tuples (CONTEXTUAL_TUPLES_MAX)")
        out.append(item)
    return out


cdef Overlay overlay_make(State state, ModelPlan model, Version version, object items, int64_t instant):
    """Lay contextual tuples over a version. They are held to the model as writes are; one takes the place of the stored tuple of its key.

    One that has expired by the instant of the call is absent, in that place.
    """
    cdef Overlay overlay = Overlay.__new__(Overlay)
    cdef Resolver resolver = Resolver.__new__(Resolver, state)
    cdef Edit edit
    cdef ChangeC* changes
    cdef Py_ssize_t i, count
    cdef uint32_t type, types = version.names.type_count
    overlay.items = contextual_list(items)
    overlay.resolver = resolver
    resolver.names = version.names
    resolver.contextual = True
    count = len(overlay.items)
    changes = <ChangeC*>malloc(sizeof(ChangeC) * <size_t>(count + 1))
    overlay.limits = <uint32_t*>malloc(4 * <size_t>(types + 1))
    try:
        if changes == NULL or overlay.limits == NULL:
            raise MemoryError()
        overlay.limit_count = types
        for type in range(types):
            overlay.limits[type] = names_count(version.names, <uint16_t>type)
        try:
            for i in range(0, count, FIND_MANY):
                resolver.resolve_writes(overlay.items, i, min(count, i + FIND_MANY), model, changes)
        except RequestError as error:
            raise RequestError(
                f"contextual tuple {error.index}: {error.message}" if error.index is not None else error.message,
                code="invalid_contextual_tuple") from error
        if resolver.fresh.count == 0:
            free(overlay.limits)
            overlay.limits = NULL
        if count > 1:
            skip_repeats(state, resolver, overlay.items, changes, count)
        edit = Edit.private(version, state.sibling_count)
        for i in range(count):
            if changes[i].how != HOW_SKIP:
                lay(state, version, edit, resolver, &changes[i], instant)
        overlay.version = edit.publish_private()
    finally:
        free(changes)
    return overlay


cdef int lay(State state, Version version, Edit edit, Resolver resolver, const ChangeC* change, int64_t instant) except -1:
    """Add one tuple to a private edit, in the place of the stored one of its key."""
    cdef ExtraC* extra = &resolver.extras[change.extra - 1] if change.extra else NULL
    cdef uint32_t stored = state.stored_in(edit, change.table, change.object, change.subject)
    cdef const ContextC* context = NULL
    cdef bint expired = extra != NULL and extra.expires != NEVER and extra.expires <= instant
    if stored != NO_TABLE and (stored != change.table or expired):
        edit.remove(stored, change.object, change.subject)
    if expired:
        return 0
    if stored != change.table:
        edit.add(change.table, change.object, change.subject)
    if extra != NULL:
        context = extra.context
        extra.context = NULL     # the edit's from here on
    if extra != NULL or stored == change.table:
        edit.grant(change.table, change.object, change.subject, extra.expires if extra != NULL else NEVER, context)
    return 0


cdef int skip_repeats(State state, Resolver resolver, list items, ChangeC* changes, Py_ssize_t count) except -1:
    """Two tuples of one key are one where they are equal, else an error."""
    cdef dict seen = {}
    cdef Py_ssize_t i, first
    for i in range(count):
        if count > FEW:
            first = seen.setdefault((state.key_tables[changes[i].table], changes[i].object, changes[i].subject), i)
        else:
            first = 0
            while first < i and not (
                    changes[first].object == changes[i].object and changes[first].subject == changes[i].subject and
                    state.key_tables[changes[first].table] == state.key_tables[changes[i].table]):
                first += 1
        if first == i:
            continue
        if changes[first].table != changes[i].table or not same_extra(resolver, &changes[first], &changes[i]):
            raise fault_of(items, i, f"{shown(items[i])} is there already, and differs")
        changes[i].how = HOW_SKIP
    return 0


cdef bint same_extra(Resolver resolver, const ChangeC* a, const ChangeC* b) noexcept:
    cdef ExtraC x = stored_with(resolver, a), y = stored_with(resolver, b)
    return x.expires == y.expires and context_equal(x.context, y.context)
