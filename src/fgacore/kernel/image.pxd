"""The image of a version: names and tables as sections of bytes, which can be mapped and read where they lie. Bytes in, bytes out, no file.

  names.arena    entries as kernel/names.pxd has them (id, type, length, text), each filled with zeros to whole units of 8 bytes; the first unit is empty
  names.slots    64 bits each: the high half of the hash << 32 | place of the entry, in units; 0 is free, and at least one is
  names.places   number of types and of names, 32 bits each; for each type its ids and where its places begin; then the places, 32 bits each
  sets           what a side's base is made of: pages, offsets, words and 16 spare words of zeros, each aligned to 64 bytes
  sides          SideEntryC for the forward and the reverse side of each table, in the order of the tables; all zeros: an empty side
  grants         GrantEntryC and the context's msgpack, one after the other, without gaps

All little-endian. Ids and places are those of the store's generation; the hash is under the store's seed, which is not in the image.

INVARIANT (an image is safe, whatever its bytes): what is followed without a look at use is checked when the image is opened: directories, pages, offsets.
Places of names and headers of large sets are checked at use. Ids in sets may be any: they are compared, or looked up within bounds.
Whether the bytes are those that were written, only their checksums say (store/snapshot.py).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef struct SideEntryC:          # 48 bytes
    uint64_t pages               # offset in the section `sets`, bytes
    uint64_t offsets
    uint64_t words
    uint64_t word_count          # without the spare ones
    uint64_t tuple_count         # of the table: the same on both sides
    uint32_t page_count
    uint32_t set_count

cdef struct GrantEntryC:         # 24 bytes
    uint32_t table
    uint32_t object
    uint32_t subject
    uint32_t size                # of the context that follows; 0: none
    int64_t expires              # microseconds since the epoch, or NEVER

cdef struct TypeEntryC:          # 8 bytes
    uint32_t count               # ids
    uint32_t first               # where its places begin
