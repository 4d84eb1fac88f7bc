"""See lines.pxd. CSV as RFC 4180 has it: commas, LF or CR LF, quotes around a field that needs them; UTF-8 with or without a mark."""

from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr

from fgacore.limits import IMPORT_LINE_BYTES_MAX, IMPORT_LOT_BYTES as _LOT_BYTES, IMPORT_LOT_TUPLES as _LOT_TUPLES
from fgacore.store.faults import FileFault

cdef extern from * nogil:
    """
    /* What ends a run of plain bytes, outside of quotes and within them. */
    static const unsigned char fga_csv_stop[256] = {[0] = 1, ['\\n'] = 1, ['\\r'] = 1, [','] = 1};
    static const unsigned char fga_csv_quoted_stop[256] = {[0] = 1, ['\\n'] = 1, ['"'] = 1};
    static inline int fga_csv_stops(unsigned char c) { return fga_csv_stop[c]; }
    static inline int fga_csv_quoted_stops(unsigned char c) { return fga_csv_quoted_stop[c]; }
    """
    int fga_csv_stops(unsigned char c)
    int fga_csv_quoted_stops(unsigned char c)

cdef enum:
    CHUNK_BYTES = 4 << 20
    SLOW_ROWS = 4096             # a lot for each of a few rows costs more than the slow way for some more of them

cdef enum:                       # what reading a row comes to
    ROW_PLAIN
    ROW_OTHER                    # as texts: it says more than three names, or none can be cut out of the buffer as it is
    ROW_MORE                     # the buffer ends within it
    ROW_FULL                     # the lot is full
    ROW_NUL                      # faults, from here on: the text stops being CSV
    ROW_RETURN
    ROW_QUOTE
    ROW_OPEN
    ROW_LONG
    ROW_UTF8                     # it is one, and its end is known
    ROW_COUNT

cdef Py_ssize_t line_max = IMPORT_LINE_BYTES_MAX
cdef Py_ssize_t lot_bytes = _LOT_BYTES


cdef int row_read(const char* p, const char* end, bint ended, RowC* row) noexcept nogil:
    """Read the row at `p`, which is before `end`. `ended`: nothing follows what is in the buffer."""
    cdef const char* start
    cdef const char* stop
    cdef const char* first = p
    cdef uint8_t high = 0
    cdef bint doubled, quoted
    row.count = 0
    row.doubled = 0
    row.line_count = 1
    row.empty = False
    while True:
        doubled = False
        quoted = p < end and p[0] == c'"'
        if quoted:
            p += 1
            start = p
            while True:
                while p < end and not fga_csv_quoted_stops(p[0]):
                    high |= <uint8_t>p[0]
                    p += 1
                if p == end:
                    return ROW_OPEN if ended else ROW_MORE
                if p[0] == 0:
                    return ROW_NUL
                if p[0] == c'\n':
                    row.line_count += 1
                    p += 1
                    continue
                if p + 1 == end and not ended:
                    return ROW_MORE
                if p + 1 == end or p[1] != c'"':
                    break
                doubled = True
                p += 2
            stop = p
            p += 1
        else:
            start = p
            while p < end and not fga_csv_stops(p[0]):
                high |= <uint8_t>p[0]
                p += 1
            stop = p
        if row.count < COLUMNS_MAX:
            row.fields[row.count].text = start
            row.fields[row.count].length = <uint32_t>(stop - start) if stop - start < UINT32_MAX else UINT32_MAX    # then it is too long anyway
            row.doubled |= <uint32_t>doubled << row.count
        row.count += 1
        if p == end:
            if not ended:
                return ROW_MORE
            break
        if p[0] == c',':
            p += 1
            continue
        if p[0] == c'\n':
            p += 1
            break
        if p[0] == c'\r':
            if p + 1 == end and not ended:
                return ROW_MORE
            if p + 1 == end or p[1] != c'\n':
                return ROW_RETURN
            p += 2
            break
        return ROW_NUL if p[0] == 0 else ROW_QUOTE
    row.next = p
    row.empty = row.count == 1 and not quoted and row.fields[0].length == 0
    if p - first > line_max:
        return ROW_LONG
    if high & 0x80 and not is_utf8(<const uint8_t*>first, <const uint8_t*>p):
        return ROW_UTF8
    return ROW_PLAIN


