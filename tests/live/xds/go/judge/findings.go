package main

import (
	"fmt"
	"sort"
)

// What is wrong, each thing once.
type findings struct {
	seen map[string]bool
}

func (f *findings) add(format string, values ...any) {
	if f.seen == nil {
		f.seen = map[string]bool{}
	}
	f.seen[fmt.Sprintf(format, values...)] = true
}

func (f *findings) all() []string {
	found := make([]string, 0, len(f.seen))
	for text := range f.seen {
		found = append(found, text)
	}
	sort.Strings(found)
	return found
}
