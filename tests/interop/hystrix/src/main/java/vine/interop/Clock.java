package vine.interop;

/** Microseconds since the replay began. */
final class Clock {
    private static volatile long origin = System.nanoTime();

    private Clock() {}

    static void begin() {
        origin = System.nanoTime();
    }

    static long micros() {
        return (System.nanoTime() - origin) / 1000;
    }

    static void sleep(long millis) throws InterruptedException {
        if (millis > 0) {
            Thread.sleep(millis);
        }
    }
}
