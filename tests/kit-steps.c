/* SPDX-License-Identifier: MIT
 *
 * kit-steps.c - PTRACE_SINGLESTEP, and a copy of the shared words that is compared with them after
 * each step.
 *
 * Entry points: kit-steps.h.  See also: engine/layout.h.
 */
#include "config.h"

#include "kit-steps.h"

#include "kit.h"

#include "chunk.h"
#include "layout.h"
#include "pool.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* How much of each table is looked at: a story has few processes and small volumes. */
enum { MEMBERS = 16, READERS = 128, SLOTS = 4, WORDS = 4 * 64, HINTS = 1024, RANGES = 6 + SLOTS,
       COPY_BYTES = 64 * 1024 };

struct range {
    enum step_what what; /* of the table that it is */
    const char *at;
    uint32_t index; /* of a slot */
    size_t bytes;
    char *copy;
};

static struct range ranges[RANGES];
static unsigned nr_ranges;
static char copies[COPY_BYTES];
static size_t copied;
static uint64_t taken;

/* Where each step began. */
enum { LOG = 1 << 20 };
static uint64_t log_of_steps[LOG];

/* What lies at an address, of those seen last. */
enum { KNOWN = 1 << 14 };
static struct known {
    uint64_t address, behind;
    enum kind {
        PLAIN = 1,
        CALL,    /* a system call */
        REPEATS, /* a string instruction, which would be as many steps as it has bytes */
    } kind;
} known[KNOWN];

static void add(enum step_what what, uint32_t index, const void *at, size_t bytes)
{
    EXPECT(nr_ranges < RANGES && copied + bytes <= sizeof copies);
    ranges[nr_ranges++] = (struct range){ what, at, index, bytes & ~(size_t)7, copies + copied };
    copied += bytes & ~(size_t)7;
}

/* What others have changed is not told. */
static void look_away(void)
{
    for (unsigned i = 0; i < nr_ranges; i++)
        memcpy(ranges[i].copy, ranges[i].at, ranges[i].bytes);
}

static void watch(struct hugelite_pool *pool)
{
    uint32_t words = pool->nr_words < WORDS ? pool->nr_words : WORDS;
    size_t header = offsetof(struct hl_control, words_at) + 8;
    const char *hints = (const char *)(pool->tickets + pool->nr_tickets);
    size_t behind = (size_t)((const char *)pool->words - hints);

    nr_ranges = 0;
    copied = 0;
    add(STEP_WORD, 0, pool->words, words * sizeof *pool->words);
    add(STEP_TICKET, 0, pool->tickets, pool->nr_tickets * sizeof *pool->tickets);
    add(STEP_FIELD, 0, hints, behind < HINTS ? behind : HINTS);
    add(STEP_OWNER, 0, pool->readers, READERS * sizeof *pool->readers);
    add(STEP_MEMBER, 0, pool->members, MEMBERS * sizeof *pool->members);
    add(STEP_FIELD, 0, (char *)pool->control + header, sizeof *pool->control - header);
    /* Neither the counters nor the times of use: to die there is to die before or behind. */
    for (uint32_t i = 0; i < SLOTS; i++)
        add(STEP_SLOT, i, &pool->slots[i], offsetof(struct hl_slot, used_ns));
    look_away();
}

static void name_reader(struct step_change *change, size_t at)
{
    size_t in = at % sizeof(struct hl_reader);

    change->index = (uint32_t)(at / sizeof(struct hl_reader));
    change->what = in >= offsetof(struct hl_reader, pins) ? STEP_PIN
                   : in == offsetof(struct hl_reader, owner) ? STEP_OWNER
                                                              : STEP_VOLUME;
}

static void name_slot(struct step_change *change, size_t at)
{
    if (at == offsetof(struct hl_slot, scout))
        change->what = STEP_SCOUT;
    else if (at != offsetof(struct hl_slot, state))
        change->what = STEP_FIELD;
}

/* The first word that is not what it was. */
static bool find_change(struct step_change *ret_change)
{
    for (unsigned i = 0; i < nr_ranges; i++) {
        struct range *range = &ranges[i];
        size_t at = 0;

        if (memcmp(range->copy, range->at, range->bytes) == 0)
            continue;
        while (at < range->bytes && memcmp(range->copy + at, range->at + at, 8) == 0)
            at += 8;
        if (at == range->bytes)
            continue; /* back again, by another process */
        *ret_change = (struct step_change){ range->what, range->index, 0, 0 };
        memcpy(&ret_change->from, range->copy + at, 8);
        memcpy(&ret_change->to, range->at + at, 8);
        memcpy(range->copy + at, &ret_change->to, 8);
        switch (range->what) {
        case STEP_OWNER:
            name_reader(ret_change, at);
            break;
        case STEP_SLOT:
            name_slot(ret_change, at);
            break;
        case STEP_MEMBER:
            ret_change->index = (uint32_t)(at / sizeof(struct hl_member));
            break;
        default:
            ret_change->index = (uint32_t)(at / 8);
        }
        return true;
    }
    return false;
}

