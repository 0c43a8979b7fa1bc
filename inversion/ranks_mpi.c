/* SPDX-License-Identifier: MIT */
/* The ranks of `make MPI=1`. Rank 0 is in the middle of a star: what the others compute goes to it, and what
   they need comes from it.

   Two threads of a process call MPI, never both at once (`lock`). The thread that computes exchanges data
   through the communicator `work`. The other one, keep_in_touch, only says that this process lives, and
   listens to what the others say, through the communicator `life`. Nobody waits within MPI, where a process
   could not notice that another one has ended: each wait asks again and again, and sleeps in between. */
#define _GNU_SOURCE /* sched_getaffinity, RUSAGE_THREAD */
#include "inversion/ranks.h"

#include "io/system.h"
#include "io/text.h"

#include <limits.h>
#include <math.h>
#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* The tags of messages in `life` and in `work`. */
enum { BEAT, FAILED, BYE };
enum { FACTS, VERDICT, SIZE, PIECE, TASK, ROWS };
enum { TEXT = 500, PIECE_BYTES = 16 << 20 };

/* In seconds: how often a rank says that it lives; after how long a silence it is lost, and how long that is
   after a signal, since mpirun kills all ranks one second after it; how long a rank may compute nothing, and
   how long rank 0 may, which also waits for its disk when it writes. */
static const double EVERY = 0.1, SILENT = 8, SILENT_AFTER_SIGNAL = 0.5, IDLE = 10, IDLE_FIRST = 30;

typedef struct {
    double idle;     /* the seconds for which the sender has computed nothing */
    char text[TEXT]; /* of FAILED: the message */
} Sign;

typedef struct {
    char host[MPI_MAX_PROCESSOR_NAME];
    double heard;     /* when its last sign came */
    double idle;      /* of this sign */
    atomic_bool left; /* whether it has said BYE */
    Sign sign;        /* the last one that was sent to it */
    MPI_Request sending;
} Peer;

typedef struct {
    void *at;
    size_t bytes;
} Room;

