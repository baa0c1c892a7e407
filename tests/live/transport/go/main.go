// A grpc-go client of the echo server: runs checks and prints one JSON line for each.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

const text = "Грешка 値 ✓ 100% \"a\"\n b\tc"

var (
	address    = flag.String("address", "", "host:port")
	ca         = flag.String("ca", "", "PEM file of the authority; without it the connection is plain")
	names      = flag.String("checks", "", "names, separated by commas; all when empty")
	sequential = flag.Int("sequential", 10000, "calls one after another")
	parallel   = flag.Int("parallel", 1500, "calls at the same time on one connection")
	messages   = flag.Int("messages", 2000, "messages of a stream")
	idle       = flag.Float64("idle", 12, "seconds of silence")
	mode       = flag.String("mode", "checks", "checks, or load: calls until the input ends")
)

func random(size int) []byte {
	message := make([]byte, size)
	rand.New(rand.NewSource(7)).Read(message)
	return message
}

func unary(ctx context.Context, c *client) error { return c.echo(ctx, []byte("hello")) }

func empty(ctx context.Context, c *client) error { return c.echo(ctx, nil) }

func headers(ctx context.Context, c *client) error {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	sent := map[string]string{
		"plain": "a value, with ~ signs", "some-bin": string(every), "none-bin": "", "long": strings.Repeat("x", 5000),
	}
	ctx = metadata.NewOutgoingContext(ctx, metadata.New(sent))
	for round := 0; round < 3; round++ {
		for name, value := range sent {
			got, err := c.call(ctx, "Metadata", []byte(name))
			if err == nil {
				err = same(got, []byte(value))
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	_, err := c.call(ctx, "Metadata", []byte("absent"))
	return ended(err, codes.NotFound, "no absent")
}

func statuses(ctx context.Context, c *client) error {
	for code := codes.Code(1); code <= 16; code++ {
		for _, told := range []string{"", "plain", text} {
			_, err := c.call(ctx, "Fail", []byte(fmt.Sprintf("%d %s", code, told)))
			if wrong := ended(err, code, told); wrong != nil {
				return wrong
			}
		}
	}
	return nil
}

func crash(ctx context.Context, c *client) error {
	_, err := c.call(ctx, "Crash", []byte("x"))
	if wrong := ended(err, codes.Internal, ""); wrong != nil {
		return wrong
	}
	return unary(ctx, c)
}

func unknown(ctx context.Context, c *client) error {
	_, err := c.call(ctx, "Nothing", []byte("x"))
	if wrong := ended(err, codes.Unimplemented, "unknown method Nothing for service live.Echo"); wrong != nil {
		return wrong
	}
	_, err = c.call(ctx, "/live.Nobody/Unary", []byte("x"))
	return ended(err, codes.Unimplemented, "unknown service live.Nobody")
}

func big4(ctx context.Context, c *client) error { return c.echo(ctx, random(4*mib)) }

func big30(ctx context.Context, c *client) error { return c.echo(ctx, random(30*mib)) }

func limit(ctx context.Context, c *client) error {
	_, err := c.call(ctx, "Unary", make([]byte, 33*mib))
	if wrong := ended(err, codes.ResourceExhausted, ""); wrong != nil {
		return wrong
	}
	return unary(ctx, c)
}

func zipped(ctx context.Context, c *client) error {
	for _, message := range [][]byte{nil, make([]byte, mib), random(300000)} {
		if err := c.echo(ctx, message, grpc.UseCompressor(gzip.Name)); err != nil {
			return err
		}
	}
	return nil
}

// bomb is small on its way and beyond the server's limit when inflated.
func bomb(ctx context.Context, c *client) error {
	_, err := c.call(ctx, "Unary", make([]byte, 40*mib), grpc.UseCompressor(gzip.Name))
	if wrong := ended(err, codes.ResourceExhausted, ""); wrong != nil {
		return wrong
	}
	return unary(ctx, c)
}

func push(ctx context.Context, c *client) error {
	s, err := c.open(ctx, "Push")
	if err != nil {
		return err
	}
	if err := s.send([]byte(fmt.Sprint(*messages))); err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	return s.fills(*messages)
}

func count(ctx context.Context, c *client) error {
	s, err := c.open(ctx, "Count")
	if err != nil {
		return err
	}
	size := 0
	for number := 0; number < *messages; number++ {
		message := fill(number)
		size += len(message)
		if err := s.send(message); err != nil {
			_, err = s.read()
			return fmt.Errorf("message %d: %w", number, err)
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	got, err := s.read()
	if err != nil {
		return err
	}
	if err := same(got, []byte(fmt.Sprintf("%d %d", *messages, size))); err != nil {
		return err
	}
	return s.over()
}

func chat(ctx context.Context, c *client) error {
	s, err := c.open(ctx, "Chat")
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		for number := 0; number < *messages; number++ {
			if err := s.send(fill(number)); err != nil {
				sent <- err
				return
			}
		}
		sent <- s.CloseSend()
	}()
	if err := s.fills(*messages); err != nil {
		return err
	}
	return <-sent
}

// early goes on sending when the server has ended the stream.
func early(ctx context.Context, c *client) error {
	for round := 0; round < 5; round++ {
		s, err := c.open(ctx, "Early")
		if err != nil {
			return err
		}
		s.flood()
		answers := 0
		for {
			if _, err = s.read(); err != nil {
				break
			}
			answers++
		}
		if wrong := ended(err, codes.OutOfRange, "достаточно ✓"); wrong != nil {
			return wrong
		}
		if answers != 3 {
			return fmt.Errorf("%d answers came before the end, want 3", answers)
		}
	}
	return unary(ctx, c)
}

func broken(ctx context.Context, c *client) error {
	s, err := c.open(ctx, "Broken")
	if err != nil {
		return err
	}
	for number := 0; number < 2; number++ {
		if err := s.send([]byte("x")); err != nil {
			return err
		}
	}
	if got, err := s.read(); err != nil || string(got) != "x" {
		return fmt.Errorf("the first answer is %q, %v", got, err)
	}
	if err := s.over(); err != nil {
		return err
	}
	return unary(ctx, c)
}

func refused(ctx context.Context, c *client) error {
	s, err := c.open(ctx, "Refused")
	if err != nil {
		return err
	}
	s.flood()
	_, err = s.read()
	return ended(err, codes.PermissionDenied, "не для вас")
}

func deadline(ctx context.Context, c *client) error {
	began := time.Now()
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err := c.call(short, "Later", []byte("5000"))
	if wrong := ended(err, codes.DeadlineExceeded, ""); wrong != nil {
		return wrong
	}
	if took := time.Since(began); took > 3*time.Second {
		return fmt.Errorf("took %v", took)
	}
	for _, limit := range []time.Duration{50 * time.Hour, time.Minute, 30 * time.Second, 10 * time.Second} {
		long, cancel := context.WithTimeout(ctx, limit)
		err := unary(long, c)
		cancel()
		if err != nil {
			return fmt.Errorf("deadline of %v: %w", limit, err)
		}
	}
	return nil
}

func deadlineOfStream(ctx context.Context, c *client) error {
	short, cancel := context.WithTimeout(keyed(ctx, "deadline"), 700*time.Millisecond)
	defer cancel()
	s, err := c.hold(short)
	if err != nil {
		return err
	}
	_, err = s.read()
	if wrong := ended(err, codes.DeadlineExceeded, ""); wrong != nil {
		return wrong
	}
	return c.allOver(ctx, "deadline", 1)
}

func cancelled(ctx context.Context, c *client) error {
	short, cancel := context.WithCancel(keyed(ctx, "cancel"))
	s, err := c.hold(short)
	if err == nil {
		cancel()
		_, err = s.read()
	}
	cancel()
	if wrong := ended(err, codes.Canceled, ""); wrong != nil {
		return wrong
	}
	return c.allOver(ctx, "cancel", 1)
}

func inSequence(ctx context.Context, c *client) error {
	message := random(200)
	for number := 0; number < *sequential; number++ {
		if err := c.echo(ctx, message); err != nil {
			return fmt.Errorf("call %d: %w", number, err)
		}
	}
	return nil
}

func atOnce(ctx context.Context, c *client) error {
	failures := make(chan error, *parallel)
	for number := 0; number < *parallel; number++ {
		go func() {
			got, err := c.call(ctx, "Later", []byte("300"))
			if err == nil {
				err = same(got, []byte("300"))
			}
			failures <- err
		}()
	}
	var first error
	for number := 0; number < *parallel; number++ {
		if err := <-failures; err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	return c.oneConnection()
}

func cancels(ctx context.Context, c *client) error {
	for number := 0; number < 300; number++ {
		short, cancel := context.WithCancel(keyed(ctx, "cancels"))
		s, err := c.open(short, "Hold")
		if err == nil && number%2 == 0 {
			err = s.send([]byte("here"))
		}
		cancel()
		if err != nil {
			return err
		}
	}
	if err := c.allOver(ctx, "cancels", 0); err != nil {
		return err
	}
	return c.oneConnection()
}

// silence runs beside the other checks on connections of its own: one with a stream, one without.
func silence(ctx context.Context) error {
	pings := keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}
	c, err := connect(grpc.WithKeepaliveParams(pings))
	if err != nil {
		return err
	}
	defer c.conn.Close()
	without, err := connect(grpc.WithKeepaliveParams(pings))
	if err != nil {
		return err
	}
	defer without.conn.Close()
	s, err := c.hold(keyed(ctx, "idle"))
	if err != nil {
		return err
	}
	if err := unary(ctx, without); err != nil {
		return err
	}
	time.Sleep(time.Duration(*idle * float64(time.Second)))
	if err := s.send([]byte("again")); err != nil {
		return err
	}
	if got, err := s.read(); err != nil || string(got) != "again" {
		return fmt.Errorf("after %v s: %q, %v", *idle, got, err)
	}
	if err := unary(ctx, without); err != nil {
		return err
	}
	if err := c.oneConnection(); err != nil {
		return err
	}
	return without.oneConnection()
}

var checks = []struct {
	name string
	run  func(context.Context, *client) error
}{
	{"unary", unary}, {"empty", empty}, {"metadata", headers}, {"statuses", statuses}, {"crash", crash},
	{"unknown", unknown}, {"big4", big4}, {"big30", big30}, {"limit", limit}, {"gzip", zipped}, {"bomb", bomb},
	{"push", push}, {"count", count}, {"chat", chat}, {"early", early}, {"broken", broken}, {"refused", refused},
	{"deadline", deadline}, {"deadline_of_stream", deadlineOfStream}, {"cancel", cancelled},
	{"sequential", inSequence}, {"parallel", atOnce}, {"cancels", cancels},
}

func say(name string, began time.Time, err error, calls int) {
	line := map[string]interface{}{
		"check": name, "ok": err == nil, "why": "", "s": time.Since(began).Seconds(), "calls": calls,
	}
	if err != nil {
		line["why"] = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(line)
}

// load says when it has begun, then calls without a pause until the input ends. No call may fail, whatever the server does.
func load() {
	began := time.Now()
	c, err := connect()
	if err == nil {
		err = unary(context.Background(), c)
	}
	if say("started", began, err, 1); err != nil {
		return
	}
	over := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	var calls, failed atomic.Int64
	var first atomic.Value
	var workers sync.WaitGroup
	call := func(slow bool) error {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if slow {
			_, err := c.call(ctx, "Later", []byte("20"))
			return err
		}
		return unary(ctx, c)
	}
	for worker := 0; worker < 8; worker++ {
		workers.Add(1)
		go func(slow bool) {
			defer workers.Done()
			for {
				select {
				case <-over:
					return
				default:
				}
				calls.Add(1)
				if err := call(slow); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err.Error())
				}
			}
		}(worker%2 == 0)
	}
	workers.Wait()
	if failed.Load() > 0 {
		err = fmt.Errorf("%d of %d calls failed: %v", failed.Load(), calls.Load(), first.Load())
	}
	say("load", began, err, int(calls.Load()))
}

func wanted(name string) bool {
	return *names == "" || strings.Contains(","+*names+",", ","+name+",")
}

func main() {
	flag.Parse()
	if *mode == "load" {
		load()
		return
	}
	ctx := context.Background()
	began := time.Now()
	idled := make(chan error, 1)
	if wanted("idle") {
		go func() { idled <- silence(ctx) }()
	}
	c, err := connect()
	if err != nil {
		panic(err)
	}
	for _, check := range checks {
		if wanted(check.name) {
			began := time.Now()
			limited, cancel := context.WithTimeout(ctx, patient)
			say(check.name, began, check.run(limited, c), 0)
			cancel()
		}
	}
	if wanted("idle") {
		say("idle", began, <-idled, 0)
	}
}
