package live;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.tencent.polaris.api.core.ConsumerAPI;
import com.tencent.polaris.api.core.ProviderAPI;
import com.tencent.polaris.api.listener.ServiceListener;
import com.tencent.polaris.api.plugin.circuitbreaker.ResourceStat;
import com.tencent.polaris.api.plugin.circuitbreaker.entity.Resource;
import com.tencent.polaris.api.plugin.circuitbreaker.entity.ServiceResource;
import com.tencent.polaris.api.plugin.server.InterfaceDescriptor;
import com.tencent.polaris.api.plugin.server.ReportServiceContractRequest;
import com.tencent.polaris.api.pojo.Instance;
import com.tencent.polaris.api.pojo.RetStatus;
import com.tencent.polaris.api.pojo.RouteArgument;
import com.tencent.polaris.api.pojo.ServiceEventKey.EventType;
import com.tencent.polaris.api.pojo.ServiceInfo;
import com.tencent.polaris.api.pojo.ServiceKey;
import com.tencent.polaris.api.pojo.ServiceRule;
import com.tencent.polaris.api.pojo.SourceService;
import com.tencent.polaris.api.rpc.GetAllInstancesRequest;
import com.tencent.polaris.api.rpc.GetInstancesRequest;
import com.tencent.polaris.api.rpc.GetOneInstanceRequest;
import com.tencent.polaris.api.rpc.GetServiceContractRequest;
import com.tencent.polaris.api.rpc.GetServiceRuleRequest;
import com.tencent.polaris.api.rpc.GetServicesRequest;
import com.tencent.polaris.api.rpc.InstanceDeregisterRequest;
import com.tencent.polaris.api.rpc.InstanceHeartbeatRequest;
import com.tencent.polaris.api.rpc.InstanceRegisterRequest;
import com.tencent.polaris.api.rpc.InstanceRegisterResponse;
import com.tencent.polaris.api.rpc.InstancesResponse;
import com.tencent.polaris.api.rpc.WatchServiceRequest;
import com.tencent.polaris.api.rpc.WatchServiceResponse;
import com.tencent.polaris.circuitbreak.api.CircuitBreakAPI;
import com.tencent.polaris.circuitbreak.api.pojo.CheckResult;
import com.tencent.polaris.circuitbreak.factory.CircuitBreakAPIFactory;
import com.tencent.polaris.client.api.SDKContext;
import com.tencent.polaris.factory.ConfigAPIFactory;
import com.tencent.polaris.factory.api.DiscoveryAPIFactory;
import com.tencent.polaris.factory.config.ConfigurationImpl;
import com.tencent.polaris.ratelimit.api.core.LimitAPI;
import com.tencent.polaris.ratelimit.api.rpc.Argument;
import com.tencent.polaris.ratelimit.api.rpc.QuotaRequest;
import com.tencent.polaris.ratelimit.api.rpc.QuotaResultCode;
import com.tencent.polaris.ratelimit.factory.LimitAPIFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import live.Orders.Order;
import shade.polaris.com.google.protobuf.Message;
import shade.polaris.com.google.protobuf.util.JsonFormat;

/** Provider and consumer on polaris-java. */
public final class Sdk {
  private final SDKContext context;
  private final ProviderAPI provider;
  private final ConsumerAPI consumer;
  private final LimitAPI limiter;
  private final CircuitBreakAPI breaker;
  private final Map<ServiceKey, List<List<String>>> changes = new ConcurrentHashMap<>();

  private Sdk(SDKContext context) {
    this.context = context;
    provider = DiscoveryAPIFactory.createProviderAPIByContext(context);
    consumer = DiscoveryAPIFactory.createConsumerAPIByContext(context);
    limiter = LimitAPIFactory.createLimitAPIByContext(context);
    breaker = CircuitBreakAPIFactory.createCircuitBreakAPIByContext(context);
  }

