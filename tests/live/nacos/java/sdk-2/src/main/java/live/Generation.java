package live;

import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.List;
import java.util.Map;
import live.Orders.Order;

/**
 * What this generation can do beyond the common part: several instances of one service, compare and set.
 */
record Generation(Sdk sdk, Configs configs) {
  Map<String, Orders.Command> commands() {
    return Map.of("batch", this::batch, "drop", this::drop, "swap", this::swap);
  }

  private static List<Instance> instances(Order order) {
    return order.orders("instances").stream().map(Sdk::instance).toList();
  }

  private Map<String, Object> batch(Order order) throws NacosException {
    sdk.naming(order)
        .batchRegisterInstance(order.text("service"), Sdk.group(order), instances(order));
    return Map.of();
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

  /** Some of a batch leave. */
  private Map<String, Object> drop(Order order) throws NacosException {
    sdk.naming(order)
        .batchDeregisterInstance(order.text("service"), Sdk.group(order), instances(order));
    return Map.of();
  }
}
