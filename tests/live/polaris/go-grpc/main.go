// gRPC servers and clients that find each other by grpc-go-polaris, asked line by line as the program beside it. The served
// method is the health check that gRPC brings along; a header tells which server answered.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	grpcpolaris "github.com/polarismesh/grpc-go-polaris"
	"github.com/polarismesh/polaris-go/api"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const servedBy = "served-by"

type order struct {
	Do       string            `json:"do"`
	Service  string            `json:"service"`
	TTL      int               `json:"ttl"`
	Version  string            `json:"version"`
	Metadata map[string]string `json:"metadata"`
	Limited  bool              `json:"limited"`
	Headers  map[string]string `json:"headers"`
	Count    int               `json:"count"`
	Port     int               `json:"port"`
}

type answer map[string]any

type client struct {
	context     api.SDKContext
	servers     map[int]*grpcpolaris.Server
	connections map[string]*grpc.ClientConn
}

func main() {
	address := flag.String("polaris", "", "host:port of the gRPC listener")
	folder := flag.String("folder", "", "where the library may keep its files")
	token := flag.String("token", "", "access token")
	flag.Parse()

	must(api.SetLoggersDir(*folder + "/log"))
	settings := api.NewConfiguration()
	settings.GetGlobal().GetServerConnector().SetAddresses([]string{*address})
	settings.GetGlobal().GetServerConnector().SetToken(*token)
	settings.GetGlobal().GetStatReporter().SetEnable(false)
	settings.GetConsumer().GetLocalCache().SetPersistDir(*folder + "/backup")
	sdk, err := api.InitContextByConfig(settings)
	must(err)
	c := &client{sdk, map[int]*grpcpolaris.Server{}, map[string]*grpc.ClientConn{}}
	say(answer{"ready": true})
	c.converse(os.Stdin)
}

func (c *client) converse(orders io.Reader) {
	lines := bufio.NewScanner(orders)
	for lines.Scan() {
		var asked order
		must(json.Unmarshal(lines.Bytes(), &asked))
		done, err := c.obey(asked)
		if err != nil {
			done = answer{"error": err.Error()}
		}
		say(done)
		if asked.Do == "leave" {
			return
		}
	}
}

func (c *client) obey(asked order) (answer, error) {
	switch asked.Do {
	case "serve":
		return c.serve(asked)
	case "stop":
		c.servers[asked.Port].Stop()
		delete(c.servers, asked.Port)
		return answer{}, nil
	case "call":
		return c.call(asked)
	case "leave":
		for _, connection := range c.connections {
			connection.Close()
		}
		for _, server := range c.servers {
			server.Stop()
		}
		return answer{"left": true}, nil
	}
	return nil, fmt.Errorf("unknown command %s", asked.Do)
}

// serve answers when the instance is registered, or why it is not.
func (c *client) serve(asked order) (answer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	signed := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := grpc.SetHeader(ctx, metadata.Pairs(servedBy, strconv.Itoa(port))); err != nil {
			return nil, err
		}
		return next(ctx, request)
	}
	options := []grpcpolaris.ServerOption{
		grpcpolaris.WithSDKContext(c.context),
		grpcpolaris.WithServiceName(asked.Service),
		grpcpolaris.WithServerHost("127.0.0.1"),
		grpcpolaris.WithServerVersion(asked.Version),
		grpcpolaris.WithServerMetadata(asked.Metadata),
		grpcpolaris.WithTTL(asked.TTL),
		grpcpolaris.WithGracefulStopEnable(2 * time.Second),
		grpcpolaris.WithGRPCServerOptions(grpc.ChainUnaryInterceptor(signed)),
	}
	if asked.Limited {
		options = append(options, grpcpolaris.WithPolarisRateLimit())
	}
	server, err := grpcpolaris.NewServer(options...)
	if err != nil {
		return nil, err
	}
	grpc_health_v1.RegisterHealthServer(server.Server, health.NewServer())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	connection, err := grpc.Dial(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	ready := make(chan error, 1)
	go func() {
		_, err := check(context.Background(), connection)
		ready <- err
	}()
	select {
	case err = <-ended:
	case err = <-ready:
	}
	c.servers[port] = server
	return answer{"port": port}, err
}

func (c *client) call(asked order) (answer, error) {
	connection, known := c.connections[asked.Service]
	if !known {
		var err error
		connection, err = grpcpolaris.DialContext(context.Background(), "polaris://"+asked.Service+"/",
			grpcpolaris.WithPolarisContext(c.context),
			grpcpolaris.WithEnableRouter(),
			grpcpolaris.WithGRPCDialOptions(grpc.WithTransportCredentials(insecure.NewCredentials())),
		)
		if err != nil {
			return nil, err
		}
		c.connections[asked.Service] = connection
	}
	served, failed := []int{}, []string{}
	for turn := 0; turn < asked.Count; turn++ {
		port, err := check(metadata.NewOutgoingContext(context.Background(), metadata.New(asked.Headers)), connection)
		if err != nil {
			failed = append(failed, status.Code(err).String()+": "+status.Convert(err).Message())
		} else {
			served = append(served, port)
		}
	}
	return answer{"served": served, "failed": failed}, nil
}

// check asks for the health and answers the port of the server that told it.
func check(ctx context.Context, connection *grpc.ClientConn) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var header metadata.MD
	_, err := grpc_health_v1.NewHealthClient(connection).Check(
		ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&header), grpc.WaitForReady(true))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(header.Get(servedBy)[0])
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
