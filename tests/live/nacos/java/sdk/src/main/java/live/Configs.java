package live;

import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.config.ConfigService;
import com.alibaba.nacos.api.config.listener.Listener;
import com.alibaba.nacos.api.exception.NacosException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;
import live.Orders.Order;

/** Configuration with nacos-client: what all its generations have in common. A file is an order's "service". */
final class Configs {
  private final Sdk sdk;
  private final Map<String, ConfigService> clients = new ConcurrentHashMap<>();
  private final Map<String, Listener> listeners = new ConcurrentHashMap<>();
  private final Map<String, List<Map<String, Object>>> told = new ConcurrentHashMap<>();

  Configs(Sdk sdk) {
    this.sdk = sdk;
  }

  Map<String, Orders.Command> commands() {
    Map<String, Orders.Command> commands = new HashMap<>();
    commands.put("publish", this::publish);
    commands.put("content", this::content);
    commands.put("remove", this::remove);
    commands.put("listen", this::listen);
    commands.put("mute", this::mute);
    commands.put("told", this::told);
    return commands;
  }

  /** The client of one namespace, made when it is first needed: it has a connection of its own. */
  ConfigService client(Order order) throws NacosException {
    String namespace = order.text("namespace");
    ConfigService known = clients.get(namespace);
    if (known == null) {
      known = NacosFactory.createConfigService(sdk.properties(namespace));
      clients.put(namespace, known);
    }
    return known;
  }

  private Map<String, Object> publish(Order order) throws NacosException {
    return Map.of(
        "done",
        client(order)
            .publishConfig(
                order.text("service"),
                Sdk.group(order),
                order.text("content"),
                order.text("type", "text")));
  }

  private Map<String, Object> content(Order order) throws NacosException {
    String found = client(order).getConfig(order.text("service"), Sdk.group(order), 3000);
    return found == null ? Map.of() : Map.of("content", found);
  }

  private Map<String, Object> remove(Order order) throws NacosException {
    return Map.of("done", client(order).removeConfig(order.text("service"), Sdk.group(order)));
  }

  private static String key(Order order) {
    return order.text("namespace") + " " + Sdk.group(order) + " " + order.text("service");
  }

  private static List<String> files(Order order) {
    List<String> found = order.list("files");
    return found.isEmpty() ? List.of(order.text("service")) : found;
  }

  private Map<String, Object> listen(Order order) throws NacosException {
    List<Map<String, Object>> seen = new CopyOnWriteArrayList<>();
    told.put(key(order), seen);
    for (String file : files(order)) {
      Listener listener =
          new Listener() {
            @Override
            public Executor getExecutor() {
              return null;
            }

            @Override
            public void receiveConfigInfo(String content) {
              seen.add(
                  Map.of(
                      "at",
                      System.currentTimeMillis(),
                      "file",
                      file,
                      "content",
                      content == null ? "" : content));
            }
          };
      listeners.put(key(order) + " " + file, listener);
      client(order).addListener(file, Sdk.group(order), listener);
    }
    return Map.of();
  }

  private Map<String, Object> mute(Order order) throws NacosException {
    for (String file : files(order)) {
      Listener listener = listeners.remove(key(order) + " " + file);
      client(order).removeListener(file, Sdk.group(order), listener);
    }
    return Map.of();
  }

  private Map<String, Object> told(Order order) {
    return Map.of("changes", told.getOrDefault(key(order), List.of()));
  }
}
