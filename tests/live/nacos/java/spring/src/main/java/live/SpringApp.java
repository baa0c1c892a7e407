package live;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import live.Orders.Order;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.cloud.openfeign.EnableFeignClients;
import org.springframework.cloud.openfeign.FeignClientBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/** An ordinary Spring Cloud Alibaba application: serves /hello, calls others by name, leaves when closed. */
@SpringBootApplication
@EnableFeignClients
@RestController
public class SpringApp {
  /** Any application that greets, reached by its name. */
  public interface Greeter {
    @GetMapping("/hello")
    String hello();
  }

  @Bean
  @LoadBalanced
  RestTemplate template() {
    return new RestTemplate();
  }

  @GetMapping("/hello")
  public String hello() {
    return "hello from spring";
  }

  public static void main(String[] args) throws Exception {
    Arguments arguments = new Arguments(args);
    for (String key : List.of("user.home", "JM.SNAPSHOT.PATH", "JM.LOG.PATH")) {
      System.setProperty(key, arguments.text("folder"));
    }
    System.setProperty("nacos.logging.default.config.enabled", "false");
    Orders orders = new Orders();
    SpringApplication application = new SpringApplication(SpringApp.class);
    application.setDefaultProperties(properties(arguments));
    Running running = new Running(application.run());
    orders.hold(
        Map.of(
            "services", running::services,
            "instances", running::instances,
            "feign", running::feign,
            "template", running::template,
            "leave", running::leave));
    System.exit(0);
  }

  private static Map<String, Object> properties(Arguments arguments) {
    Map<String, Object> properties = new LinkedHashMap<>();
    properties.put("server.address", "127.0.0.1");
    properties.put("server.port", arguments.text("port"));
    properties.put("spring.application.name", arguments.text("app"));
    properties.put("spring.main.banner-mode", "off");
    properties.put("spring.cloud.nacos.config.enabled", "false");
    properties.put("spring.cloud.nacos.discovery.server-addr", arguments.text("nacos"));
    properties.put("spring.cloud.nacos.discovery.ip", "127.0.0.1");
    properties.put("spring.cloud.nacos.discovery.cluster-name", "spring");
    properties.put("spring.cloud.nacos.discovery.metadata.release", "1");
    // It would sleep for 10 s for each of its contexts.
    properties.put("spring.cloud.nacos.discovery.graceful-shutdown-wait-time", "0");
    properties.put("spring.cloud.loadbalancer.cache.enabled", "false");
    if (!arguments.text("user").isEmpty()) {
      properties.put("spring.cloud.nacos.discovery.username", arguments.text("user"));
      properties.put("spring.cloud.nacos.discovery.password", arguments.text("password"));
    }
    return properties;
  }

  private record Running(ConfigurableApplicationContext context) {
    Map<String, Object> services(Order order) {
      return Map.of("services", context.getBean(DiscoveryClient.class).getServices());
    }

    Map<String, Object> instances(Order order) {
      List<Map<String, Object>> seen = new ArrayList<>();
      for (ServiceInstance one :
          context.getBean(DiscoveryClient.class).getInstances(order.text("service"))) {
        Map<String, Object> view = new LinkedHashMap<>();
        view.put("ip", one.getHost());
        view.put("port", one.getPort());
        view.put("metadata", one.getMetadata());
        seen.add(view);
      }
      return Map.of("instances", seen);
    }

    Map<String, Object> feign(Order order) {
      Greeter greeter =
          new FeignClientBuilder(context).forType(Greeter.class, order.text("service")).build();
      return Map.of("body", greeter.hello());
    }

    Map<String, Object> template(Order order) {
      RestTemplate template = context.getBean(RestTemplate.class);
      String url = "http://" + order.text("service") + "/hello";
      return Map.of("body", template.getForObject(url, String.class));
    }

    Map<String, Object> leave(Order order) {
      context.close();
      return Map.of("left", true);
    }
  }
}
