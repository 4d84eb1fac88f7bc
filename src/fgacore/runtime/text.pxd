"""The shapes of names: what is an object, a userset, a wildcard, a relation. OpenFGA's rules over bytes, white space being ASCII's.

Reading a shape needs no GIL; `refuse` turns a bad one into a RequestError. A name that a store has interned has a good shape.
"""

from libc.stdint cimport uint32_t

cdef enum:
    SHAPE_PLAIN = 0              # type:id
    SHAPE_WILDCARD = 1           # type:*
    SHAPE_USERSET = 2            # type:id#relation
    SHAPE_BAD = 3

cdef struct ShapeC:
    uint32_t colon               # bytes before the colon: the type
    uint32_t end                 # bytes of the object part
    uint32_t length              # of all

cdef int shape_read(const char* text, Py_ssize_t length, ShapeC* shape) noexcept nogil
cdef const char* text_of(object text, Py_ssize_t* length, str what) except NULL
cdef object refuse(str what, object text)
