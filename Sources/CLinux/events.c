#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

int clinux_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

static int control(int epoll, int operation, int fd, uint64_t tag, uint32_t interest) {
    struct epoll_event event = {.events = EPOLLET, .data.u64 = tag};
    if (interest & CLINUX_READABLE) event.events |= EPOLLIN;
    if (interest & CLINUX_WRITABLE) event.events |= EPOLLOUT;
    return epoll_ctl(epoll, operation, fd, &event) == 0 ? 0 : -errno;
}

int clinux_epoll_add(int epoll, int fd, uint64_t tag, uint32_t interest) {
    return control(epoll, EPOLL_CTL_ADD, fd, tag, interest);
}

int clinux_epoll_modify(int epoll, int fd, uint64_t tag, uint32_t interest) {
    return control(epoll, EPOLL_CTL_MOD, fd, tag, interest);
}

int clinux_epoll_remove(int epoll, int fd) {
    return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL) == 0 ? 0 : -errno;
}

static int wait_events(int epoll, struct epoll_event *raw, int64_t nanoseconds) {
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = epoll_pwait2(epoll, raw, CLINUX_EVENT_LIMIT, nanoseconds < 0 ? NULL : &timeout, NULL);
    if (count >= 0 || errno != ENOSYS) return count;
    // Linux before 5.11: whole milliseconds, rounded up, so that a deadline is never early.
    int64_t milliseconds = nanoseconds < 0 ? -1 : (nanoseconds + 999999) / 1000000;
    return epoll_wait(epoll, raw, CLINUX_EVENT_LIMIT, milliseconds > 1000000 ? 1000000 : (int)milliseconds);
}

int clinux_epoll_wait(int epoll, clinux_event *events, int64_t nanoseconds) {
    struct epoll_event raw[CLINUX_EVENT_LIMIT];
    int count = wait_events(epoll, raw, nanoseconds);
    if (count < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        uint32_t bits = raw[i].events;
        events[i].tag = raw[i].data.u64;
        events[i].readiness = (bits & EPOLLIN ? CLINUX_READABLE : 0u) | (bits & EPOLLOUT ? CLINUX_WRITABLE : 0u) |
                              (bits & EPOLLHUP ? CLINUX_HANGUP : 0u) | (bits & EPOLLERR ? CLINUX_ERROR : 0u);
    }
    return count;
}

void clinux_sleep_until(uint64_t nanoseconds) {
    struct timespec end = {.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

int clinux_eventfd(void) {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

// A full counter (EAGAIN) wakes the reader as well.
void clinux_eventfd_signal(int fd) {
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void clinux_eventfd_drain(int fd) {
    uint64_t value;
    while (read(fd, &value, sizeof value) < 0 && errno == EINTR) {
    }
}

int clinux_signalfd(int fd, const int32_t *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) {
        if (sigaddset(&set, signals[i]) != 0) return -errno;
    }
    int code = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (code != 0) return -code;
    int result = signalfd(fd < 0 ? -1 : fd, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return result >= 0 ? result : -errno;
}

int clinux_signalfd_read(int fd) {
    struct signalfd_siginfo info;
    for (;;) {
        ssize_t count = read(fd, &info, sizeof info);
        if (count == sizeof info) return (int)info.ssi_signo;
        if (count >= 0) return -EAGAIN;
        if (errno != EINTR) return -errno;
    }
}

void clinux_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

uint64_t clinux_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clinux_random(void *buffer, size_t count) {
    size_t filled = 0;
    while (filled < count) {
        ssize_t n = getrandom((char *)buffer + filled, count - filled, 0);
        if (n > 0) filled += (size_t)n;
        else if (errno != EINTR) abort();
    }
}

struct spawn {
    void (*body)(void *);
    void *context;
};

static void *run_spawned(void *argument) {
    struct spawn spawn = *(struct spawn *)argument;
    free(argument);
    spawn.body(spawn.context);
    return NULL;
}

int clinux_spawn(void (*body)(void *), void *context) {
    struct spawn *spawn = malloc(sizeof *spawn);
    if (spawn == NULL) return -ENOMEM;
    *spawn = (struct spawn){body, context};
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread, &attributes, run_spawned, spawn);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (code != 0) free(spawn);
    return -code;
}
