// Provider and consumer on polaris-go, asked line by line: {"do": COMMAND, …} on standard input, one JSON line of answer
// each on standard output. Every command is one call of the library as an application makes it.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/golang/protobuf/jsonpb"
	"github.com/golang/protobuf/proto"
	"github.com/polarismesh/polaris-go"
	"github.com/polarismesh/polaris-go/api"
	"github.com/polarismesh/polaris-go/pkg/config"
	"github.com/polarismesh/polaris-go/pkg/model"
)

type order struct {
	Do        string            `json:"do"`
	Namespace string            `json:"namespace"`
	Service   string            `json:"service"`
	ID        string            `json:"id"`
	Host      string            `json:"host"`
	Port      int               `json:"port"`
	TTL       int               `json:"ttl"`
	Auto      bool              `json:"auto"`
	Weight    *int              `json:"weight"`
	Version   *string           `json:"version"`
	Protocol  *string           `json:"protocol"`
	Isolate   *bool             `json:"isolate"`
	Healthy   *bool             `json:"healthy"`
	Zone      string            `json:"zone"`
	Metadata  map[string]string `json:"metadata"`
	Labels    map[string]string `json:"labels"`
	Caller    string            `json:"caller"`
	Method    string            `json:"method"`
	Count     int               `json:"count"`
	Every     int               `json:"every"`
	Code      string            `json:"code"`
	Hash      string            `json:"hash"`
	Group     string            `json:"group"`
	File      string            `json:"file"`
	Content   string            `json:"content"`
}

func (o order) turns() int {
	if o.Count < 1 {
		return 1
	}
	return o.Count
}

type seen struct {
	ID       string            `json:"id"`
	Host     string            `json:"host"`
	Port     uint32            `json:"port"`
	Healthy  bool              `json:"healthy"`
	Isolated bool              `json:"isolated"`
	Weight   int               `json:"weight"`
	Version  string            `json:"version"`
	Protocol string            `json:"protocol"`
	Zone     string            `json:"zone"`
	TTL      int64             `json:"ttl"`
	Metadata map[string]string `json:"metadata"`
}

type answer map[string]any

type client struct {
	context  api.SDKContext
	provider polaris.ProviderAPI
	consumer polaris.ConsumerAPI
	limiter  polaris.LimitAPI
	breaker  polaris.CircuitBreakerAPI
	commands map[string]func(order) (answer, error)

	lock    sync.Mutex
	watched map[string][][]string
}

func main() {
	address := flag.String("polaris", "", "host:port of the gRPC listener")
	folder := flag.String("folder", "", "where the library may keep its files")
	token := flag.String("token", "", "access token")
	center := flag.String("config", "", "host:port of the listener of the configuration centre, when files are asked for")
	labels := flag.String("labels", "", "labels of this client: key=value,key=value")
	flag.Parse()

	must(api.SetLoggersDir(*folder + "/log"))
	settings := config.NewDefaultConfiguration([]string{*address})
	settings.GetGlobal().GetStatReporter().SetEnable(false)
	settings.GetGlobal().GetServerConnector().SetToken(*token)
	settings.GetConsumer().GetLocalCache().SetPersistDir(*folder + "/backup")
	if *center != "" {
		must(useCenter(settings, *center, *labels, *folder))
	}
	context, err := polaris.NewSDKContextByConfig(settings)
	must(err)
	c := &client{
		context:  context,
		provider: polaris.NewProviderAPIByContext(context),
		consumer: polaris.NewConsumerAPIByContext(context),
		limiter:  polaris.NewLimitAPIByContext(context),
		breaker:  polaris.NewCircuitBreakerAPIByContext(context),
		watched:  map[string][][]string{},
	}
	c.commands = map[string]func(order) (answer, error){
		"register":   c.register,
		"heartbeat":  c.heartbeat,
		"deregister": c.deregister,
		"instances":  c.instances,
		"all":        c.all,
		"one":        c.one,
		"services":   c.services,
		"watch":      c.watch,
		"changes":    c.changes,
		"rule":       c.rule,
		"quota":      c.quota,
		"pace":       c.pace,
		"report":     c.report,
		"breaker":    c.check,
		"leave":      c.leave,
	}
	if *center != "" {
		for name, command := range newFiles(context).commands() {
			c.commands[name] = command
		}
	}
	say(answer{"ready": true})
	c.converse(os.Stdin)
}

