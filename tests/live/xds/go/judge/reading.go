package main

import (
	"context"
	"fmt"
	"sort"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	listeners   = "type.googleapis.com/envoy.config.listener.v3.Listener"
	routes      = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	clusters    = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	assignments = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	secrets     = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
)

// What is answered at all is answered within this; a name without an answer is a finding.
const silence = 3 * time.Second

// By type and name.
type holding map[string]map[string]proto.Message

// One answer: resources, and the names that there are not (incremental only).
type told struct {
	kind      string
	resources []*anypb.Any
	names     []string
	gone      []string
	// Sends the acknowledgement.
	accept func() error
}

// A stream of either protocol. ask names everything that is wanted of a type, the new names apart.
type stream interface {
	ask(kind string, all, added []string) error
	next() (*told, error)
}

func read(channel *grpc.ClientConn, node *core.Node, asked order, findings *findings) (holding, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	made, err := open(ctx, channel, node, asked.Delta, findings)
	if err != nil {
		return nil, err
	}
	answers, ended := make(chan *told), make(chan error, 1)
	go func() {
		for {
			answer, err := made.next()
			if err != nil {
				ended <- err
				return
			}
			select {
			case answers <- answer:
			case <-ctx.Done():
				return
			}
		}
	}()
	reader := &reader{stream: made, held: holding{}, wanted: map[string]map[string]bool{}, open: map[string]bool{}, findings: findings}
	for kind, names := range asked.Ask {
		if err := reader.want(kind, names); err != nil {
			return nil, err
		}
	}
	for len(reader.open) > 0 {
		select {
		case answer := <-answers:
			if err := answer.accept(); err != nil {
				return nil, err
			}
			if err := reader.take(answer); err != nil {
				return nil, err
			}
		case err := <-ended:
			return nil, err
		case <-time.After(silence):
			for name := range reader.open {
				findings.add("%s: asked for and not answered", name)
			}
			return reader.held, nil
		}
	}
	return reader.held, nil
}

func open(ctx context.Context, channel *grpc.ClientConn, node *core.Node, delta bool, findings *findings) (stream, error) {
	client := discovery.NewAggregatedDiscoveryServiceClient(channel)
	if delta {
		made, err := client.DeltaAggregatedResources(ctx)
		return &incremental{stream: made, node: node, findings: findings}, err
	}
	made, err := client.StreamAggregatedResources(ctx)
	accepted := map[string]*discovery.DiscoveryResponse{}
	return &whole{stream: made, node: node, names: map[string][]string{}, accepted: accepted, findings: findings}, err
}

// What is wanted, what came, and what is still open, as "type name".
type reader struct {
	stream   stream
	held     holding
	wanted   map[string]map[string]bool
	open     map[string]bool
	findings *findings
}

func (r *reader) want(kind string, names []string) error {
	known := r.wanted[kind]
	if known == nil {
		known = map[string]bool{}
		r.wanted[kind] = known
	}
	var added []string
	for _, name := range names {
		if !known[name] && !known["*"] {
			known[name] = true
			r.open[kind+" "+name] = true
			added = append(added, name)
		}
	}
	if len(added) == 0 {
		return nil
	}
	all := make([]string, 0, len(known))
	for name := range known {
		all = append(all, name)
	}
	sort.Strings(all)
	sort.Strings(added)
	return r.stream.ask(kind, all, added)
}

func (r *reader) take(answer *told) error {
	held := r.held[answer.kind]
	if held == nil {
		held = map[string]proto.Message{}
		r.held[answer.kind] = held
	}
	delete(r.open, answer.kind+" *")
	next := map[string]map[string]bool{}
	inOne := map[string]bool{}
	for index, packed := range answer.resources {
		message, err := packed.UnmarshalNew()
		if err != nil {
			r.findings.add("%s: %v", answer.kind, err)
			continue
		}
		name := nameOf(message)
		if inOne[name] {
			r.findings.add("%s %s: twice in one answer", answer.kind, name)
		}
		inOne[name] = true
		if packed.TypeUrl != answer.kind {
			r.findings.add("%s %s: is a %s", answer.kind, name, packed.TypeUrl)
		}
		if answer.names != nil && answer.names[index] != name {
			r.findings.add("%s %s: is sent by the name %q", answer.kind, name, answer.names[index])
		}
		if !r.wanted[answer.kind]["*"] && !r.wanted[answer.kind][name] {
			r.findings.add("%s %s: nobody asked for it", answer.kind, name)
		}
		held[name] = message
		delete(r.open, answer.kind+" "+name)
		for _, reference := range references(message) {
			if next[reference.kind] == nil {
				next[reference.kind] = map[string]bool{}
			}
			next[reference.kind][reference.name] = true
		}
	}
	for _, name := range answer.gone {
		delete(held, name)
		delete(r.open, answer.kind+" "+name)
	}
	for _, kind := range []string{clusters, assignments, routes, secrets} {
		names := make([]string, 0, len(next[kind]))
		for name := range next[kind] {
			names = append(names, name)
		}
		if err := r.want(kind, names); err != nil {
			return err
		}
	}
	return nil
}

// State of the world.
type whole struct {
	stream   discovery.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	node     *core.Node
	names    map[string][]string
	accepted map[string]*discovery.DiscoveryResponse
	findings *findings
}

func (w *whole) ask(kind string, all, _ []string) error {
	w.names[kind] = all
	return w.send(kind)
}

func (w *whole) send(kind string) error {
	request := &discovery.DiscoveryRequest{
		Node: w.node, TypeUrl: kind, ResourceNames: w.names[kind],
		ResponseNonce: w.accepted[kind].GetNonce(), VersionInfo: w.accepted[kind].GetVersionInfo(),
	}
	w.node = nil
	return w.stream.Send(request)
}

func (w *whole) next() (*told, error) {
	response, err := w.stream.Recv()
	if err != nil {
		return nil, err
	}
	if response.Nonce == "" || response.VersionInfo == "" {
		w.findings.add("%s: an answer without nonce or version", response.TypeUrl)
	}
	accept := func() error {
		w.accepted[response.TypeUrl] = response
		return w.send(response.TypeUrl)
	}
	return &told{kind: response.TypeUrl, resources: response.Resources, accept: accept}, nil
}

// Incremental.
type incremental struct {
	stream   discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	node     *core.Node
	findings *findings
}

func (i *incremental) ask(kind string, _, added []string) error {
	request := &discovery.DeltaDiscoveryRequest{Node: i.node, TypeUrl: kind, ResourceNamesSubscribe: added}
	i.node = nil
	return i.stream.Send(request)
}

func (i *incremental) next() (*told, error) {
	response, err := i.stream.Recv()
	if err != nil {
		return nil, err
	}
	answer := &told{kind: response.TypeUrl, names: []string{}, gone: response.RemovedResources}
	for _, resource := range response.Resources {
		if resource.Version == "" {
			i.findings.add("%s %s: no version", response.TypeUrl, resource.Name)
		}
		if resource.Resource == nil {
			return nil, fmt.Errorf("%s %s: no body", response.TypeUrl, resource.Name)
		}
		answer.names = append(answer.names, resource.Name)
		answer.resources = append(answer.resources, resource.Resource)
	}
	answer.accept = func() error {
		return i.stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: response.TypeUrl, ResponseNonce: response.Nonce})
	}
	return answer, nil
}
