package vine.interop;

import com.netflix.hystrix.HystrixCommandMetrics;
import com.netflix.hystrix.HystrixCommandMetrics.HealthCounts;
import com.netflix.hystrix.HystrixEventType;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * Plays scenes, which come on standard input, beside each other, and tells what became of each call and what was to be seen at each
 * sample, with the times, in us of the scene, at which it really happened:
 *
 * <pre>
 * scene NAME key=value ...
 * call AT DURATION OUTCOME FALLBACK FALLBACK_DURATION
 * sample AT
 *
 * call SCENE INDEX START END EVENT,EVENT
 * sample SCENE TIME OPEN TOTAL ERRORS PERCENTAGE EVENT=rolling/cumulative ...
 * </pre>
 */
public final class Replay {
    private static final List<HystrixEventType> EVENTS = List.of(
            HystrixEventType.SUCCESS, HystrixEventType.FAILURE, HystrixEventType.TIMEOUT, HystrixEventType.BAD_REQUEST,
            HystrixEventType.SHORT_CIRCUITED, HystrixEventType.SEMAPHORE_REJECTED, HystrixEventType.FALLBACK_SUCCESS,
            HystrixEventType.FALLBACK_FAILURE, HystrixEventType.FALLBACK_MISSING, HystrixEventType.FALLBACK_REJECTION);

    /** Scenes begin one after the other, in ms, so that they do not all want the processor at once. */
    private static final long STAGGER = 60;
    private static final StringBuilder OUT = new StringBuilder();

    private Replay() {}

    private static synchronized void tell(String line) {
        OUT.append(line).append('\n');
    }

    private static List<Scene> read(BufferedReader in) throws Exception {
        List<Scene> scenes = new ArrayList<>();
        Scene scene = null;
        for (String line; (line = in.readLine()) != null; ) {
            String[] w = line.trim().split(" +");
            switch (w[0]) {
                case "scene":
                    scenes.add(scene = new Scene(w[1]));
                    for (int i = 2; i < w.length; i++) {
                        scene.settings.put(w[i].split("=")[0], w[i].split("=")[1]);
                    }
                    break;
                case "call":
                    scene.calls.add(new Scene.Call(Long.parseLong(w[1]), Long.parseLong(w[2]), w[3].charAt(0),
                            w[4].charAt(0), Long.parseLong(w[5])));
                    break;
                case "sample":
                    scene.samples.add(Long.parseLong(w[1]));
                    break;
                default:
                    throw new IllegalArgumentException(line);
            }
        }
        return scenes;
    }

    private static void call(Scene scene, int index) {
        Planned command = new Planned(scene, scene.calls.get(index));
        long start = Clock.micros();
        try {
            command.execute();
        } catch (RuntimeException expected) {
            // told by its events
        }
        boolean timedOut = command.isResponseTimedOut();
        long end = command.ended == 0 || timedOut ? Clock.micros() : command.ended;
        StringBuilder events = new StringBuilder();
        for (HystrixEventType e : command.getExecutionEvents()) {
            if (e != HystrixEventType.EXCEPTION_THROWN) {
                events.append(events.length() == 0 ? "" : ",").append(e);
            }
        }
        tell("call " + scene.name + " " + index + " " + (start - scene.begin) + " " + (end - scene.begin) + " " + events);
    }

    private static void sample(Scene scene) {
        Planned probe = new Planned(scene, scene.calls.get(0));
        HystrixCommandMetrics metrics = probe.getMetrics();
        HealthCounts health = metrics.getHealthCounts();
        StringBuilder line = new StringBuilder("sample " + scene.name + " " + (Clock.micros() - scene.begin) + " " + probe.isCircuitBreakerOpen()
                + " " + health.getTotalRequests() + " " + health.getErrorCount() + " " + health.getErrorPercentage());
        for (HystrixEventType e : EVENTS) {
            line.append(' ').append(e).append('=').append(metrics.getRollingCount(e)).append('/').append(metrics.getCumulativeCount(e));
        }
        tell(line.toString());
    }

    /** Hystrix' counts begin when they are first asked for. */
    private static void beginStreams(HystrixCommandMetrics metrics) {
        metrics.getRollingCount(HystrixEventType.SUCCESS);
        metrics.getCumulativeCount(HystrixEventType.SUCCESS);
        metrics.getHealthCounts();
    }

    /** Classes are loaded, code is compiled, timers run: so that no call is slow because it is the first of its kind. */
    private static void warmUp() {
        for (String isolation : List.of("SEMAPHORE", "THREAD")) {
            Scene scene = new Scene("warm-up-" + isolation);
            scene.settings.put("isolation", isolation);
            scene.settings.put("timeout", "5");
            scene.settings.put("forceClosed", "true");
            for (char outcome : "SFB".toCharArray()) {
                scene.calls.add(new Scene.Call(0, 0, outcome, 'S', 0));
            }
            scene.calls.add(new Scene.Call(0, 20, 'T', 'F', 0));
            for (int i = 0; i < 2000; i++) {
                call(scene, i % (i < 40 ? 4 : 3));
            }
            sample(scene);
        }
        synchronized (Replay.class) {
            OUT.setLength(0);
        }
    }

    public static void main(String[] args) throws Exception {
        List<Scene> scenes = read(new BufferedReader(new InputStreamReader(System.in)));
        ScheduledExecutorService pool = Executors.newScheduledThreadPool(200);
        ((java.util.concurrent.ScheduledThreadPoolExecutor) pool).prestartAllCoreThreads();
        warmUp();
        for (Scene scene : scenes) {
            beginStreams(new Planned(scene, scene.calls.get(0)).getMetrics());
        }
        Thread.sleep(300);
        Clock.begin();
        long begin = 0;
        for (Scene scene : scenes) {
            scene.begin = begin;
            for (int i = 0; i < scene.calls.size(); i++) {
                int index = i;
                long due = begin + scene.calls.get(i).at() * 1000;
                pool.schedule(() -> call(scene, index), due - Clock.micros(), TimeUnit.MICROSECONDS);
            }
            for (long at : scene.samples) {
                pool.schedule(() -> sample(scene), begin + at * 1000 - Clock.micros(), TimeUnit.MICROSECONDS);
            }
            begin += STAGGER * 1000;
        }
        pool.shutdown();
        if (!pool.awaitTermination(60, TimeUnit.SECONDS)) {
            throw new IllegalStateException("calls are still running");
        }
        System.out.print(OUT);
        System.out.flush();
        System.exit(0);
    }
}
