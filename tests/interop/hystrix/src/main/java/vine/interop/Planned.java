package vine.interop;

import com.netflix.hystrix.HystrixCommand;
import com.netflix.hystrix.exception.HystrixBadRequestException;

/** A command that takes as long and ends as its scene says: S success, F failure, B bad request. */
final class Planned extends HystrixCommand<String> {
    private final Scene.Call plan;
    volatile long ended;

    Planned(Scene scene, Scene.Call plan) {
        super(scene.setter());
        this.plan = plan;
    }

    @Override
    protected String run() throws Exception {
        try {
            Clock.sleep(plan.duration());
        } finally {
            ended = Clock.micros();
        }
        switch (plan.outcome()) {
            case 'F': throw new IllegalStateException("planned");
            case 'B': throw new HystrixBadRequestException("planned");
            default: return "fine";
        }
    }

    /** S success, F failure; M: none is implemented. */
    @Override
    protected String getFallback() {
        if (plan.fallback() == 'M') {
            return super.getFallback();
        }
        try {
            Clock.sleep(plan.fallbackDuration());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (plan.fallback() == 'F') {
            throw new IllegalStateException("planned");
        }
        return "spare";
    }
}
