package vine.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CyclicBarrier;

/** A loop with warm-up: nanoseconds an operation, the median of a few spells. */
final class Loop {
    interface Operation {
        void run() throws Exception;
    }

    private static final long WARM_UP = 1_500_000_000L;
    private static final long SPELL = 150_000_000L;
    private static final int SPELLS = 5;

    private Loop() {}

    private static double spell(Operation op, long length) throws Exception {
        long begin = System.nanoTime();
        long n = 0;
        long batch = 1;
        long took;
        while ((took = System.nanoTime() - begin) < length) {
            for (long i = 0; i < batch; i++) {
                op.run();
            }
            n += batch;
            batch = Math.min(batch * 2, 4096);
        }
        return (double) took / n;
    }

    private static double median(Operation op, CyclicBarrier gate) throws Exception {
        double[] spells = new double[SPELLS];
        spell(op, WARM_UP);
        gate.await();
        for (int i = 0; i < SPELLS; i++) {
            spells[i] = spell(op, SPELL);
        }
        Arrays.sort(spells);
        return spells[SPELLS / 2];
    }

    /** Prints the slowest of the threads, each doing the operation. */
    static void measure(String name, int threads, Operation op) throws Exception {
        CyclicBarrier gate = new CyclicBarrier(threads);
        double[] ns = new double[threads];
        List<Thread> running = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            int at = i;
            Thread t = new Thread(() -> {
                try {
                    ns[at] = median(op, gate);
                } catch (Exception e) {
                    throw new IllegalStateException(name, e);
                }
            });
            running.add(t);
            t.start();
        }
        for (Thread t : running) {
            t.join();
        }
        System.out.printf("%s\t%.1f%n", name, Arrays.stream(ns).max().getAsDouble());
    }
}
