// Provider and consumer on fargo (XML), with the registration loop that go-kit puts around it:
// look, register when unknown, renew, register again on 404.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hudl/fargo"
)

type seen struct {
	ID       string            `json:"id"`
	Status   string            `json:"status"`
	Host     string            `json:"host"`
	Port     int               `json:"port"`
	Metadata map[string]string `json:"metadata"`
}

type client struct {
	connection fargo.EurekaConnection
	describe   func() *fargo.Instance
	renew      time.Duration
	fetch      time.Duration
	done       chan struct{}
	ended      sync.WaitGroup

	lock sync.Mutex
	apps map[string]*fargo.Application
}

func main() {
	eureka := flag.String("eureka", "", "base URL")
	app := flag.String("app", "", "application name")
	id := flag.String("id", "", "instance id")
	port := flag.Int("port", 0, "port")
	renew := flag.Int("renew", 0, "seconds between renewals")
	lease := flag.Int("lease", 0, "seconds a lease lasts")
	fetch := flag.Int("fetch", 0, "seconds between reads")
	flag.Parse()

	c := &client{
		connection: fargo.NewConn(*eureka),
		// A new description each time: fargo writes what the server answers into the one it is given,
		// and cannot send metadata that it has read.
		describe: func() *fargo.Instance {
			self := &fargo.Instance{
				InstanceId:     *id,
				HostName:       "127.0.0.1",
				App:            *app,
				IPAddr:         "127.0.0.1",
				VipAddress:     strings.ToLower(*app),
				Status:         fargo.UP,
				Port:           *port,
				PortEnabled:    true,
				DataCenterInfo: fargo.DataCenterInfo{Name: fargo.MyOwn},
				LeaseInfo:      fargo.LeaseInfo{RenewalIntervalInSecs: int32(*renew), DurationInSecs: int32(*lease)},
			}
			self.SetMetadataString("zone", "live")
			self.SetMetadataString("with.dot", "a b")
			return self
		},
		renew: time.Duration(*renew) * time.Second,
		fetch: time.Duration(*fetch) * time.Second,
		done:  make(chan struct{}),
	}
	c.start()
	say(map[string]any{"ready": true})
	c.converse(os.Stdin)
}

func (c *client) start() {
	if err := c.connection.RegisterInstance(c.describe()); err != nil {
		fmt.Fprintln(os.Stderr, "register:", err)
	}
	c.read()
	c.every(c.renew, c.heartbeat)
	c.every(c.fetch, c.read)
}

// every runs task at each interval until the client leaves.
func (c *client) every(interval time.Duration, task func()) {
	c.ended.Add(1)
	go func() {
		defer c.ended.Done()
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-c.done:
				return
			case <-ticker.C:
				task()
			}
		}
	}()
}

func (c *client) heartbeat() {
	err := c.connection.HeartBeatInstance(c.describe())
	if code, known := fargo.HTTPResponseStatusCode(err); known && code == http.StatusNotFound {
		err = c.connection.ReregisterInstance(c.describe())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "heartbeat:", err)
	}
}

func (c *client) read() {
	apps, err := c.connection.GetApps()
	if err != nil {
		fmt.Fprintln(os.Stderr, "read:", err)
		return
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.apps = apps
}

func (c *client) converse(commands io.Reader) {
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		command, argument, _ := strings.Cut(lines.Text(), " ")
		answer, err := c.answer(command, argument)
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		say(answer)
		if command == "leave" {
			return
		}
	}
}

func (c *client) answer(command, argument string) (map[string]any, error) {
	switch command {
	case "view":
		return map[string]any{"instances": c.view(argument)}, nil
	case "call":
		body, err := c.call(argument)
		return map[string]any{"body": body}, err
	case "status":
		err := c.connection.UpdateInstanceStatus(c.describe(), fargo.StatusType(argument))
		return map[string]any{"status": argument}, err
	case "leave":
		close(c.done)
		c.ended.Wait()
		return map[string]any{"left": true}, c.connection.DeregisterInstance(c.describe())
	}
	return nil, fmt.Errorf("unknown command %s", command)
}

func (c *client) view(app string) []seen {
	c.lock.Lock()
	defer c.lock.Unlock()
	view := []seen{}
	application, known := c.apps[strings.ToUpper(app)]
	if !known {
		return view
	}
	for _, instance := range application.Instances {
		metadata := map[string]string{}
		for key, value := range instance.Metadata.GetMap() {
			metadata[key] = fmt.Sprint(value) // fargo makes numbers of digits
		}
		view = append(view, seen{instance.Id(), string(instance.Status), instance.HostName, instance.Port, metadata})
	}
	return view
}

// call looks the application up by its virtual address, as go-kit's resolver does.
func (c *client) call(app string) (string, error) {
	found, err := c.connection.GetInstancesByVIPAddress(strings.ToLower(app), false, fargo.ThatAreUp)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("nobody is %s", app)
	}
	response, err := http.Get(fmt.Sprintf("http://%s:%d/hello", found[0].HostName, found[0].Port))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func say(message map[string]any) {
	line, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(line, '\n'))
}
