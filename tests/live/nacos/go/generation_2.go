//go:build !generation1

package main

import (
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

// Subscribed is what a callback is given.
type Subscribed = model.Instance

func subscribedViews(instances []Subscribed) []seen {
	return views(instances)
}

func registerAll(
	naming naming_client.INamingClient, service, group string, instances []vo.RegisterInstanceParam,
) (bool, error) {
	return naming.BatchRegisterInstance(vo.BatchRegisterInstanceParam{
		ServiceName: service, GroupName: group, Instances: instances,
	})
}

func end(naming naming_client.INamingClient) {
	naming.CloseClient()
}
