import Glibc

/// Nanoseconds of the monotonic clock, or of the processor time that this thread has used.
enum Clock {
    case monotonic
    case threadTime

    var now: UInt64 {
        var time = timespec()
        switch self {
        case .monotonic: clock_gettime(CLOCK_MONOTONIC, &time)
        case .threadTime: clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        }
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