func (c *client) converse(orders io.Reader) {
	lines := bufio.NewScanner(orders)
	for lines.Scan() {
		var asked order
		must(json.Unmarshal(lines.Bytes(), &asked))
		if asked.Namespace == "" {
			asked.Namespace = "default"
		}
		say(c.obey(asked))
		if asked.Do == "leave" {
			return
		}
	}
}

func (c *client) obey(asked order) answer {
	command, known := c.commands[asked.Do]
	if !known {
		return answer{"error": "unknown command " + asked.Do}
	}
	done, err := command(asked)
	if err == nil {
		return done
	}
	told := answer{"error": err.Error()}
	if failure, ours := err.(model.SDKError); ours {
		told["kind"] = int(failure.ErrorCode())
		told["code"] = failure.ServerCode()
	}
	return told
}

func (c *client) register(asked order) (answer, error) {
	request := &polaris.InstanceRegisterRequest{}
	request.Namespace, request.Service, request.Host, request.Port = asked.Namespace, asked.Service, asked.Host, asked.Port
	request.InstanceId, request.Metadata = asked.ID, asked.Metadata
	request.Weight, request.Version, request.Protocol = asked.Weight, asked.Version, asked.Protocol
	request.Isolate, request.Healthy = asked.Isolate, asked.Healthy
	if asked.TTL > 0 {
		request.TTL = &asked.TTL
	}
	if asked.Zone != "" {
		request.Location = &model.Location{Region: "live", Zone: asked.Zone, Campus: "first"}
	}
	call := c.provider.Register
	if asked.Auto {
		call = c.provider.RegisterInstance
	}
	done, err := call(request)
	if err != nil {
		return nil, err
	}
	return answer{"id": done.InstanceID, "existed": done.Existed}, nil
}

func (c *client) heartbeat(asked order) (answer, error) {
	request := &polaris.InstanceHeartbeatRequest{}
	request.Namespace, request.Service, request.Host, request.Port = asked.Namespace, asked.Service, asked.Host, asked.Port
	request.InstanceID = asked.ID
	return answer{}, c.provider.Heartbeat(request)
}

func (c *client) deregister(asked order) (answer, error) {
	request := &polaris.InstanceDeRegisterRequest{}
	request.Namespace, request.Service, request.Host, request.Port = asked.Namespace, asked.Service, asked.Host, asked.Port
	request.InstanceID = asked.ID
	return answer{}, c.provider.Deregister(request)
}

func (c *client) instances(asked order) (answer, error) {
	request := &polaris.GetInstancesRequest{}
	request.Namespace, request.Service = asked.Namespace, asked.Service
	request.SourceService = caller(asked)
	request.Arguments = arguments(asked)
	done, err := c.consumer.GetInstances(request)
	if err != nil {
		return nil, err
	}
	return answer{"instances": views(done.Instances), "revision": done.Revision}, nil
}

func (c *client) all(asked order) (answer, error) {
	request := &polaris.GetAllInstancesRequest{}
	request.Namespace, request.Service = asked.Namespace, asked.Service
	done, err := c.consumer.GetAllInstances(request)
	if err != nil {
		return nil, err
	}
	return answer{"instances": views(done.Instances), "revision": done.Revision, "metadata": done.Metadata}, nil
}

// one asks as often as it is told and answers all that were chosen.
func (c *client) one(asked order) (answer, error) {
	chosen := []seen{}
	for turn := 0; turn < asked.turns(); turn++ {
		request := &polaris.GetOneInstanceRequest{}
		request.Namespace, request.Service = asked.Namespace, asked.Service
		request.SourceService = caller(asked)
		request.Arguments = arguments(asked)
		done, err := c.consumer.GetOneInstance(request)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, view(done.GetInstance()))
	}
	return answer{"instances": chosen}, nil
}

func (c *client) services(asked order) (answer, error) {
	request := &polaris.GetServicesRequest{}
	request.Namespace = asked.Namespace
	done, err := c.consumer.GetServices(request)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, service := range done.Value {
		names = append(names, service.Namespace+"/"+service.Service)
	}
	sort.Strings(names)
	return answer{"services": names}, nil
}

type listener struct {
	key    string
	client *client
}

func (l *listener) OnInstancesUpdate(now *model.InstancesResponse) {
	l.client.lock.Lock()
	defer l.client.lock.Unlock()
	l.client.watched[l.key] = append(l.client.watched[l.key], addresses(now.Instances))
}

func (c *client) watch(asked order) (answer, error) {
	request := &polaris.WatchAllInstancesRequest{}
	request.Namespace, request.Service = asked.Namespace, asked.Service
	request.WatchMode = model.WatchModeNotify
	request.InstancesListener = &listener{asked.Namespace + "/" + asked.Service, c}
	done, err := c.consumer.WatchAllInstances(request)
	if err != nil {
		return nil, err
	}
	return answer{"now": addresses(done.InstancesResponse().Instances)}, nil
}

