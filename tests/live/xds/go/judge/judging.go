package main

import (
	"fmt"
	"net/netip"
	"strings"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	limit "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
)

const (
	router      = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
	largestRing = 8 << 20
)

func (h holding) judge(grpc bool, findings *findings) {
	addresses := map[string]string{}
	for kind, resources := range h {
		for name, message := range resources {
			path := kind[strings.LastIndexByte(kind, '.')+1:] + " " + name
			validate(message, path, findings)
			walk(message, path, findings, func(inner proto.Message, at string) {
				judgePart(inner, at, grpc, findings)
			})
			switch known := message.(type) {
			case *listener.Listener:
				judgeListener(known, path, grpc, addresses, findings)
			case *route.RouteConfiguration:
				judgeRoutes(known, path, findings)
			case *cluster.Cluster:
				judgeCluster(known, path, grpc, findings)
			case *endpoint.ClusterLoadAssignment:
				judgeAssignment(known, path, grpc, findings)
			}
		}
	}
	h.judgeReferences(findings)
}

// Everything that is referred to was sent.
func (h holding) judgeReferences(findings *findings) {
	for kind, resources := range h {
		for name, message := range resources {
			for _, reference := range references(message) {
				if h[reference.kind][reference.name] == nil {
					findings.add("%s %s: refers to %s %s, which was not sent", kind, name, reference.kind, reference.name)
				}
			}
		}
	}
}

func judgePart(message proto.Message, path string, grpc bool, findings *findings) {
	switch known := message.(type) {
	case *hcm.HttpConnectionManager:
		names := map[string]bool{}
		for _, filter := range known.HttpFilters {
			if names[filter.Name] {
				findings.add("%s: two filters %s", path, filter.Name)
			}
			names[filter.Name] = true
		}
		count := len(known.HttpFilters)
		if count == 0 || known.HttpFilters[count-1].GetTypedConfig().GetTypeUrl() != router {
			findings.add("%s: the last HTTP filter is not the router", path)
		}
		if grpc && (known.XffNumTrustedHops != 0 || len(known.OriginalIpDetectionExtensions) > 0) {
			findings.add("%s: gRPC refuses settings about the caller's address", path)
		}
	case *route.WeightedCluster:
		var sum uint64
		for _, each := range known.Clusters {
			sum += uint64(each.GetWeight().GetValue())
		}
		if sum == 0 || sum >= 1<<32 {
			findings.add("%s: the sum of the weights is %d", path, sum)
		}
	case *route.Route:
		if grpc && known.GetRoute() == nil {
			findings.add("%s: an action other than route ends gRPC's clients in Node", path)
		}
	case *limit.LocalRateLimit:
		judgeLimit(known, path, findings)
	}
}

func judgeLimit(known *limit.LocalRateLimit, path string, findings *findings) {
	if known.FilterEnabled.GetDefaultValue().GetNumerator() == 0 && len(known.Descriptors) > 0 {
		findings.add("%s: limits, but is not enabled", path)
	}
	base := known.GetTokenBucket().GetFillInterval().AsDuration()
	for _, each := range known.Descriptors {
		interval := each.GetTokenBucket().GetFillInterval().AsDuration()
		if base <= 0 || interval%base != 0 {
			findings.add("%s: a descriptor is filled every %v, no multiple of %v", path, interval, base)
		}
	}
}

func judgeListener(known *listener.Listener, path string, grpc bool, addresses map[string]string, findings *findings) {
	if grpc != (known.ApiListener != nil) {
		findings.add("%s: api_listener is for gRPC, and for gRPC only", path)
	}
	if grpc {
		return
	}
	socket := known.GetAddress().GetSocketAddress()
	at := fmt.Sprintf("%s:%d", socket.GetAddress(), socket.GetPortValue())
	if other, taken := addresses[at]; taken {
		findings.add("%s: listens on %s as %s does", path, at, other)
	}
	addresses[at] = path
	if !isLiteral(known.GetAddress()) {
		findings.add("%s: %s is no address", path, at)
	}
	if len(known.FilterChains) == 0 && known.DefaultFilterChain == nil {
		findings.add("%s: no filter chain", path)
	}
	matches := map[string]bool{}
	for _, chain := range known.FilterChains {
		match := fmt.Sprint(chain.GetFilterChainMatch())
		if matches[match] {
			findings.add("%s: two filter chains with the same match", path)
		}
		matches[match] = true
	}
}

