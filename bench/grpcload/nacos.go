package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// What clients of Nacos do before they may ask anything, and with what is pushed to them: the same messages a Java client sends.
var (
	greet       = flag.Bool("greet", false, "the first two messages set up each connection: a call, then the first of a stream")
	greetStream = flag.String("greetstream", "/BiRequestStream/requestBiStream", "greet: method of that stream")
	pushed      = flag.String("pushed", "NotifySubscriberRequest", "push: type of the message that tells a client")
	spread      = flag.Duration("spread", time.Second, "storm: time from the first registration to the last")
	asked       = regexp.MustCompile(`\x1a.(\w+)Request`)
	requestID   = regexp.MustCompile(`"requestId":"(\d+)"`)
)

// client is one set-up connection; told gets every list that is pushed, when it came, before it is acknowledged.
type client struct {
	conn *grpc.ClientConn
	told func([]byte, time.Time)
}

func welcome(conn *grpc.ClientConn, first, second []byte, told func([]byte, time.Time)) (*client, error) {
	var answer []byte
	if err := conn.Invoke(background(), *path, &first, &answer); err != nil {
		return nil, err
	}
	s, err := conn.NewStream(background(), both, *greetStream)
	if err == nil {
		_, err = ask(s, second)
	}
	if err != nil {
		return nil, err
	}
	c := &client{conn, told}
	go c.listen(s)
	return c, nil
}

func (c *client) listen(s grpc.ClientStream) {
	for {
		var message []byte
		if s.RecvMsg(&message) != nil {
			return
		}
		now := time.Now()
		if c.told != nil && bytes.Contains(message, []byte(*pushed)) {
			c.told(message, now)
		}
		if answer := acknowledge(message); answer != nil && s.SendMsg(&answer) != nil {
			return
		}
	}
}

// acknowledge makes the answer to what a server asked: its type with Response for Request, and the number it was asked with.
func acknowledge(message []byte) []byte {
	name := asked.FindSubmatch(head(message, 80))
	id := requestID.FindSubmatch(head(message, 400))
	if name == nil || id == nil {
		return nil
	}
	kind := append(append([]byte{}, name[1]...), "Response"...)
	body := fmt.Sprintf(`{"resultCode":200,"errorCode":0,"requestId":"%s","success":true}`, id[1])
	return append(field(0x12, field(0x1a, kind)), field(0x1a, field(0x12, []byte(body)))...)
}

func head(message []byte, size int) []byte {
	if len(message) > size {
		return message[:size]
	}
	return message
}

func field(tag byte, value []byte) []byte {
	found := make([]byte, 1+binary.MaxVarintLen64, 16+len(value))
	found[0] = tag
	size := binary.PutUvarint(found[1:], uint64(len(value)))
	return append(found[:1+size], value...)
}

// welcomeAll sets up all connections, 32 at a time.
func welcomeAll(conns []*grpc.ClientConn, messages [][]byte, told func([]byte, time.Time)) []*client {
	found := make([]*client, len(conns))
	gate := make(chan struct{}, 32)
	each(len(conns), func(n int) {
		gate <- struct{}{}
		defer func() { <-gate }()
		c, err := welcome(conns[n], messages[0], messages[1], told)
		check(err)
		found[n] = c
	})
	return found
}

func subscribeAll(clients []*client, message []byte, all *tally) {
	gate := make(chan struct{}, 32)
	each(len(clients), func(n int) {
		gate <- struct{}{}
		defer func() { <-gate }()
		began := time.Now()
		var answer []byte
		all.add(began, answer, clients[n].conn.Invoke(background(), *path, &message, &answer))
	})
}

