package live;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.netflix.appinfo.InstanceInfo;
import com.netflix.discovery.EurekaClient;
import com.netflix.discovery.shared.Application;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Commands on standard input, one JSON line of answer each on standard output. */
public final class Conversation {
  /** What a client library does for the commands. */
  public interface Client {
    EurekaClient discovery();

    String call(String app) throws Exception;

    void setStatus(InstanceInfo.InstanceStatus status) throws Exception;

    void leave() throws Exception;
  }

  private static final ObjectMapper JSON = new ObjectMapper();
  private final PrintStream answers;

  /** Takes standard output for the answers; whatever else prints goes to standard error. */
  public Conversation() {
    answers = System.out;
    System.setOut(System.err);
  }

  /** Answers until the client was told to leave, or nobody asks any more. */
  public void hold(Client client) throws IOException {
    say(Map.of("ready", true));
    BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split(" ");
      say(answer(client, words));
      if (words[0].equals("leave")) {
        return;
      }
    }
  }

  private Map<String, Object> answer(Client client, String[] words) {
    try {
      switch (words[0]) {
        case "view":
          return Map.of("instances", view(client.discovery(), words[1]));
        case "call":
          return Map.of("body", client.call(words[1]));
        case "status":
          client.setStatus(InstanceInfo.InstanceStatus.toEnum(words[1]));
          return Map.of("status", words[1]);
        case "leave":
          client.leave();
          return Map.of("left", true);
        default:
          return Map.of("error", "unknown command " + words[0]);
      }
    } catch (Exception failure) {
      failure.printStackTrace();
      return Map.of("error", failure.toString());
    }
  }

  private static List<Map<String, Object>> view(EurekaClient discovery, String app) {
    List<Map<String, Object>> seen = new ArrayList<>();
    Application application = discovery.getApplication(app);
    if (application == null) {
      return seen;
    }
    for (InstanceInfo instance : application.getInstances()) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("id", instance.getId());
      one.put("status", instance.getStatus().name());
      one.put("host", instance.getHostName());
      one.put("port", instance.getPort());
      one.put("metadata", instance.getMetadata());
      seen.add(one);
    }
    return seen;
  }

  private void say(Map<String, Object> message) throws IOException {
    answers.println(JSON.writeValueAsString(message));
    answers.flush();
  }
}
