"""The gate: how threads that ask batches at the same time share the GIL. Only spins and flags; it locks nothing and decides nothing.

Waking a thread that sleeps for the GIL takes longer than a batch. So a thread that comes out of its batch would take the GIL back before the other is
awake, and the two would run one after the other. Here it spins for some microseconds instead: until another that is awaited has begun its batch, and
while another has the GIL between two batches. Nothing is awaited where no other thread asked lately; patience halves where it was in vain.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from * nogil:
    """
    #include <time.h>
    typedef struct {
        int32_t held;          /* a thread has the GIL between two batches, or before its first */
        int32_t patience;      /* spins for one that is awaited, at most GATE_PATIENCE */
        uint64_t entries;      /* batches begun */
        unsigned long thread;  /* that began the last one */
        int64_t changed;       /* when that was last another thread, nanoseconds; 0: never */
    } GateC;
    enum { GATE_PATIENCE = 2048, GATE_LATELY = 20000000 };    /* pauses, some 40 microseconds; 20 milliseconds, four of the interpreter's turns */
    static inline int64_t fga_gate_now(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    }
    static inline void fga_gate_pause(void) {
    #if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
    #elif defined(__aarch64__)
        __asm__ __volatile__("yield");
    #endif
    }
    /* A batch begins, under the GIL: its number. */
    static inline uint64_t fga_gate_enter(GateC *gate) {
        unsigned long thread = PyThread_get_thread_ident();
        if (thread != gate->thread) {
            if (gate->thread) gate->changed = fga_gate_now();
            gate->thread = thread;
        }
        __atomic_store_n(&gate->held, 1, __ATOMIC_RELEASE);
        __atomic_store_n(&gate->entries, gate->entries + 1, __ATOMIC_RELEASE);
        return gate->entries;
    }
    /* The GIL is about to be let go for the batch's work, */
    static inline void fga_gate_leave(GateC *gate) { __atomic_store_n(&gate->held, 0, __ATOMIC_RELEASE); }
    /* the work is done and the GIL wanted back, */
    static inline void fga_gate_wait(GateC *gate, uint64_t entry) {
        int32_t limit, n;
        if (!gate->changed || fga_gate_now() - gate->changed > GATE_LATELY) return;
        limit = __atomic_load_n(&gate->patience, __ATOMIC_RELAXED);
        for (n = 0; n < limit && __atomic_load_n(&gate->entries, __ATOMIC_ACQUIRE) == entry && !__atomic_load_n(&gate->held, __ATOMIC_ACQUIRE); n++)
            fga_gate_pause();
        if (n == limit && limit > 32) __atomic_store_n(&gate->patience, limit / 2, __ATOMIC_RELAXED);
        else if (n < limit && limit < GATE_PATIENCE) __atomic_store_n(&gate->patience, limit * 2, __ATOMIC_RELAXED);
        for (n = 0; n < GATE_PATIENCE && __atomic_load_n(&gate->held, __ATOMIC_ACQUIRE); n++) fga_gate_pause();
    }
    /* and there it is: `held` stays until this thread, or another, lets it go for its next batch; who waits in vain waits GATE_LATELY at most. */
    static inline void fga_gate_return(GateC *gate) { __atomic_store_n(&gate->held, 1, __ATOMIC_RELEASE); }
    """
    ctypedef struct GateC:
        int32_t patience
    enum: GATE_PATIENCE
    uint64_t fga_gate_enter(GateC* gate)
    void fga_gate_leave(GateC* gate)
    void fga_gate_wait(GateC* gate, uint64_t entry)
    void fga_gate_return(GateC* gate)
