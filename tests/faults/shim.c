/* Lets one of a process' calls of the system fail, or a signal come just before it.
 *
 * Loaded by LD_PRELOAD. Only calls count that name something below the watched folder, or a file
 * that was opened there; they are numbered from 1 in the order in which they are made.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define KINDS 64
static char root[PATH_MAX];
static size_t root_length;
static atomic_long made;
static long chosen;
static int error_number, signal_number, lasting;
static unsigned char watched[65536];
static char met[PATH_MAX + 64];
static __thread char place[PATH_MAX]; /* what the last call named */
static const char *names[KINDS];
static atomic_long counts[KINDS];

void fault_arm(const char *folder, long number, int error, int sign, int until_the_end)
{
    snprintf(root, sizeof root, "%s", folder);
    chosen = number, error_number = error, signal_number = sign, lasting = until_the_end;
    atomic_store(&made, 0);
    for (int i = 0; i < KINDS; i++)
        atomic_store(&counts[i], 0);
    root_length = strlen(root);
}

void fault_disarm(void) { root_length = 0; }

/* Returns which call it was that failed, or came after the signal. */
const char *fault_met(void) { return met; }

/* Returns one line for each kind of call: its name and how many were made. */
int fault_counts(char *text, size_t size)
{
    int length = 0;
    text[0] = 0;
    for (int i = 0; i < KINDS; i++)
        if (names[i] && atomic_load(&counts[i]))
            length += snprintf(text + length, size - length, "%s %ld\n", names[i],
                               atomic_load(&counts[i]));
    return length;
}

static int below(int folder, const char *path)
{
    char link[64];
    if (!root_length || !path)
        return 0;
    if (path[0] == '/') {
        snprintf(place, sizeof place, "%s", path);
    } else {
        if (folder == AT_FDCWD)
            return 0;
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = syscall(SYS_readlink, link, place, sizeof place - 2);
        if (length < 0)
            return 0;
        snprintf(place + length, sizeof place - length, "/%s", path);
    }
    return strncmp(place, root, root_length) == 0;
}

static int is_watched(int fd)
{
    snprintf(place, sizeof place, "descriptor %d", fd);
    return root_length && fd >= 0 && fd < 65536 && watched[fd];
}

/* Whether this call is to fail. */
static int fails(int kind, const char *name, int writes)
{
    names[kind] = name;
    atomic_fetch_add(&counts[kind], 1);
    long number = atomic_fetch_add(&made, 1) + 1;
    if (number != chosen && !(lasting && writes && chosen > 0 && number > chosen))
        return 0;
    if (!writes && (error_number == ENOSPC || error_number == EDQUOT))
        return 0;
    snprintf(met, sizeof met, "%s %s", name, place);
    if (signal_number) {
        kill(getpid(), signal_number);
        return 0;
    }
    errno = error_number;
    return 1;
}

