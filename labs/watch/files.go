// Files: which files were saved, told by the operating system.

package watch

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Files tells of changes to Go files and go.mod in the directories it was told to look at.
type Files struct {
	root    string
	watcher *fsnotify.Watcher
	changes chan string
	stop    chan struct{}
	wg      sync.WaitGroup
}

// NewFiles begins to look at the tree at root; Watch says at which directories. The caller must Close it. An error is
// the system's: it often means that it allows no more watches.
func NewFiles(root string) (*Files, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w: close other programs that watch files, or raise the system's limit", err)
	}
	f := &Files{root: root, watcher: watcher, changes: make(chan string), stop: make(chan struct{})}
	f.wg.Go(f.forward)
	return f, nil
}

// Changes delivers the names of changed files relative to root, with slashes. It is closed by Close.
func (f *Files) Changes() <-chan string { return f.changes }

// Watch looks at these directories, relative to root, and at root for go.mod, and at no others. One that does not
// exist is left out: the next call may find it.
func (f *Files) Watch(dirs []string) {
	wanted := map[string]bool{f.root: true}
	for _, dir := range dirs {
		wanted[filepath.Join(f.root, filepath.FromSlash(dir))] = true
	}
	for _, old := range f.watcher.WatchList() {
		if !wanted[old] {
			f.watcher.Remove(old)
		}
	}
	for dir := range wanted {
		f.watcher.Add(dir) // again, even if it is there: the directory may have been replaced
	}
}

// forward turns events into names.
func (f *Files) forward() {
	defer close(f.changes)
	for {
		select {
		case event, ok := <-f.watcher.Events:
			if !ok {
				return
			}
			name, err := filepath.Rel(f.root, event.Name)
			if err != nil || !matters(filepath.ToSlash(name)) || event.Op == fsnotify.Chmod {
				continue
			}
			select {
			case f.changes <- filepath.ToSlash(name):
			case <-f.stop:
				return
			}
		case _, ok := <-f.watcher.Errors: // an overflow: events were lost, but the ones that came cause a run
			if !ok {
				return
			}
		}
	}
}

// matters tells source files from what editors leave beside them.
func matters(name string) bool {
	base := name[strings.LastIndexByte(name, '/')+1:]
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "#") {
		return false
	}
	return strings.HasSuffix(base, ".go") || slices.Contains([]string{"go.mod", "go.sum"}, name)
}

// Close ends it.
func (f *Files) Close() error {
	close(f.stop)
	err := f.watcher.Close()
	f.wg.Wait()
	return err
}
