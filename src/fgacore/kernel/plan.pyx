"""Plans from the compiler's lists into flat arrays, bounds checked: see plan.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

from fgacore.errors import RequestError
from fgacore.kernel.sets cimport NONE


cdef void* array(size_t count, size_t size) except NULL:
    cdef void* out = calloc(count + 1, size)
    if out == NULL:
        raise MemoryError()
    return out


cdef class Plan:
    """One decision graph, for one kind of subject. `parts` is compile.py's Parts; numbers out of range are refused."""

    def __cinit__(self, kind, parts, uint64_t serial=0, uint32_t condition_count=0):
        cdef PlanC* c = &self.c
        cdef uint32_t i
        cdef int32_t successor
        cdef tuple item
        self.serial = serial
        self.kind = kind
        c.op_count = len(parts.ops)
        c.node_count = len(parts.nodes)
        c.component_count = len(parts.unstratified)
        c.closure_count = len(parts.groups)
        c.group_count = len(parts.seeds)
        c.own_count = len(parts.own_closures)
        c.own_closures = <uint32_t*>array(c.own_count, 4)
        for i, group in enumerate(parts.own_closures):
            c.own_closures[i] = group
            if c.own_closures[i] >= c.closure_count:
                raise ValueError("no such closure")
        c.ops = <OpC*>array(c.op_count, sizeof(OpC))
        c.nodes = <PlanNodeC*>array(c.node_count, sizeof(PlanNodeC))
        c.unstratified = <uint8_t*>array(c.component_count, 1)
        c.groups = <uint32_t*>array(c.closure_count, 4)
        c.seed_offsets = <uint32_t*>array(c.group_count + 1, 4)
        c.edge_offsets = <uint32_t*>array(c.closure_count + 1, 4)
        c.seeds = <SeedC*>array(sum(len(group) for group in parts.seeds), sizeof(SeedC))
        c.edges = <EdgeC*>array(sum(len(edges) for edges in parts.edges), sizeof(EdgeC))
        for i, item in enumerate(parts.ops):
            c.ops[i].code, c.ops[i].under, c.ops[i].table, c.ops[i].node, c.ops[i].closure, c.ops[i].if_true, c.ops[i].if_false, c.ops[i].ordinal = item
            c.ops[i].tail = c.ops[i].if_true == VERDICT_TRUE and c.ops[i].if_false == VERDICT_FALSE and c.ops[i].under == UNDER_NONE and (
                c.ops[i].code < OP_DIRECT_IF)
            for successor in (c.ops[i].if_true, c.ops[i].if_false):
                if successor >= <int32_t>i or successor < VERDICT_TRUE:
                    raise ValueError("a successor that is not before its operation")
            if c.ops[i].code > OP_EXISTS_IF or (c.ops[i].code >= OP_CLOSURE and c.ops[i].node >= c.node_count):
                raise ValueError("an operation on no node")
            if c.ops[i].code >= OP_DIRECT_IF and c.ops[i].closure >= condition_count:
                raise ValueError("an operation on no condition")
            if c.ops[i].code == OP_CLOSURE and c.ops[i].closure >= c.closure_count:
                raise ValueError("an operation on no closure")
        for i, item in enumerate(parts.nodes):
            c.nodes[i].entry, c.nodes[i].first, c.nodes[i].component, c.nodes[i].uncertain, c.nodes[i].conditioned = item
            c.nodes[i].memo = NONE
            if c.nodes[i].first < 0 or c.nodes[i].first > <int32_t>c.op_count:
                raise ValueError("a node whose operations begin nowhere")
            if c.nodes[i].entry >= <int32_t>c.op_count or c.nodes[i].entry < VERDICT_TRUE or c.nodes[i].component >= c.component_count:
                raise ValueError("a node that begins nowhere")
        directs = {}
        for i in range(c.op_count):
            if c.ops[i].code == OP_DIRECT:
                c.ops[i].closure = directs.setdefault(c.ops[i].table, len(directs))
            if (c.ops[i].code == OP_EXISTS or c.ops[i].code == OP_CLOSURE or c.ops[i].code == OP_EXISTS_IF) and (
                    c.nodes[c.ops[i].node].memo == NONE and not c.nodes[c.ops[i].node].conditioned):
                c.nodes[c.ops[i].node].memo = c.memo_count
                c.memo_count += 1
        c.direct_count = len(directs)
        for i in range(c.node_count):
            c.nodes[i].simple = 1
            for successor in range(c.nodes[i].first, c.nodes[i].entry + 1):
                if c.ops[successor].code >= OP_CLOSURE:
                    c.nodes[i].simple = 0
        for i, flag in enumerate(parts.unstratified):
            c.unstratified[i] = flag
        for i, group in enumerate(parts.groups):
            c.groups[i] = group
            if c.groups[i] >= c.group_count:
                raise ValueError("a closure of no group")
        cdef uint32_t n = 0
        if len(parts.edges) != c.closure_count:
            raise ValueError("edges of other closures than there are")
        for i, group in enumerate(parts.seeds):
            c.seed_offsets[i] = n
            for item in group:
                c.seeds[n].table, c.seeds[n].closure, c.seeds[n].wildcard = item
                if c.seeds[n].closure >= c.closure_count:
                    raise ValueError("a seed of no closure")
                n += 1
        c.seed_offsets[c.group_count] = n
        n = 0
        for i, edges in enumerate(parts.edges):
            c.edge_offsets[i] = n
            for item in edges:
                c.edges[n].table, c.edges[n].closure = item
                if c.edges[n].closure >= c.closure_count:
                    raise ValueError("an edge to no closure")
                n += 1
        c.edge_offsets[c.closure_count] = n

    def __dealloc__(self):
        free(self.c.ops)
        free(self.c.nodes)
        free(self.c.unstratified)
        free(self.c.groups)
        free(self.c.seed_offsets)
        free(self.c.edge_offsets)
        free(self.c.seeds)
        free(self.c.edges)
        free(self.c.own_closures)

    @property
    def op_count(self):
        """Number of operations."""
        return self.c.op_count


