// The least gRPC server there is in Go, for comparison: bytes back as they came.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
)

type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v interface{}) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                               { return "proto" }

func unary(_ interface{}, _ context.Context, decode func(interface{}) error, _ grpc.UnaryServerInterceptor) (interface{}, error) {
	message := new([]byte)
	return message, decode(message)
}

func stream(_ interface{}, s grpc.ServerStream) error {
	for {
		message := new([]byte)
		err := s.RecvMsg(message)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.SendMsg(message)
		}
		if err != nil {
			return err
		}
	}
}

func main() {
	encoding.RegisterCodec(raw{})
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Echo",
		HandlerType: (*interface{})(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
		Streams:     []grpc.StreamDesc{{StreamName: "Stream", Handler: stream, ServerStreams: true, ClientStreams: true}},
	}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	done := make(chan os.Signal, 1)
	signal.Notify(done, syscall.SIGTERM)
	go func() { <-done; server.Stop() }()
	fmt.Printf("ready %d\n", listener.Addr().(*net.TCPAddr).Port)
	_ = server.Serve(listener)
}
