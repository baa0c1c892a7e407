// What polaris-go chooses: one JSON document of configurations and calls on standard input, one line of JSON for each call on
// standard output. Every call is made as an application makes it, several times, for groups are drawn by weight.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"

	"github.com/polarismesh/polaris-go"
	"github.com/polarismesh/polaris-go/pkg/config"
	"github.com/polarismesh/polaris-go/pkg/model"
)

type argument struct {
	Type  string `json:"type"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

type call struct {
	Name            string            `json:"name"`
	Config          string            `json:"config"`
	Namespace       string            `json:"namespace"`
	Service         string            `json:"service"`
	CallerNamespace string            `json:"callerNamespace"`
	CallerService   string            `json:"callerService"`
	Labels          map[string]string `json:"labels"`
	Arguments       []argument        `json:"arguments"`
	Metadata        map[string]string `json:"metadata"`
	Canary          string            `json:"canary"`
	Turns           int               `json:"turns"`
}

type table struct {
	Configs map[string]string `json:"configs"`
	Calls   []call            `json:"calls"`
}

type result struct {
	Name    string  `json:"name"`
	Answers [][]int `json:"answers"`
	Error   string  `json:"error,omitempty"`
}

var builders = map[string]func(key, value string) model.Argument{
	"custom":   model.BuildCustomArgument,
	"header":   model.BuildHeaderArgument,
	"query":    model.BuildQueryArgument,
	"cookie":   model.BuildCookieArgument,
	"method":   func(_, value string) model.Argument { return model.BuildMethodArgument(value) },
	"path":     func(_, value string) model.Argument { return model.BuildPathArgument(value) },
	"callerIp": func(_, value string) model.Argument { return model.BuildCallerIPArgument(value) },
}

func main() {
	var asked table
	must(json.NewDecoder(os.Stdin).Decode(&asked))
	consumers := map[string]polaris.ConsumerAPI{}
	for name, text := range asked.Configs {
		settings, err := config.LoadConfiguration([]byte(text))
		must(err)
		context, err := polaris.NewSDKContextByConfig(settings)
		must(err)
		consumers[name] = polaris.NewConsumerAPIByContext(context)
	}
	out := json.NewEncoder(os.Stdout)
	for _, each := range asked.Calls {
		must(out.Encode(chosen(consumers[each.Config], each)))
	}
}

// chosen is every answer that came, each as the sorted ports of its instances.
func chosen(consumer polaris.ConsumerAPI, asked call) result {
	done := result{Name: asked.Name, Answers: [][]int{}}
	seen := map[string]bool{}
	for turn := 0; turn < asked.Turns; turn++ {
		ports, err := instances(consumer, asked)
		if err != nil {
			done.Error = err.Error()
			return done
		}
		key := fmt.Sprint(ports)
		if !seen[key] {
			seen[key] = true
			done.Answers = append(done.Answers, ports)
		}
	}
	sort.Slice(done.Answers, func(i, j int) bool {
		return fmt.Sprint(done.Answers[i]) < fmt.Sprint(done.Answers[j])
	})
	return done
}

func instances(consumer polaris.ConsumerAPI, asked call) ([]int, error) {
	request := &polaris.GetInstancesRequest{}
	request.Namespace, request.Service = asked.Namespace, asked.Service
	request.Metadata, request.Canary = asked.Metadata, asked.Canary
	if asked.CallerService != "" || len(asked.Labels) > 0 {
		labels := map[string]string{}
		for key, value := range asked.Labels {
			labels[key] = value
		}
		request.SourceService = &model.ServiceInfo{
			Namespace: asked.CallerNamespace, Service: asked.CallerService, Metadata: labels,
		}
	}
	for _, each := range asked.Arguments {
		request.Arguments = append(request.Arguments, builders[each.Type](each.Key, each.Value))
	}
	done, err := consumer.GetInstances(request)
	if err != nil {
		return nil, err
	}
	ports := []int{}
	for _, one := range done.Instances {
		ports = append(ports, int(one.GetPort()))
	}
	sort.Ints(ports)
	return ports, nil
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