/* Global, as MPI itself is. */
static struct {
    int own, count, on_cores;
    bool joined; /* whether MPI_Init was called */
    MPI_Comm work, life;
    int (*stop)(void);
    pthread_mutex_t lock;
    pthread_t thread;
    Peer *peers; /* [count]; only rank 0 talks to all */
    atomic_bool quit;
    atomic_bool waiting; /* whether this process has nothing to compute */
    atomic_bool over;    /* whether a rank is lost, or rank 0 has said BYE */
    double signalled;    /* when the signal came, or 0 */
    int lost;            /* a rank, or -1 */
    char why[TEXT];
    bool silent; /* whether the lost rank cannot be asked to end */
    struct {
        double when, processor;
        long reads;
    } progress; /* the last sign of work in this process */
    /* These are not freed while MPI may still write to them. */
    Room in, out;
    MPI_Request *requests; /* [count] */
    struct {
        char *path;
        File file;
    } ahead[4];
    int files;
} ranks = { .count = 1, .on_cores = 1, .lost = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

int ranks_count(void) { return ranks.count; }
int ranks_own(void) { return ranks.own; }
int ranks_on_cores(void) { return ranks.on_cores; }

static void nap(double seconds) { nanosleep(&(struct timespec) { .tv_nsec = (long)(seconds * 1e9) }, NULL); }

static bool signalled(void) { return ranks.stop && ranks.stop(); }

bool ranks_go_on(void) { return ranks.count == 1 || (!ranks.over && !(ranks.own == 0 && signalled())); }

static void *room(Room *r, size_t bytes) {
    if (r->bytes < bytes) *r = (Room) { mem_grow(r->at, bytes), bytes };
    return r->at;
}

/* The thread that keeps in touch */

static double processor_seconds(const struct rusage *u) {
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           1e-6 * (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

/* Returns for how many seconds the other threads of this process have had something to compute, but neither
   computed nor read anything. */
static double idle_seconds(double now) {
    struct rusage all, this_thread;
    getrusage(RUSAGE_SELF, &all);
    getrusage(RUSAGE_THREAD, &this_thread);
    double processor = processor_seconds(&all) - processor_seconds(&this_thread);
    long reads = all.ru_majflt + all.ru_inblock + all.ru_oublock;
    if (ranks.waiting || processor > ranks.progress.processor + 0.002 || reads != ranks.progress.reads) {
        ranks.progress.when = now;
        ranks.progress.processor = processor;
        ranks.progress.reads = reads;
    }
    return now - ranks.progress.when;
}

/* Sends a sign, unless the last one to this rank is still on its way. Returns whether it was sent. */
static bool send_sign(int rank, int tag, Sign sign) {
    Peer *p = &ranks.peers[rank];
    int sent;
    MPI_Test(&p->sending, &sent, MPI_STATUS_IGNORE);
    if (!sent) return false;
    p->sign = sign;
    size_t bytes = tag == FAILED ? sizeof sign : offsetof(Sign, text);
    MPI_Isend(&p->sign, (int)bytes, MPI_BYTE, rank, tag, ranks.life, &p->sending);
    return true;
}

/* Names a rank that does not answer, and at once: where mpirun has noticed as well, it may kill this process
   before the run is saved. */
static void name_lost(int rank, const char *why) {
    fprintf(stderr, "%sti: rank %d on %s %s%s\n", isatty(STDERR_FILENO) ? "\n" : "", rank,
            ranks.peers[rank].host, why,
            rank == 0 ? "; the run is as it was last saved (--resume continues it)" : "");
}

static void lose(int rank, bool silent, const char *why) {
    if (ranks.lost >= 0 || ranks.over) return;
    if (silent) name_lost(rank, why);
    ranks.lost = rank;
    ranks.silent = silent;
    snprintf(ranks.why, sizeof ranks.why, "%.*s", text_cut(why, TEXT - 1), why);
    ranks.over = true;
}

static void receive_signs(double now) {
    for (int there = 1; there;) {
        MPI_Status status;
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, ranks.life, &there, &status);
        if (!there) return;
        Sign sign;
        MPI_Recv(&sign, sizeof sign, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, ranks.life,
                 MPI_STATUS_IGNORE);
        Peer *p = &ranks.peers[status.MPI_SOURCE];
        p->heard = now;
        if (status.MPI_TAG == BEAT) p->idle = sign.idle;
        if (status.MPI_TAG == FAILED) lose(status.MPI_SOURCE, false, sign.text);
        if (status.MPI_TAG == BYE) p->left = true;
        if (status.MPI_TAG == BYE && ranks.own > 0) ranks.over = true;
    }
}

/* Loses a rank that gives no sign of life, or that says that it computes nothing. Without rank 0 nothing can
   be done or saved any more; the other ranks leave it to rank 1 to say so, if it can. */
static void judge(int rank, double now) {
    const Peer *p = &ranks.peers[rank];
    double silence = now - fmax(p->heard, ranks.signalled);
    double limit = (ranks.signalled > 0 ? SILENT_AFTER_SIGNAL : SILENT) + (ranks.own > 1 ? 2 : 0);
    if (p->left) return;
    char why[TEXT];
    if (silence > limit) {
        snprintf(why, sizeof why, "has ended or hangs: it has not answered for %.1f seconds", now - p->heard);
        lose(rank, true, why);
    } else if (p->idle > (rank == 0 ? IDLE_FIRST : IDLE)) {
        snprintf(why, sizeof why, "hangs: it has computed nothing for %.0f seconds (its disk?)", p->idle);
        lose(rank, true, why);
    }
    if (ranks.own > 0 && ranks.lost == rank) MPI_Abort(MPI_COMM_WORLD, 1);
}

static void *keep_in_touch(void *unused) {
    double before = system_seconds(), sent = 0;
    while (!ranks.quit) {
        pthread_mutex_lock(&ranks.lock);
        double now = system_seconds();
        int first = ranks.own ? 0 : 1, last = ranks.own ? 0 : ranks.count - 1;
        if (ranks.signalled == 0 && signalled()) ranks.signalled = now;
        receive_signs(now);
        /* After a time in which this process itself was stopped, the silence of the others means nothing. */
        for (int k = first; k <= last && now - before > 1; k++) ranks.peers[k].heard = now;
        before = now;
        Sign sign = { .idle = idle_seconds(now) };
        bool due = now - sent >= EVERY;
        for (int k = first; k <= last; k++) {
            if (due && !ranks.peers[k].left) send_sign(k, BEAT, sign);
            judge(k, now);
        }
        if (due) sent = now;
        pthread_mutex_unlock(&ranks.lock);
        nap(0.01);
    }
    return unused;
}

/* Waiting */

/* Gives up what has not been done. */
static void cancel(int count, MPI_Request *requests) {
    pthread_mutex_lock(&ranks.lock);
    for (int i = 0; i < count; i++) {
        if (requests[i] == MPI_REQUEST_NULL) continue;
        MPI_Cancel(&requests[i]);
        MPI_Request_free(&requests[i]);
    }
    pthread_mutex_unlock(&ranks.lock);
}

/* Waits until all requests are done. Returns false when the ranks end before. */
static bool finish(int count, MPI_Request *requests) {
    int done = 0;
    ranks.waiting = true;
    for (double start = system_seconds(); !done;) {
        pthread_mutex_lock(&ranks.lock);
        MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE);
        pthread_mutex_unlock(&ranks.lock);
        if (!done && !ranks_go_on()) break;
        if (!done) nap(fmin(fmax(0.1 * (system_seconds() - start), 2e-5), 1e-3));
    }
    ranks.waiting = false;
    if (!done) cancel(count, requests);
    return done;
}

static void send_to(int rank, int tag, const void *data, size_t bytes, MPI_Request *request) {
    CHECK(bytes <= INT_MAX);
    pthread_mutex_lock(&ranks.lock);
    MPI_Isend(data, (int)bytes, MPI_BYTE, rank, tag, ranks.work, request);
    pthread_mutex_unlock(&ranks.lock);
}

static void receive_from(int rank, int tag, void *data, size_t bytes, MPI_Request *request) {
    CHECK(bytes <= INT_MAX);
    pthread_mutex_lock(&ranks.lock);
    MPI_Irecv(data, (int)bytes, MPI_BYTE, rank, tag, ranks.work, request);
    pthread_mutex_unlock(&ranks.lock);
}

/* Gives rank 0's bytes, of which there are few, to all. */
static bool copy_piece(int tag, void *data, size_t bytes) {
    int others = ranks.count - 1;
    if (ranks.own == 0) {
        memcpy(room(&ranks.out, bytes), data, bytes);
        for (int k = 0; k < others; k++) send_to(k + 1, tag, ranks.out.at, bytes, &ranks.requests[k]);
        return finish(others, ranks.requests);
    }
    receive_from(0, tag, room(&ranks.in, bytes), bytes, ranks.requests);
    if (!finish(1, ranks.requests)) return false;
    memcpy(data, ranks.in.at, bytes);
    return true;
}

bool ranks_copy(void *data, size_t size) {
    for (size_t at = 0; ranks.count > 1 && at < size; at += PIECE_BYTES) {
        size_t bytes = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
        if (!copy_piece(PIECE, (char *)data + at, bytes)) return false;
    }
    return true;
}

/* The beginning */

/* Whether mpirun, or srun, has started this process: without one, MPI_Init would start a program of its own.
   */
static bool is_launched(void) {
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_RANK");
}

/* Exchanges the ranks' names and cores. */
static void introduce(void) {
    struct {
        char host[MPI_MAX_PROCESSOR_NAME];
        cpu_set_t cores;
    } own, *all = mem_alloc((size_t)ranks.count * sizeof own);
    int length;
    memset(&own, 0, sizeof own);
    MPI_Get_processor_name(own.host, &length);
    sched_getaffinity(0, sizeof own.cores, &own.cores);
    MPI_Allgather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, MPI_COMM_WORLD);
    ranks.on_cores = 0;
    for (int k = 0; k < ranks.count; k++) {
        memcpy(ranks.peers[k].host, all[k].host, sizeof own.host);
        ranks.on_cores += memcmp(&all[k], &own, sizeof own) == 0;
    }
    free(all);
}

