package live;

import com.alibaba.nacos.api.config.listener.ConfigFuzzyWatchChangeEvent;
import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.lock.LockService;
import com.alibaba.nacos.api.lock.NacosLockFactory;
import com.alibaba.nacos.api.naming.listener.AbstractFuzzyWatchEventWatcher;
import com.alibaba.nacos.api.naming.listener.FuzzyWatchChangeEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.alibaba.nacos.client.lock.core.NLock;
import com.alibaba.nacos.client.lock.core.NLockFactory;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import live.Orders.Order;

/**
 * What this generation can do beyond the common part: several instances of one service, compare and set, patterns
 * of services and of configuration, locks.
 */
final class Generation {
  private final Sdk sdk;
  private final Configs configs;
  private final List<Map<String, Object>> names = new CopyOnWriteArrayList<>();
  private final List<Map<String, Object>> files = new CopyOnWriteArrayList<>();
  private LockService locks;

  Generation(Sdk sdk, Configs configs) {
    this.sdk = sdk;
    this.configs = configs;
  }

  Map<String, Orders.Command> commands() {
    Map<String, Orders.Command> commands = new HashMap<>();
    commands.put("batch", this::batch);
    commands.put("drop", this::drop);
    commands.put("pattern", this::pattern);
    commands.put("names", this::names);
    commands.put("swap", this::swap);
    commands.put("filePattern", this::filePattern);
    commands.put("files", this::files);
    commands.put("lock", this::lock);
    commands.put("unlock", this::unlock);
    return commands;
  }

  private static List<Instance> instances(Order order) {
    return order.orders("instances").stream().map(Sdk::instance).toList();
  }

  private Map<String, Object> batch(Order order) throws NacosException {
    sdk.naming(order)
        .batchRegisterInstance(order.text("service"), Sdk.group(order), instances(order));
    return Map.of();
  }

  /** Some of a batch leave. */
  private Map<String, Object> drop(Order order) throws NacosException {
    sdk.naming(order)
        .batchDeregisterInstance(order.text("service"), Sdk.group(order), instances(order));
    return Map.of();
  }

  private Map<String, Object> pattern(Order order) throws NacosException {
    sdk.naming(order)
        .fuzzyWatch(
            order.text("service"),
            Sdk.group(order),
            new AbstractFuzzyWatchEventWatcher() {
              @Override
              public void onEvent(FuzzyWatchChangeEvent event) {
                names.add(
                    Map.of(
                        "at", System.currentTimeMillis(),
                        "service", event.getServiceName(),
                        "group", event.getGroupName(),
                        "change", event.getChangeType()));
              }
            });
    return Map.of();
  }

  private Map<String, Object> names(Order order) {
    return Map.of("changes", names);
  }

  /** Publishes if the content there has the MD5 sum given. */
  private Map<String, Object> swap(Order order) throws NacosException {
    return Map.of(
        "done",
        configs
            .client(order)
            .publishConfigCas(
                order.text("service"),
                Sdk.group(order),
                order.text("content"),
                order.text("md5")));
  }

  private Map<String, Object> filePattern(Order order) throws NacosException {
    configs
        .client(order)
        .fuzzyWatch(
            order.text("service"),
            Sdk.group(order),
            new com.alibaba.nacos.api.config.listener.AbstractFuzzyWatchEventWatcher() {
              @Override
              public void onEvent(ConfigFuzzyWatchChangeEvent event) {
                files.add(
                    Map.of(
                        "at", System.currentTimeMillis(),
                        "file", event.getDataId(),
                        "group", event.getGroup(),
                        "change", event.getChangedType()));
              }
            });
    return Map.of();
  }

  private Map<String, Object> files(Order order) {
    return Map.of("changes", files);
  }

  /** Locks have a connection of their own, which waits until the server has said that it can lock. */
  private LockService locks() throws NacosException {
    if (locks == null) {
      locks = NacosLockFactory.createLockService(sdk.properties(""));
    }
    return locks;
  }

  private Map<String, Object> lock(Order order) throws NacosException {
    NLock lock = NLockFactory.getLock(order.text("key"), 60_000L);
    return Map.of("done", locks().lock(lock));
  }

  private Map<String, Object> unlock(Order order) throws NacosException {
    NLock lock = NLockFactory.getLock(order.text("key"), 60_000L);
    return Map.of("done", locks().unLock(lock));
  }
}
