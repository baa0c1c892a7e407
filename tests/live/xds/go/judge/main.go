// Reads everything that a node is sent, and judges it: the rules of Envoy's messages (their generated ValidateAll), no field and
// no type that this release does not know, and what Envoy and gRPC ask of resources beside. Orders on standard input, one JSON
// line of answer each.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
)

// One reading. Node is a core.v3.Node as JSON; Ask has the names of each type to begin with, "*" for all of them. What those
// resources refer to is asked for as well.
type order struct {
	Node  json.RawMessage     `json:"node"`
	Delta bool                `json:"delta"`
	GRPC  bool                `json:"grpc"`
	Ask   map[string][]string `json:"ask"`
}

// Received has the names by type, Findings what is wrong with them.
type answer struct {
	Received map[string][]string `json:"received"`
	Findings []string            `json:"findings"`
	Error    string              `json:"error,omitempty"`
}

func main() {
	address := flag.String("server", "", "host:port of the control plane")
	flag.Parse()
	channel, err := grpc.NewClient(*address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		panic(err)
	}
	say(map[string]bool{"ready": true})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		say(judge(channel, lines.Bytes()))
	}
}

func judge(channel *grpc.ClientConn, line []byte) answer {
	var asked order
	var node core.Node
	if err := json.Unmarshal(line, &asked); err != nil {
		return answer{Error: err.Error()}
	}
	if err := protojson.Unmarshal(asked.Node, &node); err != nil {
		return answer{Error: err.Error()}
	}
	findings := &findings{}
	held, err := read(channel, &node, asked, findings)
	if err != nil {
		return answer{Error: err.Error()}
	}
	held.judge(asked.GRPC, findings)
	told := answer{Received: map[string][]string{}, Findings: findings.all()}
	for kind, resources := range held {
		names := []string{}
		for name := range resources {
			names = append(names, name)
		}
		sort.Strings(names)
		told.Received[kind] = names
	}
	return told
}

func say(what any) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}
