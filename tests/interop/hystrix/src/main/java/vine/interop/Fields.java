package vine.interop;

import com.netflix.hystrix.HystrixCollapser;
import com.netflix.hystrix.HystrixCommand;
import com.netflix.hystrix.HystrixCommandGroupKey;
import com.netflix.hystrix.metric.consumer.HystrixDashboardStream;
import com.netflix.hystrix.serial.SerialHystrixDashboardData;
import com.netflix.hystrix.strategy.concurrency.HystrixRequestContext;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;

/** Runs a command, a pool and a collapser, and prints what Hystrix's own stream says of each, one JSON object a line. */
public final class Fields {
    private Fields() {}

    private static final class Batch extends HystrixCommand<List<String>> {
        private final Collection<HystrixCollapser.CollapsedRequest<String, Integer>> requests;

        Batch(Collection<HystrixCollapser.CollapsedRequest<String, Integer>> requests) {
            super(HystrixCommandGroupKey.Factory.asKey("group"));
            this.requests = requests;
        }

        @Override
        protected List<String> run() {
            List<String> answers = new ArrayList<>();
            for (HystrixCollapser.CollapsedRequest<String, Integer> r : requests) {
                answers.add("answer " + r.getArgument());
            }
            return answers;
        }
    }

    static final class Collapser extends HystrixCollapser<List<String>, String, Integer> {
        private final int argument;

        Collapser(int argument) {
            this.argument = argument;
        }

        @Override
        public Integer getRequestArgument() {
            return argument;
        }

        @Override
        protected HystrixCommand<List<String>> createCommand(Collection<CollapsedRequest<String, Integer>> requests) {
            return new Batch(requests);
        }

        @Override
        protected void mapResponseToRequests(List<String> answers, Collection<CollapsedRequest<String, Integer>> requests) {
            int i = 0;
            for (CollapsedRequest<String, Integer> r : requests) {
                r.setResponse(answers.get(i++));
            }
        }
    }

    public static void main(String[] args) throws Exception {
        HystrixRequestContext context = HystrixRequestContext.initializeContext();
        try {
            for (int i = 0; i < 3; i++) {
                new Collapser(i).execute();
            }
        } finally {
            context.shutdown();
        }
        Set<String> kinds = new TreeSet<>();
        HystrixDashboardStream.getInstance().observe()
                .flatMap(data -> rx.Observable.from(SerialHystrixDashboardData.toMultipleJsonStrings(data)))
                .filter(json -> kinds.add(json.split("\"")[3]))
                .take(3)
                .timeout(20, TimeUnit.SECONDS)
                .toBlocking()
                .forEach(System.out::println);
        System.exit(0);
    }
}
