package live;

import java.util.Map;

/** What this generation can do beyond the common part: nothing. */
record Generation(Sdk sdk, Configs configs) {
  Map<String, Orders.Command> commands() {
    return Map.of();
  }
}
