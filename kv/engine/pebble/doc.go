// Package pebble keeps engine data in github.com/cockroachdb/pebble: the engine of servers.
package pebble