func judgeRoutes(known *route.RouteConfiguration, path string, findings *findings) {
	names, domains := map[string]bool{}, map[string]string{}
	for _, host := range known.VirtualHosts {
		if names[host.Name] {
			findings.add("%s: two virtual hosts %s", path, host.Name)
		}
		names[host.Name] = true
		for _, domain := range host.Domains {
			lower := strings.ToLower(domain)
			if other, taken := domains[lower]; taken {
				findings.add("%s: %s is a domain of %s and of %s", path, lower, other, host.Name)
			}
			domains[lower] = host.Name
		}
	}
}

func judgeCluster(known *cluster.Cluster, path string, grpc bool, findings *findings) {
	if !grpc {
		return
	}
	if known.GetType() != cluster.Cluster_EDS && known.GetClusterType() == nil {
		findings.add("%s: gRPC refuses clusters of type %v", path, known.GetType())
	}
	if source := known.GetEdsClusterConfig().GetEdsConfig(); source.GetAds() == nil && source.GetSelf() == nil {
		findings.add("%s: endpoints from somewhere that gRPC does not know", path)
	}
	if ring := known.GetRingHashLbConfig(); ring.GetMinimumRingSize().GetValue() > largestRing ||
		ring.GetMaximumRingSize().GetValue() > largestRing {
		findings.add("%s: the ring is too large", path)
	}
	if outlier := known.GetOutlierDetection(); outlier != nil {
		judgeOutlierDetection(outlier, path, findings)
	}
}

// gRPC in Node takes an unset field for undefined instead of its default, and ends the process when it counts with it; it looks at
// success rates unless it is told not to.
func judgeOutlierDetection(known *cluster.OutlierDetection, path string, findings *findings) {
	complete := known.Interval != nil && known.BaseEjectionTime != nil && known.MaxEjectionTime != nil &&
		known.MaxEjectionPercent != nil && known.EnforcingFailurePercentage.GetValue() > 0 &&
		known.FailurePercentageThreshold != nil && known.FailurePercentageMinimumHosts != nil &&
		known.FailurePercentageRequestVolume != nil
	if !complete || known.EnforcingSuccessRate == nil || known.EnforcingSuccessRate.GetValue() != 0 {
		findings.add("%s: outlier detection leaves to gRPC what it does not complete", path)
	}
}

func judgeAssignment(known *endpoint.ClusterLoadAssignment, path string, grpc bool, findings *findings) {
	priorities, addresses, localities := map[uint32]bool{}, map[string]bool{}, map[string]bool{}
	highest := uint32(0)
	for _, group := range known.Endpoints {
		highest = max(highest, group.Priority)
		priorities[group.Priority] = true
		locality := fmt.Sprint(group.GetLocality())
		if !grpc {
			locality = fmt.Sprint(group.Priority, " ", locality)
		}
		// grpc-java keeps one of each name, whatever the priority.
		if localities[locality] {
			findings.add("%s: locality %s twice", path, locality)
		}
		localities[locality] = true
		if grpc && (group.Locality == nil || group.GetLoadBalancingWeight().GetValue() == 0) {
			findings.add("%s: gRPC skips a locality without name or weight", path)
		}
		for _, each := range group.LbEndpoints {
			judgeEndpoint(each, path, addresses, findings)
		}
	}
	if len(known.Endpoints) > 0 && uint32(len(priorities)) != highest+1 {
		findings.add("%s: a priority is left out below %d", path, highest)
	}
}

func judgeEndpoint(each *endpoint.LbEndpoint, path string, addresses map[string]bool, findings *findings) {
	address := each.GetEndpoint().GetAddress()
	socket := address.GetSocketAddress()
	at := fmt.Sprintf("%s:%d", socket.GetAddress(), socket.GetPortValue())
	if addresses[at] {
		findings.add("%s: %s twice", path, at)
	}
	addresses[at] = true
	if !isLiteral(address) || socket.GetPortValue() == 0 {
		findings.add("%s: %s is no address", path, at)
	}
}

// An assignment and a listener name IP addresses; a host name is refused.
func isLiteral(address *core.Address) bool {
	_, err := netip.ParseAddr(address.GetSocketAddress().GetAddress())
	return err == nil
}
