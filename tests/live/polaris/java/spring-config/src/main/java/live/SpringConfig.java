package live;

import java.util.Map;
import live.Orders.Order;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.cloud.context.config.annotation.RefreshScope;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.stereotype.Component;

/**
 * A Spring Cloud Tencent application without a port, whose settings come from the configuration
 * centre: imported, or with {@code --bootstrap yes} by way of the bootstrap context.
 */
@SpringBootApplication
@EnableConfigurationProperties(SpringConfig.Shop.class)
public class SpringConfig {
  /** Made anew when one of its settings changes. */
  @Component
  @RefreshScope
  public static class Sign {
    @Value("${shop.sign:nothing}")
    private String text;

    public String text() {
      return text;
    }
  }

  /** Bound again when one of its settings changes. */
  @ConfigurationProperties("shop")
  public static class Shop {
    private String title = "nothing";
    private int tables;

    public void setTitle(String title) {
      this.title = title;
    }

    public String getTitle() {
      return title;
    }

    public void setTables(int tables) {
      this.tables = tables;
    }

    public int getTables() {
      return tables;
    }
  }

  public static void main(String[] args) throws Exception {
    Orders orders = new Orders();
    Arguments arguments = new Arguments(args);
    boolean bootstrap = arguments.text("bootstrap").equals("yes");
    SpringApplication application = new SpringApplication(SpringConfig.class);
    application.setDefaultProperties(
        Map.of(
            "live.polaris", arguments.text("polaris"),
            "live.config", arguments.text("config"),
            "live.admin", arguments.text("admin"),
            "spring.config.name", bootstrap ? "none" : "imported",
            "spring.cloud.bootstrap.enabled", bootstrap));
    ConfigurableApplicationContext context = application.run();
    orders.hold(
        Map.of(
            "beans", order -> beans(context),
            "setting", order -> setting(context, order),
            "leave", order -> leave(context)));
    System.exit(0);
  }

  private static Map<String, Object> beans(ConfigurableApplicationContext context) {
    Shop shop = context.getBean(Shop.class);
    return Map.of(
        "sign", context.getBean(Sign.class).text(),
        "title", shop.getTitle(),
        "tables", shop.getTables());
  }

  private static Map<String, Object> setting(ConfigurableApplicationContext context, Order order) {
    return Map.of("value", context.getEnvironment().getProperty(order.text("name"), ""));
  }

  private static Map<String, Object> leave(ConfigurableApplicationContext context) {
    context.close();
    return Map.of("left", true);
  }
}
