// Where the stores of tests live.

package enginetest

import (
	"os"
	"syscall"
	"testing"
)

// MemoryDir returns a directory that is gone after the test, in memory if the system has room there: for tests that are
// about what an engine answers and not about what a disk does, of which a sync takes most of the time.
func MemoryDir(t testing.TB) string {
	t.Helper()
	const shm, room = "/dev/shm", 1 << 30
	var st syscall.Statfs_t
	if err := syscall.Statfs(shm, &st); err != nil || st.Bavail*uint64(st.Bsize) < room {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(shm, "tinykv-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
