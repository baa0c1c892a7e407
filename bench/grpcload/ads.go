package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// What a client of discovery does: it asks for one type after the other, and accepts every response.
var (
	setup         = flag.Int("setup", 1, "ads, adsidle: how many pairs of a first request and the beginning of all later ones there are")
	streamAddress = flag.String("streamaddress", "", "ads: host:port where the streams are; the other address takes the writes")
)

// listener is one stream; told gets every response when it came, before it is accepted.
type listener struct {
	stream grpc.ClientStream
	stems  map[string][]byte
	told   func([]byte, time.Time)
}

// listen opens a stream and asks for everything, in order. Messages: pairs of a first request and what an acknowledgement
// of its type begins with, whose type URL ends it.
func listen(conn *grpc.ClientConn, messages [][]byte, told func([]byte, time.Time)) *listener {
	s, err := conn.NewStream(background(), both, *streamPath)
	check(err)
	l := &listener{s, map[string][]byte{}, told}
	for i := 0; i < 2**setup; i += 2 {
		check(s.SendMsg(&messages[i]))
		var answer []byte
		check(s.RecvMsg(&answer))
		version, kind, nonce := envelope(answer)
		l.stems[string(kind)] = messages[i+1]
		check(l.accept(version, kind, nonce))
	}
	return l
}

func (l *listener) accept(version, kind, nonce []byte) error {
	request := append(append([]byte{}, l.stems[string(kind)]...), field(0x0a, version)...)
	request = append(request, field(0x2a, nonce)...)
	return l.stream.SendMsg(&request)
}

func (l *listener) run() {
	for {
		var message []byte
		if l.stream.RecvMsg(&message) != nil {
			return
		}
		now := time.Now()
		version, kind, nonce := envelope(message)
		if l.accept(version, kind, nonce) != nil {
			return
		}
		if l.told != nil {
			l.told(message, now)
		}
	}
}

// envelope reads version_info, type_url and nonce of a response.
func envelope(message []byte) (version, kind, nonce []byte) {
	for len(message) > 0 {
		tag := message[0]
		size, n := binary.Uvarint(message[1:])
		value := message[1+n : 1+n+int(size)]
		message = message[1+n+int(size):]
		switch tag {
		case 0x0a:
			version = value
		case 0x22:
			kind = value
		case 0x2a:
			nonce = value
		}
	}
	return
}

// adsidle holds one stream a connection, subscribed and told, until its input ends.
func adsidle(conns []*grpc.ClientConn, messages [][]byte) {
	gate := make(chan struct{}, 32)
	each(len(conns), func(n int) {
		gate <- struct{}{}
		defer func() { <-gate }()
		go listen(conns[n], messages, nil).run()
	})
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// ads has the first connection register (method -path), and takes how long it is until each stream of the others was told.
// Messages: the set-up, then pairs of a registration and what tells its response from the ones before.
func ads(conns []*grpc.ClientConn, messages [][]byte, all *tally) {
	var lock sync.Mutex
	var began time.Time
	var tag []byte
	waiting := 0
	done := make(chan struct{}, 1)
	heard := make([]bool, len(conns))
	gate := make(chan struct{}, 32)
	readers := len(conns) - 1
	each(readers, func(n int) {
		gate <- struct{}{}
		defer func() { <-gate }()
		go listen(conns[n+1], messages, func(message []byte, at time.Time) {
			lock.Lock()
			defer lock.Unlock()
			all.Pushes++
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
		}).run()
	})
	time.Sleep(500 * time.Millisecond)
	fmt.Println("ready")
	_, _ = fmt.Scanln()
	for i := 2 * *setup; i+1 < len(messages); i += 2 {
		lock.Lock()
		for n := range heard {
			heard[n] = false
		}
		began, tag, waiting = time.Now(), messages[i+1], readers
		lock.Unlock()
		var answer []byte
		err := conns[0].Invoke(background(), *path, &messages[i], &answer)
		written := time.Now()
		if err == nil && !bytes.Contains(answer, all.need) {
			err = fmt.Errorf("unexpected answer: %.200q", answer)
		}
		if err == nil {
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				err = fmt.Errorf("%d of %d were not told", waiting, readers)
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
