// A load for gRPC servers that costs its own core little: raw bytes, no messages. The last line it prints is JSON.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

var (
	address     = flag.String("address", "", "host:port of the server")
	mode        = flag.String("mode", "unary", "unary, stream, open, idle, visible, subscribed, push, storm, watch, ads or adsidle")
	path        = flag.String("path", "", "method, /package.Service/Method")
	streamPath  = flag.String("stream", "", "visible, watch: the method that reads")
	bodies      = flag.String("bodies", "", "file of messages, each behind its length in 4 bytes, big endian; taken in turns")
	token       = flag.String("token", "", "value of x-polaris-token")
	connections = flag.Int("connections", 4, "connections")
	workers     = flag.Int("workers", 32, "calls under way at a time, or streams")
	seconds     = flag.Float64("seconds", 5, "how long")
	every       = flag.Float64("every", 1.5, "open: seconds between two streams of one client")
	once        = flag.Bool("once", false, "unary, stream: send every message once, however long it takes; a stream pauses after each")
	pause       = flag.Duration("pause", 5*time.Millisecond, "visible: between two rounds; watch: until all wait; stream with once: after each message")
	expect      = flag.String("expect", "", "hexadecimal bytes every answer has to contain")
)

type raw struct{}

func (raw) Marshal(v interface{}) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v interface{}) error { *v.(*[]byte) = data; return nil }
func (raw) Name() string                               { return "proto" }

type result struct {
	Operations int     `json:"operations"`
	Failed     int     `json:"failed"`
	DurationUs int64   `json:"duration_us"`
	P50Us      float64 `json:"p50_us"`
	P99Us      float64 `json:"p99_us"`
	MaxUs      float64 `json:"max_us"`
	Bytes      int64   `json:"bytes"`
	Again      int     `json:"again"`
	Error      string  `json:"error"`
	Pushes     int64   `json:"pushes"`
	AllP50Us   float64 `json:"all_p50_us"`
	AllMaxUs   float64 `json:"all_max_us"`
	WriteP50Us float64 `json:"write_p50_us"`
	LateUs     float64 `json:"late_us"`
}

type tally struct {
	sync.Mutex
	result
	times  []time.Duration
	rounds []time.Duration
	writes []time.Duration
	need   []byte
}

func (t *tally) add(began time.Time, answer []byte, err error) bool {
	took := time.Since(began)
	t.Lock()
	defer t.Unlock()
	if err == nil && !bytes.Contains(answer, t.need) {
		err = fmt.Errorf("unexpected answer: %.200q", answer)
	}
	if err != nil {
		t.Failed++
		if t.Error == "" {
			t.Error = err.Error()
		}
		return false
	}
	t.Operations++
	t.Bytes += int64(len(answer))
	t.times = append(t.times, took)
	return true
}

func (t *tally) print(took time.Duration) {
	us := func(times []time.Duration, share int) float64 {
		if len(times) == 0 {
			return 0
		}
		return float64(times[(len(times)-1)*share/100].Nanoseconds()) / 1000
	}
	for _, times := range [][]time.Duration{t.times, t.rounds, t.writes} {
		sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	}
	t.DurationUs, t.P50Us, t.P99Us, t.MaxUs = took.Microseconds(), us(t.times, 50), us(t.times, 99), us(t.times, 100)
	t.AllP50Us, t.AllMaxUs, t.WriteP50Us = us(t.rounds, 50), us(t.rounds, 100), us(t.writes, 50)
	line, _ := json.Marshal(t.result)
	fmt.Println(string(line))
}

func main() {
	flag.Parse()
	messages := read(*bodies)
	need, err := hex.DecodeString(*expect)
	check(err)
	all := &tally{need: need}
	conns := make([]*grpc.ClientConn, *connections)
	for i := range conns {
		to := *address
		if i > 0 && *streamAddress != "" {
			to = *streamAddress
		}
		conns[i] = dial(to)
	}
	if *greet {
		welcomeAll(conns, messages, nil)
		messages = messages[2:]
	}
	began := time.Now()
	end := began.Add(time.Duration(*seconds * float64(time.Second)))
	switch *mode {
	case "unary":
		each(*workers, func(n int) { unary(conns[n%len(conns)], messages, n, end, all) })
	case "stream":
		each(*workers, func(n int) { stream(conns[n%len(conns)], messages, n, end, all) })
	case "open":
		each(len(conns), func(n int) { open(conns[n], messages, n, end, all) })
	case "idle":
		idle(conns, messages, all)
	case "visible":
		visible(conns[0], conns[1%len(conns)], messages, all)
	case "subscribed":
		subscribed(conns, messages, all)
	case "push":
		push(conns, messages, all)
	case "storm":
		storm(conns, messages, all)
	case "watch":
		watch(conns, messages, all)
	case "ads":
		ads(conns, messages, all)
	case "adsidle":
		adsidle(conns, messages)
	default:
		check(errors.New("no such mode: " + *mode))
	}
	all.print(time.Since(began))
}

