package main

import (
	"time"

	"github.com/hashicorp/consul/api"
)

// held is a lock that this process holds, and whether its loss was told.
type held struct {
	lock *api.Lock
	lost <-chan struct{}
}

// lockCommands are about the library's recipe of a lock.
func (c *client) lockCommands() map[string]func(order) (answer, error) {
	return map[string]func(order) (answer, error){
		"lock": c.take, "held": c.holds, "unlock": c.unlock,
	}
}

// take waits a second at most.
func (c *client) take(asked order) (answer, error) {
	lock, err := c.consul.LockOpts(&api.LockOptions{
		Key: asked.Key, Value: []byte(asked.Value), Session: asked.Session, SessionTTL: "10s",
		LockTryOnce: true, LockWaitTime: time.Second, LockDelay: time.Millisecond, MonitorRetries: 5,
		MonitorRetryTime: 500 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	lost, err := lock.Lock(nil)
	if err != nil || lost == nil {
		return answer{"done": false}, err
	}
	c.locks[asked.Key] = &held{lock, lost}
	return answer{"done": true}, nil
}

func (c *client) holds(asked order) (answer, error) {
	one, is := c.locks[asked.Key]
	if !is {
		return answer{"held": false}, nil
	}
	select {
	case <-one.lost:
		return answer{"held": false}, nil
	default:
		return answer{"held": true}, nil
	}
}

func (c *client) unlock(asked order) (answer, error) {
	one := c.locks[asked.Key]
	delete(c.locks, asked.Key)
	if err := one.lock.Unlock(); err != nil {
		return nil, err
	}
	return answer{}, one.lock.Destroy()
}
