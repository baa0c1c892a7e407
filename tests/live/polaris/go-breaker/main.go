// When polaris-go's breakers open: one JSON document of cases on standard input, one line of JSON for each on standard output.
// A case reports calls of one resource step by step, and says after each step whether a call would pass.
package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/polarismesh/polaris-go"
	"github.com/polarismesh/polaris-go/api"
	"github.com/polarismesh/polaris-go/pkg/config"
	"github.com/polarismesh/polaris-go/pkg/model"
)

type step struct {
	Code   string `json:"code"`
	Delay  int    `json:"delay"`
	Failed bool   `json:"failed"`
	Count  int    `json:"count"`
	Wait   int    `json:"wait"`
}

type scene struct {
	Name    string `json:"name"`
	Service string `json:"service"`
	Caller  string `json:"caller"`
	Level   string `json:"level"`
	Method  string `json:"method"`
	Port    uint32 `json:"port"`
	Steps   []step `json:"steps"`
}

type play struct {
	Config string  `json:"config"`
	Warm   int     `json:"warm"`
	Scenes []scene `json:"scenes"`
	// Service whose instance Port fails every call: instances are drawn as applications draw them.
	Drawn scene `json:"drawn"`
}

type result struct {
	Name   string `json:"name"`
	Passes []bool `json:"passes"`
	Ports  []int  `json:"ports,omitempty"`
	Error  string `json:"error,omitempty"`
}

const namespace = "default"

func main() {
	var asked play
	must(json.NewDecoder(os.Stdin).Decode(&asked))
	settings, err := config.LoadConfiguration([]byte(asked.Config))
	must(err)
	context, err := polaris.NewSDKContextByConfig(settings)
	must(err)
	breaker := api.NewCircuitBreakerByContext(context)
	consumer := polaris.NewConsumerAPIByContext(context)
	results := make([]result, len(asked.Scenes)+1)
	var all sync.WaitGroup
	for at := range asked.Scenes {
		all.Add(1)
		go func(at int) {
			defer all.Done()
			results[at] = played(breaker, asked.Scenes[at], asked.Warm)
		}(at)
	}
	all.Add(1)
	go func() {
		defer all.Done()
		results[len(asked.Scenes)] = drawn(consumer, breaker, asked.Drawn, asked.Warm)
	}()
	all.Wait()
	out := json.NewEncoder(os.Stdout)
	for _, each := range results {
		must(out.Encode(each))
	}
}

func played(breaker api.CircuitBreakerAPI, asked scene, warm int) result {
	done := result{Name: asked.Name}
	resource, err := resourceOf(asked)
	if err != nil {
		done.Error = err.Error()
		return done
	}
	// The first report makes the library look for a rule; it counts from then on.
	must(breaker.Report(&model.ResourceStat{Resource: resource, RetCode: "0", RetStatus: model.RetSuccess}))
	time.Sleep(time.Duration(warm) * time.Millisecond)
	for _, each := range asked.Steps {
		status := model.RetSuccess
		if each.Failed {
			status = model.RetFail
		}
		for n := 0; n < each.Count; n++ {
			stat := &model.ResourceStat{
				Resource: resource, RetCode: each.Code, RetStatus: status,
				Delay: time.Duration(each.Delay) * time.Millisecond,
			}
			must(breaker.Report(stat))
		}
		time.Sleep(time.Duration(each.Wait) * time.Millisecond)
		check, err := breaker.Check(resource)
		if err != nil {
			done.Error = err.Error()
			return done
		}
		done.Passes = append(done.Passes, check.Pass)
	}
	return done
}

func resourceOf(asked scene) (model.Resource, error) {
	service := &model.ServiceKey{Namespace: namespace, Service: asked.Service}
	caller := &model.ServiceKey{Namespace: namespace, Service: asked.Caller}
	switch asked.Level {
	case "INSTANCE":
		return model.NewInstanceResource(service, caller, "http", "127.0.0.1", asked.Port)
	case "METHOD":
		return model.NewMethodResource(service, caller, asked.Method)
	}
	return model.NewServiceResource(service, caller)
}

// drawn is the ports that an application which tells its breaker of every call draws, once the breaker of the instance that fails had time to open.
func drawn(consumer polaris.ConsumerAPI, breaker api.CircuitBreakerAPI, asked scene, warm int) result {
	done := result{Name: asked.Name}
	service := &model.ServiceKey{Namespace: namespace, Service: asked.Service}
	seen := map[int]bool{}
	for turn := 0; turn < 150; turn++ {
		request := &polaris.GetOneInstanceRequest{}
		request.Namespace, request.Service = namespace, asked.Service
		found, err := consumer.GetOneInstance(request)
		if err != nil {
			done.Error = err.Error()
			return done
		}
		instance := found.GetInstance()
		if turn >= 100 {
			seen[int(instance.GetPort())] = true
		}
		status, code := model.RetSuccess, "200"
		if instance.GetPort() == asked.Port {
			status, code = model.RetFail, "500"
		}
		resource, err := model.NewInstanceResource(service, service, "http", instance.GetHost(), instance.GetPort())
		must(err)
		must(breaker.Report(&model.ResourceStat{Resource: resource, RetCode: code, RetStatus: status}))
		time.Sleep(time.Duration(warm/20) * time.Millisecond)
	}
	for port := range seen {
		done.Ports = append(done.Ports, port)
	}
	return done
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
