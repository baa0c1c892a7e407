package live;

import com.netflix.appinfo.ApplicationInfoManager;
import com.netflix.discovery.DiscoveryClient;
import com.netflix.discovery.EurekaClientConfig;
import com.netflix.discovery.shared.transport.jersey3.Jersey3TransportClientFactories;

/** The Netflix client of the 2.0 line, which talks through Jersey 3. */
public final class Netflix2 {
  private Netflix2() {}

  public static void main(String[] args) throws Exception {
    NetflixClient.run(args, (ApplicationInfoManager self, EurekaClientConfig settings) ->
        new DiscoveryClient(self, settings, Jersey3TransportClientFactories.getInstance()));
  }
}
