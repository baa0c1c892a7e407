package live;

import com.netflix.appinfo.ApplicationInfoManager;
import com.netflix.appinfo.InstanceInfo;
import com.netflix.discovery.EurekaClient;
import java.util.LinkedHashMap;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.openfeign.EnableFeignClients;
import org.springframework.cloud.openfeign.FeignClientBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** An ordinary Spring Cloud application: serves /hello, calls others by name, leaves when closed. */
@SpringBootApplication
@EnableFeignClients
@RestController
public class SpringClient {
  /** Any application that greets, reached by its name. */
  public interface Greeter {
    @GetMapping("/hello")
    String hello();
  }

  @GetMapping("/hello")
  public String hello() {
    return "hello from spring";
  }

  public static void main(String[] args) throws Exception {
    Conversation conversation = new Conversation();
    SpringApplication application = new SpringApplication(SpringClient.class);
    application.setDefaultProperties(properties(new Arguments(args)));
    conversation.hold(new Running(application.run()));
    System.exit(0);
  }

  private static Map<String, Object> properties(Arguments arguments) {
    Map<String, Object> properties = new LinkedHashMap<>();
    properties.put("server.address", "127.0.0.1");
    properties.put("server.port", arguments.text("port"));
    properties.put("spring.application.name", arguments.text("app"));
    properties.put("spring.main.banner-mode", "off");
    properties.put("eureka.client.service-url.defaultZone", arguments.text("eureka") + "/");
    properties.put("eureka.client.registry-fetch-interval-seconds", arguments.text("fetch"));
    properties.put("eureka.client.initial-instance-info-replication-interval-seconds", "1");
    // Times the interval: after timeouts the client must come back within its short lease.
    properties.put("eureka.client.heartbeat-executor-exponential-back-off-bound", "2");
    properties.put("eureka.client.cache-refresh-executor-exponential-back-off-bound", "2");
    properties.put("eureka.instance.instance-id", arguments.text("id"));
    properties.put("eureka.instance.hostname", "127.0.0.1");
    properties.put("eureka.instance.ip-address", arguments.text("ip", "127.0.0.1"));
    properties.put("eureka.instance.lease-renewal-interval-in-seconds", arguments.text("renew"));
    properties.put("eureka.instance.lease-expiration-duration-in-seconds", arguments.text("lease"));
    properties.put("eureka.instance.metadata-map.zone", "live");
    properties.put("eureka.instance.metadata-map.[with.dot]", "a b");
    properties.put("spring.cloud.loadbalancer.cache.ttl", arguments.text("fetch") + "s");
    return properties;
  }

  private record Running(ConfigurableApplicationContext context) implements Conversation.Client {
    @Override
    public EurekaClient discovery() {
      return context.getBean(EurekaClient.class);
    }

    @Override
    public String call(String app) {
      return new FeignClientBuilder(context)
          .forType(Greeter.class, app.toLowerCase())
          .build()
          .hello();
    }

    @Override
    public void setStatus(InstanceInfo.InstanceStatus status) {
      context.getBean(ApplicationInfoManager.class).setInstanceStatus(status);
    }

    @Override
    public void leave() {
      context.close();
    }
  }
}
