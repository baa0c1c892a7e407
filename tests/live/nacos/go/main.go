// A provider and consumer on nacos-sdk-go: orders on standard input, one JSON line of answer each.
//
// Both generations of the library are used from this source: the build of the first one gives the imports their old
// path. What differs stands in generation_1.go and generation_2.go.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/config_client"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

type order struct {
	Do        string            `json:"do"`
	Namespace string            `json:"namespace"`
	Group     string            `json:"group"`
	Service   string            `json:"service"`
	Clusters  []string          `json:"clusters"`
	Cluster   string            `json:"cluster"`
	IP        string            `json:"ip"`
	Port      uint64            `json:"port"`
	Weight    *float64          `json:"weight"`
	Ephemeral *bool             `json:"ephemeral"`
	Metadata  map[string]string `json:"metadata"`
	Instances []order           `json:"instances"`
	Files     []string          `json:"files"`
	Content   string            `json:"content"`
	Type      string            `json:"type"`
	Md5       string            `json:"md5"`
}

type seen struct {
	ID        string            `json:"id"`
	IP        string            `json:"ip"`
	Port      uint64            `json:"port"`
	Weight    float64           `json:"weight"`
	Healthy   bool              `json:"healthy"`
	Enabled   bool              `json:"enabled"`
	Ephemeral bool              `json:"ephemeral"`
	Cluster   string            `json:"cluster"`
	Service   string            `json:"service"`
	Metadata  map[string]string `json:"metadata"`
}

type change struct {
	At        int64  `json:"at"`
	Instances []seen `json:"instances"`
}

type answer map[string]any

type client struct {
	address, folder, user, password string
	namings                         map[string]naming_client.INamingClient
	watched                         map[string]*vo.SubscribeParam
	configClients                   map[string]config_client.IConfigClient

	lock    sync.Mutex
	changes map[string][]change
	news    map[string][]news
}

func main() {
	c := &client{
		namings: map[string]naming_client.INamingClient{},
		watched: map[string]*vo.SubscribeParam{},
		changes: map[string][]change{},
		news:    map[string][]news{},

		configClients: map[string]config_client.IConfigClient{},
	}
	flag.StringVar(&c.address, "nacos", "", "host:port of the HTTP listener")
	flag.StringVar(&c.folder, "folder", "", "where the library may keep its files")
	flag.StringVar(&c.user, "user", "", "whom to log in")
	flag.StringVar(&c.password, "password", "", "how to log in")
	flag.Parse()
	answers := os.Stdout
	os.Stdout = os.Stderr // the library prints

	_, err := c.naming("")
	must(err)
	say(answers, answer{"ready": true})
	commands := map[string]func(order) (answer, error){
		"register":   c.register,
		"deregister": c.deregister,
		"instances":  c.instances,
		"one":        c.one,
		"services":   c.services,
		"watch":      c.watch,
		"unwatch":    c.unwatch,
		"changes":    c.told,
		"batch":      c.batch,
		"leave":      c.leave,
	}
	for name, command := range c.configCommands() {
		commands[name] = command
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked order
		must(json.Unmarshal(lines.Bytes(), &asked))
		say(answers, obey(commands, asked))
		if asked.Do == "leave" {
			return
		}
	}
}

func obey(commands map[string]func(order) (answer, error), asked order) answer {
	command, known := commands[asked.Do]
	if !known {
		return answer{"error": "unknown command " + asked.Do}
	}
	done, err := command(asked)
	if err != nil {
		return answer{"error": err.Error()}
	}
	return done
}

// naming is the client of one namespace: a library's client is bound to one.
func (c *client) naming(namespace string) (naming_client.INamingClient, error) {
	if known, is := c.namings[namespace]; is {
		return known, nil
	}
	settings, servers, err := c.settings(namespace)
	if err != nil {
		return nil, err
	}
	made, err := clients.NewNamingClient(vo.NacosClientParam{ClientConfig: settings, ServerConfigs: servers})
	if err == nil {
		c.namings[namespace] = made
	}
	return made, err
}

// settings are what every client of the library is given.
func (c *client) settings(namespace string) (*constant.ClientConfig, []constant.ServerConfig, error) {
	host, text, err := net.SplitHostPort(c.address)
	if err != nil {
		return nil, nil, err
	}
	port, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, nil, err
	}
	settings := constant.ClientConfig{
		TimeoutMs:            5000,
		NamespaceId:          namespace,
		Username:             c.user,
		Password:             c.password,
		CacheDir:             c.folder + "/cache" + namespace,
		LogDir:               c.folder + "/log",
		LogLevel:             "info",
		NotLoadCacheAtStart:  true,
		UpdateCacheWhenEmpty: true,
	}
	return &settings, []constant.ServerConfig{{IpAddr: host, Port: port, ContextPath: "/nacos"}}, nil
}

func (o order) group() string {
	if o.Group == "" {
		return constant.DEFAULT_GROUP
	}
	return o.Group
}

func (o order) ephemeral() bool {
	return o.Ephemeral == nil || *o.Ephemeral
}

