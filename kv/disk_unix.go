// How much room there is on a disk.

//go:build linux || darwin

package main

import "syscall"

// diskSpace returns the size of the disk that holds path and what is free of it, in bytes; zeros if it can't be told.
func diskSpace(path string) (capacity, available uint64) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0
	}
	return s.Blocks * uint64(s.Bsize), s.Bavail * uint64(s.Bsize)
}
