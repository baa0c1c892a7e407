package live;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import live.Orders.Order;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.cloud.context.config.annotation.RefreshScope;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.stereotype.Component;

/** A Spring Cloud Alibaba application whose settings come from two files, one of which need not be there. */
@SpringBootApplication
@EnableConfigurationProperties(ConfigApp.Shop.class)
public class ConfigApp {
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

  /** Filled again when something changes. */
  @ConfigurationProperties("shop")
  public static class Shop {
    private int limit;
    private String owner = "nobody";

    public int getLimit() {
      return limit;
    }

    public void setLimit(int limit) {
      this.limit = limit;
    }

    public String getOwner() {
      return owner;
    }

    public void setOwner(String owner) {
      this.owner = owner;
    }
  }

  public static void main(String[] args) throws Exception {
    Arguments arguments = new Arguments(args);
    for (String key : List.of("user.home", "JM.SNAPSHOT.PATH", "JM.LOG.PATH")) {
      System.setProperty(key, arguments.text("folder"));
    }
    System.setProperty("nacos.logging.default.config.enabled", "false");
    Orders orders = new Orders();
    SpringApplication application = new SpringApplication(ConfigApp.class);
    application.setWebApplicationType(WebApplicationType.NONE);
    application.setDefaultProperties(properties(arguments));
    Running running = new Running(application.run());
    orders.hold(Map.of("settings", running::settings, "leave", running::leave));
    System.exit(0);
  }

  private static Map<String, Object> properties(Arguments arguments) {
    String app = arguments.text("app");
    Map<String, Object> properties = new LinkedHashMap<>();
    properties.put("spring.application.name", app);
    properties.put("spring.main.banner-mode", "off");
    properties.put("spring.cloud.nacos.config.server-addr", arguments.text("nacos"));
    properties.put(
        "spring.config.import",
        "nacos:" + app + ".yaml,optional:nacos:" + app + "-extra.properties?group=extra");
    return properties;
  }

  private record Running(ConfigurableApplicationContext context) {
    Map<String, Object> settings(Order order) {
      Shop shop = context.getBean(Shop.class);
      return Map.of(
          "greeting", context.getBean(Greeting.class).text(),
          "limit", shop.getLimit(),
          "owner", shop.getOwner());
    }

    Map<String, Object> leave(Order order) {
      context.close();
      return Map.of("left", true);
    }
  }
}
