#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <sched.h>

int clinux_unshare_network(void) { return unshare(CLONE_NEWNET) == 0 ? 0 : -errno; }
