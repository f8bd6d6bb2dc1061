/* Makes one system call of a process fail, or sends a signal just before it or later.
 *
 * Loaded with LD_PRELOAD. Only calls that name something below the watched folder, or a file that
 * was opened there, count; they are numbered from 1 in the order in which they are made.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define KINDS 64
#define FILES 65536
#define CALLS 65536

/* What happens, and at which call; `_Fault` in `shim.py` has the same fields. */
struct fault {
    long number;  /* the number of the call */
    int error;    /* the error that it fails with */
    int signal;   /* or the signal that arrives before it, */
    long later;   /* or this many microseconds after the call was reached */
    int lasting;  /* whether all later calls that need space fail as well */
};

static struct fault fault;
static char root[PATH_MAX];
static size_t root_length;
static atomic_long made;
static unsigned char watched[FILES];
static char met[PATH_MAX + 64];
static __thread char place[PATH_MAX]; /* the file that the last call named */
static const char *names[KINDS];
static atomic_long counts[KINDS];
static char kinds[CALLS]; /* for each call: how it can fail */

void fault_arm(const char *folder, const struct fault *what)
{
    snprintf(root, sizeof root, "%s", folder);
    fault = *what;
    atomic_store(&made, 0);
    for (int i = 0; i < KINDS; i++)
        atomic_store(&counts[i], 0);
    root_length = strlen(root);
}

void fault_disarm(void) { root_length = 0; }

/* Returns the call that failed, or that followed the signal. */
const char *fault_met(void) { return met; }

/* Returns a letter for each call. */
const char *fault_kinds(void) { return kinds; }

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
    return root_length && fd >= 0 && fd < FILES && watched[fd];
}

static void *signal_later(void *unused)
{
    struct timespec wait = {fault.later / 1000000, fault.later % 1000000 * 1000};
    nanosleep(&wait, NULL);
    kill(getpid(), fault.signal);
    return unused;
}

/* How a call can fail: not at all; with EIO; with EINTR as well; for lack of space as well. A rename
 * is undone by another one, which needs no space: if none worked, no program could restore a file. */
enum { NEVER, PLAIN, READS, WRITES, RENAMES };

/* Returns whether this call has to fail. */
static int fails(int kind, const char *name, int what)
{
    pthread_t thread;
    names[kind] = name;
    atomic_fetch_add(&counts[kind], 1);
    long number = atomic_fetch_add(&made, 1) + 1;
    if (number < CALLS)
        kinds[number - 1] = "-prww"[what];
    if (number != fault.number && !(fault.lasting && what == WRITES && number > fault.number))
        return 0;
    if (what < WRITES && (fault.error == ENOSPC || fault.error == EDQUOT))
        return 0;
    if (!met[0])
        snprintf(met, sizeof met, "%s %s", name, place);
    if (fault.later)
        pthread_create(&thread, NULL, signal_later, NULL);
    else if (fault.signal)
        kill(getpid(), fault.signal);
    errno = fault.error;
    return fault.error != 0;
}

