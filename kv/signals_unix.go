// Signals that would end the process where an error can be told.

//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// ignoreFileSize makes a write beyond the limit on the size of files (ulimit -f) an error like that of a full disk. By
// default it is a signal that ends the process.
func ignoreFileSize() { signal.Ignore(syscall.SIGXFSZ) }
