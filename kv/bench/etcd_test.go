// The peer: three members of etcd, each a process of its own, made of this test's program.

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// memberEnv tells this program to be a member of etcd; its value is a member as JSON.
const memberEnv = "TINYKV_BENCH_ETCD_MEMBER"

// member is what one member of etcd is told. Everything else is etcd's default, its syncs above all.
type member struct{ Name, Dir, Client, Peer, Cluster string }

// serve runs the member until it gets SIGTERM.
func (m member) serve() error {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.InitialCluster = m.Name, m.Dir, m.Cluster
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = urls(m.Client), urls(m.Client)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = urls(m.Peer), urls(m.Peer)
	cfg.LogLevel = "fatal"
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer e.Close()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(time.Minute):
		return fmt.Errorf("member %s is not ready after a minute", m.Name)
	}
	fmt.Println("ready")
	<-ended
	return nil
}

func urls(addr string) []url.URL { return []url.URL{{Scheme: "http", Host: addr}} }

// beMember makes this process a member, if it was started as one.
func beMember() {
	text := os.Getenv(memberEnv)
	if text == "" {
		return
	}
	var m member
	err := json.Unmarshal([]byte(text), &m)
	if err == nil {
		err = m.serve()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startEtcd runs three members until the benchmark ends, and loads the keys.
func startEtcd(b *testing.B) *system {
	b.Helper()
	dir, addrs := b.TempDir(), freeAddrs(b, 6)
	var peers []string
	for i := range 3 {
		peers = append(peers, fmt.Sprintf("m%d=http://%s", i, addrs[3+i]))
	}
	sys := &system{}
	var members []child // none is ready before a majority runs
	for i := range 3 {
		m := member{Name: fmt.Sprintf("m%d", i), Dir: filepath.Join(dir, fmt.Sprint(i)), Client: addrs[i], Peer: addrs[3+i],
			Cluster: strings.Join(peers, ",")}
		text, err := json.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), memberEnv+"="+string(text))
		members = append(members, start(b, cmd))
	}
	sys.pids = readyAll(b, members)
	clients := make([]*clientv3.Client, connections)
	for i := range clients {
		c, err := clientv3.New(clientv3.Config{Endpoints: addrs[:3], DialTimeout: 10 * time.Second})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		clients[i] = c
	}
	ctx, cancel := context.WithTimeout(context.Background(), benchLimit)
	b.Cleanup(cancel)
	sys.put = func(c int, key, value []byte) error {
		_, err := clients[c%connections].Put(ctx, string(key), string(value))
		return err
	}
	sys.get = func(c int, key []byte) error { return found(clients[c%connections].Get(ctx, string(key))) }
	sys.getStale = func(c int, key []byte) error {
		return found(clients[c%connections].Get(ctx, string(key), clientv3.WithSerializable()))
	}
	sys.load(b)
	return sys
}

func found(resp *clientv3.GetResponse, err error) error {
	if err == nil && len(resp.Kvs) != 1 {
		err = fmt.Errorf("%d values for a key that was loaded", len(resp.Kvs))
	}
	return err
}
