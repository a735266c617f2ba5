// Package jsonfile keeps a small value in a file: what was tested last, which hints were seen, where a workspace
// begins.
//
//	value ── Write ──► FILE.new ── rename ──► FILE ── Read ──► value
//
// What always holds:
//
//  1. A file is written whole or not at all: who reads meanwhile, or after a crash of the process, finds the older one.
//  2. Read tells a file that is not there, which is fine, from one that can't be understood, which is an error.
//
// Example:
//
//	seen := map[string]int{}
//	found, err := jsonfile.Read(".labs/hints.json", &seen)
//	seen["1a.2"] = 1
//	err = jsonfile.Write(".labs/hints.json", seen)
//
// It leaves out what a person never misses here: sync to disk, and two who write at once.
package jsonfile

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Read fills in the value from a file. If there is no such file, it says so and leaves the value as it is.
func Read[T any](path string, value *T) (found bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(data, value)
}

// Write stores the value in a file, for people to read as well, and makes the directory if need be. If it fails, the
// file is as it was.
func Write[T any](path string, value T) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path+".new", append(data, '\n'), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}
