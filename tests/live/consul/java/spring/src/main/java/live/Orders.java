package live;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Orders on standard input ({"do": COMMAND, …}), one JSON line of answer each on standard output. */
public final class Orders {
  /** One command: a call of the library as an application makes it. */
  public interface Command {
    Map<String, Object> obey(JsonNode order) throws Exception;
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
      JsonNode order = JSON.readTree(line);
      String wanted = order.path("do").asText();
      say(answer(commands.get(wanted), order));
      if (wanted.equals("leave")) {
        return;
      }
    }
  }

  private static Map<String, Object> answer(Command command, JsonNode order) {
    if (command == null) {
      return Map.of("error", "unknown command " + order.path("do").asText());
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