/* ---- the processor --------------------------------------------------------- */

#if defined(__x86_64__)

static uint64_t get_register(pid_t pid, size_t at)
{
    return (uint64_t)ptrace(PTRACE_PEEKUSER, pid, at, NULL);
}

#define REGISTER(pid, name) get_register(pid, offsetof(struct user_regs_struct, name))

void requires_steps(void)
{
    pid_t pid;
    int status;

    if (TEST_SANITIZED)
        test_skip("to step through a sanitizer's own code, too, would take minutes");
    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (status)
        test_skip("ptrace is refused here: %s", strerror(WEXITSTATUS(status)));
}

/* A breakpoint of the processor's, which is this thread's alone; 0: none. */
static void set_breakpoint(pid_t pid, uint64_t address)
{
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), address), 0);
    EXPECT_EQ(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), address != 0), 0);
}

/* The instruction at an address, and where it ends when it repeats. */
static enum kind kind_of(pid_t pid, uint64_t address, uint64_t *ret_behind)
{
    uint64_t bytes = (uint64_t)ptrace(PTRACE_PEEKTEXT, pid, address, NULL);
    bool wide = (bytes & 0xffff) == 0x48f3; /* rep, on eight bytes each */
    uint64_t code = bytes >> (wide ? 16 : 8) & 0xfe;

    *ret_behind = address + (wide ? 3 : 2);
    if ((bytes & 0xff) == 0xf3 && (code == 0xa4 || code == 0xaa)) /* movs, stos */
        return REPEATS;
    return (bytes & 0xffff) == 0x050f ? CALL : PLAIN;
}

static uint64_t address_of(pid_t pid)
{
    return REGISTER(pid, rip);
}

static uint32_t call_of(pid_t pid, uint64_t *ret_argument)
{
    *ret_argument = REGISTER(pid, rsi);
    return (uint32_t)REGISTER(pid, rax);
}

static uint64_t result_of(pid_t pid)
{
    return REGISTER(pid, rax);
}

#else

/* Elsewhere a step may break the pair of instructions that an atomic operation is. */
void requires_steps(void)
{
    test_skip("stepping through instructions is written for x86-64");
}

static void set_breakpoint(pid_t pid, uint64_t address)
{
    (void)pid;
    (void)address;
}

static enum kind kind_of(pid_t pid, uint64_t address, uint64_t *ret_behind)
{
    (void)pid;
    *ret_behind = address;
    return PLAIN;
}

static uint64_t address_of(pid_t pid)
{
    return (uint64_t)pid;
}

static uint32_t call_of(pid_t pid, uint64_t *ret_argument)
{
    *ret_argument = 0;
    return (uint32_t)pid;
}

static uint64_t result_of(pid_t pid)
{
    return (uint64_t)pid;
}

#endif

/* All children are forks of one program, whose code stays as it is. */
static const struct known *know(pid_t pid, uint64_t address)
{
    struct known *at = &known[address % KNOWN];

    if (!at->kind || at->address != address) {
        at->address = address;
        at->kind = kind_of(pid, address, &at->behind);
    }
    return at;
}

/* ---- stepping ------------------------------------------------------------- */

static cpu_set_t wherever;

/* Both on one processor: the two are never at work at once, and another one would have to be woken
 * at each step.  The child's other threads, and all other processes, are where they like. */
static void come_together(pid_t pid)
{
    cpu_set_t here;
    int cpu = sched_getcpu();

    EXPECT(cpu >= 0);
    EXPECT_EQ(sched_getaffinity(0, sizeof wherever, &wherever), 0);
    CPU_ZERO(&here);
    CPU_SET(cpu, &here);
    EXPECT_EQ(sched_setaffinity(0, sizeof here, &here), 0);
    EXPECT_EQ(sched_setaffinity(pid, sizeof here, &here), 0);
}

struct told {
    void (*run)(void *arg);
    void *arg;
};

