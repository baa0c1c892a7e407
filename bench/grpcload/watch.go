package main

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// watch has every connection but the first ask something that is answered late, and the first one do what it waits for. Messages:
// pairs of the question (method -stream) and the deed (method -path). "all" is how long it took until everybody was answered.
func watch(conns []*grpc.ClientConn, messages [][]byte, all *tally) {
	readers := conns[1:]
	fmt.Println("ready")
	_, _ = fmt.Scanln()
	for i := 0; i+1 < len(messages); i += 2 {
		var began time.Time
		var lock sync.Mutex
		answers := make(chan error, len(readers))
		for _, conn := range readers {
			go func(conn *grpc.ClientConn) {
				var answer []byte
				err := conn.Invoke(background(), *streamPath, &messages[i], &answer)
				lock.Lock()
				defer lock.Unlock()
				if err == nil && began.IsZero() {
					err = fmt.Errorf("answered before anything happened: %.200q", answer)
				}
				all.add(began, answer, err)
				answers <- err
			}(conn)
		}
		time.Sleep(*pause)
		lock.Lock()
		began = time.Now()
		lock.Unlock()
		var answer []byte
		err := conns[0].Invoke(background(), *path, &messages[i+1], &answer)
		written := time.Now()
		if err == nil && !bytes.Contains(answer, all.need) {
			err = fmt.Errorf("unexpected answer: %.200q", answer)
		}
		for range readers {
			if late := <-answers; err == nil {
				err = late
			}
		}
		if err != nil {
			all.Failed++
			all.Error = err.Error()
			return
		}
		all.rounds = append(all.rounds, time.Since(began))
		all.writes = append(all.writes, written.Sub(began))
	}
}
