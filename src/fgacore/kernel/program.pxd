"""A condition's expression, checked and laid out, and its evaluation over values. The meaning is CEL's as cel-cpp has it, errors included.

A program is a tree of nodes in one array; evaluation walks it by recursion no deeper than PROGRAM_DEPTH_MAX (and CONTEXT_DEPTH_MAX in what it
compares). Operators go by the values they meet, as that library's do: `a < 1` with `any` parameters compares 0.5 as well.
Nothing is allocated but for texts and lists that the expression itself makes; they are freed as soon as the iteration or the run is over.
A program is immutable: any number of threads may run it, without the GIL. Callers: runtime, where tuples have conditions.
"""

from libc.stdint cimport uint32_t, uint64_t

from fgacore.kernel.values cimport NetworkC, ValueC

cdef enum:
    RUN_FALSE = 0
    RUN_TRUE = 1
    RUN_ERROR = 2                # the expression failed
    RUN_WORK = 3                 # the work that it was given did not suffice
    RUN_MEMORY = 4

cdef enum:
    PROGRAM_DEPTH_MAX = 64
    PROGRAM_NODES_MAX = 4096
    PROGRAM_ITERATIONS_MAX = 10000      # over all loops of one evaluation: cel-expr-python's own bound
    PROGRAM_MEMORY_MAX = 67108864       # bytes that one evaluation may hold at a time

cdef struct NodeC:
    uint32_t op                  # OP_* of program.pyx
    uint32_t index               # of a parameter or local; of a list: number of members
    const NodeC* a               # operands; of a list: the first member
    const NodeC* b
    const NodeC* c
    const NodeC* next            # the next member of the list that this node is in
    ValueC value                 # of a constant; of select and has: the key
    const NetworkC* network      # of in_cidr with a constant network; NULL: it is not well-formed

cdef struct ProgramC:
    NodeC* nodes
    uint32_t count
    uint32_t parameter_count

cdef int program_run(const ProgramC* program, const ValueC** values, uint64_t* work) noexcept nogil


cdef class Program:
    """Owns the nodes, the texts and the lists of its constants; frees them when it goes."""

    cdef ProgramC c
    cdef list blocks             # bytes objects and capsules that hold the texts, lists and networks of constants
