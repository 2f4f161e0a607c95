package vine.interop;

import java.io.IOException;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.netflix.eureka.server.EnableEurekaServer;

/** Spring Cloud's Eureka server as people run it; ends when standard input does, so that nothing is left of a test that died. */
@SpringBootApplication
@EnableEurekaServer
public class EurekaServer {
	public static void main(String[] args) {
		Thread watch = new Thread(EurekaServer::endWithInput);

		watch.setDaemon(true);
		watch.start();
		SpringApplication.run(EurekaServer.class, args);
	}

	private static void endWithInput() {
		try {
			while (System.in.read() >= 0) {
				continue;
			}
		} catch (IOException e) {
			// as good as its end
		}
		System.exit(0);
	}
}
