// The list of stores, and the configuration file.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAListOfStoresIsReadInAnyOrderAndShownInOne(t *testing.T) {
	p := peers{}
	for range 2 { // a second list takes the place of the first
		if err := p.Set("3=c:3, 1=a:1,20=[::1]:2"); err != nil {
			t.Fatal(err)
		}
	}
	if p.String() != "1=a:1,3=c:3,20=[::1]:2" || fmt.Sprint(p.ids()) != "[1 3 20]" {
		t.Errorf("%s, ids %v", p, p.ids())
	}
}

func TestListsOfStoresThatAreNoneAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"":                         "ID=HOST:PORT",
		"1":                        "ID=HOST:PORT",
		"a=b:1":                    "ID=HOST:PORT",
		"0=b:1":                    "ID=HOST:PORT",
		"1=b":                      "ID=HOST:PORT",
		"1=:5":                     "ID=HOST:PORT",
		"1=b:0":                    "port 0",
		"1=b:99999":                "is no port",
		"1=b:http":                 "is no port",
		"1=b:-1":                   "is no port",
		"4294967297=b:1":           "4294967296 at most",
		"18446744073709551615=b:1": "4294967296 at most",
		"1=b:1,1=c:1":              "store 1 is named twice",
		"1=b:1,2=b:1":              "two stores have the address b:1",
		"1=b:1,,2=c:1":             "ID=HOST:PORT",
		"-1=b:1,2=b:1":             "ID=HOST:PORT",
		"1=b:1 2=c:1":              "ID=HOST:PORT",
		"1=b:1,2=c:1,":             "ID=HOST:PORT",
		"1:b:1":                    "ID=HOST:PORT",
		"99999999999999999999=b:1": "ID=HOST:PORT",
	} {
		if err := (peers{}).Set(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

func TestStoresAgreeOnTheFirstRegionWithoutTalking(t *testing.T) {
	a, b := peers{}, peers{}
	if a.Set("1=a:1,2=b:1,7=c:1") != nil || b.Set("7=elsewhere:9,2=b:1,1=a:1") != nil {
		t.Fatal("not read")
	}
	want := `{8 ["", end) 1/1 [9 on store 1 10 on store 2 11 on store 7]}`
	if got := fmt.Sprint(a.firstRegion()); got != want || got != fmt.Sprint(b.firstRegion()) {
		t.Errorf("%s and %v, want %s", got, b.firstRegion(), want)
	}
}

// configured is what a serve command makes of a file and of arguments.
func configured(t *testing.T, content string, args ...string) (*serveOptions, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.toml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &serveOptions{peers: peers{}}
	cmd, _ := serveCommand(o)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return o, applyConfig(cmd, path)
}

func TestTheFileHasTheNamesOfTheFlagsAndTheCommandLineCountsMore(t *testing.T) {
	o, err := configured(t, `
data-dir = "/from/file"
engine = "badger"
store-id = 2
scheduler = ["a:1", "b:2"]
sweep-interval = "5m"
faults = true
[peers]
1 = "x:1"
2 = "y:2"
`, "--engine", "pebble")
	if err != nil {
		t.Fatal(err)
	}
	if o.dir != "/from/file" || o.engine != "pebble" || o.storeID != 2 || fmt.Sprint(o.schedulers) != "[a:1 b:2]" ||
		o.sweepInterval != 5*time.Minute || !o.faults || o.peers.String() != "1=x:1,2=y:2" {
		t.Errorf("%+v", o)
	}
	if o, err = configured(t, `peers = "1=x:1,2=y:2"`); err != nil || o.peers.String() != "1=x:1,2=y:2" {
		t.Errorf("a list in one string: %v, %v", o.peers, err)
	}
}

func TestAFileThatIsNotUnderstoodIsRefusedInALine(t *testing.T) {
	for content, says := range map[string]string{
		"[data-dir]\nname = \"x\"":   "data-dir: a table is of no use here",
		"data-dir = [\"x\", \"y\"]":  "data-dir: a list is of no use here",
		"store-id = [1]":             "store-id: a list is of no use here",
		"[peers.1]\naddr = \"x:1\"":  "peers",
		"faults = \"perhaps\"":       "faults",
		"store-id = 1\nstore-id = 2": "line 2",
		"store-id = -1":              "store-id",
		"[store]\nid = 1":            `no setting "store"`,
		"data_dir = \"x\"":           `no setting "data_dir"`,
		"config = \"x\"":             `no setting "config"`,
		"until-input-ends = true":    `no setting "until-input-ends"`,
		"engine = ":                  "line 1",
		"store-id = \"two\"":         "store-id",
		"store-id = 1.5":             "store-id",
		"[peers]\n1 = \"x\"":         "peers",
		"[engine]\nname = \"x\"":     "engine: a table is of no use here",
		"tick = 5":                   "tick",
	} {
		_, err := configured(t, content)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "store.toml") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want one line with %q", content, err, says)
		}
	}
}
