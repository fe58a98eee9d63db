/* A disk and a clock that misbehave on demand, preloaded into an unmodified server (LD_PRELOAD).
 *
 * QUORATE_SHIM_DIR names a directory; its files are read at each call, so that a test can switch a fault on while the
 * server runs:
 *   fsync_eio      exists: fdatasync and fsync fail with EIO
 *   fsync_ms       a number: fdatasync and fsync take so many milliseconds longer
 *   read_ms        a number: reading from a snapshot takes so many milliseconds longer
 *   scan_ms        a number: reading from a segment of the log takes so many milliseconds longer
 *   wall_ms        a number, read once at start: CLOCK_REALTIME is shifted by it
 *   kill_at        `n what part`: right before its n-th step of this kind the process is killed. A step is what changes the
 *                  directory of the append-only file: `open` (a file is made), `rename` (to a name), `unlink`, `sync` (of
 *                  the directory, or of a file that is not a segment). Of this kind: its path has `part`, or is
 *                  `appendonlydir` and what follows, if `part` begins with `=`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int read_number(const char *name, long *value) {
    const char *dir = getenv("QUORATE_SHIM_DIR");
    char path[4096];
    if (!dir) return 0;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    *value = 0;
    int got = fscanf(file, "%ld", value);
    fclose(file);
    return got == 1 ? 1 : -1;
}

/* A step is about to be taken. */
static void step(const char *what, const char *path) {
    static long count;
    char file_path[4096], kind[16], part[256];
    long at;
    const char *dir = getenv("QUORATE_SHIM_DIR"), *place = strstr(path, "appendonlydir");
    if (!dir || !place) return;
    snprintf(file_path, sizeof file_path, "%s/kill_at", dir);
    FILE *file = fopen(file_path, "r");
    if (!file) return;
    int got = fscanf(file, "%ld %15s %255s", &at, kind, part);
    fclose(file);
    if (got != 3 || strcmp(what, kind) != 0) return;
    if (part[0] == '=' ? strcmp(place, part + 1) != 0 : !strstr(place, part)) return;
    if (__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) >= at) kill(getpid(), SIGKILL);
}

static const char *path_of(int fd, char *path, size_t bytes) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, bytes - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static int ends_with(const char *path, const char *end) {
    size_t length = strlen(path), tail = strlen(end);
    return length >= tail && strcmp(path + length - tail, end) == 0;
}

static void sync_step(int fd) {
    char path[4096];
    if (!ends_with(path_of(fd, path, sizeof path), ".incr.aof")) step("sync", path);
}

#define OPEN(name)                                                                        \
    int name(const char *path, int flags, ...) {                                          \
        int (*real)(const char *, int, ...) =                                             \
            (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                     \
        mode_t mode = 0;                                                                  \
        if (flags & O_CREAT) {                                                            \
            va_list rest;                                                                 \
            va_start(rest, flags);                                                        \
            mode = va_arg(rest, mode_t);                                                  \
            va_end(rest);                                                                 \
            step("open", path);                                                           \
        }                                                                                 \
        return real(path, flags, mode);                                                   \
    }
OPEN(open)
OPEN(open64)

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    step("rename", to);
    return real(from, to);
}

int unlink(const char *path) {
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    step("unlink", path);
    return real(path);
}

static void pause_ms(long ms) {
    struct timespec pause = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&pause, NULL);
}

ssize_t pread64(int fd, void *into, size_t bytes, off64_t offset) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    char path[4096];
    long value;
    if (!real) real = (ssize_t (*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    if (read_number("read_ms", &value) == 1 && ends_with(path_of(fd, path, sizeof path), ".base.rdb")) pause_ms(value);
    if (read_number("scan_ms", &value) == 1 && ends_with(path_of(fd, path, sizeof path), ".incr.aof")) pause_ms(value);
    return real(fd, into, bytes, offset);
}

static int sync_with(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    long value;
    sync_step(fd);
    if (read_number("fsync_eio", &value)) {
        errno = EIO;
        return -1;
    }
    if (read_number("fsync_ms", &value) == 1 && value > 0) pause_ms(value);
    return real(fd);
}

int fdatasync(int fd) { return sync_with("fdatasync", fd); }
int fsync(int fd) { return sync_with("fsync", fd); }

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    static long shift_ms;
    static int known;
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (!known) {
        if (read_number("wall_ms", &shift_ms) != 1) shift_ms = 0;
        known = 1;
    }
    int result = real(id, now);
    if (result == 0 && id == CLOCK_REALTIME && shift_ms) {
        long long ns = now->tv_nsec + (long long)(shift_ms % 1000) * 1000000LL;
        now->tv_sec += shift_ms / 1000;
        if (ns >= 1000000000LL) { ns -= 1000000000LL; now->tv_sec++; }
        if (ns < 0) { ns += 1000000000LL; now->tv_sec--; }
        now->tv_nsec = ns;
    }
    return result;
}