  public static void main(String[] args) throws Exception {
    Orders orders = new Orders();
    Sdk sdk = new Sdk(SDKContext.initContextByConfig(settings(new Arguments(args))));
    Map<String, Orders.Command> commands = new HashMap<>();
    commands.put("register", sdk::register);
    commands.put("heartbeat", sdk::heartbeat);
    commands.put("deregister", sdk::deregister);
    commands.put("instances", sdk::instances);
    commands.put("all", sdk::all);
    commands.put("one", sdk::one);
    commands.put("services", sdk::services);
    commands.put("watch", sdk::watch);
    commands.put("changes", sdk::changes);
    commands.put("rule", sdk::rule);
    commands.put("quota", sdk::quota);
    commands.put("pace", sdk::pace);
    commands.put("report", sdk::report);
    commands.put("breaker", sdk::check);
    commands.put("describe", sdk::describe);
    commands.put("contract", sdk::contract);
    commands.put("leave", sdk::leave);
    if (!new Arguments(args).text("config").isEmpty()) {
      commands.putAll(new Files(sdk.context).commands());
    }
    orders.hold(commands);
    System.exit(0);
  }

  private static ConfigurationImpl settings(Arguments arguments) throws Exception {
    ConfigurationImpl settings =
        (ConfigurationImpl) ConfigAPIFactory.createConfigurationByAddress(arguments.text("polaris"));
    settings.getGlobal().getStatReporter().setEnable(false);
    settings.getGlobal().getAdmin().setHost("127.0.0.1");
    settings.getGlobal().getAdmin().setPort(0);
    settings.getConsumer().getLocalCache().setPersistDir(arguments.text("folder") + "/backup");
    if (!arguments.text("config").isEmpty()) {
      Files.use(settings, arguments.text("config"), arguments.text("folder"));
    }
    if (!arguments.text("token").isEmpty()) {
      settings.getGlobal().getServerConnector().setToken(arguments.text("token"));
    }
    return settings;
  }

  private Map<String, Object> register(Order order) {
    InstanceRegisterRequest request = new InstanceRegisterRequest();
    request.setNamespace(order.namespace());
    request.setService(order.text("service"));
    request.setHost(order.text("host"));
    request.setPort(order.number("port"));
    request.setMetadata(order.texts("metadata"));
    if (order.has("id")) {
      request.setInstanceId(order.text("id"));
    }
    if (order.has("ttl")) {
      request.setTtl(order.number("ttl"));
    }
    if (order.has("weight")) {
      request.setWeight(order.number("weight"));
    }
    if (order.has("version")) {
      request.setVersion(order.text("version"));
    }
    if (order.has("protocol")) {
      request.setProtocol(order.text("protocol"));
    }
    if (order.has("zone")) {
      request.setRegion("live");
      request.setZone(order.text("zone"));
      request.setCampus("first");
    }
    InstanceRegisterResponse done =
        order.flag("auto") ? provider.registerInstance(request) : provider.register(request);
    return Map.of("id", done.getInstanceId(), "existed", done.isExists());
  }

  private Map<String, Object> heartbeat(Order order) {
    provider.heartbeat(identify(new InstanceHeartbeatRequest(), order));
    return Map.of();
  }

  private Map<String, Object> deregister(Order order) {
    provider.deRegister(identify(new InstanceDeregisterRequest(), order));
    return Map.of();
  }

  private static <T extends InstanceDeregisterRequest> T identify(T request, Order order) {
    request.setNamespace(order.namespace());
    request.setService(order.text("service"));
    request.setHost(order.text("host"));
    request.setPort(order.number("port"));
    if (order.has("id")) {
      request.setInstanceID(order.text("id"));
    }
    return request;
  }

  private Map<String, Object> instances(Order order) {
    GetInstancesRequest request = new GetInstancesRequest();
    request.setNamespace(order.namespace());
    request.setService(order.text("service"));
    if (order.has("caller")) {
      request.setServiceInfo(caller(order));
    }
    return seen(consumer.getInstances(request));
  }