// subscribed holds one subscription a connection until its input ends. Messages: two greetings, the subscription.
func subscribed(conns []*grpc.ClientConn, messages [][]byte, all *tally) {
	clients := welcomeAll(conns, messages, nil)
	subscribeAll(clients, messages[2], all)
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// push has the first connection register, and takes how long it is until each of the others was told. Messages: two greetings,
// the subscription, then pairs of a registration and what tells its list from the ones before. "pushes" counts the lists that
// came, "all" is how long it took until everybody was told and had answered.
func push(conns []*grpc.ClientConn, messages [][]byte, all *tally) {
	var lock sync.Mutex
	var began time.Time
	var tag []byte
	waiting := 0
	done := make(chan struct{}, 1)
	told := func(n int, message []byte, at time.Time, heard []bool) {
		atomic.AddInt64(&all.Pushes, 1)
		lock.Lock()
		defer lock.Unlock()
		if tag == nil || heard[n] || !bytes.Contains(message, tag) {
			return
		}
		heard[n] = true
		all.times = append(all.times, at.Sub(began))
		all.Operations++
		all.Bytes += int64(len(message))
		if waiting--; waiting == 0 {
			done <- struct{}{}
		}
	}
	heard := make([]bool, len(conns))
	writer := welcomeAll(conns[:1], messages, nil)[0]
	readers := make([]*client, len(conns)-1)
	gate := make(chan struct{}, 32)
	each(len(readers), func(n int) {
		gate <- struct{}{}
		defer func() { <-gate }()
		c, err := welcome(conns[n+1], messages[0], messages[1], func(m []byte, at time.Time) { told(n, m, at, heard) })
		check(err)
		readers[n] = c
	})
	subscribing := &tally{need: all.need}
	subscribeAll(readers, messages[2], subscribing)
	all.Failed += subscribing.Failed
	all.Error = subscribing.Error
	time.Sleep(1500 * time.Millisecond) // who is new is told of what is there half a second later
	fmt.Println("ready")
	_, _ = fmt.Scanln()
	atomic.StoreInt64(&all.Pushes, 0)
	for i := 3; i+1 < len(messages); i += 2 {
		lock.Lock()
		for n := range heard {
			heard[n] = false
		}
		began, tag, waiting = time.Now(), messages[i+1], len(readers)
		lock.Unlock()
		var answer []byte
		err := writer.conn.Invoke(background(), *path, &messages[i], &answer)
		written := time.Now()
		if err == nil && !bytes.Contains(answer, all.need) {
			err = fmt.Errorf("unexpected answer: %.200q", answer)
		}
		if err == nil {
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				err = fmt.Errorf("%d of %d were not told", waiting, len(readers))
			}
		}
		lock.Lock()
		tag = nil
		if err != nil {
			all.Failed++
			all.Error = err.Error()
		}
		all.rounds = append(all.rounds, time.Since(began))
		all.writes = append(all.writes, written.Sub(began))
		lock.Unlock()
		if all.Failed > 3 {
			return
		}
		time.Sleep(*pause)
	}
}

// storm has every connection but the first register once, at a steady pace, and counts what the first one is told. Messages: two
// greetings, the subscription, the registrations; the last one tells a complete list. "late" is how long after the last answer
// the last list came.
func storm(conns []*grpc.ClientConn, messages [][]byte, all *tally) {
	var lock sync.Mutex
	var last time.Time
	var size int
	reader := welcomeAll(conns[:1], messages, func(m []byte, at time.Time) {
		lock.Lock()
		defer lock.Unlock()
		all.Pushes++
		last, size = at, bytes.Count(m, []byte(`"instanceId"`))
	})
	writers := welcomeAll(conns[1:], messages, nil)
	subscribeAll(reader, messages[2], &tally{})
	registrations := messages[3:]
	if len(registrations) < len(writers) {
		check(errors.New("fewer registrations than connections"))
	}
	time.Sleep(1500 * time.Millisecond)
	fmt.Println("ready")
	_, _ = fmt.Scanln()
	lock.Lock()
	all.Pushes = 0
	lock.Unlock()
	began := time.Now()
	step := *spread / time.Duration(len(writers))
	each(len(writers), func(n int) {
		time.Sleep(time.Until(began.Add(time.Duration(n) * step)))
		start := time.Now()
		var answer []byte
		err := writers[n].conn.Invoke(background(), *path, &registrations[n], &answer)
		all.add(start, answer, err)
	})
	end := time.Now()
	for complete := false; !complete && time.Since(end) < 10*time.Second; {
		time.Sleep(10 * time.Millisecond)
		lock.Lock()
		complete = size == len(writers) && time.Since(last) > time.Second
		lock.Unlock()
	}
	lock.Lock()
	defer lock.Unlock()
	if size != len(writers) {
		all.Failed++
		all.Error = fmt.Sprintf("the last list has %d instances of %d", size, len(writers))
	}
	all.LateUs = float64(last.Sub(end).Microseconds())
}
