/* SPDX-License-Identifier: MIT
 *
 * The machine's huge pages of 2 MiB: how many there are, and changing that under a
 * lock that all who change it take.
 *
 * Entry points: hl_hugepages_read(), hl_hugepages_resize(), hl_hugepages_lock().
 * See also: setup.c, doctor.c; Documentation/admin-guide/mm/hugetlbpage.rst.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "tools.h"

#define FOLDER "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static int read_number(const char *name, uint64_t *ret_number)
{
    char path[128], text[32], *end;
    unsigned long long number;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, FOLDER "%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    number = strtoull(text, &end, 10);
    if (end == text)
        return -EBADMSG;
    *ret_number = number;
    return 0;
}

int hl_hugepages_read(struct hl_hugepages *ret_pages)
{
    struct hl_hugepages pages;
    int rc;

    if ((rc = read_number("nr_hugepages", &pages.total)) < 0 ||
        (rc = read_number("free_hugepages", &pages.free)) < 0 ||
        (rc = read_number("resv_hugepages", &pages.reserved)) < 0 ||
        (rc = read_number("surplus_hugepages", &pages.surplus)) < 0 ||
        (rc = read_number("nr_overcommit_hugepages", &pages.overcommit)) < 0)
        return rc;
    *ret_pages = pages;
    return 0;
}

int hl_hugepages_resize(uint64_t total, uint64_t *ret_total)
{
    char text[32];
    int fd, n, rc = 0;

    fd = open(FOLDER "nr_hugepages", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = snprintf(text, sizeof text, "%" PRIu64 "\n", total);
    if (write(fd, text, (size_t)n) != n)
        rc = -errno;
    close(fd);
    if (rc < 0)
        return rc;
    return read_number("nr_hugepages", ret_total);
}

int hl_hugepages_lock(int *ret_fd)
{
    int fd = open(HL_HUGEPAGES_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    /* Nobody needs it for longer than the kernel takes to free memory. */
    for (unsigned tenths = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tenths++) {
        int rc = -errno;

        if (rc == -EINTR)
            continue;
        if (rc != -EWOULDBLOCK || tenths == 600) {
            close(fd);
            return rc == -EWOULDBLOCK ? -ETIMEDOUT : rc;
        }
        usleep(100000);
    }
    *ret_fd = fd;
    return 0;
}
