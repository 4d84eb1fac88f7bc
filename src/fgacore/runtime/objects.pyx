"""See objects.pxd."""

from array import array

import numpy
import pyroaring

from fgacore.errors import RequestError
from fgacore.kernel.names cimport NameC, names_find
from fgacore.results import Ids
from fgacore.runtime.clock import moment_of

cdef object EMPTY = numpy.empty(0, numpy.uint32)

cdef enum:
    OWN_FROM = 0x80000000U       # ids of names that only a call knows


cdef ObjectSet object_set(
        Names names, uint16_t symbol, dict own, object ids, str subject, str relation, str type, uint64_t revision, int64_t micros):
    """A set of ids, a rising uint32 array that is the set's from here on."""
    cdef ObjectSet out = ObjectSet.__new__(ObjectSet)
    out.names, out.symbol, out.own, out.micros = names, symbol, own, micros
    out.array = ids
    out.subject, out.relation, out.type = subject, relation, type
    out.revision = revision
    out.generation = names.generation
    return out


cdef bint same_ids(Names a, Names b) noexcept:
    """Whether ids mean the same in both: the names of a store are replaced within a generation too."""
    return a is b or (a.generation == b.generation and a.store == b.store)


cdef class ObjectSet:
    """Objects of one type on which a subject holds a relation, at one revision and instant. Immutable.

    `ids` are the objects' dense ids within their type, rising, uint32, not to be written to; they belong to the store's generation. An object that only
    the contextual tuples of the call know has an id from 2**31 on, which means nothing elsewhere.
    """

    def __init__(self):
        raise TypeError("an ObjectSet is what list_objects returns")

    @property
    def instant(self):
        """The instant of the list, a datetime in UTC."""
        return moment_of(self.micros)

    @property
    def undetermined(self):
        """The objects whose answer hangs on a condition that failed: empty, unless the list was asked to report them."""
        if self.rest is not None:
            return self.rest
        return self.with_ids(EMPTY) if len(self.array) else self

    @property
    def ids(self):
        """The ids, rising, not to be written to."""
        return Ids.of(self.array, self.generation)

    @property
    def bitmap(self):
        """The ids as a roaring bitmap, the same object each time: a copy of yours is `BitMap(s.bitmap)`."""
        if self.roaring is None:
            self.roaring = pyroaring.BitMap(array("I", self.array.tobytes()))      # what it reads fastest
        return self.roaring

    def to_list(self):
        """The names, `type:id`, in rising order of the ids."""
        if not self.own:
            return self.names.texts(self.symbol, self.array)
        known = int(numpy.searchsorted(self.array, numpy.uint32(<uint32_t>OWN_FROM)))
        return self.names.texts(self.symbol, self.array[:known]) + [self.own[int(id)] for id in self.array[known:]]

    def _names_beyond(self, ObjectSet other not None):
        """The names of what is here and not in another set of the type, which may be of another revision."""
        return self.with_ids(numpy.setdiff1d(self.array, other.array, assume_unique=True)).to_list()

    def __len__(self):
        return len(self.array)

    def __iter__(self):
        return iter(self.to_list())

    def __contains__(self, name):
        cdef const NameC* entry
        if not isinstance(name, str):
            return False
        if self.own:
            for id, text in self.own.items():
                if text == name:
                    return id in self.bitmap
        try:
            encoded = name.encode()
        except UnicodeEncodeError:
            return False
        entry = names_find(&self.names.c, encoded, <uint32_t>len(encoded)) if 0 < len(encoded) < 65536 else NULL
        return entry != NULL and entry.type == self.symbol and entry.id in self.bitmap

    def __eq__(self, other):
        cdef ObjectSet set
        if not isinstance(other, ObjectSet):
            return NotImplemented
        set = other
        if self.type != set.type or not same_ids(self.names, set.names):
            return False
        return self.to_list() == set.to_list() if self.own or set.own else bool(numpy.array_equal(self.array, set.array))

    __hash__ = None

    cdef ObjectSet with_ids(self, object ids):
        return object_set(self.names, self.symbol, self.own, ids, self.subject, self.relation, self.type, self.revision, self.micros)

    cdef ObjectSet combined(self, object other, object combine):
        cdef ObjectSet set
        if not isinstance(other, ObjectSet):
            raise TypeError("an ObjectSet is combined with another")
        set = other
        if not same_ids(self.names, set.names) or self.type != set.type or self.revision != set.revision:
            raise RequestError("the sets are of different stores, types, generations or revisions", code="sets_differ")
        if (self.own or set.own) and self.own is not set.own:
            raise RequestError("a set over contextual tuples has names of its own: combine the names", code="sets_differ")
        return self.with_ids(combine(self.array, set.array).astype(numpy.uint32))

    def __or__(self, other):
        return self.combined(other, numpy.union1d)

    def __and__(self, other):
        return self.combined(other, lambda a, b: numpy.intersect1d(a, b, assume_unique=True))

    def __sub__(self, other):
        return self.combined(other, lambda a, b: numpy.setdiff1d(a, b, assume_unique=True))

    def __xor__(self, other):
        return self.combined(other, lambda a, b: numpy.setxor1d(a, b, assume_unique=True))

    def __repr__(self):
        more = f", {len(self.rest)} undetermined" if self.rest is not None else ""
        return f"<ObjectSet of {len(self)} {self.type} that {self.subject} is {self.relation} of{more}, revision {self.revision}>"
