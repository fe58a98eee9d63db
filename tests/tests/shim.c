/* A disk and a clock that misbehave on demand, preloaded into an unmodified server (LD_PRELOAD).
 *
 * QUORATE_SHIM_DIR names a directory; its files are read at each call, so that a test can switch a fault on while the
 * server runs:
 *   fsync_eio      exists: fdatasync and fsync fail with EIO
 *   fsync_ms       a number: fdatasync and fsync take so many milliseconds longer
 *   wall_ms        a number, read once at start: CLOCK_REALTIME is shifted by it
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int sync_with(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    long value;
    if (read_number("fsync_eio", &value)) {
        errno = EIO;
        return -1;
    }
    if (read_number("fsync_ms", &value) == 1 && value > 0) {
        struct timespec pause = {value / 1000, (value % 1000) * 1000000L};
        nanosleep(&pause, NULL);
    }
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
