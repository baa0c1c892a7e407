//go:build !generation1

package main

import (
	"github.com/nacos-group/nacos-sdk-go/v2/clients/config_client"
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

func publication(asked order) vo.ConfigParam {
	return vo.ConfigParam{DataId: asked.Service, Group: asked.group(), Content: asked.Content, Type: asked.Type}
}

func swapped(configs config_client.IConfigClient, asked order) (bool, error) {
	param := publication(asked)
	param.CasMd5 = asked.Md5
	return configs.PublishConfig(param)
}

func end(naming naming_client.INamingClient) {
	naming.CloseClient()
}
