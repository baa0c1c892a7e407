//go:build generation1

package main

import (
	"errors"

	"github.com/nacos-group/nacos-sdk-go/v2/clients/config_client"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

// Subscribed is what a callback is given: an instance by another name, and without its kind.
type Subscribed = model.SubscribeService

func subscribedViews(instances []Subscribed) []seen {
	found := []seen{}
	for _, one := range instances {
		found = append(found, seen{
			ID: one.InstanceId, IP: one.Ip, Port: one.Port, Weight: one.Weight, Healthy: one.Healthy, Enabled: one.Enable,
			Cluster: one.ClusterName, Service: one.ServiceName, Metadata: one.Metadata,
		})
	}
	return found
}

func registerAll(naming_client.INamingClient, string, string, []vo.RegisterInstanceParam) (bool, error) {
	return false, errors.New("this generation has no batches")
}

func publication(asked order) vo.ConfigParam {
	return vo.ConfigParam{
		DataId: asked.Service, Group: asked.group(), Content: asked.Content, Type: vo.ConfigType(asked.Type),
	}
}

func swapped(config_client.IConfigClient, order) (bool, error) {
	return false, errors.New("this generation does not compare and set")
}

// end does nothing: the first generation's client has no end but that of the process.
func end(naming_client.INamingClient) {}
