"""Lists: every object of a type on which the subject of a run holds a node, all at once.

The plan's operations are read from the subject's side: the objects on which an operation says yes are a set of its own (those that the subject is stored
on, those that a member of another node's set leads to), found through the reverse sides; so the work follows what there is to find, not the objects.
A node's set comes of its operations' sets by their wiring. Inside a recursion each object that is found is followed once (semi-naive); a component with
a subtraction in its recursion is solved by the alternating fixpoint. Modes, and conditions that fail, are those of solve.pxd.
One owner; without the GIL. Callers: runtime/lists.pyx.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fgacore.kernel.ids cimport IdsC
from fgacore.kernel.view cimport RunC

cdef struct BulkC:
    RunC* run
    IdsC* found                  # of each node in each mode: node << 1 | mode
    uint8_t* needed              # likewise
    uint8_t* done
    uint8_t* called              # of each node: another reads its set
    uint32_t* order              # nodes by their component,
    uint32_t* starts             # and where each component's begin: component_count + 1
    bint upper                   # what fails is present in mode definite, absent in mode possible
    bint unsure                  # a condition has failed

cdef bint bulk_open(BulkC* bulk, RunC* run, bint upper) noexcept nogil
cdef const IdsC* bulk_list(BulkC* bulk, uint32_t node) noexcept nogil
cdef void bulk_forget(BulkC* bulk, uint32_t node) noexcept nogil
cdef void bulk_close(BulkC* bulk) noexcept nogil
