// The configuration file: flags by their names, in TOML.
//
//	store-id = 1
//	data-dir = "/var/lib/tinykv"
//	scheduler = "10.0.0.9:2379"
//
//	[peers]
//	1 = "10.0.0.1:20160"
//	2 = "10.0.0.2:20160"
//	3 = "10.0.0.3:20160"
//
// What is given on the command line counts more.

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"
)

// configFlag is the flag that names the file.
const configFlag = "config"

// applyConfig sets the flags that the file at path names and the command line does not. Errors, of one line: the file can't be
// read, or is no TOML; a name that is no flag; a value that the flag does not take.
func applyConfig(cmd *cobra.Command, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the configuration: %w", err)
	}
	settings := map[string]any{}
	if _, err := toml.Decode(string(data), &settings); err != nil {
		var at toml.ParseError
		if errors.As(err, &at) {
			return fmt.Errorf("%s, line %d: %s", path, at.Position.Line, at.Message)
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		flag := cmd.Flags().Lookup(name)
		if flag == nil || flag.Hidden || name == configFlag || name == "help" {
			return fmt.Errorf("%s: there is no setting %q: they have the names of the flags, see %s --help", path, name,
				cmd.CommandPath())
		}
		if flag.Changed {
			continue
		}
		err := fits(settings[name], flag.Value.Type())
		text := ""
		if err == nil {
			text, err = settingText(settings[name])
		}
		if err == nil {
			err = cmd.Flags().Set(name, text)
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", path, name, err)
		}
	}
	return nil
}

// fits refuses a list or a table for a flag of a single value: in the form of a command line it would be one, of a kind.
func fits(value any, kind string) error {
	switch value.(type) {
	case map[string]any:
		if kind != (peers{}).Type() {
			return errors.New("a table is of no use here")
		}
	case []any:
		if kind != (peers{}).Type() && kind != "stringSlice" {
			return errors.New("a list is of no use here")
		}
	}
	return nil
}

// settingText is a value as it would stand on the command line. A table is a list of NAME=VALUE.
func settingText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case int64, bool:
		return fmt.Sprint(v), nil
	case []any:
		var parts []string
		for _, element := range v {
			text, err := settingText(element)
			if err != nil {
				return "", err
			}
			parts = append(parts, text)
		}
		return strings.Join(parts, ","), nil
	case map[string]any:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			text, err := settingText(v[key])
			if err != nil {
				return "", err
			}
			parts = append(parts, key+"="+text)
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("a value of the type %T is of no use here", value)
}