  private Map<String, Object> all(Order order) {
    GetAllInstancesRequest request = new GetAllInstancesRequest();
    request.setNamespace(order.namespace());
    request.setService(order.text("service"));
    InstancesResponse done = consumer.getAllInstance(request);
    if (!done.isServiceExist()) {
      return Map.of("error", "unknown service");
    }
    Map<String, Object> seen = new HashMap<>(seen(done));
    seen.put("metadata", done.getMetadata());
    return seen;
  }

  private Map<String, Object> one(Order order) {
    List<Instance> chosen = new ArrayList<>();
    for (int turn = 0; turn < Math.max(order.number("count"), 1); turn++) {
      GetOneInstanceRequest request = new GetOneInstanceRequest();
      request.setNamespace(order.namespace());
      request.setService(order.text("service"));
      if (order.has("caller")) {
        request.setServiceInfo(caller(order));
      }
      chosen.add(consumer.getOneInstance(request).getInstance());
    }
    return Map.of("instances", chosen.stream().map(Sdk::view).toList());
  }

  private Map<String, Object> services(Order order) {
    GetServicesRequest request = new GetServicesRequest();
    request.setNamespace(order.namespace());
    List<String> names = new ArrayList<>();
    for (ServiceInfo service : consumer.getServices(request).getServices()) {
      names.add(service.getNamespace() + "/" + service.getService());
    }
    return Map.of("services", names.stream().sorted().toList());
  }

  private Map<String, Object> watch(Order order) {
    ServiceKey key = new ServiceKey(order.namespace(), order.text("service"));
    List<List<String>> seen = changes.computeIfAbsent(key, any -> new CopyOnWriteArrayList<>());
    ServiceListener listener = event -> seen.add(addresses(event.getAllInstances()));
    WatchServiceRequest request =
        WatchServiceRequest.builder()
            .namespace(key.getNamespace())
            .service(key.getService())
            .listeners(List.of(listener))
            .build();
    WatchServiceResponse done = consumer.watchService(request);
    return Map.of("now", addresses(Arrays.asList(done.getResponse().getInstances())));
  }

  private Map<String, Object> changes(Order order) {
    ServiceKey key = new ServiceKey(order.namespace(), order.text("service"));
    return Map.of("changes", changes.getOrDefault(key, List.of()));
  }

  /** A rule as the library holds it; {@code type} is the library's word. */
  private Map<String, Object> rule(Order order) throws Exception {
    GetServiceRuleRequest request = new GetServiceRuleRequest();
    request.setNamespace(order.namespace());
    request.setService(order.text("service"));
    request.setRuleType(EventType.valueOf(order.has("type") ? order.text("type") : "ROUTING"));
    return told(consumer.getServiceRule(request).getServiceRule());
  }

  private Map<String, Object> quota(Order order) {
    int passed = 0;
    for (int turn = 0; turn < Math.max(order.number("count"), 1); turn++) {
      QuotaRequest request = new QuotaRequest();
      request.setNamespace(order.namespace());
      request.setService(order.text("service"));
      request.setMethod(order.text("method"));
      Set<Argument> arguments = new HashSet<>();
      order.texts("labels").forEach((key, value) -> arguments.add(Argument.fromLabel(key, value)));
      request.setArguments(arguments);
      if (limiter.getQuota(request).getCode() == QuotaResultCode.QuotaResultOk) {
        passed++;
      }
    }
    return Map.of("passed", passed);
  }

  /** Asks for quota at a steady pace, every so many milliseconds; tells when each call that passed was made. */
  private Map<String, Object> pace(Order order) throws InterruptedException {
    List<Long> passed = new ArrayList<>();
    int limited = 0;
    long next = System.nanoTime();
    for (int turn = 0; turn < order.number("count"); turn++) {
      TimeUnit.NANOSECONDS.sleep(next - System.nanoTime());
      next += TimeUnit.MILLISECONDS.toNanos(order.number("every"));
      QuotaRequest request = new QuotaRequest();
      request.setNamespace(order.namespace());
      request.setService(order.text("service"));
      request.setMethod(order.text("method"));
      if (limiter.getQuota(request).getCode() == QuotaResultCode.QuotaResultOk) {
        passed.add(System.currentTimeMillis());
      } else {
        limited++;
      }
    }
    return Map.of("passed", passed, "limited", limited);
  }

