package vine.interop;

import com.netflix.hystrix.HystrixCommand;
import com.netflix.hystrix.HystrixCommandGroupKey;
import com.netflix.hystrix.HystrixCommandKey;
import com.netflix.hystrix.HystrixCommandProperties;
import com.netflix.hystrix.HystrixThreadPoolProperties;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One command key with its settings, the calls that are made to it and the moments at which it is looked at. */
final class Scene {
    record Call(long at, long duration, char outcome, char fallback, long fallbackDuration) {}

    final String name;
    final Map<String, String> settings = new HashMap<>();
    final List<Call> calls = new ArrayList<>();
    final List<Long> samples = new ArrayList<>();
    volatile long begin; // us of the replay

    Scene(String name) {
        this.name = name;
    }

    private int number(String key, int otherwise) {
        return Integer.parseInt(settings.getOrDefault(key, Integer.toString(otherwise)));
    }

    private boolean flag(String key, boolean otherwise) {
        return Boolean.parseBoolean(settings.getOrDefault(key, Boolean.toString(otherwise)));
    }

    HystrixCommand.Setter setter() {
        boolean threads = "THREAD".equals(settings.get("isolation"));
        HystrixCommandProperties.Setter command = HystrixCommandProperties.Setter()
                .withExecutionIsolationStrategy(threads
                        ? HystrixCommandProperties.ExecutionIsolationStrategy.THREAD
                        : HystrixCommandProperties.ExecutionIsolationStrategy.SEMAPHORE)
                .withExecutionIsolationSemaphoreMaxConcurrentRequests(number("semaphore", 100))
                .withFallbackIsolationSemaphoreMaxConcurrentRequests(number("fallbackSemaphore", 100))
                .withExecutionTimeoutEnabled(settings.containsKey("timeout"))
                .withExecutionTimeoutInMilliseconds(number("timeout", 1000))
                .withCircuitBreakerEnabled(flag("enabled", true))
                .withCircuitBreakerForceOpen(flag("forceOpen", false))
                .withCircuitBreakerForceClosed(flag("forceClosed", false))
                .withCircuitBreakerRequestVolumeThreshold(number("volume", 20))
                .withCircuitBreakerErrorThresholdPercentage(number("errors", 50))
                .withCircuitBreakerSleepWindowInMilliseconds(number("sleep", 500))
                .withMetricsRollingStatisticalWindowInMilliseconds(number("window", 1000))
                .withMetricsRollingStatisticalWindowBuckets(10)
                .withMetricsHealthSnapshotIntervalInMilliseconds(number("snapshot", 100))
                .withRequestCacheEnabled(false)
                .withRequestLogEnabled(false);
        return HystrixCommand.Setter.withGroupKey(HystrixCommandGroupKey.Factory.asKey("replay"))
                .andCommandKey(HystrixCommandKey.Factory.asKey(name))
                .andCommandPropertiesDefaults(command)
                .andThreadPoolPropertiesDefaults(HystrixThreadPoolProperties.Setter().withCoreSize(64));
    }
}
