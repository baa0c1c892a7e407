package live;

import com.tencent.polaris.api.plugin.configuration.ConfigFileResponse;
import com.tencent.polaris.client.api.SDKContext;
import com.tencent.polaris.configuration.api.core.ConfigFile;
import com.tencent.polaris.configuration.api.core.ConfigFileGroup;
import com.tencent.polaris.configuration.api.core.ConfigFilePublishService;
import com.tencent.polaris.configuration.api.core.ConfigFileService;
import com.tencent.polaris.configuration.api.rpc.ConfigPublishRequest;
import com.tencent.polaris.configuration.factory.ConfigFileServiceFactory;
import com.tencent.polaris.configuration.factory.ConfigFileServicePublishFactory;
import com.tencent.polaris.factory.config.ConfigurationImpl;
import com.tencent.polaris.factory.config.configuration.ConfigFilterConfigImpl;
import com.tencent.polaris.factory.config.configuration.ConnectorConfigImpl;
import com.tencent.polaris.factory.config.configuration.CryptoConfigImpl;
import java.lang.reflect.Field;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import live.Orders.Order;

/** Files of the configuration centre: read, watched, listed, written. */
final class Files {
  private final ConfigFileService reading;
  private final ConfigFilePublishService writing;
  private final Map<String, List<String>> changes = new ConcurrentHashMap<>();

  Files(SDKContext context) {
    reading = ConfigFileServiceFactory.createConfigFileService(context);
    writing = ConfigFileServicePublishFactory.createConfigFilePublishService(context);
  }

  /** Sets up the library for encrypted files too; it has no setter for what its file calls configFilter.chain. */
  static void use(ConfigurationImpl settings, String address, String folder) throws Exception {
    ConnectorConfigImpl connector = settings.getConfigFile().getServerConnector();
    connector.setAddresses(List.of(address));
    connector.setPersistDir(folder + "/files");
    connector.setEmptyProtectionEnable(false);
    ConfigFilterConfigImpl filter = settings.getConfigFile().getConfigFilterConfig();
    filter.setEnable(true);
    Field chain = ConfigFilterConfigImpl.class.getDeclaredField("chain");
    chain.setAccessible(true);
    chain.set(filter, List.of("crypto"));
    CryptoConfigImpl crypto = new CryptoConfigImpl();
    crypto.setType("AES");
    filter.setPluginConfig("crypto", crypto);
  }

  Map<String, Orders.Command> commands() {
    Map<String, Orders.Command> commands = new HashMap<>();
    commands.put("file", this::file);
    commands.put("file-watch", this::watch);
    commands.put("file-changes", this::seen);
    commands.put("file-create", order -> told(writing.createConfigFile(
        order.namespace(), order.text("group"), order.text("file"), order.text("content"))));
    commands.put("file-update", order -> told(writing.updateConfigFile(
        order.namespace(), order.text("group"), order.text("file"), order.text("content"))));
    commands.put("file-publish", order -> told(writing.releaseConfigFile(
        order.namespace(), order.text("group"), order.text("file"))));
    commands.put("file-upsert", this::upsert);
    commands.put("file-group", this::group);
    return commands;
  }

  private ConfigFile found(Order order) {
    return reading.getConfigFile(order.namespace(), order.text("group"), order.text("file"));
  }

  private Map<String, Object> file(Order order) {
    ConfigFile found = found(order);
    String content = found.getContent();
    return Map.of("there", found.hasContent(), "content", content == null ? "" : content);
  }

  private Map<String, Object> watch(Order order) {
    ConfigFile found = found(order);
    List<String> seen = changesOf(order);
    found.addChangeListener(
        event -> seen.add(event.getNewValue() == null ? "" : event.getNewValue()));
    return Map.of("content", found.getContent() == null ? "" : found.getContent());
  }

  private Map<String, Object> seen(Order order) {
    return Map.of("changes", List.copyOf(changesOf(order)));
  }

  private List<String> changesOf(Order order) {
    String key = order.text("group") + "/" + order.text("file");
    return changes.computeIfAbsent(key, any -> new CopyOnWriteArrayList<>());
  }

  private Map<String, Object> upsert(Order order) {
    return told(
        writing.upsertAndPublish(
            ConfigPublishRequest.builder()
                .namespace(order.namespace())
                .group(order.text("group"))
                .filename(order.text("file"))
                .content(order.text("content"))
                .casMd5(order.text("md5"))
                .releaseName(order.text("release"))
                .labels(Map.of())
                .build()));
  }

  private Map<String, Object> group(Order order) {
    ConfigFileGroup found = reading.getConfigFileGroup(order.namespace(), order.text("group"));
    List<String> names =
        found.getConfigFileMetadataList().stream().map(one -> one.getFileName()).sorted().toList();
    return Map.of("files", names);
  }

  private static Map<String, Object> told(ConfigFileResponse response) {
    return response.getCode() == 200000
        ? Map.of("code", response.getCode())
        : Map.of("error", response.getCode() + " " + response.getMessage());
  }
}