func each(count int, run func(n int)) {
	var group sync.WaitGroup
	for n := 0; n < count; n++ {
		group.Add(1)
		go func(n int) { defer group.Done(); run(n) }(n)
	}
	group.Wait()
}

func unary(conn *grpc.ClientConn, messages [][]byte, n int, end time.Time, all *tally) {
	for i := n; ; i += *workers {
		began := time.Now()
		if *once && i >= len(messages) || !*once && began.After(end) {
			return
		}
		var answer []byte
		err := conn.Invoke(background(), *path, &messages[i%len(messages)], &answer)
		if !all.add(began, answer, err) && all.tooBad() {
			return
		}
	}
}

func (t *tally) tooBad() bool {
	t.Lock()
	defer t.Unlock()
	return t.Failed > 1000
}

var both = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

func ask(s grpc.ClientStream, message []byte) ([]byte, error) {
	if err := s.SendMsg(&message); err != nil {
		return nil, s.RecvMsg(new([]byte))
	}
	var answer []byte
	err := s.RecvMsg(&answer)
	return answer, err
}

func stream(conn *grpc.ClientConn, messages [][]byte, n int, end time.Time, all *tally) {
	s, err := conn.NewStream(background(), both, *path)
	check(err)
	for i := n; ; i += *workers {
		began := time.Now()
		if *once && i >= len(messages) || !*once && began.After(end) {
			s.CloseSend()
			for err == nil {
				err = s.RecvMsg(new([]byte))
			}
			return
		}
		answer, err := ask(s, messages[i%len(messages)])
		all.add(began, answer, err)
		if err != nil {
			return
		}
		if *once {
			time.Sleep(*pause)
		}
	}
}

// open is what polaris-go does: one stream, an exchange, and after a while without one the stream is cancelled.
func open(conn *grpc.ClientConn, messages [][]byte, n int, end time.Time, all *tally) {
	pause := time.Duration(*every * float64(time.Second))
	time.Sleep(pause * time.Duration(n) / time.Duration(*connections))
	for i := n; time.Now().Before(end); i++ {
		began := time.Now()
		ctx, cancel := context.WithCancel(background())
		s, err := conn.NewStream(ctx, both, *path)
		var answer []byte
		if err == nil {
			answer, err = ask(s, messages[i%len(messages)])
		}
		all.add(began, answer, err)
		time.Sleep(pause / 2)
		cancel()
		time.Sleep(time.Until(began.Add(pause)))
	}
}

// idle opens a stream a connection, says so, and holds them until its input ends.
func idle(conns []*grpc.ClientConn, messages [][]byte, all *tally) {
	streams := make([]grpc.ClientStream, len(conns))
	gate := make(chan struct{}, 32)
	each(len(conns), func(n int) {
		gate <- struct{}{}
		defer func() { <-gate }()
		began := time.Now()
		s, err := conns[n].NewStream(background(), both, *path)
		var answer []byte
		if err == nil {
			answer, err = ask(s, messages[n%len(messages)])
			streams[n] = s
		}
		all.add(began, answer, err)
	})
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// visible writes by one connection and reads by another as soon as the answer is there, until it sees it. Messages come in
// threes: what is written, what is asked, and what the answer has to contain. Without a method that reads it only writes.
func visible(writer, reader *grpc.ClientConn, messages [][]byte, all *tally) {
	var s grpc.ClientStream
	var err error
	if *streamPath != "" {
		s, err = reader.NewStream(background(), both, *streamPath)
		check(err)
	}
	for i := 0; i+2 < len(messages); i += 3 {
		began := time.Now()
		var written, answer []byte
		err := writer.Invoke(background(), *path, &messages[i], &written)
		for err == nil && s != nil {
			answer, err = ask(s, messages[i+1])
			if bytes.Contains(answer, messages[i+2]) {
				break
			}
			if err == nil && time.Since(began) > 10*time.Second {
				err = fmt.Errorf("not seen: %q in %.300q, written %.300q", messages[i+2], answer, written)
			}
			all.Again++
			time.Sleep(time.Millisecond)
		}
		all.add(began, written, err)
		time.Sleep(*pause)
	}
}

func background() context.Context {
	if *token == "" {
		return context.Background()
	}
	return metadata.AppendToOutgoingContext(context.Background(), "x-polaris-token", *token)
}

func dial(address string) *grpc.ClientConn {
	conn, err := grpc.Dial(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithBlock(),
		grpc.FailOnNonTempDialError(true), grpc.WithTimeout(20*time.Second), // nolint: both are right for a program that ends
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(64<<20)))
	check(err)
	return conn
}

func read(name string) [][]byte {
	file, err := os.Open(name)
	check(err)
	defer file.Close()
	in := bufio.NewReaderSize(file, 1<<20)
	var found [][]byte
	for {
		var size uint32
		if err := binary.Read(in, binary.BigEndian, &size); err == io.EOF {
			break
		} else {
			check(err)
		}
		message := make([]byte, size)
		_, err := io.ReadFull(in, message)
		check(err)
		found = append(found, message)
	}
	if len(found) == 0 {
		check(errors.New("no messages in " + name))
	}
	return found
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
