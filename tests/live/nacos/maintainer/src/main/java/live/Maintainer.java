package live;

import com.alibaba.nacos.api.naming.pojo.Instance;
import com.alibaba.nacos.api.naming.pojo.Service;
import com.alibaba.nacos.api.naming.pojo.healthcheck.impl.Http;
import com.alibaba.nacos.api.naming.pojo.maintainer.ClusterInfo;
import com.alibaba.nacos.api.selector.NoneSelector;
import com.alibaba.nacos.common.utils.JacksonUtils;
import com.alibaba.nacos.maintainer.client.naming.NamingMaintainerFactory;
import com.alibaba.nacos.maintainer.client.naming.NamingMaintainerService;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Every call of the operators' library, one after another. Started with the server's address and a
 * name for the service; prints one JSON object: the answer of each call, or {"failed": TEXT}.
 */
public final class Maintainer {
  private static final Map<String, Object> ANSWERS = new LinkedHashMap<>();
  private static final String IP = "127.0.0.1";
  private static final int PORT = 8080;
  private static final String CLUSTER = "c1";

  interface Call {
    Object run() throws Exception;
  }

  static void ask(String name, Call call) {
    try {
      ANSWERS.put(name, call.run());
    } catch (Exception failure) {
      ANSWERS.put(name, Map.of("failed", String.valueOf(failure)));
    }
  }

  public static void main(String[] args) throws Exception {
    NamingMaintainerService server = NamingMaintainerFactory.createNamingMaintainerService(args[0]);
    String name = args[1];
    String space = "space-" + name;
    String client = IP + ":" + PORT + "#true";
    Instance instance = new Instance();
    instance.setIp(IP);
    instance.setPort(PORT);
    instance.setClusterName(CLUSTER);
    instance.setWeight(0.5);
    Service service = new Service();
    service.setNamespaceId("public");
    service.setGroupName("DEFAULT_GROUP");
    service.setName(name);

    ask("state", server::getServerState);
    ask("liveness", server::liveness);
    ask("ids", server::getIdGenerators);
    ask("nodes", () -> server.listClusterNodes("", "UP"));
    ask("connections", server::getCurrentClients);
    ask("load", server::getClusterLoaderMetrics);

    ask("namespaceMade", () -> server.createNamespace(space, "Space", "for tests"));
    ask("namespace", () -> server.getNamespace(space));
    ask("namespaceChanged", () -> server.updateNamespace(space, "Spaces", "for tests"));
    ask("namespaces", server::getNamespaceList);
    ask("namespaceTaken", () -> server.checkNamespaceIdExist(space));
    ask("namespaceDeleted", () -> server.deleteNamespace(space));

    ask("registered", () -> server.registerInstance(name, instance));
    ask("instances", () -> server.listInstances(name, CLUSTER, false));
    ask("partial", () -> server.partialUpdateInstance(service, instance));
    ask("metadata", () -> server.batchUpdateInstanceMetadata(service, List.of(instance), Map.of("zone", "a")));
    ask("instance", () -> server.getInstanceDetail(name, IP, PORT, CLUSTER));
    ask("metadataGone", () -> server.batchDeleteInstanceMetadata(service, List.of(instance), Map.of("zone", "a")));
    ask("changed", () -> server.updateInstance(name, instance));

    ask("serviceMade", () -> server.createService("public", "group", name));
    ask("serviceDeleted", () -> server.removeService("public", "group", name));
    ask("serviceChanged", () -> server.updateService(name, Map.of("team", "shop"), 0.5f, new NoneSelector()));
    ClusterInfo cluster = new ClusterInfo();
    cluster.setClusterName(CLUSTER);
    cluster.setHealthChecker(new Http());
    cluster.setMetadata(Map.of());
    ask("clusterChanged", () -> server.updateCluster(service, cluster));
    ask("service", () -> server.getServiceDetail(name));
    ask("services", () -> server.listServices("public", "", name, false, 1, 10));
    ask("details", () -> server.listServicesWithDetail("public", "", name, 1, 10));
    ask("subscribers", () -> server.getSubscribers(name));
    ask("metrics", () -> server.getMetrics(false));

    ask("client", () -> server.getClientDetail(client));
    ask("publishes", () -> server.getPublishedServiceList(client));
    ask("subscribes", () -> server.getSubscribeServiceList(client));
    ask("publishers", () -> server.getPublishedClientList("public", "DEFAULT_GROUP", name, IP, PORT));

    ask("deregistered", () -> server.deregisterInstance(name, instance));
    ask("nobody", () -> server.getInstanceDetail(name, IP, PORT, CLUSTER));
    ConfigCalls.run(args[0], name);
    System.out.println(JacksonUtils.toJson(ANSWERS));
    System.exit(0);
  }
}
