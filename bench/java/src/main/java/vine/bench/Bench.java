package vine.bench;

import com.netflix.client.config.DefaultClientConfigImpl;
import com.netflix.hystrix.HystrixCommand;
import com.netflix.hystrix.HystrixCommandGroupKey;
import com.netflix.hystrix.HystrixCommandKey;
import com.netflix.hystrix.HystrixCommandMetrics;
import com.netflix.hystrix.HystrixCommandProperties;
import com.netflix.hystrix.HystrixThreadPoolProperties;
import com.netflix.hystrix.metric.consumer.HystrixDashboardStream;
import com.netflix.hystrix.serial.SerialHystrixDashboardData;
import com.netflix.loadbalancer.BaseLoadBalancer;
import com.netflix.loadbalancer.IRule;
import com.netflix.loadbalancer.Server;
import com.netflix.loadbalancer.ServerStats;
import io.github.resilience4j.bulkhead.Bulkhead;
import io.github.resilience4j.bulkhead.ThreadPoolBulkhead;
import io.github.resilience4j.bulkhead.ThreadPoolBulkheadConfig;
import io.github.resilience4j.circuitbreaker.CircuitBreaker;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** What Vine's flow is measured against; one line a figure: name, tab, nanoseconds (or as the name says). */
public final class Bench {
    private static final int SERVERS = 1000;
    private static final int CIRCUITS = 1000;

    private Bench() {}

    private static final class Empty extends HystrixCommand<Integer> {
        Empty(Setter setter) {
            super(setter);
        }

        @Override
        protected Integer run() {
            return 1;
        }
    }

    private static HystrixCommand.Setter setter(String key, HystrixCommandProperties.ExecutionIsolationStrategy isolation) {
        return HystrixCommand.Setter.withGroupKey(HystrixCommandGroupKey.Factory.asKey("shop"))
                .andCommandKey(HystrixCommandKey.Factory.asKey(key))
                .andCommandPropertiesDefaults(HystrixCommandProperties.Setter().withExecutionIsolationStrategy(isolation)
                        .withRequestCacheEnabled(false).withRequestLogEnabled(false))
                .andThreadPoolPropertiesDefaults(HystrixThreadPoolProperties.Setter().withCoreSize(2).withMaxQueueSize(10));
    }

    private static void commands() throws Exception {
        HystrixCommand.Setter semaphore = setter("semaphore", HystrixCommandProperties.ExecutionIsolationStrategy.SEMAPHORE);
        HystrixCommand.Setter thread = setter("thread", HystrixCommandProperties.ExecutionIsolationStrategy.THREAD);
        Loop.measure("hystrix command, 1 thread", 1, () -> new Empty(semaphore).execute());
        Loop.measure("hystrix command, 2 threads", 2, () -> new Empty(semaphore).execute());
        Loop.measure("hystrix pool", 1, () -> new Empty(thread).execute());
    }

    private static void resilience() throws Exception {
        CircuitBreaker breaker = CircuitBreaker.of("product", CircuitBreakerConfig.custom()
                .slidingWindow(10, 20, CircuitBreakerConfig.SlidingWindowType.TIME_BASED).build());
        Bulkhead bulkhead = Bulkhead.ofDefaults("product");
        Supplier<Integer> both = CircuitBreaker.decorateSupplier(breaker, Bulkhead.decorateSupplier(bulkhead, () -> 1));
        Loop.measure("resilience4j breaker and bulkhead, 1 thread", 1, both::get);
        Loop.measure("resilience4j breaker and bulkhead, 2 threads", 2, both::get);
        ThreadPoolBulkhead pool = ThreadPoolBulkhead.of("product",
                ThreadPoolBulkheadConfig.custom().coreThreadPoolSize(2).maxThreadPoolSize(2).queueCapacity(10).build());
        Loop.measure("resilience4j pool", 1, () -> pool.executeSupplier(() -> 1).toCompletableFuture().get());
        pool.close();
        ExecutorService bare = new ThreadPoolExecutor(2, 2, 1, TimeUnit.MINUTES, new ArrayBlockingQueue<>(10));
        Loop.measure("java bare hand-off", 1, () -> bare.submit(() -> 1).get());
        bare.shutdown();
    }

    private static void rules() throws Exception {
        for (String name : List.of("RoundRobinRule", "RandomRule", "WeightedResponseTimeRule", "BestAvailableRule",
                "AvailabilityFilteringRule", "ZoneAvoidanceRule")) {
            BaseLoadBalancer lb = new BaseLoadBalancer();
            List<Server> servers = new ArrayList<>();
            for (int i = 0; i < SERVERS; i++) {
                Server s = new Server("10.0." + i / 250 + "." + i % 250, 8080);
                s.setZone(i % 2 == 0 ? "a" : "b");
                servers.add(s);
            }
            lb.setServersList(servers);
            for (Server s : servers) {
                s.setAlive(true);
                ServerStats stats = lb.getLoadBalancerStats().getSingleServerStat(s);
                stats.noteResponseTime(1 + s.hashCode() % 10);
            }
            IRule rule = (IRule) Class.forName("com.netflix.loadbalancer." + name).getDeclaredConstructor().newInstance();
            if (rule instanceof com.netflix.client.IClientConfigAware aware) {
                aware.initWithNiwsConfig(DefaultClientConfigImpl.getClientConfigWithDefaultValues("bench"));
            }
            lb.setRule(rule);
            Loop.measure("ribbon " + name, 1, () -> lb.chooseServer(null));
            lb.shutdown();
        }
    }

    /** The CPU time of writing one round of the stream, by this thread; what the metrics' own timers burn beside it is not in it. */
    private static void stream() throws Exception {
        for (int i = 0; i < CIRCUITS; i++) {
            HystrixCommand.Setter s = setter("service-" + i, HystrixCommandProperties.ExecutionIsolationStrategy.SEMAPHORE);
            for (int k = 0; k < 20; k++) {
                new Empty(s).execute();
            }
        }
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        HystrixDashboardStream.DashboardData data = HystrixDashboardStream.getInstance().observe().toBlocking().first();
        double best = Double.MAX_VALUE;
        for (int round = 0; round < 15; round++) {
            long begin = threads.getCurrentThreadCpuTime();
            int bytes = 0;
            for (HystrixCommandMetrics m : data.getCommandMetrics()) {
                bytes += SerialHystrixDashboardData.toJsonString(m).length();
            }
            best = Math.min(best, bytes == 0 ? Double.MAX_VALUE : threads.getCurrentThreadCpuTime() - begin);
        }
        System.out.printf("hystrix stream of 1,000 circuits\t%.1f%n", best);
    }

    public static void main(String[] args) throws Exception {
        commands();
        resilience();
        rules();
        stream();
        System.exit(0);
    }
}
