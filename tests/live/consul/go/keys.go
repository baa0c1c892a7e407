package main

import (
	"encoding/json"
	"time"

	"github.com/hashicorp/consul/api"
)

// keyCommands are about keys, sessions, transactions, events and prepared queries.
func (c *client) keyCommands() map[string]func(order) (answer, error) {
	return map[string]func(order) (answer, error){
		"put": c.put, "get": c.get, "list": c.list, "keys": c.keys, "delete": c.delete, "txn": c.txn,
		"session": c.session, "renew": c.renew, "destroy": c.destroy, "acquire": c.acquire, "release": c.release,
		"fire": c.fire, "events": c.events, "query": c.query, "execute": c.execute,
	}
}

func entryOf(found *api.KVPair) *entry {
	if found == nil {
		return nil
	}
	return &entry{found.Key, string(found.Value), found.Flags, found.ModifyIndex, found.Session, found.LockIndex}
}

func (c *client) put(asked order) (answer, error) {
	pair := &api.KVPair{Key: asked.Key, Value: []byte(asked.Value), Flags: asked.Flags}
	if asked.CAS == nil {
		_, err := c.consul.KV().Put(pair, nil)
		return answer{"done": err == nil}, err
	}
	pair.ModifyIndex = *asked.CAS
	done, _, err := c.consul.KV().CAS(pair, nil)
	return answer{"done": done}, err
}

func (c *client) get(asked order) (answer, error) {
	found, _, err := c.consul.KV().Get(asked.Key, nil)
	return answer{"entry": entryOf(found)}, err
}

func (c *client) list(asked order) (answer, error) {
	found, _, err := c.consul.KV().List(asked.Key, nil)
	entries := []*entry{}
	for _, one := range found {
		entries = append(entries, entryOf(one))
	}
	return answer{"entries": entries}, err
}

func (c *client) keys(asked order) (answer, error) {
	found, _, err := c.consul.KV().Keys(asked.Key, asked.Separator, nil)
	return answer{"keys": append([]string{}, found...)}, err
}

func (c *client) delete(asked order) (answer, error) {
	if asked.Recurse {
		_, err := c.consul.KV().DeleteTree(asked.Key, nil)
		return answer{"done": err == nil}, err
	}
	if asked.CAS == nil {
		_, err := c.consul.KV().Delete(asked.Key, nil)
		return answer{"done": err == nil}, err
	}
	done, _, err := c.consul.KV().DeleteCAS(&api.KVPair{Key: asked.Key, ModifyIndex: *asked.CAS}, nil)
	return answer{"done": done}, err
}

func (c *client) txn(asked order) (answer, error) {
	var ops api.TxnOps
	if err := json.Unmarshal(asked.Ops, &ops); err != nil {
		return nil, err
	}
	done, response, _, err := c.consul.Txn().Txn(ops, nil)
	if err != nil {
		return nil, err
	}
	return answer{"done": done, "results": len(response.Results), "errors": response.Errors}, nil
}

func (c *client) session(asked order) (answer, error) {
	made := &api.SessionEntry{Name: asked.Name, TTL: asked.TTL, Behavior: asked.Behavior}
	if asked.Delay != "" {
		delay, err := time.ParseDuration(asked.Delay)
		if err != nil {
			return nil, err
		}
		made.LockDelay = delay
	}
	for _, id := range asked.Checks {
		made.ServiceChecks = append(made.ServiceChecks, api.ServiceCheck{ID: id})
	}
	id, _, err := c.consul.Session().Create(made, nil)
	return answer{"id": id}, err
}

func (c *client) renew(asked order) (answer, error) {
	found, _, err := c.consul.Session().Renew(asked.Session, nil)
	return answer{"there": found != nil}, err
}

func (c *client) destroy(asked order) (answer, error) {
	_, err := c.consul.Session().Destroy(asked.Session, nil)
	return answer{}, err
}

func (c *client) acquire(asked order) (answer, error) {
	done, _, err := c.consul.KV().Acquire(
		&api.KVPair{Key: asked.Key, Value: []byte(asked.Value), Session: asked.Session}, nil,
	)
	return answer{"done": done}, err
}

func (c *client) release(asked order) (answer, error) {
	done, _, err := c.consul.KV().Release(
		&api.KVPair{Key: asked.Key, Value: []byte(asked.Value), Session: asked.Session}, nil,
	)
	return answer{"done": done}, err
}

func (c *client) fire(asked order) (answer, error) {
	id, _, err := c.consul.Event().Fire(&api.UserEvent{Name: asked.Name, Payload: []byte(asked.Value)}, nil)
	return answer{"id": id}, err
}

func (c *client) events(asked order) (answer, error) {
	found, _, err := c.consul.Event().List(asked.Name, nil)
	events := []answer{}
	for _, one := range found {
		events = append(events, answer{"id": one.ID, "name": one.Name, "value": string(one.Payload)})
	}
	return answer{"events": events}, err
}

func (c *client) query(asked order) (answer, error) {
	id, _, err := c.consul.PreparedQuery().Create(&api.PreparedQueryDefinition{
		Name:    asked.Name,
		Service: api.ServiceQuery{Service: asked.Service, OnlyPassing: asked.Passing, Tags: asked.Tags},
		DNS:     api.QueryDNSOptions{TTL: asked.TTL},
	}, nil)
	return answer{"id": id}, err
}

func (c *client) execute(asked order) (answer, error) {
	found, _, err := c.consul.PreparedQuery().Execute(asked.Name, nil)
	if err != nil {
		return nil, err
	}
	entries := []*api.ServiceEntry{}
	for at := range found.Nodes {
		entries = append(entries, &found.Nodes[at])
	}
	return answer{"instances": views(entries)}, nil
}
