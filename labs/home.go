// Where the go command keeps its caches, if the environment does not say: under cron, in some containers.

package main

import (
	"errors"
	"os"
	"os/user"
)

// errNoHome says what to do if there is no place for the go command's caches.
var errNoHome = errors.New("HOME is not set, so the go command has no place for its caches: " +
	"set it to a directory that you may write to, or set GOCACHE and GOMODCACHE")

// giveHome sets HOME, for this process and those that it starts, if the go command needs it and it is not set: to what
// home says, the person's directory in the system's list of users.
func giveHome(home func() (string, error)) error {
	has := func(names ...string) bool {
		for _, name := range names {
			if os.Getenv(name) != "" {
				return true
			}
		}
		return false
	}
	if has("HOME") || has("GOCACHE", "XDG_CACHE_HOME") && has("GOMODCACHE", "GOPATH") {
		return nil
	}
	dir, err := home()
	if err != nil || dir == "" {
		return errNoHome
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return errNoHome
	}
	return os.Setenv("HOME", dir)
}

// homeOfUser asks the system's list of users.
func homeOfUser() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}
