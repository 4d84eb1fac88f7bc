"""The shapes of names: what is an object, a userset, a wildcard, a relation. OpenFGA's rules over bytes, white space being ASCII's.

Reading a shape needs no GIL; `refuse` turns a bad one into a RequestError. A name that a store has interned has a good shape.
"""

from cpython.ref cimport PyObject
from libc.stdint cimport uint32_t

cdef extern from * nogil:
    """
    /* The bytes of an exact ASCII str, which are its UTF-8; NULL for anything else. */
    static inline const char *fga_ascii(PyObject *text, Py_ssize_t *length) {
        if (PyUnicode_CheckExact(text) && PyUnicode_IS_COMPACT_ASCII(text)) {
            *length = PyUnicode_GET_LENGTH(text);
            return (const char *)PyUnicode_1BYTE_DATA(text);
        }
        return NULL;
    }
    """
    const char* fga_ascii(PyObject* text, Py_ssize_t* length)

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
cdef const char* text_slow(object text, Py_ssize_t* length, str what) except NULL


cdef inline const char* text_of(object text, Py_ssize_t* length, str what) except NULL:
    """The UTF-8 of a str; anything else, and a lone surrogate, is the caller's error."""
    cdef const char* found = fga_ascii(<PyObject*>text, length)
    return found if found != NULL else text_slow(text, length, what)


cdef object refuse(str what, object text)
