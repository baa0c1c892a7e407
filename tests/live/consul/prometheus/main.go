// Prometheus' discovery by Consul, without the rest of it: orders on standard input, one JSON line of answer each.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/consul"
	"github.com/prometheus/prometheus/discovery/targetgroup"
)

type order struct {
	Do      string `json:"do"`
	Service string `json:"service"`
}

// targets are what the last message about each job said.
type targets struct {
	lock   sync.Mutex
	groups map[string][]*targetgroup.Group
}

func main() {
	address := flag.String("consul", "", "host:port of the HTTP listener")
	_ = flag.String("folder", "", "not used")
	flag.Parse()
	known := &targets{}
	must(known.follow(*address))
	say(os.Stdout, map[string]any{"ready": true})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked order
		must(json.Unmarshal(lines.Bytes(), &asked))
		switch asked.Do {
		case "targets":
			say(os.Stdout, map[string]any{"targets": known.of(asked.Service)})
		case "leave":
			say(os.Stdout, map[string]any{"left": true})
			return
		default:
			say(os.Stdout, map[string]any{"error": "unknown command " + asked.Do})
		}
	}
}

func (t *targets) follow(address string) error {
	registry := prometheus.NewRegistry()
	metrics, err := discovery.CreateAndRegisterSDMetrics(registry)
	if err != nil {
		return err
	}
	settings := consul.DefaultSDConfig
	settings.Server = address
	settings.RefreshInterval = model.Duration(100 * time.Millisecond)
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	manager := discovery.NewManager(
		context.Background(), logger, registry, metrics, discovery.Updatert(100*time.Millisecond),
	)
	go func() { must(manager.Run()) }()
	go func() {
		for groups := range manager.SyncCh() {
			t.lock.Lock()
			t.groups = groups
			t.lock.Unlock()
		}
	}()
	return manager.ApplyConfig(map[string]discovery.Configs{"job": {&settings}})
}

// of is the labels of each target of a service.
func (t *targets) of(service string) []model.LabelSet {
	t.lock.Lock()
	defer t.lock.Unlock()
	found := []model.LabelSet{}
	for _, group := range t.groups["job"] {
		if group.Labels["__meta_consul_service"] == model.LabelValue(service) {
			for _, target := range group.Targets {
				found = append(found, group.Labels.Merge(target))
			}
		}
	}
	return found
}

func say(sink io.Writer, message map[string]any) {
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
