package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWithoutHomeTheListOfUsersIsAskedAndElseThePerson(t *testing.T) {
	there := t.TempDir()
	missing := filepath.Join(there, "missing")
	for name, c := range map[string]struct {
		env     map[string]string
		users   string // what the list of users says; "": it does not know this one
		home    string // want
		refused bool
	}{
		"as usual":               {env: map[string]string{"HOME": "/as/it/is"}, users: there, home: "/as/it/is"},
		"nothing set":            {users: there, home: there},
		"only half of it set":    {env: map[string]string{"XDG_CACHE_HOME": there}, users: there, home: there},
		"not needed":             {env: map[string]string{"GOCACHE": there, "GOPATH": there}, home: ""},
		"a user without a name":  {refused: true},
		"a home that is missing": {users: missing, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"HOME", "GOCACHE", "XDG_CACHE_HOME", "GOMODCACHE", "GOPATH"} {
				t.Setenv(variable, c.env[variable])
			}
			err := giveHome(func() (string, error) {
				if c.users == "" {
					return "", errors.New("unknown user")
				}
				return c.users, nil
			})
			if refused := err != nil; refused != c.refused || os.Getenv("HOME") != c.home {
				t.Errorf("HOME is %q, error %v; want %q", os.Getenv("HOME"), err, c.home)
			}
		})
	}
}
