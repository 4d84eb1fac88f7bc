"""See text.pxd."""

from fgacore.errors import RequestError, quote
from fgacore.limits import OBJECT_BYTES_MAX, RELATION_BYTES_MAX, SUBJECT_BYTES_MAX, TYPE_BYTES_MAX

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* length) except NULL

cdef uint32_t type_max = TYPE_BYTES_MAX
cdef uint32_t object_max = OBJECT_BYTES_MAX
cdef uint32_t subject_max = SUBJECT_BYTES_MAX
cdef uint32_t relation_max = RELATION_BYTES_MAX


cdef int shape_read(const char* text, Py_ssize_t length, ShapeC* shape) noexcept nogil:
    """One of SHAPE_*: one colon, at most one `#` after it, no white space, no part empty, no `@` in type or relation, no id that begins with `*`."""
    cdef uint32_t i, colon = 0, end = 0
    cdef char c
    if length < 3 or length > subject_max:
        return SHAPE_BAD
    for i in range(<uint32_t>length):
        c = text[i]
        if c == c' ' or (9 <= c <= 13):
            return SHAPE_BAD
        if c == c':':
            if colon or end:
                return SHAPE_BAD
            colon = i
            if i == 0 or i > type_max:
                return SHAPE_BAD
        elif c == c'#':
            if end or colon == 0:
                return SHAPE_BAD
            end = i
        elif c == c'@' and (colon == 0 or end):
            return SHAPE_BAD
    if colon == 0:
        return SHAPE_BAD
    shape.colon = colon
    shape.length = <uint32_t>length
    shape.end = end if end else shape.length
    if shape.end == colon + 1 or shape.end > object_max:
        return SHAPE_BAD
    if text[colon + 1] == c'*':
        return SHAPE_WILDCARD if shape.length == colon + 2 else SHAPE_BAD
    if end == 0:
        return SHAPE_PLAIN
    if end + 1 == shape.length or shape.length - end - 1 > relation_max:
        return SHAPE_BAD
    return SHAPE_USERSET


cdef const char* text_slow(object text, Py_ssize_t* length, str what) except NULL:
    if not isinstance(text, str):
        raise RequestError(f"the {what} is not a text", code=f"invalid_{what}")
    try:
        return PyUnicode_AsUTF8AndSize(text, length)
    except UnicodeEncodeError:
        raise RequestError(f"the {what} is not valid Unicode", code=f"invalid_{what}") from None


cdef object refuse(str what, object text):
    """The error of a malformed name."""
    expected = "`type:id`" if what == "object" else "`type:id`, `type:id#relation` or `type:*`"
    return RequestError(f"malformed {what} {quote(text)}, expected {expected}", code=f"invalid_{what}")