cdef bint is_utf8(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Whether these bytes are UTF-8: no surrogates, nothing longer than it must be, nothing beyond U+10FFFF."""
    cdef uint8_t c, low, high
    cdef int more, i
    while p < end:
        c = p[0]
        p += 1
        if c < 0x80:
            continue
        if c < 0xc2 or c > 0xf4:
            return False
        more = 1 if c < 0xe0 else 2 if c < 0xf0 else 3
        if end - p < more:
            return False
        low = 0xa0 if c == 0xe0 else 0x90 if c == 0xf0 else 0x80
        high = 0x9f if c == 0xed else 0x8f if c == 0xf4 else 0xbf
        if p[0] < low or p[0] > high:
            return False
        for i in range(1, more):
            if p[i] & 0xc0 != 0x80:
                return False
        p += more
    return True


cdef class TextLot:
    def __dealloc__(self):
        free(self.items)
        free(self.lines)

    cdef int add(self, const TextC* subject, const TextC* relation, const TextC* object, uint64_t line) except -1 nogil:
        cdef void* grown
        cdef size_t room
        cdef TextC* item
        if self.count == self.room:
            room = 2 * <size_t>self.room + 256
            grown = realloc(self.items, room * 3 * sizeof(TextC))
            if grown == NULL:
                with gil:
                    raise MemoryError()
            self.items = <TextC*>grown
            grown = realloc(self.lines, room * sizeof(uint32_t))
            if grown == NULL:
                with gil:
                    raise MemoryError()
            self.lines = <uint32_t*>grown
            self.room = <Py_ssize_t>room
        item = &self.items[3 * self.count]
        item[0] = subject[0]
        item[1] = relation[0]
        item[2] = object[0]
        self.lines[self.count] = <uint32_t>line if line < UINT32_MAX else UINT32_MAX
        self.count += 1
        return 0

    def __len__(self):
        return self.count

    def line(self, Py_ssize_t index):
        """The line of the file on which a row begins, from 1."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.lines[index]

    def triple(self, Py_ssize_t index):
        """A row as three texts."""
        cdef const TextC* item
        if not 0 <= index < self.count:
            raise IndexError(index)
        item = &self.items[3 * index]
        return text(item), text(item + 1), text(item + 2)

    def triples(self):
        """All rows as three texts each: for messages and tests."""
        return [self.triple(index) for index in range(self.count)]


cdef str text(const TextC* item):
    return item.text[:item.length].decode("utf-8")


cdef class CsvLines:
    """Iterates over the rows of a CSV file below its header, in lots of at most `lot_max`. `report` takes a FileFault for each bad row.

    file: has `read(n)`, which gives bytes. A header that is not CSV raises its FileFault. Rows are held to the header's number of columns.
    """

    def __init__(self, file, path, report, Py_ssize_t lot_max=_LOT_TUPLES):
        self.file, self.path, self.report, self.lot_max = file, path, report, lot_max
        self.buffer = b""
        self.at = self.end = <const char*>self.buffer
        self.line = 1
        self.subject = self.relation = self.object = -1
        self.header = self.read_header()
        self.columns = len(self.header)

    cdef list read_header(self):
        cdef int kind
        cdef list header = []
        self.fill()
        if self.end - self.at >= 3 and self.at[:3] == b"\xef\xbb\xbf":
            self.at += 3
        while True:
            kind = self.next_row()
            if kind == ROW_MORE:
                if not self.fill():
                    break
            elif kind > ROW_FULL and kind != ROW_COUNT:
                raise self.fault(kind)
            else:
                if self.row.count > COLUMNS_MAX:
                    raise FileFault(self.path, f"has more than {COLUMNS_MAX} columns", self.line)
                header = self.texts()
                self.take()
                break
        return header

    def place(self, int subject, int relation, int object):
        """Say which columns are the names: rows with nothing in the others come in a TextLot."""
        if not (0 <= subject < <int>self.columns and 0 <= relation < <int>self.columns and 0 <= object < <int>self.columns):
            raise IndexError((subject, relation, object))
        self.subject, self.relation, self.object = subject, relation, object

    def __iter__(self):
        return self

    def __next__(self):
        cdef TextLot lot = None
        cdef list rows = []
        cdef Py_ssize_t size = 0
        cdef int kind
        if self.subject < 0:
            self.slow_left = SLOW_ROWS
        while True:
            if self.slow_left:
                kind = self.next_row()
            else:
                if lot is None or lot.buffer is not self.buffer:
                    if lot is not None and lot.count:
                        return lot
                    lot = TextLot()
                    lot.buffer = self.buffer
                with nogil:
                    kind = self.run(lot)
            if kind == ROW_FULL:
                return lot
            if kind == ROW_MORE:
                if lot is not None and lot.count:
                    return lot
                if self.fill():
                    continue
                if rows:
                    return rows
                raise StopIteration
            if kind > ROW_FULL:
                self.refuse(kind)
                continue
            if kind == ROW_OTHER:
                self.slow_left = SLOW_ROWS
                if lot is not None and lot.count:
                    return lot                   # and the row is read once more
            rows.append((self.line, self.texts()))
            size += self.row.next - self.at
            self.take()
            if self.subject >= 0:
                self.slow_left -= 1
            if self.slow_left == 0 or len(rows) == self.lot_max or size >= lot_bytes:
                return rows

    cdef bint fill(self) except -1:
        """Read on, the rest of the buffer before it. False: there is nothing left at all."""
        if self.ended:
            return self.at < self.end
        chunk = self.file.read(CHUNK_BYTES)
        if not isinstance(chunk, bytes):
            raise FileFault(self.path, "is not opened as bytes")
        if not chunk:
            self.ended = True
            return self.at < self.end
        self.buffer = self.at[:self.end - self.at] + chunk
        self.at = <const char*>self.buffer
        self.end = self.at + len(self.buffer)
        return True

    cdef int next_row(self) noexcept nogil:
        """Read the next row that is not empty into `row`; `take` goes past it."""
        cdef int kind
        while self.at < self.end:
            kind = row_read(self.at, self.end, self.ended, &self.row)
            if kind == ROW_MORE and self.end - self.at > line_max:
                return ROW_LONG
            if kind != ROW_PLAIN:
                return kind
            if not self.row.empty:
                return self.kind_of_row()
            self.take()
        return ROW_MORE

    cdef int kind_of_row(self) noexcept nogil:
        cdef uint32_t i
        if self.row.count != self.columns:
            return ROW_COUNT
        if self.row.doubled or self.subject < 0:
            return ROW_OTHER
        for i in range(self.columns):
            if self.row.fields[i].length and <int>i != self.subject and <int>i != self.relation and <int>i != self.object:
                return ROW_OTHER
        return ROW_PLAIN

    cdef int run(self, TextLot lot) except -1 nogil:
        """Plain rows into the lot, until something else comes, which is left in `row`."""
        cdef int kind
        while lot.count < self.lot_max:
            kind = self.next_row()
            if kind != ROW_PLAIN:
                return kind
            lot.add(&self.row.fields[self.subject], &self.row.fields[self.relation], &self.row.fields[self.object], self.line)
            self.take()
        return ROW_FULL

    cdef void take(self) noexcept nogil:
        self.at = self.row.next
        self.line += self.row.line_count

    cdef int refuse(self, int kind) except -1:
        """Report the row at hand and go on behind it: the next row where its end is known, else the next line."""
        self.report(self.fault(kind))
        if kind >= ROW_UTF8:
            self.take()
        else:
            self.skip_line()
        return 0

    cdef object fault(self, int kind):
        if kind == ROW_COUNT:
            why = f"has {self.row.count} values in a row under {self.columns} columns"
        elif kind == ROW_LONG:
            why = f"has a row longer than {line_max:,} bytes, or a quote that is not closed"
        else:
            why = {
                ROW_NUL: "has a NUL in a row",
                ROW_RETURN: "has a carriage return without a line feed",
                ROW_QUOTE: "has text behind a closing quote",
                ROW_OPEN: "has a quote that is not closed",
                ROW_UTF8: "has a row that is not UTF-8",
            }[kind]
        return FileFault(self.path, why, self.line)

    cdef int skip_line(self) except -1:
        cdef const char* found
        while True:
            found = <const char*>memchr(self.at, c'\n', self.end - self.at)
            if found != NULL:
                self.at = found + 1
                self.line += 1
                return 0
            self.at = self.end
            if not self.fill():
                return 0

    cdef list texts(self):
        """The fields of the row as texts."""
        cdef list found = []
        cdef uint32_t i
        for i in range(self.row.count):
            field = text(&self.row.fields[i])
            found.append(field.replace('""', '"') if self.row.doubled >> i & 1 else field)
        return found
