package live;

import com.netflix.appinfo.ApplicationInfoManager;
import com.netflix.discovery.DiscoveryClient;
import com.netflix.discovery.EurekaClientConfig;

/** The Netflix client of the 1.10 line, which talks through Jersey 1. */
public final class Netflix1 {
  private Netflix1() {}

  public static void main(String[] args) throws Exception {
    NetflixClient.run(args, (ApplicationInfoManager self, EurekaClientConfig settings) ->
        new DiscoveryClient(self, settings));
  }
}
