"""See lists.pxd."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

import numpy

from fgacore.errors import RequestError, quote
from fgacore.kernel.bulk cimport BulkC, bulk_close, bulk_forget, bulk_list, bulk_open
from fgacore.kernel.check cimport ask
from fgacore.kernel.ids cimport IdsC, ids_write
from fgacore.kernel.plan cimport NO_NODE, ModelPlan, Plan, relation_find
from fgacore.kernel.sets cimport GHOST
from fgacore.kernel.tables cimport Version
from fgacore.kernel.view cimport ERROR_CONDITION, whole_keep
from fgacore.limits import LIST_WORK_MAX
from fgacore.runtime.checks cimport AskerC, given, kernel_error
from fgacore.runtime.objects cimport ObjectSet, object_set
from fgacore.runtime.overlay cimport Overlay, overlay_make
from fgacore.runtime.resolve cimport PROVISIONAL
from fgacore.runtime.state cimport Checker

cdef uint64_t work_max = LIST_WORK_MAX
cdef object empty = numpy.empty, uint32 = numpy.dtype(numpy.uint32)

cdef enum:
    LARGE_PAGES = 1 << 20        # ids


cdef object array_of(const IdsC* ids):
    """The ids, rising, as a uint32 array. A large one is made of large pages of memory, which numpy asks for from 4 MiB on."""
    cdef uint32_t[::1] view
    if ids.count > LARGE_PAGES // 4:
        array = numpy.empty(max(ids.count, LARGE_PAGES), numpy.uint32)[:ids.count]
    else:
        array = empty(ids.count, uint32)
    if ids.count:
        view = array
        with nogil:
            ids_write(ids, &view[0])
    return array


cdef class Lists(Checks):
    """What lists objects and relations. The base class of the engine."""

    def filter_objects(self, subject, relation, objects, *, context=None, contextual_tuples=(), model_id=None, at_least=None):
        """Those of `objects` on which `subject` holds `relation`, in their order, all of one revision: check_objects, but a list of the allowed.

        A bad item raises its error, with its position in `.index`.
        """
        return self.answer_objects(subject, relation, objects, context, contextual_tuples, model_id, at_least, True)

    def list_objects(
            self, subject, relation, type, *, context=None, contextual_tuples=(), on_missing_context="raise", model_id=None, at_least=None):
        """Every object of `type` on which `subject` holds `relation`, at the newest revision: an ObjectSet. Never cut short.

        Where a condition that the list meets fails it raises RequestError; with on_missing_context="report" the set is what check says is True,
        and `.undetermined` are the objects on which check raises.
        """
        if on_missing_context not in ("raise", "report"):
            raise RequestError("on_missing_context is `raise` or `report`")
        return self.list_all(
            subject, [(type, relation)], context, contextual_tuples, model_id, at_least, on_missing_context == "report", None, None, 0)[0]

    def _list_all(self, subject, pairs, *, context=None, contextual_tuples=(), model_id=None, at_least=None):
        """An ObjectSet for each (type, relation), all of one revision and instant, with what is undetermined apart."""
        return self.list_all(subject, list(pairs), context, contextual_tuples, model_id, at_least, True, None, None, 0)

    cdef list list_all(
            self, object subject, list pairs, object context, object contextual_tuples, object model_id, object at_least, bint report,
            Version version, ModelPlan pinned, int64_t instant):
        """An ObjectSet for each pair. version, with a model and an instant: what several lists of one call go by; None: the newest."""
        cdef AskerC asker
        cdef ModelPlan model
        cdef Plan plan
        cdef Checker checker
        cdef Overlay overlay = None
        cdef BulkC bulk
        cdef const IdsC* found
        cdef uint32_t node
        cdef list nodes = [], definite = [], possible = [], out = []
        cdef ObjectSet set
        cdef Py_ssize_t i
        cdef bint unsure = False
        if version is None:
            instant = self._writer.tick(False) if self._state.ticking else 0
            if not instant:
                instant = self._state.now()
        memset(&bulk, 0, sizeof(BulkC))
        checker = self._state.take()
        if version is not None:
            checker.version = version
        try:
            model = pinned if version is not None else self.model_for(model_id, at_least)
            if given(contextual_tuples):
                overlay = overlay_make(self._state, model, checker.version, contextual_tuples, instant)
                checker.version = overlay.version
            self._state.prepare(checker, model, context, instant)
            plan = self.asker_over(&checker.version.names.c, model, subject, &asker, overlay)
            for type, relation in pairs:
                nodes.append(self.node_of(model, type, relation))
            self._state.begin(checker, plan, asker.id, True)
            checker.c.run.visited_max = work_max
            for upper in range(2):
                if not bulk_open(&bulk, &checker.c.run, upper):
                    raise MemoryError()
                for node in nodes:
                    with nogil:
                        found = bulk_list(&bulk, node)
                    if found == NULL:
                        raise kernel_error(checker)
                    (possible if upper else definite).append(array_of(found))
                    if len(nodes) > 1:
                        bulk_forget(&bulk, node)
                    unsure = unsure or bulk.unsure
                    if unsure and not report:
                        checker.c.run.error = ERROR_CONDITION
                        raise kernel_error(checker)
                if len(nodes) == 1 and checker.view != NULL and not plan.c.nodes[nodes[0]].conditioned:
                    whole_keep(checker.view, nodes[0], &bulk.found[<uint32_t>nodes[0] << 1])
                bulk_close(&bulk)
                if not unsure:
                    break
            own = None
            if overlay is not None or asker.id == GHOST:
                own = self.own_names(overlay, model, &asker, subject)
            who = str.__str__(subject)
            for i in range(len(pairs)):
                type, relation = pairs[i]
                set = object_set(
                    checker.version.names, model.types[type], own, definite[i], who, str.__str__(relation), str.__str__(type), checker.version.revision, instant)
                if unsure:
                    rest = numpy.setdiff1d(possible[i], definite[i], assume_unique=True)
                    set.rest = set.with_ids(rest) if len(rest) else None
                out.append(set)
            return out
        finally:
            if bulk.run != NULL:
                bulk_close(&bulk)
            self._state.give(checker)

    cdef uint32_t node_of(self, ModelPlan model, object type, object relation) except? 0xFFFFFFFFU:
        """The node of a relation of a type, or an error."""
        cdef int symbol
        cdef uint32_t node
        if not isinstance(type, str) or type not in model.types:
            raise RequestError(f"the model has no type {quote(type)}", code="type_not_found")
        symbol = relation_find(model, relation)
        node = model.node_find(model.types[type], <uint32_t>symbol) if symbol >= 0 else NO_NODE
        if node == NO_NODE:
            raise RequestError(f"the type {quote(type)} has no relation {quote(relation)}", code="relation_not_found")
        return node

    cdef dict own_names(self, Overlay overlay, ModelPlan model, const AskerC* asker, object subject):
        """The names that only the call knows, by their ids."""
        cdef uint32_t i
        cdef dict own = {}
        if overlay is not None:
            for i in range(overlay.resolver.fresh.count):
                text = overlay.resolver.fresh.items[i].text[:overlay.resolver.fresh.items[i].length]
                own[<uint32_t>PROVISIONAL | i] = text.decode()
        if asker.id == GHOST:
            own[<uint32_t>GHOST] = subject.partition("#")[0]
        return own

    def list_relations(self, subject, object, *, context=None, contextual_tuples=(), model_id=None, at_least=None):
        """The relations that `subject` holds on `object`, in the model's order, all of one revision.

        Raises the error of the first relation whose answer is one.
        """
        cdef AskerC asker
        cdef ModelPlan model
        cdef Plan plan
        cdef Checker checker
        cdef Overlay overlay = None
        cdef uint32_t node = 0, id = 0
        cdef int64_t instant = self._writer.tick(False) if self._state.ticking else 0
        cdef list out = []
        cdef bint yes
        checker = self._state.take()
        try:
            model = self.model_for(model_id, at_least)
            if given(contextual_tuples):
                overlay = overlay_make(self._state, model, checker.version, contextual_tuples, instant or self._state.now())
                checker.version = overlay.version
            self._state.prepare(checker, model, context, instant)
            plan = self.asker_over(&checker.version.names.c, model, subject, &asker, overlay)
            type, _, _, _ = self.name_parts(object, "object")
            if type not in model.types:
                raise RequestError(f"the model has no type {quote(type)}", code="type_not_found")
            self._state.begin(checker, plan, asker.id, False)
            for relation in model.source.model.types[type].relations:
                self.target_over(&checker.version.names.c, model, relation, object, &asker, &node, &id, overlay)
                checker.c.run.visited_max = checker.c.run.visited + self._state.visited_max
                with nogil:
                    yes = ask(&checker.c, node, id)
                if checker.c.run.error:
                    raise kernel_error(checker)
                if yes:
                    out.append(relation)
            self._state.checks += 1
            return out
        finally:
            self._state.give(checker)
