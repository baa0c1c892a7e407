package live;

import com.alibaba.nacos.api.exception.NacosException;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.List;
import java.util.Map;
import live.Orders.Order;

/** What this generation can do beyond the common part: several instances of one service. */
record Generation(Sdk sdk) {
  Map<String, Orders.Command> commands() {
    return Map.of("batch", this::batch, "drop", this::drop);
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
}
