// Every kind of call against the echo server. Prints a line of JSON per check: its name, and what went wrong or "".
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v interface{}) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (raw) Name() string                               { return "proto" }

var conn *grpc.ClientConn

func call(ctx context.Context, method string, message []byte, options ...grpc.CallOption) ([]byte, error) {
	var answer []byte
	err := conn.Invoke(ctx, "/check.Echo/"+method, &message, &answer, options...)
	return answer, err
}

func echo(message []byte, options ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	answer, err := call(ctx, "Unary", message, options...)
	if err == nil && !bytes.Equal(answer, message) {
		err = fmt.Errorf("%d bytes became %d", len(message), len(answer))
	}
	return err
}

func stream(ctx context.Context, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	return conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/check.Echo/"+method, options...)
}

func random(size int) []byte {
	message := make([]byte, size)
	rand.Read(message)
	return message
}

func expect(err error, code codes.Code, text string) error {
	found := status.Convert(err)
	if found.Code() != code || (text != "" && found.Message() != text) {
		return fmt.Errorf("%v instead of %v %q", err, code, text)
	}
	return nil
}

func bidi(count int, options ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s, err := stream(ctx, "Stream", options...)
	if err != nil {
		return err
	}
	sent := make([][]byte, count)
	for i := range sent {
		sent[i] = random(i * 10 % 20000)
	}
	go func() {
		for i := range sent {
			if s.SendMsg(&sent[i]) != nil {
				return
			}
		}
		s.CloseSend()
	}()
	for i := range sent {
		var answer []byte
		if err := s.RecvMsg(&answer); err != nil {
			return fmt.Errorf("message %d: %v", i, err)
		}
		if !bytes.Equal(answer, sent[i]) {
			return fmt.Errorf("message %d differs", i)
		}
	}
	if err := s.RecvMsg(new([]byte)); err != io.EOF {
		return fmt.Errorf("the end was %v", err)
	}
	return nil
}

func serverStream() error {
	s, err := stream(context.Background(), "Stream")
	if err != nil {
		return err
	}
	many := []byte("many")
	if err := s.SendMsg(&many); err != nil {
		return err
	}
	s.CloseSend()
	for i := 0; i <= 100; i++ {
		var answer []byte
		if err := s.RecvMsg(&answer); err != nil {
			return err
		}
		if i < 100 && string(answer) != strconv.Itoa(i) {
			return fmt.Errorf("%q is number %d", answer, i)
		}
	}
	return nil
}

func clientStream() error {
	s, err := stream(context.Background(), "Last")
	if err != nil {
		return err
	}
	for i := 0; i < 1000; i++ {
		message := random(100)
		if err := s.SendMsg(&message); err != nil {
			return err
		}
	}
	last := []byte("last")
	if err := s.SendMsg(&last); err != nil {
		return err
	}
	var answer []byte
	if err := s.RecvMsg(&answer); err != nil || string(answer) != "1001" {
		return fmt.Errorf("%q, %v", answer, err)
	}
	return s.CloseSend()
}

func header() error {
	for name, value := range map[string]string{"x-text": "some text", "x-octets-bin": string([]byte{0, 255, 7})} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), name, value)
		answer, err := call(ctx, "Header", []byte(name))
		if err != nil || string(answer) != value {
			return fmt.Errorf("%s is %q, %v", name, answer, err)
		}
	}
	return nil
}

func deadline() error {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := call(ctx, "Never", nil)
	return expect(err, codes.DeadlineExceeded, "")
}

func closed() int {
	answer, _ := call(context.Background(), "Closed", nil)
	count, _ := strconv.Atoi(string(answer))
	return count
}

func cancels(count int) error {
	before := closed()
	for i := 0; i < count; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		s, err := stream(ctx, "Stream")
		if err != nil {
			cancel()
			return err
		}
		never := []byte("never")
		err = s.SendMsg(&never)
		cancel()
		if err != nil {
			return err
		}
	}
	end := time.Now().Add(5 * time.Second)
	for closed() < before+count {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d handlers were told", closed()-before, count)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func parallel(count int) error {
	var group sync.WaitGroup
	errors := make(chan error, count)
	for i := 0; i < count; i++ {
		group.Add(1)
		go func() { defer group.Done(); errors <- echo(random(200)) }()
	}
	group.Wait()
	close(errors)
	for err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}

func sequential(count int) error {
	for i := 0; i < count; i++ {
		if err := echo(random(i % 300)); err != nil {
			return fmt.Errorf("call %d: %v", i, err)
		}
	}
	return nil
}

func refused(method string, code codes.Code, text string) func() error {
	return func() error {
		_, err := call(context.Background(), method, nil)
		return expect(err, code, text)
	}
}

func main() {
	transport := insecure.NewCredentials()
	if len(os.Args) > 2 {
		authority, err := os.ReadFile(os.Args[2])
		if err != nil {
			panic(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		transport = credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "localhost"})
	}
	var err error
	conn, err = grpc.Dial(os.Args[1], grpc.WithTransportCredentials(transport),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		panic(err)
	}
	zipped := grpc.UseCompressor(gzip.Name)
	checks := []struct {
		name  string
		check func() error
	}{
		{"unary", func() error { return echo([]byte("hello")) }},
		{"empty", func() error { return echo(nil) }},
		{"4 MiB", func() error { return echo(random(4 << 20)) }},
		{"30 MiB", func() error { return echo(random(30 << 20)) }},
		{"too large", func() error { return expect(echo(make([]byte, 65<<20)), codes.ResourceExhausted, "") }},
		{"gzip", func() error { return echo(bytes.Repeat([]byte("again "), 100000), zipped) }},
		{"gzip bomb", func() error { return expect(echo(make([]byte, 70<<20), zipped), codes.ResourceExhausted, "") }},
		{"metadata", header},
		{"status", refused("Refuse", codes.Aborted, "für später: 50%\n")},
		{"failure", refused("Fail", codes.Internal, "internal error")},
		{"unknown method", refused("Nothing", codes.Unimplemented, "unknown method Nothing for service check.Echo")},
		{"both ways", func() error { return bidi(2000) }},
		{"both ways with gzip", func() error { return bidi(300, zipped) }},
		{"server stream", serverStream},
		{"client stream", clientStream},
		{"deadline", deadline},
		{"cancels", func() error { return cancels(500) }},
		{"10,000 in a row", func() error { return sequential(10000) }},
		{"1,500 at once", func() error { return parallel(1500) }},
		{"idle", idle},
	}
	for _, one := range checks {
		text := ""
		if err := one.check(); err != nil {
			text = err.Error()
		}
		line, _ := json.Marshal(map[string]string{"check": one.name, "error": text})
		fmt.Println(string(line))
	}
}

// idle waits as long as IDLE_S says, with pings, and then calls over the same connection.
func idle() error {
	seconds, _ := strconv.Atoi(os.Getenv("IDLE_S"))
	time.Sleep(time.Duration(seconds) * time.Second)
	return echo([]byte("still here"))
}