bool ranks_start(int (*stop)(void), Messages *errors) {
    if (!is_launched()) return true;
    int level;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);
    ranks.joined = true;
    if (level < MPI_THREAD_SERIALIZED)
        return messages_add(errors, "this MPI does not allow a program to have threads "
                                    "(MPI_THREAD_SERIALIZED), which several ranks need");
    MPI_Comm_size(MPI_COMM_WORLD, &ranks.count);
    MPI_Comm_rank(MPI_COMM_WORLD, &ranks.own);
    if (ranks.count == 1) return true;
    MPI_Comm_dup(MPI_COMM_WORLD, &ranks.work);
    MPI_Comm_dup(MPI_COMM_WORLD, &ranks.life);
    ranks.peers = mem_alloc((size_t)ranks.count * sizeof *ranks.peers);
    ranks.requests = mem_alloc((size_t)ranks.count * sizeof *ranks.requests);
    introduce();
    double now = system_seconds();
    for (int k = 0; k < ranks.count; k++) {
        ranks.peers[k].heard = now;
        ranks.peers[k].sending = MPI_REQUEST_NULL;
    }
    ranks.stop = stop;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the other thread, which sleeps less */
    CHECK(pthread_create(&ranks.thread, NULL, keep_in_touch, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return true;
}

void ranks_read_ahead(const char *const *paths, int count) {
    CHECK(count <= (int)(sizeof ranks.ahead / sizeof *ranks.ahead));
    for (int i = 0; i < count && ranks.count > 1; i++) {
        Messages unreadable = { 0 };
        File *file = &ranks.ahead[i].file;
        bool found = ranks.own == 0 && file_read(paths[i], file, &unreadable);
        messages_free(&unreadable);
        int64_t size = found ? (int64_t)file->size : -1;
        if (!copy_piece(SIZE, &size, sizeof size) || size < 0) continue;
        if (ranks.own > 0)
            *file = (File) { .data = mem_alloc((size_t)size), .size = (size_t)size, .kind = FILE_READ };
        if (!ranks_copy((void *)(uintptr_t)file->data, file->size)) file_close(file);
        ranks.ahead[i].path = mem_string(paths[i]);
    }
    ranks.files = count;
}

static const File *find_ahead(const char *path) {
    for (int i = 0; i < ranks.files; i++)
        if (ranks.ahead[i].path && strcmp(ranks.ahead[i].path, path) == 0) return &ranks.ahead[i].file;
    return NULL;
}

bool ranks_file_exists(const char *path) {
    return ranks.own == 0 ? access(path, F_OK) == 0 : find_ahead(path) != NULL;
}

bool ranks_file_read(const char *path, File *file, Messages *errors) {
    if (ranks.own == 0) return file_read(path, file, errors);
    const File *ahead = find_ahead(path);
    *file = (File) { 0 };
    if (!ahead) return messages_add(errors, "%s: cannot be read by rank 0", path);
    unsigned char *data = mem_alloc(ahead->size);
    memcpy(data, ahead->data, ahead->size);
    *file = (File) { .data = data, .size = ahead->size, .kind = FILE_READ };
    return true;
}

/* The facts of one rank. */
typedef struct {
    uint64_t hash[RANK_FACTS];
} Facts;

/* Adds a message with what is other at rank k than at rank 0. */
static void compare(int k, const Facts *its, const RankFact *facts, int count, Messages *errors) {
    Text others = { 0 };
    for (int i = 0; i < count; i++)
        if (its->hash[i] != facts[i].hash)
            text_format(&others, "%s%s", others.at ? " and " : "", facts[i].other);
    if (others.at)
        messages_add(errors, "rank %d on %s has %s than rank 0", k, ranks.peers[k].host, others.at);
    free(others.at);
}

bool ranks_agree(const RankFact *facts, int count, Messages *errors) {
    if (ranks.count == 1) return true;
    CHECK(count <= RANK_FACTS);
    Facts *all = room(ranks.own ? &ranks.out : &ranks.in, (size_t)ranks.count * sizeof *all);
    for (int i = 0; i < count; i++) all[0].hash[i] = facts[i].hash;
    if (ranks.own > 0) send_to(0, FACTS, all, sizeof *all, ranks.requests);
    for (int k = 1; k < ranks.count && ranks.own == 0; k++)
        receive_from(k, FACTS, &all[k], sizeof *all, &ranks.requests[k - 1]);
    if (!finish(ranks.own ? 1 : ranks.count - 1, ranks.requests)) return false;
    for (int k = 1; k < ranks.count && ranks.own == 0; k++) compare(k, &all[k], facts, count, errors);
    int agreed = errors->count == 0;
    return copy_piece(VERDICT, &agreed, sizeof agreed) && agreed;
}

/* The run */

bool ranks_next(RankTask *task) {
    int number = (int)*task;
    if (ranks.count == 1) return true;
    if (!copy_piece(TASK, &number, sizeof number)) return false;
    *task = (RankTask)number;
    return true;
}

static RankShare share_of(int64_t examples, int rank) {
    return (RankShare) { examples * rank / ranks.count, examples * (rank + 1) / ranks.count };
}

RankShare ranks_share(int64_t examples) { return share_of(examples, ranks.own); }

/* Rank 0 gets the rows of the others in room of its own, and copies them to their places. */
static bool receive_rows(char *rows, int64_t examples, int64_t size) {
    char *in = room(&ranks.in, (size_t)(examples * size));
    int count = 0;
    for (int k = 1; k < ranks.count; k++) {
        RankShare s = share_of(examples, k);
        size_t bytes = (size_t)((s.end - s.first) * size);
        if (bytes) receive_from(k, ROWS, in + s.first * size, bytes, &ranks.requests[count++]);
    }
    if (!finish(count, ranks.requests)) return false;
    int64_t own = ranks_share(examples).end * size;
    memcpy(rows + own, in + own, (size_t)(examples * size - own));
    return true;
}

bool ranks_gather(void *rows, int64_t examples, size_t size) {
    if (ranks.count == 1) return true;
    if (ranks.own == 0) return receive_rows(rows, examples, (int64_t)size);
    RankShare own = ranks_share(examples);
    size_t bytes = (size_t)(own.end - own.first) * size;
    if (bytes == 0) return ranks_go_on();
    memcpy(room(&ranks.out, bytes), (const char *)rows + (size_t)own.first * size, bytes);
    send_to(0, ROWS, ranks.out.at, bytes, ranks.requests);
    return finish(1, ranks.requests);
}

/* The end */

/* Whether rank 0 has heard from all other ranks since the signal came. */
static bool all_answer(void) {
    pthread_mutex_lock(&ranks.lock);
    bool all = ranks.signalled > 0;
    for (int k = 1; k < ranks.count; k++) all = all && ranks.peers[k].heard > ranks.signalled + EVERY;
    pthread_mutex_unlock(&ranks.lock);
    return all;
}

bool ranks_report(Messages *errors) {
    if (ranks.count == 1 || ranks.own > 0) return true;
    ranks.waiting = true;
    double end = system_seconds() + SILENT_AFTER_SIGNAL + 0.2;
    while (signalled() && !ranks.over && !all_answer() && system_seconds() < end) nap(0.01);
    if (ranks.lost >= 0 && !ranks.silent && errors->count == 0)
        messages_add(errors, "rank %d on %s has failed: %s", ranks.lost, ranks.peers[ranks.lost].host,
                     ranks.why);
    return ranks.lost < 0;
}

/* Does as send_sign does, for the thread that computes. */
static bool say(int rank, int tag, Sign sign) {
    pthread_mutex_lock(&ranks.lock);
    bool sent = send_sign(rank, tag, sign);
    pthread_mutex_unlock(&ranks.lock);
    return sent;
}

/* Rank 0 ends the others. Returns whether all have answered. */
static bool dismiss(void) {
    bool *told = mem_alloc((size_t)ranks.count * sizeof *told);
    double end = system_seconds() + (ranks.signalled > 0 ? SILENT_AFTER_SIGNAL : SILENT);
    int left = 0;
    while (left < ranks.count - 1 && system_seconds() < end) {
        left = 0;
        for (int k = 1; k < ranks.count; k++) {
            if (!told[k]) told[k] = say(k, BYE, (Sign) { 0 });
            left += ranks.peers[k].left || (k == ranks.lost && ranks.silent);
        }
        nap(0.001);
    }
    free(told);
    return left == ranks.count - 1 && !(ranks.lost >= 0 && ranks.silent);
}

/* Another rank tells rank 0 about its errors and waits until that ends the run; keep_in_touch ends the
   program if rank 0 never does. */
static void leave(const Messages *errors) {
    Sign sign = { 0 };
    if (errors->text) snprintf(sign.text, sizeof sign.text, "%s", errors->text);
    sign.text[strcspn(sign.text, "\n")] = 0;
    for (bool told = errors->count == 0; !told && !ranks.over; nap(0.001)) told = say(0, FAILED, sign);
    while (!ranks.peers[0].left) nap(0.001);
    while (!say(0, BYE, (Sign) { 0 })) nap(0.001);
}

int ranks_end(int status, const Messages *errors) {
    bool all = true;
    if (!ranks.joined) return status;
    fflush(NULL);
    ranks.waiting = true;
    if (ranks.count > 1) {
        if (ranks.own == 0)
            all = dismiss();
        else
            leave(errors);
        ranks.quit = true;
        pthread_join(ranks.thread, NULL);
    }
    if (!all) MPI_Abort(MPI_COMM_WORLD, status);
    for (int k = 0; k < ranks.count && ranks.count > 1; k++)
        MPI_Wait(&ranks.peers[k].sending, MPI_STATUS_IGNORE);
    MPI_Finalize();
    return ranks.own == 0 ? status : 0;
}
