// A caller on grpc-go's xDS resolver: orders on standard input, one JSON line of answer each. The bootstrap is the environment's.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds"
)

type order struct {
	Do       string            `json:"do"`
	Target   string            `json:"target"`
	Path     string            `json:"path"`
	Times    int               `json:"times"`
	Metadata map[string]string `json:"metadata"`
	WithinMs int               `json:"within_ms"`
}

type answer map[string]any

// Bodies as they are.
type raw struct{}

func (raw) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }
func (raw) Unmarshal(body []byte, value any) error {
	*value.(*[]byte) = append([]byte{}, body...)
	return nil
}
func (raw) Name() string { return "raw" }

var channels = map[string]*grpc.ClientConn{}

func channel(target string) (*grpc.ClientConn, error) {
	if made, there := channels[target]; there {
		return made, nil
	}
	made, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		channels[target] = made
	}
	return made, err
}

// Calls one after the other; how often each back-end answered, and how often each status came.
func call(asked order) (answer, error) {
	connection, err := channel(asked.Target)
	if err != nil {
		return nil, err
	}
	answers, failures, reason := map[string]int{}, map[string]int{}, ""
	for range asked.Times {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(asked.WithinMs)*time.Millisecond)
		ctx = metadata.NewOutgoingContext(ctx, metadata.New(asked.Metadata))
		var body, name []byte
		err := connection.Invoke(ctx, asked.Path, &body, &name, grpc.ForceCodec(raw{}))
		cancel()
		if err == nil {
			answers[string(name)]++
			continue
		}
		failures[code.Code(status.Code(err)).String()]++
		reason = status.Convert(err).Message()
	}
	return answer{"answers": answers, "failures": failures, "reason": reason}, nil
}

func hangUp(asked order) (answer, error) {
	made, there := channels[asked.Target]
	if !there {
		return answer{}, nil
	}
	delete(channels, asked.Target)
	return answer{}, made.Close()
}

func main() {
	commands := map[string]func(order) (answer, error){"call": call, "hang up": hangUp}
	say(answer{"ready": true})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked order
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			say(answer{"error": err.Error()})
			continue
		}
		command, known := commands[asked.Do]
		if !known {
			say(answer{"error": "unknown command " + asked.Do})
			continue
		}
		done, err := command(asked)
		if err != nil {
			done = answer{"error": err.Error()}
		}
		say(done)
	}
}

func say(what answer) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}
