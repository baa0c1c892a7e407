package live;

import java.util.HashMap;
import java.util.Map;

/** What every client program is started with: {@code --name value} pairs. */
public final class Arguments {
  private final Map<String, String> values = new HashMap<>();

  public Arguments(String[] args) {
    for (int at = 0; at + 1 < args.length; at += 2) {
      values.put(args[at].substring(2), args[at + 1]);
    }
  }

  /** Text of an argument; empty when it was not given. */
  public String text(String name) {
    return values.getOrDefault(name, "");
  }
}
