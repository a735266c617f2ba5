// Warnings about others, who may go on for ever with what they do.

package transport

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// warningPause is the least time between two warnings of the same thing.
	warningPause = time.Minute
	// maxWarnings bounds the things that are remembered.
	maxWarnings = 256
)

// warnings logs what is wrong with another store: once as a warning, and what is the same within warningPause for those
// only who want to see everything. A store that is refused tries again each second.
type warnings struct {
	log *slog.Logger

	mu    sync.Mutex // guards the following
	given map[string]time.Time
}

func newWarnings(log *slog.Logger) *warnings {
	return &warnings{log: log, given: map[string]time.Time{}}
}

// warn logs text about a store, and err if it is not nil.
func (w *warnings) warn(text string, from uint64, err error) {
	level, args := slog.LevelDebug, []any{"from", from}
	if w.isNews(fmt.Sprint(from, text, err)) {
		level = slog.LevelWarn
	}
	if err != nil {
		args = append(args, "err", err)
	}
	w.log.Log(context.Background(), level, text, args...)
}

func (w *warnings) isNews(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if at, ok := w.given[what]; ok && now.Sub(at) < warningPause {
		return false
	}
	if len(w.given) >= maxWarnings {
		clear(w.given)
	}
	w.given[what] = now
	return true
}
