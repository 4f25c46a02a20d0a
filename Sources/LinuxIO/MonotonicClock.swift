import CLinux
import Primitives

/// The only clock of the program: CLOCK_MONOTONIC, which stands still while the machine sleeps.
public enum MonotonicClock {
    public static var now: Instant { Instant(nanoseconds: clinux_monotonic_nanoseconds()) }
}
