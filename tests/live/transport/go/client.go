package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	service = "/live.Echo/"
	mib     = 1024 * 1024
	patient = 60 * time.Second
)

// raw passes messages as bytes; by its name the content type is that of protobuf.
type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error) { return *(v.(*[]byte)), nil }

func (raw) Unmarshal(data []byte, v interface{}) error {
	*(v.(*[]byte)) = append([]byte(nil), data...)
	return nil
}

func (raw) Name() string { return "proto" }

// client is a channel of its own, with the number of connections that it made.
type client struct {
	conn  *grpc.ClientConn
	dials atomic.Int32
}

func connect(options ...grpc.DialOption) (*client, error) {
	made := &client{}
	security := insecure.NewCredentials()
	if *ca != "" {
		var err error
		if security, err = credentials.NewClientTLSFromFile(*ca, ""); err != nil {
			return nil, err
		}
	}
	retry := backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}
	options = append(options,
		grpc.WithTransportCredentials(security),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: 5 * time.Second}),
		grpc.WithContextDialer(func(ctx context.Context, target string) (net.Conn, error) {
			made.dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, "tcp", target)
		}),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(64*mib), grpc.MaxCallSendMsgSize(64*mib), grpc.WaitForReady(true),
		),
	)
	conn, err := grpc.Dial(*address, options...)
	made.conn = conn
	return made, err
}

func (c *client) oneConnection() error {
	if dials := c.dials.Load(); dials != 1 {
		return fmt.Errorf("%d connections were used", dials)
	}
	return nil
}

func (c *client) call(ctx context.Context, name string, message []byte, options ...grpc.CallOption) ([]byte, error) {
	if name[0] != '/' {
		name = service + name
	}
	var answer []byte
	err := c.conn.Invoke(ctx, name, &message, &answer, options...)
	return answer, err
}

func (c *client) echo(ctx context.Context, message []byte, options ...grpc.CallOption) error {
	got, err := c.call(ctx, "Unary", message, options...)
	if err != nil {
		return err
	}
	return same(got, message)
}

func (c *client) open(ctx context.Context, name string) (stream, error) {
	both := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	opened, err := c.conn.NewStream(ctx, both, service+name)
	return stream{opened}, err
}

// hold is a stream that the server keeps open, and knows of.
func (c *client) hold(ctx context.Context) (stream, error) {
	s, err := c.open(ctx, "Hold")
	if err != nil {
		return s, err
	}
	if err := s.send([]byte("here")); err != nil {
		return s, err
	}
	_, err = s.read()
	return s, err
}

// allOver waits until all streams of a key that reached the server are over there.
func (c *client) allOver(ctx context.Context, name string, least int) error {
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, err := c.call(ctx, "Lives", []byte(key(name)))
		if err != nil {
			return err
		}
		var opened, closed int
		if _, err := fmt.Sscanf(string(got), "%d %d", &opened, &closed); err != nil {
			return err
		}
		if opened == closed && opened >= least {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("the server knows %d streams of which %d are over", opened, closed)
		}
	}
}

func key(name string) string { return fmt.Sprintf("%s-go-%d", name, os.Getpid()) }

func keyed(ctx context.Context, name string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "key", key(name))
}

type stream struct{ grpc.ClientStream }

func (s stream) send(message []byte) error { return s.SendMsg(&message) }

func (s stream) read() ([]byte, error) {
	var message []byte
	err := s.RecvMsg(&message)
	return message, err
}

// fills reads so many messages, which the server or we made by number, and the end.
func (s stream) fills(messages int) error {
	for number := 0; number < messages; number++ {
		got, err := s.read()
		if err == nil {
			err = same(got, fill(number))
		}
		if err != nil {
			return fmt.Errorf("message %d: %w", number, err)
		}
	}
	return s.over()
}

func (s stream) over() error {
	if _, err := s.read(); err != io.EOF {
		return fmt.Errorf("the stream ended with %v", err)
	}
	return nil
}

// flood sends more than anybody wants to read, until the stream is over; its status tells why.
func (s stream) flood() {
	for number := 0; number < 500; number++ {
		if s.send(bytes.Repeat([]byte("x"), 20000)) != nil {
			return
		}
	}
}

// fill is the message with this number, as the server makes and checks it.
func fill(number int) []byte {
	return bytes.Repeat([]byte{byte(number % 251)}, number*7919%20481)
}

func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("got %d bytes %.60q, want %d bytes %.60q", len(got), got, len(want), want)
	}
	return nil
}

func ended(err error, code codes.Code, told string) error {
	if got := status.Convert(err); got.Code() != code || (told != "" && got.Message() != told) {
		return fmt.Errorf("ended with %v %q, want %v %q", got.Code(), got.Message(), code, told)
	}
	return nil
}