static void run_told(void *arg)
{
    struct told told = *(struct told *)arg;

    EXPECT_EQ(ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
    told.run(told.arg);
    test_fail(__FILE__, __LINE__, "it came to its end without a second mark");
}

pid_t steps_fork(void (*run)(void *arg), void *arg)
{
    struct told told = { run, arg };

    return kit_fork(run_told, &told);
}

/* One system call, by which it is known. */
void steps_mark(void)
{
    pid_t me = getpid();

    kill(me, SIGSTOP);
}

/* Is it at a mark?  Any other stop is that of a step. */
static bool await_stop(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, __WALL) < 0)
        EXPECT_EQ(errno, EINTR);
    if (!WIFSTOPPED(status))
        test_fail(__FILE__, __LINE__, "the child that is stepped through has ended: status %x",
                  (unsigned)status);
    if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP)
        test_fail(__FILE__, __LINE__, "the child that is stepped through has got signal %d",
                  WSTOPSIG(status));
    return WSTOPSIG(status) == SIGSTOP;
}

/* Let it go on, by one instruction or to the breakpoint.  False when it has come to a mark. */
static bool go(pid_t pid, bool to_breakpoint)
{
    EXPECT_EQ(ptrace(to_breakpoint ? PTRACE_CONT : PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    return !await_stop(pid);
}

void steps_begin(pid_t pid, struct hugelite_pool *pool)
{
    EXPECT(await_stop(pid));
    EXPECT_EQ(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_EXITKILL), 0);
    taken = 0;
    watch(pool);
    come_together(pid);
}

void steps_end(pid_t pid)
{
    kit_kill(pid);
    EXPECT_EQ(sched_setaffinity(0, sizeof wherever, &wherever), 0);
}

bool steps_next(pid_t pid, struct step_change *ret_change)
{
    uint64_t address, argument = 0;
    const struct known *code;
    uint32_t number = 0;

    do {
        address = address_of(pid);
        code = know(pid, address);
        EXPECT(taken < LOG);
        log_of_steps[taken++] = address;
        if (code->kind == CALL)
            number = call_of(pid, &argument);
        if (code->kind == REPEATS)
            set_breakpoint(pid, code->behind);
        look_away();
        if (!go(pid, code->kind == REPEATS) || (code->kind == CALL && number == SYS_kill))
            return false;
        if (code->kind == REPEATS)
            set_breakpoint(pid, 0);
        if (code->kind == CALL) {
            *ret_change = (struct step_change){ STEP_CALL, number, argument, result_of(pid) };
            return true;
        }
    } while (!find_change(ret_change));
    return true;
}

struct step_place steps_place(pid_t pid, uint64_t since)
{
    struct step_place place = { address_of(pid), 1 };

    for (uint64_t i = since + 1; i < taken; i++)
        place.arrivals += log_of_steps[i] == place.address;
    return place;
}

bool steps_run_to(pid_t pid, const struct step_place *place)
{
    set_breakpoint(pid, place->address);
    for (unsigned i = 0; i < place->arrivals; i++)
        if (!go(pid, true))
            return false;
    set_breakpoint(pid, 0);
    return true;
}

bool steps_skip(pid_t pid, uint64_t nr)
{
    while (nr--)
        if (!go(pid, false))
            return false;
    return true;
}

uint64_t steps_taken(void)
{
    return taken;
}

/* ---- words for it --------------------------------------------------------- */

static const char *name_of_word(uint64_t word, char text[64])
{
    static const char *const states[] = { "EMPTY", "FILLING", "RESIDENT", "EVICTING" };

    snprintf(text, 64, "%s%s%s%s%s%s", states[hl_chunk_state(word)],
             word & HL_CHUNK_WAITERS ? "+WAITERS" : "",
             word & HL_CHUNK_REFERENCED ? "+REFERENCED" : "",
             word & HL_CHUNK_FAILED ? "+FAILED" : "",
             word & HL_CHUNK_DOOMED ? "+DOOMED" : "", word & HL_CHUNK_AHEAD ? "+AHEAD" : "");
    return text;
}

const char *steps_describe(const struct step_change *change, char *text, size_t room)
{
    static const char *const names[] = {
        "call", "chunk", "ticket", "member", "reader", "reader's volume", "pins of reader", "slot",
        "scout of slot", "field",
    };
    char from[64], to[64];

    if (change->what == STEP_WORD)
        snprintf(text, room, "chunk %u: %s -> %s", change->index, name_of_word(change->from, from),
                 name_of_word(change->to, to));
    else if (change->what == STEP_CALL)
        snprintf(text, room, "system call %u (%llx) = %lld", change->index,
                 (unsigned long long)change->from, (long long)change->to);
    else
        snprintf(text, room, "%s %u: %llx -> %llx", names[change->what], change->index,
                 (unsigned long long)change->from, (unsigned long long)change->to);
    return text;
}
