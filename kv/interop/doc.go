// Package interop is what our servers have to prove to strangers: programs that were written for TiKV, unmodified,
// against our servers as processes.
package interop
