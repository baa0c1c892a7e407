package main

import (
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	aggregate "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/aggregate/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// Calls visit with the message and every one in it, also packed ones; path says where. Fields that are not known and packed
// messages that cannot be read are findings.
func walk(message proto.Message, path string, findings *findings, visit func(proto.Message, string)) {
	if packed, is := message.(*anypb.Any); is {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			findings.add("%s: %v", path, err)
			return
		}
		validate(inner, path, findings)
		walk(inner, path, findings, visit)
		return
	}
	visit(message, path)
	reflected := message.ProtoReflect()
	if len(reflected.GetUnknown()) > 0 {
		findings.add("%s: a field that %s does not have", path, reflected.Descriptor().FullName())
	}
	reflected.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at := path + "." + string(field.Name())
		switch {
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(key protoreflect.MapKey, each protoreflect.Value) bool {
					walk(each.Message().Interface(), at+"["+key.String()+"]", findings, visit)
					return true
				})
			}
		case field.Message() == nil:
		case field.IsList():
			for index := range value.List().Len() {
				walk(value.List().Get(index).Message().Interface(), at, findings, visit)
			}
		default:
			walk(value.Message().Interface(), at, findings, visit)
		}
		return true
	})
}

// The rules that are published with the message; those of packed messages are asked for by walk.
func validate(message proto.Message, path string, findings *findings) {
	judged, can := message.(interface{ ValidateAll() error })
	if !can {
		return
	}
	if err := judged.ValidateAll(); err != nil {
		findings.add("%s: %v", path, err)
	}
}

func nameOf(message proto.Message) string {
	switch known := message.(type) {
	case *endpoint.ClusterLoadAssignment:
		return known.ClusterName
	case interface{ GetName() string }:
		return known.GetName()
	}
	return ""
}

// A resource that another one needs.
type reference struct {
	kind, name string
}

func references(message proto.Message) []reference {
	var found []reference
	add := func(kind, name string) {
		if name != "" {
			found = append(found, reference{kind, name})
		}
	}
	walk(message, "", &findings{}, func(inner proto.Message, _ string) {
		switch known := inner.(type) {
		case *hcm.Rds:
			add(routes, known.RouteConfigName)
		case *tcp.TcpProxy:
			add(clusters, known.GetCluster())
		case *route.RouteAction:
			add(clusters, known.GetCluster())
		case *route.WeightedCluster_ClusterWeight:
			add(clusters, known.Name)
		case *aggregate.ClusterConfig:
			for _, name := range known.Clusters {
				add(clusters, name)
			}
		case *cluster.Cluster:
			if known.GetType() == cluster.Cluster_EDS {
				add(assignments, edsName(known))
			}
		case *tls.SdsSecretConfig:
			if known.GetSdsConfig().GetAds() != nil {
				add(secrets, known.Name)
			}
		}
	})
	return found
}

func edsName(known *cluster.Cluster) string {
	if name := known.GetEdsClusterConfig().GetServiceName(); name != "" {
		return name
	}
	return known.Name
}
