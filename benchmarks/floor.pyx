# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The floor: the least work that answers the three shapes of `scenarios/shapes.py` when asked from Python.

No engine: a shape is known beforehand, the data cannot change, every name is a key of one dict, groups are closed over when it is made.
What is left is two look-ups of names and one search of sorted numbers. fgacore's times are quoted as multiples of this one's.
"""
from array import array

from cpython.dict cimport PyDict_GetItemWithError
from cpython.list cimport PyList_GET_ITEM
from cpython.long cimport PyLong_AsLong
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM
from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    DIRECT, GROUPS, FOLDERS


cdef struct RunsC:
    const uint32_t* at  # of each number: where its run begins; that of the next is where it ends
    const uint32_t* values  # the runs, each sorted


cdef inline bint run_has(const uint32_t* first, const uint32_t* last, uint32_t wanted) noexcept nogil:
    cdef const uint32_t* middle
    while last - first > 8:  # below, looking at each is faster
        middle = first + (last - first) // 2
        if middle[0] <= wanted:
            first = middle
        else:
            last = middle
    while first < last:
        if first[0] == wanted:
            return True
        first += 1
    return False


cdef inline bint runs_meet(const uint32_t* a, const uint32_t* a_last, const uint32_t* b, const uint32_t* b_last) noexcept nogil:
    cdef uint32_t x, y
    while a < a_last and b < b_last:
        x = a[0]
        y = b[0]
        if x == y:
            return True
        a += x < y  # no branch to guess
        b += y < x
    return False


cdef RunsC runs_of(list keep, list sets):
    """Lists of numbers as one flat array; `keep` holds the memory."""
    at, values = array("I", [0]), array("I")
    for numbers in sets:
        values.extend(sorted(numbers))
        at.append(len(values))
    values.append(0)  # never empty
    cdef RunsC runs
    cdef uint32_t[::1] at_view = at, values_view = values
    runs.at = &at_view[0]
    runs.values = &values_view[0]
    keep += [at, values]
    return runs


cdef class Floor:
    """One of the three shapes, read-only. Owns its arrays through `keep`. Numbers begin with 1; 0 is no name."""

    cdef dict numbers
    cdef list keep
    cdef int shape
    cdef RunsC shown  # an object to those it is granted to, itself alone
    cdef RunsC held  # a user to what it is granted: groups, closed over (GROUPS), or folders and documents (FOLDERS)
    cdef const uint32_t* parent  # of a document or a folder; 0 for a root

    def __init__(self, str shape, tuples):
        self.shape = {"direct": DIRECT, "groups": GROUPS, "folders": FOLDERS}[shape]
        self.numbers, self.keep = {}, []
        parents, above, shown, held = {}, {}, {}, {}
        for subject, relation, object in tuples:
            s = self.number(subject.removesuffix("#member"))
            o = self.number(object)
            if relation == "parent":
                parents[o] = s
            elif relation == "member":
                above.setdefault(s, []).append(o)
            elif self.shape == FOLDERS:
                held.setdefault(s, []).append(o)
            else:
                shown.setdefault(o, []).append(s)
        if self.shape == GROUPS:
            groups = set().union(*above.values())
            held = {s: closed(above, s) for s in above if s not in groups}
        count = len(self.numbers) + 1
        self.shown = runs_of(self.keep, [shown.get(number, ()) for number in range(count)])
        self.held = runs_of(self.keep, [held.get(number, ()) for number in range(count)])
        numbers = array("I", [parents.get(number, 0) for number in range(count)])
        cdef uint32_t[::1] view = numbers
        self.parent = &view[0]
        self.keep.append(numbers)

    def number(self, str name):
        return self.numbers.setdefault(name, len(self.numbers) + 1)

    cdef inline bint allowed(self, uint32_t s, uint32_t o) noexcept nogil:
        cdef const uint32_t* first
        cdef const uint32_t* last
        if self.shape == DIRECT:
            return run_has(self.shown.values + self.shown.at[o], self.shown.values + self.shown.at[o + 1], s)
        first = self.held.values + self.held.at[s]
        last = self.held.values + self.held.at[s + 1]
        if self.shape == GROUPS:
            return runs_meet(first, last, self.shown.values + self.shown.at[o], self.shown.values + self.shown.at[o + 1])
        while o:
            if run_has(first, last, o):
                return True
            o = self.parent[o]
        return False

    cdef inline uint32_t find(self, PyObject* name) except? 0xFFFFFFFF:
        cdef PyObject* number = PyDict_GetItemWithError(self.numbers, <object>name)
        return 0 if number == NULL else <uint32_t>PyLong_AsLong(<object>number)

    def check(self, str subject, str relation, str object):
        return self.allowed(self.find(<PyObject*>subject), self.find(<PyObject*>object))

    def check_objects(self, str subject, str relation, list objects):
        cdef Py_ssize_t i, count = len(objects)
        cdef uint32_t s = self.find(<PyObject*>subject)
        cdef list answers = [False] * count
        for i in range(count):
            if self.allowed(s, self.find(PyList_GET_ITEM(objects, i))):
                answers[i] = True
        return answers

    def batch_check(self, list questions):
        cdef Py_ssize_t i, count = len(questions)
        cdef PyObject* question
        cdef list answers = [False] * count
        for i in range(count):
            question = PyList_GET_ITEM(questions, i)
            if self.allowed(self.find(PyTuple_GET_ITEM(<object>question, 0)), self.find(PyTuple_GET_ITEM(<object>question, 2))):
                answers[i] = True
        return answers

    def check_ids(self, uint32_t subject, const uint32_t[::1] objects, uint8_t[::1] answers):
        cdef Py_ssize_t i
        with nogil:
            for i in range(objects.shape[0]):
                answers[i] = self.allowed(subject, objects[i])


def closed(above, start):
    """Everything above `start`, by whatever way."""
    found, open_ = set(), [start]
    while open_:
        for higher in above.get(open_.pop(), ()):
            if higher not in found:
                found.add(higher)
                open_.append(higher)
    return found
