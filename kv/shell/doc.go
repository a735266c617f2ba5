// Package shell is how a person talks to a cluster: one command per line, typed, from a pipe, or given at once on the
// command line.
//
//	line ──► words ──► command from the table ──► run ──► result ──► text or JSON
//	         (quotes,    (name, arguments,        (asks
//	          escapes)    flags, help)             kv/client)
//
// Keys and values are bytes, and people type characters. So a word may be quoted, and \xNN is the byte NN, inside
// quotes and outside. What is printed is escaped the same way: every key and value that is shown can be typed back as
// it stands.
//
//	tinykv> put "hello world" \x00\xff
//	OK
//	tinykv> scan hello
//	"hello world"  \x00\xff
//	(1 pair)
//
// What always holds:
//
//  1. ParseWords(Quote(b)) is b, for all bytes.
//  2. A command that is unknown or has wrong arguments changes nothing, and says what it should look like.
//  3. From a pipe, the first command that fails is reported with the number of its line; the rest is still run, and
//     the status is 1.
//  4. Ctrl-C stops the command that runs, not the shell; at an empty prompt it ends the shell.
//
// The table of commands is the one place that knows them: help, completion and suggestions are made from it.
//
// Left out: variables, loops and pipes. For those there is the shell that started this one: every command works from
// its command line.
package shell
