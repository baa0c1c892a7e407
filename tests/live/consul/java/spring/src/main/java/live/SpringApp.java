package live;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.ServiceInstance;
import org.springframework.cloud.client.discovery.DiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.cloud.context.config.annotation.RefreshScope;
import org.springframework.cloud.openfeign.EnableFeignClients;
import org.springframework.cloud.openfeign.FeignClientBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.stereotype.Component;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/** An ordinary Spring Cloud Consul application: serves /hello, calls others by name, has its settings from keys. */
@SpringBootApplication
@EnableFeignClients
@RestController
public class SpringApp {
  /** Any application that greets, reached by its name. */
  public interface Greeter {
    @GetMapping("/hello")
    String hello();
  }

  /** Made anew when something changes. */
  @Component
  @RefreshScope
  public static class Greeting {
    @Value("${greeting:nothing}")
    private String text;

    public String text() {
      return text;
    }
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
    Map<String, String> arguments = new HashMap<>();
    for (int at = 0; at + 1 < args.length; at += 2) {
      arguments.put(args[at].substring(2), args[at + 1]);
    }
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
            "settings", running::settings,
            "leave", running::leave));
    System.exit(0);
  }

  private static Map<String, Object> properties(Map<String, String> arguments) {
    String[] address = arguments.get("consul").split(":");
    Map<String, Object> properties = new LinkedHashMap<>();
    properties.put("server.address", "127.0.0.1");
    properties.put("server.port", arguments.get("port"));
    properties.put("spring.application.name", arguments.get("app"));
    properties.put("spring.main.banner-mode", "off");
    properties.put("spring.cloud.consul.host", address[0]);
    properties.put("spring.cloud.consul.port", address[1]);
    properties.put("spring.cloud.consul.discovery.ip-address", "127.0.0.1");
    properties.put("spring.cloud.consul.discovery.prefer-ip-address", "true");
    properties.put("spring.cloud.consul.discovery.metadata.release", "1");
    properties.put("spring.cloud.consul.discovery.tags", "spring");
    properties.put("spring.cloud.consul.discovery.query-passing", "true");
    if (arguments.get("check").equals("ttl")) {
      properties.put("spring.cloud.consul.discovery.heartbeat.enabled", "true");
      properties.put("spring.cloud.consul.discovery.heartbeat.ttl", "3s");
    } else {
      properties.put("spring.cloud.consul.discovery.health-check-interval", "1s");
    }
    properties.put("spring.config.import", "optional:consul:");
    properties.put("spring.cloud.consul.config.format", arguments.get("format"));
    properties.put("spring.cloud.consul.config.watch.delay", "200");
    properties.put("spring.cloud.consul.config.watch.wait-time", "2");
    properties.put("spring.cloud.loadbalancer.cache.enabled", "false");
    return properties;
  }

  private record Running(ConfigurableApplicationContext context) {
    Map<String, Object> services(JsonNode order) {
      return Map.of("services", context.getBean(DiscoveryClient.class).getServices());
    }

    Map<String, Object> instances(JsonNode order) {
      List<Map<String, Object>> seen = new ArrayList<>();
      for (ServiceInstance one :
          context.getBean(DiscoveryClient.class).getInstances(order.path("service").asText())) {
        seen.add(
            Map.of(
                "id", one.getInstanceId(),
                "address", one.getHost(),
                "port", one.getPort(),
                "meta", one.getMetadata()));
      }
      return Map.of("instances", seen);
    }

    Map<String, Object> feign(JsonNode order) {
      String name = order.path("service").asText();
      Greeter greeter = new FeignClientBuilder(context).forType(Greeter.class, name).build();
      return Map.of("body", greeter.hello());
    }

    Map<String, Object> template(JsonNode order) {
      String url = "http://" + order.path("service").asText() + "/hello";
      return Map.of("body", context.getBean(RestTemplate.class).getForObject(url, String.class));
    }

    Map<String, Object> settings(JsonNode order) {
      return Map.of("greeting", context.getBean(Greeting.class).text());
    }

    Map<String, Object> leave(JsonNode order) {
      context.close();
      return Map.of("left", true);
    }
  }
}
