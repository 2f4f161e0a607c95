package vine.interop;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.availability.AvailabilityChangeEvent;
import org.springframework.boot.availability.ReadinessState;
import org.springframework.boot.context.event.ApplicationReadyEvent;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.openfeign.EnableFeignClients;
import org.springframework.cloud.openfeign.FeignClient;
import org.springframework.context.ApplicationContext;
import org.springframework.context.event.EventListener;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/**
 * A service like any other: it is found, finds others, and calls them by name. Nothing here knows of Vine, and what is
 * written here compiles against each generation of Spring Cloud.
 */
@SpringBootApplication
@EnableFeignClients
@RestController
public class Service {
	/** The shop's member service, which is written in C. */
	@FeignClient("member")
	interface Members {
		@GetMapping("/members/{id}")
		Map<String, Object> member(@PathVariable("id") int id);
	}

	private final ApplicationContext context;
	private final DiscoveryClient discovery;
	private final RestTemplate http;
	private final Members members;
	private final String name;

	Service(ApplicationContext context, DiscoveryClient discovery, RestTemplate http, Members members,
		@Value("${spring.application.name}") String name) {
		this.context = context;
		this.discovery = discovery;
		this.http = http;
		this.members = members;
		this.name = name;
	}

	@GetMapping("/hello")
	Map<String, Object> hello() {
		return Collections.singletonMap("from", name);
	}

	@GetMapping("/services")
	List<String> services() {
		return discovery.getServices();
	}

	@GetMapping("/instances")
	List<Map<String, Object>> instances(@RequestParam("service") String service) {
		return discovery.getInstances(service).stream().map(Service::describe).collect(Collectors.toList());
	}

	private static Map<String, Object> describe(ServiceInstance i) {
		Map<String, Object> out = new LinkedHashMap<>();
		out.put("id", i.getInstanceId());
		out.put("host", i.getHost());
		out.put("port", i.getPort());
		out.put("uri", i.getUri().toString());
		out.put("metadata", i.getMetadata());
		return out;
	}

	/** Calls another service by its name. */
	@GetMapping("/call")
	String call(@RequestParam("service") String service, @RequestParam("path") String path) {
		return http.getForObject("http://" + service + path, String.class);
	}

	@GetMapping("/member")
	Map<String, Object> member(@RequestParam("id") int id) {
		return members.member(id);
	}

	/** As if what this service needs were gone, or there again: its health follows. */
	@PostMapping("/ready")
	void ready(@RequestParam("state") ReadinessState state) {
		AvailabilityChangeEvent.publish(context, state);
	}

	@EventListener
	void said(ApplicationReadyEvent e) {
		System.out.println(name + " ready: http://127.0.0.1:" + context.getEnvironment().getProperty("local.server.port"));
	}

	public static void main(String[] args) {
		SpringApplication.run(Service.class, args);
	}
}
