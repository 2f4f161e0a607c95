package vine.interop;

import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.web.client.RestTemplate;

/** The client that takes services' names for hosts. */
@Configuration
class Http {
	@Bean
	@LoadBalanced
	RestTemplate names() {
		return new RestTemplate();
	}
}