/* The function that this one wraps. */
#define REAL(type, parameters, name)                                                               \
    static type(*real) parameters;                                                                 \
    if (!real)                                                                                     \
        real = (type(*) parameters)dlsym(RTLD_NEXT, #name);

#define CALL(type, name, what, is, parameters, arguments, failed)                                  \
    type name parameters                                                                           \
    {                                                                                              \
        REAL(type, parameters, name)                                                               \
        if ((is) && fails(__COUNTER__, #name, what))                                               \
            return failed;                                                                         \
        return real arguments;                                                                     \
    }

static int opened(int fd, int is)
{
    if (fd >= 0 && fd < FILES)
        watched[fd] = is;
    return fd;
}

#define OPEN(name, folder, parameters, arguments)                                                  \
    int name parameters                                                                            \
    {                                                                                              \
        REAL(int, parameters, name)                                                                \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        int is = below(folder, path);                                                              \
        int what = flags & (O_WRONLY | O_RDWR) ? WRITES : READS;                                   \
        if (is && fails(__COUNTER__, #name, what))                                                 \
            return -1;                                                                             \
        return opened(real arguments, is);                                                         \
    }
OPEN(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, at, (int at, const char *path, int flags, ...), (at, path, flags, mode))
OPEN(openat64, at, (int at, const char *path, int flags, ...), (at, path, flags, mode))

CALL(ssize_t, read, READS, is_watched(fd), (int fd, void *to, size_t size), (fd, to, size), -1)
CALL(ssize_t, pread64, READS, is_watched(fd), (int fd, void *to, size_t size, off64_t at),
     (fd, to, size, at), -1)
CALL(ssize_t, write, WRITES, is_watched(fd), (int fd, const void *from, size_t size),
     (fd, from, size), -1)
CALL(int, fsync, WRITES, is_watched(fd), (int fd), (fd), -1)
CALL(int, fdatasync, WRITES, is_watched(fd), (int fd), (fd), -1)
CALL(int, rename, RENAMES, below(AT_FDCWD, from) || below(AT_FDCWD, to),
     (const char *from, const char *to), (from, to), -1)
CALL(int, renameat, RENAMES, below(a, from) || below(b, to),
     (int a, const char *from, int b, const char *to), (a, from, b, to), -1)
CALL(int, renameat2, RENAMES, below(a, from) || below(b, to),
     (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), -1)
CALL(int, link, WRITES, below(AT_FDCWD, to), (const char *from, const char *to), (from, to), -1)
CALL(int, linkat, WRITES, below(b, to), (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags), -1)
CALL(int, symlink, WRITES, below(AT_FDCWD, to), (const char *from, const char *to), (from, to), -1)
CALL(int, symlinkat, WRITES, below(a, to), (const char *from, int a, const char *to),
     (from, a, to), -1)
CALL(int, unlink, PLAIN, below(AT_FDCWD, path), (const char *path), (path), -1)
CALL(int, unlinkat, PLAIN, below(a, path), (int a, const char *path, int flags), (a, path, flags),
     -1)
CALL(int, mkdir, WRITES, below(AT_FDCWD, path), (const char *path, mode_t mode), (path, mode), -1)
CALL(int, mkdirat, WRITES, below(a, path), (int a, const char *path, mode_t mode), (a, path, mode),
     -1)
CALL(int, rmdir, PLAIN, below(AT_FDCWD, path), (const char *path), (path), -1)
CALL(int, chmod, WRITES, below(AT_FDCWD, path), (const char *path, mode_t mode), (path, mode), -1)
CALL(int, fchmodat, WRITES, below(a, path), (int a, const char *path, mode_t mode, int flags),
     (a, path, mode, flags), -1)
CALL(int, utimensat, WRITES, below(a, path),
     (int a, const char *path, const struct timespec times[2], int flags), (a, path, times, flags),
     -1)
CALL(int, stat64, PLAIN, below(AT_FDCWD, path), (const char *path, struct stat64 *to), (path, to),
     -1)
CALL(int, lstat64, PLAIN, below(AT_FDCWD, path), (const char *path, struct stat64 *to), (path, to),
     -1)
CALL(int, fstatat64, PLAIN, below(a, path),
     (int a, const char *path, struct stat64 *to, int flags), (a, path, to, flags), -1)
CALL(int, fstat64, PLAIN, is_watched(fd), (int fd, struct stat64 *to), (fd, to), -1)
CALL(ssize_t, readlink, PLAIN, below(AT_FDCWD, path), (const char *path, char *to, size_t size),
     (path, to, size), -1)
CALL(ssize_t, readlinkat, PLAIN, below(a, path),
     (int a, const char *path, char *to, size_t size), (a, path, to, size), -1)
CALL(int, flock, READS, is_watched(fd), (int fd, int operation), (fd, operation), -1)
CALL(off64_t, lseek64, NEVER, is_watched(fd), (int fd, off64_t at, int whence), (fd, at, whence),
     -1)
CALL(int, ftruncate64, WRITES, is_watched(fd), (int fd, off64_t size), (fd, size), -1)
CALL(int, fchmod, WRITES, is_watched(fd), (int fd, mode_t mode), (fd, mode), -1)
CALL(ssize_t, sendfile64, WRITES, is_watched(to), (int to, int from, off64_t *at, size_t size),
     (to, from, at, size), -1)
CALL(ssize_t, copy_file_range, WRITES, is_watched(to),
     (int from, off64_t *at, int to, off64_t *there, size_t size, unsigned flags),
     (from, at, to, there, size, flags), -1)
CALL(int, ioctl, WRITES, is_watched(fd), (int fd, unsigned long request, void *more),
     (fd, request, more), -1)
CALL(int, access, PLAIN, below(AT_FDCWD, path), (const char *path, int mode), (path, mode), -1)

/* Folders have descriptors of their own. */
#define OPEN_FOLDER(name, is, parameters, arguments)                                               \
    DIR *name parameters                                                                           \
    {                                                                                              \
        REAL(DIR *, parameters, name)                                                              \
        int counts = is;                                                                           \
        if (counts && fails(__COUNTER__, #name, READS))                                            \
            return NULL;                                                                           \
        DIR *folder = real arguments;                                                              \
        if (folder)                                                                                \
            opened(dirfd(folder), counts);                                                         \
        return folder;                                                                             \
    }
OPEN_FOLDER(opendir, below(AT_FDCWD, path), (const char *path), (path))
OPEN_FOLDER(fdopendir, is_watched(fd), (int fd), (fd))
CALL(struct dirent64 *, readdir64, PLAIN, is_watched(dirfd(folder)), (DIR * folder), (folder), NULL)

int closedir(DIR *folder)
{
    REAL(int, (DIR *), closedir)
    opened(dirfd(folder), 0);
    return real(folder);
}

/* Written data may be lost when a file is closed; the descriptor is closed all the same. */
int close(int fd)
{
    REAL(int, (int), close)
    int is = is_watched(fd) && fails(__COUNTER__, "close", WRITES), because = errno;
    opened(fd, 0);
    int done = real(fd);
    errno = is ? because : errno;
    return is ? -1 : done;
}
