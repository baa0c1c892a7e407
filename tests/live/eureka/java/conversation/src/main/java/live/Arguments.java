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

  /** Text of a required argument. */
  public String text(String name) {
    String value = values.get(name);
    if (value == null) {
      throw new IllegalArgumentException("--" + name + " is missing");
    }
    return value;
  }

  /** Text of an argument that may be missing. */
  public String text(String name, String otherwise) {
    return values.getOrDefault(name, otherwise);
  }

  /** Number of a required argument; durations are in seconds. */
  public int number(String name) {
    return Integer.parseInt(text(name));
  }
}
