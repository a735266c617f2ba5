// Package snapshot carries the state of a region from one store to another.
package snapshot
