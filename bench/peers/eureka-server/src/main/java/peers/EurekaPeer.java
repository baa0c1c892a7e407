package peers;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.netflix.eureka.server.EnableEurekaServer;

/** A stand-alone Eureka server with nothing added: whatever it answers is the reference. */
@SpringBootApplication
@EnableEurekaServer
public class EurekaPeer {
  public static void main(String[] args) {
    SpringApplication.run(EurekaPeer.class, args);
  }
}
