// Locks that end with the process that holds them.

//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package scratch

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// lock takes the lock of an open file, unless somebody holds it. It ends when the file is closed or the process ends;
// a process that this one starts does not inherit it.
func lock(f *os.File) bool { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil }

// left tells whether nobody holds the owner's lock any more.
func left(owner *os.File, _ time.Time) bool { return lock(owner) }

// isOurs tells whether this user made the file.
func isOurs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}
