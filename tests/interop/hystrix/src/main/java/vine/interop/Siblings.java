package vine.interop;

import com.netflix.hystrix.HystrixCommand;
import com.netflix.hystrix.HystrixCommandGroupKey;
import com.netflix.hystrix.config.HystrixConfigurationStream;
import com.netflix.hystrix.metric.HystrixRequestEventsStream;
import com.netflix.hystrix.metric.consumer.HystrixDashboardStream;
import com.netflix.hystrix.metric.sample.HystrixUtilizationStream;
import com.netflix.hystrix.serial.SerialHystrixConfiguration;
import com.netflix.hystrix.serial.SerialHystrixRequestEvents;
import com.netflix.hystrix.serial.SerialHystrixUtilization;
import com.netflix.hystrix.strategy.concurrency.HystrixRequestContext;
import com.netflix.hystrix.metric.HystrixRequestEvents;
import java.util.Collections;
import java.util.concurrent.TimeUnit;

/** What the sibling streams of hystrix.stream say after a command, a pool and a collapser were used: one JSON text a line. */
public final class Siblings {
    private Siblings() {}

    public static void main(String[] args) throws Exception {
        HystrixRequestContext context = HystrixRequestContext.initializeContext();
        try {
            new Fields.Collapser(1).execute();
            System.out.println(SerialHystrixConfiguration.toJsonString(
                    HystrixConfigurationStream.getInstance().observe().timeout(20, TimeUnit.SECONDS).toBlocking().first()));
            System.out.println(SerialHystrixUtilization.toJsonString(
                    HystrixUtilizationStream.getInstance().observe().timeout(20, TimeUnit.SECONDS).toBlocking().first()));
            System.out.println(SerialHystrixRequestEvents.toJsonString(new HystrixRequestEvents(
                    com.netflix.hystrix.HystrixRequestLog.getCurrentRequest().getAllExecutedCommands())));
        } finally {
            context.shutdown();
        }
        System.exit(0);
    }
}
