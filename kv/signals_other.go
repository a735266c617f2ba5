// Where there is no such signal.

//go:build !unix

package main

func ignoreFileSize() {}
