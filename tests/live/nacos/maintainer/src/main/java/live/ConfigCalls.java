package live;

import com.alibaba.nacos.api.config.model.ConfigBasicInfo;
import com.alibaba.nacos.api.config.model.ConfigCloneInfo;
import com.alibaba.nacos.api.config.model.ConfigHistoryBasicInfo;
import com.alibaba.nacos.api.config.model.SameConfigPolicy;
import com.alibaba.nacos.maintainer.client.config.ConfigMaintainerFactory;
import com.alibaba.nacos.maintainer.client.config.ConfigMaintainerService;
import java.util.List;

/** Every call of the operators' library about configurations. */
final class ConfigCalls {
  private static final String GROUP = "DEFAULT_GROUP";
  private static final String PUBLIC = "public";

  private ConfigCalls() {}

  static void run(String address, String name) throws Exception {
    ConfigMaintainerService server = ConfigMaintainerFactory.createConfigMaintainerService(address);
    String file = name + ".yaml";
    String space = "configs-" + name;
    Maintainer.ask(
        "configPublished",
        () -> server.publishConfig(file, GROUP, PUBLIC, "a: 1", "shop", "ann", "t1,t2", "first", "yaml"));
    Maintainer.ask("config", () -> server.getConfig(file, GROUP, PUBLIC));
    Maintainer.ask("configAgain", () -> server.publishConfig(file, GROUP, PUBLIC, "a: 2"));
    Maintainer.ask("configDescribed", () -> server.updateConfigMetadata(file, GROUP, PUBLIC, "second", "t3"));
    Maintainer.ask("configs", () -> server.listConfigs(file, GROUP, PUBLIC));
    Maintainer.ask("configsLike", () -> server.searchConfigs(name + "*", GROUP, PUBLIC));
    Maintainer.ask(
        "configsByContent",
        () -> server.searchConfigByDetails(file, GROUP, PUBLIC, "blur", "*: 2*", "", "", "", 1, 10));
    Maintainer.ask("configsOfSpace", () -> server.getConfigListByNamespace(PUBLIC));
    Maintainer.ask("configListeners", () -> server.getListeners(file, GROUP, PUBLIC, true));
    Maintainer.ask("configsListenedTo", () -> server.getAllSubClientConfigByIp("127.0.0.1", true, PUBLIC, true));

    Maintainer.ask(
        "betaPublished",
        () -> server.publishBetaConfig(file, GROUP, PUBLIC, "a: 3", "shop", "bob", "", "", "yaml", "1.2.3.4"));
    Maintainer.ask("beta", () -> server.queryBeta(file, GROUP, PUBLIC));
    Maintainer.ask("betaStopped", () -> server.stopBeta(file, GROUP, PUBLIC));

    Maintainer.ask("history", () -> server.listConfigHistory(file, GROUP, PUBLIC, 1, 10));
    Maintainer.ask(
        "historyRow",
        () -> {
          ConfigHistoryBasicInfo row = server.listConfigHistory(file, GROUP, PUBLIC, 1, 10).getPageItems().get(0);
          return server.getConfigHistoryInfo(file, GROUP, PUBLIC, row.getId());
        });
    Maintainer.ask(
        "historyBefore",
        () -> {
          Long id = server.getConfig(file, GROUP, PUBLIC).getId();
          return server.getPreviousConfigHistoryInfo(file, GROUP, PUBLIC, id);
        });

    Maintainer.ask("configSpaceMade", () -> server.createNamespace(space, "Configs", ""));
    Maintainer.ask(
        "configCloned",
        () -> {
          ConfigCloneInfo one = new ConfigCloneInfo();
          one.setConfigId(server.getConfig(file, GROUP, PUBLIC).getId());
          one.setTargetGroupName("copies");
          return server.cloneConfig(space, List.of(one), "ann", SameConfigPolicy.ABORT);
        });
    Maintainer.ask("configCopy", () -> server.getConfig(file, "copies", space));
    Maintainer.ask(
        "configsDeleted",
        () -> {
          ConfigBasicInfo copy = server.getConfig(file, "copies", space);
          return server.deleteConfigs(List.of(copy.getId()));
        });
    Maintainer.ask("configDeleted", () -> server.deleteConfig(file, GROUP, PUBLIC));
    Maintainer.ask("configGone", () -> server.getConfig(file, GROUP, PUBLIC));
    Maintainer.ask("configSpaceDeleted", () -> server.deleteNamespace(space));
    Maintainer.ask("configCache", server::updateLocalCacheFromStore);
  }
}
