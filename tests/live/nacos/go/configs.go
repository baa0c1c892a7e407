// Configuration: a file is an order's "service".
package main

import (
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/config_client"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

type news struct {
	At      int64  `json:"at"`
	File    string `json:"file"`
	Content string `json:"content"`
}

func (c *client) configCommands() map[string]func(order) (answer, error) {
	return map[string]func(order) (answer, error){
		"publish": c.publish,
		"swap":    c.swap,
		"content": c.content,
		"remove":  c.remove,
		"listen":  c.listen,
		"mute":    c.mute,
		"told":    c.toldOfFiles,
	}
}

// configs is the client of one namespace, made when it is first needed.
func (c *client) configs(namespace string) (config_client.IConfigClient, error) {
	if known, is := c.configClients[namespace]; is {
		return known, nil
	}
	settings, servers, err := c.settings(namespace)
	if err != nil {
		return nil, err
	}
	made, err := clients.NewConfigClient(vo.NacosClientParam{ClientConfig: settings, ServerConfigs: servers})
	if err == nil {
		c.configClients[namespace] = made
	}
	return made, err
}

func (o order) files() []string {
	if len(o.Files) == 0 {
		return []string{o.Service}
	}
	return o.Files
}

func (c *client) publish(asked order) (answer, error) {
	configs, err := c.configs(asked.Namespace)
	if err != nil {
		return nil, err
	}
	done, err := configs.PublishConfig(publication(asked))
	return answer{"done": done}, err
}

func (c *client) swap(asked order) (answer, error) {
	configs, err := c.configs(asked.Namespace)
	if err != nil {
		return nil, err
	}
	done, err := swapped(configs, asked)
	return answer{"done": done}, err
}

// content of a file; the library gives an empty one when there is none.
func (c *client) content(asked order) (answer, error) {
	configs, err := c.configs(asked.Namespace)
	if err != nil {
		return nil, err
	}
	found, err := configs.GetConfig(vo.ConfigParam{DataId: asked.Service, Group: asked.group()})
	if err == nil && found == "" {
		return answer{}, nil
	}
	return answer{"content": found}, err
}

func (c *client) remove(asked order) (answer, error) {
	configs, err := c.configs(asked.Namespace)
	if err != nil {
		return nil, err
	}
	done, err := configs.DeleteConfig(vo.ConfigParam{DataId: asked.Service, Group: asked.group()})
	return answer{"done": done}, err
}

func (c *client) listen(asked order) (answer, error) {
	configs, err := c.configs(asked.Namespace)
	if err != nil {
		return nil, err
	}
	key := asked.key()
	c.lock.Lock()
	c.news[key] = nil
	c.lock.Unlock()
	for _, file := range asked.files() {
		err = configs.ListenConfig(vo.ConfigParam{
			DataId: file,
			Group:  asked.group(),
			OnChange: func(_, _, file, content string) {
				c.lock.Lock()
				defer c.lock.Unlock()
				c.news[key] = append(c.news[key], news{time.Now().UnixMilli(), file, content})
			},
		})
		if err != nil {
			return nil, err
		}
	}
	return answer{}, nil
}

func (c *client) mute(asked order) (answer, error) {
	configs, err := c.configs(asked.Namespace)
	if err != nil {
		return nil, err
	}
	for _, file := range asked.files() {
		if err = configs.CancelListenConfig(vo.ConfigParam{DataId: file, Group: asked.group()}); err != nil {
			return nil, err
		}
	}
	return answer{}, nil
}

func (c *client) toldOfFiles(asked order) (answer, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	return answer{"changes": append([]news{}, c.news[asked.key()]...)}, nil
}