  private Map<String, Object> report(Order order) {
    int code = order.number("code");
    RetStatus status = code >= 500 ? RetStatus.RetFail : RetStatus.RetSuccess;
    for (int turn = 0; turn < Math.max(order.number("count"), 1); turn++) {
      breaker.report(new ResourceStat(resource(order), code, 1, status));
    }
    return Map.of();
  }

  private Map<String, Object> check(Order order) {
    CheckResult done = breaker.check(resource(order));
    return Map.of("pass", done.isPass(), "rule", String.valueOf(done.getRuleName()));
  }

  private static Resource resource(Order order) {
    return new ServiceResource(
        new ServiceKey(order.namespace(), order.text("service")),
        new ServiceKey("default", order.text("caller")));
  }

  private Map<String, Object> describe(Order order) {
    ReportServiceContractRequest request = new ReportServiceContractRequest();
    request.setNamespace(order.namespace());
    request.setService(order.text("service"));
    request.setName(order.text("name"));
    request.setProtocol(order.text("protocol"));
    request.setVersion(order.text("version"));
    request.setContent(order.text("content"));
    InterfaceDescriptor method = new InterfaceDescriptor();
    method.setMethod("GET");
    method.setPath(order.text("path"));
    method.setContent("{}");
    request.setInterfaceDescriptors(List.of(method));
    provider.reportServiceContract(request);
    return Map.of();
  }

  private Map<String, Object> contract(Order order) throws Exception {
    GetServiceContractRequest request = new GetServiceContractRequest();
    request.setNamespace(order.namespace());
    request.setService(order.text("service"));
    request.setName(order.text("name"));
    request.setProtocol(order.text("protocol"));
    request.setVersion(order.text("version"));
    return told(consumer.getServiceContract(request).getServiceRule());
  }

  private Map<String, Object> leave(Order order) {
    context.close();
    return Map.of("left", true);
  }

  private static Map<String, Object> told(ServiceRule rule) throws Exception {
    Map<String, Object> told = new HashMap<>();
    told.put("revision", String.valueOf(rule.getRevision()));
    told.put("rule", null);
    if (rule.getRule() instanceof Message message) {
      told.put("rule", new ObjectMapper().readTree(JsonFormat.printer().print(message)));
    }
    return told;
  }

  /** Labels are traffic labels: "$header.user" and the like, or a key of one's own. */
  private static SourceService caller(Order order) {
    SourceService caller = new SourceService();
    caller.setNamespace("default");
    caller.setService(order.text("caller"));
    order
        .texts("labels")
        .forEach((key, value) -> caller.appendArguments(RouteArgument.fromLabel(key, value)));
    return caller;
  }

  private static Map<String, Object> seen(InstancesResponse done) {
    return Map.of(
        "instances",
        Arrays.stream(done.getInstances()).map(Sdk::view).toList(),
        "revision",
        String.valueOf(done.toServiceInstances().getRevision()));
  }

  private static Map<String, Object> view(Instance one) {
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("id", one.getId());
    seen.put("host", one.getHost());
    seen.put("port", one.getPort());
    seen.put("healthy", one.isHealthy());
    seen.put("isolated", one.isIsolated());
    seen.put("weight", one.getWeight());
    seen.put("version", one.getVersion());
    seen.put("protocol", one.getProtocol());
    seen.put("zone", one.getZone());
    seen.put("metadata", one.getMetadata());
    return seen;
  }

  private static List<String> addresses(List<Instance> instances) {
    return instances.stream().map(one -> one.getHost() + ":" + one.getPort()).sorted().toList();
  }
}
