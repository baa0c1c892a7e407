package live;

import com.netflix.appinfo.ApplicationInfoManager;
import com.netflix.appinfo.InstanceInfo;
import com.netflix.appinfo.MyDataCenterInstanceConfig;
import com.netflix.appinfo.providers.EurekaConfigBasedInstanceInfoProvider;
import com.netflix.discovery.DefaultEurekaClientConfig;
import com.netflix.discovery.EurekaClient;
import com.netflix.discovery.EurekaClientConfig;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;

/** Provider and consumer on the bare Netflix library, whichever line of it is on the class path. */
public final class NetflixClient implements Conversation.Client {
  private final ApplicationInfoManager self;
  private final EurekaClient discovery;

  private NetflixClient(ApplicationInfoManager self, EurekaClient discovery) {
    this.self = self;
    this.discovery = discovery;
  }

  /** Starts the client, reports UP as an application does after its own start, and converses. */
  public static void run(
      String[] args, BiFunction<ApplicationInfoManager, EurekaClientConfig, EurekaClient> start)
      throws Exception {
    Conversation conversation = new Conversation();
    Arguments arguments = new Arguments(args);
    Identity identity = new Identity(arguments);
    ApplicationInfoManager self =
        new ApplicationInfoManager(
            identity, new EurekaConfigBasedInstanceInfoProvider(identity).get());
    EurekaClient discovery = start.apply(self, new Settings(arguments));
    self.setInstanceStatus(InstanceInfo.InstanceStatus.UP);
    conversation.hold(new NetflixClient(self, discovery));
    System.exit(0);
  }

  @Override
  public EurekaClient discovery() {
    return discovery;
  }

  @Override
  public String call(String app) throws Exception {
    InstanceInfo chosen = discovery.getNextServerFromEureka(app.toLowerCase(), false);
    return PlainHttp.hello(chosen.getHostName(), chosen.getPort());
  }

  @Override
  public void setStatus(InstanceInfo.InstanceStatus status) {
    self.setInstanceStatus(status);
  }

  @Override
  public void leave() {
    discovery.shutdown();
  }

  /** What the client says of itself. */
  private static final class Identity extends MyDataCenterInstanceConfig {
    private final Arguments arguments;

    Identity(Arguments arguments) {
      this.arguments = arguments;
    }

    @Override
    public String getInstanceId() {
      return arguments.text("id");
    }

    @Override
    public String getAppname() {
      return arguments.text("app");
    }

    @Override
    public String getVirtualHostName() {
      return arguments.text("app").toLowerCase();
    }

    @Override
    public String getHostName(boolean refresh) {
      return "127.0.0.1";
    }

    @Override
    public String getIpAddress() {
      return arguments.text("ip", "127.0.0.1");
    }

    @Override
    public int getNonSecurePort() {
      return arguments.number("port");
    }

    @Override
    public int getLeaseRenewalIntervalInSeconds() {
      return arguments.number("renew");
    }

    @Override
    public int getLeaseExpirationDurationInSeconds() {
      return arguments.number("lease");
    }

    @Override
    public Map<String, String> getMetadataMap() {
      return Map.of("zone", "live", "with.dot", "a b");
    }
  }

  /** How the client talks to the server. */
  private static final class Settings extends DefaultEurekaClientConfig {
    private final Arguments arguments;

    Settings(Arguments arguments) {
      this.arguments = arguments;
    }

    @Override
    public List<String> getEurekaServerServiceUrls(String zone) {
      return List.of(arguments.text("eureka") + "/");
    }

    @Override
    public int getRegistryFetchIntervalSeconds() {
      return arguments.number("fetch");
    }

    @Override
    public int getInitialInstanceInfoReplicationIntervalSeconds() {
      return 1;
    }

    /** Times the interval: after timeouts the client must come back within its short lease. */
    @Override
    public int getHeartbeatExecutorExponentialBackOffBound() {
      return 2;
    }

    @Override
    public int getCacheRefreshExecutorExponentialBackOffBound() {
      return 2;
    }
  }
}
