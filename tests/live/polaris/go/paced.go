// Calls at a steady pace, as a busy application makes them.
package main

import (
	"time"

	"github.com/polarismesh/polaris-go"
	"github.com/polarismesh/polaris-go/pkg/model"
)

// pace asks for quota count times, every so many milliseconds; it answers when each call that passed was made.
func (c *client) pace(asked order) (answer, error) {
	passed := []int64{}
	limited := 0
	step := time.Duration(asked.Every) * time.Millisecond
	next := time.Now()
	for turn := 0; turn < asked.turns(); turn++ {
		time.Sleep(time.Until(next))
		next = next.Add(step)
		request := polaris.NewQuotaRequest()
		request.SetNamespace(asked.Namespace)
		request.SetService(asked.Service)
		request.SetMethod(asked.Method)
		future, err := c.limiter.GetQuota(request)
		if err != nil {
			return nil, err
		}
		if future.Get().Code == model.QuotaResultOk {
			passed = append(passed, time.Now().UnixMilli())
		} else {
			limited++
		}
	}
	return answer{"passed": passed, "limited": limited}, nil
}