cdef class ModelPlan:
    """The plans of one model: which node a relation is, and a decision graph for each kind of subject, compiled at its first use."""

    def __cinit__(
            self, str model_id not None, source, dict types not None, dict relations not None, dict nodes not None, dict admissions not None,
            conditions=None):
        cdef uint64_t slots = 16, at, key
        cdef uint32_t count = max(types.values(), default=-1) + 1
        self.model_id = model_id
        self.source = source
        self.types = types
        self.relations = relations
        self.others = {}
        self.conditions = conditions
        self.conditioned = {place: table for place, table in admissions.items() if place[3]}
        self.asked_relation = "\0"    # no relation is called that; None here would answer for a caller's None
        self.asked_symbol = -1
        self.plain_count = count
        self.plain_plans = <void**>array(count, sizeof(void*))
        while slots < 2 * len(nodes):
            slots *= 2
        self.node_slots = <uint64_t*>array(slots, 8)
        self.node_mask = slots - 1
        self.node_types = <uint16_t*>array(len(nodes), 2)
        self.node_relations = <uint16_t*>array(len(nodes), 2)
        for (type, relation), node in nodes.items():
            if node >= len(nodes):
                raise ValueError("a node beyond their number")
            self.node_types[<uint32_t>node] = type
            self.node_relations[<uint32_t>node] = relation
            key = ((<uint64_t>type << 16) | <uint64_t>relation) + 1
            at = (key * <uint64_t>0x9E3779B97F4A7C15U) >> 40 & self.node_mask
            while self.node_slots[at]:
                at = (at + 1) & self.node_mask
            self.node_slots[at] = key << 32 | <uint32_t>node

        self.type_count = len(types)
        self.type_texts = <TypeC*>array(self.type_count, sizeof(TypeC))
        self.type_names = []
        for i, (name, symbol) in enumerate(types.items()):
            text = name.encode()
            self.type_names.append(text)
            self.type_texts[<uint32_t>i].text = <const char*><bytes>text
            self.type_texts[<uint32_t>i].length = <uint32_t>len(text)
            self.type_texts[<uint32_t>i].symbol = symbol
        slots = 16
        while slots < 2 * len(admissions):
            slots *= 2
        self.admissions = <uint64_t*>array(slots, 8)
        self.admitted = <uint32_t*>array(slots, 4)
        self.admission_mask = slots - 1
        for (type, relation, kind, condition), table in admissions.items():
            if condition:
                continue
            key = admission_key(type, relation, kind[0], ADMIT_WILDCARD if kind[2] else 0 if kind[1] is None else kind[1] + 1)
            at = (key * <uint64_t>0x9E3779B97F4A7C15U) >> 40 & self.admission_mask
            while self.admissions[at]:
                at = (at + 1) & self.admission_mask
            self.admissions[at] = key + 1
            self.admitted[at] = table

    def __dealloc__(self):
        free(self.plain_plans)
        free(self.node_slots)
        free(self.node_types)
        free(self.node_relations)
        free(self.type_texts)
        free(self.admissions)
        free(self.admitted)

    cdef uint32_t type_find(self, const char* text, uint32_t length) noexcept:
        """The symbol of a type's name, or NO_TYPE. Under the GIL."""
        cdef uint32_t i
        cdef const TypeC* type
        for i in range(self.type_count + 1):
            type = &self.type_texts[self.type_last if i == 0 else i - 1]
            if type.length == length and self.type_count and memcmp(type.text, text, length) == 0:
                self.type_last = <uint32_t>(type - self.type_texts)
                return type.symbol
        return NO_TYPE

    cdef uint32_t admission(self, uint64_t key) noexcept nogil:
        """The table of what the model admits, or NO_TABLE."""
        cdef uint64_t at = (key * <uint64_t>0x9E3779B97F4A7C15U) >> 40 & self.admission_mask
        while self.admissions[at]:
            if self.admissions[at] == key + 1:
                return self.admitted[at]
            at = (at + 1) & self.admission_mask
        return NO_TABLE

    cdef uint32_t node_find(self, uint32_t type, uint32_t relation) noexcept nogil:
        return node_find(self.node_slots, self.node_mask, type, relation)

    cdef int relation_slow(self, object relation) except -2:
        if not isinstance(relation, str):
            raise RequestError("the relation is not a text", code="invalid_relation")
        cdef object exact = relation if type(relation) is str else str.__str__(relation)    # a subclass may hash and compare as it likes
        cdef object symbol = self.relations.get(exact)
        if symbol is None:
            return -1
        if exact is relation:
            self.asked_symbol = symbol
            self.asked_relation = exact
        return symbol

    cdef Plan plan_of(self, object kind):
        """The plan for a kind of subject: (type symbol, relation symbol or None, wildcard)."""
        cdef Plan plan = self.others.get(kind)
        cdef uint32_t type
        if plan is None:
            plan = Plan(kind, self.source.parts(kind), self.source.next_serial(), 0 if self.conditions is None else len(self.conditions))
            plan = self.others.setdefault(kind, plan)
            if kind[1] is None and not kind[2]:
                type = kind[0]
                if type < self.plain_count:
                    self.plain_plans[type] = <void*>plan
        return plan