#define CALL(kind, type, name, writes, is, parameters, arguments, failed)                          \
    type name parameters                                                                           \
    {                                                                                              \
        static type(*real) parameters;                                                             \
        if (!real)                                                                                 \
            real = (type(*) parameters)dlsym(RTLD_NEXT, #name);                                    \
        if ((is) && fails(kind, #name, writes))                                                    \
            return failed;                                                                         \
        return real arguments;                                                                     \
    }

static int opened(int fd, int is)
{
    if (fd >= 0 && fd < 65536)
        watched[fd] = is;
    return fd;
}

#define OPEN(kind, name)                                                                           \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        static int (*real)(const char *, int, ...);                                                \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        if (!real)                                                                                 \
            real = dlsym(RTLD_NEXT, #name);                                                        \
        int is = below(AT_FDCWD, path);                                                            \
        if (is && fails(kind, #name, flags & (O_WRONLY | O_RDWR)))                                 \
            return -1;                                                                             \
        return opened(real(path, flags, mode), is);                                                \
    }
#define OPEN_AT(kind, name)                                                                        \
    int name(int folder, const char *path, int flags, ...)                                         \
    {                                                                                              \
        static int (*real)(int, const char *, int, ...);                                           \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        if (!real)                                                                                 \
            real = dlsym(RTLD_NEXT, #name);                                                        \
        int is = below(folder, path);                                                              \
        if (is && fails(kind, #name, flags & (O_WRONLY | O_RDWR)))                                 \
            return -1;                                                                             \
        return opened(real(folder, path, flags, mode), is);                                        \
    }
OPEN(0, open)
OPEN(1, open64)
OPEN_AT(2, openat)
OPEN_AT(3, openat64)

CALL(4, ssize_t, read, 0, is_watched(fd), (int fd, void *to, size_t size), (fd, to, size), -1)
CALL(5, ssize_t, pread64, 0, is_watched(fd), (int fd, void *to, size_t size, off64_t at),
     (fd, to, size, at), -1)
CALL(6, ssize_t, write, 1, is_watched(fd), (int fd, const void *from, size_t size),
     (fd, from, size), -1)
CALL(7, int, fsync, 1, is_watched(fd), (int fd), (fd), -1)
CALL(8, int, fdatasync, 1, is_watched(fd), (int fd), (fd), -1)
CALL(9, int, rename, 1, below(AT_FDCWD, from) || below(AT_FDCWD, to),
     (const char *from, const char *to), (from, to), -1)
CALL(10, int, renameat, 1, below(a, from) || below(b, to),
     (int a, const char *from, int b, const char *to), (a, from, b, to), -1)
CALL(11, int, renameat2, 1, below(a, from) || below(b, to),
     (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), -1)
CALL(12, int, link, 1, below(AT_FDCWD, to), (const char *from, const char *to), (from, to), -1)
CALL(13, int, linkat, 1, below(b, to), (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags), -1)
CALL(14, int, symlink, 1, below(AT_FDCWD, to), (const char *from, const char *to), (from, to), -1)
CALL(15, int, symlinkat, 1, below(a, to), (const char *from, int a, const char *to),
     (from, a, to), -1)
CALL(16, int, unlink, 0, below(AT_FDCWD, path), (const char *path), (path), -1)
CALL(17, int, unlinkat, 0, below(a, path), (int a, const char *path, int flags), (a, path, flags),
     -1)
CALL(18, int, mkdir, 1, below(AT_FDCWD, path), (const char *path, mode_t mode), (path, mode), -1)
CALL(19, int, mkdirat, 1, below(a, path), (int a, const char *path, mode_t mode), (a, path, mode),
     -1)
CALL(20, int, rmdir, 0, below(AT_FDCWD, path), (const char *path), (path), -1)
CALL(21, int, chmod, 1, below(AT_FDCWD, path), (const char *path, mode_t mode), (path, mode), -1)
CALL(22, int, fchmodat, 1, below(a, path), (int a, const char *path, mode_t mode, int flags),
     (a, path, mode, flags), -1)
CALL(23, int, utimensat, 1, below(a, path),
     (int a, const char *path, const struct timespec times[2], int flags), (a, path, times, flags),
     -1)
CALL(26, int, stat64, 0, below(AT_FDCWD, path), (const char *path, struct stat64 *to), (path, to),
     -1)
CALL(27, int, lstat64, 0, below(AT_FDCWD, path), (const char *path, struct stat64 *to), (path, to),
     -1)
CALL(28, int, fstatat64, 0, below(a, path),
     (int a, const char *path, struct stat64 *to, int flags), (a, path, to, flags), -1)
CALL(29, int, fstat64, 0, is_watched(fd), (int fd, struct stat64 *to), (fd, to), -1)
CALL(30, ssize_t, readlink, 0, below(AT_FDCWD, path), (const char *path, char *to, size_t size),
     (path, to, size), -1)
CALL(31, ssize_t, readlinkat, 0, below(a, path),
     (int a, const char *path, char *to, size_t size), (a, path, to, size), -1)
CALL(32, int, flock, 0, is_watched(fd), (int fd, int operation), (fd, operation), -1)
CALL(33, off64_t, lseek64, 0, is_watched(fd), (int fd, off64_t at, int whence), (fd, at, whence),
     -1)
CALL(34, int, ftruncate64, 1, is_watched(fd), (int fd, off64_t size), (fd, size), -1)
CALL(35, int, fchmod, 1, is_watched(fd), (int fd, mode_t mode), (fd, mode), -1)
CALL(36, int, access, 0, below(AT_FDCWD, path), (const char *path, int mode), (path, mode), -1)

/* Folders have descriptors of their own. */
#define OPEN_FOLDER(kind, name, is, parameters, arguments)                                         \
    DIR *name parameters                                                                           \
    {                                                                                              \
        static DIR *(*real) parameters;                                                            \
        if (!real)                                                                                 \
            real = (DIR * (*) parameters) dlsym(RTLD_NEXT, #name);                                 \
        int counts = is;                                                                           \
        if (counts && fails(kind, #name, 0))                                                       \
            return NULL;                                                                           \
        DIR *folder = real arguments;                                                              \
        if (folder)                                                                                \
            opened(dirfd(folder), counts);                                                         \
        return folder;                                                                             \
    }
OPEN_FOLDER(24, opendir, below(AT_FDCWD, path), (const char *path), (path))
OPEN_FOLDER(25, fdopendir, is_watched(fd), (int fd), (fd))
CALL(38, struct dirent64 *, readdir64, 0, is_watched(dirfd(folder)), (DIR * folder), (folder), NULL)

int closedir(DIR *folder)
{
    static int (*real)(DIR *);
    if (!real)
        real = dlsym(RTLD_NEXT, "closedir");
    opened(dirfd(folder), 0);
    return real(folder);
}

/* What is written may be lost when a file is closed; the descriptor is gone all the same. */
int close(int fd)
{
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "close");
    int is = is_watched(fd) && fails(37, "close", 1), because = errno;
    if (fd >= 0 && fd < 65536)
        watched[fd] = 0;
    int done = real(fd);
    errno = is ? because : errno;
    return is ? -1 : done;
}
