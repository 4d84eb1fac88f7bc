"""Plans: a model compiled to integers, one decision graph for each kind of subject.

An operation answers yes or no about one object and has a successor, or a verdict, for each. Union, intersection, exclusion and computed relations are
only wiring. Operations are emitted last first, so successors have lower numbers. Branches that the kind of subject can never reach are not there.
Nodes are (type, relation) pairs of the model; node numbers are the same in all plans of a model. Components are the strongly connected components of
the calls between nodes, numbered so that a call leads to the same component or to a lower number.
A call stands `under` a subtraction where its answer is negated on the way to the node's: such a call must be settled before it is used,
and inside its own component it makes the component unstratified (design: alternating fixpoint).
Immutable once built; any number of threads may read it.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    OP_DIRECT = 0                # the subject is in the object's set of `table`
    OP_WILDCARD = 1              # the object's set of `table` (subjects: a wildcard) is not empty
    OP_SELF = 2                  # the object is the asking userset's own
    OP_CLOSURE = 3               # a member of the object's set of `table` is in the subject's closure `closure`
    OP_EXISTS = 4                # for a member of the object's set of `table`, `node` holds
    OP_CALL = 5                  # `node` holds for the object itself
    OP_DIRECT_IF = 6             # as OP_DIRECT, OP_WILDCARD, OP_EXISTS, where the tuple's condition holds too: `table` is of conditioned tuples
    OP_WILDCARD_IF = 7
    OP_EXISTS_IF = 8

cdef enum:
    ADMIT_WILDCARD = 0xFFFF      # no relation symbol is that large (limits.py)
    NO_NODE = 0xFFFFFFFFU
    NO_TABLE = 0xFFFFFFFFU
    NO_TYPE = 0xFFFFFFFFU

cdef enum:
    VERDICT_FALSE = -1
    VERDICT_TRUE = -2

cdef enum:
    UNDER_NONE = 0               # the answer counts as it is
    UNDER_ODD = 1                # negated an odd number of times
    UNDER_EVEN = 2               # negated an even number of times, at least twice

cdef struct OpC:
    uint8_t code                 # OP_*
    uint8_t under                # UNDER_*
    uint8_t tail                 # if_true is VERDICT_TRUE, if_false VERDICT_FALSE and it is under nothing: the callee's answer is the node's
    uint8_t ordinal              # number of this call within its node, 0 to 63; 64 and above share 63 and are not remembered as done
    uint32_t table               # table id
    uint32_t node                # callee of OP_EXISTS, OP_CALL; for OP_CLOSURE the same set walked down
    uint32_t closure             # of OP_CLOSURE; of OP_DIRECT the number of its table among the plan's direct tables; of OP_*_IF the model's condition
    int32_t if_true              # operation or verdict
    int32_t if_false

cdef struct PlanNodeC:
    int32_t entry                # first operation, or a verdict
    int32_t first                # lowest number of its operations: they lie in first..entry
    uint32_t memo                # number among the nodes whose verdicts a view keeps (callees of OP_EXISTS), or NONE
    uint32_t component
    uint8_t simple               # it reads stored tuples only, so a view has nothing to say about a single question
    uint8_t uncertain            # it reaches an unstratified component, so it may be undefined: definite and possible differ
    uint8_t conditioned          # it reaches conditioned tuples, so the answer is of one context: no view keeps it, and a condition may fail

cdef struct SeedC:               # where a closure begins: the sets of `table` by the subject's id, or by 0 for a wildcard
    uint32_t table
    uint32_t closure             # the members go into this closure
    uint32_t wildcard

cdef struct EdgeC:               # how a closure grows: an id in one closure leads, by `table` read from the subject's side, to ids in another
    uint32_t table
    uint32_t closure

cdef struct PlanC:
    OpC* ops
    PlanNodeC* nodes
    uint8_t* unstratified        # for each component
    SeedC* seeds                 # by group: seed_offsets
    uint32_t* seed_offsets       # group_count + 1
    EdgeC* edges                 # by closure: edge_offsets
    uint32_t* edge_offsets       # closure_count + 1
    uint32_t* groups             # closure to group: closures that feed each other are built together
    uint32_t op_count
    uint32_t node_count
    uint32_t component_count
    uint32_t closure_count
    uint32_t group_count
    uint32_t memo_count
    uint32_t direct_count        # tables that OP_DIRECT reads
    uint32_t* own_closures       # own_count of them: those that hold the asking userset's own object
    uint32_t own_count


cdef struct TypeC:               # a type of the model, by the bytes of its name
    const char* text
    uint32_t length
    uint32_t symbol


cdef class Plan:
    cdef PlanC c
    cdef readonly object kind    # the kind of subject, as compile.py names it
    cdef readonly uint64_t serial    # of this plan among all of the store: views are kept under it


cdef class ModelPlan:
    cdef uint64_t* node_slots    # open addressing: (type << 16 | relation) + 1 << 32 | node
    cdef uint64_t node_mask
    cdef uint16_t* node_types    # by node: the type's symbol, and the relation's
    cdef uint16_t* node_relations
    cdef readonly object source  # the compiler, asked for a kind's plan at its first use
    cdef readonly str model_id
    cdef readonly object conditions      # the model's, as runtime/conditions.pyx makes them, or None
    cdef readonly dict conditioned       # (object type, relation, kind of subject, condition) to the table of what the model admits
    cdef void** plain_plans      # Plan for each type symbol, held by `others`; NULL: not compiled yet or no such type
    cdef uint32_t plain_count
    cdef dict others             # kind to Plan
    cdef dict relations          # relation name to symbol
    cdef dict types              # type name to symbol
    cdef str asked_relation      # the relation asked last, and its symbol: callers ask with the same str object again and again
    cdef int asked_symbol
    cdef int relation_slow(self, object relation) except -2
    cdef TypeC* type_texts       # type_count of them; their bytes belong to type_names
    cdef list type_names
    cdef uint32_t type_count
    cdef uint32_t type_last      # found last: writes come in runs
    cdef uint64_t* admissions    # open addressing: admission_key + 1; the tables stand beside
    cdef uint32_t* admitted
    cdef uint64_t admission_mask
    cdef uint32_t type_find(self, const char* text, uint32_t length) noexcept
    cdef uint32_t admission(self, uint64_t key) noexcept nogil
    cdef uint32_t node_find(self, uint32_t type, uint32_t relation) noexcept nogil
    cdef Plan plan_of(self, object kind)


cdef inline uint32_t node_find(const uint64_t* slots, uint64_t mask, uint32_t type, uint32_t relation) noexcept nogil:
    """The node of a relation of a type, or NO_NODE."""
    cdef uint64_t key = ((<uint64_t>type << 16) | relation) + 1
    cdef uint64_t at = (key * <uint64_t>0x9E3779B97F4A7C15U) >> 40 & mask
    while slots[at]:
        if slots[at] >> 32 == key:
            return <uint32_t>slots[at]
        at = (at + 1) & mask
    return NO_NODE


cdef inline int relation_find(ModelPlan model, object relation) except -2:
    """The symbol of a relation's name, or -1 where no type of the model has it. Raises RequestError for what is no text."""
    if relation is model.asked_relation:
        return model.asked_symbol
    return model.relation_slow(relation)


cdef inline uint64_t admission_key(uint32_t type, uint32_t relation, uint32_t subject_type, uint32_t member) noexcept nogil:
    """What a model admits or not: member is 0 for a plain subject, ADMIT_WILDCARD, or a userset's relation symbol + 1."""
    return (<uint64_t>type << 48) | (<uint64_t>relation << 32) | (<uint64_t>subject_type << 16) | member