func (c *client) changes(asked order) (answer, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	changes := c.watched[asked.Namespace+"/"+asked.Service]
	if changes == nil {
		changes = [][]string{}
	}
	return answer{"changes": changes}, nil
}

func (c *client) rule(asked order) (answer, error) {
	request := &polaris.GetServiceRuleRequest{}
	request.Namespace, request.Service = asked.Namespace, asked.Service
	done, err := c.consumer.GetRouteRule(request)
	if err != nil {
		return nil, err
	}
	told := answer{"revision": done.Revision, "rule": nil}
	if message, is := done.Value.(proto.Message); is && !isNil(message) {
		text, err := (&jsonpb.Marshaler{}).MarshalToString(message)
		if err != nil {
			return nil, err
		}
		told["rule"] = json.RawMessage(text)
	}
	return told, nil
}

func (c *client) quota(asked order) (answer, error) {
	passed := 0
	for turn := 0; turn < asked.turns(); turn++ {
		request := polaris.NewQuotaRequest()
		request.SetNamespace(asked.Namespace)
		request.SetService(asked.Service)
		request.SetMethod(asked.Method)
		for _, argument := range arguments(asked) {
			request.AddArgument(argument)
		}
		future, err := c.limiter.GetQuota(request)
		if err != nil {
			return nil, err
		}
		if future.Get().Code == model.QuotaResultOk {
			passed++
		}
	}
	return answer{"passed": passed}, nil
}

func (c *client) report(asked order) (answer, error) {
	resource, err := resource(asked)
	if err != nil {
		return nil, err
	}
	for turn := 0; turn < asked.turns(); turn++ {
		stat := &model.ResourceStat{Resource: resource, RetCode: asked.Code, Delay: time.Millisecond, RetStatus: model.RetSuccess}
		if strings.HasPrefix(asked.Code, "5") {
			stat.RetStatus = model.RetFail
		}
		if err := c.breaker.Report(stat); err != nil {
			return nil, err
		}
	}
	return answer{}, nil
}

func (c *client) check(asked order) (answer, error) {
	resource, err := resource(asked)
	if err != nil {
		return nil, err
	}
	done, err := c.breaker.Check(resource)
	if err != nil {
		return nil, err
	}
	return answer{"pass": done.Pass, "rule": done.RuleName}, nil
}

func (c *client) leave(order) (answer, error) {
	c.context.Destroy()
	return answer{"left": true}, nil
}

func resource(asked order) (model.Resource, error) {
	callee := &model.ServiceKey{Namespace: asked.Namespace, Service: asked.Service}
	return model.NewServiceResource(callee, &model.ServiceKey{Namespace: "default", Service: asked.Caller})
}

func caller(asked order) *model.ServiceInfo {
	if asked.Caller == "" && asked.Labels == nil {
		return nil
	}
	return &model.ServiceInfo{Namespace: "default", Service: asked.Caller, Metadata: map[string]string{}}
}

// arguments are traffic labels: "$header.user" and the like, or a key of one's own.
func arguments(asked order) []model.Argument {
	found := []model.Argument{}
	for key, value := range asked.Labels {
		found = append(found, model.BuildArgumentFromLabel(key, value))
	}
	return found
}

func views(instances []model.Instance) []seen {
	found := []seen{}
	for _, instance := range instances {
		found = append(found, view(instance))
	}
	return found
}

func view(one model.Instance) seen {
	return seen{
		ID: one.GetId(), Host: one.GetHost(), Port: one.GetPort(), Healthy: one.IsHealthy(), Isolated: one.IsIsolated(),
		Weight: one.GetWeight(), Version: one.GetVersion(), Protocol: one.GetProtocol(), Zone: one.GetZone(),
		TTL: one.GetTtl(), Metadata: one.GetMetadata(),
	}
}

func addresses(instances []model.Instance) []string {
	found := []string{}
	for _, one := range instances {
		found = append(found, fmt.Sprintf("%s:%d", one.GetHost(), one.GetPort()))
	}
	sort.Strings(found)
	return found
}

func isNil(message proto.Message) bool {
	return fmt.Sprintf("%v", message) == "<nil>"
}

func say(message answer) {
	line, err := json.Marshal(message)
	must(err)
	_, err = os.Stdout.Write(append(line, '\n'))
	must(err)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
