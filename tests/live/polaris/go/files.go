// Files of the configuration centre: read, watched, listed, written.
package main

import (
	"sort"
	"strings"
	"sync"

	"github.com/polarismesh/polaris-go"
	"github.com/polarismesh/polaris-go/api"
	"github.com/polarismesh/polaris-go/pkg/config"
	"github.com/polarismesh/polaris-go/pkg/model"
)

// useCenter sets up the library for encrypted files too.
func useCenter(settings *config.ConfigurationImpl, address, labels, folder string) error {
	connector := settings.GetConfigFile().GetConfigConnectorConfig()
	connector.SetAddresses([]string{address})
	connector.SetToken(settings.GetGlobal().GetServerConnector().GetToken())
	settings.GetConfigFile().GetLocalCache().SetPersistDir(folder + "/files")
	filter := settings.Config.ConfigFilterConfig
	filter.SetEnable(true)
	filter.SetChain([]string{"crypto"})
	if labels == "" {
		return nil
	}
	said := map[string]string{}
	for _, pair := range strings.Split(labels, ",") {
		key, value, _ := strings.Cut(pair, "=")
		said[key] = value
	}
	settings.Global.Client.SetLabels(said)
	return nil
}

type files struct {
	reading polaris.ConfigAPI
	groups  polaris.ConfigGroupAPI

	lock    sync.Mutex
	changes map[string][]string
}

func newFiles(context api.SDKContext) *files {
	return &files{
		reading: polaris.NewConfigAPIByContext(context),
		groups:  polaris.NewConfigGroupAPIByContext(context),
		changes: map[string][]string{},
	}
}

func (f *files) commands() map[string]func(order) (answer, error) {
	return map[string]func(order) (answer, error){
		"file":         f.file,
		"file-watch":   f.watch,
		"file-changes": f.seen,
		"file-create":  f.create,
		"file-update":  f.update,
		"file-publish": f.publish,
		"file-upsert":  f.upsert,
		"file-group":   f.group,
	}
}

func (f *files) file(asked order) (answer, error) {
	found, err := f.reading.GetConfigFile(asked.Namespace, asked.Group, asked.File)
	if err != nil {
		return nil, err
	}
	return answer{"there": found.HasContent(), "content": found.GetContent()}, nil
}

func (f *files) watch(asked order) (answer, error) {
	found, err := f.reading.GetConfigFile(asked.Namespace, asked.Group, asked.File)
	if err != nil {
		return nil, err
	}
	key := asked.Group + "/" + asked.File
	found.AddChangeListener(func(event model.ConfigFileChangeEvent) {
		f.lock.Lock()
		defer f.lock.Unlock()
		f.changes[key] = append(f.changes[key], event.NewValue)
	})
	return answer{"content": found.GetContent()}, nil
}

func (f *files) seen(asked order) (answer, error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	return answer{"changes": append([]string{}, f.changes[asked.Group+"/"+asked.File]...)}, nil
}

func (f *files) create(asked order) (answer, error) {
	return answer{}, f.reading.CreateConfigFile(asked.Namespace, asked.Group, asked.File, asked.Content)
}

func (f *files) update(asked order) (answer, error) {
	return answer{}, f.reading.UpdateConfigFile(asked.Namespace, asked.Group, asked.File, asked.Content)
}

func (f *files) publish(asked order) (answer, error) {
	return answer{}, f.reading.PublishConfigFile(asked.Namespace, asked.Group, asked.File)
}

// upsert is there from 1.7 on; before, a file is written and published.
func (f *files) upsert(asked order) (answer, error) {
	type upserting interface {
		UpsertAndPublishConfigFile(namespace, fileGroup, fileName, content string) error
	}
	if both, there := f.reading.(upserting); there {
		return answer{}, both.UpsertAndPublishConfigFile(asked.Namespace, asked.Group, asked.File, asked.Content)
	}
	if _, err := f.create(asked); err != nil {
		return nil, err
	}
	return f.publish(asked)
}

func (f *files) group(asked order) (answer, error) {
	found, err := f.groups.GetConfigGroup(asked.Namespace, asked.Group)
	if err != nil {
		return nil, err
	}
	listed, _, _ := found.GetFiles()
	names := []string{}
	for _, file := range listed {
		names = append(names, file.FileName)
	}
	sort.Strings(names)
	return answer{"files": names}, nil
}
