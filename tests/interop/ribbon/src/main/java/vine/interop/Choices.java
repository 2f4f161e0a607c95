package vine.interop;

import com.netflix.client.config.DefaultClientConfigImpl;
import com.netflix.client.config.IClientConfig;
import com.netflix.loadbalancer.AbstractServerList;
import com.netflix.loadbalancer.ClientConfigEnabledRoundRobinRule;
import com.netflix.loadbalancer.DummyPing;
import com.netflix.loadbalancer.DynamicServerListLoadBalancer;
import com.netflix.loadbalancer.IRule;
import com.netflix.loadbalancer.Server;
import com.netflix.loadbalancer.ServerListUpdater;
import com.netflix.loadbalancer.ServerStats;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Lets a rule of Ribbon's choose among servers whose statistics come on standard input, and tells how often each was chosen:
 *
 * <pre>
 * rule CLASS CHOICES
 * server ZONE AVERAGE_US ACTIVE in|out
 * </pre>
 */
public final class Choices {
    private Choices() {}

    private record Place(String zone, long average, int active, boolean in) {}

    private static final class Fixed extends AbstractServerList<Server> {
        private final List<Server> servers;

        Fixed(List<Server> servers) {
            this.servers = servers;
        }

        @Override
        public void initWithNiwsConfig(IClientConfig config) {
        }

        @Override
        public List<Server> getInitialListOfServers() {
            return servers;
        }

        @Override
        public List<Server> getUpdatedListOfServers() {
            return servers;
        }
    }

    private static final class Never implements ServerListUpdater {
        @Override
        public void start(UpdateAction action) {
        }

        @Override
        public void stop() {
        }

        @Override
        public String getLastUpdate() {
            return "";
        }

        @Override
        public long getDurationSinceLastUpdateMs() {
            return 0;
        }

        @Override
        public int getNumberMissedCycles() {
            return 0;
        }

        @Override
        public int getCoreThreads() {
            return 1;
        }
    }

    private static void load(DynamicServerListLoadBalancer<Server> lb, Server server, Place p) {
        ServerStats stats = lb.getLoadBalancerStats().getSingleServerStat(server);
        for (int i = 0; i < 20; i++) {
            stats.noteResponseTime(p.average() / 1000.0);
        }
        for (int i = 0; i < p.active(); i++) {
            stats.incrementActiveRequestsCount();
        }
        for (int i = 0; i < 3 && !p.in(); i++) {
            stats.incrementSuccessiveConnectionFailureCount();
        }
    }

    private static int[] choose(String rule, int choices, List<Place> places) throws Exception {
        List<Server> servers = new ArrayList<>();
        for (int i = 0; i < places.size(); i++) {
            Server s = new Server("10.0.0." + i, 80);
            if (!places.get(i).zone().equals("-")) {
                s.setZone(places.get(i).zone());
            }
            s.setAlive(true);
            servers.add(s);
        }
        DefaultClientConfigImpl config = DefaultClientConfigImpl.getClientConfigWithDefaultValues("choices");
        DynamicServerListLoadBalancer<Server> lb = new DynamicServerListLoadBalancer<>(config, new ClientConfigEnabledRoundRobinRule(),
                new DummyPing(), new Fixed(servers), list -> list, new Never());
        for (int i = 0; i < servers.size(); i++) {
            load(lb, servers.get(i), places.get(i));
        }
        // Only now: the weighted rule works out its weights when it is given its balancer.
        IRule chosen = (IRule) Class.forName("com.netflix.loadbalancer." + rule).getDeclaredConstructor().newInstance();
        if (chosen instanceof com.netflix.client.IClientConfigAware aware) {
            aware.initWithNiwsConfig(config);
        }
        lb.setRule(chosen);
        Map<String, Integer> at = new HashMap<>();
        for (int i = 0; i < servers.size(); i++) {
            at.put(servers.get(i).getId(), i);
        }
        int[] counts = new int[servers.size()];
        for (int i = 0; i < choices; i++) {
            Server s = lb.chooseServer(null);
            if (s != null) {
                counts[at.get(s.getId())]++;
            }
        }
        return counts;
    }

    public static void main(String[] args) throws Exception {
        List<String[]> lines = new ArrayList<>();
        for (BufferedReader in = new BufferedReader(new InputStreamReader(System.in)); ; ) {
            String line = in.readLine();
            if (line == null) {
                break;
            }
            lines.add(line.trim().split(" +"));
        }
        for (int i = 0; i < lines.size(); ) {
            String[] rule = lines.get(i++);
            List<Place> places = new ArrayList<>();
            while (i < lines.size() && lines.get(i)[0].equals("server")) {
                String[] w = lines.get(i++);
                places.add(new Place(w[1], Long.parseLong(w[2]), Integer.parseInt(w[3]), w[4].equals("in")));
            }
            StringBuilder out = new StringBuilder();
            for (int count : choose(rule[1], Integer.parseInt(rule[2]), places)) {
                out.append(out.length() == 0 ? "" : " ").append(count);
            }
            System.out.println(out);
        }
        System.exit(0);
    }
}
