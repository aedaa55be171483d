package main

import (
	"encoding/json"
	"maps"
	"slices"
)

// inputsOf returns the files in a bundle.
func inputsOf(metafile string) ([]string, error) {
	var content struct {
		Inputs map[string]struct{} `json:"inputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &content); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(content.Inputs)), nil
}
