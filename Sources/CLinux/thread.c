#define _GNU_SOURCE
#include "CLinux.h"
#include <sched.h>
#include <sys/prctl.h>

void clinux_name_thread(const char *name) { prctl(PR_SET_NAME, name); }

unsigned clinux_processor_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}
