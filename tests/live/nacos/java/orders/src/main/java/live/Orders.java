package live;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Orders on standard input ({"do": COMMAND, …}), one JSON line of answer each on standard output. */
public final class Orders {
  /** One command: a call of the library as an application makes it. */
  public interface Command {
    Map<String, Object> obey(Order order) throws Exception;
  }

  /** An order with its arguments; what is absent is empty, zero or null. */
  public record Order(JsonNode json) {
    public String text(String name) {
      return text(name, "");
    }

    public String text(String name, String otherwise) {
      return json.path(name).asText(otherwise);
    }

    public int number(String name) {
      return json.path(name).asInt();
    }

    public double decimal(String name, double otherwise) {
      return json.path(name).asDouble(otherwise);
    }

    public boolean flag(String name, boolean otherwise) {
      return json.path(name).asBoolean(otherwise);
    }

    /** The texts of an object. */
    public Map<String, String> texts(String name) {
      return JSON.convertValue(
          json.path(name).isObject() ? json.path(name) : JSON.createObjectNode(),
          JSON.getTypeFactory().constructMapType(Map.class, String.class, String.class));
    }

    /** The texts of a list. */
    public List<String> list(String name) {
      List<String> found = new ArrayList<>();
      json.path(name).forEach(one -> found.add(one.asText()));
      return found;
    }

    /** The objects of a list, read like orders. */
    public List<Order> orders(String name) {
      List<Order> found = new ArrayList<>();
      json.path(name).forEach(one -> found.add(new Order(one)));
      return found;
    }
  }

  private static final ObjectMapper JSON = new ObjectMapper();
  private final PrintStream answers;

  /** Takes standard output for the answers; whatever else prints goes to standard error. */
  public Orders() {
    answers = System.out;
    System.setOut(System.err);
  }

  /** Answers until the client was told to leave, or nobody asks any more. */
  public void hold(Map<String, Command> commands) throws IOException {
    say(Map.of("ready", true));
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Order order = new Order(JSON.readTree(line));
      say(answer(commands, order));
      if (order.text("do").equals("leave")) {
        return;
      }
    }
  }

  private static Map<String, Object> answer(Map<String, Command> commands, Order order) {
    Command command = commands.get(order.text("do"));
    if (command == null) {
      return Map.of("error", "unknown command " + order.text("do"));
    }
    try {
      return command.obey(order);
    } catch (Exception failure) {
      failure.printStackTrace();
      return Map.of("error", failure.toString());
    }
  }

  private void say(Map<String, Object> message) throws IOException {
    answers.println(JSON.writeValueAsString(message));
    answers.flush();
  }
}
