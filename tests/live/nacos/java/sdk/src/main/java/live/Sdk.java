package live;

import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.Event;
import com.alibaba.nacos.api.naming.listener.EventListener;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import live.Orders.Order;

/** Provider and consumer on nacos-client: what all its generations have in common. */
public final class Sdk {
  private final Arguments arguments;
  private final Map<String, NamingService> namings = new ConcurrentHashMap<>();
  private final Map<String, EventListener> listeners = new ConcurrentHashMap<>();
  private final Map<String, List<Map<String, Object>>> changes = new ConcurrentHashMap<>();

  private Sdk(Arguments arguments) {
    this.arguments = arguments;
  }

  public static void main(String[] args) throws Exception {
    Arguments arguments = new Arguments(args);
    // Snapshots, caches and logs go below the home folder unless told otherwise; read when classes load.
    for (String key : List.of("user.home", "JM.SNAPSHOT.PATH", "JM.LOG.PATH")) {
      System.setProperty(key, arguments.text("folder"));
    }
    System.setProperty("nacos.logging.default.config.enabled", "false");
    Orders orders = new Orders();
    Sdk sdk = new Sdk(arguments);
    sdk.naming("");
    Map<String, Orders.Command> commands = new HashMap<>();
    commands.put("register", sdk::register);
    commands.put("deregister", sdk::deregister);
    commands.put("instances", sdk::instances);
    commands.put("one", sdk::one);
    commands.put("services", sdk::services);
    commands.put("watch", sdk::watch);
    commands.put("unwatch", sdk::unwatch);
    commands.put("changes", sdk::changes);
    commands.put("status", sdk::status);
    commands.put("leave", sdk::leave);
    Configs configs = new Configs(sdk);
    commands.putAll(configs.commands());
    commands.putAll(new Generation(sdk, configs).commands());
    orders.hold(commands);
    System.exit(0);
  }

  /** What every factory of the library is given. */
  Properties properties(String namespace) {
    Properties properties = new Properties();
    properties.put("serverAddr", arguments.text("nacos"));
    if (!namespace.isEmpty()) {
      properties.put("namespace", namespace);
    }
    if (!arguments.text("user").isEmpty()) {
      properties.put("username", arguments.text("user"));
      properties.put("password", arguments.text("password"));
    }
    return properties;
  }

  /** The client of one namespace: a library's client is bound to one. */
  NamingService naming(String namespace) throws NacosException {
    NamingService known = namings.get(namespace);
    if (known == null) {
      known = NacosFactory.createNamingService(properties(namespace));
      namings.put(namespace, known);
    }
    return known;
  }

  NamingService naming(Order order) throws NacosException {
    return naming(order.text("namespace"));
  }

  static String group(Order order) {
    return order.text("group", "DEFAULT_GROUP");
  }

  static Instance instance(Order order) {
    Instance instance = new Instance();
    instance.setIp(order.text("ip"));
    instance.setPort(order.number("port"));
    instance.setWeight(order.decimal("weight", 1));
    instance.setEphemeral(order.flag("ephemeral", true));
    instance.setEnabled(order.flag("enabled", true));
    instance.setMetadata(order.texts("metadata"));
    instance.setClusterName(order.text("cluster", "DEFAULT"));
    return instance;
  }

  private Map<String, Object> register(Order order) throws NacosException {
    naming(order).registerInstance(order.text("service"), group(order), instance(order));
    return Map.of();
  }

  private Map<String, Object> deregister(Order order) throws NacosException {
    naming(order).deregisterInstance(order.text("service"), group(order), instance(order));
    return Map.of();
  }

  private Map<String, Object> instances(Order order) throws NacosException {
    List<Instance> found =
        naming(order)
            .getAllInstances(
                order.text("service"),
                group(order),
                order.list("clusters"),
                order.flag("subscribe", false));
    return Map.of("instances", views(found));
  }

  private Map<String, Object> one(Order order) throws NacosException {
    Instance chosen =
        naming(order)
            .selectOneHealthyInstance(
                order.text("service"), group(order), order.list("clusters"), true);
    return Map.of("instances", views(chosen == null ? List.of() : List.of(chosen)));
  }

  private Map<String, Object> services(Order order) throws NacosException {
    var page = naming(order).getServicesOfServer(1, 1000, group(order));
    return Map.of("services", page.getData(), "count", page.getCount());
  }

  private static String key(Order order) {
    return order.text("namespace") + " " + group(order) + " " + order.text("service");
  }

  private Map<String, Object> watch(Order order) throws NacosException {
    List<Map<String, Object>> seen = new CopyOnWriteArrayList<>();
    changes.put(key(order), seen);
    EventListener listener = event -> noted(seen, event);
    listeners.put(key(order), listener);
    naming(order)
        .subscribe(order.text("service"), group(order), order.list("clusters"), listener);
    return Map.of();
  }

  private static void noted(List<Map<String, Object>> seen, Event event) {
    if (event instanceof NamingEvent change) {
      seen.add(
          Map.of("at", System.currentTimeMillis(), "instances", views(change.getInstances())));
    }
  }

  private Map<String, Object> unwatch(Order order) throws NacosException {
    EventListener listener = listeners.remove(key(order));
    naming(order)
        .unsubscribe(order.text("service"), group(order), order.list("clusters"), listener);
    return Map.of();
  }

  private Map<String, Object> changes(Order order) {
    return Map.of("changes", changes.getOrDefault(key(order), List.of()));
  }

  private Map<String, Object> status(Order order) throws NacosException {
    return Map.of("status", naming(order).getServerStatus());
  }

  private Map<String, Object> leave(Order order) throws NacosException {
    for (NamingService naming : namings.values()) {
      naming.shutDown();
    }
    return Map.of("left", true);
  }

  private static List<Map<String, Object>> views(List<Instance> instances) {
    return instances.stream().map(Sdk::view).toList();
  }

  private static Map<String, Object> view(Instance one) {
    Map<String, Object> view = new LinkedHashMap<>();
    view.put("id", one.getInstanceId());
    view.put("ip", one.getIp());
    view.put("port", one.getPort());
    view.put("weight", one.getWeight());
    view.put("healthy", one.isHealthy());
    view.put("enabled", one.isEnabled());
    view.put("ephemeral", one.isEphemeral());
    view.put("cluster", one.getClusterName());
    view.put("service", one.getServiceName());
    view.put("metadata", one.getMetadata());
    return view;
  }
}