func (o order) instance() vo.RegisterInstanceParam {
	weight := 1.0
	if o.Weight != nil {
		weight = *o.Weight
	}
	return vo.RegisterInstanceParam{
		Ip: o.IP, Port: o.Port, Weight: weight, Enable: true, Healthy: true, Metadata: o.Metadata,
		ClusterName: o.Cluster, ServiceName: o.Service, GroupName: o.group(), Ephemeral: o.ephemeral(),
	}
}

func (c *client) register(asked order) (answer, error) {
	naming, err := c.naming(asked.Namespace)
	if err != nil {
		return nil, err
	}
	return outcome(naming.RegisterInstance(asked.instance()))
}

func (c *client) deregister(asked order) (answer, error) {
	naming, err := c.naming(asked.Namespace)
	if err != nil {
		return nil, err
	}
	return outcome(naming.DeregisterInstance(vo.DeregisterInstanceParam{
		Ip: asked.IP, Port: asked.Port, Cluster: asked.Cluster, ServiceName: asked.Service, GroupName: asked.group(),
		Ephemeral: asked.ephemeral(),
	}))
}

func (c *client) batch(asked order) (answer, error) {
	naming, err := c.naming(asked.Namespace)
	if err != nil {
		return nil, err
	}
	instances := []vo.RegisterInstanceParam{}
	for _, one := range asked.Instances {
		instances = append(instances, one.instance())
	}
	return outcome(registerAll(naming, asked.Service, asked.group(), instances))
}

func (c *client) instances(asked order) (answer, error) {
	naming, err := c.naming(asked.Namespace)
	if err != nil {
		return nil, err
	}
	found, err := naming.SelectAllInstances(vo.SelectAllInstancesParam{
		ServiceName: asked.Service, GroupName: asked.group(), Clusters: asked.Clusters,
	})
	if err != nil && strings.Contains(err.Error(), "instance list is empty") {
		return answer{"instances": []seen{}}, nil
	}
	return answer{"instances": views(found)}, err
}

func (c *client) one(asked order) (answer, error) {
	naming, err := c.naming(asked.Namespace)
	if err != nil {
		return nil, err
	}
	found, err := naming.SelectOneHealthyInstance(vo.SelectOneHealthInstanceParam{
		ServiceName: asked.Service, GroupName: asked.group(), Clusters: asked.Clusters,
	})
	if err != nil {
		return nil, err
	}
	return answer{"instances": views([]model.Instance{*found})}, nil
}

func (c *client) services(asked order) (answer, error) {
	naming, err := c.naming(asked.Namespace)
	if err != nil {
		return nil, err
	}
	page, err := naming.GetAllServicesInfo(vo.GetAllServiceInfoParam{
		NameSpace: asked.Namespace, GroupName: asked.group(), PageNo: 1, PageSize: 1000,
	})
	return answer{"services": page.Doms, "count": page.Count}, err
}

func (o order) key() string {
	return o.Namespace + " " + o.group() + " " + o.Service
}

func (c *client) watch(asked order) (answer, error) {
	naming, err := c.naming(asked.Namespace)
	if err != nil {
		return nil, err
	}
	param := &vo.SubscribeParam{ServiceName: asked.Service, GroupName: asked.group(), Clusters: asked.Clusters}
	key := asked.key()
	// An empty list comes as an error of the callback.
	param.SubscribeCallback = func(instances []Subscribed, _ error) {
		c.lock.Lock()
		defer c.lock.Unlock()
		c.changes[key] = append(c.changes[key], change{time.Now().UnixMilli(), subscribedViews(instances)})
	}
	c.watched[key] = param
	return answer{}, naming.Subscribe(param)
}

func (c *client) unwatch(asked order) (answer, error) {
	naming, err := c.naming(asked.Namespace)
	if err != nil {
		return nil, err
	}
	return answer{}, naming.Unsubscribe(c.watched[asked.key()])
}

func (c *client) told(asked order) (answer, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	changes := append([]change{}, c.changes[asked.key()]...)
	return answer{"changes": changes}, nil
}

func (c *client) leave(order) (answer, error) {
	for _, naming := range c.namings {
		end(naming)
	}
	return answer{"left": true}, nil
}

func outcome(done bool, err error) (answer, error) {
	if err == nil && !done {
		err = fmt.Errorf("the library answers false")
	}
	return answer{}, err
}

func views(instances []model.Instance) []seen {
	found := []seen{}
	for _, one := range instances {
		found = append(found, seen{
			ID: one.InstanceId, IP: one.Ip, Port: one.Port, Weight: one.Weight, Healthy: one.Healthy, Enabled: one.Enable,
			Ephemeral: one.Ephemeral, Cluster: one.ClusterName, Service: one.ServiceName, Metadata: one.Metadata,
		})
	}
	return found
}

func say(sink io.Writer, message answer) {
	line, err := json.Marshal(message)
	must(err)
	_, err = sink.Write(append(line, '\n'))
	must(err)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
