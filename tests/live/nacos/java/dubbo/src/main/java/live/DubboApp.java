package live;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import live.Orders.Order;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/**
 * A Dubbo application that registers by interface: offers a greeting in a version, calls one, leaves when stopped.
 *
 * <p>Discovery alone: configuration and metadata centres are off.
 */
public final class DubboApp {
  private final DubboBootstrap bootstrap = DubboBootstrap.getInstance();
  private final int port;
  private final Map<String, ReferenceConfig<Greeter>> references = new ConcurrentHashMap<>();

  private DubboApp(Arguments arguments) {
    port = Integer.parseInt(arguments.text("port"));
    ApplicationConfig application = new ApplicationConfig(arguments.text("app"));
    application.setQosEnable(false);
    application.setRegisterMode("interface");
    RegistryConfig registry = new RegistryConfig("nacos://" + arguments.text("nacos"));
    registry.setUseAsConfigCenter(false);
    registry.setUseAsMetadataCenter(false);
    registry.setRegisterMode("interface");
    // The start waits for nobody else.
    registry.setCheck(false);
    if (!arguments.text("user").isEmpty()) {
      registry.setUsername(arguments.text("user"));
      registry.setPassword(arguments.text("password"));
    }
    ProtocolConfig protocol = new ProtocolConfig("dubbo", port);
    protocol.setHost("127.0.0.1");
    bootstrap.application(application).registry(registry).protocol(protocol);
  }

  public static void main(String[] args) throws Exception {
    Arguments arguments = new Arguments(args);
    for (String key : List.of("user.home", "JM.SNAPSHOT.PATH", "JM.LOG.PATH")) {
      System.setProperty(key, arguments.text("folder"));
    }
    System.setProperty("nacos.logging.default.config.enabled", "false");
    System.setProperty("dubbo.application.service-discovery.migration", "FORCE_INTERFACE");
    Orders orders = new Orders();
    DubboApp app = new DubboApp(arguments);
    app.bootstrap.start();
    Map<String, Orders.Command> commands = new HashMap<>();
    commands.put("serve", app::serve);
    commands.put("call", app::call);
    commands.put("leave", app::leave);
    orders.hold(commands);
    System.exit(0);
  }

  private Map<String, Object> serve(Order order) {
    ServiceConfig<Greeter> service = new ServiceConfig<>();
    service.setInterface(Greeter.class);
    service.setVersion(order.text("version"));
    service.setRef(name -> "hello " + name + " from " + port);
    service.setScopeModel(bootstrap.getApplicationModel().getDefaultModule());
    service.export();
    return Map.of();
  }

  private Map<String, Object> call(Order order) {
    Greeter greeter = references.computeIfAbsent(order.text("version"), this::refer).get();
    return Map.of("body", greeter.hello(order.text("name")));
  }

  private ReferenceConfig<Greeter> refer(String version) {
    ReferenceConfig<Greeter> reference = new ReferenceConfig<>();
    reference.setInterface(Greeter.class);
    reference.setVersion(version);
    reference.setCheck(false);
    reference.setTimeout(3000);
    reference.setRetries(0);
    reference.setScopeModel(bootstrap.getApplicationModel().getDefaultModule());
    return reference;
  }

  private Map<String, Object> leave(Order order) {
    bootstrap.stop();
    return Map.of("left", true);
  }
}
