package live;

import java.util.ArrayList;
import java.util.HashMap;
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
import org.springframework.http.HttpEntity;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClientResponseException;
import org.springframework.web.client.RestTemplate;

/** An ordinary Spring Cloud Tencent application: serves /hello, calls others by name, leaves when closed. */
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
    Orders orders = new Orders();
    SpringApplication application = new SpringApplication(SpringApp.class);
    application.setDefaultProperties(properties(new Arguments(args)));
    Running running = new Running(application.run());
    orders.hold(
        Map.of(
            "services", running::services,
            "view", running::view,
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
    properties.put("spring.cloud.polaris.address", "grpc://" + arguments.text("polaris"));
    properties.put("spring.cloud.polaris.local-ip-address", "127.0.0.1");
    properties.put("spring.cloud.polaris.discovery.ip-address", "127.0.0.1");
    properties.put("spring.cloud.polaris.discovery.heartbeat-interval", "1");
    properties.put("spring.cloud.polaris.discovery.health-check-url", "");
    properties.put("spring.cloud.polaris.admin.port", arguments.text("admin"));
    properties.put("spring.cloud.polaris.stat.enabled", "false");
    properties.put("spring.cloud.tencent.metadata.content.release", "1");
    properties.put("spring.cloud.loadbalancer.cache.enabled", "false");
    if (!arguments.text("token").isEmpty()) {
      properties.put("spring.cloud.polaris.discovery.token", arguments.text("token"));
    }
    return properties;
  }

  private record Running(ConfigurableApplicationContext context) {
    Map<String, Object> services(Order order) {
      return Map.of("services", context.getBean(DiscoveryClient.class).getServices());
    }

    Map<String, Object> view(Order order) {
      List<Map<String, Object>> seen = new ArrayList<>();
      for (ServiceInstance one :
          context.getBean(DiscoveryClient.class).getInstances(order.text("service"))) {
        Map<String, Object> view = new LinkedHashMap<>();
        view.put("id", one.getInstanceId());
        view.put("host", one.getHost());
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

    /** Calls as often as it is told, with headers; bodies and refusals are counted. */
    Map<String, Object> template(Order order) {
      HttpHeaders headers = new HttpHeaders();
      order.texts("headers").forEach(headers::add);
      Map<String, Integer> bodies = new HashMap<>();
      Map<String, Integer> refused = new HashMap<>();
      for (int turn = 0; turn < Math.max(order.number("count"), 1); turn++) {
        try {
          String body =
              context
                  .getBean(RestTemplate.class)
                  .exchange(
                      "http://" + order.text("service") + "/hello",
                      HttpMethod.GET,
                      new HttpEntity<>(headers),
                      String.class)
                  .getBody();
          bodies.merge(body, 1, Integer::sum);
        } catch (RestClientResponseException refusal) {
          refused.merge(String.valueOf(refusal.getStatusCode().value()), 1, Integer::sum);
        }
      }
      return Map.of("bodies", bodies, "refused", refused);
    }

    Map<String, Object> leave(Order order) {
      context.close();
      return Map.of("left", true);
    }
  }
}
