"""CSV without a Python object for each row: `import` reads the three names of a row where they lie in the bytes of the file.

CsvLines reads chunks and hands out, in the order of the file, lots of two kinds: a TextLot where rows say no more than subject, relation and object,
and lists of rows as texts where they say more (a condition, a context, an expiry) or have a doubled quote.
Neither class is for two threads at once. A TextLot is complete when it is handed out, and nothing changes it.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    COLUMNS_MAX = 8              # that a row is looked at in; more are counted

cdef struct TextC:
    const char* text             # valid UTF-8 without NUL, not terminated; in the buffer of its lot
    uint32_t length              # bytes

cdef struct RowC:                # one row as it lies in the buffer
    TextC fields[COLUMNS_MAX]    # without their quotes; a doubled quote inside is still double
    uint32_t count               # of all its fields
    uint32_t doubled             # bit i: field i has doubled quotes
    uint32_t line_count          # lines of the file that it takes
    bint empty                   # a line with nothing on it
    const char* next             # where the next row begins


cdef class TextLot:
    """Rows of three texts. Owner of `items` and `lines`; the texts are those of `buffer`, which it keeps alive."""

    cdef TextC* items            # 3 * count: subject, relation, object of each row
    cdef uint32_t* lines         # count: the line of each row, from 1; the last number there is stands for all beyond it
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef bytes buffer
    cdef int add(self, const TextC* subject, const TextC* relation, const TextC* object, uint64_t line) except -1 nogil


cdef class CsvLines:
    cdef object file
    cdef object path
    cdef object report           # takes a FileFault: raises it, or keeps it and the row is left out
    cdef readonly list header
    cdef bytes buffer
    cdef const char* at          # the next row, in `buffer`
    cdef const char* end
    cdef bint ended              # the file has no more than what is in `buffer`
    cdef uint64_t line           # of `at`, from 1
    cdef Py_ssize_t lot_max      # rows
    cdef uint32_t columns        # that each row has
    cdef int subject             # its column; -1: every row is handed out as texts
    cdef int relation
    cdef int object
    cdef uint32_t slow_left      # rows to hand out as texts before a TextLot is tried again
    cdef RowC row                # read last
    cdef list read_header(self)
    cdef bint fill(self) except -1
    cdef int next_row(self) noexcept nogil
    cdef int kind_of_row(self) noexcept nogil
    cdef int run(self, TextLot lot) except -1 nogil
    cdef void take(self) noexcept nogil
    cdef int refuse(self, int kind) except -1
    cdef object fault(self, int kind)
    cdef int skip_line(self) except -1
    cdef list texts(self)
