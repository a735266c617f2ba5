// Shell: what it talks to, and how one command is run.

package shell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"tinykv/kv/client"
	"tinykv/kv/region"
	scheduler "tinykv/scheduler/client"
)

// KV is what the shell needs of the raw API: client.Raw has it.
type KV interface {
	Get(ctx context.Context, key []byte) (value []byte, found bool, err error)
	BatchGet(ctx context.Context, keys [][]byte) ([][]byte, error)
	PutTTL(ctx context.Context, key, value []byte, ttl time.Duration) error
	BatchPut(ctx context.Context, pairs []client.Pair) error
	Delete(ctx context.Context, key []byte) error
	BatchDelete(ctx context.Context, keys [][]byte) error
	DeleteRange(ctx context.Context, keys region.Range) error
	Scan(ctx context.Context, opts client.ScanOptions, limit int) ([]client.Pair, error)
	TTL(ctx context.Context, key []byte) (ttl time.Duration, found bool, err error)
	CompareAndSwap(ctx context.Context, s client.Swap) (client.Swapped, error)
	Checksum(ctx context.Context, keys region.Range) (client.Checksum, error)
}

// Cluster is what the shell needs of the scheduler's client.
type Cluster interface {
	Members(ctx context.Context) (scheduler.Members, error)
	Store(ctx context.Context, id uint64) (scheduler.StoreInfo, error)
	Stores(ctx context.Context) ([]scheduler.StoreInfo, error)
	Region(ctx context.Context, key []byte) (scheduler.RegionInfo, bool, error)
	ScanRegions(ctx context.Context, keys region.Range, limit int) ([]scheduler.RegionInfo, error)
	Timestamp(ctx context.Context) (scheduler.Timestamp, error)
}

// Options of a Shell.
type Options struct {
	KV      func(cf string) KV // the raw API on a column family
	Cluster Cluster
	// Processes, if there are any, can be killed, paused, cut off and more by commands of their own.
	Processes Processes

	Out     io.Writer     // results
	Err     io.Writer     // errors
	JSON    bool          // results as one line of JSON each
	Timeout time.Duration // how long one command may take; 0 leaves it to the clients
}

// Shell runs commands. It is used by one goroutine.
type Shell struct {
	opts  Options
	table table
	cf    string // the column family commands work on; "" is default
}

// New returns a Shell.
func New(opts Options) *Shell { return &Shell{opts: opts, table: newTable(opts.Processes)} }

// errQuit is returned by the command that ends the shell.
var errQuit = errors.New("quit")

// Run runs the command that words are, and writes its result. No words do nothing. Error: the command is unknown, has
// wrong arguments, or failed; one line.
func (s *Shell) Run(ctx context.Context, words []Word) error {
	if len(words) == 0 {
		return nil
	}
	c, err := s.table.find(words[0].Text)
	if err != nil {
		return err
	}
	in, err := c.parse(words[1:])
	if err != nil {
		return err
	}
	if s.opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.opts.Timeout)
		defer cancel()
	}
	res, err := c.run(ctx, s, in)
	if err != nil {
		return err
	}
	return s.write(res)
}

// RunLine runs one line.
func (s *Shell) RunLine(ctx context.Context, line string) error {
	words, err := ParseWords(line)
	if err != nil {
		return err
	}
	return s.Run(ctx, words)
}

// RunArgs runs one command whose words the shell of the system has cut already. Escapes are understood, quotes are
// plain.
func (s *Shell) RunArgs(ctx context.Context, args []string) error {
	var words []Word
	for _, arg := range args {
		text, err := unescape(arg)
		if err != nil {
			return fmt.Errorf("argument %s: %w", brief([]byte(arg)), err)
		}
		words = append(words, Word{Text: text, Quoted: text != arg})
	}
	err := s.Run(ctx, words)
	if errors.Is(err, errQuit) {
		return nil
	}
	return err
}

func (s *Shell) write(res result) error {
	if res == nil {
		return nil
	}
	text := res.text()
	if s.opts.JSON {
		line, err := json.Marshal(res)
		if err != nil {
			return err
		}
		text = string(line)
	}
	_, err := fmt.Fprintln(s.opts.Out, text)
	return err
}

// kv is the raw API on the present column family.
func (s *Shell) kv() KV { return s.opts.KV(s.cf) }
