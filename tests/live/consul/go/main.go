// A provider and consumer on github.com/hashicorp/consul/api: orders on standard input, one JSON line of answer each.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

type order struct {
	Do       string            `json:"do"`
	Service  string            `json:"service"`
	ID       string            `json:"id"`
	Address  string            `json:"address"`
	Port     int               `json:"port"`
	Tags     []string          `json:"tags"`
	Meta     map[string]string `json:"meta"`
	TTL      string            `json:"ttl"`
	HTTP     string            `json:"http"`
	TCP      string            `json:"tcp"`
	Interval string            `json:"interval"`
	Status   string            `json:"status"`
	Note     string            `json:"note"`
	Tag      string            `json:"tag"`
	Passing  bool              `json:"passing"`
	Filter   string            `json:"filter"`
	Enable   bool              `json:"enable"`
	Reason   string            `json:"reason"`

	Key       string          `json:"key"`
	Value     string          `json:"value"`
	Flags     uint64          `json:"flags"`
	CAS       *uint64         `json:"cas"`
	Recurse   bool            `json:"recurse"`
	Separator string          `json:"separator"`
	Session   string          `json:"session"`
	Behavior  string          `json:"behavior"`
	Delay     string          `json:"delay"`
	Checks    []string        `json:"checks"`
	Ops       json.RawMessage `json:"ops"`
	Name      string          `json:"name"`
}

type seen struct {
	ID      string            `json:"id"`
	Node    string            `json:"node"`
	Address string            `json:"address"`
	Port    int               `json:"port"`
	Tags    []string          `json:"tags"`
	Meta    map[string]string `json:"meta"`
	Status  string            `json:"status"`
}

type entry struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Flags   uint64 `json:"flags"`
	Index   uint64 `json:"index"`
	Session string `json:"session"`
	Locks   uint64 `json:"locks"`
}

type answer map[string]any

type client struct {
	consul *api.Client

	lock    sync.Mutex
	changes map[string][]answer
	ends    map[string]chan struct{}
	locks   map[string]*held
}

func main() {
	address := flag.String("consul", "", "host:port of the HTTP listener")
	_ = flag.String("folder", "", "where the library may keep its files")
	flag.Parse()
	made, err := api.NewClient(&api.Config{Address: *address})
	must(err)
	c := &client{
		consul: made, changes: map[string][]answer{}, ends: map[string]chan struct{}{}, locks: map[string]*held{},
	}
	say(os.Stdout, answer{"ready": true})
	commands := map[string]func(order) (answer, error){
		"register": c.register, "deregister": c.deregister, "check": c.check, "instances": c.instances,
		"services": c.services, "maintain": c.maintain, "self": c.self,
		"watch": c.watch, "changes": c.told, "unwatch": c.unwatch,
		"leave": func(order) (answer, error) { return answer{"left": true}, nil },
	}
	for name, command := range c.keyCommands() {
		commands[name] = command
	}
	for name, command := range c.lockCommands() {
		commands[name] = command
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked order
		must(json.Unmarshal(lines.Bytes(), &asked))
		say(os.Stdout, obey(commands, asked))
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

func (c *client) register(asked order) (answer, error) {
	service := &api.AgentServiceRegistration{
		ID: asked.ID, Name: asked.Service, Address: asked.Address, Port: asked.Port, Tags: asked.Tags, Meta: asked.Meta,
	}
	if asked.TTL != "" || asked.HTTP != "" || asked.TCP != "" {
		service.Check = &api.AgentServiceCheck{
			TTL: asked.TTL, HTTP: asked.HTTP, TCP: asked.TCP, Interval: asked.Interval, Status: asked.Status,
		}
	}
	return answer{}, c.consul.Agent().ServiceRegister(service)
}

func (c *client) deregister(asked order) (answer, error) {
	return answer{}, c.consul.Agent().ServiceDeregister(asked.ID)
}

func (c *client) check(asked order) (answer, error) {
	return answer{}, c.consul.Agent().UpdateTTL(asked.ID, asked.Note, asked.Status)
}

func (c *client) maintain(asked order) (answer, error) {
	if asked.Enable {
		return answer{}, c.consul.Agent().EnableServiceMaintenance(asked.ID, asked.Reason)
	}
	return answer{}, c.consul.Agent().DisableServiceMaintenance(asked.ID)
}

func (c *client) self(order) (answer, error) {
	node, err := c.consul.Agent().NodeName()
	if err != nil {
		return nil, err
	}
	leader, err := c.consul.Status().Leader()
	return answer{"node": node, "leader": leader}, err
}

func (c *client) instances(asked order) (answer, error) {
	found, _, err := c.consul.Health().Service(asked.Service, asked.Tag, asked.Passing, &api.QueryOptions{Filter: asked.Filter})
	return answer{"instances": views(found)}, err
}

func (c *client) services(order) (answer, error) {
	found, _, err := c.consul.Catalog().Services(nil)
	return answer{"services": found}, err
}

// watch follows the instances of a service ("service") or the entry of a key ("key") by blocking queries, as the
// library's documentation shows it.
func (c *client) watch(asked order) (answer, error) {
	end := make(chan struct{})
	c.lock.Lock()
	c.ends[asked.subject()] = end
	c.lock.Unlock()
	go c.follow(asked, end)
	return answer{}, nil
}

func (c *client) follow(asked order, end chan struct{}) {
	var index uint64
	for {
		news, meta, err := c.read(asked, &api.QueryOptions{WaitIndex: index, WaitTime: 20 * time.Second})
		select {
		case <-end:
			return
		default:
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, asked.subject(), err)
			time.Sleep(200 * time.Millisecond)
			continue
		}
		if meta.LastIndex != index {
			news["at"] = time.Now().UnixMilli()
			c.lock.Lock()
			c.changes[asked.subject()] = append(c.changes[asked.subject()], news)
			c.lock.Unlock()
		}
		if meta.LastIndex < index {
			index = 0
		} else {
			index = meta.LastIndex
		}
	}
}

func (c *client) read(asked order, options *api.QueryOptions) (answer, *api.QueryMeta, error) {
	if asked.Key != "" {
		found, meta, err := c.consul.KV().Get(asked.Key, options)
		return answer{"entry": entryOf(found)}, meta, err
	}
	found, meta, err := c.consul.Health().Service(asked.Service, "", asked.Passing, options)
	return answer{"instances": views(found)}, meta, err
}

func (o order) subject() string {
	return o.Service + " " + o.Key
}

func (c *client) told(asked order) (answer, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	return answer{"changes": append([]answer{}, c.changes[asked.subject()]...)}, nil
}

func (c *client) unwatch(asked order) (answer, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	close(c.ends[asked.subject()])
	delete(c.ends, asked.subject())
	return answer{}, nil
}

func views(found []*api.ServiceEntry) []seen {
	instances := []seen{}
	for _, one := range found {
		address := one.Service.Address
		if address == "" {
			address = one.Node.Address
		}
		instances = append(instances, seen{
			ID: one.Service.ID, Node: one.Node.Node, Address: address, Port: one.Service.Port, Tags: one.Service.Tags,
			Meta: one.Service.Meta, Status: one.Checks.AggregatedStatus(),
		})
	}
	return instances
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
